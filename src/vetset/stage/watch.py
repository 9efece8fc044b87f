"""Which records a scan passes over, and a watch over the record in hand, so that a crash or a hang costs one record.

Before a record's picture is decoded its row is written into the shard's trail, a file that outlives the worker, and an
alarm is set that ends the worker if the record takes too long. Whoever scans the shard next finds the row there and
tries that record alone, in a process of its own. If that ends the same way, the record is remembered and passed over;
if it does not, something else ended the worker, and there is no mark.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from vetset.engine.worker import begin_step, end_step
from vetset.model.signal import Reason
from vetset.store.passed import PassedOver
from vetset.store.trail import Trail

RECORD_SECONDS = 60.0
"""Longest time for one record, unless another is asked for. The largest picture that the default policy lets in takes
about half of it in every variant there is."""
LEAST_SECONDS, MOST_SECONDS = 0.01, 1e6
"""What may be asked for."""


class Watch:
    """Over one scan of one shard.

    Args:
        passed: records to pass over.
        trail: where the record in hand is noted. None where this process is no worker and may not be ended: then nobody
            watches.
        seconds: longest time for one record.
    """

    def __init__(
        self, passed: Iterable[PassedOver] = (), trail: Trail | None = None, seconds: float = RECORD_SECONDS
    ) -> None:
        found = tuple(passed)
        self.undecoded: Mapping[int, Reason] = {one.row: one.reason for one in found if not one.embedding}
        self.unembedded: Mapping[int, Reason] = {one.row: one.reason for one in found if one.embedding}
        self._trail = trail
        self._seconds = seconds

    def begin(self, row: int) -> None:
        """A record is in hand."""
        if self._trail is not None:
            self._trail.begin(row)
            begin_step(self._seconds)

    def end(self) -> None:
        """None is, whatever became of it."""
        if self._trail is not None:
            end_step()
            self._trail.end()

    @contextmanager
    def embedding(self, first: int, last: int, pictures: int) -> Iterator[None]:
        """The time that the model has some pictures, of records from `first` to `last`."""
        if self._trail is None:
            yield
            return
        begin_step(self._seconds * pictures)
        self._trail.begin_embedding(first, last)
        try:
            yield
        finally:
            self._trail.end_embedding()
            end_step()
