"""Datasets that are nothing but signals: what the store would have of pictures, and vectors beside it."""

import itertools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

import small
from vetset.model.dataset import ShardDigest
from vetset.model.finding import Match, Seeds
from vetset.model.signal import Kind, Reason, Variant
from vetset.stage.space import aligned_space
from vetset.store.columns import Values
from vetset.store.part import PartWriter
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import Store

SEED = "0123456789abcdef" * 4


@dataclass
class World:
    """Records in order; row by row.

    Attributes:
        vectors: float16 (n, d).
        pictures: which bytes each record stores: equal numbers are equal bytes.
        codes: uint8 (n, 32).
        quality: PDQ quality; below 50 there is no code, and the record is flat.
        unseen: bool (n,): PDQ could not be computed at all.
    """

    vectors: np.ndarray
    pictures: np.ndarray
    codes: np.ndarray
    quality: np.ndarray
    unseen: np.ndarray

    @classmethod
    def unlike(cls, vectors, seed=0):
        """Records no two of which show the same."""
        random = np.random.default_rng(seed)
        count = len(vectors)
        codes = random.integers(0, 256, (count, 32), dtype=np.uint8)
        return cls(
            vectors.astype(np.float16),
            np.arange(count),
            codes,
            np.full(count, 100, np.uint8),
            np.zeros(count, np.bool_),
        )

    def arrays(self, rows):
        """Columns of a part."""
        digests = np.zeros((len(rows), 32), np.uint8)
        digests[:, :8] = self.pictures[rows].astype(np.uint64).view(np.uint8).reshape(-1, 8)
        coded = (self.quality[rows] >= 50) & ~self.unseen[rows]
        why = np.where(coded, 0, np.where(self.unseen[rows], Reason.UNDECODABLE.code, Reason.LOW_QUALITY.code))
        everywhere = np.ones(len(rows), np.bool_)
        return [
            pa.array([str(row) for row in rows], pa.string()),
            Values(digests, everywhere).to_arrow(),
            Values(digests, ~everywhere).to_arrow(),
            pa.array(np.zeros(len(rows), np.uint8)),
            Values(np.where(coded[:, None], self.codes[rows], np.uint8(0)), coded).to_arrow(),
            pa.array(np.where(coded, self.quality[rows], 0).astype(np.uint8), mask=~coded),
            pa.array(why.astype(np.uint8)),
        ]

    def table(self, folder, shards=2, chunks=3):
        """The records in a store of so many parts of so many batches."""
        store = Store(folder)
        parts = []
        for index, rows in enumerate(np.array_split(np.arange(len(self.vectors)), shards)):
            with PartWriter(store, [Kind.SHA256, Kind.PDQ]) as writer:
                edges = np.linspace(0, len(rows), chunks + 1).astype(int)
                for start, end in itertools.pairwise(edges):
                    writer.append(self.arrays(rows[start:end]))
                writer.commit(f"part{index}", len(rows))
            parts.append(StoredShard(f"{index}.tar", ShardDigest(f"{index:064x}"), f"part{index}", len(rows)))
        return RecordTable(store, parts)

    def space(self, blocks=3):
        """The vectors in blocks that are no shards, in another order."""
        order = np.random.default_rng(1).permutation(len(self.vectors))
        numbers = np.array_split(order, blocks)
        return aligned_space([self.vectors[rows] for rows in numbers], numbers, len(self.vectors))


def seeds_of(table, rows):
    """Seeds that an exact match confirmed."""
    records = table.records(np.array(rows, np.int64))
    matches = [Match(record, "one", "entry", Kind.MD5, Variant.STORED, 0, 100) for record in records]
    return Seeds.confirmed(matches, (), small.trust("one"))


def flipped(code, bits, random):
    """A PDQ code that differs in so many bits."""
    spread = np.unpackbits(code)
    spread[random.permutation(256)[:bits]] ^= 1
    return np.packbits(spread)


def near(vector, cosine, random):
    """A vector at this cosine."""
    unit = vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64))
    other = random.standard_normal(len(unit))
    other -= (other @ unit) * unit
    return cosine * unit + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
