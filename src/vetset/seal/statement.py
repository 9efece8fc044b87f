"""in-toto Statement v1 (https://github.com/in-toto/attestation): what is said (predicate) about which bytes (subjects).

Written as canonical JSON and read back only in that form, so that what was signed has one reading.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vetset.model.canonical import canonical_json
from vetset.model.errors import SignatureError, UsageError
from vetset.seal.document import parse_object

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
"""The DSSE payload type of a statement."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement.

    Attributes:
        subjects: hex SHA-256 by name.
        predicate_type: URI that says how to read the predicate.
        predicate: JSON object.
    """

    subjects: Mapping[str, str]
    predicate_type: str
    predicate: Mapping[str, Any]


def statement(subjects: Mapping[str, str], predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a statement about `subjects` (hex SHA-256 by name).

    Raises:
        UsageError: no subject, a name or type is empty, a digest is not 64 lower-case hex digits, or the predicate is
            not a JSON object.
    """
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": subjects[name]}} for name in sorted(subjects)],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
    try:
        _from_document(document)
        data = canonical_json(document)
        parse_statement(data)
    except (TypeError, ValueError, SignatureError) as error:
        reason = error.seen if isinstance(error, SignatureError) else str(error)
        raise UsageError("a statement cannot be made of this", seen=reason) from None
    return data


def parse_statement(data: bytes) -> Statement:
    """The statement in `data`, which must be exactly what `statement` writes.

    Raises:
        SignatureError: it is malformed, not canonical, or holds fields that are not known.
    """
    try:
        document = parse_object(data)
        found = _from_document(document)
        if canonical_json(document) != data:
            raise ValueError("JSON that is not in its canonical form")  # noqa: TRY301 — one way out
    except (ValueError, RecursionError) as error:
        raise SignatureError(
            "the statement is malformed",
            expected="a canonical in-toto Statement v1 with sha256 subjects",
            seen=str(error),
            todo="Get it from its issuer again.",
        ) from None
    return found


def _from_document(document: Mapping[str, Any]) -> Statement:
    if set(document) != {"_type", "subject", "predicateType", "predicate"}:
        raise ValueError("other fields than _type, subject, predicateType, predicate")
    if document["_type"] != STATEMENT_TYPE:
        raise ValueError("another statement type")
    predicate_type, predicate = document["predicateType"], document["predicate"]
    if not isinstance(predicate_type, str) or not predicate_type:
        raise ValueError("no predicate type")
    if not isinstance(predicate, dict):
        raise ValueError("a predicate that is not an object")  # noqa: TRY004 — see parse_object
    return Statement(_subjects(document["subject"]), predicate_type, predicate)


def _subjects(items: Any) -> dict[str, str]:
    if not isinstance(items, list) or not items:
        raise ValueError("no subject")
    found: dict[str, str] = {}
    for item in items:
        name, digest = _subject(item)
        if name in found:
            raise ValueError("a subject that is named twice")
        found[name] = digest
    if list(found) != sorted(found):
        raise ValueError("subjects that are not sorted by name")
    return found


def _subject(item: Any) -> tuple[str, str]:
    if not isinstance(item, dict) or set(item) != {"name", "digest"}:
        raise ValueError("a subject with other fields than name and digest")
    name, digest = item["name"], item["digest"]
    if not isinstance(name, str) or not name:
        raise ValueError("a subject without a name")
    if not isinstance(digest, dict) or set(digest) != {"sha256"}:
        raise ValueError("a subject with another digest than sha256")
    value = digest["sha256"]
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("a sha256 that is not 64 lower-case hex digits")
    return name, value
