"""One verdict for every candidate, and which."""

from dataclasses import replace

import numpy as np
import pytest

import small
import vetset
from vetset.case.findings import trust_of
from vetset.hashlist.vault.vault import Vault
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.errors import CountError, UsageError
from vetset.model.finding import Match, Seeds
from vetset.model.hashlist import Category, EntryFlag
from vetset.model.policy import ExpandPolicy, Policy
from vetset.model.signal import Kind, Variant
from vetset.model.verdict import Decision, Verdict
from vetset.verifier.local_list import ListVerifier
from vetset.verifier.protocol import Question, asked

EVERYTHING = Policy(expand=ExpandPolicy(min_similarity=-1, max_similarity=-1))
"""Makes a candidate of every record that is not confirmed."""


def record(number):
    return RecordId(ShardDigest("c" * 64), number, str(number))


def match(number, kind, distance=0, quality=100, *, seedable=True):
    return Match(record(number), "two", f"entry {kind}", kind, Variant.STORED, distance, quality, seedable)


def decided(*matches, decidable=(Kind.MD5,)):
    (verdict,) = asked(
        ListVerifier("list:two", small.trust("two")), [Question(record(1), matches, frozenset(decidable))]
    )
    return verdict.decision


@pytest.mark.parametrize(
    ("found", "decision"),
    [
        ([match(1, Kind.MD5)], Decision.KNOWN),
        ([match(1, Kind.SHA256)], Decision.KNOWN),
        ([match(1, Kind.PDQ, 20, 70)], Decision.KNOWN),
        ([match(1, Kind.PDQ, 21, 70)], Decision.NEAR),
        ([match(1, Kind.PDQ, 20, 69)], Decision.NEAR),
        ([match(1, Kind.URL_MD5)], Decision.MATCH_UNCLASSIFIED),
        ([match(1, Kind.MD5, seedable=False)], Decision.UNDECIDED),
        ([match(1, Kind.PDQ, 0, 100, seedable=False)], Decision.UNDECIDED),
        ([match(1, Kind.MD5, seedable=False), match(1, Kind.PDQ, 31, 100)], Decision.NEAR),
        ([match(1, Kind.URL_MD5), match(1, Kind.PDQ, 30, 60)], Decision.NEAR),
        ([match(1, Kind.URL_MD5), match(1, Kind.PDQ, 30, 60), match(1, Kind.SHA1)], Decision.KNOWN),
        ([], Decision.NOT_KNOWN),
    ],
)
def test_the_strongest_agreement_decides(found, decision):
    assert decided(*found) is decision


def test_a_record_that_the_list_could_not_decide_about_stays_undecided():
    assert decided(decidable=()) is Decision.UNDECIDED


def test_an_address_that_no_list_knows_says_nothing_about_the_picture():
    assert decided(decidable=(Kind.URL_SHA256,)) is Decision.UNDECIDED
    assert decided(decidable=(Kind.URL_SHA256, Kind.MD5)) is Decision.NOT_KNOWN


class Says:
    """A verifier that gives prepared answers."""

    name = "prepared"

    def __init__(self, *numbers):
        self._numbers = numbers

    def decide(self, questions):
        return [Verdict(record(number), Decision.NOT_KNOWN, self.name) for number in self._numbers]


@pytest.mark.parametrize("answers", [(), (1,), (1, 2, 2), (1, 3), (1, 2, 3)])
def test_silence_doubles_and_answers_to_nobody_are_refused(answers):
    questions = [Question(record(number), (), frozenset()) for number in (1, 2)]
    with pytest.raises(CountError, match="exactly once"):
        asked(Says(*answers), questions)


def test_answers_in_another_order_are_taken():
    questions = [Question(record(number), (), frozenset()) for number in (1, 2)]
    assert [verdict.record.row for verdict in asked(Says(2, 1), questions)] == [1, 2]


def verdicts(audited):
    return {small.number_of(item.record.key): item.decision for item in audited.findings.verdicts}


