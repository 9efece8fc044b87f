"""How near is near on these embeddings: the similarity that a stated share of random pairs exceeds."""

import numpy as np
from numpy.typing import NDArray

from vetset.case.findings import Calibration
from vetset.model.errors import AlignmentError
from vetset.model.policy import ExpandPolicy
from vetset.stage.space import Space

_CALIBRATION_TOLERANCE = 1e-3
"""Other machines sum in another order; another model is further away than this."""

METHOD = "quantile of cosine over random pairs of distinct records, within the policy's bounds"


def calibrate(space: Space, policy: ExpandPolicy, seed: str) -> Calibration:
    """The threshold for the stated share of random pairs.

    Args:
        space: the vectors.
        policy: rate, number of pairs and bounds.
        seed: hex digest that fixes the sample, so that a resumed run calibrates alike.
    """
    usable = [
        (block, row) for block, mask in enumerate(space.usable) for row in _sampled_rows(mask, policy, seed, block)
    ]
    wanted = int(np.ceil((1 + np.sqrt(1 + 8 * policy.calibration_pairs)) / 2))
    random = np.random.default_rng(int(seed[:16], 16))
    chosen = sorted(random.permutation(len(usable))[:wanted].tolist())
    vectors = space.vectors([usable[index] for index in chosen])
    upper = np.triu_indices(len(vectors), 1)
    similarity = (vectors.astype(np.float64) @ vectors.astype(np.float64).T)[upper]
    quantile = float(np.quantile(similarity, 1 - policy.false_candidate_rate)) if len(similarity) else 1.0
    threshold = float(np.clip(quantile, policy.min_similarity, policy.max_similarity))
    return Calibration(
        method=METHOD,
        vectors=len(vectors),
        pairs=len(similarity),
        rate=policy.false_candidate_rate,
        quantile=round(quantile, 6),
        threshold=round(threshold, 6),
        bounded=threshold != quantile,
    )


def require_same_space(space: Space, policy: ExpandPolicy, seed: str, first: Calibration) -> None:
    """Refuse vectors on which the first round's calibration does not come out again: its threshold means nothing there.

    Raises:
        AlignmentError: the vectors are not those of the first round.
    """
    now = calibrate(space, policy, seed)
    same_size = (now.vectors, now.pairs) == (first.vectors, first.pairs)
    if not same_size or abs(now.quantile - first.quantile) > _CALIBRATION_TOLERANCE:
        raise AlignmentError(
            "these are not the embeddings that the audit searched",
            expected="the vectors of the first round, on which its threshold was calibrated",
            seen="vectors with another distribution of similarities",
            todo="Name the folder that the audit used, or audit anew with these embeddings.",
        )


def _sampled_rows(mask: NDArray[np.bool_], policy: ExpandPolicy, seed: str, block: int) -> list[int]:
    """At most as many rows of one block as the whole sample needs, so that no list is as long as the dataset."""
    rows = np.flatnonzero(mask)
    most = int(np.ceil(np.sqrt(2 * policy.calibration_pairs))) + 1
    if len(rows) > most:
        random = np.random.default_rng([int(seed[:16], 16), block])
        rows = np.sort(random.choice(rows, most, replace=False))
    return [int(row) for row in rows]
