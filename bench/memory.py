"""Topic: the most memory that all processes of a run hold together, at two sizes of dataset each.

Measured from outside: the command runs as a process of its own, and the proportional set size of it and of everything
it started is added up every 50 ms (pages that two processes share count once in all).
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench.audit import samples
from bench.figures import Row, Table, Topic, main
from bench.list_import import random_values
from bench.pictures import pictures

from vetset.dataset.webdataset import pack
from vetset.model.signal import Kind

_EVERY = 0.05
_LIMIT = 1.0
"""GiB that a whole audit may take."""
_SIZES = [(256, 256), (384, 384), (512, 512), (1024, 768)]


def _children(parent: int) -> set[int]:
    """A process and all that it started, by the numbers of their parents."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                stat = Path(entry.path, "stat").read_text(encoding="ascii", errors="replace")
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {parent}
    while more := {child for child, of in parents.items() if of in found} - found:
        found |= more
    return found


def _held(process: int) -> int:
    """Bytes of its proportional set size; 0 once it has ended.

    A process that has opened a vault lets nobody but root look at its pages: then its resident set is taken, which
    counts pages that it shares in full.
    """
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(PermissionError):
            try:
                text = Path(f"/proc/{process}/{name}").read_text(encoding="ascii", errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                return 0
            return sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith(field))
    return 0


def peak(arguments: list[str], environment: dict[str, str]) -> float:
    """GiB that a run of the command held at most, all processes together."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-m", "vetset", *arguments], env=environment, **quiet) as run:
        most = 0
        while run.poll() is None:
            most = max(most, sum(map(_held, _children(run.pid))))
            time.sleep(_EVERY)
        if run.returncode:
            raise RuntimeError(f"vetset {arguments[0]} ended with {run.returncode}")
    return most / 2**30


def _write_list(path: Path, entries: int) -> None:
    """A list that is half PDQ and half MD5."""
    rng = np.random.default_rng(7)
    with path.open("w", encoding="ascii") as file:
        file.write("kind,value\n")
        for kind in (Kind.PDQ, Kind.MD5):
            digits, step = random_values(rng, kind, entries // 2).tobytes().hex(), 2 * kind.width
            file.writelines(f"{kind.value},{digits[i : i + step]}\n" for i in range(0, len(digits), step))


def _write_tars(folder: Path, count: int) -> None:
    folder.mkdir()
    some = pictures(_SIZES, 250, seed=4)
    for shard in range(8):
        files = [some[number % len(some)] for number in range(shard, count, 8)]
        pack(samples(files, shard * 10_000_000), folder / f"{shard:05d}.tar")


def _write_table(folder: Path, count: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(8)
    schema = pa.schema([("url", pa.string()), ("md5", pa.string())])
    with pq.ParquetWriter(folder / "part-00000.parquet", schema) as file:
        for first in range(0, count, 1 << 18):
            rows = min(1 << 18, count - first)
            digits = rng.integers(256, size=(rows, 16), dtype=np.uint8).tobytes().hex()
            md5 = [digits[i : i + 32] for i in range(0, len(digits), 32)]
            urls = [f"https://pictures.example.org/{digest}.jpg" for digest in md5]
            file.write_table(pa.table({"url": urls, "md5": md5}))


def measure(*, quick: bool) -> Topic:
    entries = 20_000 if quick else 1_000_000
    topic = Topic(
        "Memory",
        f"`vetset audit` with a list of {entries:,} entries, half of them PDQ and half MD5, as a command of its own;"
        " proportional set size of all its processes together, every 50 ms.",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {"VETSET_HOME": str(folder / "home")}
        _write_list(folder / "list.csv", entries)

        def vetset(*arguments: str) -> float:
            return peak(list(arguments), environment)

        vetset("keygen", "bench", "--out", str(folder / "keys"))
        vetset("lists", "add", str(folder / "list.csv"), "--name", "bench", "--owner", "bench",
               "--category", "benchmark", "--licence", "none")  # fmt: skip
        shown = (200, 400) if quick else (2_000, 16_000)
        stated = (10_000, 20_000) if quick else (2_000_000, 16_000_000)
        rows = []
        for what, sizes, write in (("pictures in tars", shown, _write_tars), ("rows of a table", stated, _write_table)):
            for count in sizes:
                dataset = folder / f"{count}"
                write(dataset, count)
                held = vetset("audit", str(dataset), "--list", "bench", "--seal-to", str(folder / "keys" / "bench.pub"),
                              "--out", str(folder / f"audit-{count}"), "--workers", "2")  # fmt: skip
                rows.append(Row(f"{count:,} {what}, 2 workers", [held], once=True))
                topic.checks.append((f"{count:,} {what}: under {_LIMIT:g} GiB", f"{held:.2f} GiB"))
        topic.tables.append(Table("Most memory of an audit", "All processes together.", "GiB", "less", rows))
    return topic


if __name__ == "__main__":
    main(measure)
