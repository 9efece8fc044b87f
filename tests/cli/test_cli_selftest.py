"""What the commands say of the self-test: a line where it passed, and the exit code of counts where it did not."""

import json

import pytest

from vetset.signal import fingerprint
from vetset.signal.canaries import canaries
from vetset.stage import canary


@pytest.fixture(params=[False, True], ids=["whole", "broken"])
def broken(request, monkeypatch):
    """Whether one bit of every hash is wrong."""
    monkeypatch.setattr(canary, "_passed", {})
    if request.param:
        inner = fingerprint.pdq
        monkeypatch.setattr(fingerprint, "pdq", lambda pixels: (bytes(1) + inner(pixels)[0][1:], inner(pixels)[1]))
    return request.param


def test_audit_prints_a_line_and_ends_by_it(vetset, ready, roots, broken):
    arguments = ("audit", roots / "webdataset", "--list", "known", "--seal-to", ready / "keys" / "custodian.pub")
    ended = vetset(*arguments, "--out", ready / "out")
    assert ended.code == (30 if broken else 0)
    assert f"self-test passed: {'' if broken else len(canaries())}" in ended.out
    assert ("the self-test failed where 2 of 2 shards were scanned" in ended.err) == broken
    again = vetset(*arguments, "--out", ready / "out", "--json")
    assert again.code == ended.code
    tried = json.loads(again.out)["selftest"]
    assert (tried["indexes"], tried["vectors"]) == (4, 0)
    assert (tried["pictures"] == len(canaries())) == (not broken)
    statement = vetset("attest", ready / "out", "--key", ready / "keys" / "custodian.key", "--out", ready / "statement")
    assert statement.code == ended.code
    assert ("Install vetset" in statement.err) == broken


def test_scan_and_match_end_by_it_too(vetset, ready, roots, broken):
    scanned = vetset("scan", roots / "webdataset", "--store", ready / "store", "--json")
    assert scanned.code == (30 if broken else 0)
    assert bool(json.loads(scanned.out)["selftest"]["failed"]) == broken
    arguments = ("match", ready / "store", "--list", "known", "--seal-to", ready / "keys" / "custodian.pub")
    matched = vetset(*arguments, "--out", ready / "out")
    assert matched.code == scanned.code
    assert ("PNG (pdq)" in matched.err) == broken
