"""Precomputed embeddings as clip-retrieval lays them out.

`img_emb/img_emb_N.npy`, `metadata/metadata_N.parquet` and perhaps `text_emb/text_emb_N.npy` hold the same rows in the
same order.

clip-retrieval writes float16 from `np.save`; its metadata holds `image_path` (a webdataset's `__key__`, or the path of
a file) and, if it was told to keep metadata, the columns of the JSON, `key` among them. A part that is missing or of
another length shifts every later row of a joined index, so parts are checked before anything is joined.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vetset.dataset.columns import key_strings, listed
from vetset.dataset.places import CHUNK, IMAGE_SUFFIXES, copy_file, new_file, open_plain, read_range, suffix_of
from vetset.dataset.tables import check_length, column_names, filter_table, open_table, table_rows
from vetset.model.errors import AlignmentError
from vetset.storage.remote import Place

_TYPES: Mapping[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("<f2", "<f4")}
MAX_DIMENSION = 1 << 16
MAX_HEADER = 10_000
"""Bytes of an npy file's header, as NumPy has it; one of vectors takes about 100."""
_VERSIONS = {b"\x93NUMPY\x01\x00": struct.Struct("<H"), b"\x93NUMPY\x02\x00": struct.Struct("<I")}
_SIDE = rb"(?:0|[1-9][0-9]{0,18})"
_VALUE = rb"(?:True|False|'[<>|=]?[A-Za-z][0-9]{0,9}'|\((?:" + _SIDE + rb", ?)*(?:" + _SIDE + rb")?\))"
_FIELD = re.compile(rb"'(descr|fortran_order|shape)' ?: ?(" + _VALUE + rb")")
_DICTIONARY = re.compile(rb"\{ ?(?:" + _FIELD.pattern + rb" ?, ?){2}" + _FIELD.pattern + rb" ?,? ?\}[ \n]*")
_NUMBER = re.compile(rb"[0-9]+")


@dataclass(frozen=True, slots=True)
class EmbeddingPart:
    """One part of a set of embeddings; row i of all its files is one record.

    Attributes:
        number: N of `img_emb_N.npy`.
        vectors: the picture embeddings, (rows, dimension) float16 or float32.
        metadata: the table of keys, rows long.
        text: the caption embeddings, rows long, or None.
        rows: records of the part.
        dimension: components of a vector.
    """

    number: int
    vectors: Path
    metadata: Path
    text: Path | None
    rows: int
    dimension: int

    @property
    def where(self) -> str:
        """Name of the part for errors."""
        return f"embedding part {self.number}"


@dataclass(frozen=True, slots=True)
class _Header:
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int


def _refused(problem: str, where: str, expected: str | None = None, seen: str | None = None) -> AlignmentError:
    todo = "Write or fetch this part again; a shifted row would accuse the wrong picture."
    return AlignmentError(problem, expected=expected, seen=seen, where=where, todo=todo)


def _header_fields(stream: BinaryIO, where: str) -> tuple[tuple[int, ...], str, bool]:
    """Shape, type and order out of the beginning of an npy file, without evaluating its text as Python does.

    Format: NumPy Enhancement Proposal 1, versions 1.0 and 2.0.
    """
    version = _VERSIONS.get(stream.read(8))
    if version is None:
        raise _refused("a file is no npy array of a known version", where, "version 1.0 or 2.0")
    (length,) = version.unpack(stream.read(version.size).ljust(version.size, b"\0"))
    text = stream.read(min(length, MAX_HEADER + 1))
    fields = dict(_FIELD.findall(text)) if len(text) == length <= MAX_HEADER and _DICTIONARY.fullmatch(text) else {}
    if len(fields) != 3 or fields[b"fortran_order"] not in {b"True", b"False"}:
        raise _refused("the header of an npy file is damaged", where, "descr, fortran_order and shape, once each")
    shape = tuple(int(side) for side in _NUMBER.findall(fields[b"shape"]))
    return shape, fields[b"descr"].strip(b"'\"").decode("ascii"), fields[b"fortran_order"] == b"True"


