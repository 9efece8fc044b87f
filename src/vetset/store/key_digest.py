"""128-bit digests of keys, so that a join holds sixteen bytes of each and not its text.

SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, and its reference
implementation's `siphash128`), under a secret drawn for the run: whoever wrote the keys cannot have made two of one
digest, and by chance two of ten billion meet with a probability below 10^-18.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

SECRET_BYTES = 16
_U = np.uint64


def key_digests(keys: pa.StringArray, secret: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """High and low half of the digest of every key's UTF-8 bytes, uint64 (n,) each.

    Args:
        keys: without nulls.
        secret: 16 bytes.
    """
    whole = keys.cast(pa.large_string())
    _, offsets, data = whole.buffers()
    high, low = np.empty(len(keys), np.uint64), np.empty(len(keys), np.uint64)
    if len(keys):
        ends = np.frombuffer(offsets, np.int64)[whole.offset : whole.offset + len(keys) + 1]
        _digests(np.frombuffer(data or b"", np.uint8), ends, np.frombuffer(secret, "<u8"), high, low)
    return high, low


@njit(cache=True, nogil=True)
def _rotated(value: Any, bits: int) -> Any:
    return (value << _U(bits)) | (value >> _U(64 - bits))


@njit(cache=True, nogil=True)
def _round(state: NDArray[np.uint64]) -> None:
    v0, v1, v2, v3 = state[0], state[1], state[2], state[3]
    v0 += v1
    v1 = _rotated(v1, 13) ^ v0
    v0 = _rotated(v0, 32)
    v2 += v3
    v3 = _rotated(v3, 16) ^ v2
    v0 += v3
    v3 = _rotated(v3, 21) ^ v0
    v2 += v1
    v1 = _rotated(v1, 17) ^ v2
    v2 = _rotated(v2, 32)
    state[0], state[1], state[2], state[3] = v0, v1, v2, v3


@njit(cache=True, nogil=True)
def _word(data: NDArray[np.uint8], start: int, count: int) -> Any:
    """Up to eight bytes, the first one lowest."""
    word = _U(0)
    for place in range(count):
        word |= _U(data[start + place]) << _U(8 * place)
    return word


@njit(cache=True, nogil=True)
def _absorb(state: NDArray[np.uint64], word: Any) -> None:
    state[3] ^= word
    _round(state)
    _round(state)
    state[0] ^= word


@njit(cache=True, nogil=True)
def _finished(state: NDArray[np.uint64]) -> Any:
    for _ in range(4):
        _round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


@njit(cache=True, nogil=True)
def _digests(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    secret: NDArray[np.uint64],
    high: NDArray[np.uint64],
    low: NDArray[np.uint64],
) -> None:
    """The reference's order of words; `high` is the first eight bytes of the output, the lowest one first."""
    state = np.empty(4, np.uint64)
    for row in range(high.size):
        start, size = ends[row], ends[row + 1] - ends[row]
        state[0] = secret[0] ^ _U(0x736F6D6570736575)
        state[1] = secret[1] ^ _U(0x646F72616E646F6D) ^ _U(0xEE)
        state[2] = secret[0] ^ _U(0x6C7967656E657261)
        state[3] = secret[1] ^ _U(0x7465646279746573)
        whole = size - size % 8
        for place in range(0, whole, 8):
            _absorb(state, _word(data, start + place, 8))
        _absorb(state, _word(data, start + whole, size - whole) | (_U(size & 0xFF) << _U(56)))
        state[2] ^= _U(0xEE)
        high[row] = _finished(state)
        state[1] ^= _U(0xDD)
        low[row] = _finished(state)
