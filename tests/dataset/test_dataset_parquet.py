"""Metadata tables: what is read, what is written, what is refused."""

import contextlib
import json
import threading

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from dataset_cases import laion_table, md5_of, url
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vetset.dataset import tables
from vetset.dataset.arrays import without_counts
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.extents import Extents
from vetset.dataset.formats import discover, format_of
from vetset.dataset.identity import row_identities
from vetset.dataset.tables import open_table
from vetset.model.dataset import Format
from vetset.model.errors import AlignmentError, DatasetError
from vetset.model.signal import Kind, Reason

PARQUET = format_of(Format.PARQUET)
MAPPING = ColumnMapping()


def written(tmp_path, table, **options):
    pq.write_table(table, tmp_path / "x.parquet", **options)
    (shard,) = discover(tmp_path)
    return shard


def test_rows_carry_addresses_digests_and_reasons(tmp_path):
    table = laion_table(40)
    shard = written(tmp_path, table, row_group_size=9)
    batches = list(PARQUET.read(tmp_path, shard, MAPPING))
    assert [batch.first_row for batch in batches] == [0, 9, 18, 27, 36]
    assert [key for batch in batches for key in batch.keys.to_pylist()] == [str(number) for number in range(40)]
    assert [address for batch in batches for address in batch.urls.to_pylist()] == table["URL"].to_pylist()
    why = np.concatenate([batch.declared[Kind.MD5].why for batch in batches])
    values = np.concatenate([batch.declared[Kind.MD5].values for batch in batches])
    for number in range(40):
        if number % 13 == 7:
            assert why[number] == Reason.NULL_VALUE.code
        elif number % 17 == 3:
            assert why[number] == Reason.MALFORMED_VALUE.code
        else:
            assert values[number].tobytes().hex() == md5_of(number)
    assert all(batch.declared.keys() == {Kind.MD5} for batch in batches)


def test_a_batch_is_bounded(tmp_path):
    table = pa.table({"url": pa.array(["u"] * 150_000)})
    shard = written(tmp_path, table)
    assert [len(batch) for batch in PARQUET.read(tmp_path, shard, MAPPING)] == [65_536, 65_536, 18_928]


def test_a_table_without_a_column_to_match_by_names_its_columns(tmp_path):
    shard = written(tmp_path, pa.table({"SAMPLE_ID": [1], "hash": [2], "phash": ["x"]}))
    with pytest.raises(DatasetError, match=r"SAMPLE_ID, hash, phash.*ColumnMapping"):
        list(PARQUET.read(tmp_path, shard, MAPPING))


def test_a_mapped_column_is_used(tmp_path):
    shard = written(tmp_path, pa.table({"address": [url(1)], "sum": [md5_of(1).upper()]}))
    (batch,) = PARQUET.read(tmp_path, shard, ColumnMapping(url="address", md5="sum"))
    assert batch.urls.to_pylist() == [url(1)]
    assert batch.declared[Kind.MD5].values[0].tobytes().hex() == md5_of(1)


def test_a_column_of_another_type_is_refused(tmp_path):
    shard = written(tmp_path, pa.table({"url": [7]}))
    with pytest.raises(DatasetError, match="another type"):
        list(PARQUET.read(tmp_path, shard, MAPPING))


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_table_is_refused(tmp_path_factory, share):
    folder = tmp_path_factory.mktemp("cut")
    shard = written(folder, laion_table(30))
    path = folder / "x.parquet"
    path.write_bytes(path.read_bytes()[: int(share * shard.size)])
    with pytest.raises(DatasetError, match=r"x\.parquet"):
        list(PARQUET.read(folder, shard, MAPPING))


