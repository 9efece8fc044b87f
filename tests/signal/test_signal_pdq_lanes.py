"""The vector steps of the PDQ replay round as the reference does, with a fused multiply-add and without."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from vetset.signal import pdq as module
from vetset.signal import pdq_lanes
from vetset.signal.pdq_lanes import LANES, OVERREAD, box_tile, fold_tile, luma_tile, turn_tile
from vetset.signal.pdq_replay import axis, replayed


@pytest.fixture(params=[True, False], ids=["fused", "divided"])
def _each_way(request, monkeypatch):
    """The way is chosen when a caller is compiled, so each test compiles its own caller."""
    monkeypatch.setattr(pdq_lanes, "_FUSED", request.param and pdq_lanes._FUSED)


@pytest.mark.usefixtures("_each_way")
def test_luma_of_every_colour_is_the_one_of_the_binding():
    @njit
    def of_tiles(pixels, out):
        for tile in range(256):
            luma_tile(pixels, tile * 48, 48 * 256, out, tile * 256)

    out = np.empty((256, LANES, LANES), np.float32)  # tile, column, row
    for red in range(256):
        colours = np.empty((256, 256, 3), np.uint8)
        colours[..., 0], colours[..., 1], colours[..., 2] = red, np.arange(256)[:, None], np.arange(256)
        pixels = np.concatenate([colours.ravel(), np.zeros(OVERREAD, np.uint8)])
        of_tiles(pixels, out.ravel())
        flat = colours.reshape(-1, 3)
        wanted = (flat[:, 0] * 0.299 + flat[:, 1] * 0.587 + flat[:, 2] * 0.114).astype(np.float32)
        # sixteen rows of 256 tiles of sixteen pixels
        np.testing.assert_array_equal(out.transpose(2, 0, 1).ravel(), wanted)


@pytest.mark.usefixtures("_each_way")
def test_means_are_rounded_once():
    @njit
    def means(totals, counts, shares, out):
        zeros = np.zeros(256, np.float32)
        for i in range(totals.shape[0]):
            # zeros enter and leave, so that each step divides the same sixteen sums by another count
            box_tile(zeros, 0, 0, totals[i].copy(), counts, shares, i * LANES, out, i * 256)

    counts = np.arange(1, 40_001).astype(np.float32)
    rng = np.random.default_rng(1)
    totals = (rng.random((2_500, LANES)) * rng.choice([1e-6, 1, 300, 1e6], (2_500, LANES))).astype(np.float32)
    totals[:, :2] = [0, -1.5e-5]
    out = np.empty((2_500, LANES, LANES), np.float32)
    means(totals, counts, np.float32(1) / counts, out.reshape(-1))
    np.testing.assert_array_equal(out, totals[:, None, :] / counts.reshape(2_500, LANES, 1))


def test_a_tile_is_turned_over():
    @njit
    def turned(values, out):
        turn_tile(values, 0, out, 0, 20)

    values, out = np.arange(256, dtype=np.float32), np.zeros((LANES, 20), np.float32)
    turned(values, out.reshape(-1))
    np.testing.assert_array_equal(out[:, :LANES], values.reshape(LANES, LANES).T)
    assert not out[:, LANES:].any()


@pytest.mark.parametrize(("kind", "taps"), [(np.uint16, 16), (np.uint16, 48), (np.float32, 32)])
def test_sixteen_weighted_sums(kind, taps):
    @njit
    def sums(values, starts, weights, share, out):
        for k in range(0, 64, LANES):
            fold_tile(values, starts, weights, weights.size // 64, k, share, out, k)

    rng = np.random.default_rng(taps)
    values, starts = rng.integers(0, 1 << 16, 500).astype(kind), rng.integers(0, 500 - taps, 64)
    weights, out = rng.random((64, taps)).astype(np.float32), np.empty(64, np.float32)
    sums(values, starts, weights.ravel(), np.float32(0.5), out)
    wanted = [0.5 * (values[starts[k] : starts[k] + taps] * weights[k].astype(np.float64)).sum() for k in range(64)]
    np.testing.assert_allclose(out, wanted, rtol=1e-5)


def samples_plain(picture):
    """The 64 x 64 samples as `pdq_plain` takes them."""
    height, width = picture.shape[:2]
    luma = (picture[:, :, 0] * 0.299 + picture[:, :, 1] * 0.587 + picture[:, :, 2] * 0.114).astype(np.float32)
    for _ in range(2):
        luma = module._box_plain(luma.T, module._window(width)).T
        luma = module._box_plain(luma, module._window(height))
    return luma[np.ix_(module._picks(height), module._picks(width))]


def assert_replayed(height, width, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    down, across = (axis(length, module._window(length), module._picks(length)) for length in (height, width))
    np.testing.assert_array_equal(replayed(picture.reshape(-1), down, across), samples_plain(picture))


@settings(max_examples=60, deadline=None)
@given(height=st.integers(5, 400), width=st.integers(5, 400), seed=st.integers(0, 2**32 - 1))
def test_the_samples_equal_the_definition_in_every_bit(height, width, seed):
    assert_replayed(height, width, seed)


@pytest.mark.parametrize(("height", "width"), [(5, 9_000), (9_000, 5), (33, 70_001), (1_030, 700), (17, 513)])
def test_lines_longer_than_what_is_held_of_them_equal_the_definition_in_every_bit(height, width):
    assert_replayed(height, width, 1)
