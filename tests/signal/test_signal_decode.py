"""Every encoding of the same pixels decodes to the same pixels; nothing that a file holds raises or warns."""

import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from photographs import tiles
from vetset.model.signal import Reason
from vetset.signal.decode import decode
from vetset.signal.pdq import pdq

CAP = 1 << 24
PHOTO = tiles(240, 1, 11)[0][:, :200]
GREY = np.repeat(np.asarray(Image.fromarray(PHOTO).convert("L"))[:, :, None], 3, axis=2)


def encoded(picture: Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def whole(data: bytes) -> np.ndarray:
    pixels = decode(data, max_pixels=CAP)
    assert isinstance(pixels, np.ndarray), pixels
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.shape[2] == 3
    return pixels


def rgb() -> Image.Image:
    return Image.fromarray(PHOTO)


def palette() -> Image.Image:
    return rgb().quantize(64)


def bits() -> Image.Image:
    return rgb().convert("1")


def with_alpha() -> Image.Image:
    picture = rgb().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def grey_alpha() -> Image.Image:
    return Image.merge("LA", [rgb().convert("L"), Image.linear_gradient("L").resize(rgb().size)])


def sixteen_bits(factor: int) -> Image.Image:
    return Image.fromarray(GREY[:, :, 0].astype(np.uint16) * factor)


def transparent_palette() -> Image.Image:
    picture = palette()
    picture.info["transparency"] = 3
    return picture


def as_rgb(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))


LOSSLESS = {
    "png": (lambda: encoded(rgb(), "PNG"), lambda: PHOTO),
    "interlaced-free grey png": (lambda: encoded(rgb().convert("L"), "PNG"), lambda: GREY),
    "palette png": (lambda: encoded(palette(), "PNG"), lambda: as_rgb(palette())),
    "palette png with a transparent colour": (
        lambda: encoded(transparent_palette(), "PNG", transparency=3),
        lambda: as_rgb(palette()),
    ),
    "gif": (lambda: encoded(palette(), "GIF"), lambda: as_rgb(palette())),
    "one-bit png": (lambda: encoded(bits(), "PNG"), lambda: as_rgb(bits())),
    "one-bit tiff": (lambda: encoded(bits(), "TIFF", compression="group4"), lambda: as_rgb(bits())),
    "rgba png": (lambda: encoded(with_alpha(), "PNG"), lambda: PHOTO),
    "la png": (lambda: encoded(grey_alpha(), "PNG"), lambda: GREY),
    "16-bit png, bytes doubled": (lambda: encoded(sixteen_bits(257), "PNG"), lambda: GREY),
    "16-bit png, shifted": (lambda: encoded(sixteen_bits(256), "PNG"), lambda: GREY),
    "16-bit tiff": (lambda: encoded(sixteen_bits(257), "TIFF"), lambda: GREY),
    "16-bit pgm": (lambda: encoded(sixteen_bits(257), "PPM"), lambda: GREY),
    "ppm": (lambda: encoded(rgb(), "PPM"), lambda: PHOTO),
    "bmp": (lambda: encoded(rgb(), "BMP"), lambda: PHOTO),
    "palette bmp": (lambda: encoded(palette(), "BMP"), lambda: as_rgb(palette())),
    "tiff": (lambda: encoded(rgb(), "TIFF"), lambda: PHOTO),
    "lzw tiff": (lambda: encoded(rgb(), "TIFF", compression="tiff_lzw"), lambda: PHOTO),
    "cmyk tiff": (lambda: encoded(rgb().convert("CMYK"), "TIFF"), lambda: as_rgb(rgb().convert("CMYK"))),
    "lossless webp": (lambda: encoded(rgb(), "WEBP", lossless=True), lambda: PHOTO),
    "rgba webp": (lambda: encoded(with_alpha(), "WEBP", lossless=True, exact=True), lambda: PHOTO),
    "jpeg 2000": (lambda: encoded(rgb(), "JPEG2000", irreversible=False), lambda: PHOTO),
    "ico": (lambda: encoded(rgb(), "ICO", sizes=[rgb().size]), lambda: PHOTO),
}

