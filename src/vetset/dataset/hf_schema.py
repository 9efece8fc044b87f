"""Where the pictures of a table lie, or may lie: in which columns, and how deep in structs and lists.

`datasets` stores an `Image` as struct<bytes, path>. It stores sounds, videos and documents the same way, and what the
metadata call a column is the word of whoever made it; so every such struct is looked at, whatever other fields it has.
A plain binary column holds pictures where the `huggingface` metadata of the schema declare it an Image, or where its
name says so. Of all others, `hf_unnamed` looks at what lies in them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from vetset.dataset.arrays import holds_bytes, is_list
from vetset.dataset.places import IMAGE_SUFFIXES, MAX_TEXT
from vetset.model.errors import DatasetError

METADATA = b"huggingface"
NAMES = IMAGE_SUFFIXES | frozenset({
    "image", "images", "image_bytes", "image_data", "img", "imgs", "img_bytes", "photo", "photos", "picture",
    "pictures", "thumbnail",
})  # fmt: skip
"""Names, in lower case, of binary columns that hold pictures without being declared; img2dataset's is `jpg`.

A number may stand behind them: `image_2`.
"""
_NUMBER = re.compile(r"[-_ ]?\d+$")
ITEMS = -1
"""The step from a list to its items; other steps are the number of a struct's field."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One place of a schema at which pictures lie.

    Attributes:
        column: name of the top-level column.
        name: the same with the names of struct fields behind it, separated by dots.
        steps: how to get from the column to the cells.
        bytes_at: number of the struct's field that holds the file, None if there is none.
        path_at: number of the struct's field that holds its name or place, None if there is none.
        plain: `bytes` or `path` where the cell is no struct but that, else empty.
        nullable: whether the schema lets a cell be null.
        more: whether the struct has other fields, which stay where a picture goes.
        sure: whether the schema says that there are pictures; else what lies there has to be looked at.
        readable: whether pictures could be read there: not where the steps end above them, at a map for instance.
    """

    column: str
    name: str
    steps: tuple[int, ...]
    bytes_at: int | None
    path_at: int | None
    plain: str
    nullable: bool
    more: bool = False
    sure: bool = True
    readable: bool = True


def _value_type(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_bytes(kind: Any) -> bool:
    value = _value_type(kind)
    return bool(pa.types.is_binary(value) or pa.types.is_large_binary(value) or pa.types.is_binary_view(value))


def _is_text(kind: Any) -> bool:
    value = _value_type(kind)
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def _is_cell(kind: Any) -> bool:
    """Whether a type is the struct in which `datasets` stores a file. A field without any value may be untyped."""
    if not pa.types.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    if len(fields) != kind.num_fields or "bytes" not in fields:
        return False
    path = fields.get("path", pa.string())
    known = _is_bytes(fields["bytes"]) or (pa.types.is_null(fields["bytes"]) and _is_text(path))
    return known and (_is_text(path) or pa.types.is_null(path))


def features_of(metadata: Any, where: str) -> dict[str, Any]:
    """What the `huggingface` metadata of a schema declare, by column; empty where they are silent.

    Args:
        metadata: the schema's key-value metadata, or None.
        where: shard, for errors.

    Raises:
        DatasetError: they are no JSON document of the form that `datasets` writes.
    """
    raw = (metadata or {}).get(METADATA)
    if raw is None:
        return {}
    try:
        document = json.loads(raw) if len(raw) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        document = None
    info = document.get("info") if isinstance(document, dict) else False
    features = info.get("features") if isinstance(info, dict) else info
    if features is None:
        return {}
    if not isinstance(features, dict):
        raise DatasetError(
            "what the table says of its features is damaged",
            expected="JSON with an object `info.features`, as `datasets` writes it",
            where=where,
            todo="Write the table again with `datasets`, or without that metadata.",
        )
    return features


def _declared_field(declared: Any, name: str) -> Any:
    """What is declared of a struct's field. A Sequence of a dict is stored as a struct of lists."""
    if not isinstance(declared, dict):
        return None
    inner = declared.get("feature")
    if isinstance(declared.get("_type"), str) and isinstance(inner, dict):
        return {"_type": "List", "feature": inner.get(name)}
    return declared.get(name)


