"""audit: scan, match, one round of neighbours, seal. The whole way to a sealed bundle, resumable at any point.

What is public (manifest, coverage, exit code) is the same with and without findings. Findings are in memory between
match and seal, and nowhere else; a resumed run recomputes them from store × lists.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vetset.case.findings import FindingsPart, Round, Status
from vetset.case.ledger import Ledger, seal_floor
from vetset.case.manifest import FailedShard, Manifest, Request, ScannedShard, write_manifest
from vetset.dataset.columns import ColumnMapping
from vetset.engine.outcome import Engine
from vetset.model.coverage import Drift, total_drift
from vetset.model.dataset import Format, Shard, shard_names
from vetset.model.errors import CountError
from vetset.model.finding import Candidate, Match, Seeds, confirmed_matches
from vetset.model.hashlist import HashList
from vetset.model.selftest import Selftest
from vetset.model.signal import Kind
from vetset.model.trust import Trust
from vetset.stage.calibrate import calibrate
from vetset.stage.canary import selftest_of
from vetset.stage.expand import expand
from vetset.stage.matched import match_store
from vetset.stage.progress import Reporter
from vetset.stage.provenance import provenance
from vetset.stage.scan import scan
from vetset.stage.selftest import Found, vector_test
from vetset.stage.space import Space, choice_of, computed_space, precomputed_space
from vetset.stage.watch import RECORD_SECONDS
from vetset.storage.address import place_of
from vetset.storage.remote import Place
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import Scanned, Store


@dataclass(frozen=True, slots=True)
class Job:
    """One audit: what was asked for, and what it needs in memory.

    Attributes:
        request: what `run.json` will say.
        root: the dataset, or None where only a store is at hand.
        shards: its shards.
        mapping: which columns mean what.
        lists: the lists, opened.
        embeddings: place of precomputed embeddings, or None.
        embedder: name or file of a model, or empty.
        out: the audit's folder.
        read_again: whether shards of a remote dataset may be fetched once more for what findings carry.
        unclaimed: files of the dataset that belong to no shard, those of its embeddings included: what the store
            remembers of it, since whoever matches that later has no embeddings. None if nobody counted them.
    """

    request: Request
    root: Place | None
    shards: Sequence[Shard]
    mapping: ColumnMapping
    lists: Sequence[HashList]
    embeddings: Place | None
    embedder: str
    out: Path
    read_again: bool = False
    unclaimed: int | None = None


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What may be told of an audit.

    Attributes:
        manifest: `run.json`.
        reused: shards that were not read again.
        errors: why the audit is incomplete, if it is.
    """

    manifest: Manifest
    reused: int
    errors: tuple[str, ...]


def record_table(store: Store, manifest: Manifest) -> RecordTable:
    """The numbering of a finished audit's records."""
    return RecordTable(
        store, [StoredShard(shard.uri, shard.name, shard.part, shard.records) for shard in manifest.shards]
    )


def space_of(request: Request, embeddings: Place | None, store: Store, table: RecordTable) -> Space | None:
    """Where neighbours are searched, or None if the audit has no embeddings."""
    if embeddings is not None:
        choice = choice_of(request.policy.expand, place_of(request.root))
        return precomputed_space(embeddings, table, store, choice)
    return computed_space(store, table) if request.embedder else None


def ledger_of(out: Path, manifest: Manifest) -> Ledger:
    """The ledger of an audit, for appending and opening."""
    recipients = [recipient.recipient for recipient in manifest.request.recipients]
    told = manifest.told if manifest.state == "sealed" else ""  # until then it goes on
    return Ledger(out, recipients, seal_floor(manifest.request.policy.seal, manifest.records), manifest.identity, told)


def manifest_after_scan(manifest: Manifest, scanned: Sequence[Scanned], failed: Mapping[str, str]) -> Manifest:
    """The manifest with every shard that was read, and every one that was not and why, by uri."""
    names = shard_names([shard.digest for shard in scanned])
    shards = tuple(
        ScannedShard(shard.uri, name, shard.digest, shard.records, shard.part)
        for shard, name in zip(scanned, names, strict=True)
    )
    lost = tuple(FailedShard(uri, why) for uri, why in sorted(failed.items()))
    return replace(manifest, shards=shards, failed=lost, selftest=selftest_of(scanned))


def _drift(table: RecordTable) -> dict[Kind, Drift]:
    """How stored bytes and declared digests compare; a part that is damaged was told of by its counts."""
    found: list[Drift] = []
    for index in range(len(table.shards)):
        with suppress(CountError):
            found += table.part(index).drift()
    return total_drift(found)


