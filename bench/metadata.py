"""Topic: metadata tables with a digest column against a list, from file to matches, beside DuckDB and polars."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from bench.figures import Row, Table, Topic, in_turns, main, rate
from numpy.typing import NDArray

import vetset
from vetset.engine.local import LocalEngine
from vetset.model.dataset import ShardDigest
from vetset.model.hashlist import Category, Entries, HashList, ListInfo
from vetset.model.policy import Policy, RemovePolicy, ScanPolicy
from vetset.model.signal import LIST_KINDS, Kind
from vetset.stage.match import ListMatcher
from vetset.store.part import Part
from vetset.store.store import Store

_HIT_EVERY = 100_000
_GROUP = 1 << 20
_POLICY = Policy(scan=ScanPolicy(kinds=(Kind.MD5,)), remove=RemovePolicy(copies=False))
_SCANNED = "vetset: scan into a store, join the store with the list"
_AGAIN = "vetset: join the store with the list, as for every further list"
_AUDITED = "vetset.audit: also the index, sealing, manifest"
_DUCK, _POLARS = "DuckDB: semi join over read_parquet", "polars: semi join over scan_parquet"
_ALL = "vetset.scan, all kinds of the default policy"


def _text(before: str, own: NDArray[np.uint8], behind: str = "") -> pa.Array:
    """Texts of equal length with something of their own in the middle."""
    count, width = own.shape
    ends = [np.frombuffer(part.encode(), np.uint8) for part in (before, behind)]
    rows = np.concatenate([np.tile(ends[0], (count, 1)), own, np.tile(ends[1], (count, 1))], axis=1)
    offsets = pa.py_buffer(np.arange(count + 1, dtype=np.int32) * (width + len(ends[0]) + len(ends[1])))
    return pa.Array.from_buffers(pa.string(), count, [None, offsets, pa.py_buffer(np.ascontiguousarray(rows))])


def _hex(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.frombuffer(values.tobytes().hex().encode(), np.uint8).reshape(len(values), -1)


def _raw(values: NDArray[np.uint8]) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(values), [None, pa.py_buffer(values)])


def _write(folder: Path, md5: NDArray[np.uint8], *, raw: bool) -> None:
    """Two tables with the columns of LAION-5B's; the digest as hexadecimal text, or as 16 raw bytes."""
    rng = np.random.default_rng(3)
    folder.mkdir()
    for number, part in enumerate(np.array_split(md5, 2)):
        count = len(part)
        own = _hex(rng.integers(256, size=(count, 20), dtype=np.uint8))
        columns = {
            "URL": _text("https://pictures.example.org/", own, ".jpg"),
            "TEXT": _text("a caption of some words about ", own[:, :24]),
            "WIDTH": rng.integers(100, 2000, count).astype(np.int32),
            "HEIGHT": rng.integers(100, 2000, count).astype(np.int32),
            "similarity": rng.random(count),
            "hash": rng.integers(-(2**62), 2**62, count),
            "punsafe": rng.random(count).astype(np.float32),
            "pwatermark": rng.random(count).astype(np.float32),
            "md5": _raw(part) if raw else _text("", _hex(part)),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number:05d}.parquet", row_group_size=_GROUP)


def _list(values: NDArray[np.uint8]) -> HashList:
    words = values.view(">u8")
    values = values[np.lexsort((words[:, 1], words[:, 0]))]
    info = ListInfo("bench", "bench", Category.BENCHMARK, "none", version="1", entries={Kind.MD5: len(values)})
    ids = np.arange(len(values)).astype("S8")
    return HashList(
        info,
        {Kind.MD5: Entries(Kind.MD5, values, ids, np.zeros(len(values), np.uint8), np.ones(len(values), np.uint8))},
    )


class _Ours:
    """vetset's ways over one folder of tables; each returns the numbers of the rows that were found, in order."""

    def __init__(self, dataset: Path, scratch: Path, listed: HashList) -> None:
        self._dataset, self._scratch, self._listed = dataset, scratch, listed
        self._matcher = ListMatcher([listed], _POLICY)
        self._public, self._private = vetset.keygen("bench", scratch / "keys")
        self._number = 0
        self._stored = self._scan(_POLICY)

    def _fresh(self) -> Path:
        self._number += 1
        return self._scratch / f"run-{self._number}"

    def _scan(self, policy: Policy) -> list[Part]:
        store = self._fresh()
        note = vetset.scan(self._dataset, store=store, policy=policy, engine=LocalEngine(0))
        return [Part(Store(store).part_path(shard.part), shard.uri) for shard in note.shards]

    def _join(self, parts: list[Part]) -> NDArray[np.int64]:
        found, first = [], 0
        for part in parts:
            matches = self._matcher.shard(part, ShardDigest("0" * 64), part.records).matches
            found += [first + match.record.row for match in matches]
            first += part.records
        return np.array(found)

    def scanned(self) -> NDArray[np.int64]:
        return self._join(self._scan(_POLICY))

    def again(self) -> NDArray[np.int64]:
        return self._join(self._stored)

    def all_kinds(self) -> int:
        return sum(part.records for part in self._scan(Policy()))

    def audited(self) -> Path:
        out, to = self._fresh(), [self._public]
        vetset.audit(self._dataset, lists=[self._listed], seal_to=to, out=out, policy=_POLICY, engine=LocalEngine(0))
        return out

    def sealed(self, out: Path) -> NDArray[np.int64]:
        """What an audit sealed."""
        opened = vetset.open_audit(out, self._private)
        first, total = {}, 0
        for shard in opened.manifest.shards:
            first[shard.name] = total
            total += shard.records
        return np.sort([first[match.record.shard] + match.record.row for match in opened.case.findings.matches])


