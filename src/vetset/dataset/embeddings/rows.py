"""Vectors that lie side by side in a file, as a block: of an npy file, of a tensor, of an array in an archive.

A pass reads with plain reads into the caller's buffer and maps nothing: a file that is cut meanwhile costs an error,
not the process. Of a remote file the pass is one stretch that is fetched ahead, and does not depend on who asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.embeddings.parts import MAX_DIMENSION, changed, refused
from vetset.dataset.places import CHUNK, open_pass, open_plain, readable
from vetset.dataset.tables import check_length
from vetset.model.errors import UsageError
from vetset.model.vectors import Fill
from vetset.storage.remote import Place

BFLOAT16 = "bfloat16"
STORED: dict[str, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "int8": np.dtype("i1"),
    BFLOAT16: np.dtype("<u2"),
}
"""Types of numbers that are read, and how they lie in a file."""
KNOWN_TYPES = "float16, float32, bfloat16 or int8"
_WIDENED = 1 << 20
"""Values that are widened in one go."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows of equal width in a file; a `VectorBlock`.

    Attributes:
        place: the file.
        where: part, for errors.
        rows: how many there are.
        dimension: components of a vector.
        numbers: name of their type, a key of `STORED`; bfloat16 is widened to float32, which holds it exactly.
        offset: first byte.
        size: bytes of the whole file, which must stay what they were.
    """

    place: Place
    where: str
    rows: int
    dimension: int
    numbers: str
    offset: int
    size: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """float16, float32 or int8."""
        return np.dtype("<f4") if self.numbers == BFLOAT16 else STORED[self.numbers]

    @property
    def width(self) -> int:
        """Bytes of one row."""
        return self.dimension * STORED[self.numbers].itemsize

    @property
    def end(self) -> int:
        """Where the last row ends."""
        return self.offset + self.rows * self.width

    @property
    def stretch(self) -> "Stretch":
        """Where they lie."""
        return Stretch(self.place, self.where, self.rows, self.width, self.offset, self.size)

    @contextmanager
    def open(self) -> Iterator[Fill]:
        """Begin a pass; see `VectorBlock`.

        Raises:
            AlignmentError: the file is not as long as it was.
            DatasetError: it cannot be opened or read, or changed meanwhile.
        """
        with readable(self.where), open_pass(self.place, self.offset, self.end) as (stream, size):
            if size != self.size:
                raise changed(self.where)
            left = self.rows

            def fill(out: NDArray[Any]) -> None:
                nonlocal left
                left -= len(out)
                if left < 0:
                    raise UsageError("more rows were asked for than the block has", where=self.where)
                with readable(self.where):
                    self._fill(stream, out)

            yield fill

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """These rows; see `VectorBlock`. Of a remote file the requests tell which rows were asked for.

        Raises:
            AlignmentError: the file is not as long as it was.
            DatasetError: it cannot be read.
        """
        out = np.empty((len(rows), self.dimension), self.dtype)
        with open_plain(self.place, self.where) as (stream, size):
            if size != self.size:
                raise changed(self.where)
            cuts = [*np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist(), len(rows)]
            for start, stop in pairwise(cuts):
                stream.seek(self.offset + int(rows[start]) * self.width)
                self._fill(stream, out[start:stop])
        return out

    def _fill(self, stream: Any, out: NDArray[Any]) -> None:
        """The next rows, read straight into the caller's memory where they need no widening."""
        if out.dtype != self.dtype or out.shape[1:] != (self.dimension,) or not out.flags.c_contiguous:
            raise UsageError("rows are read into an array of another type or shape", where=self.where)
        if self.numbers != BFLOAT16:
            _read_into(stream, out, self.where)
            return
        step = max(1, _WIDENED // self.dimension)
        held = np.empty((min(step, len(out)), self.dimension), np.uint16)
        for first in range(0, len(out), step):
            piece = out[first : first + step]
            _read_into(stream, held[: len(piece)], self.where)
            np.left_shift(held[: len(piece)], np.uint32(16), out=piece.view(np.uint32), dtype=np.uint32)


def _read_into(stream: Any, out: NDArray[Any], where: str) -> None:
    view = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # an array is a buffer
    while view:
        got = stream.readinto(view)
        if not got:
            raise changed(where)
        view = view[got:]


def checked_rows(
    place: Place, where: str, shape: tuple[int, ...], numbers: str, at: tuple[int, int, int]
) -> StoredRows:
    """Rows whose shape, type and place were stated by a header; nothing is allocated for what it claims.

    Args:
        place: the file.
        where: part, for errors.
        shape: stated.
        numbers: name of their type, as the header has it where it is not known.
        at: first byte, end, and bytes of the whole file.

    Raises:
        AlignmentError: they are no rows of vectors, or are not as long as stated.
    """
    offset, end, size = at
    if numbers not in STORED or len(shape) != 2:
        seen = f"{numbers} of {len(shape)} dimensions"
        raise refused("an array that is not rows of vectors", where, f"{KNOWN_TYPES} (rows, dimension)", seen)
    rows, dimension = shape
    width = STORED[numbers].itemsize
    if not 0 < dimension <= MAX_DIMENSION or rows < 0 or offset + rows * dimension * width != end or end > size:
        stated = f"{offset} + {rows} × {dimension} × {width} bytes"
        raise refused("an array is not as long as its header says", where, stated, f"{end} of {size} bytes")
    return StoredRows(place, where, rows, dimension, numbers, offset, size)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of bytes in a file, whatever they mean.

    Attributes:
        place: the file.
        where: part, for errors.
        rows: how many there are.
        width: bytes of one row.
        offset: first byte.
        size: bytes of the whole file, which must stay what they were.
    """

    place: Place
    where: str
    rows: int
    width: int
    offset: int
    size: int

    def copy(self, keep: NDArray[np.bool_], sink: BinaryIO | IO[bytes]) -> None:
        """Write the rows that are kept as they lie.

        Args:
            keep: bool (rows,).
            sink: where to.

        Raises:
            AlignmentError: the file is not as long as it was, or `keep` is not.
            DatasetError: it cannot be read.
        """
        check_length(keep, self.rows, self.where)
        step = max(1, CHUNK // max(1, self.width))
        buffer = np.empty((min(step, self.rows), self.width), np.uint8)
        end = self.offset + self.rows * self.width
        with readable(self.where), open_pass(self.place, self.offset, end) as (stream, size):
            if size != self.size:
                raise changed(self.where)
            for first in range(0, self.rows, step):
                piece = buffer[: self.rows - first]
                _read_into(stream, piece, self.where)
                sink.write(piece[keep[first : first + step]].tobytes())
