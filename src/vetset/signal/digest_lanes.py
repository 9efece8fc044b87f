"""MD5, SHA-1 and SHA-256 of many texts at once, sixteen side by side.

One text keeps a core waiting: each step of these algorithms needs the one before. Of an address of 80 bytes most of the
time goes into the call, too. Here sixteen texts lie in the lanes of vectors, and one step is taken for all of them
(`vetset.signal.digest_rounds`). A lane whose text ends takes the next one; the longest come first, so that the lanes
end together.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.signal.digest_rounds import (
    BLOCK,
    MD5_START,
    SHA1_START,
    SHA256_START,
    md5_rounds,
    sha1_rounds,
    sha256_rounds,
    take_block,
)
from vetset.signal.lanes import LANES

Words = NDArray[np.uint32]
Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

_COUNT = 8
"""Bytes behind a text that say how many bits it has; a text has ended once they are taken."""
_SHORT = 1024
"""Where texts are shorter than this on average, lanes wait for one another: which of them is free would be a guess for
the processor at each step, and guessing costs more than waiting for a block or two."""
_ENDLESS = 1 << 60
"""Bytes left in a lane that has no text any more."""


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


def sha1_of_each(data: Bytes, starts: Places, lengths: Places) -> Bytes:
    """SHA-1 of every text; arguments as for `md5_of_each`.

    Returns:
        uint8 (n, 20).
    """
    return _of_each(data, starts, lengths, SHA1_START).astype(">u4").view(np.uint8)


def sha256_of_each(data: Bytes, starts: Places, lengths: Places) -> Bytes:
    """SHA-256 of every text; arguments as for `md5_of_each`.

    Returns:
        uint8 (n, 32).
    """
    return _of_each(data, starts, lengths, SHA256_START).astype(">u4").view(np.uint8)


def _of_each(data: Bytes, starts: Places, lengths: Places, begin: Sequence[int]) -> Words:
    words = np.empty((len(starts), len(begin)), np.uint32)
    # of sixteen bits, which NumPy sorts digit by digit, six times as fast as whole numbers
    blocks = np.minimum(lengths // BLOCK, 0xFFFF).astype(np.uint16)
    longest_first = np.argsort(~blocks, kind="stable")
    together = int(lengths.sum()) < _SHORT * len(lengths)
    _digested(data, starts, lengths, longest_first, together, words, np.array(begin, np.uint32))
    return words


@njit(cache=True, nogil=True)
def _keep_ended(texts: Places, left: Places, state: Words, out: Words) -> int:
    """Keep the digests of texts that ended, whose lanes are free from then on; returns how many others there are."""
    going = 0
    for lane in range(LANES):
        if texts[lane] < 0:
            continue
        if left[lane] >= -_COUNT:
            going += 1
            continue
        for i in range(len(state)):
            out[texts[lane], i] = state[i, lane]
        texts[lane] = -1
    return going


@njit(cache=True, nogil=True)
def _give(  # noqa: PLR0917  a kernel takes its arrays one by one
    starts: Places, lengths: Places, order: Places, given: int, texts: Places, at: Places, left: Places, state: Words,
    begin: Words,
) -> int:  # fmt: skip
    """Give free lanes the next texts; returns how many texts were given so far."""
    for lane in range(LANES):
        if texts[lane] >= 0:
            continue
        if given == len(order):
            left[lane] = _ENDLESS  # so that it counts for none of the decisions about all of them
            continue
        text = order[given]
        given += 1
        texts[lane], at[lane], left[lane] = text, starts[text], lengths[text]
        for i in range(begin.size):
            state[i, lane] = begin[i]
    return given


@njit(cache=True, nogil=True)
def _load_whole(data: Bytes, texts: Places, at: Places, tile: Bytes) -> None:
    """The next 64 bytes of each text into the tile; none of them ends before."""
    for lane in range(LANES):
        # a lane without a text goes along over bytes that another one has here, and nobody looks at it
        take_block(data, at[lane] if texts[lane] >= 0 else 0, BLOCK, tile, lane)
        at[lane] += BLOCK


@njit(cache=True, nogil=True)
def _load(  # noqa: PLR0917  a kernel takes its arrays one by one
    data: Bytes, lengths: Places, texts: Places, at: Places, left: Places, tile: Bytes, scratch: Bytes, low: Words,
    high: Words,
) -> None:  # fmt: skip
    """The next block of each text into the tile, with the number of bits of those that end in it."""
    for lane in range(LANES):
        if texts[lane] < 0:
            continue
        here = min(left[lane], BLOCK)
        if here > 0 and at[lane] + BLOCK <= data.size:
            take_block(data, at[lane], here, tile, lane)
        else:  # nobody reads behind the last text
            for i in range(here):
                scratch[i] = data[at[lane] + i]
            take_block(scratch, 0, max(here, -1), tile, lane)
        bits = np.uint64(lengths[texts[lane]]) << np.uint64(3) if here < BLOCK - _COUNT else np.uint64(0)
        low[lane], high[lane] = np.uint32(bits & np.uint64(0xFFFFFFFF)), np.uint32(bits >> np.uint64(32))
        at[lane] += BLOCK


@njit(cache=True, nogil=True)
def _digested(  # noqa: PLR0917  a kernel takes its arrays one by one
    data: Bytes, starts: Places, lengths: Places, order: Places, together: bool, out: Words, begin: Words
) -> None:
    """Digests of all texts, begun in this order; the state has four words in MD5, five in SHA-1, eight in SHA-256.

    Lanes begin a text each time that one is free, or `together`.
    """
    tile, scratch = np.zeros((LANES, BLOCK), np.uint8), np.zeros(BLOCK, np.uint8)
    low, high = np.zeros(LANES, np.uint32), np.zeros(LANES, np.uint32)
    state, before = np.zeros((begin.size, LANES), np.uint32), np.empty((begin.size, LANES), np.uint32)
    texts, at, left = np.full(LANES, -1, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    given = going = 0
    while going or given < len(order):
        if not going or not together:
            given = _give(starts, lengths, order, given, texts, at, left, state, begin)
        whole = max(left.min() // BLOCK, 0)  # of every text, before there is an end to judge
        if whole:
            low[:], high[:] = 0, 0
        for _ in range(max(whole, 1)):
            if whole:
                _load_whole(data, texts, at, tile)
            else:
                _load(data, lengths, texts, at, left, tile, scratch, low, high)
            before[:] = state
            if begin.size == 4:
                md5_rounds(state, tile, low, high)
            elif begin.size == 5:
                sha1_rounds(state, tile, low, high)
            else:
                sha256_rounds(state, tile, low, high)
            state += before
        left -= max(whole, 1) * BLOCK
        going = _keep_ended(texts, left, state, out)