def _npy_header(path: Path, where: str) -> _Header:
    """Shape, type and data offset of an npy file, proven against its size; nothing is unpickled or mapped."""
    with open_plain(path, where) as (stream, size):
        shape, descr, fortran = _header_fields(stream, where)
        offset = stream.tell()
    if descr not in _TYPES or fortran or len(shape) != 2:
        seen = f"{descr} of {len(shape)} dimensions{' in Fortran order' if fortran else ''}"
        raise _refused("an array that is not rows of vectors", where, "float16 or float32 (rows, dimension)", seen)
    dtype = _TYPES[descr]
    rows, dimension = shape
    if rows < 0 or not 0 < dimension <= MAX_DIMENSION or offset + rows * dimension * dtype.itemsize != size:
        stated = f"{offset} + {rows} × {dimension} × {dtype.itemsize} bytes"
        raise _refused("an npy file is not as long as its header says", where, stated, f"{size} bytes")
    return _Header((rows, dimension), dtype, offset)


def _numbered(folder: Path, name: str, suffix: str) -> dict[int, Path]:
    """Part number → file of `name_N.suffix`."""
    pattern = re.compile(rf"{name}_(\d{{1,9}})\.{suffix}")
    numbered: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        fits = pattern.fullmatch(path.name)
        if fits is None:
            continue
        if int(fits[1]) in numbered:
            raise _refused("two files have one part number", f"{name}_{int(fits[1])}")
        numbered[int(fits[1])] = path
    return numbered


def discover_embeddings(folder: Path) -> list[EmbeddingPart]:
    """The parts of a set of embeddings, by number.

    Raises:
        AlignmentError: there are none, a number is missing, rows or dimensions of a part's files differ, or an array is
            truncated or no array of float16 or float32.
        DatasetError: a metadata table is damaged.
    """
    vectors = _numbered(folder / "img_emb", "img_emb", "npy")
    metadata = _numbered(folder / "metadata", "metadata", "parquet")
    texts = _numbered(folder / "text_emb", "text_emb", "npy")
    if not vectors:
        expected = "img_emb/img_emb_N.npy and metadata/metadata_N.parquet, as clip-retrieval writes them"
        raise _refused("there are no embeddings at this place", folder.name, expected)
    for number in range(max(max(numbers, default=0) for numbers in (vectors, metadata, texts)) + 1):
        present = (number in vectors, number in metadata, not texts or number in texts)
        if not all(present):
            missing = ("img_emb", "metadata", "text_emb")[present.index(False)]
            raise _refused("a part is missing", f"embedding part {number}", f"a {missing} file of this number")
    parts = [_part(number, vectors[number], metadata[number], texts.get(number)) for number in sorted(vectors)]
    for part in parts:
        if part.dimension != parts[0].dimension:
            seen = f"{part.dimension}, part {parts[0].number} has {parts[0].dimension}"
            raise _refused("parts have different dimensions", part.where, "one dimension", seen)
    return parts


def _part(number: int, vectors: Path, metadata: Path, text: Path | None) -> EmbeddingPart:
    where = f"embedding part {number}"
    rows, dimension = _npy_header(vectors, where).shape
    table = table_rows(metadata, where)
    if table != rows:
        raise _refused("vectors and metadata are of different length", where, f"{rows} rows of metadata", str(table))
    if text is not None and (captions := _npy_header(text, where).shape[0]) != rows:
        raise _refused("picture and text vectors are of different number", where, str(rows), str(captions))
    return EmbeddingPart(number, vectors, metadata, text, rows, dimension)


def read_keys(part: EmbeddingPart, column: str | None = None, *, base: Place | None = None) -> Any:
    """The dataset's key of every row, as a `pyarrow.StringArray` (rows,).

    Taken from `column`, else from `key`, else from `image_path`. A path with a picture's suffix becomes its path below
    `base` if that is given and holds it (the key in a folder dataset), else its stem (the key in a webdataset).

    Args:
        part: which part.
        column: name of the key column, if it has another name.
        base: root of the folder dataset that the embeddings were made of.

    Raises:
        AlignmentError: there is no such column, or a row has no key.
        DatasetError: the table is damaged.
    """
    with open_table(part.metadata, part.where) as table:
        names = column_names(table)
        chosen = next((name for name in ([column] if column else ["key", "image_path"]) if name in names), None)
        if chosen is None:
            raise AlignmentError(
                "the metadata has no column of keys",
                expected=column or "key or image_path",
                seen=listed(names),
                where=part.where,
                todo="Name the column that holds the dataset's key.",
            )
        values = table.read(columns=[chosen])[chosen]
    if len(values) != part.rows or values.null_count:
        raise _refused("rows of the metadata have no key", part.where, f"{part.rows} keys")
    keys = key_strings(values, 0, part.rows, part.where)
    if chosen != "image_path":
        return keys
    return pa.array([_key_of_path(path, base) for path in keys.to_pylist()], pa.string())


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


