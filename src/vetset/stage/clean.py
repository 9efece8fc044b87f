"""clean: dataset + signed order → new revision. Needs no private key; never works in place.

First every shard is read and the revision compared with the one that the order is for; only then is anything written.
Survivors are copied, not re-encoded; afterwards the copy is read again and every survivor compared with its original,
one by one and in order. The new revision appears under its name whole, or not at all.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vetset.case.manifest import revision_digest
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.embeddings.parts import Choice
from vetset.dataset.formats import REVISION, complete, format_of, unclaimed
from vetset.dataset.places import place
from vetset.dataset.reading import ColumnBatch
from vetset.engine.outcome import Done, Engine, one_each
from vetset.model.canonical import canonical_json
from vetset.model.dataset import RecordId, Shard, ShardDigest, shard_names
from vetset.model.errors import DatasetError, OutputError, UsageError
from vetset.model.removal import RemovalOrder
from vetset.model.signal import Kind
from vetset.seal.keys import PublicKey
from vetset.stage.move_embeddings import move_embeddings, parts_to_move
from vetset.stage.order import checked_order, token
from vetset.stage.progress import Reporter
from vetset.storage.address import root_of
from vetset.storage.commit import fresh_folder
from vetset.storage.looking import state_at
from vetset.storage.passing import passing_folder
from vetset.storage.remote import Place

KEEP_LIST = "keep.parquet"
EMBEDDINGS = "embeddings"
PRIVATE = (
    "Whoever holds this revision and the one before it can subtract them and learn what was removed. "
    "No cover was added, so keep it private: do not publish it, or its file sizes, beside the earlier one."
)


@dataclass(frozen=True, slots=True)
class ReadTask:
    """Read one shard to learn what it is."""

    root: Place
    shard: Shard
    mapping: ColumnMapping
    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class ShardRead:
    """A shard's content digest, and its records."""

    uri: str
    digest: str
    records: int


def read_shard(task: ReadTask) -> ShardRead:
    """Digest one shard.

    Raises:
        DatasetError: it cannot be read to its end.
    """
    reading = format_of(task.shard.format).read(task.root, task.shard, task.mapping, task.kinds)
    for _ in reading:
        pass
    return ShardRead(task.shard.uri, reading.digest, reading.records)


def read_shards(
    root: Place, shards: Sequence[Shard], mapping: ColumnMapping, kinds: tuple[Kind, ...], engine: Engine
) -> list[ShardRead]:
    """Digest every shard, in order of their uris.

    Raises:
        VetsetError: of the first shard that cannot be read.
    """
    found = []
    for outcome in one_each(engine, read_shard, [ReadTask(root, shard, mapping, kinds) for shard in shards]):
        if not isinstance(outcome, Done):
            raise outcome.error.at(shards[outcome.index].uri)
        found.append(outcome.value)
    return sorted(found, key=lambda read: read.uri)


@dataclass(frozen=True, slots=True)
class CleanTask:
    """Clean one shard."""

    root: Place
    shard: Shard
    mapping: ColumnMapping
    kinds: tuple[Kind, ...]
    name: ShardDigest
    digest: str
    order: bytes = field(repr=False)
    signer: PublicKey
    out: Path | None
    keep_list: Path | None
    keys: Path | None


@dataclass(frozen=True, slots=True)
class CleanedShard:
    """What became of one shard. The keys that stay do not travel: there may be millions of them.

    Attributes:
        uri: its place.
        records: how many records it had.
        dropped: keys of those that went.
    """

    uri: str
    records: int
    dropped: tuple[str, ...] = field(repr=False)


@cache
def _tokens(order: bytes, signer: PublicKey) -> tuple[bytes, frozenset[str]]:
    checked = checked_order(order, signer)
    return bytes.fromhex(checked.salt), frozenset(checked.tokens)


def _keys(task: CleanTask) -> tuple[str, ...]:
    reading = format_of(task.shard.format).read(task.root, task.shard, task.mapping, task.kinds)
    keys: list[str] = []
    for item in reading:
        if isinstance(item, ColumnBatch):
            keys += item.keys.to_pylist()
        else:
            keys.append(item.key)
    if reading.digest != task.digest:
        raise DatasetError("a shard changed while it was cleaned", where=task.shard.uri, todo="Audit the dataset anew.")
    return tuple(keys)


