"""Samples of a webdataset: how members of a tar group into records, and what is stated of them.

A sample is a run of differently named members with one key: the name up to the first dot of its last part
(webdataset's `base_plus_ext`), folder kept. Every picture of a sample is a record (most have one); a sample without one
is a record too, `no_image`. A member is a picture by its suffix or by how it begins.

Stated of a record is what its JSON says and, where that says nothing, its sample's row of the table beside the tar: of
the samples of one key the first has the first row of that key, and so on. A row that is nobody's, or says something
else than the JSON, is a record of its own, since its address must not go unseen.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vetset.dataset.beginnings import NEEDED, begins_as_picture
from vetset.dataset.columns import ADDRESS, ColumnMapping
from vetset.dataset.fields import fields_of_json, of_first_name
from vetset.dataset.places import IMAGE_SUFFIXES, MAX_PICTURE, MAX_TEXT, is_there, place
from vetset.dataset.sidecar import Sidecar
from vetset.dataset.tar import Member, TarWalk
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.signal import URL_KINDS, Reason
from vetset.storage.remote import Place

_ADDRESS = re.compile(ADDRESS)


class Part(NamedTuple):
    """One member of a sample. `content` is None where it was not asked for, or is more than is held."""

    member: Member
    suffix: str
    picture: bool
    content: bytes | None

    @property
    def stem(self) -> bytes:
        """The member's name without its last suffix."""
        return self.member.name.rpartition(b".")[0] if self.suffix else self.member.name


