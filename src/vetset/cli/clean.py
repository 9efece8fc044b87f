"""vetset clean."""

from pathlib import Path
from typing import Annotated

import typer

from vetset.cli.options import Format, Json, Signer, Workers
from vetset.cli.output import emit, progress


def command(
    dataset: Annotated[str, typer.Argument(help="The revision that was audited; its place or its address.")],
    order: Annotated[Path, typer.Argument(help="The signed removal order.")],
    signer: Signer,
    out: Annotated[Path, typer.Option("--out", help="Where the new revision will lie.", show_default=False)],
    keep_list: Annotated[
        bool, typer.Option("--keep-list", help="Write keep.parquet (shard, row, key) of what stays, not a copy.")
    ] = False,
    embeddings: Annotated[
        str | None,
        typer.Option("--embeddings", help="Where they lie, if not where the audit found them.", show_default=False),
    ] = None,
    workers: Workers = None,
    dataset_format: Format = None,
    as_json: Json = False,
) -> None:
    """Write a new revision of a dataset without the records of a signed order. Needs no private key.

    Survivors are byte-identical and in order; tar members, table rows and embeddings move together; the copy is read
    again and compared before it gets its name. Keep the new revision private: beside the old one it is a map.
    """
    from vetset.api.revision import clean, revision_note
    from vetset.engine.local import LocalEngine

    path = clean(
        dataset,
        order,
        signer=signer,
        out=out,
        embeddings=embeddings,
        keep_list=keep_list,
        dataset_format=dataset_format,
        engine=LocalEngine(workers),
        reporter=progress(as_json=as_json),
    )
    told = revision_note(path)
    if keep_list:
        lines = [f"the keep-list is in {path}"]
    else:
        lines = [f"the new revision is in {path}; it was read again and compared."]
    if told["files_not_carried"]:
        lines.append(f"{told['files_not_carried']} files belong to no shard: they were not audited, and stayed behind.")
    lines.append("Keep it private: beside the old revision it is a map.")
    document = {key: told[key] for key in ("private", "files_not_carried")}
    emit({"out": str(path), "keep_list": keep_list, **document}, lines, as_json=as_json)
