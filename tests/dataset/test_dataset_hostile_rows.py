"""Files of pictures that were made to exhaust or mislead: refused, or read in bounded memory."""

import struct
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_cases import IMAGE, cell, one_picture_a_row, picture, stream_of

from vetset.dataset.bounds import BATCH_BYTES, MAX_ROWS, TABLE_ROWS, WORST_BYTES, batch_rows, table_batch_rows
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.dataset.hf_tables import open_rows
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError

ROWS = format_of(Format.HUGGINGFACE)
MAPPING = ColumnMapping()
ROOM = 256
"""MiB that a reading process may ask for beyond what its libraries took."""

LIMITED = """
import resource, sys
from pathlib import Path
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
def status(name):
    (line,) = [line for line in open("/proc/self/status") if line.startswith(name + ":")]
    return int(line.split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + (int(sys.argv[2]) << 20),) * 2)
rows, path = format_of(Format.HUGGINGFACE), Path(sys.argv[1])
(shard,) = rows.discover(path)
try:
    print("records", sum(1 for _ in rows.read(path, shard, ColumnMapping())))
    print("compared", sum(1 for _ in rows.identities(path, shard)))
except DatasetError as error:
    print("refused", error)
"""


def within_limits(path, room=ROOM):
    """What reading and comparing a file says in a process that may hold so many MiB."""
    command = [sys.executable, "-c", LIMITED, str(path), str(room)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()


def pictures(count, size):
    """Cells whose bytes compress well."""
    return pa.array([{"bytes": bytes([number % 251]) * size, "path": None} for number in range(count)], IMAGE)


def test_a_row_group_of_pictures_is_read_a_page_at_a_time(tmp_path):
    path = tmp_path / "x.parquet"
    settings = {"use_dictionary": False, "write_statistics": False, "data_page_size": 4 << 20, "write_batch_size": 8}
    pq.write_table(pa.table({"image": pictures(288, 1 << 20)}), path, compression="zstd", **settings)
    assert pq.ParquetFile(path).num_row_groups == 1
    assert within_limits(path) == ["records 288", "compared 288"]


def test_a_record_batch_of_pictures_is_read_from_where_it_lies(tmp_path):
    stream_of(tmp_path / "x.arrow", pa.table({"image": pictures(96, 1 << 20)}), rows=96)
    assert within_limits(tmp_path / "x.arrow", 64) == ["records 96", "compared 96"]


def test_one_long_value_that_a_dictionary_repeats_to_half_a_gigabyte_is_held_a_few_times_at_once(tmp_path):
    count = 2_000
    values = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([b"u" * (256 << 10)]))
    settings = {"store_schema": False, "row_group_size": count}
    pq.write_table(pa.table({"jpg": values}), tmp_path / "x.parquet", **settings)
    assert (tmp_path / "x.parquet").stat().st_size < 1 << 20
    told = within_limits(tmp_path / "x.parquet")
    assert told == [f"records {count}", f"compared {count}"]


def test_a_value_longer_than_the_memory_costs_its_file_and_not_the_process(tmp_path):
    settings = {"use_dictionary": False, "compression": "zstd", "write_statistics": False, "store_schema": False}
    pq.write_table(pa.table({"jpg": [b"u" * (256 << 20)]}), tmp_path / "x.parquet", **settings)
    assert (tmp_path / "x.parquet").stat().st_size < 1 << 20
    (told,) = within_limits(tmp_path / "x.parquet")
    assert told.startswith("refused x.parquet: reading the parquet file takes more memory than there is")


def compressed(tmp_path, claim):
    """A stream whose longest buffer is compressed and claims to hold that many bytes; 0 is the truth."""
    size = 70_001
    table = pa.table({"image": pictures(1, size)})
    path = tmp_path / "x.arrow"
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    data = path.read_bytes()
    at = data.rfind(struct.pack("<q", size))
    assert at > 0
    path.write_bytes(data[:at] + struct.pack("<q", claim or size) + data[at + 8 :])
    return path


def test_a_buffer_that_claims_to_unpack_to_more_than_there_is_costs_its_file(tmp_path):
    assert within_limits(compressed(tmp_path, 0)) == ["records 1", "compared 1"]
    (told,) = within_limits(compressed(tmp_path, 7 << 27))
    assert told.startswith("refused x.arrow: reading the Arrow file takes more memory than there is")
    (told,) = within_limits(compressed(tmp_path, 1 << 34))
    assert told.startswith("refused x.arrow: a record batch unpacks to more than is sensible")


def refused(path, match=None):
    (shard,) = ROWS.discover(path)
    with pytest.raises(DatasetError, match=match) as told:
        list(ROWS.read(path, shard, MAPPING))
    assert told.value.where == path.name


def test_rows_that_take_no_bytes_are_not_counted_to_the_end(tmp_path):
    rows = 1_000_003
    stream_of(tmp_path / "x.arrow", pa.table({"url": pa.nulls(rows)}), rows)
    data = (tmp_path / "x.arrow").read_bytes()
    (tmp_path / "x.arrow").write_bytes(data.replace(struct.pack("<q", rows), struct.pack("<q", 1 << 40)))
    refused(tmp_path / "x.arrow", "claims more rows than its file has bits")


