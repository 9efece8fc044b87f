"""Other forms of a stored picture: each is hashed where it differs, recorded as what it is, changing nothing else."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from photographs import photograph, tiles
from vetset.model.errors import UsageError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import FRAME_VARIANTS, Form, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal.animation import FRAMES_READ, gif_frames, sampled
from vetset.signal.decode import decode, decode_picture
from vetset.signal.fingerprint import fingerprint
from vetset.signal.orientation import TURNS, jpeg_orientation, tiff_orientation, turned
from vetset.signal.partial import decode_partial
from vetset.signal.pdq import pdq, pdq_plain
from vetset.signal.variants import DIHEDRAL, over, resized, variants_of

CAP = 1 << 24
TILES = tiles(200, 12, 23)
PHOTO = np.ascontiguousarray(TILES[0][:, :160])
ALL = tuple(Form)


def encoded(picture, form, **options) -> bytes:
    out = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, form, **options)
    return out.getvalue()


def further(data, *forms, **policy):
    """Variant → answer."""
    answers = fingerprint(data, kinds=["pdq"], variants=forms or ALL, policy=ScanPolicy(**policy))[1:]
    assert len({answer.variant for answer in answers}) == len(answers)
    return {answer.variant: answer for answer in answers}


def codes(data, *forms):
    return {variant: answer.value for variant, answer in further(data, *forms).items() if isinstance(answer, Signal)}


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def tagged(orientation):
    tags = Image.Exif()
    tags[0x010F] = "maker"
    tags[0x0112] = orientation
    return tags


# Upright


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_also_hashed_upright(form, orientation):
    data = encoded(PHOTO, form, exif=tagged(orientation), quality=95)
    with Image.open(io.BytesIO(data)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    found = codes(data, Form.UPRIGHT)
    assert found == ({} if orientation == 1 else {Variant.UPRIGHT: pdq(np.ascontiguousarray(expected))[0]})


def test_the_eight_orientations_of_one_picture_have_one_upright_hash_and_eight_stored_ones():
    turned = {number: encoded(PHOTO, "PNG", exif=tagged(number)) for number in range(2, 9)}
    uprights = [codes(encoded(undone(number), "PNG", exif=tagged(number)))[Variant.UPRIGHT] for number in turned]
    assert set(uprights) == {pdq(PHOTO)[0]}


def undone(orientation):
    """The picture as a camera stores it that says `orientation`."""
    for other in range(2, 9):
        picture = Image.fromarray(PHOTO)
        picture.getexif()[0x0112] = other
        stored = ImageOps.exif_transpose(picture)
        again = stored.copy()
        again.getexif()[0x0112] = orientation
        if np.array_equal(np.asarray(ImageOps.exif_transpose(again)), PHOTO):
            return stored
    raise AssertionError(orientation)


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation):
    assert codes(encoded(PHOTO, "JPEG", exif=tagged(orientation)), Form.UPRIGHT) == {}


@given(st.binary(max_size=80), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II*\0\x08\0\0\0\xff\xff"]))
@settings(max_examples=200, deadline=None)
def test_a_damaged_tiff_block_states_some_orientation_and_raises_nothing(block, start):
    assert tiff_orientation(start + block) in {None, *range(1, 9)}


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_jpeg_header_states_some_orientation_and_raises_nothing(rest, place, value):
    data = bytearray(encoded(np.zeros((16, 16, 3), np.uint8), "JPEG", exif=tagged(6)))
    data[place] = value
    assert jpeg_orientation(bytes(data)) in range(1, 9)
    assert jpeg_orientation(bytes(data[:place]) + rest) in range(1, 9)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_both_byte_orders_are_read(endian):
    tags = tagged(6)
    tags.endian = endian
    assert jpeg_orientation(encoded(PHOTO, "JPEG", exif=tags)) == 6


# Over white and black


def faded() -> Image.Image:
    picture = Image.fromarray(PHOTO).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def on(picture: Image.Image, colour: str) -> bytes:
    ground = Image.new("RGBA", picture.size, colour)
    return pdq(np.array(Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")))[0]


def holed() -> Image.Image:
    """A palette of which one colour is transparent."""
    picture = Image.fromarray(PHOTO).quantize(8)
    picture.info["transparency"] = int(np.bincount(np.asarray(picture).ravel()).argmax())
    return picture


SEE_THROUGH = {
    "rgba png": (faded, "PNG", {}),
    "la png": (lambda: faded().convert("LA"), "PNG", {}),
    "palette png": (holed, "PNG", {}),
    "gif": (holed, "GIF", {}),
    "rgba webp": (faded, "WEBP", {"lossless": True, "exact": True}),
    "rgba tiff": (faded, "TIFF", {}),
    "ico": (faded, "ICO", {"sizes": [(160, 200)]}),
}


@pytest.mark.parametrize("name", SEE_THROUGH)
def test_a_transparent_picture_is_also_hashed_over_white_and_over_black(name):
    make, form, options = SEE_THROUGH[name]
    data = encoded(make(), form, **options)
    with Image.open(io.BytesIO(data)) as picture:
        shown = picture.convert("RGBA")
    found = codes(data, Form.WHITE, Form.BLACK)
    assert distance(found[Variant.WHITE], on(shown, "white")) <= 2
    assert distance(found[Variant.BLACK], on(shown, "black")) <= 2


def test_sixteen_bit_grey_with_a_transparent_shade_is_hashed_over_white():
    grey = np.asarray(Image.fromarray(PHOTO).convert("L")).astype(np.uint16) // 32 * 32 * 257
    shade = int(np.bincount(grey.ravel()).argmax())
    data = encoded(Image.fromarray(grey), "PNG", transparency=shade)
    shown = np.repeat(np.where(grey == shade, 255, grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    assert codes(data, Form.WHITE) == {Variant.WHITE: pdq(shown)[0]}


def test_an_opaque_alpha_channel_makes_no_variant():
    picture = Image.fromarray(PHOTO).convert("RGBA")
    assert further(encoded(picture, "PNG"), Form.WHITE, Form.BLACK) == {}


def test_half_transparent_pixels_are_mixed():
    pixels, alpha = np.full((2, 2, 3), 100, np.uint8), np.full((2, 2), 128, np.uint8)
    assert set(np.unique(over(pixels, alpha, 255))) <= {176, 177, 178}
    assert set(np.unique(over(pixels, alpha, 0))) <= {50, 51}


def test_a_shape_that_only_its_alpha_shows_is_decided_by_what_shines_through():
    flat = Image.new("RGBA", (160, 200))
    flat.putalpha(Image.fromarray(PHOTO).convert("L"))
    stored, *others = fingerprint(encoded(flat, "PNG"), kinds=["pdq"], variants=["white", "black"])
    assert stored == NoSignal(Kind.PDQ, Reason.LOW_QUALITY)
    assert [type(other) for other in others] == [Signal, NoSignal]  # black over black is flat


# Frames


def animation(form, count, **options):
    frames = [Image.fromarray(tile) for tile in itertools.islice(itertools.cycle(TILES), count)]
    options |= {"lossless": True} if form == "WEBP" else {}
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize(("count", "numbers"), [(2, [1]), (3, [1, 2]), (6, [2, 5]), (11, [5, 10])])
def test_later_frames_are_sampled_evenly_up_to_the_last(form, count, numbers):
    found = codes(animation(form, count), Form.FRAMES)
    assert list(found) == list(FRAME_VARIANTS[: len(numbers)])
    near = [distance(code, pdq(TILES[number])[0]) for code, number in zip(found.values(), numbers, strict=True)]
    assert max(near) <= {"GIF": 30, "AVIF": 40}.get(form, 0)


def test_the_policy_says_how_many_frames():
    assert list(further(animation("WEBP", 9), Form.FRAMES, frames=4)) == list(FRAME_VARIANTS[:4])


@given(st.integers(1, 400), st.integers(1, 8))
def test_samples_are_later_frames_and_end_with_the_last(frames, count):
    numbers = sampled(frames, count)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == min(count, frames - 1)
    assert not frames > 1 or (numbers[0] > 0 and numbers[-1] == frames - 1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_still_picture_has_no_frames(form):
    assert further(encoded(TILES[0], form), Form.FRAMES) == {}


def test_pages_of_a_tiff_are_no_frames():
    assert further(animation("TIFF", 3), Form.FRAMES) == {}


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_frames_of_a_gif_are_counted_as_pillow_counts_them(count):
    data = animation("GIF", count, comment=b"a remark" * 60)
    with Image.open(io.BytesIO(data)) as picture:
        assert gif_frames(data, 1000) == getattr(picture, "n_frames", 1) == count
    assert gif_frames(data, 3) == min(count, 3)


@given(st.binary(max_size=200), st.integers(0, 50))
@settings(max_examples=150, deadline=None)
def test_counting_the_frames_of_damaged_gifs_ends(rest, cut):
    start = encoded(Image.new("P", (4, 4)), "GIF")
    assert 0 <= gif_frames(start[:cut] + rest, 5) <= 5


def test_an_animation_of_too_many_pixels_is_sampled_only_as_far_as_the_cap_goes():
    data, size = animation("WEBP", 10), TILES[0].shape[0] * TILES[0].shape[1]
    found = decode_picture(data, max_pixels=4 * size, frames=8)
    assert [pdq(frame)[0] for frame in found.frames] == [pdq(tile)[0] for tile in TILES[1:4]]


def test_no_frame_beyond_the_limit_is_looked_at(monkeypatch):
    still = Image.new("P", (8, 8))
    frames = [Image.effect_noise((8, 8), 90 + number).convert("P") for number in range(FRAMES_READ + 40)]
    data = encoded(still, "GIF", save_all=True, append_images=frames)
    sought = []
    seek = Image.Image.seek
    from PIL import GifImagePlugin

    seek = GifImagePlugin.GifImageFile.seek
    monkeypatch.setattr(
        GifImagePlugin.GifImageFile, "seek", lambda self, number: (sought.append(number), seek(self, number))[1]
    )
    assert len(decode_picture(data, max_pixels=CAP, frames=2).frames) == 2
    assert max(sought) == FRAMES_READ - 1


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_a_damaged_later_frame_costs_that_frame_and_not_the_picture(form):
    data = animation(form, 6)
    cut = data[: int(len(data) * 0.7)]
    found = decode_picture(cut, max_pixels=CAP, frames=5)
    if isinstance(found, Reason):  # WebP states its length, and is refused whole
        assert form == "WEBP"
        return
    np.testing.assert_array_equal(found.pixels, decode(data, max_pixels=CAP))
    assert len(found.frames) < 5


def test_a_frame_larger_than_its_canvas_ends_the_sampling():
    data = bytearray(animation("GIF", 4))
    blocks = [place for place in range(len(data) - 9) if data[place : place + 9] == b",\0\0\0\0\xc8\0\xc8\0"]
    data[blocks[2] + 5 : blocks[2] + 9] = b"\xff\xff\xff\xff"
    found = decode_picture(bytes(data), max_pixels=CAP, frames=3)
    assert len(found.frames) == 1


# 512 x 512


def test_a_picture_with_a_long_side_is_brought_to_512():
    pixels = np.asarray(Image.open(photograph("rocket.jpg")).convert("RGB"))
    assert max(pixels.shape) > 512
    found = codes(encoded(pixels, "PNG"), Form.RESIZED_512)
    rows, columns = (np.floor(np.arange(512) * length / 512).astype(int) for length in pixels.shape[:2])
    assert found == {Variant.RESIZED_512: pdq_plain(pixels[rows][:, columns])[0]}


@pytest.mark.parametrize(
    ("shape", "made"), [((512, 512), False), ((513, 40), True), ((40, 513), True), ((30, 30), False)]
)
def test_only_pictures_with_a_side_over_512_are_resized(shape, made):
    pixels = np.asarray(Image.fromarray(PHOTO).resize(shape[::-1]))
    assert (Variant.RESIZED_512 in further(encoded(pixels, "PNG"), Form.RESIZED_512)) is made
    assert resized(pixels).shape == (512, 512, 3)


# Truncated files


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_truncated_picture_is_undecided_and_hashed_as_partial(form):
    data = encoded(TILES[1], form, quality=95)
    answers = fingerprint(data[: int(len(data) * 0.97)], kinds=["md5", "pdq"], variants=["partial"])
    assert answers[1] == NoSignal(Kind.PDQ, Reason.TRUNCATED)
    assert [answer.variant for answer in answers[2:]] == [Variant.PARTIAL]
    assert distance(answers[2].value, pdq(TILES[1])[0]) <= 31


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB"])
def test_every_kind_of_png_is_filled_up(mode):
    data = encoded(Image.fromarray(TILES[1]).convert(mode), "PNG")
    whole = decode(data, max_pixels=CAP)
    top = decode_partial(data[: len(data) // 2], max_pixels=CAP)
    assert top.shape == whole.shape
    rows = int(np.argmin((top == whole).all(axis=(1, 2))))
    assert 10 <= rows < 200
    assert not (top[rows:] == whole[rows:]).all()


def test_the_top_of_a_truncated_jpeg_is_that_of_the_whole():
    data = encoded(TILES[1], "JPEG", quality=90)
    top, whole = decode_partial(data[: len(data) // 2], max_pixels=CAP), decode(data, max_pixels=CAP)
    np.testing.assert_array_equal(top[:64], whole[:64])


def test_a_file_that_is_whole_has_no_partial_form():
    assert Variant.PARTIAL not in further(encoded(PHOTO, "PNG"))


@pytest.mark.parametrize(
    "cut",
    [
        lambda: encoded(PHOTO, "JPEG")[:200],
        lambda: encoded(PHOTO, "PNG")[:40],
        lambda: encoded(PHOTO, "BMP")[:2000],
        lambda: encoded(Image.fromarray(PHOTO).quantize(16), "GIF")[:3000],
    ],
    ids=["jpeg header", "png header", "bmp", "gif"],
)
def test_where_no_row_can_be_shown_nothing_is_made_up(cut):
    assert codes(cut(), Form.PARTIAL) == {}


def test_a_truncated_header_that_claims_too_much_is_not_filled_up():
    data = encoded(TILES[1], "PNG")
    assert decode_partial(data[:-500], max_pixels=200 * 200) is not None
    assert decode_partial(data[:-500], max_pixels=200 * 200 - 1) is None
    photo = encoded(TILES[1], "JPEG")
    assert decode_partial(photo[:-500], max_pixels=200 * 200 - 1) is None


@given(st.integers(0, 2**16), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=6))
@settings(max_examples=120, deadline=None)
def test_damaged_truncated_files_never_raise(cut, flips):
    for form in ("PNG", "JPEG"):
        data = bytearray(encoded(TILES[2], form)[: max(10, cut % 60_000)])
        for place, value in flips:
            data[place % len(data)] = value
        found = decode_partial(bytes(data), max_pixels=CAP)
        assert found is None or found.dtype == np.uint8


# Mirrored and turned


@pytest.mark.parametrize(
    ("variant", "method"),
    [
        (Variant.MIRRORED, Image.Transpose.FLIP_LEFT_RIGHT),
        (Variant.FLIPPED, Image.Transpose.FLIP_TOP_BOTTOM),
        (Variant.TURNED_90, Image.Transpose.ROTATE_270),  # Pillow counts the other way round
        (Variant.TURNED_180, Image.Transpose.ROTATE_180),
        (Variant.TURNED_270, Image.Transpose.ROTATE_90),
        (Variant.TRANSPOSED, Image.Transpose.TRANSPOSE),
        (Variant.TRANSVERSED, Image.Transpose.TRANSVERSE),
    ],
)
def test_the_seven_other_forms_of_the_square(variant, method):
    expected = np.asarray(Image.fromarray(PHOTO).transpose(method))
    np.testing.assert_array_equal(turned(PHOTO, DIHEDRAL[variant]), expected)
    assert codes(encoded(PHOTO, "PNG"), Form.DIHEDRAL)[variant] == pdq(np.ascontiguousarray(expected))[0]


def test_the_eight_forms_of_one_picture_find_each_other():
    stored = pdq(PHOTO)[0]
    for orientation in TURNS:
        data = encoded(turned(PHOTO, orientation), "PNG")
        assert stored in codes(data, Form.DIHEDRAL).values()


# What stays as it was


def test_an_ordinary_picture_has_no_variants_by_default():
    assert further(encoded(PHOTO, "JPEG"), *ScanPolicy().variants) == {}


def test_variants_come_after_one_answer_for_each_kind_and_never_without_pdq():
    data = encoded(faded(), "PNG", exif=tagged(6))
    plain = fingerprint(data)
    assert fingerprint(data, variants=ALL)[: len(plain)] == plain
    assert len(fingerprint(data, variants=ALL)) > len(plain)
    assert fingerprint(data, kinds=["md5"], variants=ALL) == plain[:1]


def test_a_variant_of_low_quality_says_so():
    data = encoded(np.full((80, 80, 3), 90, np.uint8), "JPEG", exif=tagged(3))
    assert further(data, Form.UPRIGHT) == {Variant.UPRIGHT: NoSignal(Kind.PDQ, Reason.LOW_QUALITY, Variant.UPRIGHT)}


@pytest.mark.parametrize("name", ["sideways", "stored", "frame:1"])
def test_an_unknown_variant_is_refused(name):
    with pytest.raises(UsageError, match="no such variant"):
        fingerprint(b"", variants=[name])


def test_nothing_is_made_of_what_cannot_be_decoded():
    for data in (b"", b"hello", encoded(PHOTO, "PNG")[:9]):
        assert further(data) == {}
    assert further(encoded(PHOTO, "PNG", exif=tagged(6)), max_pixels=100) == {}


def test_the_pixels_of_variants_are_what_pdq_takes():
    picture = decode_picture(encoded(faded(), "PNG", exif=tagged(5)), max_pixels=CAP, frames=2)
    made = dict(variants_of(picture, ALL))
    assert set(made) == {Variant.UPRIGHT, Variant.WHITE, Variant.BLACK}
    assert all(pixels.flags.c_contiguous and pixels.dtype == np.uint8 for pixels in made.values())
