"""What becomes of records that could not be decided: kept and counted, unless the policy names their reason."""

import base64
import json
import shutil
import tarfile

import numpy as np
import pytest

import small
import vetset
from vetset.dataset.webdataset import pack
from vetset.model.dataset import Format
from vetset.model.errors import CountError, PolicyError, UsageError
from vetset.model.policy import Policy, RemovePolicy, ScanPolicy
from vetset.model.signal import Kind, Reason
from vetset.stage.order import LEAST_TOKENS

FLAT, CUT, TEXT = 100, 101, 102
ODD = {
    FLAT: small.encoded(np.full((64, 64, 3), 90, np.uint8)),
    CUT: small.images()[4][:-400],
    TEXT: b"not a picture",
    103: small.encoded(np.full((64, 64, 3), 200, np.uint8)),
}
USUAL, DULL = range(8), 6
REASON = {
    DULL: Reason.LOW_QUALITY, FLAT: Reason.LOW_QUALITY, 103: Reason.LOW_QUALITY, CUT: Reason.TRUNCATED,
    TEXT: Reason.UNKNOWN_ENCODING,
}  # fmt: skip
ALL = {*USUAL, *ODD}
FOUND = {0, 1, 3}
FORMATS = (Format.WEBDATASET, Format.FOLDER)


@pytest.fixture(scope="module")
def odd_roots(tmp_path_factory):
    """Eight usual records, and four that PDQ cannot decide, in two formats."""
    base = tmp_path_factory.mktemp("odd")
    stored = {number: small.images()[number] for number in USUAL} | ODD
    (base / "webdataset").mkdir()
    for shard, numbers in enumerate(np.array_split(np.array(sorted(stored)), 2)):
        samples = [
            (small.key(n), {"jpg": stored[n], "json": json.dumps(small.fields(n)).encode()}) for n in numbers.tolist()
        ]
        pack(samples, base / "webdataset" / f"{shard}.tar")
    for number, data in stored.items():
        path = base / "folder" / ("a" if number % 2 else "b") / f"{small.key(number)}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.with_suffix(".json").write_text(json.dumps(small.fields(number)))
    return base


@pytest.fixture
def removed(audit, odd_roots, tmp_path):
    """Audit under a policy, order, clean: the audit, the order and the new revision."""

    def run(form=Format.WEBDATASET, *, out="audit", **remove):
        policy = Policy(remove=RemovePolicy(**remove))
        audited = audit(odd_roots / form.value, embeddings=None, policy=policy, out=out, dataset_format=form)
        order = vetset.order(audited.out, audited.key, out=tmp_path / f"{out}.order")
        target = tmp_path / f"{out}-cleaned"
        return audited, order, vetset.clean(audited.root, order, signer=audited.pub, out=target, engine=small.HERE)

    return run


def numbers_in(root):
    if list(root.glob("*.tar")):
        found = set()
        for path in root.glob("*.tar"):
            with tarfile.open(path) as archive:
                found |= {small.number_of(name) for name in archive.getnames()}
        return found
    return {small.number_of(path.name) for path in root.rglob("*.jpg")}


def tokens(order):
    return json.loads(base64.b64decode(json.loads(order.read_bytes())["payload"]))["tokens"]


@pytest.mark.parametrize("form", FORMATS)
def test_by_default_they_are_kept_and_counted(removed, form):
    audited, order, out = removed(form)
    assert numbers_in(out) == ALL - FOUND
    undecided = audited.summary["coverage"]["pdq"]["undecided"]
    assert undecided == {"low_quality": 3, "truncated": 1, "unknown_encoding": 1}
    assert len(tokens(order)) == LEAST_TOKENS


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "reasons", [("low_quality",), ("truncated", "unknown_encoding"), ("low_quality", "truncated", "unknown_encoding")]
)
def test_those_whose_reason_is_named_go_and_a_new_audit_has_none(removed, audit, form, reasons):
    _, order, out = removed(form, undecided=reasons)
    gone = {number for number, reason in REASON.items() if reason in reasons}
    assert numbers_in(out) == ALL - FOUND - gone
    again = audit(out, embeddings=None, out="again", dataset_format=form).summary["coverage"]["pdq"]
    assert not set(again["undecided"]) & set(reasons)
    assert again["records"] == again["decided"] + sum(again["undecided"].values()) == len(ALL - FOUND - gone)
    assert len(tokens(order)) == LEAST_TOKENS + len(gone)


def test_one_that_nothing_has_removes_nothing(removed):
    _, order, out = removed(undecided=["too_large"])
    assert numbers_in(out) == ALL - FOUND
    assert len(tokens(order)) == LEAST_TOKENS


