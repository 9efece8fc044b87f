"""Every format in which lists come as files, and how it is told from the others.

An importer is one line of `FORMATS`. What it yields may be used only when it has ended without an error.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from vetset.hashlist.files.lines import beginning
from vetset.hashlist.files.text import TABLE_SUFFIXES, list_rows
from vetset.hashlist.owners.ncmec.entries import entries
from vetset.hashlist.owners.ncmec.told import Told
from vetset.hashlist.owners.stopncii import read_stopncii
from vetset.hashlist.owners.techagainst import read_techagainst
from vetset.hashlist.owners.threatexchange import read_signals, read_updates
from vetset.hashlist.plausible import with_plausible_pdq
from vetset.model.errors import ListError
from vetset.model.hashlist import Category
from vetset.model.signal import Kind

HARMS = frozenset({Category.CHILD_ABUSE, Category.EXPLOITATIVE, Category.INTIMATE_IMAGES, Category.TERRORISM})
"""What a list may be about that is a harm to somebody."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller says of a file.

    Attributes:
        kind: what bare values are.
        ignore: names of columns that are passed over.
        unsupported: counts what is not kept, such as fingerprints that nothing here matches, by words.
        secret: gives what entries are named under that have no ids, or ids that cannot be shown.
    """

    kind: Kind | None = None
    ignore: tuple[str, ...] = ()
    unsupported: Counter[str] = field(default_factory=Counter)
    secret: Callable[[], bytes] | None = field(default=None, repr=False)

    def naming(self, path: Path) -> bytes:
        """What entries without ids are named under.

        Raises:
            ListError: the caller gave nothing.
        """
        if self.secret is None:
            raise ListError(
                "entries of this format are named under a secret", expected="the secret of a vault", where=path.name
            )
        return self.secret()


@dataclass(frozen=True, slots=True)
class Format:
    """A format of list files.

    Attributes:
        name: what callers call it.
        fits: whether a file has it, by its path and first bytes (without a byte order mark).
        read: its opinions, as batches of `opinions.SCHEMA`.
        takes: what of `Given.kind` and `Given.ignore` it can be told.
        strict: whether its deltas take back only what was given before. Services tell of every withdrawal, also of
            entries that came and went between two deltas or that are of no kind here.
        harms: which of `HARMS` its owner's lists are about; none if the format does not tell.
    """

    name: str
    fits: Callable[[Path, bytes], bool]
    read: Callable[[Path, Given], Iterator[pa.RecordBatch]]
    takes: frozenset[str] = frozenset()
    strict: bool = True
    harms: frozenset[Category] = frozenset()

    def require_harm(self, category: Category, where: str) -> None:
        """Refuse to call a list of one harm a list of another.

        Raises:
            ListError: lists of this format are about another harm.
        """
        if self.harms and category in HARMS - self.harms:
            raise ListError(
                f"lists of the format {self.name} are about another harm",
                expected=" or ".join(sorted(self.harms)),
                seen=category.value,
                where=where,
                todo="Nothing was imported. Name the category that the owner's list is about.",
            )


def _is_table(path: Path, _: bytes) -> bool:
    return path.suffix.lower() in TABLE_SUFFIXES


def _is_text(path: Path, first: bytes) -> bool:
    return not _is_table(path, first) and not first.lstrip().startswith((b"<", b"{", b"["))


def _rows(path: Path, given: Given, *, table: bool | None) -> Iterator[pa.RecordBatch]:
    return list_rows(path, kind=given.kind, ignore=given.ignore, table=table, unsupported=given.unsupported)


def _text(path: Path, given: Given) -> Iterator[pa.RecordBatch]:
    # whoever calls a `.csv` text means it; else the first line may be the header of a table
    return _rows(path, given, table=False if path.suffix.lower() in TABLE_SUFFIXES else None)


KEPT = frozenset({"standing", "withdrawn"})
"""Of what readers of services' answers count, what is in the opinions."""


def _is_ncmec(_: Path, first: bytes) -> bool:
    return first.lstrip().startswith(b"<")


def _ncmec(path: Path, given: Given) -> Iterator[pa.RecordBatch]:
    """An answer of NCMEC's service that was kept as a file; one page of several says nothing whole."""
    told = Told()
    yield from entries(path, given.naming(path), told)
    if told.next is not None:
        raise ListError(
            "the file is one page of several",
            expected="an answer that has no next page",
            where=path.name,
            todo="Nothing was imported. `vetset lists sync` fetches all pages.",
        )
    given.unsupported.update({word: count for word, count in told.numbers().items() if word not in KEPT})


