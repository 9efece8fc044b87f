"""The store as a folder: notes, versions, several runs at once."""

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from store_parts import KINDS, random_rows, write_part

from vetset.model.dataset import Format, RecordId, Shard
from vetset.model.errors import CountError, OutputError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import Kind
from vetset.storage.commit import PARTIAL, write_atomic
from vetset.store import store as store_module
from vetset.store.part import PartWriter
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import ScanKey, Scanned, ScanNote, Store

SHARD = Shard("00000.tar", Format.WEBDATASET, 1000, "stamp")
KEY = ScanKey("policy", KINDS, dict.fromkeys(KINDS, 1), "mapping")
DIGEST = "ab" * 32


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def remembered(store, rows=20):
    """A committed part and its note."""
    part = KEY.part(DIGEST)
    write_part(store, part, random_rows(np.random.default_rng(3), rows))
    scanned = Scanned(SHARD.uri, DIGEST, rows, part)
    store.remember(KEY, "/data", SHARD, scanned)
    return scanned


def note_of(store):
    return next((store.folder / "seen").iterdir())


def test_a_shard_whose_part_is_committed_is_found_without_being_read(store):
    assert store.find(KEY, "/data", SHARD) is None
    scanned = remembered(store)
    assert store.find(KEY, "/data", SHARD) == scanned


@pytest.mark.parametrize(
    ("key", "root", "shard"),
    [
        (KEY, "/other", SHARD),
        (KEY, "/data", Shard("00000.tar", Format.WEBDATASET, 1001, "stamp")),
        (KEY, "/data", Shard("00000.tar", Format.WEBDATASET, 1000, "later")),
        (KEY, "/data", Shard("00001.tar", Format.WEBDATASET, 1000, "stamp")),
        (ScanKey("other", KINDS, KEY.versions, "mapping"), "/data", SHARD),
        (ScanKey("policy", KINDS[:-1], KEY.versions, "mapping"), "/data", SHARD),
        (ScanKey("policy", KINDS, {**KEY.versions, Kind.PDQ: 2}, "mapping"), "/data", SHARD),
        (ScanKey("policy", KINDS, KEY.versions, "other"), "/data", SHARD),
        (ScanKey("policy", KINDS, KEY.versions, "mapping", "model"), "/data", SHARD),
    ],
    ids=["place", "size", "stamp", "uri", "policy", "kinds", "version", "mapping", "model"],
)
def test_a_shard_of_another(store, key, root, shard):
    """… place, size, stamp, name or way of scanning is not taken for it."""
    remembered(store)
    assert store.find(key, root, shard) is None


def test_a_note_without_its_part_says_nothing(store):
    scanned = remembered(store)
    store.part_path(scanned.part).unlink()
    assert store.find(KEY, "/data", SHARD) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"digest": "x"}', '{"records": 20}', '{"digest": "ab", "records": "20"}', "\xff"]
)
def test_a_damaged_note_says_nothing(store, text):
    remembered(store)
    note_of(store).write_bytes(text.encode("latin-1"))
    assert store.find(KEY, "/data", SHARD) is None


