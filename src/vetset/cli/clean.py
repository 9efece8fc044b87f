"""vetset clean."""

from pathlib import Path
from typing import Annotated

import typer

from vetset.cli.options import Columns, Format, Json, Signer, Workers, mapping_of
from vetset.cli.output import emit, progress


def command(
    dataset: Annotated[Path, typer.Argument(help="The revision that was audited.")],
    order: Annotated[Path, typer.Argument(help="The signed removal order.")],
    signer: Signer,
    out: Annotated[Path, typer.Option("--out", help="Where the new revision will lie.", show_default=False)],
    keep_list: Annotated[
        bool, typer.Option("--keep-list", help="Write keep.parquet (shard, row, key) of what stays, not a copy.")
    ] = False,
    embeddings: Annotated[
        Path | None,
        typer.Option("--embeddings", help="Where they lie, if not where the audit found them.", show_default=False),
    ] = None,
    workers: Workers = None,
    column: Columns = None,
    dataset_format: Format = None,
    as_json: Json = False,
) -> None:
    """Write a new revision of a dataset without the records of a signed order. Needs no private key.

    Survivors are byte-identical and in order; tar members, table rows and embeddings move together; the copy is read
    again and compared before it gets its name. Keep the new revision private: beside the old one it is a map.
    """
    from vetset.api.revision import clean
    from vetset.dataset.columns import ColumnMapping
    from vetset.engine.local import LocalEngine

    path = clean(
        dataset,
        order,
        signer=signer,
        out=out,
        embeddings=embeddings,
        keep_list=keep_list,
        columns=ColumnMapping(**mapping_of(column)),
        dataset_format=dataset_format,
        engine=LocalEngine(workers),
        reporter=progress(quiet=as_json),
    )
    what = "the keep-list" if keep_list else "the new revision"
    emit(
        {"out": str(path), "private": True, "keep_list": keep_list},
        f"{what} is in {path}; it was read again and compared.\nKeep it private: beside the old revision it is a map.",
        as_json=as_json,
    )