def clean_shard(task: CleanTask) -> CleanedShard:
    """Decide for every record of a shard, write the survivors, read them again.

    Raises:
        DatasetError: the shard changed since it was audited.
        OutputError: the copy is not what it should be.
    """
    salt, tokens = _tokens(task.order, task.signer)
    dataset_format = format_of(task.shard.format)
    keys = _keys(task)
    keep = np.array(
        [token(salt, RecordId(task.name, row, key)) not in tokens for row, key in enumerate(keys)], np.bool_
    )
    # Records that share a caption or an address go together: what stays must not describe what went.
    groups = dataset_format.siblings(task.root, task.shard, task.mapping)
    keep &= ~np.isin(groups, groups[~keep])
    if task.out is not None:
        dataset_format.write(task.root, task.shard, keep, task.out, task.mapping)
        _compare(task, keep)
    if task.keep_list is not None:
        _write_kept(task, keep, keys)
    if task.keys is not None:
        _write_table(pa.table([pa.array(keys, pa.string())], ["key"]), task.keys)
    gone = tuple(keys[row] for row in np.flatnonzero(~keep).tolist())
    return CleanedShard(task.shard.uri, len(keys), gone)


def _compare(task: CleanTask, keep: NDArray[np.bool_]) -> None:
    """Read the copy again: survivors identical, in order, and nothing else."""
    dataset_format = format_of(task.shard.format)
    originals = dataset_format.identities(task.root, task.shard, task.mapping)
    copies = dataset_format.identities(task.out or task.root, task.shard, task.mapping)
    if not same_survivors(zip(originals, keep, strict=True), copies):
        raise _differs(task.shard.uri)


def same_survivors(originals: Iterable[tuple[bytes, bool]], copies: Iterator[bytes]) -> bool:
    """Whether the copies are exactly the originals that stay, in order."""
    return all(next(copies, None) == identity for identity, stays in originals if stays) and next(copies, None) is None


def _differs(where: str) -> OutputError:
    return OutputError(
        "the cleaned copy differs from its original in more than the removed records",
        expected="every survivor, byte-identical and in order",
        where=where,
        todo="The new revision was discarded. Check the disk, then run the same command.",
    )


_KEPT = pa.schema([("shard", pa.string()), ("row", pa.int64()), ("key", pa.string())])


def _write_kept(task: CleanTask, keep: NDArray[np.bool_], keys: Sequence[str]) -> None:
    rows = np.flatnonzero(keep)
    uri = os.fsencode(task.shard.uri).decode("utf-8", "backslashreplace")  # a table has no bytes that are no text
    kept = [[uri] * len(rows), rows, [keys[row] for row in rows.tolist()]]
    if task.keep_list is not None:
        _write_table(pa.table(kept, schema=_KEPT), task.keep_list)


def _write_table(table: pa.Table, path: Path) -> None:
    with pa.OSFile(os.fsencode(path), "wb") as sink:
        pq.write_table(table, sink)


def _read_table(path: Path) -> pa.Table:
    with pa.OSFile(os.fsencode(path)) as source:
        return pq.read_table(source)


def _join_kept(tasks: Sequence[CleanTask], out: Path) -> None:
    """What stays of every shard, as one Parquet table of shard, row and key."""
    with (
        pa.OSFile(os.fsencode(out / KEEP_LIST), "wb") as sink,
        pq.ParquetWriter(sink, _KEPT, compression="zstd") as writer,
    ):
        for task in tasks:
            if task.keep_list is not None:
                writer.write_table(_read_table(task.keep_list))


def _all_keys(tasks: Sequence[CleanTask]) -> Iterator[pa.StringArray]:
    """The keys of all records, as the shards were read."""
    for task in tasks:
        if task.keys is not None:
            yield from _read_table(task.keys)["key"].chunks


@dataclass(frozen=True, slots=True)
class CleanJob:
    """One cleaning.

    Attributes:
        root: the dataset.
        shards: its shards.
        order: the signed order, as it was read once.
        signer: who must have signed it.
        out: where the new revision will lie.
        embeddings: place of embeddings that belong to the dataset, or None.
        keep_list: write what stays as a table instead of a new revision.
    """

    root: Place
    shards: Sequence[Shard]
    order: bytes = field(repr=False)
    signer: PublicKey
    out: Path
    embeddings: Place | None
    keep_list: bool


