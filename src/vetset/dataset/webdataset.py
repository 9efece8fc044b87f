"""Webdataset tars as img2dataset writes them: `00000.tar`, beside it perhaps `00000.parquet` and `00000_stats.json`.

Behind the records of the tar come the rows of the table that belong to no sample (`not_downloaded`): they were never
pictures here, but they still point at some. JSON, caption and table row belong to all pictures of their sample and
stay while one of them stays; `siblings` tells which records share a sample. The same key further on is another sample,
and has the next row of that key.
"""

import hashlib
import io
import tarfile
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.columns import DEFAULT_MAPPING, ColumnMapping
from vetset.dataset.identity import digest_of, framed
from vetset.dataset.places import (
    Found,
    copy_file,
    copy_ranges,
    is_there,
    new_file,
    one_file,
    open_hashed,
    open_plain,
    place,
    read_range,
    stamp_of,
    suffix_of,
    walk_files,
)
from vetset.dataset.reading import Outcome, Reading
from vetset.dataset.samples import Joined, Part, beside, is_held, records_of, samples_of, sidecar_of, told_key
from vetset.dataset.shard_index import ShardIndex
from vetset.dataset.sidecar import read_stats, stats_of_survivors
from vetset.dataset.tables import check_length, filter_table
from vetset.dataset.tar import RECORD, Member, TarWalk
from vetset.dataset.tar_headers import BLOCK
from vetset.model.dataset import Format, Shard
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.signal import USUAL_KINDS, Kind, Reason
from vetset.storage.commit import atomic_file
from vetset.storage.remote import Place


class WebdatasetFormat:
    """Reader and writer of tars of samples."""

    name = Format.WEBDATASET

    def discover(self, root: Place) -> list[Shard]:
        """One shard for every `.tar` below the root, sorted by uri; size and stamp cover the files beside it.

        Raises:
            DatasetError: the root cannot be listed.
        """
        return sorted(shard for shard, _ in self._claims(root))

    def unclaimed(self, root: Place) -> list[str]:
        """Uris of files that belong to no shard; a cleaned copy does not have them."""
        claimed = {found.uri for _, files in self._claims(root) for found in files}
        return sorted(found.uri for found in walk_files(root) if found.uri not in claimed)

    def _claims(self, root: Place) -> Iterator[tuple[Shard, list[Found]]]:
        found_by_uri = {found.uri: found for found in walk_files(root)}
        if root.is_file():
            others = (beside(root.name, ending) for ending in (".parquet", "_stats.json"))
            found_by_uri |= {uri: one_file(root.parent, uri) for uri in others if is_there(root, uri)}
        for uri in list(found_by_uri):
            if suffix_of(uri) == "tar":
                names = (uri, beside(uri, ".parquet"), beside(uri, "_stats.json"))
                files = [found_by_uri[name] for name in names if name in found_by_uri]
                yield Shard(uri, Format.WEBDATASET, sum(file.size for file in files), stamp_of(files)), files

    def read(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping,
        kinds: Collection[Kind] = USUAL_KINDS,  # noqa: ARG002  one protocol
    ) -> Reading[Record | Unreadable]:
        """Records of the tar, then the rows of the table beside it that are not in the tar."""
        return Reading(_pass(root, shard, mapping))

    def read_rows(
        self, root: Place, shard: Shard, rows: Collection[int], mapping: ColumnMapping
    ) -> dict[int, Record | Unreadable]:
        """Some records, with everything that the dataset says of them in `fields.columns`.

        Raises:
            DatasetError: the shard is damaged.
        """
        index = ShardIndex(root, shard, mapping)
        wanted = set(rows)
        first_extra = len(index.sample_of)
        extra = {first_extra + at: row for at, row in enumerate(index.extra) if first_extra + at in wanted}
        asked = [each for each in index.numbered() if not wanted.isdisjoint(range(each[0], each[0] + each[1].records))]
        # the table is gone through once for all of them
        table: dict[int, Fields] = {}
        if index.sidecar is not None:
            joined = [sample.row for _, sample in asked if sample.row is not None]
            table = index.sidecar.full_fields({*joined, *extra.values()})
        found: dict[int, Record | Unreadable] = {}
        with open_plain(index.tar, shard.uri) as (stream, _):
            for first, sample in asked:
                loaded = index.load(stream, sample)
                stated = None if sample.row is None else table[sample.row]
                fields = index.full_fields(loaded, stated, mapping)
                found.update((item.row, item) for item in records_of(loaded, first, fields) if item.row in wanted)
        if index.sidecar is not None:
            for row, table_row in extra.items():
                key = told_key(index.sidecar.keys[table_row], row)
                found[row] = Unreadable(row, key, Reason.NOT_DOWNLOADED, table[table_row])
        return found

    def identities(self, root: Place, shard: Shard, mapping: ColumnMapping = DEFAULT_MAPPING) -> Iterator[bytes]:
        """SHA-256 (32 bytes) of every record: its picture, what shares its sample, and its rows of the table.

        Raises:
            DatasetError: the shard is damaged.
        """
        index = ShardIndex(root, shard, mapping)
        table = index.sidecar.identities() if index.sidecar is not None else []
        with open_plain(index.tar, shard.uri) as (stream, _):
            for sample in index.samples:
                shared = [_stored(stream, part, shard.uri) for part in sample.shared]
                shared += [] if sample.row is None else [table[sample.row]]
                for own in [_stored(stream, part, shard.uri) for part in sample.pictures] or [b""]:
                    yield digest_of([own, *shared])
        yield from (digest_of([None, table[row]]) for row in index.extra)

    def siblings(self, root: Place, shard: Shard, mapping: ColumnMapping = DEFAULT_MAPPING) -> NDArray[np.int64]:
        """int64 (records,): the number of the sample that each record belongs to; equal numbers share JSON and caption.

        Raises:
            DatasetError: the shard is damaged.
        """
        return ShardIndex(root, shard, mapping).siblings()

    def write(
        self,
        root: Place,
        shard: Shard,
        keep: NDArray[np.bool_],
        out: Path,
        mapping: ColumnMapping = DEFAULT_MAPPING,
    ) -> None:
        """Write what is kept to the same uri under `out`: tar, table and statistics; verbatim if that is everything.

        Members are copied as they lie, headers included. What belongs to no record (folders, links, notes) stays.

        Args:
            root: the dataset.
            shard: one of its shards.
            keep: bool (records,).
            out: root of the new revision.
            mapping: needed where the table's key column has a name of its own.

        Raises:
            AlignmentError: `keep` is not one entry for each record.
            DatasetError: the shard is damaged.
            OutputError: a target exists or cannot be written.
        """
        index = ShardIndex(root, shard, mapping)
        check_length(keep, index.records, shard.uri)
        stats_uri = beside(shard.uri, "_stats.json")
        has_stats = is_there(root, stats_uri)
        if keep.all():
            others = [beside(shard.uri, ".parquet")] * (index.sidecar is not None) + [stats_uri] * has_stats
            for uri in (shard.uri, *others):
                copy_file(place(root, uri), out, uri)
            return
        dropped, kept_rows = index.dropped_members(keep)
        with (
            open_plain(index.tar, shard.uri) as (stream, _),
            new_file(out, shard.uri) as target,
            target.open("wb") as sink,
        ):
            copied = copy_ranges(stream, _kept_ranges(dropped, index.content_end), sink, shard.uri)
            sink.write(bytes(2 * BLOCK + -(copied + 2 * BLOCK) % RECORD))
        tar_records = len(index.sample_of)
        rows = np.zeros(0, dtype=np.bool_)
        if index.sidecar is not None:
            rows = np.isin(np.arange(len(index.sidecar)), list(kept_rows))
            table_uri = beside(shard.uri, ".parquet")
            with new_file(out, table_uri) as target:
                filter_table(index.sidecar.data, rows, target, table_uri)
        if has_stats:
            lost = int((~keep[:tar_records]).sum())
            before = read_stats(place(root, stats_uri), stats_uri)
            with new_file(out, stats_uri) as target:
                target.write_bytes(stats_of_survivors(before, index.sidecar, rows, lost, stats_uri))


