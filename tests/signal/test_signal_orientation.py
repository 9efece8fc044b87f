"""A picture is brought upright wherever Pillow's `exif_transpose` brings it upright, and in the same way."""

import io
import struct
import warnings
import zlib
from random import Random

import numpy as np
import pytest
from odd_cases import chunk
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from photographs import tiles
from vetset.signal.decode import Picture, decode_picture
from vetset.signal.orientation import TURNS, orientation_of, turned

CAP = 1 << 24
PIXELS = np.ascontiguousarray(tiles(64, 1, 5)[0][:24, :32])
UPRIGHT_IN_XMP = b'<rdf:Description tiff:Orientation="%d" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/>'
SHORT, LONG = 3, 4


def saved(form, **options):
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, form, **options)
    return out.getvalue()


def by_pillow(data):
    """What `exif_transpose` gives; the picture as it is where it fails."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as picture:
        try:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
        except (SyntaxError, ValueError, struct.error):
            return np.asarray(picture.convert("RGB"))


def upright(data):
    found = decode_picture(data, max_pixels=CAP)
    assert isinstance(found, Picture), found
    return found.pixels if found.orientation == 1 else turned(found.pixels, found.orientation)


def entry(order, tag, kind, count, value):
    """A directory's entry whose value lies within."""
    forms = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 13: "I"}
    packed = struct.pack(order + forms.get(kind, "I"), value) * min(count, 2 if kind in {3, 8} else 1)
    return struct.pack(order + "HHI", tag, kind, count) + packed.ljust(4, b"\0")[:4]


def tiff(entries, order="<", *, start=8, more=0):
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    body = struct.pack(order + "H", len(entries) + more) + b"".join(entries) + bytes(4)
    return head + bytes(start - 8) + body


def plain(value, kind=SHORT, order="<"):
    return tiff([entry(order, 0x0112, kind, 1, value)], order)


def app1(body):
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def exif(block):
    return app1(b"Exif\0\0" + block)


def xmp(value):
    return app1(b"http://ns.adobe.com/xap/1.0/\0" + UPRIGHT_IN_XMP % value)


def jpeg(*segments):
    data = saved("JPEG")
    return data[:2] + b"".join(segments) + data[2:]


