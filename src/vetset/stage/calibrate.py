"""How near is near on these embeddings of this dataset, and what a threshold there costs and reaches.

The threshold is the least cosine that a stated share of random pairs reaches. Random pairs are pairs of different
pictures: copies, by bytes or PDQ, are what the search is for, and equal vectors are dealt with by `stage.crowds`. Three
distributions are kept, so that whoever reads the round can judge it: known near-duplicates, random pairs, look-alikes.

Everything starts from a sample that the dataset's digest fixes. What was found has no part in it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vetset.case.nearness import Calibration, CurvePoint, Share
from vetset.model.errors import AlignmentError
from vetset.model.policy import ExpandPolicy, Policy
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex
from vetset.stage.hits import SAME_POINT
from vetset.stage.landmarks import agree, landmarks
from vetset.stage.lookalikes import LookAlikes, NearDuplicates, look_alikes, near_duplicates
from vetset.stage.pairs import DIGITS, Pairs, share
from vetset.stage.space import Space, Vectors
from vetset.store.pictures import Pictures, pictures_at
from vetset.store.records import RecordTable

METHOD = (
    "least cosine that the rate of random pairs reaches, of all pairs of a sample that are neither copies by bytes or "
    "PDQ nor equal vectors, within the policy's bounds; 95 % intervals: Wilson's, for pairs with the jackknife's spread"
)
_TOLERANCE = 1e-3
"""Other machines sum in another order; another model is further away than this."""
_GRID = tuple(np.round(np.concatenate([np.arange(-0.2, 0.9, 0.05), np.arange(0.9, 1.0, 0.01), [0.999]]), 3).tolist())


def _sample(space: Space, wanted: int, seed: str) -> Vectors:
    """So many usable vectors in random order, each with the same chance."""
    return space.sample(wanted, np.random.default_rng(int(seed[:16], 16)))


def _paired(space: Space, rules: ExpandPolicy, seed: str) -> Vectors:
    """The vectors of which all pairs are looked at, by record.

    Drawn by itself, not out of a larger sample: how large the others are must not move the threshold.
    """
    drawn = _sample(space, _vectors_for(rules.calibration_pairs), seed)
    return drawn.at(np.argsort(drawn.numbers))


def _vectors_for(pairs: int) -> int:
    """How many vectors have at least so many pairs."""
    return int(np.ceil((1 + np.sqrt(1 + 8 * pairs)) / 2))


def _cosines(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """All cosines of vectors in their order, float64 (n, n), symmetric to the last bit."""
    unit = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    similarity: NDArray[np.float64] = unit @ unit.T
    return np.maximum(similarity, similarity.T)


def _copies(pictures: Pictures, distance: int) -> NDArray[np.bool_]:
    """Which pairs of records are copies of each other, bool (n, n)."""
    copied = np.zeros((len(pictures.numbers), len(pictures.numbers)), np.bool_)
    coded, digested = np.flatnonzero(pictures.codes.present), np.flatnonzero(pictures.digests.present)
    codes, digests = pictures.codes.values[coded], pictures.digests.values[digested]
    one, two, _ = HammingIndex(codes).join(codes, distance)
    copied[coded[one], coded[two]] = True
    one, two = DigestIndex(digests).join(digests)
    copied[digested[one], digested[two]] = True
    np.fill_diagonal(copied, val=False)
    return copied


def calibrate(space: Space, table: RecordTable, policy: Policy, seed: str) -> Calibration:
    """The threshold for the stated share of random pairs, and what it costs and reaches.

    Args:
        space: the vectors.
        table: the records.
        policy: rate, sizes of the samples and bounds; at which distance PDQ calls pictures copies.
        seed: hex digest that fixes the sample, so that a resumed run calibrates alike.

    Raises:
        CountError: a part of the store is damaged or missing.
    """
    rules = policy.expand
    drawn = _paired(space, rules, seed)
    similarity = _cosines(drawn.vectors)
    copied = _copies(pictures_at(table, drawn.numbers), policy.match.pdq_radius)
    distinct = ~np.eye(len(similarity), dtype=np.bool_)
    same = (similarity >= SAME_POINT) & distinct & ~copied
    everything = similarity[np.triu(distinct, 1)]
    others = _sample(space, max(rules.calibration_probes, rules.calibration_seeds), seed)
    near = near_duplicates(table, space, others.numbers[: rules.calibration_probes], policy.match, seed)
    alike = look_alikes(table, space, others.at(slice(rules.calibration_seeds)), policy.match.pdq_radius)
    # after the search, which has counted what is usable
    pairs = Pairs(similarity, distinct & ~copied & ~same, space.coverage.decided)
    told = _told(rules, pairs, _quantile(everything, rules), (copied.sum() // 2, same.sum() // 2), near, alike)
    return replace(told, landmarks=landmarks(space, seed))


def _quantile(similarity: NDArray[np.float64], rules: ExpandPolicy) -> float:
    """The cosine that the rate of all these pairs exceeds."""
    return round(float(np.quantile(similarity, 1 - rules.false_candidate_rate)), DIGITS) if len(similarity) else 1.0


def _told(  # noqa: PLR0917
    rules: ExpandPolicy,
    pairs: Pairs,
    quantile: float,
    left_out: tuple[int, int],
    near: NearDuplicates,
    alike: LookAlikes,
) -> Calibration:
    found = pairs.threshold(rules.false_candidate_rate)
    threshold = float(np.clip(found, rules.min_similarity, rules.max_similarity))
    rate = pairs.share(threshold)
    others = max(pairs.population - 1, 0)
    vectors = len(pairs.similarity)
    return Calibration(
        method=METHOD,
        vectors=vectors,
        pairs=vectors * (vectors - 1) // 2,
        rate=rules.false_candidate_rate,
        quantile=quantile,
        threshold=threshold,
        bounded=threshold != found,
        records=pairs.population,
        random_pairs=len(pairs.values),
        copies=int(left_out[0]),
        same_point=int(left_out[1]),
        interval=pairs.interval(rules.false_candidate_rate),
        false_rate=rate,
        false_per_seed=Share(rate.value * others, rate.low * others, rate.high * others),
        near_duplicates=len(near.similarity),
        near_without_vector=near.without_vector,
        exact_copies=near.exact,
        recall=share(_at_least(near.similarity, threshold), len(near.similarity)),
        look_alikes=len(alike.similarity),
        look_alikes_hidden=alike.hidden,
        alike=share(_at_least(alike.similarity, threshold), len(alike.similarity)),
        curve=_curve(threshold, pairs, near, alike),
    )


def _curve(threshold: float, pairs: Pairs, near: NearDuplicates, alike: LookAlikes) -> tuple[CurvePoint, ...]:
    """How many of each kind lie at or above each cosine of the grid, and the threshold."""
    return tuple(
        CurvePoint(point, _at_least(near.similarity, point), pairs.at_least(point), _at_least(alike.similarity, point))
        for point in sorted({*_GRID, threshold})
    )


def _at_least(ascending: NDArray[np.float64], similarity: float) -> int:
    return len(ascending) - int(np.searchsorted(ascending, similarity, side="left"))


def require_same_space(space: Space, policy: ExpandPolicy, seed: str, first: Calibration) -> None:
    """Refuse vectors that are not those of the first round: its threshold means nothing there.

    They are known by their landmarks. A round that an earlier version calibrated has none: there, as in that version,
    the cosines of a sample of rows must be distributed alike, so that the same vectors in another order of files may be
    refused, and vectors that were given to other records are accepted.

    Raises:
        AlignmentError: the vectors are not those of the first round, or that round was of an earlier version, which
            drew its sample in another way.
    """
    if not first.curve:
        raise AlignmentError(
            "the first round was calibrated by an earlier version of vetset",
            expected="a calibration with a curve",
            todo="Audit anew into another folder; with the same --store no picture is read twice.",
        )
    if first.landmarks is None:
        same = _is_distributed_alike(space, policy, seed, first)
    else:
        same = agree(landmarks(space, seed), first.landmarks, _TOLERANCE)
    if not same:
        raise AlignmentError(
            "these are not the embeddings that the audit searched",
            expected="the vectors of the first round, on which its threshold was calibrated",
            seen="other vectors, or the vectors of other records",
            todo="Name the folder that the audit used, or audit anew with these embeddings.",
        )


def _is_distributed_alike(space: Space, policy: ExpandPolicy, seed: str, first: Calibration) -> bool:
    """Whether a sample of rows has as many vectors as the first round's, and the same quantile of their cosines."""
    wanted = _vectors_for(policy.calibration_pairs)
    drawn = space.sample_of_rows(wanted, np.random.default_rng(int(seed[:16], 16)))
    similarity = _cosines(drawn.at(np.argsort(drawn.numbers)).vectors)
    now = _quantile(similarity[np.triu_indices(len(similarity), 1)], policy)
    return len(similarity) == first.vectors and abs(now - first.quantile) <= _TOLERANCE
