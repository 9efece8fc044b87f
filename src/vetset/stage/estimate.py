"""From a sample of shards to the whole: which are drawn, what a total or a share is, and how sure that is.

Shards are drawn with probability proportional to their size, without replacement, by priority sampling (Duffield, Lund,
Thorup 2007; sequential Poisson sampling of Ohlsson 1998): each gets the priority size/u with u uniform in (0, 1], and
those of the greatest priorities are read, in that order, until the time is up. Large shards, which are most of the
work, are not missed; every beginning of the order is a sample of the same kind, so that the time may decide how long
it is; and if all are read, nothing is estimated. A shard of size x stands for a = max(1, τ/x) shards like it, where τ
is the greatest priority that was not drawn.

Totals are ratios to bytes, whose total is known: X Σ a y / Σ a x. Their variance is Σ a (a − 1) e² over the residuals
e = y − R x, which are nearly independent of each other in this design, and the variance within shards of which only
some records were looked at. Intervals are Student's. Shares get Wilson's interval with the number of records that a
simple random sample of the same variance would have (Korn and Graubard 1998): they stay within 0 and 1, and say how
large a share may be that was not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from vetset.model.plan import Estimate

CONFIDENCE = 0.95
_PEAKED = 2.0
"""Squares of normal residuals differ threefold by themselves; those of what sits in few shards by more. Chosen by
simulation: intervals of ordinary amounts hold 94 to 96 %, of a share that sits in one shard of ten 84 to 92 %."""
_STUDENT_1, _STUDENT_2 = 12.706, 4.303
_NORMAL = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_SIMULATED = 300_000
"""Shards up to which their distribution over workers is played through."""


def drawing(sizes: NDArray[np.float64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The order in which shards are drawn, and their priorities.

    Args:
        sizes: float64 (n,), above 0.
        seed: the same one draws the same.

    Returns:
        Indices int64 (n,), and the priorities float64 (n,) in that order, falling.
    """
    priorities = sizes / (1.0 - np.random.default_rng(seed).random(len(sizes)))
    order = np.argsort(-priorities, kind="stable").astype(np.int64)
    return order, priorities[order]


