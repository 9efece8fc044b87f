"""What is told about a list: held against what the words of `ListInfo` promise, before anything is written."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from vetset.model.errors import ListError
from vetset.model.hashlist import HOST, STATED, UNKNOWN, Category, ListInfo
from vetset.seal.keys import NAME_PATTERN

_MAX_TEXT = 1000
_MAX_RADIUS = 31
_PURPOSE = re.compile(r"[a-z0-9-]+(,[a-z0-9-]+)*")
_ORIGIN = re.compile(rf"{STATED}|signed:[0-9a-f]+|service:{HOST}(:[0-9]{{1,5}})?")
_REASON = re.compile(r"[a-z_]+")


def checked_info(info: ListInfo) -> ListInfo:
    """The information with its category typed, and without a version and counts of the caller's.

    Raises:
        ListError: something in it is malformed.
    """
    if not isinstance(info.name, str) or not NAME_PATTERN.fullmatch(info.name):
        raise ListError(
            "the name of a list is not usable",
            expected="1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        )
    try:
        category = Category(info.category)
    except ValueError:
        raise ListError(
            "this is no category of lists", expected=f"one of: {', '.join(Category)}", where=info.name
        ) from None
    for what, (holds, expected) in _RULES.items():
        if not holds(getattr(info, what)):
            raise ListError(f"the {what} of a list is not usable", expected=expected, where=info.name)
    as_of, expires = _day(info, "as_of"), _day(info, "expires")
    if as_of is not None and expires is not None and expires < as_of:
        raise ListError("the list expires before its own date", where=info.name, todo="Mend as_of or expires.")
    return replace(info, category=category, version="", entries={}, aside=dict(sorted(info.aside.items())))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable() and len(value) <= _MAX_TEXT


def _is_number(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _are_counts(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(reason, str)
        and _REASON.fullmatch(reason)
        and len(reason) <= _MAX_TEXT
        and _is_number(count, 1 << 53)
        for reason, count in value.items()
    )


_TEXT = f"1 to {_MAX_TEXT} printable characters on one line"
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "owner": (_is_text, _TEXT),
    "licence": (_is_text, _TEXT),
    "as_of": (_is_text, _TEXT),
    "expires": (_is_text, _TEXT),
    "purpose": (
        lambda value: _is_text(value) and bool(_PURPOSE.fullmatch(value)),
        f"words of a-z, 0-9 and '-' with commas between and no spaces, such as dataset-audit, or {UNKNOWN}",
    ),
    "origin": (
        lambda value: _is_text(value) and bool(_ORIGIN.fullmatch(value)),
        f"{STATED}, signed: and a fingerprint in hexadecimal digits, or service: and a host",
    ),
    "share_counts": (lambda value: isinstance(value, bool), "true or false"),
    "pdq_radius": (lambda value: value is None or _is_number(value, _MAX_RADIUS), f"0 to {_MAX_RADIUS}, or none"),
    "aside": (_are_counts, "numbers of 0 or more by reasons, which are words of a-z and '_'"),
}


def _day(info: ListInfo, what: str) -> date | None:
    text = getattr(info, what)
    if text == UNKNOWN:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # fromisoformat also takes other ISO forms, which would not compare as texts.
    if day is None or day.isoformat() != text:
        raise ListError(f"{what} is not a date", expected=f"YYYY-MM-DD or {UNKNOWN}", where=info.name)
    return day
