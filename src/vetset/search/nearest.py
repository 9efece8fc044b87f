"""The k most similar rows for a few seeds, in one pass over all embeddings: exact, with no index to build.

Each chunk of rows is multiplied with all seeds in float32 by the BLAS, and whatever could still reach a seed's k-th
best by the bound below is computed again in float64, in a fixed order of summation. So the answer is that of
`vetset.search.linear.nearest`, bit for bit before its last rounding to float32, however the rows are cut into blocks.

The bound. Let u = 2**-24, g(n) = n u / (1 - n u), x a seed and y a row of d columns. A float32 inner product is off
by at most g(d) |x| |y|, whatever the order of summation and with or without fused multiply-add (Higham, "Accuracy and
Stability of Numerical Algorithms", 2002, section 3.1), and rounding the seed to float32 makes it g(d + 1). That holds
where nothing over- or underflows. So each seed is scaled by a power of two to a length in 1/2 .. 1, and a row, where it
needs to be, to one in 2**-31 .. 2**30: nothing overflows, and what underflows, flushed to zero even, adds at most
d 2**-95. The float64 sums, lengths and products on both sides are off by less than d 2**-50 |x| |y| together. As
|x| |y| is 2**-32 or more and d at most 2**16, both are less than u |x| |y|, so that g(d + 3) |x| |y| bounds it all;
g(d + 4) is used.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.model.errors import DatasetError, UsageError
from vetset.search.blocks import Block, chunks, open_block

_MOST_COLUMNS = 1 << 16
# A chunk of float32 rows and the scores of a group of seeds: 4 MB each at most, to stay near the core.
_CHUNK_VALUES = 1 << 20
_CHUNK_ROWS = 2048
_GROUP = 512
_LONGEST = 30


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The most similar rows of each seed, best first, ties by (block, row).

    Attributes:
        similarity: float32 (s, k'), rounded after ranking in float64; infinite beyond float32's range.
        block: int64 (s, k'), position of the block.
        row: int64 (s, k'), position in the block.
        skipped: int64 (blocks,), rows of each block that hold NaN or infinity: they took no part, and are undecided.
    """

    similarity: NDArray[np.float32]
    block: NDArray[np.int64]
    row: NDArray[np.int64]
    skipped: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Seeds:
    """Seeds in both precisions.

    Attributes:
        exact: float64 (s, d).
        length: float64 (s,), summed in the fixed order.
        screen: float32 (s, d), scaled by powers of two to lengths of 0, or 1/2 .. 1.
        margin: float64 (s,), the bound for a row of length 1.
        weight: float64 (s,), which turns a screening score (times the row's weight) into a similarity.
    """

    exact: NDArray[np.float64]
    length: NDArray[np.float64]
    screen: NDArray[np.float32]
    margin: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Best:
    """The best so far: for each seed a heap with its worst on top.

    Attributes:
        similarity: float64 (s, k).
        position: int64 (s, k), running number of the row over all blocks, which orders as (block, row) does.
        filled: int64 (s,).
    """

    similarity: NDArray[np.float64]
    position: NDArray[np.int64]
    filled: NDArray[np.int64]


def nearest(
    seeds: NDArray[Any],
    blocks: Sequence[NDArray[Any] | str | os.PathLike[str]],
    k: int,
    *,
    metric: Literal["ip", "cosine"] = "ip",
) -> Neighbours:
    """The k rows of all blocks most similar to each seed.

    Rows that hold NaN or infinity take no part. Under "cosine" a vector of zeros has no direction and similarity 0
    with everything. Memory holds s × k results, the seeds, and some ten megabytes, whatever the data.

    Args:
        seeds: float16, float32 or float64 (s, d), finite; d up to 65,536.
        blocks: float16 or float32 (rows, d) each, or paths of .npy files that hold such arrays.
        k: neighbours wanted for each seed, 1 or more; k' = min(k, rows that take part) are returned.
        metric: "ip" for the inner product, "cosine" for the inner product over both lengths.

    Raises:
        UsageError: k is less than 1, or the metric is unknown.
        DatasetError: seeds or a block of another type, with pickled objects, or cut short; the block is named.
        AlignmentError: a block has another dimension than the seeds; the block is named.
    """
    if k < 1:
        raise UsageError("no neighbours asked for", expected="k of 1 or more", seen=str(k))
    if metric not in ("ip", "cosine"):
        raise UsageError("an unknown metric", expected="ip or cosine")
    prepared = _prepare(seeds, metric)
    dimension = seeds.shape[1]
    opened = [open_block(source, number, dimension) for number, source in enumerate(blocks)]
    firsts = np.cumsum([0, *(block.rows for block in opened)])
    room = min(k, int(firsts[-1]))
    best = _Best(np.empty((len(seeds), room)), np.empty((len(seeds), room), np.int64), np.zeros(len(seeds), np.int64))
    skipped = np.zeros(len(opened), np.int64)
    for block in opened:
        skipped[block.number] = _scan(block, int(firsts[block.number]), prepared, best, cosine=metric == "cosine")
    return _ranked(best, min(k, int(firsts[-1] - skipped.sum())), firsts, skipped)