@dataclass(frozen=True, slots=True)
class Part:
    """An amount that is added up over shards.

    Attributes:
        amounts: float64 (n,), of each shard of the sample.
        within: float64 (n,), variance of each where it is itself an estimate.
        by_shard: it grows with the number of shards, and not with bytes.
    """

    amounts: NDArray[np.float64]
    within: NDArray[np.float64]
    by_shard: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """The shards that were looked at, among all.

    Attributes:
        sizes: float64 (n,) of those of the sample.
        weights: float64 (n,): how many shards each stands for, at least 1.
        whole: size of all shards together.
        count: number of all shards.
    """

    sizes: NDArray[np.float64]
    weights: NDArray[np.float64]
    whole: float
    count: int

    @classmethod
    def of(cls, sizes: NDArray[np.float64], chosen: NDArray[np.int64], threshold: float) -> "Frame":
        """The frame of a sample.

        Args:
            sizes: float64 (N,) of all shards.
            chosen: int64 (n,) indices of the sample.
            threshold: greatest priority that was not drawn; 0 if all were.
        """
        mine = sizes[chosen]
        return cls(mine, np.maximum(1.0, threshold / mine), float(sizes.sum()), len(sizes))

    @property
    def complete(self) -> bool:
        """Whether every shard is in the sample."""
        return len(self.sizes) == self.count

    def ratio(self, amounts: NDArray[np.float64], to: NDArray[np.float64]) -> float:
        """One amount in relation to another, both float64 (n,); 0 where there is nothing of the other."""
        below = float(self.weights @ to)
        return float(self.weights @ amounts) / below if below else 0.0

    def spread(self, residuals: NDArray[np.float64], within: NDArray[np.float64]) -> tuple[float, float] | None:
        """Variance of the weighted sum of amounts with these residuals, and how many standard errors to reach.

        None where the only shard stands for others, or where a variance is not known (infinite). Where a few shards
        make most of the variance, it rests on these few, and Student's quantile has the fewer degrees of freedom (as
        Satterthwaite counts them).

        Args:
            residuals: float64 (n,).
            within: float64 (n,) variance of each amount itself.
        """
        if not np.isfinite(within).all():
            return None
        if self.complete:
            return float(within.sum()), _NORMAL
        # shards that were certain to be drawn stand for themselves alone, and tell nothing about the others
        count = int(np.count_nonzero(self.weights > 1.0))
        if count < 2:
            return self._spread_of_rest(residuals, within)
        each = self.weights * (self.weights - 1.0) * residuals**2
        between = float(each.sum())
        freedom = _PEAKED * between**2 / float(each @ each) - 1.0 if between else count - 1.0
        return between * count / (count - 1) + float(self.weights @ within), student(min(freedom, count - 1.0))

    def _spread_of_rest(
        self, residuals: NDArray[np.float64], within: NDArray[np.float64]
    ) -> tuple[float, float] | None:
        """The same where nearly all was certain to be drawn: the few bytes that were not differ as those seen do."""
        count = len(self.sizes)
        if count < 2:
            return None
        rest = self.whole - float(self.sizes.sum())
        return rest**2 * float(np.var(residuals / self.sizes, ddof=1)) + float(within.sum()), student(count - 1.0)

    def total(self, *parts: "Part", least: float = 0.0, exact: bool = False) -> Estimate:
        """The total of one or more amounts over all shards.

        Args:
            parts: what is added up.
            least: what was seen already; the interval does not reach below.
            exact: whether everything was looked at.
        """
        value, residuals, within = 0.0, np.zeros(len(self.sizes)), np.zeros(len(self.sizes))
        for part in parts:
            base, whole = (np.ones(len(self.sizes)), float(self.count)) if part.by_shard else (self.sizes, self.whole)
            slope, scale = self.ratio(part.amounts, base), whole / float(self.weights @ base)
            value += slope * whole
            residuals = residuals + scale * (part.amounts - slope * base)
            within = within + scale**2 * part.within
        if exact:
            return Estimate.known(value)
        spread = self.spread(residuals, within)
        if spread is None:
            return Estimate(value, None, None)
        reach = spread[1] * sqrt(spread[0])
        return Estimate(value, min(value, max(least, value - reach)), value + reach)

    def share(
        self,
        amounts: NDArray[np.float64],
        of: NDArray[np.float64],
        within: NDArray[np.float64],
        *,
        exact: bool = False,
    ) -> Estimate:
        """A share, 0 to 1, with an interval that lies there too.

        What was in no shard of the sample, or in every record of it, may still be otherwise in shards that were not
        drawn: then a shard counts as one observation, whatever its number of records.

        Args:
            amounts: float64 (n,) in each shard of the sample, of
            of: float64 (n,).
            within: float64 (n,) variance of each amount.
            exact: whether all records of all shards were looked at.
        """
        value = min(max(self.ratio(amounts, of), 0.0), 1.0)
        if exact:
            return Estimate.known(value)
        spread = self.spread(amounts - value * of, within)
        below = float(self.weights @ of)
        if spread is None or not below:
            return Estimate(value, None, None)
        variance, quantile = spread[0] / below**2, spread[1]
        if 0 < value < 1 and variance > 0:
            return Estimate(value, *wilson(value, value * (1 - value) / variance, quantile))
        return Estimate(value, *wilson(value, self.shards_seen(), _NORMAL))

    def shards_seen(self) -> float:
        """How many independent shards the sample is worth, for what is the same in all of a shard's records."""
        kish = float(self.weights.sum()) ** 2 / float(self.weights @ self.weights)
        left = max(self.count - len(self.sizes), 1) / self.count
        return kish / left


def wilson(value: float, count: float, quantile: float) -> tuple[float, float]:
    """Ends of Wilson's score interval for a share that `count` independent observations gave."""
    square = quantile**2 / count
    middle = (value + square / 2) / (1 + square)
    reach = quantile / (1 + square) * sqrt(value * (1 - value) / count + square / (4 * count))
    return max(0.0, min(value, middle - reach)), min(1.0, max(value, middle + reach))


def student(freedom: float) -> float:
    """Student's quantile: exact for one and two degrees of freedom, expanded around the normal one from there."""
    if freedom <= 1:
        return _STUDENT_1
    if freedom <= 2:
        return float(_STUDENT_1 ** (2.0 - freedom) * _STUDENT_2 ** (freedom - 1.0))
    square = _NORMAL**2
    terms = (
        (square + 1) / 4,
        ((5 * square + 16) * square + 3) / 96,
        (((3 * square + 19) * square + 17) * square - 15) / 384,
        ((((79 * square + 776) * square + 1482) * square - 1920) * square - 945) / 92160,
    )
    return _NORMAL * (1.0 + sum(term * freedom**-power for power, term in enumerate(terms, 1)))


def makespan(seconds: Sequence[float], workers: int) -> float:
    """How long workers take who fetch these shards in order, each the next one when it is free."""
    if not seconds:
        return 0.0
    if len(seconds) > _SIMULATED:  # then the last few do not matter: the bound of list scheduling
        return sum(seconds) / workers + max(seconds) * (1 - 1 / workers)
    busy = [0.0] * min(workers, len(seconds))
    heapify(busy)
    for each in seconds:
        heapreplace(busy, busy[0] + each)
    return max(busy)
