"""One way to turn a document into bytes, so that a digest means the same everywhere.

The form is JSON with sorted names, no spaces, everything outside ASCII escaped, floats as Python's shortest `repr`, and
neither NaN nor infinities. It is in the spirit of RFC 8785, but that form writes UTF-8 and floats as JavaScript does.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SUM = "sum"
"""Where a document says what its digest is."""


def canonical_json(document: Any) -> bytes:
    """The canonical bytes of a JSON document.

    Raises:
        TypeError: the document holds something that is not JSON.
        ValueError: the document holds NaN or an infinity.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def document_digest(document: Any) -> str:
    """Lower-case hex SHA-256 of the canonical bytes of a document."""
    return hashlib.sha256(canonical_json(document)).hexdigest()


def summed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with a digest of itself, so that a flipped bit is seen; it says nothing of who wrote it."""
    return {**document, SUM: document_digest(document)}


def unsummed(document: object) -> dict[str, Any] | None:
    """What was written by `summed`; None if it is not that. One without a digest is taken as it is."""
    if not isinstance(document, dict):
        return None
    told = {name: value for name, value in document.items() if name != SUM}
    try:
        digest = document_digest(told)
    except (ValueError, RecursionError):  # what could not have been written
        return None
    return told if document.get(SUM, digest) == digest else None
