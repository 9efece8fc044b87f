"""The pictures of the self-test: drawn here, encoded by the cases of the table of encodings, and packed.

What must come of a lossless file is computed from the drawn pixels by the definition of PDQ, not by decoding it.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from encoding_cases import LOSSLESS, Pixels, cases, encoded, png_of
from PIL import Image

from vetset.model.policy import ScanPolicy
from vetset.model.signal import DIGEST_KINDS, Form, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal.canaries import MODEL_TRIPLE
from vetset.signal.digest import digest
from vetset.signal.fingerprint import fingerprint
from vetset.signal.pdq import pdq_plain

SIDES = (64, 48)
COLOURS = 14
LOSSY_BITS = 8
"""What another decoder of the same lossy file may round differently."""
LEFT_OUT = {
    "JPEG, quality 95",
    *(f"JPEG, quality 90, EXIF orientation {number}" for number in (1, 2, 4, 5, 7, 8)),
    "WebP, quality 80",
    "JPEG, quality 90, ICC profile (sRGB)",
    "JPEG, quality 90, 4:4:0",
    "JPEG, quality 90, 4:1:1",
    "JPEG, quality 90, no JFIF and no Adobe",
    "JPEG, quality 90, Adobe transform 1",
    "JPEG, RGB, no JFIF and no Adobe",
    "JPEG, CMYK inverted, no Adobe",
    "JPEG, grey, Adobe transform 0",
    "PNG, ICC profile (sRGB)",
    "APNG, first frame",
    "AVIF, quality 75",
    "AVIF, quality 90, grid of tiles",
    "JPEG 2000, codestream alone",
    "JPEG 2000, tiles",
    "JPEG 2000, grey, 16 bits",
}
"""Encodings that say little beside others and take room, or that need larger pictures."""
ALL_FORMS = {"PNG", "JPEG, quality 90"}
"""Canaries that carry the mirrored and turned forms, which are computed of pixels and are the same for all others."""


@dataclass(frozen=True)
class Made:
    """One file, and the RGB form of the drawn pixels where that is known."""

    name: str
    data: bytes
    needs: str
    bits: int
    drawn: Pixels | None = None


def drawn(seed: int, sides: tuple[int, int] = SIDES, *, cells: int = 16, soft: bool = False) -> Pixels:
    """Cells of random colours, in every low frequency; with soft edges for codings that lose what is sharp."""
    random = np.random.default_rng([seed, 20])
    near = random.integers(0, 256, (COLOURS, 1)) + random.integers(-60, 60, (COLOURS, 3))
    grid = np.clip(near, 0, 255).astype(np.uint8)[random.integers(0, COLOURS, (cells, cells))]
    width, height = sides
    if soft:
        return np.array(Image.fromarray(grid).resize(sides, Image.Resampling.BICUBIC))
    return np.ascontiguousarray(grid[np.arange(height) * cells // height][:, np.arange(width) * cells // width])


def _needs(name: str) -> str:
    for start, decoder in {"AVIF": "avif", "WebP": "webp", "JPEG 2000": "jpg_2000", "HEIC": "heic"}.items():
        if name.startswith(start):
            return decoder
    return "libtiff" if "TIFF" in name else ""


def of_encodings() -> Iterator[Made]:
    """One of each encoding that can be made here."""
    for seed, case in enumerate(cases()):
        if case.make is None or case.name in LEFT_OUT:
            continue
        data, own = case.make(drawn(seed, soft=case.bound > LOSSLESS))
        bits = 0 if case.bound == LOSSLESS else LOSSY_BITS
        yield Made(case.name, timeless(data), _needs(case.name), bits, own)


def timeless(data: bytes) -> bytes:
    """The same file without the time at which an animation in AVIF was made."""
    out = bytearray(data)
    for box in (b"mvhd", b"tkhd", b"mdhd") if data[4:12] == b"ftypavis" else ():
        place = data.index(box) + 8
        size = 16 if data[place - 4] == 1 else 8
        out[place : place + size] = bytes(size)
    return bytes(out)


def others() -> Iterator[Made]:
    """What has no PDQ, what is longer than 512 pixels, and what a model is tried on."""
    cut = encoded(Image.fromarray(drawn(901, soft=True)), "JPEG", quality=90)
    yield Made("JPEG that ends early", cut[: len(cut) * 19 // 20], "", LOSSY_BITS)
    whole = png_of(drawn(902))
    yield Made("PNG that ends early", whole[: len(whole) * 19 // 20], "", 0)
    yield Made("PNG of one colour", png_of(np.full((48, 64, 3), 90, np.uint8)), "", 0)
    yield Made("no picture", np.random.default_rng(903).bytes(400), "", 0)
    long = drawn(904, (600, 48))
    yield Made("PNG, longer than 512", encoded(Image.fromarray(long), "PNG"), "", 0, long)
    first, second = drawn(905, cells=12, soft=True) // 2, 255 - drawn(906, cells=12, soft=True) // 2
    for name, picture, quality in zip(MODEL_TRIPLE, (first, first, second), (92, 80, 92), strict=True):
        data = encoded(Image.fromarray(picture), "JPEG", quality=quality, subsampling=0)
        yield Made(name, data, "", LOSSY_BITS, picture)


HEIC: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "HEIC": ("RGB", {"quality": 80}),
    "HEIC, grey": ("L", {"quality": 80}),
    "HEIC, 4:4:4": ("RGB", {"chroma": 444}),
}


def drawn_for_heic() -> Iterator[tuple[str, Image.Image]]:
    """What the files in HEIC show, by name."""
    for seed, (name, (mode, _)) in enumerate(HEIC.items()):
        yield name, Image.fromarray(drawn(950 + seed, soft=True)).convert(mode)


def of_heic() -> Iterator[Made]:
    """HEIC, as the encoder writes it that pillow-heif may bring (x265, GPL): only who makes the file calls it."""
    import pillow_heif

    for name, picture in drawn_for_heic():
        file, out = pillow_heif.from_pillow(picture), io.BytesIO()
        file.save(out, **HEIC[name][1])
        yield Made(name, out.getvalue(), "heic", LOSSY_BITS, np.array(picture.convert("RGB")))


def expected(made: Made) -> dict[str, object]:
    """What must come of a file, as it stands beside it."""
    policy = ScanPolicy(variants=tuple(Form), min_pdq_quality=50)
    answers = fingerprint(made.data, kinds=(Kind.PDQ,), policy=policy, variants=policy.variants)
    stored, *further = answers
    pdq = {answer.variant: answer.value for answer in further if isinstance(answer, Signal)}
    if made.name not in ALL_FORMS:
        dihedral = Form.DIHEDRAL.variants(2)
        pdq = {variant: value for variant, value in pdq.items() if variant not in dihedral}
    reason: Reason | None = None
    quality = 0
    if isinstance(stored, NoSignal):
        reason = stored.reason
    else:
        value, quality = (stored.value, stored.quality)
        if made.drawn is not None and made.bits == 0:
            value, quality = pdq_plain(made.drawn)
        pdq = {Variant.STORED: value, **pdq}
    return {
        "name": made.name,
        "needs": made.needs,
        "bits": made.bits,
        "digests": {kind.value: digest(made.data, kind).hex() for kind in DIGEST_KINDS if not kind.is_url},
        "reason": reason,
        "quality": quality,
        "pdq": {variant.value: value.hex() for variant, value in pdq.items()},
    }


def packed(made: list[Made]) -> bytes:
    """The file of all canaries: the same bytes for the same pictures, whenever it is made."""
    listed = [{"file": f"{number:03}", **expected(one)} for number, one in enumerate(made)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        entries = [("expected.json", json.dumps(listed, sort_keys=True).encode())]
        entries += [(f"{number:03}", one.data) for number, one in enumerate(made)]
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()
