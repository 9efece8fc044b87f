"""Tables: CSV whose header names the columns.

Either columns named by a kind (one or more, cells may be empty), or the columns `kind` and `value`, or `value` alone
where the kind is stated for the whole file. With any of them a column `id`. Other columns are refused, because a column
that was passed over silently might have been the one with the values. Cells are separated by `,`, `;` or a tab, and may
stand in double quotes; no cell reaches over a line end. `#` has no meaning after the header: ids may begin with it.
"""

import csv

from vetset.hashlist.columns import DIGITS, FORMS, KIND_OF_WORD, KNOWN_KINDS, LENGTHS, MAX_ID_LENGTH, Columns
from vetset.hashlist.lines import Complaints
from vetset.model.errors import ListError
from vetset.model.signal import LIST_KINDS, Kind

DELIMITERS = (b",", b";", b"\t")
_KNOWN = {*KIND_OF_WORD, b"kind", b"value", b"id"}
_PRINTABLE = bytes(range(0x20, 0x7F))
DIGEST_LENGTHS = frozenset(DIGITS.values())


def _names(line: bytes, delimiter: bytes) -> list[bytes]:
    return [cell.strip().strip(b'"').strip().lower() for cell in line.split(delimiter)]


def _delimiter(line: bytes) -> bytes:
    """The separator under which most columns of a header are known."""
    return max(DELIMITERS, key=lambda sign: (sum(name in _KNOWN for name in _names(line, sign)), sign in line))


def is_header(line: bytes) -> bool:
    """Whether every cell of a line is the name of a column, and one of them holds values."""
    names = _names(line, _delimiter(line))
    return all(name in _KNOWN for name in names) and any(name in KIND_OF_WORD or name == b"value" for name in names)


