# ruff: noqa: INP001, T201 - scripts are run, never imported
"""Write docs/encodings.md: how every encoding hashes, and what each variant costs, as measured now.

    python scripts/make_encodings.py --peer .venv-bench/bin/python

`--peer` is a Python that has threatexchange (`make bench` installs one); it hashes the same files.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import PIL
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "signal")]

from bench.pictures import pictures  # noqa: E402 - found beside this folder
from encoding_cases import Case, cases, encoded  # noqa: E402

from photographs import tiles  # noqa: E402
from vetset.model.policy import ScanPolicy  # noqa: E402
from vetset.model.signal import Form  # noqa: E402
from vetset.signal.decode import decode  # noqa: E402
from vetset.signal.fingerprint import fingerprint  # noqa: E402
from vetset.signal.heif import LEAST_LIBHEIF  # noqa: E402
from vetset.signal.orientation import turned  # noqa: E402
from vetset.signal.pdq import pdq, pdq_dihedral, transform_plain  # noqa: E402

PAGE = ROOT / "docs" / "encodings.md"
PICTURES = 8
SIDE = 240
ROUNDS = 7
MIRRORED = 60
MIRRORED_SIZES = ((256, 256), (300, 200), (512, 512), (640, 480), (1024, 768))

_PEER = """
import json, sys
from importlib.metadata import version
from pathlib import Path
from threatexchange.signal_type.pdq.pdq_hasher import pdq_from_bytes
found = []
for path in json.loads(sys.stdin.read()):
    try:
        found.append(pdq_from_bytes(Path(path).read_bytes())[0])
    except Exception as error:
        found.append(None)
print(json.dumps([version("threatexchange"), found]))
"""

HEAD = """\
# Encodings and variants

Written by `python scripts/make_encodings.py`; its tables were measured when it ran. Change the script, not this
page.

## A picture hashes to itself in every encoding

Greatest PDQ distance, in bits of 256, between the file and the RGB form of the same pixels (for palettes, one-bit
and grey pictures: of their own pixels), over {pictures} crops of ordinary photographs whose hash is usable (quality
≥ 50), {side} × {side}; HEIC, deep AVIF and rare JPEGs on the files in `tests/fixtures`, which are smaller and fewer.
*At most* is what the tests ask for; a match is a distance of at most 31. {versions}

Embedded profiles are ignored, transparent pixels keep the colour that is stored under them, and no orientation is
applied: the table is about the picture *as stored*, which is what loaders hand to a model. (TIFF and HEIC are turned as
the file says, since their loaders do that.) {peer}

Undecided, with a reason: JPEG of 12 bits, lossless or hierarchical JPEG, or one whose height comes after its data; PNG
as Apple's tools pack it; TIFF of 32-bit integers or of floating point, whose white is not stated, and of 16-bit planes
stored one after another; everything that ends early, also where a stream ends in good order and lacks rows, strips,
tiles, restart intervals or all scans of a component, and a PNG that goes on in zeros. (A progressive JPEG whose last
scans are missing is whole, and less sharp. Zeros in the place of WebP, AVIF, HEIC or unpacked data go unnoticed.)
"""

HEIC = """\
## HEIC

HEIC is decoded where a library for it is installed: `pip install 'vetset[heic]'`. Without one, such a picture is
`unknown_encoding`, and `vetset audit` says so beside the counts. The store knows which decoders were at hand: what was
scanned without the extra is scanned again with it, never reused as if it had been there, and parts of one scan must
have been made alike.

* The extra brings pillow-heif (BSD), whose wheels hold libheif and libde265 (LGPL) and the encoder x265 (GPL), which
  is never called; mind that where you pass an environment on. libheif before {least} is not used: it has published
  holes ([ADR 15](adr/0015-heic.md)).
* What is decoded: a picture in HEVC, a grid of such pictures, either with alpha of the same size. Everything else that
  a HEIF file may be made of (overlays, pictures derived from others, grey of more than 8 bits, other codings) is
  `unknown_encoding`, and its bytes never reach the library. A file that ends early is `truncated`, even where the
  library would fill up the rest.
* Rotation, mirroring and clipping that the file itself states are applied, as every loader does; an EXIF orientation is
  not, as the standard has it, so that a HEIC picture has no form `upright`. AVIF is different: Pillow hands it out as
  it is coded and tells how to turn it, so that its stored form is not turned and `upright` is.
* The primary picture is hashed; the others of a collection are no frames of it. A file that holds a film and no still
  picture is `undecodable`.
* Bytes changed inside the data of a picture often go unnoticed, as in any decoder of HEVC; then the pixels are the ones
  that a model would see.

"""

VARIANTS = """\
## Variants, and their price

