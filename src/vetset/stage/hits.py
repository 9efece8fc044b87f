"""Which records lie near some vectors: the search of `vetset.search.nearest`, in numbers of records."""

import os
from collections.abc import Sequence
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

    def in_order(self) -> "Hits":
        """By seed, best first, equally near records by number: in whichever blocks and passes they were found."""
        order = np.lexsort((self.number, -self.similarity, self.seed))
        return Hits(self.seed[order], self.number[order], self.similarity[order], self.within)

    def best(self) -> "Hits":
        """The nearest seed of each record, the first of equally near ones; by record."""
        order = np.lexsort((self.seed, -self.similarity, self.number))
        _, first = np.unique(self.number[order], return_index=True)
        chosen = order[first]
        return Hits(self.seed[chosen], self.number[chosen], self.similarity[chosen], self.within)


def joined(parts: Sequence[Hits]) -> Hits:
    """The hits of several searches for other vectors each, counted through."""
    firsts = np.cumsum([0, *(len(part.within) for part in parts)]).tolist()
    nothing = np.zeros(0, np.int64)
    return Hits(
        np.concatenate([nothing, *(first + part.seed for first, part in zip(firsts, parts, strict=False))]),
        np.concatenate([nothing, *(part.number for part in parts)]),
        np.concatenate([np.zeros(0), *(part.similarity for part in parts)]),
        np.concatenate([nothing, *(part.within for part in parts)]),
    )


def threads_here() -> int:
    """Threads that a search has on this machine."""
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))


def hits_near(  # noqa: PLR0917
    space: Space,
    vectors: NDArray[np.float32],
    k: int,
    least: float = -np.inf,
    threads: int | None = None,
    name: str = "neighbours",
) -> Hits:
    """The k most similar records of each vector, its own among them.

    Args:
        space: the vectors that are searched.
        vectors: float32 (s, d), those that are asked about.
        k: how many of each at most.
        least: least cosine; without one nobody counts how many have it.
        threads: that compute; as many as there are unless said.
        name: what progress calls it.
    """
    sizes = [block.rows * block.dimension * block.dtype.itemsize for block in space.blocks]
    space.reporter.started(name, len(sizes), sum(sizes))
    found = nearest(
        vectors, space.blocks, k, least=least, metric="cosine", threads=threads or threads_here(),
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
