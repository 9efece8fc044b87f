"""expand: confirmed records × embeddings → candidates. One exact pass over the vectors for as many seeds as fit.

How near is near is calibrated on these very embeddings (`stage.calibrate`). Everything that a later reader needs to
judge a round goes into it: k, threshold, how it came about, seeds without a vector, what crowds, and the yield.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from vetset.case.findings import Round
from vetset.case.nearness import Calibration, Crowding
from vetset.model.dataset import RecordId
from vetset.model.finding import Candidate, Evidence, Neighbour, Seeds
from vetset.model.policy import Policy
from vetset.stage.copies import copies
from vetset.stage.crowds import Searched, SortedOut, sorted_out, together, without_themselves
from vetset.stage.hits import SAME_POINT, hits_near
from vetset.stage.passes import passes
from vetset.stage.space import Space
from vetset.store.records import RecordTable


@dataclass(frozen=True, slots=True)
class Found:
    """What lies near some seeds.

    Attributes:
        neighbours: one for each record, with its nearest seed; ties go to the first seed.
        pairs: pairs of a seed and another record within the threshold, returned or not.
        blind: seeds without a usable vector.
        crowding: where not everything was returned.
    """

    neighbours: tuple[Neighbour, ...]
    pairs: int
    blind: int
    crowding: Crowding


def neighbours(
    seeds: Seeds, space: Space, table: RecordTable, policy: Policy, *, threshold: float, number: int
) -> Found:
    """The k nearest records within the threshold of each seed, and all of its copies there; a seed is not its own."""
    if not space.blocks:
        return Found((), 0, len(seeds.records), Crowding())
    usable = space.vectors(table.numbers(seeds.records))
    rows = sum(block.rows for block in space.blocks)
    most = min(rows, policy.expand.k + policy.expand.crowd + 1)  # one more: the nearest to a seed is the seed
    if not len(usable.numbers):
        # A direction is searched for that nothing can lie in, so that the pass (and what it counts, and what it asks of
        # whoever keeps the vectors) is the same.
        hits_near(space, np.eye(1, space.dimension, dtype=np.float32), most, 2.0)
        return Found((), 0, len(seeds.records), Crowding())
    searched = Searched(usable.numbers, usable.vectors, min(threshold, SAME_POINT))
    parts: list[SortedOut] = []
    for step in passes(len(searched.numbers), most, policy.expand.search_memory_mb, watched=space.watched):
        mine = searched.at(step.seeds)
        hits = hits_near(space, mine.vectors, most, searched.threshold, step.threads, step.name)
        parts.append(sorted_out(without_themselves(hits, mine), mine, space, table, policy, parts))
    hits, crowding = together(parts, searched, policy)
    pairs = int(hits.within.sum())
    # arrays until here: seeds that are copies of each other have all their neighbours in common
    best = hits.best()
    names, records = table.records(searched.numbers), table.records(best.number)
    found = tuple(
        Neighbour(record, names[seed], round(cosine, 6), number)
        for record, seed, cosine in zip(records, best.seed.tolist(), best.similarity.tolist(), strict=True)
    )
    return Found(found, pairs, len(seeds.records) - len(searched.numbers), crowding)


def expand(
    seeds: Seeds,
    space: Space,
    table: RecordTable,
    policy: Policy,
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
        policy: k, what is a crowd, what PDQ calls a copy.
        calibration: the threshold and where it came from.
        number: the round's number, from 1.
        settled: records that are confirmed or candidates already; they are not candidates again.
    """
    found = neighbours(seeds, space, table, policy, threshold=calibration.threshold, number=number)
    best = {item.record: item for item in found.neighbours if item.record not in settled}
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
        k=policy.expand.k,
        calibration=calibration,
        seeds=seeds.records,
        blind=found.blind,
        saturated=sum(crowd.beyond > 0 for crowd in found.crowding.seeds),
        above=found.pairs,
        fresh=len(candidates),
        copies=len(copied),
        crowding=found.crowding,
    )
    return told, tuple(sorted(candidates.values()))
