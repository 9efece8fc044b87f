"""Rechecks: what folding makes of them, against audits that held the same lists from the beginning."""

import errno
import hashlib
import os
import shutil
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import older
import small
import vetset
from vetset.case.findings import RecheckPart, fold, trust_of
from vetset.case.manifest import read_manifest
from vetset.model.errors import CountError, ListError, OutputError, SealError, UsageError
from vetset.model.hashlist import Category, EntryFlag
from vetset.model.policy import Policy, RemovePolicy
from vetset.model.signal import Kind, Signal
from vetset.stage.attest import claims
from vetset.stage.order import to_remove
from vetset.stage.verify import open_questions
from vetset.store.store import Store

KINDS = (Kind.MD5, Kind.SHA256, Kind.URL_SHA256, Kind.PDQ)


def version(name, *parts, as_of="2026-01-01"):
    """A list whose version says what it holds, as a vault's does."""
    made = small.hash_list(name, *parts, as_of=as_of)
    content = [(part.kind, part.values.tobytes(), part.flags.tobytes(), part.ids.tobytes()) for part in parts]
    return replace(made, info=replace(made.info, version=hashlib.sha256(repr((content, as_of)).encode()).hexdigest()))


@cache
def value(kind, number):
    """What a list that knows this record says of it; nothing true where the picture is too flat for a PDQ."""
    image = small.images()[number]
    if kind is Kind.URL_SHA256:
        return small.sha256(small.url(number).encode())
    (signal,) = vetset.fingerprint(image, kinds=(kind.value,))
    return signal.value if isinstance(signal, Signal) else bytes([number]) * kind.width


def of_records(name, numbers, *, kinds=KINDS, flags=None, as_of="2026-01-01"):
    """A list that knows these records by these kinds; with nothing of the dataset beside."""
    parts = []
    for kind in kinds:
        marks = {hashlib.sha512(bytes([len(kind)])).digest()[: kind.width]: ("stranger", EntryFlag.NONE)}
        for number in numbers:
            marks[value(kind, number)] = (f"id-{number}", (flags or {}).get(number, EntryFlag.NONE))
        ids, states = [mark[0] for mark in marks.values()], [mark[1] for mark in marks.values()]
        parts.append(small.entries(kind, list(marks), ids, states))
    return version(name, *parts, as_of=as_of)


@st.composite
def drawn_list(draw, name):
    numbers = draw(st.lists(st.integers(0, small.COUNT - 1), unique=True, max_size=6))
    kinds = draw(st.lists(st.sampled_from(KINDS), unique=True, min_size=1))
    flagged = draw(st.lists(st.sampled_from(numbers), unique=True)) if numbers else []
    return of_records(name, numbers, kinds=kinds, flags=dict.fromkeys(flagged, EntryFlag.DISPUTED))


@pytest.fixture(scope="module")
def scanned(roots, tmp_path_factory):
    store = tmp_path_factory.mktemp("scanned") / "store"
    vetset.scan(roots / "webdataset", store=store, engine=small.HERE)
    return store


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_folded_is_what_one_audit_with_the_lists_in_force_would_be(scanned, custodian, tmp_path_factory, data):
    base = tmp_path_factory.mktemp("folded")
    in_force = {name: data.draw(drawn_list(name)) for name in data.draw(st.sampled_from([("a",), ("a", "b")]))}
    vetset.match(scanned, lists=list(in_force.values()), seal_to=[custodian.public], out=base / "folded")
    for _ in range(data.draw(st.integers(1, 3))):
        names = data.draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1))
        newer = {name: data.draw(drawn_list(name)) for name in names}
        vetset.recheck(base / "folded", lists=list(newer.values()))
        in_force |= newer
    vetset.match(scanned, lists=list(in_force.values()), seal_to=[custodian.public], out=base / "whole")
    folded, whole = (vetset.open_audit(base / name, custodian) for name in ("folded", "whole"))
    one, other = folded.case.findings, whole.case.findings
    for part in ("matches", "tallies", "provenance", "status"):
        # every shard was read again, so that provenance may be checked where `match` had no dataset
        left, right = getattr(one, part), getattr(other, part)
        if part == "provenance":
            left, right = ([entry.record for entry in entries] for entries in (left, right))
        assert left == right, part
    assert claims(one, folded.manifest) == claims(other, whole.manifest)
    trust = trust_of(one, folded.manifest)
    with Store(scanned) as store:
        from vetset.stage.audit import record_table

        table = record_table(store, whole.manifest)
        assert to_remove(one, table, trust) == to_remove(other, table, trust)
    assert [used.version for used in folded.manifest.lists] == [used.version for used in whole.manifest.lists]