def _prepare(seeds: NDArray[Any], metric: str) -> _Seeds:
    if (
        seeds.ndim != 2
        or seeds.dtype.kind != "f"
        or seeds.dtype.itemsize > 8
        or not 0 < seeds.shape[1] <= _MOST_COLUMNS
    ):
        raise DatasetError(
            "seeds of another type or shape",
            expected=f"float16, float32 or float64 (s, d) with d of 1 to {_MOST_COLUMNS}",
            seen=f"{seeds.dtype} with {seeds.ndim} axes",
        )
    exact = np.ascontiguousarray(seeds, np.float64)
    largest = np.abs(exact).max(axis=1, initial=0.0)
    limits = np.finfo(np.float32)
    if not np.all((largest == 0) | ((largest >= limits.tiny) & (largest <= limits.max))):
        # Which seed it is stays unsaid: their number is a finding.
        raise DatasetError("a seed holds NaN, infinity, or values beyond float32's range", expected="finite embeddings")
    length = np.empty(len(exact))
    _lengths(exact, length)
    exponent = np.frexp(length)[1]
    screen = np.ldexp(exact, -exponent[:, None]).astype(np.float32)
    bound = (exact.shape[1] + 4) * 2.0**-24
    scale = np.ldexp(1.0, exponent)
    weight = scale if metric == "ip" else np.divide(scale, length, out=np.zeros_like(length), where=length > 0)
    return _Seeds(exact, length, screen, np.ldexp(length, -exponent) * bound / (1 - bound), weight)


