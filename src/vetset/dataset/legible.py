"""Values of Arrow's arrays as Python's, whatever their types are: a cell that cannot be told costs nothing but itself.

Times become text, because Python's own stop at microseconds, and durations numbers; extensions and dictionaries are
unwrapped at any depth. Arrow's `to_pylist` refuses some of what a file may hold: two fields of one name in a struct, a
nanosecond in a dictionary, text that is no UTF-8.
"""

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from vetset.dataset.arrays import is_list, list_lengths


class Untold:
    """Stands for a value that is there and cannot be told; it is neither null nor a text or a digest."""

    def __repr__(self) -> str:
        return "UNTOLD"


UNTOLD: Final = Untold()


def python_values(column: Any) -> list[Any]:
    """The values of an array as Python's, `UNTOLD` where there is no telling them.

    Bytes of a text that are no UTF-8 become lone surrogates. A struct is a dict, or pairs of names and values where two
    of its fields have one name; a map is a list of pairs.

    Args:
        column: an array or a chunked one, of any type.

    Raises:
        MemoryError: there is no room for them.
    """
    try:
        return [value for chunk in _chunks(column) for value in _values(chunk)]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  there are as many ways to refuse a value as there are types
        middle = len(column) // 2
        if not middle:
            return [UNTOLD] * len(column)
        return python_values(column.slice(0, middle)) + python_values(column.slice(middle))


def row_values(batch: Any) -> list[dict[str, Any]]:
    """Rows of a batch as Python values, by column."""
    columns = {name: python_values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _chunks(column: Any) -> list[Any]:
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]


def _values(array: Any) -> list[Any]:
    for test, values in _WAYS:
        if test(array.type):
            return values(array)
    return _plain(array)


def _plain(array: Any) -> list[Any]:
    try:
        return list(array.to_pylist())
    except UnicodeDecodeError:
        stored = array.cast(pa.large_binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "surrogateescape") for value in stored]


def _entries(array: Any) -> list[Any]:
    """Values told by a dictionary; only those of its entries that are used are looked at."""
    places = array.indices.to_pylist()
    used = {place: _values(array.dictionary.slice(place, 1))[0] for place in set(places) - {None}}
    return [None if place is None else used[place] for place in places]


def _structs(array: Any) -> list[Any]:
    names = [field.name for field in array.type]
    columns = [_values(child) for child in array.flatten()]
    rows = zip(*columns, strict=True) if columns else ((),) * len(array)
    made = dict if len(set(names)) == len(names) else list
    there = array.is_valid().to_pylist()
    return [made(zip(names, row, strict=True)) if valid else None for row, valid in zip(rows, there, strict=True)]


def _maps(array: Any) -> list[Any]:
    kind = array.type
    entry = pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])
    maps = _lists(array.cast(pa.list_(entry)))
    return [None if pairs is None else [(pair["key"], pair["value"]) for pair in pairs] for pairs in maps]


def _lists(array: Any) -> list[Any]:
    items = iter(_values(array.flatten()))  # without those that lie under null lists
    there = array.is_valid().to_pylist()
    lengths = list_lengths(array).tolist()
    return [
        [next(items) for _ in range(length)] if valid else None for length, valid in zip(lengths, there, strict=True)
    ]


def _times(array: Any) -> list[Any]:
    try:
        return list(array.cast(pa.string()).to_pylist())
    except pa.ArrowInvalid:
        if not pa.types.is_timestamp(array.type):
            raise
        # A zone that nobody knows here: the instant is known all the same.
        return list(array.cast(pa.timestamp(array.type.unit, "UTC")).cast(pa.string()).to_pylist())


def _is_time(kind: Any) -> bool:
    return bool(pa.types.is_temporal(kind) and not pa.types.is_interval(kind))


_WAYS: tuple[tuple[Callable[[Any], bool], Callable[[Any], list[Any]]], ...] = (
    (lambda kind: isinstance(kind, pa.BaseExtensionType), lambda array: _values(array.storage)),
    (pa.types.is_dictionary, _entries),
    (pa.types.is_struct, _structs),
    (pa.types.is_map, _maps),
    (is_list, _lists),
    (pa.types.is_duration, lambda array: list(array.cast(pa.int64()).to_pylist())),
    (_is_time, _times),
)
