"""Hash lists for the demonstration: one that starts the search, and another owner's that confirms what it finds.

Both hold mostly values that belong to nothing, so that they look like lists: a find among thousands of entries.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vetset.demo.edits import opened
from vetset.demo.planted import KnownItem, Planted, PlantedRecord
from vetset.model.signal import Kind
from vetset.storage.commit import write_atomic

COLUMNS = (Kind.MD5, Kind.SHA1, Kind.SHA256, Kind.PDQ, Kind.URL_SHA256)
"""Kinds that the lists carry, in the order of the CSV columns."""

FAR_EDITS = frozenset({"crop_90", "crop_80", "crop_60", "mirror", "rotate_5", "caption_bar"})
"""Edits that PDQ is not made to see through: 31 of 256 bits seldom reach from the original to these."""

_UNRELATED_FIRST = 1500
_UNRELATED_SECOND = 800
_DIGESTS = {Kind.MD5: hashlib.md5, Kind.SHA1: hashlib.sha1, Kind.SHA256: hashlib.sha256}

_Row = Mapping[Kind, bytes]


@dataclass(frozen=True, slots=True)
class Lists:
    """Where the lists lie and which records the second one is about.

    Attributes:
        known_csv: the first list, one item a line, with a header.
        known_txt: the same entries, one a line: kind, space, lower-case hexadecimal digits.
        second_txt: the second list, in the same form.
        second: kind of the second list's entry, by the key of the record that it was taken of.
    """

    known_csv: Path
    known_txt: Path
    second_txt: Path
    second: Mapping[str, Kind] = field(repr=False)


def value_of(kind: Kind, image: bytes) -> bytes:
    """The value of one kind for some stored bytes: a digest of them, or the PDQ of the picture in them.

    Raises:
        KeyError: the kind is neither a digest of bytes nor PDQ.
    """
    if kind is Kind.PDQ:
        from vetset.signal.pdq import pdq  # noqa: PLC0415 - compiles; only needed where PDQ is wanted

        return pdq(np.asarray(opened(image)))[0]
    return _DIGESTS[kind](image).digest()


def _of_item(item: KnownItem) -> _Row:
    return {
        kind: hashlib.sha256(item.url.encode()).digest() if kind.is_url else value_of(kind, item.original)
        for kind in item.listed
    }


def second_choice(planted: Planted) -> dict[str, Kind]:
    """Which records the second list is about, and by what: of each edit half of those that the first cannot reach."""
    listed = {item.name: item.listed for item in planted.items}

    def out_of_reach(record: PlantedRecord) -> bool:
        role, _, edit = record.role.partition(":")
        if record.known is None or role != "edit" or edit == "exact":
            return False
        return edit in FAR_EDITS or Kind.PDQ not in listed[record.known]

    beyond = sorted((record.role, record.key) for record in planted.records if out_of_reach(record))
    return {key: Kind.PDQ if number % 2 else Kind.SHA256 for number, (_, key) in enumerate(beyond[::2])}


def _unrelated(count: int, rng: np.random.Generator) -> list[_Row]:
    """Items that show nothing: `count` of them, each with some of the kinds."""
    half_set = np.tile(np.repeat(np.array([0, 1], np.uint8), 128), (count, 1))
    hashes = np.packbits(rng.permuted(half_set, axis=1), axis=1)  # as in every PDQ, half of the bits are set
    has = rng.random((count, len(COLUMNS))) < 0.6
    has[np.arange(count), rng.integers(0, len(COLUMNS), count)] = True
    return [
        {
            kind: hashes[row].tobytes() if kind is Kind.PDQ else rng.bytes(kind.width)
            for column, kind in enumerate(COLUMNS)
            if has[row, column]
        }
        for row in range(count)
    ]


def _as_csv(rows: Iterable[_Row]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["id", *COLUMNS])
    for number, row in enumerate(rows):
        writer.writerow([f"item-{number:05d}", *(row[kind].hex() if kind in row else "" for kind in COLUMNS)])
    return buffer.getvalue().encode()


def _as_lines(rows: Iterable[_Row]) -> bytes:
    return "".join(f"{kind} {row[kind].hex()}\n" for row in rows for kind in COLUMNS if kind in row).encode()


def write_lists(planted: Planted, out: Path) -> Lists:
    """Write `known.csv`, `known.txt` and `second.txt` into a folder.

    Args:
        planted: what `build_dataset` returned; the same one gives the same lists.
        out: an existing folder.

    Raises:
        OutputError: the place cannot be written.
    """
    rng = np.random.default_rng([planted.seed, 2])
    first = [*map(_of_item, planted.items), *_unrelated(_UNRELATED_FIRST, rng)]
    first = [first[position] for position in rng.permutation(len(first))]
    chosen = second_choice(planted)
    images = {record.key: record.image for record in planted.records if record.image is not None}
    second: list[_Row] = [{kind: value_of(kind, images[key])} for key, kind in chosen.items()]
    second += _unrelated(_UNRELATED_SECOND, rng)
    second = [second[position] for position in rng.permutation(len(second))]
    lists = Lists(out / "known.csv", out / "known.txt", out / "second.txt", chosen)
    write_atomic(lists.known_csv, _as_csv(first))
    write_atomic(lists.known_txt, _as_lines(first))
    write_atomic(lists.second_txt, _as_lines(second))
    return lists
