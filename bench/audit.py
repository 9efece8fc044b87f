"""Topic: a whole scan of tars into a fresh store, against the loop one would write with ThreatExchange."""

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from bench.figures import Row, Table, Topic, in_turns, main, rate, wall_seconds
from bench.pictures import pictures
from threatexchange.signal_type.pdq.pdq_hasher import pdq_from_bytes

from vetset.api.auditing import scan
from vetset.dataset.webdataset import pack
from vetset.engine.local import LocalEngine

_SIZES = [(256, 256), (384, 384), (512, 384), (512, 512)]


def samples(files: list[bytes], first: int) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    for offset, data in enumerate(files):
        key = f"{first + offset:09d}"
        meta = {"key": key, "url": f"https://example.org/{key}.jpg", "caption": f"a picture, number {key}"}
        yield key, {"jpg": data, "json": json.dumps(meta).encode(), "txt": meta["caption"].encode()}


def _loop(path: Path) -> int:
    """One tar by hand: no store, no addresses, no reasons; a picture that raises would end it."""
    hashed = 0
    with tarfile.open(path, "r|") as archive:
        for member in archive:
            if not member.name.endswith(".jpg"):
                continue
            stream = archive.extractfile(member)
            if stream is None:
                continue
            data = stream.read()
            hashlib.md5(data).digest()
            hashlib.sha1(data).digest()
            hashlib.sha256(data).digest()
            pdq_from_bytes(data)
            hashed += 1
    return hashed


def _loops(paths: list[Path], workers: int) -> int:
    if workers == 1:
        return sum(map(_loop, paths))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return sum(pool.map(_loop, paths))


def measure(*, quick: bool) -> Topic:
    each, shards = (40, 2) if quick else (1_000, 16)
    topic = Topic(
        "A whole scan",
        f"{each * len(_SIZES):,} JPEG files of {', '.join(f'{w}×{h}' for w, h in _SIZES)} in {shards} tars as"
        " img2dataset writes them, warm page cache.",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dataset").mkdir()
        files = pictures(_SIZES, each, seed=4)
        paths = []
        for shard in range(shards):
            paths.append(folder / "dataset" / f"{shard:05d}.tar")
            pack(samples(files[shard::shards], shard * 10_000), paths[-1])
        stores = iter(folder / f"store-{number}" for number in range(1_000))
        seen: list[int] = []

        def ours(workers: int) -> None:
            note = scan(folder / "dataset", store=next(stores), engine=LocalEngine(workers))
            seen.append(sum(part.records for part in note.shards))

        ours(1)  # compiles, where nothing is compiled yet
        for workers in sorted({1, min(2, len(os.sched_getaffinity(0)))}):
            peer = f"loop over tarfile, threatexchange, hashlib, {workers} process{'es' * (workers > 1)}"
            ways = {
                f"vetset.scan, {workers} worker{'s' * (workers > 1)}": lambda workers=workers: ours(workers),
                peer: lambda workers=workers: _loops(paths, workers),
            }
            seconds = in_turns(ways, 3, clock=wall_seconds, warm=False)
            topic.tables.append(
                Table(
                    f"Scan into a fresh store, {workers} worker{'s' * (workers > 1)}",
                    "Wall time. Inside vetset's row: starting the workers, loading compiled code, reading the tars,"
                    " decoding, MD5, SHA-1, SHA-256 and PDQ of the stored bytes, digests of the addresses, writing and"
                    " syncing the store. The loop only reads and hashes; where it has two processes, starting them is"
                    " inside.",
                    "pictures/s",
                    "more",
                    [
                        Row(way, rate(taken, len(files)), "threatexchange loop" if way == peer else "")
                        for way, taken in seconds.items()
                    ],
                )
            )
        claim = f"records in the store, least of {len(seen)} scans"
        topic.holds(claim, f"{min(seen):,} of {len(files):,}", true=min(seen) == len(files))
    return topic


if __name__ == "__main__":
    main(measure)
