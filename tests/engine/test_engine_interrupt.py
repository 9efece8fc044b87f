"""An interrupt from the keyboard, which every process of a terminal's group gets, ends all of them without a word."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import small
from vetset.engine.worker import Worker, apart, end_workers, uninterrupted

HERE = Path(__file__).parent
HEARD = "signal.signal(signal.SIGINT, signal.default_int_handler)"
"""A shell switches interrupts off for what it starts in the background, these tests perhaps: a terminal does not."""

NAPS = f"""
import signal, sys
from engine_tasks import note_and_sleep
from vetset.engine.local import LocalEngine
if __name__ == "__main__":
    {HEARD}
    try:
        print("begun", flush=True)
        list(LocalEngine(workers=4).map(note_and_sleep, sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
"""

VETSET = f"""
import signal
if __name__ == "__main__":
    from vetset.cli import main
    {HEARD}
    main()
"""


def group_of(script, tmp_path, *arguments):
    """A script in a process group of its own."""
    path = tmp_path / "script.py"
    path.write_text(script)
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, str(path), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)


def members(group):
    """Ids of the processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def interrupted(running, *, whole=True):
    """Interrupt a group, or its first process alone; what was said, once all of it has ended."""
    try:
        (os.killpg if whole else os.kill)(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=20)
        for _ in range(100):
            if not members(running.pid):
                break
            time.sleep(0.05)
        assert members(running.pid) == []
    finally:
        for process in members(running.pid):
            os.kill(process, signal.SIGKILL)
    return said


@pytest.mark.parametrize("seconds", [0, 0.02, 0.05, 0.2, 0.4, 1.5])
def test_an_interrupt_ends_workers_that_start_or_work_without_a_word(tmp_path, seconds):
    running = group_of(NAPS, tmp_path, *(tmp_path / f"note{number}" for number in range(6)))
    assert running.stdout.readline() == "begun\n"
    time.sleep(seconds)
    assert interrupted(running) == ""
    assert running.returncode == 130


def test_an_interrupt_of_the_parent_alone_does_not_wait_for_what_is_in_hand(tmp_path):
    running = group_of(NAPS, tmp_path, tmp_path / "note")
    while not (tmp_path / "note").exists():
        time.sleep(0.01)
    assert interrupted(running, whole=False) == ""
    assert running.returncode == 130


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """More pictures than are scanned in the time of these tests."""
    folder = tmp_path_factory.mktemp("data")
    for name in range(60):
        for number, data in enumerate(small.images()):
            (folder / str(name)).mkdir(exist_ok=True)
            (folder / str(name) / f"{number}.jpg").write_bytes(data)
    return folder


@pytest.mark.parametrize("seconds", [0, 0.1, 0.4, 0.8, 1.5])
def test_an_interrupted_scan_says_one_line(tmp_path, dataset, seconds):
    running = group_of(VETSET, tmp_path, "scan", dataset, "--store", tmp_path / "store", "--workers", "2")
    assert running.stderr.readline().startswith("scan: ")
    time.sleep(seconds)
    said = [line for line in interrupted(running).splitlines() if not line.startswith("scan: ")]
    assert (running.returncode, said) == (130, ["vetset: stopped; run the same command again to go on"])


def of_interrupts(_):
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL or signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        raise ValueError


def ignores_interrupts(_):
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        raise ValueError


@pytest.fixture
def handler():
    """How this process takes interrupts; put back afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_a_worker_takes_interrupts_as_the_system_does_and_its_parent_as_before(handler):
    assert apart(of_interrupts, 0) == 0
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_where_interrupts_are_ignored_a_worker_ignores_them_too(handler):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert apart(ignores_interrupts, 0) == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in this thread", "in another thread"])
def test_an_interrupt_while_a_worker_is_started_comes_when_it_is_started(handler, elsewhere):
    def interrupt():
        if elsewhere:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            signal.raise_signal(signal.SIGINT)
        else:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def begin():
        with uninterrupted():
            sent = threading.Thread(target=interrupt)
            sent.start()
            sent.join()
            process.start()

    process = Worker(target=time.sleep, args=(60,), daemon=True)
    with pytest.raises(KeyboardInterrupt):
        begin()
    assert process.is_alive()
    assert signal.getsignal(signal.SIGINT) is handler
    end_workers()
    process.join()
    assert process.exitcode == -signal.SIGKILL
