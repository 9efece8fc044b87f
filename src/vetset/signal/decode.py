"""Bytes of a picture to canonical RGB, or the reason why not. Nothing that a file holds can raise or warn here.

Canonical means: what the common image loaders hand to a model and what the hashing tools of the lists hash, namely the
stored picture (no orientation applied, except by TIFF and HEIC, whose loaders all do), first frame, full size, 8 bits a
channel, sRGB taken for granted (embedded profiles are ignored), alpha dropped. Other forms of a picture are in
`variants`. So:

* palettes, one-bit and grey pictures become the RGB colours that they stand for;
* 16-bit channels keep their upper 8 bits (ThreatExchange clips them, and so hashes white pictures);
* CMYK and YCCK are converted as Pillow does, which takes every JPEG of four inks for Adobe's inverted form;
* transparent pixels keep the colour stored under the alpha channel, as `convert("RGB")` and ThreatExchange have it.

JPEG goes through simplejpeg (libjpeg-turbo's exact transform, equal to Pillow's pixels), everything else through
Pillow. A file that ends early, or whose data libjpeg calls corrupt, is never handed out as if it were whole, whatever
harmless things libjpeg remarks upon before. (Bytes changed inside a JPEG's data often go unnoticed by any decoder; then
the pixels are the ones a model would see, too. So do the last scans of a progressive one, which only refine it.)
"""

import io
import logging
import struct
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from importlib import import_module

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import IcoImagePlugin, Image, TiffImagePlugin, UnidentifiedImageError

from vetset.model.signal import Reason
from vetset.signal.animation import later_frames
from vetset.signal.heif import heif_picture
from vetset.signal.heif_boxes import is_heif
from vetset.signal.jpeg import tidied
from vetset.signal.jpeg_data import lacks_data, lacks_unheard
from vetset.signal.orientation import jpeg_orientation, orientation_of
from vetset.signal.png import SIGNATURE, lacks_end, lacks_rows
from vetset.signal.quiet import strict_and_silent_pillow
from vetset.signal.sixteen import grey_of, is_misread
from vetset.signal.tiff import jpegs, lacks_pieces

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "JPEG2000", "PPM", "ICO")
"""What is decoded. Formats that Pillow hands to another program (EPS) or recognises by chance (TGA) are left out.
Multi-picture JPEGs (MPO) count as JPEG.
"""

# Pillow knows a format once its plugin is loaded; loading all of them would bring the ones that are left out.
for _plugin in ("Jpeg", "Mpo", "Png", "Gif", "WebP", "Avif", "Tiff", "Bmp", "Jpeg2K", "Ppm", "Ico"):
    import_module(f"PIL.{_plugin}ImagePlugin")

# Pillow's debug lines quote what files hold.
logging.getLogger("PIL").setLevel(logging.INFO)

_AVIF = (b"ftypavif", b"ftypavis")  # HEIC begins alike; nothing here reads it
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")

# What Pillow raises about bytes it cannot make a picture of: OSError for data that end or break, SyntaxError for wrong
# signatures, ValueError and struct.error for fields out of range, zlib.error for PNG and TIFF streams, EOFError for
# frames that are missing, RuntimeError and NotImplementedError for variants that a library was built without, and
# IndexError, KeyError, TypeError, AttributeError, OverflowError and ZeroDivisionError where a plugin computes with a
# field before it looks at it. MemoryError and DecompressionBombError are answered apart.
_DAMAGE = (
    OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError, RuntimeError, IndexError, KeyError, TypeError,
    AttributeError, OverflowError, ZeroDivisionError,
)  # fmt: skip

# Remarks of libjpeg after which the pixels are right all the same; after any other one they are not.
_HARMLESS = (
    "extraneous bytes before marker", "unknown jfif revision", "unknown adobe color transform", "invalid sos",
    "bad icc marker",
)  # fmt: skip


class _Left(Enum):
    """What of a JPEG is left to Pillow: its colours alone, or also to see whether its data are all there."""

    COLOURS = auto()
    DATA = auto()


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, and what is needed to make its other forms.

    Attributes:
        pixels: canonical RGB, (H, W, 3), uint8, C-contiguous.
        alpha: (H, W), uint8, 255 is opaque; None where every pixel is, or where nobody asked.
        orientation: as EXIF or XMP states it, 1 to 8; 1 where they say nothing.
        frames: sampled later frames, RGB, in their order; empty where there are none, or where nobody asked.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    alpha: NDArray[np.uint8] | None = field(default=None, repr=False)
    orientation: int = 1
    frames: tuple[NDArray[np.uint8], ...] = field(default=(), repr=False)


_ROOM = 8 << 20
_LINE = 64