@pytest.fixture
def rechecked(audit):
    """Audit with a list of these records, then recheck with another version of it."""

    def run(before, after, *, flags=None, **options):
        audited = audit(lists=[of_records("known", before)], **options)
        result = vetset.recheck(audited.out, lists=[of_records("known", after, flags=flags, as_of="2026-02-01")])
        return audited, result

    return run


def test_what_is_new_withdrawn_and_flagged_is_told_to_the_custodian_alone(rechecked):
    audited, _ = rechecked([1, 8, 9], [1, 9, 10], flags={9: EntryFlag.QUARANTINED}, embeddings=None)
    (change,) = audited.summary["rechecks"]
    assert (change["new"], change["withdrawn"], change["flagged"]) == (1, 1, 1)
    assert set(small.found(audited.findings)) == {1, 20, 9, 10}  # 20 stores the bytes of 1
    assert audited.summary["lists"][0]["as_of"] == "2026-02-01"


def test_a_recheck_needs_no_key_reads_no_shard_and_leaves_the_store_as_it_was(audit, monkeypatch, roots):
    audited = audit(lists=[of_records("known", [1])])
    before = small.tree(audited.out / "store")

    def forbidden(*_, **__):
        raise AssertionError

    monkeypatch.setattr("vetset.seal.envelope.unseal", forbidden)
    monkeypatch.setattr("vetset.case.ledger.unseal", forbidden)
    monkeypatch.setattr("vetset.signal.fingerprint.fingerprint", forbidden)
    monkeypatch.setattr("vetset.stage.scan.scan_shard", forbidden)
    vetset.recheck(audited.out, lists=[of_records("known", [])])
    assert small.tree(audited.out / "store") == before


def test_new_matches_carry_address_and_columns_read_again(rechecked):
    audited, _ = rechecked([], [4], embeddings=None)
    (entry,) = audited.findings.provenance
    assert (entry.checked, entry.url) == (True, small.url(4))
    assert small.caption(4) in entry.columns


