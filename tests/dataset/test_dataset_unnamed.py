"""Pictures in columns that nobody calls so: found by what lies there, or refused, never passed over."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_cases import IMAGE, MORE, cell, jpeg, picture, stream_of, unnamed_pictures, url
from PIL import Image

from vetset.dataset import hf_unnamed
from vetset.dataset.beginnings import NEEDED, begins_as_picture
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import detect, format_of
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Record
from vetset.model.signal import Reason

ROWS = format_of(Format.HUGGINGFACE)
MAPPING = ColumnMapping()
KINDS = pytest.mark.parametrize("suffix", ["parquet", "arrow"])
HEIF = Path(__file__).parents[1] / "fixtures" / "heif"
DIGESTS = [b"\xff\xd8\xff" * 5 + b"x"]
"""Raw MD5 digests that begin as a JPEG does."""


@pytest.fixture
def put(tmp_path):
    """Write a table as either kind of file; the root and the shard."""

    def write(table, suffix="parquet"):
        if suffix == "arrow":
            stream_of(tmp_path / "x.arrow", table, rows=3)
        else:
            pq.write_table(table, tmp_path / "x.parquet", row_group_size=3)
        (shard,) = ROWS.discover(tmp_path)
        return tmp_path, shard

    return write


def told(root, shard):
    return [item.image if isinstance(item, Record) else item.reason for item in ROWS.read(root, shard, MAPPING)]


@KINDS
def test_a_struct_with_more_than_a_file_is_a_picture_beside_one_and_alone(put, suffix):
    more = pa.struct({"bytes": pa.binary(), "path": pa.string(), "width": pa.int32()})
    column = pa.array([{**cell(2), "width": 64}, None, {"bytes": None, "path": "a.jpg", "width": 1}], more)
    beside = pa.table({"image": pa.array([cell(1)] * 3, IMAGE), "second": column})
    expected = [picture(1), picture(2), picture(1), picture(1), Reason.NOT_DOWNLOADED]
    assert told(*put(beside, suffix)) == expected


@KINDS
def test_a_table_of_such_structs_alone_is_no_table_of_metadata(put, suffix):
    more = pa.struct({"bytes": pa.binary(), "width": pa.int32()})
    table = pa.table({"url": [url(1)], "image": pa.array([{"bytes": picture(1), "width": 64}], more)})
    root, shard = put(table, suffix)
    assert detect(root) is Format.HUGGINGFACE
    assert told(root, shard) == [picture(1)]


@KINDS
@pytest.mark.parametrize("name", ["image_2", "image_0", "IMAGE-3", "img1", "content", "data", "x"])
def test_a_column_of_bytes_beside_a_picture_is_one_of_pictures_if_it_holds_some(put, suffix, name):
    table = pa.table({"image": pa.array([cell(1)], IMAGE), name: [jpeg(2)]})
    assert told(*put(table, suffix)) == [picture(1), jpeg(2)]


@KINDS
def test_a_table_is_one_of_pictures_by_what_lies_in_it(put, suffix):
    content = pa.array([None] * 7 + [jpeg(1), None])
    table = pa.table({"url": [url(n) for n in range(9)], "md5": DIGESTS * 9, "content": content})
    root, shard = put(table, suffix)
    assert detect(root) is Format.HUGGINGFACE
    assert told(root, shard) == [Reason.NO_IMAGE] * 7 + [jpeg(1), Reason.NO_IMAGE]


def test_columns_of_other_bytes_stay_what_they_are(put):
    table = pa.table({
        "url": [url(1)], "md5": DIGESTS, "phash": [b"\x89PNG\r\n\x1a\n" * 8], "pdf": [b"%PDF-" + bytes(99)],
        "sound": [b"RIFF\0\0\0\0WAVE" + bytes(99)], "film": [b"\0\0\0\x20ftypisom" + bytes(99)],
        "tags": pa.array([[("a", b"x" * 99)]], pa.map_(pa.string(), pa.binary())), "empty": [b""],
    })  # fmt: skip
    root, shard = put(table)
    assert detect(root) is Format.PARQUET
    assert told(root, shard) == [Reason.NO_IMAGE]


@KINDS
@pytest.mark.parametrize(
    "column",
    [
        pa.array([[("jpg", jpeg(1))]], pa.map_(pa.string(), pa.binary())),
        pa.array([[jpeg(1)]], pa.list_view(pa.binary())),
        pa.array([[[("jpg", jpeg(1))]]], pa.list_(pa.map_(pa.string(), pa.binary_view()))),
        pa.ExtensionArray.from_storage(pa.opaque(pa.binary(), "a", "b"), pa.array([jpeg(1)])),
    ],
    ids=["map", "list in a view", "list of maps", "extension"],
)
def test_pictures_that_nobody_calls_so_are_refused_where_they_are_not_read(put, suffix, column):
    root, shard = put(pa.table({"url": [url(1)], "x": column}), suffix)
    assert detect(root) is Format.HUGGINGFACE
    for act in (ROWS.identities, told):
        with pytest.raises(DatasetError, match="pictures lie where they are not read") as refused:
            list(act(root, shard))
        assert refused.value.where == shard.uri
        assert refused.value.todo


@KINDS
def test_a_column_that_has_to_be_looked_at_and_shares_its_name_is_refused(put, suffix):
    table = pa.table([pa.array([url(1)]), pa.array([jpeg(1)]), pa.array([1])], names=["url", "x", "x"])
    root, shard = put(table, suffix)
    assert detect(root) is Format.HUGGINGFACE
    with pytest.raises(DatasetError, match="two columns have one name"):
        told(root, shard)


def test_a_table_of_metadata_may_have_two_other_columns_of_one_name(put):
    root, _ = put(pa.table([pa.array([url(1)]), pa.array([1]), pa.array([1])], names=["url", "x", "x"]))
    assert detect(root) is Format.PARQUET
    form = format_of(Format.PARQUET)
    (shard,) = form.discover(root)
    assert form.read_rows(root, shard, [0], MAPPING)[0].fields.url == url(1)


def test_no_more_is_looked_at_than_the_first_values_that_are_there(put, monkeypatch):
    seen = []
    monkeypatch.setattr(hf_unnamed, "begins_as_picture", seen.append)
    root, shard = put(pa.table({"image": pa.array([cell(1)] * 300, IMAGE), "x": [None, b""] * 100 + [b"y" * 99] * 100}))
    list(ROWS.identities(root, shard))
    assert {len(head) for head in seen} == {NEEDED}
    assert hf_unnamed.LOOKED_AT <= len(seen) < 2 * hf_unnamed.LOOKED_AT


@KINDS
def test_what_goes_from_a_row_that_stays_takes_nothing_else_along(put, tmp_path, suffix):
    table = pa.table({"more": pa.array([{"width": 7, **cell(1), "thumb": cell(2)}], MORE), "content": [jpeg(3)]})
    root, shard = put(table, suffix)
    assert told(root, shard) == [picture(1), picture(2), jpeg(3)]
    ROWS.write(root, shard, np.array([False, True, False]), tmp_path / "out")
    (copy,) = ROWS.discover(tmp_path / "out")
    path = tmp_path / "out" / copy.uri
    found = pa.ipc.open_stream(path.read_bytes()).read_all() if suffix == "arrow" else pq.read_table(path)
    assert found.schema == table.schema
    (row,) = found.to_pylist()
    assert row == {"more": {"width": 7, "bytes": None, "path": None, "thumb": cell(2)}, "content": None}
    assert picture(1) not in path.read_bytes()


@KINDS
@pytest.mark.parametrize("first", [True, False])
def test_a_copy_that_would_be_read_in_another_way_is_refused(put, tmp_path, suffix, first):
    pdf = [b"%PDF-1.7" + bytes(99)] * 20
    column = [jpeg(1), *pdf] if first else [*pdf, jpeg(1)]
    root, shard = put(pa.table({"image": pa.array([cell(1)] * 21, IMAGE), "file": column}), suffix)
    rows = ROWS.siblings(root, shard)
    with pytest.raises(DatasetError, match="pictures and other files"):
        ROWS.write(root, shard, (rows != 0) if first else (rows > 9), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.*"))
    ROWS.write(root, shard, (rows != 7) if first else (rows < 20), tmp_path / "other")


def test_a_copy_without_any_of_the_unnamed_pictures_is_none_that_is_refused(put, tmp_path):
    root, shard = put(pa.table({"image": pa.array([cell(1)] * 4, IMAGE), "file": [None, jpeg(1), None, jpeg(2)]}))
    rows = ROWS.siblings(root, shard)
    ROWS.write(root, shard, rows % 2 == 0, tmp_path / "out")
    assert told(tmp_path / "out", shard) == [picture(1)] * 2


def test_what_lies_beside_a_file_in_its_struct_is_compared_and_told(put):
    tables = [pa.table({"more": pa.array([{"width": width, **cell(1), "thumb": None}], MORE)}) for width in (7, 8)]
    found = [(list(ROWS.identities(*put(table))), ROWS.read_rows(*put(table), [0], MAPPING)[0]) for table in tables]
    assert found[0][0] != found[1][0]
    expected = '{"width": 7, "bytes": null, "path": null, "thumb": null}'
    assert found[0][1].fields.columns == {"more": expected, "more.path": "1.jpg"}


def test_no_picture_of_any_of_these_places_becomes_a_column(put):
    root, shard = put(unnamed_pictures(12))
    records = list(ROWS.read(root, shard, MAPPING))
    assert len(records) > 30
    for item in ROWS.read_rows(root, shard, range(len(records)), MAPPING).values():
        assert set(item.fields.columns) <= {
            "caption",
            "more",
            "digest",
            "frames",
            "sound",
            "more.path",
            "more.thumb.path",
        }
        assert all(len(str(value)) <= 256 for value in item.fields.columns.values())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF"])
def test_every_usual_encoding_is_known_by_its_first_bytes(form):
    buffer = io.BytesIO()
    try:
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(buffer, form)
    except (KeyError, OSError):
        pytest.skip("not encoded here")
    assert begins_as_picture(buffer.getvalue()[:NEEDED])


@pytest.mark.parametrize("path", sorted(HEIF.glob("*.heic")), ids=lambda path: path.stem)
def test_heic_is_known_by_its_first_bytes(path):
    assert begins_as_picture(path.read_bytes()[:NEEDED])


@pytest.mark.parametrize(
    "head",
    [b"", b"BM", b"BM" + bytes(30), b"RIFF0000WAVEfmt ", b"\0\0\0\x20ftypisom", b"P5", b"%PDF-1.7", b"{}"],
)
def test_other_first_bytes_are_no_picture(head):
    assert not begins_as_picture(head)
