"""Hugging Face datasets: what is a record, what it says, what is left of a row, and what `datasets` needs beside it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_cases import IMAGE, cell, picture, several_pictures_a_row, stream_of, url

from vetset.dataset import hf_cells
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import complete, detect, discover, format_of
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Record
from vetset.model.signal import URL_KINDS, Kind, Reason

ROWS = format_of(Format.HUGGINGFACE)
MAPPING = ColumnMapping()
KINDS = pytest.mark.parametrize("suffix", ["parquet", "arrow"])


@pytest.fixture
def put(tmp_path):
    """Write a table as either kind of file; the root and the shard."""

    def write(table, suffix="arrow", name="x"):
        root = tmp_path / "data"
        path = root / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == "arrow":
            stream_of(path, table, rows=3)
        else:
            pq.write_table(table, path, row_group_size=3)
        return root, next(shard for shard in ROWS.discover(root) if shard.uri == f"{name}.{suffix}")

    return write


def items(root, shard, mapping=MAPPING):
    return list(ROWS.read(root, shard, mapping))


def told(item):
    return item.image if isinstance(item, Record) else item.reason


def load(path):
    if path.suffix == ".arrow":
        return pa.ipc.open_stream(path.read_bytes()).read_all()
    return pq.read_table(path, partitioning=None)


@KINDS
def test_a_row_is_a_record_and_a_cell_says_what_it_holds(put, suffix):
    cells = [
        cell(1),
        None,
        {"bytes": None, "path": None},
        {"bytes": b"", "path": "a.jpg"},
        {"bytes": None, "path": "/b.jpg"},
    ]
    found = items(*put(pa.table({"image": pa.array(cells, IMAGE)}), suffix))
    reasons = [Reason.NO_IMAGE, Reason.NO_IMAGE, Reason.EMPTY_FILE, Reason.NOT_DOWNLOADED]
    assert [told(item) for item in found] == [picture(1), *reasons]
    assert [(item.row, item.key) for item in found] == [(row, str(row)) for row in range(5)]


@KINDS
def test_every_picture_of_a_row_is_a_record_in_the_order_of_the_schema(put, suffix):
    nested = pa.struct({"thumb": IMAGE, "width": pa.int32()})
    table = pa.table({
        "views": pa.array([[cell(1), None, cell(2)], None, []], pa.list_(IMAGE)),
        "key": ["a", "b", "c"],
        "meta": pa.array([{"thumb": cell(3), "width": 1}, {"thumb": cell(4), "width": 2}, None], nested),
        "image": pa.array([cell(5), None, None], IMAGE),
    })  # fmt: skip
    root, shard = put(table, suffix)
    found = [(item.key, told(item)) for item in items(root, shard)]
    first = [("a", picture(number)) for number in (1, 2, 3, 5)]
    assert found == [*first, ("b", picture(4)), ("c", Reason.NO_IMAGE)]
    assert ROWS.siblings(root, shard).tolist() == [0, 0, 0, 0, 1, 2]


@KINDS
@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int8(), pa.binary())], ids=["small", "large", "repeated"]
)
@pytest.mark.parametrize(("name", "declared"), [("jpg", False), ("IMAGE", False), ("scan", True)])
def test_a_plain_column_holds_pictures_where_its_name_or_its_declaration_says_so(put, suffix, kind, name, declared):
    table = pa.table({name: pa.array([picture(1), None, picture(1)], pa.binary()).cast(kind), "url": ["u", "v", "w"]})
    if declared:
        features = {"info": {"features": {name: {"_type": "Image"}}}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps(features)})
    root, shard = put(table, suffix)
    assert [told(item) for item in items(root, shard)] == [picture(1), Reason.NO_IMAGE, picture(1)]
    assert detect(root) is Format.HUGGINGFACE


def test_what_is_declared_to_be_sound_is_looked_at_all_the_same(put):
    features = {"info": {"features": {"voice": {"_type": "Audio"}}}}
    table = pa.table({"voice": pa.array([cell(1)], IMAGE)}).replace_schema_metadata(
        {b"huggingface": json.dumps(features)}
    )
    assert [told(item) for item in items(*put(table))] == [picture(1)]


@pytest.mark.parametrize(
    "declared",
    [
        [{"_type": "Image"}],
        {"_type": "List", "feature": {"_type": "Image"}},
        {"_type": "Sequence", "feature": {"_type": "Image"}, "length": -1},
    ],
)
def test_every_way_to_declare_a_list_of_pictures_is_understood(put, declared):
    table = pa.table({"pages": pa.array([[picture(1), picture(2)]], pa.list_(pa.binary()))})
    table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": {"pages": declared}}})})
    assert [told(item) for item in items(*put(table))] == [picture(1), picture(2)]


def test_a_sequence_of_dicts_is_declared_inside_out(put):
    declared = {"_type": "Sequence", "feature": {"scan": {"_type": "Image"}, "text": {"_type": "Value"}}}
    kind = pa.struct({"scan": pa.list_(pa.binary()), "text": pa.list_(pa.string())})
    table = pa.table({"pages": pa.array([{"scan": [picture(1), picture(2)], "text": ["a", "b"]}], kind)})
    table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": {"pages": declared}}})})
    assert [told(item) for item in items(*put(table))] == [picture(1), picture(2)]


@pytest.mark.parametrize(
    "metadata",
    [b"{", b"[]", b'{"info": []}', b'{"info": {"features": [1]}}', b'{"info": "x"}', b"[" * 100_000, b"\xff"],
)
def test_a_damaged_declaration_is_refused_and_never_makes_a_table_of_metadata(put, metadata):
    table = pa.table({"scan": [picture(1)], "url": ["u"]}).replace_schema_metadata({b"huggingface": metadata})
    root, shard = put(table, "parquet")
    assert detect(root) is Format.HUGGINGFACE
    with pytest.raises(DatasetError, match="features is damaged"):
        items(root, shard)


@pytest.mark.parametrize("metadata", [b"{}", b'{"info": null}', b'{"info": {"features": null}}', b'{"other": 1}'])
def test_a_declaration_may_say_nothing(put, metadata):
    table = pa.table({"image": pa.array([cell(1)], IMAGE)}).replace_schema_metadata({b"huggingface": metadata})
    assert [told(item) for item in items(*put(table))] == [picture(1)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[("a", cell(1))]], pa.map_(pa.string(), IMAGE)),
        pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([cell(1)], IMAGE)),
    ],
    ids=["map", "dictionary"],
)
def test_pictures_where_nobody_looks_are_refused_and_not_passed_over(put, column):
    with pytest.raises(DatasetError, match="where they are not read"):
        items(*put(pa.table({"odd": column})))


def test_pixels_that_are_declared_a_picture_are_refused(put):
    features = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})
    table = pa.table({"image": [[[0, 1], [2, 3]]]}).replace_schema_metadata({b"huggingface": features})
    with pytest.raises(DatasetError, match="where they are not read"):
        items(*put(table))


@KINDS
def test_what_a_row_says_belongs_to_all_of_its_pictures(put, suffix):
    table = pa.table({
        "views": pa.array([[cell(1), cell(2)]], pa.list_(IMAGE)),
        "url": ["https://pictures.example/of-the-row"],
        "md5": ["0123456789abcdef" * 2],
        "caption": ["words"],
        "meta": pa.array([{"thumb": cell(3), "w": 7}], pa.struct({"thumb": IMAGE, "w": pa.int8()})),
    })  # fmt: skip
    root, shard = put(table, suffix)
    for item in [*items(root, shard), *ROWS.read_rows(root, shard, range(9), MAPPING).values()]:
        assert item.fields.url == "https://pictures.example/of-the-row"
        assert item.fields.declared == {Kind.MD5: bytes.fromhex("0123456789abcdef" * 2)}
    assert all(not item.fields.columns for item in items(root, shard))
    sealed = ROWS.read_rows(root, shard, [1], MAPPING)[1].fields.columns
    expected = {"caption": "words", "views": "[null, null]", "meta": '{"thumb": null, "w": 7}', "views.path": "2.jpg"}
    assert sealed == expected


def test_no_picture_becomes_a_column_and_neither_does_what_is_as_long_as_one(put):
    table = pa.table({"jpg": [picture(1)], "sound": [b"x" * 70_000], "text": ["y" * 70_000], "short": [b"z"]})
    root, shard = put(table)
    assert ROWS.read_rows(root, shard, [0], MAPPING)[0].fields.columns == {"short": "7a"}


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("https://pictures.example/1.jpg", True), ("HTTP://pictures.example/1.jpg", True), ("1.jpg", False),
        ("zip://1.jpg::https://pictures.example/a.zip", False), ("/home/somebody/1.jpg", False), ("https://x\n", False),
        ("hf://datasets/a/b/1.jpg", False),
    ],
)  # fmt: skip
def test_a_path_is_an_address_only_if_it_is_one(put, path, address):
    table = pa.table({"image": pa.array([{"bytes": None, "path": path}], IMAGE)})
    (item,) = items(*put(table))
    assert item.fields.url == (path if address else None)
    assert path not in repr(item)


def test_the_address_of_the_row_goes_before_a_path_and_a_malformed_one_is_not_replaced(put):
    path = "https://pictures.example/path"
    table = pa.table({"image": pa.array([{"bytes": b"x", "path": path}] * 3, IMAGE), "url": ["u", None, "v"]})
    assert [item.fields.url for item in items(*put(table))] == ["u", path, "v"]
    table = table.set_column(1, "url", pa.array([1, 2, 3]))
    for item in items(*put(table, name="other")):
        assert item.fields.url is None
        assert set(URL_KINDS) <= item.fields.malformed


@pytest.mark.parametrize("blank", ["", " \t"])
def test_a_path_stands_in_for_an_address_that_is_empty(put, blank):
    path = "https://pictures.example/path"
    table = pa.table({"image": pa.array([{"bytes": b"x", "path": path}, cell(1)], IMAGE), "url": [blank, blank]})
    assert [item.fields.url for item in items(*put(table))] == [path, blank]


def test_the_key_is_the_datasets_own_or_the_number_of_the_row(put):
    image = pa.array([cell(1), cell(2)], IMAGE)
    assert [item.key for item in items(*put(pa.table({"image": image, "image_id": ["x", None]})))] == ["x", "1"]
    root, shard = put(pa.table({"image": image, "name": ["p", "q"]}), name="other")
    assert [item.key for item in items(root, shard)] == ["0", "1"]
    assert [item.key for item in items(root, shard, ColumnMapping(key="name"))] == ["p", "q"]
    with pytest.raises(DatasetError, match="is absent"):
        items(root, shard, ColumnMapping(key="none"))


@pytest.mark.parametrize("key", ["https://pictures.example/1", "s3://pictures.example/1", "HTTP:/pictures.example/1"])
def test_addresses_are_no_keys(put, key):
    table = pa.table({"image": pa.array([cell(1)], IMAGE), "key": [key]})
    with pytest.raises(DatasetError, match="holds addresses") as refused:
        items(*put(table))
    assert "pictures.example" not in str(refused.value)


def test_a_key_with_a_colon_and_a_slash_is_no_address(put):
    table = pa.table({"image": pa.array([cell(1)], IMAGE), "key": ["part:/1"]})
    assert [item.key for item in items(*put(table))] == ["part:/1"]


@KINDS
def test_a_picture_that_is_too_large_is_undecided(put, suffix, monkeypatch):
    monkeypatch.setattr(hf_cells, "MAX_PICTURE", 10)
    table = pa.table({"image": pa.array([{"bytes": b"x" * size, "path": None} for size in (10, 11)], IMAGE)})
    assert [told(item) for item in items(*put(table, suffix))] == [b"x" * 10, Reason.TOO_LARGE]


@KINDS
def test_a_picture_leaves_a_null_and_takes_its_row_along_when_it_is_the_last(put, suffix, tmp_path):
    views = [[cell(1), cell(2), None], [cell(3)], [cell(4), cell(5)]]
    table = pa.table({"views": pa.array(views, pa.list_(IMAGE)), "words": ["a", "b", "c"]})
    root, shard = put(table, suffix)
    ROWS.write(root, shard, np.array([True, False, False, True, False]), tmp_path / "out")
    left = load(tmp_path / "out" / shard.uri)
    assert left.to_pylist() == [
        {"views": [cell(1), None, None], "words": "a"},
        {"views": [cell(4), None], "words": "c"},
    ]
    assert left.schema.equals(load(root / shard.uri).schema, check_metadata=True)


@KINDS
def test_nothing_of_a_removed_picture_is_left_in_the_file(put, suffix, tmp_path):
    root, shard = put(several_pictures_a_row(30), suffix)
    found = items(root, shard)
    generator = np.random.default_rng(1)
    keep = generator.random(len(found)) < 0.5
    ROWS.write(root, shard, keep, tmp_path / "out")
    table = load(tmp_path / "out" / shard.uri)
    # Written again without compression, so that whatever the file holds can be searched for.
    pq.write_table(table, tmp_path / "again", compression="none", use_dictionary=False)
    raw = (tmp_path / "out" / shard.uri).read_bytes() + (tmp_path / "again").read_bytes()
    stays = {told(item) for item, kept in zip(found, keep, strict=True) if kept}
    goes = {told(item) for item, kept in zip(found, keep, strict=True) if not kept} - stays - set(Reason)
    assert goes
    assert all(image in raw for image in stays - set(Reason))
    # Some of the pictures made for tests begin like others.
    assert not [image for image in goes if image in raw and not any(image in other for other in stays - set(Reason))]


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_a_dictionary_forgets_what_no_row_uses_any_more(tmp_path, compression):
    """Of metadata tables too: a writer keeps the dictionary that it is given, and in it the words of rows that went."""
    words = [f"words of number {number}, said once" for number in range(20)]
    table = pa.table({"url": [url(number) for number in range(20)], "text": pa.array(words).dictionary_encode()})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "x.parquet", row_group_size=7, compression=compression)
    tables = format_of(Format.PARQUET)
    (shard,) = tables.discover(tmp_path / "in")
    keep = np.arange(20) != 7
    tables.write(tmp_path / "in", shard, keep, tmp_path / "out")
    left = pq.ParquetFile(tmp_path / "out" / "x.parquet").read()
    assert left["text"].to_pylist() == [word for number, word in enumerate(words) if number != 7]
    assert left.schema == table.schema
    assert not any(b"number 7," in chunk.dictionary.to_numpy(zero_copy_only=False) for chunk in left["text"].chunks)
    if compression == "none":
        assert words[7].encode() not in (tmp_path / "out" / "x.parquet").read_bytes()


@pytest.mark.parametrize("form", [Format.PARQUET, Format.HUGGINGFACE])
@pytest.mark.parametrize("compliant", [True, False])
def test_items_of_lists_keep_the_name_that_their_writer_gave_them(tmp_path, form, compliant):
    table = pa.table(
        {"url": ["u", "v"], "faces": [[1.5], [2.5]], "pages": pa.array([[cell(1)], None], pa.list_(IMAGE))}
    )
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "x.parquet", use_compliant_nested_type=compliant)
    chosen = format_of(form)
    (shard,) = chosen.discover(tmp_path / "in")
    before = list(chosen.identities(tmp_path / "in", shard))
    chosen.write(tmp_path / "in", shard, np.array([True, False]), tmp_path / "out")
    assert list(chosen.identities(tmp_path / "out", shard)) == before[:1]
    names = [pq.ParquetFile(tmp_path / place / "x.parquet").schema.column(1).path for place in ("in", "out")]
    assert names == ["faces.list.element" if compliant else "faces.list.item"] * 2


def test_metadata_of_a_schema_survive_where_arrow_did_not_write_the_file(tmp_path):
    table = pa.table({"scan": [picture(1), picture(2)]})
    features = json.dumps({"info": {"features": {"scan": {"_type": "Image"}}}})
    (tmp_path / "in").mkdir()
    with pq.ParquetWriter(tmp_path / "in" / "x.parquet", table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"huggingface": features})
    (shard,) = discover(tmp_path / "in", Format.HUGGINGFACE)
    ROWS.write(tmp_path / "in", shard, np.array([True, False]), tmp_path / "out")
    assert pq.read_schema(tmp_path / "out" / "x.parquet").metadata == {b"huggingface": features.encode()}


def test_a_cell_that_may_not_be_null_cannot_be_taken_out_alone(put, tmp_path):
    fields = [pa.field("left", IMAGE, nullable=False), pa.field("right", IMAGE, nullable=False)]
    table = pa.table([pa.array([cell(1)], IMAGE), pa.array([cell(2)], IMAGE)], schema=pa.schema(fields))
    root, shard = put(table)
    assert len(list(ROWS.identities(root, shard))) == 2
    with pytest.raises(DatasetError, match="cannot be taken out without the others"):
        ROWS.write(root, shard, np.array([True, False]), tmp_path / "out")
    ROWS.write(root, shard, np.array([False, False]), tmp_path / "out")
    assert load(tmp_path / "out" / shard.uri).num_rows == 0


@KINDS
def test_every_stored_value_is_part_of_an_identity(put, suffix):
    def made(**changes):
        values = {"views": [[cell(1), cell(2), None]], "other": ["a"], **changes}
        types = {"views": pa.list_(IMAGE), "other": pa.string()}
        return pa.table({name: pa.array(values[name], kind) for name, kind in types.items()})

    base = list(ROWS.identities(*put(made(), suffix)))
    changes = {
        "other bytes": {"views": [[{**cell(1), "bytes": b"x"}, cell(2), None]]},
        "another path": {"views": [[{**cell(1), "path": "x"}, cell(2), None]]},
        "no path": {"views": [[{**cell(1), "path": None}, cell(2), None]]},
        "the other way round": {"views": [[cell(2), cell(1), None]]},
        "another place": {"views": [[cell(1), None, cell(2)]]},
        "one item fewer": {"views": [[cell(1), cell(2)]]},
        "an empty cell instead of a null": {"views": [[cell(1), cell(2), {"bytes": None, "path": None}]]},
        "other words": {"other": ["b"]},
        "no words": {"other": [None]},
    }
    for number, (name, change) in enumerate(changes.items()):
        assert list(ROWS.identities(*put(made(**change), suffix, f"x{number}"))) != base, name


def saved(root, shards=2, **state):
    """A folder as `save_to_disk` writes it."""
    files = [f"data-{number:05d}-of-{shards:05d}.arrow" for number in range(shards)]
    for number, name in enumerate(files):
        image = pa.array([cell(10 * number + row) for row in range(5)], IMAGE)
        metadata = {b"huggingface": json.dumps({"info": {"features": {}, "dataset_size": 5}, "fingerprint": "old"})}
        stream_of(root / name, pa.table({"image": image}).replace_schema_metadata(metadata))
    document = {"_data_files": [{"filename": name} for name in files], "_fingerprint": "0" * 16, "_split": "train"}
    (root / "state.json").write_text(json.dumps({**document, **state}))
    numbers = {"dataset_size": 1, "download_size": 2, "size_in_bytes": 3, "download_checksums": {"u": {}}}
    splits = {"train": {"name": "train", "num_bytes": 7, "num_examples": 10}}
    (root / "dataset_info.json").write_text(json.dumps({"license": "x", "splits": splits, **numbers}))


def cleaned(root, out, dropped):
    """Write a copy without the first record of the shards named."""
    shards = discover(root)
    for shard in shards:
        keep = np.ones(len(ROWS.siblings(root, shard)), np.bool_)
        keep[:1] = shard.uri not in dropped
        ROWS.write(root, shard, keep, out)
    complete(Format.HUGGINGFACE, root, shards, out, dropped)


def test_what_lies_beside_streams_is_true_of_what_stayed(tmp_path):
    for split in ("train", "test"):
        saved(tmp_path / "in" / split)
    (tmp_path / "in" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    (tmp_path / "in" / "README.md").write_text("nobody's")
    assert ROWS.unclaimed(tmp_path / "in") == ["README.md"]
    cleaned(tmp_path / "in", tmp_path / "out", {"train/data-00001-of-00002.arrow"})
    before, after = tmp_path / "in", tmp_path / "out"
    for name in ("dataset_dict.json", "test/state.json", "test/dataset_info.json", "test/data-00000-of-00002.arrow"):
        assert (after / name).read_bytes() == (before / name).read_bytes()
    state = json.loads((after / "train" / "state.json").read_text())
    old = json.loads((before / "train" / "state.json").read_text())
    assert state.pop("_fingerprint") != old.pop("_fingerprint")
    assert state == old
    assert json.loads((after / "train" / "dataset_info.json").read_text()) == {"license": "x"}
    changed = load(after / "train" / "data-00001-of-00002.arrow").schema.metadata[b"huggingface"]
    assert json.loads(changed) == {"info": {"features": {}}}


def test_a_fingerprint_follows_what_stayed(tmp_path):
    saved(tmp_path / "in")
    names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    seen = set()
    for number, dropped in enumerate([names[:1], names[1:], names]):
        cleaned(tmp_path / "in", tmp_path / f"out{number}", set(dropped))
        seen.add(json.loads((tmp_path / f"out{number}" / "state.json").read_text())["_fingerprint"])
    assert len(seen) == 3
    assert all(len(fingerprint) == 16 for fingerprint in seen)


def test_the_description_of_a_cache_counts_what_stayed_in_each_split(tmp_path):
    root = tmp_path / "in"
    for name in ("x-train-00000-of-00002", "x-train-00001-of-00002", "x-test"):
        stream_of(root / f"{name}.arrow", pa.table({"image": pa.array([cell(row) for row in range(4)], IMAGE)}))
    stream_of(root / "x-void.arrow", pa.table({"image": pa.array([cell(1)], IMAGE)}))
    stream_of(root / "cache-0123.arrow", pa.table({"image": pa.array([cell(1)], IMAGE)}))
    splits = {
        "train": {"name": "train", "num_bytes": 9, "num_examples": 8, "shard_lengths": [4, 4], "dataset_name": "x"},
        "test": {"name": "test", "num_bytes": 9, "num_examples": 4, "shard_lengths": None, "dataset_name": "x"},
        "void": {"name": "void", "num_bytes": 9, "num_examples": 1},
        "gone": {"name": "gone", "num_bytes": 9, "num_examples": 4},
    }
    (root / "dataset_info.json").write_text(json.dumps({"splits": splits, "builder_name": "x", "dataset_size": 9}))
    assert ROWS.unclaimed(root) == ["cache-0123.arrow"]
    cleaned(root, tmp_path / "out", {"x-train-00001-of-00002.arrow", "x-void.arrow"})
    assert json.loads((tmp_path / "out" / "dataset_info.json").read_text()) == {
        "builder_name": "x",
        "splits": {
            "train": {"name": "train", "num_examples": 7, "shard_lengths": [4, 3], "dataset_name": "x"},
            "test": {"name": "test", "num_examples": 4, "dataset_name": "x"},
        },
    }
    assert not (tmp_path / "out" / "cache-0123.arrow").exists()


def test_rows_that_are_looked_up_through_indices_are_not_cleaned(tmp_path):
    saved(tmp_path / "in", _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(DatasetError, match="file of indices"):
        cleaned(tmp_path / "in", tmp_path / "out", {"data-00000-of-00002.arrow"})


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
def test_a_damaged_companion_is_refused(tmp_path, name):
    saved(tmp_path / "in")
    (tmp_path / "in" / name).write_text("[1, 2]")
    with pytest.raises(DatasetError, match="is damaged"):
        cleaned(tmp_path / "in", tmp_path / "out", {"data-00000-of-00002.arrow"})


class TestDetection:
    """A folder of parquet files is one of two formats, and a mixture is neither."""

    def test_tables_without_pictures_are_metadata(self, put):
        root, _ = put(pa.table({"url": ["u"], "thumb": pa.array([1])}), "parquet")
        assert detect(root) is Format.PARQUET

    def test_tables_with_pictures_are_not(self, put):
        root, _ = put(pa.table({"image": pa.array([cell(1)], IMAGE)}), "parquet")
        assert detect(root) is Format.HUGGINGFACE

    def test_streams_are_not_either_whatever_they_hold(self, put):
        root, _ = put(pa.table({"url": ["u"]}))
        assert detect(root) is Format.HUGGINGFACE

    @pytest.mark.parametrize("other", ["parquet", "arrow"])
    def test_a_mixture_is_refused_and_can_be_named(self, put, other):
        put(pa.table({"url": ["u"]}), "parquet")
        root, _ = put(pa.table({"image": pa.array([cell(1)], IMAGE)}), other, "y")
        with pytest.raises(DatasetError, match="some tables of this place hold pictures and others do not"):
            detect(root)
        found = [item for shard in discover(root, Format.HUGGINGFACE) for item in items(root, shard)]
        assert [told(item) for item in found] == [Reason.NO_IMAGE, picture(1)]
        assert found[0].fields.url == "u"

    @pytest.mark.parametrize("other", ["z.tar", "z.jpg"])
    def test_streams_beside_something_else_are_refused(self, put, other):
        root, _ = put(pa.table({"image": pa.array([cell(1)], IMAGE)}))
        (root / other).write_bytes(b"x")
        with pytest.raises(DatasetError, match="not clear"):
            detect(root)

    def test_a_damaged_table_costs_itself(self, put):
        root, _ = put(pa.table({"image": pa.array([cell(1)], IMAGE)}), "parquet")
        (root / "damaged.parquet").write_bytes(b"PAR1")
        assert detect(root) is Format.HUGGINGFACE

    def test_one_file_is_a_dataset(self, put):
        root, shard = put(pa.table({"image": pa.array([cell(1)], IMAGE)}))
        path = root / shard.uri
        assert detect(path) is Format.HUGGINGFACE
        assert [told(item) for item in items(path, discover(path)[0])] == [picture(1)]
