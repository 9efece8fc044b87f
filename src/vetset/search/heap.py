"""Heaps of similarities with the places they are at, the worst on top; of equal ones, the place behind is the worse."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.search.similarity import Doubles

Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def worse(heap: Doubles, places: Ints, i: int, value: float, place: int) -> Any:
    """Whether what stands there is worse than a value at a place: less similar, or as similar and behind it."""
    return heap[i] < value or (heap[i] == value and places[i] > place)


@njit(cache=True, nogil=True)
def rise(heap: Doubles, places: Ints, slot: int, value: float, place: int) -> None:
    """Add to a heap whose top is the worst."""
    while slot > 0:
        above = (slot - 1) >> 1
        if worse(heap, places, above, value, place):
            break
        heap[slot], places[slot] = heap[above], places[above]
        slot = above
    heap[slot], places[slot] = value, place


@njit(cache=True, nogil=True)
def sink(heap: Doubles, places: Ints, value: float, place: int) -> None:
    """Replace the top of the heap, its worst."""
    size = heap.size
    slot = 0
    while True:
        below = 2 * slot + 1
        if below >= size:
            break
        if below + 1 < size and worse(heap, places, below + 1, heap[below], places[below]):
            below += 1
        if not worse(heap, places, below, value, place):
            break
        heap[slot], places[slot] = heap[below], places[below]
        slot = below
    heap[slot], places[slot] = value, place