def test_every_candidate_gets_one_verdict(audit):
    audited = audit(policy=EVERYTHING)
    vetset.verify(audited.out, audited.key, with_list=small.second())
    assert len(audited.findings.verdicts) == len(audited.findings.candidates) == 20
    known = {number for number, decision in verdicts(audited).items() if decision is Decision.KNOWN}
    assert known == {5, 22}
    assert set(verdicts(audited).values()) == {Decision.KNOWN, Decision.NOT_KNOWN}


def test_a_second_call_asks_only_about_new_candidates(audit):
    audited = audit()
    for _ in range(2):
        vetset.verify(audited.out, audited.key, with_list=small.second())
    assert len(audited.findings.verdicts) == 2
    vetset.expand(audited.out, audited.key)
    vetset.verify(audited.out, audited.key, with_list=small.second())
    assert [small.number_of(item.record.key) for item in audited.findings.verdicts] == [5, 22, 7]


def test_two_verifiers_stand_side_by_side(audit):
    audited = audit()
    third = small.hash_list("third", small.entries(Kind.SHA256, [small.sha256(small.images()[9])]))
    vetset.verify(audited.out, audited.key, with_list=small.second())
    told = vetset.verify(audited.out, audited.key, with_list=third)
    assert {item.verifier for item in audited.findings.verdicts} == {"list:second", "list:third"}
    assert told["candidates"]["verdicts"] == {"known": 2}


def test_a_list_that_cannot_see_pictures_leaves_a_record_without_address_undecided(audit, tmp_path):
    root = tmp_path / "bare"
    root.mkdir()
    small.pack([(small.key(n), {"jpg": small.images()[n]}) for n in range(24)], root / "0.tar")
    audited = audit(root, policy=EVERYTHING)
    addresses = small.hash_list("addresses", small.entries(Kind.URL_SHA256, [bytes(32)]))
    vetset.verify(audited.out, audited.key, with_list=addresses)
    assert set(verdicts(audited).values()) == {Decision.UNDECIDED}


def test_the_list_of_the_audit_itself_is_no_second_opinion(audit):
    audited = audit()
    with pytest.raises(UsageError, match="second list"):
        vetset.verify(audited.out, audited.key, with_list=small.known())
    assert audited.findings.verdicts == ()


def renamed(hash_list, name, owner):
    return replace(hash_list, info=replace(hash_list.info, name=name, owner=owner))


@pytest.mark.parametrize("owner", ["owner of known", " Owner  of KNOWN"])
def test_nor_is_it_under_another_name_nor_another_list_of_its_owner(audit, owner):
    audited = audit()
    before = small.tree(audited.out)
    for second in (renamed(small.known(), "again", owner), renamed(small.second(), "more", owner)):
        for ask in (vetset.verify, vetset.expand_until_dry):
            with pytest.raises(UsageError, match="same owner, so this one cannot verify"):
                ask(audited.out, audited.key, with_list=second)
    assert small.tree(audited.out) == before


def test_an_owner_that_a_recheck_brought_is_no_second_one(audit):
    audited = audit()
    vetset.recheck(audited.out, lists=[small.second()])
    with pytest.raises(UsageError, match="the owner of second"):
        vetset.verify(audited.out, audited.key, with_list=renamed(small.stranger(), "more", "owner of second"))


def test_nor_is_its_content_under_the_name_of_somebody_else(audit, monkeypatch, tmp_path):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    vault = Vault(tmp_path / "home")
    for hash_list, owner in ((small.known(), "one"), (renamed(small.known(), "again", "x"), "another")):
        vault.add(replace(hash_list.info, owner=owner), hash_list.entries)
    vault.add(small.second().info, small.second().entries)
    audited = audit(lists=["known"])
    with pytest.raises(UsageError, match="the same content"):
        vetset.verify(audited.out, audited.key, with_list="again")
    vetset.verify(audited.out, audited.key, with_list="second")
    assert {item.verifier for item in audited.findings.verdicts} == {"list:second"}


