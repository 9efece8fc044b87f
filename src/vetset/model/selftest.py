"""What a run was tried on before it may claim anything: known pictures, its own list entries, planted vectors."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScanTest:
    """How known pictures came out where a shard was scanned.

    Attributes:
        tools: hex SHA-256 over the pictures and the versions of everything that decodes, hashes and embeds there.
        pictures: how many came out as they must.
        failed: what came out otherwise, in words.
    """

    tools: str
    pictures: int
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Selftest:
    """The self-test of one run. Public: nothing of it depends on findings.

    Attributes:
        pictures: known pictures that came out as they must wherever a shard was scanned; the least number of them.
        indexes: indexes, of one kind of one list, that found a sample of their own entries.
        vectors: planted vectors that the search for neighbours found.
        failed: what came out otherwise and no recheck can mend, in words without a value.
    """

    pictures: int = 0
    indexes: int = 0
    vectors: int = 0
    failed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, int]:
        """What was tried, as JSON."""
        return {"pictures": self.pictures, "indexes": self.indexes, "vectors": self.vectors}
