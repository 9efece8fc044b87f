"""Runs targets in a process of its own, so that an input that ends, hangs or bloats its process can be named.

`fuzz_worker.py SECONDS BYTES`, then a line `TARGET COUNT SEED` on the standard input for each target to run. It answers
with lines of JSON: `{"at": input}` before every input, at the end of a target `{"ran": n}`, or `{"broken": …}`.
"""

import faulthandler
import importlib
import json
import resource
import sys
import traceback
from pathlib import Path

import mutations

CORPUS = Path(__file__).parent / "corpus"


def _say(**told):
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def inputs(name, count, seed):
    """(what it is called, bytes) of every input of a target."""
    paths = sorted(path for path in (CORPUS / name).iterdir() if path.is_file())
    seeds = [path.read_bytes() for path in paths]
    yield from zip((path.name for path in paths), seeds, strict=True)
    for number, data in enumerate(mutations.mutations(seeds, count, seed)):
        yield f"mutation {number} of seed {seed}", data


def _run(name, count, seed, seconds):
    target = importlib.import_module(f"fuzz_targets.{name}").target
    ran = 0
    for called, data in inputs(name, count, seed):
        _say(at=called)
        # A thread of C's own, which also ends a decoder that never gives Python its lock back.
        faulthandler.dump_traceback_later(seconds, exit=True)
        try:
            target(data)
        except Exception as error:  # noqa: BLE001  told to whoever asked
            _say(broken=called, how="".join(traceback.format_exception(error))[-3000:])
            return
        finally:
            faulthandler.cancel_dump_traceback_later()
        ran += 1
    _say(ran=ran)


def main():
    """Answer until the input ends."""
    seconds, limit = float(sys.argv[1]), int(sys.argv[2])
    import pyarrow.parquet  # noqa: F401  reserves room before the cap is set

    import vetset  # noqa: F401

    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    for line in sys.stdin:
        name, count, seed = line.split()
        _run(name, int(count), int(seed), seconds)


if __name__ == "__main__":
    main()
