"""Padding: what is accepted is exactly what `pad` writes; what is padded comes back."""

from vetset.model.errors import SealError
from vetset.seal.padding import pad, unpad


def target(data: bytes) -> None:
    """Both ways."""
    floor = len(data) * 7 % 4096
    assert unpad(pad(data, floor)) == data
    try:
        payload = unpad(data)
    except SealError:
        return
    assert pad(payload, len(data) - 16) == data
