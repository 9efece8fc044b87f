"""How often confirmed items occur in the dataset. Numbers only: no record, no address, no digest of a record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ItemCopies:
    """One item and the records that show it; each record is counted once, by its strongest evidence.

    Attributes:
        confirmed: confirmed records; they are what makes the item.
        by_bytes: others that store the bytes of one of these.
        by_pdq: others whose PDQ lies within the confirming distance of one of these.
        by_embedding: others that a round found near one of these, and that nothing confirms.
        harms: categories of the lists that know it, sorted; `unknown` where what led to it was withdrawn; empty if
            sealed before this was noted.
    """

    confirmed: int
    by_bytes: int
    by_pdq: int
    by_embedding: int
    harms: tuple[str, ...] = ()

    @property
    def occurrences(self) -> int:
        """Records that show it, by any evidence."""
        return self.confirmed + self.by_bytes + self.by_pdq + self.by_embedding


@dataclass(frozen=True, slots=True)
class CopiesPart:
    """Every item of a case with the records that show it.

    Attributes:
        items: most frequent first.
        records: distinct records that show an item; one may show two.
        records_by_harm: the same for the items of each harm; harms are never added up.
        dataset_records: records that were looked at.
        with_bytes: how many of these have a SHA-256 of stored bytes.
        with_pdq: how many have a PDQ of the quality that confirms.
        confirmed: hex SHA-256 of the confirmed records and the candidates that it was counted for: where it is another
            by now, the numbers are of before.
    """

    items: tuple[ItemCopies, ...]
    records: int
    dataset_records: int
    with_bytes: int
    with_pdq: int
    confirmed: str
    records_by_harm: Mapping[str, int] = field(default_factory=dict)
    part: Literal["copies"] = "copies"