def test_the_number_of_tokens_does_not_depend_on_findings(audit, odd_roots, tmp_path, monkeypatch):
    # four go for their reasons, three more for findings: one power of two for all would be 8 with them, 4 without
    monkeypatch.setattr("vetset.stage.order.LEAST_TOKENS", 4)
    policy = Policy(remove=RemovePolicy(undecided=("low_quality", "truncated")))
    sizes = []
    for name, used in {"with": small.known(), "without": small.stranger()}.items():
        audited = audit(odd_roots / "webdataset", embeddings=None, policy=policy, out=name, lists=[used])
        sizes.append(len(tokens(vetset.order(audited.out, audited.key, out=tmp_path / f"{name}.order"))))
    assert sizes == [4 + 4, 4 + 4]


def test_a_record_that_is_both_found_and_undecided_goes_under_every_policy(audit, odd_roots, tmp_path):
    known = small.hash_list("known", small.entries(Kind.MD5, [small.md5(ODD[CUT])]))
    for name, reasons in {"keep": (), "remove": ("truncated",)}.items():
        policy = Policy(remove=RemovePolicy(undecided=reasons))
        audited = audit(odd_roots / "webdataset", embeddings=None, policy=policy, out=name, lists=[known])
        order = vetset.order(audited.out, audited.key, out=tmp_path / f"{name}.order")
        out = vetset.clean(audited.root, order, signer=audited.pub, out=tmp_path / f"{name}.out", engine=small.HERE)
        assert numbers_in(out) == ALL - {CUT}


def test_without_the_store_there_is_no_order(audit, odd_roots, tmp_path):
    policy = Policy(remove=RemovePolicy(undecided=("low_quality",)))
    audited = audit(odd_roots / "webdataset", embeddings=None, policy=policy)
    shutil.move(audited.out / "store", tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="no store"):
        vetset.order(audited.out, audited.key, out=tmp_path / "order")
    assert not (tmp_path / "order").exists()
    assert vetset.order(audited.out, audited.key, out=tmp_path / "order", store=tmp_path / "elsewhere").exists()


def test_with_a_damaged_part_of_the_store_there_is_no_order(audit, odd_roots, tmp_path):
    policy = Policy(remove=RemovePolicy(undecided=("low_quality",)))
    audited = audit(odd_roots / "webdataset", embeddings=None, policy=policy)
    part = min((audited.out / "store" / "parts").glob("*.arrow"))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(CountError, match="damaged or missing"):
        vetset.order(audited.out, audited.key, out=tmp_path / "order")
    assert not (tmp_path / "order").exists()


def test_a_store_without_pdq_cannot_be_matched_under_such_a_rule(odd_roots, tmp_path, custodian):
    kinds = Policy(scan=ScanPolicy(kinds=("md5", "sha256")))
    vetset.scan(odd_roots / "webdataset", store=tmp_path / "store", policy=kinds, engine=small.HERE)
    options = {"lists": [small.known()], "seal_to": [custodian.public]}
    rule = Policy(remove=RemovePolicy(undecided=("low_quality",)))
    with pytest.raises(PolicyError, match="pdq"):
        vetset.match(tmp_path / "store", out=tmp_path / "refused", policy=rule, **options)
    assert not (tmp_path / "refused").exists()
    vetset.match(tmp_path / "store", out=tmp_path / "matched", **options)


def test_a_store_without_sha256_cannot_be_matched_under_a_policy_that_removes_copies(odd_roots, tmp_path, custodian):
    kinds = Policy(scan=ScanPolicy(kinds=("md5", "pdq")), remove=RemovePolicy(copies=False))
    vetset.scan(odd_roots / "webdataset", store=tmp_path / "store", policy=kinds, engine=small.HERE)
    options = {"lists": [small.known()], "seal_to": [custodian.public]}
    with pytest.raises(PolicyError, match="sha256"):
        vetset.match(tmp_path / "store", out=tmp_path / "refused", **options)
    assert not (tmp_path / "refused").exists()
    vetset.match(tmp_path / "store", out=tmp_path / "matched", policy=kinds, **options)
    assert vetset.open_audit(tmp_path / "matched", custodian).case.findings.matches


def test_an_order_of_a_scan_that_was_matched_elsewhere_removes_them_too(odd_roots, tmp_path, custodian):
    vetset.scan(odd_roots / "webdataset", store=tmp_path / "store", engine=small.HERE)
    policy = Policy(remove=RemovePolicy(undecided=("truncated",)))
    options = {"seal_to": [custodian.public], "out": tmp_path / "matched", "policy": policy}
    vetset.match(tmp_path / "store", lists=[small.known()], **options)
    order = vetset.order(tmp_path / "matched", custodian, out=tmp_path / "order")
    out = vetset.clean(odd_roots / "webdataset", order, signer=custodian.public, out=tmp_path / "out")
    assert numbers_in(out) == ALL - FOUND - {CUT}
