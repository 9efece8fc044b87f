"""Make tests/fixtures/img2dataset with the real img2dataset, from small tiles of free pictures on a loopback server.

The reader is tested against what the tool writes, not against what we think it writes. img2dataset's pins clash with
ours, so it lives in an environment of its own:

    python3 -m venv /some/where && /some/where/bin/pip install --require-hashes -r requirements/img2dataset.txt
    .venv/bin/python scripts/make_img2dataset_fixture.py --img2dataset /some/where/bin/img2dataset

Three outputs: `md5/` and `sha256/` (webdataset, three shards) and `files/` (one shard). Of the 44 addresses, 38 hold
a picture, 4 do not exist, 1 is a cut JPEG and 1 is text.
"""

# ruff: noqa: INP001  a script, not a package
import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

TARGET = Path(__file__).parents[1] / "tests" / "fixtures" / "img2dataset"
PICTURES = {  # name: tiles taken of it; all of them CC0 or public domain (see the fixture's README)
    "brick.png": 6,
    "chelsea.png": 6,
    "clock_motion.png": 4,
    "coffee.png": 6,
    "grass.png": 4,
    "gravel.png": 4,
    "hubble_deep_field.jpg": 4,
    "rocket.jpg": 4,
}
TILE = 112


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a line on the console for every request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Say nothing."""


def make_tiles(folder: Path) -> list[str]:
    """Write the tiles as JPEG and PNG, and one cut JPEG and one text; the served names in order."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image is not installed: its picture files are needed")
    names = []
    for picture, tiles in PICTURES.items():
        with Image.open(Path(spec.origin).parent / "data" / picture) as whole:
            rgb = whole.convert("RGB")
        across = rgb.width // TILE
        for tile in range(tiles):
            left, top = tile % across * TILE, tile // across * TILE
            suffix = "png" if tile % 3 == 2 else "jpg"
            name = f"{Path(picture).stem}_{tile}.{suffix}"
            rgb.crop((left, top, left + TILE, top + TILE)).save(folder / name)
            names.append(name)
    buffer = io.BytesIO()
    Image.open(folder / names[0]).save(buffer, "JPEG")
    (folder / "cut.jpg").write_bytes(buffer.getvalue()[:120])
    (folder / "text.jpg").write_text("not a picture")
    with_failures = [*names, "cut.jpg", "text.jpg", *(f"absent_{number}.jpg" for number in range(4))]
    # A fixed shuffle (37 is coprime to 44), so that failures lie between pictures.
    return [with_failures[37 * place % len(with_failures)] for place in range(len(with_failures))]


def download(tool: Path, table: Path, output: Path, *, output_format: str, digest: str, per_shard: int) -> None:
    """Run img2dataset once, single-threaded, so that its order is the table's."""
    options = {
        "url_list": table, "input_format": "parquet", "url_col": "URL", "caption_col": "TEXT",
        "output_folder": output, "output_format": output_format, "image_size": 64, "resize_mode": "keep_ratio",
        "processes_count": 1, "thread_count": 1, "number_sample_per_shard": per_shard, "compute_hash": digest,
        "save_additional_columns": '["punsafe","pwatermark"]', "retries": 0, "timeout": 5, "enable_wandb": False,
    }  # fmt: skip
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    command = [str(tool), *(f"--{name}={value}" for name, value in options.items())]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  our own arguments
    shutil.rmtree(output / "_tmp", ignore_errors=True)


def main() -> None:
    """Serve, download three times, put the results in place."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--img2dataset", type=Path, required=True, help="the tool's executable")
    arguments.add_argument("--port", type=int, default=8931, help="part of every address in the fixture")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        served = Path(scratch, "served")
        served.mkdir()
        names = make_tiles(served)
        table = Path(scratch, "urls.parquet")
        columns = {
            "URL": [f"http://127.0.0.1:{chosen.port}/{name}" for name in names],
            "TEXT": [f"a tile of {name.rsplit('_', 1)[0].replace('_', ' ')}" for name in names],
            "punsafe": pa.array([0.01 * place for place in range(len(names))], pa.float32()),
            "pwatermark": pa.array([None if place % 9 == 0 else 0.25 for place in range(len(names))], pa.float32()),
        }
        pq.write_table(pa.table(columns), table)
        server = ThreadingHTTPServer(("127.0.0.1", chosen.port), partial(Quiet, directory=str(served)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, output_format, digest, per_shard in (
            ("md5", "webdataset", "md5", 16), ("sha256", "webdataset", "sha256", 16), ("files", "files", "md5", 50),
        ):  # fmt: skip
            made = Path(scratch, name)
            download(chosen.img2dataset, table, made, output_format=output_format, digest=digest, per_shard=per_shard)
            shutil.rmtree(TARGET / name, ignore_errors=True)
            shutil.copytree(made, TARGET / name)
        server.shutdown()
    size = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    sys.stdout.write(f"{TARGET}: {size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
