"""Rows of a list as opinions: what stands in the columns that a header names, decoded and checked a block at a time.

Lines are told by their numbers where something is wrong with them, never by what stands there.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.hashlist.columns import differ
from vetset.hashlist.files.assembly import Part, assembled
from vetset.hashlist.files.cells import Cells, Faults, each_line, filled, plain_cells, row_cells
from vetset.hashlist.files.encodings import Encoding, decoded, encoding_of, fitting
from vetset.hashlist.files.header import Header
from vetset.hashlist.files.lines import Complaints
from vetset.hashlist.files.remarks import Remarks, remarks
from vetset.hashlist.files.runs import Runs
from vetset.hashlist.files.spellings import WORD_OF_NAME, Column, kind_of, plain
from vetset.hashlist.opinions import BATCH_ROWS, LINE, MAX_ID_LENGTH, TELLING, Note, checked
from vetset.model.signal import LIST_KINDS, Kind

DIGITS = ", ".join(f"{kind.value} {Encoding.HEX.length(kind)}" for kind in LIST_KINDS)
"""Hexadecimal digits of every kind, in words."""
_ID = rf"^[\x20-\x7e]{{0,{MAX_ID_LENGTH}}}$"
# Ids are written to findings and shown to people. A digest must not get there under that name, be it the row's own or
# one of another kind that the owner uses as a name.
_TELLING = rf"{TELLING}|^[A-Z2-7]{{32}}$"
_SHORTENED = r"^\d([.,]\d+)?[Ee]\+\d+$"
"""What a spreadsheet makes of a long number, and of its neighbours: one would be a later statement about another."""


class Rows:
    """Makes opinions of cells. Once a line was complained about nothing is made any more, but faults are still found.

    Args:
        header: what the columns are.
        complaints: where malformed rows go.
        unsupported: counts fingerprints that are not matched, by their word.
        apart: whether rows of one id must follow each other and agree.
    """

    def __init__(self, header: Header, complaints: Complaints, unsupported: Counter[str], *, apart: bool) -> None:
        self._header = header
        self._complaints = complaints
        self._unsupported = unsupported
        self._runs = Runs() if apart and Column.ID in header.places else None
        self._encodings = dict(header.encodings)
        self._valued = False  # whether the last entry of the last block has a value

    def take(self, cells: Cells) -> Iterator[pa.RecordBatch]:
        """The opinions in the rows of a block, in batches of `opinions.SCHEMA`."""
        faults = Faults(cells.lines)
        said = remarks(self._header, cells, faults)
        parts, given = self._parts(cells, said, faults)
        ids = self._ids(cells, said, faults)
        faults.add(~given & ~said.withdrawn, "no value")
        _check_equal(parts, faults)
        fresh = np.ones(len(cells.lines), np.bool_)
        if self._runs is not None:
            fresh = self._runs.take(ids, cells.lines, said, faults)
        if faults:
            self._name_headers(cells, faults)
            faults.tell(self._complaints)
        if self._complaints.found or not len(cells.lines):
            return
        gone, idle = fresh & said.withdrawn, self._idle(parts, fresh, said)
        if idle.any():
            idle &= pc.invert(pc.starts_with(ids, LINE)).to_numpy(zero_copy_only=False)
            said, gone = replace(said, notes=np.where(idle, np.uint16(Note.NO_VALUE), said.notes)), gone | idle
        batch = checked(assembled(ids, parts, said, gone), self._complaints.where)
        for start in range(0, len(batch), BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)

    def _idle(self, parts: list[Part], fresh: NDArray[np.bool_], said: Remarks) -> NDArray[np.bool_]:
        """The first rows of entries that stand and have no value which is matched: they may have had one before.

        Of an entry whose rows go on in the next block, what comes there decides.

        Args:
            parts: the values of the block.
            fresh: which rows are the first of their entry.
            said: of each row.
        """
        if self._runs is None:
            return np.zeros(len(fresh), np.bool_)
        runs = np.cumsum(fresh)
        valued = np.zeros(int(runs[-1]) + 1, np.bool_)
        valued[0] = self._valued
        for part in parts:
            valued[runs[part.rows]] = True
        self._valued = bool(valued[-1])
        first = fresh.copy()
        first[0] = True
        idle: NDArray[np.bool_] = first & ~valued[runs] & ~said.withdrawn
        return idle

    def finish(self) -> None:
        """Look for what only shows at the end."""
        if self._runs is not None and not self._complaints.found:
            self._runs.finish(self._complaints)

    def _name_headers(self, cells: Cells, faults: Faults) -> None:
        for place in faults.places():
            texts = [column[place].as_py() for column in cells.columns]
            if self._header.names and tuple(map(plain, texts)) == self._header.names:
                faults.instead(place, "the header once more")

    def _parts(self, cells: Cells, said: Remarks, faults: Faults) -> tuple[list[Part], NDArray[np.bool_]]:
        """The values that stand, and which rows have any, of whatever sort."""
        given = np.zeros(len(cells.lines), np.bool_)
        parts: list[Part] = []
        for each in self._header.values:
            column = cells.columns[each.place]
            if each.word is None:
                named = self._by_row(cells.columns[self._header.places[Column.KIND]], column, said, faults)
                given[:] = True  # a row without a value was complained about
            else:
                named = {each.word: filled(column)}
                given |= named[each.word]
            for word, mask in named.items():
                kind = kind_of(word)
                if kind is None:
                    self._unsupported[word] += int(np.count_nonzero(mask))
                elif mask.any():
                    parts.append(self._part(kind, column, mask, faults))
        if said.withdrawn.any():
            parts = [_standing(part, said.withdrawn) for part in parts]
        return [part for part in parts if len(part.rows)], given

    def _by_row(
        self, kinds: pa.StringArray, values: pa.StringArray, said: Remarks, faults: Faults
    ) -> dict[str, NDArray[np.bool_]]:
        """The rows of every word for a kind, of a table in which each row tells its kind."""
        encoded = kinds.dictionary_encode()
        codes = encoded.indices.to_numpy()
        words = [WORD_OF_NAME.get(plain(text)) for text in encoded.dictionary.to_pylist()]
        empty = ~filled(values)
        idle = said.withdrawn & empty
        strange = np.isin(codes, [code for code, word in enumerate(words) if word is None])
        faults.add(strange & ~idle, "no kind of value is named")
        found: dict[str, NDArray[np.bool_]] = {}
        for word in sorted({word for word in words if word is not None}):
            mask = np.isin(codes, [code for code, one in enumerate(words) if one == word]) & ~idle
            stated = self._header.kind
            if stated is not None and kind_of(word) is not stated:
                faults.add(mask, f"{word}, though the list was said to hold {stated.value}")
            faults.add(mask & empty, f"{word} with 0 characters")
            found[word] = mask & ~empty
        return found

    def _part(self, kind: Kind, column: pa.StringArray, mask: NDArray[np.bool_], faults: Faults) -> Part:
        rows = np.flatnonzero(mask)
        cells = column if len(rows) == len(column) else column.filter(pa.array(mask))
        encoding = self._encodings.get(kind) or encoding_of(cells[0].as_py(), kind)
        if encoding is None:
            encoding = Encoding.HEX  # of which it has not the length either
        else:
            self._encodings[kind] = encoding
        bare, fits = fitting(cells, kind, encoding)
        if not fits.all():
            faults.add(rows[~fits], self._wrong_length(kind, encoding, cells.filter(pa.array(~fits))))
            rows, bare = rows[fits], bare.filter(pa.array(fits))
        values, wrong = decoded(bare, kind, encoding)
        if wrong.any():
            faults.add(rows[wrong], f"{kind.value} with other characters than {encoding.characters}")
        return Part(kind, rows, values)

    def _wrong_length(self, kind: Kind, encoding: Encoding, cells: pa.StringArray) -> Callable[[int], str]:
        def told(number: int) -> str:
            text = cells[number].as_py()
            other = encoding_of(text, kind)
            what = f"{kind.value} with {len(text.encode('utf-8'))} characters"
            if other in {None, encoding}:
                return what
            name = f" (name the column `{kind.value}_{other}` if all of it is)" if self._header.names else ""
            return f"{what}: {other}, where {encoding} is read{name}"

        return told

    def _ids(self, cells: Cells, said: Remarks, faults: Faults) -> pa.StringArray:
        """The ids of rows: the owner's, else `line:N`."""
        place = self._header.places.get(Column.ID)
        if place is None:
            faults.add(said.withdrawn, "withdrawn, without an id that says what")
            return _line_ids(cells.lines)
        ids = cells.columns[place]
        _check_ids(ids, faults)
        for each in self._header.values:
            own = pc.and_(pc.equal(ids, cells.columns[each.place]), pa.array(filled(ids)))
            faults.add(own.to_numpy(zero_copy_only=False), "an id that is a value of its row")
        named = filled(ids)
        if named.all():
            return ids
        faults.add(said.withdrawn & ~named, "withdrawn, without an id that says what")
        return pc.if_else(pa.array(named), ids, _line_ids(cells.lines))


