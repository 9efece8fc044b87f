"""A plan against the scan that it is about: equal where everything was read, near it where a sample was."""

import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
import vetset
from vetset.dataset.parquet import ParquetFormat
from vetset.dataset.webdataset import WebdatasetFormat, pack
from vetset.engine.local import LocalEngine
from vetset.engine.outcome import Failed
from vetset.model.coverage import total_coverage
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError, EngineError, OutputError, UsageError
from vetset.model.signal import Kind, Reason
from vetset.stage import held, pictured, sampled
from vetset.stage import plan as stage
from vetset.store.part import Part
from vetset.store.store import Store


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A place for temporary files of this test's own."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def quick(monkeypatch, temporary):
    """Without the process that removes the folder after a kill: many plans in one test."""

    @contextmanager
    def folder():
        path = temporary / "one"
        path.mkdir()
        yield path
        shutil.rmtree(path)

    monkeypatch.setattr(stage, "passing_folder", folder)


def plan(root, **options):
    return vetset.plan(root, engine=small.HERE, **{"seconds": 30, **options})


def scanned(root, store, **options):
    """What the scan came to: records, coverage, bytes of its store."""
    note = vetset.scan(root, store=store, engine=small.HERE, **options)
    parts = [Part(Store(store).part_path(one.part), one.uri) for one in note.shards]
    coverage = total_coverage(part.coverage(kind) for part in parts for kind in part.kinds)
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    return note, coverage, size


def shares(plan):
    return {kind: {r: s.value for r, s in found.reasons.items()} for kind, found in plan.undecided.items()}


def test_a_shard_whose_name_is_no_text_is_sampled_like_any_other(tmp_path):
    small.write_webdataset(tmp_path / "data")
    before = plan(tmp_path / "data")
    for path in (tmp_path / "data").iterdir():
        path.rename(tmp_path / "data" / os.fsdecode(b"\xff" + os.fsencode(path.name)))
    found = plan(tmp_path / "data")
    assert (found.records.value, shares(found)) == (before.records.value, shares(before))


@pytest.mark.parametrize("form", list(Format))
def test_a_small_dataset_is_read_whole_and_nothing_is_estimated(roots, tmp_path, form):
    found = plan(roots / form.value)
    note, coverage, size = scanned(roots / form.value, tmp_path / "store")
    assert found.format is form
    assert found.shards == len(note.shards)
    assert found.records == found.records.known(small.COUNT)
    assert found.cost.total.exact
    assert found.store_bytes.exact
    # but for the note of the scan as a whole
    assert found.store_bytes.value == pytest.approx(size, abs=700)
    assert found.failed_shards.value == 0
    assert shares(found) == {
        kind: {reason: count / small.COUNT for reason, count in each.undecided.items()}
        for kind, each in coverage.items()
    }
    assert found.sample.records == small.COUNT
    assert found.unclaimed_files == 0


def test_columns_are_told_by_name_and_by_what_they_state(roots):
    found = plan(roots / "parquet")
    assert {role: each.columns for role, each in found.roles.items()} == {
        "url": ("URL",), "key": ("key",), "md5": ("md5",), "sha1": (), "sha256": ("sha256",)
    }  # fmt: skip
    assert [found.roles[role].stated for role in ("url", "md5", "sha1", "sha256")] == [1, 1, 0, 1]
    assert found.other_columns == ("TEXT",)
    pictures = plan(roots / "webdataset").roles
    assert (pictures["url"].stated, pictures["md5"].stated, pictures["url"].columns) == (1, 0, ())


def test_a_column_that_is_mapped_by_hand_is_the_one_that_is_told(tmp_path):
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"a": ["00" * 16, None], "b": ["x", "y"]}), tmp_path / "data" / "t.parquet")
    with pytest.raises(DatasetError, match="no column of this table"):
        plan(tmp_path / "data")
    found = plan(tmp_path / "data", columns=vetset.ColumnMapping(md5="a"))
    assert found.roles["md5"].columns == ("a",)
    assert found.roles["md5"].stated == 0.5
    assert found.undecided[Kind.MD5].reasons[Reason.NULL_VALUE].value == 0.5


@pytest.fixture
def seven(tmp_path):
    small.write_webdataset(tmp_path / "seven", shards=7)
    return tmp_path / "seven"


