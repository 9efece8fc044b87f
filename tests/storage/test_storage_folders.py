"""A folder appears under its name whole, or not at all."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vetset.model.errors import OutputError
from vetset.storage import commit as module
from vetset.storage.commit import PARTIAL, fresh_folder


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def fill(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_bytes(b"content")


def build(out, then=lambda folder: None):
    """Build a folder, and do something before it gets its name."""
    with fresh_folder(out) as folder:
        fill(folder)
        then(folder)


def give_up(_):
    raise ZeroDivisionError


def test_a_finished_folder_gets_its_name_with_everything_in_it(tmp_path):
    seen = []
    build(tmp_path / "deep" / "out", lambda _: seen.append((tmp_path / "deep" / "out").exists()))
    assert seen == [False]
    assert (tmp_path / "deep" / "out" / "sub" / "file").read_bytes() == b"content"
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["out"]


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "out").mkdir()
    build(tmp_path / "out")
    assert (tmp_path / "out" / "sub" / "file").exists()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_place_that_is_taken_is_refused_before_anything_is_done(tmp_path, what):
    out = tmp_path / "out"
    if what == "folder":
        fill_parent = out
        fill_parent.mkdir()
        fill(fill_parent)
    else:
        out.write_bytes(b"content")
    with pytest.raises(OutputError, match="taken"), fresh_folder(out):
        pytest.fail("it was yielded")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_an_error_on_the_way_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        build(tmp_path / "out", give_up)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace", "mkdir"])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, step):
    places = {"fsync": (module.os, "fsync"), "replace": (Path, "replace"), "mkdir": (Path, "mkdir")}
    with monkeypatch.context() as patched:
        patched.setattr(*places[step], full)
        with pytest.raises(OutputError, match="No space left"):
            build(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_somebody_who_comes_first_is_not_overwritten(tmp_path):
    out = tmp_path / "out"

    def come_first(_):
        out.mkdir()
        (out / "theirs").write_bytes(b"content")

    with pytest.raises(OutputError, match="the output place is taken"):
        build(out, come_first)
    assert [entry.name for entry in out.iterdir()] == ["theirs"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_every_file_is_synced_before_the_folder_gets_its_name(tmp_path, monkeypatch):
    synced = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(module.os, "fsync", lambda handle: (synced.append(_name(handle)), fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (synced.append("rename"), replace(self, to))[1])
    build(tmp_path / "out")
    assert {"file", "sub"} <= set(synced[: synced.index("rename")])
    assert synced[-1] == tmp_path.name


def _name(handle):
    return Path(f"/proc/self/fd/{handle}").readlink().name


KILLED = """
import os, sys
from pathlib import Path
from vetset.storage.commit import fresh_folder
with fresh_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_bytes(b"content")
    os._exit(9)
"""


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert [entry.name.endswith(PARTIAL) for entry in tmp_path.iterdir()] == [True]
    build(out)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_what_a_living_run_builds_is_left_alone(tmp_path):
    with fresh_folder(tmp_path / "out") as first:
        fill(first)
        with fresh_folder(tmp_path / "out2") as second:
            fill(second)
        with pytest.raises(ZeroDivisionError):
            build(tmp_path / "out", give_up)
        assert (first / "sub" / "file").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "out2"]


def test_other_peoples_partial_folders_are_left_alone(tmp_path):
    names = [f"out2.01234567{PARTIAL}", f"other.01234567{PARTIAL}", f"out.zz{PARTIAL}"]
    for name in names:
        (tmp_path / name).mkdir()
    build(tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([*names, "out"])


def test_a_folder_that_another_run_takes_for_abandoned_is_begun_again(tmp_path, monkeypatch):
    """Another run may look for abandoned folders between the making of a folder and its lock."""
    others, lock, out = [], module._locked, tmp_path / "out"

    def late(folder):
        if not others:
            others.append(lock(folder))
        return lock(folder)

    monkeypatch.setattr(module, "_locked", late)
    with fresh_folder(out) as folder:
        fill(folder)
        os.close(others[0][0])
        module._clear_abandoned(out)  # what a third run does first
        (folder / "more").write_bytes(b"content")
    assert sorted(entry.name for entry in out.iterdir()) == ["more", "sub"]


def test_a_folder_that_others_take_every_time_is_an_output_error(tmp_path, monkeypatch):
    lock = module._locked

    def taken(folder):
        lock(folder)
        return lock(folder)

    monkeypatch.setattr(module, "_locked", taken)
    with pytest.raises(OutputError, match="taken away"):
        build(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_another_one_by_now_is_not_published(tmp_path):
    def exchange(folder):
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        (folder / "theirs").write_bytes(b"content")

    with pytest.raises(OutputError, match="taken away"):
        build(tmp_path / "out", exchange)
    assert not (tmp_path / "out").exists()


def test_somebody_elses_half_written_folder_does_not_stand_in_the_way(tmp_path, monkeypatch):
    theirs = tmp_path / f"out.01234567{PARTIAL}"
    theirs.mkdir()
    begin = os.open

    def refuse(path, *how, **more):
        if path == theirs:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return begin(path, *how, **more)

    monkeypatch.setattr(module.os, "open", refuse)
    build(tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", theirs.name]


def test_a_folder_and_what_is_in_it_are_for_their_owner_only_from_the_beginning(tmp_path):
    seen, before = [], os.umask(0o022)
    try:
        build(tmp_path / "out", lambda folder: seen.append(stat.S_IMODE(folder.stat().st_mode)))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in (".", "sub", "sub/file")]
    assert (seen, modes) == ([0o700], [0o700, 0o700, 0o600])
