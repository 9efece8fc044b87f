"""`make soak`: every target under atheris, guided by coverage; time and inputs are counted, finds become corpus.

`soak.py` runs targets a slice at a time, as many at once as there are cores, until each has had its processor time.
What each had is kept in `soaked.json`, so that a soak that is interrupted (ctrl-C) goes on where it stopped.
`soak.py --one TARGET …` is one of its processes.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
GROWN = HERE.parents[1] / ".venv-fuzz" / "corpus"
"""Inputs that reached something new in earlier runs; they are where the next run starts from."""
LEDGER = HERE / "soaked.json"
"""What each target had so far, on whichever machines; it is committed."""
SLICE = 300
"""Seconds of one process: as much is lost of the grown corpus's minimisation, and no more, by one that dies."""
MEGABYTES = 2048
SECONDS_FOR_ONE = 10
TIMEOUT = 70
"""libFuzzer's exit status where an input took longer."""
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_COVERED = re.compile(r"cov: (\d+)")


@dataclass
class Soaked:
    """What one target had: processor seconds, inputs executed, edges covered last, names of what was found."""

    seconds: float = 0.0
    executions: int = 0
    coverage: int = 0
    found: list[str] = field(default_factory=list)


def _one(name: str, arguments: list[str]) -> None:
    """This process fuzzes one target; it ends by itself."""
    import atheris

    import vetset.dataset.declared
    import vetset.dataset.hexadecimal
    import vetset.dataset.tar_headers  # noqa: F401  imported first: what Numba compiles cannot be instrumented

    with atheris.instrument_imports(include=["vetset", "fuzz_targets"]):
        target = __import__(f"fuzz_targets.{name}", fromlist=["target"]).target
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C reaches the whole group; the parent ends its processes
    atheris.Setup([sys.argv[0], "-handle_int=0", *arguments], target)
    atheris.Fuzz()


@dataclass(frozen=True)
class _Slice:
    """A process at work on a target, its temporary folder, and what the corpus held before."""

    process: "subprocess.Popen[bytes]"
    scratch: str
    before: frozenset[Path]


