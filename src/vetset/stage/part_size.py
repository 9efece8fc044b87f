"""How large the part of a whole shard will be, from the part of some of its records."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from vetset.stage.pictured import CHUNK_RECORDS
from vetset.store.part import RECORDS, ipc_options


def size_of_all(path: Path, vectors: int, sampled: int, records: float, *, packed: bool) -> tuple[float, float]:
    """Bytes that any part takes, and bytes that this one takes beside them.

    Args:
        path: a part of some records of a shard.
        vectors: bytes of their embeddings.
        sampled: how many they are.
        records: how many the shard has.
        packed: whether empty cells are packed together in it.
    """
    size = path.stat().st_size
    with pa.OSFile(os.fsencode(path)) as source, pa.ipc.open_file(source) as reader:
        schema = reader.schema
        batches = [len(reader.get_batch(number)) for number in range(reader.num_record_batches - 1)]
    if not sampled:  # an empty table has a batch all the same, which says what columns there are
        return size, 0.0
    base = _written(schema, 0, packed=packed)
    of_batch = _written(schema, 1, packed=packed) - base
    of_record = (size - base - len(batches) * of_batch) / sampled
    fixed = base + of_batch
    if sampled == records:
        return fixed, size + vectors - fixed
    all_batches = -(-records // max(CHUNK_RECORDS, *batches))
    return fixed, (all_batches - 1) * of_batch + records * (of_record + vectors / sampled)


def _written(schema: Any, batches: int, *, packed: bool) -> int:
    """Bytes of a part with so many batches that hold nothing."""
    sink = pa.BufferOutputStream()
    nothing = pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
    with pa.ipc.new_file(sink, schema, options=ipc_options(packed=packed)) as writer:
        for _ in range(batches):
            writer.write_batch(nothing)
        writer.write_batch(nothing, custom_metadata={RECORDS: "0"})
    return int(sink.getvalue().size)