EMPTY = tiff([])
JPEGS = {
    "SHORT": lambda n: jpeg(exif(plain(n))),
    "LONG": lambda n: jpeg(exif(plain(n, LONG))),
    "LONG, big-endian": lambda n: jpeg(exif(plain(n, LONG, ">"))),
    "signed SHORT": lambda n: jpeg(exif(plain(n, 8))),
    "signed LONG": lambda n: jpeg(exif(plain(n, 9))),
    "FLOAT": lambda n: jpeg(exif(plain(n, 11))),
    "BYTE, which Pillow takes for no number": lambda n: jpeg(exif(plain(n, 1))),
    "two of them": lambda n: jpeg(exif(tiff([entry("<", 0x0112, SHORT, 2, n)]))),
    "after one of an unknown type": lambda n: jpeg(
        exif(tiff([entry("<", 0x0112, 99, 1, 3), entry("<", 0x0112, SHORT, 1, n)]))
    ),
    "before another one": lambda n: jpeg(exif(tiff([entry("<", 0x0112, SHORT, 1, v) for v in (n, 3)]))),
    "behind fill bytes": lambda n: jpeg(b"\xff\xff", exif(plain(n))),
    "behind many fill bytes": lambda n: jpeg(b"\xff" * 9, exif(plain(n))),
    "behind stray bytes": lambda n: saved("JPEG").replace(b"\xff\xdb", b"\0\1\xff\0" + exif(plain(n)) + b"\xff\xdb", 1),
    "behind a restart marker": lambda n: jpeg(b"\xff\xd1", exif(plain(n))),
    "behind an empty segment": lambda n: jpeg(exif(b""), exif(plain(n))),
    "behind a segment without it": lambda n: jpeg(exif(EMPTY), exif(plain(n))),
    "in two segments": lambda n: jpeg(exif(plain(n)[:15]), exif(plain(n)[15:])),
    "in EXIF within EXIF": lambda n: jpeg(exif(b"Exif\0\0" + plain(n))),
    "directory elsewhere": lambda n: jpeg(exif(tiff([entry("<", 0x0112, SHORT, 1, n)], start=40))),
    "directory that claims more entries": lambda n: jpeg(exif(tiff([entry("<", 0x0112, SHORT, 1, n)], more=9))),
    "directory without an end": lambda n: jpeg(exif(plain(n)[:22])),
    "BigTIFF": lambda n: jpeg(exif(b"II\x2b\0\x08\0\0\0" + struct.pack("<QQHHQQQ", 16, 1, 0x0112, SHORT, 1, n, 0))),
    "XMP": lambda n: jpeg(xmp(n)),
    "XMP, as an element": lambda n: jpeg(
        app1(b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>%d</tiff:Orientation>" % n)
    ),
    "the last of two XMP": lambda n: jpeg(xmp(3), xmp(n)),
    "XMP beside EXIF without it": lambda n: jpeg(exif(EMPTY), xmp(n)),
    "XMP beside damaged EXIF": lambda n: jpeg(exif(b"what"), xmp(n)),
    "EXIF before XMP": lambda n: jpeg(xmp(3), exif(plain(n))),
    "EXIF of no orientation before XMP": lambda n: jpeg(exif(plain(9)), xmp(n)),
    "MPO": lambda n: saved("MPO", save_all=True, append_images=[Image.fromarray(PIXELS)], exif=b"Exif\0\0" + plain(n)),
}


@pytest.mark.parametrize("orientation", [0, *range(1, 9), 9])
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_is_turned_as_by_pillow(name, orientation):
    data = JPEGS[name](orientation)
    np.testing.assert_array_equal(upright(data), by_pillow(data))


UNREAD = ("BYTE", "behind a segment without", "EXIF of no", "BigTIFF", "XMP beside damaged")
"""What Pillow does not read either."""


@pytest.mark.parametrize("name", [name for name in JPEGS if not name.startswith(UNREAD)])
def test_none_of_them_is_missed(name):
    assert decode_picture(JPEGS[name](6), max_pixels=CAP).orientation == 6


def png_with(*chunks):
    data = saved("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def png_xmp(value):
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + UPRIGHT_IN_XMP % value)


def png_profile(value):
    block = b"Exif\0\0" + plain(value)
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    return saved("PNG", pnginfo=info)


def png_late(value):
    data = saved("PNG")
    return data[:-12] + chunk(b"eXIf", plain(value)) + data[-12:]


def tiff_of(value, kind, **options):
    tags = Image.Exif()
    tags[0x0112] = value
    data = bytearray(saved("TIFF", exif=tags, **options))
    place = data.index(struct.pack("<HHI", 0x0112, SHORT, 1))
    data[place + 2 : place + 4] = struct.pack("<H", kind)
    return bytes(data)


OTHERS = {
    "PNG": lambda n: png_with(chunk(b"eXIf", plain(n))),
    "PNG, LONG": lambda n: png_with(chunk(b"eXIf", plain(n, LONG))),
    "PNG, FLOAT": lambda n: png_with(chunk(b"eXIf", plain(n, 11))),
    "PNG, after its data": png_late,
    "PNG, in text": png_profile,
    "PNG, XMP": lambda n: png_with(png_xmp(n)),
    "PNG, XMP, packed": lambda n: png_with(
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(UPRIGHT_IN_XMP % n))
    ),
    "PNG, XMP beside EXIF without it": lambda n: png_with(chunk(b"eXIf", EMPTY), png_xmp(n)),
    "PNG, damaged": lambda n: png_with(chunk(b"eXIf", b"what" * n)),
    "WebP": lambda n: saved("WEBP", lossless=True, exif=plain(n)),
    "WebP, LONG": lambda n: saved("WEBP", lossless=True, exif=plain(n, LONG)),
    "WebP, FLOAT": lambda n: saved("WEBP", lossless=True, exif=plain(n, 11)),
    "WebP, with a head": lambda n: saved("WEBP", lossless=True, exif=b"Exif\0\0Exif\0\0" + plain(n)),
    "WebP, XMP": lambda n: saved("WEBP", lossless=True, xmp=UPRIGHT_IN_XMP % n),
    "TIFF": lambda n: tiff_of(n, SHORT),
    "TIFF, LONG": lambda n: tiff_of(n, LONG),
    "TIFF, packed": lambda n: tiff_of(n, LONG, compression="tiff_lzw"),
    "TIFF, XMP": lambda n: saved("TIFF", tiffinfo={700: UPRIGHT_IN_XMP % n}),
    "AVIF": lambda n: saved("AVIF", exif=plain(n)),
    "AVIF, LONG": lambda n: saved("AVIF", exif=plain(n, LONG)),
    "AVIF, XMP": lambda n: saved("AVIF", xmp=UPRIGHT_IN_XMP % n),
    "JPEG 2000": lambda n: saved("JPEG2000", irreversible=False),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", OTHERS)
def test_other_formats_are_turned_as_by_pillow(name, orientation):
    data = OTHERS[name](orientation)
    np.testing.assert_array_equal(upright(data), by_pillow(data))


def generated(chance):
    """A JPEG with a header as no tool would write it."""
    order = chance.choice("<>")
    parts = []
    for _ in range(chance.randrange(1, 4)):
        tags = [entry(order, 0x010E + n, chance.choice([2, 3, 4, 7]), 1, chance.randrange(200)) for n in range(3)]
        for _ in range(chance.choice([0, 1, 1, 1, 2])):
            kind, count = (
                chance.choice([1, 2, 3, 3, 3, 4, 4, 6, 7, 8, 9, 11, 13, 0, 40]),
                chance.choice([1, 1, 1, 1, 2, 0]),
            )
            tags.insert(chance.randrange(len(tags) + 1), entry(order, 0x0112, kind, count, chance.randrange(10)))
        block = tiff(tags, order, start=8 + chance.choice([0, 0, 2, 30]), more=chance.choice([0, 0, 0, 1, 50]))
        parts.append(
            chance.choice(
                [
                    exif(block),
                    exif(block),
                    exif(block),
                    exif(b""),
                    exif(b"Exif\0\0" + block),
                    xmp(chance.randrange(10)),
                    exif(block[: chance.randrange(len(block))]),
                    app1(b"other"),
                    b"\xff\xfe\0\4hm",
                ]
            )
        )
        parts.append(chance.choice([b"", b"", b"", b"\xff", b"\xff\xff\xff", b"\xff\xd3", b"\0\0", b"\xff\0"]))
    return jpeg(*parts)


@pytest.mark.parametrize("number", range(400))
def test_generated_headers_turn_a_picture_as_by_pillow(number):
    data = generated(Random(number))
    np.testing.assert_array_equal(upright(data), by_pillow(data))


def test_what_is_no_orientation_is_upright():
    for stated in (None, b"\6", "6", (6, 6), 0, 1, 9, 2.5, float("nan")):
        assert orientation_of(stated) == 1
    assert [orientation_of(float(number)) for number in TURNS] == list(TURNS)
