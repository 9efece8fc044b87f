"""What a table says of its entries beside their values, column by column: each distinct cell is read once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.hashlist.files import spellings
from vetset.hashlist.files.cells import Cells, Faults
from vetset.hashlist.files.header import Header
from vetset.hashlist.files.spellings import NOTES, Column
from vetset.hashlist.opinions import MAX_WORD_LENGTH, SCHEMA

_T = TypeVar("_T")
_MOMENT = SCHEMA.field("updated").type
_UTC = r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
_NO_WORDS = f"not at most {MAX_WORD_LENGTH} printable characters"
_NO_TIME = "no time in ISO 8601 with a zone, and no day"
_NO_TIME_UTC = "no time in ISO 8601, and no day"
_NO_FLAG = "neither yes, true or 1 nor no, false or 0"


@dataclass(frozen=True, slots=True)
class Remarks:
    """What is said of rows, one element a row.

    Attributes:
        member: words, as a dictionary.
        category: words, as a dictionary; the owner's word for an age follows that for the item.
        sets: words with commas between, as a dictionary.
        updated: seconds in UTC, null where not told.
        quality: of PDQ values, null where not told.
        notes: uint16, `Note` bits.
        withdrawn: bool.
    """

    member: pa.DictionaryArray
    category: pa.DictionaryArray
    sets: pa.DictionaryArray
    updated: pa.TimestampArray
    quality: pa.UInt8Array
    notes: NDArray[np.uint16]
    withdrawn: NDArray[np.bool_]


def remarks(header: Header, cells: Cells, faults: Faults) -> Remarks:
    """What the columns of a header say of rows of cells; a row with a cell that says nothing known is a fault."""
    return _Reader(header, cells, faults).read()


class _Reader:
    def __init__(self, header: Header, cells: Cells, faults: Faults) -> None:
        self._columns = {column: cells.columns[place] for column, place in header.places.items()}
        self._sets = [(name, cells.columns[place]) for place, name in header.sets]
        self._rows = len(cells.lines)
        self._faults = faults

    def read(self) -> Remarks:
        return Remarks(
            member=self._words(Column.MEMBER),
            category=self._category(),
            sets=self._all_sets(),
            updated=self._updated(),
            quality=self._quality(),
            notes=self._notes(),
            withdrawn=self._withdrawn(),
        )

    def _each(
        self, cells: pa.StringArray, name: str, read: Callable[[str], _T], otherwise: str, wrong: _T
    ) -> tuple[NDArray[np.int32], list[_T]]:
        """Code of every cell, and the meaning of every code; `wrong` and a fault for what has none."""
        encoded = cells.dictionary_encode()
        codes: NDArray[np.int32] = encoded.indices.to_numpy()
        meanings, bad = [], []
        for code, text in enumerate(encoded.dictionary.to_pylist()):
            try:
                meanings.append(read(text))
            except ValueError:
                meanings.append(wrong)
                bad.append(code)
        if bad:
            self._faults.add(np.isin(codes, bad), f"the cell `{name}` is {otherwise}")
        return codes, meanings

    def _words(self, column: Column) -> pa.DictionaryArray:
        if column not in self._columns:
            return _texts(np.zeros(self._rows, np.int32), [""])
        return _texts(*self._each(self._columns[column], column, spellings.words, _NO_WORDS, ""))

    def _category(self) -> pa.DictionaryArray:
        category = self._words(Column.CATEGORY)
        if Column.AGE not in self._columns:
            return category
        ages = self._each(self._columns[Column.AGE], Column.AGE, spellings.words, _NO_WORDS, "")
        both = (category.indices.to_numpy(), category.dictionary.to_pylist()), ages
        codes, pairs = _combined(self._rows, both)
        return self._short(codes, [f"{word}; age {age}" if age else word for word, age in pairs], Column.CATEGORY)

    def _all_sets(self) -> pa.DictionaryArray:
        told: list[tuple[NDArray[np.int32], list[frozenset[str]]]] = []
        if Column.SETS in self._columns:
            told.append(self._each(self._columns[Column.SETS], Column.SETS, spellings.sets, _NO_WORDS, frozenset()))
        for name, cells in self._sets:
            codes, flags = self._each(cells, name, spellings.is_yes, _NO_FLAG, wrong=False)
            told.append((codes, [frozenset({name}) if flag else frozenset() for flag in flags]))
        codes, found = _combined(self._rows, told)
        return self._short(codes, [",".join(sorted(frozenset().union(*each))) for each in found], Column.SETS)

    def _short(self, codes: NDArray[np.int32], texts: list[str], column: Column) -> pa.DictionaryArray:
        """Texts put together from several columns, which may have become too long."""
        long = [code for code, text in enumerate(texts) if len(text) > MAX_WORD_LENGTH]
        if long:
            self._faults.add(np.isin(codes, long), f"what is said of its {column} is {_NO_WORDS}")
        return _texts(codes, texts)

    def _updated(self) -> pa.TimestampArray:
        for column, read, otherwise in (
            (Column.UPDATED, spellings.moment, _NO_TIME),
            (Column.UPDATED_UTC, spellings.moment_utc, _NO_TIME_UTC),
        ):
            cells = self._columns.get(column)
            if cells is None:
                continue
            # every entry may have another time, so that reading them one by one takes long
            if pc.all(pc.match_substring_regex(cells, _UTC)).as_py():
                try:
                    return cells.cast(_MOMENT)
                except pa.ArrowInvalid:
                    pass  # no such day or hour: which of them it is, is found below
            codes, seconds = self._each(cells, Column.UPDATED, read, otherwise, None)
            return pa.array(seconds, pa.int64()).take(pa.array(codes)).cast(_MOMENT)
        return pa.nulls(self._rows, _MOMENT)

    def _quality(self) -> pa.UInt8Array:
        cells = self._columns.get(Column.QUALITY)
        if cells is None:
            return pa.nulls(self._rows, pa.uint8())
        codes, told = self._each(cells, Column.QUALITY, spellings.quality, "no whole number from 0 to 100", None)
        return pa.array(told, pa.uint8()).take(pa.array(codes))

    def _notes(self) -> NDArray[np.uint16]:
        notes = np.zeros(self._rows, np.uint16)
        for column, note in NOTES.items():
            notes[self._flags(column, spellings.is_yes, _NO_FLAG)] |= np.uint16(note)
        return notes

    def _withdrawn(self) -> NDArray[np.bool_]:
        deleted = self._flags(Column.WITHDRAWN, spellings.is_yes, _NO_FLAG)
        return deleted | self._flags(Column.STATUS, spellings.is_gone, "no word for a state that is known")

    def _flags(self, column: Column, read: Callable[[str], bool], otherwise: str) -> NDArray[np.bool_]:
        if column not in self._columns:
            return np.zeros(self._rows, np.bool_)
        codes, flags = self._each(self._columns[column], column, read, otherwise, wrong=False)
        return np.array(flags, np.bool_)[codes]


def _texts(codes: NDArray[np.int32], texts: list[str]) -> pa.DictionaryArray:
    """Texts by their codes, each text once in the dictionary."""
    if len(set(texts)) == len(texts):
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(texts, pa.string()))
    return pa.array(texts, pa.string()).take(pa.array(codes)).dictionary_encode()


def _combined(
    rows: int, columns: Sequence[tuple[NDArray[np.int32], list[_T]]]
) -> tuple[NDArray[np.int32], list[tuple[_T, ...]]]:
    """Code of every row for what all columns say of it together, and what that is."""
    keys = np.zeros(rows, np.int64)
    for codes, meanings in columns:
        keys = keys * len(meanings) + codes
        # dense again, so that no number of columns is too many
        keys = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    found = [tuple(meanings[codes[place]] for codes, meanings in columns) for place in first.tolist()]
    return inverse.astype(np.int32), found
