"""Digests of stored bytes and of addresses: what the lists call md5, sha1, sha256, and the first and last of a URL.

Broken as signatures, these functions are what the lists carry; here they only find bytes that somebody has seen before.
"""

import hashlib
import platform
from collections.abc import Mapping, Sequence

import numpy as np
from llvmlite.binding import get_host_cpu_features
from numpy.typing import NDArray

from vetset.model.errors import UsageError
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Kind
from vetset.signal.digest_lanes import md5_of_each, sha1_of_each, sha256_of_each

_FUNCTIONS = {
    Kind.MD5: hashlib.md5,
    Kind.SHA1: hashlib.sha1,
    Kind.SHA256: hashlib.sha256,
    Kind.URL_MD5: hashlib.md5,
    Kind.URL_SHA256: hashlib.sha256,
}

_OF_EACH = {Kind.MD5: md5_of_each, Kind.SHA1: sha1_of_each, Kind.SHA256: sha256_of_each}


def kinds_in_lanes(machine: str, features: Mapping[str, bool]) -> frozenset[Kind]:
    """Digests that are faster side by side than one by one, on a machine of this kind with these features of LLVM's.

    Measured on x86, for pictures of 30 KB: MD5 6 times as fast, SHA-1 1.4 times (2.4 with AVX-512), SHA-256 1.5 times
    with AVX-512; without it 0.7 times where the processor has instructions for SHA, which `hashlib` uses, else 2.3.
    """
    if machine not in {"x86_64", "AMD64"}:
        return frozenset({Kind.MD5})
    wide = features.get("avx512vl", False) or not features.get("sha", False)
    return frozenset({Kind.MD5, Kind.SHA1, Kind.SHA256} if wide else {Kind.MD5, Kind.SHA1})


_IN_LANES = kinds_in_lanes(platform.machine(), get_host_cpu_features())
LONGEST = 1 << 20
"""Bytes of the longest text that is copied in order to be digested beside others."""
_LEAST = {Kind.MD5: 4, Kind.SHA1: 12, Kind.SHA256: 12}
"""Texts that are digested side by side at least; for fewer the lanes that stay empty cost more than is won."""


def digest(data: bytes, kind: Kind) -> bytes:
    """Digest of the stored bytes.

    Args:
        data: the bytes as they lie in the dataset.
        kind: `MD5`, `SHA1` or `SHA256`.

    Returns:
        `kind.width` bytes.

    Raises:
        UsageError: another kind.
    """
    if kind not in BYTE_KINDS:
        raise UsageError("not a digest of stored bytes", expected=_words(BYTE_KINDS), seen=str(kind))
    return _FUNCTIONS[kind](data, usedforsecurity=False).digest()


def digests(texts: Sequence[bytes], kinds: Sequence[Kind], *, longest: int = LONGEST) -> list[list[bytes]]:
    """Digests of the stored bytes of many pictures at once: MD5 is six times as fast as one by one.

    Args:
        texts: the bytes of each, as they lie in the dataset.
        kinds: some of `MD5 SHA1 SHA256`.
        longest: texts of more bytes are taken one by one; of the others all are copied once.

    Returns:
        For each kind, `kind.width` bytes for each text.

    Raises:
        UsageError: another kind.
    """
    short = [text for text in texts if len(text) <= longest]
    aside = [kind for kind in kinds if kind in _IN_LANES and len(short) >= _LEAST[kind]]
    if not aside:
        return [[digest(text, kind) for text in texts] for kind in kinds]
    lengths = np.fromiter(map(len, short), np.int64, len(short))
    laid_out = (np.frombuffer(b"".join(short), np.uint8), np.cumsum(lengths) - lengths, lengths)
    found = []
    for kind in kinds:
        if kind in aside:
            values = (row.tobytes() for row in _OF_EACH[kind](*laid_out))
            found.append([next(values) if len(text) <= longest else digest(text, kind) for text in texts])
        else:
            found.append([digest(text, kind) for text in texts])
    return found


def url_digest(url: str, kind: Kind) -> bytes:
    """Digest of an address, of its UTF-8 bytes exactly as the dataset holds it; nothing is normalised.

    Args:
        url: the address. Lone surrogates, which no UTF-8 column holds, are encoded as three bytes each.
        kind: `URL_MD5` or `URL_SHA256`.

    Returns:
        `kind.width` bytes.

    Raises:
        UsageError: another kind.
    """
    if kind not in URL_KINDS:
        raise UsageError("not a digest of an address", expected=_words(URL_KINDS), seen=str(kind))
    return _FUNCTIONS[kind](url.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()


def url_digests(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], kind: Kind
) -> NDArray[np.uint8]:
    """Digests of many addresses at once, of their UTF-8 bytes.

    Args:
        data: uint8, the bytes of all of them.
        starts: int64 (n,), where each begins.
        lengths: int64 (n,), bytes of each; starts and lengths stay inside `data`.
        kind: `URL_MD5` or `URL_SHA256`.

    Returns:
        uint8 (n, `kind.width`).

    Raises:
        UsageError: another kind.
    """
    if kind not in URL_KINDS:
        raise UsageError("not a digest of an address", expected=_words(URL_KINDS), seen=str(kind))
    return (md5_of_each if kind is Kind.URL_MD5 else sha256_of_each)(data, starts, lengths)


def _words(kinds: tuple[Kind, ...]) -> str:
    return " or ".join(kinds)
