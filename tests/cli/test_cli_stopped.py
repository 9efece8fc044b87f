"""A `clean` that is stopped, from the keyboard or by a kill, leaves no half revision; the same command does it all."""

import signal
import subprocess
import sys
import time

import pytest

import small
import vetset

# a shell switches interrupts off for what it starts in the background, these tests perhaps: a terminal does not
BEGIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
END = "from vetset.cli import main; main()"
WAIT = "import time, vetset.stage.clean as c; c.{step} = lambda *_: (open({reached!r}, 'x').close(), time.sleep(60))"
"""One step waits, so that it is interrupted; what comes before it was done."""
WAYS = {"keyboard": (signal.SIGINT, 130), "kill": (signal.SIGKILL, -9)}


def stopped(words, how, step, reached):
    """Run a command that waits before a step, and stop it there."""
    code = "; ".join([BEGIN, WAIT.format(step=step, reached=str(reached)), END])
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        while not reached.exists() and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(how)
        said, told = running.communicate()
    assert said == ""
    assert "Traceback" not in told
    return running.returncode


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", ["_cleaned", "complete", "_write_marker"])
def test_a_clean_that_is_stopped_leaves_no_revision_and_goes_on(audit, roots, tmp_path, way, step):
    audited = audit()
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    public = tmp_path / "custodian.pub"
    public.write_bytes(audited.pub.to_bytes())
    data, before = roots / "webdataset", small.tree(roots / "webdataset")
    whole = vetset.clean(data, order, signer=public, out=tmp_path / "whole", engine=small.HERE)
    place = tmp_path / "place"
    place.mkdir()
    words = ("clean", data, order, "--signer", public, "--out", place / "cleaned", "--workers", "1")
    how, code = WAYS[way]
    assert stopped(words, how, step, tmp_path / "reached") == code
    for _ in range(200):  # what a killed process held, another one removes
        if not list(place.glob("vetset-*")):
            break
        time.sleep(0.05)
    left = list(place.iterdir())
    assert len(left) == (way == "kill")  # the half revision, under a name that says so
    assert place / "cleaned" not in left
    vetset.clean(data, order, signer=public, out=place / "cleaned", engine=small.HERE)
    assert list(place.iterdir()) == [place / "cleaned"]
    assert small.tree(place / "cleaned") == small.tree(whole)
    assert small.tree(data) == before
