"""vetset audit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vetset.cli.options import (
    Columns,
    Dataset,
    Embedder,
    Format,
    Json,
    Lists,
    Memory,
    PolicyFile,
    Purpose,
    RecordSeconds,
    SealTo,
    Seconds,
    Workers,
    mapping_of,
    memory_bytes,
    record_limit,
    shard_limit,
)
from vetset.cli.output import (
    coverage_line,
    drift_lines,
    emit,
    list_lines,
    passed_over_lines,
    progress,
    selftest_lines,
    some_of,
)
from vetset.model.errors import CountError, UsageError

if TYPE_CHECKING:
    from vetset.stage.audit import AuditResult


def told(result: "AuditResult") -> dict[str, Any]:
    """What may be printed of an audit; the same with and without findings."""
    manifest = result.manifest
    return {
        "state": manifest.state,
        "records": manifest.records,
        "shards": {"read": len(manifest.shards), "reused": result.reused, "failed": len(manifest.failed)},
        "unclaimed_files": manifest.unclaimed,
        "coverage": manifest.coverage_json(),
        "drift": manifest.drift_json(),
        "silent_columns": list(manifest.silent_columns),
        "selftest": None if manifest.selftest is None else manifest.selftest.to_json(),
        "purpose": manifest.request.purpose,
        "lists": manifest.lists_json(
            manifest.request.lists, {used.name: manifest.audited_on for used in manifest.request.lists}
        ),
        "sealed_to": [recipient.name for recipient in manifest.request.recipients],
        "errors": list(result.errors),
    }


def lines_of(document: dict[str, Any], out: Path, *, heic: bool = True) -> list[str]:
    """The same for people; `heic` is false where HEIC pictures could not be decoded.

    That some encoding was unknown is public in any case, and says nothing of findings.
    """
    shards = document["shards"]
    read = f"{shards['read']} shards ({shards['reused']} were read before, {shards['failed']} failed)"
    lines = [f"{document['records']} records in {read}"]
    lines += [f"  {coverage_line(kind, coverage)}" for kind, coverage in document["coverage"].items()]
    lines += passed_over_lines(why for coverage in document["coverage"].values() for why in coverage["undecided"])
    if not heic and any(coverage["undecided"].get("unknown_encoding") for coverage in document["coverage"].values()):
        lines.append(
            "  unknown_encoding is also what HEIC pictures are without their extra: pip install 'vetset[heic]'"
        )
    lines += drift_lines(document["drift"])
    lines += [f"  --column {column}: no record has such a column" for column in document["silent_columns"]]
    if document["unclaimed_files"]:
        lines.append(f"  {document['unclaimed_files']} files there belong to no shard: they were not audited")
    lines += selftest_lines(document["selftest"])
    names = ", ".join(document["sealed_to"])
    lines += [
        "  held against:",
        *list_lines(document["lists"]),
        f"The result is sealed to {names} in {out}, whatever it is.",
    ]
    lines.append(f"Next: vetset open {out} --key NAME.key")
    return lines


def conclude(result: "AuditResult", out: Path, *, as_json: bool, heic: bool = True) -> None:
    """Print, and refuse to end well where nothing can be claimed.

    Raises:
        CountError: the audit is incomplete or its counts do not add up.
    """
    document = told(result)
    emit(document, lines_of(document, out, heic=heic), as_json=as_json)
    if result.errors:
        raise CountError(
            "the audit is incomplete: what was found is sealed, but nothing can be claimed",
            seen=some_of(result.errors),
            todo="Mend what is named, or remove these shards, and audit into another folder with the same --store.",
        )


def command(
    dataset: Dataset,
    lists: Lists,
    seal_to: SealTo,
    out: Annotated[Path, typer.Option("--out", help="The audit's folder; the same one goes on.", show_default=False)],
    store: Annotated[
        Path | None, typer.Option("--store", help="Where signals are kept; OUT/store if not given.", show_default=False)
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option("--embeddings", help="Its embeddings: a folder, a file or an address.", show_default=False),
    ] = None,
    embedder: Embedder = "",
    read_again: Annotated[
        bool,
        typer.Option(
            "--read-again",
            help="Of a remote dataset, fetch shards with findings once more for their addresses and columns. Whoever "
            "keeps the dataset can then see which shards these are.",
        ),
    ] = False,
    purpose: Purpose = "dataset-audit",
    policy: PolicyFile = None,
    engine: Annotated[str, typer.Option("--engine", help="Where it runs: local.")] = "local",
    workers: Workers = None,
    shard_seconds: Seconds = None,
    record_seconds: RecordSeconds = None,
    worker_gib: Memory = None,
    column: Columns = None,
    dataset_format: Format = None,
    as_json: Json = False,
) -> None:
    """Audit a dataset: scan, match, one round of neighbours, seal.

    One pass over the bytes; nothing of the dataset is shown, and no address that stands in it is ever opened. Run the
    same command again to continue an interrupted audit; on a finished one it does nothing. What is printed, and the
    exit code, are the same with and without findings.
    """
    from vetset.api.auditing import audit
    from vetset.dataset.columns import ColumnMapping
    from vetset.engine.local import LocalEngine
    from vetset.signal.heif import decodes_heif

    if engine != "local":
        raise UsageError("there is no such engine", expected="local", seen=engine)
    result = audit(
        dataset,
        lists=lists,
        seal_to=seal_to,
        out=out,
        policy=policy,
        columns=ColumnMapping(**mapping_of(column)),
        dataset_format=dataset_format,
        store=store,
        embeddings=embeddings,
        embedder=embedder,
        read_again=read_again,
        purpose=purpose,
        engine=LocalEngine(workers, seconds=shard_limit(shard_seconds), memory=memory_bytes(worker_gib)),
        record_seconds=record_limit(record_seconds, shard_seconds),
        reporter=progress(as_json=as_json),
    )
    conclude(result, out, as_json=as_json, heic=decodes_heif())
