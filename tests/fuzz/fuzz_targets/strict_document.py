"""Strict JSON: what is accepted, Python's own reader understands the same way."""

import json

from vetset.model.canonical import canonical_json
from vetset.seal.document import parse_document


def target(data: bytes) -> None:
    """Refused with a ValueError, or one meaning."""
    try:
        document = parse_document(data)
    except ValueError:
        return
    assert document == json.loads(data)
    try:
        assert parse_document(canonical_json(document)) == document
    except RecursionError:
        return
