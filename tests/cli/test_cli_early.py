"""An interrupt from the keyboard while the command is still being loaded."""

import subprocess
import sys

LOADING = """
import os, signal, sys, types
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, *rest):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from vetset.cli import main
main()
"""


def test_an_interrupt_while_loading_ends_it_without_a_word():
    ended = subprocess.run([sys.executable, "-c", LOADING, "--help"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
