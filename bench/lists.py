"""Topic: opening a list that lies encrypted, with its index, against how ThreatExchange opens a file of signals.

Every figure is of a process of its own, timed inside it once everything is imported and compiled. Its memory is the
high-water mark of its resident set, as the system counts it for the process alone (VmHWM).
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyrage
from bench.figures import Row, Table, Topic, main, rate
from numpy.typing import NDArray

from vetset.hashlist.vault.vault import Vault
from vetset.model.hashlist import Category, Entries, ListInfo
from vetset.model.signal import Kind
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex

_ROUNDS = 3
_KINDS = (Kind.MD5, Kind.PDQ)
_SECONDS, _GIB = 5.0, 1.5
_PLANTED = 1_000
_OURS, _LIMIT, _FILE, _PICKLE = "vault", "limit", "file", "pickle"
_LABELS = {
    _OURS: "vetset: Vault.load, and its index built",
    _LIMIT: "the limit: the same age file read and decrypted by pyrage, and thrown away",
    _FILE: "threatexchange local_file: a text file fetched and converted, and its index built",
    _PICKLE: "threatexchange: its index deserialized from a pickle in the clear",
}
_PEERS = {_FILE: "local_file", _PICKLE: "its pickle"}


def _values(kind: Kind, size: int) -> NDArray[np.uint8]:
    """Random values in order, without doubles."""
    rng = np.random.default_rng(5)
    words = rng.integers(2**64, size=(size, kind.width // 8), dtype=np.uint64)
    words[:, 0] = np.sort(words[:, 0])
    words[:, 1] = np.where(np.diff(words[:, 0], prepend=0) == 0, np.arange(size), words[:, 1])
    return words.astype(">u8").view(np.uint8).reshape(size, kind.width)


def _entries(kind: Kind, size: int) -> Entries:
    ids = np.char.add(b"e", np.arange(10**8, 10**8 + size).astype("S9"))
    return Entries(kind, _values(kind, size), ids, np.zeros(size, np.uint8), np.ones(size, np.uint8))


def _signal(kind: Kind) -> Any:
    from threatexchange.signal_type.md5 import VideoMD5Signal
    from threatexchange.signal_type.pdq.signal import PdqSignal

    return VideoMD5Signal if kind is Kind.MD5 else PdqSignal


def _prepare(folder: Path, kind: Kind, size: int, peers: int) -> None:
    """The list in a vault; and some of its values as threatexchange keeps them, which knows an MD5 as a video's."""
    entries = _entries(kind, size)
    Vault(folder).add(ListInfo(kind.value, "bench", Category.BENCHMARK, "none"), {kind: entries})
    signal = _signal(kind)
    lines = [value.tobytes().hex() for value in entries.values[:: size // peers][:peers]]
    text = "".join(f"{signal.get_name()} {line}\n" for line in lines)
    (folder / f"{kind.value}.txt").write_text(text, encoding="ascii")
    with (folder / f"{kind.value}.index").open("wb") as file:
        signal.get_index_cls().build((line, None) for line in lines).serialize(file)


# in a process of its own


def _index(kind: Kind, values: NDArray[np.uint8]) -> Callable[[NDArray[np.uint8]], int]:
    """An index that is ready; what it returns counts the queries that are on the list."""
    if kind is Kind.PDQ:
        codes = HammingIndex(values)
        codes.join(values[:1], way="probe")  # sorts its bands
        return lambda queries: len(np.unique(codes.join(queries, 0)[0]))
    digests = DigestIndex(values)
    return lambda queries: len(digests.join(queries)[0])


def _vault(folder: Path, kind: Kind) -> Callable[[], Any]:
    few = _values(kind, 10)
    _index(kind, few)(few)

    def way() -> Any:
        entries = Vault(folder).load(kind.value).entries[kind]
        return _index(kind, entries.values), entries

    return way


class _Away:
    """A file that keeps nothing."""

    def write(self, data: bytes) -> int:
        return len(data)


def _limit(folder: Path, kind: Kind) -> Callable[[], Any]:
    key = json.loads((folder / "vault.key").read_text(encoding="ascii"))
    identity = pyrage.x25519.Identity.from_str(key["identity"])

    def way() -> None:
        with (folder / "lists" / f"{kind.value}.list").open("rb", buffering=1 << 20) as file:
            begin = int(file.read(89)[81:])
            file.seek(begin)
            pyrage.decrypt_io(file, _Away(), [identity])

    return way


def _file(folder: Path, kind: Kind) -> Callable[[], Any]:
    from threatexchange.exchanges.impl.file_api import FileCollaborationConfig, LocalFileSignalExchangeAPI

    signal, name = _signal(kind), str(folder / f"{kind.value}.txt")
    index = signal.get_index_cls()
    collab = FileCollaborationConfig(name="bench", filename=name)

    def way() -> Any:
        (delta,) = LocalFileSignalExchangeAPI.for_collab(collab).fetch_iter([signal], None)
        signals = LocalFileSignalExchangeAPI.naive_convert_to_signal_type([signal], collab, delta.updates)
        return index.build(signals[signal].items())

    return way


def _pickle(folder: Path, kind: Kind) -> Callable[[], Any]:
    index = _signal(kind).get_index_cls()

    def way() -> Any:
        with (folder / f"{kind.value}.index").open("rb") as file:
            return index.deserialize(file)

    return way


_WAYS = {_OURS: _vault, _LIMIT: _limit, _FILE: _file, _PICKLE: _pickle}


def _resident(field: str) -> int:
    """Bytes of the resident set: VmRSS now, VmHWM at most. Not `ru_maxrss`, which begins at the parent's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"the system does not tell {field}")


def _measured(name: str, kind: Kind, folder: Path) -> dict[str, float]:
    way = _WAYS[name](folder, kind)
    before = _resident("VmRSS")
    begun, used = time.perf_counter(), time.process_time()
    made = way()
    used, seconds = time.process_time() - used, time.perf_counter() - begun
    measured = {"cpu": used, "wall": seconds, "before": before, "most": _resident("VmHWM")}
    if name == _OURS:
        joined, entries = made
        planted = entries.values[:: max(1, len(entries) // _PLANTED)][:_PLANTED].copy()
        random = np.frombuffer(secrets.token_bytes(planted.size), np.uint8).reshape(planted.shape)
        measured |= {"found": joined(planted), "planted": len(planted), "others": joined(random)}
    return measured


def _apart(name: str, kind: Kind, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.lists", "--apart", name, kind.value, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


# and the page


def _topic_of(kind: Kind, folder: Path, size: int, peers: int, topic: Topic) -> list[Row]:
    """A table of rates; and rows of memory for each entry."""
    _prepare(folder, kind, size, peers)
    counts = {_OURS: size, _LIMIT: size, _FILE: peers, _PICKLE: peers}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in _WAYS}
    for _ in range(_ROUNDS):
        for name, found in runs.items():
            found.append(_apart(name, kind, folder))
    labels = {name: f"{_LABELS[name]}; {counts[name]:,} entries" for name in _WAYS}
    topic.tables.append(
        Table(
            f"Opening a list of {size:,} {kind.value} entries, ready to be searched",
            "Inside: reading from the page cache, decrypting, checking, indexing. Outside: starting Python, importing,"
            " loading compiled code. The peers at a size that they bear, as a rate.",
            "million entries/s",
            "more",
            [
                Row(labels[name], rate([run["cpu"] for run in found], counts[name], 1e6), _PEERS.get(name, ""))
                for name, found in runs.items()
            ],
        )
    )
    ours = runs[_OURS]
    found, others = min(run["found"] for run in ours), max(run["others"] for run in ours)
    topic.holds(
        f"{kind.value}: planted values found, others not, in every round",
        f"{found:,} of {ours[0]['planted']:,}, {others:,}",
        true=found == ours[0]["planted"] and others == 0,
    )
    seconds, most = (sorted(run[field] for run in ours)[_ROUNDS // 2] for field in ("wall", "most"))
    topic.checks.append(
        (f"{size:,} {kind.value} entries opened: {_SECONDS:g} s on the wall at most", f"{seconds:.2f} s")
    )
    topic.checks.append(
        (f"{size:,} {kind.value} entries opened: the whole process {_GIB:g} GiB at most", f"{most / 2**30:.2f} GiB")
    )
    return [
        Row(
            f"{kind.value}: {labels[name]}",
            [(run["most"] - run["before"]) / counts[name] for run in runs[name]],
            _PEERS.get(name, ""),
        )
        for name in (_OURS, _FILE, _PICKLE)
    ]


def measure(*, quick: bool) -> Topic:
    size, peers = (100_000, 10_000) if quick else (10_000_000, 200_000)
    topic = Topic(
        "Lists at rest",
        f"A list of {size:,} random values, ids of 10 bytes, encrypted in a vault. threatexchange keeps its lists in"
        " the clear; its entries here have no ids.",
    )
    rows = {}
    for kind in _KINDS:
        with tempfile.TemporaryDirectory() as name:
            rows[kind] = _topic_of(kind, Path(name), size, peers, topic)
    for kind, each in rows.items():
        topic.tables.append(
            Table(
                f"Memory of an opened list of {kind.value} entries, for each of them",
                "Most of the process while it opened, less what it held before. vetset's holds ids and flags.",
                "bytes",
                "less",
                each,
            )
        )
    return topic


if __name__ == "__main__":
    if sys.argv[1:2] == ["--apart"]:
        print(json.dumps(_measured(sys.argv[2], Kind(sys.argv[3]), Path(sys.argv[4]))))
    else:
        main(measure)
