"""Entries as columns: what the reader of NCMEC's answers collects, and a batch of opinions made of it at once.

One list for each column and one append for each cell is all that happens entry by entry; the rest is done by NumPy and
Arrow when a batch is full.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from vetset.hashlist.opinions import SCHEMA, Note, checked
from vetset.model.signal import LIST_KINDS, Kind

KINDS: Mapping[Kind, int] = {kind: place for place, kind in enumerate(LIST_KINDS)}
"""The number of each kind in a batch's dictionary."""
_WORDS = pa.array([kind.value for kind in LIST_KINDS], pa.string())
_MOST = 0xFFFF


class EntryColumns:
    """Collects entries and their values, in order."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._clear()

    def _clear(self) -> None:
        self._entries: list[str] = []
        self._members: list[str] = []
        self._categories: list[str] = []
        self._updated: list[int] = []
        self._notes: list[int] = []
        self._counts: list[int] = []
        self._kinds: list[int] = []
        self._values: list[bytes | None] = []
        self._votes: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def stand(
        self,
        entry: str,
        *,
        values: Sequence[tuple[int, bytes]],
        member: str,
        category: str,
        updated: int,
        notes: int,
        votes: Mapping[int, tuple[int, int]],
    ) -> None:
        """An entry that stands.

        Args:
            entry: its id.
            values: number of the kind (`KINDS`) and raw bytes of each; at least one.
            member: who gave it.
            category: the owner's word for it.
            updated: seconds since 1970, UTC.
            notes: `Note` bits.
            votes: members for and against it, by the kind's number.
        """
        self._entry(entry, member, category, updated=updated, notes=notes, count=len(values))
        for kind, value in values:
            if kind in votes:
                self._votes[len(self._values)] = votes[kind]
            self._kinds.append(kind)
            self._values.append(value)

    def withdraw(self, entry: str, member: str, updated: int) -> None:
        """An entry that was taken back."""
        self._entry(entry, member, "", updated=updated, notes=int(Note.NONE), count=1)
        self._kinds.append(-1)
        self._values.append(None)

    def unread(self, entry: str, member: str, updated: int, kinds: Sequence[int] = (-1,)) -> None:
        """An entry whose values cannot be read, or those of some kinds while it stands by others."""
        self._entry(entry, member, "", updated=updated, notes=int(Note.UNREAD), count=len(kinds))
        self._kinds += kinds
        self._values += [None] * len(kinds)

    def _entry(self, entry: str, member: str, category: str, *, updated: int, notes: int, count: int) -> None:
        self._entries.append(entry)
        self._members.append(member)
        self._categories.append(category)
        self._updated.append(updated)
        self._notes.append(notes)
        self._counts.append(count)

    def batch(self) -> pa.RecordBatch:
        """What was collected, checked; nothing is held afterwards.

        Raises:
            ListError: an id or a word is not as it must be.
        """
        rows = np.repeat(np.arange(len(self._entries), dtype=np.int32), self._counts)
        kinds = np.array(self._kinds, np.int32)
        values = pa.array(self._values, pa.binary())
        agree, dispute = self._counted(len(rows))
        columns = [
            pa.array(self._entries, pa.string()).take(pa.array(rows)),
            pa.DictionaryArray.from_arrays(pa.array(kinds, mask=kinds < 0), _WORDS),
            values,
            _words(self._members, rows),
            _words(self._categories, rows),
            pa.array(np.array(self._updated, "M8[s]")[rows], pa.timestamp("s", "UTC")),
            pa.array(np.array(self._notes, np.uint16)[rows]),
            _words([""], np.zeros(len(rows), np.int32)),
            pa.array(np.zeros(len(rows), np.uint8), mask=np.ones(len(rows), np.bool_)),
            pa.array(agree),
            pa.array(dispute),
            values.is_null(),
        ]
        self._clear()
        return checked(pa.RecordBatch.from_arrays(columns, schema=SCHEMA), self._where)

    def _counted(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        agree, dispute = np.zeros(rows, np.uint16), np.zeros(rows, np.uint16)
        for row, (up, down) in self._votes.items():
            agree[row], dispute[row] = min(up, _MOST), min(down, _MOST)
        return agree, dispute


def _words(words: list[str], rows: np.ndarray) -> pa.DictionaryArray:
    """One word for each entry as one code for each row."""
    encoded = pa.array(words, pa.string()).dictionary_encode()
    codes = encoded.indices.to_numpy()[rows].astype(np.int32) if words else rows
    return pa.DictionaryArray.from_arrays(pa.array(codes), encoded.dictionary)
