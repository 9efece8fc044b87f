"""What the figures were taken on: processor, memory and page cache, without anything that names the machine."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Those that decide which kernels run.
_FLAGS = (
    "sse4_2", "avx2", "f16c", "fma", "sha_ni", "avx512f", "avx512bw", "avx512vl", "avx512_vpopcntdq", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
)  # fmt: skip
_PACKAGES = (
    "numpy", "numba", "numkong", "pyarrow", "Pillow", "simplejpeg", "threatexchange", "pdqhash", "faiss-cpu",
    "autofaiss", "duckdb", "polars",
)  # fmt: skip
_ROUNDS = 3
_ROOT = Path(__file__).parents[1]


def describe(*, quick: bool) -> dict[str, Any]:
    """Processor, limits, load and versions."""
    size = 1 << (26 if quick else 31)
    return {
        "code": _code(),
        "processor": _processor(),
        "flags": [flag for flag in _FLAGS if flag in flags()],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        "memory_read_gb_s": _memory_read(size),
        "page_cache_read_gb_s": _cache_read(size // 4),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _code() -> str:
    """The commit that was measured, and whether the files it is measured by and of were as it has them."""
    git, said = shutil.which("git"), []
    if git is None:
        return "of no known commit"
    for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--", "src", "bench", "requirements")):
        try:
            done = subprocess.run((git, *words), cwd=_ROOT, capture_output=True, text=True, check=True)
        except subprocess.CalledProcessError:
            return "of no known commit"
        said.append(done.stdout.strip())
    return f"commit {said[0]}" + (", changed since" if said[1] else "")


def _cpuinfo(field: str) -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="ascii")
    found = re.search(rf"^{field}\s*:\s*(.*)$", text, re.MULTILINE)
    return found.group(1) if found else ""


def _processor() -> str:
    name = _cpuinfo("model name") or platform.machine()
    family, model = _cpuinfo("cpu family"), _cpuinfo("model")
    return f"{name}, family {family} model {model}" if family else name


def flags() -> set[str]:
    """What the processor can do, as the system calls it."""
    return set(_cpuinfo("flags").split())


@njit(cache=False, fastmath=True)
def _sum(values: NDArray[np.uint64]) -> Any:
    total = np.uint64(0)
    for i in range(values.size):
        total += values[i]
    return total


def _memory_read(size: int) -> float:
    """GB/s of one thread adding up 64-bit words of an array."""
    values = np.ones(size // 8, np.uint64)
    _sum(values[:8])
    seconds = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        _sum(values)
        seconds.append(time.perf_counter() - begun)
    return size / sorted(seconds)[_ROUNDS // 2] / 1e9


def _cache_read(size: int) -> float:
    """GB/s of one thread reading a file that was just written, 1 MiB a call, into one buffer."""
    buffer = bytearray(1 << 20)
    with tempfile.NamedTemporaryFile() as written:
        for _ in range(size >> 20):
            written.write(buffer)
        written.flush()
        seconds = []
        for _ in range(_ROUNDS):
            with Path(written.name).open("rb", buffering=0) as file:
                begun = time.perf_counter()
                while file.readinto(buffer):
                    pass
                seconds.append(time.perf_counter() - begun)
    return size / sorted(seconds)[_ROUNDS // 2] / 1e9


def main() -> None:
    """`[--quick] OUT` measures and writes JSON."""
    Path(sys.argv[-1]).write_text(json.dumps(describe(quick="--quick" in sys.argv[1:])), encoding="utf-8")


if __name__ == "__main__":
    main()
