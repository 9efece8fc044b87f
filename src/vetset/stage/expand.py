"""expand: confirmed records × embeddings → candidates. One exact pass over the vectors for all seeds at once.

How near is near is calibrated on these very embeddings: the similarity that a stated share of random pairs exceeds.
Everything that a later reader needs to judge a round goes into it: k, threshold, how it came about, seeds without a
vector, seeds whose k neighbours all passed, and the yield.
"""

from collections.abc import Collection, Iterable

import numpy as np

from vetset.case.findings import Calibration, Round
from vetset.model.dataset import RecordId
from vetset.model.finding import Candidate, Evidence, Neighbour, Seeds
from vetset.model.policy import ExpandPolicy
from vetset.search.nearest import nearest
from vetset.stage.copies import copies
from vetset.stage.space import Space
from vetset.store.records import RecordTable


def neighbours(
    seeds: Seeds, space: Space, table: RecordTable, *, k: int, threshold: float, number: int
) -> tuple[list[Neighbour], int, int]:
    """Every record within the threshold of a seed, among the k nearest of each.

    Returns:
        The neighbours (a seed is not its own), the number of seeds without a usable vector, and the number of seeds
        whose k neighbours all passed.
    """
    places = space.places(table.numbers(seeds.records))
    if not places:
        return [], len(seeds.records), 0
    ordered = sorted(places)
    # one more than k: the nearest to a seed is the seed
    found = nearest(space.vectors([places[key] for key in ordered]), space.blocks, k + 1, metric="cosine")
    passed = found.similarity >= threshold
    seed_index, column = np.nonzero(passed)
    numbers = np.array(
        [space.numbers[found.block[s, c]][found.row[s, c]] for s, c in zip(seed_index, column, strict=True)], np.int64
    )
    seed_records = table.records(np.array(ordered, np.int64))
    records = table.records(numbers)
    similarity = found.similarity[seed_index, column]
    result = [
        Neighbour(record, seed_records[s], round(float(cosine), 6), number)
        for record, s, cosine in zip(records, seed_index.tolist(), similarity.tolist(), strict=True)
        if record != seed_records[s]
    ]
    saturated = int(np.count_nonzero(passed.all(axis=1))) if passed.shape[1] > k else 0
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
