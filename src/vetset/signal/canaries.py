"""Synthetic pictures whose fingerprints are known: what a decoder or hasher that is broken here cannot get right.

`canaries.zip` holds one small file for each encoding, and what must come of it (scripts/make_canaries.py draws and
encodes them). The files are ready made, so that an encoder that is missing on a machine leaves nothing untested. Every
file shows another picture, so that a decoder that hands out an earlier one is noticed, too.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import features

from vetset.model.errors import EngineError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import BYTE_KINDS, FRAME_VARIANTS, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal.decode import decode
from vetset.signal.heif import decodes_heif

FILE = "canaries.zip"
MODEL_TRIPLE = ("model", "model, compressed more", "model, another")
"""Three that a model is tried on: a picture, the same compressed a little more, and another one."""
_LATER_FRAMES = 2
"""Frames after the first of every animation here; with fewer samples others of them would be chosen."""
_MOST_PIXELS = 1 << 20
_MOST_BYTES = 1 << 20
_LEAST_QUALITY = 50
_QUALITY_APART = 2
"""Points of quality that a lossy picture may differ by."""

_AT_HAND: Mapping[str, Callable[[], bool]] = MappingProxyType(
    {
        "": lambda: True,
        "avif": lambda: bool(features.check("avif")),
        "webp": lambda: bool(features.check("webp")),
        "jpg_2000": lambda: bool(features.check("jpg_2000")),
        "libtiff": lambda: bool(features.check("libtiff")),
        "heic": decodes_heif,
    }
)
"""Decoders that an installation may lack: such pictures are then undecided and counted, which is no fault."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One file and what must come of it.

    Attributes:
        name: its encoding.
        data: the file.
        needs: a decoder that an installation may lack, or empty.
        bits: how many bits of PDQ may differ, since decoders round; 0 where the coding is lossless.
        digests: of the file, by kind.
        reason: why the stored picture has no PDQ, or None where it has one.
        quality: of the stored picture's PDQ.
        pdq: by variant; not those that are the same for every encoding, but for some canaries.
    """

    name: str
    data: bytes = field(repr=False)
    needs: str
    bits: int
    digests: Mapping[Kind, bytes] = field(repr=False)
    reason: Reason | None
    quality: int
    pdq: Mapping[Variant, bytes] = field(repr=False)

    @property
    def at_hand(self) -> bool:
        """Whether this installation has what decodes it."""
        return _AT_HAND[self.needs]()


@cache
def canaries() -> tuple[Canary, ...]:
    """All of them, in the order of the file.

    Raises:
        EngineError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(_packed())) as archive:
            listed = json.loads(archive.read("expected.json"))
            return tuple(_canary(entry, archive.read(entry["file"])) for entry in listed)
    except (OSError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise EngineError(
            "the pictures of the self-test are missing or damaged",
            expected="the file that came with vetset",
            where=FILE,
            todo="Install vetset anew.",
        ) from error


def digest_of_canaries() -> str:
    """Hex SHA-256 of the file that holds them."""
    return hashlib.sha256(_packed()).hexdigest()


def _packed() -> bytes:
    return files("vetset.signal").joinpath(FILE).read_bytes()


def _canary(entry: Mapping[str, object], data: bytes) -> Canary:
    digests, pdq, reason = entry["digests"], entry["pdq"], entry["reason"]
    if not isinstance(digests, dict) or not isinstance(pdq, dict):
        raise ValueError("not as it was written")  # noqa: TRY004  what is damaged is told in one way
    return Canary(
        name=str(entry["name"]),
        data=data,
        needs=str(entry["needs"]),
        bits=int(str(entry["bits"])),
        digests={Kind(kind): bytes.fromhex(value) for kind, value in digests.items()},
        reason=None if reason is None else Reason(str(reason)),
        quality=int(str(entry["quality"])),
        pdq={Variant(variant): bytes.fromhex(value) for variant, value in pdq.items()},
    )


def policy_for_canaries(policy: ScanPolicy) -> ScanPolicy:
    """The policy of a scan, with caps that let the canaries pass: whether they are low says nothing of a decoder."""
    return policy.model_copy(
        update={
            "max_pixels": max(policy.max_pixels, _MOST_PIXELS),
            "max_image_bytes": max(policy.max_image_bytes, _MOST_BYTES),
            "min_pdq_quality": min(max(policy.min_pdq_quality, 1), _LEAST_QUALITY),
            "frames": max(policy.frames, _LATER_FRAMES),
        }
    )


def faults(canary: Canary, answers: Sequence[Signal | NoSignal], policy: ScanPolicy) -> list[str]:
    """Which kinds and variants of a canary did not come out as they must.

    Args:
        canary: the picture.
        answers: its fingerprints under this policy.
        policy: `policy_for_canaries` of the scan's.
    """
    found = {(answer.kind, answer.variant): answer for answer in answers}
    wrong = [
        kind.value
        for kind in policy.kinds
        if kind in BYTE_KINDS and not _is(found.get((kind, Variant.STORED)), canary.digests[kind], 0)
    ]
    if Kind.PDQ in policy.kinds:
        wrong += [
            "pdq" if variant is Variant.STORED else variant.value
            for variant in (Variant.STORED, *policy.pdq_variants)
            if not _hashed(canary, found.get((Kind.PDQ, variant)), variant)
        ]
    return wrong


def _hashed(canary: Canary, answer: Signal | NoSignal | None, variant: Variant) -> bool:
    """Whether PDQ of a variant came out as it must; one that is not listed may be there or not."""
    if variant is Variant.STORED and canary.reason is not None:
        return isinstance(answer, NoSignal) and answer.reason is canary.reason
    if variant not in canary.pdq:
        # a later frame, an upright or a composed form of a picture that has none is the sign of another picture
        return not isinstance(answer, Signal) or variant not in _NEVER_UNLISTED
    if not _is(answer, canary.pdq[variant], canary.bits) or not isinstance(answer, Signal):
        return False
    apart = _QUALITY_APART if canary.bits else 0
    return variant is not Variant.STORED or abs(answer.quality - canary.quality) <= apart


_NEVER_UNLISTED = frozenset({Variant.UPRIGHT, Variant.WHITE, Variant.BLACK, Variant.PARTIAL, *FRAME_VARIANTS})
"""Variants that every canary lists if it has them."""


def _is(answer: Signal | NoSignal | None, value: bytes, bits: int) -> bool:
    """Whether this is a signal of that value, but for so many bits."""
    if not isinstance(answer, Signal) or len(answer.value) != len(value):
        return False
    return (int.from_bytes(answer.value) ^ int.from_bytes(value)).bit_count() <= bits


def model_pictures() -> list[NDArray[np.uint8]] | None:
    """Pixels (H, W, 3), uint8, of `MODEL_TRIPLE`; None where one of them is not decoded here."""
    named = {canary.name: canary for canary in canaries()}
    pixels = [decode(named[name].data, max_pixels=_MOST_PIXELS) for name in MODEL_TRIPLE]
    decoded = [one for one in pixels if not isinstance(one, Reason)]
    return decoded if len(decoded) == len(pixels) else None
