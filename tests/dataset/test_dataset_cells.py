"""Records of rows and what is left of them, against a few lines of Python that walk over plain values."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dataset_cases import stream_of
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.model.dataset import Format
from vetset.model.record import Record
from vetset.model.signal import Reason

ROWS = format_of(Format.HUGGINGFACE)
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
PAIR = pa.struct({"front": IMAGE, "text": pa.string(), "back": pa.large_list(IMAGE)})
SCHEMA = pa.schema({
    "one": IMAGE,
    "many": pa.list_(IMAGE),
    "deep": pa.list_(PAIR),
    "two": pa.list_(IMAGE, 2),
    "jpg": pa.dictionary(pa.int16(), pa.binary()),
    "text": pa.dictionary(pa.int8(), pa.string()),
    "number": pa.float32(),
})  # fmt: skip

cells = st.none() | st.fixed_dictionaries({
    "bytes": st.none() | st.binary(max_size=3), "path": st.none() | st.sampled_from(["", "a", "b.jpg"]),
})  # fmt: skip
pairs = st.fixed_dictionaries(
    {"front": cells, "text": st.none() | st.text("ab", max_size=2), "back": st.none() | st.lists(cells, max_size=3)}
)
rows_of = st.fixed_dictionaries({
    "one": cells,
    "many": st.none() | st.lists(cells, max_size=4),
    "deep": st.none() | st.lists(st.none() | pairs, max_size=3),
    "two": st.none() | st.lists(cells, min_size=2, max_size=2),
    "jpg": st.none() | st.binary(max_size=3),
    "text": st.none() | st.text("xy", max_size=2),
    "number": st.none() | st.floats(width=32, allow_nan=False),
})  # fmt: skip


def is_picture(value):
    return value is not None and (isinstance(value, bytes) or value["bytes"] is not None or bool(value["path"]))


def pictures(row):
    """(place, value) of every picture of a row, in order: by column, the fronts of all pairs before all their backs."""
    found = [(("one",), row["one"])]
    found += [(("many", number), value) for number, value in enumerate(row["many"] or [])]
    both = [(number, pair) for number, pair in enumerate(row["deep"] or []) if pair]
    found += [(("deep", number, "front"), pair["front"]) for number, pair in both]
    found += [(("deep", n, "back", at), value) for n, pair in both for at, value in enumerate(pair["back"] or [])]
    found += [(("two", number), value) for number, value in enumerate(row["two"] or [])]
    found += [(("jpg",), row["jpg"])]
    return [(place, value) for place, value in found if is_picture(value)]


def without(value, places):
    """A copy of a row with null at these places."""
    if () in places:
        return None
    below = {}
    for first, *rest in places:
        below.setdefault(first, set()).add(tuple(rest))
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    changed = {step: without(held, below[step]) if step in below else held for step, held in steps}
    return changed if isinstance(value, dict) else list(changed.values())


def expected(rows, keep):
    left, at = [], 0
    for row in rows:
        found = pictures(row)
        count = max(1, len(found))
        stays = keep[at : at + count]
        at += count
        gone = {place for (place, _), kept in zip(found, stays, strict=False) if not kept}
        if any(stays):
            left.append(without(row, gone) if gone else row)
    return left


def told(value):
    stored = value if isinstance(value, bytes) else value["bytes"]
    return Reason.NOT_DOWNLOADED if stored is None else stored or Reason.EMPTY_FILE


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(rows_of, max_size=7),
    seed=st.integers(0, 2**32 - 1),
    suffix=st.sampled_from(["parquet", "arrow"]),
    stretch=st.integers(1, 8),
)
def test_records_and_what_is_left_are_what_plain_python_makes_of_the_rows(rows, seed, suffix, stretch):
    table = pa.table({field.name: pa.array([row[field.name] for row in rows], field.type) for field in SCHEMA})
    with tempfile.TemporaryDirectory() as scratch:
        root, out = Path(scratch, "in"), Path(scratch, "out")
        path = root / f"x.{suffix}"
        root.mkdir()
        if suffix == "arrow":
            stream_of(path, table, rows=stretch)
        else:
            pq.write_table(table, path, row_group_size=stretch)
        (shard,) = ROWS.discover(root)
        items = list(ROWS.read(root, shard, ColumnMapping()))
        records = [(number, found) for number, row in enumerate(rows) for found in pictures(row) or [(None, None)]]
        assert [item.key for item in items] == [str(number) for number, _ in records]
        assert [item.image if isinstance(item, Record) else item.reason for item in items] == [
            Reason.NO_IMAGE if value is None else told(value) for _, (_, value) in records
        ]
        assert ROWS.siblings(root, shard).tolist() == [number for number, _ in records]
        keep = np.random.default_rng(seed).random(len(records)) < 0.5
        ROWS.write(root, shard, keep, out)
        copy = out / shard.uri
        left = pa.ipc.open_stream(copy.read_bytes()).read_all() if suffix == "arrow" else pq.ParquetFile(copy).read()
        assert left.to_pylist() == expected(rows, keep.tolist())
        assert left.schema.equals(pq.ParquetFile(path).schema_arrow if suffix == "parquet" else table.schema)
        picked = ROWS.read_rows(root, shard, range(0, len(records), 2), ColumnMapping())
        assert sorted(picked) == list(range(0, len(records), 2))
        assert all(picked[row].key == items[row].key for row in picked)
