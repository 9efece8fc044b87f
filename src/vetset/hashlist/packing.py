r"""A list as bytes, before it is sealed: one line of canonical JSON, then the columns as they lie in memory.

    {"columns":[{"id_width":9,"kind":"md5","rows":3}, …],"format":"vetset-list","info":{…},"version":2}\n
    values (rows × width) · ids (rows × id_width) · flags (rows) · members (rows), kind after kind

The version of a list is HMAC-SHA-256, under a secret of the vault, of these bytes with an empty version in them. So it
tells two states of a list apart, and confirms no guess about its content to anybody who lacks the secret.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from vetset.hashlist.columns import MAX_ID_LENGTH, first_of_each, narrow
from vetset.model.canonical import canonical_json
from vetset.model.errors import ListError, SealError
from vetset.model.hashlist import Entries, EntryFlag, HashList, ListInfo
from vetset.model.signal import LIST_KINDS, Kind
from vetset.seal.document import parse_object

FORMAT = "vetset-list"
_ALL_FLAGS = sum(EntryFlag)
_INFO = TypeAdapter(ListInfo)


def check_entries(entries: Mapping[Kind, Entries], name: str) -> None:
    """Refuse entries that are not as `Entries` says: `name` is for the error.

    Raises:
        ListError: there is no entry, or a column has another type, shape or order than it must have.
    """
    if not any(len(column) for column in entries.values()):
        raise ListError("the list holds no entry", expected="at least one value", where=name)
    for kind, column in entries.items():
        fault = _fault(kind, column)
        if fault:
            raise ListError(f"the entries are malformed: {fault}", where=f"{name}, kind {kind}")


def _fault(kind: Kind, column: Entries) -> str:
    rows = len(column)
    if kind not in LIST_KINDS or column.kind is not kind:
        return "this kind cannot be in a list, or not under this name"
    if column.values.dtype != np.uint8 or column.values.shape != (rows, kind.width):
        return "values are not rows of the width of their kind"
    if column.ids.dtype.kind != "S" or column.ids.shape != (rows,) or column.ids.dtype.itemsize > MAX_ID_LENGTH:
        return f"ids are not one for each row, of at most {MAX_ID_LENGTH} bytes"
    if not _marked(column):
        return "flags or members are not one for each row, or unknown"
    if not np.array_equal(first_of_each(column.values), np.arange(rows)):
        return "values are not sorted and distinct"
    return ""


def _marked(column: Entries) -> bool:
    """Whether every entry has flags that are known and one member at least."""
    marks = (column.flags, column.members)
    if any(mark.dtype != np.uint8 or mark.shape != (len(column),) for mark in marks):
        return False
    return not np.any(column.flags & ~np.uint8(_ALL_FLAGS)) and bool(np.all(column.members))


def pack(info: ListInfo, entries: Mapping[Kind, Entries], secret: bytes) -> tuple[bytes, ListInfo]:
    """The bytes of a list, and its information with version and counts filled in."""
    kept = [entries[kind] for kind in LIST_KINDS if kind in entries and len(entries[kind])]
    info = replace(info, version="", entries={column.kind: len(column) for column in kept})
    ids = [narrow(column.ids) for column in kept]
    columns = [
        {"kind": column.kind.value, "rows": len(column), "id_width": names.dtype.itemsize}
        for column, names in zip(kept, ids, strict=True)
    ]
    body = b"".join(
        array.tobytes()
        for column, names in zip(kept, ids, strict=True)
        for array in (column.values, names, column.flags, column.members)
    )
    info = replace(info, version=_version(info, columns, body, secret))
    return _header(info, columns) + body, info


def _header(info: ListInfo, columns: list[dict[str, Any]]) -> bytes:
    document = {"format": FORMAT, "version": 2, "info": asdict(info), "columns": columns}
    return canonical_json(document) + b"\n"


def _version(info: ListInfo, columns: list[dict[str, Any]], body: bytes, secret: bytes) -> str:
    code = hmac.new(secret, _header(replace(info, version=""), columns), hashlib.sha256)
    code.update(body)
    return code.hexdigest()


def unpack(data: bytes, secret: bytes) -> HashList:
    """The list that was packed.

    Raises:
        SealError: the bytes are not those of a list, or were not packed under this secret.
    """
    header, newline, body = data.partition(b"\n")
    try:
        document = parse_object(header)
        if not newline or document["format"] != FORMAT or document["version"] != 2:
            raise ValueError("another format")  # noqa: TRY301 — one way out for everything that is malformed
        info = _info(document["info"])
        entries = _columns(document["columns"], body)
        true_version = _version(info, document["columns"], body, secret)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SealError("the content of a list is not as it should be") from None
    if not hmac.compare_digest(true_version.encode("ascii"), info.version.encode("utf-8", "surrogatepass")):
        raise SealError("the content of a list is not what this vault wrote")
    return HashList(info, entries)


def _info(document: dict[str, Any]) -> ListInfo:
    return _INFO.validate_python(document)


def _columns(columns: list[dict[str, Any]], body: bytes) -> dict[Kind, Entries]:
    found: dict[Kind, Entries] = {}
    place = 0
    for column in columns:
        kind, rows, id_width = Kind(column["kind"]), int(column["rows"]), int(column["id_width"])
        sizes = (rows * kind.width, rows * id_width, rows, rows)
        if min(rows, id_width) < 1 or place + sum(sizes) > len(body):
            raise ValueError("columns and content do not fit")
        values = np.frombuffer(body, np.uint8, sizes[0], place).reshape(rows, kind.width)
        ids = np.frombuffer(body, f"S{id_width}", rows, place + sizes[0])
        flags = np.frombuffer(body, np.uint8, rows, place + sizes[0] + sizes[1])
        members = np.frombuffer(body, np.uint8, rows, place + sum(sizes[:3]))
        found[kind] = Entries(kind, values, ids, flags, members)
        place += sum(sizes)
    if place != len(body):
        raise ValueError("columns and content do not fit")
    return found
