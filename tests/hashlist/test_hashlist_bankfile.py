"""A list and its bank are one pair, whatever is damaged and whatever dies when."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vetset.hashlist.vault.vault import Vault
from vetset.model.errors import ListError, OutputError, SealError
from vetset.model.hashlist import Category, Entries, ListInfo
from vetset.model.signal import Kind

INFO = ListInfo("kept", "a test", Category.OTHER, "CC0-1.0")


def entries(first):
    values = np.array([[first] * 16, [first + 1] * 16], np.uint8)
    return {Kind.MD5: Entries(Kind.MD5, values, np.array([b"a", b"b"]), np.zeros(2, np.uint8), np.ones(2, np.uint8))}


OLD, NEW = entries(1), entries(2)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def vault(home):
    return Vault(home)


@pytest.fixture
def kept(vault):
    vault.add(INFO, OLD, bank=b"old bank")
    return vault


def files(home):
    return {path.name: path.read_bytes() for path in (home / "lists").iterdir()}


def banks(home, name="kept"):
    return sorted(path for path in (home / "lists").glob(f"{name}.*.bank"))


def pair(vault):
    return int(vault.load("kept").entries[Kind.MD5].values[0, 0]), bytes(vault.bank("kept"))


def test_a_bank_comes_back_and_lies_beside_its_list(kept, home):
    assert pair(kept) == (1, b"old bank")
    (path,) = banks(home)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"old bank" not in path.read_bytes()
    assert kept.names() == ["kept"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=70_000), max_size=5))
def test_a_bank_may_come_in_pieces(vault, pieces):
    vault.add(INFO, OLD, bank=iter(pieces), replace=True)
    assert vault.bank("kept") == b"".join(pieces)


def test_a_list_without_a_bank_says_so(vault):
    vault.add(INFO, OLD)
    with pytest.raises(ListError, match="kept: no bank"):
        vault.bank("kept")
    with pytest.raises(ListError, match="no list of this name"):
        vault.bank("other")


def test_an_empty_bank_is_a_bank(vault):
    vault.add(INFO, OLD, bank=b"")
    assert vault.bank("kept") == b""


def test_the_same_pair_again_changes_nothing(kept, home):
    before = files(home)
    assert kept.add(INFO, OLD, bank=[b"old", b" bank"]) == kept.load("kept").info
    assert files(home) == before


@pytest.mark.parametrize("bank", [b"another", None])
def test_another_bank_supersedes_only_when_asked_for_and_keeps_the_version(kept, home, bank):
    before, version = files(home), kept.load("kept").info.version
    with pytest.raises(ListError, match="another list has this name"):
        kept.add(INFO, OLD, bank=bank)
    assert files(home) == before
    assert kept.add(INFO, OLD, bank=bank, replace=True).version == version
    assert len(banks(home)) == (bank is not None)


def test_an_older_bank_is_removed_with_its_list(kept, home):
    kept.add(INFO, NEW, bank=b"new bank", replace=True)
    assert len(banks(home)) == 1
    assert pair(kept) == (2, b"new bank")
    kept.remove("kept")
    assert files(home) == {}


def test_lists_of_similar_names_keep_their_own(vault):
    names = ["a", "a.b", "a.0123456789abcdef", "a.bank", "a.0123456789abcdef.bank"]
    for name in names:
        vault.add(replace(INFO, name=name), OLD, bank=name.encode())
    vault.add(replace(INFO, name="a"), OLD, bank=b"other", replace=True)
    assert [bytes(vault.bank(name)) for name in names] == [b"other", *(name.encode() for name in names[1:])]
    for name in names:
        vault.remove(name)
    assert vault.names() == []


def test_file_names_do_not_tell_that_two_banks_are_alike(kept, home):
    kept.add(replace(INFO, name="other"), NEW, bank=b"old bank")
    assert len({path.name.split(".")[1] for path in banks(home, "*")}) == 2


# damage


def test_every_flipped_byte_of_a_bank_is_noticed_and_the_list_still_opens(kept, home):
    (path,) = banks(home)
    whole = path.read_bytes()
    for place in range(0, len(whole), 13):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(SealError, match=r"^kept:"):
            kept.bank("kept")
    assert len(kept.load("kept").entries) == 1


def test_an_older_bank_in_its_place_is_noticed(kept, home):
    (old,) = banks(home)
    content = old.read_bytes()
    kept.add(INFO, OLD, bank=b"new bank", replace=True)
    (new,) = banks(home)
    new.write_bytes(content)
    with pytest.raises(SealError, match="another bank"):
        kept.bank("kept")


def test_another_lists_bank_in_its_place_is_noticed(kept, home):
    kept.add(replace(INFO, name="other"), NEW, bank=b"other bank")
    (mine,), (other,) = banks(home), banks(home, "other")
    mine.write_bytes(other.read_bytes())
    with pytest.raises(SealError, match="another bank"):
        kept.bank("kept")


def test_a_bank_that_is_gone_is_noticed(kept, home):
    (path,) = banks(home)
    path.unlink()
    with pytest.raises(SealError, match=r"^kept: the bank of this list is gone"):
        kept.bank("kept")


def test_a_bank_that_was_superseded_while_it_was_looked_for_is_found(kept, monkeypatch):
    real = Vault._read

    def overtaken(vault, name, key):
        found = real(vault, name, key)
        monkeypatch.setattr(Vault, "_read", real)
        vault.add(INFO, NEW, bank=b"new bank", replace=True)
        return found

    monkeypatch.setattr(Vault, "_read", overtaken)
    assert kept.bank("kept") == b"new bank"


def test_a_bank_that_cannot_be_read_is_a_list_error(kept, home):
    (path,) = banks(home)
    path.unlink()
    path.mkdir()
    with pytest.raises(ListError, match="cannot be read"):
        kept.bank("kept")


# interrupted writing


class BankError(Exception):
    pass


def test_what_the_pieces_raise_is_raised_and_leaves_the_old_pair(kept, home):
    before = files(home)

    def broken():
        yield b"new"
        raise BankError("of the caller")

    with pytest.raises(BankError, match="of the caller"):
        kept.add(INFO, NEW, bank=broken(), replace=True)
    assert files(home) == before


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def after(calls, real):
    left = [calls]

    def call(*arguments):
        left[0] -= 1
        return no_space() if left[0] < 0 else real(*arguments)

    return call


@pytest.mark.parametrize("written", [0, 1, 100, 1_300, 2_000])
def test_a_disk_that_fills_up_while_writing_leaves_the_old_pair_and_nothing_else(kept, home, written):
    before = files(home)
    script = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({written}, {written}))\n" + ADDING
    done = subprocess.run([sys.executable, "-c", script, str(home), "NEVER", "0"], check=False, capture_output=True)
    assert b"OutputError" in done.stderr
    assert files(home) == before
    assert pair(kept) == (1, b"old bank")


@pytest.mark.parametrize("calls", [0, 1])
def test_a_full_disk_at_the_first_syncs_leaves_nothing_behind(kept, home, monkeypatch, calls):
    before = files(home)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", after(calls, os.fsync))
        with pytest.raises(OutputError, match="No space left"):
            kept.add(INFO, NEW, bank=b"new bank", replace=True)
    assert files(home) == before


@pytest.mark.parametrize("calls", range(8))
def test_a_full_disk_at_any_sync_leaves_one_pair_or_the_other(kept, monkeypatch, calls):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", after(calls, os.fsync))
        try:
            kept.add(INFO, NEW, bank=b"new bank", replace=True)
        except OutputError as error:
            assert "No space left" in str(error)  # noqa: PT017 — some of these calls come to their end
    assert pair(kept) in {(1, b"old bank"), (2, b"new bank")}


ADDING = """
import os, signal, sys
import numpy as np
from pathlib import Path
from vetset.hashlist.vault.vault import Vault
from vetset.model.hashlist import Category, Entries, ListInfo
from vetset.model.signal import Kind

