"""Which record each row of a file of embeddings belongs to: joined by key, checked, never assumed from an order.

Files of embeddings are parts of another size than shards, and records whose download failed have none. So a record may
lack a vector (it is then undecided), but a vector must have exactly one record, and a record at most one vector.

Keys are joined by digests of 128 bits, class by class of these, so that memory does not grow with the dataset. What is
written down meanwhile, and the answer, lie in files without a name beside the store, and do not depend on findings.
"""

import secrets
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.model.errors import AlignmentError
from vetset.storage.commit import write_all
from vetset.store.key_digest import SECRET_BYTES, key_digests
from vetset.store.spool import Spool, spool_refused

MEMORY = 256 << 20
"""Bytes that a join takes beside what it is given, about; more only if the answer of one part has more."""
_ADVICE = "These embeddings belong to another revision, or a part is missing: make them anew from this dataset."
_KEYED = np.dtype([("high", "<u8"), ("low", "<u8"), ("number", "<i8")])
_FOUND = np.dtype([("row", "<i8"), ("number", "<i8")])
_JOIN_BYTES = 144
"""Of memory, for every record and every row of a class, at the widest place of the join; as measured."""
_SLAB_BYTES = 64
"""The same for every row of a slab of the answer."""


@dataclass(slots=True)
class _Rows:
    """What is known of the rows as they pass.

    Attributes:
        bounds: where each part begins in the numbering of all rows, and where the last ends.
        foreign: rows of each part whose key is no record's, once joined.
        repeated: rows of each part whose key an earlier row has, once joined.
    """

    bounds: list[int] = field(default_factory=lambda: [0])
    foreign: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    repeated: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def counted(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of these rows each part has."""
        parts = np.searchsorted(self.bounds, rows, side="right") - 1
        return np.bincount(parts, minlength=len(self.bounds) - 1)


class _Classes:
    """Digests of keys, spooled by their class."""

    def __init__(self, stack: ExitStack, scratch: Path | None, expected: int, memory: int) -> None:
        self.count = max(1, -(-expected * _JOIN_BYTES // memory))
        held = max(1 << 10, memory // (16 * _KEYED.itemsize))
        self.records = stack.enter_context(Spool(scratch, _KEYED, self.count, held))
        self.rows = stack.enter_context(Spool(scratch, _KEYED, self.count, held))
        self._secret = secrets.token_bytes(SECRET_BYTES)

    def add(self, spool: Spool, keys: pa.StringArray, first: int) -> None:
        """Add consecutive keys, the first of which has this number."""
        entries = np.empty(len(keys), _KEYED)
        entries["high"], entries["low"] = key_digests(keys, self._secret)
        entries["number"] = np.arange(first, first + len(keys))
        # The upper half of the high word, as a share of all classes.
        spool.add(
            entries, ((entries["high"] >> np.uint64(32)) * np.uint64(self.count) >> np.uint64(32)).astype(np.int64)
        )


def _joined(
    records: NDArray[Any], rows: NDArray[Any]
) -> tuple[int, NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Join one class.

    Returns:
        Records whose key another one has (each but the first), what was found (row and number), rows of no record, and
        rows whose key an earlier row has.
    """
    high, low = (np.concatenate([records[half], rows[half]]) for half in ("high", "low"))
    # Stable: of equal digests records come first, and rows in their order.
    order = np.lexsort((low, high))
    high, low = high[order], low[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    is_row = order >= len(records)
    twice = int(np.count_nonzero(~is_row & ~begins))
    head = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))][is_row]
    row = order[is_row] - len(records)
    known = head < len(records)
    behind_row = np.zeros(len(order), np.bool_)
    behind_row[1:] = is_row[:-1]
    repeated = (~begins & behind_row)[is_row]
    found = np.empty(int(np.count_nonzero(known)), _FOUND)
    found["row"], found["number"] = rows["number"][row[known]], records["number"][head[known]]
    return twice, found, rows["number"][row[~known]], rows["number"][row[repeated]]


