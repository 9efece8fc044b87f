"""Who has a voice in what confirms: owners, members, harms, lists that nobody answers for or that an alarm holds."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vetset.model.alarm import Alarm, Sign
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.finding import (
    Evidence,
    Match,
    Seeds,
    confirmed_matches,
    counted_matches,
    owners,
    reportable,
    set_apart,
    suffices,
)
from vetset.model.hashlist import STATED, Category, ListInfo, voice_of
from vetset.model.policy import ListsPolicy, MatchPolicy, Policy
from vetset.model.signal import Kind, Variant
from vetset.model.trust import Trust

NAMES = ("a", "b", "c", "d")


def record(row):
    return RecordId(ShardDigest("d" * 64), row, str(row))


def match(name, row=0, *, kind=Kind.SHA256, distance=0, seedable=True, members=1):
    return Match(record(row), name, "entry", kind, Variant.STORED, distance, 100, seedable, members)


def about(name, owner="an owner", category=Category.CHILD_ABUSE, origin="stated"):
    return ListInfo(name, owner, category, "test", origin=origin)


def trust(*lists, wanted=1, alarms=()):
    return Trust.of(Policy(match=MatchPolicy(confirm_owners=wanted)), lists, alarms)


@st.composite
def cases(draw):
    lists = [
        about(
            name,
            draw(st.sampled_from(["one", " ONE", "two", "three", "unknown"])),
            draw(st.sampled_from([Category.CHILD_ABUSE, Category.EXPLOITATIVE, Category.TERRORISM])),
            draw(st.sampled_from(["stated", "signed:ff"])),
        )
        for name in NAMES
    ]
    held = draw(st.sets(st.sampled_from(NAMES), max_size=2))
    alarms = [Alarm(name, Sign.HIT_RATE, 1, 1, 1) for name in held]
    alarms += [Alarm(name, Sign.UNLIKE, 1, 1, 1, "entry", Kind.PDQ) for name in NAMES]
    made = st.builds(
        match,
        st.sampled_from(NAMES),
        st.integers(0, 2),
        kind=st.sampled_from([Kind.SHA256, Kind.PDQ, Kind.URL_MD5]),
        distance=st.sampled_from([0, 31]),
        seedable=st.booleans(),
        members=st.integers(1, 3),
    )
    return trust(*lists, wanted=draw(st.integers(1, 3)), alarms=alarms), draw(st.lists(made, max_size=10))


def speaks(found, given_trust):
    """Written down a second time: whether anybody stands behind the match."""
    used = given_trust.lists[found.list_name]
    return (
        found.seedable
        and found.list_name not in given_trust.held
        and (used.owner != "unknown" or used.origin != "stated")
    )


@given(cases())
def test_as_many_owners_or_members_as_are_wanted_say_the_same_harm_of_a_record(case):
    given_trust, found = case
    voices: dict[object, dict[str, int]] = {}
    for one in found:
        if speaks(one, given_trust) and one.kind is not Kind.URL_MD5 and (one.kind is Kind.SHA256 or one.distance == 0):
            used = given_trust.lists[one.list_name]
            owner = "signed:ff" if used.owner == "unknown" else used.owner.strip().lower()
            mine = voices.setdefault((one.record, used.category), {})
            mine[owner] = max(mine.get(owner, 0), one.members)
    enough = {
        key for key, mine in voices.items()
        if max(len(mine), *mine.values()) >= given_trust.policy.match.confirm_owners
    }  # fmt: skip
    expected = [
        one
        for one in found
        if speaks(one, given_trust)
        and suffices(one, given_trust.policy)
        and (one.record, given_trust.lists[one.list_name].category) in enough
    ]
    assert list(confirmed_matches(found, given_trust)) == expected
    assert set(Seeds.confirmed(found, (), given_trust).records) == {one.record for one in expected}


@given(cases())
def test_every_match_is_counted_set_apart_or_private(case):
    given_trust, found = case
    counted = counted_matches(found, given_trust)
    apart = [one for one in found if set_apart(one, given_trust)]
    private = [one for one in found if not given_trust.answered(one.list_name)]
    assert {*counted, *apart, *private} == set(found)
    assert not set(counted) & {*apart, *private}
    assert not set(confirmed_matches(found, given_trust)) & {*apart, *private}


@given(cases())
def test_only_child_abuse_that_somebody_answers_for_may_be_reported_as_such(case):
    given_trust, found = case
    expected = [
        one
        for one in found
        if speaks(one, given_trust) and given_trust.lists[one.list_name].category == Category.CHILD_ABUSE
    ]
    assert list(reportable(found, given_trust)) == expected


@pytest.mark.parametrize("category", list(Category))
def test_one_category_alone_is_for_a_report_of_child_abuse(category):
    assert category.may_be_reported_as_child_abuse == (category is Category.CHILD_ABUSE)


def test_two_spellings_are_one_owner_and_members_are_not_added_to_owners():
    given_trust = trust(about("a", "NCMEC"), about("b", " ncmec "), about("c", "IWF"))
    harm = (record(0), Category.CHILD_ABUSE)
    assert owners([match("a"), match("b")], given_trust)[harm] == 1
    assert owners([match("a", members=2), match("c")], given_trust)[harm] == 2
    assert owners([match("a", members=3), match("c")], given_trust)[harm] == 3


def test_owners_of_lists_about_different_harms_do_not_corroborate_each_other():
    given_trust = trust(about("a", "one"), about("b", "two", Category.OPT_OUT), wanted=2)
    assert confirmed_matches([match("a"), match("b")], given_trust) == ()


def test_a_weak_match_of_another_owner_corroborates_nothing():
    given_trust = trust(about("a", "one"), about("b", "two"), wanted=2)
    weak = [match("b", kind=Kind.URL_MD5), match("b", kind=Kind.PDQ, distance=31)]
    assert [one.evidence for one in weak] == [Evidence.URL, Evidence.PERCEPTUAL]
    assert confirmed_matches([match("a"), *weak], given_trust) == ()
    assert len(confirmed_matches([match("a"), match("b")], given_trust)) == 2


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 2000), st.integers(1, 1000))
def test_a_list_is_too_old_after_so_many_days(as_of, age, most):
    day = (as_of + timedelta(days=age)).isoformat()
    assert ListsPolicy(oldest_days=most).too_old(as_of.isoformat(), day) == (age > most)
    assert ListsPolicy().too_old(as_of.isoformat(), day) is False


def test_an_age_that_is_not_known_is_told_as_such():
    rule = ListsPolicy(oldest_days=30)
    assert (rule.too_old("unknown", "2026-01-01"), rule.too_old("2026-01-01", "")) == (None, None)


@pytest.mark.parametrize(
    "other", ["beschwerdestelle  für kinder ", "Beschwerdestelle fu\u0308r Kinder", "Ｂeschwerdestelle\u3000für Kinder"]
)
def test_spellings_of_one_owner_are_one_voice(other):
    assert voice_of(other, STATED) == voice_of("Beschwerdestelle für Kinder", STATED)
    assert voice_of("Beschwerdestelle für Kinder", STATED)
    assert voice_of("ＵＮＫＮＯＷＮ", STATED) == ""
