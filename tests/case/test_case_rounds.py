"""Rounds in one part that grows: what it replaces, what it leaves alone, and that the chain holds."""

from dataclasses import replace

import pytest
from case_parts import KEY, another_round, findings, record, verdicts, written

from vetset.case.copies import CopiesPart, ItemCopies
from vetset.case.findings import RoundsPart, fold
from vetset.case.rounds import Rules, Stop
from vetset.model.errors import SealError

RULES = Rules("list:second", "1", budget=10)
STOP = Stop(RULES, "dry", 2, 1, 1, 0, 0)
ASKED = RoundsPart(RULES, verdicts=verdicts().verdicts)
SEARCHED = RoundsPart(RULES, (), (another_round().round,), another_round().candidates, another_round().provenance)
ENDED = RoundsPart(RULES, stop=STOP)
COPIES = CopiesPart((ItemCopies(1, 2, 3, 4),), 10, 10, 9, 8, "ab")


def carried(case, *parts):
    for part in parts:
        case.carry_on(case.open(KEY), part)
    return case.open(KEY)


def test_a_part_that_grows_folds_as_its_steps_one_by_one_would(tmp_path):
    opened = carried(written(tmp_path), ASKED, SEARCHED, ENDED)
    assert opened.parts == 2
    stepwise = fold([findings(), verdicts(), another_round()])
    assert opened.findings == replace(stepwise, stops=(STOP,))
    assert [candidate.record for candidate in opened.findings.candidates] == [record(5), record(8)]


@pytest.mark.parametrize("steps", [[ASKED], [ASKED, SEARCHED]])
def test_what_has_not_ended_is_known_as_that_and_what_has_is_never_replaced(tmp_path, steps):
    case = written(tmp_path)
    opened = carried(case, *steps)
    assert opened.unfinished == steps[0].then(steps[1]) if len(steps) > 1 else opened.unfinished == ASKED
    assert carried(case, ENDED).unfinished is None
    before = case.paths()[1].read_bytes()
    assert carried(case, ENDED).parts == 3
    assert case.paths()[1].read_bytes() == before


def test_a_part_that_is_not_the_last_is_not_replaced(tmp_path):
    case = written(tmp_path)
    opened = carried(case, ASKED)
    case.append(verdicts("third"))
    case.carry_on(opened, SEARCHED)
    assert case.open(KEY).parts == 4
    assert case.open(KEY).findings == fold([findings(), ASKED, verdicts("third"), SEARCHED])


def test_other_rules_begin_a_part_of_their_own(tmp_path):
    case = written(tmp_path)
    opened = carried(case, ASKED, replace(SEARCHED, rules=replace(RULES, budget=11)))
    assert opened.parts == 3


def test_a_replaced_part_breaks_the_chain_of_what_stands_behind_it(tmp_path):
    case = written(tmp_path)
    carried(case, ASKED)
    early = case.paths()[1].read_bytes()
    carried(case, ENDED)
    case.append(verdicts("third"))
    case.paths()[1].write_bytes(early)
    with pytest.raises(SealError, match="does not follow"):
        case.open(KEY)


def test_the_same_end_twice_is_told_once_and_another_one_beside_it():
    other = replace(ENDED, stop=replace(STOP, rule="budget"))
    assert [stop.rule for stop in fold([findings(), ENDED, ENDED, other, ENDED]).stops] == ["dry", "budget", "dry"]


def test_the_last_count_of_copies_is_what_counts_and_moves_nothing_else(tmp_path):
    case = written(tmp_path, [COPIES, verdicts(), replace(COPIES, records=11)])
    folded = case.open(KEY).findings
    assert folded.copies == replace(COPIES, records=11)
    assert replace(folded, copies=None) == fold([findings(), verdicts()])
