"""A scan in several parts, by processes or machines that know nothing of each other, and putting the parts together.

Which shards belong to a part follows from their order alone. Every part leaves a note of what it brought; merging reads
these notes and the committed parts of the store, and nothing of the dataset.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from vetset.model.dataset import Shard
from vetset.model.errors import UsageError
from vetset.store.store import ScanKey, Scanned, ScanNote, Store

MOST_PARTS = 1_000_000


@dataclass(frozen=True, slots=True, order=True)
class Share:
    """One part of a scan that is made in several.

    Attributes:
        number: which one, from 1.
        count: of how many.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The share in `i/n`.

        Raises:
            UsageError: it is not of that form, or there is no such part.
        """
        found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text)
        share = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if not 1 <= share.number <= share.count <= MOST_PARTS:
            raise UsageError("the part is not understood", expected="i/n with 1 ≤ i ≤ n, for instance 3/8", seen=text)
        return share

    def of(self, shards: Sequence[Shard]) -> list[Shard]:
        """Its shards: every `count`-th in the order of their places."""
        return sorted(shards)[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def _most_complete(shares: Iterable[Share]) -> int | None:
    """Into how many parts a scan was split; where several ways were begun, the one with the most parts done."""
    counts = [share.count for share in shares]
    return max(set(counts), key=lambda count: (counts.count(count), count)) if counts else None


def _require_all(
    shards: Sequence[Shard], known: Collection[str], shares: Mapping[Share, ScanNote], store: Path
) -> None:
    """Refuse to merge while a shard is missing, and say of which part it is.

    Raises:
        UsageError: a shard is missing.
    """
    missing = [place for place, shard in enumerate(sorted(shards)) if shard.uri not in known]
    if not missing:
        return
    count = _most_complete(shares)
    if count is None:
        raise UsageError(
            "there is nothing to merge",
            expected="a store with the parts of a scan of this dataset, under this policy",
            seen="no part of such a scan",
            where=str(store),
            todo="Run `vetset scan` with --part 1/n to n/n first; the dataset must not change between.",
        )
    lacking = []
    for number, lost in sorted(Counter(place % count + 1 for place in missing).items()):
        share = Share(number, count)
        how = f"{lost} of its shards are missing or damaged" if share in shares else "not there"
        lacking.append(f"{share} ({how})")
    raise UsageError(
        "parts of the scan are missing",
        expected=f"every part of {count}",
        seen=f"without {', '.join(lacking[:20])}{' …' if len(lacking) > 20 else ''}",
        where=str(store),
        todo="Run these parts again with --part, then merge.",
    )


def _elsewhere(told: Iterable[Scanned], key: ScanKey, store: Store) -> Scanned | None:
    """A part of the store that one of several notes names for a shard, scanned where the dataset lies elsewhere.

    Notes of earlier scans lie there too: of other parts, by another version of the signals (whose part has another
    key), or from where the self-test failed. Which comes first says nothing about which is the better one.
    """
    mine = (one for one in told if one.part == key.part(one.digest, one.passed, one.test) and store.holds(one.part))
    return max(mine, key=lambda one: one.tested, default=None)


def merged(store: Store, key: ScanKey, shards: Sequence[Shard], blank: ScanNote) -> ScanNote:
    """The note of a whole scan out of its parts, without reading the dataset.

    Args:
        store: where the parts of the scan lie.
        key: what decides, beside content, what a part of the store holds.
        shards: the dataset's shards.
        blank: the note without shards; its name says which revision is meant, its root where the dataset lies here.

    Raises:
        UsageError: parts are missing.
    """
    shares = {Share(*numbers): note for numbers, note in store.shares(blank.name).items()}
    told: dict[str, list[Scanned]] = {}
    for scanned in (scanned for note in shares.values() for scanned in note.shards):
        told.setdefault(scanned.uri, []).append(scanned)
    known: dict[str, Scanned] = {}
    for shard in shards:
        found = store.find(key, blank.root, shard)
        elsewhere = None if found is not None and found.tested else _elsewhere(told.get(shard.uri, ()), key, store)
        if elsewhere is not None and (found is None or elsewhere.tested):
            found = elsewhere
            store.pass_over(key, blank.root, shard, found.passed)
            store.remember(key, blank.root, shard, found)
        if found is not None:
            known[shard.uri] = found
    failed = {uri: why for note in shares.values() for uri, why in note.failed.items() if uri not in known}
    _require_all(shards, {*known, *failed}, shares, store.folder)
    return replace(blank, shards=tuple(known[uri] for uri in sorted(known)), failed=dict(sorted(failed.items())))
