"""What the messages of an Arrow stream unpack to, found out before Arrow makes room for it.

A compressed buffer says itself how long it will be, and Arrow allocates what it says: a file of kilobytes can ask for
gigabytes. So the head of every message is read here, a flatbuffer, and with it the first bytes of its buffers.

Arrow reads a stream piece by piece (a mark, the length of a head, the head, the body), each in one go. Here it is known
which piece comes next, and how long it is. Were that ever not so, nothing would be known of what follows, and the
stream is refused.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from vetset.model.errors import DatasetError

WORST_BYTES = 1 << 30
"""Bytes that a batch may take in memory that its file does not have: by compression, or by a dictionary."""

Bytes = bytes | memoryview

_MARK = b"\xff\xff\xff\xff"
_VERSION, _KIND, _HEADER, _BODY_LENGTH = range(4)
_DICTIONARY, _RECORDS = 2, 3
"""Kinds of messages that have buffers."""
_DATA = 1
"""Where a batch of a dictionary has the batch itself."""
_BUFFERS, _COMPRESSION = 2, 3
_EARLIER_FORM = b"ARROW:experimental_compression"
"""How Arrow 0.17 said that a batch is compressed; Arrow still believes it."""


class Heads:
    """Watches the messages of a stream as they pass.

    Args:
        where: the file, for errors.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._next: Callable[[Bytes], None] = self._mark
        self._length = 0
        self._buffers: Sequence[tuple[int, int]] = ()

    def passed(self, piece: Bytes) -> None:
        """Look at the next piece, which Arrow has asked for and not been given yet.

        Raises:
            DatasetError: the batch of which this is the end unpacks to more than `WORST_BYTES`.
            pa.ArrowInvalid: it is no piece of a stream.
        """
        self._next(piece)

    def _mark(self, piece: Bytes) -> None:
        if piece == _MARK:
            self._next = self._head_length
        else:  # streams of before Arrow 0.15 have none
            self._head_length(piece)

    def _head_length(self, piece: Bytes) -> None:
        self._length = _whole(piece, 0, 4)
        _require(len(piece) == 4)
        self._next = self._head if self._length > 0 else self._behind

    def _head(self, piece: Bytes) -> None:
        _require(len(piece) == self._length)
        self._length, self._buffers = _compressed(piece)
        self._next = self._body if self._length else self._mark

    def _body(self, piece: Bytes) -> None:
        _require(len(piece) == self._length)
        # Arrow takes -1 for a buffer that is not compressed after all, and refuses what else is below 0
        stated = sum(max(0, _whole(piece, place, 8)) for place, length in self._buffers if length)
        if stated > WORST_BYTES:
            raise DatasetError(
                "a record batch unpacks to more than is sensible",
                expected=f"≤ {WORST_BYTES} bytes",
                seen=f"{stated} bytes",
                where=self._where,
                todo="Write the file again in smaller record batches, or not compressed.",
            )
        self._next = self._mark

    def _behind(self, piece: Bytes) -> None:
        """Behind the end mark Arrow reads nothing any more."""


def _require(holds: bool) -> None:
    if not holds:
        raise pa.ArrowInvalid("no Arrow stream")


def _whole(data: Bytes, place: int, size: int, *, signed: bool = True) -> int:
    """A whole number of so many bytes."""
    _require(0 <= place <= len(data) - size)
    return int.from_bytes(data[place : place + size], "little", signed=signed)


def _field(data: Bytes, table: int, number: int) -> int | None:
    """Where a table of a flatbuffer has a field, by its number; None if it has its default."""
    index = table - _whole(data, table, 4)
    entry = 4 + 2 * number
    if entry + 2 > _whole(data, index, 2, signed=False):
        return None
    offset = _whole(data, index + entry, 2, signed=False)
    return table + offset if offset else None


def _reference(data: Bytes, table: int, number: int) -> int | None:
    """Where the table or vector lies that a field refers to."""
    place = _field(data, table, number)
    return None if place is None else place + _whole(data, place, 4, signed=False)


def _compressed(head: Bytes) -> tuple[int, Sequence[tuple[int, int]]]:
    """Length of a message's body, and place and length in it of every compressed buffer."""
    message = _whole(head, 0, 4, signed=False)
    length, kind = _field(head, message, _BODY_LENGTH), _field(head, message, _KIND)
    body = 0 if length is None else _whole(head, length, 8)
    batch = _reference(head, message, _HEADER)
    named = 0 if kind is None else _whole(head, kind, 1, signed=False)
    if named not in {_DICTIONARY, _RECORDS} or batch is None:
        return body, ()
    _require(_EARLIER_FORM not in bytes(head))
    if named == _DICTIONARY:
        batch = _reference(head, batch, _DATA)
    if batch is None or _field(head, batch, _COMPRESSION) is None:
        return body, ()
    vector = _reference(head, batch, _BUFFERS)
    if vector is None:
        return body, ()
    count = _whole(head, vector, 4, signed=False)
    _require(16 * count <= len(head) - vector - 4)
    buffers = np.frombuffer(head, "<i8", 2 * count, vector + 4).reshape(-1, 2)
    return body, [(place, size) for place, size in buffers.tolist()]