JPEGS = {
    "baseline": {"quality": 90},
    "best": {"quality": 100, "subsampling": 0},
    "4:2:2": {"quality": 92, "subsampling": 1},
    "progressive": {"quality": 90, "progressive": True},
    "restart markers": {"quality": 90, "restart_marker_rows": 1},
    "stored as rgb": {"quality": 95, "keep_rgb": True},
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_encoding_gives_the_pixels_back(name):
    make, expected = LOSSLESS[name]
    np.testing.assert_array_equal(whole(make()), expected())


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_encoding_hashes_like_the_rgb_form(name):
    make, expected = LOSSLESS[name]
    assert pdq(whole(make())) == pdq(np.ascontiguousarray(expected()))


@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_pixels_equal_those_of_pillow(name):
    data = encoded(rgb(), "JPEG", **JPEGS[name])
    np.testing.assert_array_equal(whole(data), as_rgb(Image.open(io.BytesIO(data))))


def test_grey_jpeg_pixels_equal_those_of_pillow():
    data = encoded(rgb().convert("L"), "JPEG", quality=90)
    np.testing.assert_array_equal(whole(data), as_rgb(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("quality", [30, 75, 90])
@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (16, 16), (33, 241)])
def test_jpeg_pixels_equal_those_of_pillow_at_odd_sizes(quality, shape):
    data = encoded(Image.fromarray(PHOTO.repeat(2, axis=1)[: shape[0], : shape[1]]), "JPEG", quality=quality)
    np.testing.assert_array_equal(whole(data), as_rgb(Image.open(io.BytesIO(data))))


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return (int.from_bytes(pdq(one)[0]) ^ int.from_bytes(pdq(np.ascontiguousarray(other))[0])).bit_count()


@pytest.mark.parametrize("name", JPEGS)
def test_a_good_jpeg_hashes_within_ten_bits(name):
    assert distance(whole(encoded(rgb(), "JPEG", **JPEGS[name])), PHOTO) <= 10


@pytest.mark.parametrize(("form", "quality"), [("WEBP", 92), ("AVIF", 90), ("MPO", 92)])
def test_other_good_lossy_forms_hash_within_ten_bits(form, quality):
    assert distance(whole(encoded(rgb(), form, quality=quality)), PHOTO) <= 10


def test_an_inverted_cmyk_jpeg_hashes_within_ten_bits():
    data = encoded(rgb().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    assert distance(whole(data), PHOTO) <= 10


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    assert distance(whole(encoded(sixteen_bits(257), "PNG")), GREY) == 0


def test_the_first_frame_of_an_animation_is_taken():
    later = Image.fromarray(255 - PHOTO)
    for form in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        options = {"lossless": True} if form == "WEBP" else {}
        data = encoded(rgb(), form, save_all=True, append_images=[later], **options)
        assert distance(whole(data), PHOTO) <= 40, form
        assert distance(whole(data), 255 - PHOTO) > 100, form


def test_orientation_is_not_applied():
    tags = Image.Exif()
    tags[0x0112] = 6
    for form in ("JPEG", "PNG", "WEBP"):
        assert whole(encoded(rgb(), form, exif=tags)).shape == PHOTO.shape, form


def test_an_embedded_profile_changes_nothing():
    plain, profiled = encoded(rgb(), "PNG"), encoded(rgb(), "PNG", icc_profile=b"not a profile at all")
    np.testing.assert_array_equal(whole(plain), whole(profiled))


# Files that are no pictures


@pytest.mark.parametrize("side", [1, 2, 63, 64, 240, 1800])
def test_borrowed_pixels_are_the_same(side):
    data = encoded(Image.fromarray(PHOTO).resize((side, max(1, side - 1))), "JPEG")
    kept = whole(data)
    for _ in range(2):
        borrowed = decode(data, max_pixels=CAP, borrowed=True)
        assert borrowed.flags.c_contiguous
        np.testing.assert_array_equal(borrowed, kept)


def test_one_place_is_lent_again_and_again():
    one, other = (encoded(Image.fromarray(picture), "JPEG") for picture in (PHOTO, PHOTO[:, ::-1]))
    first, second = (decode(data, max_pixels=CAP, borrowed=True) for data in (one, other))
    assert np.shares_memory(first, second)
    assert not np.shares_memory(whole(one), second)


def test_rows_do_not_begin_where_libjpeg_would_write_past_the_caches():
    data = encoded(Image.fromarray(PHOTO), "JPEG")
    for borrowed in (False, True):
        assert decode(data, max_pixels=CAP, borrowed=borrowed).ctypes.data % 16 == 1


def test_an_empty_file_is_empty():
    assert decode(b"", max_pixels=CAP) is Reason.EMPTY_FILE


@pytest.mark.parametrize(
    "data", [b"\0", b"hello" * 100, b"<svg xmlns=''/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"PK\3\4" * 9]
)
def test_what_is_no_picture_is_an_unknown_encoding(data):
    assert decode(data, max_pixels=CAP) is Reason.UNKNOWN_ENCODING


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM" + bytes(60), b"II*\0" + bytes(9)]
)
def test_a_signature_alone_is_undecodable(data):
    assert decode(data, max_pixels=CAP) in {Reason.UNDECODABLE, Reason.TRUNCATED}


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
def test_a_jpeg_that_ends_early_is_truncated(progressive, share):
    data = encoded(rgb(), "JPEG", quality=90, progressive=progressive)
    assert decode(data[: int(len(data) * share)], max_pixels=CAP) is Reason.TRUNCATED


def test_a_jpeg_that_ends_early_but_tidily_is_truncated():
    data = encoded(rgb(), "JPEG", quality=90)
    assert decode(data[: len(data) // 2] + b"\xff\xd9", max_pixels=CAP) is Reason.TRUNCATED


def test_a_cmyk_jpeg_that_ends_early_but_tidily_is_truncated():
    data = encoded(rgb().convert("CMYK"), "JPEG", quality=90)
    assert decode(data[: len(data) // 2] + b"\xff\xd9", max_pixels=CAP) is Reason.TRUNCATED


def test_a_jpeg_that_lacks_a_piece_between_restart_markers_is_undecodable():
    data = encoded(rgb(), "JPEG", quality=90, restart_marker_rows=1)
    holed = data[: data.index(b"\xff\xd2")] + data[data.index(b"\xff\xd3") :]
    assert decode(holed, max_pixels=CAP) is Reason.UNDECODABLE


def test_bytes_after_the_end_of_a_jpeg_do_not_matter():
    data = encoded(rgb(), "JPEG", quality=90)
    np.testing.assert_array_equal(whole(data + b"trailing"), whole(data))


def test_stray_bytes_between_markers_of_a_jpeg_do_not_matter():
    data = encoded(rgb(), "JPEG", quality=90)
    stray = data[:2] + data[2:].replace(b"\xff\xc0", b"\0\0\0\xff\xc0", 1)
    np.testing.assert_array_equal(whole(stray), whole(data))


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "PPM", "AVIF"])
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_other_forms_that_end_early_are_undecided(form, share):
    data = encoded(rgb(), form)
    assert decode(data[: int(len(data) * share)], max_pixels=CAP) in {Reason.TRUNCATED, Reason.UNDECODABLE}


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "PPM"])
def test_forms_that_pillow_can_tell_are_truncated(form):
    data = encoded(rgb(), form)
    assert decode(data[: len(data) // 2], max_pixels=CAP) is Reason.TRUNCATED


def test_a_process_that_tolerates_truncated_files_does_not_change_the_answer(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(rgb(), "PNG")
    assert decode(data[: len(data) // 2], max_pixels=CAP) is Reason.TRUNCATED
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


# Caps


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_one_pixel_more_than_the_cap_is_too_large(form):
    data = encoded(rgb(), form)
    pixels = PHOTO.shape[0] * PHOTO.shape[1]
    assert isinstance(decode(data, max_pixels=pixels), np.ndarray)
    assert decode(data, max_pixels=pixels - 1) is Reason.TOO_LARGE


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("side", [10_000, 65_000, 2**31 - 1])
def test_a_header_that_claims_an_enormous_picture_is_too_large(side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )
    assert decode(data, max_pixels=CAP) is Reason.TOO_LARGE


def test_a_gif_frame_larger_than_its_screen_does_not_pass_the_cap():
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\0;"
    assert decode(screen + frame, max_pixels=CAP) is Reason.TOO_LARGE


def test_pictures_whose_white_is_unknown_are_undecodable():
    for mode in ("F", "I"):
        assert decode(encoded(rgb().convert("L").convert(mode), "TIFF"), max_pixels=CAP) is Reason.UNDECODABLE


# Hostile bytes

SEEDS = [
    encoded(rgb().resize((40, 48)), form, **options)
    for form, options in (
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("JPEG2000", {}),
        ("PPM", {}), ("AVIF", {}), ("ICO", {}), ("MPO", {}),
    )
] + [encoded(palette().resize((40, 48)), "PNG"), encoded(rgb().convert("CMYK").resize((40, 48)), "JPEG")]  # fmt: skip


def answer(data: bytes) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        result = decode(data, max_pixels=CAP)
    assert not heard
    assert isinstance(result, Reason | np.ndarray)


@settings(max_examples=250, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=12),
    cut=st.floats(0, 1),
    cuts=st.booleans(),
)
def test_damaged_files_never_raise_and_never_warn(seed, flips, cut, cuts):
    data = bytearray(seed[: int(cut * len(seed))] if cuts else seed)
    for place, value in flips:
        if data:
            data[place % min(len(data), 600)] = value
    answer(bytes(data))


@settings(max_examples=60, deadline=None)
@given(start=st.sampled_from([seed[:24] for seed in SEEDS]), rest=st.binary(max_size=300))
def test_a_signature_before_garbage_never_raises(start, rest):
    answer(start + rest)


def test_threads_leave_the_settings_of_the_process_as_they_were():
    data = encoded(rgb(), "PNG")
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [whole(data) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
