import hashlib
import itertools

import pytest

from vetset.model.errors import SealError
from vetset.seal.chain import check_chain, link, links

PARTS = [b"zero", b"one", b"two", b"three"]
RECORDED = links(PARTS)


def test_the_form_of_a_link_stays():
    assert links([b"a", b"b"]) == [
        "12962676be1c809ce930ccf6adedd7dd62a50f7c2d1ca301f0e3384bb1e9f4d6",
        "ad1eef57414b1d386124553f2538d086b353ec15e08b5cf36d8ba7a06fb6da58",
    ]


def test_a_link_is_what_its_documentation_says():
    first = hashlib.sha256(b"vetset-chain/1\n" + b"0" * 64 + b"\n" + hashlib.sha256(b"a").digest()).hexdigest()
    assert link(None, b"a") == first
    again = hashlib.sha256(b"vetset-chain/1\n" + first.encode() + b"\n" + hashlib.sha256(b"b").digest()).hexdigest()
    assert link(first, b"b") == again


def test_the_recorded_sequence_holds():
    check_chain(PARTS, RECORDED)
    check_chain([], [])


@pytest.mark.parametrize("number", range(4))
def test_a_missing_part_is_named(number):
    with pytest.raises(SealError, match=f"^part {number}:"):
        check_chain(PARTS[:number] + PARTS[number + 1 :], RECORDED)


@pytest.mark.parametrize("number", range(4))
def test_a_replaced_part_is_named(number):
    with pytest.raises(SealError, match=f"^part {number}:"):
        check_chain([*PARTS[:number], b"other", *PARTS[number + 1 :]], RECORDED)


def test_every_other_order_is_refused_at_its_first_difference():
    for order in itertools.permutations(range(4)):
        if order != (0, 1, 2, 3):
            number = next(place for place in range(4) if order[place] != place)
            with pytest.raises(SealError, match=f"^part {number}:"):
                check_chain([PARTS[place] for place in order], RECORDED)


def test_a_part_that_is_not_recorded_is_named():
    with pytest.raises(SealError, match=r"^part 4:.*not recorded"):
        check_chain([*PARTS, b"more"], RECORDED)


def test_a_repeated_part_is_refused():
    with pytest.raises(SealError, match=r"^part 1:"):
        check_chain([b"zero", b"zero"], links([b"zero", b"one"]))


def test_an_altered_record_is_refused():
    with pytest.raises(SealError, match=r"^part 2:"):
        check_chain(PARTS, [*RECORDED[:2], "0" * 64, RECORDED[3]])


def test_no_error_quotes_a_link():
    with pytest.raises(SealError) as caught:
        check_chain([b"x"], RECORDED)
    assert not any(recorded in str(caught.value) for recorded in [*RECORDED, link(None, b"x")])
