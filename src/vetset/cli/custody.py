"""vetset open, verify, expand, copies and order: what a custodian runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vetset.cli.nearness import nearness_lines
from vetset.cli.options import Json, KeyFile, StorePlace
from vetset.cli.output import coverage_line, drift_lines, emit, progress
from vetset.cli.trust import alarm_lines, list_line, union_lines

Audit = Annotated[Path, typer.Argument(help="The folder that `vetset audit` wrote.")]


def _lists_text(document: dict[str, Any]) -> list[str]:
    lines = []
    for used in document["lists"]:
        lines.append(list_line(used))
        for kind, tally in used["kinds"].items():
            undecided, partial = sum(tally["undecided"].values()), tally["matched_partial"]
            # the coverage counts these among the undecided
            of_these, others = (f" ({partial} of them undecided: truncated)", "others ") if partial else ("", "")
            lines.append(
                f"  {kind:<10} {tally['matched']} matched{of_these}, {tally['not_matched']} not, "
                f"{undecided} {others}undecided of {tally['records']}"
            )
    return lines


_ENDED = {
    "dry": "nothing new was confirmed",
    "harm": "nothing new was confirmed, and what was never asked about may be of another harm than the list's",
    "budget": "the budget is used",
    "yield": "too few of the last round were confirmed",
    "rounds": "these are the most rounds",
}


def _stop_line(told: dict[str, Any]) -> str:
    unscored = f", {told['unscored']} candidates without a score came last" if told["unscored"] else ""
    return (
        f"rounds with {told['verifier']} ended after {told['rounds']}: {_ENDED[told['rule']]}; asked about "
        f"{told['asked']}, {told['confirmed']} confirmed, {told['never_asked']} never asked about{unscored}"
    )


def _copies_lines(told: dict[str, Any] | None) -> list[str]:
    if told is None:
        return []
    lines = [line for harm, counted in told["by_category"].items() for line in _copies_of(harm, counted)]
    lines.append(
        f"  of {told['of_records']} records, bytes of {told['with_bytes']} and PDQ of {told['with_pdq']} were compared"
    )
    if not told["of_now"]:
        lines.append("  counted before the last findings: run `vetset copies` again")
    return lines


def _copies_of(harm: str, told: dict[str, Any]) -> list[str]:
    evidence = told["by_evidence"]
    sizes = ", ".join(f"{count} × {size}" for size, count in told["items_by_occurrences"].items()) or "none"
    found = (
        f"copies, {harm}: {told['items']} confirmed items occur {told['occurrences']} times in {told['records']} "
        f"records, the most frequent {told['largest']} times"
    )
    how = (
        f"  {evidence['confirmed']} confirmed; others by bytes {evidence['by_bytes']}, by PDQ {evidence['by_pdq']}, "
        f"by embedding {evidence['by_embedding']}; items by occurrences: {sizes}"
    )
    return [found, how]


def summary_lines(document: dict[str, Any]) -> list[str]:
    """Counts, coverage and rounds for people."""
    lines = [f"status: {document['status']}; {document['records']} records in {document['shards']['read']} shards"]
    lines += _lists_text(document)
    lines += alarm_lines(document["alarms"])
    lines += union_lines(document["union"])
    for told in document["rounds"]:
        confirmed = ", ".join(f"{count} {harm}" for harm, count in told["confirmed"].items()) or "0"
        verdicts = ", ".join(f"{count} {name}" for name, count in told["verdicts"].items()) or "none"
        lines.append(
            f"round {told['number']}: {told['seeds']} seeds, k {told['k']}, similarity ≥ {told['threshold']:.3f}: "
            f"{told['new_candidates']} new candidates ({told['of_these_copies']} of them copies); "
            f"verdicts: {verdicts}; without verdict: {told['without_verdict']}; "
            f"confirmed: {confirmed} ({told['of_these_duplicates']} of them duplicates)"
        )
        lines += nearness_lines(told)
    lines += [_stop_line(told) for told in document["until_dry"]]
    unasked = document["candidates"]["without_verdict"]
    if unasked:
        lines.append(f"{unasked} candidates were never asked about; lists were matched with every record all the same")
    for change in document["rechecks"]:
        names = ", ".join(f"{used['name']} as of {used['as_of']}" for used in change["lists"])
        lines.append(
            f"recheck with {names}: {change['new']} records new, {change['withdrawn']} withdrawn, "
            f"{change['flagged']} with an entry that was flagged since"
        )
    if document["candidates"]["lapsed"]:
        lines.append(f"{document['candidates']['lapsed']} candidates lie near what is not confirmed any more")
    lines += _copies_lines(document["copies"])
    if document["changed_since_scan"]:
        lines.append(f"{document['changed_since_scan']} findings could not be read again as they were scanned")
    if document["not_read_again"]:
        lines.append(
            f"{document['not_read_again']} findings carry no address and no columns: the dataset was not at hand when "
            "they were sealed, or not to be read again"
        )
    lines += [f"coverage {coverage_line(kind, coverage)}" for kind, coverage in document["coverage"].items()]
    lines += drift_lines(document["drift"])
    if document["run_json"] == "not stated":
        lines.append(
            "an earlier version sealed this without stating what run.json said: it cannot be checked, and nothing can "
            "be attested; audit into another folder with the same --store"
        )
    return lines


def open_command(audit: Audit, key: KeyFile, as_json: Json = False) -> None:
    """Open the findings: counts per list, their union, coverage and rounds.

    Never shows an address, a key of a record or a picture. What you read here is confidential: it is for you, who hold
    the key, and for those whom your duty names.
    """
    from vetset.api.custody import open_audit

    document = open_audit(audit, key).summary()
    emit(document, summary_lines(document), as_json=as_json)


def _list_name(source: str) -> str:
    """The list of `list:NAME`.

    Raises:
        UsageError: it is something else.
    """
    from vetset.model.errors import UsageError

    kind, _, name = source.partition(":")
    if kind != "list" or not name:
        raise UsageError("there is no such verifier", expected="list:NAME", seen=source)
    return name


def verify_command(
    audit: Audit,
    key: KeyFile,
    with_source: Annotated[str, typer.Option("--with", help="Who decides: list:NAME.", show_default=False)],
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Ask a verifier about every candidate; its verdicts are sealed into the case.

    list:NAME is a second imported list. A candidate that it does not know is not harmless: it is not known to it.
    """
    from vetset.api.custody import verify

    document = verify(audit, key, with_list=_list_name(with_source), store=store)
    emit(document, summary_lines(document), as_json=as_json)


