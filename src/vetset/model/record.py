"""What a reader yields. Image bytes live in a worker's memory and die there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vetset.model.signal import Kind, Reason


@dataclass(frozen=True, slots=True)
class Fields:
    """The dataset's own columns of one record, after mapping.

    Attributes:
        url: the address as stored, or None.
        declared: digests that the dataset states of the record, as raw bytes, by kind.
        malformed: kinds whose column held something that is no digest of that kind.
        columns: everything else (caption, size, scores, …) as JSON scalars; read again only when a match is sealed.
    """

    url: str | None = None
    declared: Mapping[Kind, bytes] = field(default_factory=dict)
    malformed: frozenset[Kind] = frozenset()
    columns: Mapping[str, str | int | float | bool | None] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return "Fields(<withheld>)"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a shard whose picture could be read.

    Attributes:
        row: position in the shard's own order, from 0.
        key: the dataset's own key.
        image: the stored bytes, exactly.
        fields: the dataset's own columns.
    """

    row: int
    key: str
    image: bytes = field(repr=False)
    fields: Fields = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One record whose picture is not there or cannot be read. Its address and declared digests still count."""

    row: int
    key: str
    reason: Reason
    fields: Fields = field(repr=False)
