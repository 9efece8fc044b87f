"""plan: what an operator asks before a run. It writes nothing, and needs no list and no key."""

import os
import time
from pathlib import Path

from vetset.api.given import dataset_of, load_policy
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import unclaimed
from vetset.engine.local import LocalEngine
from vetset.engine.outcome import Engine
from vetset.model.dataset import Format
from vetset.model.errors import UsageError
from vetset.model.plan import Plan
from vetset.model.policy import Policy
from vetset.signal.embedding import load_embedder
from vetset.stage.forecast import Question
from vetset.stage.plan import plan as run_plan
from vetset.stage.progress import Reporter, Silent

PLAN_SECONDS = 60.0
_LONGEST = 86_400.0


def plan(
    dataset: Path | str,
    *,
    policy: Policy | Path | str | None = None,
    columns: ColumnMapping | None = None,
    dataset_format: Format | str | None = None,
    embedder: str = "",
    workers: int | None = None,
    seconds: float = PLAN_SECONDS,
    sample_shards: int | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    reporter: Reporter | None = None,
) -> Plan:
    """What scanning a dataset will cost and come to, from a sample that is read now. Writes nothing.

    Shards are drawn at random, larger ones more often, and read whole if the time allows it; of their records a random
    part is fingerprinted, by the code of a scan. Totals are ratios to the bytes of the dataset, which are known; a
    small dataset is read whole, and then nothing is estimated. Intervals are of 95 % and speak of the choice of the
    sample: not of another machine, of a slower disk, or of what else runs meanwhile.

    Args:
        dataset: a folder, a .tar, .parquet or .arrow file, or the address of one (docs/remote.md).
        policy: what is computed, or a TOML file of it.
        columns: which columns mean what, where their names do not say it.
        dataset_format: which format, where it cannot be told.
        embedder: name or file of a model that is to compute embeddings too.
        workers: processes of the run that is planned; one per core of this machine if not given.
        seconds: time for the sample, above 0; finding the shards comes before, and a step that was begun is ended.
        sample_shards: shards of the sample, at most; as many as there is time for if not given.
        seed: of the random choice, at least 0.
        engine: where the sample is looked at; `workers` processes, at most one per core, if not given.
        reporter: hears of progress.

    Raises:
        DatasetError: there is no dataset, or not of a known format, or no shard of the sample can be read.
        UsageError: a number is out of range.
        OutputError: the temporary folder cannot be written.
    """
    cores = len(os.sched_getaffinity(0))
    wanted = cores if workers is None else workers
    for what, value, least in (("workers", wanted, 1), ("sample_shards", sample_shards, 1), ("seed", seed, 0)):
        if value is not None and value < least:
            raise UsageError(f"{what} is out of range", expected=f"at least {least}", seen=str(value))
    if not 0 < seconds <= _LONGEST:
        raise UsageError("seconds is out of range", expected=f"above 0, at most {_LONGEST:g}", seen=str(seconds))
    begun = time.monotonic()
    root, chosen, shards = dataset_of(dataset, dataset_format)
    listing = time.monotonic() - begun
    processes = min(wanted, cores)
    question = Question(
        root=root,
        shards=shards,
        unclaimed=len(unclaimed(chosen, root)),
        listing=listing,
        mapping=columns or ColumnMapping(),
        policy=load_policy(policy).scan,
        embedder=embedder,
        embedder_id=load_embedder(embedder).id if embedder else "",
        workers=wanted,
        processes=processes,
        seconds=seconds,
        most=len(shards) if sample_shards is None else min(sample_shards, len(shards)),
        seed=seed,
    )
    # no shard of the sample takes longer than its time, unless it makes a decoder hang
    return run_plan(question, engine or LocalEngine(processes, seconds=2 * seconds + 60), reporter or Silent())
