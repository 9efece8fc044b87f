"""Places that cannot be looked at: told as what they were given for, and never as a defect."""

import errno
import os
import shutil
from pathlib import Path

import pytest

import small

LONG = "a" * 300
"""Longer than any name can be: even an administrator, as whom tests may run, cannot look there."""


def calls(place, data):
    """Every command with a name that cannot be one, and the exit code of what it was given for."""
    key, pub = place / "keys" / "custodian.key", place / "keys" / "custodian.pub"
    audit, order, long = place / "audit", place / "order", place / LONG
    to = ("--list", "known", "--seal-to", pub)
    told = ("--name", "x", "--owner", "o", "--category", "other", "--licence", "l")
    return [
        (10, "plan", long),
        (10, "scan", long, "--store", place / "s"),
        (40, "scan", data, "--store", long),
        (40, "scan", data, "--store", long / "s"),
        (2, "scan", data, "--store", place / "s", "--embedder", f"model={long}.onnx"),
        (2, "match", long, *to, "--out", place / "m"),
        (40, "match", audit / "store", *to, "--out", long),
        (10, "audit", long, *to, "--out", place / "a"),
        (40, "audit", data, *to, "--out", long),
        (40, "audit", data, *to, "--out", place / "a", "--store", long),
        (10, "audit", data, *to, "--out", place / "a", "--embeddings", long),
        (13, "audit", data, *to, "--out", place / "a", "--policy", long),
        (20, "audit", data, "--list", "known", "--seal-to", long, "--out", place / "a"),
        (2, "recheck", long),
        (2, "recheck", audit, "--list", "second", "--store", long),
        (2, "open", long, "--key", key),
        (20, "open", audit, "--key", long),
        (2, "verify", long, "--key", key, "--with", "list:second"),
        (2, "verify", audit, "--key", key, "--with", "list:second", "--store", long),
        (2, "expand", audit, "--key", key, "--store", long),
        (2, "copies", audit, "--key", key, "--store", long),
        (40, "order", audit, "--key", key, "--out", long),
        (2, "order", audit, "--key", key, "--out", place / "o", "--store", long),
        (10, "clean", long, order, "--signer", pub, "--out", place / "c"),
        (2, "clean", data, long, "--signer", pub, "--out", place / "c"),
        (40, "clean", data, order, "--signer", pub, "--out", long),
        (10, "clean", data, order, "--signer", pub, "--out", place / "c", "--embeddings", long),
        (40, "attest", audit, "--key", key, "--out", long),
        (2, "check", long, "--signer", pub),
        (40, "keygen", "x", "--out", long),
        (12, "lists", "add", long, *told),
        (12, "lists", "update", "known", long, "--as-of", "2026-02-01"),
        (12, "lists", "benign", long, "--name", "x"),
        (40, "demo", "--out", long),
    ]  # fmt: skip


def test_a_name_that_can_be_none_is_told_by_every_command(vetset, audited, ready, roots):
    vetset("order", ready / "audit", "--key", ready / "keys" / "custodian.key", "--out", ready / "order")
    for code, *call in calls(ready, roots / "webdataset"):
        ended = vetset(*call)
        assert (ended.code, "defect" in ended.err) == (code, False), (call[:2], ended.err)
        assert LONG in ended.err or code in {12, 20}, call  # lists and keys are called by their names


def closed(monkeypatch, *folders):
    """Let the system refuse to say what lies in these folders, as it does where they may not be entered."""
    stat = Path.stat

    def refuse(self, **how):
        if any(folder in self.parents for folder in folders):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/a/name/that/may/be/data")
        return stat(self, **how)

    monkeypatch.setattr(Path, "stat", refuse)


def test_a_dataset_in_a_folder_that_may_not_be_entered(vetset, ready, monkeypatch):
    small.write_webdataset(ready / "deep" / "data")
    closed(monkeypatch, ready / "deep")
    ended = vetset("scan", ready / "deep" / "data", "--store", ready / "store")
    assert ended.code == 10
    assert f"{ready / 'deep' / 'data'}: the place cannot be looked at (Permission denied)" in ended.err
    assert not (ready / "store").exists()


