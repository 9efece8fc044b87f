"""Lists in an audit: what they may be used for, who answers for them, what they let be told, how old they are."""

from dataclasses import replace
from datetime import timedelta

import pytest

import older
import small
import vetset
from vetset.api.given import today
from vetset.case.findings import trust_of
from vetset.case.manifest import read_manifest
from vetset.model.errors import ListError
from vetset.model.hashlist import Category, EntryFlag
from vetset.model.policy import ListsPolicy, MatchPolicy, Policy
from vetset.model.signal import Kind
from vetset.stage.audit import AuditResult, record_table
from vetset.stage.order import checked_order, to_remove
from vetset.store.store import Store


def stated(hash_list, **about):
    """The list, with something else said of it."""
    return replace(hash_list, info=replace(hash_list.info, **about))


def of(name, numbers, *, flag=EntryFlag.NONE, members=1, **about):
    """A list of the bytes of these records."""
    entries = small.entries(
        Kind.SHA256, [small.sha256(small.images()[n]) for n in numbers], flags=[flag] * len(numbers)
    )
    entries = replace(entries, members=entries.members * members)
    return stated(small.hash_list(name, entries), **about)


def removed(audited):
    opened = vetset.open_audit(audited.out, audited.key)
    with Store(audited.out / "store") as store:
        table = record_table(store, opened.manifest)
        goes = to_remove(opened.case.findings, table, trust_of(opened.case.findings, opened.manifest))
    return {small.number_of(record.key) for record in goes}


def claims(audited, tmp_path):
    statement = vetset.attest(audited.out, audited.key, out=tmp_path / f"{audited.out.name}.statement")
    return vetset.check(statement, signer=audited.pub, key=audited.key).result


