"""What is loaded before the first picture whose time is taken, and what is not."""

import subprocess
import sys

WARMED = """
import sys
from vetset.signal.warm import warm_up
warm_up()
print([name for name in sys.modules if name.startswith("scipy.linalg")])
import scipy.linalg
print(scipy.linalg.norm([3, 4]))
warm_up.cache_clear()
warm_up()
print("scipy.linalg" in sys.modules)
"""


def test_linear_algebra_is_not_loaded_and_whoever_asks_for_it_has_it():
    told = subprocess.run([sys.executable, "-c", WARMED], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n5.0\nTrue\n"
