"""Embeddings for the demonstration, in the layout that clip-retrieval leaves beside a dataset.

Parts are cut across shards on purpose: in real sets they never agree, and vetset must join them by key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.embeddings.clip_retrieval import write_new
from vetset.demo.planted import Planted, PlantedRecord
from vetset.engine.outcome import Done, Engine
from vetset.model.policy import ScanPolicy
from vetset.model.signal import Reason
from vetset.signal.decode import decode
from vetset.signal.embedding import Embedder, load_embedder

MODEL = "sscd-distilled"
PARTS = 4
_PIECE = 64


@dataclass(frozen=True, slots=True)
class _Piece:
    keys: tuple[str, ...]
    images: tuple[bytes, ...]


@cache
def _model() -> Embedder:
    return load_embedder(MODEL, threads=1)


def _embedded(piece: _Piece) -> tuple[list[str], NDArray[np.float16]]:
    """Vectors of the pictures that can be decoded; clip-retrieval leaves the others out too."""
    keys, pictures = [], []
    for key, image in zip(piece.keys, piece.images, strict=True):
        pixels = decode(image, max_pixels=ScanPolicy().max_pixels)
        if not isinstance(pixels, Reason):
            keys.append(key)
            pictures.append(pixels)
    return keys, _model().embed(pictures).astype(np.float16)


def _pieces(records: Sequence[PlantedRecord]) -> list[_Piece]:
    stored = [record for record in records if record.image is not None]
    cuts = [stored[start : start + _PIECE] for start in range(0, len(stored), _PIECE)]
    return [_Piece(tuple(record.key for record in cut), tuple(record.image or b"" for record in cut)) for cut in cuts]


def write_embeddings(planted: Planted, folder: Path, engine: Engine) -> int:
    """Embed every stored picture; returns the number of vectors.

    Raises:
        MissingExtraError: the model or its runtime is not installed.
        VetsetError: a worker failed.
    """
    load_embedder(MODEL)  # says what is missing before anything is started
    pieces = _pieces(planted.records)
    done: dict[int, tuple[list[str], NDArray[np.float16]]] = {}
    for outcome in engine.map(_embedded, pieces):
        if not isinstance(outcome, Done):
            raise outcome.error
        done[outcome.index] = outcome.value
    keys = [key for index in sorted(done) for key in done[index][0]]
    vectors = np.concatenate([done[index][1] for index in sorted(done)])
    for number, rows in enumerate(np.array_split(np.arange(len(keys)), PARTS)):
        write_new(folder, number, vectors[rows], [keys[row] for row in rows])
    return len(keys)
