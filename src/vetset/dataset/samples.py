"""Samples of a webdataset: how members of a tar group into records, and where everything of one shard lies.

A sample is a run of differently named members with one key: the name up to the first dot of its last part
(webdataset's `base_plus_ext`), folder kept. Every picture of a sample is a record (most have one); a sample without one
is a record too, `no_image`.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.columns import ColumnMapping, fields_of_json
from vetset.dataset.places import IMAGE_SUFFIXES, MAX_PICTURE, MAX_TEXT, copy_ranges, is_there, open_plain, place
from vetset.dataset.sidecar import Sidecar
from vetset.dataset.tar import Member, TarWalk
from vetset.model.dataset import Shard
from vetset.model.errors import DatasetError
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.signal import Reason
from vetset.storage.remote import Place

MAX_COLUMN = 1 << 16
"""Bytes of a caption or class file that become a column of a sealed match."""


class Part(NamedTuple):
    """One member of a sample. `content` is None where it was not asked for, or is larger than is held."""

    member: Member
    suffix: str
    content: bytes | None


@dataclass(slots=True)
class Sample:
    """A run of members with one key."""

    key: str
    parts: list[Part] = field(default_factory=list)
    names: set[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {part.member.name for part in self.parts}

    def add(self, part: Part) -> None:
        """Append a member."""
        self.parts.append(part)
        self.names.add(part.member.name)

    @property
    def pictures(self) -> list[Part]:
        """Members that are pictures by their suffix; each is a record."""
        return [part for part in self.parts if part.suffix in IMAGE_SUFFIXES]

    @property
    def shared(self) -> list[Part]:
        """Members that are no pictures: they belong to every picture of the sample."""
        return [part for part in self.parts if part.suffix not in IMAGE_SUFFIXES]

    @property
    def records(self) -> int:
        """Records that the sample gives rise to: one for each picture, one if there is none."""
        return max(1, len(self.pictures))

    def json(self) -> Part | None:
        """The member that holds the sample's columns."""
        return next((part for part in self.parts if part.suffix == "json"), None)


def split_name(name: str) -> tuple[str, str]:
    """Key and suffix of a member, suffix in lower case and without dots before its last.

    A name to which webdataset gives no key (no dot, or a dot first) is its own key, so that a picture behind such a
    name is looked at all the same.
    """
    folder, slash, last = name.rpartition("/")
    stem, dot, _ = last.partition(".")
    key = f"{folder}{slash}{stem}" if stem and dot else name
    return key, last.rpartition(".")[2].lower() if dot else ""


def samples_of(walk: TarWalk, wanted: Callable[[Member, str], bool]) -> Iterator[Sample]:
    """Group the members of an archive into samples; content is read where `wanted` says so."""
    sample: Sample | None = None
    for member in walk:
        if not member.regular:
            continue
        name = member.name.decode("utf-8", "backslashreplace")
        if "/" not in name and name.startswith("__") and name.endswith("__"):
            continue  # webdataset's own notes
        key, suffix = split_name(name)
        if sample is not None and (sample.key != key or member.name in sample.names):
            yield sample
            sample = None
        sample = sample or Sample(key)
        sample.add(Part(member, suffix, walk.content(member) if wanted(member, suffix) else None))
    if sample is not None:
        yield sample


def is_held(member: Member, suffix: str) -> bool:
    """Whether a member's content is read with its sample: pictures and JSON of a sensible size."""
    if suffix in IMAGE_SUFFIXES:
        return member.size <= MAX_PICTURE
    return suffix == "json" and member.size <= MAX_TEXT


def fields_of_sample(sample: Sample, sidecar: Sidecar | None, mapping: ColumnMapping, where: str) -> Fields:
    """Address and digests that are stated of a sample: by its JSON, else by its row of the table beside the tar."""
    document = sample.json()
    if document is not None:
        return fields_of_json(document.content, mapping, where)
    rows = sidecar.rows_of(sample.key) if sidecar is not None else []
    return sidecar.fields(rows[0]) if sidecar is not None and rows else Fields()


def records_of(sample: Sample, first_row: int, fields: Fields) -> Iterator[Record | Unreadable]:
    """The records of a sample whose contents were read."""
    pictures = sample.pictures
    if not pictures:
        yield Unreadable(first_row, sample.key, Reason.NO_IMAGE, fields)
    for row, (member, _, content) in enumerate(pictures, start=first_row):
        if content is None:
            yield Unreadable(row, sample.key, Reason.TOO_LARGE, fields)
        elif not member.size:
            yield Unreadable(row, sample.key, Reason.EMPTY_FILE, fields)
        else:
            yield Record(row, sample.key, content, fields)


