# ruff: noqa: INP001 - scripts are run, never imported
"""Write tests/golden/pdq.json: what Meta's reference says about every picture of tests/golden/pdq_cases.py.

Run it in an environment of its own that has the reference binding (which needs a C++ compiler), the photographs and
nothing of vetset:

    pip install pdqhash==0.2.8 numpy Pillow scikit-image scikit-learn
    python scripts/make_pdq_golden.py

The pictures are not stored; a digest of their pixels is, so that a test can tell a changed picture from a wrong hash.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pdqhash

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "golden")]

from pdq_cases import cases  # noqa: E402 - found beside the golden file


def main() -> None:
    """One line a case: name, start of the SHA-256 of the pixels, hash, quality."""
    lines = []
    for name, picture in cases():
        bits, quality = pdqhash.compute(picture)
        value = np.packbits(bits.astype(np.uint8)).tobytes().hex()
        pixels = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()[:16]
        lines.append(json.dumps([name, pixels, value, int(quality)]))
    (TESTS / "golden" / "pdq.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
