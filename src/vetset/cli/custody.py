"""vetset open, verify, expand and order: what a custodian runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vetset.cli.nearness import nearness_lines
from vetset.cli.options import Json, KeyFile, StorePlace
from vetset.cli.output import coverage_line, drift_lines, emit

Audit = Annotated[Path, typer.Argument(help="The folder that `vetset audit` wrote.")]


def _lists_text(document: dict[str, Any]) -> list[str]:
    lines = []
    for used in document["lists"]:
        lines.append(
            f"list {used['name']} ({used['owner']}, {used['category']}, as of {used['as_of']}): "
            f"{used['matched_records']} records match"
        )
        for kind, tally in used["kinds"].items():
            undecided = sum(tally["undecided"].values())
            lines.append(
                f"  {kind:<10} {tally['matched']} matched, {tally['not_matched']} not, {undecided} undecided "
                f"of {tally['records']}"
            )
    return lines


def summary_text(document: dict[str, Any]) -> str:
    """Counts, coverage and rounds for people."""
    union = document["union"]
    lines = [f"status: {document['status']}; {document['records']} records in {document['shards']['read']} shards"]
    lines += _lists_text(document)
    evidence = ", ".join(f"{count} {name}" for name, count in union["by_evidence"].items())
    categories = ", ".join(f"{count} {name}" for name, count in union["by_category"].items())
    lines.append(
        f"union of all lists: {union['records']} records ({evidence}; by category: {categories}), "
        f"{union['distinct_items']} distinct items, {union['confirmed']} confirmed"
    )
    for told in document["rounds"]:
        verdicts = ", ".join(f"{count} {name}" for name, count in told["verdicts"].items()) or "none"
        lines.append(
            f"round {told['number']}: {told['seeds']} seeds, k {told['k']}, similarity ≥ {told['threshold']:.3f}: "
            f"{told['new_candidates']} new candidates ({told['of_these_copies']} of them copies); "
            f"verdicts: {verdicts}; without verdict: {told['without_verdict']}"
        )
        lines += nearness_lines(told)
    for change in document["rechecks"]:
        names = ", ".join(f"{used['name']} as of {used['as_of']}" for used in change["lists"])
        lines.append(
            f"recheck with {names}: {change['new']} records new, {change['withdrawn']} withdrawn, "
            f"{change['flagged']} with an entry that was flagged since"
        )
    if document["candidates"]["lapsed"]:
        lines.append(f"{document['candidates']['lapsed']} candidates lie near what is not confirmed any more")
    if document["changed_since_scan"]:
        lines.append(f"{document['changed_since_scan']} findings could not be read again as they were scanned")
    lines += [f"coverage {coverage_line(kind, coverage)}" for kind, coverage in document["coverage"].items()]
    lines += drift_lines(document["drift"])
    return "\n".join(lines)


def open_command(audit: Audit, key: KeyFile, as_json: Json = False) -> None:
    """Open the findings: counts per list, their union, coverage and rounds.

    Never shows an address, a key of a record or a picture. What you read here is confidential: it is for you, who hold
    the key, and for those whom your duty names.
    """
    from vetset.api.custody import open_audit

    document = open_audit(audit, key).summary()
    emit(document, summary_text(document), as_json=as_json)


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
    from vetset.model.errors import UsageError

    source, _, name = with_source.partition(":")
    if source != "list" or not name:
        raise UsageError("there is no such verifier", expected="list:NAME", seen=with_source)
    document = verify(audit, key, with_list=name, store=store)
    emit(document, summary_text(document), as_json=as_json)


def expand_command(
    audit: Audit,
    key: KeyFile,
    embeddings: Annotated[
        str | None,
        typer.Option("--embeddings", help="Where they lie, if not where the audit found them.", show_default=False),
    ] = None,
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Search the neighbours of everything confirmed since the last round; what comes are candidates, sealed."""
    from vetset.api.custody import expand

    document = expand(audit, key, embeddings=embeddings, store=store)
    emit(document, summary_text(document), as_json=as_json)


def order_command(
    audit: Audit,
    key: KeyFile,
    out: Annotated[Path, typer.Option("--out", help="File for the order.", show_default=False)],
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Sign the removal order: what the policy removes, as tokens that mean nothing without the dataset."""
    from vetset.api.custody import order

    path = order(audit, key, out=out, store=store)
    emit(
        {"order": str(path)},
        f"{path} is signed\nNext: vetset clean DATASET {path} --signer NAME.pub --out DIR",
        as_json=as_json,
    )
