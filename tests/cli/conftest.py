"""The command line, called in this process: arguments in, exit code and both streams out."""

import sys
from typing import NamedTuple

import pytest

import small
from vetset.cli.app import main
from vetset.engine.local import LocalEngine


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def vetset(monkeypatch, capsys, tmp_path):
    """Run a command line; lists lie in a home of this test, and nothing starts a process."""
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    begin = LocalEngine.__init__
    monkeypatch.setattr(LocalEngine, "__init__", lambda self, _workers=None, **_limits: begin(self, 0))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vetset", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def lists(tmp_path):
    """The lists of the small dataset as files."""
    for name, hash_list in (("known", small.known()), ("second", small.second())):
        lines = [
            f"{kind.value} {value.tobytes().hex()}"
            for kind, entries in hash_list.entries.items()
            for value in entries.values
        ]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def ready(vetset, lists, tmp_path):
    """Keys are made and both lists imported."""
    vetset("keygen", "custodian", "--out", tmp_path / "keys")
    for name in ("known", "second"):
        file, owner = lists / f"{name}.txt", f"owner of {name}"
        told = (
            "--name",
            name,
            "--owner",
            owner,
            "--category",
            "benchmark",
            "--licence",
            "test",
            "--as-of",
            "2026-01-01",
        )
        assert vetset("lists", "add", file, *told).code == 0
    return tmp_path


@pytest.fixture
def audited(vetset, ready, roots):
    """Arguments of an audit that has run."""
    arguments = (
        "audit", roots / "webdataset", "--list", "known", "--seal-to", ready / "keys" / "custodian.pub",
        "--out", ready / "audit", "--embeddings", roots / "webdataset-embeddings",
    )  # fmt: skip
    assert vetset(*arguments).code == 0
    return arguments
