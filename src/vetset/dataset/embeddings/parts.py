"""What every layout of embeddings has in common: parts, how a key is found, what is said of a wrong part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.columns import DEFAULTS, key_strings, listed
from vetset.dataset.places import IMAGE_SUFFIXES, Found, suffix_of
from vetset.model.errors import AlignmentError
from vetset.model.vectors import VectorBlock
from vetset.storage.remote import Place

MAX_DIMENSION = 1 << 16
KEY_ROWS = 1 << 16
"""Keys that are handed out together."""
_PATH = "image_path"
KEY_COLUMNS = ("key", _PATH, *(name for name in DEFAULTS["key"] if name != "key"))
"""Columns that are taken for the key, in this order; `image_path` is clip-retrieval's."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is what in a set of embeddings, where names and types do not say it.

    Attributes:
        base: root of the dataset that the embeddings were made of; paths below it are keys of a folder dataset.
        key: column of the dataset's keys, or empty.
        vectors: column, array, tensor or member's extension of the vectors, or empty.
    """

    base: Place | None = None
    key: str = ""
    vectors: str = ""


class EmbeddingPart(Protocol):
    """One file of embeddings, with what lies beside it: row i of all of it is one record."""

    @property
    def where(self) -> str:
        """Name of the part for errors."""
        ...

    @property
    def files(self) -> Sequence[Found]:
        """The files that it consists of, as they were listed."""
        ...

    @property
    def rows(self) -> int:
        """How many rows the part has."""
        ...

    @property
    def dimension(self) -> int:
        """Components of a vector; 0 where no row has one."""
        ...

    def key_batches(self) -> Iterator[pa.StringArray]:
        """The dataset's key of every row, in order, about `KEY_ROWS` at a time.

        Raises:
            AlignmentError: a row has no key, or the part is no rows of vectors.
            DatasetError: it is damaged.
        """
        ...

    def block(self) -> VectorBlock:
        """The vectors; a row without one is NaN, or zeros where the type has no NaN.

        Raises:
            AlignmentError: the part is no rows of vectors.
            DatasetError: it is damaged.
        """
        ...

    def absent(self) -> int:
        """How many rows have no vector; known after a whole pass over the block, or found out by one.

        Raises:
            DatasetError: it is damaged.
        """
        ...

    def write(self, keep: NDArray[np.bool_], out: Path) -> None:
        """Write the rows for which `keep` (rows,) holds, under the same names below `out`; all of them verbatim.

        Raises:
            AlignmentError: `keep` is not one entry for each row, or the part changed.
            DatasetError: the part is damaged, or holds what cannot be divided by rows.
            OutputError: a target exists or cannot be written.
        """
        ...


def refused(problem: str, where: str, expected: str | None = None, seen: str | None = None) -> AlignmentError:
    """The error about a part that cannot be joined."""
    todo = "Write or fetch this part again; a shifted row would accuse the wrong picture."
    return AlignmentError(problem, expected=expected, seen=seen, where=where, todo=todo)


def changed(where: str) -> AlignmentError:
    """The error about a part that is not what it was."""
    return refused("the vectors changed since they were listed", where)


def key_column(names: Sequence[str], choice: Choice, where: str) -> str:
    """Which column holds the keys.

    Raises:
        AlignmentError: none does.
    """
    wanted = [choice.key] if choice.key else KEY_COLUMNS
    chosen = next((name for name in wanted if names.count(name) == 1), None)
    if chosen is None:
        raise AlignmentError(
            "there is no column of keys",
            expected=" or ".join(wanted),
            seen=listed(names),
            where=where,
            todo="Name the column that holds the dataset's keys: expand.key_column in the policy.",
        )
    return chosen


def dataset_keys(column: Any, name: str, choice: Choice, where: str) -> pa.StringArray:
    """The dataset's keys out of the values of a column.

    A path with a picture's suffix (column `image_path`) becomes its path below the dataset's root if it lies there (the
    key in a folder dataset), else its stem (the key in a webdataset).

    Raises:
        AlignmentError: a row has no key.
    """
    if column.null_count:
        raise refused("rows have no key", where, f"{len(column)} keys", f"{len(column) - column.null_count}")
    keys = key_strings(column, 0, len(column), where)
    if name != _PATH:
        return keys
    return pa.array([_key_of_path(path, choice.base) for path in keys.to_pylist()], pa.string())


def _written(base: Place) -> tuple[PurePosixPath, PurePosixPath]:
    """The ways in which a path below a place may have been written down."""
    if isinstance(base, Path):
        return PurePosixPath(base.as_posix()), PurePosixPath(base.resolve().as_posix())
    return PurePosixPath(str(base)), PurePosixPath(str(base).partition("://")[2])


def _key_of_path(path: str, base: Place | None) -> str:
    if suffix_of(path) not in IMAGE_SUFFIXES:
        return path
    pure = PurePosixPath(path)
    if base is not None:
        for root in _written(base):
            if pure.is_relative_to(root):
                return pure.relative_to(root).as_posix()
    return pure.stem
