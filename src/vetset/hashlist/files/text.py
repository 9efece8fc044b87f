"""Reading a list file: text with `kind value` a line, or a table (see `header`). All of it is imported, or nothing.

A line of text without a kind is taken only where the caller states the kind of the whole file: 64 digits may be a
SHA-256 or a PDQ hash, and nothing about them tells which. Lines that begin with `#` and blank lines are skipped; below
the header of a table `#` has no meaning, since ids may begin with it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from vetset.hashlist.columns import gathered
from vetset.hashlist.files.cells import Cells, each_line, filled, plain_cells
from vetset.hashlist.files.header import KNOWN_KINDS, Header, Values, is_header, read_header
from vetset.hashlist.files.lines import Complaints, split, text_blocks
from vetset.hashlist.files.spellings import Column
from vetset.hashlist.files.table import DIGITS, Rows, table_cells
from vetset.model.errors import ListError
from vetset.model.hashlist import Entries
from vetset.model.signal import LIST_KINDS, Kind

TABLE_SUFFIXES = (".csv", ".tsv")


class _Reader(Protocol):
    def take(self, first: int, block: bytes) -> Iterator[pa.RecordBatch]: ...
    def finish(self) -> None: ...


def parse_list(path: Path, *, kind: Kind | None = None) -> dict[Kind, Entries]:
    """Read the values and ids of a list file.

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
    return gathered(list_rows(path, kind=kind))


