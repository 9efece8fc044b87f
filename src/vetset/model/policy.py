"""Every threshold, cap and rule in one typed object with a digest. Nothing else in vetset holds a threshold.

The scan part has a digest of its own: changing a radius must not make anybody read pictures again.
"""

from datetime import date
from fractions import Fraction
from math import floor
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from vetset.model.canonical import document_digest
from vetset.model.hashlist import UNKNOWN
from vetset.model.signal import FRAME_VARIANTS, LIST_KINDS, NOT_OF_A_PICTURE, USUAL_KINDS, Form, Kind, Reason, Variant


def squared(radius: float) -> int:
    """Greatest whole squared distance that lies within a radius of 0 or more; exact, whatever the radius."""
    return floor(Fraction(radius) ** 2)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, use_enum_values=False)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the canonical form of every setting of this part."""
        return document_digest(self.model_dump(mode="json"))


class ScanPolicy(_Section):
    """What is computed of each record. Part of the key of every stored shard."""

    kinds: tuple[Kind, ...] = USUAL_KINDS
    """Kinds of signal to compute, in any order; `embedding` is added by `--embedder`. `photodna` is only read, from a
    column of the dataset."""
    max_image_bytes: int = Field(default=256 << 20, ge=1)
    """A stored picture of more bytes is undecided for perceptual kinds (its digests are still taken)."""
    max_pixels: int = Field(default=1 << 28, ge=1)
    """A picture whose header claims more pixels is undecided (`too_large`) without being decoded."""
    min_pdq_quality: int = Field(default=50, ge=0, le=100)
    """A PDQ hash of lower quality decides nothing (`low_quality`)."""
    variants: tuple[Form, ...] = (Form.UPRIGHT, Form.WHITE, Form.BLACK, Form.FRAMES, Form.PARTIAL)
    """Forms of a picture that are hashed (PDQ) beside the one that is stored, where they differ from it."""
    frames: int = Field(default=2, ge=1, le=len(FRAME_VARIANTS))
    """Later frames that are sampled of an animation, if `frames` is among the variants."""

    @field_validator("kinds")
    @classmethod
    def _ordered_kinds(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if not kinds or len(set(kinds)) != len(kinds) or not set(kinds) <= set(LIST_KINDS):
            raise ValueError(f"name each kind once, out of {', '.join(LIST_KINDS)}")
        return tuple(kind for kind in Kind if kind in kinds)

    @field_validator("variants")
    @classmethod
    def _ordered_variants(cls, variants: tuple[Form, ...]) -> tuple[Form, ...]:
        if len(set(variants)) != len(variants):
            raise ValueError(f"name each variant once, out of {', '.join(Form)}")
        return tuple(form for form in Form if form in variants)

    @property
    def pdq_variants(self) -> tuple[Variant, ...]:
        """Variants that PDQ is taken of beside `stored`, in the order of their columns; none without PDQ."""
        if Kind.PDQ not in self.kinds:
            return ()
        return tuple(variant for form in self.variants for variant in form.variants(self.frames))


class MatchPolicy(_Section):
    """When a signal agrees with an entry, and when that confirms the record."""

    pdq_radius: int = Field(default=31, ge=0, le=31)
    """Greatest Hamming distance (of 256 bits) that is a match; where a list's owner wants less, that counts."""
    confirm_distance: int = Field(default=20, ge=0, le=31)
    """Greatest Hamming distance at which a perceptual match confirms, and so may seed neighbours."""
    confirm_quality: int = Field(default=70, ge=0, le=100)
    """Least PDQ quality of the record at which a perceptual match confirms."""
    confirm_owners: int = Field(default=1, ge=1, le=255)
    """Independent owners, or members of one owner, who must say the same harm of a record before a match confirms."""
    photodna_radius: float | None = Field(default=None, ge=0, le=3060)
    """Greatest Euclidean distance of PhotoDNA values (of 144 components, 0 to 255) that is a match: what their licence
    states. Nobody publishes one, so there is none unless it is named, and without it no PhotoDNA value is compared."""
    confirm_photodna: float | None = Field(default=None, ge=0, le=3060)
    """Greatest Euclidean distance at which a PhotoDNA match confirms; without it, none confirms alone."""

    @model_validator(mode="after")
    def _within_radius(self) -> Self:
        if self.confirm_distance > self.pdq_radius:
            raise ValueError("confirm_distance is greater than pdq_radius")
        if self.confirm_photodna is not None and self.confirm_photodna > (self.photodna_radius or 0):
            raise ValueError("confirm_photodna is greater than photodna_radius, or that is not named")
        return self


