"""One way to turn a document into bytes, so that a digest means the same everywhere.

The form is JSON with sorted names, no spaces, everything outside ASCII escaped, floats as Python's shortest `repr`, and
neither NaN nor infinities. It is in the spirit of RFC 8785, but that form writes UTF-8 and floats as JavaScript does.
"""

import hashlib
import json
from typing import Any


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
