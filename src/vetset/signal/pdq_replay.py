"""The 64 x 64 samples of PDQ with every rounding of Meta's reference, as fast as its order of sums allows.

The reference's box filters are running sums in float32, along rows and columns, twice. Each value depends on all
before it on its line, but not on other lines: sixteen lines go side by side (`vetset.signal.pdq_lanes`). Sixteen rows
of the picture at a time go through all four passes; of earlier rows one window is kept. A pass gives its means
`ahead` steps late and its input is zero before the first and after the last value; adding or subtracting a zero rounds
nothing, so the edges need no other code than the middle.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.signal.lanes import LANES
from vetset.signal.pdq_lanes import OVERREAD, box_tile, down_tile, luma_tile, sum_tile, turn_tile

SIDE = 64
"""Samples along each axis that the transform is taken of."""

_TILE = LANES * LANES
_CHUNK = 512  # vectors of a line that are held beside one window: few, to stay in a near cache

Array32 = NDArray[np.float32]
Indices = NDArray[np.int64]


class Axis(NamedTuple):
    """What the box filters need to know about rows or columns of one length.

    Attributes:
        length: number of values.
        window: width of the filter.
        ahead: values of the window that come after its middle.
        steps: of two passes, to the last mean of the second, in whole tiles.
        picks: positions of the samples, int64 (64,).
        counts: values in the window at each step, float32 (steps,).
        shares: 1 / counts, rounded, float32 (steps,).
    """

    length: int
    window: int
    ahead: int
    steps: int
    picks: Indices
    counts: Array32
    shares: Array32


def axis(length: int, window: int, picks: Indices) -> Axis:
    """The filters along an axis of this length, with this window and these samples."""
    ahead = (window + 2) // 2 - 1
    steps = -(-(length + 2 * ahead) // LANES) * LANES
    position = np.arange(1, steps + 1)
    inside = np.minimum(position, length) - np.maximum(position - window, 0)
    counts = np.maximum(inside, 1).astype(np.float32)
    return Axis(length, window, ahead, steps, picks, counts, np.float32(1) / counts)


@njit(cache=True, nogil=True, error_model="numpy")
def replayed(pixels: NDArray[np.uint8], down: Axis, across: Axis) -> Array32:
    """The samples, float32 (64, 64), of the pixels, flat, in rows of `across.length` times three bytes."""
    width = across.steps + LANES  # with a gap, or rows of 1024 would all fall on the same lines of the cache
    kept = (down.window + 2 * LANES - 1) // LANES * LANES
    ring, total = np.zeros(kept * width, np.float32), np.zeros(width, np.float32)
    lines, leaving = np.zeros((kept, SIDE), np.float32), np.empty(LANES, np.int64)
    picked, line_total = np.empty(SIDE * LANES, np.float32), np.zeros(SIDE, np.float32)
    spare = np.zeros(LANES * (3 * (across.length + LANES) + OVERREAD), np.uint8)
    room = (across.window + max(_CHUNK, (across.window + LANES - 1) // LANES * LANES)) * LANES
    once, twice = np.empty(room, np.float32), np.empty(room + _TILE, np.float32)
    samples = np.empty((SIDE, SIDE), np.float32)
    done = 0
    for top in range(0, down.steps, LANES):
        for i in range(LANES):
            leaving[i] = (top + i - down.window) % kept * width
        source, at, stride = _strip(pixels, top, down.length, 3 * across.length, spare)
        columns = (ring, top % kept * width, leaving, width, total, down.counts, down.shares, top)
        _along(source[at:], stride, across, columns, (once, twice), picked)
        for k in range(0, SIDE, LANES):
            turn_tile(picked, k * LANES, lines.ravel(), top % kept * SIDE + k, SIDE)
        for y in range(top, top + LANES):
            line = lines[y % kept]
            if y < down.ahead or y >= down.length + down.ahead:
                line[:] = np.float32(0)
            old = lines[(y - down.window) % kept]
            for k in range(SIDE):
                line_total[k] = line_total[k] + line[k] - old[k]
            while done < SIDE and down.picks[done] == y - 2 * down.ahead:
                for k in range(SIDE):
                    samples[done, k] = line_total[k] / down.counts[y - down.ahead]
                done += 1
    return samples


@njit(cache=True, nogil=True)
def _strip(
    pixels: NDArray[np.uint8], top: int, length: int, stride: int, spare: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], int, int]:
    """Where 16 rows may be read: in place, or where that would read beyond the picture, from a copy over zeros."""
    if (top + LANES) * stride + OVERREAD <= pixels.size:
        return pixels, top * stride, stride
    wide = spare.size // LANES
    for i in range(LANES):
        for x in range(stride):
            spare[i * wide + x] = pixels[(top + i) * stride + x] if top + i < length else np.uint8(0)
    return spare, 0, wide


@njit(cache=True, nogil=True)
def _along(  # noqa: PLR0917  a kernel takes its arrays one by one
    pixels: NDArray[np.uint8], stride: int, across: Axis, columns: Any, held: tuple[Array32, Array32], picked: Array32
) -> None:
    """All passes over 16 rows but the last; what that one adds up, 64 values of each row, goes to `picked`."""
    ring, entering, leaving, width, total, counts, shares, position = columns
    once, twice = held
    back = across.window * LANES
    first, second = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    means, sums = np.empty(2 * _TILE, np.float32), np.empty(_TILE, np.float32)
    once[:back] = np.float32(0)
    twice[: back + _TILE] = np.float32(0)
    at, to, done = back, back + _TILE, 0
    # Each step is a chain of additions, one waiting for the other: the steps of three tiles in turn fill the gaps.
    for newest in range(0, across.steps + 2 * LANES, LANES):
        x = newest - 2 * LANES
        if x >= 0:
            sum_tile(twice, to - _TILE, back, second, across.counts, across.shares, x, sums, 0)
            done = _pick(sums, across, x, picked, done)
        x = newest - LANES
        if 0 <= x < across.steps:
            to = _slid(twice, to, back + _TILE)
            odd = (x // LANES & 1) * _TILE
            down_tile(means, odd, ring, entering, leaving, x, width, total, counts, shares, position, twice, to)
            _blank(twice, to, across.ahead - x, across.ahead + across.length - x)
            to += _TILE
        x = newest
        if x < across.steps:
            at = _slid(once, at, back)
            if x < across.length:
                luma_tile(pixels, 3 * x, stride, once, at)
            _blank(once, at, 0, across.length - x)
            box_tile(once, at, back, first, across.counts, across.shares, x, means, (x // LANES & 1) * _TILE)
            at += _TILE


@njit(cache=True, nogil=True)
def _slid(values: Array32, at: int, kept: int) -> int:
    """Where to write on: at the end of a full buffer, behind its last values, moved to the front."""
    if at < values.size:
        return at
    for i in range(kept):
        values[i] = values[at - kept + i]
    return kept


@njit(cache=True, nogil=True)
def _blank(values: Array32, at: int, first: int, last: int) -> None:
    """Zero the vectors of a tile before `first` and from `last` on."""
    if first > 0:
        values[at : at + min(first, LANES) * LANES] = np.float32(0)
    if last < LANES:
        values[at + max(last, 0) * LANES : at + _TILE] = np.float32(0)


@njit(cache=True, nogil=True, error_model="numpy")
def _pick(sums: Array32, across: Axis, x: int, picked: Array32, done: int) -> int:
    """Take the means of the samples among these 16 sums; returns how many samples are taken by now."""
    while done < SIDE and across.picks[done] + 2 * across.ahead < x + LANES:
        step = across.picks[done] + 2 * across.ahead
        for i in range(LANES):
            picked[done * LANES + i] = sums[(step - x) * LANES + i] / across.counts[step - across.ahead]
        done += 1
    return done