def _tasks(
    job: CleanJob, order: RemovalOrder, read: Sequence[ShardRead], folder: Path, passing: Path, *, keys: bool
) -> list[CleanTask]:
    names = shard_names([shard.digest for shard in read])
    by_uri = {shard.uri: shard for shard in job.shards}
    return [
        CleanTask(
            root=job.root,
            shard=by_uri[shard.uri],
            mapping=ColumnMapping(**order.mapping),
            kinds=order.kinds,
            name=name,
            digest=shard.digest,
            order=job.order,
            signer=job.signer,
            out=None if job.keep_list else folder,
            keep_list=passing / f"{number}.parquet" if job.keep_list else None,
            keys=passing / f"{number}.keys.parquet" if keys else None,
        )
        for number, (shard, name) in enumerate(zip(read, names, strict=True))
    ]


def _cleaned(tasks: Sequence[CleanTask], engine: Engine, reporter: Reporter) -> list[CleanedShard]:
    cleaned = []
    for outcome in one_each(engine, clean_shard, tasks):
        if not isinstance(outcome, Done):
            raise outcome.error.at(tasks[outcome.index].shard.uri)
        cleaned.append(outcome.value)
        reporter.advanced(tasks[outcome.index].shard.size, outcome.value.records)
    return sorted(cleaned, key=lambda shard: shard.uri)


def _embeddings_of(job: CleanJob, order: RemovalOrder) -> Place | None:
    """Where the embeddings lie that must lose the same records.

    Raises:
        UsageError: the audit joined embeddings that are no longer there, and none were named.
    """
    if job.keep_list:
        return None
    if job.embeddings is not None:
        return job.embeddings
    place_ = root_of(order.embeddings) if order.embeddings else None
    if isinstance(place_, Path) and state_at(place_, UsageError) is None:
        raise UsageError(
            "the embeddings that the audit joined are not at their place",
            expected="embeddings, which must lose the same records",
            where=order.embeddings,
            todo="Say where they lie now with --embeddings PLACE.",
        )
    return place_


def _write_marker(job: CleanJob, order: RemovalOrder, folder: Path) -> None:
    """Say in the new revision that it is private, and how many files belong to no shard and were not carried along."""
    left = [] if job.keep_list else unclaimed(job.shards[0].format, job.root, _embeddings_of(job, order))
    marker = {
        "format": "vetset-revision",
        "version": 1,
        "private": not order.cover,
        "why": "" if order.cover else PRIVATE,
        "files_not_carried": len(left),
    }
    (folder / REVISION).write_bytes(canonical_json(marker) + b"\n")


def clean(job: CleanJob, *, engine: Engine, reporter: Reporter) -> str:
    """Write the new revision, or the keep-list.

    Args:
        job: what to clean.
        engine: where shards are cleaned.
        reporter: told of each finished shard.

    Returns:
        The digest of the revision that was cleaned.

    Raises:
        SignatureError: the order is not this signer's.
        DatasetError: the dataset is not the revision that the order is for.
        AlignmentError: there are no embeddings where they should be, or a row of them is no record's.
        OutputError: the output place is taken, or the copy is not what it should be.
    """
    order = checked_order(job.order, job.signer)
    mapping = ColumnMapping(**order.mapping)
    choice = Choice(job.root, *order.embedding_columns)
    embeddings = _embeddings_of(job, order)
    own = [place(job.root, shard.uri) for shard in job.shards]
    # before anything is read that takes long
    parts = [] if embeddings is None else parts_to_move(embeddings, choice, own)
    # beside the revision, never in it: a dataset may have a file of any name
    with fresh_folder(job.out) as folder, passing_folder(folder.parent) as passing:
        read = read_shards(job.root, job.shards, mapping, order.kinds, engine)
        if revision_digest({shard.uri: shard.digest for shard in read}) != order.dataset:
            raise DatasetError(
                "this is not the revision that the order was made for",
                expected="the shards that were audited, unchanged",
                where=str(job.root),
                todo="Audit this revision and have a new order made.",
            )
        tasks = _tasks(job, order, read, folder, passing, keys=bool(parts))
        reporter.started("clean", len(tasks), sum(task.shard.size for task in tasks))
        cleaned = _cleaned(tasks, engine, reporter)
        reporter.finished()
        if job.keep_list:
            _join_kept(tasks, folder)
        else:
            changed = {shard.uri for shard in cleaned if shard.dropped}
            complete(job.shards[0].format, job.root, job.shards, folder, changed)
        if parts:
            dropped = pa.array([key for shard in cleaned for key in shard.dropped], pa.string())
            records = _all_keys(tasks), sum(shard.records for shard in cleaned)
            move_embeddings(parts, folder / EMBEDDINGS, dropped, choice, records)
        _write_marker(job, order, folder)
    return order.dataset
