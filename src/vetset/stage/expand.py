"""expand: confirmed records × embeddings → candidates. One exact pass over the vectors for all seeds at once.

How near is near is calibrated on these very embeddings: the similarity that a stated share of random pairs exceeds.
Everything that a later reader needs to judge a round goes into it: k, threshold, how it came about, seeds without a
vector, seeds with more neighbours than k, and the yield.
"""

from collections.abc import Collection, Iterable

import numpy as np

from vetset.case.findings import Calibration, Round
from vetset.model.dataset import RecordId
from vetset.model.errors import AlignmentError
from vetset.model.finding import Candidate, Evidence, Neighbour, Seeds
from vetset.model.policy import ExpandPolicy
from vetset.search.exact import DigestIndex
from vetset.search.nearest import nearest
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
    wanted = int(np.ceil((1 + np.sqrt(1 + 8 * policy.calibration_pairs)) / 2))
    vectors = space.vectors(sorted(space.sample(wanted, np.random.default_rng(int(seed[:16], 16)))))
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


def neighbours(
    seeds: Seeds, space: Space, table: RecordTable, *, k: int, threshold: float, number: int
) -> tuple[list[Neighbour], int, int]:
    """Every record within the threshold of a seed, among the k nearest of each.

    Returns:
        The neighbours (a seed is not its own), the number of seeds without a usable vector, and the number of seeds
        that have more than k.
    """
    if not space.blocks:
        return [], len(seeds.records), 0
    places = space.places(table.numbers(seeds.records))
    ordered = sorted(places)
    # Without a seed a direction is searched for that nothing can lie in, so that the pass (and what it counts, and what
    # it asks of whoever keeps the vectors) is the same.
    asked = space.vectors([places[key] for key in ordered]) if ordered else np.eye(1, space.dimension, dtype=np.float32)
    # One more than k: the nearest to a seed is the seed.
    found = nearest(asked, space.blocks, k + 1, least=threshold if ordered else 2.0, metric="cosine")
    space.note_unusable(found.skipped + found.zero)
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


def copies(records: Collection[RecordId], table: RecordTable) -> dict[RecordId, RecordId]:
    """Every other record that stores the same bytes as one of these, with the one it copies."""
    wanted = np.unique(table.numbers(records))
    values, owners = [], []
    for first, digests, present in table.contents():
        here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + len(digests))]
        here = here[present[here - first]]
        values += list(digests[here - first])
        owners += here.tolist()
    if not values:
        return {}
    index = DigestIndex(np.stack(values))
    found: dict[int, int] = {}
    for first, digests, present in table.contents():
        there = np.flatnonzero(present)
        query, entry = index.join(np.ascontiguousarray(digests[there]))
        for number, owner in zip((first + there[query]).tolist(), entry.tolist(), strict=True):
            found.setdefault(number, owners[owner])
    for number in wanted.tolist():
        found.pop(number, None)
    names = table.records(np.array(sorted(found), np.int64))
    originals = table.records(np.array([found[number] for number in sorted(found)], np.int64))
    return dict(zip(names, originals, strict=True))


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
