"""What each seed keeps: its best rows so far, or every row within a similarity, and how many those are.

The kernel takes the products of a chunk of rows with a group of seeds, passes over whatever the bound of
`vetset.search.screen` rules out, and ranks the rest by the similarity as it is defined. Ties go to the lower position,
so neither the order of the chunks nor who works on them changes the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.search.bound import lowest, possible, raise_floors
from vetset.search.heap import Ints, rise, sink, worse
from vetset.search.products import GROUP
from vetset.search.rounding import FIT, GONE
from vetset.search.screen import Rows, Seeds
from vetset.search.similarity import LANES, Doubles, Floats, similarity, widen

Hits = tuple[Ints, Ints, Doubles]
"""Seeds, positions and similarities, one entry for each hit."""
_LONGEST = 2.0**60


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of all rows.

    Attributes:
        seeds: prepared.
        k: rows kept of each seed; 0 keeps all.
        least: similarity below which a row is no hit; -inf where there is none.
        cosine: cosine, or else inner product.
    """

    seeds: Seeds
    k: int
    least: float
    cosine: bool

    @property
    def counts(self) -> bool:
        """Whether every row within `least` is counted, also where k better ones are there already."""
        return self.least > -np.inf

    def needed(self, floor: Doubles) -> Floats:
        """What a row's cosine must reach for these similarities; times its length if not cosine.

        Returns:
            float32 (s padded to a multiple of 16,), infinite behind s.
        """
        needed, length = np.full(len(self.seeds.grain), np.inf), self.seeds.length
        needed[: len(length)] = floor
        if not self.cosine:
            # A seed of zeros has similarity 0 to everything: nothing is ruled out.
            needed[: len(length)] = -np.inf
            np.divide(floor, length, out=needed[: len(length)], where=length > 0)
        with np.errstate(over="ignore"):
            return needed.astype(np.float32)


class Kept:
    """What one worker keeps: for each seed a heap of its k best, its worst on top; or a list of all hits.

    Attributes:
        within: int64 (s,), hits so far; only where the question counts.
    """

    def __init__(self, question: Question) -> None:
        seeds = len(question.seeds.exact)
        self._question = question
        self._similarity, self._position = np.empty((seeds, question.k)), np.empty((seeds, question.k), np.int64)
        self._filled, self.within = np.zeros(seeds, np.int64), np.zeros(seeds, np.int64)
        self._hits: Hits = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        self._used = np.zeros(1, np.int64)
        dimension = question.seeds.exact.shape[1]
        self._room = np.empty(dimension, np.float32), np.empty((2, LANES))

    @property
    def floor(self) -> Doubles:
        """float64 (s,): no row below this becomes one of the k best here."""
        full = self._filled == self._question.k
        top = self._similarity[:, 0] if self._question.k else np.full(len(full), -np.inf)
        return np.where(full, top, -np.inf)

    def take(self, chunk: NDArray[Any], rows: Rows, first: int, needed: Floats) -> None:
        """Admit a chunk, as `Rows.take` was given it, whose first row has this position; `needed` rises."""
        seeds, rule = self._question.seeds, (self._question.cosine, self._question.counts, self._question.least)
        taken = rows.grain, rows.bound, rows.length, rows.state
        for group, lanes, scores in rows.products(len(chunk), seeds):
            if not self._question.k:
                self._make_room(scores.size)
            asked = seeds.exact[group], seeds.length[group]
            kept = self._similarity[group], self._position[group], self._filled[group], self.within[group]
            _admit(
                scores, asked, (seeds.grain[lanes], seeds.offset[lanes], needed[lanes]), chunk, taken,
                (first, group.start), rule, kept, self._hits, self._used, self._room,
            )  # fmt: skip

    def _make_room(self, more: int) -> None:
        size, needed = len(self._hits[0]), int(self._used[0]) + more
        if needed > size:
            grown = max(needed, 2 * size)
            self._hits = tuple(np.concatenate([each, np.empty(grown - size, each.dtype)]) for each in self._hits)  # type: ignore[assignment]

    def hits(self) -> Hits:
        """All that is kept, in no order."""
        if not self._question.k:
            return tuple(each[: self._used[0]] for each in self._hits)  # type: ignore[return-value]
        there = np.arange(self._question.k) < self._filled[:, None]
        return np.nonzero(there)[0], self._position[there], self._similarity[there]


