"""What one record says of itself, out of a JSON document or a row of a table: fields, and columns as scalars."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.declared import value_of
from vetset.dataset.legible import Untold
from vetset.model.errors import DatasetError
from vetset.model.record import Fields
from vetset.model.signal import DECLARED_KINDS, URL_KINDS, Kind

T = TypeVar("T")
N = TypeVar("N")

Scalar = str | int | float | bool | None
MAX_COLUMN = 1 << 13
"""Characters of a value that becomes a column of a sealed match; what is longer is no caption, and may be a picture."""
MAX_BYTES = 64
"""Bytes of such a value: a digest has no more, and what has more may be a picture."""
_MOST_NAMES = 256
"""Columns of a row whose roles are remembered: rows mostly have the same few, and a hostile one has millions."""


def _roles_of(mapping: ColumnMapping, names: tuple[str, ...], where: str) -> Mapping[str, str]:
    if len(names) > _MOST_NAMES:
        return mapping.found_in(names, where, strict=False)
    return _known_roles(mapping, names, where)


@lru_cache(maxsize=64)
def _known_roles(mapping: ColumnMapping, names: tuple[str, ...], where: str) -> Mapping[str, str]:
    return mapping.found_in(names, where, strict=False)


@lru_cache(maxsize=64)
def _without_key(mapping: ColumnMapping) -> ColumnMapping:
    """The mapping for JSON, whose sample has its key from elsewhere."""
    return replace(mapping, key="")


def scalar(value: Any) -> Scalar:
    """A value as a JSON scalar: dates as text, bytes as hex, NaN and infinities as None, nested values as JSON text.

    None also for what is not told: bytes longer than a digest, which may be a picture, at any depth; text longer than
    a caption; what cannot be written down, because it is nested too deep for instance. Whatever it is, it never raises.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    try:
        text = json.dumps(value, default=_inner) if isinstance(value, list | dict) else _inner(value)
    except (TypeError, ValueError, RecursionError, MemoryError):
        return None
    return text if text is not None and len(text) <= MAX_COLUMN else None


def _inner(value: Any) -> str | None:
    """What is neither a number nor a container, also inside of one."""
    if isinstance(value, bytes):
        return value.hex() if len(value) <= MAX_BYTES else None
    return None if isinstance(value, Untold) else str(value)


def _told(row: Mapping[str, Any], taken: Collection[str]) -> dict[str, Scalar]:
    """Columns as scalars, without those that hold something which `scalar` does not tell."""
    told = {name: (value, scalar(value)) for name, value in row.items() if name not in taken}
    return {name: text for name, (value, text) in told.items() if text is not None or isinstance(value, float | None)}


def fields_of(row: Mapping[str, Any], mapping: ColumnMapping, where: str, *, with_columns: bool = False) -> Fields:
    """The fields of one record, from a JSON document or from a row of a table.

    Args:
        row: column → value.
        mapping: which column means what.
        where: shard, for errors.
        with_columns: also keep all other columns, as scalars.

    Raises:
        DatasetError: two columns fill one role.
    """
    roles = _roles_of(mapping, tuple(row), where)
    url = row.get(roles["url"]) if "url" in roles else None
    declared: dict[Kind, bytes] = {}
    malformed: set[Kind] = set()
    if isinstance(url, bytes):
        url = url.decode("utf-8", "surrogateescape")
    if url is not None and not (isinstance(url, str) and _encodable(url)):
        malformed.update(URL_KINDS)
        url = None
    for kind in DECLARED_KINDS:
        value = row.get(roles[kind.value]) if kind.value in roles else None
        if value is None:
            continue
        raw = value_of(value, kind)
        if raw is None:
            malformed.add(kind)
        else:
            declared[kind] = raw
    taken = {column for role, column in roles.items() if role != "key"}
    others = _told(row, taken) if with_columns else {}
    return Fields(url, declared, frozenset(malformed), others)


def fields_of_json(data: bytes | None, mapping: ColumnMapping, where: str, *, with_columns: bool = False) -> Fields:
    """The fields of a JSON sidecar.

    None (too large, or nobody knows which of several is meant), a document that is no object, or one in which two names
    could be the address or one digest, makes everything that could be stated malformed.
    """
    unclear = Fields(malformed=frozenset((*DECLARED_KINDS, *URL_KINDS)))
    try:
        document = None if data is None else json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return unclear
    try:
        return fields_of(document, _without_key(mapping), where, with_columns=with_columns)
    except DatasetError:
        return unclear


def of_first_name(documents: Sequence[T], names: Sequence[N], wanted: Iterable[N]) -> list[T]:
    """Of the JSONs beside a picture those of the first of the wanted names that any has; all, where none has one.

    One of them is meant for the picture. Where several are left, nobody can tell which.

    Args:
        documents: what lies there.
        names: what each is called, without its suffix.
        wanted: names that the picture's own would have, the best first.
    """
    named = list(zip(documents, names, strict=True))
    for name in wanted:
        if fitting := [document for document, called in named if called == name]:
            return fitting
    return list(documents)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