def test_a_flipped_bit_of_a_note_is_seen(store):
    scanned = remembered(store)
    note = ScanNote("/data", "webdataset", "a" * 64, ScanPolicy(), {}, "", (scanned,), {})
    store.note_scan(note)
    (path,) = (store.folder / "scans").iterdir()
    for file, read in ((note_of(store), lambda: store.find(KEY, "/data", SHARD)), (path, store.scans)):
        whole = file.read_bytes()
        good = read()
        for place in range(0, len(whole) - 1, 3):
            data = bytearray(whole)
            data[place] ^= 1 << (place // 3 % 7)
            file.write_bytes(data)
            with suppress(OutputError):
                assert read() in (None, good), bytes(data)
        file.write_bytes(whole)


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="something else"):
        Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_place_of_the_store_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        Store(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{", '{"format": "vetset-store", "version": 1, "lifetime_days": 90}', "\xff\xfe"])
def test_a_damaged_marker_or_another_version_is_refused(tmp_path, text):
    Store(tmp_path / "store")
    (tmp_path / "store" / "store.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(OutputError, match="damaged or of another version"):
        Store(tmp_path / "store")


def test_the_lifetime_is_stated(store):
    assert json.loads((store.folder / "store.json").read_bytes())["lifetime_days"] == 90


def test_a_store_whose_making_was_cut_off_at_the_first_rename_can_be_made_again(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / f"store.json.01234567{PARTIAL}").write_bytes(b"{")
    with Store(folder):
        assert sorted(path.name for path in folder.iterdir()) == ["parts", "seen", "store.json"]


def partials(store):
    places = [store.folder, *(store.folder / name for name in ("parts", "seen", "scans"))]
    return [place / f"left.01234567{PARTIAL}" for place in places]


def leave_partials(store):
    (store.folder / "scans").mkdir(exist_ok=True)
    for path in partials(store):
        path.write_bytes(b"half")


def test_the_only_user_removes_what_a_killed_run_left(store):
    leave_partials(store)
    with store:
        assert not any(path.exists() for path in partials(store))


def test_two_runs_at_once_do_not_remove_each_others_partial_files(store):
    with Store(store.folder) as first, PartWriter(first, KINDS) as writer:
        begun = list((store.folder / "parts").iterdir())
        assert len(begun) == 1
        with Store(store.folder), Store(store.folder):
            assert list((store.folder / "parts").iterdir()) == begun
        writer.commit("p", 0)
    assert store.part_path("p").exists()


def test_runs_that_make_a_store_at_the_same_time_are_told_of_each_other(tmp_path, monkeypatch):
    """… by the lock of one file, which none of them makes anew."""
    monkeypatch.setattr(store_module, "write_atomic", lambda *given: (time.sleep(0.1), write_atomic(*given)))
    folder, all_in, locked = tmp_path / "store", threading.Barrier(4, timeout=10), []

    def run():
        with Store(folder) as store:
            all_in.wait()
            locked.append(os.path.samestat(os.fstat(store._lock), (folder / "store.json").stat()))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert locked == [True] * 4


def test_when_the_last_user_is_gone_the_next_clears_again(store):
    with Store(store.folder), Store(store.folder):
        pass
    leave_partials(store)
    with Store(store.folder):
        assert not any(path.exists() for path in partials(store))


def test_partial_files_do_not_change_the_digest(store):
    remembered(store)
    before = store.digest()
    leave_partials(store)
    assert store.digest() == before


def test_a_damaged_note_of_a_scan_is_an_error(store):
    assert store.scans() == []
    (store.folder / "scans").mkdir()
    (store.folder / "scans" / "x.json").write_text("{}")
    with pytest.raises(OutputError, match="note of a scan"):
        store.scans()


@pytest.fixture
def table(store):
    shards = []
    for number, rows in enumerate((3, 0, 5)):
        part = f"part{number}"
        write_part(store, part, random_rows(np.random.default_rng(number), rows))
        shards.append(StoredShard(f"{number}.tar", f"name{number}", part, rows))
    return RecordTable(store, shards)


def test_numbers_and_records_are_each_others_inverse(table):
    records = table.records(np.arange(table.count))
    assert table.count == 8
    assert [(record.shard, record.row) for record in records] == [
        *(("name0", row) for row in range(3)),
        *(("name2", row) for row in range(5)),
    ]
    assert table.numbers(records).tolist() == list(range(8))
    assert [record.key for record in records] == [key for keys in table.key_batches() for key in keys.to_pylist()]


@pytest.mark.parametrize("record", [RecordId("name9", 0, "k"), RecordId("name0", 3, "k"), RecordId("name0", -1, "k")])
def test_a_record_of_no_shard_is_an_error(table, record):
    with pytest.raises(CountError):
        table.numbers([record])


def test_identities_of_stored_bytes_come_with_their_numbers(table):
    firsts = [first for first, _, _ in table.contents()]
    assert firsts == [0, 3]


def test_policies_that_scan_alike_share_parts():
    assert ScanPolicy().digest == ScanPolicy(kinds=tuple(reversed(ScanPolicy().kinds))).digest
    assert Path(KEY.part(DIGEST)).name == KEY.part(DIGEST)
