"""MD5 and SHA-256 of many short texts at once, sixteen side by side.

`hashlib` is as fast as the machine on one long text; for an address of 80 bytes most of its time goes into the call.
Here sixteen texts lie in the lanes of vectors, and one step of the algorithm is taken for all of them
(`vetset.signal.digest_rounds`). Texts of about equal length go together, since a group takes as many blocks as its
longest member.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.signal.digest_rounds import BLOCK, MD5_START, SHA256_START, md5_rounds, sha256_rounds, take_block
from vetset.signal.lanes import LANES

Words = NDArray[np.uint32]
Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


def md5_of_each(data: Bytes, starts: Places, lengths: Places) -> Bytes:
    """MD5 of every text.

    Args:
        data: uint8, all texts.
        starts: int64 (n,), where each begins.
        lengths: int64 (n,), bytes of each; starts and lengths stay inside `data`.

    Returns:
        uint8 (n, 16).
    """
    return _of_each(data, starts, lengths, MD5_START).astype("<u4", copy=False).view(np.uint8)


def sha256_of_each(data: Bytes, starts: Places, lengths: Places) -> Bytes:
    """SHA-256 of every text; arguments as for `md5_of_each`.

    Returns:
        uint8 (n, 32).
    """
    return _of_each(data, starts, lengths, SHA256_START).astype(">u4").view(np.uint8)


def _of_each(data: Bytes, starts: Places, lengths: Places, begin: Sequence[int]) -> Words:
    words = np.empty((len(starts), len(begin)), np.uint32)
    order = np.argsort(lengths, kind="stable")
    _digested(data, starts, lengths, order, words, np.array(begin, np.uint32))
    return words


@njit(cache=True, nogil=True)
def _load(  # noqa: PLR0917  a kernel takes its arrays one by one
    data: Bytes, starts: Places, lengths: Places, rows: Places, block: int, tile: Bytes, scratch: Bytes, low: Words,
    high: Words,
) -> None:  # fmt: skip
    """A block of each of these texts into the tile, with the number of bits of those that end in it."""
    begin = block * BLOCK
    for lane in range(len(rows)):
        start, length = starts[rows[lane]], lengths[rows[lane]]
        left = min(length - begin, BLOCK) if begin <= length else -1
        at = start + begin
        if left <= 0:
            take_block(scratch, 0, left, tile, lane)
        elif at + BLOCK <= data.size:
            take_block(data, at, left, tile, lane)
        else:  # nobody reads behind the last text
            for i in range(left):
                scratch[i] = data[at + i]
            take_block(scratch, 0, left, tile, lane)
        bits = np.uint64(length) << np.uint64(3) if block == (length + 8) // BLOCK else np.uint64(0)
        low[lane], high[lane] = np.uint32(bits & np.uint64(0xFFFFFFFF)), np.uint32(bits >> np.uint64(32))


@njit(cache=True, nogil=True)
def _kept(state: Words, before: Words, lengths: Places, rows: Places, block: int) -> None:
    """Add the state before the block; texts that ended earlier keep what they had."""
    for lane in range(len(rows)):
        ended = block > (lengths[rows[lane]] + 8) // BLOCK
        for i in range(len(state)):
            state[i, lane] = before[i, lane] if ended else np.uint32(state[i, lane] + before[i, lane])


@njit(cache=True, nogil=True)
def _digested(  # noqa: PLR0917  a kernel takes its arrays one by one
    data: Bytes, starts: Places, lengths: Places, order: Places, out: Words, begin: Words
) -> None:
    """Digests of all texts, a group at a time; MD5 begins with a state of four words, SHA-256 of eight."""
    tile, scratch = np.zeros((LANES, BLOCK), np.uint8), np.zeros(BLOCK, np.uint8)
    low, high = np.zeros(LANES, np.uint32), np.zeros(LANES, np.uint32)
    state, before = np.empty((begin.size, LANES), np.uint32), np.empty((begin.size, LANES), np.uint32)
    for first in range(0, len(order), LANES):
        rows = order[first : first + LANES]
        for i in range(begin.size):
            state[i, :] = begin[i]
        for block in range((lengths[rows[-1]] + 8) // BLOCK + 1):
            _load(data, starts, lengths, rows, block, tile, scratch, low, high)
            before[:] = state
            if begin.size == 4:
                md5_rounds(state, tile, low, high)
            else:
                sha256_rounds(state, tile, low, high)
            _kept(state, before, lengths, rows, block)
        for lane in range(len(rows)):
            for i in range(begin.size):
                out[rows[lane], i] = state[i, lane]
