"""Processes: they end with their parent, and where none can be started that is said."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_tasks import collector

from vetset.engine import local
from vetset.engine.local import LocalEngine
from vetset.model.errors import EngineError

HERE = Path(__file__).parent


def script(text, tmp_path, *arguments):
    path = tmp_path / "script.py"
    path.write_text(text)
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen([sys.executable, str(path), *arguments], env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def is_running(process_id):
    try:
        state = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


GUARDED = """
import sys
from engine_tasks import note_and_sleep
from vetset.engine.local import LocalEngine
if __name__ == "__main__":
    list(LocalEngine(workers=1).map(note_and_sleep, sys.argv[1:]))
"""

UNGUARDED = """
from engine_tasks import square
from vetset.engine.local import LocalEngine
print(list(LocalEngine(workers=1).map(square, [1, 2, 3])))
"""


def test_a_worker_does_not_outlive_a_parent_that_was_killed(tmp_path):
    note = tmp_path / "worker"
    process = script(GUARDED, tmp_path, str(note))
    assert wait_for(lambda: note.exists() and note.read_text())
    worker = int(note.read_text())
    assert is_running(worker)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert wait_for(lambda: not is_running(worker))


def test_a_script_without_a_main_guard_is_told_what_is_wrong(tmp_path):
    _, errors = script(UNGUARDED, tmp_path).communicate(timeout=60)
    assert "workers cannot be started" in errors


def test_a_machine_that_starts_no_process_is_an_error_and_not_a_failure_of_every_item(monkeypatch):
    monkeypatch.setattr(local, "_quiet_worker", _cannot_start)
    with pytest.raises(EngineError, match="workers cannot be started"):
        list(LocalEngine(workers=1).map(abs, [1, 2, 3]))


def _cannot_start():
    os._exit(3)


def test_a_refused_fork_is_an_error_of_the_engine(monkeypatch):
    def refused(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess._Popen", staticmethod(refused))
    with pytest.raises(EngineError, match="workers cannot be started"):
        list(LocalEngine(workers=1).map(abs, [1]))


FEW_FILES = """
import resource, sys
from engine_tasks import square
from vetset.engine.local import LocalEngine
from vetset.model.errors import EngineError
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, int(sys.argv[1])))
    try:
        found = list(LocalEngine(workers=3).map(square, [1, 2, 3]))
        sys.exit(len(found))
    except EngineError as error:
        sys.exit(40 if "open files" in str(error) else 1)
"""


@pytest.mark.parametrize(("most", "code"), [(400, 3), (16, 40)], ids=["may be raised", "may not"])
def test_a_limit_on_open_files_is_raised_or_told(tmp_path, most, code):
    process = script(FEW_FILES, tmp_path, str(most))
    process.communicate(timeout=60)
    assert process.returncode == code


def test_workers_look_for_garbage_less_often_and_whose_library_it_is_as_before():
    before = gc.get_threshold()
    ((worker,), (here,)) = (list(LocalEngine(number).map(collector, [0])) for number in (1, 0))
    assert worker.value[0] > before[0]
    assert here.value == gc.get_threshold() == before


def test_an_engine_that_is_left_early_leaves_nothing_running():
    found = LocalEngine(workers=2).map(abs, list(range(-20, 0)))
    next(found)
    found.close()
    import multiprocessing

    assert multiprocessing.active_children() == []
