"""The whole way over what the real img2dataset wrote: a declared digest, and the address of a failed download."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import small
import vetset
from vetset.model.signal import Kind, Reason

FIXTURE = Path(__file__).parents[1] / "fixtures" / "img2dataset"


def rows_of(root):
    return [row for path in sorted(root.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def known(digest_kind, digest, url):
    address = hashlib.sha256(url.encode()).digest()
    return small.hash_list(
        "known", small.entries(digest_kind, [bytes.fromhex(digest)]), small.entries(Kind.URL_SHA256, [address])
    )


@pytest.mark.parametrize("kind", [Kind.MD5, Kind.SHA256])
def test_declared_digest_and_failed_address_are_found_cleaned_and_gone(audit, custodian, tmp_path, kind):
    root = FIXTURE / kind.value
    rows = rows_of(root)
    stored = next(row for row in rows if row["status"] == "success" and row[kind.value])
    failed = next(row for row in rows if row["status"] == "failed_to_download")
    lists = [known(kind, stored[kind.value], failed["url"])]
    audited = audit(root, embeddings=False, lists=lists)
    assert {match.record.key for match in audited.findings.matches} == {stored["key"], failed["key"]}
    coverage = vetset.open_audit(audited.out, custodian).manifest.coverage[Kind.PDQ]
    assert coverage.records == len(rows)
    assert coverage.undecided[Reason.NOT_DOWNLOADED] == sum(row["status"] != "success" for row in rows)

    order = vetset.order(audited.out, custodian, out=tmp_path / "order.json")
    cleaned = vetset.clean(root, order, signer=custodian.public, out=tmp_path / "cleaned", engine=small.HERE)
    kept = [row for row in rows if row["key"] not in {stored["key"], failed["key"]}]
    assert rows_of(cleaned) == kept
    counts = [json.loads(path.read_text()) for path in sorted(cleaned.glob("*_stats.json"))]
    assert sum(count["count"] for count in counts) == len(kept)
    assert sum(count["successes"] for count in counts) == np.sum([row["status"] == "success" for row in kept])
    assert audit(cleaned, embeddings=False, lists=lists, out="again").findings.matches == ()
