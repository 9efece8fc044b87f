"""HammingIndex returns what the linear scan returns, all ways, in the same order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.errors import DatasetError, ListError, UsageError
from vetset.search import hamming, linear
from vetset.search.hamming import HammingIndex

WAYS = ["auto", "brute", "bands", "probe"]


def uniform(rng, size):
    return rng.integers(0, 256, (size, 32), dtype=np.uint8)


def flipped(codes, bits):
    """Codes with the given bits of each row flipped."""
    wide = np.unpackbits(codes, axis=1, bitorder="little")
    np.put_along_axis(wide, bits, 1 - np.take_along_axis(wide, bits, axis=1), axis=1)
    return np.packbits(wide, axis=1, bitorder="little")


def at_distance(rng, code, apart):
    bits = rng.permutation(256)[:apart]
    return flipped(code[None], bits[None])[0]


def assert_same(queries, codes, radius=31, ways=WAYS):
    wanted = linear.hamming_pairs(queries, codes, radius)
    index = HammingIndex(codes)
    for way in ways:
        found = index.join(queries, radius, way=way)
        assert [column.dtype for column in found] == [np.int64, np.int64, np.uint16]
        for seen, column in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(seen, column)
    return len(wanted[0])


@pytest.mark.parametrize("radius", [0, 1, 15, 16, 30, 31])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000])
def test_all_ways_are_the_linear_scan(size, radius):
    rng = np.random.default_rng(size)
    codes = uniform(rng, size)
    near = [at_distance(rng, codes[i % size], i) for i in range(40 if size else 0)]
    queries = np.concatenate([uniform(rng, 20), np.array(near, np.uint8).reshape(-1, 32), codes[:3]])
    assert assert_same(queries, codes, radius) >= (radius + 1 if size else 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 60), st.integers(0, 31), st.integers(1, 90))
def test_all_ways_are_the_linear_scan_on_crowded_codes(seed, size, asked, radius, spread):
    rng = np.random.default_rng(seed)
    centre = uniform(rng, 1)
    crowd = flipped(np.repeat(centre, size + asked, axis=0), rng.integers(0, 256, (size + asked, spread)))
    assert_same(crowd[:asked], crowd[asked:], radius)


def test_clusters_of_two_hundred_equal_codes_give_every_pair():
    rng = np.random.default_rng(1)
    one, other = uniform(rng, 2)
    codes = np.concatenate([np.tile(one, (200, 1)), uniform(rng, 300), np.tile(other, (200, 1))])
    queries = np.concatenate([np.tile(at_distance(rng, one, 31), (200, 1)), np.tile(other, (200, 1))])
    assert assert_same(queries, codes[rng.permutation(700)]) == 2 * 200 * 200


@pytest.mark.parametrize("way", ["brute", "bands", "probe"])
def test_more_pairs_than_the_first_buffer_holds(way):
    rng = np.random.default_rng(2)
    code = uniform(rng, 1)[0]
    query, entry, apart = HammingIndex(np.tile(code, (700, 1))).join(np.tile(code, (500, 1)), way=way)
    assert len(query) == 500 * 700 > hamming._FIRST_ROOM
    np.testing.assert_array_equal(query, np.repeat(np.arange(500), 700))
    np.testing.assert_array_equal(entry, np.tile(np.arange(700), 500))
    assert not apart.any()


@pytest.mark.parametrize("size", [1023, 1024, 1025, 2200])
def test_crowded_buckets_that_fill_tiles_lose_nobody(size):
    rng = np.random.default_rng(size)
    codes = np.zeros((size, 32), np.uint8)
    codes[:, 4:] = rng.integers(0, 256, (size, 28))  # the first two bands are the same for all
    queries = flipped(codes, rng.integers(32, 256, (size, 33)))  # bits drawn twice are flipped once: most are near
    queries[:, 0] ^= np.arange(size, dtype=np.uint8) & 1  # and two neighbouring buckets share a tile
    assert 0 < assert_same(queries, codes) < size


def test_adversarial_pairs_at_31_are_all_found_by_the_bands_and_none_at_32():
    rng = np.random.default_rng(3)
    codes = uniform(rng, 400)
    inside = np.argsort(rng.random((400, 16, 16)), axis=2)[:, :, :2]  # two different bits of each band
    spread = (inside + 16 * np.arange(16)[:, None]).reshape(400, 32)
    at_32 = flipped(codes, spread)
    at_31 = flipped(at_32, spread[np.arange(400), rng.integers(0, 32, 400)][:, None])
    index = HammingIndex(codes)
    query, entry, apart = index.join(at_31, way="bands")
    np.testing.assert_array_equal(query, np.arange(400))
    np.testing.assert_array_equal(entry, np.arange(400))
    assert (apart == 31).all()
    assert all(len(index.join(at_32, way=way)[0]) == 0 for way in WAYS)


@pytest.mark.parametrize("band", range(16))
def test_a_pair_that_only_one_band_brings_together_is_found_in_any_band(band):
    rng = np.random.default_rng(band)
    code = uniform(rng, 1)
    bits = [16 * other + place for other in range(16) for place in ((3, 12) if other != band else (5,))]
    query, _, apart = HammingIndex(code).join(flipped(code, np.array([bits])), way="bands")
    assert len(query) == 1
    assert apart[0] == 31


def test_a_million_codes_against_queries_planted_at_0_to_33():
    rng = np.random.default_rng(4)
    codes = uniform(rng, 1_000_000)
    near = [at_distance(rng, codes[29_000 * i], i) for i in range(34)]
    queries = np.concatenate([np.array(near), uniform(rng, 6)])
    assert assert_same(queries, codes, ways=["brute", "bands", "probe"]) == 32


def test_rounds_of_queries_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(5)
    codes = uniform(rng, 300)
    queries = np.concatenate([codes[::2], uniform(rng, 57), codes[::3]])
    monkeypatch.setattr(hamming, "_ROUND", 64)
    monkeypatch.setattr(hamming, "_BRUTE_ROUND", 17)
    monkeypatch.setattr(hamming, "_FIRST_ROOM", 1)
    assert assert_same(queries, codes) == 250


@given(st.integers(0, 2**32), st.integers(0, 400), st.sampled_from(["brute", "bands", "probe"]))
@settings(max_examples=60, deadline=None)
def test_pairs_up_to_a_number_are_all_of_them_or_none(seed, more, way):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([uniform(rng, 40), np.tile(uniform(rng, 1), (20, 1))])
    queries = np.concatenate([codes[30:], uniform(rng, 5)])
    index = HammingIndex(codes)
    wanted = index.join(queries)
    with pytest.MonkeyPatch.context() as patch:
        join = HammingIndex._join
        patch.setattr(HammingIndex, "_join", lambda self, *given: join(self, *given[:2], way, *given[3:]))
        patch.setattr(hamming, "_BRUTE_ROUND", 7)
        patch.setattr(hamming, "_ROUND", 11)
        found = index.join_up_to(queries, 31, len(wanted[0]) - 200 + more)
        assert (found is None) == (more < 200)
        for seen, column in zip(found or wanted, wanted, strict=True):
            np.testing.assert_array_equal(seen, column)


def test_a_larger_side_on_either_hand_gives_the_same_pairs():
    rng = np.random.default_rng(6)
    few, many = uniform(rng, 90), uniform(rng, 3000)
    many[::50] = few[:60]
    assert assert_same(few, many) == 60
    assert assert_same(many, few) == 60


def test_the_choice_goes_to_brute_force_for_small_and_for_crowded_batches_and_to_bands_for_large_ones(monkeypatch):
    rng = np.random.default_rng(7)
    chosen = []
    monkeypatch.setattr(
        HammingIndex, "_brute", lambda self, queries, radius, most: chosen.append("brute") or hamming._NONE
    )
    monkeypatch.setattr(hamming, "_grown", lambda *_: chosen.append("bands") or _nothing())
    codes = uniform(rng, 20_000)
    HammingIndex(codes).join(codes[:100])
    assert chosen == ["brute"]
    HammingIndex(codes).join(codes)
    assert set(chosen[1:]) == {"bands"}
    chosen.clear()
    crowded = np.tile(codes[:1], (20_000, 1))
    HammingIndex(crowded).join(crowded)
    assert chosen == ["brute"]


def test_a_list_that_is_asked_small_batches_again_and_again_is_sorted_once_and_then_probed(monkeypatch):
    rng = np.random.default_rng(9)
    codes = uniform(rng, 20_000)
    index = HammingIndex(codes)
    asked = [index.join(codes[i : i + 3]) for i in range(150)]
    assert all(query.tolist() == [0, 1, 2] for query, _, _ in asked)
    monkeypatch.setattr(HammingIndex, "_brute", None)  # calling it would fail
    monkeypatch.setattr(hamming, "_sort", None)
    query, entry, apart = index.join(codes[7:9])
    assert (query.tolist(), entry.tolist(), apart.tolist()) == ([0, 1], [7, 8], [0, 0])


def _nothing():
    return np.empty((2, 0), np.uint32), np.empty(0, np.uint16)


def test_no_queries_give_no_pairs():
    assert assert_same(np.empty((0, 32), np.uint8), np.zeros((5, 32), np.uint8)) == 0


def test_read_only_and_unaligned_queries_are_read_alike():
    codes = uniform(np.random.default_rng(8), 64)
    shifted = np.frombuffer(b"x" + codes.tobytes(), np.uint8)[1:].reshape(64, 32)
    np.testing.assert_array_equal(HammingIndex(codes).join(shifted)[0], np.arange(64))


@pytest.mark.parametrize("radius", [-1, 32])
def test_a_radius_that_the_bands_do_not_cover_is_refused(radius):
    with pytest.raises(UsageError, match="0 to 31"):
        HammingIndex(np.zeros((1, 32), np.uint8)).join(np.zeros((1, 32), np.uint8), radius)


@pytest.mark.parametrize("wrong", [np.zeros((3, 31), np.uint8), np.zeros(32, np.uint8), np.zeros((3, 32), np.int8)])
def test_arrays_of_another_shape_or_type_are_refused(wrong):
    with pytest.raises(ListError, match="uint8"):
        HammingIndex(wrong)
    with pytest.raises(DatasetError, match="uint8"):
        HammingIndex(np.zeros((1, 32), np.uint8)).join(wrong)
