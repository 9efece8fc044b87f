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
    Kind.EMBEDDING: 0,
}

BYTE_KINDS = (Kind.MD5, Kind.SHA1, Kind.SHA256)
"""Digests of the stored bytes."""

URL_KINDS = (Kind.URL_MD5, Kind.URL_SHA256)
"""Digests of the address, as the UTF-8 bytes that the dataset holds."""

DIGEST_KINDS = BYTE_KINDS + URL_KINDS
"""Kinds that match by equality."""

LIST_KINDS = (*DIGEST_KINDS, Kind.PDQ)
"""Kinds that a hash list may carry."""


class Variant(StrEnum):
    """Which form of the record a signal was taken of."""

    STORED = "stored"
    """The bytes as they lie in the dataset."""

    DECLARED = "declared"
    """What a column of the dataset says; for img2dataset the digest of the bytes as downloaded, before resizing."""


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

    @property
    def code(self) -> int:
        """The byte that stands for the reason in the store; 0 is never used (it means: there is a signal)."""
        return _CODES[self]


# The store keeps these numbers for ever: add at the end, never renumber.
_CODES = {reason: number for number, reason in enumerate(Reason, start=1)}
REASON_OF_CODE = {number: reason for reason, number in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Signal:
    """One fingerprint of one record.

    Attributes:
        kind: what it is.
        value: raw bytes, `kind.width` of them (PDQ: the 32 bytes of its 64-digit hex form, most significant first);
            for an embedding the float32 components in native order.
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
