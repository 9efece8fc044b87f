# ruff: noqa: INP001, T201 - scripts are run, never imported
"""Make src/vetset/signal/canaries.zip: the pictures of the self-test and what must come of them.

    .venv/bin/python scripts/make_canaries.py

The pictures are drawn (tests/signal/canary_cases.py), and equal versions of Pillow and its libraries write equal files.
Where others write other files, the expectations are made anew with them, so that the two always fit.
"""

import sys
from pathlib import Path

import PIL

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "signal")]

from canary_cases import of_encodings, of_heic, others, packed  # noqa: E402 - found beside this folder

TARGET = ROOT / "src" / "vetset" / "signal" / "canaries.zip"


def main() -> None:
    """Draw, encode, put the file in place."""
    made = [*of_encodings(), *others(), *of_heic()]
    TARGET.write_bytes(packed(made))
    print(f"{len(made)} pictures by Pillow {PIL.__version__}, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
