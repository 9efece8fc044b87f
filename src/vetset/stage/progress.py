"""What a long stage tells while it runs: shards, records and bytes, never anything about findings."""

from typing import Protocol

from vetset.model.dataset import Shard


class Reporter(Protocol):
    """Hears of progress."""

    def started(self, stage: str, shards: int, size: int) -> None:
        """A stage begins.

        Args:
            stage: its name.
            shards: how many it will go through.
            size: their bytes.
        """
        ...

    def advanced(self, shard: Shard, records: int) -> None:
        """A shard is done, with this many records."""
        ...

    def finished(self) -> None:
        """The stage is over."""
        ...


class Silent:
    """Says nothing."""

    def started(self, stage: str, shards: int, size: int) -> None:
        """Nothing."""

    def advanced(self, shard: Shard, records: int) -> None:
        """Nothing."""

    def finished(self) -> None:
        """Nothing."""
