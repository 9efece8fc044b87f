"""Whether rows of a table that have one id follow each other and agree: then they are one entry.

Rows of one id that stand apart would be two statements about it, of which the later one holds: what the earlier one has
would be lost without a word.
"""

from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.hashlist.files.cells import Faults
from vetset.hashlist.files.lines import MAX_COMPLAINTS, Complaints
from vetset.hashlist.files.remarks import Remarks
from vetset.hashlist.opinions import texts_of

_T = TypeVar("_T", bound=np.generic)


class Runs:
    """Remembers 16 bytes for every entry of a file: a number made of its id, and its line."""

    def __init__(self) -> None:
        self._keys: list[NDArray[np.uint64]] = []
        self._lines: list[NDArray[np.int64]] = []
        self._last: tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.bool_]] | None = None

    def take(self, ids: pa.StringArray, lines: NDArray[np.int64], said: Remarks, faults: Faults) -> NDArray[np.bool_]:
        """Which rows are the first of their entry; rows of an entry that do not agree are faults.

        Args:
            ids: of the entries; those of earlier calls stood before them.
            lines: their lines.
            said: what is said of them.
            faults: of these rows.
        """
        keys = _keys(texts_of(ids))
        moments = said.updated.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
        gone = said.withdrawn
        before = self._last or (~keys[:1], moments[:1], gone[:1])
        same = keys == _shifted(keys, before[0])
        faults.add(same & (moments != _shifted(moments, before[1])), "another date than the line before, of one id")
        faults.add(
            same & (gone != _shifted(gone, before[2])),
            "withdrawn, and the line before of the same id is not, or the reverse",
        )
        if len(keys):
            self._last = keys[-1:], moments[-1:], gone[-1:]
        self._keys.append(keys[~same])
        self._lines.append(lines[~same])
        fresh: NDArray[np.bool_] = ~same
        return fresh

    def finish(self, complaints: Complaints) -> None:
        """Complain about lines with an id that stands in lines above, with other ids between."""
        keys = np.concatenate([np.zeros(0, np.uint64), *self._keys])
        ordered = np.sort(keys)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(twice):
            return
        lines = np.concatenate(self._lines)
        order = np.argsort(keys, kind="stable")
        later = order[1:][keys[order[1:]] == keys[order[:-1]]]
        for line in np.sort(lines[later])[: MAX_COMPLAINTS + 1].tolist():
            complaints.add(line, "an id that stands above, too, with others between")


def _shifted(column: NDArray[_T], before: NDArray[_T]) -> NDArray[_T]:
    """The element before each one."""
    return np.concatenate([before, column])[:-1]


def _keys(ids: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """A number for every text: of 20 million texts, two have one number with a chance of 1 in 100,000."""
    width = -(-ids.dtype.itemsize // 8)
    words = np.ascontiguousarray(ids.astype(f"S{8 * width}")).view(np.uint64).reshape(-1, width)
    keys = np.zeros(len(ids), np.uint64)
    for column in range(width):
        # the finishing steps of splitmix64; words that are zero are left out, whatever the block's greatest length
        mixed = keys ^ words[:, column]
        mixed += np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys = np.where(words[:, column] == 0, keys, mixed ^ (mixed >> np.uint64(31)))
    return keys
