"""Fingerprints, and the reasons why there is none. A record without a signal is a value of its own, never a gap."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a fingerprint is taken of, and how. The string values are the words of lists, policies and the store."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    URL_MD5 = "url_md5"
    URL_SHA256 = "url_sha256"
    PDQ = "pdq"
    PHOTODNA = "photodna"
    """Never computed here: a value comes from whoever is licensed to take it, on both sides."""
    EMBEDDING = "embedding"

    @property
    def width(self) -> int:
        """Bytes of one value; 0 for embeddings, whose width is their model's."""
        return _WIDTH[self]

    @property
    def is_url(self) -> bool:
        """Whether the value is taken of the address instead of the picture."""
        return self in (Kind.URL_MD5, Kind.URL_SHA256)


_WIDTH = {
    Kind.MD5: 16,
    Kind.SHA1: 20,
    Kind.SHA256: 32,
    Kind.URL_MD5: 16,
    Kind.URL_SHA256: 32,
    Kind.PDQ: 32,
    Kind.PHOTODNA: 144,
    Kind.EMBEDDING: 0,
}

BYTE_KINDS = (Kind.MD5, Kind.SHA1, Kind.SHA256)
"""Digests of the stored bytes."""

URL_KINDS = (Kind.URL_MD5, Kind.URL_SHA256)
"""Digests of the address, as the UTF-8 bytes that the dataset holds."""

DIGEST_KINDS = BYTE_KINDS + URL_KINDS
"""Kinds that match by equality."""

USUAL_KINDS = (*DIGEST_KINDS, Kind.PDQ)
"""Kinds that are looked at where a policy does not say otherwise."""

LIST_KINDS = (*USUAL_KINDS, Kind.PHOTODNA)
"""Kinds that a hash list may carry."""

DECLARED_KINDS = (*BYTE_KINDS, Kind.PHOTODNA)
"""Kinds that a column of a dataset may state of a picture."""


class Variant(StrEnum):
    """Which form of the record a signal was taken of. Each is one change of the stored picture, never two."""

    STORED = "stored"
    """The bytes as they lie in the dataset; of an animation, its first frame."""

    DECLARED = "declared"
    """What a column of the dataset says; for img2dataset the digest of the bytes as downloaded, before resizing."""

    UPRIGHT = "upright"
    """Turned as the EXIF orientation says, where it says anything but *leave it*."""

    WHITE = "white"
    """Over white, where a pixel is transparent."""

    BLACK = "black"
    """Over black, where a pixel is transparent."""

    FRAME_1 = "frame:1"
    """The first of the sampled later frames of an animation: which sample it is, not which frame."""

    FRAME_2 = "frame:2"
    FRAME_3 = "frame:3"
    FRAME_4 = "frame:4"
    FRAME_5 = "frame:5"
    FRAME_6 = "frame:6"
    FRAME_7 = "frame:7"
    FRAME_8 = "frame:8"

    RESIZED_512 = "resized512"
    """Brought to 512 x 512 before hashing, where a side is longer: what Meta's C++ file tool hashes."""

    PARTIAL = "partial"
    """What decodes of a file that ends early. It may match; it never makes a record decided."""

    MIRRORED = "mirrored"
    """Left and right exchanged."""

    FLIPPED = "flipped"
    """Top and bottom exchanged."""

    TURNED_90 = "turned90"
    """Clockwise, as the next two."""

    TURNED_180 = "turned180"
    TURNED_270 = "turned270"

    TRANSPOSED = "transposed"
    """Mirrored along the diagonal through the first pixel."""

    TRANSVERSED = "transversed"
    """Mirrored along the other diagonal."""


FRAME_VARIANTS = tuple(variant for variant in Variant if variant.value.startswith("frame:"))
"""Sampled later frames, in their order."""


