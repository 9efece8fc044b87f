"""expand: confirmed records × embeddings → candidates. One exact pass over the vectors for all seeds at once.

How near is near is calibrated on these very embeddings: the similarity that a stated share of random pairs exceeds.
Everything that a later reader needs to judge a round goes into it: k, threshold, how it came about, seeds without a
vector, seeds with more neighbours than k, and the yield.
"""

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from vetset.case.findings import Calibration, Round
from vetset.model.dataset import RecordId
from vetset.model.errors import AlignmentError
from vetset.model.finding import Candidate, Evidence, Neighbour, Seeds
from vetset.model.policy import ExpandPolicy
from vetset.search.nearest import nearest
from vetset.stage.copies import copies
from vetset.stage.space import Space
from vetset.store.records import RecordTable

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


def neighbours(
    seeds: Seeds, space: Space, table: RecordTable, *, k: int, threshold: float, number: int
) -> tuple[list[Neighbour], int, int]:
    """Every record within the threshold of a seed, among the k nearest of each.

    Returns:
        The neighbours (a seed is not its own), the number of seeds without a usable vector, and the number of seeds
        that have more than k.
    """
    places = space.places(table.numbers(seeds.records))
    if not places:
        return [], len(seeds.records), 0
    ordered = sorted(places)
    # One more than k: the nearest to a seed is the seed.
    found = nearest(
        space.vectors([places[key] for key in ordered]), space.blocks, k + 1, least=threshold, metric="cosine"
    )
    numbers = np.array(
        [space.numbers[block][row] for block, row in zip(found.block.tolist(), found.row.tolist(), strict=True)],
        np.int64,
    )
    seed_records = table.records(np.array(ordered, np.int64))
    records = table.records(numbers)
    result = [
        Neighbour(record, seed_records[seed], round(cosine, 6), number)
        for record, seed, cosine in zip(records, found.seed.tolist(), found.similarity.tolist(), strict=True)
        if record != seed_records[seed]
    ]
    saturated = int(np.count_nonzero(found.within > k + 1))
    return result, len(seeds.records) - len(ordered), saturated


def _best(found: Iterable[Neighbour]) -> dict[RecordId, Neighbour]:
    """The strongest evidence for each record; ties go to the first seed."""
    best: dict[RecordId, Neighbour] = {}
    for neighbour in sorted(found, key=lambda item: (-item.similarity, item.seed)):
        best.setdefault(neighbour.record, neighbour)
    return best


def expand(
    seeds: Seeds,
    space: Space,
    table: RecordTable,
    policy: ExpandPolicy,
    *,
    calibration: Calibration,
    number: int,
    settled: Collection[RecordId],
) -> tuple[Round, tuple[Candidate, ...]]:
    """One round.

    Args:
        seeds: where to start.
        space: the vectors.
        table: the records.
        policy: k.
        calibration: the threshold and where it came from.
        number: the round's number, from 1.
        settled: records that are confirmed or candidates already; they are not candidates again.
    """
    found, blind, saturated = neighbours(
        seeds, space, table, k=policy.k, threshold=calibration.threshold, number=number
    )
    best = {record: item for record, item in _best(found).items() if record not in settled}
    candidates = {
        record: Candidate(record, Evidence.NEIGHBOUR, item.seed, item.similarity, number)
        for record, item in best.items()
    }
    copied = {
        copy: original
        for copy, original in copies(list(candidates), table).items()
        if copy not in settled and copy not in candidates
    }
    for copy, original in copied.items():
        item = best[original]
        candidates[copy] = Candidate(copy, Evidence.COPY, item.seed, item.similarity, number)
    told = Round(
        number=number,
        k=policy.k,
        calibration=calibration,
        seeds=seeds.records,
        blind=blind,
        saturated=saturated,
        above=len(found),
        fresh=len(candidates),
        copies=len(copied),
    )
    return told, tuple(sorted(candidates.values()))
