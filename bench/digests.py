"""Topic: which rows carry a digest of the list, against the joins of pyarrow, DuckDB and polars."""

from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from bench.figures import Row, Table, Topic, cpu_seconds, in_turns, main, rate
from numpy.typing import NDArray

from vetset.search.exact import DigestIndex

_WIDTH = 16
_HIT_EVERY = 1_000
_HELD, _FRESH = "vetset.DigestIndex.join", "vetset.DigestIndex(list).join"
_ARROW, _DUCK, _POLARS = (
    "pyarrow is_in on fixed 16 bytes",
    "DuckDB semi join on two 64-bit halves",
    "polars semi join on binary",
)
_PEERS = {_ARROW: "pyarrow", _DUCK: "DuckDB", _POLARS: "polars"}


def _fixed(digests: NDArray[np.uint8]) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(_WIDTH), len(digests), [None, pa.py_buffer(digests)])


def _halves(digests: NDArray[np.uint8]) -> pa.Table:
    words = digests.view(np.uint64)
    columns = {"a": np.ascontiguousarray(words[:, 0]), "b": np.ascontiguousarray(words[:, 1])}
    return pa.table(columns | {"i": np.arange(len(digests))})


def _ways(listed: NDArray[np.uint8], rows: NDArray[np.uint8]) -> dict[str, Callable[[], Any]]:
    """Each way returns the positions of the rows that are on the list, in order."""
    index = DigestIndex(listed)
    fixed_listed, fixed_rows = _fixed(listed), _fixed(rows)
    connection = duckdb.connect(config={"threads": 1})
    connection.register("listed", _halves(listed))
    connection.register("rows", _halves(rows))
    semi = "SELECT rows.i FROM rows SEMI JOIN listed ON rows.a = listed.a AND rows.b = listed.b ORDER BY rows.i"
    frame_listed = pl.DataFrame({"d": pl.from_arrow(fixed_listed.cast(pa.binary()))})
    frame_rows = pl.DataFrame({"d": pl.from_arrow(fixed_rows.cast(pa.binary()))}).with_row_index("i")
    return {
        _HELD: lambda: index.join(rows)[0],
        _FRESH: lambda: DigestIndex(listed).join(rows)[0],
        _ARROW: lambda: np.flatnonzero(
            pc.is_in(fixed_rows, options=pc.SetLookupOptions(fixed_listed)).to_numpy(zero_copy_only=False)
        ),
        _DUCK: lambda: connection.execute(semi).fetchnumpy()["i"],
        _POLARS: lambda: np.sort(frame_rows.join(frame_listed, on="d", how="semi")["i"].to_numpy()),
    }


def measure(*, quick: bool) -> Topic:
    pa.set_cpu_count(1)
    size = 200_000 if quick else 10_000_000
    rng = np.random.default_rng(2)
    listed = rng.integers(256, size=(size, _WIDTH), dtype=np.uint8)
    rows = rng.integers(256, size=(size, _WIDTH), dtype=np.uint8)
    hits = np.arange(0, size, _HIT_EVERY)
    rows[hits] = listed[rng.integers(size, size=len(hits))]
    ways = _ways(listed, rows)
    results = {name: way() for name, way in ways.items()}
    seconds = in_turns(ways, 3, warm=False)
    topic = Topic(
        "Equal digests",
        f"{size:,} random rows of 16 bytes against a list of {size:,}, in memory; one row in {_HIT_EVERY:,} is on it.",
    )
    rows_of = {name: Row(name, rate(taken, size, 1e6), _PEERS.get(name, "")) for name, taken in seconds.items()}
    peers = [rows_of[name] for name in _PEERS]
    inside = "Inside: all 16 bytes compared, positions of the rows found, in order"
    outside = "Outside: reading, converting to each one's own form. 1 thread."
    topic.tables += [
        Table(
            f"Rows on a list of {size:,} digests, index built inside",
            f"{inside}, and for all of them what they build over the list. {outside}",
            "million rows/s",
            "more",
            [rows_of[_FRESH], *peers],
        ),
        Table(
            f"Rows on a list of {size:,} digests, vetset's index built before",
            f"{inside}. The peers' rows are those of the table above: their joins build anew each time, and the more"
            f" rows there are for one list, the less that matters. {outside}",
            "million rows/s",
            "more",
            [rows_of[_HELD], *peers],
        ),
    ]
    topic.tables.append(
        Table(
            f"Building the index of {size:,} digests",
            "Inside: from digests in memory to an index that answers. 1 thread.",
            "s",
            "less",
            [Row("vetset.DigestIndex", [cpu_seconds(lambda: DigestIndex(listed)) for _ in range(3)])],
        )
    )
    for name, found in results.items():
        seen = f"{np.isin(hits, found).sum():,} of {len(hits):,}, {len(found):,} in all"
        claim = f"{name}: planted rows found"
        if name in _PEERS:
            topic.checks.append((claim, seen))
        else:
            topic.holds(claim, seen, true=np.array_equal(hits, found))
    return topic


if __name__ == "__main__":
    main(measure)
