"""Every pair of some vectors: which share lies at or above a cosine, and how sure that is.

Pairs of one sample share vectors, so they are not independent: a vector in the middle of everything is in as many pairs
as one at the edge. The spread therefore comes from leaving out one vector after the other (the jackknife, which is
conservative here), and Wilson's interval is taken for as many independent pairs as have that spread. Where the sample
is the whole population, the share is a count and has no interval.

Disjoint pairs would need no such thing, but there are half as many of them as vectors: too few for a rate of 0.001 in a
dataset of some thousand records, where all pairs are millions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from vetset.case.nearness import Share
from vetset.stage.estimate import CONFIDENCE, wilson

_QUANTILE = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_STEPS = 24
"""Halvings of the range of cosines: to about a tenth of a millionth."""
DIGITS = 6
"""Digits of a cosine that are kept."""


def share(hits: int, count: int) -> Share | None:
    """A share of independent observations, or None of nothing."""
    return Share(hits / count, *wilson(hits / count, count, _QUANTILE)) if count else None


def just_above(similarity: float) -> float:
    """The least number of `DIGITS` digits above this one; where floats are too far apart for digits, the next one."""
    scale = 10**DIGITS
    below = np.floor(similarity * scale)
    # the product is rounded, so that the number may be a digit too low or too high
    above = (float((below + more) / scale) for more in range(3))
    return next((number for number in above if number > similarity), float(np.nextafter(similarity, np.inf)))


@dataclass(frozen=True)
class Pairs:
    """All pairs of n vectors, drawn from `population` without replacement.

    Attributes:
        similarity: float64 (n, n), symmetric.
        counted: bool (n, n), symmetric: pairs that count; none with itself.
        population: how many vectors the sample was drawn from.
    """

    similarity: NDArray[np.float64] = field(repr=False)
    counted: NDArray[np.bool_] = field(repr=False)
    population: int

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Cosines of the pairs that count, ascending."""
        return np.sort(self.similarity[np.triu(self.counted, 1)])

    @cached_property
    def _partners(self) -> NDArray[np.int64]:
        partners: NDArray[np.int64] = np.count_nonzero(self.counted, axis=1)
        return partners

    def at_least(self, similarity: float) -> int:
        """How many pairs lie at or above a cosine."""
        return len(self.values) - int(np.searchsorted(self.values, similarity, side="left"))

    def share(self, similarity: float) -> Share:
        """The share of pairs at or above a cosine; 0 to 1 where no pair counts."""
        pairs, vectors = len(self.values), len(self.similarity)
        if not pairs:
            return Share(0.0, 0.0, 1.0)
        value = self.at_least(similarity) / pairs
        left = 1 - vectors / self.population
        if left <= 0:
            return Share(value, value, value)
        variance = self._jackknife(similarity) * left
        # with all pairs on one side there is no spread to see: only disjoint ones are surely independent
        worth = min(value * (1 - value) / variance, pairs / left) if variance > 0 else vectors / 2 / left
        return Share(value, *wilson(value, worth, _QUANTILE))

    def _jackknife(self, similarity: float) -> float:
        """Variance of the share, from the shares without each of the vectors."""
        hits = np.count_nonzero((self.similarity >= similarity) & self.counted, axis=1)
        rest = self._partners.sum() / 2 - self._partners
        without = (hits.sum() / 2 - hits) / np.maximum(rest, 1)
        vectors = len(hits)
        return float((vectors - 1) / vectors * np.square(without - without.mean()).sum())

    def threshold(self, rate: float) -> float:
        """The least cosine, to `DIGITS` digits, that at most this share of pairs reaches."""
        allowed = int(rate * len(self.values) * (1 + 1e-12))
        if allowed >= len(self.values):
            return -1.0 if len(self.values) else 1.0
        return just_above(float(self.values[-1 - allowed]))

    def interval(self, rate: float) -> tuple[float, float]:
        """Cosines between which the threshold for this rate lies; up to 1 where the pairs are too few to tell."""
        return (
            self._falls_to(rate, lambda told: told.low),
            self._falls_to(rate, lambda told: told.high),
        )

    def _falls_to(self, rate: float, end: Callable[[Share], float]) -> float:
        """The least cosine at which an end of the share's interval is at most the rate, 1 if there is none."""
        low, high = -1.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if end(self.share(middle)) <= rate else (middle, high)
        return round(high, DIGITS)
