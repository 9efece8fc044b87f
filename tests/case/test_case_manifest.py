"""run.json: what it says comes back, and what is none is refused."""

import json

import pytest

from vetset.case.manifest import (
    FailedShard,
    ListUse,
    Manifest,
    Recipient,
    Request,
    ScannedShard,
    manifest_path,
    read_manifest,
    revision_digest,
    write_manifest,
)
from vetset.model.coverage import Coverage
from vetset.model.dataset import ShardDigest
from vetset.model.errors import OutputError, UsageError
from vetset.model.policy import MatchPolicy, Policy
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


def test_the_identity_of_a_revision_does_not_hang_on_the_order_of_its_shards():
    assert revision_digest({"a": "1", "b": "2"}) == revision_digest({"b": "2", "a": "1"})
    assert revision_digest({"a": "1", "b": "2"}) != revision_digest({"a": "2", "b": "1"})