def _peers(dataset: Path, values: NDArray[np.uint8], *, raw: bool) -> dict[str, Callable[[], Any]]:
    """Each returns the numbers of the rows that are on the list, in order; it has the list in the column's form."""
    listed = pa.table({"md5": _raw(values).cast(pa.binary()) if raw else _text("", _hex(values))})
    files = [str(path) for path in sorted(dataset.glob("*.parquet"))]
    connection = duckdb.connect(config={"threads": 1})
    connection.register("listed", listed)
    semi = (
        "SELECT r.file_row_number AS i FROM read_parquet(?, file_row_number = true, filename = true) r"
        " SEMI JOIN listed ON r.md5 = listed.md5 ORDER BY r.filename, r.file_row_number"
    )
    frame = pl.DataFrame(listed).lazy()

    def by_polars() -> Any:
        rows = pl.scan_parquet(files).select("md5").with_row_index("i")
        return np.sort(rows.join(frame, on="md5", how="semi").collect()["i"].to_numpy())

    return {_DUCK: lambda: connection.execute(semi, [files]).fetchnumpy()["i"], _POLARS: by_polars}


def _tables(topic: Topic, folder: Path, md5: NDArray[np.uint8], listed: HashList, *, raw: bool) -> None:
    form = "16 raw bytes" if raw else "hexadecimal text"
    dataset = folder / ("raw" if raw else "hex")
    _write(dataset, md5, raw=raw)
    scratch = folder / f"{dataset.name}-runs"
    ours = _Ours(dataset, scratch, listed)
    ways = {_SCANNED: ours.scanned, _AGAIN: ours.again, _AUDITED: ours.audited}
    ways |= _peers(dataset, listed.entries[Kind.MD5].values, raw=raw)
    hits = np.arange(0, len(md5), _HIT_EVERY)
    split = len(np.array_split(md5, 2)[0])
    for name, way in ways.items():
        found = ours.sealed(way()) if name == _AUDITED else way()
        expected = np.where(hits < split, hits, hits - split) if name == _DUCK else hits
        seen = f"{len(found):,} of {len(hits):,}"
        topic.holds(f"{form}, {name}: planted rows found", seen, true=np.array_equal(expected, found))
    seconds = in_turns(ways, 3, warm=False)
    rows = [
        Row(name, rate(taken, len(md5), 1e6), {_DUCK: "DuckDB", _POLARS: "polars"}.get(name, ""))
        for name, taken in seconds.items()
    ]
    topic.tables.append(
        Table(
            f"From file to matches, digests as {form}",
            "Inside: reading the column from the page cache, decoding, comparing all 16 bytes, numbers of the rows"
            " found. vetset's first two rows have their index of the list built before; the third builds it inside, as"
            " the peers do. vetset also digests what it reads and writes and syncs its store. 1 thread.",
            "million rows/s/core",
            "more",
            rows,
        )
    )
    if not raw:
        kinds = ", ".join(kind for kind in LIST_KINDS)
        topic.tables.append(
            Table(
                "Scan of the same tables under the default policy",
                f"Inside: everything that a scan does, for {kinds}: among them two digests of every address. 1 thread.",
                "million rows/s/core",
                "more",
                [Row(_ALL, rate(in_turns({_ALL: ours.all_kinds}, 3)[_ALL], len(md5), 1e6))],
            )
        )
    shutil.rmtree(scratch)
    shutil.rmtree(dataset)


def measure(*, quick: bool) -> Topic:
    pa.set_cpu_count(1)
    size = 200_000 if quick else 10_000_000
    rng = np.random.default_rng(2)
    values = rng.integers(256, size=(size, 16), dtype=np.uint8)
    md5 = rng.integers(256, size=(size, 16), dtype=np.uint8)
    hits = np.arange(0, size, _HIT_EVERY)
    md5[hits] = values[rng.integers(size, size=len(hits))]
    topic = Topic(
        "Metadata tables",
        f"Two parquet files as LAION publishes them (nine columns, snappy, {_GROUP:,} rows a group) of {size:,} rows in"
        f" all, against a list of {size:,} digests; one row in {_HIT_EVERY:,} is on it.",
    )
    listed = _list(values)
    with tempfile.TemporaryDirectory() as name:
        for raw in (False, True):
            _tables(topic, Path(name), md5, listed, raw=raw)
    return topic


if __name__ == "__main__":
    main(measure)
