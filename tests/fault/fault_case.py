"""One audit that is killed at a stated point, and the same audit undisturbed. Runs as a script: see `main`."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np  # noqa: E402

from vetset.api.auditing import audit  # noqa: E402
from vetset.api.custody import expand_until_dry  # noqa: E402
from vetset.api.revision import clean  # noqa: E402
from vetset.engine.local import LocalEngine  # noqa: E402
from vetset.search.exact import DigestIndex  # noqa: E402
from vetset.search.hamming import HammingIndex  # noqa: E402
from vetset.search.nearest import nearest  # noqa: E402
from vetset.signal.pdq import pdq  # noqa: E402
from vetset.stage import hits as hits_stage  # noqa: E402
from vetset.stage import scan as scan_stage  # noqa: E402
from vetset.stage import verify as verify_stage  # noqa: E402
from vetset.store.part import PartWriter  # noqa: E402

KILLED = 9


@dataclass(frozen=True)
class Places:
    """Where everything lies."""

    base: Path

    @property
    def dataset(self):
        return self.base / "dataset"

    @property
    def embeddings(self):
        return self.base / "embeddings"

    @property
    def pub(self):
        return self.base / "keys" / "custodian.pub"

    @property
    def key(self):
        return self.base / "keys" / "custodian.key"

    @property
    def order(self):
        return self.base / "order.json"


class Counting(LocalEngine):
    """Counts what is really read, in this process."""

    def __init__(self, workers=0):
        super().__init__(workers)
        self.read = []

    def map(self, task, items):
        for item in items:
            self.read.append(item.shard.uri)
        return super().map(task, items)


def run_audit(places, out, engine=None):
    """The audit of every test here."""
    return audit(
        places.dataset,
        lists=["known"],
        seal_to=[places.pub],
        out=out,
        embeddings=places.embeddings,
        engine=engine or LocalEngine(0),
    )


def run_clean(places, out, engine=None):
    return clean(places.dataset, places.order, signer=places.pub, out=out, engine=engine or LocalEngine(0))


def run_rounds(places, out):
    """Drive the rounds of the undisturbed audit, or go on with those that lie there already."""
    if not out.exists():
        shutil.copytree(places.base / "undisturbed", out, ignore=shutil.ignore_patterns("store"))
    return expand_until_dry(out, places.key, with_list="second")


class Killer:
    """Ends the process at the n-th time that it comes to a point of one kind below `folder`."""

    def __init__(self, folder, point, number):
        self.folder, self.point, self.left, self.seen = str(folder), point, number, 0
        if point in {"before", "after"}:
            self._replace, os.replace = os.replace, self.replace
        elif point == "append":
            self._append = PartWriter.append
            PartWriter.append = self.append()
        elif point == "sync":
            self._fsync, os.fsync = os.fsync, self.fsync
        elif point == "read":
            self._format_of, scan_stage.format_of = scan_stage.format_of, self.format_of
        elif point == "pass":
            hits_stage.nearest = self.around(hits_stage.nearest)
        elif point == "ask":
            verify_stage.asked = self.around(verify_stage.asked)

    def _reached(self):
        self.seen += 1
        if self.seen == self.left:
            os._exit(KILLED)

    def replace(self, source, target, **given):
        ours = str(target).startswith(self.folder)
        if ours and self.point == "before":
            self._reached()
        self._replace(source, target, **given)
        if ours and self.point == "after":
            self._reached()

    def fsync(self, handle):
        self._reached()
        self._fsync(handle)

    def append(self):
        inner = self._append

        def appended(writer, *given):
            inner(writer, *given)
            self._reached()

        return appended

    def around(self, function):
        def called(*given, **named):
            self._reached()
            result = function(*given, **named)
            self._reached()
            return result

        return called

    def format_of(self, name):
        self._reached()
        return self._format_of(name)


WHAT = {"audit": run_audit, "clean": run_clean, "rounds": run_rounds}


def in_child(places, what, point, number, out):
    """Run in a forked child and kill it at the point; returns the exit status and how often it came to the point."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        killer = Killer(out, point, number)
        status = 1
        try:
            WHAT[what](places, out)
            os.write(writing, str(killer.seen).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as told:
        seen = told.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(seen or 0)


def warm_up():
    """Load compiled code once, before anything is forked; Arrow, which has threads, stays untouched."""
    rng = np.random.default_rng(0)
    pdq(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8))
    codes = rng.integers(0, 256, (4, 32), dtype=np.uint8)
    DigestIndex(codes).join(codes)
    HammingIndex(codes).join(codes)
    vectors = rng.normal(size=(4, 8)).astype(np.float16)
    nearest(vectors.astype(np.float32), [vectors], 2)


def main():
    """`fault_case.py BASE audit|clean|rounds POINT…`: kill at every time of every point; prints what was done as JSON.

    The outputs lie in BASE/killed/WHAT-POINT-NUMBER.
    """
    places, what = Places(Path(sys.argv[1])), sys.argv[2]
    done = []
    warm_up()
    for point in sys.argv[3:]:
        status, times = in_child(places, what, point, 0, places.base / "killed" / f"{what}-{point}-0" / "out")
        if status:
            raise RuntimeError(f"undisturbed, it ended with {status}")
        for number in range(1, times + 1):
            out = places.base / "killed" / f"{what}-{point}-{number}" / "out"
            status, _ = in_child(places, what, point, number, out)
            done.append({"point": point, "number": number, "status": status, "out": str(out)})
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main()
