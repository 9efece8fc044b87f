import io

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from vetset.demo.edits import EDITS, encoded, opened
from vetset.demo.odd import DAMAGE, ENCODINGS, SHOWS_OTHERWISE


@pytest.fixture(scope="module")
def original(blocks):
    tile = max((block.whole for block in blocks if block.whole.photograph.name == "coffee"), key=lambda t: t.texture)
    return encoded(tile.picture(200), quality=90)


def grey(data, size=(24, 24)):
    return np.asarray(opened(data).convert("L").resize(size), float)


def likeness(left, right):
    return float(np.corrcoef(grey(left).ravel(), grey(right).ravel())[0, 1])


def test_every_edit_gives_a_picture_that_decodes_whole(original):
    for edit in EDITS.values():
        assert min(opened(edit(original)).size) >= 90


def test_every_edit_but_the_exact_copy_changes_the_bytes(original):
    assert {name for name, edit in EDITS.items() if edit(original) == original} == {"exact"}


def test_edits_are_functions_of_the_bytes_alone(original):
    assert all(edit(original) == edit(original) for edit in EDITS.values())


def test_a_png_copy_shows_the_very_same_pixels(original):
    assert np.array_equal(np.asarray(opened(EDITS["png"](original))), np.asarray(opened(original)))


@pytest.mark.parametrize(
    ("name", "share"),
    [("resize_half", 0.5), ("resize_up", 1.5), ("crop_90", 0.9), ("crop_80", 0.8), ("crop_60", 0.6)],
)
def test_edits_that_change_the_size_change_it_as_their_name_says(original, name, share):
    before, after = opened(original).size, opened(EDITS[name](original)).size
    assert after == tuple(round(side * share) for side in before)


def test_a_thumbnail_has_128_pixels_on_its_longer_side(original):
    assert max(opened(EDITS["thumb_128"](original)).size) == 128


@pytest.mark.parametrize("name", ["jpeg_q80", "jpeg_q30", "webp_q80", "resize_half", "resize_up", "thumb_128", "blur"])
def test_mild_edits_look_the_same_from_afar(original, name):
    assert likeness(EDITS[name](original), original) > 0.98


def test_a_mirrored_picture_looks_the_same_only_when_mirrored_back(original):
    mirrored = EDITS["mirror"](original)
    assert likeness(mirrored, original) < 0.9
    assert likeness(EDITS["mirror"](mirrored), original) > 0.99


def test_the_caption_bar_covers_the_lowest_part_and_nothing_else(original):
    before, after = np.asarray(opened(original), float), np.asarray(opened(EDITS["caption_bar"](original)), float)
    bar = round(before.shape[0] * 0.15)
    assert (after[-bar:] > 200).mean() > 0.75
    assert np.abs(after[: -bar - 8] - before[: -bar - 8]).mean() < 4


def test_greyscale_leaves_no_colour(original):
    pixels = np.asarray(opened(EDITS["greyscale"](original)), int)
    assert np.ptp(pixels, axis=2).max() <= 2


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("progressive_jpeg", "JPEG", "RGB"),
        ("grey_jpeg", "JPEG", "L"),
        ("cmyk_jpeg", "JPEG", "CMYK"),
        ("palette_png", "PNG", "P"),
        ("grey_alpha_png", "PNG", "LA"),
        ("rgba_png", "PNG", "RGBA"),
        ("grey16_png", "PNG", "I;16"),
        ("one_bit_png", "PNG", "1"),
        ("gif", "GIF", "P"),
        ("webp_lossless", "WEBP", "RGB"),
    ],
)
def test_odd_encodings_are_what_they_are_called(original, name, kind, mode):
    with Image.open(io.BytesIO(ENCODINGS[name](opened(original)))) as image:
        assert (image.format, image.mode) == (kind, mode)


def test_every_odd_encoding_is_tested_by_name():
    [mark] = [mark for mark in test_odd_encodings_are_what_they_are_called.pytestmark if mark.name == "parametrize"]
    assert {name for name, *_ in mark.args[1]} == set(ENCODINGS)


def test_the_progressive_jpeg_is_progressive(original):
    with Image.open(io.BytesIO(ENCODINGS["progressive_jpeg"](opened(original)))) as image:
        assert image.info["progressive"] == 1


def test_odd_encodings_show_what_the_original_shows(original):
    for name in set(ENCODINGS) - SHOWS_OTHERWISE - {"grey16_png"}:
        assert likeness(ENCODINGS[name](opened(original)), original) > 0.98, name


def test_the_sixteen_bit_picture_holds_the_original_in_its_high_bytes(original):
    with Image.open(io.BytesIO(ENCODINGS["grey16_png"](opened(original)))) as image:
        high = np.asarray(image) >> 8
    assert np.array_equal(high, np.asarray(opened(original).convert("L")))


@pytest.mark.parametrize("name", ["random_bytes", "empty", "text"])
def test_files_that_are_no_picture_are_not_recognised_as_one(original, name):
    with pytest.raises(UnidentifiedImageError):
        opened(DAMAGE[name](original, np.random.default_rng(1)))


def test_a_truncated_jpeg_has_a_header_and_too_few_pixels(original):
    data = DAMAGE["truncated_jpeg"](original, np.random.default_rng(1))
    assert original.startswith(data)
    with pytest.raises(OSError, match="truncated"):
        opened(data)


def test_a_flat_picture_has_one_colour(original):
    pixels = np.asarray(opened(DAMAGE["flat"](original, np.random.default_rng(1))))
    assert np.ptp(pixels, axis=(0, 1)).max() == 0