def _first_round(
    space: Space | None, table: RecordTable, matches: Sequence[Match], trust: Trust, digest: str
) -> tuple[tuple[Round, ...], tuple[Candidate, ...]]:
    if space is None:
        return (), ()
    policy = trust.policy
    calibration = calibrate(space, table, policy, digest)
    seeds = Seeds.confirmed(matches, (), trust)
    settled = {match.record for match in confirmed_matches(matches, trust)}
    told, candidates = expand(seeds, space, table, policy, calibration=calibration, number=1, settled=settled)
    return (told,), candidates


def _tried(manifest: Manifest, indexes: int, vectors: Found) -> Manifest:
    """The manifest with what the searches were tried on."""
    scanned = manifest.selftest or Selftest()
    told = replace(scanned, indexes=indexes, vectors=vectors.tried, failed=(*scanned.failed, *vectors.failed))
    return replace(manifest, selftest=told)


def conclude(job: Job, manifest: Manifest, store: Store) -> AuditResult:
    """Match what was scanned, look for neighbours, seal, and only then judge whether anything may be claimed.

    Args:
        job: the audit.
        manifest: with every shard that was scanned and every one that failed.
        store: where the parts lie.

    Raises:
        AlignmentError: the embeddings do not join; what the lists found is sealed before.
    """
    table = record_table(store, manifest)
    matched = match_store(table, job.lists, job.request.policy)
    manifest = replace(manifest, coverage=matched.coverage, unbalanced=matched.imbalances, drift=_drift(table))
    asked = job.root if job.read_again or isinstance(job.root, Path) else None
    read = partial(provenance, table=table, root=asked, shards=job.shards, mapping=job.mapping)
    found = read({match.record for match in matched.matches})
    if job.embeddings is not None or job.request.embedder:
        # Whatever becomes of the search for neighbours, what the lists found is sealed by now.
        ledger_of(job.out, manifest).write_first(
            FindingsPart(matched.matches, matched.tallies, (), (), found, "incomplete", matched.alarms, matched.hits)
        )
        write_manifest(job.out, manifest)
    space = space_of(job.request, job.embeddings, store, table)
    trust = Trust.of(job.request.policy, (hash_list.info for hash_list in job.lists), matched.alarms)
    vectors = Found(0) if space is None else vector_test(space)
    manifest = _tried(manifest, matched.indexes, vectors)
    # a search that overlooks what is there is not asked: whether it fails then would depend on what was found
    sound = None if vectors.failed else space
    rounds, candidates = _first_round(sound, table, matched.matches, trust, manifest.dataset_digest)
    if space is not None:
        manifest = replace(manifest, coverage={**matched.coverage, Kind.EMBEDDING: space.coverage})
    found += read({candidate.record for candidate in candidates} - {match.record for match in matched.matches})
    unbalanced = matched.imbalances or manifest.untested
    status: Status = "incomplete" if manifest.failed else "unbalanced" if unbalanced else "complete"
    manifest = replace(manifest, state="sealed")
    ledger_of(job.out, manifest).write_first(
        FindingsPart(
            matched.matches,
            matched.tallies,
            candidates,
            rounds,
            tuple(sorted(found)),
            status,
            matched.alarms,
            matched.hits,
        )
    )
    write_manifest(job.out, manifest)
    return AuditResult(manifest, 0, manifest.problems)


def run_audit(
    job: Job,
    manifest: Manifest,
    *,
    engine: Engine,
    embedder_id: str,
    reporter: Reporter,
    record_seconds: float = RECORD_SECONDS,
) -> AuditResult:
    """Scan, then `conclude`.

    Args:
        job: the audit.
        manifest: as it lies in the output folder, state `running`.
        engine: where shards are scanned.
        embedder_id: id of the model, or empty.
        reporter: told of each finished shard.
        record_seconds: longest time for one record.
    """
    root = Path(job.request.root) if job.root is None else job.root
    with Store(Path(job.request.store)) as store:
        result = scan(
            root,
            job.shards,
            store=store,
            mapping=job.mapping,
            policy=job.request.policy.scan,
            embedder=job.embedder,
            embedder_id=embedder_id,
            engine=engine,
            reporter=reporter,
            record_seconds=record_seconds,
        )
        request = job.request
        stamp, policy = request.dataset_stamp, request.policy.scan
        note = replace(result, unclaimed=job.unclaimed).note(
            root, Format(request.format), stamp, policy, job.mapping, request.embedder
        )
        store.note_scan(note)
        concluded = conclude(job, manifest_after_scan(manifest, result.scanned, result.causes), store)
    return replace(concluded, reused=result.reused)
