"""clean and check: what anybody runs who holds a dataset, an order or a statement, and a public key."""

from pathlib import Path

from vetset.api.given import Key, Pub, dataset_of, private_key, public_key
from vetset.dataset.columns import ColumnMapping
from vetset.engine.local import LocalEngine
from vetset.engine.outcome import Engine
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError, UsageError
from vetset.stage.attest import Checked, checked_statement, differing_shards
from vetset.stage.clean import CleanJob, read_shards
from vetset.stage.clean import clean as run_clean
from vetset.stage.progress import Reporter, Silent


def clean(
    dataset: Path | str,
    order: Path | str,
    *,
    signer: Pub,
    out: Path | str,
    embeddings: Path | str | None = None,
    keep_list: bool = False,
    columns: ColumnMapping | None = None,
    dataset_format: Format | str | None = None,
    engine: Engine | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Write a new revision without the records of an order, or with `keep_list` a table of what stays.

    Args:
        dataset: the revision that was audited.
        order: file of the signed order.
        signer: public key of the custodian who signed it.
        out: where the new revision will lie; must not exist, or be empty.
        embeddings: where the dataset's embeddings lie, if not where the audit found them.
        keep_list: write `keep.parquet` instead of a copy.
        columns: which columns mean what.
        dataset_format: which format, where it cannot be told.
        engine: where shards are copied.
        reporter: hears of progress.

    Returns:
        `out`.

    Raises:
        SignatureError: the order is not this signer's.
        DatasetError: this is not the revision that the order is for.
        OutputError: the output place is taken, or writing failed; nothing is left there.
    """
    root, _, shards = dataset_of(dataset, dataset_format)
    job = CleanJob(
        root=root,
        shards=shards,
        mapping=columns or ColumnMapping(),
        order=Path(order).resolve(),
        signer=public_key(signer),
        out=Path(out),
        embeddings=None if embeddings is None else Path(embeddings),
        keep_list=keep_list,
    )
    run_clean(job, engine=engine or LocalEngine(), reporter=reporter or Silent())
    return Path(out)


def check(
    statement: Path | str,
    *,
    signer: Pub,
    dataset: Path | str | None = None,
    key: Key | None = None,
    engine: Engine | None = None,
) -> Checked:
    """Check who signed a statement and, with `dataset`, whether it speaks of these very bytes.

    Raises:
        SignatureError: somebody else signed it, or it was altered.
        DatasetError: the dataset is not the one that the statement is about.
    """
    path = Path(statement)
    if not path.is_file():
        raise UsageError("there is no statement", where=str(path))
    found = checked_statement(path.read_bytes(), public_key(signer), None if key is None else private_key(key))
    if dataset is not None:
        root, _, shards = dataset_of(dataset, None)
        read = read_shards(root, shards, ColumnMapping(), engine or LocalEngine())
        differing = differing_shards(found.subjects, {shard.uri: shard.digest for shard in read})
        if differing:
            shown = ", ".join(differing[:5]) + (", …" if len(differing) > 5 else "")
            raise DatasetError(
                "the dataset is not the one that was attested",
                expected="the shards of the statement, unchanged",
                seen=f"{len(differing)} missing, new or changed: {shown}",
                where=str(dataset),
                todo="Audit this revision; a statement holds for one revision only.",
            )
    return found
