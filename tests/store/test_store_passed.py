"""Records that are passed over: remembered for their shard, part of the key of its part, tried again for a reason."""

import errno
import mmap
import threading
from dataclasses import replace

import pytest

from vetset.model.dataset import Format, Shard
from vetset.model.errors import OutputError
from vetset.model.signal import Kind, Reason
from vetset.store.passed import PassedOver, parsed, still
from vetset.store.store import ScanKey, Scanned, Store
from vetset.store.trail import Suspect, Trail, suspect_at

SHARD = Shard("00000.tar", Format.WEBDATASET, 1000, "stamp")
KEY = ScanKey("policy", (Kind.PDQ,), {Kind.PDQ: 1}, "mapping")
PLACE = (KEY, "/data", SHARD)
CRASH = PassedOver(17, Reason.CRASHED)
HANG = PassedOver(3, Reason.TIMED_OUT, seconds=2.5)
MODEL = PassedOver(17, Reason.CRASHED, embedding=True)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_what_is_passed_over_is_remembered_sorted_until_something_else_is(store):
    assert store.passed(*PLACE) == ()
    store.pass_over(*PLACE, [CRASH, HANG, MODEL])
    assert store.passed(*PLACE) == (HANG, CRASH, MODEL)
    store.pass_over(*PLACE, [])
    assert store.passed(*PLACE) == ()


def test_nothing_is_written_where_nothing_is_passed_over(store):
    store.pass_over(*PLACE, [])
    assert not (store.folder / "passed").exists()


@pytest.mark.parametrize(
    "place",
    [
        (replace(KEY, versions={Kind.PDQ: 2}), "/data", SHARD),
        (KEY, "/other", SHARD),
        (KEY, "/data", replace(SHARD, stamp="later")),
    ],
    ids=["signals", "place", "stamp"],
)
def test_another_version_place_or_state_of_the_shard_tries_again(store, place):
    store.pass_over(*PLACE, [CRASH])
    assert store.passed(*place) == ()


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", "[17]", '[{"row": -1, "reason": "crashed"}]', '[{"row": 1, "reason": "too_large"}]',
     '[{"row": 1, "reason": "timed_out", "seconds": "x"}]'],
)  # fmt: skip
def test_a_damaged_note_says_nothing(text):
    assert parsed(text.encode()) == ()


def test_a_part_without_a_record_is_another_part_for_another_reason_another_one_but_not_for_another_time():
    slower = replace(HANG, seconds=9.0)
    keys = [KEY.part("ab", passed) for passed in ((), (CRASH,), (HANG,), (MODEL,), (CRASH, HANG))]
    assert len(set(keys)) == len(keys)
    assert KEY.part("ab") == keys[0]
    assert KEY.part("ab", (HANG, CRASH)) == keys[-1]
    assert KEY.part("ab", (slower,)) == KEY.part("ab", (HANG,))


def test_more_time_than_it_had_is_a_reason_to_try_a_record_again():
    passed = (CRASH, HANG)
    assert still(passed, 2.5) == still(passed, 1.0) == still(passed, None) == passed
    assert still(passed, 2.6) == (CRASH,)


def test_a_shard_is_found_with_the_part_that_lacks_what_is_passed_over_and_no_other(store, monkeypatch):
    held = {KEY.part("ab", (CRASH,))}
    monkeypatch.setattr(Store, "holds", lambda _self, part: part in held)
    store.pass_over(*PLACE, [CRASH])
    store.remember(*PLACE, Scanned(SHARD.uri, "ab", 40, KEY.part("ab", (CRASH,)), (CRASH,)))
    assert store.find(*PLACE) == Scanned(SHARD.uri, "ab", 40, KEY.part("ab", (CRASH,)), (CRASH,))
    store.pass_over(*PLACE, [])
    assert store.find(*PLACE) is None


@pytest.mark.parametrize("mapped", [True, False], ids=["in memory", "where nothing can be mapped into memory"])
def test_a_trail_says_what_was_in_hand_when_it_was_left(tmp_path, monkeypatch, mapped):
    if not mapped:
        monkeypatch.setattr(mmap, "mmap", _refused)
    path = tmp_path / "trails" / "x"
    assert suspect_at(path) is None
    trail = Trail(path)
    assert trail.suspect is None
    trail.begin(0)
    assert suspect_at(path) == trail.suspect == Suspect(0, 0, embedding=False)
    trail.begin_embedding(4, 9)  # while the record 9 is in hand
    assert suspect_at(path) == Suspect(4, 9, embedding=True)
    trail.end_embedding()
    trail.end()
    assert suspect_at(path) is None
    trail.begin(7)
    assert [trail.try_again(), trail.try_again()] == [0, 1]
    trail.begin_alone(7)
    trail.close()
    again = Trail(path)
    assert (again.suspect, again.alone, again.try_again()) == (Suspect(7, 7, embedding=False), 7, 2)
    again.clear()
    assert (again.suspect, again.alone, again.try_again()) == (None, None, 0)
    with again:
        pass
    assert not path.exists()


def _refused(*_):
    raise OSError(errno.ENODEV, "No such device")


@pytest.mark.parametrize("data", [b"", b"x", b"\xff" * 40, b"\x7f" * 40, b"x" * 100])
def test_a_trail_that_is_damaged_is_one_that_can_be_used(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    suspect_at(tmp_path / "x")
    with Trail(tmp_path / "x") as trail:
        trail.clear()
        trail.begin(5)
        assert trail.suspect == Suspect(5, 5, embedding=False)


def test_a_trail_is_one_workers_and_another_waits_until_it_was_left_or_removed(tmp_path):
    path, had = tmp_path / "x", []
    for leave in (Trail.close, lambda trail: trail.__exit__(None, None, None)):
        first = Trail(path)
        first.begin(3)
        waiting = threading.Thread(target=lambda: had.append(Trail(path)))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        Trail(path, alone=False).close()  # a trial's, which closes nothing but itself
        waiting.join(0.2)
        assert waiting.is_alive()
        leave(first)
        waiting.join()
        assert path.exists()
        had[-1].close()
        path.unlink()
    assert suspect_at(path) is None


def test_a_trail_that_cannot_be_written_is_an_error_of_the_store(tmp_path):
    (tmp_path / "trails").mkdir()
    (tmp_path / "trails" / "x").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        Trail(tmp_path / "trails" / "x")