def test_a_disputed_entry_of_the_second_list_confirms_nothing(audit):
    entries = small.entries(Kind.MD5, [small.md5(small.images()[5])], flags=[EntryFlag.DISPUTED])
    audited = audit()
    vetset.verify(audited.out, audited.key, with_list=small.hash_list("disputed", entries))
    # 22 stores the bytes of 5
    assert verdicts(audited) == {5: Decision.UNDECIDED, 22: Decision.UNDECIDED}
    told = vetset.expand(audited.out, audited.key)
    assert told["rounds"][1]["seeds"] == 0


def test_a_verdict_names_the_entry_and_never_its_value(audit):
    audited = audit()
    vetset.verify(audited.out, audited.key, with_list=small.second())
    assert {item.tracking for item in audited.findings.verdicts} == {"md5-0"}


def md5_of(*numbers, version, owner="owner of second", flags=None, **about):
    """The list `second` in a version of it."""
    made = small.hash_list(
        "second", small.entries(Kind.MD5, [small.md5(small.images()[n]) for n in numbers], flags=flags), **about
    )
    return replace(made, info=replace(made.info, version=version, owner=owner))


def test_a_newer_version_of_a_list_is_asked_again_and_supersedes_what_it_said(audit):
    audited = audit()
    decided = []
    for second in (md5_of(9, version="1"), md5_of(5, version="2"), md5_of(9, version="3")):
        told = vetset.verify(audited.out, audited.key, with_list=second)
        decided.append(set(verdicts(audited).values()))
        assert len(audited.findings.verdicts) == 2
    assert decided == [{Decision.NOT_KNOWN}, {Decision.KNOWN}, {Decision.NOT_KNOWN}]
    assert told["rounds"][0]["confirmed"] == {}
    assert {(item.version, item.owner, item.category) for item in audited.findings.verdicts} == {
        ("3", "owner of second", "benchmark")
    }


def test_an_entry_that_is_released_decides_where_it_was_set_apart_before(audit):
    audited = audit()
    for flag, decision in ((EntryFlag.QUARANTINED, Decision.UNDECIDED), (EntryFlag.RELEASED, Decision.KNOWN)):
        vetset.verify(audited.out, audited.key, with_list=md5_of(5, version="1", flags=[flag]))
        assert set(verdicts(audited).values()) == {decision}


@pytest.mark.parametrize("about", [{"owner": "somebody else"}, {"category": Category.TERRORISM}])
def test_another_list_under_the_name_of_one_that_answered_is_refused(audit, about):
    audited = audit(lists=[small.known(), small.hash_list("other", category=Category.TERRORISM)])
    vetset.verify(audited.out, audited.key, with_list=md5_of(9, version="1"))
    before = small.tree(audited.out)
    for ask in (vetset.verify, vetset.expand_until_dry):
        with pytest.raises(UsageError, match="another list of this name"):
            ask(audited.out, audited.key, with_list=md5_of(5, version="2", **about))
    assert small.tree(audited.out) == before


@pytest.mark.parametrize("numbers", [[5], [9]])
def test_a_list_that_verified_and_is_rechecked_speaks_by_its_matches(audit, numbers):
    audited = audit()
    vetset.verify(audited.out, audited.key, with_list=md5_of(5, version="1"))
    vetset.recheck(audited.out, lists=[md5_of(*numbers, version="2")])
    opened = vetset.open_audit(audited.out, audited.key)
    findings = opened.case.findings
    trust = trust_of(findings, opened.manifest)
    confirmed = {
        small.number_of(item.key) for item in Seeds.confirmed(findings.matches, findings.verdicts, trust).records
    }
    assert confirmed & {5, 22} == ({5, 22} if numbers == [5] else set())
    assert findings.verdicts == ()


def test_the_size_of_a_sealed_part_does_not_tell_how_many_verdicts_it_holds(audit):
    few, many = audit(out="few"), audit(out="many", policy=EVERYTHING)
    for audited in (few, many):
        vetset.verify(audited.out, audited.key, with_list=small.second())
    assert np.ptp([len(data) for audited in (few, many) for data in small.tree(audited.out / "case").values()]) == 0
