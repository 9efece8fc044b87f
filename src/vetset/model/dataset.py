"""Where the data is: shards, and the two identities that a record has."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType


class Format(StrEnum):
    """The dataset formats that have a reader and a writer."""

    FOLDER = "folder"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"
    HUGGINGFACE = "huggingface"


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """The unit of work, of resume and of distribution, as it is known before it is read.

    Attributes:
        uri: place relative to the dataset's root, with forward slashes; unique within the dataset.
        format: which reader understands it.
        size: bytes of everything that the shard consists of.
        stamp: changes when the shard's files change without being read (names, sizes and mtimes; of remote ones what
            the store states as their version).
    """

    uri: str
    format: Format
    size: int
    stamp: str


ShardDigest = NewType("ShardDigest", str)
"""Hex SHA-256 over everything a shard consists of (of a metadata table over its footer and the columns that are read):
what a shard is called once it was read.

A second shard of the same content in one dataset is called `<digest>+1`, a third `<digest>+2`, in the order of their
uris, so that every record of a revision has an identity of its own (see `shard_names`).
"""


def shard_names(digests: list[str]) -> list[ShardDigest]:
    """Names of a revision's shards, given their content digests in the order of their uris."""
    seen: dict[str, int] = {}
    names = []
    for digest in digests:
        count = seen.get(digest, 0)
        seen[digest] = count + 1
        names.append(ShardDigest(digest if count == 0 else f"{digest}+{count}"))
    return names


@dataclass(frozen=True, slots=True, order=True)
class RecordId:
    """Position of a record in this revision.

    Attributes:
        shard: name of the shard that holds it.
        row: position in the shard's own order, from 0.
        key: the dataset's own key (`__key__`, relative path, a key column), or the row number where it has none.
    """

    shard: ShardDigest
    row: int
    key: str


ContentId = NewType("ContentId", str)
"""Identity of a record across revisions: `sha256:<hex>` of the stored bytes, else `url:<hex sha256>` of the address."""

UNIDENTIFIED = ContentId("none")
"""Of a record that has neither."""
