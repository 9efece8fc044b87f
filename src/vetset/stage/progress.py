"""What a long stage tells while it runs: shards, records and bytes, never anything about findings.

How long the search for neighbours takes depends on the number of seeds. So only a custodian's commands tell of it.
"""

from typing import Protocol


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

    def advanced(self, size: int, records: int) -> None:
        """A shard is done, of so many bytes and records."""
        ...

    def finished(self) -> None:
        """The stage is over."""
        ...


class Silent:
    """Says nothing."""

    def started(self, stage: str, shards: int, size: int) -> None:
        """Nothing."""

    def advanced(self, size: int, records: int) -> None:
        """Nothing."""

    def finished(self) -> None:
        """Nothing."""
