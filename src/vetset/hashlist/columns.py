"""From lines to `Entries`: text to bytes, sorted, each value once with the id of its first line."""

import binascii
from array import array
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vetset.hashlist.lines import Complaints
from vetset.model.hashlist import Entries, EntryFlag
from vetset.model.signal import LIST_KINDS, Kind

MAX_ID_LENGTH = 64
KIND_OF_WORD = {kind.value.encode("ascii"): kind for kind in LIST_KINDS}
"""Kinds that a list may carry, by the word for them as lower-case bytes."""
KNOWN_KINDS = ", ".join(kind.value for kind in LIST_KINDS)
DIGITS = {kind: 2 * kind.width for kind in LIST_KINDS}
BASE64_LENGTH = 4 * Kind.PHOTODNA.width // 3
"""Characters of a PhotoDNA value in base64, which needs no padding."""
FORMS = {kind: (digits,) if kind is not Kind.PHOTODNA else (digits, BASE64_LENGTH) for kind, digits in DIGITS.items()}
"""How many characters a value may have, by kind."""
LENGTHS = ", ".join(f"{kind.value} {digits}" for kind, digits in DIGITS.items()) + f" or base64 {BASE64_LENGTH}"


class Columns:
    """Collects the values of one list, kind by kind, in the order of the lines."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._values: dict[Kind, bytearray] = {}
        self._lines: dict[Kind, array[int]] = {}
        self._ids: dict[Kind, list[bytes]] = {}

    def add(
        self, kind: Kind, digits: Sequence[bytes], lines: Sequence[int], ids: Iterable[bytes] | None = None
    ) -> None:
        """Take values of one kind, each of one of the `FORMS[kind]` lengths: hexadecimal, or PhotoDNA in base64.

        Args:
            kind: what they are.
            digits: the values.
            lines: the line of each, not before those of earlier calls.
            ids: the owner's id of each, empty where there is none. Given in every call of a kind, or in none.
        """
        try:
            values = _decoded(kind, digits)
        except binascii.Error:
            self._complain(kind, digits, lines)
            return
        self._values.setdefault(kind, bytearray()).extend(values)
        self._lines.setdefault(kind, array("q")).extend(lines)
        if ids is not None:
            self._ids.setdefault(kind, []).extend(ids)

    def _complain(self, kind: Kind, digits: Sequence[bytes], lines: Sequence[int]) -> None:
        for value, line in zip(digits, lines, strict=True):
            if self._complaints.enough:
                return
            try:
                _decoded(kind, [value])
            except binascii.Error:
                form = "base64" if len(value) != DIGITS[kind] else "hexadecimal digits"
                self._complaints.add(line, f"{kind.value} with other characters than {form}")

    def finish(self) -> dict[Kind, Entries]:
        """The entries of every kind that has any."""
        return {kind: self._entries(kind) for kind in LIST_KINDS if self._values.get(kind)}

    def _entries(self, kind: Kind) -> Entries:
        values = np.frombuffer(self._values[kind], np.uint8).reshape(-1, kind.width)
        first = first_of_each(values)
        lines = np.frombuffer(self._lines[kind], np.int64)[first]
        ids = line_ids(lines)
        if kind in self._ids:
            own = np.array(self._ids[kind], dtype=np.bytes_)[first]
            ids = np.where(own == b"", ids, own)
        rows = len(first)
        flags, members = np.full(rows, EntryFlag.NONE, np.uint8), np.ones(rows, np.uint8)
        return Entries(kind, values[first], narrow(ids), flags, members)


def _decoded(kind: Kind, texts: Sequence[bytes]) -> bytes:
    """The values one behind the other.

    Raises:
        binascii.Error: one of them has other characters than its form.
    """
    if kind is not Kind.PHOTODNA:
        return binascii.unhexlify(b"".join(texts))
    values = [
        binascii.unhexlify(text) if len(text) == DIGITS[kind] else binascii.a2b_base64(text, strict_mode=True)
        for text in texts
    ]
    if any(len(value) != kind.width for value in values):
        raise binascii.Error("padding")
    return b"".join(values)


def sort_keys(values: NDArray[np.uint8]) -> list[NDArray[np.uint64]]:
    """Rows of bytes as columns of numbers, the least significant first: what `np.lexsort` takes."""
    width = values.shape[1]
    padded = np.zeros((len(values), -(-width // 8) * 8), np.uint8)
    padded[:, :width] = values
    words = padded.view(">u8").astype(np.uint64)
    return [words[:, column] for column in reversed(range(words.shape[1]))]


def leading_words(values: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of every row as a number; rows are of eight bytes at least."""
    return np.ascontiguousarray(values[:, :8]).view(">u8").astype(np.uint64).reshape(-1)


def ordering(values: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Places of the rows in their order as byte strings; equal rows in the order in which they stand.

    The same as `np.lexsort(sort_keys(values))`. Eight bytes tell most rows apart, so that only the others are sorted by
    all of them.
    """
    leading = leading_words(values)
    order = np.argsort(leading)
    ordered = leading[order]
    tied = np.zeros(len(order), np.bool_)
    tied[1:] = ordered[1:] == ordered[:-1]
    tied[:-1] |= tied[1:]
    places = np.flatnonzero(tied)
    rows = np.sort(order[places])
    order[places] = rows[np.lexsort(sort_keys(values[rows]))]  # stable
    return order


def first_of_each(values: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Places of the distinct rows, in the order of the rows as byte strings; of equal rows the first place."""
    order = ordering(values)
    ordered = values[order]
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    return order[fresh]


def line_ids(lines: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """`line:N` for every line number."""
    return np.char.add(b"line:", lines.astype(np.bytes_))


def narrow(ids: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """The same ids in the least width that holds them, so that equal lists have equal bytes."""
    width = int(np.char.str_len(ids).max(initial=1))
    return ids.astype(f"S{width}")


def total(entries: Mapping[Kind, Entries]) -> int:
    """Number of entries of all kinds."""
    return sum(len(column) for column in entries.values())