def open_vectors(part: EmbeddingPart) -> NDArray[Any]:
    """The vectors, memory-mapped read-only: (rows, dimension) float16 or float32.

    Raises:
        AlignmentError: the file is no longer as it was discovered.
    """
    header = _npy_header(part.vectors, part.where)
    if header.shape != (part.rows, part.dimension):
        raise _refused("the vectors changed since they were listed", part.where)
    if part.rows == 0:
        return np.zeros(header.shape, header.dtype)
    return np.memmap(part.vectors, header.dtype, "r", header.offset, header.shape)


def write_part(part: EmbeddingPart, keep: NDArray[np.bool_], out_folder: Path) -> None:
    """Write the rows that are kept, of vectors, captions and metadata together, under the same names.

    Args:
        part: which part.
        keep: bool (rows,).
        out_folder: root of the new set of embeddings.

    Raises:
        AlignmentError: `keep` is not one entry for each row, or the part changed since it was listed.
        OutputError: a target exists or cannot be written.
    """
    check_length(keep, part.rows, part.where)
    arrays = [path for path in (part.vectors, part.text) if path is not None]
    for path in (*arrays, part.metadata):
        uri = f"{path.parent.name}/{path.name}"
        if keep.all():
            copy_file(path, out_folder, uri)
            continue
        with new_file(out_folder, uri) as target:
            if path is part.metadata:
                filter_table(path, keep, target, part.where)
            else:
                _filter_array(path, keep, target, part.where)


def _filter_array(path: Path, keep: NDArray[np.bool_], target: Path, where: str) -> None:
    header = _npy_header(path, where)
    if header.shape[0] != len(keep):
        raise _refused("an array changed since it was listed", where)
    width = header.shape[1] * header.dtype.itemsize
    step = max(1, CHUNK // width)
    with open_plain(path, where) as (stream, _), target.open("wb") as sink:
        _write_header(sink, (int(keep.sum()), header.shape[1]), header.dtype)
        for first in range(0, len(keep), step):
            last = min(first + step, len(keep))
            data = b"".join(read_range(stream, header.offset + first * width, header.offset + last * width, where))
            sink.write(np.frombuffer(data, np.uint8).reshape(-1, width)[keep[first:last]].tobytes())


def _write_header(sink: BinaryIO, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(sink, {"descr": descr, "fortran_order": False, "shape": shape})


def write_new(
    folder: Path,
    number: int,
    vectors: NDArray[np.floating[Any]],
    keys: Sequence[str],
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> EmbeddingPart:
    """Write a new part as clip-retrieval does.

    Args:
        folder: root of the set of embeddings.
        number: part number.
        vectors: (rows, dimension); stored as float32 if they are, else as float16.
        keys: the dataset's key of every row; becomes `image_path` and `key`.
        columns: further columns of the metadata.

    Raises:
        AlignmentError: lengths differ.
        OutputError: the part exists or cannot be written.
    """
    where = f"embedding part {number}"
    lengths = {len(keys), len(vectors), *(len(values) for values in (columns or {}).values())}
    if len(lengths) != 1 or vectors.ndim != 2:
        raise _refused("vectors, keys and columns are of different length", where, f"{len(vectors)} rows")
    stored = np.ascontiguousarray(vectors, dtype="<f4" if vectors.dtype == np.float32 else "<f2")
    table = pa.table({"image_path": pa.array(keys, pa.string()), "key": pa.array(keys, pa.string()), **(columns or {})})
    vectors_uri, metadata_uri = f"img_emb/img_emb_{number}.npy", f"metadata/metadata_{number}.parquet"
    with new_file(folder, vectors_uri) as target, target.open("wb") as sink:
        _write_header(sink, (stored.shape[0], stored.shape[1]), stored.dtype)
        sink.write(stored.tobytes())
    with new_file(folder, metadata_uri) as target:
        pq.write_table(table, str(target))
    return _part(number, folder / vectors_uri, folder / metadata_uri, None)