@pytest.mark.parametrize("command", ["open", "recheck"])
def test_an_audit_in_a_folder_that_may_not_be_entered(vetset, audited, ready, monkeypatch, command):
    closed(monkeypatch, ready)
    more = ("--key", ready / "keys" / "custodian.key") if command == "open" else ()
    ended = vetset(command, ready / "audit", *more)
    assert (ended.code, "Permission denied" in ended.err) == (2, True)


def test_an_output_in_a_folder_that_may_not_be_entered(vetset, audited, ready, monkeypatch):
    closed(monkeypatch, ready / "deep")
    for command in ("order", "attest"):
        key = ready / "keys" / "custodian.key"
        ended = vetset(command, ready / "audit", "--key", key, "--out", ready / "deep" / "file")
        assert (ended.code, "Permission denied" in ended.err) == (40, True)


def test_links_that_go_in_a_circle(vetset, ready, roots):
    (ready / "circle").symlink_to(ready / "circle")
    pub = ready / "keys" / "custodian.pub"
    to = ("--list", "known", "--seal-to", pub)
    assert vetset("scan", ready / "circle", "--store", ready / "s").code == 10
    assert vetset("scan", roots / "webdataset", "--store", ready / "circle").code == 40
    assert vetset("audit", roots / "webdataset", *to, "--out", ready / "circle").code == 40
    assert vetset("match", ready / "circle", *to, "--out", ready / "m").code == 2


def test_half_written_files_of_somebody_elses_store_are_passed_over(vetset, audited, ready, monkeypatch):
    left = ready / "audit" / "store" / "parts" / "x.01234567.partial"
    left.write_bytes(b"")
    unlink = Path.unlink

    def refuse(self, **how):
        if self == left:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        unlink(self, **how)

    monkeypatch.setattr(Path, "unlink", refuse)
    pub = ready / "keys" / "custodian.pub"
    ended = vetset("match", ready / "audit" / "store", "--list", "known", "--seal-to", pub, "--out", ready / "m")
    assert (ended.code, left.exists()) == (0, True)


@pytest.mark.parametrize("what", ["store.json", "scans"])
def test_a_store_that_may_not_be_read(vetset, audited, ready, monkeypatch, what):
    place = ready / "audit" / "store"
    read = Path.read_bytes

    def refuse(self):
        if self.is_relative_to(place / what):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    pub = ready / "keys" / "custodian.pub"
    ended = vetset("match", place, "--list", "known", "--seal-to", pub, "--out", ready / "m")
    assert (ended.code, "the store cannot be read (Permission denied)" in ended.err) == (40, True)


@pytest.mark.parametrize("form", ["folder", "webdataset", "parquet", "huggingface"])
def test_names_that_are_no_text_are_names(vetset, ready, roots, form):
    """The whole way, where dataset and all that is written lie in a folder whose name is not UTF-8."""
    place = ready / os.fsdecode(b"\xff")
    key, pub = ready / "keys" / "custodian.key", ready / "keys" / "custodian.pub"
    to = ("--list", "known", "--seal-to", pub)
    for what in (form, f"{form}-embeddings"):
        shutil.copytree(roots / what, place / what)
    data, signed = place / form, (place / "order", "--signer", pub)
    for call in (
        ("plan", data),
        ("scan", data, "--store", place / "store"),
        ("match", place / "store", *to, "--out", place / "matched"),
        ("audit", data, *to, "--out", place / "audit", "--embeddings", place / f"{form}-embeddings"),
        ("recheck", place / "audit", "--list", "second"),
        ("expand", place / "audit", "--key", key),
        ("order", place / "audit", "--key", key, "--out", place / "order"),
        ("clean", data, *signed, "--out", place / "cleaned"),
        ("clean", data, *signed, "--out", place / "keep", "--keep-list"),
        ("attest", place / "audit", "--key", key, "--out", place / "statement"),
        ("check", place / "statement", "--signer", pub, "--dataset", data),
    ):
        ended = vetset(*call)
        assert ended.code == 0, (call[0], ended.err)