@pytest.mark.parametrize("about", [{"purpose": "research,report"}, {"expires": "2026-01-02"}])
def test_a_list_that_must_not_be_used_is_refused_before_anything_is_read(audit, monkeypatch, tmp_path, about):
    refused = stated(small.known(), **about)
    monkeypatch.setattr("vetset.api.auditing.dataset_of", None)
    with pytest.raises(ListError, match=r"purpose|expired"):
        audit(lists=[refused])
    monkeypatch.setattr("vetset.api.auditing.existing_store", None)
    with pytest.raises(ListError, match=r"purpose|expired"):
        vetset.match(tmp_path / "store", lists=[refused], seal_to=[], out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_purpose_of_an_audit_holds_for_its_rechecks_and_verifiers(audit):
    for_research, other = ({"purpose": word} for word in ("research", "dataset-audit"))
    audited = audit(lists=[stated(small.known(), **for_research)], purpose="research")
    assert read_manifest(audited.out).request.purpose == audited.summary["purpose"] == "research"
    with pytest.raises(ListError, match="purpose"):
        vetset.recheck(audited.out, lists=[of("newer", [8], **other)])
    with pytest.raises(ListError, match="purpose"):
        vetset.verify(audited.out, audited.key, with_list=stated(small.second(), **other))
    vetset.verify(audited.out, audited.key, with_list=stated(small.second(), **for_research))


def test_a_run_json_without_a_purpose_and_a_day_is_read(audit):
    audited = audit(embeddings=None)
    told = older.run_json(audited.out)
    assert told["request"].pop("purpose") == "dataset-audit"
    assert told.pop("audited_on") == today().isoformat()
    older.write_run_json(audited.out, told)
    assert (read_manifest(audited.out).request.purpose, read_manifest(audited.out).audited_on) == ("dataset-audit", "")


def test_a_list_that_nobody_answers_for_is_a_private_count(audit, tmp_path):
    private = stated(small.known(), name="private", owner="unknown")
    audited = audit(lists=[private, of("known", [8])])
    told = {used["name"]: used for used in audited.summary["lists"]}
    assert (told["private"]["answered_for"], told["private"]["matched_records"]) == (False, 5)
    assert audited.summary["union"] == {
        "benchmark": {
            "records": 1, "confirmed": 1, "distinct_items": 1, "held_back": 0, "by_owners": {"1": 1},
            "by_evidence": {"exact": 1, "perceptual": 0, "url": 0},
        }
    }  # fmt: skip
    assert removed(audited) == {8}
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    assert checked_order(order.read_bytes(), audited.pub).lists == ("known as of 2026-01-01, version known",)
    assert len(audited.findings.rounds[0].seeds) == 1
    result = claims(audited, tmp_path)
    mine = [claim for claim in result["claims"] if "private" in claim]
    assert mine == [
        f"list private as of 2026-01-01 was held against 24 records by {kind}; nobody answers for it"
        for kind in ("md5", "pdq", "sha256", "url_sha256")
    ]
    assert {tally["list_name"] for tally in result["tallies"]} == {"known"}


def test_a_list_that_nobody_answers_for_cannot_verify(audit):
    audited = audit()
    with pytest.raises(ListError, match="nobody answers"):
        vetset.verify(audited.out, audited.key, with_list=stated(small.second(), owner="unknown"))


def test_a_list_about_another_harm_cannot_verify(audit):
    audited = audit(lists=[small.known()])
    before = sorted((audited.out / "case").iterdir())
    with pytest.raises(ListError, match="another harm"):
        vetset.verify(audited.out, audited.key, with_list=stated(small.second(), category=Category.TERRORISM))
    assert before == sorted((audited.out / "case").iterdir())


def test_where_terms_let_no_number_be_told_a_statement_says_none_and_the_custodian_sees_them(audit, tmp_path):
    told = []
    for out, hash_list in (("some", small.known()), ("none", small.stranger())):
        audited = audit(lists=[stated(hash_list, share_counts=False)], out=out, embeddings=None)
        result = claims(audited, tmp_path)
        told.append((result["claims"], result["tallies"]))
        (used,) = audited.summary["lists"]
        assert (used["share_counts"], used["matched_records"]) == (False, 5 if out == "some" else 0)
    assert told[0] == told[1]
    assert told[0][1] == []
    assert all("its terms let no number of matches be told" in claim for claim in told[0][0])


def test_harms_are_told_apart_and_never_added_up(audit):
    lists = [of("one", [1, 8]), of("two", [8, 9, 10], category=Category.TERRORISM), of("three", [11])]
    audited = audit(lists=lists, embeddings=None)
    unions = audited.summary["union"]
    assert {harm: union["records"] for harm, union in unions.items()} == {"benchmark": 4, "terrorism": 3}
    told = vetset.copies(audited.out, audited.key)["copies"]
    assert {harm: (c["items"], c["records"]) for harm, c in told["by_category"].items()} == {
        "benchmark": (3, 4), "terrorism": (3, 3),
    }  # fmt: skip
    assert sorted(item["harms"] for item in told["each"]) == sorted(
        [("benchmark",), ("benchmark", "terrorism"), ("terrorism",), ("terrorism",), ("benchmark",)]
    )


def test_what_a_verdict_confirms_is_of_the_harm_that_led_there(audit):
    audited = audit(lists=[stated(small.known(), category=Category.TERRORISM), of("other", [8])])
    told = vetset.verify(audited.out, audited.key, with_list=small.second())  # about the other one's harm
    assert told["rounds"][0]["confirmed"] == {}
    second = replace(small.second().info, name="their second", category=Category.TERRORISM)
    told = vetset.verify(audited.out, audited.key, with_list=replace(small.second(), info=second))
    assert told["rounds"][0]["confirmed"] == {"terrorism": 2}


def test_a_list_of_another_harm_beside_it_does_not_change_what_is_said_of_the_first(audit):
    alone = audit(lists=[of("one", [1, 8])], embeddings=None, out="alone").summary["union"]["benchmark"]
    other = of("two", [1, 8, 9], category=Category.TERRORISM)
    both = audit(lists=[of("one", [1, 8]), other], embeddings=None, out="both").summary["union"]["benchmark"]
    assert alone == both


@pytest.mark.parametrize(
    ("lists", "confirmed"),
    [
        ([("one", [1, 8], 1, "x")], set()),
        ([("one", [1, 8], 2, "x")], {1, 20, 8}),
        ([("one", [1, 8], 1, "x"), ("two", [8], 1, "y")], {8}),
        ([("one", [1, 8], 1, "x"), ("two", [8], 1, " X ")], set()),
    ],
)
def test_a_match_confirms_when_so_many_owners_or_members_agree(audit, lists, confirmed):
    policy = Policy(match=MatchPolicy(confirm_owners=2))
    audited = audit(lists=[of(name, rows, members=m, owner=o) for name, rows, m, o in lists], policy=policy)
    (told,) = audited.findings.rounds
    assert {small.number_of(seed.key) for seed in told.seeds} == confirmed
    assert removed(audited) == {1, 20, 8}, "unconfirmed matches go all the same"
    counted = {int(number): count for number, count in audited.summary["union"]["benchmark"]["by_owners"].items()}
    assert sum(count for number, count in counted.items() if number > 1) == len(confirmed)


def test_who_verifies_is_held_to_the_same_number_of_voices(audit):
    policy = Policy(match=MatchPolicy(confirm_owners=2))
    audited = audit(lists=[of("one", [0], members=2)], policy=policy)
    assert set(small.candidates(audited.findings)) >= {5, 22}
    told = vetset.verify(audited.out, audited.key, with_list=of("alone", [5]))
    assert told["candidates"]["verdicts"] == {
        "match_unclassified": 2,
        "not_known": len(audited.findings.candidates) - 2,
    }
    told = vetset.verify(audited.out, audited.key, with_list=of("several", [5], members=2))
    assert told["candidates"]["verdicts"]["known"] == 2


def test_the_owner_may_want_a_smaller_radius_than_the_policy(audit):
    found = {}
    for radius in (None, 31, 0):
        hash_list = stated(small.hash_list("known", *small.known().entries.values()), pdq_radius=radius)
        audited = audit(lists=[hash_list], embeddings=None, out=f"radius-{radius}")
        found[radius] = {m.distance for m in audited.findings.matches if m.kind is Kind.PDQ}
        assert read_manifest(audited.out).request.lists[0].pdq_radius == radius
    assert found[None] == found[31] > found[0] == {0}


@pytest.mark.parametrize("flag", [EntryFlag.QUARANTINED, EntryFlag.DISPUTED])
def test_copies_of_what_is_set_apart_stay_too(audit, flag):
    entries = small.entries(Kind.MD5, [small.md5(small.images()[5])], flags=[flag])
    audited = audit(lists=[small.hash_list("known", entries), of("other", [8])])
    assert removed(audited) == {8}
    assert audited.summary["union"]["benchmark"]["held_back"] == 2


def test_what_another_entry_says_without_doubt_goes(audit):
    audited = audit(lists=[of("known", [8, 9], flag=EntryFlag.QUARANTINED), of("other", [8])], embeddings=None)
    assert removed(audited) == {8}
    assert audited.summary["union"]["benchmark"]["held_back"] == 1


def test_lists_are_named_with_version_and_state_and_told_to_be_too_old(audit, tmp_path):
    from vetset.cli.audit import lines_of, told
    from vetset.cli.custody import summary_lines

    day = today()
    lists = [
        of("old", [1], as_of=(day - timedelta(days=31)).isoformat(), version="a" * 64),
        of("young", [8], as_of=(day - timedelta(days=30)).isoformat(), version="b" * 64),
        of("undated", [9], as_of="unknown", version="c" * 64),
    ]
    policy = Policy(lists=ListsPolicy(oldest_days=30))
    audited = audit(lists=lists, policy=policy, embeddings=None)
    # a finished audit says again what it said
    document = told(AuditResult(read_manifest(audited.out), 0, ()))
    assert {used["name"]: used["too_old"] for used in document["lists"]} == {
        "old": True,
        "young": False,
        "undated": None,
    }
    text = "\n".join(lines_of(document, tmp_path))
    assert f"old as of {lists[0].info.as_of}, version aaaaaaaaaaaa; OLDER than the policy allows" in text
    assert [used["too_old"] for used in audited.summary["lists"]] == [True, None, False]
    assert "version cccccccccccc; its age cannot be told" in "\n".join(summary_lines(audited.summary))
    statement = vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
    predicate = vetset.check(statement, signer=audited.pub).predicate
    assert predicate["age_of_lists"] == list(document["lists"])
    assert (predicate["audited_on"], predicate["purpose"]) == (day.isoformat(), "dataset-audit")


def test_the_age_of_a_list_is_that_of_the_day_on_which_it_was_held(audit, monkeypatch):
    policy = Policy(lists=ListsPolicy(oldest_days=30))
    monkeypatch.setattr("vetset.api.auditing.today", lambda: today() - timedelta(days=100))
    as_of = (today() - timedelta(days=50)).isoformat()
    audited = audit(lists=[of("known", [1], as_of=as_of)], policy=policy, embeddings=None)
    assert audited.summary["lists"][0]["too_old"] is False
    monkeypatch.undo()
    result = vetset.recheck(audited.out, lists=[of("known", [8], as_of=as_of, version="2")])
    assert result.manifest.rechecks[0].held_on == today().isoformat()
    assert audited.summary["lists"][0]["too_old"] is True
