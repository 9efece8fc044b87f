"""In a process of its own each time: what is switched off stays off."""

import resource
import subprocess
import sys

import pytest

STATE = """
import ctypes, resource, sys

def state():
    return resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)

resource.setrlimit(resource.RLIMIT_CORE, (most := resource.getrlimit(resource.RLIMIT_CORE)[1], most))
print(*state())
"""


def states(script, *arguments):
    command = [sys.executable, "-c", STATE + script + "\nprint(*state())", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()]


BEFORE = (resource.getrlimit(resource.RLIMIT_CORE)[1], 1)


def test_the_state_is_another_without():
    assert states("") == [BEFORE, BEFORE]


SCRIPTS = {
    "by itself": "from vetset.seal.dumps import forbid_core_dumps\nforbid_core_dumps()",
    "again": "from vetset.seal.dumps import forbid_core_dumps\nforbid_core_dumps(); forbid_core_dumps()",
    "a vault": "from pathlib import Path\nfrom vetset.hashlist.vault.vault import Vault\nVault(Path('nowhere'))",
    "an import": """
import os
from vetset import add_list
import vetset.api.listing as listing
os.environ["VETSET_HOME"] = sys.argv[1] + "/home"
open(sys.argv[1] + "/list", "w").write("md5 " + "0" * 32)
real = listing.opinions
def opinions(*arguments, **more):
    print(*state())
    return real(*arguments, **more)
listing.opinions = opinions
add_list(sys.argv[1] + "/list", name="a", owner="b", category="other", licence="c")""",
    "a private key": """
import vetset.api.given as given
def load_private(_):
    print(*state())
given.load_private = load_private
given.private_key("NAME.key")""",
    "a sealed list": """
import pyrage
import vetset.hashlist.vault.sealed as sealed
def unseal_from(*_):
    print(*state())
    raise SystemError
sealed.unseal_from = unseal_from
try:
    sealed.SealedList(b"").open(str(pyrage.x25519.Identity.generate()))
except SystemError:
    pass""",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_core_dumps_are_off_before_anything_is_decrypted_or_read(tmp_path, script):
    before, *after = states(script, tmp_path)
    assert before == BEFORE
    assert after
    assert set(after) == {(0, 0)}


REFUSING = """
import ctypes
from vetset.seal.dumps import forbid_core_dumps
class Libc:
    def prctl(self, *_):
        ctypes.set_errno(1)
        return -1
ctypes.CDLL = lambda *_, **__: Libc()
try:
    forbid_core_dumps()
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_system_that_refuses_is_an_error():
    done = subprocess.run([sys.executable, "-c", REFUSING], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(
        "SealError core dumps of this process cannot be switched off (Operation not permitted)"
    )
