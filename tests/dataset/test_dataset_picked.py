"""Some rows of a table are read again without all others becoming as large as the largest."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vetset.dataset import bounds
from vetset.dataset.bounds import MAX_ROWS, TABLE_ROWS, WORST_BYTES
from vetset.dataset.picked import picked_batches, picked_rows
from vetset.model.errors import DatasetError

COUNT = 20_000
LONG = "x" * (1 << 20)


def steps(path, columns, monkeypatch):
    """How many rows of each batch were gone through to pick the last one of all."""
    seen = []
    whole = pq.ParquetFile.iter_batches

    def watched(self, *given, **named):
        for batch in whole(self, *given, **named):
            seen.append(len(batch))
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    rows = pq.read_metadata(path).num_rows
    picked = picked_rows(path, [rows - 1], "x.parquet", columns)
    monkeypatch.undo()
    assert list(picked) == [rows - 1]
    return picked[rows - 1], max(seen)


def written(path, table, **settings):
    pq.write_table(table, path, **settings)
    return path


def addresses(count=COUNT):
    return pa.array([f"https://pictures.example.org/{number:09}.jpg" for number in range(count)])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize("dictionary", [True, False])
def test_a_table_of_short_values_is_gone_through_by_the_thousand(tmp_path, monkeypatch, dictionary, kind):
    table = pa.table({"url": addresses().cast(kind), "n": np.arange(COUNT), "same": ["same"] * COUNT})
    path = written(tmp_path / "x.parquet", table, use_dictionary=dictionary)
    values, most = steps(path, ["url", "n", "same"], monkeypatch)
    assert most == TABLE_ROWS
    assert values == {"url": table["url"][-1].as_py(), "n": COUNT - 1, "same": "same"}


def repeated(count=COUNT):
    """One long value, held once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [LONG])


@pytest.mark.parametrize("store_schema", [True, False])  # it is read as a dictionary, or as text
def test_a_long_value_that_a_dictionary_repeats_makes_the_steps_short(tmp_path, monkeypatch, store_schema):
    monkeypatch.setattr(bounds, "WORST_BYTES", 1 << 28)
    table = pa.table({"text": repeated(600), "n": np.arange(600)})
    path = written(tmp_path / "x.parquet", table, store_schema=store_schema, dictionary_pagesize_limit=1 << 24)
    assert path.stat().st_size < 1 << 20
    assert pa.types.is_dictionary(pq.read_schema(path).field("text").type) == store_schema
    _, most = steps(path, ["text", "n"], monkeypatch)
    assert MAX_ROWS < most < (1 << 28) / len(LONG)


def test_a_long_value_that_is_not_read_counts_for_nothing(tmp_path, monkeypatch):
    path = written(tmp_path / "x.parquet", pa.table({"n": np.arange(COUNT), "text": repeated()}))
    assert steps(path, ["n"], monkeypatch) == ({"n": COUNT - 1}, TABLE_ROWS)


def test_values_within_values_count_as_long_as_their_column(tmp_path, monkeypatch):
    lists = pa.array([["a", "b"]] * COUNT)
    path = written(tmp_path / "x.parquet", pa.table({"words": lists}), row_group_size=COUNT)
    values, most = steps(path, ["words"], monkeypatch)
    assert (values, most) == ({"words": ["a", "b"]}, TABLE_ROWS)  # all of it takes a few kilobytes
    path = written(tmp_path / "y.parquet", pa.table({"words": [["a" * 500, str(number)] for number in range(COUNT)]}))
    size = pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size
    assert steps(path, ["words"], monkeypatch)[1] == min(TABLE_ROWS, max(MAX_ROWS, WORST_BYTES // size))


def test_columns_of_every_type_are_gone_through(tmp_path):
    table = pa.table(
        {
            "decimal": pa.array([1, 2, None], pa.decimal128(30, 2)),
            "empty": pa.array([None, None, None], pa.string()),
            "a.b": ["x", None, "y"],
            "a": pa.array([{"b": "q"}, None, {"b": "r"}]),
            "flag": [True, False, None],
            "time": pa.array([1, 2, 3], pa.timestamp("us")),
        }
    )
    path = written(tmp_path / "x.parquet", table, store_decimal_as_integer=False)
    ((numbers, batch),) = picked_batches(path, [0, 2, 9], "x.parquet", table.column_names)
    assert numbers == [0, 2]
    assert batch.to_pydict() == table.take([0, 2]).to_pydict()
    assert picked_rows(path.read_bytes(), [1], "x.parquet", ["a.b"]) == {1: {"a.b": None}}


def test_no_damage_to_a_footer_ends_the_process(tmp_path):
    columns = {"url": addresses(40), "n": np.arange(40), "words": [["a", "b"]] * 40, "raw": [b"\x0f" * 16] * 40}
    data = written(tmp_path / "x.parquet", pa.table(columns), row_group_size=16).read_bytes()
    footer = 8 + int.from_bytes(data[-8:-4], "little")
    rng = np.random.default_rng(4)
    ended = Counter()
    for at, bit in enumerate(rng.integers(8, size=footer).tolist(), start=len(data) - footer):
        damaged = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        try:
            ended[len(picked_rows(damaged, [1, 20], "x.parquet", list(columns))) <= 2] += 1
        except DatasetError:
            ended["refused"] += 1
    assert set(ended) == {True, "refused"}
