"""What lies beside a tar moves with it: tables, statistics; measured on the real tool's output."""

import hashlib
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from dataset_cases import FIXTURE

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import discover, format_of
from vetset.dataset.webdataset import pack
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Record, Unreadable
from vetset.model.signal import Kind, Reason

WEBDATASET = format_of(Format.WEBDATASET)
MAPPING = ColumnMapping()


def items_of(root, shard):
    return list(WEBDATASET.read(root, shard, MAPPING))


@pytest.mark.parametrize(("name", "kind"), [("md5", Kind.MD5), ("sha256", Kind.SHA256)])
def test_the_real_output_has_38_pictures_and_6_rows_without(name, kind):
    root = FIXTURE / name
    items = [item for shard in discover(root) for item in items_of(root, shard)]
    pictures = [item for item in items if isinstance(item, Record)]
    failed = [item for item in items if isinstance(item, Unreadable)]
    assert (len(pictures), len(failed)) == (38, 6)
    assert {item.reason for item in failed} == {Reason.NOT_DOWNLOADED}
    assert all(item.fields.url.startswith("http://127.0.0.1") for item in items)
    assert all(set(item.fields.declared) == {kind} for item in pictures)
    assert not any(item.fields.declared for item in failed)


@pytest.mark.parametrize("change", ["in place", "longer", "replaced"])
def test_a_tar_that_somebody_writes_into_while_it_is_read_is_refused_and_one_that_takes_its_place_is_another(
    tmp_path, change
):
    pack([(f"{number:05}", {"jpg": bytes(100_000)}) for number in range(40)], tmp_path / "a.tar")
    (shard,) = discover(tmp_path)
    reading = iter(WEBDATASET.read(tmp_path, shard, MAPPING))
    next(reading)
    if change == "replaced":
        pack([], tmp_path / "b.tar")
        (tmp_path / "b.tar").replace(tmp_path / "a.tar")
        assert len(list(reading)) == 39
        return
    with (tmp_path / "a.tar").open("r+b") as file:
        file.seek(3_000_000 if change == "in place" else 0, 0 if change == "in place" else 2)
        file.write(b"other")
    with pytest.raises(DatasetError, match="changed while it was read"):
        list(reading)


def test_the_tar_and_the_table_agree_on_every_field():
    root = FIXTURE / "md5"
    for shard in discover(root):
        table = {row["key"]: row for row in pq.read_table(root / shard.uri.replace(".tar", ".parquet")).to_pylist()}
        for item in items_of(root, shard):
            assert item.fields.url == table[item.key]["url"]
            stated = table[item.key]["md5"]
            assert item.fields.declared.get(Kind.MD5) == (None if stated is None else bytes.fromhex(stated))


def test_dropped_samples_leave_the_table_and_the_statistics(tmp_path):
    root = FIXTURE / "md5"
    shard = discover(root)[0]
    items = items_of(root, shard)
    keep = np.array([item.row not in {1, 2, 15} for item in items])
    WEBDATASET.write(root, shard, keep, tmp_path)
    before = pq.read_table(root / "00000.parquet")
    after = pq.read_table(tmp_path / "00000.parquet")
    gone = {items[row].key for row in (1, 2, 15)}
    assert after.to_pylist() == [row for row in before.to_pylist() if row["key"] not in gone]
    assert after.schema.equals(before.schema, check_metadata=True)
    stats = json.loads((tmp_path / "00000_stats.json").read_text())
    old = json.loads((root / "00000_stats.json").read_text())
    failed = [row["status"] for row in after.to_pylist() if row["status"] != "success"]
    assert stats["count"] == 13
    assert stats["successes"] == stats["status_dict"]["success"] == 12
    assert (stats["failed_to_download"], stats["failed_to_resize"]) == (
        failed.count("failed_to_download"),
        failed.count("failed_to_resize"),
    )
    assert sum(stats["status_dict"].values()) == stats["count"]
    assert (stats["duration"], list(stats)) == (old["duration"], list(old))


def test_no_trace_of_a_dropped_record_is_left_in_any_file(tmp_path):
    root = FIXTURE / "md5"
    shard = discover(root)[0]
    items = items_of(root, shard)
    keep = np.array([item.row != 3 for item in items])
    WEBDATASET.write(root, shard, keep, tmp_path)
    address = items[3].fields.url.encode()
    files = {path.name: path.read_bytes() for path in tmp_path.rglob("*")}
    assert len(files) == 3
    assert not any(address in data or items[3].image in data for data in files.values())


def test_surviving_members_are_the_same_bytes_headers_included(tmp_path):
    root = FIXTURE / "md5"
    shard = discover(root)[0]
    keep = np.arange(len(items_of(root, shard))) % 2 == 0
    WEBDATASET.write(root, shard, keep, tmp_path)
    before, after = (root / shard.uri).read_bytes(), (tmp_path / shard.uri).read_bytes()
    blocks = {before[at : at + 512] for at in range(0, len(before), 512)}
    assert all(after[at : at + 512] in blocks for at in range(0, len(after), 512))
    assert len(after) % 10240 == 0
    assert after.endswith(bytes(1024))


def test_the_digest_covers_the_table_but_not_the_clock_of_the_download(tmp_path):
    root = FIXTURE / "md5"
    shard = discover(root)[0]
    WEBDATASET.write(root, shard, np.ones(16, np.bool_), tmp_path)
    digests = []
    for change in (None, "00000_stats.json", "00000.parquet"):
        if change == "00000_stats.json":
            (tmp_path / change).write_text("{}")
        if change == "00000.parquet":
            (tmp_path / change).unlink()
        reading = WEBDATASET.read(tmp_path, shard, MAPPING)
        list(reading)
        digests.append(reading.digest)
    assert digests[0] == digests[1] != digests[2]
    tar = blake3((root / "00000.tar").read_bytes()).hexdigest()
    table = hashlib.sha256((root / "00000.parquet").read_bytes()).hexdigest()
    assert digests[0] == hashlib.sha256(f"webdataset\0{tar}{table}".encode()).hexdigest()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000])
def test_damaged_statistics_are_refused_by_the_writer(tmp_path, content):
    source = tmp_path / "source"
    shard = discover(FIXTURE / "md5")[0]
    WEBDATASET.write(FIXTURE / "md5", shard, np.ones(16, np.bool_), source)
    (source / "00000_stats.json").write_bytes(content)
    with pytest.raises(DatasetError, match="statistics"):
        WEBDATASET.write(source, shard, np.arange(16) != 1, tmp_path / "out")


def test_a_single_tar_takes_its_table_along(tmp_path):
    root = FIXTURE / "md5" / "00001.tar"
    (shard,) = discover(root)
    assert len(items_of(root, shard)) == 16
    WEBDATASET.write(root, shard, np.arange(16) != 0, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00001.parquet", "00001.tar", "00001_stats.json"]


def test_sealing_gets_the_caption_and_all_columns():
    root = FIXTURE / "md5"
    fields = WEBDATASET.read_rows(root, discover(root)[0], [0], MAPPING)[0].fields
    assert fields.columns["caption"] == fields.columns["txt"]
    assert {"punsafe", "pwatermark", "width", "original_height", "status"} <= set(fields.columns)
    assert not {"url", "md5"} & set(fields.columns)
