"""Whether two records hold the same picture, against a comparison one by one."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_parts import STORED, random_rows, write_part

from vetset.model.dataset import ShardDigest
from vetset.model.errors import CountError
from vetset.model.signal import Kind, Reason
from vetset.store.pictures import Relation, all_pictures, pictures_at
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import Store

DIGEST, CODE = (Kind.SHA256, STORED), (Kind.PDQ, STORED)


def alike_rows(random, count):
    """Random signals, of which some are equal and some nearly."""
    keys, cells, quality, why = random_rows(random, count)
    for cell in (DIGEST, CODE):
        cells[cell].values[:] = cells[cell].values[random.integers(0, max(count // 3, 1), count)]
        cells[cell].values[~cells[cell].present] = 0
    cells[CODE].values[:, 0] ^= np.where(cells[CODE].present, random.integers(0, 4, count), 0).astype(np.uint8)
    why[Kind.PDQ][random.random(count) < 0.3] = Reason.LOW_QUALITY.code
    return keys, cells, quality, why


def written(folder, random, counts):
    store = Store(folder)
    shards, parts = [], []
    for index, count in enumerate(counts):
        parts.append(alike_rows(random, count))
        write_part(store, f"part{index}", parts[-1], chunks=3)
        shards.append(StoredShard(f"{index}.tar", ShardDigest(f"{index:064x}"), f"part{index}", count))
    return RecordTable(store, shards), parts


def whole(parts):
    def column(take):
        return np.concatenate([take(cells, quality, why) for _, cells, quality, why in parts])

    return SimpleNamespace(
        digests=column(lambda cells, *_: cells[DIGEST].values),
        digested=column(lambda cells, *_: cells[DIGEST].present),
        codes=column(lambda cells, *_: cells[CODE].values),
        coded=column(lambda cells, *_: cells[CODE].present),
        quality=column(lambda _, quality, __: quality),
        low=column(lambda _, __, why: why[Kind.PDQ] == Reason.LOW_QUALITY.code),
    )


def relation_one_by_one(held, one, two, distance):
    if held.digested[one] and held.digested[two] and (held.digests[one] == held.digests[two]).all():
        return Relation.COPY
    if held.coded[one] and held.coded[two]:
        apart = int(np.unpackbits(held.codes[one] ^ held.codes[two]).sum())
        return Relation.COPY if apart <= distance else Relation.OTHER
    flat = any(held.low[row] and not held.coded[row] for row in (one, two))
    return Relation.FLAT if flat else Relation.UNKNOWN


@given(st.integers(0, 2**32), st.lists(st.integers(1, 30), min_size=1, max_size=3), st.sampled_from([0, 1, 2, 31]))
@settings(max_examples=30, deadline=None)
def test_relations_are_those_of_a_comparison_one_by_one(tmp_path_factory, seed, counts, distance):
    random = np.random.default_rng(seed)
    table, parts = written(tmp_path_factory.mktemp("store"), random, counts)
    held, total = whole(parts), sum(counts)
    wanted = random.integers(0, total, 12)
    pictures = pictures_at(table, wanted)
    assert pictures.numbers.tolist() == sorted(set(wanted.tolist()))
    first, second = random.choice(wanted, 40), random.choice(wanted, 40)
    expected = [relation_one_by_one(held, one, two, distance) for one, two in zip(first, second, strict=True)]
    assert pictures.relations(first, second, distance).tolist() == expected


@given(st.integers(0, 2**32), st.lists(st.integers(1, 30), min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_every_record_passes_once_and_in_order(tmp_path_factory, seed, counts):
    random = np.random.default_rng(seed)
    table, parts = written(tmp_path_factory.mktemp("store"), random, counts)
    held = whole(parts)
    batches = list(all_pictures(table))
    assert np.concatenate([batch.numbers for batch in batches]).tolist() == list(range(sum(counts)))
    assert np.array_equal(np.concatenate([batch.codes.values for batch in batches]), held.codes)
    assert np.array_equal(np.concatenate([batch.digests.present for batch in batches]), held.digested)
    assert np.array_equal(np.concatenate([batch.quality for batch in batches]), held.quality)


def test_a_store_without_pictures_knows_nothing_of_them(tmp_path):
    store = Store(tmp_path / "store")
    write_part(store, "part", random_rows(np.random.default_rng(1), 5, [Kind.URL_MD5]), kinds=[Kind.URL_MD5])
    table = RecordTable(store, [StoredShard("0.tar", ShardDigest("a" * 64), "part", 5)])
    pictures = pictures_at(table, np.arange(5))
    assert set(pictures.relations(np.arange(5), np.arange(5), 31).tolist()) == {Relation.UNKNOWN}


def test_a_damaged_part_is_an_error_that_names_the_shard(tmp_path):
    table, _ = written(tmp_path / "store", np.random.default_rng(1), [5, 5])
    path = tmp_path / "store" / "parts" / "part1.arrow"
    path.write_bytes(path.read_bytes()[:-9])
    pictures_at(table, np.arange(5))  # none of it is asked for
    with pytest.raises(CountError, match=r"1\.tar"):
        pictures_at(table, np.array([7]))
    with pytest.raises(CountError, match=r"1\.tar"):
        list(all_pictures(table))
