"""vetset scan and vetset match: the two halves of an audit, for two parties who do not share everything."""

from pathlib import Path
from typing import Annotated

import typer

from vetset.cli.audit import conclude
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
from vetset.cli.output import emit, passed_over_lines, progress, some_of
from vetset.model.errors import CountError


def scan_command(
    dataset: Dataset,
    store: Annotated[Path, typer.Option("--store", help="Where signals are kept.", show_default=False)],
    part: Annotated[
        str | None,
        typer.Option("--part", help="I/N: only the I-th of N parts; --merge them afterwards.", show_default=False),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Put the parts together; nothing of the dataset is read.")
    ] = False,
    embedder: Embedder = "",
    policy: PolicyFile = None,
    workers: Workers = None,
    shard_seconds: Seconds = None,
    record_seconds: RecordSeconds = None,
    worker_gib: Memory = None,
    column: Columns = None,
    dataset_format: Format = None,
    as_json: Json = False,
) -> None:
    """Compute the signals of every record into a store. Needs no list and no key.

    A store holds fingerprints of every record, but no address and no sign of a match; it is private (0700) all the
    same. Scanning again reads only what is new. With --part several processes or machines share the work: see
    docs/store.md.
    """
    from vetset.api.auditing import scan
    from vetset.dataset.columns import ColumnMapping
    from vetset.engine.local import LocalEngine
    from vetset.stage.canary import selftest_of

    note = scan(
        dataset,
        store=store,
        policy=policy,
        columns=ColumnMapping(**mapping_of(column)),
        dataset_format=dataset_format,
        embedder=embedder,
        part=part,
        merge=merge,
        engine=LocalEngine(workers, seconds=shard_limit(shard_seconds), memory=memory_bytes(worker_gib)),
        record_seconds=record_limit(record_seconds, shard_seconds),
        reporter=progress(as_json=as_json),
    )
    test = selftest_of(note.shards)
    document = {
        "revision": note.name,
        "records": sum(shard.records for shard in note.shards),
        "shards": len(note.shards),
        "failed": dict(note.failed),
        "selftest": {"pictures": test.pictures, "failed": list(test.failed)},
        "passed_over": sum(len(shard.passed) for shard in note.shards),
        "part": part,
    }
    lines = [f"{document['records']} records in {document['shards']} shards are in {store}"]
    lines += passed_over_lines(one.reason.value for shard in note.shards for one in shard.passed)
    after = f"vetset match {store} --list NAME --seal-to NAME.pub --out AUDIT"
    if part is not None:
        after = f"the other parts, then vetset scan {dataset} --store {store} --merge"
    emit(document, [*lines, f"Next: {after}"], as_json=as_json)
    if note.failed:
        raise CountError(
            "shards could not be read",
            seen=some_of([f"{uri}: {why}" for uri, why in note.failed.items()]),
            todo="Mend what is named, or remove these shards, and scan again: what is in the store is not read again.",
        )
    if test.failed:
        raise CountError("nothing can be claimed with this store", seen=some_of(test.failed))


def match_command(
    store: Annotated[Path, typer.Argument(help="What `vetset scan` wrote.")],
    lists: Lists,
    seal_to: SealTo,
    out: Annotated[Path, typer.Option("--out", help="The audit's folder.", show_default=False)],
    policy: PolicyFile = None,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Which scan, where the store holds several.", show_default=False)
    ] = None,
    purpose: Purpose = "dataset-audit",
    as_json: Json = False,
) -> None:
    """Hold lists against a store, without the dataset: so a list owner can match in a room of their own.

    Findings name shards, rows and keys, but carry no address, since a store holds none.
    """
    from vetset.api.auditing import match

    result = match(store, lists=lists, seal_to=seal_to, out=out, policy=policy, revision=revision, purpose=purpose)
    conclude(result, out, as_json=as_json)
