"""`MODEL.json` beside a graph: a preparation that can prepare a picture, or a refusal."""

import numpy as np

from fuzz_targets.scratch import written
from vetset.model.errors import UsageError
from vetset.signal.preparation import described

PIXELS = np.arange(12 * 9 * 3, dtype=np.uint8).reshape(12, 9, 3)


def target(data: bytes) -> None:
    """What is accepted has an identity and makes an input of the stated type."""
    path = written("graph/m.json", data)
    try:
        preparation = described(path.with_suffix(".onnx"))
    except UsageError:
        return
    assert len(preparation.identity("0" * 64)) == 64
    if preparation.size <= 256:
        with np.errstate(all="ignore"):
            made = preparation.prepare(PIXELS)
        assert made.dtype == np.dtype(preparation.dtype)
        assert sorted(made.shape) == sorted((preparation.size, preparation.size, 3))