def _scan(block: Block, first: int, seeds: _Seeds, best: _Best, *, cosine: bool) -> int:
    """Put the rows of one block before all seeds; returns how many took no part."""
    skipped = 0
    dimension = seeds.exact.shape[1]
    rows = min(_CHUNK_ROWS, max(1, _CHUNK_VALUES // dimension))
    scores = np.empty(min(_GROUP, len(seeds.exact)) * min(rows, block.rows), np.float32)
    wide = np.empty((min(rows, block.rows), dimension), np.float32)
    for start, chunk in chunks(block, dimension, rows):
        values = chunk
        if chunk.dtype == np.float16:
            values = wide[: len(chunk)]
            _widen(chunk.view(np.uint16), values.view(np.uint32))
        screen, length, weight, lost = _screened(values, cosine=cosine)
        skipped += lost
        for low in range(0, len(seeds.exact), _GROUP):
            group = slice(low, low + _GROUP)
            shape = len(seeds.screen[group]), len(values)
            near = np.matmul(seeds.screen[group], screen.T, out=scores[: shape[0] * shape[1]].reshape(shape))
            asked = seeds.exact[group], seeds.length[group], seeds.margin[group], seeds.weight[group]
            kept = best.similarity[group], best.position[group], best.filled[group]
            _admit(near, asked, (values, length, weight), first + start, cosine, kept)
    return skipped


def _screened(
    values: NDArray[np.float32], *, cosine: bool
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], int]:
    """Rows fit for float32 products, their lengths and weights (NaN for one that takes no part); how many take none."""
    squares = np.empty(len(values))
    _squares(values, squares)
    finite = np.isfinite(squares)
    lost = len(values) - int(np.count_nonzero(finite))
    length = np.sqrt(np.where(finite, squares, 0.0))
    exponent = np.frexp(length)[1]
    exponent[np.abs(exponent) <= _LONGEST] = 0
    if lost or exponent.any():
        values = np.where(finite[:, None], values, np.float32(0))
        values = np.ldexp(values, -exponent[:, None])
    scale = np.ldexp(1.0, exponent)
    weight = np.divide(scale, length, out=np.zeros_like(length), where=length > 0) if cosine else scale
    return values, np.ldexp(length, -exponent), np.where(finite, weight, np.nan), lost


def _ranked(best: _Best, k: int, firsts: NDArray[np.int64], skipped: NDArray[np.int64]) -> Neighbours:
    similarity, position = best.similarity[:, :k], best.position[:, :k]
    order = np.lexsort((position, -similarity), axis=-1)
    similarity, position = np.take_along_axis(similarity, order, 1), np.take_along_axis(position, order, 1)
    block = np.searchsorted(firsts, position, side="right") - 1
    with np.errstate(over="ignore"):
        rounded = similarity.astype(np.float32)
    return Neighbours(rounded, block.astype(np.int64), position - firsts[block], skipped)


@njit(cache=True, nogil=True)
def _widen(half: NDArray[np.uint16], single: NDArray[np.uint32]) -> None:
    """float16 bits to float32 bits, exactly; in integers, so that no machine needs to know float16."""
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            bits = np.uint32(half[row, column])
            sign = (bits & np.uint32(0x8000)) << np.uint32(16)
            rest = bits & np.uint32(0x7FFF)
            # Exponents are biased by 15 and by 127; the largest one, of NaN and infinity, goes to the largest.
            normal = (rest << np.uint32(13)) + np.uint32(112 << 23)
            special = normal + np.uint32(112 << 23)
            subnormal = np.float32(np.float32(rest) * np.float32(2.0**-24)).view(np.uint32)
            wide = special if rest >= 0x7C00 else normal
            single[row, column] = sign | (subnormal if rest < 0x0400 else wide)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _squares(values: NDArray[np.float32], squares: NDArray[np.float64]) -> None:
    """Squared lengths for the bound, in any order; NaN or infinite exactly where the row is."""
    for row in range(values.shape[0]):
        total = 0.0
        for column in range(values.shape[1]):
            value = np.float64(values[row, column])
            total += value * value
        squares[row] = total


@njit(cache=True, nogil=True)
def _lengths(values: NDArray[np.float64], lengths: NDArray[np.float64]) -> None:
    """Lengths as they are defined, from the first column to the last."""
    for row in range(values.shape[0]):
        total = 0.0
        for column in range(values.shape[1]):
            total += values[row, column] * values[row, column]
        lengths[row] = np.sqrt(total)


@njit(cache=True, nogil=True)
def _similarity(  # noqa: PLR0917  a kernel takes its arrays one by one
    seeds: NDArray[np.float64], seed: int, length: float, values: NDArray[np.float32], row: int, cosine: bool
) -> Any:
    """The definition, from the first column to the last."""
    product = square = 0.0
    for column in range(seeds.shape[1]):
        value = np.float64(values[row, column])
        product += seeds[seed, column] * value
        square += value * value
    if not cosine:
        return product
    lengths = length * np.sqrt(square)
    return product / lengths if lengths > 0 else 0.0


@njit(cache=True, nogil=True)
def _admit(  # noqa: PLR0917  a kernel takes its arrays one by one
    scores: NDArray[np.float32],
    seeds: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    rows: tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]],
    first: int,
    cosine: bool,
    best: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Rank again, exactly, every row that the screening cannot rule out, and keep the best."""
    exacts, lengths, margins, seed_weights = seeds
    values, row_lengths, row_weights = rows
    best_similarity, best_position, filled = best
    room = best_similarity.shape[1]
    for seed in range(scores.shape[0]):
        similarity, position = best_similarity[seed], best_position[seed]
        least = similarity[0] if filled[seed] == room else -np.inf
        for row in range(scores.shape[1]):
            # False for NaN, which is the weight of a row that takes no part.
            above = (scores[seed, row] + margins[seed] * row_lengths[row]) * (seed_weights[seed] * row_weights[row])
            if not above >= least:
                continue
            exact = _similarity(exacts, seed, lengths[seed], values, row, cosine)
            if filled[seed] < room:
                _rise(similarity, position, filled[seed], exact, first + row)
                filled[seed] += 1
            elif exact > similarity[0]:  # rows come in order, so that a tie is won by the one that is there
                _sink(similarity, position, exact, first + row)
            least = similarity[0] if filled[seed] == room else -np.inf


@njit(cache=True, nogil=True)
def _worse(similarity: NDArray[np.float64], position: NDArray[np.int64], i: int, value: float, place: int) -> Any:
    return similarity[i] < value or (similarity[i] == value and position[i] > place)


@njit(cache=True, nogil=True)
def _rise(similarity: NDArray[np.float64], position: NDArray[np.int64], slot: int, value: float, place: int) -> None:
    """Add to a heap whose top is the worst."""
    while slot > 0:
        above = (slot - 1) >> 1
        if _worse(similarity, position, above, value, place):
            break
        similarity[slot], position[slot] = similarity[above], position[above]
        slot = above
    similarity[slot], position[slot] = value, place


@njit(cache=True, nogil=True)
def _sink(similarity: NDArray[np.float64], position: NDArray[np.int64], value: float, place: int) -> None:
    """Replace the top of the heap, its worst."""
    size = similarity.size
    slot = 0
    while True:
        below = 2 * slot + 1
        if below >= size:
            break
        if below + 1 < size and _worse(similarity, position, below + 1, similarity[below], position[below]):
            below += 1
        if not _worse(similarity, position, below, value, place):
            break
        similarity[slot], position[slot] = similarity[below], position[below]
        slot = below
    similarity[slot], position[slot] = value, place
