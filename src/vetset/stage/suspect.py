"""Was it the record? What a worker had in hand when it ended is tried alone before anything is held against it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.engine.worker import KILLED, TOO_LONG, apart, begin_step, end_step
from vetset.model.dataset import Shard
from vetset.model.errors import EngineError
from vetset.model.record import Record, Unreadable
from vetset.model.signal import Reason
from vetset.signal.fingerprint import screen
from vetset.signal.warm import warm_up
from vetset.stage.pictured import Asked, embedder_of
from vetset.storage.remote import Place
from vetset.store.passed import MOST_PASSED, PassedOver
from vetset.store.trail import Suspect, Trail

MOST_TRIALS = 2
"""How often a suspect is tried alone where that is cut off from outside, the whole run with it perhaps."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial; plain values, so that it can travel.

    Attributes:
        root: the dataset.
        shard: the shard.
        mapping: which columns mean what.
        asked: what is computed of every record.
        suspect: the records to try, one by one.
        known: rows that are passed over anyway.
        seconds: longest time for one record.
        trail: the shard's trail, where the record in hand is noted.
    """

    root: Place
    shard: Shard
    mapping: ColumnMapping
    asked: Asked
    suspect: Suspect
    known: frozenset[int]
    seconds: float
    trail: Path

    @property
    def rows(self) -> range:
        """The suspect's rows."""
        return range(self.suspect.first, self.suspect.last + 1)


def judge(trail: Trail, trial: Trial) -> PassedOver | None:
    """The record that ended its worker, if it ends another one alone. None if something else ended the worker.

    A trial that is killed is made twice: somebody may have killed it, or the system, for the memory that others took.
    Where a trial does not return, since it took the whole run with it, the next run finds it counted.
    """
    while True:
        before, row = trail.try_again(), trail.alone
        if row is not None and row in trial.rows and row not in trial.known and before >= MOST_TRIALS:
            return PassedOver(row, Reason.CRASHED, trial.suspect.embedding)
        trail.end_alone()
        try:
            code = apart(try_alone, trial)
        except OSError as error:
            raise EngineError(
                f"workers cannot be started ({error.strerror or type(error).__name__})",
                todo="Look at the machine's memory and its limit on processes.",
            ) from error
        row = trail.alone
        if row is None:
            return None
        if code == TOO_LONG:
            return PassedOver(row, Reason.TIMED_OUT, trial.suspect.embedding, trial.seconds)
        if code != KILLED:
            return PassedOver(row, Reason.CRASHED, trial.suspect.embedding)


def try_alone(trial: Trial) -> None:
    """Do with the suspect what the scan would do, in a process that may die of it."""
    trail = Trail(trial.trail, alone=False)
    warm_up()
    for record in _records(trial):
        do = _embedded(record, trial.asked) if trial.suspect.embedding else partial(_screened, record, trial.asked)
        if do is None:
            continue
        trail.begin_alone(record.row)
        begin_step(trial.seconds)
        try:
            do()
        finally:  # an error is no end of the process: the scan will have it too, and tell
            end_step()
            trail.end_alone()
    trail.close()


def _screened(record: Record, asked: Asked) -> None:
    screen(record.image, asked.picture_kinds, asked.policy, asked.policy.variants)


def _embedded(record: Record, asked: Asked) -> Callable[[], object] | None:
    """What gives a record's picture to the model, loaded and decoded; None if it has no picture."""
    _, pixels = screen(record.image, (), asked.policy)
    return None if isinstance(pixels, Reason) else partial(embedder_of(asked).embed, [pixels])


def _records(trial: Trial) -> Iterator[Record]:
    items = iter(format_of(trial.shard.format).read(trial.root, trial.shard, trial.mapping))
    for record in cast("Iterator[Record | Unreadable]", items):
        if record.row > trial.suspect.last:
            return
        if record.row >= trial.suspect.first and record.row not in trial.known and isinstance(record, Record):
            yield record


def require_few(passed: Sequence[PassedOver]) -> None:
    """Refuse a shard that costs a worker again and again.

    Raises:
        EngineError: more records are to be passed over than one shard may have.
    """
    if len(passed) > MOST_PASSED:
        raise EngineError(
            "too many records of this shard end their worker or make the model fail",
            expected=f"at most {MOST_PASSED}",
            seen="more",
            todo="Look at the machine's memory and at the time that a record may take. To have these records tried "
            "again, remove the folder `passed` of the store.",
        )
