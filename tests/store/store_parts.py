"""Small parts of a store, made of random signals."""

import itertools

import numpy as np
import pyarrow as pa

from vetset.model.signal import Kind, Reason, Variant
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import PartWriter

KINDS = tuple(kind for kind in Kind if kind is not Kind.EMBEDDING)
REASONS = [reason.code for reason in Reason]


def random_rows(rng, rows, kinds=KINDS):
    """Values of every kind and variant, a quality, and reasons that fit them."""
    cells, why = {}, {}
    for kind in kinds:
        decided = np.zeros(rows, np.bool_)
        for variant in VARIANTS[kind]:
            present = rng.random(rows) < 0.6
            data = rng.integers(0, 256, (rows, kind.width), dtype=np.uint8)
            data[~present] = 0
            cells[kind, variant] = Values(data, present)
            decided |= present
        why[kind] = np.where(decided, 0, rng.choice(REASONS, rows)).astype(np.uint8)
    quality = rng.integers(0, 101, rows, dtype=np.uint8)
    return [f"key-{number}" for number in rng.permutation(rows)], cells, quality, why


def arrays(generated, kinds=KINDS):
    """The arrays of a part's schema."""
    keys, cells, quality, why = generated
    columns = [pa.array(keys, pa.string())]
    for kind in kinds:
        columns += [cells[kind, variant].to_arrow() for variant in VARIANTS[kind]]
        if kind is Kind.PDQ:
            columns.append(pa.array(quality, pa.uint8()))
        columns.append(pa.array(why[kind], pa.uint8()))
    return columns


def write_part(store, name, generated, *, records=None, kinds=KINDS, chunks=1):
    """Commit a part, in so many batches; `records` is what the reader is made to have counted."""
    columns = arrays(generated, kinds)
    count = len(columns[0])
    edges = np.linspace(0, count, chunks + 1).astype(int)
    with PartWriter(store, kinds) as writer:
        for start, end in itertools.pairwise(edges):
            writer.append([column.slice(start, end - start) for column in columns])
        writer.commit(name, count if records is None else records)
    return store.part_path(name)


STORED = Variant.STORED
