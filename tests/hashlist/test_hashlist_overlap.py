from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.hashlist.overlap import as_json, overlap
from vetset.model.errors import UsageError

lists = st.lists(
    st.tuples(st.sampled_from("abc"), st.sets(st.tuples(st.integers(0, 255), st.integers(0, 1)))),
    min_size=1,
    max_size=5,
)


def column(numbers):
    rows = sorted(bytes([first]) + bytes(8) + bytes([last]) * 7 for first, last in numbers)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)


@settings(max_examples=200, deadline=None)
@given(lists)
def test_values_are_counted_by_their_owners(drawn):
    owners = [owner for owner, _ in drawn]
    held = {}
    for owner, numbers in drawn:
        for number in numbers:
            held.setdefault(number, set()).add(owner)
    found = overlap([column(numbers) for _, numbers in drawn], owners)
    counts = Counter(len(who) for who in held.values())
    assert found.distinct == len(held)
    assert found.by_owners == tuple(counts[number] for number in range(1, len(set(owners)) + 1))
    assert found.alone == tuple(sum(len(held[number]) == 1 for number in numbers) for _, numbers in drawn)


def test_too_many_owners_are_refused():
    with pytest.raises(UsageError, match="1 to 64"):
        overlap([column({(1, 1)})] * 65, [str(number) for number in range(65)])
    with pytest.raises(UsageError, match="1 to 64"):
        overlap([], [])


def test_numbers_go_by_name():
    found = overlap([column({(1, 1), (2, 1)}), column({(2, 1)})], ["a", "b"])
    assert as_json(found, ["one", "two"]) == {
        "distinct": 2,
        "by_owners": {"1": 1, "2": 1},
        "of_one_owner_alone": {"one": 1, "two": 0},
    }
