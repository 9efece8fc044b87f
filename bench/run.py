"""Measures every topic, each in a process of its own, and writes the page: `python -m bench.run --out PAGE`.

Settings of the caller's environment must not decide the figures: the processes get one thread a library and nothing
else that steers BLAS, OpenMP or Numba, but for what OpenBLAS cannot find out by itself.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.machine import flags
from bench.report import TOPICS, render

_STEERING = ("OPENBLAS_", "OMP_", "KMP_", "MKL_", "GOTO_", "BLIS_", "NUMBA_", "POLARS_", "MALLOC_")
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


def environment() -> dict[str, str]:
    """The caller's environment without what steers numerical libraries, and with one thread for each of them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
    return kept | _ONE_THREAD


_CHOSEN = (
    "import faiss, json, threadpoolctl;"
    "chosen = [each.get('architecture') for each in threadpoolctl.threadpool_info()];"
    "print(json.dumps([kernels for kernels in chosen if kernels]))"
)
_WIDE = {"haswell", "zen", "skylakex", "cooperlake", "sapphirerapids"}
"""Kernels of OpenBLAS for vectors of 256 bits and more."""


def processor() -> dict[str, str]:
    """What OpenBLAS is told where it is older than the processor, and takes it for one without wide vectors.

    A peer that brings such a library along would be measured on a machine that this is not.
    """
    asked = [sys.executable, "-c", _CHOSEN]
    chosen = subprocess.run(asked, env=environment(), check=True, capture_output=True, text=True).stdout
    if {kernels.casefold() for kernels in json.loads(chosen)} <= _WIDE or "avx2" not in flags():
        return {}
    return {"OPENBLAS_CORETYPE": "SkylakeX" if "avx512f" in flags() else "Haswell"}


def _run(module: str, folder: Path, settings: dict[str, str], *, quick: bool) -> Any:
    out = folder / f"{module}.json"
    subprocess.run(
        [sys.executable, "-m", f"bench.{module}", *(["--quick"] if quick else []), str(out)],
        env=settings,
        check=True,
    )
    return json.loads(out.read_text(encoding="utf-8"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="the page to write; without it, it is printed")
    parser.add_argument("--json", type=Path, help="also write the raw results here")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the benchmark itself; no page")
    parser.add_argument("--only", choices=TOPICS, action="append", help="these topics; no page, but with --into")
    parser.add_argument("--into", type=Path, help="raw results of a whole run, in which these topics take the place")
    return parser


def again(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A whole run of which some topics were measured again; the page says which, and of what code.

    Raises:
        SystemExit: the two were not on one kind of machine.
    """
    if whole["machine"]["processor"] != part["machine"]["processor"]:
        sys.exit("these results are of another processor: figures of two machines are not put on one page")
    later = dict.fromkeys(part["topics"], part["machine"]["code"])
    return {
        "quick": whole["quick"] or part["quick"],
        "machine": whole["machine"],
        "topics": whole["topics"] | part["topics"],
        "again": whole.get("again", {}) | later,
        "minutes": whole["minutes"] + part["minutes"],
    }


def main() -> None:
    options = _parser().parse_args()
    begun = time.monotonic()
    results: dict[str, Any] = {"quick": options.quick, "topics": {}}
    settings = environment() | processor()
    with tempfile.TemporaryDirectory() as name:
        print("machine ...", flush=True)
        results["machine"] = _run("machine", Path(name), settings, quick=options.quick)
        for topic in options.only or TOPICS:
            started = time.monotonic()
            print(f"{topic} ...", end=" ", flush=True)
            results["topics"][topic] = _run(topic, Path(name), settings, quick=options.quick)
            print(f"{time.monotonic() - started:.0f} s", flush=True)
    results["minutes"] = (time.monotonic() - begun) / 60
    if options.into:
        results = again(json.loads(options.into.read_text(encoding="utf-8")), results)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if options.quick or (options.only and not options.into):
        print("a quick or partial run writes no page")
        return
    page = render(results)
    if options.out:
        options.out.write_text(page, encoding="utf-8")
        print(f"wrote {options.out}")
    else:
        print(page)


if __name__ == "__main__":
    main()
