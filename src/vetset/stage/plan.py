"""plan: a sample of the shards → what a scan will cost and come to. Writes nothing, needs no list and no key.

Shards are drawn as `estimate` says and looked at as `sampled` says. Where all of them were looked at and there is time
left for the rest of their records, these are fingerprinted too: small datasets are read whole, and nothing about them
is estimated.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vetset.engine.outcome import Done, Engine, Failed
from vetset.model.errors import OutputError
from vetset.model.plan import Plan
from vetset.stage.estimate import Frame, drawing
from vetset.stage.forecast import Forecast, Question
from vetset.stage.progress import Reporter
from vetset.stage.sampled import SampleTask, Seen, Start, get_ready, look_at
from vetset.stage.scan import ScanTask, scan_key
from vetset.storage.passing import passing_folder

MOST_SHARDS = 50_000
"""Shards of a sample at most, whatever the time: more of them say hardly more."""
LEAST_SHARDS = 8
"""Shards that a process should see in its time, rather than one to its end."""


def plan(question: Question, engine: Engine, reporter: Reporter) -> Plan:
    """Look at a sample and say what a scan will cost.

    Args:
        question: what is to be planned.
        engine: where the sample is looked at.
        reporter: told of each shard of the sample.

    Raises:
        VetsetError: no shard of the sample could be read; the error is that of the first.
        OutputError: the temporary folder cannot be written.
        EngineError: workers cannot be started.
    """
    begun = time.monotonic()
    sizes = np.array([max(shard.size, 1) for shard in question.shards], np.float64)
    order, priorities = drawing(sizes, question.seed)
    drawn = order[: min(question.most, MOST_SHARDS)]
    reporter.started("plan", len(question.shards), sum(shard.size for shard in question.shards))
    with passing_folder() as folder:
        look = _Looking(question, engine, reporter, folder)
        seen = look.sample(drawn.tolist())
        if _can_be_whole(question, seen, look.left()):
            seen |= look.rest([index for index, one in seen.items() if not one.error and one.sampled < one.records])
    reporter.finished()
    chosen = np.array(sorted(seen), np.int64)
    threshold = float(priorities[len(chosen)]) if len(chosen) < len(order) else 0.0
    frame = Frame.of(sizes, chosen, threshold)
    found = [seen[index] for index in chosen.tolist()]
    errors = [one.error for one in found if one.error is not None]
    if len(errors) == len(found):
        raise errors[0]  # nothing can be planned, and this is what a scan would say
    starts = list(look.starts.values())
    return Forecast(question, frame, found, starts, time.monotonic() - begun).plan()


class _Looking:
    """The sample being taken, by workers, until the time is up."""

    def __init__(self, question: Question, engine: Engine, reporter: Reporter, folder: Path) -> None:
        self._question = question
        self._engine = engine
        self._reporter = reporter
        self._folder = folder
        self._key = scan_key(question.policy, question.mapping, question.embedder_id)
        self._until = 0.0
        # the very first worker of an installation compiles for all that come: no run will do that again
        for outcome in engine.map(get_ready, [self._task(0, whole=False, first=True, share=1.0)]):
            if isinstance(outcome, Failed):
                raise outcome.error
        self._until = time.monotonic() + question.seconds
        self.starts: dict[int, Start] = {}

    def left(self) -> float:
        """Seconds of the sample's time."""
        return self._until - time.monotonic()

    def _task(self, index: int, *, whole: bool, first: bool, share: float) -> SampleTask:
        asked = self._question
        shard = asked.shards[index]
        scan = ScanTask(asked.root, shard, asked.mapping, asked.policy, self._key, self._folder, asked.embedder)
        reading = max(asked.seconds / LEAST_SHARDS, share)
        return SampleTask(scan, time.monotonic(), self._until, reading, share / 2, asked.seed, whole, first)

    def sample(self, drawn: Sequence[int]) -> dict[int, Seen]:
        """Look at shards in the order in which they were drawn: what comes of those that there was time for."""
        asked = self._question
        # half of the time for reading, half for signals, if the shards are few enough to have a choice
        share = max(min(2.0, asked.seconds / LEAST_SHARDS), 0.8 * asked.seconds * asked.processes / len(drawn))
        tasks = [
            self._task(index, whole=False, first=place < asked.processes, share=share)
            for place, index in enumerate(drawn)
        ]
        return self._looked(tasks, drawn)

    def rest(self, chosen: Sequence[int]) -> dict[int, Seen]:
        """Look at every record of these shards: what comes of those that there was time for."""
        tasks = [self._task(index, whole=True, first=False, share=self.left()) for index in chosen]
        found = self._looked(tasks, chosen)
        return {index: one for index, one in found.items() if one.is_whole}

    def _looked(self, tasks: Sequence[SampleTask], indices: Sequence[int]) -> dict[int, Seen]:
        """What comes of the tasks that began in time: those that are under way when it is up are waited for.

        To leave them out would be to leave out the slow ones.
        """
        seen: dict[int, Seen] = {}
        ended: set[int] = set()
        late = len(tasks)
        for outcome in self._engine.map(look_at, tasks):
            ended.add(outcome.index)
            if isinstance(outcome, Done) and outcome.value is None:
                late = min(late, outcome.index)
            else:
                one = _seen(tasks[outcome.index], outcome)
                seen[indices[outcome.index]] = one
                if one.start is not None:
                    self.starts[one.start.process] = one.start
                self._reporter.advanced(tasks[outcome.index].scan.shard.size, one.sampled)
            if late < len(tasks) and all(index in ended for index in range(late)):
                break
        return {index: seen[index] for index in indices[:late] if index in seen}


def _seen(task: SampleTask, outcome: Done[Seen | None] | Failed) -> Seen:
    """What became of a shard of the sample; one that kills its worker has failed, as in a scan.

    Raises:
        OutputError: the temporary folder cannot be written.
    """
    if isinstance(outcome, Done) and outcome.value is not None:
        return outcome.value
    error = outcome.error if isinstance(outcome, Failed) else None
    if isinstance(error, OutputError):
        raise error
    return Seen(task.scan.shard.uri, None, None if error is None else error.at(task.scan.shard.uri))


def _can_be_whole(question: Question, seen: Mapping[int, Seen], left: float) -> bool:
    """Whether all shards were looked at, and there is time to look at the rest of their records."""
    if len(seen) < len(question.shards):
        return False
    rest = [one for one in seen.values() if not one.error and one.sampled < one.records]
    needed = sum(
        (one.reading.wall / one.fraction) + one.signals.wall * one.records / max(one.sampled, 1) for one in rest
    )
    return bool(rest) and needed / question.processes <= 0.7 * left