def test_without_the_dataset_new_matches_are_sealed_unchecked_and_old_provenance_stays(audit, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    audited = audit(root, embeddings=None, lists=[of_records("known", [8])])
    shutil.rmtree(root)
    vetset.recheck(audited.out, lists=[of_records("known", [8, 9])])
    checked = {small.number_of(entry.record.key): entry.checked for entry in audited.findings.provenance}
    assert checked == {8: True, 9: False}


def test_what_was_unchecked_for_want_of_the_dataset_is_checked_once_it_is_there(scanned, custodian, tmp_path):
    vetset.match(scanned, lists=[of_records("known", [8])], seal_to=[custodian.public], out=tmp_path / "out")
    before = vetset.open_audit(tmp_path / "out", custodian).case.findings.provenance
    vetset.recheck(tmp_path / "out", lists=[of_records("known", [8], as_of="2026-02-01")])
    after = vetset.open_audit(tmp_path / "out", custodian).case.findings.provenance
    assert ([entry.checked for entry in before], [entry.checked for entry in after]) == ([False], [True])
    assert ([entry.asked for entry in before], [entry.asked for entry in after]) == ([False], [True])
    assert [entry.url for entry in after] == [small.url(8)]


def test_a_recheck_of_an_audit_with_a_failed_shard_is_sealed_and_stays_incomplete(audit, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    (root / "00001.tar").write_bytes((root / "00001.tar").read_bytes()[:3000])
    audited = audit(root, embeddings=None, lists=[of_records("known", [8])])
    result = vetset.recheck(audited.out, lists=[of_records("known", [9], as_of="2026-02-01")])
    (told,) = result.errors
    assert told.startswith("00001.tar: byte ")
    assert "the archive is truncated" in told
    assert (set(small.found(audited.findings)), audited.findings.status) == ({9}, "incomplete")
    with pytest.raises(CountError):
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")


def test_a_second_run_in_the_same_folder_waits(rechecked):
    from vetset.storage.commit import alone_in

    audited, _ = rechecked([1], [2])
    with alone_in(audited.out), pytest.raises(UsageError, match="another run"):
        vetset.recheck(audited.out, lists=[of_records("known", [3], as_of="2026-03-01")])


def test_a_full_disk_leaves_the_audit_as_it_was_and_the_same_command_goes_on(audit, monkeypatch):
    audited = audit(lists=[of_records("known", [1])], embeddings=None)
    before, newer = small.tree(audited.out), [of_records("known", [2])]

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OutputError):
            vetset.recheck(audited.out, lists=newer)
    assert small.tree(audited.out) == before
    vetset.recheck(audited.out, lists=newer)
    assert set(small.found(audited.findings)) == {2}


def test_a_list_is_named_once(audit):
    audited = audit(lists=[of_records("known", [1])], embeddings=None)
    with pytest.raises(UsageError, match="named twice"):
        vetset.recheck(audited.out, lists=[of_records("known", [2]), of_records("known", [3])])


def test_a_place_that_holds_something_else_by_now_is_no_dataset(audit, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    audited = audit(root, embeddings=None, lists=[of_records("known", [8])])
    shutil.rmtree(root)
    root.mkdir()
    (root / "notes.txt").write_text("nothing")
    vetset.recheck(audited.out, lists=[of_records("known", [9])])
    assert [entry.checked for entry in audited.findings.provenance] == [False]


def test_a_dataset_that_may_not_be_looked_at_any_more_is_no_dataset(audit, tmp_path, monkeypatch):
    root = tmp_path / "deep" / "data"
    root.parent.mkdir()
    small.write_webdataset(root)
    audited = audit(root, embeddings=None, lists=[of_records("known", [8])])
    seen = Path.stat

    def refuse(self, **how):
        if root.parent in self.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return seen(self, **how)

    monkeypatch.setattr(Path, "stat", refuse)
    vetset.recheck(audited.out, lists=[of_records("known", [9])])
    assert [entry.checked for entry in audited.findings.provenance] == [False]


def test_the_request_stays_and_the_audit_is_still_found_finished(rechecked, audit):
    audited, result = rechecked([1], [2])
    before = small.tree(audited.out)
    assert result.manifest.request == read_manifest(audited.out).request
    audit(lists=[of_records("known", [1])])
    assert small.tree(audited.out) == before


def test_an_audit_with_the_newer_list_in_the_same_folder_is_pointed_to_recheck(audit):
    audit(lists=[of_records("known", [1])])
    with pytest.raises(UsageError, match="vetset recheck"):
        audit(lists=[of_records("known", [2])])


def test_a_list_in_its_version_in_force_adds_nothing(rechecked):
    audited, result = rechecked([1], [2])
    before = small.tree(audited.out)
    again = vetset.recheck(audited.out, lists=[of_records("known", [2], as_of="2026-02-01")])
    assert again.held == ()
    assert again.manifest == result.manifest
    assert small.tree(audited.out) == before


def test_only_what_is_newer_is_held_against_the_store(audit):
    audited = audit(lists=[of_records("known", [1])])
    result = vetset.recheck(audited.out, lists=[of_records("known", [1]), of_records("other", [2])])
    assert [used.name for used in result.held] == ["other"]
    assert [used.name for used in result.manifest.lists] == ["known", "other"]
    assert set(small.found(audited.findings)) == {1, 2, 20}


def test_what_is_public_is_the_same_with_and_without_news(audit):
    shown = []
    for out, numbers in (("with", [2, 3, 4]), ("without", [])):
        audited = audit(out=out, embeddings=None, lists=[of_records("known", [1])])
        result = vetset.recheck(audited.out, lists=[of_records("known", numbers, as_of="2026-02-01")])
        told = older.run_json(audited.out)
        told["request"]["store"] = told["rechecks"][0]["lists"][0]["version"] = ""
        sizes = {name: len(data) for name, data in small.tree(audited.out / "case").items()}
        shown.append((told, sizes, result.errors))
    assert shown[0] == shown[1]
    assert len(set(shown[0][1].values())) == 1, "a recheck is as large as what the audit found"


SIGNED, SERVED = "signed:0123abcd", "service:lists.example"


@pytest.mark.parametrize(
    ("before", "now", "accepted"),
    [
        (SIGNED, "stated", False),
        (SIGNED, "signed:4567", False),
        (SIGNED, SERVED, False),
        (SERVED, "stated", False),
        (SIGNED, SIGNED, True),
        (SERVED, SERVED, True),
        ("stated", SIGNED, True),
    ],
)
def test_what_is_surely_its_owners_is_only_superseded_by_what_is_as_surely(audit, before, now, accepted):
    def of(origin, **about):
        return replace(small.known(), info=replace(small.known().info, origin=origin, **about))

    audited = audit(lists=[of(before)], embeddings=None)
    seen = small.tree(audited.out)
    newer = of(now, as_of="2026-02-01", version="2")
    if accepted:
        vetset.recheck(audited.out, lists=[newer])
        return
    with pytest.raises(ListError, match="same origin"):
        vetset.recheck(audited.out, lists=[newer])
    assert small.tree(audited.out) == seen


def test_only_recipients_of_the_audit_open_a_recheck(rechecked, someone):
    audited, _ = rechecked([1], [2])
    with pytest.raises(vetset.errors.KeyFileError):
        vetset.open_audit(audited.out, someone)


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"owner": "another"}, UsageError, "another list by this name"),
        ({"as_of": "2025-12-31"}, ListError, "older"),
        ({"expires": "2026-01-02"}, ListError, "expired"),
    ],
)
def test_a_list_that_must_not_supersede_is_refused(audit, change, error, word):
    audited = audit(lists=[of_records("known", [1])], embeddings=None)
    before = small.tree(audited.out)
    newer = of_records("known", [2])
    with pytest.raises(error, match=word):
        vetset.recheck(audited.out, lists=[replace(newer, info=replace(newer.info, **change))])
    assert small.tree(audited.out) == before