def beside(uri: str, ending: str) -> str:
    """The uri of a file that img2dataset writes beside a tar."""
    return uri.rpartition(".")[0] + ending


def sidecar_of(root: Place, uri: str, mapping: ColumnMapping) -> Sidecar | None:
    """The table beside a tar, if there is one."""
    table = beside(uri, ".parquet")
    return Sidecar(place(root, table), table, mapping) if is_there(root, table) else None


class ShardIndex:
    """Where everything of one shard lies, by its headers alone."""

    def __init__(self, root: Place, shard: Shard, mapping: ColumnMapping) -> None:
        self.uri = shard.uri
        self.tar = place(root, shard.uri)
        with open_plain(self.tar, shard.uri) as (stream, size):
            self.size = size
            walk = TarWalk(stream, size, shard.uri)
            self.samples = list(samples_of(walk, lambda _member, _suffix: False))
            self.content_end = walk.content_end
        self.sidecar = sidecar_of(root, shard.uri, mapping)
        self.sample_of = np.repeat(np.arange(len(self.samples)), [sample.records for sample in self.samples])
        keys = (sample.key for sample in self.samples)
        self.extra = self.sidecar.extra_rows(keys) if self.sidecar is not None else []

    @property
    def records(self) -> int:
        """Records of the tar, and rows of the table that are not in it."""
        return len(self.sample_of) + len(self.extra)

    def numbered(self) -> Iterator[tuple[int, Sample]]:
        """First row and sample, in order."""
        row = 0
        for sample in self.samples:
            yield row, sample
            row += sample.records

    def rows_of(self, sample: Sample) -> list[int]:
        """Rows of the table that belong to a sample."""
        return self.sidecar.rows_of(sample.key) if self.sidecar is not None else []

    def load(self, stream: BinaryIO, sample: Sample) -> Sample:
        """A sample of this index with the contents of its pictures, JSON and captions."""
        return Sample(sample.key, [_loaded(stream, part, self.uri) for part in sample.parts])

    def full_fields(self, sample: Sample, mapping: ColumnMapping) -> Fields:
        """All that the dataset says of a loaded sample, its captions and classes as columns."""
        document = sample.json()
        rows = self.rows_of(sample)
        if document is not None:
            fields = fields_of_json(document.content, mapping, self.uri, with_columns=True)
        elif self.sidecar is not None and rows:
            fields = self.sidecar.full_fields(rows[:1])[rows[0]]
        else:
            fields = Fields()
        texts = {
            part.suffix: part.content.decode("utf-8", "backslashreplace")
            for part in sample.parts
            if part.content is not None and part.suffix not in IMAGE_SUFFIXES and part.suffix != "json"
        }
        return Fields(fields.url, fields.declared, fields.malformed, {**texts, **fields.columns})

    def dropped_members(self, keep: NDArray[np.bool_]) -> tuple[list[Member], list[str]]:
        """Members that go, in order, and keys of samples of which something stays.

        A picture goes when its record does; what its sample shares goes when the last of its records does.
        """
        dropped: list[Member] = []
        kept: list[Sample] = []
        for first, sample in self.numbered():
            stays = keep[first : first + sample.records]
            pictures = zip(sample.pictures, stays.tolist(), strict=True) if sample.pictures else ()
            gone = {part.member for part, stay in pictures if not stay}
            if not stays.any():
                gone = {part.member for part in sample.parts}
            else:
                rest = Sample(sample.key, [part for part in sample.parts if part.member not in gone])
                self._check_apart(kept[-1] if kept else None, rest)
                kept.append(rest)
            dropped.extend(part.member for part in sample.parts if part.member in gone)
        return dropped, [sample.key for sample in kept]

    def _check_apart(self, before: Sample | None, after: Sample) -> None:
        """Two samples of one key that only a dropped one kept apart would become one sample."""
        if before is not None and before.key == after.key and after.parts[0].member.name not in before.names:
            raise DatasetError(
                "members of one sample do not lie together in this tar",
                expected="all members of a key next to each other, as webdataset requires",
                where=self.uri,
                todo="Pack the shard again with its members sorted by name, then scan and clean it.",
            )


def _loaded(stream: BinaryIO, part: Part, where: str) -> Part:
    limit = MAX_COLUMN if part.suffix not in IMAGE_SUFFIXES and part.suffix != "json" else None
    if not is_held(part.member, part.suffix) and (limit is None or part.member.size > limit):
        return part
    sink = io.BytesIO()
    copy_ranges(stream, [(part.member.data, part.member.data + part.member.size)], sink, where)
    return Part(part.member, part.suffix, sink.getvalue())
