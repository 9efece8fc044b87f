"""Topic: bringing large lists in, from a file to the vault, step by step; and how lists agree.

Every figure is of a process of its own, so that the most memory that it held can be told.
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

from vetset.hashlist.bank import Bank
from vetset.hashlist.columns import first_of_each
from vetset.hashlist.formats import opinions
from vetset.hashlist.overlap import overlap
from vetset.hashlist.vault.vault import Vault
from vetset.model.hashlist import Category, ListInfo
from vetset.model.signal import Kind

_COLUMNS = ((Kind.MD5,), (Kind.MD5, Kind.SHA1, Kind.PDQ))
_PIECE = 200_000


def random_values(rng: np.random.Generator, kind: Kind, count: int) -> NDArray[np.uint8]:
    """Values of a kind, uint8 (n, width); of PDQ such as pictures have."""
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
                digits, step = random_values(rng, kind, count).tobytes().hex(), 2 * kind.width
                columns.append([digits[place : place + step] for place in range(0, len(digits), step)])
            file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))


def write_xml(path: Path, entries: int) -> None:
    """Entries as NCMEC's service gives them: three values each, a classification and a time."""
    rng = np.random.default_rng(12)
    kinds = (Kind.MD5, Kind.SHA1, Kind.PDQ)
    with path.open("w", encoding="ascii") as file:
        file.write('<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images>')
        for first in range(0, entries, _PIECE):
            count = min(_PIECE, entries - first)
            values = [random_values(rng, kind, count).tobytes().hex() for kind in kinds]
            for row in range(count):
                found = "".join(
                    f"<{kind}>{digits[2 * kind.width * row : 2 * kind.width * (row + 1)]}</{kind}>"
                    for kind, digits in zip(kinds, values, strict=True)
                )
                file.write(
                    f'<image><member id="{row % 40}">A member</member><timestamp>2026-01-31T12:00:00Z</timestamp>'
                    f"<id>image{first + row}</id><classification>A1</classification>"
                    f"<fingerprints>{found}</fingerprints></image>"
                )
        file.write("</images></queryResult>")


def _held() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _import(path: Path) -> dict[str, float]:
    """Seconds on the wall to read and check all, to apply it to an empty bank, and to keep it; GiB held at most."""
    begun = time.perf_counter()
    batches = list(opinions(path, secret=lambda: bytes(32)))
    read = time.perf_counter()
    bank, change = Bank.empty().apply(batches, full=True)
    applied = time.perf_counter()
    del batches
    compiled = bank.entries()
    distinct = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        info = ListInfo("bench", "bench", Category.BENCHMARK, "none")
        Vault(Path(home)).add(info, compiled.entries, bank=bank.to_bytes())
        kept = time.perf_counter()
    values = sum(map(len, compiled.entries.values()))
    return {
        "read": read - begun, "apply": applied - read, "distinct": distinct - applied, "keep": kept - distinct,
        "entries": change.added, "values": values, "held": _held(),
    }  # fmt: skip


def _agree(size: int) -> dict[str, float]:
    """Seconds to count by how many of five owners each value is held, a fifth of each list being the others' too."""
    common = _sorted(np.random.default_rng(0), size // 5)
    columns = [_sorted(np.random.default_rng(seed), size - len(common), common) for seed in range(1, 6)]
    before, begun = _held(), time.perf_counter()
    found = overlap(columns, list("abcde"))
    seconds = time.perf_counter() - begun
    if found.by_owners != (sum(map(len, columns)) - 5 * len(common), 0, 0, 0, len(common)):
        raise RuntimeError("values are missing or counted twice")
    return {"seconds": seconds, "lists": before, "held": _held()}


def _sorted(rng: np.random.Generator, count: int, more: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    values = rng.integers(256, size=(count, Kind.SHA256.width), dtype=np.uint8)
    values = values if more is None else np.concatenate([values, more])
    return values[first_of_each(values)]


def _apart(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.list_import", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {name: float(figure) for name, figure in json.loads(done.stdout).items()}


_STEPS = {
    "read": "the file read, every line checked, digits to bytes",
    "apply": "brought together with the bank by id",
    "distinct": "distinct values sorted, with flags and members",
    "keep": "list and bank encrypted, written, flushed to the disk",
}


def _imported(topic: Topic, title: str, path: Path, floor: float, counted: str) -> None:
    """One import: a table of its steps, and a check of the whole."""
    found = _apart("--import", str(path))
    whole = found[counted] / sum(found[step] for step in _STEPS)
    rows = [Row("all of it, to a list in the vault", [whole / 1e3], once=True)]
    rows += [Row(words, [found[counted] / found[step] / 1e3], once=True) for step, words in _STEPS.items()]
    about = (
        f"{found['entries']:,.0f} entries, {found['values']:,.0f} values; {path.stat().st_size / 1e9:.2f} GB of text"
    )
    topic.tables.append(
        Table(title, f"{about}. 1 process; most memory {found['held']:.2f} GiB.", f"thousand {counted}/s", "more", rows)
    )
    topic.checks.append((f"{title}: {floor / 1e3:g} thousand {counted}/s at least", f"{whole / 1e3:,.0f}"))


def measure(*, quick: bool) -> Topic:
    rows, entries, size = (200_000, 20_000, 50_000) if quick else (20_000_000, 1_000_000, 5_000_000)
    topic = Topic("Bringing lists in", "Random values and ids. Files are in the page cache. Seconds on the wall.")
    with tempfile.TemporaryDirectory() as name:
        for kinds in _COLUMNS:
            path = Path(name, "list.csv")
            write_csv(path, kinds, rows if len(kinds) == 1 else rows // 4)
            _imported(topic, f"CSV: {','.join(['id', *(kind.value for kind in kinds)])}", path, 500e3, "entries")
        path = Path(name, "list.xml")
        write_xml(path, entries)
        _imported(topic, "NCMEC XML: md5, sha1 and pdq of each entry", path, 100e3, "values")
    found = _apart("--agree", str(size))
    topic.tables.append(
        Table(
            f"How five lists of {size:,} SHA-256 values agree",
            f"Values by the number of owners that hold them. Most memory: {found['lists']:.2f} GiB with the lists,"
            f" {found['held']:.2f} GiB afterwards.",
            "seconds",
            "less",
            [Row("overlap", [found["seconds"]], once=True)],
        )
    )
    topic.checks.append((f"5 lists of {size:,}: 30 s at most", f"{found['seconds']:.1f} s"))
    topic.checks.append((f"5 lists of {size:,}: 2 GiB at most", f"{found['held']:.2f} GiB"))
    return topic


if __name__ == "__main__":
    if sys.argv[1] == "--import":
        print(json.dumps(_import(Path(sys.argv[2]))))
    elif sys.argv[1] == "--agree":
        print(json.dumps(_agree(int(sys.argv[2]))))
    else:
        main(measure)
