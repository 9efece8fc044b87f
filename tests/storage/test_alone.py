"""Two runs do not write into one folder."""

import multiprocessing

import pytest

from vetset.model.errors import UsageError
from vetset.storage.commit import alone_in


def hold(folder, ready, done):
    with alone_in(folder):
        ready.set()
        done.wait(20)


def test_a_second_run_is_refused_and_the_folder_is_free_afterwards(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=hold, args=(tmp_path, ready, done))
    other.start()
    assert ready.wait(20)
    with pytest.raises(UsageError, match="another run"), alone_in(tmp_path):
        pass
    done.set()
    other.join()
    with alone_in(tmp_path):
        assert tmp_path.is_dir()
