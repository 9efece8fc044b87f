"""Folding a recheck: what replaces what, and what a damaged shard leaves alone."""

from dataclasses import replace

import pytest
from case_parts import KEY, findings, ledger, record, verdicts

from vetset.case.findings import RecheckPart, fold
from vetset.case.manifest import ListUse, in_force
from vetset.model.coverage import Coverage, Tally
from vetset.model.dataset import ShardDigest
from vetset.model.finding import Match
from vetset.model.signal import Kind, Variant


def use(name, version="2", as_of="2026-02-01"):
    return ListUse(name, "owner", "benchmark", "test", as_of, "unknown", "unknown", version)


def match(number, name="known", *, seedable=True):
    return Match(record(number), name, "line:1", Kind.MD5, Variant.STORED, 0, 100, seedable)


def part(*matches, names=("known",), unread=(), status="complete"):
    tallies = tuple(Tally(name, Kind.MD5, 10, len(matches), 10 - len(matches)) for name in names)
    lists = tuple(use(name) for name in names)
    return RecheckPart(lists, matches, tallies, (Coverage(Kind.MD5, 10, 10),), unread, (), status)


def test_the_last_state_of_a_list_is_what_counts():
    folded = fold([findings(2, 0), part(match(1), match(4)), part(match(4), match(7))])
    assert [found.record.row for found in folded.matches] == [4, 7]
    assert [(len(change.new), len(change.withdrawn)) for change in folded.rechecks] == [(1, 1), (1, 1)]
    assert folded.tallies == part(match(4), match(7)).tallies


def test_other_lists_stay_as_they_were():
    folded = fold([findings(1, 0), part(match(3, "other"), names=("other",))])
    assert [(found.record.row, found.list_name) for found in folded.matches] == [(0, "known"), (3, "other")]
    assert [tally.list_name for tally in folded.tallies] == ["known", "other"]


def test_what_was_found_in_a_shard_that_could_not_be_read_is_not_withdrawn():
    elsewhere = replace(match(2), record=replace(record(2), shard=ShardDigest("cd" * 32)))
    first = replace(findings(1, 0), matches=(match(0), elsewhere))
    folded = fold([first, part(match(1), unread=(elsewhere.record.shard,), status="unbalanced")])
    assert set(folded.matches) == {match(1), elsewhere}
    assert folded.rechecks[0].withdrawn == (match(0),)


def test_an_entry_that_was_flagged_is_told_once_and_seeds_no_more():
    folded = fold([findings(1, 0), part(match(0, seedable=False)), part(match(0, seedable=False))])
    assert [len(change.flagged) for change in folded.rechecks] == [1, 0]
    assert [found.seedable for found in folded.matches] == [False]
    assert [len(change.new) + len(change.withdrawn) for change in folded.rechecks] == [0, 0]


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        ("complete", [], "complete"),
        ("unbalanced", [], "unbalanced"),
        ("unbalanced", [("known", "complete")], "complete"),
        ("unbalanced", [("other", "complete")], "unbalanced"),
        ("complete", [("known", "unbalanced")], "unbalanced"),
        ("complete", [("known", "unbalanced"), ("known", "complete")], "complete"),
        ("complete", [("other", "unbalanced"), ("known", "complete")], "unbalanced"),
        ("incomplete", [("known", "complete")], "incomplete"),
    ],
)
def test_the_status_is_the_last_word_on_every_list(first, later, expected):
    parts = [part(names=(name,), status=status) for name, status in later]
    assert fold([replace(findings(1, 0), status=first), *parts]).status == expected


def test_where_a_withdrawn_record_came_from_is_forgotten_and_candidates_keep_it():
    folded = fold([findings(1, 1), part()])
    assert [entry.record for entry in folded.provenance] == [record(5)]


def test_verdicts_and_rechecks_do_not_disturb_each_other():
    parts = [findings(), verdicts(), part(match(3)), verdicts("third")]
    assert [verdict.verifier for verdict in fold(parts).verdicts] == ["second", "third"]


def test_a_sealed_recheck_opens_as_it_was(tmp_path):
    case = ledger(tmp_path)
    case.write_first(findings())
    later = part(match(3), names=("known", "other"), unread=(ShardDigest("cd" * 32),))
    case.append(later)
    assert case.open(KEY).findings == fold([findings(), later])


def test_lists_in_force_are_the_latest_of_each_name():
    used = (use("b", "1"), use("a", "1"))
    now = in_force(used, [(use("b", "2"), use("c", "1")), (use("b", "3"),)])
    assert [(entry.name, entry.version) for entry in now] == [("a", "1"), ("b", "3"), ("c", "1")]
