"""Rare encodings decode to their own pixels, and what is not all there, or cannot be told, is undecided."""

import struct

import numpy as np
import pytest
from odd_cases import (
    COMMITTED,
    JPEGS,
    LOSSLESS,
    LOSSY,
    bmp,
    cgbi,
    chunk,
    committed,
    gif,
    indexed,
    jpeg,
    planes,
    png,
    raw,
    run_lengths,
    source,
    tiff,
    with_adobe,
)

from photographs import tiles
from vetset.model.signal import Reason
from vetset.signal.decode import decode, decode_picture
from vetset.signal.orientation import turned
from vetset.signal.partial import decode_partial
from vetset.signal.pdq import pdq
from vetset.signal.sixteen import is_misread

CAP = 1 << 24
PICTURE = np.ascontiguousarray(tiles(240, 1, 11)[0][:160, :192])


def distance(one, other):
    return (int.from_bytes(pdq(one)[0]) ^ int.from_bytes(pdq(np.ascontiguousarray(other))[0])).bit_count()


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_encoding_gives_back_its_own_pixels(name):
    data, own = LOSSLESS[name](PICTURE)
    np.testing.assert_array_equal(decode(data, max_pixels=CAP), own)


@pytest.mark.parametrize("name", [*JPEGS, *LOSSY])
def test_a_lossy_encoding_is_near(name):
    data, own = {**JPEGS, **LOSSY}[name](PICTURE)
    found = decode(data, max_pixels=CAP)
    assert np.abs(found.astype(int) - own).mean() < 6
    assert distance(found, own) <= 10


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_file_is_near(name):
    found = decode(committed(COMMITTED[name]), max_pixels=CAP)
    assert np.abs(found.astype(int) - source()).mean() < 6
    assert distance(found, source()) <= 10


@pytest.mark.parametrize("name", [name for name in COMMITTED if name.startswith("JPEG")])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_committed_jpeg_that_ends_early_is_truncated(name, share):
    data = committed(COMMITTED[name])
    assert decode(data[: int(len(data) * share)], max_pixels=CAP) is Reason.TRUNCATED


# JPEG


def test_four_inks_without_a_marker_are_taken_for_inverted_as_by_pillow_and_browsers():
    straight = jpeg(255 - PICTURE, "CMYK")
    assert distance(decode(with_adobe(straight, 0), max_pixels=CAP), 255 - PICTURE) <= 10


def frame_header(data):
    return data.index(b"\xff\xc0")


@pytest.mark.parametrize(
    ("marker", "precision", "height"),
    [(0xC0, 8, 0), (0xC0, 12, 160), (0xC1, 12, 160), (0xC3, 8, 160), (0xC5, 8, 160)],
    ids=["height comes later", "12 bits", "12 bits, extended", "lossless", "hierarchical"],
)
def test_jpegs_that_nothing_here_decodes_have_a_reason(marker, precision, height):
    data = bytearray(jpeg(PICTURE))
    place = frame_header(data)
    data[place + 1], data[place + 4] = marker, precision
    data[place + 5 : place + 7] = struct.pack(">H", height)
    assert decode(bytes(data), max_pixels=CAP) is Reason.UNDECODABLE


def test_a_jpeg_that_claims_more_rows_than_it_has_is_truncated():
    data = bytearray(jpeg(PICTURE))
    place = frame_header(data)
    data[place + 5 : place + 7] = struct.pack(">H", 320)
    assert decode(bytes(data), max_pixels=CAP) is Reason.TRUNCATED


# PNG

ROWS = raw(PICTURE)
ROW = len(ROWS) // len(PICTURE)


@pytest.mark.parametrize("missing", [1, ROW - 1, ROW, ROW + 1, 80 * ROW, 159 * ROW])
def test_a_png_whose_stream_ends_in_good_order_before_its_last_row_is_truncated(missing):
    data = png(PICTURE.shape, 8, 2, ROWS[:-missing])
    assert decode(data, max_pixels=CAP) is Reason.TRUNCATED
    shown = decode_partial(data, max_pixels=CAP)
    kept = (len(ROWS) - missing) // ROW
    np.testing.assert_array_equal(shown[:kept], PICTURE[:kept])
    assert not shown[kept:].any()


def test_a_png_with_more_rows_than_it_claims_is_whole():
    np.testing.assert_array_equal(decode(png(PICTURE.shape, 8, 2, ROWS + ROWS[:99]), max_pixels=CAP), PICTURE)


