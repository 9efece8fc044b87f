# ruff: noqa: INP001, T201 - scripts are run, never imported
"""Make tests/fixtures/heif: small HEIC files of free pictures, as tests/signal/heif_cases.py lists them.

vetset depends on no encoder of HEVC. pillow-heif has one, whose licence (x265, GPL) is no concern of the files it
writes; it lives in an environment of its own:

    python3 -m venv /some/where && /some/where/bin/pip install pillow-heif numpy
    .venv/bin/python scripts/make_heif_fixtures.py --encoder /some/where/bin/python
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageCms

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "signal")]

from heif_cases import FILES, FOLDER, REFUSED, HeifFile, faded  # noqa: E402 - found beside this folder

_ENCODER = """
import json, sys
import numpy as np, pillow_heif
from PIL import Image
for job in json.loads(sys.stdin.read()):
    settings = job["settings"]
    turned = settings.pop("orientation", None)
    if "icc_profile" in settings:
        with open(job["profile"], "rb") as file:
            settings["icc_profile"] = file.read()
    with Image.open(job["source"]) as opened:
        picture = opened.copy()
    if turned is not None:
        tags = Image.Exif()
        tags[0x0112] = turned
        settings["exif"] = tags.tobytes()
    file = pillow_heif.HeifFile()
    if job["second"]:
        file.add_from_pillow(Image.fromarray(255 - np.asarray(picture)))
        settings["primary_index"] = 1
    if job["mode"].endswith(";16"):
        samples = np.asarray(picture).astype(np.uint16) * 257
        file.add_frombytes(job["mode"].replace("L;16", "I;16"), picture.size, samples.tobytes())
    elif job["mode"] == "RGBa":
        file.add_frombytes("RGBa", picture.size, picture.convert("RGBa").tobytes())
    else:
        file.add_from_pillow(picture)
    for image in file:
        image.info.update({key: settings[key] for key in ("exif", "icc_profile") if key in settings})
    file.save(job["target"], save_all=True, **settings)
print(pillow_heif.__version__, pillow_heif.libheif_info()["HEIF"])
"""


def source(made: HeifFile) -> Image.Image:
    """The picture that is encoded."""
    picture = Image.fromarray(made.source)
    if made.mode.startswith("L"):
        return picture.convert("L")
    if made.mode in {"RGBA", "RGBa"}:
        picture.putalpha(faded(picture.size))
    return picture


def main() -> None:
    """Cut, encode, put the files in place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True, help="a Python that has pillow-heif")
    encoder = parser.parse_args().encoder
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        profile = Path(scratch, "profile.icc")
        profile.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        jobs = []
        for name, made in {**FILES, **REFUSED}.items():
            path = Path(scratch, f"{name}.png")
            source(made).save(path)
            target = FOLDER / f"{name}.heic"
            jobs.append({
                "source": str(path), "target": str(target), "mode": made.mode, "settings": dict(made.settings),
                "second": made.second, "profile": str(profile),
            })  # fmt: skip
        told = subprocess.run(  # noqa: S603  our own arguments
            [encoder, "-c", _ENCODER], input=json.dumps(jobs), stdout=subprocess.PIPE, text=True, check=True
        )
    print(told.stdout.strip())
    sizes = {name: (FOLDER / f"{name}.heic").stat().st_size for name in FILES}
    print("\n".join(f"{name}: {size}" for name, size in sizes.items()), sum(sizes.values()))


if __name__ == "__main__":
    main()