def test_a_sample_of_shards_says_so_and_the_seed_decides_which(seven):
    found = plan(seven, sample_shards=3, seed=2)
    assert found.sample.shards == 3
    assert not found.records.exact
    assert found.records.low <= found.records.value <= found.records.high
    again = plan(seven, sample_shards=3, seed=2)
    assert (again.records, again.sample.bytes, shares(again)) == (found.records, found.sample.bytes, shares(found))
    others = {plan(seven, sample_shards=3, seed=seed).sample.bytes for seed in range(5)}
    assert len(others) > 1


def test_a_damaged_shard_is_counted_and_not_fatal(seven):
    tar = seven / "00003.tar"
    tar.write_bytes(tar.read_bytes()[:5000])
    found = plan(seven)
    assert found.failed_shards == found.failed_shards.known(1)
    assert [(text.split(":")[0], count) for text, count in found.failures.items()] == [("DatasetError", 1)]
    assert found.records.value < small.COUNT
    assert found.records.exact


def test_shards_that_all_fail_are_an_error_of_the_dataset(seven):
    for tar in seven.iterdir():
        tar.write_bytes(b"no tar" * 1000)
    with pytest.raises(DatasetError, match="checksum") as caught:
        plan(seven)
    assert caught.value.where.split(",")[0] in {f"{number:05}.tar" for number in range(7)}


def test_a_shard_that_kills_its_worker_has_failed(seven):
    class Deadly:
        def map(self, task, items):
            for outcome in small.HERE.map(task, items):
                bad = task is sampled.look_at and items[outcome.index].scan.shard.uri == "00002.tar"
                yield Failed(outcome.index, EngineError("a worker died at this item")) if bad else outcome

    found = vetset.plan(seven, engine=Deadly())
    assert found.failures == {"EngineError: a worker died at this item": 1}
    assert found.failed_shards.value == 1


NUMBERS = [{"seconds": 0}, {"seconds": float("nan")}, {"workers": 0}, {"sample_shards": 0}, {"seed": -1}]


@pytest.mark.parametrize("bad", NUMBERS)
def test_numbers_out_of_range_are_a_usage_error(seven, bad):
    with pytest.raises(UsageError, match="out of range"):
        plan(seven, **bad)


def test_more_workers_than_shards_have_nothing_to_do(seven):
    few, many = plan(seven, workers=2), plan(seven, workers=1000)
    assert (few.busy, many.workers, many.busy) == (2, 1000, 7)
    assert many.cost.start > few.cost.start


def test_the_time_is_that_of_a_scan_which_begins_with_the_largest_shards(tmp_path, monkeypatch):
    write_unequal(tmp_path / "data", count=6)
    played = []
    monkeypatch.setattr("vetset.stage.forecast.makespan", lambda seconds, _: played.append(seconds) or sum(seconds))
    plan(tmp_path / "data", workers=2)
    assert len(played[0]) == 6
    assert played[0] == sorted(played[0], reverse=True)


def write_unequal(root, count=16, seed=1):
    """Tars from 1 to 60 records; what they hold are no pictures, which is quick."""
    random = np.random.default_rng(seed)
    root.mkdir()
    total = 0
    for shard in range(count):
        records = int(random.integers(1, 60))
        total += records
        size = int(random.integers(500, 4000))
        samples = []
        for number in range(records):
            stated = {"url": f"https://x.example/{number}"} if number % (shard + 2) else {}
            samples.append((f"{number:05}", {"jpg": random.bytes(size), "json": json.dumps(stated).encode()}))
        pack(samples, root / f"{shard:05}.tar")
    return total


def test_estimates_are_right_on_average_and_intervals_hold(tmp_path, quick):
    truth = write_unequal(tmp_path / "data")
    whole = plan(tmp_path / "data")
    assert whole.records.value == truth
    found = [plan(tmp_path / "data", sample_shards=8, seed=seed) for seed in range(30)]
    for values, expected in (
        ([one.records for one in found], truth),
        ([one.store_bytes for one in found], whole.store_bytes.value),
        ([one.undecided[Kind.URL_MD5].share for one in found], whole.undecided[Kind.URL_MD5].share.value),
    ):
        assert np.mean([one.value for one in values]) == pytest.approx(expected, rel=0.06)
        assert np.mean([one.low <= expected <= one.high for one in values]) >= 0.85  # of 30


def other(pictures, number):
    """Bytes that no other number has: no picture, or a picture with something behind its end."""
    return b"no picture %d" % number if number < 300 else pictures[0] + b"%d" % number


@pytest.fixture
def sorted_tar(tmp_path):
    """One tar that begins with 300 records that are no pictures, and goes on with 300 that are."""
    pictures = small.images()
    (tmp_path / "sorted").mkdir()
    samples = [(f"{number:05}", {"jpg": other(pictures, number)}) for number in range(600)]
    pack(samples, tmp_path / "sorted" / "0.tar")
    return tmp_path / "sorted"