class Soak:
    """The targets that still lack time, and what all of them had."""

    def __init__(self, names: list[str], seconds: float, *, afresh: bool) -> None:
        told = {} if afresh or not LEDGER.exists() else json.loads(LEDGER.read_text())
        self.had = {name: Soaked(**entry) for name, entry in told.items()}
        for name in names:
            self.had.setdefault(name, Soaked())
        self._names, self._seconds = names, seconds
        self._lock = threading.Lock()
        self._running: dict[str, _Slice] = {}
        self._broken: set[str] = set()
        self._stopped = False
        self.clean = True

    def work(self) -> None:
        """Slices until no target lacks time; the one that had least comes first."""
        while (name := self._next()) is not None:
            self._ended(name)

    def stop(self) -> None:
        """No slice begins any more; those under way end after their input, as SIGUSR1 tells libFuzzer."""
        with self._lock:
            self._stopped = True
            for running in self._running.values():
                running.process.send_signal(signal.SIGUSR1)

    def _next(self) -> str | None:
        """A target that is taken, its process started; None if there is none."""
        with self._lock:
            waiting = [
                name
                for name in self._names
                if name not in self._running and name not in self._broken and self.had[name].seconds < self._seconds
            ]
            if self._stopped or not waiting:
                return None
            name = min(waiting, key=lambda name: self.had[name].seconds)
            self._running[name] = self._begun(name)
            return name

    def _begun(self, name: str) -> _Slice:
        grown = GROWN / name
        grown.mkdir(parents=True, exist_ok=True)
        lacking = self._seconds - self.had[name].seconds
        settings = [
            f"-max_total_time={max(10, int(min(SLICE, lacking)))}", f"-timeout={SECONDS_FOR_ONE}",
            f"-rss_limit_mb={MEGABYTES}", "-max_len=65536", "-print_final_stats=1",
            f"-artifact_prefix={CORPUS / name}/", str(grown), str(CORPUS / name),
        ]  # fmt: skip
        scratch, before = tempfile.mkdtemp(prefix="vetset-soak-"), frozenset((CORPUS / name).iterdir())
        with (GROWN / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "soak.py"), "--one", name, *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "TMPDIR": scratch},
            )  # fmt: skip
        return _Slice(process, scratch, before)

    def _ended(self, name: str) -> None:
        """Wait for a process, and enter what it did."""
        running = self._running[name]
        process = running.process
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        shutil.rmtree(running.scratch, ignore_errors=True)
        kept = set((CORPUS / name).iterdir()) - running.before
        waited = {path for path in kept if _was_kept_waiting(name, path)}
        found = sorted(path.name for path in kept - waited)
        text = (GROWN / f"{name}.log").read_text(errors="replace")
        executed, covered = _EXECUTED.search(text), _COVERED.findall(text)
        ended_well = executed is not None and (
            process.returncode == 0 or (process.returncode == TIMEOUT and bool(waited))
        )
        if self._stopped and process.returncode == -signal.SIGUSR1:
            ended_well = True  # it was asked to end before libFuzzer listened, and did nothing
        if not ended_well and not found:
            found = [f"an end with status {process.returncode}"]
        with self._lock:
            del self._running[name]
            had = self.had[name]
            had.seconds += used.ru_utime + used.ru_stime
            had.executions += int(executed[1]) if executed else 0
            had.coverage = int(covered[-1]) if covered else had.coverage
            had.found += found
            self.clean &= not found
            if found:
                self._broken.add(name)  # until it is mended it would begin with what broke it
            self._keep()
            told = f"FOUND {', '.join(found)}: see {GROWN / name}.log" if found else "nothing found"
            print(_line(name, had, told), flush=True)  # noqa: T201  what it is run for
            if found:
                shutil.copy(GROWN / f"{name}.log", GROWN / f"{name}.found.log")

    def _keep(self) -> None:
        told = {name: asdict(entry) | {"seconds": round(entry.seconds)} for name, entry in sorted(self.had.items())}
        written = LEDGER.with_suffix(".new")
        written.write_text(json.dumps(told, indent=1) + "\n")
        written.replace(LEDGER)


def _was_kept_waiting(name: str, path: Path) -> bool:
    """Remove an input that took long by the clock and takes no time by itself: the machine was busy with others."""
    if not path.name.startswith(("slow-unit-", "timeout-")):
        return False
    command = [sys.executable, str(HERE / "soak.py"), "--one", name, f"-artifact_prefix={path.parent}/", str(path)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    waited = process.returncode == 0 and used.ru_utime < SECONDS_FOR_ONE
    if waited:
        path.unlink()
    return waited


def _line(name: str, had: Soaked, told: str) -> str:
    return (
        f"{name:20} {had.executions:>12,} executions in {had.seconds:6,.0f} processor seconds, "
        f"coverage {had.coverage:>5}, {told}"
    )


def main() -> int:
    """0 if no target was broken, now or by what the ledger has."""
    if sys.argv[1:2] == ["--one"]:
        _one(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=3600, help="of processor time for each target, all runs together"
    )
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="targets at a time")
    parser.add_argument("--afresh", action="store_true", help="count from zero")
    parser.add_argument("--tell", action="store_true", help="only say what each target had")
    parser.add_argument("targets", nargs="*", help="all of them if none is named")
    given = parser.parse_args()
    names = given.targets or sorted(path.name for path in CORPUS.iterdir())
    GROWN.mkdir(parents=True, exist_ok=True)
    soak = Soak(names, 0 if given.tell else given.seconds, afresh=given.afresh)
    signal.signal(signal.SIGINT, lambda *_: soak.stop())
    threads = [threading.Thread(target=soak.work) for _ in range(given.workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        had = soak.had[name]
        print(_line(name, had, f"found {len(had.found)}" if had.found else "nothing found"))  # noqa: T201
    lacking = [name for name in names if soak.had[name].seconds < given.seconds]
    if lacking and not given.tell:
        print(f"{len(lacking)} of {len(names)} targets lack time: the same command goes on")  # noqa: T201
    return 0 if soak.clean else 1


if __name__ == "__main__":
    sys.exit(main())
