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
from vetset.signal.orientation import TURNS, turned
from vetset.signal.pdq import MIN_DIMENSION, SIDE, pdq, pdq_dihedral, pdq_plain
from vetset.signal.pdq_fold import folded, folded_weights
from vetset.signal.pdq_transform import cosines, halves, packed, transformed

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


def boxed_twice(length: int) -> np.ndarray:
    """The (64, length) matrix of two boxes and the picking, by the definition."""
    boxed = module._box_plain(np.eye(length), module._window(length))
    return module._box_plain(boxed, module._window(length))[module._picks(length)]


LENGTHS = [5, 63, 64, 65, 127, 128, 129, 257, 750, 768, 1000, 1024, 2048, 2049, 4097]


@pytest.mark.parametrize("length", LENGTHS)
def test_folded_weights_are_two_boxes_and_the_picking(length):
    starts, counts, weights = folded_weights(length, module._window(length), module._picks(length))
    twice = boxed_twice(length)
    unfolded = np.zeros_like(twice)
    for k in range(SIDE):
        unfolded[k, starts[k] : starts[k] + counts[k]] = weights[k, : counts[k]]
    np.testing.assert_allclose(unfolded, twice, atol=1e-5)


@pytest.mark.parametrize("length", LENGTHS)
def test_whole_weights_are_the_same_and_their_sums_fit_into_sixteen_bits(length):
    starts, _, weights, regular, whole, share = module._down(length)
    if module._window(length) > 16:
        assert not regular.any()
        return
    assert regular.sum() >= SIDE - 1
    assert 255 * whole.sum() < 1 << 16
    assert (starts[regular] + whole.size <= length).all()
    np.testing.assert_allclose(weights[regular], np.broadcast_to(whole * share, weights[regular].shape), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 2600), width=st.integers(1, 600), turned=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_folded_samples_are_within_their_noise(height, width, turned, seed):
    height, width = (width, height) if turned else (height, width)
    picture = np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), (height, width, 3))
    samples = folded(picture.reshape(height, 3 * width), module._down(height), (module._across(width),))[0]
    luma = picture @ np.array([0.299, 0.587, 0.114])
    wanted = boxed_twice(height) @ luma @ boxed_twice(width).T
    np.testing.assert_allclose(samples, wanted, atol=1e-3)


def test_weights_of_a_very_long_axis_add_up_to_one_each():
    length = 3_000_000
    _, counts, weights = folded_weights(length, module._window(length), module._picks(length))
    sums = [float(weights[k, : counts[k]].sum(dtype=np.float64)) for k in range(SIDE)]
    np.testing.assert_allclose(sums, 1, atol=1e-4)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), few=st.booleans())
def test_the_halves_are_those_of_the_sorted_values(seed, few):
    rng = np.random.default_rng(seed)
    values = (
        rng.choice([0.0, -0.0, 1, -1, 1e-30, 7], 256) if few else rng.standard_normal(256) * 10.0 ** rng.integers(9)
    )
    values = values.astype(np.float32)
    low, high = halves(values)
    assert [low, high] == np.sort(values)[127:129].tolist()
    assert packed(values, low).tobytes() == np.packbits((values > low)[::-1]).tobytes()


def test_the_transform_rounds_as_the_definition():
    samples = (np.random.default_rng(3).random((SIDE, SIDE)) * 255).astype(np.float32)
    matrix = cosines()
    wanted = module._product_plain(module._product_plain(matrix, samples), matrix.T)
    np.testing.assert_array_equal(transformed(samples, matrix, np.ascontiguousarray(matrix.T)), wanted.ravel())


@pytest.mark.parametrize("shape", [(MIN_DIMENSION - 1, 500), (500, MIN_DIMENSION - 1), (1, 1)])
def test_a_shorter_side_below_five_has_hash_and_quality_zero(shape):
    assert pdq(np.full((*shape, 3), 200, np.uint8)) == (bytes(32), 0)


@pytest.mark.parametrize(("height", "width"), [(5, 20_000), (20_000, 5), (6, 8193), (8193, 64)])
def test_long_strips_equal_the_definition(height, width):
    assert pdq(drawn(height, width, 1)) == pdq_plain(drawn(height, width, 1))


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_turned_forms_hash_as_their_own_pixels(height, width, seed):
    picture = drawn(height, width, seed)
    assert pdq_dihedral(picture) == {number: pdq(turned(picture, number)) for number in TURNS}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(40, 290), width=st.integers(40, 290))
def test_turned_forms_of_photographs_hash_as_their_own_pixels(seed, height, width):
    picture = tiles(290, 1, seed)[0][:height, :width]
    assert pdq_dihedral(picture) == {number: pdq_plain(turned(picture, number)) for number in TURNS}


@pytest.mark.parametrize("size", [(64, 64), (64, 65), (4, 90), (5, 9000), (2100, 70)])
def test_turned_forms_of_any_size_hash_as_their_own_pixels(size):
    picture = drawn(*size, 2)
    assert pdq_dihedral(picture) == {number: pdq_plain(turned(picture, number)) for number in TURNS}


def test_turned_forms_that_the_noise_could_change_are_replayed(monkeypatch):
    picture = tiles(200, 1, 8)[0]
    wanted = pdq_dihedral(picture)
    monkeypatch.setattr(module, "_NOISE_FLOOR", 1e9)
    assert pdq_dihedral(picture) == wanted


def test_signs_of_one_transform_would_miss_mirrored_copies():
    """Why the forms are not taken of the stored picture's own coefficients."""
    signs = np.where(np.arange(16) % 2, 1, -1).astype(np.float32)
    far = []
    for picture in tiles(256, 12, 9):
        samples = folded(picture.reshape(256, -1), module._down(256), (module._across(256),))[0]
        coefficients = transformed(samples, cosines(), np.ascontiguousarray(cosines().T)).reshape(16, 16) * signs
        code = packed(coefficients.ravel(), halves(coefficients.ravel())[0]).tobytes()
        far.append(distance(code, pdq(picture[:, ::-1])[0]))
    assert np.median(far) > 10


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
