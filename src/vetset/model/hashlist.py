"""Hash lists: opinions with an owner, a category, a date and a licence. Their `repr` never shows a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntFlag, StrEnum

import numpy as np
from numpy.typing import NDArray

from vetset.model.signal import Kind

UNKNOWN = "unknown"
"""What is recorded where the importer was not told."""


class Category(StrEnum):
    """The small common vocabulary of harms. Findings of different categories are never summed into one claim."""

    CHILD_ABUSE = "child-abuse"
    INTIMATE_IMAGES = "intimate-images"
    TERRORISM = "terrorism"
    OPT_OUT = "opt-out"
    BENCHMARK = "benchmark"
    OTHER = "other"


class EntryFlag(IntFlag):
    """What keeps an entry from seeding a search for neighbours."""

    NONE = 0
    QUARANTINED = 1
    DISPUTED = 2


@dataclass(frozen=True, slots=True)
class ListInfo:
    """What is known about a list as a whole.

    Attributes:
        name: the name it has here: letters, digits, `.`, `_`, `-`.
        owner: whose opinion it is.
        category: which harm its entries are about.
        licence: under what terms it may be used.
        as_of: ISO date of the owner's state, or `unknown`.
        purpose: what it may be used for, or `unknown`.
        expires: ISO date after which it must not be used, or `unknown`.
        version: digest of the content keyed with a secret of the vault, so that it confirms no guess.
        entries: number of distinct entries by kind.
    """

    name: str
    owner: str
    category: Category
    licence: str
    as_of: str = UNKNOWN
    purpose: str = UNKNOWN
    expires: str = UNKNOWN
    version: str = ""
    entries: Mapping[Kind, int] = field(default_factory=dict)

    def expired(self, today: date) -> bool:
        """Whether the list must not be used on this day (the day of expiry itself is still allowed)."""
        return self.expires != UNKNOWN and date.fromisoformat(self.expires) < today


@dataclass(frozen=True, slots=True)
class Entry:
    """One opinion: this value is, for this owner, an item of this category."""

    id: str
    kind: Kind
    value: bytes = field(repr=False)
    flags: EntryFlag = EntryFlag.NONE


@dataclass(frozen=True, slots=True)
class Entries:
    """All entries of one kind, as columns.

    Attributes:
        kind: what the values are.
        values: uint8 (n, kind.width), rows sorted and distinct.
        ids: bytes (n,), ASCII, the owner's ids or `line:N`.
        flags: uint8 (n,), `EntryFlag` bits.
    """

    kind: Kind
    values: NDArray[np.uint8] = field(repr=False)
    ids: NDArray[np.bytes_] = field(repr=False)
    flags: NDArray[np.uint8] = field(repr=False)

    def __len__(self) -> int:
        return int(self.values.shape[0])


@dataclass(frozen=True, slots=True)
class HashList:
    """A list in memory, ready to be searched."""

    info: ListInfo
    entries: Mapping[Kind, Entries] = field(repr=False)
