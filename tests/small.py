"""A small dataset of ordinary pictures whose every finding is known beforehand, in each of the formats.

24 records. The first list knows record 0 (SHA-256 of its bytes and PDQ of its picture), record 1 (MD5) and the address
of record 3. So by construction:

    0  exact, perceptual      20  exact: the bytes of 1 again
    1  exact                  21  perceptual: the picture of 0, encoded again
    3  address only           22  the bytes of 5 again
    5  the embedding lies near that of 0: a candidate, and 22 with it as a copy
    6  the embedding lies near that of 3, which may not seed: nothing
    7  the embedding lies near that of 5: a candidate of the second round, once 5 is confirmed

The second list knows record 5 (MD5), so that it can confirm it.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import photographs
import vetset
from vetset.dataset.embeddings.clip_retrieval import write_new
from vetset.dataset.webdataset import pack
from vetset.engine.local import LocalEngine
from vetset.model.dataset import Format
from vetset.model.hashlist import Category, Entries, EntryFlag, HashList, ListInfo
from vetset.model.policy import Policy
from vetset.model.signal import Kind, Signal
from vetset.model.trust import Trust
from vetset.store.whole import file_digest, write_sums

COUNT = 24
DIMENSION = 16
MATCHED = {0, 1, 3, 20, 21}
CONFIRMED = {0, 1, 20, 21}
CANDIDATES = {5: "neighbour", 22: "copy"}
SECOND_ROUND = {7: "neighbour"}
HERE = LocalEngine(0)
"""Runs tasks in this process."""


def encoded(pixels, quality=92):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@cache
def images() -> tuple[bytes, ...]:
    """The stored bytes of every record."""
    tiles = photographs.tiles(160, 20, seed=11)
    stored = [encoded(tile) for tile in tiles]
    stored += [stored[1], encoded(tiles[0], quality=70), stored[5], encoded(photographs.tiles(150, 1, seed=12)[0])]
    return tuple(stored)


def url(number: int) -> str:
    return f"https://pictures.example/{number}/of-the-dataset.jpg"


def caption(number: int) -> str:
    return f"caption of number {number}"


def key(number: int) -> str:
    return f"{number:09d}"


@cache
def vectors() -> np.ndarray:
    """Embeddings float32 (24, 16): random, but for those that the docstring names."""
    random = np.random.default_rng(5)
    rows = random.standard_normal((COUNT, DIMENSION))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def near(row, amount):
        other = random.standard_normal(DIMENSION)
        other -= (other @ rows[row]) * rows[row]
        return rows[row] + amount * other / np.linalg.norm(other)

    rows[21], rows[20], rows[22] = near(0, 0.05), rows[1], near(9, 3.0)
    rows[5], rows[6] = near(0, 0.30), near(3, 0.05)
    away = rows[5] - (rows[5] @ rows[0]) * rows[0]
    rows[7] = rows[5] + 0.5 * away / np.linalg.norm(away)
    return rows.astype(np.float32)


def entries(kind: Kind, values: Sequence[bytes], ids: Sequence[str] | None = None, flags: Sequence[int] | None = None):
    """Entries of one kind, sorted as every list is."""
    names = ids or [f"{kind.value}-{number}" for number in range(len(values))]
    marks = flags or [EntryFlag.NONE] * len(values)
    rows = sorted(zip(values, names, marks, strict=True))
    return Entries(
        kind,
        np.frombuffer(b"".join(value for value, _, _ in rows), np.uint8).reshape(len(rows), kind.width).copy(),
        np.array([name.encode() for _, name, _ in rows], np.bytes_),
        np.array([int(mark) for _, _, mark in rows], np.uint8),
        np.ones(len(rows), np.uint8),
    )


def hash_list(
    name: str, *parts: Entries, category: Category = Category.BENCHMARK, as_of: str = "2026-01-01"
) -> HashList:
    counts = {part.kind: len(part) for part in parts}
    info = ListInfo(name, f"owner of {name}", category, "test", as_of=as_of, version=name, entries=counts)
    return HashList(info, {part.kind: part for part in parts})


def trust(*names: str, policy: Policy | None = None, held: Sequence[str] = (), **about) -> Trust:
    """Trust in lists of these names, each of an owner of its own; `about` is said of all of them."""
    lists = {name: replace(hash_list(name).info, **about) for name in names}
    return Trust(policy or Policy(), lists, frozenset(held))


def pdq(image: bytes) -> bytes:
    (signal,) = vetset.fingerprint(image, kinds=("pdq",))
    assert isinstance(signal, Signal)
    return signal.value


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()


@cache
def known() -> HashList:
    return hash_list(
        "known",
        entries(Kind.SHA256, [sha256(images()[0])]),
        entries(Kind.MD5, [md5(images()[1])]),
        entries(Kind.PDQ, [pdq(images()[0])]),
        entries(Kind.URL_SHA256, [sha256(url(3).encode())]),
    )


@cache
def second() -> HashList:
    return hash_list("second", entries(Kind.MD5, [md5(images()[5])]))


@cache
def stranger() -> HashList:
    """A list of everything that is not there."""
    random = np.random.default_rng(99)
    kinds = (Kind.SHA256, Kind.MD5, Kind.PDQ, Kind.URL_SHA256)
    return hash_list("known", *(entries(kind, [random.bytes(kind.width)]) for kind in kinds))


def fields(number: int) -> dict[str, object]:
    return {"url": url(number), "caption": caption(number), "key": key(number)}


def write_webdataset(root: Path, numbers: Sequence[int] = range(COUNT), shards: int = 2) -> None:
    root.mkdir(parents=True)
    for shard, part in enumerate(np.array_split(np.array(numbers), shards)):
        samples = [
            (key(n), {"jpg": images()[n], "json": json.dumps(fields(n)).encode(), "txt": caption(n).encode()})
            for n in part.tolist()
        ]
        pack(samples, root / f"{shard:05d}.tar")


def write_folder(root: Path, numbers: Sequence[int] = range(COUNT)) -> None:
    for number in numbers:
        stem = root / ("a" if number % 2 else "b/c") / key(number)
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".jpg").write_bytes(images()[number])
        stem.with_suffix(".json").write_text(json.dumps(fields(number)))
        stem.with_suffix(".txt").write_text(caption(number))


def write_parquet(root: Path, numbers: Sequence[int] = range(COUNT)) -> None:
    """Metadata only; MD5 as hex text, SHA-256 raw, so that the digests are the table's word for pictures elsewhere."""
    root.mkdir(parents=True)
    for shard, part in enumerate(np.array_split(np.array(numbers), 2)):
        table = pa.table({
            "URL": [url(n) for n in part.tolist()],
            "TEXT": [caption(n) for n in part.tolist()],
            "key": [key(n) for n in part.tolist()],
            "md5": [md5(images()[n]).hex() for n in part.tolist()],
            "sha256": pa.array([sha256(images()[n]) for n in part.tolist()], pa.binary(32)),
        })  # fmt: skip
        pq.write_table(table, root / f"part-{shard}.parquet", row_group_size=5)