class Form(StrEnum):
    """What a policy can ask to be hashed beside the picture as stored. The string values are its words."""

    UPRIGHT = "upright"
    WHITE = "white"
    BLACK = "black"
    FRAMES = "frames"
    RESIZED_512 = "resized512"
    PARTIAL = "partial"
    DIHEDRAL = "dihedral"

    def variants(self, frames: int) -> tuple[Variant, ...]:
        """The variants that it stands for; `frames` is how many later frames are sampled of an animation."""
        return FRAME_VARIANTS[:frames] if self is Form.FRAMES else _VARIANTS_OF[self]


_VARIANTS_OF = {
    Form.UPRIGHT: (Variant.UPRIGHT,),
    Form.WHITE: (Variant.WHITE,),
    Form.BLACK: (Variant.BLACK,),
    Form.RESIZED_512: (Variant.RESIZED_512,),
    Form.PARTIAL: (Variant.PARTIAL,),
    Form.DIHEDRAL: (
        Variant.MIRRORED, Variant.FLIPPED, Variant.TURNED_90, Variant.TURNED_180, Variant.TURNED_270,
        Variant.TRANSPOSED, Variant.TRANSVERSED,
    ),
}  # fmt: skip


class Reason(StrEnum):
    """Why a record has no signal of a kind. Every one of them makes the record *undecided* for that kind."""

    ABSENT_COLUMN = "absent_column"
    NULL_VALUE = "null_value"
    MALFORMED_VALUE = "malformed_value"
    NOT_DOWNLOADED = "not_downloaded"
    METADATA_ONLY = "metadata_only"
    NO_IMAGE = "no_image"
    EMPTY_FILE = "empty_file"
    TOO_LARGE = "too_large"
    UNKNOWN_ENCODING = "unknown_encoding"
    UNDECODABLE = "undecodable"
    TRUNCATED = "truncated"
    LOW_QUALITY = "low_quality"
    DAMAGED_SHARD = "damaged_shard"
    NO_EMBEDDING = "no_embedding"
    DEGENERATE_VECTOR = "degenerate_vector"
    NOT_SCANNED = "not_scanned"
    CRASHED = "crashed"
    """Computing it ended its worker, among other records and alone."""
    TIMED_OUT = "timed_out"
    """Computing it took longer than a record may take, among other records and alone."""
    EMBEDDING_FAILED = "embedding_failed"
    """The model failed on its picture, or had no memory for it, among other pictures and alone."""

    @property
    def code(self) -> int:
        """The byte that stands for the reason in the store; 0 is never used (it means: there is a signal)."""
        return _CODES[self]


NOT_OF_A_PICTURE = frozenset(
    {
        Reason.ABSENT_COLUMN, Reason.NULL_VALUE, Reason.MALFORMED_VALUE, Reason.METADATA_ONLY, Reason.DAMAGED_SHARD,
        Reason.NO_EMBEDDING, Reason.DEGENERATE_VECTOR, Reason.NOT_SCANNED, Reason.EMBEDDING_FAILED,
    }
)  # fmt: skip
"""Reasons that say nothing of what a record stores: a table, a vector or a shard has them."""

# The store keeps these numbers for ever: add at the end, never renumber.
_CODES = {reason: number for number, reason in enumerate(Reason, start=1)}
REASON_OF_CODE = {number: reason for reason, number in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Signal:
    """One fingerprint of one record.

    Attributes:
        kind: what it is.
        value: raw bytes, `kind.width` of them (PDQ: the 32 bytes of its 64-digit hex form, most significant first;
            PhotoDNA: its 144 components); for an embedding the float32 components in native order.
        quality: 0–100 for PDQ, 100 for everything else.
        variant: which form of the record it was taken of.
    """

    kind: Kind
    value: bytes
    quality: int = 100
    variant: Variant = Variant.STORED


@dataclass(frozen=True, slots=True)
class NoSignal:
    """Why there is no fingerprint of a kind."""

    kind: Kind
    reason: Reason
    variant: Variant = Variant.STORED
