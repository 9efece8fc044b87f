"""Blocks of embedding rows, from arrays or .npy files, handed out in chunks through one buffer.

A file is read with plain reads and never mapped: one that is cut short meanwhile costs an error, not the process.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import AlignmentError, DatasetError

_TYPES: dict[str, np.dtype[Any]] = {"<f2": np.dtype("<f2"), "<f4": np.dtype("<f4")}
_LONGEST_HEADER = 10_000
# Possessive throughout: no header takes longer than its length.
_HEADER = re.compile(
    rb"\{ *+'descr': *+'([<>|=]?[A-Za-z][0-9]{0,4})', *+'fortran_order': *+(True|False), *+"
    rb"'shape': *+\(([0-9, ]*+)\) *+,? *+\}[ \n]*+"
)
_AXIS = re.compile(r" *+[0-9]{1,18} *+")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of rows, not yet read.

    Attributes:
        number: position among the blocks, from 0.
        rows: number of rows.
        dtype: float16 or float32.
        source: the array, or the path of an .npy file.
        offset: first byte of the rows in the file.
    """

    number: int
    rows: int
    dtype: np.dtype[Any]
    source: NDArray[Any] | Path
    offset: int = 0


def open_block(source: NDArray[Any] | str | os.PathLike[str], number: int, dimension: int) -> Block:
    """Check a block's type, shape and size before anything of it is read.

    Args:
        source: float16 or float32 (rows, dimension), or the path of an .npy file that holds such an array in C order.
        number: position among the blocks, for errors.
        dimension: columns expected.

    Raises:
        AlignmentError: another dimension than expected.
        DatasetError: another type, pickled objects, a file that is cut short or no .npy file.
    """
    if isinstance(source, np.ndarray):
        _check(source.dtype, source.shape, number, dimension)
        return Block(number, source.shape[0], source.dtype, source)
    path = Path(source)
    try:
        with path.open("rb") as file:
            dtype, shape, offset = _header(file, number)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _unreadable(number, error) from error
    _check(dtype, shape, number, dimension)
    wanted = offset + math.prod(shape) * dtype.itemsize
    if size != wanted:
        raise DatasetError(
            "an .npy file of another size than its header says",
            expected=f"{wanted} bytes",
            seen=f"{size} bytes",
            where=f"block {number}",
            todo="Fetch or write the file again.",
        )
    return Block(number, shape[0], dtype, path, offset)


def chunks(block: Block, dimension: int, rows: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """The rows of a block, in order, as (first row, array); the array is overwritten by the next chunk.

    Args:
        block: what `open_block` returned.
        dimension: columns.
        rows: most rows of a chunk.

    Raises:
        DatasetError: the file ends early or cannot be read.
    """
    buffer = np.empty((min(rows, block.rows), dimension), block.dtype)
    if isinstance(block.source, np.ndarray):
        for start in range(0, block.rows, rows):
            chunk = buffer[: block.rows - start]
            np.copyto(chunk, block.source[start : start + rows])
            yield start, chunk
        return
    try:
        with block.source.open("rb", buffering=0) as file:
            file.seek(block.offset)
            for start in range(0, block.rows, rows):
                chunk = buffer[: block.rows - start]
                _fill(file, chunk, block.number)
                yield start, chunk
    except OSError as error:
        raise _unreadable(block.number, error) from error


def _header(file: BinaryIO, number: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Type, shape and first byte of the data.

    The header is matched, not evaluated as the Python literal that it is: a hostile one costs an error, no more.
    Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    start = file.read(12)
    length_bytes = {1: 2, 2: 4, 3: 4}.get(start[6] if len(start) == 12 and start[:6] == b"\x93NUMPY" else 0, 0)
    length = int.from_bytes(start[8 : 8 + length_bytes], "little")
    file.seek(8 + length_bytes)
    found = _HEADER.fullmatch(file.read(length)) if length <= _LONGEST_HEADER else None
    if not length_bytes or found is None:
        raise DatasetError(
            "not an .npy file of plain numbers",
            expected="the header of an array that np.save wrote",
            where=f"block {number}",
            todo="Fetch or write the file again.",
        )
    kind, fortran, axes = (part.decode("ascii") for part in found.groups())
    shape = tuple(int(axis) if _AXIS.fullmatch(axis) else -1 for axis in axes.removesuffix(",").split(",") if axes)
    if "O" in kind:
        raise DatasetError(
            "an .npy file of pickled objects, which is never loaded",
            expected="float16 or float32",
            where=f"block {number}",
        )
    if fortran == "True" and min(shape, default=0) > 1:
        raise DatasetError(
            "an .npy file in column order",
            expected="rows one after the other",
            where=f"block {number}",
            todo="Save it again with np.ascontiguousarray.",
        )
    return _TYPES.get(kind, np.dtype(np.void)), shape, file.tell()


def _check(dtype: np.dtype[Any], shape: tuple[int, ...], number: int, dimension: int) -> None:
    if dtype not in _TYPES.values() or len(shape) != 2 or min(shape) < 0:
        raise DatasetError(
            "a block of another type or shape",
            expected="float16 or float32 (rows, dimension)",
            seen=f"{dtype.name} with {len(shape)} axes",
            where=f"block {number}",
        )
    if shape[1] != dimension:
        raise AlignmentError(
            "a block of another dimension than the seeds'",
            expected=f"{dimension}",
            seen=f"{shape[1]}",
            where=f"block {number}",
            todo="Use the embeddings of one model for seeds and blocks.",
        )


def _fill(file: Any, chunk: NDArray[Any], number: int) -> None:
    view = memoryview(chunk.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # an array is a buffer
    while view:
        got = file.readinto(view)
        if not got:
            raise DatasetError("an .npy file ended while it was read", where=f"block {number}")
        view = view[got:]


def _unreadable(number: int, error: OSError) -> DatasetError:
    # The errno text only: str(error) may repeat a file name of the dataset.
    return DatasetError(f"reading failed ({error.strerror or type(error).__name__})", where=f"block {number}")
