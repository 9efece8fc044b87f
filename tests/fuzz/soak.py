"""`make soak`: every target under atheris, guided by coverage; executions are counted, what breaks goes to the corpus.

`soak.py` runs all targets, as many at a time as there are cores; `soak.py --one TARGET …` is one of its processes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
GROWN = HERE.parents[1] / ".venv-fuzz" / "corpus"
"""Inputs that reached something new in earlier runs; they are where the next run starts from."""
MEGABYTES = 2048
SECONDS_FOR_ONE = 10
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_COVERED = re.compile(r"cov: (\d+)")


def _one(name: str, arguments: list[str]) -> None:
    """This process fuzzes one target; it ends by itself."""
    import atheris

    import vetset.dataset.declared
    import vetset.dataset.hexadecimal  # noqa: F401  imported first: what Numba compiles cannot be instrumented

    with atheris.instrument_imports(include=["vetset", "fuzz_targets"]):
        target = __import__(f"fuzz_targets.{name}", fromlist=["target"]).target
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


def _soaked(name: str, seconds: int) -> tuple[str, bool]:
    """Fuzz one target in a process of its own: a line about it, and whether nothing was found."""
    grown = GROWN / name
    grown.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix="vetset-soak-")
    settings = [
        f"-max_total_time={seconds}", f"-timeout={SECONDS_FOR_ONE}", f"-rss_limit_mb={MEGABYTES}", "-max_len=65536",
        "-print_final_stats=1", f"-artifact_prefix={CORPUS / name}/", str(grown), str(CORPUS / name),
    ]  # fmt: skip
    before = set((CORPUS / name).iterdir())
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / "soak.py"), "--one", name, *settings],
            capture_output=True, text=True, errors="replace", check=False, env={**os.environ, "TMPDIR": scratch},
        )  # fmt: skip
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    found = sorted(path.name for path in set((CORPUS / name).iterdir()) - before)
    (GROWN / f"{name}.log").write_text(done.stderr + done.stdout)
    executed, covered = _EXECUTED.search(done.stderr), _COVERED.findall(done.stderr)
    clean = done.returncode == 0 and not found and executed is not None
    line = (
        f"{name:20} {executed[1] if executed else 'unknown':>10} executions in {time.monotonic() - began:6.0f} s, "
        f"coverage {covered[-1] if covered else 'unknown':>5}, "
    )
    told = "nothing found" if clean else f"FOUND {', '.join(found) or 'a crash'}: see {GROWN / name}.log"
    return line + told, clean


def main() -> int:
    """0 if no target was broken."""
    if sys.argv[1:2] == ["--one"]:
        _one(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600, help="for each target")
    parser.add_argument("targets", nargs="*", help="all of them if none is named")
    given = parser.parse_args()
    names = given.targets or sorted(path.name for path in CORPUS.iterdir())
    clean = True
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        for line, good in pool.map(lambda name: _soaked(name, given.seconds), names):
            print(line, flush=True)  # noqa: T201  what it is run for
            clean &= good
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
