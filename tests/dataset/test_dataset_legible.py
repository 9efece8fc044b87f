"""What a cell holds, as Python's values and as what is sealed of it: whatever it is, it costs nothing but itself."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_cases import IMAGE, cell, picture, stream_of, url

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.fields import MAX_COLUMN, fields_of_json, scalar
from vetset.dataset.formats import format_of
from vetset.dataset.legible import UNTOLD, python_values
from vetset.dataset.picked import picked_batches
from vetset.model.canonical import canonical_json
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Record

MAPPING = ColumnMapping()
TWICE = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], fields=[pa.field("a", pa.int64())] * 2)
BROKEN = pa.Array.from_buffers(pa.string(), 1, pa.array([b"a\xff"]).buffers())
NANO = pa.array([1], pa.timestamp("ns"))
FAR = pa.array([2**62], pa.timestamp("us"))
DAYS = pa.array([2**30], pa.date32())
ONE = "1970-01-01 00:00:00.000000001"

TOLD = {
    "two of one name": (TWICE, '[["a", 1], ["a", 2]]'),
    "list of two of one name": (pa.ListArray.from_arrays([0, 1], TWICE), '[[["a", 1], ["a", 2]]]'),
    "repeated nanoseconds": (NANO.dictionary_encode(), ONE),
    "repeated far time": (FAR.dictionary_encode(), "<value out of range: 4611686018427387904>"),
    "repeated far date": (DAYS.dictionary_encode(), "<value out of range: 1073741824>"),
    "repeated time of day": (pa.array([1], pa.time64("ns")).dictionary_encode(), "00:00:00.000000001"),
    "repeated duration": (pa.array([2**62], pa.duration("us")).dictionary_encode(), 2**62),
    "extension over nanoseconds": (pa.ExtensionArray.from_storage(pa.opaque(pa.timestamp("ns"), "x", "y"), NANO), ONE),
    "list of repeated times": (pa.ListArray.from_arrays([0, 1], NANO.dictionary_encode()), f'["{ONE}"]'),
    "unknown zone": (pa.array([0], pa.timestamp("us", tz="Mars/Olympus")), "1970-01-01 00:00:00.000000Z"),
    "nested text that is no UTF-8": (pa.ListArray.from_arrays([0, 1], BROKEN), '["a\\udcff"]'),
    "uuid": (pa.array([b"a" * 16], pa.uuid()), "61" * 16),
    "map of far times": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.timestamp("ns"))), f'[["k", "{ONE}"]]'),
    "text in a view": (pa.array(["x"], pa.string_view()), "x"),
    "list in a view": (pa.array([["x"]], pa.list_view(pa.string())), '["x"]'),
    "fixed list": (pa.array([[b"x", None]], pa.list_(pa.binary(), 2)), '["78", null]'),
}


@pytest.mark.parametrize("name", TOLD)
def test_every_type_is_told(name):
    array, expected = TOLD[name]
    (value,) = python_values(array)
    assert scalar(value) == expected


def test_what_cannot_be_told_costs_itself(monkeypatch):
    def refused(array):
        if 3 in array.cast(pa.int64()).to_pylist():
            raise RecursionError
        return array.to_pylist()

    monkeypatch.setattr("vetset.dataset.legible._plain", refused)
    assert python_values(pa.chunked_array([[1, 2, 3], [4]])) == [1, 2, UNTOLD, 4]
    assert python_values(pa.array([], pa.int64())) == []
    assert scalar(UNTOLD) is scalar([UNTOLD] * MAX_COLUMN) is None
    monkeypatch.setattr("vetset.dataset.legible._plain", lambda _array: b"x" * (1 << 62))
    with pytest.raises(MemoryError):
        python_values(pa.array([1]))


def test_values_of_slices_and_nulls_are_those_of_the_rows():
    kind = pa.struct(
        {"a": pa.list_(pa.dictionary(pa.int8(), pa.string())), "b": pa.map_(pa.string(), pa.list_(pa.int8(), 2))}
    )
    rows = [
        {"a": ["x", None, "y"], "b": [("k", [1, 2]), ("l", None)]},
        None,
        {"a": None, "b": None},
        {"a": [], "b": []},
        {"a": ["y"], "b": [("m", [3, None])]},
    ]
    array = pa.array(rows, kind)
    assert python_values(array) == rows
    for start in range(5):
        assert python_values(array.slice(start, 3)) == rows[start : start + 3]


def test_a_document_that_is_nested_deep_costs_no_more_than_its_columns():
    for depth in [*range(500, 1000), 5000]:  # somewhere there it can be read, and not written any more
        document = b'{"url": "u", "x": ' + b"[" * depth + b"]" * depth + b"}"
        fields = fields_of_json(document, MAPPING, "x", with_columns=True)
        assert fields.url in {"u", None}
        canonical_json(dict(fields.columns))


def test_bytes_that_may_be_a_picture_are_never_told_at_any_depth():
    digest, more = b"d" * 64, picture(1)
    assert scalar(digest) == digest.hex()
    assert scalar(more) is scalar(b"x" * 65) is None
    assert json.loads(scalar({"a": [more, digest], "b": {"c": more}, "w": 7})) == {
        "a": [None, digest.hex()],
        "b": {"c": None},
        "w": 7,
    }
    assert scalar("x" * MAX_COLUMN) == "x" * MAX_COLUMN
    assert scalar("x" * (MAX_COLUMN + 1)) is scalar(["x" * MAX_COLUMN]) is None


def written(root, kind, column):
    if kind == "parquet":
        table = pa.table({"url": [url(1)] * len(column), "md5": ["0f" * 16] * len(column), "x": column})
        pq.write_table(table, root / "x.parquet", write_page_checksum=True)
        return format_of(Format.PARQUET)
    table = pa.table({"image": pa.array([cell(1)] * len(column), IMAGE), "url": [url(1)] * len(column), "x": column})
    if kind == "stream":
        stream_of(root / "x.arrow", table)
    else:
        pq.write_table(table, root / "x.parquet")
    return format_of(Format.HUGGINGFACE)


@pytest.mark.parametrize("kind", ["parquet", "rows", "stream"])
@pytest.mark.parametrize("name", TOLD)
def test_a_finding_keeps_its_address_whatever_its_other_columns_hold(tmp_path, kind, name):
    array, expected = TOLD[name]
    form = written(tmp_path, kind, array)
    (shard,) = form.discover(tmp_path)
    (item,) = form.read_rows(tmp_path, shard, [0], MAPPING).values()
    assert item.fields.url == url(1)
    assert kind == "parquet" or isinstance(item, Record)
    if kind == "parquet" and name == "fixed list":
        assert "x" not in item.fields.columns  # bytes in it
    elif "no UTF-8" not in name or kind == "parquet":  # a stream's batch is refused as a whole, and read without it
        assert item.fields.columns["x"] == expected
    canonical_json(dict(item.fields.columns))


VIEWS = {
    "text": pa.array(["a", None, "c"], pa.string_view()),
    "bytes": pa.array([b"a", None, b"c"], pa.binary_view()),
    "deep": pa.array(
        [{"a": [["x"]]}, None, {"a": [None, []]}], pa.struct({"a": pa.list_(pa.large_list(pa.string_view()))})
    ),
    "map": pa.array([[("k", b"v")], None, []], pa.map_(pa.string_view(), pa.binary_view())),
    "fixed": pa.array([["x", "y"], None, ["z", None]], pa.list_(pa.string_view(), 2)),
}


@pytest.mark.parametrize("kind", ["parquet", "rows", "stream"])
@pytest.mark.parametrize("name", VIEWS)
def test_tables_with_views_are_compared_picked_and_filtered(tmp_path, kind, name):
    form = written(tmp_path, kind, VIEWS[name])
    (shard,) = form.discover(tmp_path)
    before = list(form.identities(tmp_path, shard))
    assert [item.fields.url for item in form.read_rows(tmp_path, shard, range(3), MAPPING).values()] == [url(1)] * 3
    form.write(tmp_path, shard, np.array([False, True, True]), tmp_path / "out")
    (copy,) = form.discover(tmp_path / "out")
    assert list(form.identities(tmp_path / "out", copy)) == before[1:]
    old, new = (load(root / shard.uri) for root in (tmp_path, tmp_path / "out"))
    assert new.schema.equals(old.schema, check_metadata=True)
    assert new.to_pylist() == old.to_pylist()[1:]


def load(path):
    if path.suffix == ".arrow":
        return pa.ipc.open_stream(path.read_bytes()).read_all()
    return pq.read_table(path)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_pictures_in_views_are_pictures(tmp_path, suffix):
    form = format_of(Format.HUGGINGFACE)
    viewed = pa.struct({"bytes": pa.binary_view(), "path": pa.string_view()})
    table = pa.table(
        {"image": pa.array([cell(1), None, cell(2)], viewed), "url": pa.array([url(1), "", url(2)], pa.string_view())}
    )
    if suffix == "arrow":
        stream_of(tmp_path / "x.arrow", table)
    else:
        pq.write_table(table, tmp_path / "x.parquet")
    (shard,) = form.discover(tmp_path)
    found = list(form.read(tmp_path, shard, MAPPING))
    assert [item.image for item in (found[0], found[2])] == [picture(1), picture(2)]
    assert [item.fields.url for item in found] == [url(1), "", url(2)]
    form.write(tmp_path, shard, np.array([False, True, True]), tmp_path / "out")
    assert load(tmp_path / "out" / shard.uri).to_pylist() == table.to_pylist()[1:]


def test_a_type_that_is_not_read_is_told_as_that(tmp_path):
    form = format_of(Format.HUGGINGFACE)
    runs = pa.RunEndEncodedArray.from_arrays([2], pa.array(["x"]))
    stream_of(tmp_path / "x.arrow", pa.table({"image": pa.array([cell(1)] * 2, IMAGE), "runs": runs}))
    (shard,) = form.discover(tmp_path)
    with pytest.raises(DatasetError, match="of a type") as told:
        form.write(tmp_path, shard, np.array([True, False]), tmp_path / "out")
    assert "damaged" not in str(told.value)


def test_a_table_that_cannot_be_read_as_a_whole_is_read_as_far_as_it_is_matched(tmp_path):
    form = written(tmp_path, "parquet", pa.array(["a caption"] * 9))
    (shard,) = form.discover(tmp_path)
    path = tmp_path / "x.parquet"
    data = bytearray(path.read_bytes())
    data[data.rfind(b"a caption", 0, pq.read_metadata(path).row_group(0).column(2).data_page_offset)] ^= 1
    path.write_bytes(data)
    (item,) = form.read_rows(tmp_path, shard, [4], MAPPING).values()
    assert item.fields.url == url(1)
    assert not item.fields.columns


@pytest.mark.parametrize("kind", ["parquet", "rows", "stream"])
def test_no_bytes_of_a_row_are_told_that_may_be_a_picture(tmp_path, kind):
    deep = pa.array([{"a": picture(2), "b": [picture(3)]}], pa.struct({"a": pa.binary(), "b": pa.list_(pa.binary())}))
    more = {"content": pa.array([picture(4)]), "deep": deep, "view": pa.array([picture(5)], pa.binary_view())}
    for name, column in more.items():
        root = tmp_path / name
        root.mkdir()
        form = written(root, kind, column)
        (shard,) = form.discover(root)
        (item,) = form.read_rows(root, shard, [0], MAPPING).values()
        assert item.fields.url == url(1)
        told = canonical_json(dict(item.fields.columns)).decode()
        assert len(told) < 200
        assert "x" not in item.fields.columns or json.loads(item.fields.columns["x"]) == {"a": None, "b": [None]}


def test_columns_of_bytes_are_not_read_to_tell_of_a_row_unless_something_is_matched_by_them(tmp_path):
    raw = pa.array([b"\x0f" * 16] * 2)
    pq.write_table(
        pa.table({"md5": raw, "content": raw, "fixed": raw.cast(pa.binary(16)), "t": ["a", "b"]}),
        tmp_path / "x.parquet",
    )
    form = format_of(Format.PARQUET)
    (shard,) = form.discover(tmp_path)
    (item,) = form.read_rows(tmp_path, shard, [1], MAPPING).values()
    assert list(item.fields.declared.values()) == [b"\x0f" * 16]
    assert item.fields.columns == {"fixed": "0f" * 16, "t": "b"}


def test_picked_batches_hold_the_columns_that_were_asked_for_and_no_others(tmp_path):
    count = 3000
    table = pa.table({"a": np.arange(count), "a.b": np.arange(count), "c": np.arange(count)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1000)
    picked = list(picked_batches(tmp_path / "x.parquet", [2999, 5, 1003, 7, 4000], "x.parquet", ["a"]))
    assert [numbers for numbers, _ in picked] == [[5, 7], [1003], [2999]]
    assert [batch.to_pydict() for _, batch in picked] == [{"a": numbers} for numbers, _ in picked]
