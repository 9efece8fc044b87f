"""recheck: store × newer lists → a sealed part behind the others. Needs no private key and reads no picture.

Who rechecks cannot open what was found before. So the part states everything that its lists find now, and folding puts
that in the place of what they found then. What is public (the note in `run.json`, console, exit code) is the same with
and without findings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from vetset.case.findings import RecheckPart, Status
from vetset.case.manifest import ListUse, Manifest, RecheckNote, Request, write_manifest
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import discover
from vetset.model.dataset import Format, Shard
from vetset.model.errors import DatasetError, ListError, UsageError
from vetset.model.hashlist import STATED, UNKNOWN, HashList
from vetset.stage.audit import ledger_of, record_table
from vetset.stage.matched import match_store
from vetset.stage.provenance import provenance
from vetset.stage.request import list_uses
from vetset.storage.address import place_of
from vetset.storage.remote import Place
from vetset.store.store import Store


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """What may be told of a recheck.

    Attributes:
        manifest: `run.json` as it is now.
        held: the lists that were held against the store; empty if every list was in its version in force.
        errors: why nothing can be claimed about the audit, if so.
    """

    manifest: Manifest
    held: tuple[ListUse, ...]
    errors: tuple[str, ...]


def _require_successor(before: ListUse, now: ListUse) -> None:
    """Refuse a list that only shares its name with the one in force, is less surely its owner's, or is older.

    Raises:
        UsageError: owner or category differ.
        ListError: the one in force is signed or came from a service, and this one is or did not; or it is older.
    """
    if (now.owner, now.category) != (before.owner, before.category):
        raise UsageError(
            "the audit knows another list by this name",
            expected=f"the list of {before.owner} ({before.category})",
            seen=f"a list of {now.owner} ({now.category})",
            where=now.name,
            todo="Import it under a name of its own; a list only supersedes itself.",
        )
    if before.origin not in {STATED, now.origin}:
        raise ListError(
            "the list in force is surely its owner's, and this one may not be",
            expected=f"the same origin, {before.origin}",
            seen=now.origin,
            where=now.name,
            todo="Import the owner's list as before: with the key that signed it, or from the service. If the owner "
            "has another key by now, audit into another folder; with the same --store nothing is read twice.",
        )
    if UNKNOWN not in {now.as_of, before.as_of} and now.as_of < before.as_of:
        raise ListError(
            "the list is older than the one in force",
            expected=f"as of {before.as_of} or later",
            seen=f"as of {now.as_of}",
            where=now.name,
            todo="Import the owner's current list in its place.",
        )


def news(manifest: Manifest, lists: Sequence[HashList]) -> list[HashList]:
    """The lists that are not in force in this version, or whose counts did not add up when they were held last.

    Raises:
        UsageError: a list is named twice, or only shares its name with the one in force.
        ListError: a list is older than the one in force, or not of its origin where that says more than its importer.
    """
    known = {used.name: used for used in manifest.lists}
    unbalanced = manifest.unbalanced_lists
    fresh = []
    for use, hash_list in zip(list_uses(lists), sorted(lists, key=lambda entry: entry.info.name), strict=True):
        before = known.get(use.name)
        if before is not None:
            _require_successor(before, use)
        if use != before or unbalanced[use.name]:
            fresh.append(hash_list)
    return fresh


def dataset_if_there(request: Request) -> tuple[Place | None, list[Shard]]:
    """The dataset if it is still there; what is found without it is sealed unchecked, as is all of a remote one."""
    root = place_of(request.root)
    try:
        there = isinstance(root, Path) and root.exists()
        return (root, discover(root, Format(request.format))) if there else (None, [])
    except (DatasetError, OSError):
        return None, []


def recheck(out: Path, manifest: Manifest, lists: Sequence[HashList], store: Store, today: date) -> RecheckResult:
    """Match, seal, and only then tell it in `run.json`: a run that is killed between can be repeated.

    Args:
        out: the audit's folder.
        manifest: its `run.json`.
        lists: the lists, opened.
        store: where the parts lie.
        today: the day in UTC, which tells how old the lists are.
    """
    request = manifest.request
    table = record_table(store, manifest)
    matched = match_store(table, lists, request.policy)
    root, shards = dataset_if_there(request)
    records = {match.record for match in matched.matches}
    found = provenance(records, table, root, shards, ColumnMapping(**request.mapping))
    unbalanced = matched.imbalances or manifest.untested
    status: Status = "incomplete" if manifest.failed else "unbalanced" if unbalanced else "complete"
    held, coverage = list_uses(lists), tuple(matched.coverage.values())
    ledger_of(out, manifest).append(
        RecheckPart(
            held,
            matched.matches,
            matched.tallies,
            coverage,
            matched.unread,
            found,
            status,
            matched.alarms,
            matched.hits,
            today.isoformat(),
        )
    )
    note = RecheckNote(held, matched.coverage, matched.imbalances, today.isoformat())
    manifest = replace(manifest, rechecks=(*manifest.rechecks, note))
    write_manifest(out, manifest)
    return RecheckResult(manifest, held, manifest.problems)
