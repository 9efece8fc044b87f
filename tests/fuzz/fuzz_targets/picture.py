"""Any bytes as a picture: pixels within the cap, or a reason."""

import numpy as np

from vetset.model.signal import Reason
from vetset.signal.decode import decode

MAX_PIXELS = 1 << 20


def target(data: bytes) -> None:
    """Decoding twice gives the same answer."""
    found = decode(data, max_pixels=MAX_PIXELS)
    if isinstance(found, Reason):
        return
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert found.shape[2] == 3
    assert 0 < found.shape[0] * found.shape[1] <= MAX_PIXELS
    assert found.flags["C_CONTIGUOUS"]
    again = decode(data, max_pixels=MAX_PIXELS)
    assert not isinstance(again, Reason)
    assert np.array_equal(found, again)