Beside the stored picture, `scan.variants` of the [policy](policy.md) names forms of it that are hashed where they
differ. Each match says which form agreed (`Match.variant`). Each form is one change of the stored picture: a
picture that is both transparent and turned is hashed over white as it lies, and upright with its stored colours.

A record is decided for PDQ if the stored picture or any variant but `partial` has a hash of quality ≥
`min_pdq_quality`. `partial` may match, never confirms and never decides: `matched_partial` of a tally counts such
records, which the coverage calls `truncated`. They are among a tally's matched and not among its undecided, so that
records = matched + not matched + undecided; `open` and the claims of a statement name them as matched and undecided.
What is missing of a truncated file is grey (JPEG) or black (PNG); an interlaced PNG and a JPEG of four inks have no
partial form. Where a later frame of an animation is damaged, the samples before it count. No more than 256 frames of
one animation, and no more than `max_pixels` pixels of it, are looked at.

`resized512` is off by default. Meta's C++ file tool brings a picture with a side over 512 to 512 × 512 (nearest
pixel by the corner, proportions not kept) before it hashes; the Python tools do not. vetset does the same to the
same pixels, as that tool's source describes it; no test compiles the tool to compare. Hashes of one picture with and
without the step differ, a few of them by more than 31 bits. Turn it on where a list was made by that tool and the
dataset stores large pictures.

`dihedral` gives the hashes that the seven mirrored and turned pictures would have, by mirrored weights and four
transforms ([why](adr/0013-dihedral.md)). The signs of one transform, which the reference's `compute_dihedral` takes,
are nearly free, but where PDQ's samples do not lie symmetrically they are the hash of no picture:

{mirrored}

µs a picture, one thread, all digests and PDQ, median of {rounds} rounds; *without* has no variants on. A picture to
which a variant does not apply is not hashed again: the first rows are what the defaults cost on ordinary
photographs.

