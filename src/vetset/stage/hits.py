"""Which records lie near some vectors: the search of `vetset.search.nearest`, in numbers of records."""

import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vetset.search.nearest import nearest
from vetset.stage.space import Space, records_of

SAME_POINT = 1 - 1e-9
"""From this cosine on, vectors are at one point: equal but for the last bit of a half-precision component."""

_MOST_THREADS = 16
"""More would wait for the one that reads."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Records near each of s vectors.

    Attributes:
        seed: int64 (h,): which of the vectors; ascending but for `best`.
        number: int64 (h,): the record; best first within a seed.
        similarity: float64 (h,): the cosine.
        within: int64 (s,): how many records have at least the cosine that was asked for, those beyond the k too.
    """

    seed: NDArray[np.int64] = field(repr=False)
    number: NDArray[np.int64] = field(repr=False)
    similarity: NDArray[np.float64] = field(repr=False)
    within: NDArray[np.int64] = field(repr=False)

    def where(self, mask: NDArray[np.bool_]) -> "Hits":
        """Those of a mask; `within` stays."""
        return Hits(self.seed[mask], self.number[mask], self.similarity[mask], self.within)

    def best(self) -> "Hits":
        """The nearest seed of each record, the first of equally near ones; by record."""
        order = np.lexsort((self.seed, -self.similarity, self.number))
        _, first = np.unique(self.number[order], return_index=True)
        chosen = order[first]
        return Hits(self.seed[chosen], self.number[chosen], self.similarity[chosen], self.within)


def hits_near(space: Space, vectors: NDArray[np.float32], k: int, least: float = -np.inf) -> Hits:
    """The k most similar records of each vector, its own among them.

    Args:
        space: the vectors that are searched.
        vectors: float32 (s, d), those that are asked about.
        k: how many of each at most.
        least: least cosine; without one nobody counts how many have it.
    """
    threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    sizes = [block.rows * block.dimension * block.dtype.itemsize for block in space.blocks]
    space.reporter.started("neighbours", len(sizes), sum(sizes))
    found = nearest(
        vectors, space.blocks, k, least=least, metric="cosine", threads=threads,
        passed=lambda number: space.reporter.advanced(sizes[number], space.blocks[number].rows),
    )  # fmt: skip
    space.reporter.finished()
    space.note_unusable(found.skipped + found.zero)
    number = np.empty(len(found.seed), np.int64)
    for each in np.unique(found.block).tolist():
        here = found.block == each
        number[here] = records_of(space.numbers[each], found.row[here])
    # Vectors of zeros have no direction, and a cosine of 0 by definition: nothing is near to them. Where so little is
    # asked for, what is really at right angles goes with them, counted as within but not returned.
    within, directed = found.within, np.ones(len(number), np.bool_)
    if least <= 0 and found.zero.any():
        within, directed = within - found.zero.sum(), found.similarity != 0
    return Hits(found.seed[directed], number[directed], found.similarity[directed], within)
