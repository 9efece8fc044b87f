"""What is told of records that could not be decided, and the rule that lets them go, through the command line."""

import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import small
from vetset.cli.output import coverage_line
from vetset.dataset.webdataset import pack
from vetset.signal import heif

HEIC = Path(__file__).parents[1] / "fixtures" / "heif" / "odd-sides.heic"
FLAT = small.encoded(np.full((64, 64, 3), 90, np.uint8))


@pytest.fixture
def odd_root(tmp_path):
    root = tmp_path / "odd"
    root.mkdir()
    stored = [*small.images()[:6], FLAT, HEIC.read_bytes()]
    samples = [(small.key(n), {"jpg": data}) for n, data in enumerate(stored)]
    pack(samples, root / "0.tar")
    return root


def audited(vetset, ready, root, *more, out="audit"):
    pub = ready / "keys" / "custodian.pub"
    return vetset("audit", root, "--list", "known", "--seal-to", pub, "--out", ready / out, *more)


def test_shares_stand_beside_the_counts(vetset, ready, odd_root):
    ended = audited(vetset, ready, odd_root)
    assert "pdq        decided 7 (87.5%) of 8, undecided: 1 (12.5%) low_quality" in ended.out
    opened = vetset("open", ready / "audit", "--key", ready / "keys" / "custodian.key")
    assert "coverage pdq        decided 7 (87.5%) of 8, undecided: 1 (12.5%) low_quality" in opened.out


def test_a_dataset_without_records_has_no_shares():
    assert coverage_line("md5", {"records": 0, "decided": 0, "undecided": {}}).split() == [
        "md5", "decided", "0", "of", "0,", "undecided:", "none",
    ]  # fmt: skip


def test_only_where_no_decoder_of_heic_is_installed_it_is_named_beside_unknown_encodings(
    vetset, ready, odd_root, monkeypatch
):
    assert "vetset[heic]" not in audited(vetset, ready, odd_root).out
    usual = odd_root.parent / "usual"
    usual.mkdir()
    pack([(small.key(n), {"jpg": small.images()[n]}) for n in range(4)], usual / "0.tar")
    monkeypatch.setitem(sys.modules, heif.LIBRARY, None)
    heif._library.cache_clear()
    try:
        ended = audited(vetset, ready, odd_root, out="without")
        nothing = audited(vetset, ready, usual, out="nothing")
    finally:
        monkeypatch.undo()
        heif._library.cache_clear()
    assert "1 (12.5%) unknown_encoding" in ended.out
    assert "pip install 'vetset[heic]'" in ended.out
    assert "vetset[heic]" not in nothing.out


def test_the_rule_lets_flat_pictures_go_and_prints_nothing_else(vetset, ready, odd_root):
    (ready / "policy.toml").write_text('[remove]\nundecided = ["low_quality"]\n')
    said = {}
    for name, more in {"kept": (), "gone": ("--policy", ready / "policy.toml")}.items():
        assert audited(vetset, ready, odd_root, *more, out=name).code == 0
        order = ready / f"{name}.order"
        ended = vetset("order", ready / name, "--key", ready / "keys" / "custodian.key", "--out", order)
        said[name] = ended.out.replace(name, "NAME"), ended.err, ended.code
        pub, target = ready / "keys" / "custodian.pub", ready / f"{name}.out"
        assert vetset("clean", odd_root, order, "--signer", pub, "--out", target).code == 0
    assert said["kept"] == said["gone"]
    held = {}
    for name in said:
        with tarfile.open(ready / f"{name}.out" / "0.tar") as archive:
            held[name] = {small.number_of(member) for member in archive.getnames()}
    assert held["kept"] - held["gone"] == {6}
    assert held["gone"] < held["kept"]
