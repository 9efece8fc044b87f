"""A request and the output folder it belongs to: started, continued, or refused."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

from vetset.case.ledger import Ledger
from vetset.case.manifest import ListUse, Manifest, Recipient, Request, manifest_path, read_manifest, write_manifest
from vetset.dataset.embeddings.parts import EmbeddingPart
from vetset.model.canonical import document_digest
from vetset.model.dataset import Shard
from vetset.model.errors import OutputError, UsageError
from vetset.model.hashlist import HashList
from vetset.seal.keys import PublicKey
from vetset.storage.commit import PARTIAL, alone_in, clear_partials, is_unbegun, is_vacant, private_folder
from vetset.storage.looking import is_file_at, is_folder_at, state_at

_FIXABLE = frozenset({"embeddings", "files of the embeddings", "embedder", "store"})
"""What a run stops for where it is wrong; with the right one it goes on in the same folder."""


def list_uses(lists: Sequence[HashList]) -> tuple[ListUse, ...]:
    """What a manifest says of lists, sorted by name.

    Raises:
        UsageError: a list is named twice.
    """
    infos = sorted((hash_list.info for hash_list in lists), key=lambda info: info.name)
    if len({info.name for info in infos}) != len(infos):
        raise UsageError("a list is named twice", todo="Name each list once.")
    return tuple(
        ListUse(
            info.name,
            info.owner,
            info.category.value,
            info.licence,
            info.as_of,
            info.purpose,
            info.expires,
            info.version,
            info.origin,
            info.share_counts,
            info.pdq_radius,
        )
        for info in infos
    )


def recipients_of(keys: Sequence[PublicKey]) -> tuple[Recipient, ...]:
    """What a manifest says of recipients, sorted by name.

    Raises:
        UsageError: there is none.
    """
    if not keys:
        raise UsageError(
            "there is nobody to seal findings to",
            expected="at least one public key",
            todo="Make one with `vetset keygen NAME --out DIR` and give NAME.pub to --seal-to.",
        )
    return tuple(sorted({Recipient(key.name, key.recipient, key.fingerprint) for key in keys}, key=lambda r: r.name))


def stamp_of_shards(shards: Sequence[Shard]) -> str:
    """Changes when a shard comes, goes, or changes its size or stamp."""
    return document_digest([asdict(shard) for shard in shards])


def stamp_of_embeddings(parts: Sequence[EmbeddingPart]) -> str:
    """Changes when a file of embeddings comes, goes, or changes its size or time (or version)."""
    files = [found for part in parts for found in part.files]
    return document_digest([[found.uri, found.size, found.version or found.mtime_ns] for found in files])


def _holds_nothing(out: Path) -> bool:
    """Whether nothing lies in a folder but what a run left that was killed while it wrote its first manifest."""
    if is_vacant(out):
        return True
    unfinished = f"{manifest_path(out).name}.*{PARTIAL}"
    return is_unbegun(out) and all(path.match(unfinished) for path in out.iterdir())


def _is_lost(out: Path, manifest: Manifest) -> bool:
    """Whether the case of a finished audit is gone, so that it has to be sealed anew from the store.

    Raises:
        SealError: some of it is gone, or more than running the audit again would bring back.
    """
    ledger = Ledger(out, [], 0)
    if not manifest.rechecks and not ledger.paths():
        return True
    ledger.require_parts(1 + len(manifest.rechecks))
    return False


@contextmanager
def alone_with(out: Path, request: Request, today: date, unclaimed: int | None = 0) -> Iterator[Manifest]:
    """`begun`, by the only run in the folder: nothing is written there beside another run.

    Raises:
        UsageError: another run is at work there, or as `begun`.
        OutputError: as `begun`.
    """
    if state_at(out, OutputError) is not None and not is_folder_at(out, OutputError):
        yield begun(out, request, today, unclaimed)  # which refuses it
        return
    with alone_in(private_folder(out)):
        yield begun(out, request, today, unclaimed)


def begun(out: Path, request: Request, today: date, unclaimed: int | None = 0) -> Manifest:
    """The manifest of this request in its output folder: written now, or found there.

    A request that is still running may be given other embeddings or another store, since wrong ones are what stops it.
    One that has ended runs again where its sealed parts are gone, all of them, and no recheck is known of.

    Args:
        out: the output folder.
        request: what is asked for.
        today: the day in UTC, which tells how old the lists are.
        unclaimed: files of the dataset that belong to no shard.

    Raises:
        UsageError: the folder holds another audit.
        OutputError: the folder holds something else.
        SealError: the audit has ended, and some of its sealed parts are gone.
    """
    fresh = Manifest(request, version("vetset"), unclaimed=unclaimed, audited_on=today.isoformat())
    if _holds_nothing(out):
        clear_partials(private_folder(out))
    elif not is_file_at(manifest_path(out), OutputError):
        raise OutputError(
            "the output folder holds something else",
            expected="an audit of the same request, an empty folder or none",
            where=str(out),
            todo="Name another folder with --out.",
        )
    else:
        found = read_manifest(out)
        fixable = _FIXABLE if found.state == "running" else frozenset()
        differing = [word for word in found.request.differences(request) if word not in fixable]
        if differing:
            other_lists = "For other lists or newer ones: vetset recheck. " if differing == ["lists"] else ""
            raise UsageError(
                "the output folder belongs to another audit",
                expected="the same dataset, lists, recipients and policy",
                seen=f"a request that differs in: {', '.join(differing)}",
                where=str(out),
                todo=f"{other_lists}Name another folder with --out. (With the same --store nothing is read twice.)",
            )
        if found.state != "sealed":
            fresh = replace(fresh, vetset=found.vetset, audited_on=found.audited_on)
        elif not _is_lost(out, found):
            return found
        clear_partials(out)
    write_manifest(out, fresh)
    return fresh
