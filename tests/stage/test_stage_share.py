"""Scans in several parts: by nobody, by two at once, on two machines, and put together without reading anything."""

import io
import json
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import vetset
from vetset.engine.local import LocalEngine
from vetset.model.dataset import Format, Shard
from vetset.model.errors import OutputError, UsageError
from vetset.model.selftest import ScanTest
from vetset.seal.keys import new_key
from vetset.stage.share import Share
from vetset.storage import locks
from vetset.storage.commit import PARTIAL
from vetset.store import store as module
from vetset.store.store import Store


@pytest.fixture
def root(tmp_path):
    """The small dataset in seven shards."""
    small.write_webdataset(tmp_path / "data", shards=7)
    return tmp_path / "data"


def scan(root, store, **options):
    return vetset.scan(root, store=store, engine=small.HERE, **options)


@pytest.fixture
def whole(root, tmp_path):
    """One scan of everything: its note and the digest of its store."""
    return scan(root, tmp_path / "whole"), Store(tmp_path / "whole").digest()


@pytest.fixture
def unread(monkeypatch):
    """From here on no shard may be read."""

    def forbid():
        def forbidden(*_):
            raise AssertionError("a shard is read")

        monkeypatch.setattr("vetset.stage.scan.scan_shard", forbidden)

    return forbid


@given(st.integers(0, 40), st.integers(1, 50), st.randoms())
@settings(max_examples=60, deadline=None)
def test_every_shard_belongs_to_one_part_whatever_the_order_and_no_part_has_many_more(shards, count, random):
    made = [Shard(f"{number:05}.tar", Format.WEBDATASET, 1, "") for number in range(shards)]
    shuffled = random.sample(made, len(made))
    shares = [Share(number, count).of(shuffled) for number in range(1, count + 1)]
    assert sorted(shard for share in shares for shard in share) == made
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "-1/3", "1/0", "1/3/5", "a/b", "1 / 3", "1/99999999", "٣/٤"])
def test_a_part_that_is_not_one_is_a_usage_error(root, tmp_path, text):
    with pytest.raises(UsageError, match="part is not understood"):
        scan(root, tmp_path / "store", part=text)
    assert not (tmp_path / "store").exists()


def test_a_part_and_the_merge_at_once_is_a_usage_error(root, tmp_path):
    with pytest.raises(UsageError, match="Choose one"):
        scan(root, tmp_path / "store", part="1/2", merge=True)


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("count", [1, 3, 9])
def test_merged_parts_are_the_store_and_the_note_of_one_scan(roots, tmp_path, form, count, unread):
    note = scan(roots / form.value, tmp_path / "whole")
    for number in range(count, 0, -1):
        scan(roots / form.value, tmp_path / "store", part=f"{number}/{count}")
    unread()
    assert scan(roots / form.value, tmp_path / "store", merge=True) == note
    store = Store(tmp_path / "store")
    assert store.scans() == [note]
    assert store.digest() == Store(tmp_path / "whole").digest()


def test_a_scan_of_everything_behind_the_parts_reads_nothing_again(root, whole, tmp_path, unread):
    for number in (1, 2):
        scan(root, tmp_path / "store", part=f"{number}/2")
    unread()
    assert scan(root, tmp_path / "store") == whole[0]


def test_a_part_alone_is_no_scan(root, tmp_path, custodian):
    scan(root, tmp_path / "store", part="1/2")
    with pytest.raises(UsageError, match="not clear which scan"):
        vetset.match(tmp_path / "store", lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "out")


def test_missing_parts_are_named(root, tmp_path):
    scan(root, tmp_path / "store", part="2/4")
    with pytest.raises(UsageError) as caught:
        scan(root, tmp_path / "store", merge=True)
    assert caught.value.seen == "without 1/4 (not there), 3/4 (not there), 4/4 (not there)"


def test_a_part_that_lost_a_shard_is_named(root, tmp_path):
    for number in (1, 2, 3):
        scan(root, tmp_path / "store", part=f"{number}/3")
    (share,) = [note for numbers, note in shares_of(tmp_path / "store").items() if numbers == (2, 3)]
    Store(tmp_path / "store").part_path(share.shards[0].part).unlink()
    with pytest.raises(UsageError) as caught:
        scan(root, tmp_path / "store", merge=True)
    assert caught.value.seen == "without 2/3 (1 of its shards are missing or damaged)"
    scan(root, tmp_path / "store", part="2/3")
    scan(root, tmp_path / "store", merge=True)


def shares_of(folder):
    """The notes of all parts, read as they lie there."""
    store = Store(folder)
    (name,) = {path.name.rsplit(".", 2)[0] for path in (folder / "shares").iterdir()}
    return store.shares(name)


def test_a_merge_of_nothing_says_what_to_do_first(root, tmp_path):
    with pytest.raises(UsageError, match="--part 1/n"):
        scan(root, tmp_path / "store", merge=True)


