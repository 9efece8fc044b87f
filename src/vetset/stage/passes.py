"""How many seeds are searched around in one pass over the vectors: as many as fit into the policy's memory.

Each thread of a search keeps the best rows of each seed, so that a hundred thousand seeds on sixteen cores would need
more than most machines have. Seeds do not know of each other while they are searched around, so that several passes
find what one does. Where somebody else sees the vectors read, the number of passes would tell how much was found: there
it is one, with fewer threads.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vetset.stage.hits import threads_here

_BYTES = 120
"""Of a row that one thread keeps of one seed: in its heap, and while the heaps of all threads become one answer. With
1, 2 and 4 threads and full heaps, 121, 104 and 108 were measured."""
_LEAST_COPIES = 2
"""What is sorted out afterwards takes as much as two threads keep, also where there is only one."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over all vectors.

    Attributes:
        seeds: which of the seeds, by position.
        threads: that compute.
        name: what progress calls it.
    """

    seeds: slice
    threads: int
    name: str


def passes(seeds: int, kept: int, memory_mb: int, *, watched: bool) -> Iterator[Pass]:
    """The passes that it takes to search around all seeds, in order of the seeds.

    Args:
        seeds: how many there are.
        kept: rows that the search keeps of each.
        memory_mb: what the search may take, in MiB.
        watched: whether somebody else sees what is read.
    """
    threads, room = threads_here(), (memory_mb << 20) // (_BYTES * max(1, kept))
    if watched:
        yield Pass(slice(0, seeds), max(1, min(threads, room // max(1, seeds))), "neighbours")
        return
    step = max(1, room // max(threads, _LEAST_COPIES))
    count = -(-seeds // step)
    for number, first in enumerate(range(0, seeds, step), start=1):
        name = "neighbours" if count == 1 else f"neighbours, pass {number} of {count}"
        yield Pass(slice(first, min(first + step, seeds)), threads, name)
