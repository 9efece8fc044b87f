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
        seed: int64 (h,) ascending: which of the vectors.
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


def hits_near(space: Space, places: Sequence[tuple[int, int]], k: int, least: float = -1.0) -> Hits:
    """The k most similar records of each vector, its own among them.

    Args:
        space: the vectors.
        places: block and row of each vector that is asked about.
        k: how many of each at most.
        least: least cosine.
    """
    found = nearest(space.vectors(places), space.blocks, k, metric="cosine")
    seed, column = np.nonzero(found.similarity >= least)
    block, row = found.block[seed, column], found.row[seed, column]
    number, usable = np.empty(len(seed), np.int64), np.empty(len(seed), np.bool_)
    for each in np.unique(block).tolist():
        here = block == each
        number[here] = space.numbers[each][row[here]]
        usable[here] = space.usable[each][row[here]]
    within = np.bincount(seed[usable], minlength=len(places)).astype(np.int64)
    similarity = found.similarity[seed, column].astype(np.float64)
    return Hits(seed[usable], number[usable], similarity[usable], within)
