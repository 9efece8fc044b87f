"""All fingerprints of one stored picture in one pass: one answer for each kind that was asked, in that order.

The picture is decoded at most once, also when an embedder wants its pixels afterwards (`screen`).
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import UsageError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import BYTE_KINDS, Kind, NoSignal, Reason, Signal
from vetset.signal.decode import decode
from vetset.signal.digest import digest
from vetset.signal.pdq import pdq

SIGNAL_VERSIONS: Mapping[Kind, int] = MappingProxyType(dict.fromkeys(Kind, 1))
"""Version of the way each kind is computed; part of the key of what the store keeps.

A number goes up when a release may give another value for the same bytes (a change of `decode` counts for PDQ and
embeddings), so that a store never mixes the two.
"""

PICTURE_KINDS = (*BYTE_KINDS, Kind.PDQ)
"""Kinds that are taken here; addresses and embeddings have functions of their own."""

_Answer = Signal | NoSignal


def fingerprint(
    data: bytes, *, kinds: Iterable[Kind | str] = PICTURE_KINDS, policy: ScanPolicy | None = None
) -> list[_Answer]:
    """The fingerprints of one stored picture.

    Args:
        data: the bytes as they lie in the dataset.
        kinds: some of `md5 sha1 sha256 pdq`.
        policy: caps and the least PDQ quality; the defaults of `ScanPolicy` if None.

    Returns:
        One `Signal` or `NoSignal` for each kind, in the order asked.

    Raises:
        UsageError: a kind that is not taken of stored bytes.
    """
    wanted = _checked(kinds)
    return _answers(data, wanted, policy or ScanPolicy(), decoded=None)


def screen(
    data: bytes, kinds: Iterable[Kind | str], policy: ScanPolicy
) -> tuple[list[_Answer], NDArray[np.uint8] | Reason]:
    """Like `fingerprint`, and hands out the decoded pixels (H, W, 3), uint8, or the reason why there are none.

    The picture is decoded whether or not a kind needs it.

    Raises:
        UsageError: a kind that is not taken of stored bytes.
    """
    wanted = _checked(kinds)
    decoded = _decoded(data, policy)
    return _answers(data, wanted, policy, decoded=decoded), decoded


def _checked(kinds: Iterable[Kind | str]) -> Sequence[Kind]:
    known = {str(kind): kind for kind in PICTURE_KINDS}
    wanted = []
    for kind in kinds:
        if str(kind) not in known:
            raise UsageError(
                "this kind is not taken of stored bytes",
                expected=" ".join(known),
                seen=str(kind),
                todo="Addresses have vetset.signal.digest.url_digest, embeddings vetset.signal.embedding",
            )
        wanted.append(known[str(kind)])
    return wanted


def _decoded(data: bytes, policy: ScanPolicy) -> NDArray[np.uint8] | Reason:
    if len(data) > policy.max_image_bytes:
        return Reason.TOO_LARGE
    return decode(data, max_pixels=policy.max_pixels)


def _answers(
    data: bytes, kinds: Sequence[Kind], policy: ScanPolicy, *, decoded: NDArray[np.uint8] | Reason | None
) -> list[_Answer]:
    answers: list[_Answer] = []
    for kind in kinds:
        if kind is not Kind.PDQ:
            # an empty file has a digest too, but it is the same for all of them and says nothing
            answers.append(Signal(kind, digest(data, kind)) if data else NoSignal(kind, Reason.EMPTY_FILE))
            continue
        if decoded is None:
            decoded = _decoded(data, policy)
        answers.append(_perceptual(decoded, policy))
    return answers


def _perceptual(decoded: NDArray[np.uint8] | Reason, policy: ScanPolicy) -> _Answer:
    if isinstance(decoded, Reason):
        return NoSignal(Kind.PDQ, decoded)
    value, quality = pdq(decoded)
    if quality < policy.min_pdq_quality:
        return NoSignal(Kind.PDQ, Reason.LOW_QUALITY)
    return Signal(Kind.PDQ, value, quality)