def test_an_audit_that_is_not_finished_is_refused(audit):
    audited = audit(lists=[of_records("known", [1])], embeddings=None)
    older.write_run_json(audited.out, older.run_json(audited.out) | {"state": "running"})
    with pytest.raises(SealError, match="not finished"):
        vetset.recheck(audited.out, lists=[of_records("known", [2])])


def test_a_store_that_is_gone_is_told_and_not_made_anew(audit, tmp_path):
    audited = audit(lists=[of_records("known", [1])], embeddings=None)
    (audited.out / "store").rename(tmp_path / "elsewhere")
    newer = [of_records("known", [2])]
    with pytest.raises(UsageError, match="there is no store"):
        vetset.recheck(audited.out, lists=newer)
    assert not (audited.out / "store").exists()
    vetset.recheck(audited.out, lists=newer, store=tmp_path / "elsewhere")
    assert set(small.found(audited.findings)) == {2}


def test_a_recheck_that_run_json_names_and_nobody_sealed_is_missed(rechecked):
    audited, _ = rechecked([1], [2])
    (audited.out / "case" / "000002.age").unlink()
    with pytest.raises(SealError, match="names a recheck that is not sealed"):
        vetset.open_audit(audited.out, audited.key)


def test_a_recheck_killed_before_it_was_told_counts_and_can_be_repeated(rechecked, audit):
    audited = audit(lists=[of_records("known", [1])], embeddings=None)
    before = (audited.out / "run.json").read_bytes()
    newer = [of_records("known", [2], as_of="2026-02-01")]
    vetset.recheck(audited.out, lists=newer)
    (audited.out / "run.json").write_bytes(before)
    assert audited.summary["lists"][0]["as_of"] == "2026-02-01"
    assert any("as of 2026-02-01" in claim for claim in claims(audited.findings, read_manifest(audited.out)))
    vetset.recheck(audited.out, lists=newer)
    assert set(small.found(audited.findings)) == {2}
    assert [change["new"] for change in audited.summary["rechecks"]] == [1, 0]


