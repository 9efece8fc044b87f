"""The arithmetic of a sample: no estimate is off on average, intervals hold what they promise, edges are edges."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.stage.estimate import Frame, Part, drawing, makespan, student, wilson

SEEDS = 1500


def unequal(count=60, seed=3):
    """Shards whose sizes differ a hundredfold, each with an amount that follows its size loosely."""
    random = np.random.default_rng(seed)
    sizes = np.exp(random.normal(0, 1.2, count)) * 1000
    return sizes, sizes * random.uniform(0.5, 1.5, count)


def sampled(sizes, taken, seed):
    order, priorities = drawing(sizes, seed)
    chosen = np.sort(order[:taken])
    return Frame.of(sizes, chosen, priorities[taken] if taken < len(sizes) else 0.0), chosen


def zeros(frame):
    return np.zeros(len(frame.sizes))


def holds(estimate, truth):
    return estimate.low <= truth <= estimate.high


def test_weights_are_right_on_average_for_every_shard():
    sizes = np.sqrt(unequal(12)[0])
    total = np.zeros(12)
    for seed in range(SEEDS):
        frame, chosen = sampled(sizes, 5, seed)
        total[chosen] += frame.weights
    assert np.allclose(total / SEEDS, 1, atol=0.15)
    assert abs(total.mean() / SEEDS - 1) < 0.03


def test_large_shards_are_drawn_more_often():
    sizes = np.array([1000.0, *[1.0] * 50])
    drawn = sum(0 in sampled(sizes, 3, seed)[1] for seed in range(200))
    assert drawn > 190


@pytest.mark.parametrize("taken", [8, 20, 40])
def test_a_total_is_right_on_average_and_its_interval_holds_the_truth(taken):
    sizes, amounts = unequal()
    found = []
    for seed in range(SEEDS):
        frame, chosen = sampled(sizes, taken, seed)
        found.append(frame.total(Part(amounts[chosen], zeros(frame))))
    truth = amounts.sum()
    assert abs(np.mean([one.value for one in found]) / truth - 1) < 0.01
    assert 0.92 <= np.mean([holds(one, truth) for one in found]) <= 0.98


def test_an_amount_of_every_shard_grows_with_their_number():
    sizes, _ = unequal()
    amounts = np.random.default_rng(1).uniform(0.5, 1.5, len(sizes))
    found = []
    for seed in range(SEEDS):
        frame, chosen = sampled(sizes, 20, seed)
        found.append(frame.total(Part(amounts[chosen], zeros(frame), by_shard=True)))
    assert abs(np.mean([one.value for one in found]) / amounts.sum() - 1) < 0.02
    assert np.mean([holds(one, amounts.sum()) for one in found]) > 0.88


def test_what_varies_within_shards_is_part_of_the_interval():
    sizes, amounts = unequal(10)
    random = np.random.default_rng(2)
    error = 0.2 * amounts
    kept = 0
    for _ in range(SEEDS):
        frame, chosen = sampled(sizes, 10, 0)
        kept += holds(
            frame.total(Part(random.normal(amounts[chosen], error[chosen]), error[chosen] ** 2)), amounts.sum()
        )
    assert 0.93 <= kept / SEEDS <= 0.97


@pytest.mark.parametrize(("level", "least"), [(0.02, 0.84), (0.2, 0.92), (0.7, 0.92)])
def test_a_share_is_right_on_average_and_its_interval_holds_the_truth(level, least):
    sizes, records = unequal(80)
    shares = np.random.default_rng(4).beta(8 * level, 8 * (1 - level), 80)
    truth = (shares * records).sum() / records.sum()
    found = []
    for seed in range(SEEDS):
        frame, chosen = sampled(sizes, 25, seed)
        found.append(frame.share(shares[chosen] * records[chosen], records[chosen], zeros(frame)))
    assert abs(np.mean([one.value for one in found]) / truth - 1) < 0.04
    assert np.mean([holds(one, truth) for one in found]) > least
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in found)


def test_shards_that_are_bad_as_a_whole_are_within_the_interval_even_if_none_was_seen():
    sizes = np.full(200, 10.0)
    bad = np.zeros(200)
    bad[:6] = 100.0
    kept = 0
    for seed in range(400):
        frame, chosen = sampled(sizes, 20, seed)
        kept += holds(frame.share(bad[chosen], np.full(20, 100.0), zeros(frame)), bad.sum() / 20_000)
    assert kept / 400 > 0.93


def test_nothing_is_estimated_where_everything_was_looked_at():
    sizes, amounts = unequal(9)
    frame, chosen = sampled(sizes, 9, 5)
    assert frame.complete
    assert (frame.weights == 1).all()
    total = frame.total(Part(amounts[chosen], zeros(frame)), exact=True)
    assert total.low == total.value == total.high == pytest.approx(amounts.sum())
    assert frame.share(zeros(frame), amounts[chosen], zeros(frame), exact=True).high == 0


def test_one_shard_out_of_many_gives_no_interval():
    frame, chosen = sampled(np.full(5, 2.0), 1, 0)
    found = frame.total(Part(np.array([3.0]), zeros(frame)))
    assert (round(found.value, 6), found.low, found.high) == (15.0, None, None)
    assert frame.share(np.array([1.0]), np.array([3.0]), zeros(frame)).low is None
    assert len(chosen) == 1


def test_an_interval_does_not_reach_below_what_was_seen():
    frame, _ = sampled(np.full(50, 1.0), 2, 0)
    assert frame.total(Part(np.array([1.0, 90.0]), zeros(frame)), least=91).low == 91


@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=40), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_shard_is_drawn_once_and_a_longer_sample_begins_with_the_shorter(sizes, seed):
    array = np.array(sizes)
    order, priorities = drawing(array, seed)
    assert sorted(order.tolist()) == list(range(len(sizes)))
    assert all(one >= other for one, other in pairwise(priorities))
    assert (order == drawing(array, seed)[0]).all()
    assert (priorities >= array[order]).all()


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)]
)
def test_students_quantile_is_that_of_the_tables(freedom, quantile):
    assert student(freedom) == pytest.approx(quantile, abs=0.02)


def test_wilsons_interval_is_that_of_the_book():
    assert wilson(0.1, 100, 1.96) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert wilson(0.0, 10, 1.96) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(1.0, 10, 1.96)[1] == 1.0


def played(seconds, workers):
    """The same by moving a clock."""
    free = [0.0] * workers
    for each in seconds:
        first = free.index(min(free))
        free[first] += each
    return max(free)


@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 80))
@settings(max_examples=80, deadline=None)
def test_workers_fetch_shards_in_order(seconds, workers):
    found = makespan(seconds, workers)
    assert found == pytest.approx(played(seconds, workers))
    assert max(seconds, default=0) - 1e-9 <= found
    assert sum(seconds) / workers - 1e-9 <= found


def test_many_shards_are_bounded_instead_of_played(monkeypatch):
    seconds = np.random.default_rng(0).uniform(1, 5, 5000).tolist()
    exact = makespan(seconds, 16)
    monkeypatch.setattr("vetset.stage.estimate._SIMULATED", 10)
    assert exact <= makespan(seconds, 16) <= exact * 1.01
