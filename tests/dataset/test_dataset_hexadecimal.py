"""Hexadecimal columns, against `bytes.fromhex`."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset.hexadecimal import unhex

DIGITS = "0123456789abcdefABCDEF"


def rows_of(width):
    size = {"min_size": 2 * width, "max_size": 2 * width}
    return st.tuples(st.just(width), st.lists(st.binary(**size) | st.text(DIGITS, **size).map(str.encode)))


@given(st.sampled_from([16, 20, 32]).flatmap(rows_of))
@settings(deadline=None)
def test_values_are_those_of_fromhex_and_anything_else_is_told(stated):
    width, rows = stated
    starts = np.arange(len(rows), dtype=np.int64) * (2 * width + 3)
    values, good = unhex(np.frombuffer(b"".join(row + b"xyz" for row in rows), np.uint8), starts, width)
    for row, value, is_good in zip(rows, values, good.tolist(), strict=True):
        assert is_good == all(chr(byte) in DIGITS for byte in row)
        if is_good:
            assert value.tobytes() == bytes.fromhex(row.decode())


def test_every_byte_is_a_digit_or_is_not():
    for byte in range(256):
        text = bytes([byte]) + b"0" * 31
        _, good = unhex(np.frombuffer(text, np.uint8), np.zeros(1, np.int64), 16)
        assert good[0] == (chr(byte) in DIGITS)