def _odd(size: int) -> NDArray[np.uint8]:
    """Bytes that begin one behind a cache line.

    libjpeg-turbo writes rows that begin at a multiple of 16 or 32 past the caches, straight to memory, and whoever
    reads them next has to fetch them from there: PDQ of 1024 x 768 pixels then takes twice as long.
    """
    room = np.empty(size + _LINE, np.uint8)
    place = (1 - room.__array_interface__["data"][0]) % _LINE
    return room[place : place + size]


class _Room(threading.local):
    """Where a thread's borrowed pixels lie, picture after picture: it stays in the caches, and its pages are at hand.

    NumPy asks for huge pages from 4 MiB on; only what is touched takes memory.
    """

    def __init__(self) -> None:
        self.bytes = _odd(_ROOM)


_room = _Room()


def decode(data: bytes, *, max_pixels: int, borrowed: bool = False) -> NDArray[np.uint8] | Reason:
    """The canonical RGB pixels of a picture.

    Args:
        data: the stored bytes.
        max_pixels: a header that claims more is `TOO_LARGE`; nothing is allocated for it. Pillow's own limit (twice
            `PIL.Image.MAX_IMAGE_PIXELS`) also holds for everything but JPEG.
        borrowed: the pixels may lie where the next borrowed ones of this thread will lie: whoever keeps them copies.

    Returns:
        Pixels (H, W, 3), uint8, C-contiguous, or why there are none: `EMPTY_FILE`, `UNKNOWN_ENCODING`, `TOO_LARGE`,
        `TRUNCATED`, `UNDECODABLE`.
    """
    found = _decoded(data, max_pixels, None, borrowed=borrowed)
    return found if isinstance(found, Reason) else found.pixels


def decode_picture(data: bytes, *, max_pixels: int, frames: int = 0, borrowed: bool = False) -> Picture | Reason:
    """The same pixels with alpha, orientation and sampled later frames, in one opening of the file.

    Damage beside the first frame's pixels (in a later frame, in EXIF) costs what it damages, not the picture.

    Args:
        data: the stored bytes.
        max_pixels: as for `decode`; also the most that all frames of an animation up to the last sample may have.
        frames: how many later frames are sampled.
        borrowed: as for `decode`; of the first frame's pixels alone.
    """
    return _decoded(data, max_pixels, frames, borrowed=borrowed)


def _decoded(data: bytes, max_pixels: int, frames: int | None, *, borrowed: bool) -> Picture | Reason:
    """A picture; its other forms only where `frames` is a number."""
    if not data:
        return Reason.EMPTY_FILE
    doubted = False
    if data.startswith(b"\xff\xd8"):
        answer = _decode_jpeg(data, max_pixels, borrowed=borrowed)
        if isinstance(answer, Reason):
            return answer
        if not isinstance(answer, _Left):
            return Picture(answer, None, 1 if frames is None else jpeg_orientation(data))
        doubted = answer is _Left.DATA
    with strict_and_silent_pillow():
        found = _decode_by_pillow(data, max_pixels, frames, doubted=doubted)
        # AVIF may bear the same brands as HEIC, and is Pillow's
        heif = found is Reason.UNKNOWN_ENCODING and is_heif(data)
        return _decode_heif(data, max_pixels, frames) if heif else found


