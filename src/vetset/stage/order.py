"""order: findings → the signed removal order. Only the custodian, who holds a private key, can make one.

The order is signed and not sealed, since who cleans holds no private key. So it says as little as it can: tokens that
mean nothing without the dataset, filled up with random ones to a size class, so that their number says nothing either.
"""

import hashlib
import hmac
import json
import re
import secrets

from pydantic import TypeAdapter, ValidationError

from vetset.case.findings import Findings, lists_now, trust_of
from vetset.case.manifest import Manifest
from vetset.model.canonical import canonical_json
from vetset.model.dataset import RecordId
from vetset.model.errors import SignatureError
from vetset.model.finding import confirmed_matches, counted_matches, set_apart
from vetset.model.policy import Policy
from vetset.model.removal import RemovalOrder
from vetset.model.signal import Kind
from vetset.model.trust import Trust
from vetset.model.verdict import Decision
from vetset.seal.keys import PrivateKey, PublicKey
from vetset.seal.signature import check, sign
from vetset.stage.copies import copies
from vetset.store.records import RecordTable

PAYLOAD_TYPE = "application/vnd.vetset.removal-order.v1+json"
SALT_BYTES = 32
_TOKEN = re.compile(r"[0-9a-f]{32}")
LEAST_TOKENS = 1024
"""Least number of tokens in an order; it grows with the number of records, see `_filled`."""

_ADAPTER = TypeAdapter(RemovalOrder)


def token(salt: bytes, record: RecordId) -> str:
    """What stands for a record in an order: 32 hex digits."""
    message = f"{record.shard}\n{record.row}\n{record.key}".encode("utf-8", "surrogatepass")
    return hmac.new(salt, message, hashlib.sha256).hexdigest()[:32]


def to_remove(findings: Findings, table: RecordTable, trust: Trust) -> set[RecordId]:
    """Every record that the policy removes for what was found.

    One verifier's `known` stands, whatever others say. A candidate whose seed was withdrawn is removed for what a
    verifier said of it, but not for lying near. Nothing is ever removed for a list that nobody answers for.
    """
    rules = trust.policy.remove
    lapsed = findings.lapsed(trust)
    matches = counted_matches if rules.unconfirmed_matches else confirmed_matches
    records = {match.record for match in matches(findings.matches, trust)}
    if rules.doubtful:
        answered = (match for match in findings.matches if trust.answered(match.list_name))
        records |= {match.record for match in answered if set_apart(match, trust)}
    verdicts = findings.verdict_of()
    softer = {Decision.NEAR, Decision.MATCH_UNCLASSIFIED}
    for candidate in findings.candidates:
        decisions = {verdict.decision for verdict in verdicts.get(candidate.record, ())}
        known = Decision.KNOWN in decisions
        near = rules.near and bool(decisions & softer)
        standing = candidate.record not in lapsed
        undecided = rules.undecided_candidates and standing and decisions <= {Decision.UNDECIDED}
        if known or near or undecided:
            records.add(candidate.record)
    if rules.copies:
        records |= set(copies(records, table))
    return records


def undecidable(table: RecordTable, policy: Policy) -> set[RecordId]:
    """Every record that the policy removes for what could not be found out: no picture to hash, or a flat one.

    Digests of stored bytes are always decided; so the rule goes by PDQ. How many these are is public.

    Raises:
        CountError: a part of the store is damaged or missing.
    """
    reasons = policy.remove.undecided
    return set(table.undecided(Kind.PDQ, reasons)) if reasons else set()


def _filled(tokens: set[str], records: int, public: int) -> list[str]:
    """Tokens and as many random ones as it takes to reach a size that says nothing of findings.

    Args:
        tokens: of every record that goes.
        records: of the dataset.
        public: how many of them go whatever was found. They come on top of a power of two that depends on the dataset's
            size: a power of two that had to hold both would tell where findings fill it up.
    """
    wanted = max(LEAST_TOKENS, records // 1000, len(tokens) - public)
    size = public + (1 << (wanted - 1).bit_length())
    filled = set(tokens)
    while len(filled) < size:
        filled.add(secrets.token_hex(16))
    return sorted(filled)


def removal_order(findings: Findings, table: RecordTable, manifest: Manifest) -> RemovalOrder:
    """The order for one revision.

    Args:
        findings: the folded case.
        table: the revision's records.
        manifest: the audit's public side, which says what was audited and under which policy.

    Raises:
        CountError: the policy removes what is undecided, and a part of the store is damaged or missing.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    request = manifest.request
    unseen = undecidable(table, request.policy)
    tokens = {token(salt, record) for record in to_remove(findings, table, trust_of(findings, manifest)) | unseen}
    return RemovalOrder(
        dataset=manifest.dataset_digest,
        salt=salt.hex(),
        tokens=tuple(_filled(tokens, table.count, len(unseen))),
        mapping=request.mapping,
        kinds=request.policy.scan.kinds,
        embeddings=request.embeddings,
        embedding_columns=(request.policy.expand.key_column, request.policy.expand.vector_column),
        lists=tuple(
            f"{used.name} as of {used.as_of}, version {used.version}"
            for used in lists_now(findings, manifest)
            if used.answered_for
        ),
    )


def signed_order(order: RemovalOrder, key: PrivateKey) -> bytes:
    """The DSSE envelope of an order."""
    return sign(PAYLOAD_TYPE, canonical_json(_ADAPTER.dump_python(order, mode="json")), key)


def checked_order(envelope: bytes, signer: PublicKey) -> RemovalOrder:
    """The order in an envelope, if this signer signed it.

    Raises:
        SignatureError: somebody else signed it, it was altered, or it is no order.
    """
    payload = check(envelope, signer, PAYLOAD_TYPE)
    try:
        order = _ADAPTER.validate_python(json.loads(payload))
        salted = len(bytes.fromhex(order.salt)) == SALT_BYTES
    except (ValueError, ValidationError):
        # without a cause: the validation's own text would repeat the order
        salted = False
    if not salted or not all(map(_TOKEN.fullmatch, order.tokens)):
        raise SignatureError("what was signed is not a removal order", todo="Ask the custodian for a new one.")
    return order
