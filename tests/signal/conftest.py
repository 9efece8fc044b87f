"""Puts the shared photographs and the golden cases within reach of an import."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "golden")]
