"""A disk that is full at any write: an error that says so, nothing half-written, and the same command goes on."""

import errno
import os

import pytest
from fault_case import Places, run_audit, run_clean

import small_dataset
from vetset.api.custody import attest, open_audit, order
from vetset.api.listing import add_list
from vetset.api.setup import keygen
from vetset.case.manifest import read_manifest
from vetset.hashlist.vault.vault import HOME_VARIABLE, Vault, default_home
from vetset.model.errors import OutputError
from vetset.storage.commit import PARTIAL
from vetset.store.store import Store


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        base = tmp_path_factory.mktemp("disk")
        made = Places(base)
        items = small_dataset.build(made.dataset, shards=2, rows=4)
        small_dataset.write_vectors(items, made.embeddings, near={2: 1})
        small_dataset.write_list(base / "list.txt", small_dataset.known_lines(items, [1, 4]))
        add_list(base / "list.txt", name="known", owner="owner", category="benchmark", licence="test")
        keygen("custodian", base / "keys")
        run_audit(made, base / "undisturbed")
        order(base / "undisturbed", made.key, out=made.order)
        yield made


def fails_from(patched, number):
    """From the n-th time on, nothing can be synced; returns how often it was tried."""
    tried = []
    fsync = os.fsync

    def failing(handle):
        tried.append(handle)
        if len(tried) >= number:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    patched.setattr(os, "fsync", failing)
    return tried


def times(monkeypatch, do):
    """How often an undisturbed run syncs."""
    with monkeypatch.context() as patched:
        tried = fails_from(patched, 10**9)
        do()
    return len(tried)


def refused(monkeypatch, number, do):
    with monkeypatch.context() as patched:
        fails_from(patched, number)
        with pytest.raises(OutputError, match="No space left") as caught:
            do()
    assert caught.value.exit_code == 40


def partials(folder):
    return [path.name for path in folder.rglob(f"*{PARTIAL}")]


def test_an_audit_whose_disk_is_full_says_so_leaves_nothing_half_written_and_goes_on(places, tmp_path, monkeypatch):
    syncs = times(monkeypatch, lambda: run_audit(places, tmp_path / "counted"))
    expected = open_audit(places.base / "undisturbed", places.key).case.findings.digest
    for number in range(1, syncs + 1):
        out = tmp_path / str(number) / "out"
        refused(monkeypatch, number, lambda out=out: run_audit(places, out))
        assert partials(tmp_path / str(number)) == []
        assert run_audit(places, out).errors == ()
        assert read_manifest(out).state == "sealed"
        assert open_audit(out, places.key).case.findings.digest == expected
        assert Store(out / "store").digest() == Store(places.base / "undisturbed" / "store").digest()


def test_a_cleaning_whose_disk_is_full_leaves_nothing(places, tmp_path, monkeypatch):
    syncs = times(monkeypatch, lambda: run_clean(places, tmp_path / "counted"))
    for number in range(1, syncs + 1):
        folder = tmp_path / str(number)
        refused(monkeypatch, number, lambda folder=folder: run_clean(places, folder / "out"))
        assert [path.name for path in folder.iterdir()] == ([] if number < syncs else ["out"])
        if number < syncs:
            run_clean(places, folder / "out")
        assert [path.name for path in folder.iterdir()] == ["out"]


@pytest.mark.parametrize("write", [order, attest], ids=["order", "attest"])
def test_an_order_or_a_statement_is_whole_or_not_there(places, tmp_path, monkeypatch, write):
    out = places.base / "undisturbed"
    refused(monkeypatch, 1, lambda: write(out, places.key, out=tmp_path / "file"))
    assert list(tmp_path.iterdir()) == []
    assert write(out, places.key, out=tmp_path / "file").stat().st_size > 1000


def test_a_list_that_cannot_be_kept_is_not_kept_by_halves(places, tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    small_dataset.write_list(tmp_path / "list.txt", small_dataset.unrelated_lines(6))

    def add():
        add_list(tmp_path / "list.txt", name="new", owner="owner", category="benchmark", licence="test")

    for number in (1, 2, 1):  # the key, the folder of the key, the list
        refused(monkeypatch, number, add)
        assert Vault(default_home()).names() == []
        assert partials(tmp_path) == []
    add()
    assert Vault(default_home()).names() == ["new"]
