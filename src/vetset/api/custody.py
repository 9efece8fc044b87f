"""open, expand, verify, order, attest: what a custodian runs, who holds a private key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vetset.api.given import Key, existing_store, opened_lists, private_key, require_sealed, today, written
from vetset.case.findings import RoundPart, lists_now
from vetset.case.ledger import OpenedCase
from vetset.case.manifest import Manifest, read_manifest
from vetset.dataset.columns import ColumnMapping
from vetset.model.errors import DatasetError, SealError, UsageError
from vetset.model.finding import Seeds, is_confirmed
from vetset.model.hashlist import HashList
from vetset.stage.attest import attested
from vetset.stage.audit import ledger_of, record_table, space_of
from vetset.stage.calibrate import require_same_space
from vetset.stage.expand import expand as run_expand
from vetset.stage.order import removal_order, signed_order
from vetset.stage.provenance import provenance
from vetset.stage.recheck import dataset_if_there
from vetset.stage.summary import summary
from vetset.stage.verify import verify_with_list
from vetset.storage.address import root_of


@dataclass(frozen=True, slots=True)
class Opened:
    """An audit that was opened by one of its recipients.

    Attributes:
        manifest: its public side.
        case: its findings, decrypted; treat them as what they are.
    """

    manifest: Manifest
    case: OpenedCase

    def summary(self) -> dict[str, Any]:
        """Counts, coverage and rounds as JSON; never an address, a key or a digest of a record."""
        return summary(self.case.findings, self.manifest)


def open_audit(path: Path | str, key: Key) -> Opened:
    """Decrypt, check and fold the findings of an audit.

    Raises:
        KeyFileError: the key is not one of the recipients'.
        SealError: a sealed part is damaged, missing or out of order, or there is none yet.
    """
    manifest = read_manifest(Path(path))
    private = private_key(key)
    case = ledger_of(Path(path), manifest).open(private)
    sealed = iter(change.lists for change in case.findings.rechecks)
    if not all(note.lists in sealed for note in manifest.rechecks):
        raise SealError(
            "run.json names a recheck that is not sealed here",
            expected="a sealed part for every recheck",
            where="case",
            todo="The last parts of the case are missing: restore them from a copy.",
        )
    return Opened(manifest, case)


def _finished(opened: Opened) -> None:
    require_sealed(opened.manifest)


def expand(
    path: Path | str, key: Key, *, embeddings: Path | str | None = None, store: Path | str | None = None
) -> dict[str, Any]:
    """Search the neighbours of what has been confirmed since the last round, and seal what comes.

    Args:
        path: the audit.
        key: private key of a recipient.
        embeddings: where the embeddings lie now, if not where the audit found them.
        store: where the store lies now, if not where the audit left it.

    Returns:
        The summary, with the new round.

    Raises:
        UsageError: the audit knows no embeddings.
        AlignmentError: the embeddings do not join, or are not those that the audit searched.
    """
    opened = open_audit(path, key)
    _finished(opened)
    manifest, findings = opened.manifest, opened.case.findings
    request = manifest.request
    folder = root_of(embeddings or request.embeddings) if embeddings or request.embeddings else None
    with existing_store(store or request.store) as place:
        table = record_table(place, manifest)
        space = space_of(request, folder, place, table)
        if space is None or not findings.rounds:
            raise UsageError(
                "this audit has no embeddings to search",
                todo="Audit with --embeddings DIR or --embedder NAME; with the same --store nothing is read twice.",
            )
        require_same_space(space, request.policy.expand, manifest.dataset_digest, findings.rounds[0].calibration)
        # where a seed was withdrawn, what it brought may lie near another one that was searched before
        lapsed = findings.lapsed(request.policy)
        used = [] if lapsed else [record for told in findings.rounds for record in told.seeds]
        seeds = Seeds.confirmed(findings.matches, findings.verdicts, request.policy).without(used)
        settled = {candidate.record for candidate in findings.candidates} - lapsed
        settled |= {match.record for match in findings.matches if is_confirmed(match, request.policy)}
        told, candidates = run_expand(
            seeds,
            space,
            table,
            request.policy,
            calibration=findings.rounds[0].calibration,
            number=len(findings.rounds) + 1,
            settled=settled,
        )
        mapping = ColumnMapping(**request.mapping)
        root, shards = dataset_if_there(request)
        found = provenance([candidate.record for candidate in candidates], table, root, shards, mapping)
    ledger_of(Path(path), manifest).append(RoundPart(told, candidates, found))
    return open_audit(path, key).summary()


def verify(path: Path | str, key: Key, *, with_list: str | HashList, store: Path | str | None = None) -> dict[str, Any]:
    """Ask a second list about every candidate it was not asked about yet, and seal its verdicts.

    Args:
        path: the audit.
        key: private key of a recipient.
        with_list: name of a list in the vault, or a list.
        store: where the store lies now, if not where the audit left it.

    Returns:
        The summary, with the verdicts.
    """
    opened = open_audit(path, key)
    _finished(opened)
    manifest = opened.manifest
    second = opened_lists([with_list])[0]
    if second.info.name in {used.name for used in lists_now(opened.case.findings, manifest)}:
        raise UsageError(
            "this list was used by the audit itself, so it cannot verify",
            expected="a second list",
            seen=second.info.name,
        )
    with existing_store(store or manifest.request.store) as place:
        part = verify_with_list(opened.case.findings, record_table(place, manifest), second, manifest.request.policy)
    ledger_of(Path(path), manifest).append(part)
    return open_audit(path, key).summary()


def order(path: Path | str, key: Key, *, out: Path | str, store: Path | str | None = None) -> Path:
    """Sign the removal order of an audit.

    What goes is what was found and, where the policy says so, what could not be decided; the store tells which that is.

    Args:
        path: the audit.
        key: private key of a recipient, who signs.
        out: file for the order.
        store: where the store lies now, if not where the audit left it.

    Raises:
        UsageError: the store is not there.
        OutputError: the output file exists.
    """
    opened = open_audit(path, key)
    _finished(opened)
    if opened.manifest.failed:
        raise DatasetError(
            "an order needs the whole revision",
            expected="every shard read",
            seen="shards that failed (run.json names them)",
            todo="Mend or remove them, then audit anew.",
        )
    with existing_store(store or opened.manifest.request.store) as place:
        made = removal_order(opened.case.findings, record_table(place, opened.manifest), opened.manifest)
    return written(Path(out), signed_order(made, private_key(key)))


def attest(path: Path | str, key: Key, *, out: Path | str) -> Path:
    """Sign what may be claimed about an audit; what was found stays sealed inside.

    Raises:
        CountError: a shard failed or counts do not add up, so nothing may be claimed.
        OutputError: the output file exists.
    """
    opened = open_audit(path, key)
    _finished(opened)
    return written(Path(out), attested(opened.case, opened.manifest, private_key(key), today()))
