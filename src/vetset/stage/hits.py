"""Which records lie near some vectors: the search of `vetset.search.nearest`, in numbers of records."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vetset.search.nearest import nearest
from vetset.stage.space import Space

SAME_POINT = 1 - 1e-9
"""From this cosine on, vectors are at one point: equal but for the last bit of a half-precision component."""


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


def hits_near(space: Space, places: Sequence[tuple[int, int]], k: int, least: float = -1.0) -> Hits:
    """The k most similar records of each vector, its own among them.

    Args:
        space: the vectors.
        places: block and row of each vector that is asked about.
        k: how many of each at most.
        least: least cosine.
    """
    found = nearest(space.vectors(places), space.blocks, k, least=least, metric="cosine")
    number, usable = np.empty(len(found.seed), np.int64), np.empty(len(found.seed), np.bool_)
    for each in np.unique(found.block).tolist():
        here = found.block == each
        number[here] = space.numbers[each][found.row[here]]
        usable[here] = space.usable[each][found.row[here]]
    # vectors of zeros have no direction, and a cosine of 0 by definition: nothing is near to them
    within = found.within - (found.zero.sum() if least <= 0 else 0)
    return Hits(found.seed[usable], number[usable], found.similarity[usable], within)