class Floors:
    """What the k best of some rows reach at least, by the lower side of the bound alone: nothing is ranked for it."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._needed = question.needed(np.full(len(question.seeds.exact), -np.inf))
        self._best = np.empty((len(question.seeds.exact), question.k))
        self._places = np.empty(self._best.shape, np.int64)
        self._filled = np.zeros(len(question.seeds.exact), np.int64)

    @property
    def floor(self) -> Doubles:
        """float64 (s,): as many rows as are wanted have this similarity or more."""
        return np.where(self._filled == self._question.k, self._best[:, 0], -np.inf)

    def take(self, count: int, rows: Rows) -> None:
        """A chunk of so many rows, as `Rows.take` was given it."""
        seeds = self._question.seeds
        for group, lanes, scores in rows.products(count, seeds):
            raise_floors(
                scores,
                (seeds.grain[lanes], seeds.offset[lanes], seeds.length[group]),
                (rows.grain, rows.bound, rows.apart, rows.length, rows.state),
                self._question.cosine,
                self._needed[lanes],
                (self._best[group], self._places[group], self._filled[group]),
            )


def ranked(parts: Sequence[Hits], k: int) -> Hits:
    """What all workers kept together: by seed, best first, ties by position, k of each seed (all if k is 0)."""
    seed, position, similarity = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.lexsort((position, -similarity, seed))
    seed, position, similarity = seed[order], position[order], similarity[order]
    if k and len(seed):
        place = np.arange(len(seed)) - np.searchsorted(seed, seed)
        seed, position, similarity = seed[place < k], position[place < k], similarity[place < k]
    return seed, position, similarity


@njit(cache=True, nogil=True)
def _admit(  # noqa: PLR0917  a kernel takes its arrays one by one
    scores: NDArray[np.int32],
    seeds: tuple[Floats, Doubles],
    screen: tuple[Floats, Floats, Floats],
    chunk: NDArray[Any],
    rows: tuple[Floats, Floats, Doubles, NDArray[np.uint8]],
    begin: tuple[int, int],
    rule: tuple[bool, bool, float],
    kept: tuple[Doubles, Ints, Ints, Ints],
    hits: Hits,
    used: Ints,
    room: tuple[Floats, Doubles],
) -> None:
    """Rank again, as it is defined, every row that the bound cannot rule out."""
    needed, states = screen[2], rows[3]
    everyone = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(GROUP - seeds[1].size)
    for row in range(scores.shape[0]):
        if states[row] == GONE:
            continue
        scale, length, bits = np.float32(1), 0.0, everyone
        if states[row] == FIT:
            length = rows[2][row]
            scale = scale if rule[0] else np.float32(1 / length)
            bits = possible(scores, row, screen, (rows[0][row], rows[1][row], scale))
            if not bits:
                continue
        widen(chunk, row, room[0])
        while bits:
            seed = lowest(bits)
            bits &= bits - np.uint64(1)
            if _may_be_near(seeds, seed, room[0], length, needed[seed] * scale):
                _rank(seed, seeds, room, begin[0] + row, begin[1], rule, needed, kept, hits, used)


@njit(cache=True, nogil=True)
def _may_be_near(seeds: tuple[Floats, Doubles], seed: int, row: Floats, length: float, needed: np.float32) -> Any:
    """A closer look in float32, which is off by at most 2 (d + 16) 2**-24 in all; true where float32 might not do."""
    both = seeds[1][seed] * length
    if not 1 / _LONGEST < both < _LONGEST:
        return True
    near = _product(seeds[0][seed], row) / np.float32(both)
    return near + np.float32(row.size + 16) * np.float32(2.0**-23) >= needed


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _product(seed: Floats, row: Floats) -> Any:
    total = np.float32(0)
    for column in range(seed.size):
        total += seed[column] * row[column]
    return total


@njit(cache=True, nogil=True)
def _rank(  # noqa: PLR0917  a kernel takes its arrays one by one
    seed: int,
    seeds: tuple[Floats, Doubles],
    room: tuple[Floats, Doubles],
    position: int,
    before: int,
    rule: tuple[bool, bool, float],
    needed: Floats,
    kept: tuple[Doubles, Ints, Ints, Ints],
    hits: Hits,
    used: Ints,
) -> None:
    """One seed and one row."""
    exact, lengths = seeds[0], seeds[1]
    cosine, counts, least = rule
    similarities, positions, filled, within = kept
    value = similarity(exact[seed], lengths[seed], room[0], cosine, room[1])
    if value < least:
        return
    within[seed] += 1
    k = similarities.shape[1]
    if k == 0:
        at = used[0]
        hits[0][at], hits[1][at], hits[2][at] = before + seed, position, value
        used[0] = at + 1
        return
    heap, places = similarities[seed], positions[seed]
    if filled[seed] < k:
        rise(heap, places, filled[seed], value, position)
        filled[seed] += 1
    elif worse(heap, places, 0, value, position):
        sink(heap, places, value, position)
    else:
        return
    if filled[seed] == k and not counts:
        bar = heap[0] if cosine else (heap[0] / lengths[seed] if lengths[seed] > 0 else -np.inf)
        needed[seed] = max(needed[seed], np.float32(bar))
