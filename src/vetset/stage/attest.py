"""attest: a finished audit → a signed in-toto statement. Refused where counts do not add up (rule 3).

What anybody may read: which shards were audited, under which policy, with which lists, and how many records could be
decided. What was found stays sealed inside the statement, padded as in the case, so that a statement of a dataset with
findings looks like one without.
"""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from vetset.case.findings import Findings, Recheck, coverage_of, held_on, lists_now
from vetset.case.ledger import OpenedCase, packed, seal_floor, unpacked
from vetset.case.manifest import ListUse, Manifest, Request
from vetset.model.coverage import Coverage, Tally
from vetset.model.errors import CountError, SealError, SignatureError
from vetset.model.signal import Kind, Reason
from vetset.seal.envelope import seal, unseal
from vetset.seal.keys import PrivateKey, PublicKey
from vetset.seal.signature import check, sign
from vetset.seal.statement import PAYLOAD_TYPE, Statement, parse_statement, statement
from vetset.stage.complete import require_complete
from vetset.storage.address import is_address

PREDICATE_TYPE = "urn:vetset:predicate:audit:v1"


def claim(tally: Tally, used: ListUse) -> str:
    """What may be said of one list and kind. Never that a dataset is clean.

    Of a list that nobody answers for, or whose terms let no numbers be told, only what was held against what.
    """
    if not _told(used):
        why = "its terms let no number of matches be told" if used.answered_for else "nobody answers for it"
        return f"list {used.name} as of {used.as_of} was held against {tally.records} records by {tally.kind}; {why}"
    as_of, partial = used.as_of, tally.matched_partial
    undecided = sum(tally.undecided.values()) + partial
    decided = tally.records - undecided
    over = f"over {decided} of {tally.records} records by {tally.kind}; {undecided} undecided"
    over += f", of which {partial} match by what decodes of a truncated file" if partial else ""
    if tally.matched:
        return f"{tally.matched} records match list {tally.list_name} as of {as_of} {over}"
    return f"no match against list {tally.list_name} as of {as_of} {over}"


def _told(used: ListUse) -> bool:
    """Whether an attestation may tell numbers of this list."""
    return used.answered_for and used.share_counts


def claims(findings: Findings, manifest: Manifest) -> list[str]:
    """Every claim of an audit.

    Raises:
        CountError: a shard is missing, counts do not add up or the self-test failed, so nothing may be claimed.
    """
    require_complete(findings, manifest, "nothing can be claimed about this audit")
    _require_covered(manifest)
    for tally in findings.tallies:
        _require_fits(tally, coverage_of(findings, manifest, tally.list_name), manifest)
    lists = {used.name: used for used in lists_now(findings, manifest)}
    return [claim(tally, lists[tally.list_name]) for tally in findings.tallies]


def _require_covered(manifest: Manifest) -> None:
    """Refuse a coverage that is not that of all records by every kind of the policy.

    Raises:
        CountError: it is not.
    """
    missing = [kind.value for kind in manifest.request.policy.scan.kinds if kind not in manifest.coverage]
    if missing:
        raise CountError(
            "nothing can be claimed: the coverage lacks a kind of the policy",
            expected="every kind of scan.kinds",
            seen=f"none of {', '.join(missing)}",
            where="run.json",
            todo="Restore run.json and case from one copy, or audit into another folder with the same --store.",
        )
    for coverage in manifest.coverage.values():
        coverage.check("run.json")
        _require_all(coverage.records, manifest, f"the coverage of {coverage.kind}")


def _require_all(records: int, manifest: Manifest, what: str) -> None:
    if records != manifest.records:
        raise CountError(
            f"nothing can be claimed: {what} is not over the records of the shards",
            expected=f"{manifest.records} records",
            seen="another number",
            todo="Scan the dataset into the store again, then `vetset recheck`.",
        )


def _require_fits(tally: Tally, coverage: Mapping[Kind, Coverage], manifest: Manifest) -> None:
    """Refuse a tally that is not over all records, or does not fit how much could be decided of them.

    Raises:
        CountError: it does not.
    """
    _require_all(tally.records, manifest, f"a tally of list {tally.list_name}")
    # of a kind that the policy leaves out nothing was decided
    unscanned = Coverage(tally.kind, tally.records, 0, {Reason.NOT_SCANNED: tally.records} if tally.records else {})
    tally.check(coverage.get(tally.kind, unscanned), tally.list_name)


