"""What a task may ask of the process it runs in: an end to a step that takes too long, a process of its own."""

import signal
import time

import pytest
from engine_tasks import perform

from vetset.engine.worker import KILLED, TOO_LONG, apart, begin_step, end_step, is_worker


def within(item):
    """Do something as a step of so many seconds."""
    seconds, what = item
    begin_step(seconds)
    perform(what)
    end_step()
    time.sleep(0.3)  # longer than the step may take: it is over


def is_one(_):
    if not is_worker():
        raise ValueError


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (("square", 2), 0),
        (("foreign", 0), 1),
        (("exit", 0), 0),
        (("die", 7), 7),
        (("kill", 0), KILLED),
        (("abort", 0), -signal.SIGABRT),
    ],
)
def test_a_process_apart_tells_how_it_ended(what, code, capfd):
    assert apart(perform, what) == code
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("deed", ["hang", "hold the lock"])
def test_a_step_that_takes_too_long_ends_its_process_whoever_holds_the_lock(deed):
    assert apart(within, (0.2, (deed, 0))) == TOO_LONG


def test_a_step_that_ends_in_time_ends_nothing():
    assert apart(within, (0.2, ("square", 2))) == 0


def test_an_alarm_that_the_parent_ignores_is_heard_all_the_same():
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        assert apart(within, (0.2, ("hang", 0))) == TOO_LONG
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.signal(signal.SIGALRM, before)


def test_a_process_apart_is_a_worker_and_this_one_is_none():
    assert not is_worker()
    assert apart(is_one, 0) == 0