def list_rows(
    path: Path,
    *,
    kind: Kind | None = None,
    ignore: Sequence[str] = (),
    table: bool | None = None,
    unsupported: Counter[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read a list file; what was yielded may be used only if all of it could be read.

    Args:
        path: UTF-8 text or CSV.
        kind: what bare values are. If the file states kinds itself, they must be this one.
        ignore: names of columns that are passed over.
        table: whether it is a table; None if its name and first line tell.
        unsupported: counts fingerprints that are not matched, by their word.

    Yields:
        Batches of `opinions.SCHEMA`.

    Raises:
        ListError: as `parse_list`; or rows of one id do not follow each other or do not agree.
    """
    if kind is not None and kind not in LIST_KINDS:
        raise ListError(f"a list cannot carry values of kind {kind.value}", expected=f"one of {KNOWN_KINDS}")
    complaints = Complaints(path.name)
    choice = _Choice(
        where=path.name,
        kind=kind,
        ignore=ignore,
        table=True if table is None and path.suffix.lower() in TABLE_SUFFIXES else table,
        unsupported=Counter() if unsupported is None else unsupported,
        complaints=complaints,
    )
    reader: _Reader | None = None
    nothing = True
    for first, block in text_blocks(path):
        rest, number = block, first
        if reader is None:
            reader, rest, number = choice.reader(first, block)
        if reader is not None and rest:
            for batch in reader.take(number, rest):
                nothing = False
                yield batch
        if complaints.enough:
            break
    if reader is not None:
        reader.finish()
    complaints.check()
    if nothing:
        raise ListError(
            "the list holds no entry",
            expected="at least one value",
            where=path.name,
            todo="An empty list would match nothing and look like a clean result. Name the file that holds the values.",
        )


@dataclass(frozen=True, slots=True)
class _Choice:
    """Decides by its first line how a file is read; for the attributes see `list_rows`."""

    where: str
    kind: Kind | None
    ignore: Sequence[str]
    table: bool | None
    unsupported: Counter[str]
    complaints: Complaints

    def reader(self, first: int, block: bytes) -> tuple[_Reader | None, bytes, int]:
        """What reads the lines, those that are left for it, and the number of the first of them."""
        start = 0
        for number, raw in enumerate(split(block), first):
            line = raw.decode("utf-8")
            if _is_content(line):
                table = is_header(line) if self.table is None else self.table
                if table:
                    return self._of_table(line, number), block[start + len(raw) + 1 :], number + 1
                return self._of_text(), block[start:], number
            start += len(raw) + 1
        return None, b"", 0

    def _of_table(self, line: str, number: int) -> "_Table":
        where = f"{self.where}, line {number}"
        header = read_header(line, where, kind=self.kind, ignore=self.ignore)
        return _Table(header, self.complaints, self.unsupported)

    def _of_text(self) -> "_Text":
        if self.ignore:
            raise ListError(
                "a list without a header has no columns to pass over",
                where=self.where,
                todo="Name the columns in the first line, or leave out which of them are to be passed over.",
            )
        return _Text(self.kind, self.complaints, self.unsupported)


def _is_content(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#")


class _Table:
    """Rows below a header."""

    def __init__(self, header: Header, complaints: Complaints, unsupported: Counter[str]) -> None:
        self._header = header
        self._complaints = complaints
        self._rows = Rows(header, complaints, unsupported, apart=True)
        complaints.expected = (
            f"{header.width} cells in a row, values in hexadecimal digits ({DIGITS}), base32 or base64, ids of at most "
            "64 printable ASCII characters that are no digests, other cells as docs/lists.md says"
        )

    def take(self, first: int, block: bytes) -> Iterator[pa.RecordBatch]:
        if not block.endswith(b"\n") and self._may_be_cut(block.rpartition(b"\n")[2]):
            last = first + block.count(b"\n")
            self._complaints.add(last, "the last line has no end, so that its last cell may have been cut off")
        return self._rows.take(table_cells(self._header, first, block, self._complaints))

    def _may_be_cut(self, line: bytes) -> bool:
        """Whether nothing would be amiss if a line were the beginning of another: a value has a length."""
        cell = line.rpartition(self._header.delimiter.encode("ascii"))[2].strip(b' \t"')
        is_value = self._header.width - 1 in {each.place for each in self._header.values}
        return bool(line.strip()) and not (cell and is_value)

    def finish(self) -> None:
        self._rows.finish()


class _Text:
    """`kind value` a line, or `value` alone where the kind is stated for the whole file."""

    def __init__(self, stated: Kind | None, complaints: Complaints, unsupported: Counter[str]) -> None:
        places = {Column.KIND: 0, Column.VALUE: 1}
        header = Header(" ", 2, (Values(1, None),), {}, places, kind=stated)
        self._stated = "" if stated is None else stated.value
        self._complaints = complaints
        self._rows = Rows(header, complaints, unsupported, apart=False)
        bare = "" if stated is None else " (or the value alone)"
        complaints.expected = f"`kind value` on every line{bare}, in hexadecimal digits ({DIGITS}), base32 or base64"

    def take(self, first: int, block: bytes) -> Iterator[pa.RecordBatch]:
        cells = self._plain(first, block) or each_line(block, first, 2, self._cells_of, self._complaints)
        return self._rows.take(cells)

    def finish(self) -> None:
        self._rows.finish()

    def _plain(self, first: int, block: bytes) -> Cells | None:
        spaces = [sign for sign in (" ", "\t", "\v", "\f") if sign.encode("ascii") in block]
        if b"#" in block or len(spaces) > 1 or spaces in (["\v"], ["\f"]):
            return None
        if self._stated and not spaces:
            found = plain_cells(block, first, " ", 1, quotes=False)
            return found and Cells([pa.repeat(self._stated, len(found.lines)), *found.columns], found.lines)
        found = plain_cells(block, first, spaces[0] if spaces else " ", 2, quotes=False)
        # a kind without a value, or the reverse, is another number of words
        whole = found is not None and all(filled(column).all() for column in found.columns)
        return found if whole else None

    def _cells_of(self, line: bytes) -> list[bytes] | str | None:
        words = line.split()
        if not words or words[0].startswith(b"#"):
            return None
        if len(words) > 2:
            return f"{len(words)} words"
        if len(words) == 2:
            return words
        if self._stated:
            return [self._stated.encode("ascii"), *words]
        return "no kind is stated (--kind states one for a file of values alone)"