@settings(max_examples=60, deadline=None)
@given(at=st.integers(4, 10**6))
def test_a_flipped_byte_under_page_checksums_changes_no_value_unseen(tmp_path_factory, at):
    folder = tmp_path_factory.mktemp("flip")
    table = pa.table({"url": [url(number) for number in range(300)]})
    shard = written(folder, table, write_page_checksum=True, compression="none", use_dictionary=False)
    path = folder / "x.parquet"
    data = bytearray(path.read_bytes())
    data[4 + at % (len(data) // 2)] ^= 0x10
    path.write_bytes(data)
    with contextlib.suppress(DatasetError):
        urls = [address for batch in PARQUET.read(folder, shard, MAPPING) for address in batch.urls.to_pylist()]
        assert urls == table["url"].to_pylist()


@settings(max_examples=150, deadline=None)
@example(flips=[(837655, 10)])
@example(flips=[(265297, 105)])
@example(flips=[(157004, 47), (640274, 48)])
@given(flips=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_damaged_footer_is_read_or_refused_and_never_ends_the_process(tmp_path_factory, flips):
    folder = tmp_path_factory.mktemp("foot")
    shard = written(folder, laion_table(40), row_group_size=16)
    path = folder / "x.parquet"
    data = bytearray(path.read_bytes())
    footer = 8 + int.from_bytes(data[-8:-4], "little")
    for at, change in flips:
        data[-1 - at % footer] ^= change
    path.write_bytes(data)
    keep = np.arange(40) % 3 > 0
    acts = (
        lambda: list(PARQUET.read(folder, shard, MAPPING)),
        lambda: list(PARQUET.identities(folder, shard)),
        lambda: PARQUET.read_rows(folder, shard, [1, 20], MAPPING),
        lambda: PARQUET.write(folder, shard, keep, folder / "out"),
    )
    for act in acts:
        with contextlib.suppress(DatasetError, AlignmentError):
            act()


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none", "lz4", "brotli"])
def test_a_filtered_table_keeps_schema_metadata_compression_and_order(tmp_path, compression):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    table = laion_table(64)
    shard = written(source, table, compression=compression, row_group_size=16)
    keep = np.array([number % 3 != 1 and not 16 <= number < 32 for number in range(64)])
    PARQUET.write(source, shard, keep, out)
    before, after = pq.ParquetFile(source / "x.parquet"), pq.ParquetFile(out / "x.parquet")
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert after.metadata.row_group(0).column(0).compression == before.metadata.row_group(0).column(0).compression
    assert after.metadata.num_row_groups == 3
    assert after.read().equals(table.filter(pa.array(keep)))


def test_dropping_everything_leaves_a_table_without_rows(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    shard = written(source, laion_table(10))
    PARQUET.write(source, shard, np.zeros(10, np.bool_), out)
    assert pq.read_table(out / "x.parquet").schema.equals(laion_table(10).schema)


def test_the_metadata_of_embeddings_inside_a_dataset_is_no_shard(tmp_path):
    for folder in ("img_emb", "metadata"):
        (tmp_path / folder).mkdir()
    pq.write_table(laion_table(3), tmp_path / "metadata" / "metadata_0.parquet")
    pq.write_table(laion_table(3), tmp_path / "part.parquet")
    assert [shard.uri for shard in discover(tmp_path)] == ["part.parquet"]
    assert PARQUET.unclaimed(tmp_path) == ["metadata/metadata_0.parquet"]


def identities(table):
    return [identity for batch in table.to_batches() for identity in row_identities(batch)]


def test_identities_do_not_depend_on_encoding_or_chunks():
    table = laion_table(20)
    plain = table.set_column(1, "TEXT", table["TEXT"].cast(pa.string()))
    sliced = pa.concat_tables([table.slice(0, 3), table.slice(3, 9), table.slice(12)])
    assert identities(table) == identities(plain) == identities(sliced)
    assert len(set(identities(table))) == 20


@pytest.mark.parametrize("column", laion_table(1).schema.names)
def test_identities_see_a_change_in_any_column(column):
    table = laion_table(14)
    place = table.schema.get_field_index(column)
    shifted = table.set_column(place, table.schema.field(place), pc.take(table[column], pa.array([*range(1, 14), 0])))
    assert identities(table) != identities(shifted)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([None], pa.string()), pa.array([""])),
        (pa.array([None], pa.int64()), pa.array([0])),
        (pa.array([0.0]), pa.array([-0.0])),
        (pa.array([[]], pa.list_(pa.int64())), pa.array([None], pa.list_(pa.int64()))),
        (pa.array([["ab", "c"]]), pa.array([["a", "bc"]])),
        (pa.array([1], pa.int32()), pa.array([1], pa.int64())),
        (pa.array([{"a": 1, "b": None}]), pa.array([{"a": None, "b": 1}])),
    ],
)
def test_identities_tell_look_alikes_apart(one, other):
    assert identities(pa.table({"x": one})) != identities(pa.table({"x": other}))


def test_sealing_gets_every_column_as_a_scalar(tmp_path):
    shard = written(tmp_path, laion_table(30), row_group_size=7)
    found = PARQUET.read_rows(tmp_path, shard, {2, 29}, MAPPING)
    assert sorted(found) == [2, 29]
    assert found[29].reason is Reason.METADATA_ONLY
    assert found[29].fields.url == url(29)
    columns = found[29].fields.columns
    assert columns["SAMPLE_ID"] == 29
    assert columns["when"] == "1970-01-01 00:00:00.029000087"
    assert all(isinstance(value, str | int | float | bool | None) for value in columns.values())


def test_a_key_column_of_addresses_is_refused_without_naming_one(tmp_path):
    pq.write_table(pa.table({"url": ["https://example.org/secret.jpg"], "md5": ["00" * 16]}), tmp_path / "p.parquet")
    shard = discover(tmp_path)[0]
    with pytest.raises(DatasetError) as caught:
        list(format_of(shard.format).read(tmp_path, shard, ColumnMapping(key="url")))
    assert "secret" not in str(caught.value)


def test_what_the_kinds_do_not_need_is_neither_decoded_nor_part_of_the_digest(tmp_path):
    shard = written(tmp_path, laion_table(40))
    some, every = (PARQUET.read(tmp_path, shard, MAPPING, kinds) for kinds in ((Kind.URL_MD5,), tuple(Kind)))
    assert [(batch.declared, batch.urls is None) for batch in some] == [({}, False)]
    assert [list(batch.declared) for batch in every] == [[Kind.MD5]]
    assert some.digest != every.digest


def test_a_table_that_has_no_column_for_the_kinds_is_read_all_the_same(tmp_path):
    shard = written(tmp_path, laion_table(40))
    assert sum(len(batch) for batch in PARQUET.read(tmp_path, shard, MAPPING, (Kind.SHA1,))) == 40


@pytest.mark.parametrize("group", [7, 1000])
def test_extents_that_the_decoder_has_read_have_the_digest_of_the_file(tmp_path, group):
    shard = written(tmp_path, laion_table(40), row_group_size=group)
    path, known = tmp_path / shard.uri, {}
    with open_table(path, shard.uri, known=known) as table:
        table.read(columns=["URL"])
    data = path.read_bytes()
    assert known
    assert all(blake3(data[start:end]).digest() == digest for (start, end), digest in known.items())


def test_two_columns_side_by_side_are_read_once_and_by_whoever_asked(tmp_path, monkeypatch):
    # Arrow reads ahead in threads of its own otherwise: columns as one, and a process that ends meanwhile is aborted.
    asked, plain = [], tables._Noted.read_buffer

    def read_buffer(noted, count):
        asked.append((noted.tell(), noted.tell() + count, threading.get_ident()))
        return plain(noted, count)

    monkeypatch.setattr(tables._Noted, "read_buffer", read_buffer)
    table = pa.table({"url": [url(row) for row in range(40)], "md5": [md5_of(row) for row in range(40)]})
    shard = written(tmp_path, table, row_group_size=8)
    assert sum(len(batch) for batch in PARQUET.read(tmp_path, shard, MAPPING, (Kind.URL_SHA256, Kind.MD5))) == 40
    chunks = [(start, end) for start, end, _ in asked if start]  # the footer of so small a file is asked for with all
    assert len(set(chunks)) == len(chunks) == 10
    assert {thread for _, _, thread in asked} == {threading.get_ident()}


def test_a_footer_that_claims_the_same_bytes_again_and_again_is_refused(tmp_path):
    shard = written(tmp_path, laion_table(40), row_group_size=40)
    path = tmp_path / shard.uri
    with path.open("rb") as stream, pq.ParquetFile(path) as table:
        extents = Extents(stream, shard.size, table, {}, columns={"URL"}, where=shard.uri)
        for _ in range(2):
            extents.group(0)
        with pytest.raises(DatasetError, match="not in each other"):
            [extents.group(0) for _ in range(1000)]


def test_a_table_without_rows_is_a_shard_without_records(tmp_path):
    shard = written(tmp_path, laion_table(40).slice(0, 0))
    (batch,) = PARQUET.read(tmp_path, shard, MAPPING)
    assert (len(batch), list(batch.declared)) == (0, [Kind.MD5])


def of_pandas(table, **changes):
    """A table with the metadata that pandas writes into it: its rows are numbered by a range."""
    columns = [
        {"name": "a", "field_name": "a", "pandas_type": "categorical", "numpy_type": "int8", "metadata": about}
        for about in ({"num_categories": 64, "ordered": False}, None)
    ]
    numbers = {"kind": "range", "name": None, "start": 0, "stop": len(table), "step": 1}
    document = {"index_columns": ["key", numbers], "columns": columns, "pandas_version": "2.2.3", **changes}
    return table.replace_schema_metadata({b"pandas": json.dumps(document).encode(), b"own": b"kept"})


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_what_pandas_counted_goes_with_the_rows(tmp_path, suffix):
    source, out, keep = tmp_path / "source", tmp_path / "out", np.arange(64) != 5
    source.mkdir()
    if suffix == "parquet":
        PARQUET.write(source, written(source, of_pandas(laion_table(64))), keep, out)
        found = pq.read_schema(out / "x.parquet").metadata
    else:
        table = of_pandas(pa.table({"image": [b"no picture"] * 64}))
        with pa.ipc.new_stream(source / "x.arrow", table.schema) as stream:
            stream.write_table(table)
        (shard,) = discover(source)
        format_of(shard.format).write(source, shard, keep, out)
        with pa.ipc.open_stream(out / "x.arrow") as stream:
            found = stream.schema.metadata
    told = json.loads(found[b"pandas"])
    assert (found[b"own"], told["index_columns"], told["pandas_version"]) == (b"kept", ["key"], "2.2.3")
    assert [column["metadata"] for column in told["columns"]] == [{"ordered": False}, None]


@pytest.mark.parametrize("changes", [{"index_columns": 1}, {"columns": [1]}, {"columns": [{}]}])
def test_what_pandas_did_not_write_is_not_kept_as_its_metadata(changes):
    assert without_counts(of_pandas(laion_table(2), **changes).schema).metadata == {b"own": b"kept"}
    assert without_counts(laion_table(2).schema).equals(laion_table(2).schema, check_metadata=True)