def align(
    record_keys: Iterable[pa.StringArray],
    records: int,
    parts: Sequence[tuple[str, Iterable[pa.StringArray]]],
    *,
    scratch: Path | None = None,
    memory: int = MEMORY,
) -> list[NDArray[np.int64]]:
    """Record numbers for every row of every part.

    Args:
        record_keys: key of every record, by number, batch by batch.
        records: how many there are.
        parts: what each part is called in errors, and the key of every row of it, batch by batch.
        scratch: where files without a name may lie; None for the system's place for temporary files.
        memory: bytes that the join may take, about.

    Returns:
        int64 (rows,) a part; they lie in a file and are read as they are looked at.

    Raises:
        AlignmentError: two records have one key, two rows have one key, or a row's key is no record's.
        OutputError: there is no room for the files.
    """
    with ExitStack() as stack:
        classes = _Classes(stack, scratch, 2 * records, memory)
        first = 0
        for keys in record_keys:
            classes.add(classes.records, keys, first)
            first += len(keys)
        rows = _Rows()
        for name, batches in parts:
            first = rows.bounds[-1]
            for keys in batches:
                classes.add(classes.rows, keys, first)
                first += len(keys)
                _require_room(first, records, name)
            rows.bounds.append(first)
        slab = max(1 << 10, memory // _SLAB_BYTES)
        slabs = max(1, -(-rows.bounds[-1] // slab))
        answer = stack.enter_context(Spool(scratch, _FOUND, slabs, slab // 16))
        _join(classes, rows, answer, slab, records)
        _require_one_to_one(rows, [name for name, _ in parts])
        return _written(answer, slab, rows.bounds, scratch)


def _require_room(rows: int, records: int, name: str) -> None:
    """Stop before more rows were taken in than can have records: what is held is measured by these."""
    if rows > records:
        raise AlignmentError(
            "there are more rows of embeddings than records",
            expected=f"{records} at most",
            seen=f"{rows} and perhaps more",
            where=name,
            todo=_ADVICE,
        )


def _join(classes: _Classes, rows: _Rows, answer: Spool, slab: int, records: int) -> None:
    twice = 0
    rows.foreign = rows.repeated = np.zeros(len(rows.bounds) - 1, np.int64)
    for number in range(classes.count):
        more, found, foreign, repeated = _joined(classes.records.of_class(number), classes.rows.of_class(number))
        twice += more
        rows.foreign = rows.foreign + rows.counted(foreign)
        rows.repeated = rows.repeated + rows.counted(repeated)
        answer.add(found, found["row"] // slab)
    if twice:
        raise AlignmentError(
            "the dataset uses a key for more than one record, so embeddings cannot be joined to it",
            expected=f"{records} distinct keys",
            seen=f"{records - twice}",
            todo="Give every record a key of its own, or audit without --embeddings.",
        )


def _require_one_to_one(rows: _Rows, names: Sequence[str]) -> None:
    lengths = np.diff(rows.bounds).tolist()
    for name, length, foreign, repeated in zip(names, lengths, rows.foreign, rows.repeated, strict=True):
        if foreign:
            raise AlignmentError(
                "embeddings without a record",
                expected="the key of a record in every row",
                seen=f"{foreign} of {length} rows with a key that the dataset does not have",
                where=name,
                todo=_ADVICE,
            )
        if repeated:
            raise AlignmentError("two rows of embeddings for one record", where=name, todo=_ADVICE)


def _written(answer: Spool, slab: int, bounds: Sequence[int], scratch: Path | None) -> list[NDArray[np.int64]]:
    """The answer in a file of its own, part by part; nobody else can name it, so nobody can cut it."""
    try:
        with tempfile.TemporaryFile(dir=scratch, buffering=0) as file:
            for number, first in enumerate(range(0, bounds[-1], slab)):
                found = answer.of_class(number)
                numbers = np.empty(min(slab, bounds[-1] - first), np.int64)
                numbers[found["row"] - first] = found["number"]
                write_all(file, numbers.data)
            return [_mapped(file, start, end) for start, end in pairwise(bounds)]
    except OSError as error:
        raise spool_refused(error) from None


def _mapped(file: Any, start: int, end: int) -> NDArray[np.int64]:
    if start == end:
        return np.zeros(0, np.int64)
    return np.memmap(file, np.int64, "r", start * np.dtype(np.int64).itemsize, (end - start,))
