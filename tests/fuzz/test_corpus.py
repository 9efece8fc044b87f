"""Every target over its corpus, every crash that was ever found included, and over damage made anew each time alike.

No fuzzer is needed here: what `make soak` finds is put into the corpus and stays in these tests.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TARGETS = sorted(path.name for path in (HERE / "corpus").iterdir() if path.is_dir())
MUTATIONS = 200
SEED = 20
SECONDS = 10
"""For one input, start of the machinery behind it included; all but the first take milliseconds."""
BYTES = 2 << 30


class Worker:
    """One process for all targets, started anew where an input ended it."""

    def __init__(self, scratch):
        self._scratch = scratch
        self._process = None

    def run(self, name):
        """What the worker said last of a target, and its process's end if it ended."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._process.stdin.write(f"{name} {MUTATIONS} {SEED}\n")
        self._process.stdin.flush()
        told = {}
        for line in self._process.stdout:
            told = json.loads(line)
            if "at" not in told:
                return told
        return {"ended": self._process.wait(), "input": told.get("at")}

    def _start(self):
        command = [sys.executable, str(HERE / "fuzz_worker.py"), str(SECONDS), str(BYTES)]
        environment = {**os.environ, "TMPDIR": str(self._scratch)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def close(self):
        """End the process."""
        if self._process is not None:
            self._process.communicate()


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    worker = Worker(tmp_path_factory.mktemp("fuzz"))
    yield worker
    worker.close()


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_keeps_its_promises_over_corpus_and_damage(worker, name):
    told = worker.run(name)
    assert "broken" not in told, f"{told['broken']}\n{told['how']}"
    assert "ended" not in told, f"the process ended with {told['ended']} at {told['input']}"
    assert told["ran"] == MUTATIONS + len(list((HERE / "corpus" / name).iterdir()))


def test_every_target_has_a_corpus_and_every_corpus_a_target():
    modules = {path.stem for path in (HERE / "fuzz_targets").glob("*.py") if "def target(" in path.read_text()}
    assert modules == set(TARGETS)


def test_the_account_of_soaking_knows_its_targets():
    account = json.loads((HERE / "soaked.json").read_text())
    assert set(account) <= set(TARGETS)
    assert all(entry["executions"] > 0 for entry in account.values() if entry["seconds"])


def test_the_corpus_is_small():
    sizes = [path.stat().st_size for path in (HERE / "corpus").rglob("*") if path.is_file()]
    assert max(sizes) <= 64 << 10
    assert sum(sizes) <= 4 << 20


@pytest.mark.parametrize(
    ("deed", "end"),
    [("raise ValueError('x')", "broken"), ("import time; time.sleep(30)", "ended"), ("import os; os.abort()", "ended")],
    ids=["raises", "hangs", "ends its process"],
)
def test_a_target_that_breaks_its_promise_is_noticed(tmp_path, deed, end):
    (tmp_path / "fuzz_targets").mkdir()
    (tmp_path / "fuzz_targets" / "wrong.py").write_text(f"def target(data):\n    {deed}\n")
    (tmp_path / "corpus" / "wrong").mkdir(parents=True)
    (tmp_path / "corpus" / "wrong" / "seed").write_bytes(b"x")
    for name in ("fuzz_worker.py", "mutations.py"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    done = subprocess.run(
        [sys.executable, str(tmp_path / "fuzz_worker.py"), "1", str(BYTES)],
        input="wrong 0 1\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = json.loads(done.stdout.splitlines()[-1])
    assert ("broken" in last) == (end == "broken")
    assert (done.returncode != 0) == (end == "ended")
    assert last.get("broken", last.get("at")) == "seed"
