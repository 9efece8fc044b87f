"""Renders docs/benchmarks.md from what one run measured, and from nothing else.

A figure that is missing, not a number, not positive, or of fewer than three rounds without saying so, ends the
rendering: a page with a hole in it is not written.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

TOPICS = (
    "hashing",
    "hamming",
    "distances",
    "digests",
    "lists",
    "list_import",
    "metadata",
    "neighbours",
    "audit",
    "memory",
)
_LEAST_ROUNDS = 3

_HEAD = """\
# Benchmarks

Written by `make bench`: every figure below was measured in one run, side by side, on the machine described here; a
topic that was measured again in a run of its own is named there. vetset and its peers take turns, round by round; a
figure is the median of the rounds, with the least and the greatest. Times are CPU time of one thread unless a table
says otherwise. *faster* is how many times faster the first row of a table is than that row (the median of the ratios of
each round, with the least and the greatest); below 1 it is slower. Figures from other machines differ; ratios differ
less. A peer's OpenBLAS that does not know the processor is told which kernels to take; those that ran are named below.

`make bench` needs what `make test` needs and a C++ compiler, because one peer comes as source. It installs the peers
into an environment of their own, from `requirements/bench.txt`.
"""


class NotMeasuredError(Exception):
    """The results lack a figure that the page must show."""


def render(results: Mapping[str, Any]) -> str:
    """The page.

    Args:
        results: what `bench.run` wrote: `machine`, `topics` by name, `minutes`, `quick`.

    Raises:
        NotMeasuredError: something was not measured, or in a quick run.
    """
    if results.get("quick") is not False:
        raise NotMeasuredError("a quick run measures too little to be reported")
    topics = _of(results, "topics", "the results")
    missing = [name for name in TOPICS if name not in topics]
    if missing:
        raise NotMeasuredError(f"topics that were not measured: {' '.join(missing)}")
    parts = [_HEAD, _machine(_of(results, "machine", "the results"), topics, results)]
    parts.append(_summary([table for name in TOPICS for table in topics[name].get("tables", [])]))
    parts += [_topic(_of(topics, name, "the topics")) for name in TOPICS]
    return "\n".join(parts)


def _of(mapping: Mapping[str, Any], key: str, where: str) -> Any:
    value = mapping.get(key)
    if value is None or value in ("", [], {}):
        raise NotMeasuredError(f"{where}: no {key}")
    return value


def _measured(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise NotMeasuredError(f"{where}: {value!r} is no measurement")
    return float(value)


def _number(value: float) -> str:
    """Three significant digits, thousands apart."""
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{round(value, digits):,.{digits}f}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"


def _machine(machine: Mapping[str, Any], topics: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    def of(key: str) -> Any:
        return _of(machine, key, "the machine")

    load = machine.get("load")
    if isinstance(load, bool) or not isinstance(load, int | float):
        raise NotMeasuredError("the machine: no load")
    blas = sorted({kernel for name in TOPICS for kernel in topics[name].get("blas", [])})
    versions = ", ".join(f"{name} {number}" for name, number in of("packages").items())
    limits = [
        ("code", of("code")),
        *((f"measured again: {topic}", f"{code}, in a run of its own") for topic, code in _later(results)),
        ("processor", of("processor")),
        ("of its flags", " ".join(of("flags"))),
        ("cores", str(of("cores"))),
        ("memory", f"{_measured(of('memory_gb'), 'memory'):.0f} GB"),
        ("memory read, 1 thread", f"{_number(_measured(of('memory_read_gb_s'), 'memory read'))} GB/s"),
        ("page cache read, 1 thread", f"{_number(_measured(of('page_cache_read_gb_s'), 'page cache read'))} GB/s"),
        ("BLAS kernels", "; ".join(blas) or "none loaded"),
        ("system", f"{of('system')}, Python {of('python')}"),
        ("versions", versions),
        ("load average at the start", f"{load:.1f}"),
        ("the whole run", f"{_measured(results.get('minutes'), 'minutes'):.1f} minutes"),
    ]
    return "\n".join(["## Machine", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in limits), ""])


def _later(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Topics that took the place of those of the whole run, and of what code they are."""
    return [(topic, code) for topic, code in results.get("again", {}).items() if topic in TOPICS]


def _summary(tables: Sequence[Mapping[str, Any]]) -> str:
    """Every ratio to a peer, one line a table: also where vetset is slower."""
    lines = ["## In short", "", "How many times faster vetset is, by the median of the rounds.", ""]
    lines += ["| | vetset | against |", "|---|---:|---|"]
    for table in tables:
        title, unit = _of(table, "title", "a table"), _of(table, "unit", "a table")
        first, *others = _of(table, "rows", title)
        ours, better = _values(first, title), _better(table, title)
        ratios = [f"{row['peer']} {_ratio(ours, _values(row, title), better)[0]}×" for row in others if row["peer"]]
        if ratios:
            lines.append(f"| {title} | {_number(median(ours))} {unit} | {', '.join(ratios)} |")
    return "\n".join([*lines, ""])


def _topic(topic: Mapping[str, Any]) -> str:
    title = _of(topic, "title", "a topic")
    lines = [f"## {title}", "", _of(topic, "data", title), ""]
    for table in _of(topic, "tables", title):
        lines += _table(table)
    lines += ["Checked in the same run:", "", "| claim | seen |", "|---|---|"]
    for claim, seen in _of(topic, "checks", title):
        if not claim or not seen:
            raise NotMeasuredError(f"{title}: a check without a result")
        lines.append(f"| {claim} | {seen} |")
    return "\n".join([*lines, ""])


def _table(table: Mapping[str, Any]) -> list[str]:
    title, unit = _of(table, "title", "a table"), _of(table, "unit", "a table")
    better = _better(table, title)
    rows = [(_of(row, "way", title), _values(row, title), bool(row.get("once"))) for row in _of(table, "rows", title)]
    reference = rows[0][1]
    lines = [
        f"### {title}",
        "",
        _of(table, "inside", title),
        "",
        f"| way | {unit} | least–greatest | rounds | faster |",
    ]
    lines.append("|---|---:|---:|---:|---:|")
    for number, (way, values, _) in enumerate(rows):
        spread = f"{_number(min(values))}–{_number(max(values))}" if len(values) > 1 else "once"
        ratio = "1" if number == 0 else "{}× ({}–{})".format(*_ratio(reference, values, better))
        ratio = ratio if len(values) > 1 else ratio.partition(" ")[0]
        lines.append(f"| {way} | {_number(median(values))} | {spread} | {len(values)} | {ratio} |")
    return [*lines, ""]


def _better(table: Mapping[str, Any], title: str) -> str:
    better = table.get("better")
    if better not in {"less", "more"}:
        raise NotMeasuredError(f"{title}: it is not said which way is better")
    return str(better)


def _values(row: Mapping[str, Any], title: str) -> list[float]:
    where = f"{title}, {row.get('way')}"
    values = [_measured(value, where) for value in _of(row, "values", where)]
    if len(values) < _LEAST_ROUNDS and not row.get("once"):
        raise NotMeasuredError(f"{where}: {len(values)} rounds, at least {_LEAST_ROUNDS} are asked for")
    return values


def _ratio(ours: Sequence[float], theirs: Sequence[float], better: str) -> tuple[str, str, str]:
    """How many times faster the first is, round by round: the median, the least, the greatest."""
    if len(ours) != len(theirs):
        ours, theirs = [median(ours)], [median(theirs)]
    ratios = [b / a if better == "less" else a / b for a, b in zip(ours, theirs, strict=True)]
    return _number(median(ratios)), _number(min(ratios)), _number(max(ratios))
