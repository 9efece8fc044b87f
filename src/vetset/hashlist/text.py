"""Reading a list: text with `kind value` a line, or a table (see `table`). All of it is imported, or nothing.

Values are hexadecimal in either case, those of PhotoDNA also base64. A line without a kind is taken only where the
caller states the kind of the whole file: 64 digits may be a SHA-256 or a PDQ hash, and nothing about them tells which.
In text, lines that begin with `#` and blank lines are skipped.
"""

from pathlib import Path
from typing import Protocol

from vetset.hashlist.columns import FORMS, KIND_OF_WORD, KNOWN_KINDS, LENGTHS, Columns
from vetset.hashlist.lines import Complaints, blocks
from vetset.hashlist.table import Table, is_header
from vetset.model.errors import ListError
from vetset.model.hashlist import Entries
from vetset.model.signal import LIST_KINDS, Kind

TABLE_SUFFIXES = (".csv", ".tsv")


class _Reader(Protocol):
    def take(self, first: int, lines: list[bytes]) -> None: ...


def parse_list(path: Path, *, kind: Kind | None = None) -> dict[Kind, Entries]:
    """Read a list file.

    Args:
        path: UTF-8 text or CSV; `.csv` and `.tsv` must begin with a header, other names may.
        kind: what bare values are. If the file states kinds itself, they must be this one.

    Returns:
        The distinct entries by kind, sorted by value. Ids are those of an `id` column, else `line:N`; of a value that
        occurs more than once, the first.

    Raises:
        ListError: something in the file is malformed (up to 10 lines are named, no value is), it holds no entry, or it
            cannot be read.
    """
    if kind is not None and kind not in LIST_KINDS:
        raise ListError(f"a list cannot carry values of kind {kind.value}", expected=f"one of {KNOWN_KINDS}")
    complaints = Complaints(path.name)
    columns = Columns(complaints)
    reader: _Reader | None = None
    for first, lines in blocks(path):
        start = 0
        if reader is None:
            start = next((place for place, line in enumerate(lines) if _is_content(line)), len(lines))
            if start == len(lines):
                continue
            if path.suffix.lower() in TABLE_SUFFIXES or is_header(lines[start]):
                reader = Table(lines[start], first + start, kind, columns, complaints)
                start += 1
            else:
                reader = _Text(kind, columns, complaints)
        reader.take(first + start, lines[start:])
        if complaints.enough:
            break
    complaints.check()
    entries = columns.finish()
    if not entries:
        raise ListError(
            "the list holds no entry",
            expected="at least one value",
            where=path.name,
            todo="An empty list would match nothing and look like a clean result. Name the file that holds the values.",
        )
    return entries


def _is_content(line: bytes) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith(b"#")


class _Text:
    """`kind value` a line, or `value` alone where the kind is stated for the whole file."""

    def __init__(self, stated: Kind | None, columns: Columns, complaints: Complaints) -> None:
        self._stated = stated
        self._columns = columns
        self._complaints = complaints
        bare = "" if stated is None else " (or the value alone)"
        complaints.expected = f"`kind value` on every line{bare}, in hexadecimal digits: {LENGTHS}"

    def take(self, first: int, lines: list[bytes]) -> None:
        """Read lines, of which the first has the number `first`."""
        digits: dict[Kind, list[bytes]] = {kind: [] for kind in LIST_KINDS}
        numbers: dict[Kind, list[int]] = {kind: [] for kind in LIST_KINDS}
        # Appending is most of the work of an import, so the methods are looked up once.
        sinks = {
            word: (FORMS[kind], digits[kind].append, numbers[kind].append)
            for word, kind in KIND_OF_WORD.items()
            if self._stated in (None, kind)
        }
        bare = None if self._stated is None else sinks[self._stated.value.encode("ascii")]
        for number, line in enumerate(lines, first):
            words = line.split()
            if len(words) == 2:
                sink, value = sinks.get(words[0]) or sinks.get(words[0].lower()), words[1]
            elif len(words) == 1:
                sink, value = bare, words[0]
            elif not words:
                continue
            else:
                sink, value = None, b""
            if sink is not None and len(value) in sink[0]:
                sink[1](value)
                sink[2](number)
            elif not words[0].startswith(b"#"):
                self._complaints.add(number, self._fault(words))
                if self._complaints.enough:
                    return
        for kind in LIST_KINDS:
            if digits[kind]:
                self._columns.add(kind, digits[kind], numbers[kind])

    def _fault(self, words: list[bytes]) -> str:
        if len(words) > 2:
            return f"{len(words)} words"
        kind = self._stated if len(words) == 1 else KIND_OF_WORD.get(words[0].lower())
        if kind is None:
            return "no kind is stated" if len(words) == 1 else "the first word is no kind of value"
        if self._stated not in (None, kind):
            return f"{kind.value}, though the list was said to hold {self._stated.value}"
        return f"{kind.value} with {len(words[-1])} characters"