def _result(opened: OpenedCase, manifest: Manifest) -> dict[str, Any]:
    told = {used.name for used in lists_now(opened.findings, manifest) if _told(used)}
    return {
        "claims": claims(opened.findings, manifest),
        "parts": opened.parts,
        "findings": opened.findings.digest,
        "tallies": [asdict(tally) for tally in opened.findings.tallies if tally.list_name in told],
    }


def _recheck_json(change: Recheck) -> dict[str, Any]:
    """What anybody may read of a recheck."""
    return {
        "lists": [asdict(used) for used in change.lists],
        "coverage": {item.kind.value: item.to_json() for item in change.coverage},
    }


def _embeddings_below(request: Request) -> str:
    """Where embeddings lie below the dataset, so that their files are none that nobody read; empty if elsewhere."""
    if is_address(request.root) or is_address(request.embeddings):
        return ""
    root, there = Path(request.root), Path(request.embeddings)
    return there.relative_to(root).as_posix() if there != root and there.is_relative_to(root) else ""


def attested(opened: OpenedCase, manifest: Manifest, key: PrivateKey, today: date) -> bytes:
    """The DSSE envelope of the statement.

    Raises:
        CountError: nothing may be claimed about this audit.
        SealError: what `run.json` says cannot be held against what was sealed, so that nobody may sign it.
    """
    request, lists = manifest.request, lists_now(opened.findings, manifest)
    floor = seal_floor(request.policy.seal, manifest.records)
    told = _result(opened, manifest)
    if not opened.bound:
        raise SealError(
            "nothing can be attested: the sealed parts do not state what run.json said",
            expected="an audit that was sealed by this version or a later one",
            seen="one that was sealed by an earlier version",
            todo="Audit into another folder; with the same --store nothing is read twice.",
        )
    result = seal(packed(told, floor), [entry.recipient for entry in request.recipients])
    predicate = {
        "vetset": manifest.vetset,
        "attested_on": today.isoformat(),
        "dataset": manifest.dataset_digest,
        "records": manifest.records,
        "policy": request.policy.digest,
        "scan_policy": request.policy.scan.digest,
        "audited_on": manifest.audited_on,
        "purpose": request.purpose,
        "lists": [asdict(used) for used in lists],
        "age_of_lists": manifest.lists_json(lists, held_on(opened.findings, manifest)),
        "mapping": dict(request.mapping),
        "kinds": list(request.policy.scan.kinds),
        "format": request.format,
        "unclaimed_files": manifest.unclaimed,
        "embeddings_below": _embeddings_below(request),
        "coverage": manifest.coverage_json(),
        "selftest": None if manifest.selftest is None else manifest.selftest.to_json(),
        "rechecks": [_recheck_json(change) for change in opened.findings.rechecks],
        # not how many parts: whoever had something to verify has more of them
        "case_head": opened.head,
        "sealed_result": base64.b64encode(result).decode("ascii"),
    }
    subjects = {shard.uri: shard.digest for shard in manifest.shards}
    return sign(PAYLOAD_TYPE, statement(subjects, PREDICATE_TYPE, predicate), key)


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement whose signature holds.

    Attributes:
        subjects: content digest of every shard by uri.
        predicate: what is said in the open.
        result: the sealed part, if a key was given.
        unclaimed: files that belong to no shard, and so were not audited, of the dataset that was compared; None if
            none was, or if the statement does not tell their number (of before, or where a scan did not count them).
    """

    subjects: Mapping[str, str]
    predicate: Mapping[str, Any]
    result: Mapping[str, Any] | None = field(repr=False)
    unclaimed: int | None = None


def checked_statement(envelope: bytes, signer: PublicKey, key: PrivateKey | None) -> Checked:
    """Check who signed a statement, and open its sealed part if there is a key.

    Raises:
        SignatureError: somebody else signed it, it was altered, or it is no audit statement.
        KeyFileError: the key is not one of the recipients'.
    """
    found: Statement = parse_statement(check(envelope, signer, PAYLOAD_TYPE))
    if found.predicate_type != PREDICATE_TYPE:
        raise SignatureError(
            "the statement is not about an audit", expected=PREDICATE_TYPE, seen="another predicate", where="statement"
        )
    result = None
    if key is not None:
        try:
            sealed = base64.b64decode(str(found.predicate.get("sealed_result", "")), validate=True)
        except ValueError:
            raise SignatureError("what was signed holds no sealed result", where="statement") from None
        result = unpacked(unseal(sealed, key), "statement")
    return Checked(found.subjects, found.predicate, result)


def differing_shards(statement_subjects: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Places of shards that are missing, new or changed since the statement, sorted."""
    places = set(statement_subjects) | set(now)
    return sorted(place for place in places if statement_subjects.get(place) != now.get(place))
