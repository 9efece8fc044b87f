"""clean and check: what anybody runs who holds a dataset, an order or a statement, and a public key."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vetset.api.given import Key, Pub, dataset_of, private_key, public_key, read_file, require_outside
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import REVISION, unclaimed
from vetset.engine.local import LocalEngine
from vetset.engine.outcome import Engine
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError, SealError, SignatureError
from vetset.model.signal import Kind
from vetset.stage.attest import Checked, checked_statement, differing_shards
from vetset.stage.clean import CleanJob, read_shards
from vetset.stage.clean import clean as run_clean
from vetset.stage.progress import Reporter, Silent
from vetset.storage.address import root_of
from vetset.storage.remote import Place


@contextmanager
def _signed_file(path: Path | str) -> Iterator[None]:
    """Let an error about what was signed name the file."""
    try:
        yield
    except (SignatureError, SealError) as error:
        error.where = str(path)
        raise


def clean(
    dataset: Path | str,
    order: Path | str,
    *,
    signer: Pub,
    out: Path | str,
    embeddings: Path | str | None = None,
    keep_list: bool = False,
    dataset_format: Format | str | None = None,
    engine: Engine | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Write a new revision without the records of an order, or with `keep_list` a table of what stays.

    Which columns mean what is part of the order.

    Args:
        dataset: the revision that was audited.
        order: file of the signed order.
        signer: public key of the custodian who signed it.
        out: where the new revision will lie; must not exist, or be empty.
        embeddings: where the dataset's embeddings lie, if not where the audit found them.
        keep_list: write `keep.parquet` instead of a copy.
        dataset_format: which format, where it cannot be told.
        engine: where shards are copied.
        reporter: hears of progress.

    Returns:
        `out`.

    Raises:
        UsageError: there is no order, or `out` lies inside the dataset.
        SignatureError: the order is not this signer's.
        DatasetError: this is not the revision that the order is for.
        OutputError: the output place is taken, or writing failed; nothing is left there.
    """
    root, _, shards = dataset_of(dataset, dataset_format)
    require_outside(root, Path(out))
    job = CleanJob(
        root=root,
        shards=shards,
        order=read_file(order, "removal order"),
        signer=public_key(signer),
        out=Path(out),
        embeddings=None if embeddings is None else root_of(embeddings),
        keep_list=keep_list,
    )
    with _signed_file(order):
        run_clean(job, engine=engine or LocalEngine(), reporter=reporter or Silent())
    return Path(out)


def revision_note(path: Path | str) -> dict[str, Any]:
    """What a cleaned revision says of itself: `private`, `why`, `files_not_carried`.

    Raises:
        UsageError: there is no cleaned revision.
    """
    told: dict[str, Any] = json.loads(read_file(Path(path) / REVISION, "cleaned revision"))
    return told


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
        DatasetError: the dataset is not the one that the statement is about, or files were added that nobody read.
    """
    data = read_file(statement, "statement")
    public, private = public_key(signer), None if key is None else private_key(key)
    with _signed_file(statement):
        found = checked_statement(data, public, private)
    if dataset is not None:
        root, chosen, shards = dataset_of(dataset, found.predicate["format"])
        mapping = ColumnMapping(**found.predicate["mapping"])
        kinds = tuple(map(Kind, found.predicate["kinds"]))
        read = read_shards(root, shards, mapping, kinds, engine or LocalEngine())
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
        found = replace(found, unclaimed=_unclaimed_now(found, chosen, root, Path(statement)))
    return found


def _unclaimed_now(found: Checked, form: Format, root: Place, statement: Path) -> int | None:
    """How many files of a dataset belong to no shard, if they are as many as were attested.

    Nobody read them, then or now: but one that came since is not what was attested. The statement may lie among them.

    Raises:
        DatasetError: they are more or fewer.
    """
    stated, below = found.predicate.get("unclaimed_files"), found.predicate.get("embeddings_below")
    if stated is None or below is None:
        return None  # of before, or of a store whose scan did not count
    left = unclaimed(form, root, root / below if below else None)
    if isinstance(root, Path):
        left = [uri for uri in left if (root / uri).resolve() != statement.resolve()]
    if len(left) != stated:
        raise DatasetError(
            "the dataset holds other files beside its shards than when it was attested",
            expected=f"{stated} files that belong to no shard",
            seen=str(len(left)),
            where=str(root),
            todo="Nobody read these files. Remove what came, or audit this revision.",
        )
    return len(left)
