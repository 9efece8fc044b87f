"""What may seed a search for neighbours, decided in one place."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import small
from vetset.model.dataset import RecordId, ShardDigest, shard_names
from vetset.model.finding import Evidence, Match, Seeds, confirmed_matches, suffices
from vetset.model.policy import MatchPolicy, Policy
from vetset.model.signal import LIST_KINDS, REASON_OF_CODE, Kind, Reason, Variant
from vetset.model.verdict import Decision, Verdict

SHARD = ShardDigest("d" * 64)


def record(row):
    return RecordId(SHARD, row, f"key {row}")


@st.composite
def matches(draw):
    kind = draw(st.sampled_from(LIST_KINDS))
    distance = draw(st.integers(0, 31)) if kind is Kind.PDQ else 0
    quality = draw(st.integers(50, 100)) if kind is Kind.PDQ else 100
    row = draw(st.integers(0, 5))
    return Match(record(row), "one", "entry", kind, Variant.STORED, distance, quality, draw(st.booleans()))


def verdicts():
    return st.builds(Verdict, st.builds(record, st.integers(0, 5)), st.sampled_from(Decision), st.just("list:two"))


POLICIES = st.builds(
    lambda distance, quality: Policy(match=MatchPolicy(confirm_distance=distance, confirm_quality=quality)),
    st.integers(0, 31),
    st.integers(0, 100),
)


@given(st.lists(matches(), max_size=6), st.lists(verdicts(), max_size=4), POLICIES)
def test_a_seed_has_a_verdict_known_or_a_confirming_match(found, said, policy):
    seeds = set(Seeds.confirmed(found, said, small.trust("one", policy=policy)).records)
    for row in range(6):
        mine = [match for match in found if match.record.row == row and match.seedable]
        exact = any(match.kind in (Kind.MD5, Kind.SHA1, Kind.SHA256) for match in mine)
        near = any(
            match.kind is Kind.PDQ
            and match.distance <= policy.match.confirm_distance
            and match.quality >= policy.match.confirm_quality
            for match in mine
        )
        known = any(verdict.record.row == row and verdict.decision is Decision.KNOWN for verdict in said)
        assert (record(row) in seeds) == (exact or near or known)


@given(st.lists(matches(), max_size=6), st.randoms())
def test_seeds_do_not_depend_on_the_order_of_matches(found, random):
    shuffled = list(found)
    random.shuffle(shuffled)
    trust = small.trust("one", policy=Policy(match=MatchPolicy(confirm_owners=2)))
    assert Seeds.confirmed(found, (), trust) == Seeds.confirmed(shuffled, (), trust)


@pytest.mark.parametrize("kind", [Kind.URL_MD5, Kind.URL_SHA256])
def test_an_address_never_confirms(kind):
    match = Match(record(1), "one", "entry", kind, Variant.STORED, 0, 100)
    assert match.evidence is Evidence.URL
    loosest = Policy(match=MatchPolicy(confirm_distance=31, confirm_quality=0))
    assert confirmed_matches([match], small.trust("one", policy=loosest)) == ()


@pytest.mark.parametrize(
    ("radius", "confirm", "apart", "confirms"),
    [(None, None, 0, False), (50, None, 0, False), (50, 50, 2500, True), (50, 49.9, 2491, False), (50, 0, 0, True)],
)
def test_photodna_confirms_within_the_distance_that_the_policy_names_and_not_without_one(
    radius, confirm, apart, confirms
):
    match = Match(record(1), "one", "entry", Kind.PHOTODNA, Variant.DECLARED, apart, 100)
    policy = Policy(match=MatchPolicy(photodna_radius=radius, confirm_photodna=confirm))
    assert match.evidence is Evidence.PERCEPTUAL
    assert suffices(match, policy) is confirms
    assert not suffices(replace(match, seedable=False), policy)
    assert not suffices(replace(match, vetted=False), policy)


def test_seeds_of_an_earlier_round_are_not_used_again():
    seeds = Seeds((record(1), record(2), record(3)))
    assert seeds.without([record(2), record(9)]).records == (record(1), record(3))


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=12))
def test_shards_of_equal_content_have_names_of_their_own(digests):
    names = shard_names(digests)
    assert len(set(names)) == len(names)
    assert [name.partition("+")[0] for name in names] == digests


def test_the_numbers_of_reasons_in_stores_never_change():
    assert {reason.value: reason.code for reason in Reason} == {
        "absent_column": 1, "null_value": 2, "malformed_value": 3, "not_downloaded": 4, "metadata_only": 5,
        "no_image": 6, "empty_file": 7, "too_large": 8, "unknown_encoding": 9, "undecodable": 10, "truncated": 11,
        "low_quality": 12, "damaged_shard": 13, "no_embedding": 14, "degenerate_vector": 15, "not_scanned": 16,
            "crashed": 17, "timed_out": 18, "embedding_failed": 19,
    }  # fmt: skip
    assert {code: reason.code for code, reason in REASON_OF_CODE.items()} == {code: code for code in range(1, 20)}