def test_parts_of_a_dataset_that_changed_between_are_not_merged(root, tmp_path):
    scan(root, tmp_path / "store", part="1/2")
    (root / "00003.tar").unlink()
    scan(root, tmp_path / "store", part="2/2")
    with pytest.raises(UsageError, match="1/2"):
        scan(root, tmp_path / "store", merge=True)


def test_a_part_by_another_version_of_the_signals_is_missing(root, tmp_path, monkeypatch):
    for number in (1, 2):
        scan(root, tmp_path / "store", part=f"{number}/2")
    monkeypatch.setattr("vetset.stage.scan.SIGNAL_VERSIONS", dict.fromkeys(vetset.Policy().scan.kinds, 99))
    with pytest.raises(UsageError, match="parts of the scan are missing"):
        scan(root, tmp_path / "store", merge=True)


def test_a_shard_that_could_not_be_read_is_told_by_its_part_and_by_the_merge(root, tmp_path):
    (root / "00003.tar").write_bytes((root / "00003.tar").read_bytes()[:2000])
    told = [scan(root, tmp_path / "store", part=f"{number}/2") for number in (1, 2)]
    whole = scan(root, tmp_path / "whole")
    assert [dict(note.failed) for note in told] == [{}, dict(whole.failed)]
    assert list(whole.failed) == ["00003.tar"]
    assert "the archive is truncated" in whole.failed["00003.tar"]
    merged = scan(root, tmp_path / "store", merge=True)
    assert merged == whole


def test_stores_of_two_machines_are_merged_once_they_lie_in_one_folder(root, whole, tmp_path, unread):
    """The second machine knows the dataset at another place."""
    elsewhere = tmp_path / "mounted"
    elsewhere.symlink_to(root)
    moved = tmp_path / "moved"
    scan(root, tmp_path / "one", part="1/2")
    root.rename(moved)
    scan(moved, tmp_path / "two", part="2/2")
    for place in ("one", "two"):
        for path in sorted((tmp_path / place).rglob("*")):
            to = tmp_path / "both" / path.relative_to(tmp_path / place)
            if path.is_file():
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(path.read_bytes())
    unread()
    note = scan(moved, tmp_path / "both", merge=True)
    assert replace(note, root=str(root)) == whole[0]
    assert Store(tmp_path / "both").digest() == whole[1]
    assert scan(moved, tmp_path / "both") == note, "and now also a scan finds everything"


@pytest.mark.parametrize("version", [98, 99])
def test_a_merge_takes_the_parts_of_its_own_version_whatever_parts_of_before_lie_beside_them(
    root, tmp_path, monkeypatch, version
):
    """Each version scanned in another number of parts, where the dataset lay at another place."""
    for number_of_version, count in ((98, 2), (99, 3)):
        versions = dict.fromkeys(vetset.Policy().scan.kinds, number_of_version)
        monkeypatch.setattr("vetset.stage.scan.SIGNAL_VERSIONS", versions)
        root = root.rename(tmp_path / f"place of {number_of_version}")
        for number in range(1, count + 1):
            scan(root, tmp_path / "store", part=f"{number}/{count}")
    root = root.rename(tmp_path / "place of the merge")
    monkeypatch.setattr("vetset.stage.scan.SIGNAL_VERSIONS", dict.fromkeys(vetset.Policy().scan.kinds, version))
    assert scan(root, tmp_path / "store", merge=True) == scan(root, tmp_path / "whole")


def test_a_merge_prefers_what_was_scanned_where_the_self_test_passed(root, whole, tmp_path, monkeypatch):
    failed = ScanTest("tools", 100, ("JPEG: md5",))
    with monkeypatch.context() as patched:
        patched.setattr("vetset.stage.scan.scan_test", lambda *_, **__: failed)
        for number in (1, 2):
            scan(root, tmp_path / "store", part=f"{number}/2")
    moved = root.rename(tmp_path / "moved")
    scan(moved, tmp_path / "store", part="1/1")
    moved.rename(root)
    assert scan(root, tmp_path / "store", merge=True) == whole[0]