def _decode_jpeg(data: bytes, max_pixels: int, *, borrowed: bool) -> NDArray[np.uint8] | Reason | _Left:
    """Pixels, a reason, or what only Pillow can tell."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):  # a KeyError where the header ends before the layout of the colours
        return _Left.DATA
    if height * width > max_pixels:
        return Reason.TOO_LARGE
    # libjpeg does not turn four inks into colours; it is still asked whether the data are whole
    inks = space in {"CMYK", "YCCK"}
    size = (4 if inks else 3) * height * width
    try:
        room = _room.bytes if borrowed and size <= _ROOM else _odd(size)
        pixels = _heard(data, room, inks=inks)
        remarked = isinstance(pixels, str) and any(word in pixels for word in _HARMLESS)
        if remarked:
            # libjpeg stopped there: only without the first remark are the others heard
            pixels = _heard(tidied(data), room, inks=inks)
        if isinstance(pixels, str):
            return _meaning(pixels)
        if lacks_unheard(data):
            return Reason.TRUNCATED
    except MemoryError:
        return Reason.TOO_LARGE
    return _Left.COLOURS if inks or remarked else pixels


def _heard(data: bytes, room: NDArray[np.uint8], *, inks: bool) -> NDArray[np.uint8] | str:
    """Pixels, or the first thing that libjpeg has to say about them, in small letters."""
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "CMYK" if inks else "RGB", strict=True, buffer=room)
    except (ValueError, KeyError) as error:
        return str(error).lower()
    return pixels


def _meaning(remark: str) -> Reason | _Left:
    """What a remark of libjpeg says about the pixels."""
    if "premature end" in remark:
        return Reason.TRUNCATED
    if "corrupt jpeg data" in remark and not any(word in remark for word in _HARMLESS):
        return Reason.UNDECODABLE
    return _Left.DATA


def _decode_by_pillow(data: bytes, max_pixels: int, frames: int | None, *, doubted: bool) -> Picture | Reason:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            return _of_file(picture, data, max_pixels, frames, doubted=doubted)
    except UnidentifiedImageError:
        known = data.startswith(_SIGNATURES) or data[8:12] == b"WEBP" or data[4:12] in _AVIF
        return Reason.UNDECODABLE if known else Reason.UNKNOWN_ENCODING
    except (MemoryError, Image.DecompressionBombError):
        return Reason.TOO_LARGE
    except _DAMAGE as error:
        ended = isinstance(error, EOFError) or "truncated" in str(error).lower()
        return Reason.TRUNCATED if ended else Reason.UNDECODABLE


def _of_file(
    picture: Image.Image, data: bytes, max_pixels: int, frames: int | None, *, doubted: bool
) -> Picture | Reason:
    if picture.width * picture.height > max_pixels:
        return Reason.TOO_LARGE
    pixels = Reason.UNDECODABLE if is_misread(picture) else _to_rgb(picture)
    if isinstance(pixels, Reason):
        return pixels
    if (doubted and lacks_data(data)) or _lacks(picture, data, max_pixels):
        return Reason.TRUNCATED
    if frames is None:
        return Picture(pixels)
    # the frames last: they move the file on
    orientation, alpha = _orientation(picture, data), _alpha(picture)
    return Picture(pixels, alpha, orientation, _frames(picture, data, frames, max_pixels))


def _lacks(picture: Image.Image, data: bytes, max_pixels: int) -> bool:
    """Whether Pillow has filled up what a loaded file lacks."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return lacks_pieces(picture) or any(_lacks_jpeg(piece, max_pixels) for piece in jpegs(picture, data))
    if isinstance(picture, IcoImagePlugin.IcoImageFile):
        first = picture.ico.entry[0]
        data = data[first.offset : first.offset + first.size]
    elif picture.format != "PNG":
        return False
    return data.startswith(SIGNATURE) and (lacks_rows(picture, data) or lacks_end(data))


def _lacks_jpeg(data: bytes, max_pixels: int) -> bool:
    answer = _decode_jpeg(data, max_pixels, borrowed=False)
    return answer is Reason.TRUNCATED or answer is Reason.UNDECODABLE or (answer is _Left.DATA and lacks_data(data))


def _decode_heif(data: bytes, max_pixels: int, frames: int | None) -> Picture | Reason:
    """Upright as the file states it; the further pictures of a collection are no later frames."""
    try:
        picture = heif_picture(data, max_pixels)
        pixels = picture if isinstance(picture, Reason) else _to_rgb(picture)
        if isinstance(picture, Reason) or isinstance(pixels, Reason) or frames is None:
            return pixels if isinstance(pixels, Reason) else Picture(pixels)
        return Picture(pixels, _alpha(picture))
    except MemoryError:
        return Reason.TOO_LARGE
    except _DAMAGE:
        return Reason.UNDECODABLE


def _orientation(picture: Image.Image, data: bytes) -> int:
    if picture.format in {"JPEG", "MPO"}:
        return jpeg_orientation(data)
    try:
        return orientation_of(picture.getexif().get(0x0112))
    except (*_DAMAGE, MemoryError):
        return 1


def _alpha(picture: Image.Image) -> NDArray[np.uint8] | None:
    """The alpha channel, None where all of it is opaque."""
    try:
        if not picture.has_transparency_data:
            return None
        if picture.mode.startswith("I;16"):
            shown = np.asarray(picture) != picture.info["transparency"]
            return None if shown.all() else shown.astype(np.uint8) * np.uint8(255)
        channel = (picture if picture.mode in {"LA", "RGBA"} else picture.convert("RGBA")).getchannel("A")
        return None if channel.getextrema()[0] == 255 else np.array(channel, dtype=np.uint8, order="C")
    except (*_DAMAGE, MemoryError):
        return None


def _frames(picture: Image.Image, data: bytes, count: int, max_pixels: int) -> tuple[NDArray[np.uint8], ...]:
    """Sampled later frames; those before the first damaged one, if one is damaged."""
    found: list[NDArray[np.uint8]] = []
    if count:
        with suppress(*_DAMAGE, MemoryError, Image.DecompressionBombError):
            for frame in later_frames(picture, data, count, max_pixels):
                found.append(frame)  # noqa: PERF402  what came before the damage is kept
    return tuple(found)


def _to_rgb(picture: Image.Image) -> NDArray[np.uint8] | Reason:
    """The first frame as RGB."""
    picture.load()
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        return grey_of(picture)
    if picture.mode in {"I", "F"}:
        return Reason.UNDECODABLE  # such a file does not say which number is white
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    # a copy: Pillow's buffer ends with the picture
    return np.array(rgb, dtype=np.uint8, order="C")