@pytest.fixture
def stream(tmp_path):
    stream_of(tmp_path / "x.arrow", one_picture_a_row(20), rows=6)
    return tmp_path / "x.arrow"


def test_a_stream_that_ends_early_is_refused_wherever_it_ends(stream):
    whole = stream.read_bytes()
    for end in [0, 1, 7, *range(8, len(whole), 97), len(whole) - 8, len(whole) - 1]:
        stream.write_bytes(whole[:end])
        refused(stream)


def test_a_stream_without_its_end_mark_is_truncated(stream):
    stream.write_bytes(stream.read_bytes()[:-8])
    refused(stream, "the Arrow stream is truncated")


@pytest.mark.parametrize("more", [b"\0", b"x", bytes(8), b"\xff\xff\xff\xff" + bytes(4)])
def test_bytes_behind_the_end_are_refused(stream, more):
    stream.write_bytes(stream.read_bytes() + more)
    refused(stream, "bytes behind the end")


def test_an_arrow_file_that_is_no_stream_is_refused(tmp_path):
    table = one_picture_a_row(3)
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    refused(tmp_path / "x.arrow", "this is no Arrow stream")


def test_offsets_that_lead_out_of_their_buffer_are_refused(tmp_path):
    table = pa.table({"jpg": pa.array([b"one", b"two", b"three"])})
    stream_of(tmp_path / "x.arrow", table, rows=3)
    data = (tmp_path / "x.arrow").read_bytes()
    offsets = struct.pack("<4i", 0, 3, 6, 11)
    assert data.count(offsets) == 1
    for wrong in ((0, 3, 6, 1 << 30), (0, 6, 3, 11), (-5, 3, 6, 11), (1 << 29, 3, 6, 11)):
        (tmp_path / "x.arrow").write_bytes(data.replace(offsets, struct.pack("<4i", *wrong)))
        refused(tmp_path / "x.arrow", "damaged")


def test_a_stream_that_cannot_be_mapped_is_read_all_the_same(stream, monkeypatch):
    (shard,) = ROWS.discover(stream)
    mapped = ROWS.read(stream, shard, MAPPING)
    before = [(item.key, getattr(item, "image", None)) for item in mapped]
    monkeypatch.setattr("vetset.dataset.arrow_stream._mapped", lambda _stream, _size: None)
    read = ROWS.read(stream, shard, MAPPING)
    assert [(item.key, getattr(item, "image", None)) for item in read] == before
    assert read.digest == mapped.digest
    whole = stream.read_bytes()
    for end in range(8, len(whole), 501):
        stream.write_bytes(whole[:end])
        refused(stream)


def test_batches_are_bounded_by_bytes_even_if_every_value_were_the_longest():
    assert batch_rows(0, 0) == batch_rows(10, 1000) == MAX_ROWS
    for size, rows in [(1 << 20, 1), (1 << 30, 1000), (1 << 34, 10), (1 << 24, 1 << 20), (1 << 62, 1)]:
        count = batch_rows(size, rows)
        assert 1 <= count <= MAX_ROWS
        assert count == 1 or (count * size <= WORST_BYTES and count * (size // rows) <= BATCH_BYTES)


def test_rows_of_a_table_without_pictures_are_gone_through_in_greater_steps():
    assert table_batch_rows(0, 0, 0) == table_batch_rows(10, 1000, 1) == TABLE_ROWS
    for size, rows in [(1 << 20, 1), (1 << 30, 1000), (1 << 34, 10), (1 << 28, 1 << 20), (1 << 62, 1)]:
        count = table_batch_rows(size, rows, size)
        assert batch_rows(size, rows) <= count <= TABLE_ROWS
        assert count == 1 or count * (size // rows) <= BATCH_BYTES
        assert table_batch_rows(size, rows, WORST_BYTES // 4000) == min(4000, max(1, BATCH_BYTES * rows // size))


def test_two_columns_of_one_name_are_refused(tmp_path):
    image = pa.array([cell(1)], IMAGE)
    stream_of(tmp_path / "x.arrow", pa.table([image, image], names=["image", "image"]))
    refused(tmp_path / "x.arrow", "have one name")


def test_columns_that_are_not_needed_are_not_looked_at(tmp_path):
    """Text that is no UTF-8 costs those who need it, and no finding its picture."""
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    stream_of(tmp_path / "x.arrow", pa.table({"image": pa.array([cell(1)], IMAGE), "words": broken}))
    (shard,) = ROWS.discover(tmp_path)
    assert len(list(ROWS.read(tmp_path, shard, MAPPING))) == 1
    (item,) = ROWS.read_rows(tmp_path, shard, [0], MAPPING).values()
    assert item.image == picture(1)
    assert item.fields.columns == {"image.path": "1.jpg"}
    with pytest.raises(DatasetError, match="damaged"):
        list(ROWS.identities(tmp_path, shard))


def test_only_row_groups_that_are_asked_for_are_read(tmp_path):
    pq.write_table(one_picture_a_row(50), tmp_path / "x.parquet", row_group_size=10)
    with open_rows(tmp_path / "x.parquet", "x.parquet") as file:
        seen = [first for first, _ in file.batches(None, [0, 25])]
    assert seen == [0, 20]
