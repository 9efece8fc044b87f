r"""A list as bytes, before it is sealed: one line of canonical JSON, then the columns as they lie in memory.

    {"bank":"","columns":[{"id_width":9,"kind":"md5","rows":3}, …],"format":"vetset-list","info":{…},"version":3}   \n
    values (rows × width) · ids (rows × id_width) · flags (rows) · members (rows), kind after kind

The line is filled up with spaces, and every column with zeros, to a multiple of 64 bytes: so the columns of a list of
ten million entries are the memory that it was decrypted to, and nothing is copied to be searched.

The version of a list is keyed BLAKE3, under a secret of the vault, of these bytes with an empty version and no bank in
them. So it tells two states of a list apart, and confirms no guess about its content to anybody who lacks the secret.
`bank` is the digest of what lies beside the list (see `bank_digest`), or empty.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from pydantic import TypeAdapter

from vetset.hashlist.columns import MAX_ID_LENGTH, narrow, sort_keys
from vetset.model.canonical import canonical_json
from vetset.model.errors import ListError, SealError
from vetset.model.hashlist import Entries, EntryFlag, HashList, ListInfo
from vetset.model.signal import LIST_KINDS, Kind
from vetset.seal.document import parse_object

FORMAT = "vetset-list"
_VERSION = 3
_ALIGNED = 64
_ALL_FLAGS = sum(EntryFlag)
_INFO = TypeAdapter(ListInfo)
_LINE = re.compile(rb"[^\n]*\n")
MOST_HEADER = 1 << 20
"""Bytes that the first line has at most; one takes a few thousand."""
_DIGEST = re.compile(r"[0-9a-f]{64}|")
_ROWS = 1 << 20
"""Rows that are compared at once."""


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
    if not _ascending(column.values):
        return "values are not sorted and distinct"
    return ""


def _marked(column: Entries) -> bool:
    """Whether every entry has flags that are known and one member at least."""
    marks = (column.flags, column.members)
    if any(mark.dtype != np.uint8 or mark.shape != (len(column),) for mark in marks):
        return False
    return not np.any(column.flags & ~np.uint8(_ALL_FLAGS)) and bool(np.all(column.members))


def _ascending(values: NDArray[np.uint8]) -> bool:
    """Whether every row is greater, as a byte string, than the one before it."""
    for start in range(0, len(values) - 1, _ROWS):
        words = sort_keys(values[start : start + _ROWS + 1])
        greater, equal = np.zeros(len(words[0]) - 1, np.bool_), np.ones(len(words[0]) - 1, np.bool_)
        for word in reversed(words):
            greater |= equal & (word[1:] > word[:-1])
            equal &= word[1:] == word[:-1]
        if not greater.all():
            return False
    return True


Pieces = list[bytes | memoryview]


def pack(info: ListInfo, entries: Mapping[Kind, Entries], secret: bytes, bank: str = "") -> tuple[Pieces, ListInfo]:
    """A list as pieces that together are its bytes, and its information with version and counts filled in.

    The pieces of the columns are the memory of `entries`, where it lies as it is written.
    """
    kept = [entries[kind] for kind in LIST_KINDS if kind in entries and len(entries[kind])]
    info = replace(info, version="", entries={column.kind: len(column) for column in kept})
    ids = [narrow(column.ids) for column in kept]
    columns = [
        {"kind": column.kind.value, "rows": len(column), "id_width": names.dtype.itemsize}
        for column, names in zip(kept, ids, strict=True)
    ]
    body = [
        piece
        for column, names in zip(kept, ids, strict=True)
        for array in (column.values, names, column.flags, column.members)
        for piece in _aligned(array)
    ]
    info = replace(info, version=_version(info, columns, body, secret))
    return [_header(info, columns, bank), *body], info


def _aligned(array: NDArray[Any]) -> Pieces:
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return [data, bytes(-len(data) % _ALIGNED)]


def _header(info: ListInfo, columns: list[dict[str, Any]], bank: str) -> bytes:
    document = {"format": FORMAT, "version": _VERSION, "info": asdict(info), "columns": columns, "bank": bank}
    line = canonical_json(document)
    return line + b" " * (-(len(line) + 1) % _ALIGNED) + b"\n"


def _version(info: ListInfo, columns: list[dict[str, Any]], body: Iterable[bytes | memoryview], secret: bytes) -> str:
    code = blake3(_header(replace(info, version=""), columns, ""), key=secret)
    for piece in body:
        code.update(piece)
    return code.hexdigest()


def bank_digest(name: str, secret: bytes) -> blake3:
    """The digest of what lies beside the list of this name, before its first byte: keyed BLAKE3."""
    return blake3(b"vetset-bank/1 %b\n" % name.encode("ascii"), key=secret)


def unpack(content: bytes | memoryview, secret: bytes | None) -> tuple[HashList, str]:
    """The list that was packed, its columns being memory of `content`.

    Args:
        content: the bytes.
        secret: of the vault; None where nobody has it: then the version is not held against the content.

    Returns:
        The list, and the digest of the bank beside it or an empty text.

    Raises:
        SealError: the bytes are not those of a list, or were not packed under this secret.
    """
    try:
        document, body = _parted(content)
        info, bank = _stated(document)
        entries = _columns(document["columns"], body)
        if info.entries != {kind: len(column) for kind, column in entries.items()}:
            raise ValueError("counts are not what they should be")  # noqa: TRY301 — one way out for all of it
        version = info.version.encode("utf-8", "surrogatepass")
        genuine = secret is None
        if secret is not None:
            genuine = hmac.compare_digest(_version(info, document["columns"], [body], secret).encode("ascii"), version)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SealError("the content of a list is not as it should be") from None
    if not genuine:
        raise SealError("the content of a list is not what this vault wrote")
    return HashList(info, entries), bank


def unpack_info(line: bytes) -> ListInfo:
    """What is known of the list whose first line this is; nothing is held against its columns.

    Raises:
        SealError: it is no first line of a list.
    """
    try:
        return _stated(_parted(line)[0])[0]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SealError("the content of a list is not as it should be") from None


def _stated(document: dict[str, Any]) -> tuple[ListInfo, str]:
    """Information and the digest of the bank.

    Raises:
        ValueError, KeyError, TypeError: they are not as they should be.
    """
    bank = document["bank"]
    if not _DIGEST.fullmatch(bank):
        raise ValueError("a bank has another digest")
    return _INFO.validate_python(document["info"]), bank


def _parted(content: bytes | memoryview) -> tuple[dict[str, Any], memoryview]:
    """Header and columns.

    Raises:
        ValueError, KeyError: there is no header of this format.
    """
    line = _LINE.match(content)
    if line is None:
        raise ValueError("there is no header")
    document = parse_object(line[0])
    if document["format"] != FORMAT or document["version"] != _VERSION:
        raise ValueError("it is of another format")
    return document, memoryview(content)[line.end() :]


def _columns(columns: list[dict[str, Any]], body: memoryview) -> dict[Kind, Entries]:
    found: dict[Kind, Entries] = {}
    place = 0

    def taken(rows: int, width: int) -> NDArray[np.uint8]:
        nonlocal place
        size = rows * width
        array = np.frombuffer(body, np.uint8, size, place).reshape(rows, width)
        array.flags.writeable = False
        place += size + -size % _ALIGNED
        return array

    for column in columns:
        kind, rows, id_width = Kind(column["kind"]), int(column["rows"]), int(column["id_width"])
        if kind in found or not 1 <= rows <= len(body) or not 1 <= id_width <= MAX_ID_LENGTH:
            raise ValueError("columns that no list has")
        values, names = taken(rows, kind.width), taken(rows, id_width)
        found[kind] = Entries(
            kind, values, names.view(f"S{id_width}")[:, 0], taken(rows, 1)[:, 0], taken(rows, 1)[:, 0]
        )
    if place != len(body):
        raise ValueError("columns and content do not fit")
    return found
