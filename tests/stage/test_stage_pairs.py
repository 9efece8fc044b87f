"""Shares of all pairs: exact where everything was looked at, and intervals that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.stage.pairs import Pairs, just_above, share


def pairs_of(vectors, population=10**9, counted=None):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = unit @ unit.T
    distinct = ~np.eye(len(vectors), dtype=bool)
    return Pairs(np.maximum(similarity, similarity.T), distinct if counted is None else counted & distinct, population)


SIX_DIGITS = st.integers(-(10**6), 10**6).map(lambda number: number / 10**6)


@given(st.one_of(st.floats(-1, 1), SIX_DIGITS, st.floats(allow_nan=False, allow_infinity=False, max_value=1e300)))
@settings(max_examples=2000)
def test_just_above_is_above_whatever_float_it_is(similarity):
    above = just_above(similarity)
    assert above > similarity
    if abs(similarity) <= 1:
        assert above == round(above, 6)
        assert round(above - 1e-6, 6) <= similarity


def test_no_cosine_of_six_digits_is_its_own_just_above():
    assert not [number for number in range(-(10**6), 10**6, 3) if just_above(number / 10**6) != (number + 1) / 10**6]


def on_sphere(random, count, dimension=3):
    return random.standard_normal((count, dimension))


def centred(random, count):
    """On the circle, but every tenth vector is from where half of all vectors are near: some are in many pairs."""
    angle = np.where(random.random(count) < 0.1, random.normal(0, 0.05, count), random.uniform(-np.pi, np.pi, count))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@given(st.integers(0, 2**32), st.integers(2, 40), st.sampled_from([0.001, 0.01, 0.1]))
@settings(max_examples=60, deadline=None)
def test_the_threshold_is_the_least_cosine_that_the_rate_reaches(seed, count, rate):
    random = np.random.default_rng(seed)
    counted = random.random((count, count)) < 0.8
    pairs = pairs_of(on_sphere(random, count), counted=counted & counted.T)
    threshold = pairs.threshold(rate)
    values = pairs.similarity[np.triu(pairs.counted, 1)]
    if not len(values):
        assert threshold == 1.0
        return
    assert np.count_nonzero(values >= threshold) <= rate * len(values) + 1e-9
    if threshold > -1:
        assert np.count_nonzero(values >= threshold - 1.1e-6) > rate * len(values)
    assert pairs.share(threshold).value == np.count_nonzero(values >= threshold) / len(values)


def test_a_sample_of_everything_is_a_count_and_no_estimate():
    pairs = pairs_of(on_sphere(np.random.default_rng(3), 50), population=50)
    told = pairs.share(0.5)
    assert told.low == told.value == told.high
    low, high = pairs.interval(0.01)
    assert low == high == pytest.approx(pairs.threshold(0.01), abs=2e-6)


def test_too_few_pairs_leave_the_threshold_open_above():
    pairs = pairs_of(on_sphere(np.random.default_rng(3), 20))
    assert pairs.share(pairs.threshold(0.0001)).value == 0
    assert pairs.interval(0.0001)[1] == 1.0


def test_without_pairs_nothing_is_known():
    pairs = pairs_of(np.ones((1, 3)))
    assert (pairs.share(0.5).low, pairs.share(0.5).high, pairs.interval(0.01)) == (0.0, 1.0, (-1.0, 1.0))


def coverage(draw, true_share, at, runs, count):
    held = 0
    for run in range(runs):
        told = pairs_of(draw(np.random.default_rng([7, run]), count)).share(at)
        held += told.low <= true_share <= told.high
    return held / runs


def test_intervals_of_the_rate_hold_on_the_sphere():
    # in three dimensions the cosine of two random directions is uniform (Archimedes), so the share is known
    assert coverage(on_sphere, 0.01, 0.98, 200, 120) >= 0.93


def test_intervals_of_the_rate_hold_where_some_vectors_are_near_everything():
    random = np.random.default_rng(11)
    true_share = np.mean((centred(random, 400_000) * centred(random, 400_000)).sum(axis=1) >= np.cos(0.02))
    assert coverage(centred, true_share, np.cos(0.02), 200, 150) >= 0.9


def test_pairs_taken_for_independent_would_not_hold():
    random = np.random.default_rng(11)
    at = np.cos(0.02)
    true_share = np.mean((centred(random, 400_000) * centred(random, 400_000)).sum(axis=1) >= at)
    held = 0
    for run in range(200):
        pairs = pairs_of(centred(np.random.default_rng([7, run]), 150))
        told = share(pairs.at_least(at), len(pairs.values))
        held += told.low <= true_share <= told.high
    assert held / 200 < 0.85


def test_intervals_of_the_threshold_hold_on_the_sphere():
    held = 0
    for run in range(100):
        low, high = pairs_of(on_sphere(np.random.default_rng([8, run]), 120)).interval(0.01)
        held += low <= 0.98 <= high
    assert held >= 93


def test_intervals_shrink_as_the_sample_nears_the_whole():
    vectors = on_sphere(np.random.default_rng(5), 100)
    wide, narrow = (pairs_of(vectors, population).share(0.9) for population in (10**6, 120))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@pytest.mark.parametrize("value", [-1.0, -0.5, 0.0, 0.1234567, 0.123456, 0.999999, 1.0])
def test_just_above_is_above_and_no_more(value):
    assert value < just_above(value) <= value + 1.0000001e-6


def test_a_share_of_nothing_is_none():
    assert share(0, 0) is None
    told = share(3, 4)
    assert told.low < told.value == 0.75 < told.high