def expand_command(
    audit: Audit,
    key: KeyFile,
    embeddings: Annotated[
        str | None,
        typer.Option("--embeddings", help="Where they lie, if not where the audit found them.", show_default=False),
    ] = None,
    until_dry: Annotated[
        bool,
        typer.Option("--until-dry", help="Verify and expand in turn until nothing new is confirmed; needs --with."),
    ] = False,
    with_source: Annotated[
        str | None, typer.Option("--with", help="Who decides in between: list:NAME.", show_default=False)
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            help="Candidates that it is asked about in all, those before included.",
            min=0,
            show_default=False,
        ),
    ] = None,
    least_yield: Annotated[
        float | None,
        typer.Option(
            "--least-yield",
            help="End when less than this share of the last round, of those asked about, was confirmed.",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    most_rounds: Annotated[
        int | None,
        typer.Option("--most-rounds", help="Rounds in all, the audit's own included.", min=1, show_default=False),
    ] = None,
    first_by: Annotated[
        str,
        typer.Option(
            "--first-by", help="Column of the dataset whose greatest numbers are asked about first.", show_default=False
        ),
    ] = "",
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Search the neighbours of everything confirmed since the last round; what comes are candidates, sealed.

    With --until-dry a second list is asked about them, what it confirms seeds the next round, and so on until nothing
    new is confirmed or one of the limits ends it. Interrupted? The same command goes on. Candidates nearest to a seed
    are asked about first, or those with the greatest number in --first-by.
    """
    from vetset.api.custody import expand, expand_until_dry
    from vetset.model.errors import UsageError

    if not until_dry:
        if with_source or first_by or not (budget is None and least_yield is None and most_rounds is None):
            raise UsageError("--with and limits belong to rounds", expected="--until-dry beside them")
        document = expand(audit, key, embeddings=embeddings, store=store, reporter=progress(as_json=as_json))
    elif not with_source:
        raise UsageError("--until-dry needs somebody who decides in between", expected="--with list:NAME beside it")
    else:
        document = expand_until_dry(
            audit,
            key,
            with_list=_list_name(with_source),
            budget=budget,
            least_yield=least_yield,
            most_rounds=most_rounds,
            first_by=first_by,
            embeddings=embeddings,
            store=store,
            reporter=progress(as_json=as_json),
        )
    emit(document, summary_lines(document), as_json=as_json)


def copies_command(audit: Audit, key: KeyFile, store: StorePlace = None, as_json: Json = False) -> None:
    """Count how often every confirmed item occurs in the dataset: by bytes, by PDQ, by embedding; sealed.

    What a model is trained on often it remembers better. Nothing is found by it; JSON has the numbers item by item,
    without anything that names a record.
    """
    from vetset.api.custody import copies

    document = copies(audit, key, store=store)
    emit(document, summary_lines(document), as_json=as_json)


def order_command(
    audit: Audit,
    key: KeyFile,
    out: Annotated[Path, typer.Option("--out", help="File for the order.", show_default=False)],
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Sign the removal order: what the policy removes, as tokens that mean nothing without the dataset.

    Refused where a shard failed or counts do not add up, since more may have to go than was found.
    """
    from vetset.api.custody import order

    path = order(audit, key, out=out, store=store)
    emit(
        {"order": str(path)},
        [f"{path} is signed", f"Next: vetset clean DATASET {path} --signer NAME.pub --out DIR"],
        as_json=as_json,
    )
