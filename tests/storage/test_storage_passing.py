"""A passing folder is private and goes with the process that made it, however that ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from vetset.model.errors import OutputError
from vetset.storage.passing import passing_folder

CHILD = """
import sys, time
from vetset.storage.passing import passing_folder
with passing_folder() as folder:
    (folder / "below").mkdir()
    (folder / "below" / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_gone_afterwards(place):
    with passing_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
        assert folder.parent == place
    assert list(place.iterdir()) == []


def test_it_is_made_where_it_is_wanted(place, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with passing_folder(elsewhere) as folder:
        assert folder.parent == elsewhere
    assert list(elsewhere.iterdir()) == list(place.iterdir()) == []


def test_it_is_gone_after_an_error(place):
    def failing():
        with passing_folder() as folder:
            (folder / "file").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_is_gone_when_the_process_was_ended(tmp_path, how):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as child:
        folder = Path(child.stdout.readline().strip())
        assert (folder / "below" / "file").exists()
        child.send_signal(how)
    for _ in range(200):
        if not folder.exists():
            break
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match="TMPDIR"), passing_folder():
        pass
