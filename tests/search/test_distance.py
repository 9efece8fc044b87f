"""DistanceIndex returns what the linear scan returns, with either way to multiply, in the same order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.errors import DatasetError, ListError, UsageError
from vetset.search import distance, linear, products
from vetset.search.distance import COLUMNS, FARTHEST, DistanceIndex


@pytest.fixture(autouse=True, params=["own", "numkong"])
def multiplied(request, monkeypatch):
    """Every test runs with our own kernel, where the processor has the instructions, and with NumKong's."""
    if request.param == "numkong":
        monkeypatch.setattr(products, "ways", lambda: ["numkong"])


def uniform(rng, size):
    return rng.integers(0, 256, (size, COLUMNS), dtype=np.uint8)


def moved(rng, vectors, by):
    """Each component moved by at most so much, and kept within a byte."""
    return np.clip(vectors + rng.integers(-by, by + 1, vectors.shape), 0, 255).astype(np.uint8)


def assert_same(queries, vectors, most, threads=1):
    wanted = linear.distance_pairs(queries, vectors, most)
    found = DistanceIndex(vectors).join(queries, most, threads=threads)
    assert [column.dtype for column in found] == [np.int64] * 3
    for seen, column in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(seen, column)
    return len(wanted[0])


@pytest.mark.parametrize("most", [0, 1, 4_000, 40_000, 1_500_000, FARTHEST])
@pytest.mark.parametrize("size", [0, 1, 2, 13, 700])
def test_it_is_the_linear_scan(size, most):
    rng = np.random.default_rng(size)
    vectors = uniform(rng, size)
    near = moved(rng, vectors[:50], 9)
    queries = np.concatenate([uniform(rng, 20), near, vectors[:3]])
    assert assert_same(queries, vectors, most) >= (min(size, 3) if size else 0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(0, 150), st.integers(0, 150), st.integers(0, 40),
    st.sampled_from(["spread", "dark", "edges"]),
)  # fmt: skip
def test_it_is_the_linear_scan_on_crowded_vectors(seed, size, asked, by, sort):
    rng = np.random.default_rng(seed)
    centre = {
        "spread": uniform(rng, 1),
        "dark": rng.integers(0, 3, (1, COLUMNS), dtype=np.uint8),
        "edges": rng.choice(np.array([0, 1, 254, 255], np.uint8), (1, COLUMNS)),
    }[sort]
    crowd = moved(rng, np.repeat(centre, size + asked, axis=0), by)
    apart = linear.distance_pairs(crowd[:asked], crowd[asked:], FARTHEST)[2]
    # a distance that occurs, so that there are ties at the border, or any
    most = int(rng.choice(apart)) if len(apart) else 100
    assert_same(crowd[:asked], crowd[asked:], most)
    assert_same(crowd[:asked], crowd[asked:], max(0, most - 1))


def test_ties_at_the_border_are_in_and_one_more_is_out():
    vectors = np.full((300, COLUMNS), 128, np.uint8)
    queries = vectors[:90].copy()
    queries[np.arange(90), np.arange(90)] += 20
    assert assert_same(queries, vectors, 400) == 90 * 300
    assert assert_same(queries, vectors, 399) == 0


def test_the_least_and_the_greatest_values_are_as_far_apart_as_can_be():
    low, high = np.zeros((70, COLUMNS), np.uint8), np.full((70, COLUMNS), 255, np.uint8)
    assert assert_same(low, high, FARTHEST) == 70 * 70
    assert assert_same(low, high, FARTHEST - 1) == 0
    assert assert_same(low, high, FARTHEST + 1) == 70 * 70
    assert assert_same(low, low, 0) == 70 * 70
    assert assert_same(high, high, 0) == 70 * 70


def test_zeros_and_ones_which_the_bound_does_not_tell_apart_are_told_apart():
    rng = np.random.default_rng(1)
    vectors = rng.integers(0, 2, (400, COLUMNS), dtype=np.uint8)
    assert 0 < assert_same(vectors[:200], vectors[200:], 65) < 200 * 200


@pytest.mark.parametrize("column", [0, 31, 32, 143])
def test_a_difference_in_any_one_column_is_seen(column):
    rng = np.random.default_rng(column)
    vectors = np.tile(uniform(rng, 1), (100, 1))
    vectors[50:, column] ^= 128
    assert assert_same(vectors[:70], vectors, 128**2 - 1) == 50 * 50 + 20 * 50


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_blocks_groups_and_threads_do_not_change_the_answer(threads, monkeypatch):
    rng = np.random.default_rng(2)
    vectors = uniform(rng, 500) // rng.integers(1, 9, (500, 1), dtype=np.uint8)
    queries = np.concatenate([moved(rng, vectors[::2], 12), uniform(rng, 57), vectors[::3]])
    monkeypatch.setattr(distance, "_BLOCK", 24)
    assert assert_same(queries, vectors, 10_000, threads) > 400


def test_both_ways_of_screening_are_gone(monkeypatch):
    rng = np.random.default_rng(3)
    seen = []
    of = distance._Clamped.of

    def noted(vectors, columns):
        seen.append((len(vectors), len(columns)))
        return of(vectors, columns)

    monkeypatch.setattr(distance._Clamped, "of", noted)
    spread = uniform(rng, 300)
    assert assert_same(spread[:100], spread, 10_000) == 100
    assert {columns for rows, columns in seen if rows == 300} == {32}
    seen.clear()
    crowded = moved(rng, np.tile(uniform(rng, 1), (300, 1)), 30)
    assert assert_same(crowded[:100], crowded, 90_000) > 1_000
    assert {columns for rows, columns in seen if rows == 300} == {32, COLUMNS}


def test_vectors_in_any_layout_are_taken():
    rng = np.random.default_rng(4)
    vectors = np.asfortranarray(uniform(rng, 90))
    wide = rng.integers(0, 256, (200, 2 * COLUMNS), dtype=np.uint8)
    wide[::4, ::2] = vectors[:50]
    frozen = np.frombuffer(wide[::2, ::2].tobytes(), np.uint8).reshape(-1, COLUMNS)
    assert assert_same(wide[::2, ::2], vectors, 100) == 50
    assert assert_same(frozen, vectors, 100) == 50


def test_what_is_no_such_vector_is_refused():
    good = np.zeros((3, COLUMNS), np.uint8)
    for bad in (good.astype(np.int8), good[:, 1:], good[0]):
        with pytest.raises(ListError, match="another type or shape"):
            DistanceIndex(bad)
        with pytest.raises(DatasetError, match="another type or shape"):
            DistanceIndex(good).join(bad, 0)
    with pytest.raises(UsageError, match="squared distance"):
        DistanceIndex(good).join(good, -1)
    with pytest.raises(UsageError, match="thread"):
        DistanceIndex(good).join(good, 1, threads=0)
