"""Bytes as words for compiled loops."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_words(rows: NDArray[np.uint8], word: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """Rows of bytes as rows of words, contiguous, aligned and writable: one type for the compiler.

    Writable in name: the loops write to no codes. So the memory of a list, which is decrypted once and marked as not
    to be written to, is searched where it lies; a copy is made only of what cannot be had so.

    Args:
        rows: uint8 (n, width), width a multiple of the word's size.
        word: `np.uint32` or `np.uint64`.
    """
    words = np.ascontiguousarray(rows).view(word)
    if not words.flags.aligned:
        return words.copy()
    try:
        words.flags.writeable = True  # of this view alone
    except ValueError:  # memory that is nobody's to write to
        return words.copy()
    return words
