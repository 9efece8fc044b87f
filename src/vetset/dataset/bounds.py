"""How many rows of a table are held at once. Rows are many and some of their values are large: bytes are the bound."""

from vetset.dataset.arrow_messages import WORST_BYTES

MAX_ROWS = 128
"""Rows of a batch with pictures, at most."""
BATCH_BYTES = 32 << 20
"""Bytes of a batch, about: by the mean of its row group or record batch."""
TABLE_ROWS = 8192
"""Rows of a batch of a table of many small values, at most."""


def batch_rows(size: int, rows: int) -> int:
    """How many rows of a stretch of `rows` that takes `size` bytes are held at once."""
    mean = max(1, size // max(1, rows))
    # `WORST_BYTES` even if every value were as long as the whole stretch, which a dictionary can do
    return max(1, min(MAX_ROWS, BATCH_BYTES // mean, WORST_BYTES // max(1, size)))


def table_batch_rows(size: int, rows: int, longest: int) -> int:
    """The same where pictures are left out: a metadata table of millions of rows is not gone through by the dozen.

    Args:
        size: bytes of the stretch.
        rows: how many it has.
        longest: bytes that one of them may take at most.
    """
    mean = max(1, size // max(1, rows))
    return max(1, min(TABLE_ROWS, BATCH_BYTES // mean, max(MAX_ROWS, WORST_BYTES // max(1, longest))))
