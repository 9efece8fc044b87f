"""A safetensors file: what is accepted fills its file, tensors are read, and a copy of every second row is one too.

Names of types and the order of tensors are the header's own; that nothing lies outside of all tensors is checked here.
"""

import numpy as np

from fuzz_targets.scratch import emptied, written
from vetset.dataset.embeddings.safetensors import read_tensors
from vetset.model.errors import AlignmentError

MAX_ROWS = 1000


def target(data: bytes) -> None:
    """Header, one pass over each tensor of vectors, and a copy."""
    path = written("safetensors/x.safetensors", data)
    try:
        tensors = read_tensors(path, "embedding part 0")
    except AlignmentError:
        return
    extents = [(tensor.start, tensor.end) for tensor in tensors.tensors.values()]
    assert sum(end - start for start, end in extents) == len(data) - 8 - int.from_bytes(data[:8], "little")
    for name in tensors.candidates():
        _read(tensors, name, data)
    shapes = {tensor.shape[:1] for tensor in tensors.tensors.values()}
    if len(shapes) == 1 and shapes != {()} and next(iter(shapes))[0] <= MAX_ROWS:
        _halved(tensors, next(iter(shapes))[0])


def _read(tensors, name, data):
    tensor = tensors.tensors[name]
    try:
        block = tensors.rows(name)
    except AlignmentError:
        assert not 0 < tensor.shape[1] <= 1 << 16
        return
    if block.rows <= MAX_ROWS:
        out = np.empty((block.rows, block.dimension), block.dtype)
        with block.open() as fill:
            fill(out)
        held = (out.view(np.uint32) >> 16).astype("<u2") if tensor.dtype == "BF16" else out
        assert held.tobytes() == data[tensor.start : tensor.end]


def _halved(tensors, rows):
    keep = np.arange(rows) % 2 == 0
    copied = emptied("safetensors-out") / "x.safetensors"
    tensors.write(keep, copied)
    after = read_tensors(copied, "embedding part 0")
    before = {name: (tensor.dtype, tensor.shape[1:]) for name, tensor in tensors.tensors.items()}
    assert before == {name: (tensor.dtype, tensor.shape[1:]) for name, tensor in after.tensors.items()}
    assert {tensor.shape[0] for tensor in after.tensors.values()} == {int(keep.sum())}
