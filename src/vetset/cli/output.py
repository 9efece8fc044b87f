"""What a command says: data on stdout, progress and errors on stderr, JSON where it is asked for.

Nothing printed here depends on findings, except where a custodian has opened a case.
"""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from vetset.model.errors import VetsetError
from vetset.model.signal import Reason

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


PLAIN_SECONDS = 5.0
"""How often a run without a terminal says how far it is."""


def emit(document: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """Print the result of a command, as JSON or in lines, now: an error that follows must not come before it.

    Raises:
        OutputError: it cannot be written.
    """
    print(json.dumps(document, indent=2, sort_keys=True) if as_json else "\n".join(map(plain, lines)), flush=True)


def plain(text: str) -> str:
    """The text as one line in which nothing is an order to a terminal: names in it come from whoever made the data."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def complain(error: VetsetError, *, as_json: bool, name: str | None = None, code: int | None = None) -> None:
    """Print why a command did not end well; as JSON it is one line, as every other line on stderr.

    Args:
        error: what is told.
        as_json: whether as JSON.
        name: what it is called, if not by its class.
        code: the exit code, if not that of its class.
    """
    ProgressBar.take_down()
    if as_json:
        told = {
            "error": name or type(error).__name__,
            "problem": error.problem,
            "expected": error.expected,
            "seen": error.seen,
            "where": error.where,
            "todo": error.todo,
            "exit_code": error.exit_code if code is None else code,
        }
        print(json.dumps(told, sort_keys=True), file=sys.stderr)
    else:
        print(f"vetset: {plain(str(error))}", file=sys.stderr)


def some_of(texts: Sequence[str], most: int = 5) -> str:
    """The first of what is wrong, to be gone on from: sentences without their last full stop."""
    return "; ".join(text.rstrip(".") for text in texts[:most]) + (" …" if len(texts) > most else "")


def drift_lines(drift: dict[str, dict[str, int]]) -> list[str]:
    """How stored bytes compare with declared digests, for each kind of which anything is declared."""
    return [
        f"  {kind:<10} stored bytes: {counts['agree']} as declared, {counts['differ']} differ, "
        f"{counts['undeclared']} without a declared digest"
        for kind, counts in drift.items()
        if counts["agree"] or counts["differ"]
    ]


def list_lines(lists: Iterable[dict[str, Any]]) -> list[str]:
    """Which lists these are, in which version and of which state, and whether the policy wants younger ones."""
    return [f"    {used['name']} {state_text(used)}" for used in lists]


def state_text(used: Mapping[str, Any]) -> str:
    """State and version of a list, and whether the policy wants a younger one."""
    age = {True: "; OLDER than the policy allows", False: "", None: "; its age cannot be told"}[used["too_old"]]
    return f"as of {used['as_of']}, version {used['version'][:12]}{age}"


def selftest_lines(tried: dict[str, int] | None) -> list[str]:
    """What came out of a run's self-test as it must; nothing where there was none."""
    if tried is None:
        return []
    told = {"pictures": "synthetic pictures", "indexes": "indexes of lists", "vectors": "planted vectors"}
    counts = ", ".join(f"{tried[name]} {words}" for name, words in told.items() if tried[name])
    return [f"  self-test passed: {counts or 'none'}"]


def passed_over_lines(reasons: Iterable[str]) -> list[str]:
    """What can be done about records whose pictures were passed over, if there are any, given all reasons there are."""
    if {Reason.CRASHED.value, Reason.TIMED_OUT.value, Reason.EMBEDDING_FAILED.value}.isdisjoint(reasons):
        return []
    return [
        "  crashed, timed_out, embedding_failed: passed over from now on. A higher --record-seconds tries again what",
        "  timed out; remove the folder `passed` of the store to try all of it again",
    ]


def coverage_line(kind: str, coverage: dict[str, Any]) -> str:
    """How much could be decided for one kind, and why the rest could not, with shares of all records."""
    records = coverage["records"]

    def told(count: int) -> str:
        return f"{count} ({count / records:.1%})" if records else str(count)

    undecided = ", ".join(f"{told(count)} {reason}" for reason, count in coverage["undecided"].items()) or "none"
    return f"{kind:<10} decided {told(coverage['decided'])} of {records}, undecided: {undecided}"


def size_text(size: float) -> str:
    """Bytes in words."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def time_text(seconds: float) -> str:
    """Seconds in words."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m" if whole >= 3600 else f"{whole // 60}m{whole % 60:02}s"


class ProgressLines:
    """Lines on stderr every few seconds: for logs, or as JSON for programs.

    Args:
        as_json: whether each line is a JSON document.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._begun = self._told = 0.0
        self._stage = ""
        self._shards = self._done = self._records = self._size = self._read = 0

    def started(self, stage: str, shards: int, size: int) -> None:
        """A stage begins."""
        self._begun = self._told = time.monotonic()
        self._stage, self._shards, self._size = stage, shards, size
        self._done = self._records = self._read = 0
        self._tell(f"{stage}: {shards} shards, {size_text(size)}")

    def advanced(self, size: int, records: int) -> None:
        """A shard is done."""
        self._done += 1
        self._records += records
        self._read += size
        now = time.monotonic()
        if now - self._told >= PLAIN_SECONDS:
            self._told = now
            self._tell(self._line(now - self._begun))

    def _tell(self, line: str) -> None:
        print(json.dumps({"progress": line}) if self._as_json else line, file=sys.stderr)

    def _line(self, seconds: float) -> str:
        rate = self._records / seconds if seconds else 0.0
        left = seconds * (self._size - self._read) / self._read if self._read else 0.0
        return (
            f"{self._stage}: {self._done}/{self._shards} shards, {self._records} records, "
            f"{rate:.0f} records/s, {time_text(left)} left"
        )

    def finished(self) -> None:
        """The stage is over."""
        seconds = time.monotonic() - self._begun
        rate = self._records / seconds if seconds else 0.0
        self._tell(
            f"{self._stage}: {self._done}/{self._shards} shards, {self._records} records "
            f"in {time_text(seconds)} ({rate:.0f} records/s)"
        )


class ProgressBar:
    """A bar on a terminal, with rate and time left: as bytes go, since shards may be of any size."""

    _standing: ClassVar["Progress | None"] = None
    """The bar that is drawn now: there is one terminal."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._shards = self._done = self._records = 0
        self._begun = 0.0

    def started(self, stage: str, shards: int, size: int) -> None:
        """A stage begins."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
        # a shard may take longer than the half minute that the speed is taken of otherwise
        self._progress = Progress(*columns, console=Console(stderr=True), speed_estimate_period=inf)
        self._progress.start()
        ProgressBar._standing = self._progress
        self._shards, self._done, self._records, self._begun = shards, 0, 0, time.monotonic()
        self._task = self._progress.add_task(stage, total=size, told=f"0/{shards} shards · {size_text(size)}")

    def advanced(self, size: int, records: int) -> None:
        """A shard is done."""
        self._done += 1
        self._records += records
        rate = self._records / max(time.monotonic() - self._begun, 1e-3)
        if self._progress is not None and self._task is not None:
            told = f"{self._done}/{self._shards} shards · {rate:.0f} records/s"
            self._progress.update(self._task, advance=size, told=told)

    def finished(self) -> None:
        """The stage is over."""
        self.take_down()

    @classmethod
    def take_down(cls) -> None:
        """Leave the terminal as it was: what ends a stage early is told below the bar, and the cursor is back."""
        if cls._standing is not None:
            cls._standing.stop()
            cls._standing = None


class SamplingLines:
    """Lines on stderr every few seconds while a sample is taken, which ends with its time and not with its shards.

    Args:
        seconds: the time of the sample.
        as_json: whether each line is a JSON document.
    """

    def __init__(self, seconds: float, *, as_json: bool = False) -> None:
        self._seconds = seconds
        self._as_json = as_json
        self._begun = self._told = 0.0
        self._stage = ""
        self._done = self._records = 0

    def started(self, stage: str, shards: int, size: int) -> None:
        """A sample out of so many shards and bytes begins."""
        self._begun = self._told = time.monotonic()
        self._stage = stage
        self._done = self._records = 0
        self._tell(f"{stage}: a sample out of {shards} shards, {size_text(size)}, for {time_text(self._seconds)}")

    def advanced(self, size: int, records: int) -> None:  # noqa: ARG002  one protocol
        """A shard was looked at."""
        self._done += 1
        self._records += records
        now = time.monotonic()
        if now - self._told >= PLAIN_SECONDS:
            self._told = now
            left = max(0.0, self._seconds - (now - self._begun))
            self._tell(f"{self._line()}, {time_text(left)} left")

    def _line(self) -> str:
        return f"{self._stage}: {self._done} shards, {self._records} records"

    def _tell(self, line: str) -> None:
        print(json.dumps({"progress": line}) if self._as_json else line, file=sys.stderr)

    def finished(self) -> None:
        """The sample is taken."""
        self._tell(f"{self._line()} in {time_text(time.monotonic() - self._begun)}")


def progress(*, as_json: bool) -> ProgressBar | ProgressLines:
    """A bar on a terminal, plain lines elsewhere, lines of JSON where JSON is asked for."""
    return ProgressBar() if sys.stderr.isatty() and not as_json else ProgressLines(as_json=as_json)


class Pages:
    """Tells on stderr how many pages were fetched, every few seconds."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, pages: int) -> None:
        """So many are there now."""
        if time.monotonic() - self._told >= PLAIN_SECONDS:
            self._told = time.monotonic()
            print(f"{pages} pages", file=sys.stderr)
