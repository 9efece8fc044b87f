"""Reading ahead and in ranges gives the bytes that are there, holds no more than it may, and asks seldom."""

import io
import threading
import time

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset.places import in_order, open_hashed, open_plain
from vetset.model.errors import DatasetError
from vetset.storage import objects, remote, transfer
from vetset.storage.remote import ChangedError, Remote, RemoteError, Seen, TransientError

DATA = np.random.default_rng(4).bytes(300_000)


class Fake:
    """A store of one object, in memory."""

    conditional = False
    streams = False

    def __init__(self, data=DATA, version="1"):
        self.data = data
        self.version = version
        self.asked = []
        self.at_once = self.most_at_once = 0
        self.fail = lambda _start: None
        self.lock = threading.Lock()

    def stat(self, _place):
        return Seen(len(self.data), self.version)

    def fetch(self, _place, _seen, start, end):
        with self.lock:
            self.asked.append((start, end))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.fail(start)
            time.sleep(0.001)
            return self.data[start:end]
        finally:
            with self.lock:
                self.at_once -= 1


@pytest.fixture
def fake(monkeypatch):
    store = Fake()
    monkeypatch.setattr(remote, "backend_of", lambda _scheme, _authority: store)
    monkeypatch.setattr(transfer, "BLOCK", 10_000)
    monkeypatch.setattr(transfer, "NEAR", 1000)
    return store


def place():
    return Remote("s3", "bucket/key", "s3://bucket/key")


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_a_pass_gives_every_byte_once(fake, ahead):
    with transfer.Ahead(place(), ahead) as stream:
        data = b"".join(iter(lambda: stream.read(777), b""))
    assert data == DATA
    assert sorted(fake.asked) == [(start, min(start + 10_000, 300_000)) for start in range(0, 300_000, 10_000)]
    assert fake.most_at_once <= max(1, ahead)


def test_no_more_is_fetched_than_may_be_held(fake):
    with transfer.Ahead(place(), 3) as stream:
        stream.read(1)
        time.sleep(0.1)
        assert len(fake.asked) <= 4
        stream.read(10_000)
        time.sleep(0.1)
        assert len(fake.asked) <= 5


def test_a_pass_that_is_left_asks_for_no_more(fake):
    with transfer.Ahead(place(), 3) as stream:
        stream.read(1)
    asked = len(fake.asked)
    time.sleep(0.05)
    assert len(fake.asked) == asked


@settings(max_examples=60, deadline=None)
@given(
    reads=st.lists(st.tuples(st.integers(0, 300_010), st.integers(-1, 40_000)), max_size=12),
    exact=st.booleans(),
)
def test_ranges_are_those_of_a_file(reads, exact):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "backend_of", lambda _scheme, _authority: Fake())
        patch.setattr(transfer, "BLOCK", 10_000)
        patch.setattr(transfer, "NEAR", 1000)
        there = place()
        with transfer.Ranged(there, exact=exact) as stream:
            here = io.BytesIO(DATA)
            for start, count in reads:
                assert stream.seek(start) == here.seek(start)
                assert stream.read(count) == here.read(count)
                if start <= len(DATA):
                    assert stream.tell() == here.tell()
        for (start, end), digest in there.digests.items():
            assert blake3(DATA[start:end]).digest() == digest


def test_reading_forward_asks_for_more_and_more(fake):
    with transfer.Ranged(place()) as stream:
        while stream.read(512):
            stream.seek(300, io.SEEK_CUR)
    assert len(fake.asked) < 45
    sizes = [end - start for start, end in fake.asked]
    assert sizes[:4] == [2000, 4000, 8000, 10_000]


def test_reading_here_and_there_stays_small(fake):
    with transfer.Ranged(place()) as stream:
        for start in (200_000, 100, 150_000, 50_000):
            stream.seek(start)
            assert stream.read(512) == DATA[start : start + 512]
    assert sum(end - start for start, end in fake.asked) <= 8000


def test_an_exact_reader_gets_what_it_asks_for_and_no_more(fake):
    with place().open_ranged(exact=True) as (stream, size):
        assert size == 300_000
        stream.seek(5)
        assert stream.read(25_000) == DATA[5:25_005]
    assert sum(end - start for start, end in fake.asked) == 25_000


