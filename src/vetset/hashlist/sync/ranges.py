"""Bringing a bank up to what a list owner's service says, from where it was left the last time.

A *range* is everything that changed between two times. A service gives it as pages that are in no order of time, so
that only a range with all its pages says where the next one may begin: pages are spooled (`spool`), the bank changes
when the last one is there, and the checkpoint with it. An interruption costs the page that was under way. Nothing here
decides whether the result is used: `synced` returns it, with what changed in numbers; whoever keeps it clears the spool
then.

An entry that changes while everything is fetched leaves the pages that are still to come, since a service tells of each
entry only the last change. So a range of everything is followed by one of what changed meanwhile, and absence is
counted after both. A range whose pages have waited, as after a look at the numbers, ends where they were fetched, and
is followed in the same way.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Protocol

import pyarrow as pa

from vetset.hashlist.bank import Bank
from vetset.hashlist.deliveries import Change
from vetset.hashlist.sync.spool import Head, Spool
from vetset.model.errors import ServiceError
from vetset.model.hashlist import Category

MAX_PAGES = 1_000_000
SLACK = timedelta(hours=1)
"""By how much clocks may disagree, and how much of what was fetched is fetched again."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a service.

    Attributes:
        batches: opinions, of `opinions.SCHEMA`.
        next: where the range goes on; None where this was its last page.
        latest: time of the latest change that the service says it knows of; None if it does not say.
        told: what was read, in numbers by words that can be shown.
    """

    batches: Sequence[pa.RecordBatch] = field(repr=False)
    next: str | None = field(repr=False)
    latest: datetime | None = None
    told: Mapping[str, int] = field(default_factory=dict)


class Source(Protocol):
    """A service that lists come from. Positions and checkpoints are texts of its own making."""

    @property
    def name(self) -> str:
        """Which list of which owner it is; two sources that give different entries have different names."""

    @property
    def host(self) -> str:
        """The host that answers."""

    @property
    def category(self) -> Category:
        """What its entries are about."""

    @property
    def stale_after(self) -> timedelta:
        """The age at which a position leads nowhere any more."""

    def first(self, checkpoint: str, now: datetime) -> str:
        """Where the range begins that goes on from a checkpoint (empty: from the beginning).

        Raises:
            ServiceError: the service does not answer as it should.
        """

    def page(self, position: str) -> Page | None:
        """The page at a position; None where the service knows the position no more.

        Raises:
            ServiceError: the service does not answer as it should.
            ListError: the page is malformed.
        """

    def after(self, first: str, latest: datetime | None) -> str:
        """The checkpoint that holds when every page of a range is there.

        Args:
            first: where the range began.
            latest: greatest `Page.latest` of its pages.
        """


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync came to; nothing of it is kept yet.

    Attributes:
        bank: the bank afterwards, its checkpoint advanced.
        change: what changed, in numbers of entries.
        pages: how many there were.
        told: what was read, in numbers by words that can be shown.
        begun: when the first page of the last range was fetched: what changed afterwards is in the next range.
    """

    bank: Bank
    change: Change
    pages: int
    told: Mapping[str, int]
    begun: datetime

    @property
    def checkpoint(self) -> str:
        """Where the next sync goes on."""
        return self.bank.checkpoint


def synced(
    source: Source,
    bank: Bank,
    spool: Spool,
    now: Callable[[], datetime],
    *,
    full: bool = False,
    max_pages: int = MAX_PAGES,
    progress: Callable[[int], None] | None = None,
) -> Synced:
    """The bank after everything that changed on the service since its checkpoint.

    Be alone with the spool (`Spool.alone`), read the bank, call this, keep the bank, then clear the spool: what is
    interrupted is done again by the next sync, and changes nothing.

    Args:
        source: the service.
        bank: what is known.
        spool: where pages wait; also those of an earlier call that was interrupted.
        now: tells the time, UTC.
        full: fetch everything from the beginning, and take back what is not there any more.
        max_pages: how many pages a range may have.
        progress: is told how many pages there are.

    Raises:
        ServiceError: the service does not answer as it should, or gives nothing where everything is asked for. Pages
            that were fetched wait for the next call, unless they themselves are at fault.
        ListError: a page is malformed.
        SealError: a spooled page is damaged.
        OutputError: the spool cannot be written.
    """
    base = "" if full else bank.checkpoint
    told_of = progress or (lambda _: None)
    walk = _Walk(source, spool, now, base=base, full=full, most=max_pages)
    waited = walk.finished and not timedelta(0) <= now() - walk.heads[0].at <= SLACK
    heads = _walked(walk, told_of)
    if full and not sum(head.rows for head in heads):
        spool.clear()
        raise ServiceError(
            "the service gave nothing at all, which would take back every entry",
            where=source.host,
            todo="Nothing was changed. Ask the owner whether the list is empty.",
        )
    checkpoint, last, since = _checkpoint(source, heads), heads[0].at, _Held()
    if full or waited:
        number = len(heads)
        following = _Walk(source, since, now, base=checkpoint, full=False, most=max_pages)
        more = _walked(following, lambda pages: told_of(number + pages))
        checkpoint, last, heads = _checkpoint(source, more), more[0].at, [*heads, *more]
    changed, change = bank.apply(chain(spool.batches(), since.batches()), full=full, latest=last + SLACK)
    told: dict[str, int] = {}
    for head in heads:
        for word, count in head.told.items():
            told[word] = told.get(word, 0) + count
    return Synced(changed.with_checkpoint(checkpoint), change, len(heads), told, last)