| pictures | variants | without | with | more |
|---|---|---:|---:|---:|
"""


def distance(one: bytes, other: bytes) -> int:
    """Bits that differ."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def peer_codes(python: str, files: Sequence[bytes]) -> tuple[str, list[str | None]]:
    """Version of threatexchange, and what it makes of every file; None where it raises."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        asked = json.dumps([str(path) for path in paths])
        told = subprocess.run([python, "-c", _PEER], input=asked, capture_output=True, text=True, check=True)  # noqa: S603
    version, codes = json.loads(told.stdout)
    return version, codes


def table(every: Sequence[Case], peer: str | None) -> tuple[list[str], str]:
    """Rows of the table, and what is said of the peer."""
    usable = [pixels for pixels in tiles(SIDE, 2 * PICTURES, 5) if pdq(pixels)[1] >= ScanPolicy().min_pdq_quality]
    made = [case.files(usable[:PICTURES]) for case in every]
    own = [[pdq(np.ascontiguousarray(pixels))[0] for _, pixels in files] for files in made]
    version, codes = ("", []) if peer is None else peer_codes(peer, [data for files in made for data, _ in files])
    head = ["| encoding | at most | vetset |" + (" threatexchange |" if peer else "")]
    head.append("|---|---:|---:|" + ("---:|" if peer else ""))
    rows = []
    told = iter(codes)
    for case, files, wanted in zip(every, made, own, strict=True):
        mine = [distance(pdq(_pixels(data))[0], code) for (data, _), code in zip(files, wanted, strict=True)]
        row = f"| {case.name} | {case.bound} | {max(mine)} |"
        if peer:
            theirs = [next(told) for _ in files]
            far = [distance(bytes.fromhex(code), own) for code, own in zip(theirs, wanted, strict=True) if code]
            row += f" {max(far)} |" if len(far) == len(theirs) else " error |"
        rows.append(row)
    said = f"threatexchange {version} hashed the same files with `pdq_from_bytes`." if peer else ""
    return head + rows, said


def _pixels(data: bytes) -> np.ndarray:
    found = decode(data, max_pixels=1 << 28)
    if not isinstance(found, np.ndarray):
        raise TypeError(f"not decoded: {found}")
    return found


def microseconds(files: Sequence[bytes], forms: Sequence[Form]) -> tuple[float, float]:
    """µs a picture without and with these variants, round by round in turns."""
    policy = ScanPolicy()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS + 1):
        for on, taken in seconds.items():
            begun = time.process_time()
            for data in files:
                fingerprint(data, policy=policy, variants=forms if on else ())
            taken.append(time.process_time() - begun)
    found = {on: median(each[1:]) / len(files) * 1e6 for on, each in seconds.items()}  # the first round compiles
    return found[False], found[True]


def prices() -> list[str]:
    """Rows of the table of prices."""
    small = pictures([(256, 256), (384, 384), (512, 512), (512, 384)], 25, seed=1)
    large = pictures([(800, 600), (1000, 750), (1024, 768)], 25, seed=2)
    opened = [Image.open(io.BytesIO(data)).convert("RGB") for data in small]
    faded = []
    for picture in opened:
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        faded.append(encoded(picture, "PNG"))
    tags = Image.Exif()
    tags[0x0112] = 6
    turned = [encoded(Image.open(io.BytesIO(data)), "JPEG", exif=tags, quality=90) for data in small]
    frames = [Image.fromarray(pixels) for pixels in tiles(240, 20, 9)]
    moving = {
        form: [encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)]
        for form, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"quality": 80}))
    }
    defaults = ScanPolicy().variants
    told: list[tuple[str, list[bytes], Sequence[Form]]] = [
        ("JPEG, 256 to 512 px", small, defaults),
        ("JPEG, 800 to 1024 px", large, defaults),
        ("JPEG, 256 to 512 px, EXIF orientation 6", turned, (Form.UPRIGHT,)),
        ("RGBA PNG, 256 to 512 px", faded, (Form.WHITE,)),
        ("RGBA PNG, 256 to 512 px", faded, (Form.WHITE, Form.BLACK)),
        ("GIF of 20 frames, 240 px", moving["GIF"], (Form.FRAMES,)),
        ("APNG of 20 frames, 240 px", moving["PNG"], (Form.FRAMES,)),
        ("WebP of 20 frames, 240 px", moving["WEBP"], (Form.FRAMES,)),
        ("JPEG, 256 to 512 px, last 5 % missing", [data[: len(data) * 19 // 20] for data in small], (Form.PARTIAL,)),
        ("PNG, 256 to 512 px, last 5 % missing", [_cut(data) for data in small], (Form.PARTIAL,)),
        ("JPEG, 256 to 512 px", small, (Form.RESIZED_512,)),
        ("JPEG, 800 to 1024 px", large, (Form.RESIZED_512,)),
        ("JPEG, 256 to 512 px", small, (Form.DIHEDRAL,)),
        ("JPEG, 800 to 1024 px", large, (Form.DIHEDRAL,)),
    ]
    rows = []
    for name, files, forms in told:
        without, including = microseconds(files, forms)
        words = "the defaults" if forms == defaults else ", ".join(f"`{form}`" for form in forms)
        rows.append(f"| {name} | {words} | {without:.0f} | {including:.0f} | {including / without - 1:+.1%} |")
    return rows


def mirrored() -> list[str]:
    """A table: how far a mirrored copy's hashes by both ways are from the hash of the original."""
    rows = [
        f"A mirrored JPEG copy (quality 75) against its original: distances in bits, {MIRRORED} crops of photographs.",
        "",
        "| size | `dihedral`: median | greatest | over 31 | signs of one transform: median | greatest | over 31 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for width, height in MIRRORED_SIZES:
        exact, signed = [], []
        for data in pictures([(width, height)], MIRRORED, seed=width):
            original = _pixels(data)
            wanted = pdq(original)[0]
            copy = _pixels(encoded(Image.fromarray(turned(original, 2)), "JPEG", quality=75))
            exact.append(distance(pdq_dihedral(copy)[2][0], wanted))
            signed.append(distance(_signed(copy), wanted))
        told = " | ".join(
            f"{median(far):.0f} | {max(far)} | {sum(bits > 31 for bits in far)}" for far in (exact, signed)
        )
        rows.append(f"| {width} × {height} | {told} |")
    return rows


def _signed(pixels: np.ndarray) -> bytes:
    """The mirrored form as the reference derives it: the signs of the stored picture's own transform."""
    coefficients = transform_plain(pixels) * np.where(np.arange(16) % 2, 1, -1)
    above = coefficients > np.sort(coefficients, axis=None)[127]
    return np.packbits(above.ravel()[::-1]).tobytes()


def _cut(data: bytes) -> bytes:
    whole = encoded(Image.open(io.BytesIO(data)).convert("RGB"), "PNG")
    return whole[: len(whole) * 19 // 20]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", help="a Python that has threatexchange")
    rows, said = table(list(cases()), parser.parse_args().peer)
    head = HEAD.format(pictures=PICTURES, side=SIDE, versions=f"Pillow {PIL.__version__} wrote the files.", peer=said)
    body = VARIANTS.format(rounds=ROUNDS, mirrored="\n".join(mirrored())) + "\n".join(prices())
    heic = HEIC.format(least=".".join(map(str, LEAST_LIBHEIF)))
    PAGE.write_text(f"{head}\n" + "\n".join(rows) + f"\n\n{heic}{body}\n", encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