@pytest.mark.parametrize("height", [1, 2, 3, 160])
def test_a_png_whose_last_rows_are_black_is_whole(height):
    dark = PICTURE[:height].copy()
    dark[max(0, height - 2) :] = 0
    np.testing.assert_array_equal(decode(png(dark.shape, 8, 2, raw(dark)), max_pixels=CAP), dark)
    assert decode(png(dark.shape, 8, 2, raw(dark)[:-1]), max_pixels=CAP) is Reason.TRUNCATED
    assert decode(png(dark.shape, 8, 2, raw(dark)[:-ROW]), max_pixels=CAP) is Reason.TRUNCATED


@pytest.mark.parametrize("passes", range(1, 7))
def test_an_interlaced_png_that_lacks_its_last_passes_is_truncated(passes):
    from encoding_cases import png_of

    steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    whole = png_of(PICTURE, interlaced=True)
    np.testing.assert_array_equal(decode(whole, max_pixels=CAP), PICTURE)
    rows = b"".join(raw(PICTURE[y::dy, x::dx]) for y, x, dy, dx in steps[:passes])
    data = bytearray(png(PICTURE.shape, 8, 2, rows))
    header = data[12:28] + b"\1"
    data[8:33] = chunk(b"IHDR", bytes(header[4:]))
    assert decode(bytes(data), max_pixels=CAP) is Reason.TRUNCATED


def test_apples_png_is_undecodable():
    assert decode(cgbi(PICTURE), max_pixels=CAP) is Reason.UNDECODABLE


# GIF


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("missing", [1, 192, 80 * 192])
def test_a_gif_whose_stream_ends_in_good_order_too_soon_is_truncated(interlaced, missing):
    index, palette, _ = indexed(PICTURE)
    data = gif(index, palette, interlaced=interlaced, stop=index.size - missing)
    assert decode(data, max_pixels=CAP) is Reason.TRUNCATED


# TIFF


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_as_every_loader_turns_it_and_not_again(orientation, compression):
    tag = [(274, "H", 1, orientation, True)]
    data = tiff(PICTURE, photometric="rgb", compression=compression, extratags=tag)
    found = decode_picture(data, max_pixels=CAP)
    upright = PICTURE if orientation == 1 else turned(PICTURE, orientation)
    np.testing.assert_array_equal(found.pixels, upright)
    assert found.orientation == 1


@pytest.mark.parametrize("photometric", ["rgb", "separated"])
def test_deep_planes_one_after_another_are_undecodable_unless_they_are_read_right(photometric):
    samples = PICTURE if photometric == "rgb" else np.dstack([PICTURE, PICTURE[:, :, :1]])
    deep = planes(samples.astype(np.uint16) * 257)
    settings = {"photometric": photometric, "planarconfig": "separate"}
    assert decode(tiff(deep, **settings), max_pixels=CAP) is Reason.UNDECODABLE
    if photometric == "rgb":
        found = decode(tiff(deep, **settings, compression="zlib"), max_pixels=CAP)
        np.testing.assert_array_equal(found, PICTURE)


def test_a_picture_that_is_no_tiff_is_not_misread():
    from PIL import Image

    assert not is_misread(Image.fromarray(PICTURE))


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32])
def test_a_tiff_whose_white_is_unknown_is_undecodable(dtype):
    data = tiff(PICTURE[:, :, 0].astype(dtype), photometric="minisblack")
    assert decode(data, max_pixels=CAP) is Reason.UNDECODABLE


# AVIF


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_a_grid_whose_last_tiles_are_missing_is_undecided(share):
    data, _ = LOSSY["AVIF, quality 90, grid of tiles"](PICTURE)
    assert decode(data[: int(len(data) * share)], max_pixels=CAP) in {Reason.TRUNCATED, Reason.UNDECODABLE}


# BMP, PPM


def test_run_lengths_that_end_too_soon_are_undecodable():
    index, palette, _ = indexed(PICTURE)
    data = bmp(PICTURE.shape, 8, run_lengths(index[80:]), packing=1, palette=palette)
    assert decode(data, max_pixels=CAP) is Reason.UNDECODABLE


def test_a_ppm_of_too_few_digits_is_undecodable():
    data, _ = LOSSLESS["PPM, digits"](PICTURE)
    assert decode(data[:-200], max_pixels=CAP) in {Reason.UNDECODABLE, Reason.TRUNCATED}
