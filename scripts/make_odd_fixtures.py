# ruff: noqa: INP001, T201 - scripts are run, never imported
"""Make tests/fixtures/odd: encodings that Pillow reads and does not write, of one crop of a free picture.

JPEGs with arithmetic coding and with one scan for each component come from libjpeg-turbo itself, compiled here (a C
compiler and its headers are needed); AVIF of 10 and 12 bits from imagecodecs, in an environment of its own:

    python3 -m venv /some/where && /some/where/bin/pip install imagecodecs pillow
    .venv/bin/python scripts/make_odd_fixtures.py --imagecodecs /some/where/bin/python
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "signal")]

from odd_cases import FOLDER, source  # noqa: E402 - found beside this folder

_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
int main(int argc, char **argv) {
  int width, height, most;
  FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
  if (argc != 4 || !in || !out || fscanf(in, "P6 %d %d %d", &width, &height, &most) != 3) return 1;
  fgetc(in);
  unsigned char *pixels = malloc((size_t)width * height * 3);
  if (fread(pixels, 3, (size_t)width * height, in) != (size_t)width * height) return 1;
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr errors;
  c.err = jpeg_std_error(&errors);
  jpeg_create_compress(&c);
  jpeg_stdio_dest(&c, out);
  c.image_width = width, c.image_height = height, c.input_components = 3, c.in_color_space = JCS_RGB;
  jpeg_set_defaults(&c);
  jpeg_set_quality(&c, 90, TRUE);
  jpeg_scan_info scans[3];
  if (strstr(argv[3], "arithmetic")) c.arith_code = TRUE;
  if (strstr(argv[3], "progressive")) jpeg_simple_progression(&c);
  if (strstr(argv[3], "scans")) {
    for (int i = 0; i < 3; i++) scans[i] = (jpeg_scan_info){1, {i}, 0, 63, 0, 0};
    c.scan_info = scans, c.num_scans = 3;
  }
  jpeg_start_compress(&c, TRUE);
  while (c.next_scanline < c.image_height) {
    JSAMPROW row = pixels + c.next_scanline * (size_t)width * 3;
    jpeg_write_scanlines(&c, &row, 1);
  }
  jpeg_finish_compress(&c);
  return fclose(out);
}
"""

_AVIF = """
import sys
import imagecodecs
import numpy as np
from PIL import Image
picture, target, bits = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Image.open(picture) as opened:
    samples = np.asarray(opened).astype(np.uint32)
samples = (samples * ((1 << bits) - 1) // 255).astype(np.uint16)
with open(target, "wb") as file:
    file.write(imagecodecs.avif_encode(samples, level=80, bitspersample=bits))
print("imagecodecs", imagecodecs.__version__)
"""


def main() -> None:
    """Cut, encode, put the files in place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imagecodecs", required=True, help="a Python that has imagecodecs")
    chosen = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        picture, code, tool = Path(scratch, "in.ppm"), Path(scratch, "encode.c"), Path(scratch, "encode")
        Image.fromarray(source()).save(picture)
        code.write_text(_C)
        subprocess.run(["cc", "-O1", str(code), "-o", str(tool), "-ljpeg"], check=True)  # noqa: S603, S607
        for how in ("arithmetic", "arithmetic-progressive", "scans"):
            subprocess.run([tool, picture, FOLDER / f"{how}.jpg", how], check=True)  # noqa: S603
        for bits in (10, 12):
            target = FOLDER / f"{bits}-bits.avif"
            subprocess.run([chosen.imagecodecs, "-c", _AVIF, picture, target, str(bits)], check=True)  # noqa: S603
    print({path.name: path.stat().st_size for path in sorted(FOLDER.iterdir())})


if __name__ == "__main__":
    main()