def _walked(walk: "_Walk", progress: Callable[[int], None]) -> list[Head]:
    """All pages of a range."""
    while not walk.finished:
        walk.step()
        progress(len(walk.heads))
    return walk.heads


def _checkpoint(source: Source, heads: Sequence[Head]) -> str:
    """Where the range begins that follows one with these pages."""
    return source.after(heads[0].position, max((head.latest for head in heads if head.latest), default=None))


class _Pages(Protocol):
    """Where the pages of a range are kept: a `Spool`, or memory."""

    def add(self, head: Head, batches: Sequence[pa.RecordBatch]) -> None:
        """Keep a page."""

    def heads(self) -> Iterable[Head]:
        """What is known of every page, in order."""

    def clear(self) -> None:
        """Forget all pages."""


class _Held:
    """Pages in memory: of the time that fetching everything takes, or that a range has waited, not of everything."""

    def __init__(self) -> None:
        self._pages: list[tuple[Head, Sequence[pa.RecordBatch]]] = []

    def add(self, head: Head, batches: Sequence[pa.RecordBatch]) -> None:
        self._pages.append((head, batches))

    def heads(self) -> Iterator[Head]:
        return (head for head, _ in self._pages)

    def batches(self) -> Iterator[pa.RecordBatch]:
        return (batch for _, batches in self._pages for batch in batches)

    def clear(self) -> None:
        self._pages.clear()


class _Walk:
    """The pages of one range, one after the other.

    Args:
        base: the checkpoint that it goes on from.
        full: whether everything is asked for.
        most: how many pages there may be.
    """

    def __init__(
        self, source: Source, spool: _Pages, now: Callable[[], datetime], *, base: str, full: bool, most: int
    ) -> None:
        self._source, self._spool, self._now = source, spool, now
        self._base, self._full, self._most = base, full, most
        self.heads = list(spool.heads())
        self._resumed = bool(self.heads)
        if self.heads and not self._goes_on():
            self._anew()
        self._seen = {head.position for head in self.heads}

    @property
    def finished(self) -> bool:
        """Whether the range has its last page."""
        return bool(self.heads) and self.heads[-1].next is None

    def _goes_on(self) -> bool:
        """Whether what was spooled is of this range, and its next position still lives."""
        last, source = self.heads[-1], self._source
        if (last.source, last.host, last.checkpoint, last.full) != (source.name, source.host, self._base, self._full):
            return False
        # A clock that went backwards tells no age. All pages of a delta are as good as they were; everything is not.
        young = timedelta(0) <= self._now() - last.at < self._source.stale_after
        return young or (self.finished and not self._full)

    def _anew(self) -> None:
        self._spool.clear()
        self.heads, self._seen, self._resumed = [], set(), False

    def step(self) -> None:
        """Fetch and spool the next page.

        Raises:
            ServiceError, ListError: as `synced`.
        """
        position = self.heads[-1].next if self.heads else None
        if position is None:
            position = self._source.first(self._base, self._now())
        if position in self._seen:
            raise self._unending("pages of the service lead in a circle", "every page once")
        if len(self.heads) >= self._most:
            raise self._unending("the service gives pages without end", f"at most {self._most}")
        page = self._source.page(position)
        if page is None and self._resumed:
            self._anew()  # the position was kept from an earlier call, and died before its time
            return
        if page is None:
            raise self._unending("the service does not know the page that it named", "pages up to a last one")
        self._keep(position, page)

    def _keep(self, position: str, page: Page) -> None:
        head = Head(
            source=self._source.name,
            host=self._source.host,
            checkpoint=self._base,
            full=self._full,
            number=len(self.heads) + 1,
            position=position,
            next=page.next,
            latest=page.latest,
            at=self._now(),
            rows=sum(len(batch) for batch in page.batches),
            told=dict(page.told),
        )
        self._spool.add(head, page.batches)
        self.heads.append(head)
        self._seen.add(position)

    def _unending(self, problem: str, expected: str) -> ServiceError:
        self._spool.clear()
        return ServiceError(
            problem,
            expected=expected,
            where=self._source.host,
            todo="Nothing was changed. The next sync begins the range anew.",
        )
