"""intake: what an owner delivers → what is kept and searched. A delivery is told in numbers before it is used.

Read, brought together with what is known, vetted, and only then written, the bank and the list in one step: whatever is
wrong with a delivery, what was there before is still there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import pyarrow as pa

from vetset.hashlist.bank import Bank, Compiled, Decision, quarantine
from vetset.hashlist.deliveries import Change
from vetset.hashlist.vault.info import checked_info
from vetset.hashlist.vault.vault import Vault
from vetset.model.errors import ListError
from vetset.model.hashlist import UNKNOWN, Category, HashList, ListInfo
from vetset.model.policy import MatchPolicy
from vetset.stage.vet import lawful

TAKEN_BACK = 0.1
"""Share of the entries, and of the values, that stand which a delivery may take back without being asked about."""
GROWTH = 10
"""How many times as many entries, or values, a delivery may make of a list without being asked about."""
UNASKED = 1_000
"""So many entries, and values, may come or go whatever the shares are."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an owner gave.

    Attributes:
        batches: of `hashlist.opinions.SCHEMA`.
        full: whether it is the owner's whole list, so that what is absent was taken back.
        strict: whether taking back what was never known is an error.
        when: the owner's time of a full one.
        latest: the end of what it can tell of; None where its times are not to be looked at.
        again: whether it may say only what is known: an owner signed one list of that day already.
        left_out: what it holds beside and is not kept, counted by words while the batches are read.
    """

    batches: Iterable[pa.RecordBatch] = field(repr=False)
    full: bool
    strict: bool = False
    when: datetime | None = None
    latest: datetime | None = None
    again: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a delivery made of a bank; nothing of it is kept yet.

    Attributes:
        bank: the bank afterwards.
        change: what changed, in entries.
        left_out: as of `Delivery`.
    """

    bank: Bank
    change: Change
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a delivery.

    Attributes:
        info: the list as it is now, or as it would be.
        change: what the delivery did, in entries.
        lawful: values that were set apart for being of pictures that are known to be benign.
        left_out: what the delivery holds beside and is not kept, counted by words.
        kept: whether it was written, or only looked at.
    """

    info: ListInfo
    change: Change
    lawful: int
    left_out: Mapping[str, int]
    kept: bool


def benign_lists(vault: Vault) -> list[HashList]:
    """The lists of pictures that must not match."""
    return [vault.load(info.name) for info in vault.infos() if info.category is Category.BENIGN]


@dataclass(frozen=True, slots=True)
class Known:
    """What lies in the vault under the name of a list, as it was at one time.

    Attributes:
        bank: what its owner said, and what was decided.
        state: see `Vault.state`; empty where no such list may be there.
    """

    bank: Bank
    state: str

    def superseded(self) -> "Known":
        """What a list that takes its place begins with: what was decided about values, and nothing that was said."""
        return replace(self, bank=Bank.empty().decided(self.bank.decisions))


NOTHING = Known(Bank.empty(), "")


def known(vault: Vault, name: str) -> Known:
    """What lies under a name. Where somebody changes it from here on, nothing that is made of this is kept.

    Raises:
        ListError: there is no list of this name, or no bank beside it.
    """
    state = vault.state(name)
    return Known(Bank.from_bytes(vault.bank(name)), state)


def intake(
    vault: Vault, info: ListInfo, before: Known, delivery: Delivery, *, today: date, accept: bool, keep: bool
) -> Intake:
    """Apply a delivery, vet what comes of it, and keep it.

    Args:
        vault: where.
        info: what is said about the list.
        before: what is known of it; `NOTHING` where no list of this name may be there.
        delivery: what came.
        today: for what is decided.
        accept: whether a delivery may change the list beyond recognition.
        keep: whether it is written, or told in numbers only.

    Raises:
        ListError: something in the delivery or in what is said about it is malformed, its day is yet to come, or it
            changes more than it may unasked; nothing was changed.
    """
    require_begun(checked_info(info).as_of, info.name, today)  # before a file is read that may be large
    after, change = before.bank.apply(
        delivery.batches, full=delivery.full, strict=delivery.strict, when=delivery.when, latest=delivery.latest
    )
    if delivery.again and change.added + change.changed + change.withdrawn:
        raise _of_one_day(info)
    applied = Applied(after, change, delivery.left_out)
    return taken_in(vault, info, before, applied, today=today, accept=accept, keep=keep)


def taken_in(
    vault: Vault, info: ListInfo, before: Known, applied: Applied, *, today: date, accept: bool, keep: bool
) -> Intake:
    """Vet what came of a delivery that was applied, and keep it; see `intake`.

    Raises:
        ListError: it changes more than it may unasked, or the list was changed meanwhile; nothing was changed.
    """
    told = checked_info(info)
    if not accept:
        _require_moderate(before.bank, applied, info.name)
    found, after, apart = _vetted(applied.bank, info, benign_lists(vault), today)
    if not found.entries:
        raise ListError(
            "nothing of the list is left that could be matched",
            expected="at least one value that stands and is not held back",
            where=info.name,
            todo="Nothing was changed. If its owner took everything back: vetset lists remove.",
        )
    told = replace(told, aside=found.aside, entries={kind: len(column) for kind, column in found.entries.items()})
    if keep:
        told = _kept(vault, info, found, after, before)
    return Intake(told, applied.change, apart, dict(applied.left_out), keep)


def decide(vault: Vault, info: ListInfo, before: Known, decisions: Sequence[Decision], today: date) -> ListInfo:
    """Set values apart, or release them, and keep the list with that.

    Args:
        vault: where.
        info: what is said about the list.
        before: what is known of it.
        decisions: what was decided.
        today: for what vetting decides.

    Raises:
        ListError: the list was changed meanwhile.
    """
    found, bank, _ = _vetted(before.bank.decided(decisions), info, benign_lists(vault), today)
    return _kept(vault, info, found, bank, before)


def _kept(vault: Vault, info: ListInfo, found: Compiled, bank: Bank, before: Known) -> ListInfo:
    told = replace(info, aside=found.aside)
    since = before.state or None
    return vault.add(told, found.entries, replace=since is not None, bank=bank.to_bytes(), since=since)


def _vetted(bank: Bank, info: ListInfo, benign: Sequence[HashList], today: date) -> tuple[Compiled, Bank, int]:
    """What is searched, the bank with what vetting decided, and how many values that set apart."""
    found = bank.entries()
    if info.category is Category.BENIGN:
        return found, bank, 0
    known = {(each.kind, each.value) for each in bank.decisions}
    decided: list[Decision] = []
    for each in lawful(found.entries, benign, radius=MatchPolicy().pdq_radius):
        if (each.kind, each.value) not in known:
            decided += quarantine([(each.kind, each.value)], each.reason, today)
    if decided:
        bank = bank.decided(decided)
        found = bank.entries()
    return found, bank, len(decided)


def require_begun(as_of: str, where: str, today: date) -> None:
    """Refuse a day that has begun nowhere: every true update would be older, and the list would never age.

    Raises:
        ListError: it is after tomorrow, which is what today may be in UTC+14.
    """
    latest = (today + timedelta(days=1)).isoformat()
    if as_of != UNKNOWN and as_of > latest:
        raise ListError(
            "the date of the list is yet to come",
            expected=f"as of {latest} or earlier",
            seen=f"as of {as_of}",
            where=where,
            todo="Nothing was changed. Give the date of the owner's state, not that of the next one or of the expiry; "
            "if the owner signed it, ask for another signature.",
        )


def _of_one_day(info: ListInfo) -> ListError:
    return ListError(
        "the list is signed, and what is known of it is of the same day and says something else",
        expected=f"a whole list of a later day than {info.as_of}, or the same one again",
        seen=f"another one as of {info.as_of}",
        where=info.name,
        todo="Nothing was changed. Which of the two is the later one cannot be told: ask the owner for one of a later "
        "day, or, if this is the one that should hold, `vetset lists add` it with --replace.",
    )


def _require_moderate(before: Bank, applied: Applied, name: str) -> None:
    """Refuse a delivery that turns a list into another one, unless somebody has looked at the numbers.

    Entries are what an owner counts; values are what is searched for, and one entry may have any number of them.

    Raises:
        ListError: it takes back or adds more than it may unasked.
    """
    standing = before.standing
    if not standing:
        return
    (entries, lost), (_, added) = before.gone(applied.bank), applied.bank.gone(before)
    _require_few("entries", standing, max(applied.change.withdrawn, entries), applied.change.added, name)
    if max(lost, added) > UNASKED:
        _require_few("values", before.values, lost, added, name)


def _require_few(what: str, standing: int, gone: int, new: int, name: str) -> None:
    most_gone, most_new = max(UNASKED, standing * TAKEN_BACK), max(UNASKED, standing * GROWTH)
    if gone > most_gone or new > most_new:
        raise ListError(
            "the delivery changes the list more than it may unasked",
            expected=f"at most {most_gone:.0f} {what} taken back and {most_new:.0f} new, where {standing} stand",
            seen=f"{gone} taken back{' or with other values' * (what == 'entries')}, {new} new",
            where=name,
            todo="Nothing was changed. Ask the owner whether that is right (an export that was cut off? another "
            "list?); then say --accept.",
        )