def damage(store):
    """Damage the part of the first shard."""
    with Store(store) as place:
        (note,) = place.scans()
        path = place.part_path(note.shards[0].part)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_damaged_part_takes_nothing_back_refuses_the_claim_and_is_cured_by_scan_and_recheck(audit, roots, tmp_path):
    audited = audit(lists=[of_records("known", [2, 14])], embeddings=None)
    damage(audited.out / "store")
    newer = [of_records("known", [14, 15], as_of="2026-02-01")]
    assert vetset.recheck(audited.out, lists=newer).errors
    # record 2 lies in the shard that could not be read: nothing is known of it, so it is not withdrawn
    assert set(small.found(audited.findings)) == {2, 14, 15}
    assert audited.findings.status == "unbalanced"
    with pytest.raises(CountError, match="nothing can be claimed"):
        vetset.attest(audited.out, audited.key, out=tmp_path / "refused")
    with pytest.raises(CountError, match="no order"):
        vetset.order(audited.out, audited.key, out=tmp_path / "refused")

    vetset.scan(roots / "webdataset", store=audited.out / "store", engine=small.HERE)
    healed = vetset.recheck(audited.out, lists=newer)
    assert ([used.name for used in healed.held], healed.errors) == (["known"], ())
    assert set(small.found(audited.findings)) == {14, 15}
    vetset.attest(audited.out, audited.key, out=tmp_path / "statement")


def test_a_store_that_was_mended_after_the_match_is_rechecked_before_anything_is_ordered(
    roots, scanned, custodian, tmp_path
):
    """Record 2 lies in the shard whose part was damaged: an order without the recheck would leave it."""
    store, out = tmp_path / "store", tmp_path / "out"
    shutil.copytree(scanned, store)
    damage(store)
    lists = [of_records("known", [2, 14])]
    assert vetset.match(store, lists=lists, seal_to=[custodian.public], out=out).errors
    vetset.scan(roots / "webdataset", store=store, engine=small.HERE)
    with pytest.raises(CountError, match="vetset recheck") as caught:
        vetset.order(out, custodian, out=tmp_path / "order")
    assert caught.value.exit_code == 30
    assert not (tmp_path / "order").exists()

    assert vetset.recheck(out, lists=lists).errors == ()
    assert set(small.found(vetset.open_audit(out, custodian).case.findings)) == {2, 14}
    vetset.order(out, custodian, out=tmp_path / "order")


def test_a_statement_names_the_version_in_force(rechecked, tmp_path):
    audited, result = rechecked([1], [2])
    statement = vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
    checked = vetset.check(statement, signer=audited.pub, key=audited.key)
    assert [used["version"] for used in checked.predicate["lists"]] == [result.held[0].version]
    assert {claim.split(" as of ")[1].split()[0] for claim in checked.result["claims"]} == {"2026-02-01"}
    assert [used["name"] for change in checked.predicate["rechecks"] for used in change["lists"]] == ["known"]


def test_an_order_rests_on_the_lists_in_force(rechecked, tmp_path):
    audited, result = rechecked([1, 20], [2], embeddings=None)
    vetset.order(audited.out, audited.key, out=tmp_path / "order")
    vetset.clean(audited.root, tmp_path / "order", signer=audited.pub, out=tmp_path / "clean", engine=small.HERE)
    left = set()
    for path in (tmp_path / "clean").glob("*.tar"):
        with tarfile.open(path) as tar:
            left |= {small.number_of(name) for name in tar.getnames()}
    assert left == set(range(small.COUNT)) - {2}
    signed = vetset.stage.order.checked_order((tmp_path / "order").read_bytes(), audited.pub)
    assert signed.lists == (f"known as of 2026-02-01, version {result.held[0].version}",)


def test_candidates_of_a_withdrawn_seed_lapse_and_come_back_with_it(audit):
    audited = audit()
    trust = small.trust("known", policy=Policy(remove=RemovePolicy(undecided_candidates=True)))
    assert small.candidates(audited.findings) == small.CANDIDATES
    vetset.recheck(audited.out, lists=[of_records("known", [1], as_of="2026-02-01")])
    findings = audited.findings
    assert {small.number_of(record.key) for record in findings.lapsed(trust)} == set(small.CANDIDATES)
    assert open_questions(findings, "list:second", trust) == []
    assert audited.summary["candidates"]["lapsed"] == 2
    with Store(audited.out / "store") as store:
        table = vetset.stage.audit.record_table(store, read_manifest(audited.out))
        removed = {small.number_of(record.key) for record in to_remove(findings, table, trust)}
    assert removed == {1, 20}
    vetset.recheck(audited.out, lists=[replace(small.known(), info=replace(small.known().info, as_of="2026-03-01"))])
    assert audited.findings.lapsed(trust) == frozenset()