def test_each_thread_reads_where_it_stands(fake):
    with transfer.Ranged(place(), exact=True) as stream:
        wrong = []

        def read(start):
            for step in range(20):
                stream.seek(start + step)
                time.sleep(0.0005)
                if stream.read(50) != DATA[start + step : start + step + 50]:
                    wrong.append(start)

        threads = [threading.Thread(target=read, args=(start,)) for start in (0, 70_000, 140_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_what_passes_is_tried_again_and_what_does_not_is_not(fake):
    failures = iter([True, True, False])

    def fail(_start):
        if next(failures):
            raise TransientError(5, "away for a moment")

    fake.fail = fail
    assert transfer.fetched(place(), 0, 10) == DATA[:10]
    assert len(fake.asked) == 3

    def refuse(_start):
        raise RemoteError(13, "no")

    fake.fail = refuse
    with pytest.raises(RemoteError, match="no"):
        transfer.fetched(place(), 0, 10)
    assert len(fake.asked) == 4


def test_short_answers_are_no_answers(fake, monkeypatch):
    monkeypatch.setattr(fake, "fetch", lambda _place, _seen, start, end: DATA[start : end - 1])
    with pytest.raises(TransientError, match="ended before"):
        transfer.fetched(place(), 0, 10)


@pytest.mark.parametrize("how", [open_hashed, open_plain])
def test_a_store_that_cannot_be_asked_for_one_version_is_asked_again_at_the_end(fake, how):
    with how(place(), "a shard") as opened:
        assert opened[0].read(10) == DATA[:10]

    def read_while_it_is_replaced():
        with how(place(), "a shard") as opened:
            opened[0].read(10)
            fake.version = "2"

    with pytest.raises(DatasetError, match="changed while it was read"):
        read_while_it_is_replaced()


def test_more_than_is_sensible_is_not_asked_for(fake, monkeypatch):
    monkeypatch.setattr(transfer, "MAX_EXTENT", 1000)
    with pytest.raises(DatasetError, match="held at once"), open_plain(place(), "a shard") as (stream, _):
        stream.read(20_000)


def test_small_reads_come_in_order_and_within_bounds():
    running, most, lock = [0], [0], threading.Lock()

    def job(number):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.002 * (number % 3))
        with lock:
            running[0] -= 1
        return number

    jobs = [(1, lambda number=number: job(number)) for number in range(50)]
    assert list(transfer.together(jobs)) == list(range(50))
    assert 1 < most[0] <= transfer.TOGETHER
    most[0] = 0
    big = [(transfer.MAX_TOGETHER, lambda number=number: job(number)) for number in range(5)]
    assert list(transfer.together(big)) == list(range(5))
    assert most[0] == 1


def test_local_files_are_read_one_after_the_other(tmp_path):
    asked = []
    reading = in_order(tmp_path, [1, 2, 3], lambda number: asked.append(number) or number)
    assert next(reading) == 1
    assert asked == [1]


class Generations:
    """A file system with generations, as gcsfs offers it."""

    def __init__(self):
        self.asked = []
        self.generation = "7"

    def info(self, path):
        return {"name": path, "type": "file", "size": len(DATA), "generation": self.generation, "etag": "x"}

    def cat_file(self, _path, start, end, generation):
        self.asked.append(generation)
        if generation != self.generation:
            raise FileNotFoundError(generation)
        return DATA[start:end]


def test_google_is_asked_for_the_generation_that_was_seen(monkeypatch):
    files = Generations()
    store = objects.GoogleStore(lambda: files)
    monkeypatch.setattr(remote, "backend_of", lambda _scheme, _authority: store)
    there = Remote("gs", "bucket/key", "gs://bucket/key")
    assert transfer.fetched(there, 5, 10) == DATA[5:10]
    files.generation = "8"
    with pytest.raises(ChangedError):
        transfer.fetched(there, 5, 10)
    assert files.asked == ["7", "7"]


class TroubleError(Exception):
    def __init__(self, status):
        super().__init__("https://secret.example/key?sig=1")
        self.status_code = status


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (TroubleError(403), RemoteError, "access denied"),
        (TroubleError(404), FileNotFoundError, "no such object"),
        (TroubleError(412), ChangedError, "changed"),
        (TroubleError(400), RemoteError, "HTTP 400"),
        (TroubleError(503), TransientError, "HTTP 503"),
        (TimeoutError("https://secret.example"), TransientError, "TimeoutError"),
    ],
)
def test_errors_of_a_library_are_told_in_words_of_ours(error, kind, text):
    translated = objects._translated(error)
    assert type(translated) is kind
    assert text in translated.strerror
    assert "secret" not in str(translated)
