"""A picture hashes to itself in every encoding, and the page that says so has every row."""

import re
from pathlib import Path

import numpy as np
import pytest
from encoding_cases import LOSSLESS, cases

from photographs import tiles
from vetset.signal.decode import decode
from vetset.signal.pdq import pdq, pdq_plain

CASES = {case.name: case for case in cases()}
PICTURES = tiles(240, 3, 71)
PAGE = (Path(__file__).parents[2] / "docs" / "encodings.md").read_text()
TABLE = PAGE.partition("\n## Variants")[0]
"""What comes before has a row for every encoding."""


def distance(one, other):
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


@pytest.mark.parametrize("name", CASES)
def test_each_encoding_hashes_within_its_bound_of_the_rgb_form(name):
    for number, (data, own) in enumerate(CASES[name].files(PICTURES)):
        found = decode(data, max_pixels=1 << 24)
        assert isinstance(found, np.ndarray), found
        plain = pdq_plain(np.ascontiguousarray(own))[0]
        assert distance(pdq(found)[0], plain) <= CASES[name].bound, number


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.bound == LOSSLESS])
def test_a_lossless_encoding_gives_back_its_own_pixels(name):
    ((data, own),) = CASES[name].files(PICTURES[:1])
    np.testing.assert_array_equal(decode(data, max_pixels=1 << 24), own)


def test_the_page_has_a_row_for_every_encoding_and_none_for_others():
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \|", TABLE, re.MULTILINE)
    assert {name.strip(): int(bound) for name, bound in rows} == {name: case.bound for name, case in CASES.items()}


def test_the_figures_on_the_page_keep_their_bounds():
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \|", TABLE, re.MULTILINE)
    assert len(rows) == len(CASES)
    assert all(int(seen) <= int(bound) for _, bound, seen in rows)