class ExpandPolicy(_Section):
    """How neighbours are searched and how near is near."""

    k: int = Field(default=100, ge=1, le=100_000)
    """Neighbours of each seed that are returned, within the threshold; its copies by bytes or PDQ come beside them."""
    crowd: int = Field(default=1_000, ge=0, le=100_000)
    """Rows that the search keeps of each seed beside the k, so that copies and collapsed vectors hide no neighbour."""
    search_memory_mb: int = Field(default=2_048, ge=1, le=1 << 20)
    """Memory in MiB that the search for neighbours may take; for more seeds than fit, there are several passes. What it
    returns, 24 bytes for each seed and neighbour, comes beside it. It changes nothing of what is found."""
    collapsed_from: int = Field(default=10, ge=2)
    """From so many pictures on that share a seed's very point and are no copies of it or of each other, the point is
    a place where pictures collapse, and what lies there is left out."""
    hub_seeds: int = Field(default=10, ge=2)
    """A record near so many seeds that are not near each other is told of as a hub."""
    false_candidate_rate: float = Field(default=1e-3, gt=0, le=0.1)
    """Share of random pairs of this dataset that may pass the threshold; the threshold is calibrated to it."""
    calibration_pairs: int = Field(default=2_000_000, ge=1_000, le=5_000_000)
    """Random pairs that the calibration looks at, all those of some vectors; in memory at once, at 64 bytes each."""
    calibration_probes: int = Field(default=10_000, ge=0, le=1_000_000)
    """Records whose near-duplicates are looked for by PDQ, to tell how many of them the threshold reaches."""
    calibration_seeds: int = Field(default=256, ge=0, le=10_000)
    """Records whose look-alikes are looked for among all vectors, in one pass."""
    min_similarity: float = Field(default=0.5, ge=-1, le=1)
    """The threshold is never lower than this cosine."""
    max_similarity: float = Field(default=0.9, ge=-1, le=1)
    """The threshold is never higher than this cosine."""

    key_column: str = ""
    """Column of the dataset's keys in embeddings that are brought, where its name does not say it."""
    vector_column: str = ""
    """Column, array, tensor or member's extension of their vectors, where there are several."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_similarity > self.max_similarity:
            raise ValueError("min_similarity is greater than max_similarity")
        return self


class RemovePolicy(_Section):
    """What a removal order contains. Records with verdict `known` and confirmed matches are always in it."""

    unconfirmed_matches: bool = True
    """Also matches that do not confirm: addresses, and perceptual ones outside the confirming distance."""
    near: bool = True
    """Also candidates with verdict `near` or `match_unclassified`."""
    undecided_candidates: bool = False
    """Also candidates that no verifier has decided about."""
    doubtful: bool = False
    """Also what is set apart: entries that are quarantined, disputed or under an alarm, and lists under an alarm."""
    copies: bool = True
    """Also every record that stores the same bytes as one of the above."""
    undecided: tuple[Reason, ...] = ()
    """Also records that PDQ could not decide for one of these reasons; without any, they are kept and counted."""

    @field_validator("undecided")
    @classmethod
    def _ordered_reasons(cls, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        known = [reason for reason in Reason if reason not in NOT_OF_A_PICTURE]
        if len(set(reasons)) != len(reasons) or not set(reasons) <= set(known):
            raise ValueError(f"name each reason once, out of {', '.join(known)}")
        return tuple(reason for reason in known if reason in reasons)


class ListsPolicy(_Section):
    """What is wanted of lists."""

    oldest_days: int = Field(default=0, ge=0, le=36_500)
    """A list of an older state is told of as such when it is held against the records; 0: no rule."""

    def too_old(self, as_of: str, day: str) -> bool | None:
        """Whether a list of that state was too old on that day; None where one of the two is not known.

        Args:
            as_of: ISO date of the owner's state, or `unknown`.
            day: ISO date on which the list was held, or empty.
        """
        if not self.oldest_days:
            return False
        if as_of == UNKNOWN or not day:
            return None
        return (date.fromisoformat(day) - date.fromisoformat(as_of)).days > self.oldest_days


class AlarmPolicy(_Section):
    """From when on a list or an entry looks as if it were not what its owner meant."""

    unlike: int = Field(default=10, ge=1)
    """Most groups of records, farther from each other than the radius, that one PDQ value may match."""
    unlike_pairs: float = Field(default=0.2, ge=0, le=1)
    """Share of pairs of these records that may be so far apart: edits of one picture stay near each other."""
    contents: int = Field(default=50, ge=1)
    """Most different contents under one address."""
    hit_rate: float = Field(default=1e-3, gt=0, le=1)
    """Greatest share of the records that one list may match, if it matches `hits` of them."""
    hits: int = Field(default=1_000, ge=1)
    """Fewer matched records than this say nothing of a whole list."""
    jump: float = Field(default=10, ge=1)
    """How many times as many records as before a newer version of a list may match, if these are `hits`."""


class SealPolicy(_Section):
    """How large a sealed bundle looks."""

    floor_bytes: int = Field(default=256 << 10, ge=1 << 10, le=1 << 30)
    """Least size class of a sealed part."""
    bytes_per_record: float = Field(default=1 / 16, ge=0, le=64)
    """The floor grows by this much with every record of the dataset, so that size does not follow findings."""


class Policy(_Section):
    """All of it."""

    version: Literal[1] = 1
    scan: ScanPolicy = ScanPolicy()
    match: MatchPolicy = MatchPolicy()
    expand: ExpandPolicy = ExpandPolicy()
    remove: RemovePolicy = RemovePolicy()
    lists: ListsPolicy = ListsPolicy()
    alarm: AlarmPolicy = AlarmPolicy()
    seal: SealPolicy = SealPolicy()

    @model_validator(mode="after")
    def _copies_can_be_seen(self) -> Self:
        if self.remove.copies and Kind.SHA256 not in self.scan.kinds:
            raise ValueError("remove.copies needs sha256 among scan.kinds")
        return self

    @model_validator(mode="after")
    def _undecided_can_be_seen(self) -> Self:
        if self.remove.undecided and Kind.PDQ not in self.scan.kinds:
            raise ValueError("remove.undecided needs pdq among scan.kinds")
        return self
