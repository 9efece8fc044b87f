"""A file that goes by once gives the bytes that are there, wherever it is read, and is digested whole and in order."""

import hashlib
import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset import window
from vetset.dataset.window import Window, passing_by
from vetset.model.errors import DatasetError

DATA = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(64))
HELD, STEP = 300, 64

reads = st.tuples(st.integers(0, len(DATA) + 50), st.integers(-1, 400))


@pytest.fixture(autouse=True, scope="module")
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "MOST_HELD", HELD)
        patch.setattr(window, "CHUNK", STEP)
        yield


def going_by(data=DATA):
    apart, digested = [], []

    def elsewhere(start, end):
        apart.append((start, end))
        return data[start:end]

    return Window(io.BytesIO(data), len(DATA), elsewhere, digested.append, "x.parquet"), apart, digested


def read_at(found, start, count):
    found.seek(start)
    return found.read(count)


@settings(deadline=None)
@given(st.lists(st.one_of(reads, st.none()), max_size=40))
def test_any_reads_in_any_order_give_the_bytes_of_the_file_and_hold_no_more_than_they_may(asked):
    found, _, digested = going_by()
    for each in asked:
        if each is None:
            found.go_on()
            continue
        start, count = each
        assert read_at(found, start, count) == (DATA[start:] if count < 0 else DATA[start : start + count])
        assert sum(len(held) for _, held in found._held) <= HELD + STEP
    found.finish()
    assert b"".join(digested) == DATA


def test_reads_of_columns_in_turn_take_what_goes_by_and_nothing_apart():
    found, apart, _ = going_by()
    for group in range(0, len(DATA), 256):
        found.go_on()
        for at in (0, 32, 64, 96):
            for column in (0, 128):
                start = group + column + at
                assert read_at(found, start, 32) == DATA[start : start + 32]
    assert apart == []


def test_a_footer_is_read_apart_and_moves_nothing():
    found, apart, digested = going_by()
    found.seek(-8, io.SEEK_END)
    assert found.read(8) == DATA[-8:]
    assert (apart, digested) == ([(len(DATA) - 8, len(DATA))], [])


def test_what_was_left_behind_or_lies_far_ahead_is_read_apart():
    found, apart, _ = going_by()
    found.go_on()
    assert read_at(found, 0, 2 * STEP) == DATA[: 2 * STEP]
    found.go_on()
    assert read_at(found, 5, 3) == DATA[5:8]
    assert read_at(found, 1000, 10) == DATA[1000:1010]
    assert apart == [(5, 8), (1000, 1010)]


def test_a_file_that_ends_too_early_is_refused():
    found, _, _ = going_by(DATA[:100])
    found.go_on()
    with pytest.raises(DatasetError, match="became shorter"):
        read_at(found, 90, 20)
    with pytest.raises(DatasetError, match="became shorter"):
        found.finish()


def test_of_a_local_file_as_well(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(DATA)
    digested = []
    with passing_by(path, "x.parquet", digested.append) as found:
        assert read_at(found, len(DATA) - 8, 8) == DATA[-8:]
        found.go_on()
        assert read_at(found, 10, 20) == DATA[10:30]
        found.finish()
    assert b"".join(digested) == DATA


def test_a_read_that_the_system_answers_in_parts_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    path.write_bytes(DATA)
    plain = os.pread
    monkeypatch.setattr(os, "pread", lambda handle, count, start: plain(handle, min(count, 100), start))
    with passing_by(path, "x.parquet", lambda _: None) as found:
        assert read_at(found, 5, 1000) == DATA[5:1005]
        assert read_at(found, len(DATA) - 5, 1000) == DATA[-5:]
