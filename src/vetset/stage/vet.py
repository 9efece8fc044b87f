"""vet: entries of a list that are of lawful pictures everybody knows, before it is held against anything.

Such an entry is a mistake or poison: it would find, and in the end remove, what belongs in the dataset. What is known
to be benign is of two sorts: a few files that every crawler brings (built in), and lists of category `benign`, which
whoever uses vetset makes of pictures that must never match.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vetset.model.hashlist import Entries, HashList
from vetset.model.signal import Kind
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex

_PIXELS = (
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
    "R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==",
    "R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
)
FILES = (b"", *(base64.b64decode(text) for text in _PIXELS))
"""The empty file, and pictures of one pixel as web pages fill room and count visits with."""

_HASHES = {
    Kind.MD5: hashlib.md5, Kind.SHA1: hashlib.sha1, Kind.SHA256: hashlib.sha256, Kind.URL_MD5: hashlib.md5,
    Kind.URL_SHA256: hashlib.sha256,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lawful:
    """An entry that should not be in a list.

    Attributes:
        kind: what its value is.
        value: the entry's own.
        reason: why, without anything of the value.
    """

    kind: Kind
    value: bytes = field(repr=False)
    reason: str


def lawful(entries: Mapping[Kind, Entries], benign: Sequence[HashList], *, radius: int) -> list[Lawful]:
    """Every entry that is of a benign picture, once, sorted by kind and value.

    Args:
        entries: of the list that is vetted.
        benign: lists of category `benign`.
        radius: greatest Hamming distance between PDQ values that is too near.
    """
    found: dict[tuple[Kind, bytes], Lawful] = {}
    for kind, column in entries.items():
        for reason, known in _known(kind, benign):
            for row in _hits(column, known, radius):
                value = column.values[row].tobytes()
                found.setdefault((kind, value), Lawful(kind, value, reason))
    return [found[key] for key in sorted(found)]


def _known(kind: Kind, benign: Sequence[HashList]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    if kind in _HASHES:
        # of an address, the empty one: the first of the files is empty, too
        texts = FILES[:1] if kind.is_url else FILES
        digests = sorted(_HASHES[kind](text).digest() for text in texts)
        yield "a file that every crawler brings", np.frombuffer(b"".join(digests), np.uint8).reshape(-1, kind.width)
    for hash_list in benign:
        if kind in hash_list.entries:
            yield f"a picture of the benign list {hash_list.info.name}", hash_list.entries[kind].values


def _hits(column: Entries, known: NDArray[np.uint8], radius: int) -> list[int]:
    """Rows of the column that are known; the smaller side is indexed, since lists have millions of entries."""
    small, large = (known, column.values) if len(known) < len(column) else (column.values, known)
    if column.kind is Kind.PDQ:
        asked, indexed, _ = HammingIndex(small).join(large, radius)
    else:
        asked, indexed = DigestIndex(small).join(large)
    return sorted(set((asked if large is column.values else indexed).tolist()))