def test_records_of_a_shard_are_no_beginning_of_it(sorted_tar, monkeypatch, quick):
    monkeypatch.setattr(held, "HELD_RECORDS", 100)
    monkeypatch.setattr(stage, "_can_be_whole", lambda *_: False)
    found = [plan(sorted_tar, seed=seed) for seed in range(12)]
    assert all(one.sample.records == 100 and one.records.exact and one.records.value == 600 for one in found)
    values = [one.undecided[Kind.PDQ].share for one in found]
    assert np.mean([one.value for one in values]) == pytest.approx(0.5, abs=0.05)
    assert sum(one.low <= 0.5 <= one.high for one in values) >= 10
    sizes = [one.store_bytes.value for one in found]
    monkeypatch.undo()
    # equal cells are packed the better the more of them there are, and here half of the pictures have one hash
    whole = plan(sorted_tar).store_bytes.value
    assert whole <= np.mean(sizes) <= 1.2 * whole


def test_pictures_are_held_within_a_limit_of_memory(sorted_tar, monkeypatch):
    monkeypatch.setattr(held, "HELD_BYTES", 10 * len(small.images()[0]))
    monkeypatch.setattr(stage, "_can_be_whole", lambda *_: False)
    assert 10 <= plan(sorted_tar).sample.records <= 40


def test_the_rest_is_read_if_there_is_time(sorted_tar, monkeypatch):
    monkeypatch.setattr(held, "HELD_RECORDS", 100)
    found = plan(sorted_tar)
    assert found.cost.total.exact
    assert (found.sample.records, found.undecided[Kind.PDQ].share.value) == (600, 0.5)


@pytest.fixture
def slow(monkeypatch):
    """Reading takes 5 ms a record."""
    read = WebdatasetFormat.read

    def slowly(self, *arguments):
        reading = read(self, *arguments)
        source = reading._source

        def crawling():
            while True:
                time.sleep(0.005)
                try:
                    yield next(source)
                except StopIteration as end:
                    return end.value

        reading._source = crawling()
        return reading

    monkeypatch.setattr(WebdatasetFormat, "read", slowly)
    monkeypatch.setattr(sampled, "LEAST_BYTES", 0)


def test_the_time_is_kept_and_what_was_cut_is_told(tmp_path, slow):
    (tmp_path / "data").mkdir()
    for shard in range(40):
        samples = [(f"{number:05}", {"jpg": bytes(20_000)}) for number in range(400)]
        pack(samples, tmp_path / "data" / f"{shard:05}.tar")
    begun = time.monotonic()
    found = plan(tmp_path / "data", seconds=1.5)
    assert time.monotonic() - begun < 5
    assert 1 < found.sample.shards < 40
    assert found.sample.cut >= 1
    # a shard that is cut is known to a mebibyte, which the reader reads ahead: there are eight of them
    assert found.records.value == pytest.approx(16_000, rel=0.35)
    assert found.cost.reading.value > 0
    assert found.wall_seconds.value > 16_000 * 0.005 / found.workers


def test_a_table_that_is_cut_is_known_by_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(sampled, "LEAST", 1)
    (tmp_path / "data").mkdir()
    table = pa.table({"url": [f"https://x.example/{n}" for n in range(100_000)]})
    pq.write_table(table, tmp_path / "data" / "t.parquet", row_group_size=10_000)
    found = plan(tmp_path / "data", seconds=1e-4)
    assert found.sample.cut == 1
    assert found.records.value == pytest.approx(100_000)
    assert found.sample.records_read < 100_000


@pytest.mark.parametrize("rows", [0, 3])
def test_an_empty_table_is_a_shard_of_no_records(tmp_path, rows):
    for name, count in (("a", 0), ("b", rows)):
        pq.write_table(pa.table({"md5": pa.array(["ab" * 16] * count, pa.string())}), tmp_path / f"{name}.parquet")
    found = plan(tmp_path)
    assert (found.records.value, found.records.exact) == (rows, True)
    assert found.failures == {}
    assert found.store_bytes.value > 0


