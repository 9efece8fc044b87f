"""What Pillow would fill up of files that are made of pieces, or that end in zeros, is undecided."""

import io
import struct
import zlib

import numpy as np
import pytest
from encoding_cases import cases
from odd_cases import jpeg, png, raw, saved, tiff
from PIL import Image

from photographs import tiles
from vetset.model.signal import Reason
from vetset.signal.decode import decode
from vetset.signal.png import chunks

CAP = 1 << 24
PICTURE = np.ascontiguousarray(tiles(240, 1, 11)[0][:160, :192])
CASES = {case.name: case for case in cases() if "digits" not in case.name}
"""Of a number in digits nobody can tell that its last one is missing."""


def missing(data):
    return isinstance(decode(data, max_pixels=CAP), Reason)


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_ends_early_is_undecided_unless_every_pixel_is_there(name):
    data, _ = CASES[name].files([PICTURE])[0]
    whole = decode(data, max_pixels=CAP)
    cuts = {len(data) * step // 20 for step in range(1, 20)} | {len(data) - end for end in (1, 2, 3, 8, 12, 14, 16, 20)}
    for cut in cuts:
        found = decode(data[:cut], max_pixels=CAP)
        assert isinstance(found, Reason) or np.array_equal(found, whole), cut


# PNG


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "P"])
def test_a_png_whose_download_stopped_in_zeros_is_undecided(mode):
    data = saved(Image.fromarray(PICTURE).convert(mode), "PNG")
    start = data.index(b"IDAT")
    for step in range(20):
        place = start + (len(data) - 20 - start) * step // 20
        assert missing(data[:place] + bytes(len(data) - place)), step


@pytest.mark.parametrize("end", [0, 2, 4, 8, 12, 13, 14, 16])
def test_a_png_that_lacks_its_end_and_no_data_is_whole(end):
    data = saved(Image.fromarray(PICTURE).convert("L"), "PNG")
    whole = decode(data, max_pixels=CAP)
    found = decode(data[: len(data) - end], max_pixels=CAP)
    if not isinstance(found, Reason):
        np.testing.assert_array_equal(found, whole)
    assert not isinstance(found, Reason) or end > 12


def test_a_wrong_sum_alone_costs_no_picture():
    data = bytearray(saved(Image.fromarray(PICTURE).convert("L"), "PNG"))
    data[-13] ^= 255
    assert [kind for kind, _ in chunks(bytes(data))][-1] == b"IEND"
    assert not missing(bytes(data))


# ICO


def ico(held):
    entry = struct.pack("<BBBBHHII", PICTURE.shape[1], PICTURE.shape[0], 0, 0, 1, 32, len(held), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + held


def test_a_png_within_an_ico_that_lacks_rows_is_truncated():
    rows = raw(PICTURE)
    np.testing.assert_array_equal(decode(ico(png(PICTURE.shape, 8, 2, rows)), max_pixels=CAP), PICTURE)
    for kept in (1, len(rows) // 2, len(rows) - 1):
        assert decode(ico(png(PICTURE.shape, 8, 2, rows[:kept])), max_pixels=CAP) is Reason.TRUNCATED


# TIFF


def stripped(strips, rows, *more, compression=1, photometric=2):
    """A TIFF of these strips; None is one that lies nowhere."""
    out, places = bytearray(b"II*\0\0\0\0\0"), []
    for strip in strips:
        places.append(0 if strip is None else len(out))
        out += strip or b""
    sizes = [len(strip or b"") for strip in strips]

    def held(values):
        if len(values) == 1:
            return 1, values[0]
        place = len(out)
        out.extend(struct.pack(f"<{len(values)}I", *values))
        return len(values), place

    tags = [(256, 4, 1, PICTURE.shape[1]), (257, 4, 1, PICTURE.shape[0]), (259, 3, 1, compression),
            (262, 3, 1, photometric), (277, 3, 1, 3), (278, 4, 1, rows), *more]  # fmt: skip
    tags += [(258, 4, *held([8, 8, 8])), (273, 4, *held(places)), (279, 4, *held(sizes))]
    struct.pack_into("<I", out, 4, len(out))
    return (
        bytes(out)
        + struct.pack("<H", len(tags))
        + b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
        + bytes(4)
    )


RAW = [PICTURE[y : y + 40].tobytes() for y in range(0, 160, 40)]


def test_a_tiff_of_too_few_strips_is_truncated():
    np.testing.assert_array_equal(decode(stripped(RAW, 40), max_pixels=CAP), PICTURE)
    for strips in (RAW[:3], RAW[:1], [*RAW[:3], None], [None, *RAW[1:]]):
        assert decode(stripped(strips, 40), max_pixels=CAP) is Reason.TRUNCATED


def test_a_packed_tiff_of_too_few_strips_is_undecided():
    strips = [zlib.compress(strip) for strip in RAW]
    np.testing.assert_array_equal(decode(stripped(strips, 40, compression=8), max_pixels=CAP), PICTURE)
    for fewer in (strips[:3], [*strips[:3], None], [*strips[:3], zlib.compress(RAW[3][:99])]):
        assert missing(stripped(fewer, 40, compression=8))


def test_more_strips_than_a_tiff_asks_for_do_no_harm():
    np.testing.assert_array_equal(decode(stripped([*RAW, RAW[0]], 40), max_pixels=CAP), PICTURE)


def test_tiles_at_the_edge_are_counted():
    for settings in ({"tile": (64, 64)}, {"tile": (48, 80), "planarconfig": "contig"}):
        assert not missing(tiff(PICTURE, photometric="rgb", **settings))


JPEGS = [jpeg(np.ascontiguousarray(PICTURE[y : y + 48]), subsampling=0) for y in range(0, 160, 48)]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
def test_a_jpeg_within_a_tiff_that_lacks_data_is_truncated(number, share):
    assert not missing(stripped(JPEGS, 48, compression=7, photometric=6))
    start = JPEGS[number].index(b"\xff\xda")
    cut = JPEGS[number][: start + int((len(JPEGS[number]) - start) * share)]
    for end in (b"", b"\xff\xd9"):
        strips = [*JPEGS[:number], cut + end, *JPEGS[number + 1 :]]
        assert decode(stripped(strips, 48, compression=7, photometric=6), max_pixels=CAP) is Reason.TRUNCATED


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "CMYK"])
def test_whole_jpegs_within_a_tiff_are_decided(mode):
    picture = Image.fromarray(PICTURE).convert(mode)
    data = saved(picture, "TIFF", compression="jpeg", quality=90)
    with Image.open(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(decode(data, max_pixels=CAP), np.asarray(opened.convert("RGB")))
