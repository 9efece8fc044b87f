import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.errors import SealError
from vetset.seal.envelope import seal
from vetset.seal.padding import MAX_PAYLOAD, OVERHEAD, pad, size_class, unpad


def test_the_layout_stays():
    assert pad(b"abc", 4) == b"vspad1\n\x02\x03\0\0\0\0\0\0abc\x80\0"


@settings(max_examples=100, deadline=None)
@given(payload=st.binary(max_size=5000), floor=st.integers(0, 6000))
def test_unpadding_gives_the_payload_back(payload, floor):
    assert unpad(pad(payload, floor)) == payload


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, 4000), floor=st.integers(0, 4000))
def test_the_size_is_the_least_power_of_two_that_holds_both(length, floor):
    size = size_class(length, floor)
    assert size == next(1 << power for power in range(20) if (1 << power) >= max(length, floor))


def test_all_payloads_up_to_the_floor_have_one_sealed_size(key):
    sizes = {len(seal(pad(bytes(length), 4096), [key.public])) for length in range(0, 4097, 64)}
    assert len(sizes) == 1


def test_one_byte_above_a_class_is_the_next_class():
    assert len(pad(bytes(4097), 4096)) - OVERHEAD == 2 * 4096


@settings(max_examples=200, deadline=None)
@given(payload=st.binary(max_size=64), length=st.integers(0, (1 << 56) - 1) | st.integers(0, 130))
def test_another_length_is_damage(payload, length):
    padded = pad(payload, 64)
    tampered = padded[:8] + length.to_bytes(7, "little") + padded[15:]
    if length == len(payload):
        assert unpad(tampered) == payload
    else:
        with pytest.raises(SealError):
            unpad(tampered)


def test_every_flipped_bit_outside_of_the_payload_is_damage():
    padded = pad(b"payload!", 64)
    for place in [*range(15), *range(23, len(padded))]:
        for bit in range(8):
            damaged = bytearray(padded)
            damaged[place] ^= 1 << bit
            with pytest.raises(SealError):
                unpad(bytes(damaged))


def test_every_other_total_size_is_damage():
    padded = pad(b"payload", 64)
    for end in range(len(padded)):
        with pytest.raises(SealError):
            unpad(padded[:end])
    for more in (b"\0", bytes(64 + 15)):
        with pytest.raises(SealError):
            unpad(padded + more)


@pytest.mark.parametrize(("length", "floor"), [(-1, 0), (0, -1), (MAX_PAYLOAD + 1, 0), (0, MAX_PAYLOAD + 1)])
def test_impossible_sizes_are_refused_before_anything_is_allocated(length, floor):
    with pytest.raises(ValueError, match="between 0 and"):
        size_class(length, floor)


def test_a_tebibyte_is_the_largest_class():
    assert size_class(MAX_PAYLOAD, MAX_PAYLOAD) == MAX_PAYLOAD == 2**40