left = int(sys.argv[3])

def dies(name, real):
    def call(*arguments, **more):
        global left
        if sys.argv[2] == name:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)
    return call

os.fsync = dies("fsync", os.fsync)
Path.replace, Path.unlink = dies("replace", Path.replace), dies("unlink", Path.unlink)
values = np.array([[2] * 16, [3] * 16], np.uint8)
new = Entries(Kind.MD5, values, np.array([b"a", b"b"]), np.zeros(2, np.uint8), np.ones(2, np.uint8))
info = ListInfo("kept", "a test", Category.OTHER, "CC0-1.0")
Vault(Path(sys.argv[1])).add(info, {Kind.MD5: new}, replace=True, bank=[b"new", b" bank"])
"""


@pytest.mark.parametrize(
    ("call", "number", "found"),
    [
        ("fsync", 0, (1, b"old bank")),  # of the list, still under a temporary name
        ("fsync", 1, (1, b"old bank")),  # of the bank
        ("replace", 0, (1, b"old bank")),  # the bank is about to get its name
        ("fsync", 2, (1, b"old bank")),  # it has it
        ("fsync", 3, (1, b"old bank")),
        ("replace", 1, (1, b"old bank")),  # the list is about to get its name
        ("fsync", 4, (2, b"new bank")),  # it has it
        ("unlink", 0, (2, b"new bank")),  # temporary names are cleared
        ("unlink", 1, (2, b"new bank")),
        ("unlink", 2, (2, b"new bank")),  # the old bank is about to be removed
    ],
)
def test_whenever_it_is_killed_there_is_one_pair_and_the_next_import_clears_the_rest(kept, home, call, number, found):
    command = [sys.executable, "-c", ADDING, str(home), call, str(number)]
    killed = subprocess.run(command, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert pair(kept) == found
    assert kept.names() == ["kept"]
    kept.add(INFO, entries(4), bank=b"newest", replace=True)
    assert pair(kept) == (4, b"newest")
    assert len(files(home)) == 2


@pytest.mark.parametrize(("call", "calls"), [("fsync", 5), ("replace", 2), ("unlink", 3)])
def test_an_import_makes_no_more_of_these_calls_than_it_was_killed_at(kept, home, call, calls):
    subprocess.run([sys.executable, "-c", ADDING, str(home), call, str(calls)], check=True)
    assert pair(kept) == (2, b"new bank")
    assert len(files(home)) == 2


def test_what_a_killed_first_import_left_is_cleared_by_the_import_of_any_list(vault, home):
    vault.add(replace(INFO, name="other"), OLD, bank=b"other")
    killed = subprocess.run([sys.executable, "-c", ADDING, str(home), "replace", "1"], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert vault.names() == ["other"]
    assert len(banks(home)) == 1
    vault.add(replace(INFO, name="third"), OLD)
    assert banks(home) == []
    assert vault.bank("other") == b"other"


def test_a_removal_that_was_killed_is_finished_by_the_next_import(kept, home):
    (home / "lists" / "kept.list").unlink()
    kept.add(replace(INFO, name="other"), OLD)
    assert set(files(home)) == {"other.list"}


def test_what_is_no_bank_of_ours_is_left_alone(kept, home):
    (home / "lists" / "notes.bank").write_bytes(b"")
    kept.add(INFO, NEW, replace=True)
    assert set(files(home)) == {"kept.list", "notes.bank"}


def test_what_was_made_of_another_state_is_not_kept(kept):
    assert kept.state("other") == ""
    before = kept.state("kept")
    assert before == kept.state("kept") != ""
    kept.add(INFO, OLD, bank=b"their bank", replace=True)
    with pytest.raises(ListError, match="changed by somebody else"):
        kept.add(INFO, NEW, bank=b"my bank", replace=True, since=before)
    assert pair(kept) == (1, b"their bank")
    kept.add(INFO, NEW, bank=b"my bank", replace=True, since=kept.state("kept"))
    assert pair(kept) == (2, b"my bank")
    before = kept.state("kept")
    kept.remove("kept")
    with pytest.raises(ListError, match="changed by somebody else"):
        kept.add(INFO, OLD, bank=b"my bank", replace=True, since=before)
    assert kept.names() == []
