"""A file is there whole, or as it was before: whatever the disk says."""

import errno
import os
import resource
import stat
from pathlib import Path

import pytest

from vetset.model.errors import OutputError
from vetset.storage import commit as module
from vetset.storage.commit import PARTIAL, atomic_file, clear_partials, is_unbegun, is_vacant, private_folder
from vetset.storage.commit import write_atomic as write

OLD, NEW = b"what was there", b"what is to be there"


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device", "/a/name/that/may/be/data")


def fail_at(monkeypatch, step):
    """Let one step of writing a file fail as on a full disk."""
    if step == "open":
        monkeypatch.setattr(module.os, "open", full)
    elif step == "write":
        monkeypatch.setattr(Path, "write_bytes", full)
    elif step == "fsync":
        monkeypatch.setattr(module.os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)


STEPS = ["open", "write", "fsync", "replace"]


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with monkeypatch.context() as patched:
        fail_at(patched, step)
        with pytest.raises(OutputError):
            write(path, NEW)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", OLD)]


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_leaves_no_new_file(tmp_path, monkeypatch, step):
    with monkeypatch.context() as patched:
        fail_at(patched, step)
        with pytest.raises(OutputError):
            write(tmp_path / "file", NEW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_is_told_with_the_file_and_what_to_do_but_not_with_the_systems_own_names(
    tmp_path, monkeypatch, step
):
    fail_at(monkeypatch, step)
    with pytest.raises(OutputError) as caught:
        write(tmp_path / "file", NEW)
    error = caught.value
    assert (error.exit_code, error.where) == (40, str(tmp_path / "file"))
    assert "No space left on device" in str(error)
    assert error.todo is not None
    assert "/a/name" not in str(error)


def test_a_folder_that_cannot_be_synced_leaves_the_new_content_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "sync_folder", full)
    with pytest.raises(OutputError):
        write(tmp_path / "file", NEW)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", NEW)]


def test_content_is_synced_before_it_gets_its_name_and_the_folder_after(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(module.os, "fsync", lambda handle: (order.append(_kind(handle)), fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), replace(self, to))[1])
    write(tmp_path / "file", NEW)
    assert order == ["file", "rename", "folder"]


def _kind(handle):
    return "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"


def test_a_limit_on_the_size_of_files_is_an_error_too(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match="File too large"):
            write(tmp_path / "file", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda root: root / "no" / "such" / "folder" / "file",
        lambda root: root / "old" / "file",
        lambda root: root / ("x" * 250),
    ],
    ids=["a folder that is missing", "a folder that is a file", "a name that is too long"],
)
def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path, broken):
    (tmp_path / "old").write_bytes(OLD)
    with pytest.raises(OutputError):
        write(broken(tmp_path), NEW)
    assert [entry.name for entry in tmp_path.iterdir()] == ["old"]


def test_a_folder_of_that_name_is_not_replaced(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OutputError):
        write(tmp_path / "file", NEW)
    assert (tmp_path / "file").is_dir()


def test_files_are_for_their_owner_only(tmp_path):
    write(tmp_path / "file", NEW)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_file_that_was_open_to_others_is_not_when_it_is_written_anew(tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "file").chmod(0o644)
    write(tmp_path / "file", NEW)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_the_temporary_file_is_private_before_anything_is_in_it(tmp_path):
    with atomic_file(tmp_path / "file") as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600


def test_another_mode_can_be_asked_for(tmp_path):
    write(tmp_path / "file", NEW, mode=0o644)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_an_error_of_the_one_who_writes_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "file") as temporary:
        _ = temporary.write_bytes(NEW) / 0
    assert list(tmp_path.iterdir()) == []


def test_until_it_has_its_name_a_file_has_one_that_readers_ignore(tmp_path):
    with atomic_file(tmp_path / "file") as temporary:
        assert (temporary.parent, temporary.name.endswith(PARTIAL)) == (tmp_path, True)
        assert not (tmp_path / "file").exists()


def test_private_folders_are_for_their_owner_only(tmp_path):
    private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_file_in_the_place_of_a_folder_is_an_output_error(tmp_path):
    (tmp_path / "a").write_bytes(OLD)
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(OutputError):
            private_folder(path)


def test_clearing_removes_partial_files_only_and_not_below(tmp_path):
    for name in ("file", f"file.01234567{PARTIAL}", "folder"):
        (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_bytes(OLD)
    (tmp_path / "folder" / f"file.01234567{PARTIAL}").write_bytes(OLD)
    clear_partials(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]
    assert len(list((tmp_path / "folder").iterdir())) == 1


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EROFS])
def test_what_may_not_be_cleared_stays(tmp_path, monkeypatch, reason):
    (tmp_path / f"file.01234567{PARTIAL}").write_bytes(OLD)

    def refuse(*_, **__):
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        clear_partials(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_leavings_of_one_file_can_be_cleared_alone(tmp_path):
    for name in ("file", "file2", "fi[l]e"):
        (tmp_path / f"{name}.01234567{PARTIAL}").write_bytes(OLD)
    clear_partials(tmp_path, "fi[l]e")
    clear_partials(tmp_path, "file")
    assert [entry.name for entry in tmp_path.iterdir()] == [f"file2.01234567{PARTIAL}"]


def test_a_place_that_cannot_be_looked_at_is_neither_vacant_nor_taken(tmp_path):
    for ask in (is_vacant, is_unbegun):
        with pytest.raises(OutputError, match="cannot be looked at"):
            ask(tmp_path / ("x" * 300))


def test_a_place_is_vacant_where_nothing_lies_and_unbegun_where_only_partial_files_lie(tmp_path):
    assert is_vacant(tmp_path / "absent")
    assert is_vacant(tmp_path)
    (tmp_path / f"file{PARTIAL}").write_bytes(OLD)
    assert (is_vacant(tmp_path), is_unbegun(tmp_path)) == (False, True)
    (tmp_path / "file").write_bytes(OLD)
    assert not is_unbegun(tmp_path)
    assert not is_vacant(tmp_path / "file")
    assert not is_unbegun(tmp_path / "file")
