"""From a block of lines to columns of cells: at once where every line is plain, line by line where one is not.

Both ways give the same cells. The quick one takes a block only if each of its lines is a row of as many cells as there
are columns, and quotes, if there are any, stand around whole cells; in doubt it takes nothing. The slow one knows what
is wrong with which line.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from vetset.hashlist.files.lines import MAX_COMPLAINTS, Complaints, newlines, split

_SPACES = (b" ", b"\t", b"\x0b", b"\x0c")
_BOM = b"\xef\xbb\xbf"
_QUOTE, _NEWLINE = ord('"'), ord("\n")


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows of a block, column by column, without the spaces around cells.

    Attributes:
        columns: text without nulls, of one length.
        lines: int64 (n,) the number of each row's line.
    """

    columns: list[pa.StringArray]
    lines: NDArray[np.int64]


class Faults:
    """What is wrong with rows of cells: of each row what was found first.

    Args:
        lines: int64 (n,) the number of each row's line.
    """

    def __init__(self, lines: NDArray[np.int64]) -> None:
        self._lines = lines
        self._found: dict[int, str] = {}

    def add(self, rows: NDArray[np.bool_] | NDArray[np.intp], what: str | Callable[[int], str]) -> None:
        """Note that rows are wrong, given as a mask or as places in ascending order.

        Args:
            rows: which ones.
            what: text that holds nothing of the row, or what makes it of the place of the row in `rows`.
        """
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        # more than this of one sort are never shown
        for number, place in enumerate(places[: MAX_COMPLAINTS + 1].tolist()):
            self._found.setdefault(place, what if isinstance(what, str) else what(number))

    def __bool__(self) -> bool:
        return bool(self._found)

    def places(self) -> list[int]:
        """The rows that are wrong, as far as they are shown."""
        return sorted(self._found)[: MAX_COMPLAINTS + 1]

    def instead(self, place: int, what: str) -> None:
        """Say something else of a row."""
        self._found[place] = what

    def tell(self, complaints: Complaints) -> None:
        """Complain about the lines."""
        for place in self.places():
            complaints.add(int(self._lines[place]), self._found[place])


def plain_cells(block: bytes, first: int, delimiter: str, width: int, *, quotes: bool) -> Cells | None:
    """The cells of a block of plain rows; None if there is anything about it that is not plain.

    Args:
        block: whole lines of UTF-8.
        first: the number of the first line.
        delimiter: one ASCII character.
        width: number of columns.
        quotes: whether quotes mean anything.
    """
    quoted = quotes and b'"' in block
    if block.startswith(_BOM) or (quoted and not _quoted_whole(block, delimiter)):
        return None
    names = [str(place) for place in range(width)]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(block),
            arrow_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
            arrow_csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoted else False, double_quote=quoted, newlines_in_values=False
            ),
            arrow_csv.ConvertOptions(check_utf8=False, column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:  # a row of another number of cells
        return None
    lines = newlines(block) + (not block.endswith(b"\n"))
    if table.num_rows != lines:  # a blank line was passed over
        return None
    columns = [column.combine_chunks() for column in table.columns]
    if quoted or any(sign in block for sign in _SPACES if sign != delimiter.encode()):
        columns = [pc.ascii_trim_whitespace(column) for column in columns]
    return _without_blank_rows(Cells(columns, np.arange(first, first + lines)))


def filled(column: pa.StringArray) -> NDArray[np.bool_]:
    """Which cells hold anything."""
    lengths: NDArray[np.int32] = pc.binary_length(column).to_numpy()
    return lengths > 0


def _without_blank_rows(cells: Cells) -> Cells:
    kept = np.zeros(len(cells.lines), np.bool_)
    for column in cells.columns:
        kept |= filled(column)
        if kept.all():
            return cells
    return Cells([column.filter(pa.array(kept)) for column in cells.columns], cells.lines[kept])


def _quoted_whole(block: bytes, delimiter: str) -> bool:
    """Whether quotes come in pairs around whole cells, and none is within a cell."""
    data = np.frombuffer(block, np.uint8)
    signs = np.flatnonzero(data == _QUOTE)
    opening, closing = signs[::2], signs[1::2]
    if len(opening) != len(closing):
        return False
    bounds = (ord(delimiter), _NEWLINE)
    before = data[opening[opening > 0] - 1]
    after = data[closing[closing < len(data) - 1] + 1]
    ends = np.flatnonzero(data == _NEWLINE)
    return bool(
        np.isin(before, bounds).all()
        and np.isin(after, bounds).all()
        and np.array_equal(np.searchsorted(ends, opening), np.searchsorted(ends, closing))
    )


def each_line(
    block: bytes, first: int, width: int, cells_of: Callable[[bytes], list[bytes] | str | None], complaints: Complaints
) -> Cells:
    """The cells of a block, line by line; lines that are none are complained about, and given up when there are enough.

    Args:
        block: whole lines of UTF-8.
        first: the number of the first line.
        width: number of columns.
        cells_of: the cells of a line, or what is wrong with it, or None if it is to be passed over.
        complaints: where malformed lines go.
    """
    rows: list[list[bytes]] = []
    lines: list[int] = []
    for number, line in enumerate(split(block), first):
        cells = cells_of(line)
        if isinstance(cells, str):
            complaints.add(number, cells)
            if complaints.enough:
                break
        elif cells is not None:
            rows.append(cells)
            lines.append(number)
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(width)]
    return Cells(columns, np.array(lines, np.int64))


def row_cells(line: bytes, delimiter: str, width: int) -> list[bytes] | str | None:
    """The cells of a row of a table; None for a blank row; what is wrong with it, if it is none."""
    if b'"' in line:
        try:
            rows = list(csv.reader([line.decode("utf-8")], delimiter=delimiter, strict=True))
        except csv.Error:
            return "quotes that do not fit each other"
        cells = [cell.encode("utf-8").strip() for row in rows for cell in row]
    else:
        cells = [cell.strip() for cell in line.split(delimiter.encode())]
    if not any(cells):
        return None
    return cells if len(cells) == width else f"{len(cells)} cells"
