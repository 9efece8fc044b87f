"""The columns of a stored part: one row per record, one column per kind and variant, one reason per kind.

    row int64 · key string
    md5, md5.declared … fixed_size_binary        null where there is no such signal
    pdq fixed_size_binary(32) · pdq.quality uint8
    pdq.white, pdq.white.quality …               one pair for each further variant that the scan policy names
    md5.why, pdq.why … uint8                     0: some variant decides; else `Reason.code`

A metadata table stores no pictures, and its part no further variants. Nothing here tells whether a list was ever held
against the store.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.model.coverage import Coverage
from vetset.model.signal import REASON_OF_CODE, Kind, Variant

VARIANTS: Mapping[Kind, tuple[Variant, ...]] = {
    Kind.MD5: (Variant.STORED, Variant.DECLARED),
    Kind.SHA1: (Variant.STORED, Variant.DECLARED),
    Kind.SHA256: (Variant.STORED, Variant.DECLARED),
    Kind.URL_MD5: (Variant.STORED,),
    Kind.URL_SHA256: (Variant.STORED,),
    Kind.PDQ: (Variant.STORED,),
    Kind.EMBEDDING: (),
}
"""Which forms of a record each kind is stored for, whatever the policy; embeddings lie in a file beside the part."""


def column_of(kind: Kind, variant: Variant) -> str:
    """Name of the column that holds a kind of signal of one variant."""
    return kind.value if variant is Variant.STORED else f"{kind.value}.{variant.value}"


def why_of(kind: Kind) -> str:
    """Name of the column that holds the reason why a record has no signal of a kind."""
    return f"{kind.value}.why"


QUALITY = "pdq.quality"


def quality_of(variant: Variant) -> str:
    """Name of the column that holds the PDQ quality of one variant."""
    return f"{column_of(Kind.PDQ, variant)}.quality"


def variants_of(kind: Kind, further: Sequence[Variant] = ()) -> tuple[Variant, ...]:
    """Variants of a kind, in the order of their columns; `further` are those of PDQ beside the stored picture."""
    return (*VARIANTS[kind], *further) if kind is Kind.PDQ else VARIANTS[kind]


def part_schema(kinds: Iterable[Kind], further: Sequence[Variant] = ()) -> pa.Schema:
    """Schema of a part that holds these kinds, and these variants of PDQ beside the stored picture."""
    columns = [pa.field("row", pa.int64(), nullable=False), pa.field("key", pa.string(), nullable=False)]
    for kind in kinds:
        for variant in variants_of(kind, further):
            columns.append(pa.field(column_of(kind, variant), pa.binary(kind.width)))
            if kind is Kind.PDQ:
                columns.append(pa.field(quality_of(variant), pa.uint8()))
        columns.append(pa.field(why_of(kind), pa.uint8(), nullable=False))
    return pa.schema(columns)


@dataclass(frozen=True, slots=True)
class Values:
    """Signals of one kind and variant.

    Attributes:
        values: uint8 (n, width); rows without a signal are zero.
        present: bool (n,).
    """

    values: NDArray[np.uint8] = field(repr=False)
    present: NDArray[np.bool_] = field(repr=False)

    def to_arrow(self) -> pa.Array:
        """The fixed-size binary array, null where there is no signal."""
        count, width = self.values.shape
        mask = np.packbits(self.present, bitorder="little").tobytes()
        data = np.ascontiguousarray(self.values).tobytes()
        return pa.Array.from_buffers(pa.binary(width), count, [pa.py_buffer(mask), pa.py_buffer(data)])

    @classmethod
    def none(cls, count: int, width: int) -> "Values":
        """For so many records, none of which has a signal."""
        return cls(np.zeros((count, width), np.uint8), np.zeros(count, np.bool_))

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray | pa.Array, width: int) -> "Values":
        """From a fixed-size binary column of that width."""
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        values = [np.zeros((0, width), np.uint8)]
        present = [np.zeros(0, np.bool_)]
        for chunk in chunks:
            data = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)
            start = chunk.offset * width
            block = data[start : start + len(chunk) * width].reshape(len(chunk), width)
            mask = np.asarray(chunk.is_valid())
            values.append(np.where(mask[:, None], block, np.uint8(0)))
            present.append(mask)
        return cls(np.concatenate(values), np.concatenate(present))

    @classmethod
    def of(cls, values: Sequence[bytes | None], width: int) -> "Values":
        """From one value or None per record."""
        present = np.fromiter((value is not None for value in values), np.bool_, len(values))
        joined = b"".join(bytes(width) if value is None else value for value in values)
        return cls(np.frombuffer(joined, np.uint8).reshape(len(values), width), present)


def why_coverage(kind: Kind, records: int, why: NDArray[np.uint8], present: NDArray[np.bool_]) -> Coverage:
    """Coverage of one kind.

    `records` is the reader's own count. Decided is counted from the signals, undecided from the reasons: where the two
    columns contradict each other, or a row was lost, the coverage does not balance and its `check` refuses it.

    Args:
        kind: which kind.
        records: what the reader counted.
        why: uint8 (n,) reason codes, 0 where there is a signal.
        present: bool (n,) whether any variant that decides has a signal.
    """
    codes, counts = np.unique(why[why != 0], return_counts=True)
    undecided = {REASON_OF_CODE[int(code)]: int(count) for code, count in zip(codes, counts, strict=True)}
    return Coverage(kind, records, int(np.count_nonzero(present)), dict(sorted(undecided.items())))