def test_parts_at_once_in_one_store_by_processes_that_know_nothing_of_each_other(root, whole, tmp_path):
    program = "from vetset.cli import main; main()"
    command = [sys.executable, "-c", program, "scan", str(root), "--store", str(tmp_path / "store"), "--workers", "1"]

    def run(number):
        done = subprocess.run([*command, "--part", f"{number}/3", "--json"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(run, (1, 2, 3)))
    assert [document["shards"] for document in told] == [3, 2, 2]
    assert scan(root, tmp_path / "store", merge=True) == whole[0]
    assert Store(tmp_path / "store").digest() == whole[1]
    assert not list((tmp_path / "store").rglob(f"*{PARTIAL}"))


def test_a_part_leaves_half_written_files_of_others_and_the_merge_clears_them(root, tmp_path):
    scan(root, tmp_path / "store", part="1/1")
    left = tmp_path / "store" / "parts" / f"x.arrow.01234567{PARTIAL}"
    left.write_bytes(b"half")
    scan(root, tmp_path / "store", part="1/1")
    assert left.exists()
    scan(root, tmp_path / "store", merge=True)
    assert not left.exists()


def test_a_store_that_many_make_at_once_is_one_store(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        for trial in range(20):
            list(pool.map(lambda _, folder=tmp_path / str(trial): Store(folder, shared=True), range(8)))


def test_a_store_whose_marker_comes_between_two_looks_is_a_store(tmp_path, monkeypatch):
    """The other run made the folder after this one had looked for the marker."""
    Store(tmp_path / "store")
    looked = []
    marker = tmp_path / "store" / "store.json"
    look = module.state_at

    def late(path, kind):
        if path == marker and not looked:
            looked.append(path)
            return None
        return look(path, kind)

    monkeypatch.setattr(module, "state_at", late)
    Store(tmp_path / "store")
    assert looked


@pytest.mark.parametrize("number", sorted(locks._WITHOUT_LOCKS))
def test_a_file_system_without_locks_is_worked_on_and_nothing_is_cleared(root, tmp_path, monkeypatch, number):
    scan(root, tmp_path / "store", part="1/1")
    left = tmp_path / "store" / "parts" / f"x.arrow.01234567{PARTIAL}"
    left.write_bytes(b"half")

    def none(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr("vetset.storage.locks.fcntl.flock", none)
    scan(root, tmp_path / "store")
    assert left.exists()


def test_a_lock_that_fails_in_another_way_is_told(root, tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("vetset.storage.locks.fcntl.flock", broken)
    with pytest.raises(OutputError, match="cannot be locked"):
        scan(root, tmp_path / "store")


def test_a_damaged_note_of_a_part_is_told(root, tmp_path):
    scan(root, tmp_path / "store", part="1/1")
    (note,) = (tmp_path / "store" / "shares").iterdir()
    note.write_text("{")
    with pytest.raises(OutputError, match="damaged"):
        scan(root, tmp_path / "store", merge=True)


def test_two_parties_a_maker_who_has_no_list_and_a_list_owner_who_has_no_dataset(root, tmp_path):
    """The maker scans in parts and seals the store to the owner; the owner matches and returns a case to the maker."""
    # the maker: a scan on two machines, packed and sealed to the list owner's own age key
    maker, custodian, owner = tmp_path / "maker", new_key("custodian"), pyrage.x25519.Identity.generate()
    for number in (1, 2):
        scan(root, maker / "store", part=f"{number}/2")
    scan(root, maker / "store", merge=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(maker / "store", "store")
    sealed = pyrage.encrypt(packed.getvalue(), [owner.to_public()])
    assert small.url(3).encode() not in packed.getvalue()

    # the owner: no dataset, a list that never leaves, findings sealed to the maker's custodian
    room = tmp_path / "room"
    room.mkdir()
    away = root.rename(tmp_path / "out-of-reach")
    with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(sealed, [owner]))) as tar:
        tar.extractall(room, filter="data")
    result = vetset.match(room / "store", lists=[small.known()], seal_to=[custodian.public], out=room / "audit")
    assert result.errors == ()
    returned = maker / "audit"
    for path in sorted(room.joinpath("audit").rglob("*")):
        to = returned / path.relative_to(room / "audit")
        to.mkdir(exist_ok=True, parents=True) if path.is_dir() else to.write_bytes(path.read_bytes())
    (room / "store").rename(room / "deleted")
    away.rename(root)

    # the maker again: the custodian opens, orders, and the dataset is cleaned
    opened = vetset.open_audit(returned, custodian)
    assert set(small.found(opened.case.findings)) == small.MATCHED
    order = vetset.order(returned, custodian, out=maker / "order", store=maker / "store")
    vetset.clean(root, order, signer=custodian.public, out=maker / "cleaned", engine=LocalEngine(0))
    left = set()
    for path in (maker / "cleaned").glob("*.tar"):
        with tarfile.open(path) as tar:
            left |= {small.number_of(name) for name in tar.getnames()}
    assert left == set(range(small.COUNT)) - small.MATCHED
    statement = vetset.attest(returned, custodian, out=maker / "statement")
    assert vetset.check(statement, signer=custodian.public, dataset=root, engine=small.HERE).predicate["records"] == 24
    # a newer list, at the owner's or at the maker's: the store is enough
    vetset.recheck(returned, lists=[small.second()], store=maker / "store")
    assert 5 in small.found(vetset.open_audit(returned, custodian).case.findings)
