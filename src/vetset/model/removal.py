"""What a custodian signs: which records a revision must lose."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vetset.model.signal import USUAL_KINDS, Kind


@dataclass(frozen=True, slots=True)
class RemovalOrder:
    """Records to drop from one revision, as tokens that mean nothing without the dataset itself.

    A token is HMAC-SHA-256 of the record's identity (shard name, row, key) under `salt`, cut to 16 bytes. Whoever holds
    the dataset can tell which records are meant, as the one who cleans must; the order alone holds no key, no address
    and no digest of a picture.

    Attributes:
        dataset: digest of the revision that the order is for (see `case.manifest.Manifest.dataset_digest`).
        salt: hex, 32 bytes.
        tokens: hex, sorted, distinct.
        mapping: the column mapping of the audit, by role. It decides what a record's key is, so that who cleans under
            another one would find no record of the order in the dataset.
        kinds: what the audit took of each record. With the mapping it decides which columns of a table the digest of a
            shard covers.
        embeddings: place of the embeddings that the audit joined, which must lose the same records; empty if none.
        embedding_columns: what holds their keys and their vectors, where the audit's policy named it.
        lists: name, date and version of every list that the order rests on.
        cover: whether records were added that are not findings; without cover the new revision must stay private.
    """

    dataset: str
    salt: str = field(repr=False)
    tokens: tuple[str, ...] = field(repr=False)
    mapping: Mapping[str, str | None] = field(default_factory=dict)
    kinds: tuple[Kind, ...] = USUAL_KINDS
    embeddings: str = ""
    embedding_columns: tuple[str, str] = ("", "")
    lists: tuple[str, ...] = ()
    cover: bool = False
