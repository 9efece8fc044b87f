"""The algebra of rule 3: sums, and the identity that they keep or break."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vetset.model.coverage import Coverage, Tally, total_coverage, total_tally
from vetset.model.errors import CountError
from vetset.model.signal import Kind, Reason

COUNTS = st.integers(0, 10**9)
UNDECIDED = st.dictionaries(st.sampled_from(Reason), COUNTS, max_size=5)


@st.composite
def coverages(draw, kind=Kind.PDQ):
    decided, undecided = draw(COUNTS), draw(UNDECIDED)
    return Coverage(kind, decided + sum(undecided.values()), decided, undecided)


@st.composite
def tallies(draw, kind=Kind.PDQ, name="one"):
    matched, not_matched, undecided = draw(COUNTS), draw(COUNTS), draw(UNDECIDED)
    return Tally(name, kind, matched + not_matched + sum(undecided.values()), matched, not_matched, undecided)


@given(coverages(), coverages(), coverages())
def test_sums_of_coverages_are_coverages_in_any_order(one, two, three):
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert (one + two).balanced


@given(tallies(), tallies(), tallies())
def test_sums_of_tallies_are_tallies_in_any_order(one, two, three):
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert (one + two).balanced


@given(st.lists(st.one_of(coverages(), coverages(Kind.MD5)), max_size=8), st.randoms())
def test_the_total_does_not_depend_on_the_order_of_shards(parts, random):
    shuffled = list(parts)
    random.shuffle(shuffled)
    assert total_coverage(parts) == total_coverage(shuffled)
    assert list(total_coverage(parts)) == [kind for kind in Kind if any(part.kind is kind for part in parts)]


@given(st.lists(st.one_of(tallies(), tallies(Kind.MD5), tallies(name="two")), max_size=8), st.randoms())
def test_totals_of_tallies_do_not_depend_on_the_order_of_shards(parts, random):
    shuffled = list(parts)
    random.shuffle(shuffled)
    assert total_tally(parts) == total_tally(shuffled)


@given(coverages(), st.integers(1, 100))
def test_a_coverage_that_lost_a_record_is_refused(coverage, lost):
    damaged = Coverage(coverage.kind, coverage.records + lost, coverage.decided, coverage.undecided)
    coverage.check("shard")
    with pytest.raises(CountError, match="does not add up"):
        damaged.check("shard")
    with pytest.raises(CountError):
        (damaged + coverage).check("dataset")


def test_two_mistakes_that_cancel_in_the_sum_are_seen_in_their_shards():
    one, two = Coverage(Kind.PDQ, 10, 9), Coverage(Kind.PDQ, 10, 11)
    assert (one + two).balanced
    assert not one.balanced
    assert not two.balanced


COVERAGE = Coverage(Kind.PDQ, 10, 7, {Reason.UNDECODABLE: 3})


def test_a_tally_that_fits_its_coverage_passes():
    Tally("one", Kind.PDQ, 10, 2, 5, {Reason.UNDECODABLE: 3}).check(COVERAGE, "shard")


@pytest.mark.parametrize(
    "tally",
    [
        Tally("one", Kind.PDQ, 10, 2, 4, {Reason.UNDECODABLE: 3}),
        Tally("one", Kind.PDQ, 9, 2, 4, {Reason.UNDECODABLE: 3}),
        Tally("one", Kind.PDQ, 10, 3, 5, {Reason.UNDECODABLE: 2}),
        Tally("one", Kind.PDQ, 10, 1, 5, {Reason.UNDECODABLE: 4}),
    ],
    ids=["lost a record", "lost it on both sides", "matched what has no signal", "undecided though there is a signal"],
)
def test_a_tally_that_does_not_fit_is_refused_without_a_count_in_the_text(tally):
    with pytest.raises(CountError) as caught:
        tally.check(COVERAGE, "the shard")
    assert not any(character.isdigit() for character in str(caught.value))


def test_different_things_cannot_be_added():
    with pytest.raises(ValueError, match="cannot be added"):
        Coverage(Kind.PDQ, 0, 0) + Coverage(Kind.MD5, 0, 0)
    with pytest.raises(ValueError, match="cannot be added"):
        Tally("one", Kind.PDQ, 0, 0, 0) + Tally("two", Kind.PDQ, 0, 0, 0)


TRUNCATED = Coverage(Kind.PDQ, 10, 7, {Reason.TRUNCATED: 2, Reason.UNDECODABLE: 1})


@pytest.mark.parametrize("partial", [0, 1, 2])
def test_matches_of_truncated_files_are_put_back_among_the_truncated(partial):
    undecided = {Reason.TRUNCATED: 2 - partial, Reason.UNDECODABLE: 1}
    tally = Tally("one", Kind.PDQ, 10, 2 + partial, 5, undecided, partial)
    tally.check(TRUNCATED, "shard")
    assert (tally + tally).matched_partial == 2 * partial


@pytest.mark.parametrize(
    "tally",
    [
        Tally("one", Kind.PDQ, 10, 3, 5, {Reason.TRUNCATED: 1, Reason.UNDECODABLE: 1}),
        Tally("one", Kind.PDQ, 10, 3, 5, {Reason.TRUNCATED: 2}, 1),
        Tally("one", Kind.PDQ, 10, 2, 5, {Reason.TRUNCATED: 2, Reason.UNDECODABLE: 1}, 1),
        Tally("one", Kind.PDQ, 10, 5, 5, {}, 3),
        Tally("one", Kind.PDQ, 10, 1, 6, {Reason.TRUNCATED: 3}, 0),
        Tally("one", Kind.PDQ, 10, 1, 5, {Reason.TRUNCATED: 3, Reason.UNDECODABLE: 1}, -1),
    ],
    ids=["not said", "of another reason", "said twice", "more than are truncated", "a reason exchanged", "below none"],
)
def test_a_tally_whose_reasons_are_not_those_of_the_coverage_is_refused(tally):
    assert tally.balanced is (sum(tally.undecided.values()) + tally.matched + tally.not_matched == 10)
    with pytest.raises(CountError, match="does not add up"):
        tally.check(TRUNCATED, "shard")
