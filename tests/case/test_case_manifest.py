"""run.json: what it says comes back, and what is none is refused."""

import json
from dataclasses import replace

import pytest

from vetset.case.manifest import (
    FailedShard,
    ListUse,
    Manifest,
    RecheckNote,
    Recipient,
    Request,
    ScannedShard,
    manifest_path,
    read_manifest,
    revision_digest,
    write_manifest,
)
from vetset.model.canonical import canonical_json, document_digest, summed
from vetset.model.coverage import Coverage
from vetset.model.dataset import ShardDigest
from vetset.model.errors import OutputError, UsageError
from vetset.model.policy import MatchPolicy, Policy
from vetset.model.selftest import Selftest
from vetset.model.signal import Kind, Reason

REQUEST = Request(
    root="/data",
    format="webdataset",
    dataset_stamp="00",
    mapping={"url": None, "key": "id"},
    policy=Policy(match=MatchPolicy(pdq_radius=30)),
    lists=(ListUse("known", "owner", "benchmark", "terms", "2026-01-01", "unknown", "unknown", "ff"),),
    recipients=(Recipient("custodian", "age1x", "aa"),),
    embeddings="",
    embeddings_stamp="",
    embedder="",
    store="/store",
)
MANIFEST = Manifest(
    REQUEST,
    "0.1.0",
    state="sealed",
    shards=(ScannedShard("0.tar", ShardDigest("ab"), "ab", 10, "part"),),
    failed=(FailedShard("1.tar", "DatasetError"),),
    coverage={Kind.MD5: Coverage(Kind.MD5, 10, 9, {Reason.EMPTY_FILE: 1})},
)


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST


def test_equal_manifests_are_equal_bytes(tmp_path):
    written = []
    for _ in range(2):
        write_manifest(tmp_path, MANIFEST)
        written.append(manifest_path(tmp_path).read_bytes())
    assert written[0] == written[1]
    assert written[0].endswith(b"}\n")


def test_where_there_is_no_audit_that_is_said(tmp_path):
    with pytest.raises(UsageError, match="no audit here"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", "{}", "\xff", '{"format": "vetset-audit", "version": 1}'])
def test_a_damaged_manifest_is_an_output_error(tmp_path, text):
    manifest_path(tmp_path).write_bytes(text.encode("latin-1"))
    with pytest.raises(OutputError):
        read_manifest(tmp_path)


def test_another_version_is_refused(tmp_path):
    document = {**MANIFEST.to_json(), "version": 99}
    manifest_path(tmp_path).write_text(json.dumps(document))
    with pytest.raises(OutputError, match="version"):
        read_manifest(tmp_path)


def test_any_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    data = manifest_path(tmp_path).read_bytes()
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        manifest_path(tmp_path).write_bytes(damaged)
        try:
            found = read_manifest(tmp_path)
        except OutputError:
            continue
        assert (found, found.identity, found.told) == (MANIFEST, MANIFEST.identity, MANIFEST.told), bit


def test_a_manifest_of_before_has_no_digest_of_itself_and_is_read(tmp_path):
    manifest_path(tmp_path).write_text(json.dumps(MANIFEST.to_json()))
    assert read_manifest(tmp_path) == MANIFEST


def without(document, *names):
    return {name: value for name, value in document.items() if name not in names}


OLDER = {
    "of the request": lambda told: told | {"request": without(told["request"], "purpose")},
    "of the policy": lambda told: (
        told | {"request": told["request"] | {"policy": without(told["request"]["policy"], "alarm")}}
    ),
    "of a list": lambda told: (
        told | {"request": told["request"] | {"lists": [without(told["request"]["lists"][0], "share_counts")]}}
    ),
    "of its own": lambda told: without(told, "drift", "audited_on", "rechecks"),
}


@pytest.mark.parametrize("older", OLDER.values(), ids=OLDER.keys())
def test_what_a_later_version_knows_by_default_makes_no_audit_another_one(tmp_path, older):
    """To the version that wrote it, the document was whole; its digests are of that."""
    document = older(MANIFEST.to_json())
    manifest_path(tmp_path).write_bytes(canonical_json(summed(document)))
    found = read_manifest(tmp_path)
    assert found == MANIFEST
    assert found.identity == document_digest([MANIFEST.dataset_digest, document["request"]])
    assert found.told == document_digest(without(document, "state", "rechecks"))
    write_manifest(tmp_path, replace(found, rechecks=(RecheckNote(REQUEST.lists, {}),)))
    again = read_manifest(tmp_path)
    assert (again.identity, again.told, len(again.rechecks)) == (found.identity, found.told, 1)


def test_what_changed_since_it_was_read_is_written(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    write_manifest(tmp_path, replace(read_manifest(tmp_path), unclaimed=7))
    assert read_manifest(tmp_path) == replace(MANIFEST, unclaimed=7)


@pytest.mark.parametrize(
    "change",
    [
        {"coverage": {Kind.MD5: Coverage(Kind.MD5, 10, 8, {Reason.EMPTY_FILE: 2})}},
        {"shards": (ScannedShard("0.tar", ShardDigest("ab"), "ab", 11, "part"),)},
        {"unclaimed": 3}, {"audited_on": "2026-01-02"}, {"vetset": "9.9"}, {"selftest": Selftest(1)}, {"failed": ()},
    ],
)  # fmt: skip
def test_what_it_says_has_a_digest_that_no_recheck_changes(change):
    assert replace(MANIFEST, **change).told != MANIFEST.told
    assert replace(MANIFEST, state="running", rechecks=(RecheckNote(REQUEST.lists, {}),)).told == MANIFEST.told


def test_the_identity_of_a_revision_does_not_hang_on_the_order_of_its_shards():
    assert revision_digest({"a": "1", "b": "2"}) == revision_digest({"b": "2", "a": "1"})
    assert revision_digest({"a": "1", "b": "2"}) != revision_digest({"a": "2", "b": "1"})