def write_huggingface(root: Path, numbers: Sequence[int] = range(COUNT)) -> None:
    """One Arrow stream and one parquet file, with pictures as `datasets` stores them."""
    root.mkdir(parents=True)
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    first, rest = np.array_split(np.array(numbers), 2)
    for part in (first, rest):
        table = pa.table({
            "image": pa.array([{"bytes": images()[n], "path": f"{n}.jpg"} for n in part.tolist()], image),
            "url": [url(n) for n in part.tolist()],
            "caption": [caption(n) for n in part.tolist()],
            "key": [key(n) for n in part.tolist()],
        })  # fmt: skip
        if part is rest:
            pq.write_table(table, root / "part-1.parquet", row_group_size=5)
            continue
        with pa.OSFile(str(root / "part-0.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=5)


WRITERS = {
    Format.WEBDATASET: write_webdataset,
    Format.FOLDER: write_folder,
    Format.PARQUET: write_parquet,
    Format.HUGGINGFACE: write_huggingface,
}


def dataset_key(number: int, form: Format) -> str:
    """What the format calls a record."""
    folder = "a" if number % 2 else "b/c"
    return f"{folder}/{key(number)}.jpg" if form is Format.FOLDER else key(number)


def number_of(name: str) -> int:
    """The record's number, whatever the format calls it."""
    return int(Path(name).stem)


def write_embeddings(folder: Path, form: Format, order: Sequence[int] | None = None, parts: int = 3) -> None:
    """In an order and in parts of their own, as clip-retrieval's never agree with shards; with text vectors."""
    chosen = list(np.random.default_rng(3).permutation(COUNT)) if order is None else list(order)
    (folder / "text_emb").mkdir(parents=True)
    for number, rows in enumerate(np.array_split(np.array(chosen, np.int64), parts)):
        names = [dataset_key(n, form) for n in rows.tolist()]
        captions = {"caption": [caption(n) for n in rows.tolist()]}
        write_new(folder, number, vectors()[rows].astype(np.float16), names, captions)
        np.save(folder / "text_emb" / f"text_emb_{number}.npy", -vectors()[rows].astype(np.float16))


@dataclass(frozen=True)
class Audited:
    """An audit and what it was made of."""

    root: Path
    out: Path
    key: object
    pub: object
    embeddings: Path | None

    @property
    def findings(self):
        return vetset.open_audit(self.out, self.key).case.findings

    @property
    def summary(self):
        return vetset.open_audit(self.out, self.key).summary()


def found(findings) -> dict[int, set[str]]:
    """Evidence by record number."""
    told: dict[int, set[str]] = {}
    for match in findings.matches:
        told.setdefault(number_of(match.record.key), set()).add(match.evidence.value)
    return told


def candidates(findings) -> dict[int, str]:
    return {number_of(item.record.key): item.evidence.value for item in findings.candidates}


def tree(root: Path) -> Mapping[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def rewritten(path, change):
    """Write a part of a store again, each batch changed, with digests that fit: as who makes stores might have it."""
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
        held = [reader.get_batch_with_custom_metadata(number) for number in range(reader.num_record_batches)]
    batches = [change(each.batch) for each in held]
    with pa.ipc.new_file(str(path), batches[0].schema) as writer:
        for batch, each in zip(batches, held, strict=True):
            writer.write_batch(batch, custom_metadata=each.custom_metadata)
    write_sums(path, {path.name: file_digest(path)})
