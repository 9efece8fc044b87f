"""All fingerprints of one stored picture in one pass: one answer for each kind that was asked, in that order.

The picture is decoded at most once, also when an embedder wants its pixels afterwards (`screen`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import UsageError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Form, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal.decode import Picture, decode, decode_picture
from vetset.signal.digest import digest, digests
from vetset.signal.heif import EXTRA, decodes_heif
from vetset.signal.partial import decode_partial
from vetset.signal.pdq import pdq, pdq_dihedral
from vetset.signal.variants import DIHEDRAL, variants_of

SIGNAL_VERSIONS: Mapping[Kind, int] = MappingProxyType(
    {**dict.fromkeys(Kind, 1), **dict.fromkeys(URL_KINDS, 2), Kind.PDQ: 3, Kind.EMBEDDING: 4}
)
"""Version of the way each kind is computed; part of the key of what the store keeps.

A number goes up when a release may give another value for the same bytes (a change of `decode` counts for PDQ and
embeddings), so that a store never mixes the two.
"""


def decoders() -> tuple[str, ...]:
    """Extras that are installed here and decode what is `unknown_encoding` without them; part of that key, too."""
    return (EXTRA,) if decodes_heif() else ()


PICTURE_KINDS = (*BYTE_KINDS, Kind.PDQ)
"""Kinds that are taken here; addresses and embeddings have functions of their own."""

_Answer = Signal | NoSignal
_DEFAULTS = ScanPolicy()
_KINDS = {str(kind): kind for kind in PICTURE_KINDS}
_FORMS = {str(form): form for form in Form}

_BESIDE = frozenset({Form.UPRIGHT, Form.WHITE, Form.BLACK, Form.FRAMES})
"""Forms that need more of a file than its pixels."""


def fingerprint(
    data: bytes,
    *,
    kinds: Iterable[Kind | str] = PICTURE_KINDS,
    policy: ScanPolicy | None = None,
    variants: Iterable[Form | str] = (),
) -> list[_Answer]:
    """The fingerprints of one stored picture.

    Args:
        data: the bytes as they lie in the dataset.
        kinds: some of `md5 sha1 sha256 pdq`.
        policy: caps, the least PDQ quality and the number of frames; the defaults of `ScanPolicy` if None. Its own
            variants are not looked at.
        variants: some of `upright white black frames resized512 partial dihedral`.

    Returns:
        One `Signal` or `NoSignal` for each kind, in the order asked, of the picture as stored; then, if PDQ is among
        the kinds, one for each variant that differs from the stored picture.

    Raises:
        UsageError: a kind that is not taken of stored bytes, or an unknown variant.
    """
    answers, _ = _examined(
        data, _checked(tuple(kinds)), policy or _DEFAULTS, _checked_forms(tuple(variants)), pixels=False
    )
    return answers


def fingerprints(
    images: Sequence[bytes],
    *,
    kinds: Iterable[Kind | str] = PICTURE_KINDS,
    policy: ScanPolicy | None = None,
    variants: Iterable[Form | str] = (),
) -> list[list[_Answer]]:
    """What `fingerprint` gives for each of many pictures, sooner: their digests are taken side by side.

    Args:
        images: the bytes of each, as they lie in the dataset. They are copied, so some dozens at a time are best.
        kinds: as for `fingerprint`.
        policy: as for `fingerprint`.
        variants: as for `fingerprint`.

    Raises:
        UsageError: as for `fingerprint`.
    """
    wanted, forms = _checked(tuple(kinds)), _checked_forms(tuple(variants))
    of_bytes = [kind for kind in wanted if kind in BYTE_KINDS]
    decoded = tuple(kind for kind in wanted if kind not in BYTE_KINDS)
    columns = digests(images, of_bytes)
    found = []
    for place, data in enumerate(images):
        rest = iter(_examined(data, decoded, policy or _DEFAULTS, forms, pixels=False)[0])
        taken = iter(column[place] for column in columns)
        answers = [_stored(data, kind, next(taken)) if kind in BYTE_KINDS else next(rest) for kind in wanted]
        found.append([*answers, *rest])
    return found


def screen(
    data: bytes, kinds: Iterable[Kind | str], policy: ScanPolicy, variants: Iterable[Form | str] = ()
) -> tuple[list[_Answer], NDArray[np.uint8] | Reason]:
    """Like `fingerprint`, and hands out the decoded pixels (H, W, 3), uint8, or the reason why there are none.

    The picture is decoded whether or not a kind needs it.

    Raises:
        UsageError: a kind that is not taken of stored bytes, or an unknown variant.
    """
    answers, picture = _examined(data, _checked(tuple(kinds)), policy, _checked_forms(tuple(variants)), pixels=True)
    return answers, picture.pixels if isinstance(picture, Picture) else picture


@lru_cache
def _checked(kinds: tuple[Kind | str, ...]) -> tuple[Kind, ...]:
    wanted = []
    for kind in kinds:
        if kind not in _KINDS:
            raise UsageError(
                "this kind is not taken of stored bytes",
                expected=" ".join(_KINDS),
                seen=str(kind),
                todo="Addresses have vetset.signal.digest.url_digest, embeddings vetset.signal.embedding",
            )
        wanted.append(_KINDS[kind])
    return tuple(wanted)


@lru_cache  # a scan asks the same of every picture
def _checked_forms(wanted: tuple[Form | str, ...]) -> frozenset[Form]:
    for name in wanted:
        if name not in _FORMS:
            raise UsageError("there is no such variant", expected=" ".join(_FORMS), seen=str(name))
    return frozenset(_FORMS[name] for name in wanted)


def _examined(
    data: bytes, kinds: Sequence[Kind], policy: ScanPolicy, forms: frozenset[Form], *, pixels: bool
) -> tuple[list[_Answer], Picture | Reason]:
    """Answers, and the picture that was decoded; `NO_IMAGE` where nobody needed it."""
    hashed = Kind.PDQ in kinds
    picture: Picture | Reason = Reason.NO_IMAGE
    if hashed or pixels:
        picture = _picture(data, policy, forms if hashed else frozenset(), borrowed=not pixels)
    answers: list[_Answer] = []
    for kind in kinds:
        if kind is Kind.PDQ:
            answers.append(_perceptual(picture, policy))
        else:
            answers.append(_stored(data, kind, digest(data, kind)))
    if hashed and forms:
        answers += [_hashed(pixels, policy, variant) for variant, pixels in _forms(data, picture, policy, forms)]
        if Form.DIHEDRAL in forms and isinstance(picture, Picture):
            found = pdq_dihedral(picture.pixels)
            answers += [_judged(*found[turn], policy, variant) for variant, turn in DIHEDRAL.items()]
    return answers, picture


def _stored(data: bytes, kind: Kind, value: bytes) -> _Answer:
    # an empty file has a digest too, but it is the same for all of them and says nothing
    return Signal(kind, value) if data else NoSignal(kind, Reason.EMPTY_FILE)


def _picture(data: bytes, policy: ScanPolicy, forms: frozenset[Form], *, borrowed: bool) -> Picture | Reason:
    if len(data) > policy.max_image_bytes:
        return Reason.TOO_LARGE
    if forms.isdisjoint(_BESIDE):
        pixels = decode(data, max_pixels=policy.max_pixels, borrowed=borrowed)
        return pixels if isinstance(pixels, Reason) else Picture(pixels)
    frames = policy.frames if Form.FRAMES in forms else 0
    return decode_picture(data, max_pixels=policy.max_pixels, frames=frames, borrowed=borrowed)


def _forms(
    data: bytes, picture: Picture | Reason, policy: ScanPolicy, forms: frozenset[Form]
) -> Iterator[tuple[Variant, NDArray[np.uint8]]]:
    if isinstance(picture, Picture):
        yield from variants_of(picture, forms)
    elif picture is Reason.TRUNCATED and Form.PARTIAL in forms:
        top = decode_partial(data, max_pixels=policy.max_pixels)
        if top is not None:
            yield Variant.PARTIAL, top


def _perceptual(picture: Picture | Reason, policy: ScanPolicy) -> _Answer:
    if isinstance(picture, Reason):
        return NoSignal(Kind.PDQ, picture)
    return _hashed(picture.pixels, policy, Variant.STORED)


def _hashed(pixels: NDArray[np.uint8], policy: ScanPolicy, variant: Variant) -> _Answer:
    return _judged(*pdq(pixels), policy, variant)


def _judged(value: bytes, quality: int, policy: ScanPolicy, variant: Variant) -> _Answer:
    if quality < policy.min_pdq_quality:
        return NoSignal(Kind.PDQ, Reason.LOW_QUALITY, variant)
    return Signal(Kind.PDQ, value, quality, variant)
