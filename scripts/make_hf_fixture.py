"""Make tests/fixtures/huggingface with the real `datasets`, from small tiles of free pictures.

The reader is tested against what the library writes, not against what we think it writes. Neither vetset nor its tests
need `datasets`, so it lives in an environment of its own, with scikit-image for its picture files:

    python3 -m venv /some/where && /some/where/bin/pip install datasets scikit-image
    /some/where/bin/python scripts/make_hf_fixture.py
    /some/where/bin/python scripts/make_hf_fixture.py --check CLEANED [--without KEY ...]

Three outputs, of the same 22 rows (16 `train`, 6 `test`): `parquet/` as a repository on the Hub holds it, `saved/` from
`DatasetDict.save_to_disk` (`train` in two files) and `cache/` as `load_dataset` leaves it. Every row has a picture but
one of `train`; some have up to two more views in a list.

With `--check`, nothing is made: a cleaned copy of any of the three is loaded, every picture decoded, and what is left
compared with the fixture.
"""

# ruff: noqa: INP001  a script, not a package
import argparse
import io
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
from datasets.arrow_reader import ArrowReader
from PIL import Image

TARGET = Path(__file__).parents[1] / "tests" / "fixtures" / "huggingface"
PICTURES = {  # name: tiles taken of it; all of them CC0 or public domain (see the fixture's README)
    "brick.png": 4,
    "chelsea.png": 6,
    "coffee.png": 6,
    "gravel.png": 4,
    "rocket.jpg": 6,
}
TILE = 112
SIDE = 56
ROWS = {"train": 16, "test": 6}
BARE = 11
"""The row whose picture is null."""


def encoded(picture: Image.Image) -> bytes:
    """A small JPEG."""
    buffer = io.BytesIO()
    picture.resize((SIDE, SIDE)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def tiles() -> list[bytes]:
    """The tiles, in a fixed order."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image is not installed: its picture files are needed")
    made = []
    for name, count in PICTURES.items():
        with Image.open(Path(spec.origin).parent / "data" / name) as whole:
            rgb = whole.convert("RGB")
        across = rgb.width // TILE
        corners = [(tile % across * TILE, tile // across * TILE) for tile in range(count)]
        made += [encoded(rgb.crop((left, top, left + TILE, top + TILE))) for left, top in corners]
    return made


def features() -> datasets.Features:
    """What a row holds."""
    return datasets.Features(
        {
            "id": datasets.Value("string"),
            "image": datasets.Image(),
            "views": datasets.List(datasets.Image()),
            "caption": datasets.Value("string"),
            "url": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["plain", "odd"]),
        }
    )


def row(number: int, pictures: list[bytes]) -> dict[str, Any]:
    """One row; its views are tiles that no row has as its picture."""
    views = [pictures[22 + (number + view) % 4] for view in range(number % 3)] if number % 4 == 1 else []
    return {
        "id": f"row-{number:03d}",
        "image": None if number == BARE else {"bytes": pictures[number], "path": f"{number:03d}.jpg"},
        "views": [{"bytes": view, "path": None} for view in views],
        "caption": f"the tile of number {number}",
        "url": f"https://pictures.example/{number}.jpg",
        "label": number % 2,
    }


def make() -> None:
    """Write all three."""
    pictures = tiles()
    numbers = iter(range(sum(ROWS.values())))
    splits = {
        name: datasets.Dataset.from_list([row(next(numbers), pictures) for _ in range(count)], features=features())
        for name, count in ROWS.items()
    }
    for name in ("parquet", "saved", "cache"):
        shutil.rmtree(TARGET / name, ignore_errors=True)
    data = TARGET / "parquet" / "data"
    for name, split in splits.items():
        split.to_parquet(data / f"{name}-00000-of-00001.parquet")
    datasets.DatasetDict(splits).save_to_disk(TARGET / "saved", num_shards={"train": 2, "test": 1})
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: str(data / f"{name}-*.parquet") for name in ROWS}
        datasets.load_dataset("parquet", data_files=files, cache_dir=scratch)
        (made,) = Path(scratch).glob("parquet/*/*/*/dataset_info.json")
        # The names of these folders are digests of where this repository lies.
        shutil.copytree(made.parent, TARGET / "cache" / "parquet" / "default" / "0.0.0" / "made")
    size = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    sys.stdout.write(f"{TARGET}: {size / 1e3:.0f} kB, with datasets {datasets.__version__}\n")


def loaded(folder: Path) -> dict[str, datasets.Dataset]:
    """A dataset in any of the three forms, as the library loads it."""
    if (folder / "dataset_dict.json").exists():
        return dict(datasets.load_from_disk(folder))
    info = next(folder.rglob("dataset_info.json"), None)
    if info is not None:
        described = datasets.DatasetInfo.from_directory(str(info.parent))
        reader = ArrowReader(str(info.parent), described)
        splits = described.splits.values()
        return {split.name: datasets.Dataset(**reader.read("parquet", split.name, splits)) for split in splits}
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: str(folder / "data" / f"{name}-*.parquet") for name in ROWS}
        found = datasets.load_dataset("parquet", data_files=files, cache_dir=scratch, keep_in_memory=True)
        return dict(found)


def check(folder: Path, gone: set[str]) -> None:
    """Compare a cleaned copy with the fixture, value by value."""
    datasets.disable_caching()  # else its by-products land beside the copy
    pictures = tiles()
    numbers = iter(range(sum(ROWS.values())))
    found = loaded(folder)
    for name, count in ROWS.items():
        expected = [row(next(numbers), pictures) for _ in range(count)]
        expected = [entry for entry in expected if entry["id"] not in gone]
        split = found[name]
        raw = split.cast_column("image", datasets.Image(decode=False)).cast_column(
            "views", datasets.List(datasets.Image(decode=False))
        )
        if list(raw) != expected:
            raise SystemExit(f"{name}: not the rows that should be left")
        decoded = sum(entry["image"] is not None for entry in split)
        sys.stdout.write(f"{name}: {len(split)} rows as they should be, {decoded} pictures decoded\n")


def main() -> None:
    """Make or check."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", type=Path, help="a cleaned copy")
    arguments.add_argument("--without", nargs="*", default=[], help="ids of the rows that should be gone")
    chosen = arguments.parse_args()
    if chosen.check is None:
        make()
    else:
        check(chosen.check.resolve(), set(chosen.without))


if __name__ == "__main__":
    main()
