"""What the demonstration knows of its own dataset: the labels that its findings are held against."""

from dataclasses import dataclass, field
from typing import Any

from vetset.model.signal import Kind


@dataclass(frozen=True, slots=True)
class KnownItem:
    """One picture that a hash list knows.

    Attributes:
        name: `known-NNN`.
        label: the tile that it shows.
        listed: kinds of the entries that the first list has of it, in the order of `Kind`.
        url: the address that `url_sha256` entries are of.
        original: the bytes that the other entries are of; not always stored in the dataset.
    """

    name: str
    label: str
    listed: tuple[Kind, ...]
    url: str = field(repr=False)
    original: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlantedRecord:
    """One record of the dataset.

    Attributes:
        key: the dataset's key.
        shard: name of the shard without suffix.
        row: position in the shard's Parquet file, from 0; failed downloads count.
        label: the tile that it shows; empty where it shows none.
        role: `distractor` (unknown to all lists), `copy:EDIT` (of a distractor, likewise unknown), `original`,
            `resized` (a known item stored smaller, whose declared digest is of the original), `edit:EDIT`,
            `odd:ENCODING`, `damaged:DAMAGE`, or `failed` (no picture was downloaded).
        known: name of the known item that it shows, or that its address is of; None for all others.
        image: the stored bytes; None for `failed`.
    """

    key: str
    shard: str
    row: int
    label: str
    role: str
    known: str | None
    image: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Planted:
    """The labels of a whole dataset.

    Attributes:
        seed: what it was built from.
        items: the known items.
        records: every record, in the order of shards and rows.
    """

    seed: int
    items: tuple[KnownItem, ...]
    records: tuple[PlantedRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """The labels without bytes and addresses."""
        return {
            "seed": self.seed,
            "items": [{"name": item.name, "label": item.label, "listed": list(item.listed)} for item in self.items],
            "records": [
                {
                    "key": record.key,
                    "shard": record.shard,
                    "row": record.row,
                    "label": record.label,
                    "role": record.role,
                    "known": record.known,
                }
                for record in self.records
            ],
        }