@dataclass(slots=True)
class Sample:
    """A run of members with one key.

    Attributes:
        key: of all of them.
        parts: the members, in order.
        row: row of the table that is the sample's, and says nothing else than its JSON.
        apart: row of the table that would be the sample's, but contradicts its JSON.
        names: of the members.
    """

    key: str
    parts: list[Part] = field(default_factory=list)
    row: int | None = None
    apart: int | None = None
    names: set[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {part.member.name for part in self.parts}

    def add(self, part: Part) -> None:
        """Append a member."""
        self.parts.append(part)
        self.names.add(part.member.name)

    @property
    def pictures(self) -> list[Part]:
        """Members that are pictures; each is a record."""
        return [part for part in self.parts if part.picture]

    @property
    def shared(self) -> list[Part]:
        """Members that are no pictures: they stay while a picture of the sample does."""
        return [part for part in self.parts if not part.picture]

    @property
    def records(self) -> int:
        """Records that the sample gives rise to: one for each picture, one if there is none."""
        return max(1, sum(part.picture for part in self.parts))

    def beside(self) -> list[list[Part]]:
        """For each record the other members that say something of it.

        Those that bear a picture's whole name are that picture's alone (`a.x.json` beside `a.x.jpg`, `a.y.jpg`).
        """
        pictures = self.pictures
        stems = {part.stem for part in pictures}
        own: dict[bytes, list[Part]] = {}
        general = []
        for part in self.shared:
            if part.stem in stems:
                own.setdefault(part.stem, []).append(part)
            else:
                general.append(part)
        return [[*own.get(part.stem, ()), *general] for part in pictures] or [general]


def split_name(name: str) -> tuple[str, str]:
    """Key and suffix of a member, suffix in lower case and without dots before its last.

    A name to which webdataset gives no key (no dot, or a dot first) is its own key, so that a picture behind such a
    name is looked at all the same.
    """
    folder, slash, last = name.rpartition("/")
    stem, dot, _ = last.partition(".")
    key = f"{folder}{slash}{stem}" if stem and dot else name
    return key, last.rpartition(".")[2].lower() if dot else ""


def told_key(key: str, row: int) -> str:
    """The key as it may be stored: one that is an address is told by the record's row instead."""
    return str(row) if _ADDRESS.search(key) else key


def samples_of(walk: TarWalk, wanted: Callable[[Part], bool]) -> Iterator[Sample]:
    """Group the members of an archive into samples; content is read where `wanted` says so.

    Of one sample no more is held than one picture may have: what goes beyond has no content.
    """
    sample: Sample | None = None
    held = 0
    for member in walk:
        if not member.regular:
            continue
        name = member.name.decode("utf-8", "backslashreplace")
        key, suffix = split_name(name)
        part, begun = _begun(walk, member, suffix)
        if not part.picture and "/" not in name and name.startswith("__") and name.endswith("__"):
            continue  # webdataset's own notes; a picture of such a name is not passed over by all that read tars
        if sample is not None and (sample.key != key or member.name in sample.names):
            yield sample
            sample, held = None, 0
        sample = sample or Sample(key)
        if wanted(part) and held + member.size <= MAX_PICTURE:
            held += member.size
            part = part._replace(content=walk.content(member, begun))
        sample.add(part)
    if sample is not None:
        yield sample


def _begun(walk: TarWalk, member: Member, suffix: str) -> tuple[Part, bytes]:
    """A member without its content, and what had to be read to know whether it is a picture."""
    if suffix in IMAGE_SUFFIXES:
        return Part(member, suffix, True, None), b""
    begun = walk.beginning(member, NEEDED)
    return Part(member, suffix, begins_as_picture(begun), None), begun


def is_document(part: Part) -> bool:
    """Whether a member is JSON."""
    return part.suffix == "json" and not part.picture


def is_held(part: Part) -> bool:
    """Whether a member's content is read with its sample: pictures and JSON of a sensible size."""
    return part.picture or (is_document(part) and part.member.size <= MAX_TEXT)


def documents(sample: Sample) -> list[tuple[bytes | None] | None]:
    """For each record the JSON that is meant for it: of its own name, of the key's, or the only one there is.

    Returns:
        None where there is none; a tuple of its content, which is None where it is not held, or where there are
        several and nobody can tell which is meant.
    """
    if sample.records == 1 and len(there := [part for part in sample.parts if is_document(part)]) <= 1:
        return [(there[0].content,) if there else None]
    plain = sample.key.encode("utf-8", "surrogateescape")
    found: list[tuple[bytes | None] | None] = []
    stems = [part.stem for part in sample.pictures] or [plain]
    for stem, beside in zip(stems, sample.beside(), strict=True):
        there = [part for part in beside if is_document(part)]
        fitting = of_first_name(there, [part.stem for part in there], (stem, plain))
        found.append(None if not fitting else (fitting[0].content if len(fitting) == 1 else None,))
    return found


class Joined:
    """Rows of the table beside a tar, given to samples as they come, in order."""

    def __init__(self, sidecar: Sidecar | None) -> None:
        self._sidecar = sidecar
        self._seen: Counter[str] = Counter()
        self._given: set[int] = set()

    def fields_of(self, sample: Sample, mapping: ColumnMapping, where: str) -> list[Fields]:
        """Address and digests that are stated of each record of the next sample, which is given its row."""
        stated = [
            None if document is None else fields_of_json(document[0], mapping, where) for document in documents(sample)
        ]
        row = self._next(sample.key)
        if self._sidecar is None or row is None:
            return [fields or Fields() for fields in stated]
        beside = self._sidecar.fields(row)
        if any(fields is not None and contradict(fields, beside) for fields in stated):
            sample.apart = row
            return [fields or Fields() for fields in stated]
        sample.row = row
        self._given.add(row)
        return [beside if fields is None else united(fields, beside) for fields in stated]

    def _next(self, key: str) -> int | None:
        if self._sidecar is None:
            return None
        name = self._sidecar.written(key)
        rows, number = self._sidecar.rows_of(key), self._seen[name]
        self._seen[name] += 1
        return rows[number] if number < len(rows) else None

    def left(self) -> list[int]:
        """Once all samples came: the rows that were given to none, in order."""
        return [] if self._sidecar is None else [row for row in range(len(self._sidecar)) if row not in self._given]


def _is_stated(url: str | None) -> bool:
    return url is not None and bool(url.strip())


def contradict(one: Fields, other: Fields) -> bool:
    """Whether two places state different addresses or digests of one record."""
    if _is_stated(one.url) and _is_stated(other.url) and one.url != other.url:
        return True
    return any(one.declared.get(kind, value) != value for kind, value in other.declared.items())


def united(first: Fields, second: Fields) -> Fields:
    """What two places state that do not contradict each other; the first one's columns go before the second's."""
    url = first.url if _is_stated(first.url) or second.url is None else second.url
    declared = {**second.declared, **first.declared}
    stated = declared.keys() | (set(URL_KINDS) if url is not None else set())
    return Fields(url, declared, (first.malformed | second.malformed) - stated, {**second.columns, **first.columns})


def records_of(sample: Sample, first_row: int, fields: list[Fields]) -> Iterator[Record | Unreadable]:
    """The records of a sample whose contents were read, with what is stated of each."""
    pictures = sample.pictures
    if not pictures:
        yield Unreadable(first_row, told_key(sample.key, first_row), Reason.NO_IMAGE, fields[0])
    for row, (part, stated) in enumerate(zip(pictures, fields, strict=False), start=first_row):
        key = told_key(sample.key, row)
        if part.content is None:
            yield Unreadable(row, key, Reason.TOO_LARGE, stated)
        elif not part.member.size:
            yield Unreadable(row, key, Reason.EMPTY_FILE, stated)
        else:
            yield Record(row, key, part.content, stated)


def beside(uri: str, ending: str) -> str:
    """The uri of a file that img2dataset writes beside a tar."""
    return uri.rpartition(".")[0] + ending


def sidecar_of(root: Place, uri: str, mapping: ColumnMapping) -> Sidecar | None:
    """The table beside a tar, if there is one."""
    table = beside(uri, ".parquet")
    return Sidecar(place(root, table), table, mapping) if is_there(root, table) else None
