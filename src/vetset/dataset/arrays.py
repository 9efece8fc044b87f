"""Arrow arrays rebuilt around changed children, so that a changed copy holds nothing of what was taken out of it.

An Arrow array can carry bytes that none of its rows shows any more: under a null, behind a slice, in a dictionary whose
entries nobody uses. A copy that loses rows must not keep them there.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.model.errors import DatasetError


def is_list(kind: Any) -> bool:
    """Whether values of a type are lists whose items can be rebuilt."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def holds_bytes(kind: Any) -> bool:
    """Whether values of a type hold bytes of any length, at any depth."""
    if isinstance(kind, pa.BaseExtensionType):
        return holds_bytes(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return holds_bytes(kind.value_type)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return True
    return any(holds_bytes(kind.field(number).type) for number in range(kind.num_fields))


def list_lengths(array: Any) -> NDArray[np.int64]:
    """int64 (n,): how many items of `array.flatten()` belong to each list; 0 for a null one."""
    return np.asarray(array.value_lengths().cast(pa.int64()).fill_null(0))


def _mask(array: Any) -> Any | None:
    return array.is_null() if array.null_count else None


def _fixed(array: Any, items: Any) -> Any:
    size = array.type.list_size
    if array.null_count:
        # The items of null lists were left out, and each of them needs its place.
        filled = np.repeat(np.asarray(array.is_valid()), size)
        items = items.take(pa.array(np.cumsum(filled) - 1, mask=~filled))
    return pa.FixedSizeListArray.from_arrays(items, type=array.type, mask=_mask(array))


def with_children(array: Any, change: Callable[[int, Any], Any]) -> Any:
    """A struct or list array whose children were changed: same type, same nulls, same lengths.

    Args:
        array: the array.
        change: is given the number of a child and its values (of a list: its items, those of null lists left out), and
            returns as many of the same type.
    """
    kind = array.type
    if pa.types.is_struct(kind):
        children = [change(number, child) for number, child in enumerate(array.flatten())]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=_mask(array)) if children else array
    items = change(0, array.flatten())
    if pa.types.is_fixed_size_list(kind):
        return _fixed(array, items)
    form, width = (pa.LargeListArray, pa.int64()) if pa.types.is_large_list(kind) else (pa.ListArray, pa.int32())
    offsets = pa.array(np.concatenate([[0], np.cumsum(list_lengths(array))]), width)
    return form.from_arrays(offsets, items, type=kind, mask=_mask(array))


def without(array: Any, gone: NDArray[np.bool_]) -> Any:
    """The values of an array, null where `gone` (n,) holds; nothing of those is kept."""
    return array.take(pa.array(np.arange(len(array)), mask=gone))


def has_dictionary(kind: Any) -> bool:
    """Whether values of a type are told by a dictionary, at any depth."""
    if isinstance(kind, pa.BaseExtensionType):
        return has_dictionary(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return True
    return any(has_dictionary(kind.field(number).type) for number in range(kind.num_fields))


def _compacted(array: Any) -> Any:
    kind = array.type
    if not has_dictionary(kind):
        return array
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(kind, _compacted(array.storage))
    if pa.types.is_dictionary(kind):
        absent = np.asarray(array.indices.is_null())
        indices = np.asarray(array.indices.cast(pa.int64()).fill_null(0))
        used = np.unique(indices[~absent])
        places = pa.array(np.searchsorted(used, indices), kind.index_type, mask=absent)
        entries = _compacted(array.dictionary.take(pa.array(used)))
        return pa.DictionaryArray.from_arrays(places, entries, ordered=kind.ordered)
    if pa.types.is_struct(kind) or is_list(kind):
        return with_children(array, lambda _, child: _compacted(child))
    raise DatasetError(
        "rows cannot be taken out of a column of this type without leaving something of them behind",
        seen=str(kind),
        todo="Write this table again without dictionaries inside that column.",
    )


def compacted(batch: Any) -> Any:
    """A record batch whose dictionaries hold only what its rows use.

    Raises:
        DatasetError: a dictionary lies in a type that cannot be rebuilt.
    """
    return pa.RecordBatch.from_arrays([_compacted(column) for column in batch.columns], schema=batch.schema)


_PANDAS = b"pandas"


def without_counts(schema: Any) -> Any:
    """A schema whose `pandas` metadata count nothing of the rows that were there before.

    They number the rows by a range, whose end would tell how many went, and count the categories of a column.
    """
    metadata = dict(schema.metadata or {})
    if _PANDAS not in metadata:
        return schema
    try:
        document = json.loads(metadata.pop(_PANDAS))
        document["index_columns"] = [each for each in document["index_columns"] if not isinstance(each, dict)]
        for column in document["columns"]:
            if isinstance(column["metadata"], dict):
                column["metadata"].pop("num_categories", None)
    except (ValueError, KeyError, TypeError, RecursionError):
        return schema.with_metadata(metadata)  # what pandas did not write, pandas does not need
    return schema.with_metadata({**metadata, _PANDAS: json.dumps(document).encode()})


def _without_views(kind: Any) -> Any:
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_views(field.type)) for field in kind])
    if pa.types.is_map(kind):
        key, item = (field.with_type(_without_views(field.type)) for field in (kind.key_field, kind.item_field))
        return pa.map_(key, item, keys_sorted=kind.keys_sorted)
    return _list_without_views(kind) if is_list(kind) else kind


def _list_without_views(kind: Any) -> Any:
    items = kind.value_field.with_type(_without_views(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(items, kind.list_size)
    return pa.large_list(items) if pa.types.is_large_list(kind) else pa.list_(items)


def without_views(batch: Any) -> Any:
    """A record batch whose texts and bytes lie one behind the other: Arrow takes and filters nothing out of views."""
    return cast_to(batch, pa.schema([field.with_type(_without_views(field.type)) for field in batch.schema]))


def cast_to(batch: Any, schema: Any) -> Any:
    """A record batch with the types of a schema; names and metadata stay."""
    kinds = schema.types
    if kinds == batch.schema.types:
        return batch
    columns = [
        column if column.type == kind else column.cast(kind) for column, kind in zip(batch.columns, kinds, strict=True)
    ]
    fields = [field.with_type(kind) for field, kind in zip(batch.schema, kinds, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))
