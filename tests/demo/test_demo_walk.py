"""The whole way on real pictures, held against an oracle that is computed from the labels alone.

The oracle knows which record shows which known item because it was planted there. Whether a record can be reached is
computed with hashlib, the plain lines of PDQ and NumPy in double precision over the embedding files; no index, no
store and no stage of vetset takes part.
"""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from vetset.api.auditing import audit
from vetset.api.custody import open_audit
from vetset.demo.build import build_dataset
from vetset.demo.edits import opened
from vetset.demo.lists import write_lists
from vetset.demo.run import found_by, run_demo
from vetset.demo.story import grouped, story
from vetset.engine.local import LocalEngine
from vetset.hashlist.vault.vault import Vault
from vetset.model.errors import OutputError
from vetset.model.policy import Policy, RemovePolicy, ScanPolicy
from vetset.model.signal import Kind
from vetset.signal.pdq import pdq_plain

RECORDS = 2400
DIGEST = {Kind.MD5: hashlib.md5, Kind.SHA1: hashlib.sha1, Kind.SHA256: hashlib.sha256}

FLOOR = {
    "original": 1.0,
    "edit:exact": 1.0,
    "edit:png": 0.85,
    "edit:jpeg_q80": 0.85,
    "edit:jpeg_q30": 0.85,
    "edit:webp_q80": 0.85,
    "edit:resize_half": 0.85,
    "edit:resize_up": 0.85,
    "edit:thumb_128": 0.85,
    "edit:greyscale": 0.75,
    "edit:brightness": 0.85,
    "edit:blur": 0.85,
    "edit:mirror": 0.75,
    "edit:crop_90": 0.75,
    "edit:crop_80": 0.6,
    "edit:rotate_5": 0.6,
    "edit:caption_bar": 0.5,
}
"""Least share of each kind of planted copy that is found; crop_60 has none, and the demonstration says so."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """One demonstration, and what was planted in it."""
    out = tmp_path_factory.mktemp("demo") / "walk"
    result = run_demo(out, records=RECORDS)
    planted = build_dataset(tmp_path_factory.mktemp("again"), records=RECORDS)
    return out, result, planted


def vectors_of(folder):
    """Embeddings by key, float64, of length 1, straight from the files."""
    vectors = {}
    for path in sorted((folder / "img_emb").glob("*.npy")):
        number = path.stem.rpartition("_")[2]
        keys = pq.read_table(folder / "metadata" / f"metadata_{number}.parquet").column("key").to_pylist()
        block = np.load(path, allow_pickle=False).astype(np.float64)
        for key, vector in zip(keys, block, strict=True):
            vectors[key] = vector / np.linalg.norm(vector)
    return vectors


def code_of(image):
    code, quality = pdq_plain(np.asarray(opened(image)))
    return np.unpackbits(np.frombuffer(code, np.uint8)), quality


def evidence_for(record, item):
    """How one record that shows an item can be found by lists alone, and whether that confirms it."""
    listed = set(item.listed)
    same = record.image is not None and any(
        kind in listed and function(record.image).digest() == function(item.original).digest()
        for kind, function in DIGEST.items()
    )
    if same or (record.role == "resized" and Kind.MD5 in listed):  # the resized one declares the original's digest
        return "exact", True
    if Kind.URL_SHA256 in listed and record.role in {"original", "failed"}:
        return "url", False
    if Kind.PDQ in listed and record.role.partition(":")[0] in {"original", "edit", "resized"}:
        (code, quality), (wanted, _) = code_of(record.image), code_of(item.original)
        distance = int(np.count_nonzero(code != wanted))
        if distance <= 31 and quality >= 50:
            return "perceptual", distance <= 20 and quality >= 70
    return None, False


def oracle(planted, vectors, threshold):
    """Key → strongest evidence that must find it, for every record that shows a known item."""
    items = {item.name: item for item in planted.items}
    shown = [record for record in planted.records if record.known]
    told = {record.key: evidence_for(record, items[record.known]) for record in shown}
    reachable = {key: how for key, (how, _) in told.items() if how}
    seeds = np.stack([vectors[key] for key, (_, confirmed) in told.items() if confirmed and key in vectors])
    for key in set(told) - set(reachable):
        # a hair above: whether rounding to float32 passes the threshold is not the oracle's to say
        if key in vectors and (seeds @ vectors[key]).max() >= threshold + 1e-5:
            reachable[key] = "neighbour"
    return reachable


def missing(reachable, findings):
    """What the oracle says must be found, and was not."""
    found = found_by(findings)
    return {key for key in reachable if key not in found}


@pytest.fixture(scope="module")
def reached(walk):
    """What the oracle says, and the audit that was really made."""
    out, _, planted = walk
    findings = open_audit(out / "audit", out / "keys" / "custodian.key").case.findings
    threshold = findings.rounds[0].calibration.threshold
    return oracle(planted, vectors_of(out / "embeddings"), threshold), findings


def test_everything_that_can_be_reached_is_found(reached):
    reachable, findings = reached
    assert missing(reachable, findings) == set()
    assert set(reachable.values()) == {"exact", "url", "perceptual", "neighbour"}


def test_matches_are_exactly_the_planted_ones(walk, reached):
    _, _, planted = walk
    _, findings = reached
    shows = {record.key: record.known for record in planted.records}
    assert all(shows[match.record.key] is not None for match in findings.matches)


@pytest.mark.parametrize("role", sorted(FLOOR))
def test_each_kind_of_copy_keeps_its_floor(walk, role):
    _, result, _ = walk
    row = next(row for row in result.rows if row.role == role)
    assert row.planted >= 3
    assert (row.planted - row.missed) / row.planted >= FLOOR[role]


@pytest.mark.parametrize("gone", [Kind.MD5, Kind.SHA1, Kind.SHA256, Kind.URL_SHA256, Kind.PDQ, Kind.EMBEDDING])
def test_without_any_one_signal_the_check_fails(walk, reached, gone, tmp_path, monkeypatch):
    out, _, _ = walk
    reachable, _ = reached
    monkeypatch.setenv("VETSET_HOME", str(out / "home"))
    kinds = tuple(kind for kind in ScanPolicy().kinds if kind is not gone)
    audit(
        out / "dataset",
        lists=["known"],
        seal_to=[out / "keys" / "custodian.pub"],
        out=tmp_path / "audit",
        policy=Policy(scan=ScanPolicy(kinds=kinds), remove=RemovePolicy(copies=False)),
        embeddings=None if gone is Kind.EMBEDDING else out / "embeddings",
        engine=LocalEngine(0),
    )
    findings = open_audit(tmp_path / "audit", out / "keys" / "custodian.key").case.findings
    # neighbours stand in for digests where they can, so take what each signal alone must bring
    direct = {key: how for key, how in reachable.items() if how != "neighbour" or gone is Kind.EMBEDDING}
    found = found_by(findings)
    assert any(found.get(key) != how for key, how in direct.items())


def test_the_cleaned_dataset_matches_nothing_and_one_item_put_back_is_found(walk):
    _, result, _ = walk
    assert result.again == 0
    found, replaced = result.planted_again
    assert found == (replaced,)


def test_everything_confirmed_is_gone_and_every_distractor_stays(walk):
    out, _, planted = walk
    kept = set(pq.read_table(out / "keep" / "keep.parquet").column("key").to_pylist())
    findings = open_audit(out / "audit", out / "keys" / "custodian.key").case.findings
    gone = {record.key for record in planted.records} - kept
    assert {match.record.key for match in findings.matches} <= gone
    assert {verdict.record.key for verdict in findings.verdicts if verdict.decision == "known"} <= gone
    assert all(record.known is not None for record in planted.records if record.key in gone)


def test_the_story_says_what_was_missed(walk):
    _, result, _ = walk
    told = story(result)
    together = next(line.split() for line in told.splitlines() if line.startswith("  together"))
    assert together[-2:] == [str(sum(row.missed for row in result.rows)), str(sum(row.removed for row in result.rows))]
    assert "cropped to 60 %" in told
    assert sum(row.planted for row in grouped(result.rows)) == sum(row.planted for row in result.rows)
    json.dumps(result.to_json())


def test_a_taken_folder_is_refused(walk):
    out, _, _ = walk
    with pytest.raises(OutputError):
        run_demo(out)


def test_the_oracle_notices_a_lost_finding(reached):
    reachable, findings = reached
    fewer = replace(findings, matches=findings.matches[1:], candidates=())
    assert missing(reachable, fewer)


def test_lists_hold_no_value_of_a_distractor(walk, tmp_path, monkeypatch):
    out, _, planted = walk
    monkeypatch.setenv("VETSET_HOME", str(out / "home"))
    write_lists(planted, tmp_path)
    entries = Vault(out / "home").load("known").entries[Kind.MD5]
    listed = {row.tobytes() for row in entries.values}
    distractors = [record for record in planted.records if record.known is None and record.image]
    assert not [record.key for record in distractors if hashlib.md5(record.image).digest() in listed]