def _pass(root: Place, shard: Shard, mapping: ColumnMapping) -> Generator[Record | Unreadable, None, Outcome]:
    sidecar = sidecar_of(root, shard.uri, mapping)
    joined = Joined(sidecar)
    row = 0
    with open_hashed(place(root, shard.uri), shard.uri) as (stream, size, tar_digest):
        for sample in samples_of(TarWalk(stream, size, shard.uri), is_held):
            for record in records_of(sample, row, joined.fields_of(sample, mapping, shard.uri)):
                yield record
                row += 1
        whole = hashlib.sha256(b"webdataset\0" + tar_digest().encode())
    whole.update(b"-" if sidecar is None else sidecar.digest.encode())
    if sidecar is not None:
        for table_row in joined.left():
            key = told_key(sidecar.keys[table_row], row)
            yield Unreadable(row, key, Reason.NOT_DOWNLOADED, sidecar.fields(table_row))
            row += 1
    return Outcome(whole.hexdigest(), row)


def _stored(stream: BinaryIO, part: Part, where: str) -> bytes:
    """SHA-256 of a member's name and content."""
    digest = hashlib.sha256(framed(part.member.name))
    for chunk in read_range(stream, part.member.data, part.member.data + part.member.size, where):
        digest.update(chunk)
    return digest.digest()


def _kept_ranges(dropped: list[Member], end: int) -> Iterator[tuple[int, int]]:
    """What is left of [0, end) without the dropped members."""
    position = 0
    for member in dropped:
        if member.start > position:
            yield position, member.start
        position = member.end
    if end > position:
        yield position, end


_WRITTEN = 1_600_000_000.5
"""A time with a fraction, for which each member of img2dataset's has a PAX header."""


def pack(samples: Iterable[tuple[str, Mapping[str, bytes]]], path: Path) -> None:
    """Write a new tar as img2dataset's writer lays it out; the same samples give the same bytes.

    Args:
        samples: key, and content by suffix; members are written in the order of their suffixes.
        path: the tar to make.

    Raises:
        OutputError: it cannot be written.
    """
    with (
        atomic_file(path, mode=0o644) as target,
        target.open("wb") as sink,
        tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for key, contents in samples:
            for suffix in sorted(contents):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(contents[suffix])
                member.mode = 0o444
                member.mtime = _WRITTEN
                member.uname = member.gname = "bigdata"
                archive.addfile(member, io.BytesIO(contents[suffix]))
