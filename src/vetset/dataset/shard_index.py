"""Where everything of one shard of a webdataset lies: its members by their headers, the rows of its table."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.fields import MAX_COLUMN, fields_of_json
from vetset.dataset.places import MAX_PICTURE, copy_ranges, open_plain, place
from vetset.dataset.samples import Joined, Part, Sample, documents, is_document, is_held, samples_of, sidecar_of, united
from vetset.dataset.tar import Member, TarWalk
from vetset.model.dataset import Shard
from vetset.model.errors import DatasetError
from vetset.model.record import Fields
from vetset.storage.remote import Place


class ShardIndex:
    """The samples of one shard, without their contents, and what rows of its table belong to which."""

    def __init__(self, root: Place, shard: Shard, mapping: ColumnMapping) -> None:
        self.uri = shard.uri
        self.tar = place(root, shard.uri)
        self.sidecar = sidecar_of(root, shard.uri, mapping)
        joined = Joined(self.sidecar)
        with open_plain(self.tar, shard.uri) as (stream, size):
            self.size = size
            walk = TarWalk(stream, size, shard.uri)
            # of JSON, only whether it contradicts the table is kept
            compared = self.sidecar is not None
            samples = samples_of(walk, lambda part: compared and is_document(part) and is_held(part))
            self.samples = [_joined(sample, joined, mapping, shard.uri) for sample in samples]
            self.content_end = walk.content_end
        self.sample_of = np.repeat(np.arange(len(self.samples)), [sample.records for sample in self.samples])
        self.extra = joined.left()

    @property
    def records(self) -> int:
        """Records of the tar, and rows of the table that are no sample's."""
        return len(self.sample_of) + len(self.extra)

    def numbered(self) -> Iterator[tuple[int, Sample]]:
        """First row and sample, in order."""
        row = 0
        for sample in self.samples:
            yield row, sample
            row += sample.records

    def siblings(self) -> NDArray[np.int64]:
        """int64 (records,): number of the sample of each record; a row that contradicts a sample goes with it."""
        apart = {sample.apart: number for number, sample in enumerate(self.samples) if sample.apart is not None}
        alone = len(self.samples) + np.arange(len(self.extra))
        extra = [apart.get(row, number) for row, number in zip(self.extra, alone.tolist(), strict=True)]
        return np.concatenate([self.sample_of, np.array(extra, np.int64)]).astype(np.int64)

    def load(self, stream: BinaryIO, sample: Sample) -> Sample:
        """A sample of this index with the contents of its pictures, JSON and captions."""
        held, parts = 0, []
        for part in sample.parts:
            text = not part.picture and not is_document(part) and part.member.size <= MAX_COLUMN
            wanted = is_held(part) and held + part.member.size <= MAX_PICTURE
            held += part.member.size if wanted else 0
            parts.append(_loaded(stream, part, self.uri) if wanted or text else part)
        return Sample(sample.key, parts, sample.row, sample.apart)

    def full_fields(self, sample: Sample, table: Fields | None, mapping: ColumnMapping) -> list[Fields]:
        """All that the dataset says of each record of a loaded sample, its captions and classes as columns.

        Args:
            sample: as `load` gave it.
            table: all that its row says, if it has one.
            mapping: which column means what.
        """
        found = []
        for document, others in zip(documents(sample), sample.beside(), strict=True):
            texts = {
                part.suffix: part.content.decode("utf-8", "backslashreplace")
                for part in reversed(others)
                if part.content is not None and not is_document(part)
            }
            stated = None if document is None else fields_of_json(document[0], mapping, self.uri, with_columns=True)
            both = [fields for fields in (stated, table) if fields is not None]
            fields = united(*both) if len(both) == 2 else (both or [Fields()])[0]
            found.append(Fields(fields.url, fields.declared, fields.malformed, {**texts, **fields.columns}))
        return found

    def dropped_members(self, keep: NDArray[np.bool_]) -> tuple[list[Member], set[int]]:
        """Members that go, in order, and rows of the table that stay.

        A picture goes when its record does; what its sample shares goes when the last of its records does.
        """
        dropped: list[Member] = []
        extra = keep[len(self.sample_of) :].tolist()
        rows = {row for row, stays in zip(self.extra, extra, strict=True) if stays}
        before: Sample | None = None
        for first, sample in self.numbered():
            stays = keep[first : first + sample.records]
            pictures = zip(sample.pictures, stays.tolist(), strict=True) if sample.pictures else ()
            gone = {part.member for part, stay in pictures if not stay}
            if not stays.any():
                gone = {part.member for part in sample.parts}
            else:
                rest = Sample(sample.key, [part for part in sample.parts if part.member not in gone])
                self._check_apart(before, rest)
                before = rest
                if sample.row is not None:
                    rows.add(sample.row)
            dropped.extend(part.member for part in sample.parts if part.member in gone)
        return dropped, rows

    def _check_apart(self, before: Sample | None, after: Sample) -> None:
        """Two samples of one key that only a dropped one kept apart would become one sample."""
        if before is not None and before.key == after.key and after.parts[0].member.name not in before.names:
            raise DatasetError(
                "members of one sample do not lie together in this tar",
                expected="all members of a key next to each other, as webdataset requires",
                where=self.uri,
                todo="Pack the shard again with its members sorted by name, then scan and clean it.",
            )


def _joined(sample: Sample, joined: Joined, mapping: ColumnMapping, where: str) -> Sample:
    """The sample with its row of the table, and without the contents by which that was found."""
    joined.fields_of(sample, mapping, where)
    return Sample(sample.key, [part._replace(content=None) for part in sample.parts], sample.row, sample.apart)


def _loaded(stream: BinaryIO, part: Part, where: str) -> Part:
    sink = io.BytesIO()
    copy_ranges(stream, [(part.member.data, part.member.data + part.member.size)], sink, where)
    return part._replace(content=sink.getvalue())
