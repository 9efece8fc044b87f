"""What people read of a round's calibration and crowds: one thing said for each thing that was seen."""

from dataclasses import asdict

import pytest

from vetset.case.findings import Round
from vetset.case.nearness import Calibration, CurvePoint, Share
from vetset.cli.nearness import nearness_lines

EARLIER = Calibration("quantile", 24, 276, 0.001, 0.95, 0.9, bounded=False)
CALIBRATED = {
    "records": 2350, "interval": (0.68, 0.693), "false_per_seed": Share(2.3, 2.1, 2.6), "near_duplicates": 139,
    "recall": Share(1.0, 0.97, 1.0), "look_alikes": 246, "alike": Share(0.27, 0.22, 0.33),
    "curve": (CurvePoint(0.5, 1, 1, 1),),
}  # fmt: skip
NOTHING = {
    "seeds_at_collapsed_points": 0, "left_out_as_collapsed": 0, "records_left_out_as_collapsed": 0,
    "left_out_beyond_k": 0, "hubs": 0, "most_unlike_seeds_of_a_hub": 0,
}  # fmt: skip


def lines(calibration=None, crowding=None, **told):
    document = {
        "k": 100,
        "calibration": asdict(Calibration(**{**asdict(EARLIER), **(calibration or {})})),
        "crowding": crowding and {**NOTHING, **crowding},
        "seeds_without_vector": 0,
        "seeds_saturated": 0,
    }
    return "\n".join(nearness_lines({**document, **told}))


def test_a_round_of_an_earlier_version_says_what_it_said():
    assert lines() == ""
    assert "3 seeds had more neighbours than k" in lines(seeds_saturated=3)
    assert "2 seeds have no vector" in lines(seeds_without_vector=2)


def test_the_threshold_its_price_and_its_reach_are_two_lines():
    text = lines(CALIBRATED)
    assert len(text.splitlines()) == 2
    shares = ("2.3 (2.1 to 2.6)", "1 (0.97 to 1) of 139", "0.27 (0.22 to 0.33) of 246")
    for said in ("0.001 a pair", "0.680 to 0.693", "2350", *shares):
        assert said in text
    assert "bound" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bounded": True}, "a bound of the policy decided"),
        ({"near_duplicates": 19}, "of 19 known near-duplicates, which are few"),
        ({"near_duplicates": 0, "recall": None}, "nobody can say how many it reaches"),
        ({"look_alikes": 0, "alike": None}, "no look-alikes could be told from copies"),
    ],
)
def test_what_is_not_known_is_said(change, said):
    assert said in lines({**CALIBRATED, **change})


@pytest.mark.parametrize(
    ("crowd", "said"),
    [
        ({"left_out_as_collapsed": 300, "seeds_at_collapsed_points": 2}, "2 seeds lie where pictures collapse"),
        ({"left_out_as_collapsed": 300, "records_left_out_as_collapsed": 290}, "290 records there are copies neither"),
        ({"left_out_beyond_k": 77}, "have 77 more neighbours than the 100 nearest"),
        ({"hubs": 4, "most_unlike_seeds_of_a_hub": 12}, "4 candidates are hubs"),
    ],
)
def test_what_was_left_out_is_said(crowd, said):
    assert said in lines(crowding=crowd)


def test_a_round_in_which_nothing_crowds_says_nothing_of_it():
    assert lines(crowding={"hubs": 0}) == ""


def test_a_round_has_room_for_what_earlier_versions_did_not_say():
    assert Round(1, 5, EARLIER, (), 0, 0, 0, 0, 0).crowding is None
