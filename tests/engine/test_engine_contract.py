"""What every engine promises: exactly one outcome for each item, whatever happens."""

import pickle
import resource
from itertools import islice
from pathlib import Path

import pytest
from engine_tasks import ADDRESS, Unpicklable, dumps, environment, perform, square

from vetset.engine.local import LocalEngine
from vetset.engine.outcome import Done, Failed, one_each
from vetset.model.errors import AlignmentError, EngineError, UsageError, VetsetError

ENGINES = {"in this process": 0, "one worker": 1, "two workers": 2}


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def engine(request):
    return LocalEngine(workers=request.param)


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def processes(request):
    return LocalEngine(workers=request.param)


def outcomes(engine, task, items):
    """Outcomes by index, after the contract itself was checked."""
    found = list(engine.map(task, items))
    assert sorted(outcome.index for outcome in found) == list(range(len(items)))
    assert all(isinstance(outcome, Done | Failed) for outcome in found)
    return {outcome.index: outcome for outcome in found}


def told(outcome):
    """An outcome as plain values, to compare engines with each other."""
    if isinstance(outcome, Done):
        return outcome.value
    error = outcome.error
    return type(error).__name__, error.problem, error.expected, error.seen, error.where, error.todo


def test_every_item_has_one_outcome_that_is_what_the_task_returns(engine):
    found = outcomes(engine, square, list(range(40)))
    assert [found[index].value for index in range(40)] == [number * number for number in range(40)]


class Careless(LocalEngine):
    """Yields the outcomes of some items, as often as it is told, whichever engine it is."""

    def __init__(self, times):
        super().__init__(0)
        self.times = times

    def map(self, task, items):
        for outcome in super().map(task, items):
            yield from [outcome] * self.times[outcome.index]


def test_an_engine_that_does_not_keep_its_promise_is_found_out():
    assert [outcome.index for outcome in one_each(Careless([1, 1, 1]), square, [1, 2, 3])] == [0, 1, 2]
    for times in ([1, 0, 1], [1, 2, 1], [0, 0, 0]):
        with pytest.raises(EngineError, match="every item"):
            list(one_each(Careless(times), square, [1, 2, 3]))


def test_no_items_have_no_outcomes(engine):
    assert outcomes(engine, square, []) == {}


def test_one_item_has_one_outcome(engine):
    assert told(outcomes(engine, square, [7])[0]) == 49


def test_every_item_may_fail(engine):
    found = outcomes(engine, perform, [("foreign", number) for number in range(9)])
    assert all(isinstance(outcome, Failed) for outcome in found.values())


def test_engines_agree_on_results_and_errors():
    items = [("square", 3), ("vetset", 1), ("foreign", 2), ("exit", 0), ("square", 5), ("vetset", 2), ("square", 6)]
    seen = [
        [told(found[index]) for index in range(len(items))]
        for found in (outcomes(LocalEngine(workers=workers), perform, items) for workers in ENGINES.values())
    ]
    assert seen[0] == seen[1] == seen[2]


def test_a_vetset_error_arrives_with_all_its_parts(engine):
    assert told(outcomes(engine, perform, [("vetset", 4)])[0]) == ("DatasetError", "problem", "e", "s", "shard 4", "t")


def test_a_foreign_error_is_told_by_class_only(engine):
    error = outcomes(engine, perform, [("foreign", 0)])[0].error
    assert isinstance(error, EngineError)
    assert "ValueError" in str(error)
    assert ADDRESS not in f"{error}{error!r}{error.__cause__}{error.__context__}{vars(error)}"


def test_a_task_that_ends_its_process_politely_is_a_failure_of_its_item_alone(engine):
    found = outcomes(engine, perform, [("exit", 0), ("square", 2)])
    assert (type(found[0]), told(found[1])) == (Failed, 4)


@pytest.mark.parametrize("deed", ["die", "kill", "abort"])
def test_a_worker_that_dies_costs_its_item_and_no_other(processes, deed):
    items = [("square", 1), (deed, 9), ("square", 2), ("square", 3), ("square", 4)]
    found = outcomes(processes, perform, items)
    assert isinstance(found[1].error, EngineError)
    assert [told(found[index]) for index in (0, 2, 3, 4)] == [1, 4, 9, 16]


def test_a_worker_that_exits_with_zero_is_dead_all_the_same(processes):
    assert isinstance(outcomes(processes, perform, [("die", 0)])[0], Failed)


def test_a_death_does_not_disturb_what_others_do(tmp_path):
    trace = tmp_path / "trace"
    found = outcomes(LocalEngine(workers=2), perform, [("kill", 0), ("count", trace), ("kill", 0)])
    assert trace.read_text() == "x"
    assert isinstance(found[1], Done)


def test_a_lost_worker_is_told_from_an_error_of_the_task(processes):
    found = outcomes(processes, perform, [("kill", 0), ("foreign", 0), ("vetset", 1), ("exit", 0)])
    assert [found[index].lost for index in range(4)] == [True, False, False, False]


def test_workers_that_died_leave_no_files_open():
    items = [("square", 1), ("die", 1)] * 6
    done = LocalEngine(workers=1).map(perform, items)
    opened = [len(list(Path("/proc/self/fd").iterdir())) for _ in islice(done, 6)]
    done.close()
    assert opened[5] <= opened[1]


def test_several_deadly_items_cost_themselves_only():
    items = [("kill", 0), ("square", 2), ("kill", 0), ("square", 3)]
    found = outcomes(LocalEngine(workers=2), perform, items)
    assert [isinstance(found[index], Failed) for index in range(4)] == [True, False, True, False]


@pytest.mark.parametrize("deed", ["unpicklable", "lock", "not back"])
def test_a_result_that_cannot_travel_is_a_failure_of_its_item_alone(processes, deed):
    found = outcomes(processes, perform, [("square", 2), (deed, 0), ("square", 3)])
    assert [told(found[0]), told(found[2])] == [4, 9]
    assert isinstance(found[1], Failed)
    assert ADDRESS not in str(found[1].error)


def test_an_item_that_cannot_travel_is_a_failure_of_its_own(processes):
    found = outcomes(processes, square, [2, Unpicklable(), 3])
    assert [told(found[0]), told(found[2])] == [4, 9]
    assert ADDRESS not in str(found[1].error)


def test_workers_use_one_thread_each(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert told(outcomes(LocalEngine(workers=1), environment, ["OMP_NUM_THREADS"])[0]) == "1"


@pytest.mark.parametrize("workers", [0, 1])
def test_who_has_pictures_in_memory_leaves_no_core_dump(workers):
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        assert told(outcomes(LocalEngine(workers), dumps, [None])[0]) == (0, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(UsageError):
        LocalEngine(workers=-1)


def all_errors(root=VetsetError):
    return [root, *(found for child in root.__subclasses__() for found in all_errors(child))]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_errors_survive_pickling_whole(error):
    original = error("p", expected="e", seen="s", where="w", todo="t")
    copy = pickle.loads(pickle.dumps(original))  # noqa: S301  our own bytes
    assert (type(copy), vars(copy), str(copy)) == (error, vars(original), str(original))


def test_a_place_named_first_is_kept():
    assert AlignmentError("p").at("here").at("there").where == "here"
