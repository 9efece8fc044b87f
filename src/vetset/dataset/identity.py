"""One canonical byte string for every row of a table, whatever encoding, chunking or dictionary it was stored with.

It serves to prove that a row of a cleaned copy is the row of the source: two rows are equal if their canonical bytes
are. Values are compared by type and bits (a NaN equals itself, -0.0 is not 0.0, null is not zero).
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from vetset.model.errors import DatasetError

_LENGTH = struct.Struct("<q")
_NULL = _LENGTH.pack(-1)


def framed(piece: bytes | None) -> bytes:
    """A piece with its length before it, so that pieces cannot run into each other; None differs from empty."""
    return _NULL if piece is None else _LENGTH.pack(len(piece)) + piece


def digest_of(pieces: Iterable[bytes | None]) -> bytes:
    """SHA-256 (32 bytes) over framed pieces."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(framed(piece))
    return digest.digest()


def _masked(array: Any, values: list[bytes]) -> list[bytes | None]:
    if array.null_count == 0:
        return list(values)
    valid = array.is_valid().to_pylist()
    return [value if there else None for value, there in zip(values, valid, strict=True)]


def _fixed(array: Any) -> list[bytes | None]:
    width = array.type.bit_width // 8
    buffer = array.buffers()[1]
    data = b"" if buffer is None else buffer.to_pybytes()
    start = array.offset * width
    return _masked(array, [data[at : at + width] for at in range(start, start + len(array) * width, width)])


def _lists(array: Any) -> list[bytes | None]:
    # `flatten` leaves out what lies under null lists, so lengths are counted without them.
    lengths = array.value_lengths().to_pylist()
    items = [framed(item) for item in _encoded(array.flatten())]
    values, at = [], 0
    for length in lengths:
        values.append(b"".join(items[at : at + (length or 0)]))
        at += length or 0
    return _masked(array, values)


def _structs(array: Any) -> list[bytes | None]:
    parts = [_encoded(child) for child in array.flatten()]
    rows = zip(*parts, strict=True) if parts else ((),) * len(array)
    return _masked(array, [b"".join(map(framed, row)) for row in rows])


def _maps(array: Any) -> list[bytes | None]:
    kind = array.type
    entries = pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])
    return _lists(array.cast(pa.list_(entries)))


def _texts(array: Any) -> list[bytes | None]:
    return list(array.cast(pa.large_string()).cast(pa.large_binary()).to_pylist())


def _plain_form(array: Any) -> Any:
    """Without extension type and dictionary."""
    if isinstance(array, pa.ExtensionArray):
        return _plain_form(array.storage)
    return _plain_form(array.dictionary_decode()) if pa.types.is_dictionary(array.type) else array


_Encoder = Callable[[Any], list[bytes | None]]
_ENCODERS: tuple[tuple[tuple[Callable[[Any], bool], ...], _Encoder], ...] = (
    ((pa.types.is_null,), lambda array: [None] * len(array)),
    ((pa.types.is_boolean,), lambda array: _fixed(array.cast(pa.uint8()))),
    ((pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view), _texts),
    (
        (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
        lambda array: list(array.cast(pa.large_binary()).to_pylist()),
    ),
    ((pa.types.is_map,), _maps),
    ((pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list), _lists),
    ((pa.types.is_struct,), _structs),
    ((pa.types.is_primitive, pa.types.is_decimal, pa.types.is_fixed_size_binary), _fixed),
)


def _encoded(array: Any) -> list[bytes | None]:
    """Canonical bytes of every value of an array; None for null.

    Raises:
        DatasetError: values of this type cannot be compared.
    """
    plain = _plain_form(array)
    for tests, encoder in _ENCODERS:
        if any(test(plain.type) for test in tests):
            return encoder(plain)
    raise DatasetError("rows with a column of this type cannot be compared", seen=str(plain.type))


def _told(kind: Any) -> str:
    """A type as it is compared: with the names of fields, without those of a map's entries, which writers choose."""
    if pa.types.is_dictionary(kind):
        return _told(kind.value_type)
    if pa.types.is_map(kind):
        return f"map<{_told(kind.key_type)}, {_told(kind.item_type)}>"
    if pa.types.is_struct(kind):
        fields = (f"{field.name}: {_told(field.type)}{'' if field.nullable else ' not null'}" for field in kind)
        return f"struct<{', '.join(fields)}>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{kind.id}<{kind.value_field.name}: {_told(kind.value_type)}>"
    return str(kind)


def row_identities(batch: Any) -> Iterator[bytes]:
    """SHA-256 (32 bytes) of every row of a record batch: names, types and values of all its columns, in order.

    Raises:
        DatasetError: a column's type cannot be compared.
    """
    seed = hashlib.sha256()
    for field in batch.schema:
        seed.update(framed(field.name.encode()) + framed(_told(field.type).encode()))
    for row in zip(*(_encoded(column) for column in batch.columns), strict=True):
        digest = seed.copy()
        digest.update(b"".join(map(framed, row)))
        yield digest.digest()
