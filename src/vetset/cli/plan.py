"""vetset plan: what a run will cost, from a sample that is read now."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from vetset.cli.options import Columns, Dataset, Embedder, Format, Json, PolicyFile, Workers, mapping_of
from vetset.cli.output import SamplingLines, emit, size_text, time_text

if TYPE_CHECKING:
    from vetset.model.plan import Estimate, Plan

MOST_NAMES = 20


def _interval(estimate: "Estimate", low: str, high: str) -> str:
    return " (no interval: one shard is too few)" if estimate.low is None else f" ({low} to {high})"


def count_text(estimate: "Estimate") -> str:
    """A count with its interval."""
    ends = [f"{end or 0:,.0f}" for end in (estimate.low, estimate.high)]
    return f"{estimate.value:,.0f}" if estimate.exact else f"about {estimate.value:,.0f}{_interval(estimate, *ends)}"


def amount_text(estimate: "Estimate", unit: str) -> str:
    """Hours or bytes with their interval: `unit` is `h` or `B`."""
    told = [_one_amount(end or 0.0, unit) for end in (estimate.value, estimate.low, estimate.high)]
    return told[0] + ("" if estimate.exact else _interval(estimate, *told[1:]))


def _one_amount(value: float, unit: str) -> str:
    if unit == "B":
        return size_text(value)
    return f"{value:,.0f} core-hours" if value >= 100 else f"{value:.2g} core-hours"


def share_text(estimate: "Estimate") -> str:
    """A share in per cent with its interval."""
    if not estimate.value and not estimate.exact and estimate.high is not None:
        return f"0 % (at most {100 * estimate.high:.3g} %)"
    told = [f"{100 * (end or 0.0):.3g} %" for end in (estimate.value, estimate.low, estimate.high)]
    return told[0] + ("" if estimate.exact else _interval(estimate, *told[1:]))


def lines_of(plan: "Plan") -> list[str]:
    """All of it for people."""
    records = count_text(plan.records)
    lines = [f"{plan.format.value}: {plan.shards:,} shards, {records} records, {size_text(plan.bytes)} to read"]
    lines.append(
        "  everything was read: no number is an estimate"
        if plan.cost.total.exact
        else "  in brackets: where it lies with 95 %"
    )
    if plan.unclaimed_files:
        lines.append(f"  {plan.unclaimed_files:,} files there belong to no shard: they will not be audited")
    lines += [*_cost(plan), *_undecided(plan), *_failures(plan), *_columns(plan), *_sample(plan)]
    return lines


def _cost(plan: "Plan") -> Iterator[str]:
    cost, wall = plan.cost, plan.wall_seconds
    told = [time_text(end or 0.0) for end in (wall.value, wall.low, wall.high)]
    between = "" if wall.exact or wall.low is None else f" ({told[1]} to {told[2]})"
    idle = f"; {plan.workers - plan.busy:,} have nothing to do" if plan.busy < plan.workers else ""
    yield f"cost: {amount_text(cost.total.moved(times=1 / 3600), 'h')}"
    for name, seconds, grows in (
        ("reading", cost.reading.value, f"with bytes: {size_text(plan.bytes)}"),
        ("signals", cost.signals.value, f"with records: {plan.records.value:,.0f}"),
        ("commits", cost.commits.value, f"with shards: {plan.shards:,}"),
        ("start", cost.start, f"with workers: {plan.busy:,}, and the command's own"),
    ):
        yield f"  {name:<10} {seconds:,.1f} core-seconds, grows {grows}"
    yield f"time: {told[0]}{between} with {plan.workers:,} workers, a core for each{idle}"
    yield f"  if the storage delivers {size_text(plan.bytes_per_second)}/s to all of them together"
    yield f"store: {amount_text(plan.store_bytes, 'B')}"


def _undecided(plan: "Plan") -> Iterator[str]:
    yield "records that will be undecided, by kind of signal:"
    for kind, found in plan.undecided.items():
        reasons = ", ".join(f"{reason.value} {share_text(share)}" for reason, share in found.reasons.items())
        yield f"  {kind.value:<10} {share_text(found.share)}" + (f": {reasons}" if reasons else "")


def _failures(plan: "Plan") -> Iterator[str]:
    if plan.failures:
        yield f"shards that will fail: {count_text(plan.failed_shards)}"
    elif plan.failed_shards.high:
        yield f"shards that will fail: none of the sample did; with 95 % at most {plan.failed_shards.high:,.0f}"
    for error, count in plan.failures.items():
        yield f"  {count:,} of the sample: {error}"


def _columns(plan: "Plan") -> Iterator[str]:
    yield "what records state:"
    for role, found in plan.roles.items():
        named = f" by {', '.join(name[:60] for name in found.columns)}" if found.columns else ""
        yield f"  {role:<10} {100 * found.stated:.3g} % of records{named}"
    if plan.other_columns:
        names = ", ".join(name[:60] for name in plan.other_columns[:MOST_NAMES])
        more = " …" if len(plan.other_columns) > MOST_NAMES else ""
        yield f"  not used: {names}{more} (--column ROLE=NAME uses one)"


def _sample(plan: "Plan") -> Iterator[str]:
    sample = plan.sample
    cut = f" ({sample.cut:,} of them not to the end: what comes first there may be special)" if sample.cut else ""
    yield (
        f"sample: {sample.shards:,} of {plan.shards:,} shards{cut}, {sample.records:,} records fingerprinted "
        f"of {sample.records_read:,} read, seed {sample.seed}, {time_text(sample.seconds)}, "
        f"processes {sample.processes}"
    )
    yield (
        f"  a process read {size_text(sample.bytes_per_second)}/s; of {size_text(sample.bytes)} the system fetched "
        f"{size_text(sample.from_storage)}, the rest was in memory, or it does not say"
    )


def plan_command(
    dataset: Dataset,
    seconds: Annotated[float, typer.Option("--seconds", help="Time for the sample.")] = 60.0,
    sample_shards: Annotated[
        int | None,
        typer.Option(
            "--sample-shards", help="Shards of the sample; as many as there is time for.", min=1, show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the random choice.", min=0)] = 0,
    embedder: Embedder = "",
    policy: PolicyFile = None,
    workers: Workers = None,
    column: Columns = None,
    dataset_format: Format = None,
    as_json: Json = False,
) -> None:
    """Say what a run will cost before it is started, from a random sample. Needs no list and no key; writes nothing.

    Core-hours, time, bytes, size of the store, records that will be undecided and why, and which columns mean what:
    each with an interval of 95 %. A small dataset is read whole, and then nothing is estimated. See docs/plan.md.
    """
    from vetset.api.planning import plan
    from vetset.dataset.columns import ColumnMapping

    found = plan(
        dataset,
        policy=policy,
        columns=ColumnMapping(**mapping_of(column)),
        dataset_format=dataset_format,
        embedder=embedder,
        workers=workers,
        seconds=seconds,
        sample_shards=sample_shards,
        seed=seed,
        reporter=SamplingLines(seconds, as_json=as_json),
    )
    emit(found.to_json(), lines_of(found), as_json=as_json)
