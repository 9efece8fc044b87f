"""Arrays with a table of keys beside them: row i of every array of a part and of its table is one record.

Layout `arrays`: `STEM.npy`, `STEM.safetensors` or `STEM.npz` (DataComp's), and `STEM.parquet` in the same folder.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.embeddings.npy import npy_rows, write_npy_header
from vetset.dataset.embeddings.npz import read_arrays
from vetset.dataset.embeddings.parts import KEY_ROWS, Choice, dataset_keys, key_column, refused
from vetset.dataset.embeddings.rows import StoredRows
from vetset.dataset.embeddings.safetensors import read_tensors
from vetset.dataset.places import Found, copy_file, new_file, place_found, suffix_of, writable
from vetset.dataset.tables import (
    check_length,
    check_rows,
    column_names,
    filter_table,
    grouped_batches,
    open_table,
    table_rows,
)
from vetset.model.errors import AlignmentError
from vetset.storage.commit import PARTIAL
from vetset.storage.remote import Place


class Container(Protocol):
    """An open file of arrays."""

    def candidates(self) -> Sequence[str]:
        """Names of arrays that could be rows of vectors."""
        ...

    def rows(self, name: str) -> StoredRows:
        """The rows of one of them."""
        ...

    def write(self, keep: NDArray[np.bool_], target: Path) -> None:
        """Write the kept rows of every array of the file."""
        ...


@dataclass(frozen=True, slots=True)
class _Npy:
    """A file of one array, which has no name."""

    stored: StoredRows

    def candidates(self) -> Sequence[str]:
        return ("",)

    def rows(self, name: str) -> StoredRows:  # noqa: ARG002  one protocol
        return self.stored

    def write(self, keep: NDArray[np.bool_], target: Path) -> None:
        with target.open("wb") as sink:
            write_npy_header(sink, int(np.count_nonzero(keep)), self.stored.dimension, self.stored.numbers)
            self.stored.stretch.copy(keep, sink)


OPENERS: Mapping[str, Callable[[Place, str], Container]] = {
    "npy": lambda place, where: _Npy(npy_rows(place, where)),
    "safetensors": read_tensors,
    "npz": read_arrays,
}
"""How a file of arrays is opened, by its suffix."""


def chosen_array(container: Container, choice: Choice, where: str) -> StoredRows:
    """The array that holds the vectors.

    Raises:
        AlignmentError: none does, or it is not clear which.
    """
    names = list(container.candidates())
    if names == [""] or (len(names) == 1 and not choice.vectors):
        return container.rows(names[0])
    if choice.vectors in names:
        return container.rows(choice.vectors)
    raise AlignmentError(
        "it is not clear which array holds the vectors of the pictures",
        expected=repr(choice.vectors) if choice.vectors else "one array of vectors",
        seen=", ".join(repr(name[:60]) for name in names[:20]) or "none",
        where=where,
        todo="Name it: expand.vector_column in the policy.",
    )


@dataclass(frozen=True, slots=True)
class ArrayPart:
    """A part whose vectors lie in an array; an `EmbeddingPart`.

    Attributes:
        where: name of the part for errors.
        root: place of the set of embeddings.
        files: arrays first, the one with the vectors before others; the table last.
        vectors: the vectors.
        choice: what is what.
    """

    where: str
    root: Place
    files: tuple[Found, ...]
    vectors: StoredRows
    choice: Choice

    @property
    def rows(self) -> int:
        """How many rows the part has."""
        return self.vectors.rows

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self.vectors.dimension

    @property
    def metadata(self) -> Place:
        """The table of keys."""
        return place_found(self.root, self.files[-1])

    def key_batches(self) -> Iterator[pa.StringArray]:
        """The dataset's key of every row; see `EmbeddingPart`.

        Raises:
            AlignmentError: there is no column of keys, or a row has none.
            DatasetError: the table is damaged.
        """
        read = 0
        with open_table(self.metadata, self.where) as table:
            name = key_column(column_names(table), self.choice, self.where)
            for batch in grouped_batches(table, KEY_ROWS, self.where, [name]):
                read += len(batch)
                yield dataset_keys(batch[name], name, self.choice, self.where)
        check_rows(read, self.rows, self.where)

    def block(self) -> StoredRows:
        """The vectors."""
        return self.vectors

    def absent(self) -> int:
        """None: an array has a vector in every row."""
        return 0

    def write(self, keep: NDArray[np.bool_], out: Path) -> None:
        """Write the rows that are kept, of all arrays and the table, under the same names.

        Raises:
            AlignmentError: `keep` is not one entry for each row, or the part changed since it was listed.
            DatasetError: the table is damaged.
            OutputError: a target exists or cannot be written.
        """
        check_length(keep, self.rows, self.where)
        for found in self.files:
            with local_copy(place_found(self.root, found), out, self.where) as here:
                if keep.all():
                    copy_file(here, out, found.uri)
                    continue
                with new_file(out, found.uri) as target:
                    if found is self.files[-1]:
                        filter_table(here, keep, target, self.where)
                    else:
                        OPENERS[suffix_of(found.uri)](here, self.where).write(keep, target)


@contextmanager
def local_copy(source: Place, out: Path, where: str) -> Iterator[Path]:
    """A local file itself; of a remote one a whole copy below `out` that goes again.

    So what is asked of the other side is the same whether rows are taken out of a file or not.
    """
    if isinstance(source, Path):
        yield source
        return
    uri = f"{secrets.token_hex(8)}.fetched{PARTIAL}"
    try:
        copy_file(source, out, uri, where=where)
        yield out / uri
    finally:
        with writable(out.name):
            (out / uri).unlink(missing_ok=True)


def array_part(where: str, root: Place, files: Sequence[Found], choice: Choice) -> ArrayPart:
    """A part out of its files: arrays, the one with the vectors first, and the table of keys last.

    Raises:
        AlignmentError: array and table are of different length, or no array is rows of vectors.
        DatasetError: a file is damaged.
    """
    first, *others, table = files
    vectors = chosen_array(OPENERS[suffix_of(first.uri)](place_found(root, first), where), choice, where)
    for other in others:
        if (count := npy_rows(place_found(root, other), where).rows) != vectors.rows:
            raise refused("picture and text vectors are of different number", where, str(vectors.rows), str(count))
    rows = table_rows(place_found(root, table), where)
    if rows != vectors.rows:
        raise refused("vectors and metadata are of different length", where, f"{vectors.rows} rows of keys", str(rows))
    return ArrayPart(where, root, tuple(files), vectors, choice)


def array_files(files: Mapping[str, Found]) -> list[tuple[Found, str]]:
    """Files of arrays by name, and the uri of the table that belongs beside each."""
    arrays = [(files[uri], uri.rpartition(".")[0]) for uri in sorted(files) if suffix_of(uri) in OPENERS]
    return [(found, f"{stem}.parquet") for found, stem in arrays]


def arrays_beside(root: Place, files: Mapping[str, Found], choice: Choice) -> list[ArrayPart]:
    """Every array with the table beside it, by name.

    Raises:
        AlignmentError: an array has no table, two arrays have one, or a part is damaged.
    """
    parts, taken = [], set()
    for number, (found, table) in enumerate(array_files(files)):
        where = f"embedding part {number}"
        if table not in files:
            todo = "Write the keys of its rows, in their order, to a parquet file of the same name."
            raise AlignmentError("an array has no table of keys", expected="STEM.parquet", where=where, todo=todo)
        if table in taken:
            raise refused("two arrays have one table of keys", where, "one array for each table")
        taken.add(table)
        parts.append(array_part(where, root, (found, files[table]), choice))
    return parts
