"""Hash lists: opinions with an owner, a category, a date and a licence. Their `repr` never shows a value."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntFlag, StrEnum
from typing import NoReturn, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import UsageError
from vetset.model.signal import Kind

UNKNOWN = "unknown"
"""What is recorded where the importer was not told."""


HOST = r"(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:]*:[0-9a-f:.]*)"
"""A host as a list's origin names it: a name in ASCII, or an address."""
STATED = "stated"
"""Origin of a list whose owner is nobody's word but the importer's."""


class Category(StrEnum):
    """The small common vocabulary of harms. Findings of different categories are never summed into one claim."""

    CHILD_ABUSE = "child-abuse"
    EXPLOITATIVE = "exploitative"
    """Of children, and by its owner's words not child abuse material: NCMEC's lists called *Exploitative*."""
    INTIMATE_IMAGES = "intimate-images"
    TERRORISM = "terrorism"
    OPT_OUT = "opt-out"
    BENCHMARK = "benchmark"
    BENIGN = "benign"
    """No harm at all: lawful pictures that no other list may hold. Never held against a dataset."""
    OTHER = "other"

    @property
    def may_be_reported_as_child_abuse(self) -> bool:
        """Whether what matches may be told to a hotline for child abuse: this harm alone, and no other beside it."""
        return self is Category.CHILD_ABUSE


class EntryFlag(IntFlag):
    """What is thought of an entry here. The first two keep it from confirming anything, and so from seeding."""

    NONE = 0
    QUARANTINED = 1
    """Set apart here, until somebody releases it: an alarm, a benign picture, a custodian."""
    DISPUTED = 2
    """Its owner's members speak against it."""
    RELEASED = 4
    """Somebody looked into it and stands by it: no alarm sets it apart again."""
    UNVETTED = 8
    """None of its owner's people has looked at the item yet. It is matched and removed as others are, and confirms
    nothing."""


DOUBTFUL = EntryFlag.QUARANTINED | EntryFlag.DISPUTED
"""What there is reason to believe is wrong."""


def one_spelling(name: str) -> str:
    """The name of somebody, such that two spellings of it are one: case, width, composed letters, white space."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def voice_of(owner: str, origin: str) -> str:
    """Who stands behind a list, such that two spellings of a name are one owner; empty where nobody does.

    Args:
        owner: whose opinion it is, or `unknown`, however that is spelled.
        origin: as of `ListInfo`.
    """
    name = one_spelling(owner)
    return name if name != UNKNOWN else "" if origin == STATED else origin


@dataclass(frozen=True, slots=True)
class ListInfo:
    """What is known about a list as a whole.

    Attributes:
        name: the name it has here: letters, digits, `.`, `_`, `-`.
        owner: whose opinion it is.
        category: which harm its entries are about.
        licence: under what terms it may be used.
        as_of: ISO date of the owner's state, or `unknown`.
        purpose: what it may be used for: words (`dataset-audit`) with commas between, or `unknown`.
        expires: ISO date after which it must not be used, or `unknown`.
        origin: how it is known whose it is: `signed:` and the signer's fingerprint, `service:` and the host that gave
            it for the owner's credentials, or `stated` by whoever imported it.
        share_counts: whether its licence lets numbers of matches be told beside its name.
        pdq_radius: greatest Hamming distance for its PDQ values, where its owner wants less than the policy.
        version: digest of the content keyed with a secret of the vault, so that it confirms no guess.
        entries: number of distinct entries by kind.
        aside: how many of its opinions are held back, by reason: not matched (`withdrawn`, `grid`, `low_quality`), or
            matched without confirming anything (`disputed`, `quarantined`, `implausible` for a PDQ value).
    """

    name: str
    owner: str
    category: Category
    licence: str
    as_of: str = UNKNOWN
    purpose: str = UNKNOWN
    expires: str = UNKNOWN
    origin: str = STATED
    share_counts: bool = True
    pdq_radius: int | None = None
    version: str = ""
    entries: Mapping[Kind, int] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)

    def expired(self, today: date) -> bool:
        """Whether the list must not be used on this day (the day of expiry itself is still allowed)."""
        return self.expires != UNKNOWN and date.fromisoformat(self.expires) < today

    @property
    def voice(self) -> str:
        """Who stands behind it, see `voice_of`."""
        return voice_of(self.owner, self.origin)

    @property
    def answered_for(self) -> bool:
        """Whether an owner stands behind it. Of a list that nobody answers for nothing is removed or reported."""
        return bool(self.voice)

    def allows(self, purpose: str) -> bool:
        """Whether it may be used for this purpose, as far as is known."""
        return self.purpose == UNKNOWN or purpose in self.purpose.split(",")


class _NeverPickled:
    """What is not written down by pickling, nor sent to another process so: its values would lie there in the clear."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise UsageError(
            "a list is never pickled",
            todo="Send it sealed: `Vault.sealed(NAME, RECIPIENT)`, which is opened where it arrives.",
        )


@dataclass(frozen=True, slots=True)
class Entries(_NeverPickled):
    """All entries of one kind, as columns.

    Attributes:
        kind: what the values are.
        values: uint8 (n, kind.width), rows sorted and distinct.
        ids: bytes (n,), ASCII, the owner's ids or `line:N`.
        flags: uint8 (n,), `EntryFlag` bits.
        members: uint8 (n,), how many independent members of the owner gave the value and stand by it, 255 for more; 1
            at least.
    """

    kind: Kind
    values: NDArray[np.uint8] = field(repr=False)
    ids: NDArray[np.bytes_] = field(repr=False)
    flags: NDArray[np.uint8] = field(repr=False)
    members: NDArray[np.uint8] = field(repr=False)

    def __len__(self) -> int:
        return int(self.values.shape[0])


@dataclass(frozen=True, slots=True)
class HashList(_NeverPickled):
    """A list in memory, ready to be searched."""

    info: ListInfo
    entries: Mapping[Kind, Entries] = field(repr=False)
