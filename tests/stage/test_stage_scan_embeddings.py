"""Embeddings that the scan computes: a few pictures at a time, degenerate vectors counted, tables without pictures."""

import io

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
from vetset.model.policy import ScanPolicy
from vetset.model.signal import Kind, Reason
from vetset.stage import pictured
from vetset.stage import scan as stage
from vetset.stage.progress import Silent
from vetset.stage.space import computed_space
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


@pytest.fixture
def embedder(monkeypatch):
    counting = Counting()
    monkeypatch.setattr(pictured, "_embedder", lambda _name, _model: counting)
    return counting


def scanned(tmp_path, root):
    with Store(tmp_path / "store") as store:
        result = stage.scan(
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
