"""Embeddings that the scan computes: a few pictures at a time, degenerate vectors counted, tables without pictures."""

import io
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from photographs import tiles
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import discover
from vetset.dataset.webdataset import pack
from vetset.engine.local import LocalEngine
from vetset.model.dataset import ShardDigest
from vetset.model.errors import EngineError, UsageError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import Kind, Reason
from vetset.stage import pictured
from vetset.stage import scan as stage
from vetset.stage.progress import Silent
from vetset.stage.space import computed_space
from vetset.store.passed import PassedOver
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import Store


def encoded_tiles(count):
    encoded = []
    for tile in tiles(96, count, 5):
        file = io.BytesIO()
        Image.fromarray(tile).save(file, "JPEG")
        encoded.append(file.getvalue())
    return encoded


class Counting:
    """An embedder that keeps the mean colour, and remembers how many pictures it was given at once."""

    id = "counting"
    dimension = 4

    def __init__(self):
        self.batches = []

    def embed(self, images):
        self.batches.append((len(images), sum(image.nbytes for image in images)))
        vectors = np.array([[*image.reshape(-1, 3).mean(axis=0), 1.0] for image in images], np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        black = [not image.any() for image in images]
        vectors[black] = 0  # what an embedder says where a picture has no direction
        return vectors


@pytest.fixture(autouse=True)
def untried(monkeypatch):
    """Models here count what they are given; what the self-test gives them is left out."""
    monkeypatch.setattr("vetset.stage.canary.model_faults", lambda _: [])


@pytest.fixture
def embedder(monkeypatch):
    counting = Counting()
    monkeypatch.setattr(pictured, "_embedder", lambda _name, _model: counting)
    return counting


def result_of(tmp_path, root):
    with Store(tmp_path / "store") as store:
        return store, stage.scan(
            root,
            discover(root),
            store=store,
            mapping=ColumnMapping(),
            policy=ScanPolicy(),
            embedder="counting",
            embedder_id="counting",
            engine=LocalEngine(0),
            reporter=Silent(),
        )


def scanned(tmp_path, root):
    store, result = result_of(tmp_path, root)
    assert not result.failed
    stored = [StoredShard(s.uri, ShardDigest(s.digest), s.part, s.records) for s in result.scanned]
    return store, RecordTable(store, stored)


def test_pictures_wait_in_small_groups_and_none_is_lost(tmp_path, embedder, monkeypatch):
    monkeypatch.setattr(pictured, "CHUNK_RECORDS", 10)
    monkeypatch.setattr(pictured, "WAITING_PICTURES", 4)
    tiles = encoded_tiles(23)
    (tmp_path / "d").mkdir()
    pack([(f"{index:04}", {"jpg": tile}) for index, tile in enumerate(tiles)], tmp_path / "d" / "00000.tar")
    store, table = scanned(tmp_path, tmp_path / "d")
    space = computed_space(store, table)
    assert space.coverage.decided == 23
    assert sum(count for count, _ in embedder.batches) == 23
    assert max(count for count, _ in embedder.batches) == 4


def test_large_pictures_do_not_wait_for_each_other(tmp_path, embedder, monkeypatch):
    monkeypatch.setattr(pictured, "WAITING_BYTES", 1)
    (tmp_path / "d").mkdir()
    pack([(f"{index:04}", {"jpg": tile}) for index, tile in enumerate(encoded_tiles(5))], tmp_path / "d" / "0.tar")
    scanned(tmp_path, tmp_path / "d")
    assert [count for count, _ in embedder.batches] == [1] * 5


@pytest.mark.usefixtures("embedder")
def test_a_picture_without_direction_is_degenerate_and_one_that_cannot_be_decoded_keeps_its_reason(tmp_path):
    black = io.BytesIO()
    Image.new("RGB", (64, 64)).save(black, "PNG")
    (tmp_path / "d").mkdir()
    samples = [("0", {"png": black.getvalue()}), ("1", {"jpg": b"no picture"}), ("2", {"jpg": encoded_tiles(1)[0]})]
    pack(samples, tmp_path / "d" / "0.tar")
    store, table = scanned(tmp_path, tmp_path / "d")
    coverage = computed_space(store, table).coverage
    assert coverage.decided == 1
    assert coverage.undecided == {Reason.DEGENERATE_VECTOR: 1, Reason.UNKNOWN_ENCODING: 1}


@pytest.mark.usefixtures("embedder")
def test_a_table_without_pictures_has_no_vectors_and_says_so(tmp_path):
    (tmp_path / "d").mkdir()
    pq.write_table(pa.table({"url": ["https://example.org/a.jpg"], "md5": ["00" * 16]}), tmp_path / "d" / "p.parquet")
    store, table = scanned(tmp_path, tmp_path / "d")
    space = computed_space(store, table)
    assert (space.coverage.records, space.coverage.decided) == (1, 0)
    assert space.coverage.undecided == {Reason.METADATA_ONLY: 1}
    assert space.coverage.kind is Kind.EMBEDDING


class Frail(Counting):
    """An embedder that fails on green pictures, and on more pictures at a time than it has memory for."""

    def __init__(self, error, most=1_000):
        super().__init__()
        self._error = error
        self._most = most

    def embed(self, images):
        green = any((image[..., 1] == 255).all() and not image[..., 0].any() for image in images)
        if green or len(images) > self._most:
            self.batches.append((0, 0))
            raise self._error
        return super().embed(images)


def frail(monkeypatch, *how):
    made = Frail(*how)
    monkeypatch.setattr(pictured, "_embedder", lambda _name, _model: made)
    return made


def packed_with_green(folder, count, green):
    """A shard of ordinary tiles, with green pictures at some rows."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (0, 255, 0)).save(file, "PNG")
    pictures = [{"jpg": tile} for tile in encoded_tiles(count)]
    for row in green:
        pictures[row] = {"png": file.getvalue()}
    folder.mkdir()
    pack([(f"{row:04}", picture) for row, picture in enumerate(pictures)], folder / "0.tar")


ERRORS = [EngineError("the graph failed on a picture"), MemoryError()]


@pytest.mark.parametrize("error", ERRORS, ids=["runtime", "memory"])
def test_a_picture_that_the_model_fails_on_costs_its_embedding_alone(tmp_path, monkeypatch, error):
    monkeypatch.setattr(pictured, "WAITING_PICTURES", 5)
    model = frail(monkeypatch, error)
    packed_with_green(tmp_path / "d", 12, [3, 11])
    store, table = scanned(tmp_path, tmp_path / "d")
    coverage = computed_space(store, table).coverage
    assert (coverage.records, coverage.decided) == (12, 10)
    assert coverage.undecided == {Reason.EMBEDDING_FAILED: 2}
    assert table.part(0).coverage(Kind.MD5).decided == table.part(0).coverage(Kind.PDQ).records == 12
    # the first five fail together and four of them not alone; the next five do not fail; the last two, as the first
    assert [count for count, _ in model.batches] == [0, 1, 1, 1, 0, 1, 5, 0, 1, 0]


def test_too_many_pictures_for_the_memory_are_embedded_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(pictured, "WAITING_PICTURES", 4)
    model = frail(monkeypatch, MemoryError(), 2)
    packed_with_green(tmp_path / "d", 9, [])
    store, table = scanned(tmp_path, tmp_path / "d")
    assert computed_space(store, table).coverage.decided == 9
    assert [count for count, _ in model.batches] == [0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]


def test_the_vectors_are_the_same_with_and_without_a_failure_beside_them(tmp_path, monkeypatch):
    packed_with_green(tmp_path / "d", 7, [2])
    monkeypatch.setattr(pictured, "_embedder", lambda _name, _model: Counting())
    whole, parts = result_of(tmp_path / "a", tmp_path / "d")
    frail(monkeypatch, EngineError("the graph failed on a picture"))
    without, other = result_of(tmp_path / "b", tmp_path / "d")
    rows = [np.load(store.embeddings_path(part.scanned[0].part)) for store, part in ((whole, parts), (without, other))]
    assert np.isnan(rows[1][2]).all()
    kept = [0, 1, 3, 4, 5, 6]
    np.testing.assert_array_equal(rows[0][kept], rows[1][kept])


def test_a_failure_is_remembered_part_by_part_and_tried_again_where_that_is_asked_for(tmp_path, monkeypatch):
    packed_with_green(tmp_path / "d", 7, [2])
    model = frail(monkeypatch, MemoryError())
    _, first = result_of(tmp_path, tmp_path / "d")
    assert first.scanned[0].passed == (PassedOver(2, Reason.EMBEDDING_FAILED, embedding=True),)
    whole = (tmp_path / "store" / "parts" / f"{first.scanned[0].part}.arrow").read_bytes()
    tried = len(model.batches)
    _, second = result_of(tmp_path, tmp_path / "d")
    assert (second.scanned, second.reused, len(model.batches)) == (first.scanned, 1, tried)
    (tmp_path / "store" / "parts" / f"{first.scanned[0].part}.arrow").write_bytes(b"")
    _, mended = result_of(tmp_path, tmp_path / "d")  # read again, and not given to the model again
    assert mended.scanned == first.scanned
    assert model.batches[tried:] == [(6, 6 * 96 * 96 * 3)]
    assert (tmp_path / "store" / "parts" / f"{first.scanned[0].part}.arrow").read_bytes() == whole
    shutil.rmtree(tmp_path / "store" / "passed")
    monkeypatch.setattr(pictured, "_embedder", lambda _name, _model: Counting())
    _, again = result_of(tmp_path, tmp_path / "d")
    assert again.scanned[0].passed == ()
    assert again.scanned[0].part != first.scanned[0].part


def test_a_model_that_fails_again_and_again_fails_the_shard_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pictured, "MOST_PASSED", 3)
    monkeypatch.setattr(pictured, "CHUNK_RECORDS", 2)  # the count goes on from chunk to chunk
    frail(monkeypatch, EngineError("the graph failed on a picture"))
    packed_with_green(tmp_path / "d", 9, [0, 2, 5])
    scanned(tmp_path / "three", tmp_path / "d")
    packed_with_green(tmp_path / "e", 9, [0, 2, 5, 8])
    _, result = result_of(tmp_path / "four", tmp_path / "e")
    assert "fails on picture after picture" in str(result.failed["0.tar"])
    assert not result.scanned


def test_a_model_that_is_not_what_its_description_says_is_no_fault_of_a_picture(tmp_path, monkeypatch):
    frail(monkeypatch, UsageError("the graph's output has another shape than its description says"))
    packed_with_green(tmp_path / "d", 5, [1])
    _, result = result_of(tmp_path, tmp_path / "d")
    assert "another shape" in str(result.failed["0.tar"])
