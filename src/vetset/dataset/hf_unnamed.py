"""Columns of bytes that nobody calls pictures, neither by type nor by name nor by declaration: what lies in them tells.

The first values that are there are looked at, at their first bytes only. A picture among them makes the place one of
pictures, as if it were called so.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vetset.dataset.arrays import is_list
from vetset.dataset.beginnings import NEEDED, begins_as_picture
from vetset.dataset.hf_schema import ITEMS, Leaf, places_of, unreadable
from vetset.dataset.hf_tables import open_rows
from vetset.model.errors import DatasetError
from vetset.storage.remote import Place

LOOKED_AT = 16
"""How many values of a column say what is in it."""
LEAST = 65
"""Bytes of the shortest value that is looked at: what is shorter may be a digest that begins as a picture does."""


def _byte_arrays(array: Any) -> Iterator[Any]:
    """The arrays of bytes in an array, at any depth."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _byte_arrays(array.storage)
    elif pa.types.is_dictionary(kind):
        yield from _byte_arrays(array.dictionary)
    elif pa.types.is_map(kind):
        yield from _byte_arrays(array.keys)
        yield from _byte_arrays(array.items)
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            yield from _byte_arrays(child)
    elif is_list(kind) or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        yield from _byte_arrays(array.flatten())
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        yield array


def _heads(column: Any, leaf: Leaf) -> Iterator[bytes]:
    """The first bytes of the first values of a place; none of those that are too short for a picture."""
    array = column
    for step in leaf.steps:
        array = array.flatten() if step == ITEMS else array.flatten()[step]
    for values in _byte_arrays(array):
        for at in np.flatnonzero(np.asarray(values.is_valid()))[:LOOKED_AT].tolist():
            stored = values[at].as_buffer()
            if stored is not None and stored.size:
                yield stored.slice(0, NEEDED).to_pybytes() if stored.size >= LEAST else b""


def _holding_pictures(path: Place, where: str, unsure: Sequence[Leaf]) -> set[Leaf]:
    looked, found = dict.fromkeys(unsure, 0), set()
    with open_rows(path, where) as file:
        for _, batch in file.batches(tuple(dict.fromkeys(leaf.column for leaf in unsure))):
            for leaf in [leaf for leaf, count in looked.items() if count < LOOKED_AT]:
                heads = list(_heads(batch.column(leaf.column), leaf))
                looked[leaf] += len(heads)
                if any(map(begins_as_picture, heads)):
                    found.add(leaf)
                    looked[leaf] = LOOKED_AT
            if min(looked.values()) >= LOOKED_AT:
                break
    return found


def same_name(where: str) -> DatasetError:
    """The error for a table in which a name does not tell a column."""
    return DatasetError(
        "two columns have one name",
        where=where,
        todo="Rename one of them; `datasets` does not load such a table either.",
    )


def picture_leaves(schema: Any, path: Place, where: str) -> tuple[Leaf, ...]:
    """Every place of a file at which pictures lie, in the order of the schema.

    Args:
        schema: the file's.
        path: the file, which is opened once more where its schema leaves a column open.
        where: its uri, for errors.

    Raises:
        DatasetError: pictures lie inside a type that is not read, or the file is damaged, or a name does not tell which
            column has to be looked at.
    """
    places = places_of(schema, where)
    unsure = [leaf for leaf in places if not leaf.sure]
    if any(schema.names.count(leaf.column) > 1 for leaf in unsure):
        raise same_name(where)
    found = _holding_pictures(path, where, unsure) if unsure else set()
    for leaf in found:
        if not leaf.readable:
            raise unreadable(where, schema.field(leaf.column).type)
    return tuple(leaf for leaf in places if leaf.sure or leaf in found)


def require_same_places(schema: Any, copy: Path, where: str, places: Collection[Leaf]) -> None:
    """Refuse a copy in which pictures are found elsewhere than in what it was made of.

    What lies in a column of bytes says what it is, and another value may be the first of the copy's.

    Args:
        schema: the copy's.
        copy: the file, written.
        where: its uri, for errors.
        places: where pictures lie that stayed, and where the schema says that there are some.

    Raises:
        DatasetError: they are found elsewhere.
    """
    if set(picture_leaves(schema, copy, where)) != set(places):
        raise DatasetError(
            "a column holds pictures and other files, and nothing but its first values says that it holds pictures",
            expected="pictures in columns of their own, or in one that is declared an Image",
            where=where,
            todo="Cast the column with `datasets`, `cast_column(NAME, Image())`, save the dataset, and audit that.",
        )