def _declared_items(declared: Any) -> Any:
    if isinstance(declared, list):
        return declared[0] if declared else None
    return declared.get("feature") if isinstance(declared, dict) else None


def _hides_cell(kind: Any) -> bool:
    """Whether a cell lies somewhere inside a type that is not looked into."""
    if isinstance(kind, pa.BaseExtensionType):
        return _hides_cell(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _hides_cell(kind.value_type)
    return _is_cell(kind) or any(_hides_cell(kind.field(number).type) for number in range(kind.num_fields))


def _walk(field: Any, declared: Any, path: tuple[str, ...], steps: tuple[int, ...], where: str) -> Iterator[Leaf]:
    kind, column, name = field.type, path[0], ".".join(path)
    is_declared = isinstance(declared, dict) and declared.get("_type") == "Image"
    if _is_cell(kind):
        yield _cell(field, path, steps)
        yield from _fields(kind, declared, path, steps, where)
    elif _is_bytes(kind):
        sure = is_declared or _is_name(path[-1])
        yield Leaf(column, name, steps, None, None, "bytes", field.nullable, sure=sure)
    elif is_declared and _is_text(kind):
        yield Leaf(column, name, steps, None, None, "path", field.nullable)
    elif is_declared and not pa.types.is_null(kind):
        raise unreadable(where, kind)
    elif pa.types.is_struct(kind):
        yield from _fields(kind, declared, path, steps, where)
    elif is_list(kind):
        yield from _walk(kind.value_field, _declared_items(declared), path, (*steps, ITEMS), where)
    elif _hides_cell(kind):
        raise unreadable(where, kind)
    elif holds_bytes(kind):
        yield Leaf(column, name, steps, None, None, "", field.nullable, sure=False, readable=False)


def _fields(kind: Any, declared: Any, path: tuple[str, ...], steps: tuple[int, ...], where: str) -> Iterator[Leaf]:
    """What lies in the fields of a struct; of a cell, in those beside its own."""
    own = {"bytes", "path"} if _is_cell(kind) else set()
    for number, child in enumerate(kind):
        if child.name not in own:
            inner = _declared_field(declared, child.name)
            yield from _walk(child, inner, (*path, child.name), (*steps, number), where)


def _cell(field: Any, path: tuple[str, ...], steps: tuple[int, ...]) -> Leaf:
    kind, name = field.type, ".".join(path)
    at = kind.get_field_index("bytes")
    path_at = kind.get_field_index("path")
    own = [at] if path_at < 0 else [at, path_at]
    more = kind.num_fields > len(own)
    nullable = all(kind.field(number).nullable for number in own) if more else field.nullable
    return Leaf(path[0], name, steps, at, path_at if path_at >= 0 else None, "", nullable, more=more)


def _is_name(name: str) -> bool:
    low = name.lower()
    return low in NAMES or _NUMBER.sub("", low) in NAMES


def unreadable(where: str, kind: Any) -> DatasetError:
    """The error for a column of a type in which pictures are not read."""
    return DatasetError(
        "pictures lie where they are not read",
        expected="bytes, or struct<bytes, path>, in columns, structs and lists",
        seen=str(kind)[:200],
        where=where,
        todo="Write the table again with `datasets`, the pictures as Image features.",
    )


def places_of(schema: Any, where: str) -> tuple[Leaf, ...]:
    """Every place at which pictures lie or may lie (`Leaf.sure`), in the order of the schema.

    Args:
        schema: the table's `pyarrow.Schema`.
        where: shard, for errors.

    Raises:
        DatasetError: pictures lie inside a type that is not read, or the metadata are damaged.
    """
    features = features_of(schema.metadata, where)
    return tuple(leaf for field in schema for leaf in _walk(field, features.get(field.name), (field.name,), (), where))


def leaves_of(schema: Any, where: str) -> tuple[Leaf, ...]:
    """The places at which pictures lie for sure; see `places_of`."""
    return tuple(leaf for leaf in places_of(schema, where) if leaf.sure)
