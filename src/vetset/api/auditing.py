"""scan, match, audit: what an operator runs. None of it needs a private key."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vetset.api.given import (
    Pub,
    dataset_of,
    existing_store,
    load_policy,
    opened_lists,
    public_key,
    require_beside,
    require_outside,
    require_sealed,
    today,
)
from vetset.case.manifest import DATASET_AUDIT, Request, read_manifest
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.embeddings.layouts import find_embeddings
from vetset.dataset.formats import outside, unclaimed
from vetset.engine.local import LocalEngine
from vetset.engine.outcome import Engine
from vetset.model.dataset import Format, Shard
from vetset.model.errors import OutputError, PolicyError, UsageError
from vetset.model.hashlist import HashList
from vetset.model.policy import Policy
from vetset.model.signal import Kind
from vetset.signal.embedding import load_embedder
from vetset.stage.audit import AuditResult, Job, conclude, ledger_of, manifest_after_scan, run_audit
from vetset.stage.match import require_radius
from vetset.stage.progress import Reporter, Silent
from vetset.stage.recheck import RecheckResult, news
from vetset.stage.recheck import recheck as run_recheck
from vetset.stage.request import alone_with, list_uses, recipients_of, stamp_of_embeddings, stamp_of_shards
from vetset.stage.scan import ScanResult, scan_key
from vetset.stage.scan import scan as run_scan
from vetset.stage.share import Share, merged
from vetset.stage.space import choice_of
from vetset.stage.watch import LEAST_SECONDS, MOST_SECONDS, RECORD_SECONDS
from vetset.storage.address import place_of, root_of
from vetset.storage.commit import alone_in, clear_partials
from vetset.storage.looking import resolved
from vetset.storage.remote import Place
from vetset.store.store import ScanNote, Store


def _request(
    dataset: tuple[str, Format, list[Shard]],
    *,
    policy: Policy,
    mapping: ColumnMapping,
    lists: Sequence[HashList],
    seal_to: Sequence[Pub],
    embeddings: Place | None,
    embedder_id: str,
    store: Path,
    purpose: str,
) -> Request:
    require_radius(lists, policy)
    root, chosen, shards = dataset
    parts = [] if embeddings is None else find_embeddings(embeddings, choice_of(policy.expand, place_of(root)))
    return Request(
        root=root,
        format=chosen.value,
        dataset_stamp=stamp_of_shards(shards),
        mapping=mapping.by_role(),
        policy=policy,
        lists=list_uses(lists),
        recipients=recipients_of([public_key(key) for key in seal_to]),
        embeddings="" if embeddings is None else str(embeddings),
        embeddings_stamp=stamp_of_embeddings(parts) if parts else "",
        embedder=embedder_id,
        store=str(store),
        purpose=purpose,
    )


def _record_seconds(given: float | None) -> float:
    """The time for one record.

    Raises:
        UsageError: it is none.
    """
    seconds = RECORD_SECONDS if given is None else given
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise UsageError(
            "the time for a record is none",
            expected=f"{LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds",
            seen=f"{given:g}",
        )
    return seconds


def scan(
    dataset: Path | str,
    *,
    store: Path | str,
    policy: Policy | Path | str | None = None,
    columns: ColumnMapping | None = None,
    dataset_format: Format | str | None = None,
    embedder: str = "",
    part: str | None = None,
    merge: bool = False,
    engine: Engine | None = None,
    record_seconds: float | None = None,
    reporter: Reporter | None = None,
) -> ScanNote:
    """Bring the signals of every record into a store. Needs no list and no key.

    Args:
        dataset: a folder, a .tar or a .parquet file, or the address of one (docs/remote.md).
        store: where signals are kept.
        policy: what is computed, or a TOML file of it.
        columns: which columns mean what, where their names do not say it.
        dataset_format: which format, where it cannot be told.
        embedder: name or file of a model that computes embeddings too.
        part: `i/n`: only the i-th of n parts, which other runs complete, at once or later, here or elsewhere.
        merge: put such parts together; nothing of the dataset is read.
        engine: where shards are scanned; a process per core if not given.
        record_seconds: longest time for one record, which is passed over if it takes longer; 60 if not given.
        reporter: hears of progress.

    Returns:
        What the store remembers of the scan, or of the part.

    Raises:
        DatasetError: there is no dataset, or not of a known format.
        UsageError: there is no such part, or a part is missing that should be merged.
        OutputError: the store holds something else or cannot be written.
    """
    if merge and part is not None:
        raise UsageError("one part is asked for, and all of them", todo="Choose one of --part and --merge.")
    share = None if part is None else Share.parse(part)
    seconds = _record_seconds(record_seconds)
    root, chosen, shards = dataset_of(dataset, dataset_format)
    require_outside(root, Path(store))
    checked = load_policy(policy)
    mapping = columns or ColumnMapping()
    embedder_id = load_embedder(embedder).id if embedder else ""
    about = (root, chosen, stamp_of_shards(shards), checked.scan, mapping, embedder_id)
    left = len(unclaimed(chosen, root))
    with Store(resolved(Path(store), OutputError), shared=share is not None) as place:
        if merge:
            key = scan_key(checked.scan, mapping, embedder_id)
            note = merged(place, key, shards, ScanResult((), {}, 0, left).note(*about))
        else:
            result = run_scan(
                root,
                shards if share is None else share.of(shards),
                store=place,
                mapping=mapping,
                policy=checked.scan,
                embedder=embedder,
                embedder_id=embedder_id,
                engine=engine or LocalEngine(),
                reporter=reporter or Silent(),
                record_seconds=seconds,
            )
            note = replace(result, unclaimed=left).note(*about)
        if share is None:
            place.note_scan(note)
        else:
            place.note_share(note, share.number, share.count)
    return note


def _one_scan(store: Store, revision: str | None) -> ScanNote:
    scans = store.scans()
    meant = [note for note in scans if note.name.startswith(revision or "")]
    if len(meant) != 1:
        names = ", ".join(note.name for note in scans)
        raise UsageError(
            "it is not clear which scan is meant",
            expected="one scan",
            seen=f"{len(meant)} of {len(scans)} that the store holds",
            where=str(store.folder),
            todo=f"Name one of these with --revision: {names}" if scans else "Run `vetset scan` first.",
        )
    return meant[0]


def _policy_of_scan(policy: Policy, note: ScanNote) -> Policy:
    """The policy with the scan part that the store was scanned with.

    Raises:
        PolicyError: the policy states another scan part, or needs a kind of signal that the scan did not compute.
    """
    if "scan" in policy.model_fields_set and policy.scan != note.scan_policy:
        raise PolicyError(
            "the store was scanned under another scan part of the policy",
            expected="the same [scan] settings, or none",
            todo="Leave [scan] out, or scan again under this policy.",
        )
    if policy.remove.undecided and Kind.PDQ not in note.scan_policy.kinds:
        raise PolicyError(
            "remove.undecided goes by pdq, which the store was scanned without",
            todo="Leave it out, or scan again with pdq among the kinds.",
        )
    if policy.remove.copies and Kind.SHA256 not in note.scan_policy.kinds:
        raise PolicyError(
            "remove.copies goes by sha256, which the store was scanned without",
            todo="Say remove.copies = false in a policy, as for the scan, or scan again with sha256 among the kinds.",
        )
    return policy.model_copy(update={"scan": note.scan_policy})


def match(
    store: Path | str,
    *,
    lists: Sequence[str | HashList],
    seal_to: Sequence[Pub],
    out: Path | str,
    policy: Policy | Path | str | None = None,
    revision: str | None = None,
    purpose: str = DATASET_AUDIT,
) -> AuditResult:
    """Hold lists against a store, without the dataset. Findings carry keys and rows, but no address.

    Args:
        store: what `scan` or `audit` wrote.
        lists: names of lists in the vault, or lists.
        seal_to: public keys of those who may open the findings.
        out: the audit's folder.
        policy: thresholds; its scan part must be the one that the store was scanned with.
        revision: name (or its beginning) of the scan, where the store holds several.
        purpose: what it is for; a list that must not be used for it is refused.

    Raises:
        ListError: a list is unknown, damaged or expired, or must not be used for this.
        UsageError: the store holds no scan, or several and none is named; or `out` lies inside it.
        PolicyError: the policy states another scan part than the store was scanned with.
    """
    opened = opened_lists(lists, purpose)
    with existing_store(store) as folder:
        require_beside(folder.folder, Path(out))
        note = _one_scan(folder, revision)
        checked = _policy_of_scan(load_policy(policy), note)
        request = replace(
            _request(
                (note.root, Format(note.format), []),
                policy=checked,
                mapping=ColumnMapping(**note.mapping),
                lists=opened,
                seal_to=seal_to,
                embeddings=None,
                embedder_id=note.embedder,
                store=folder.folder,
                purpose=purpose,
            ),
            dataset_stamp=note.dataset_stamp,
        )
        job = Job(request, None, (), ColumnMapping(), opened, None, note.embedder, Path(out))
        with alone_with(job.out, request, today(), note.unclaimed) as manifest:
            if manifest.state == "sealed":
                return AuditResult(manifest, len(manifest.shards), manifest.problems)
            return conclude(job, manifest_after_scan(manifest, note.shards, note.failed), folder)


def audit(
    dataset: Path | str,
    *,
    lists: Sequence[str | HashList],
    seal_to: Sequence[Pub],
    out: Path | str,
    policy: Policy | Path | str | None = None,
    columns: ColumnMapping | None = None,
    dataset_format: Format | str | None = None,
    store: Path | str | None = None,
    embeddings: Path | str | None = None,
    embedder: str = "",
    read_again: bool = False,
    purpose: str = DATASET_AUDIT,
    engine: Engine | None = None,
    record_seconds: float | None = None,
    reporter: Reporter | None = None,
) -> AuditResult:
    """Scan, match, look for neighbours of what is confirmed, seal. Running it again goes on, or finds it done.

    Args:
        dataset: a folder, a .tar or a .parquet file, or the address of one (docs/remote.md).
        lists: names of lists in the vault, or lists.
        seal_to: public keys (or their files) of those who may open the findings.
        out: the audit's folder.
        policy: thresholds, or a TOML file of them.
        columns: which columns mean what, where their names do not say it.
        dataset_format: which format, where it cannot be told.
        store: where signals are kept; `out`/store if not given.
        embeddings: folder or address of embeddings that belong to the dataset (docs/embeddings.md).
        embedder: name or file of a model that computes embeddings instead.
        read_again: of a remote dataset, fetch the shards with findings once more, so that findings carry address and
            columns. Whoever keeps the dataset can then see which shards these are.
        purpose: what the audit is for; a list that must not be used for it is refused before anything is read.
        engine: where shards are scanned; a process per core if not given.
        record_seconds: longest time for one record, which is passed over if it takes longer; 60 if not given.
        reporter: hears of progress.

    Raises:
        VetsetError: see `vetset.errors`. An audit that is incomplete or does not balance does not raise: its result
            says so, its findings are sealed, and nothing can be claimed about it.
    """
    if embeddings is not None and embedder:
        raise UsageError("embeddings are given and a model too", todo="Choose one of --embeddings and --embedder.")
    seconds = _record_seconds(record_seconds)
    opened = opened_lists(lists, purpose)
    root, chosen, shards = dataset_of(dataset, dataset_format)
    mapping = columns or ColumnMapping()
    folder = None if embeddings is None else root_of(embeddings)
    place = resolved(Path(out) / "store" if store is None else Path(store), OutputError)
    require_outside(root, Path(out), place)
    require_beside(place, Path(out))
    embedder_id = load_embedder(embedder).id if embedder else ""
    request = _request(
        (str(root), chosen, shards),
        policy=load_policy(policy),
        mapping=mapping,
        lists=opened,
        seal_to=seal_to,
        embeddings=folder,
        embedder_id=embedder_id,
        store=place,
        purpose=purpose,
    )
    left = unclaimed(chosen, root)
    job = Job(request, root, shards, mapping, opened, folder, embedder, Path(out), read_again, len(left))
    with alone_with(job.out, request, today(), len(outside(left, root, folder))) as manifest:
        if manifest.state == "sealed":
            return AuditResult(manifest, len(manifest.shards), manifest.problems)
        return run_audit(
            job,
            manifest,
            engine=engine or LocalEngine(),
            embedder_id=embedder_id,
            reporter=reporter or Silent(),
            record_seconds=seconds,
        )


def recheck(
    path: Path | str, *, lists: Sequence[str | HashList] | None = None, store: Path | str | None = None
) -> RecheckResult:
    """Hold new lists, or newer versions of the lists in force, against an audit's store; seal what comes.

    Needs no private key, and reads nothing of the dataset but the fields of what is found. A list in its version in
    force is not held against the store again, unless counts did not add up the last time.

    Args:
        path: the audit.
        lists: names of lists in the vault, or lists; the lists in force if not given.
        store: where the store lies now, if not where the audit left it.

    Raises:
        UsageError: there is no audit or no store, or a list is not the one that the audit knows by this name.
        ListError: a list is unknown, expired, older than the version in force, or not for the audit's purpose.
        SealError: the audit is not finished, or sealed parts of it are missing.
    """
    folder = Path(path)
    read_manifest(folder)
    with alone_in(folder):
        clear_partials(folder)
        manifest = read_manifest(folder)
        require_sealed(manifest)
        ledger_of(folder, manifest).require_parts(1 + len(manifest.rechecks))
        opened = opened_lists(
            [used.name for used in manifest.lists] if lists is None else lists, manifest.request.purpose
        )
        fresh = news(manifest, opened)
        if not fresh:
            return RecheckResult(manifest, (), manifest.problems)
        with existing_store(store or manifest.request.store) as place:
            return run_recheck(folder, manifest, fresh, place, today())
