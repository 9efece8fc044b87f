"""Limits of time and memory: what goes beyond them is one item, and the others go on."""

import math
import time

import pytest
from engine_tasks import perform

from vetset.engine.local import LocalEngine
from vetset.engine.outcome import Done, Failed
from vetset.model.errors import UsageError

SECONDS = 1.0
MEMORY = 512 << 20


def outcomes(engine, items):
    found = list(engine.map(perform, items))
    assert sorted(outcome.index for outcome in found) == list(range(len(items)))
    return {outcome.index: outcome for outcome in found}


def values(found, indexes):
    return [found[index].value if isinstance(found[index], Done) else found[index].error for index in indexes]


@pytest.mark.parametrize("workers", [1, 2], ids=["one worker", "two workers"])
@pytest.mark.parametrize("deed", ["hang", "hold the lock"])
def test_an_item_that_hangs_costs_itself_and_no_other(workers, deed):
    items = [("square", 1), (deed, 0), ("square", 2), ("square", 3), ("square", 4)]
    found = outcomes(LocalEngine(workers, seconds=SECONDS), items)
    assert isinstance(found[1], Failed)
    assert values(found, (0, 2, 3, 4)) == [1, 4, 9, 16]


def test_an_item_that_hangs_is_told_from_one_that_kills_its_worker():
    found = outcomes(LocalEngine(2, seconds=SECONDS), [("hang", 0), ("kill", 0)])
    assert "took too long" in str(found[0].error)
    assert "at most 1 seconds" in str(found[0].error)
    assert "died" in str(found[1].error)


def test_two_items_that_hang_at_once_cost_themselves_only():
    found = outcomes(LocalEngine(2, seconds=SECONDS), [("hang", 0), ("hang", 0), ("square", 3)])
    assert all("took too long" in str(found[index].error) for index in (0, 1))
    assert found[2].value == 9


def test_an_item_that_hangs_ends_soon_after_its_time():
    began = time.monotonic()
    outcomes(LocalEngine(1, seconds=SECONDS), [("hang", 0)])
    assert time.monotonic() - began < 20  # twice the limit, and three starts of a worker on a busy machine


def test_many_items_within_their_time_are_all_done_though_together_they_take_longer():
    found = outcomes(LocalEngine(1, seconds=SECONDS), [("nap", 0.3)] * 6)
    assert all(isinstance(outcome, Done) for outcome in found.values())


def test_an_error_of_a_task_under_a_limit_arrives_as_without_one():
    found = outcomes(LocalEngine(1, seconds=SECONDS), [("vetset", 4), ("foreign", 0), ("square", 2)])
    assert found[0].error.where == "shard 4"
    assert "ValueError" in str(found[1].error)
    assert found[2].value == 4


def test_an_item_that_asks_for_more_memory_than_allowed_costs_itself_and_no_other():
    items = [("swallow", 1 << 20), ("swallow", MEMORY), ("square", 2), ("swallow", 1 << 40)]
    found = outcomes(LocalEngine(1, memory=MEMORY), items)
    assert values(found, (0, 2)) == [1 << 20, 4]
    assert all("MemoryError" in str(found[index].error) for index in (1, 3))


def test_without_a_limit_the_same_memory_is_had():
    assert outcomes(LocalEngine(1), [("swallow", MEMORY)])[0].value == MEMORY


@pytest.mark.parametrize(
    "limits", [{"seconds": 0}, {"seconds": -1}, {"seconds": math.inf}, {"seconds": math.nan}, {"memory": 0}]
)
def test_a_limit_that_is_none_is_refused(limits):
    with pytest.raises(UsageError, match="is none"):
        LocalEngine(1, **limits)


@pytest.mark.parametrize("limits", [{"seconds": 5}, {"memory": MEMORY}])
def test_limits_without_a_worker_to_hold_to_them_are_refused(limits):
    with pytest.raises(UsageError, match="needs workers"):
        LocalEngine(0, **limits)
