"""Statements: who signed them, what they speak of, what stays sealed, and when there is none."""

import base64
import json
from dataclasses import replace

import pytest

import older
import small
import vetset
from vetset.model.canonical import canonical_json
from vetset.model.coverage import Coverage
from vetset.model.dataset import Format
from vetset.model.errors import (
    CountError,
    DatasetError,
    KeyFileError,
    OutputError,
    SealError,
    SignatureError,
    UsageError,
)
from vetset.model.signal import Kind, Reason
from vetset.seal.signature import sign
from vetset.seal.statement import PAYLOAD_TYPE
from vetset.stage.attest import PREDICATE_TYPE, claims


@pytest.fixture
def attested(audit, tmp_path):
    def make(*, out="audit", **options):
        audited = audit(out=out, **options)
        return audited, vetset.attest(audited.out, audited.key, out=tmp_path / f"{out}.statement")

    return make


def payload(statement):
    return json.loads(base64.b64decode(json.loads(statement.read_bytes())["payload"]))


def checked(audited, statement, **options):
    return vetset.check(statement, signer=audited.pub, engine=small.HERE, **options)


@pytest.mark.parametrize("form", list(Format))
def test_a_statement_agrees_with_the_dataset_it_was_made_of(attested, form):
    audited, statement = attested(form=form)
    assert checked(audited, statement, dataset=audited.root).predicate["records"] == 24


def test_claims_are_sealed_and_a_recipient_opens_them(attested):
    audited, statement = attested()
    assert checked(audited, statement).result is None
    told = checked(audited, statement, key=audited.key).result["claims"]
    assert "2 records match list known as of 2026-01-01 over 24 of 24 records by md5; 0 undecided" in told


def test_a_claim_without_a_match_says_how_much_was_decided_and_never_clean(attested):
    audited, statement = attested(lists=[small.stranger()])
    told = checked(audited, statement, key=audited.key).result["claims"]
    assert "no match against list known as of 2026-01-01 over 24 of 24 records by sha256; 0 undecided" in told
    assert not any("clean" in claim for claim in told)


def test_somebody_else_cannot_open_the_claims(attested, someone):
    audited, statement = attested()
    with pytest.raises(KeyFileError):
        checked(audited, statement, key=someone)


def test_statements_with_and_without_findings_look_alike(attested):
    shown = []
    for out, lists in (("with", [small.known()]), ("without", [small.stranger()])):
        audited, statement = attested(out=out, lists=lists)
        if out == "with":
            vetset.verify(audited.out, audited.key, with_list=small.second())
            statement = vetset.attest(audited.out, audited.key, out=statement.with_name("later.statement"))
        document = payload(statement)
        predicate = document["predicate"]
        sizes = statement.stat().st_size, len(predicate.pop("sealed_result"))
        assert len(predicate.pop("case_head")) == 64
        shown.append((sizes, document))
    assert shown[0] == shown[1]


def test_it_is_an_in_toto_statement_over_every_shard(attested):
    _, statement = attested()
    document = payload(statement)
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == PREDICATE_TYPE
    assert [subject["name"] for subject in document["subject"]] == ["00000.tar", "00001.tar"]


@pytest.mark.parametrize("change", ["altered", "missing", "added"])
def test_a_dataset_that_is_not_the_one_is_refused(attested, tmp_path, change):
    small.write_webdataset(tmp_path / "data")
    audited, statement = attested(root=tmp_path / "data", embeddings=None)
    path = tmp_path / "data" / "00001.tar"
    if change == "altered":
        data = bytearray(path.read_bytes())
        data[1700] ^= 4  # in the first member's content: before it lie three headers
        path.write_bytes(data)
    elif change == "missing":
        path.unlink()
    else:
        (tmp_path / "data" / "00002.tar").write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="not the one that was attested"):
        checked(audited, statement, dataset=tmp_path / "data")


ADDED = {
    "loose pictures": lambda root: (root / "extra.jpg").write_bytes(small.images()[0]),
    "tables of another format": lambda root: small.write_parquet(root / "sub"),
    "a text": lambda root: (root / "notes.txt").write_text("about"),
}


@pytest.mark.parametrize("add", ADDED.values(), ids=ADDED.keys())
def test_a_dataset_to_which_files_were_added_that_nobody_read_is_refused(attested, tmp_path, add):
    root = tmp_path / "data"
    small.write_webdataset(root)
    (root / "README.md").write_text("about")
    audited, statement = attested(root=root, embeddings=None)
    assert checked(audited, statement, dataset=root).unclaimed == 1
    add(root)
    with pytest.raises(DatasetError, match="other files beside its shards") as caught:
        checked(audited, statement, dataset=root)
    assert "extra" not in str(caught.value)


