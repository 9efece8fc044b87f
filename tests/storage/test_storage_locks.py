"""A file system without locks: everything goes on, and nothing is removed that may be another's."""

import errno
import fcntl
import os

import pytest

from vetset.model.errors import OutputError
from vetset.storage.commit import PARTIAL, alone_in, fresh_folder
from vetset.storage.locks import Held, lock


@pytest.fixture(params=[errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def without_locks(request, monkeypatch):
    def none(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", none)


@pytest.fixture
def broken(monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail)


def test_a_lock_is_ours_or_anothers(tmp_path):
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    assert lock(first, fcntl.LOCK_EX | fcntl.LOCK_NB) is Held.OURS
    assert lock(second, fcntl.LOCK_EX | fcntl.LOCK_NB) is Held.ANOTHERS
    os.close(first)
    assert lock(second, fcntl.LOCK_EX | fcntl.LOCK_NB) is Held.OURS
    os.close(second)


def test_without_locks_a_folder_is_used(tmp_path, without_locks):
    with alone_in(tmp_path):
        (tmp_path / "file").write_bytes(b"content")


def test_without_locks_a_folder_appears_whole_and_what_may_be_another_runs_stays(tmp_path, without_locks):
    other = tmp_path / f"out.01234567{PARTIAL}"
    other.mkdir()
    with fresh_folder(tmp_path / "out") as folder:
        (folder / "file").write_bytes(b"content")
    assert (tmp_path / "out" / "file").read_bytes() == b"content"
    assert other.exists()


def test_a_lock_that_fails_for_another_reason_is_an_output_error(tmp_path, broken):
    with pytest.raises(OutputError, match="Input/output error"), alone_in(tmp_path):
        pytest.fail("it was yielded")
    with pytest.raises(OutputError, match="Input/output error"), fresh_folder(tmp_path / "out"):
        pytest.fail("it was yielded")
    assert list(tmp_path.iterdir()) == []
