"""Topic: a whole scan of tars into a fresh store, against the loop one would write with ThreatExchange.

What is measured is imported where it is used: a worker imports the module that its parent ran, and must not pay for
what the other way needs.
"""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from bench.figures import Row, Table, Topic, in_turns, main, rate, wall_seconds

_PEER = "loop over tarfile, threatexchange, hashlib"
_FLOOR = "floor: vetset's decoder + hashlib, no PDQ, no tar, no store"
_SIZES = [(256, 256), (384, 384), (512, 384), (512, 512)]


def samples(files: list[bytes], first: int) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    for offset, data in enumerate(files):
        key = f"{first + offset:09d}"
        meta = {"key": key, "url": f"https://example.org/{key}.jpg", "caption": f"a picture, number {key}"}
        yield key, {"jpg": data, "json": json.dumps(meta).encode(), "txt": meta["caption"].encode()}


def _loop(path: Path) -> int:
    """One tar by hand: no store, no addresses, no reasons; a picture that raises would end it."""
    from threatexchange.signal_type.pdq.pdq_hasher import pdq_from_bytes

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


def _floor(files: list[bytes]) -> None:
    """What no scan can do without: decode, and the three digests of the stored bytes."""
    from vetset.signal.decode import decode

    for data in files:
        hashlib.md5(data).digest()
        hashlib.sha1(data).digest()
        hashlib.sha256(data).digest()
        decode(data, max_pixels=1 << 28, borrowed=True)


def _packed(folder: Path, files: list[bytes], shards: int, copies: int) -> list[Path]:
    """Tars of the files, `copies` times over; every sample has a key and an address of its own."""
    from vetset.dataset.webdataset import pack

    folder.mkdir()
    paths = []
    for shard in range(shards * copies):
        paths.append(folder / f"{shard:05d}.tar")
        pack(samples(files[shard % shards :: shards], shard * 10_000), paths[-1])
    return paths


def measure(*, quick: bool) -> Topic:
    from bench.pictures import pictures

    from vetset.api.auditing import scan
    from vetset.engine.local import LocalEngine

    each, shards, copies = (40, 2, 2) if quick else (1_000, 4, 10)
    files = pictures(_SIZES, each, seed=4)
    total = len(files) * copies
    sizes, kilobytes = ", ".join(f"{w}×{h}" for w, h in _SIZES), sum(map(len, files)) / len(files) / 1e3
    topic = Topic(
        "A whole scan",
        f"{total:,} JPEG files in {shards * copies} tars as img2dataset writes them: {len(files):,} pictures of"
        f" {sizes}, {kilobytes:.0f} KB on average, each under {copies} keys. Warm page cache; kernels compiled before,"
        " and loaded from Numba's cache.",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = _packed(folder / "dataset", files, shards, copies)
        _packed(folder / "tiny", files[:2], 2, 1)
        stores = iter(folder / f"store-{number}" for number in range(1_000))
        seen: list[int] = []

        def ours(workers: int, dataset: str = "dataset") -> None:
            store = next(stores)
            note = scan(folder / dataset, store=store, engine=LocalEngine(workers))
            if dataset == "dataset":
                seen.append(sum(part.records for part in note.shards))
            shutil.rmtree(store)

        ours(1, "tiny")  # compiles, where nothing is compiled yet
        workers = sorted({1, min(2, len(os.sched_getaffinity(0)))})
        names = {number: f"vetset.scan, {number} worker{'s' * (number > 1)}" for number in workers}
        # the peer's own rate does not depend on how many tars there are, so it gets one copy of the files
        peers = {number: f"{_PEER}, {number} process{'es' * (number > 1)}" for number in workers}
        ways: dict[str, Callable[[], object]] = {names[number]: partial(ours, number) for number in workers}
        ways |= {peers[number]: partial(_loops, paths[:shards], number) for number in workers}
        ways[_FLOOR] = partial(_floor, files)
        counts = {way: total if way in names.values() else len(files) for way in ways}
        seconds = in_turns(ways, 3, clock=wall_seconds, warm=False)
        rates = {way: rate(taken, counts[way]) for way, taken in seconds.items()}
        for number in workers:
            rows = [
                Row(names[number], rates[names[number]]),
                Row(peers[number], rates[peers[number]], "threatexchange loop"),
            ]
            if number == 1:
                rows.append(Row(_FLOOR, rates[_FLOOR], "decode and digests only"))
            topic.tables.append(_table(f"Scan into a fresh store, {number} worker{'s' * (number > 1)}", rows))
        starts = in_turns({names[number]: partial(ours, number, "tiny") for number in workers}, 5, clock=wall_seconds)
        topic.tables.append(_starting([Row(way, taken) for way, taken in starts.items()]))
        topic.holds(
            f"records in the store, least of {len(seen)} scans", f"{min(seen):,} of {total:,}", true=min(seen) == total
        )
        topic.checks += _shares(
            {number: median(seconds[way]) for number, way in names.items()},
            {number: median(starts[way]) for number, way in names.items()},
            median(seconds[_FLOOR]) * copies,
        )
    return topic


def _table(title: str, rows: list[Row]) -> Table:
    return Table(
        title,
        "Wall time. Inside vetset's row: starting the workers, loading compiled code, reading the tars, decoding, MD5,"
        " SHA-1, SHA-256 and PDQ of the stored bytes, the policy's default variants (upright, white, black, frames,"
        " partial), digests of the addresses, writing and syncing the store. Outside: importing vetset into the calling"
        " process. The loop only reads and hashes, one copy of the files; where it has two processes, starting them is"
        " inside. Decode and digests alone: vetset's own decoder on bytes in memory, 1 process, started before.",
        "pictures/s",
        "more",
        rows,
    )


def _shares(scans: Mapping[int, float], starts: Mapping[int, float], floor: float) -> list[tuple[str, str]]:
    """What the medians say of one another, with the start of the workers and without; seconds by number of workers."""
    # a quick run takes hardly longer than its start
    working = {number: max(taken - starts[number], 1e-3) for number, taken in scans.items()}
    share = f"{floor / scans[1]:.0%}, {floor / working[1]:.0%} without the start"
    found = [("rate of the scan, 1 worker, as a share of that of decode and digests alone", share)]
    if 2 in scans:
        gain = f"{scans[1] / scans[2]:.2f}×, {working[1] / working[2]:.2f}× without the start"
        found.append(("rate of 2 workers against 1 worker", gain))
    return found


def _starting(rows: list[Row]) -> Table:
    return Table(
        "Scan of two tars of one picture each",
        "Wall time: what starting workers and committing two parts takes, whatever the size of a dataset.",
        "s",
        "less",
        rows,
    )


if __name__ == "__main__":
    main(measure)
