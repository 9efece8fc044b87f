"""The columns of a stored part: one row per record, one column per kind and variant, one reason per kind.

    key string                                   absent where records have none: the row's number stands for it
    md5, md5.declared … fixed_size_binary        null where there is no such signal
    pdq fixed_size_binary(32) · pdq.quality uint8
    pdq.white, pdq.white.quality …               one pair for each further variant that the scan policy names
    photodna.declared fixed_size_binary(144)     only where the scan policy names the kind: nothing computes it
    md5.why, pdq.why … uint8                     0: some variant decides; else `Reason.code`

Rows lie in the order of the shard, from 0 and without a gap. A part leaves out the columns that can hold nothing: those
that a metadata table does not have, and of pictures that it does not store. Nothing here tells whether a list was ever
held against the store.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    Kind.PHOTODNA: (Variant.DECLARED,),
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


def part_schema(kinds: Iterable[Kind], further: Sequence[Variant] = (), without: Collection[str] = ()) -> pa.Schema:
    """Schema of a part.

    Args:
        kinds: the kinds that it holds; each has a column of reasons.
        further: variants of PDQ beside the stored picture.
        without: names of columns that are left out because no record has anything there; never a column of reasons.
    """
    columns = [pa.field("key", pa.string(), nullable=False)]
    for kind in kinds:
        for variant in variants_of(kind, further):
            columns.append(pa.field(column_of(kind, variant), pa.binary(kind.width)))
            if kind is Kind.PDQ:
                columns.append(pa.field(quality_of(variant), pa.uint8()))
        columns.append(pa.field(why_of(kind), pa.uint8(), nullable=False))
    return pa.schema([column for column in columns if column.name not in without])


TYPES: Mapping[str, pa.DataType] = {
    column.name: column.type
    for column in part_schema(Kind, [variant for variant in Variant if variant not in VARIANTS[Kind.PDQ]])
}
"""Every column that a part may have, and what it holds."""


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
        """The fixed-size binary array, null where there is no signal; it looks at these very values."""
        count, width = self.values.shape
        mask = None if self.present.all() else pa.py_buffer(np.packbits(self.present, bitorder="little"))
        return pa.Array.from_buffers(pa.binary(width), count, [mask, pa.py_buffer(np.ascontiguousarray(self.values))])

    @classmethod
    def none(cls, count: int, width: int) -> "Values":
        """For so many records, none of which has a signal."""
        return cls(np.zeros((count, width), np.uint8), np.zeros(count, np.bool_))

    @classmethod
    def from_arrow(cls, column: pa.Array, width: int) -> "Values":
        """From a fixed-size binary column of that width; without a copy where every record has a signal."""
        count = len(column)
        data = np.frombuffer(column.buffers()[1] or b"", np.uint8)
        block = data[column.offset * width : (column.offset + count) * width].reshape(count, width)
        if not column.null_count:
            return cls(block, np.ones(count, np.bool_))
        mask = np.asarray(column.is_valid())
        return cls(np.where(mask[:, None], block, np.uint8(0)), mask)

    @classmethod
    def joined(cls, parts: Sequence["Values"], width: int) -> "Values":
        """Of consecutive records as one."""
        if len(parts) == 1:
            return parts[0]
        nothing = cls.none(0, width)
        values = np.concatenate([part.values for part in (nothing, *parts)])
        return cls(values, np.concatenate([part.present for part in (nothing, *parts)]))

    @classmethod
    def of(cls, values: Sequence[bytes | None], width: int) -> "Values":
        """From one value or None per record."""
        present = np.fromiter((value is not None for value in values), np.bool_, len(values))
        joined = b"".join(bytes(width) if value is None else value for value in values)
        return cls(np.frombuffer(joined, np.uint8).reshape(len(values), width), present)


def why_coverage(kind: Kind, records: int, why: Sequence[int] | NDArray[np.int64], decided: int) -> Coverage:
    """Coverage of one kind.

    `records` is the reader's own count. Decided is counted from the signals, undecided from the reasons: where the two
    columns contradict each other, or a row was lost, the coverage does not balance and its `check` refuses it.

    Args:
        kind: which kind.
        records: what the reader counted.
        why: how many records have each reason, by code (0: a signal).
        decided: how many records have a signal of any variant that decides.
    """
    undecided = {REASON_OF_CODE[code]: int(count) for code, count in enumerate(why) if code and count}
    return Coverage(kind, records, decided, dict(sorted(undecided.items())))