class Table:
    """Reads the rows below a header.

    Args:
        header: the header's line.
        number: its line number.
        stated: what bare values are, and all that a column may be.
        columns: where the values go.
        complaints: where malformed rows go.

    Raises:
        ListError: the header has unknown, doubled, missing or contradicting columns.
    """

    def __init__(
        self, header: bytes, number: int, stated: Kind | None, columns: Columns, complaints: Complaints
    ) -> None:
        self._delimiter = _delimiter(header)
        names = _names(header, self._delimiter)
        self._where = f"{complaints.where}, line {number}"
        self._check_header(names, stated)
        self._columns = columns
        self._complaints = complaints
        self._stated = stated
        self._width = len(names)
        self._id = names.index(b"id") if b"id" in names else None
        self._kind = names.index(b"kind") if b"kind" in names else None
        self._value = names.index(b"value") if b"value" in names else None
        self._fixed = [(place, KIND_OF_WORD[name]) for place, name in enumerate(names) if name in KIND_OF_WORD]
        if self._value is not None and self._kind is None and stated is not None:
            self._fixed.append((self._value, stated))
        complaints.expected = (
            f"{self._width} cells in a row, hexadecimal digits ({LENGTHS}), "
            f"ids of at most {MAX_ID_LENGTH} printable ASCII characters that are no digests"
        )

    def _check_header(self, names: list[bytes], stated: Kind | None) -> None:
        unknown = [str(place) for place, name in enumerate(names, 1) if name not in _KNOWN]
        if unknown:
            # The names are not shown: in a file without a header they are values.
            raise self._refused("the header has columns that are not known", f"column {', '.join(unknown[:10])}")
        if len(set(names)) != len(names):
            raise self._refused("the header names a column twice", "a doubled column")
        kinds = [KIND_OF_WORD[name] for name in names if name in KIND_OF_WORD]
        if bool(kinds) == (b"value" in names) or (b"kind" in names and b"value" not in names):
            raise self._refused("the header does not say where the values are", "another choice of columns")
        if b"value" in names and b"kind" not in names and stated is None:
            raise self._refused("the list does not say of which kind its values are", "no column named by a kind")
        if stated is not None and any(kind is not stated for kind in kinds):
            raise self._refused(f"the list was said to hold {stated.value}", "a column of another kind")

    def _refused(self, problem: str, seen: str) -> ListError:
        return ListError(
            problem,
            expected=f"columns named by a kind ({KNOWN_KINDS}), or `kind` and `value`, and perhaps `id`",
            seen=seen,
            where=self._where,
            todo="Name the columns in the first line, and take out those that hold neither values nor ids.",
        )

    def take(self, first: int, lines: list[bytes]) -> None:
        """Read rows, of which the first has the line number `first`."""
        if lines and not self._take_plain(first, lines):
            self._take_each(first, lines)

    def _take_plain(self, first: int, lines: list[bytes]) -> bool:
        """Take a block of rows that are all complete and unremarkable, column by column; False if they are not.

        Several times as fast as row by row, and never more lenient: in doubt nothing is taken here.
        """
        rows = [line.split(self._delimiter) for line in lines]
        if self._kind is not None or set(map(len, rows)) != {self._width} or b'"' in b"".join(lines):
            return False
        cells = list(zip(*rows, strict=True))
        if any(not set(map(len, cells[place])).issubset(FORMS[kind]) for place, kind in self._fixed):
            return False
        ids: list[bytes] | None = None
        if self._id is not None:
            ids = [name.strip() for name in cells[self._id]]
            lengths = set(map(len, ids))
            if max(lengths) > MAX_ID_LENGTH or lengths & DIGEST_LENGTHS or b"".join(ids).translate(None, _PRINTABLE):
                return False
        for place, kind in self._fixed:
            self._columns.add(kind, cells[place], range(first, first + len(lines)), ids)
        return True

    def _take_each(self, first: int, lines: list[bytes]) -> None:
        taken: dict[Kind, tuple[list[bytes], list[int], list[bytes]]] = {kind: ([], [], []) for kind in LIST_KINDS}
        for number, line in enumerate(lines, first):
            if self._complaints.enough:
                return
            cells = self._cells(number, line)
            if cells is None:
                continue
            name = b"" if self._id is None else cells[self._id]
            found = self._found(cells)
            fault = self._fault(found) or _id_fault(name)
            if fault:
                self._complaints.add(number, fault)
                continue
            for kind, value in found:
                if kind is not None:
                    digits, numbers, names = taken[kind]
                    digits.append(value)
                    numbers.append(number)
                    names.append(name)
        for kind, (digits, numbers, names) in taken.items():
            if digits:
                self._columns.add(kind, digits, numbers, None if self._id is None else names)

    def _cells(self, number: int, line: bytes) -> list[bytes] | None:
        """The cells of a row; None for a blank row, and for one that was complained about."""
        if b'"' in line:
            try:
                rows = list(csv.reader([line.decode("utf-8")], delimiter=self._delimiter.decode("ascii"), strict=True))
            except csv.Error:
                self._complaints.add(number, "quotes that do not fit each other")
                return None
            cells = [cell.strip().encode("utf-8") for row in rows for cell in row]
        else:
            cells = [cell.strip() for cell in line.split(self._delimiter)]
        if not any(cells):
            return None
        if len(cells) != self._width:
            self._complaints.add(number, f"{len(cells)} cells")
            return None
        return cells

    def _found(self, cells: list[bytes]) -> list[tuple[Kind | None, bytes]]:
        if self._kind is not None and self._value is not None:
            return [(KIND_OF_WORD.get(cells[self._kind].lower()), cells[self._value])]
        return [(kind, cells[place]) for place, kind in self._fixed if cells[place]]

    def _fault(self, found: list[tuple[Kind | None, bytes]]) -> str:
        """What is wrong with the values of a row; empty if nothing is (their digits are looked at all at once)."""
        if not found:
            return "no value"
        for kind, value in found:
            if kind is None:
                return "the cell `kind` holds no kind of value"
            if self._stated not in (None, kind):
                return f"{kind.value}, though the list was said to hold {self._stated.value}"
            if len(value) not in FORMS[kind]:
                return f"{kind.value} with {len(value)} characters"
        return ""


def _id_fault(name: bytes) -> str:
    if len(name) > MAX_ID_LENGTH or name.translate(None, _PRINTABLE):
        return f"an id that is not at most {MAX_ID_LENGTH} printable ASCII characters"
    # Ids are written to findings and shown to people. A digest must not get there under that name, be it the row's own
    # or one of another kind that the owner uses as a name.
    if len(name) in DIGEST_LENGTHS and not name.translate(None, b"0123456789abcdefABCDEF"):
        return "an id that has the form of a digest"
    return ""
