"""A sealed part: opened, or refused. Its digest is put right, so that the rest is reached."""

import hashlib

from fuzz_targets.fixed import PRIVATE
from vetset.model.errors import KeyFileError, SealError
from vetset.seal.envelope import _LINE, _LINE_LENGTH, sealed_size, unseal


def _with_digest(data):
    line = _LINE.match(data)
    if line is None:
        return data
    digest = hashlib.sha256(line[2] + data[_LINE_LENGTH:]).hexdigest().encode()
    return b"vetset-sealed/1 " + digest + data[len(b"vetset-sealed/1 ") + 64 :]


def target(data: bytes) -> None:
    """As it came, and under a digest that holds."""
    for sealed in (data, _with_digest(data)):
        try:
            plain = unseal(sealed, PRIVATE)
        except (SealError, KeyFileError):
            continue
        assert len(sealed) >= len(plain)
        assert sealed_size(len(plain), 1) > len(plain)
