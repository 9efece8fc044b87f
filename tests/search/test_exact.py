"""DigestIndex returns what the linear scan returns, in the same order."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.errors import DatasetError, ListError
from vetset.search import linear
from vetset.search.exact import DigestIndex


def assert_same(queries, entries):
    query, entry = DigestIndex(entries).join(queries)
    wanted_query, wanted_entry = linear.equal_pairs(queries, entries)
    assert query.dtype == entry.dtype == np.int64
    np.testing.assert_array_equal(query, wanted_query)
    np.testing.assert_array_equal(entry, wanted_entry)
    return len(query)


@pytest.mark.parametrize("width", [8, 9, 15, 16, 20, 31, 32, 64])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000])
def test_index_is_the_linear_scan(width, size):
    rng = np.random.default_rng(size + width)
    entries = rng.integers(0, 256, (size, width), dtype=np.uint8)
    queries = np.concatenate([entries[::3], rng.integers(0, 256, (50, width), dtype=np.uint8), entries[:5]])
    assert assert_same(queries, entries) >= len(entries[::3])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([8, 11, 16, 20, 32]), st.integers(1, 3), st.integers(0, 40))
def test_index_is_the_linear_scan_where_digests_differ_in_one_place_or_none(seed, width, alphabet, size):
    rng = np.random.default_rng(seed)
    entries, queries = np.zeros((size, width), np.uint8), np.zeros((30, width), np.uint8)
    place = rng.integers(width)
    entries[:, place] = rng.integers(0, alphabet, size)
    queries[:, place] = rng.integers(0, alphabet, 30)
    assert_same(queries, entries)


def test_clusters_of_two_hundred_equal_digests_give_every_pair():
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 256, (2, 20), dtype=np.uint8)
    entries = np.concatenate([np.tile(one, (200, 1)), rng.integers(0, 256, (50, 20), dtype=np.uint8), other[None]])
    queries = np.concatenate([np.tile(one, (200, 1)), other[None]])
    order = rng.permutation(len(entries))
    assert assert_same(queries, entries[order]) == 200 * 200 + 1


def test_a_last_byte_alone_tells_digests_apart():
    entries = np.zeros((256, 17), np.uint8)
    entries[:, 16] = np.arange(256)
    assert assert_same(entries[::-1].copy(), entries) == 256


def test_no_queries_give_no_pairs():
    assert assert_same(np.empty((0, 16), np.uint8), np.ones((3, 16), np.uint8)) == 0


def test_read_only_strided_and_unaligned_queries_are_read_alike():
    entries = np.random.default_rng(2).integers(0, 256, (64, 16), dtype=np.uint8)
    index = DigestIndex(entries)
    frozen = np.frombuffer(entries.tobytes(), np.uint8).reshape(64, 16)
    shifted = np.frombuffer(b"x" + entries.tobytes(), np.uint8)[1:].reshape(64, 16)
    strided = np.repeat(entries, 2, axis=0)[::2]
    for queries in (frozen, shifted, strided):
        np.testing.assert_array_equal(index.join(queries), [np.arange(64)] * 2)


def test_skewed_digests_take_no_longer_than_twenty_times_uniform_ones():
    rng = np.random.default_rng(3)
    uniform = rng.integers(0, 256, (300_000, 16), dtype=np.uint8)
    counted = np.zeros((300_000, 16), np.uint8)
    counted[:, :4] = np.arange(300_000, dtype="<u4").view(np.uint8).reshape(-1, 4)
    shifted = np.roll(counted, 9, axis=1)
    DigestIndex(uniform[:2]).join(uniform[:2])

    def seconds(entries):
        start = time.process_time()
        query, entry = DigestIndex(entries).join(entries)
        assert (query == entry).all()
        assert len(query) == 300_000
        return time.process_time() - start

    usual = seconds(uniform)
    assert max(seconds(counted), seconds(shifted)) < 20 * usual


def test_a_million_entries_against_planted_queries():
    rng = np.random.default_rng(4)
    entries = rng.integers(0, 256, (1_000_000, 16), dtype=np.uint8)
    queries = rng.integers(0, 256, (100_000, 16), dtype=np.uint8)
    queries[::1000] = entries[::10_000]
    query, entry = DigestIndex(entries).join(queries)
    np.testing.assert_array_equal(query, np.arange(0, 100_000, 1000))
    np.testing.assert_array_equal(entry, np.arange(0, 1_000_000, 10_000))


@pytest.mark.parametrize("wrong", [np.zeros((3, 7), np.uint8), np.zeros(16, np.uint8), np.zeros((3, 16), np.int8)])
def test_arrays_of_another_shape_or_type_are_refused(wrong):
    with pytest.raises(ListError, match="uint8"):
        DigestIndex(wrong)
    with pytest.raises(DatasetError, match="uint8"):
        DigestIndex(np.zeros((1, 16), np.uint8)).join(wrong)


def test_queries_of_another_width_are_refused_even_within_the_same_words():
    with pytest.raises(DatasetError, match="width"):
        DigestIndex(np.zeros((1, 20), np.uint8)).join(np.zeros((1, 19), np.uint8))
