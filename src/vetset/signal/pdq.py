"""PDQ, the perceptual hash of the exchanged lists: 256 bits and a quality, equal bit by bit to Meta's reference.

PDQ (Meta, 2019; ThreatExchange `pdq/cpp`, as bound by the package `pdqhash`) blurs the luma with two rounds of box
filters along rows and columns, picks 64 x 64 samples, takes 16 x 16 low frequencies of their cosine transform and
writes one bit for each: above the median or not. The quality counts how much the 64 x 64 samples vary.

Three forms of the same function stand here:

* `pdq_plain`: the definition, in plain NumPy, step by step and rounding by rounding as the reference does it.
* the fast form (`vetset.signal.pdq_fold`): boxes and picking are linear and separable, so they are folded into 64
  sparse weights for each axis (cached for each length), and every pixel is touched about once instead of four times.
* the replay (`vetset.signal.pdq_replay`): every sum in the reference's order, sixteen lines side by side, a few rows at
  a time; ten times the price of the fast form.

The fast form rounds in another order than the reference. The hash is a split of 256 numbers into a lower and an upper
half, so it stands whenever the gap between the halves is wider than that difference ever was; the same is asked of
the quality. `pdq` answers from the fast form when both stand and from the replay otherwise, which is how flat,
symmetric or synthetic pictures, whose bits the reference takes from rounding noise, still come out equal.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.model.errors import UsageError
from vetset.signal.orientation import TURNS, turned
from vetset.signal.pdq_fold import Across, Down, fold_across, fold_down, folded
from vetset.signal.pdq_replay import SIDE, Axis, axis, replayed
from vetset.signal.pdq_transform import LOW, cosines, gradients, halves, packed, transformed

MIN_DIMENSION = 5
"""Pictures with a shorter side have hash 0 and quality 0, as in the reference."""

_HALF = 128  # of the 256 coefficients, the lower half; the reference's median is the greatest of it
_CACHED_LENGTH = 4_096  # weights of longer axes are built again each time, so that the cache stays small
_CACHED = 2_048
# How far a coefficient or sample of the fast form may be from the reference's: more than the most that was seen on
# photographs of 256 to 3000 px. It is a measured bound, not a proven one. Full-frame gradients drift further (0.03),
# but their halves lie closer together than that, so they are replayed as well.
_NOISE_FLOOR = 3.0e-3
_NOISE_PER_PIXEL = 2.0e-6

Array32 = NDArray[np.float32]
Indices = NDArray[np.int64]
_Made = TypeVar("_Made")

_COSINES = cosines()
_COSINES_TRANSPOSED = np.ascontiguousarray(_COSINES.T)


def pdq(rgb: NDArray[np.uint8]) -> tuple[bytes, int]:
    """PDQ hash and quality of a picture.

    Args:
        rgb: pixels (H, W, 3), uint8.

    Returns:
        The 32 bytes of the 64-digit hexadecimal form, most significant first, and the quality, 0 to 100.

    Raises:
        UsageError: the array is not (H, W, 3) of uint8 or holds no pixel.
    """
    height, width = _shape(rgb)
    if height < MIN_DIMENSION or width < MIN_DIMENSION:
        return bytes(32), 0
    rows = np.ascontiguousarray(rgb).reshape(height, width * 3)
    if height == SIDE and width == SIDE:
        bits, quality, _, _ = _decided(_luma_samples(rows), _COSINES, _COSINES_TRANSPOSED, 0.0)
        return bits.tobytes(), quality
    noise = _noise(height, width)
    bits, quality, gap, sure = _fast(rows, _down(height), _across(width), _COSINES, _COSINES_TRANSPOSED, noise)
    if gap <= 2 * noise or not sure:
        return _replayed_pdq(rows)
    return bits.tobytes(), quality


def _replayed_pdq(rows: NDArray[np.uint8]) -> tuple[bytes, int]:
    height, width = rows.shape[0], rows.shape[1] // 3
    samples = replayed(rows.reshape(-1), _axis(height), _axis(width))
    bits, quality, _, _ = _decided(samples, _COSINES, _COSINES_TRANSPOSED, 0.0)
    return bits.tobytes(), quality


def pdq_dihedral(rgb: NDArray[np.uint8]) -> dict[int, tuple[bytes, int]]:
    """`pdq` of the seven mirrored and turned forms of a picture, for two or three times the price of one.

    A form's samples are sums of the stored pixels by mirrored weights, so the pixels are read twice and never moved,
    and two forms that are one another's transposition share a transform. One transform for all, its signs changed as
    in the reference's `dihedral`, would not do: its samples do not lie symmetrically in the picture.

    Args:
        rgb: pixels (H, W, 3), uint8.

    Returns:
        Hash and quality of what each of EXIF's orientations 2 to 8 makes of the picture, by that number.

    Raises:
        UsageError: the array is not (H, W, 3) of uint8 or holds no pixel.
    """
    height, width = _shape(rgb)
    if min(height, width) < MIN_DIMENSION or height == width == SIDE:
        return {orientation: pdq(turned(rgb, orientation)) for orientation in TURNS}
    rows = np.ascontiguousarray(rgb).reshape(height, width * 3)
    ways = (_down(height), _up(height)), (_across(width), _back(width))
    codes, qualities, certain = _eight(rows, *ways, _COSINES, _COSINES_TRANSPOSED, _noise(height, width))
    found = {}
    for orientation, (flipped, mirrored, transposed) in TURNS.items():
        if certain[flipped, mirrored]:
            code = codes[flipped, mirrored, transposed].tobytes()
            found[orientation] = code, int(qualities[flipped, mirrored])
        else:
            form = turned(rgb, orientation)
            found[orientation] = _replayed_pdq(form.reshape(form.shape[0], -1))
    return found


def pdq_plain(rgb: NDArray[np.uint8]) -> tuple[bytes, int]:
    """The definition of `pdq`: same arguments, same result, slow, and nothing clever.

    Every sum runs in the reference's order in float32, because on flat or symmetric pictures the bits are decided by
    the rounding.
    """
    height, width = _shape(rgb)
    if height < MIN_DIMENSION or width < MIN_DIMENSION:
        return bytes(32), 0
    samples = _samples_plain(rgb)
    coefficients = _product_plain(_product_plain(_COSINES, samples), _COSINES.T)
    median = np.sort(coefficients, axis=None)[_HALF - 1]
    # bit k = 16 i + j of the coefficients has the value 2^k of the printed number
    return np.packbits((coefficients > median).ravel()[::-1]).tobytes(), _quality_plain(samples)


def transform_plain(rgb: NDArray[np.uint8]) -> Array32:
    """The 256 coefficients, float32 (16, 16), that `pdq_plain` compares; the shorter side must have 5 pixels."""
    return _product_plain(_product_plain(_COSINES, _samples_plain(rgb)), _COSINES.T)


def _samples_plain(rgb: NDArray[np.uint8]) -> Array32:
    height, width = rgb.shape[:2]
    luma: Array32 = (rgb[:, :, 0] * 0.299 + rgb[:, :, 1] * 0.587 + rgb[:, :, 2] * 0.114).astype(np.float32)
    if (height, width) == (SIDE, SIDE):
        return luma
    for _ in range(2):
        luma = _box_plain(luma.T, _window(width)).T
        luma = _box_plain(luma, _window(height))
    return luma[np.ix_(_picks(height), _picks(width))]


def _box_plain(values: Array32, window: int) -> Array32:
    """Running mean along axis 0 over `window` values, fewer at both ends."""
    ahead = (window + 2) // 2 - 1  # values after the middle; the ones before it are window - 1 - ahead
    out = np.empty_like(values)
    total = np.zeros(values.shape[1:], dtype=np.float32)
    count = 0
    for position in range(len(values) + ahead):
        if position < len(values):
            total = total + values[position]
            count += 1
        if position >= window:
            total = total - values[position - window]
            count -= 1
        if position >= ahead:
            out[position - ahead] = total / np.float32(count)
    return out


def _product_plain(left: Array32, right: Array32) -> Array32:
    """Matrix product whose sums run from the first to the last term, in float32."""
    out = np.zeros((left.shape[0], right.shape[1]), dtype=np.float32)
    for k in range(left.shape[1]):
        out = out + left[:, k, None] * right[None, k, :]
    return out


def _quality_plain(samples: Array32) -> int:
    """Sum of the differences of neighbours, each cut to whole hundredths of the range, over 90, at most 100."""
    total = 0
    for along in (0, 1):
        difference = -np.diff(samples, axis=along)
        total += int(np.abs((difference * np.float32(100) / np.float32(255)).astype(np.int32)).sum())
    return min(100, total // 90)


def _shape(rgb: NDArray[np.uint8]) -> tuple[int, int]:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise UsageError(
            "PDQ is taken of RGB pixels",
            expected="an array (H, W, 3) of uint8 with at least one pixel",
            seen=f"shape {rgb.shape} of {rgb.dtype}",
            todo="Decode the picture with vetset.signal.decode first",
        )
    return rgb.shape[0], rgb.shape[1]


def _window(length: int) -> int:
    """Width of the box filter along an axis of this length: half a block of the 64, rounded up."""
    return (length + 2 * SIDE - 1) // (2 * SIDE)


def _noise(height: int, width: int) -> float:
    return _NOISE_FLOOR + _NOISE_PER_PIXEL * (height + width)


def _picks(length: int) -> Indices:
    """Position of each of the 64 samples: the middle of its block."""
    return np.array([int((k + 0.5) * length / SIDE) for k in range(SIDE)], dtype=np.int64)


def _kept(make: Callable[[int], _Made]) -> Callable[[int], _Made]:
    """The same function of a length, its results kept for all but very long ones."""
    kept = lru_cache(maxsize=_CACHED)(make)

    def of(length: int) -> _Made:
        return kept(length) if length <= _CACHED_LENGTH else make(length)

    return of


_axis: Callable[[int], Axis] = _kept(lambda length: axis(length, _window(length), _picks(length)))
_down: Callable[[int], Down] = _kept(lambda length: fold_down(length, _window(length), _picks(length)))
_across: Callable[[int], Across] = _kept(lambda length: fold_across(length, _window(length), _picks(length)))
_up: Callable[[int], Down] = _kept(lambda length: fold_down(length, _window(length), _picks(length), mirrored=True))
_back: Callable[[int], Across] = _kept(
    lambda length: fold_across(length, _window(length), _picks(length), mirrored=True)
)


@njit(cache=True, nogil=True)
def _fast(  # noqa: PLR0917  a kernel takes its arrays one by one
    rows: NDArray[np.uint8], down: Down, across: Across, matrix: Array32, transposed: Array32, noise: float
) -> tuple[NDArray[np.uint8], int, float, bool]:
    """`_decided` of the folded samples: one call from Python costs less than two."""
    return _decided(folded(rows, down, (across,))[0], matrix, transposed, noise)


@njit(cache=True, nogil=True)
def _eight(  # noqa: PLR0917  a kernel takes its arrays one by one
    rows: NDArray[np.uint8],
    downs: tuple[Down, Down],
    acrosses: tuple[Across, Across],
    matrix: Array32,
    transposed: Array32,
    noise: float,
) -> tuple[NDArray[np.uint8], Indices, NDArray[np.bool_]]:
    """By flip, mirror and transposition: codes, uint8 (2, 2, 2, 32); by the first two: quality, and whether it stands.

    What is transposed has the same coefficients in another order, and the same differences of neighbours.
    """
    codes = np.empty((2, 2, 2, _HALF // 4), np.uint8)
    qualities = np.empty((2, 2), np.int64)
    certain = np.empty((2, 2), np.bool_)
    for flip in range(2):
        samples = folded(rows, downs[flip], acrosses)
        for mirror in range(2):
            coefficients = transformed(samples[mirror], matrix, transposed)
            low, high = halves(coefficients)
            least, most = gradients(samples[mirror], noise)
            codes[flip, mirror, 0] = packed(coefficients, low)
            codes[flip, mirror, 1] = packed(coefficients.reshape(LOW, LOW).T.copy().ravel(), low)
            qualities[flip, mirror] = min(100, least // 90)
            certain[flip, mirror] = high - low > 2 * noise and min(100, least // 90) == min(100, most // 90)
    return codes, qualities, certain


@njit(cache=True, nogil=True)
def _decided(
    samples: Array32, matrix: Array32, transposed: Array32, noise: float
) -> tuple[NDArray[np.uint8], int, float, bool]:
    """Hash, quality, the gap between the halves of the coefficients, and whether `noise` leaves the quality alone."""
    coefficients = transformed(samples, matrix, transposed)
    low, high = halves(coefficients)
    least, most = gradients(samples, noise)
    quality = min(100, least // 90)
    return packed(coefficients, low), quality, high - low, quality == min(100, most // 90)


@njit(cache=True, nogil=True)
def _luma_row(row: NDArray[np.uint8], luma: Array32) -> None:
    """Weighted in double precision, then rounded, as the binding does."""
    for x in range(luma.size):
        luma[x] = np.float32(row[3 * x] * 0.299 + row[3 * x + 1] * 0.587 + row[3 * x + 2] * 0.114)


@njit(cache=True, nogil=True)
def _luma_samples(rows: NDArray[np.uint8]) -> Array32:
    """A 64 x 64 picture is not filtered."""
    samples = np.empty((SIDE, SIDE), np.float32)
    for r in range(SIDE):
        _luma_row(rows[r], samples[r])
    return samples