def test_reading_a_table_is_booked_once_and_nothing_is_negative(roots, monkeypatch):
    """The first batch of every table takes 0.2 core-seconds, which the writer asks for its columns."""
    plan(roots / "parquet")  # the first record of a process compiles what the others use
    read = ParquetFormat.read

    def slowly(self, *arguments):
        reading = read(self, *arguments)
        source = reading._source

        def crawling():
            end = time.process_time() + 0.2
            while time.process_time() < end:
                pass
            return (yield from source)

        reading._source = crawling()
        return reading

    monkeypatch.setattr(ParquetFormat, "read", slowly)
    found = plan(roots / "parquet")
    assert found.cost.reading.value >= 0.2 * found.shards
    assert 0 < found.cost.signals.value < 0.2
    assert 0 < found.cost.commits.value < 0.2
    parts = (found.cost.reading, found.cost.signals, found.cost.commits)
    assert sum(part.value for part in parts) + found.cost.start == pytest.approx(found.cost.total.value)
    assert all(number >= 0 for number in numbers(found.to_json()))


def numbers(document):
    """Every number of a JSON document."""
    if isinstance(document, dict | list):
        for each in document.values() if isinstance(document, dict) else document:
            yield from numbers(each)
    elif isinstance(document, int | float):
        yield document


def test_a_large_folder_is_listed_by_every_worker_and_not_for_every_shard(tmp_path, monkeypatch):
    monkeypatch.setattr("vetset.dataset.folder.SHARD_RECORDS", 20)
    (tmp_path / "data").mkdir()
    for number in range(100):
        (tmp_path / "data" / f"{number:04}.jpg").write_bytes(b"x")
    found = plan(tmp_path / "data", workers=2)
    assert (found.shards, found.records.value) == (8, 100)
    assert found.unclaimed_files == 0


def test_files_of_no_shard_are_counted(seven):
    (seven / "notes.md").write_text("x")
    assert plan(seven).unclaimed_files == 1


class Mean:
    """An embedder that keeps the mean colour."""

    id = "mean"
    dimension = 4

    def embed(self, images):
        return np.array([[*image.reshape(-1, 3).mean(axis=0), 1.0] for image in images], np.float32)


def test_embeddings_are_part_of_what_is_measured(seven, tmp_path, monkeypatch):
    monkeypatch.setattr(pictured, "_embedder", lambda _name, _model: Mean())
    monkeypatch.setattr("vetset.api.planning.load_embedder", lambda _name: Mean())
    monkeypatch.setattr("vetset.api.auditing.load_embedder", lambda _name: Mean())
    found = plan(seven, embedder="mean")
    _, coverage, size = scanned(seven, tmp_path / "store", embedder="mean")
    assert found.undecided[Kind.EMBEDDING].share.value == 0
    assert coverage[Kind.EMBEDDING].decided == small.COUNT
    assert found.store_bytes.value == pytest.approx(size, abs=700)


def test_nothing_is_written_but_into_a_private_folder_that_is_gone(seven, temporary, monkeypatch):
    before, modes = small.tree(seven), []
    commit = sampled._Look._commit

    def looking(self, store, writer):
        modes.append((temporary / store.folder.name).stat().st_mode & 0o777)
        commit(self, store, writer)
        modes.append(len(list(store.folder.rglob("*.arrow"))))

    monkeypatch.setattr(sampled._Look, "_commit", looking)
    plan(seven)
    assert modes == [0o700, 1] * 7
    assert small.tree(seven) == before
    assert list(temporary.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(seven, temporary, monkeypatch):
    def full(*_):
        raise OutputError("writing the store failed")

    monkeypatch.setattr(sampled._Look, "_commit", full)
    with pytest.raises(OutputError):
        plan(seven)
    assert list(temporary.iterdir()) == []


def test_workers_of_their_own_come_to_the_same(seven, temporary):
    found = vetset.plan(seven, workers=2, seconds=30, engine=LocalEngine(2))
    here = plan(seven)
    assert (found.records, found.store_bytes, found.undecided) == (here.records, here.store_bytes, here.undecided)
    assert found.cost.start > 0
    assert list(temporary.iterdir()) == []


def test_the_document_is_json_with_every_number(seven):
    document = json.loads(json.dumps(plan(seven, sample_shards=2).to_json(), allow_nan=False))
    assert set(document) == {
        "format", "shards", "bytes", "unclaimed_files", "records", "workers", "cost", "wall_seconds",
        "bytes_per_second", "listing_seconds", "store_bytes", "undecided", "failed_shards", "columns", "other_columns",
        "sample",
    }  # fmt: skip
    assert set(document["records"]) == {"value", "low", "high", "exact"}
    assert set(document["cost"]["core_seconds"]) == {"reading", "signals", "commits", "start", "total"}
    assert set(document["undecided"]) == {"md5", "sha1", "sha256", "url_md5", "url_sha256", "pdq"}
