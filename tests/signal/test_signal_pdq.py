"""PDQ equals Meta's reference bit by bit, and its fast form equals its definition."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdq_cases import cases

from photographs import tiles
from vetset.model.errors import UsageError
from vetset.signal import pdq as module
from vetset.signal.pdq import MIN_DIMENSION, SIDE, pdq, pdq_plain

TESTS = Path(__file__).parents[1]

GOLDEN = {name: rest for name, *rest in json.loads((TESTS / "golden" / "pdq.json").read_text())}


@pytest.fixture(scope="module")
def pictures():
    return dict(cases())


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def drawn(height: int, width: int, seed: int) -> np.ndarray:
    """Anything from flat to noisy, often symmetric, seldom easy."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (int(rng.integers(1, 9)), int(rng.integers(1, 9)), 3), dtype=np.uint8)
    picture = coarse.repeat(-(-height // len(coarse)), axis=0).repeat(-(-width // coarse.shape[1]), axis=1)
    picture = picture[:height, :width].copy()
    if rng.integers(2):
        picture[:, ::2] = rng.integers(0, 256, picture[:, ::2].shape)
    return picture


def test_the_golden_pictures_are_the_ones_that_the_reference_saw(pictures):
    seen = {
        name: hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()[:16]
        for name, picture in pictures.items()
    }
    assert seen == {name: rest[0] for name, rest in GOLDEN.items()}


def test_there_are_hundreds_of_golden_cases():
    assert len(GOLDEN) >= 400


def test_every_hash_and_quality_equals_the_reference(pictures):
    wrong = [
        (name, distance(value, bytes.fromhex(GOLDEN[name][1])), quality, GOLDEN[name][2])
        for name, picture in pictures.items()
        for value, quality in [pdq(picture)]
        if (value.hex(), quality) != tuple(GOLDEN[name][1:])
    ]
    assert not wrong


def test_the_definition_equals_the_reference(pictures):
    small = {name: picture for name, picture in pictures.items() if picture.size < 400_000}
    assert len(small) > 250
    assert {name: (value.hex(), quality) for name, (value, quality) in map_plain(small)} == {
        name: tuple(GOLDEN[name][1:]) for name in small
    }


def map_plain(pictures):
    return [(name, pdq_plain(picture)) for name, picture in pictures.items()]


def test_the_replay_alone_equals_the_reference(pictures, monkeypatch):
    monkeypatch.setattr(module, "_NOISE_FLOOR", 1e9)
    for name, picture in pictures.items():
        value, quality = pdq(picture)
        assert (value.hex(), quality) == tuple(GOLDEN[name][1:]), name


def test_without_the_replay_flat_and_symmetric_pictures_would_come_out_wrong(pictures, monkeypatch):
    monkeypatch.setattr(module, "_NOISE_FLOOR", -1.0)
    monkeypatch.setattr(module, "_NOISE_PER_PIXEL", 0.0)
    wrong = [name for name, picture in pictures.items() if pdq(picture)[0].hex() != GOLDEN[name][1]]
    assert any(name.startswith("flat") for name in wrong)
    assert any(name.startswith("checks") for name in wrong)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_the_fast_form_equals_the_definition(height, width, seed):
    picture = drawn(height, width, seed)
    assert pdq(picture) == pdq_plain(picture)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(40, 290), width=st.integers(40, 290))
def test_the_fast_form_equals_the_definition_on_photographs(seed, height, width):
    picture = tiles(290, 1, seed)[0][:height, :width]
    assert pdq(picture) == pdq_plain(picture)


@pytest.mark.parametrize("length", [5, 63, 64, 65, 127, 128, 129, 257, 1000, 4097])
def test_folded_weights_are_two_boxes_and_the_picking(length):
    starts, counts, weights = module._new_weights(length)
    boxed = module._box_plain(np.eye(length, dtype=np.float32), module._window(length))
    twice = module._box_plain(boxed, module._window(length))[module._picks(length)]
    folded = np.zeros_like(twice)
    for k in range(SIDE):
        folded[k, starts[k] : starts[k] + counts[k]] = weights[k, : counts[k]]
    np.testing.assert_allclose(folded, twice, atol=1e-5)


def test_weights_of_a_very_long_axis_add_up_to_one_each():
    _, counts, weights = module._new_weights(3_000_000)
    sums = [float(weights[k, : counts[k]].sum(dtype=np.float64)) for k in range(SIDE)]
    np.testing.assert_allclose(sums, 1, atol=1e-4)


@pytest.mark.parametrize("shape", [(MIN_DIMENSION - 1, 500), (500, MIN_DIMENSION - 1), (1, 1)])
def test_a_shorter_side_below_five_has_hash_and_quality_zero(shape):
    assert pdq(np.full((*shape, 3), 200, np.uint8)) == (bytes(32), 0)


@pytest.mark.parametrize(("height", "width"), [(5, 20_000), (20_000, 5), (6, 8193), (8193, 64)])
def test_long_strips_equal_the_definition(height, width):
    assert pdq(drawn(height, width, 1)) == pdq_plain(drawn(height, width, 1))


def test_a_view_with_strides_hashes_like_its_copy():
    picture = tiles(200, 1, 5)[0]
    assert pdq(picture[:, ::-1]) == pdq(picture[:, ::-1].copy())


def test_half_size_stays_within_the_matching_distance():
    picture = tiles(256, 1, 6)[0].astype(np.uint16)
    half = ((picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]) // 4).astype(np.uint8)
    assert distance(pdq(picture.astype(np.uint8))[0], pdq(half)[0]) <= 31


def test_different_photographs_are_far_apart():
    one, other = tiles(256, 2, 7)
    assert distance(pdq(one)[0], pdq(other)[0]) > 60


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_anything_but_rgb_bytes_is_refused(array):
    with pytest.raises(UsageError, match="RGB"):
        pdq(array)
