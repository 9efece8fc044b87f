"""What a topic hands to the report: tables of repeated measurements, and claims that were checked in the same run.

Ways are timed in turns, round by round, so that whatever else the machine does falls on all of them alike. Times are
CPU time of the process, all its threads added, unless a table says otherwise.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One way of doing it.

    Attributes:
        way: what was timed.
        values: one figure a round, in the unit of the table.
        peer: short name for the summary; empty for vetset's own rows.
        once: measured once, because it takes long; everything else has three rounds or more.
    """

    way: str
    values: list[float]
    peer: str = ""
    once: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Several ways to the same result; the first row is vetset's and the others are held against it.

    Attributes:
        title: what is done.
        inside: what the figure contains and what it does not.
        unit: of the values.
        better: "less" for times, "more" for rates.
        rows: the ways.
    """

    title: str
    inside: str
    unit: str
    better: str
    rows: list[Row]


@dataclass(slots=True)
class Topic:
    """All figures of one topic.

    Attributes:
        title: heading.
        data: what was measured on.
        tables: the figures.
        checks: claims about results, not times, each with what was seen in this run.
    """

    title: str
    data: str
    tables: list[Table] = field(default_factory=list)
    checks: list[tuple[str, str]] = field(default_factory=list)

    def holds(self, claim: str, seen: str, *, true: bool) -> None:
        """Note a claim that vetset makes; where it is false there is nothing to time, so the run ends."""
        if not true:
            raise RuntimeError(f"{claim}: {seen}")
        self.checks.append((claim, seen))


def cpu_seconds(way: Callable[[], object]) -> float:
    begun = time.process_time()
    way()
    return time.process_time() - begun


def wall_seconds(way: Callable[[], object]) -> float:
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun


def in_turns(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    clock: Callable[[Callable[[], object]], float] = cpu_seconds,
    warm: bool = True,
) -> dict[str, list[float]]:
    """Seconds of each way in each round.

    Args:
        ways: what to time, by name. None may keep the results of its items: memory that is held makes the next
            item pay for fresh pages, which once made a part of the work look slower than the whole.
        rounds: how often; every round starts with another way.
        clock: times one call.
        warm: call each once before, untimed.
    """
    if warm:
        for way in ways.values():
            way()
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(clock(ways[name]))
    return seconds


def fitting(way: Callable[[int], object], most: int, budget: float, *, probe: int = 50) -> int:
    """How many items take about `budget` seconds: probed, then scaled; at least `probe`, at most `most`."""
    probe = min(probe, most)
    way(probe)
    taken = max(cpu_seconds(lambda: way(probe)), 1e-6)
    return max(probe, min(most, int(probe * budget / taken)))


def per_item(seconds: list[float], items: int) -> list[float]:
    """Microseconds an item."""
    return [1e6 * each / items for each in seconds]


def rate(seconds: list[float], items: int, scale: float = 1.0) -> list[float]:
    """Items a second, divided by `scale`."""
    return [items / each / scale for each in seconds]


def main(measure: Callable[..., Topic]) -> None:
    """Entry of a topic's process: `[--quick] OUT` measures and writes JSON."""
    given = [argument for argument in sys.argv[1:] if argument != "--quick"]
    if len(given) != 1:
        sys.exit("expected [--quick] OUT, the file that the topic is written to as JSON")
    document: dict[str, Any] = asdict(measure(quick="--quick" in sys.argv[1:])) | {"blas": blas()}
    Path(given[0]).write_text(json.dumps(document), encoding="utf-8")


def blas() -> list[str]:
    """Which BLAS libraries this process has loaded, and which kernels they chose."""
    from threadpoolctl import threadpool_info

    found = {
        f"{info['internal_api']} {info['version']} ({info['architecture']}, {info['num_threads']} thread)"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    }
    return sorted(found)