def test_a_dataset_that_lost_a_file_that_nobody_read_is_refused(attested, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    (root / "README.md").write_text("about")
    audited, statement = attested(root=root, embeddings=None)
    (root / "README.md").unlink()
    with pytest.raises(DatasetError, match="other files"):
        checked(audited, statement, dataset=root)


@pytest.mark.parametrize("how", ["audit", "match of its store"])
def test_embeddings_below_the_dataset_and_the_statement_itself_are_no_files_that_were_added(
    audit, custodian, tmp_path, how
):
    root, moved = tmp_path / "data", tmp_path / "moved"
    small.write_webdataset(root)
    small.write_embeddings(root / "deep" / "embeddings", Format.WEBDATASET)
    out = audit(root).out if how == "audit" else tmp_path / "matched"
    if how != "audit":
        store = audit(root).out / "store"
        vetset.match(store, lists=[small.known()], seal_to=[custodian.public], out=out)
    statement = vetset.attest(out, custodian, out=root / "statement.json")
    root.rename(moved)
    found = vetset.check(moved / statement.name, signer=custodian.public, dataset=moved, engine=small.HERE)
    assert found.unclaimed == found.predicate["unclaimed_files"]
    (moved / "deep" / "extra.jpg").write_bytes(small.images()[0])
    with pytest.raises(DatasetError, match="other files"):
        vetset.check(moved / statement.name, signer=custodian.public, dataset=moved, engine=small.HERE)


def test_of_a_statement_of_before_the_other_files_are_not_compared(attested, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    audited, statement = attested(root=root, embeddings=None)
    document = payload(statement)
    del document["predicate"]["embeddings_below"]
    statement.write_bytes(sign(PAYLOAD_TYPE, canonical_json(document), audited.key))
    (root / "README.md").write_text("about")
    assert checked(audited, statement, dataset=root).unclaimed is None


def test_a_dataset_under_a_column_mapping_of_its_own_is_checked_under_it(attested, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path / "mapped"
    root.mkdir()
    pq.write_table(pa.table({"url": ["https://pictures.example/1"], "URL": ["x"]}), root / "a.parquet")
    audited, statement = attested(root=root, embeddings=None, columns=vetset.ColumnMapping(url="URL"))
    assert checked(audited, statement, dataset=root).predicate["records"] == 1


def test_the_wrong_signer_is_refused(attested, someone):
    _, statement = attested()
    with pytest.raises(SignatureError):
        vetset.check(statement, signer=someone.public)


def test_an_altered_statement_is_refused(attested):
    audited, statement = attested()
    envelope = json.loads(statement.read_bytes())
    document = payload(statement)
    document["predicate"]["records"] = 10**6
    envelope["payload"] = base64.b64encode(json.dumps(document).encode()).decode()
    statement.write_text(json.dumps(envelope))
    with pytest.raises(SignatureError):
        checked(audited, statement)


def test_an_order_is_no_statement(audit, tmp_path):
    audited = audit()
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    with pytest.raises(SignatureError):
        checked(audited, order)


def test_no_statement_is_a_usage_error(audit, tmp_path):
    with pytest.raises(UsageError):
        checked(audit(), tmp_path / "nowhere")


def test_a_statement_is_not_overwritten(attested):
    audited, statement = attested()
    with pytest.raises(OutputError):
        vetset.attest(audited.out, audited.key, out=statement)


def test_an_incomplete_audit_is_sealed_but_nothing_can_be_claimed(audit, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    (root / "00001.tar").write_bytes((root / "00001.tar").read_bytes()[:3000])
    audited = audit(root, embeddings=None)
    assert small.found(audited.findings)
    with pytest.raises(CountError) as caught:
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
    assert caught.value.exit_code == 30
    assert not (tmp_path / "statement").exists()


def test_an_unbalanced_audit_is_sealed_but_nothing_can_be_claimed(roots, tmp_path, custodian):
    """The note of a scan says that the reader counted one record more than the store holds."""
    from vetset.model.canonical import canonical_json

    store = tmp_path / "store"
    vetset.scan(roots / "webdataset", store=store, engine=small.HERE)
    (note,) = (store / "scans").glob("*.json")
    document = json.loads(note.read_bytes())
    document.pop("sum")
    document["shards"][0]["records"] += 1
    note.write_bytes(canonical_json(document))
    request = {"lists": [small.known()], "seal_to": [custodian.public], "out": tmp_path / "out"}
    for _ in range(2):  # a second run of the same request says it again
        errors = vetset.match(store, **request).errors
        assert {"coverage", "tally"} <= {word for error in errors for word in error.split()}
    findings = vetset.open_audit(tmp_path / "out", custodian).case.findings
    assert findings.status == "unbalanced"
    assert set(small.found(findings)) == small.MATCHED
    with pytest.raises(CountError):
        vetset.attest(tmp_path / "out", custodian, out=tmp_path / "statement")


def coverage_of_another(document):
    document["coverage"]["pdq"] = {"kind": "pdq", "records": 10**6, "decided": 3, "undecided": {}}


def moved_record(document):
    document["shards"][0]["records"] -= 1
    document["shards"][1]["records"] += 1


EDITED = {
    "the coverage": coverage_of_another,
    "a record of one shard, said to be of another": moved_record,
    "the files of no shard": lambda document: document.update(unclaimed=5),
    "the day": lambda document: document.update(audited_on="2031-01-01"),
    "the version": lambda document: document.update(vetset="9.9"),
    "what was tried": lambda document: document["selftest"].update(pictures=1),
    "a shard that failed": lambda document: document.update(failed=[{"uri": "2.tar", "error": "it did"}]),
}


@pytest.mark.parametrize("edit", EDITED.values(), ids=EDITED.keys())
def test_what_run_json_did_not_say_when_findings_were_sealed_is_neither_signed_nor_opened(audit, tmp_path, edit):
    audited = audit(embeddings=None)
    document = older.run_json(audited.out)
    edit(document)
    older.write_run_json(audited.out, document)
    for command in (vetset.attest, vetset.order):
        with pytest.raises(SealError, match=r"run\.json"):
            command(audited.out, audited.key, out=tmp_path / "signed")
    with pytest.raises(SealError, match=r"run\.json"):
        vetset.open_audit(audited.out, audited.key)
    assert not (tmp_path / "signed").exists()


def test_damage_to_run_json_is_told_as_damage(audit, tmp_path):
    audited = audit(embeddings=None)
    path = audited.out / "run.json"
    path.write_bytes(path.read_bytes().replace(b'"decided":24', b'"decided":34', 1))
    with pytest.raises(OutputError, match="damaged"):
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")


def test_an_audit_of_an_earlier_version_opens_and_orders_but_what_nobody_can_check_is_not_attested(audit, tmp_path):
    audited = older.made_older(audit())
    assert audited.summary["run_json"] == "not stated"
    assert small.found(audited.findings).keys() == small.MATCHED
    vetset.verify(audited.out, audited.key, with_list=small.second())
    vetset.order(audited.out, audited.key, out=tmp_path / "order")
    with pytest.raises(SealError, match="earlier version"):
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
    assert audit(out="anew", store=audited.out / "store").summary["run_json"] == "agrees"


def lacks_a_kind(manifest):
    return replace(manifest, coverage={kind: each for kind, each in manifest.coverage.items() if kind != "sha1"})


def does_not_add_up(manifest):
    return replace(manifest, coverage=manifest.coverage | {Kind.SHA1: Coverage(Kind.SHA1, 24, 23)})


def of_more_records(manifest):
    return replace(manifest, coverage=manifest.coverage | {Kind.SHA1: Coverage(Kind.SHA1, 25, 25)})


def less_decided(manifest):
    coverage = Coverage(Kind.MD5, 24, 20, {Reason.NULL_VALUE: 4})
    return replace(manifest, coverage=manifest.coverage | {Kind.MD5: coverage})


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (lacks_a_kind, "lacks a kind"), (does_not_add_up, "does not add up"), (of_more_records, "not over the records"),
        (less_decided, "tally of md5"),
    ],
)  # fmt: skip
def test_nothing_is_claimed_beside_a_coverage_that(audit, changed, word):
    """… is not that of every kind, does not add up, or says otherwise than the tallies."""
    opened = vetset.open_audit((audited := audit(embeddings=None)).out, audited.key)
    assert claims(opened.case.findings, opened.manifest)
    with pytest.raises(CountError, match=word):
        claims(opened.case.findings, changed(opened.manifest))


def test_a_list_of_a_kind_that_the_policy_leaves_out_decides_nothing_and_is_attested_as_that(attested):
    policy = vetset.Policy.model_validate({"scan": {"kinds": ["md5"]}, "remove": {"copies": False}})
    audited, statement = attested(embeddings=None, policy=policy, lists=[small.known()])
    told = checked(audited, statement, key=audited.key).result["claims"]
    assert any("over 0 of 24 records by sha256; 24 undecided" in claim for claim in told)


def test_a_recheck_is_named_as_it_was_sealed(audit, tmp_path):
    audited = audit(embeddings=None)
    vetset.recheck(audited.out, lists=[small.second()])
    document = older.run_json(audited.out)
    document["rechecks"][0]["coverage"]["md5"]["decided"] = 7
    older.write_run_json(audited.out, document)
    with pytest.raises(SealError, match="names a recheck that is not sealed"):
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
