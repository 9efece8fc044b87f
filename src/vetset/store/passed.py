"""Records that a scan passes over: computing their signals crashed the worker or took too long, or the model failed.

Such a record is remembered under place, size and stamp of its shard and the way of scanning, so that another version of
the signals tries it again. Which records were passed over is part of the key of the shard's part: a part without them
never stands for one that has them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from vetset.model.signal import Reason

MOST_PASSED = 16
"""Records that may be passed over in one shard; with more of them the shard fails."""


@dataclass(frozen=True, slots=True, order=True)
class PassedOver:
    """One record whose picture is not decoded, or not given to the model.

    Attributes:
        row: its position in the shard.
        reason: `crashed`, `timed_out`, or of a model alone `embedding_failed`.
        embedding: whether it is the model that could not do it; else the decoder, or what is taken of the pixels.
        seconds: the time that was too short, 0 for other reasons.
    """

    row: Annotated[int, Field(ge=0)]
    reason: Literal[Reason.CRASHED, Reason.TIMED_OUT, Reason.EMBEDDING_FAILED]
    embedding: bool = False
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @property
    def effect(self) -> tuple[int, str, bool]:
        """What it changes in a part; the time is not among it."""
        return self.row, self.reason.value, self.embedding


_NOTE = TypeAdapter(tuple[PassedOver, ...])


def parsed(data: bytes) -> tuple[PassedOver, ...]:
    """What a note says; nothing if it is damaged, since these records are found again."""
    try:
        return tuple(sorted(_NOTE.validate_json(data)))
    except ValidationError:
        return ()


def written(passed: Iterable[PassedOver]) -> list[dict[str, object]]:
    """The note, as JSON values."""
    found: list[dict[str, object]] = _NOTE.dump_python(tuple(sorted(passed)), mode="json")
    return found


def still(passed: Iterable[PassedOver], seconds: float | None) -> tuple[PassedOver, ...]:
    """Those that a scan with this time for each record passes over: more time than they had is a reason to try again.

    Args:
        passed: what is remembered.
        seconds: the time, or None if nothing is going to be scanned.
    """
    return tuple(
        one for one in passed if one.reason is not Reason.TIMED_OUT or seconds is None or seconds <= one.seconds
    )
