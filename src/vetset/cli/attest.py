"""vetset attest and vetset check."""

from pathlib import Path
from typing import Annotated

import typer

from vetset.cli.options import Json, KeyFile, Signer
from vetset.cli.output import emit, list_lines


def attest_command(
    audit: Annotated[Path, typer.Argument(help="The folder that `vetset audit` wrote.")],
    key: KeyFile,
    out: Annotated[Path, typer.Option("--out", help="File for the statement.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Sign what may be claimed about an audit (in-toto statement in a DSSE envelope, Ed25519).

    Refused where a shard failed, counts do not add up or run.json is not what was sealed. What was found stays sealed
    inside the statement.
    """
    from vetset.api.custody import attest

    path = attest(audit, key, out=out)
    lines = [f"{path} is signed", f"Next: vetset check {path} --signer NAME.pub"]
    emit({"statement": str(path)}, lines, as_json=as_json)


def _unclaimed_line(stated: int | None, now: int | None, *, compared: bool) -> str:
    if stated is None:
        return "how many files belonged to no shard was not counted; they were not audited"
    line = f"{stated} files belonged to no shard: they were not audited"
    return line + "; whether there are others now was not compared" if compared and now is None else line


def check_command(
    statement: Annotated[Path, typer.Argument(help="A statement that `vetset attest` wrote.")],
    signer: Signer,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Also compare every shard with the statement.", show_default=False)
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="A recipient's key: also open the sealed claims.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check who signed a statement and, with --dataset, that it speaks of exactly these bytes.

    Files that belong to no shard were not audited: their number is told, and must be what it was.
    """
    from vetset.api.revision import check

    found = check(statement, signer=signer, dataset=dataset, key=key)
    predicate = found.predicate
    document = {
        "signature": "holds",
        "dataset": "agrees" if dataset is not None else "not compared",
        "attested_on": predicate["attested_on"],
        "records": predicate["records"],
        "unclaimed_files": predicate.get("unclaimed_files"),
        "unclaimed_files_now": found.unclaimed,
        "lists": [
            {"name": used["name"], "owner": used["owner"], "as_of": used["as_of"], "version": used["version"]}
            for used in predicate["lists"]
        ],
        "age_of_lists": predicate.get("age_of_lists"),
        "coverage": predicate["coverage"],
        "claims": None if found.result is None else found.result["claims"],
    }
    lines = [
        f"the signature holds; attested on {document['attested_on']}",
        f"the dataset {document['dataset']} with the statement" if dataset is not None else "no dataset was compared",
        f"{document['records']} records were audited against: "
        + ", ".join(f"{used['name']} ({used['owner']}, as of {used['as_of']})" for used in document["lists"]),
    ]
    lines += [
        f"  {kind:<10} decided {coverage['decided']} of {coverage['records']}"
        for kind, coverage in document["coverage"].items()
    ]
    lines.append(_unclaimed_line(document["unclaimed_files"], found.unclaimed, compared=dataset is not None))
    # statements of before say nothing of the age of lists
    lines += list_lines(document["age_of_lists"] or ())
    lines += document["claims"] or ["the claims are sealed; a recipient opens them with --key"]
    emit(document, lines, as_json=as_json)
