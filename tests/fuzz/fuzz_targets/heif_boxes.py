"""Any bytes as the boxes of a HEIF file: a reason, or nothing against them; never an error, and soon."""

from vetset.model.signal import Reason
from vetset.signal.heif_boxes import is_heif, refusal

SAID = {None, Reason.TOO_LARGE, Reason.TRUNCATED, Reason.UNDECODABLE, Reason.UNKNOWN_ENCODING}


def target(data: bytes) -> None:
    """A larger cap refuses nothing that a smaller one lets pass."""
    if not is_heif(data):
        return
    small, large = refusal(data, 1 << 10), refusal(data, 1 << 40)
    assert {small, large} <= SAID
    assert large is not None or small in {None, Reason.TOO_LARGE}
