"""How lists agree: of how many independent owners each value is. Numbers only; no value leaves.

Each list's values are sorted, so that all lists are gone through side by side, one range of first bytes at a time, and
memory holds little more than the values themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vetset.hashlist.columns import ordered
from vetset.model.errors import UsageError
from vetset.model.hashlist import HashList

MOST_OWNERS = 64


@dataclass(frozen=True, slots=True)
class Overlap:
    """How the lists of some owners agree about one kind of value.

    Attributes:
        distinct: different values in all of them.
        by_owners: how many values so many owners hold: `by_owners[n - 1]` of n.
        alone: for each list, how many of its values no other owner holds.
    """

    distinct: int
    by_owners: tuple[int, ...]
    alone: tuple[int, ...]


def overlap(columns: Sequence[NDArray[np.uint8]], owners: Sequence[str]) -> Overlap:
    """Count values by the number of independent owners that hold them.

    Args:
        columns: one for each list: uint8 (n, width), rows sorted and distinct, all of one width.
        owners: whose each list is; two lists of one owner are one voice.

    Raises:
        UsageError: there are more owners than 64, or none.
    """
    number = {owner: place for place, owner in enumerate(dict.fromkeys(owners))}
    if not 0 < len(number) <= MOST_OWNERS:
        raise UsageError(
            "there are too many owners to compare, or none", expected=f"1 to {MOST_OWNERS}", seen=str(len(number))
        )
    by_owners = np.zeros(len(number), np.int64)
    alone = np.zeros(len(columns), np.int64)
    cuts = [np.searchsorted(values[:, 0], np.arange(257)) for values in columns]
    for byte in range(256):
        here = [values[cut[byte] : cut[byte + 1]] for values, cut in zip(columns, cuts, strict=True)]
        _count(here, [number[owner] for owner in owners], by_owners, alone)
    return Overlap(int(by_owners.sum()), tuple(by_owners.tolist()), tuple(alone.tolist()))


def _count(
    here: Sequence[NDArray[np.uint8]], owner: Sequence[int], by_owners: NDArray[np.int64], alone: NDArray[np.int64]
) -> None:
    values = np.concatenate(here)
    if not len(values):
        return
    lists = np.repeat(np.arange(len(here)), [len(rows) for rows in here])
    order, fresh = ordered(values)
    voices = np.uint64(1) << np.array(owner, np.uint64)[lists[order]]
    count = np.bitwise_count(np.bitwise_or.reduceat(voices, np.flatnonzero(fresh)))
    by_owners += np.bincount(count, minlength=len(by_owners) + 1)[1:]
    group = np.cumsum(fresh) - 1
    alone += np.bincount(lists[order][count[group] == 1], minlength=len(alone))


def as_json(found: Overlap, names: Sequence[str]) -> Mapping[str, object]:
    """The numbers by name."""
    return {
        "distinct": found.distinct,
        "by_owners": {str(owners): count for owners, count in enumerate(found.by_owners, start=1)},
        "of_one_owner_alone": dict(zip(names, found.alone, strict=True)),
    }


def same_values(one: HashList, other: HashList) -> bool:
    """Whether two lists hold the same values, whatever they are called and whoever they are of."""
    return one.entries.keys() == other.entries.keys() and all(
        np.array_equal(entries.values, other.entries[kind].values) for kind, entries in one.entries.items()
    )
