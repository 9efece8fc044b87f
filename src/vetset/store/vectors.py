"""Computed embeddings on their way into a file: rows are written as they come, their number at the end."""

from io import BytesIO, FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vetset.storage.commit import write_all


class VectorFile:
    """An `.npy` file of float16 (n, d) that grows. NumPy's header has room for a first axis of any length.

    Args:
        path: where it is written; nothing is there before the first rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None
        self._rows = 0
        self._dimension = 0

    @property
    def begun(self) -> bool:
        """Whether any rows came."""
        return self._file is not None

    def append(self, vectors: NDArray[np.float16]) -> None:
        """Add rows, float16 (n, d).

        Raises:
            OSError: the disk is full.
        """
        if self._file is None:
            self._file = self.path.open("wb", buffering=0)
            self._dimension = vectors.shape[1]
            self._header(self._file)
        write_all(self._file, np.ascontiguousarray(vectors).data)
        self._rows += len(vectors)

    def _header(self, file: FileIO) -> None:
        header = BytesIO()
        shape = (self._rows, self._dimension)
        np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": shape})
        write_all(file, header.getvalue())

    def finish(self) -> None:
        """State the number of rows and close.

        Raises:
            OSError: the disk is full.
        """
        if self._file is not None:
            self._file.seek(0)
            self._header(self._file)
            self._file.close()

    def close(self) -> None:
        """Close, finished or not."""
        if self._file is not None:
            self._file.close()