def table_cells(header: Header, first: int, block: bytes, complaints: Complaints) -> Cells:
    """The cells of a block of rows, the first of which has the line number `first`."""
    found = plain_cells(block, first, header.delimiter, header.width, quotes=True)
    if found is not None:
        return found
    return each_line(
        block, first, header.width, lambda line: row_cells(line, header.delimiter, header.width), complaints
    )


def _check_ids(ids: pa.StringArray, faults: Faults) -> None:
    lengths = pc.binary_length(ids).to_numpy()
    data = np.frombuffer(ids.buffers()[2] or b"", np.uint8)
    # what lies around a slice is looked at, too: in doubt, row by row
    if lengths.max(initial=0) > MAX_ID_LENGTH or np.any((data < 0x20) | (data > 0x7E)):
        unusable = pc.invert(pc.match_substring_regex(ids, _ID)).to_numpy(zero_copy_only=False)
        faults.add(unusable, f"an id that is not at most {MAX_ID_LENGTH} printable ASCII characters")
    telling = pc.match_substring_regex(ids, _TELLING).to_numpy(zero_copy_only=False)
    faults.add(telling, "an id that has the form of a digest or an address")
    shortened = pc.match_substring_regex(ids, _SHORTENED).to_numpy(zero_copy_only=False)
    faults.add(shortened, "an id that a spreadsheet shortened as a number: export the column as text")
    ours = pc.starts_with(ids, LINE).to_numpy(zero_copy_only=False)
    faults.add(ours, f"an id that begins with `{LINE}`, as those of rows without one do: put a word before it")


def _line_ids(lines: NDArray[np.int64]) -> pa.StringArray:
    return pc.binary_join_element_wise(LINE, pa.array(lines).cast(pa.string()), "")


def _standing(part: Part, withdrawn: NDArray[np.bool_]) -> Part:
    kept = ~withdrawn[part.rows]
    return Part(part.kind, part.rows[kept], part.values[kept])


def _check_equal(parts: list[Part], faults: Faults) -> None:
    """A SHA-256 that is the PDQ hash of its row is one of them, and in the wrong column."""
    by_kind = {part.kind: part for part in parts}
    sha, pdq = by_kind.get(Kind.SHA256), by_kind.get(Kind.PDQ)
    if sha is None or pdq is None:
        return
    both, mine, theirs = np.intersect1d(sha.rows, pdq.rows, assume_unique=True, return_indices=True)
    unlike = differ(sha.values[mine], pdq.values[theirs])
    faults.add(both[~unlike], "sha256 and pdq are the same value")
