"""The safetensors container: eight bytes of length, a JSON header, tensors side by side.

Format: https://github.com/huggingface/safetensors (README, "Format"). As there, a name may occur once, and tensors lie
without gaps and without overlap up to the end of the file, so that every byte belongs to one of them.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.embeddings.parts import refused
from vetset.dataset.embeddings.rows import BFLOAT16, StoredRows, Stretch, checked_rows
from vetset.dataset.places import open_plain
from vetset.storage.remote import Place

MAX_HEADER = 1 << 20
"""Bytes of a header; one of a few tensors takes a few hundred, the format allows 100 MB."""
_MAX_SIDES = 8
_LENGTH = struct.Struct("<Q")
_ALIGN = 8
_METADATA = "__metadata__"
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4,
    "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
_NUMBERS = {"F16": "float16", "F32": "float32", "I8": "int8", "BF16": BFLOAT16}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as the header states it: its type, its shape, and where it lies in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tensors:
    """The header of a file, proven against its size.

    Attributes:
        place: the file.
        where: part, for errors.
        size: bytes of the file.
        metadata: what its writer noted, text by text.
        tensors: by name, in the order in which they lie.
    """

    place: Place
    where: str
    size: int
    metadata: Mapping[str, str] | None
    tensors: Mapping[str, Tensor]

    def candidates(self) -> list[str]:
        """Names of tensors that could be rows of vectors, by type and shape."""
        return [name for name, tensor in self.tensors.items() if tensor.dtype in _NUMBERS and len(tensor.shape) == 2]

    def rows(self, name: str) -> StoredRows:
        """The rows of a tensor.

        Raises:
            AlignmentError: it is no rows of vectors.
        """
        tensor = self.tensors[name]
        numbers = _NUMBERS.get(tensor.dtype, tensor.dtype)
        return checked_rows(self.place, self.where, tensor.shape, numbers, (tensor.start, tensor.end, self.size))

    def write(self, keep: NDArray[np.bool_], target: Path) -> None:
        """Write the kept rows of every tensor, in their order.

        Raises:
            AlignmentError: a tensor has another number of rows, or the file changed.
            DatasetError: it cannot be read.
        """
        kept = int(np.count_nonzero(keep))
        header: dict[str, Any] = {} if self.metadata is None else {_METADATA: dict(self.metadata)}
        stretches, first = [], 0
        for name, tensor in self.tensors.items():
            if tensor.shape[:1] != (len(keep),):
                raise refused("a tensor has another number of rows than the keys", self.where, f"{len(keep)} rows")
            width = _BYTES[tensor.dtype] * prod(tensor.shape[1:])
            stretches.append(Stretch(self.place, self.where, len(keep), width, tensor.start, self.size))
            offsets = [first, first := first + kept * width]
            header[name] = {"dtype": tensor.dtype, "shape": [kept, *tensor.shape[1:]], "data_offsets": offsets}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGN)
        with target.open("wb") as sink:
            sink.write(_LENGTH.pack(len(text)) + text)
            for stretch in stretches:
                stretch.copy(keep, sink)


class _TwiceError(ValueError):
    """A name occurs twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def _document(text: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _tensor(stated: Any, base: int) -> Tensor | None:
    """A tensor out of its entry; None where the entry is malformed or contradicts itself."""
    if not isinstance(stated, dict) or stated.keys() != {"dtype", "shape", "data_offsets"}:
        return None
    dtype, shape, offsets = stated["dtype"], stated["shape"], stated["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        return None
    lists = isinstance(shape, list) and isinstance(offsets, list) and len(shape) <= _MAX_SIDES and len(offsets) == 2
    if not lists or not all(map(_is_count, [*shape, *offsets])):
        return None
    if offsets[1] - offsets[0] != prod(shape) * _BYTES[dtype]:
        return None
    return Tensor(dtype, tuple(shape), base + offsets[0], base + offsets[1])


def _metadata_holds(metadata: Any) -> bool:
    if metadata is None:
        return True
    return isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values())


def read_tensors(place: Place, where: str) -> Tensors:
    """The header of a safetensors file, every number of it held against the file.

    Raises:
        AlignmentError: it is damaged or truncated, or holds a type that is not known.
        DatasetError: it cannot be read.
    """
    expected = "a length, a JSON header, and tensors that fill the rest of the file"
    with open_plain(place, where) as (stream, size):
        start = stream.read(_LENGTH.size)
        length = _LENGTH.unpack(start.ljust(_LENGTH.size, b"\xff"))[0]
        base = _LENGTH.size + length
        document = _document(stream.read(length)) if length <= MAX_HEADER and base <= size else None
    metadata = None if document is None else document.pop(_METADATA, None)
    tensors = {} if document is None else {name: _tensor(stated, base) for name, stated in document.items()}
    found = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    if document is None or not _metadata_holds(metadata) or len(found) != len(tensors):
        raise refused("the header of a safetensors file is damaged", where, expected)
    ordered = sorted(found, key=lambda name: (found[name].start, found[name].end))
    ends = [base, *(found[name].end for name in ordered)]
    if [found[name].start for name in ordered] != ends[:-1] or ends[-1] != size:
        raise refused("a safetensors file is not as long as its header says", where, f"{ends[-1]} bytes", f"{size}")
    return Tensors(place, where, size, metadata, {name: found[name] for name in ordered})
