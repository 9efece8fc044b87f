"""Inner products of many 8-bit rows with a group of 8-bit seeds, exact in 32-bit integers.

Three ways with one result. Where the processor multiplies and adds 64 pairs of bytes in one instruction (AVX-512 VNNI),
or 32 of them (AVX2), kernels of our own do it (`vetset.search.tiles`). Everywhere else NumKong does, which knows each
kind of processor. AVX2 adds in 16 bits, so its way multiplies numbers of 7 bits only; who needs all 8 asks for them.
"""

from dataclasses import dataclass
from typing import Any, Literal

import llvmlite.binding
import numba
import numkong
import numpy as np
from numpy.typing import NDArray

from vetset.search import tiles
from vetset.search.lanes import LANES

GROUP = 64
"""Most seeds of a group."""
COLUMNS = 32
"""Rows and seeds are padded with zeros to a multiple of so many columns."""
TILE = 12
"""Rows are padded to a multiple of this, which the tiles of all kernels divide."""
Way = Literal["bytes", "pairs", "numkong"]
LEVELS: dict[Way, int] = {"bytes": 127, "pairs": 63, "numkong": 127}
"""Greatest number, with either sign, that a way multiplies."""
_NEEDS: dict[Way, tuple[str, ...]] = {"bytes": ("avx512f", "avx512vnni"), "pairs": ("avx2",)}


def ways() -> list[Way]:
    """Ways that can be gone here, the quickest first: ours if the processor has what they need.

    Not if Numba was told of another processor than this one.
    """
    told = numba.config.CPU_NAME or numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    features = llvmlite.binding.get_host_cpu_features()
    own = [way for way, names in _NEEDS.items() if not told and all(features.get(name, False) for name in names)]
    return [*own, "numkong"]


def quickest(levels: int) -> Way:
    """The quickest way here that multiplies numbers up to this one, 127 at most."""
    return next(way for way in ways() if LEVELS[way] >= levels)


@dataclass(frozen=True, slots=True)
class Group:
    """Up to 64 seeds, packed.

    Attributes:
        seeds: how many.
        width: columns of the scores: `seeds`, or more where a kernel fills whole vectors.
        way: that multiplies.
        packed: uint8, as the kernel wants it, or what NumKong makes of them.
    """

    seeds: int
    width: int
    way: Way
    packed: Any

    def multiply(self, rows: NDArray[np.int8], sums: NDArray[np.int32], room: NDArray[np.int32]) -> NDArray[np.int32]:
        """p·q of each row and each seed.

        Args:
            rows: int8 (n, d), numbers that the way multiplies, n a multiple of `TILE` and d of `COLUMNS`.
            sums: int32 (n,), of each row.
            room: int32 (n × 64 or more,), overwritten.

        Returns:
            int32 (n, width), a part of `room`; columns behind those of the seeds mean nothing.
        """
        scores = room[: len(rows) * self.width].reshape(len(rows), self.width)
        if self.way == "numkong":
            numkong.dots_packed(rows, self.packed, out=numkong.from_dlpack(scores))
        elif self.way == "pairs":
            tiles.paired(rows, self.packed, sums, scores)
        elif self.width == LANES:
            tiles.narrow(rows, self.packed, sums, scores)
        else:
            tiles.wide(rows, self.packed, sums, scores)
        return scores


def packed(seeds: NDArray[np.int8], way: Way) -> Group:
    """Up to 64 seeds, int8 (s, d), numbers that the way multiplies, d a multiple of `COLUMNS`."""
    count, dimension = seeds.shape
    if way == "numkong":
        return Group(count, count, way, numkong.dots_pack(seeds))
    shift = tiles.PAIR_SHIFT if way == "pairs" else tiles.BYTE_SHIFT
    step = LANES if way == "pairs" or count <= LANES else GROUP
    width = -(-count // step) * step
    whole = np.full((width, dimension), shift, np.uint8)
    whole[:count] = seeds.astype(np.int16) + shift
    fours = whole.reshape(width // step, step, dimension // tiles.FOUR, tiles.FOUR).transpose(0, 2, 1, 3)
    return Group(count, width, way, np.ascontiguousarray(fours if way == "pairs" else fours[0]))
