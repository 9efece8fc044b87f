"""Import of large CSV lists: from a file to checked opinions, and from there to the sorted entries of every kind.

`tables(quick=...)` is what a topic adds to its own; `python -m bench.list_import [--quick] OUT` measures it alone.
Every import runs in a process of its own, so that the most memory that it held can be told.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench.figures import Row, Table, Topic, main
from numpy.typing import NDArray

from vetset.hashlist.columns import gathered
from vetset.hashlist.formats import opinions
from vetset.model.signal import Kind

_COLUMNS = ((Kind.MD5,), (Kind.MD5, Kind.SHA1, Kind.PDQ))
_PIECE = 200_000


def _values(rng: np.random.Generator, kind: Kind, count: int) -> NDArray[np.uint8]:
    if kind is not Kind.PDQ:
        return rng.integers(256, size=(count, kind.width), dtype=np.uint8)
    half = rng.integers(256, size=(count, kind.width // 2), dtype=np.uint8)
    return np.concatenate([half, ~half], axis=1)  # 128 bits are set, as in PDQ values of pictures


def write_csv(path: Path, kinds: tuple[Kind, ...], rows: int) -> None:
    """A list of random values, with ids."""
    rng = np.random.default_rng(11)
    with path.open("w", encoding="ascii") as file:
        file.write(",".join(["id", *(kind.value for kind in kinds)]) + "\n")
        for first in range(0, rows, _PIECE):
            count = min(_PIECE, rows - first)
            columns = [[f"case-{number}" for number in range(first, first + count)]]
            for kind in kinds:
                digits, step = _values(rng, kind, count).tobytes().hex(), 2 * kind.width
                columns.append([digits[place : place + step] for place in range(0, len(digits), step)])
            file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))


def _import(path: Path) -> dict[str, float]:
    """CPU seconds to read and check all, and to come to entries; GiB that the process held at most."""
    begun = time.process_time()
    rows = sum(len(batch) for batch in opinions(path))
    read = time.process_time()
    entries = gathered(opinions(path))
    done = time.process_time()
    if rows != sum(map(len, entries.values())):
        raise RuntimeError("values are missing from the entries")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"read": read - begun, "entries": done - read, "held": held}


def _measured(path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.list_import", "--import", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {name: float(figure) for name, figure in json.loads(done.stdout).items()}


def tables(*, quick: bool) -> list[Table]:
    rows = 200_000 if quick else 20_000_000
    rates, memory = [], []
    with tempfile.TemporaryDirectory() as name:
        for kinds in _COLUMNS:
            path = Path(name, "list.csv")
            write_csv(path, kinds, rows)
            found = _measured(path)
            columns = ",".join(["id", *(kind.value for kind in kinds)])
            rates += [
                Row(f"{columns}: to sorted entries", [rows / found["entries"] / 1e3], once=True),
                Row(f"{columns}: to checked opinions", [rows / found["read"] / 1e3], once=True),
            ]
            memory.append(Row(f"{columns}: to sorted entries", [found["held"]], once=True))
    inside = "Inside: reading the file (it is in the page cache), all checks, digits to bytes"
    title = f"Import of a CSV list of {rows:,} rows"
    return [
        Table(title, f"{inside}. 1 thread.", "thousand rows/s", "more", rates),
        Table(
            f"{title}: memory",
            "The most that the process held; the values themselves are in it.",
            "GiB",
            "less",
            memory,
        ),
    ]


def measure(*, quick: bool) -> Topic:
    topic = Topic("Import of lists", "Random values and ids, written as CSV.")
    topic.tables += tables(quick=quick)
    return topic


if __name__ == "__main__":
    if sys.argv[1] == "--import":
        print(json.dumps(_import(Path(sys.argv[2]))))
    else:
        main(measure)
