"""How large the part of a whole shard will be, from the part of some of its records."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vetset.stage.pictured import CHUNK_RECORDS


def size_of_all(path: Path, vectors: int, sampled: int, records: float) -> tuple[float, float]:
    """Bytes that any part takes, and bytes that this one takes beside them.

    Args:
        path: a part of some records of a shard.
        vectors: bytes of their embeddings.
        sampled: how many they are.
        records: how many the shard has.
    """
    size = path.stat().st_size
    groups, all_groups = -(-sampled // CHUNK_RECORDS), -(-records // CHUNK_RECORDS)
    if not groups:
        return size, 0.0
    footer = int(pq.read_metadata(path).serialized_size)
    with pq.ParquetFile(path) as part:
        first = next(part.iter_batches(batch_size=1))
    (base, _), (_, one) = _written(first.slice(0, 0)), _written(first)
    # pages of a row group take the same beside the values, however many they hold
    data = size - footer
    of_record = (data - groups * one) / (sampled - groups) if sampled > groups else one
    of_group = (footer - base) / groups + one - of_record
    fixed = base + of_group
    if sampled == records:
        return fixed, size + vectors - fixed
    return fixed, (all_groups - 1) * of_group + records * (of_record + vectors / sampled)


def _written(batch: Any) -> tuple[int, int]:
    """Bytes of the footer, and of the rest, of a part that holds these records."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, batch.schema, compression="none", use_dictionary=False, write_page_checksum=True
    ) as writer:
        if len(batch):
            writer.write_batch(batch)
    data = sink.getvalue()
    footer = int(pq.read_metadata(pa.BufferReader(data)).serialized_size)
    return footer, data.size - footer