def _json(*fields: bytes) -> Callable[[Path, bytes], bool]:
    """Whether a file is JSON with one of these fields near its beginning."""

    def fits(_: Path, first: bytes) -> bool:
        return first.lstrip().startswith((b"{", b"[")) and any(b'"%s"' % name in first for name in fields)

    return fits


def _never(_: Path, __: bytes) -> bool:
    """Told by nobody but the caller: a file of signals looks like a text list."""
    return False


def _signals(path: Path, given: Given) -> Iterator[pa.RecordBatch]:
    stated = None if given.kind is None else given.kind.value
    return read_signals(path, given.naming(path), given.unsupported, signal_type=stated)


FORMATS: tuple[Format, ...] = (
    Format("table", _is_table, lambda path, given: _rows(path, given, table=True), frozenset({"kind", "ignore"})),
    Format("text", _is_text, _text, frozenset({"kind", "ignore"})),
    Format(
        "ncmec",
        _is_ncmec,
        _ncmec,
        strict=False,
        harms=frozenset({Category.CHILD_ABUSE, Category.EXPLOITATIVE}),
    ),
    Format(
        "stopncii",
        _json(b"signalType", b"hashRecords"),
        lambda path, given: read_stopncii(path, given.naming(path), given.unsupported),
        strict=False,
        harms=frozenset({Category.INTIMATE_IMAGES}),
    ),
    Format(
        "techagainst",
        _json(b"hash_digest"),
        lambda path, given: read_techagainst(path, given.unsupported),
        strict=False,
        harms=frozenset({Category.TERRORISM}),
    ),
    Format(
        "threat_updates",
        _json(b"indicator"),
        lambda path, given: read_updates(path, given.unsupported),
        strict=False,
    ),
    Format("threatexchange", _never, _signals, frozenset({"kind"})),
)
"""Formats of which exactly one must fit a file. A text whose first line is the header of a table is read as one."""


def opinions(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002 — the word for it
    kind: Kind | None = None,
    ignore: Sequence[str] = (),
    unsupported: Counter[str] | None = None,
    secret: Callable[[], bytes] | None = None,
) -> Iterator[pa.RecordBatch]:
    """What the owner of a list says, entry by entry; it may be used only if all of it could be read.

    Args:
        path: the list.
        format: name of one of `FORMATS`; None if the file tells.
        kind: what bare values are. If the file states kinds itself, they must be this one.
        ignore: names of columns that are passed over.
        unsupported: counts what is not kept, such as fingerprints that nothing here matches, by words.
        secret: gives what entries without ids are named under; `Vault.naming_secret`.

    Yields:
        Batches of `opinions.SCHEMA`.

    Raises:
        ListError: the format is not known, something in the file is malformed (up to 10 lines or entries are named, no
            value is), most of its PDQ values are none, it holds no entry, or it cannot be read.
    """
    chosen = format_of(path, format)
    given = Given(kind, tuple(ignore), Counter() if unsupported is None else unsupported, secret)
    problems = {"kind": "cannot be told a kind", "ignore": "has no columns to pass over"}
    for (name, problem), told in zip(problems.items(), (kind, ignore), strict=True):
        if told and name not in chosen.takes:
            raise ListError(f"a list of the format {chosen.name} {problem}", where=path.name)
    return with_plausible_pdq(chosen.read(path, given), path.name)


def format_of(path: Path, name: str | None = None) -> Format:
    """The format of a file: the one that is named, else the only one that fits.

    Raises:
        ListError: there is no such format; none fits, or more than one; or the file cannot be read.
    """
    names = ", ".join(each.name for each in FORMATS)
    if name is not None:
        found = [each for each in FORMATS if each.name == name]
        if not found:
            raise ListError("there is no such format of lists", expected=f"one of: {names}")
        return found[0]
    first = beginning(path)
    found = [each for each in FORMATS if each.fits(path, first)]
    if len(found) != 1:
        raise ListError(
            "the format of the list cannot be told",
            expected=f"one of: {names}",
            seen="one that fits none of them" if not found else f"one that fits {len(found)} of them",
            where=path.name,
            todo="Say which it is (--format).",
        )
    return found[0]
