"""Strict reading of the small JSON documents that trust hangs on: one meaning, or an error.

What two parsers could read differently is refused: a name that occurs twice, NaN and infinities, text that is not
UTF-8.
"""

import json
import math
from typing import Any, NoReturn


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in an object")
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("a number is not finite")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
"""Reads documents out of a text. Of its errors, a `ValueError` that is no `JSONDecodeError` quotes nothing of it."""


def parse_document(data: bytes) -> Any:
    """The JSON document in `data`.

    Raises:
        ValueError: it is not strict JSON in UTF-8, or it is nested too deeply. The text of the error quotes nothing
            of the document.
    """
    try:
        return STRICT.decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_object(data: bytes) -> dict[str, Any]:
    """Like `parse_document`, for documents that are an object.

    Raises:
        ValueError: as `parse_document`, or the document is something else than an object.
    """
    document = parse_document(data)
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 — one error type for everything that is malformed
    return document