def test_what_a_verifier_confirmed_stands_whatever_becomes_of_its_seed(audit):
    audited = audit()
    vetset.verify(audited.out, audited.key, with_list=small.second())
    vetset.recheck(audited.out, lists=[of_records("known", [1], as_of="2026-02-01")])
    assert audited.findings.lapsed(small.trust("known")) == frozenset()


def test_a_lapsed_candidate_near_another_seed_is_found_again(audit):
    """Record 5 lies near 0 and near 21: after 0 was withdrawn, 21 brings it."""
    audited = audit(lists=[of_records("known", [0, 21], kinds=[Kind.SHA256])])
    seeds = {small.number_of(item.seed.key) for item in audited.findings.candidates}
    (seed,) = seeds & {0, 21}
    (other,) = {0, 21} - {seed}
    vetset.recheck(audited.out, lists=[of_records("known", [other], kinds=[Kind.SHA256], as_of="2026-02-01")])
    assert audited.summary["candidates"]["lapsed"] == 2
    vetset.expand(audited.out, audited.key)
    findings = audited.findings
    again = {small.number_of(item.record.key): small.number_of(item.seed.key) for item in findings.candidates}
    assert again == {5: other, 22: other} | ({seed: other} if seed in again else {})
    assert findings.lapsed(small.trust("known")) == frozenset()


def test_what_a_newer_list_confirms_seeds_the_next_round(audit):
    audited = audit(lists=[of_records("known", [1])])
    assert small.candidates(audited.findings) == {}
    newer = replace(small.known(), info=replace(small.known().info, as_of="2026-02-01"))
    vetset.recheck(audited.out, lists=[newer])
    vetset.expand(audited.out, audited.key)
    assert small.candidates(audited.findings) == small.CANDIDATES


def test_a_list_is_not_asked_about_what_may_be_of_another_harm(audit):
    def known(name, kind, number, harm):
        data = small.images()[number]
        value = small.sha256(data) if kind is Kind.SHA256 else small.md5(data)
        return small.hash_list(name, small.entries(kind, [value]), category=harm)

    lists = [
        known("hotline", Kind.SHA256, 0, Category.CHILD_ABUSE),
        known("archive", Kind.SHA256, 9, Category.TERRORISM),
    ]
    audited = audit(lists=lists)
    told = {}
    for harm in (Category.TERRORISM, Category.CHILD_ABUSE):
        told[harm] = vetset.verify(audited.out, audited.key, with_list=known(f"second {harm}", Kind.MD5, 5, harm))
    waiting = told[Category.TERRORISM]["candidates"]["without_verdict"]
    assert waiting > 0
    assert told[Category.TERRORISM]["rounds"][0]["confirmed"] == {}
    assert told[Category.CHILD_ABUSE]["rounds"][0]["confirmed"] == {"child-abuse": 2}
    assert told[Category.CHILD_ABUSE]["candidates"]["without_verdict"] == 0


def test_a_list_that_a_recheck_brought_cannot_verify(audit):
    audited = audit()
    vetset.recheck(audited.out, lists=[small.second()])
    with pytest.raises(UsageError, match="cannot verify"):
        vetset.verify(audited.out, audited.key, with_list=small.second())


def test_a_part_of_nothing_folds_to_the_findings_before(rechecked):
    audited, _ = rechecked([1], [1])
    findings = audited.findings
    nothing = RecheckPart((), (), (), (), (), (), "complete")
    folded = fold([replace_first(findings), nothing])
    assert (folded.matches, folded.tallies) == (findings.matches, findings.tallies)


def replace_first(findings):
    from vetset.case.findings import FindingsPart

    return FindingsPart(
        findings.matches, findings.tallies, findings.candidates, findings.rounds, findings.provenance, findings.status
    )
