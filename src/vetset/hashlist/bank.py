"""The bank of one list: every opinion that its owner gave, what was taken back, and what was decided here about it.

Lists that are searched are made of it (`entries`): distinct values, each with the flags and the number of members that
follow from all opinions about it. The bank itself is read when a list changes and by nobody else.

What was taken back stays as a tombstone: its id, and no value. How deliveries change a bank is told in `deliveries`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.hashlist.columns import leading_words, narrow, ordered
from vetset.hashlist.deliveries import Change, merged, taken
from vetset.hashlist.opinions import LINE, MAX_ID_LENGTH, SCHEMA, TELLING, Note, texts_of, values_of
from vetset.hashlist.plausible import implausible_pdq
from vetset.model.errors import ListError
from vetset.model.hashlist import Entries, EntryFlag, one_spelling
from vetset.model.signal import LIST_KINDS, Kind

FORMAT = b"vetset-bank-1"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided here about a value, whatever its owner's ids for it are.

    Attributes:
        kind: what the value is.
        value: its bytes.
        state: `quarantined`, or `released` by somebody who looked into it.
        reason: a few words that say nothing of the value.
        on: ISO date.
    """

    kind: Kind
    value: bytes = field(repr=False)
    state: Literal["quarantined", "released"]
    reason: str
    on: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """What is searched.

    Attributes:
        entries: by kind.
        aside: how many of the owner's entries (withdrawn) and values (all others) are held back, by reason.
    """

    entries: Mapping[Kind, Entries] = field(repr=False)
    aside: Mapping[str, int]


class Bank:
    """All opinions of one list. Immutable: what changes it returns another.

    Args:
        rows: of `opinions.SCHEMA`; the rows of an entry follow each other.
        decisions: by kind and value.
        checkpoint: where a sync goes on, as its source wrote it; empty without one.
        source: the service that the list comes from (`services`); empty where it comes as files.
    """

    def __init__(
        self,
        rows: pa.Table,
        decisions: Mapping[tuple[Kind, bytes], Decision] | None = None,
        checkpoint: str = "",
        source: str = "",
    ) -> None:
        self._rows = rows
        self._decisions = dict(decisions or {})
        self.checkpoint = checkpoint
        self.source = source

    def __repr__(self) -> str:
        return f"Bank({self._rows.num_rows} rows)"

    @classmethod
    def empty(cls) -> "Bank":
        """A bank without opinions."""
        return cls(SCHEMA.empty_table())

    @property
    def rows(self) -> pa.Table:
        """Every row, in the order in which it came."""
        return self._rows

    @property
    def standing(self) -> int:
        """Entries that were not taken back."""
        return pc.count_distinct(_standing(self._rows)["entry"]).as_py() or 0

    @property
    def values(self) -> int:
        """Distinct values that stand."""
        return _distinct_values(_standing(self._rows))

    def gone(self, after: "Bank") -> tuple[int, int]:
        """How many entries stand here that have a value which stands in the other bank no more, and how many values.

        A line number is another entry in every file, and an id may be given other values: which ids were taken back
        does not tell what is not searched for any more, under whatever id.
        """
        mine, theirs = _standing(self.rows), _standing(after.rows)
        # in one piece they may be larger than offsets of 32 bits reach
        known = theirs["value"].cast(pa.large_binary()).combine_chunks()
        gone = mine.filter(pc.invert(pc.is_in(mine["value"].cast(pa.large_binary()), known)))
        return pc.count_distinct(gone["entry"]).as_py() or 0, _distinct_values(gone)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided, sorted by kind and value."""
        return tuple(self._decisions[key] for key in sorted(self._decisions))

    def with_checkpoint(self, checkpoint: str) -> "Bank":
        """The same opinions, and another place where a sync goes on."""
        return Bank(self._rows, self._decisions, checkpoint, self.source)

    def from_source(self, source: str) -> "Bank":
        """The same opinions, said to come from this service."""
        return Bank(self._rows, self._decisions, self.checkpoint, source)

    def decided(self, made: Iterable[Decision]) -> "Bank":
        """The same opinions, and these decisions in place of earlier ones about the same values."""
        decisions = self._decisions | {(each.kind, each.value): each for each in made}
        return Bank(self._rows, decisions, self.checkpoint, self.source)

    def values_of_entry(self, entry: str) -> list[tuple[Kind, bytes]]:
        """What stands under an owner's id.

        Raises:
            ListError: nothing does.
        """
        found = self._rows.filter(pc.and_(pc.equal(self._rows["entry"], entry), pc.invert(self._rows["withdrawn"])))
        if not found.num_rows:
            raise ListError(
                "no entry of this id stands in the list",
                expected="an id of the owner's that was not taken back",
                seen=_shown_id(entry),
                todo="`vetset open` names the entries of alarms, `vetset lists decisions` those decided about.",
            )
        return [
            (Kind(kind), value)
            for kind, value in zip(found["kind"].to_pylist(), found["value"].to_pylist(), strict=True)
        ]

    def entries_decided(self) -> list[tuple[Decision, tuple[str, ...]]]:
        """Every decision, and the owner's ids of the entries that stand and that it is about, sorted."""
        values = pa.array([each.value for each in self.decisions], pa.binary())
        about = self._rows.filter(pc.is_in(self._rows["value"], values)).select(["kind", "value", "entry"])
        named: dict[tuple[str, bytes], set[str]] = {}
        for row in about.to_pylist():
            named.setdefault((row["kind"], row["value"]), set()).add(row["entry"])
        return [(each, tuple(sorted(named.get((each.kind.value, each.value), ())))) for each in self.decisions]

    def apply(
        self,
        delivery: Iterable[pa.RecordBatch],
        *,
        full: bool,
        strict: bool = False,
        when: datetime | None = None,
        latest: datetime | None = None,
    ) -> tuple["Bank", Change]:
        """What is known after a delivery, and what it changed. This bank stays as it is.

        The latest statement about an entry holds, so that one of a time that is yet to come would hold against all that
        follow it: no row keeps a time after `latest`.

        Args:
            delivery: batches of `opinions.SCHEMA`.
            full: whether what it does not hold was taken back.
            strict: whether taking back what was never known is an error, and entries must have ids of their owner's.
            when: as of when absent entries count as taken back, of a full delivery.
            latest: the end of what the delivery can tell of; None where its times are not to be looked at.

        Raises:
            ListError: strict, and an entry is taken back that was never known, or has only a line number for an id.
        """
        news = pa.Table.from_batches([_until(batch, latest) for batch in delivery], SCHEMA)
        if strict and pc.any(pc.starts_with(news["entry"], LINE)).as_py():
            raise ListError(
                "entries of the delivery have no ids of their own",
                expected="a column of the owner's ids, by which a change is one of what is known",
                seen="line numbers, which are others in every file",
                todo="Nothing was applied. Ask the owner for ids, or for the whole list (--whole).",
            )
        rows, change = merged(self._rows, news, full=full, strict=strict, when=when)
        return Bank(rows, self._decisions, self.checkpoint, self.source), change

    def entries(self, *, pdq_quality: int = 50) -> Compiled:
        """The distinct values that stand, with flags.

        Args:
            pdq_quality: least quality of a PDQ value that is matched, where its owner tells it.
        """
        aside = {"withdrawn": pc.sum(self._rows["withdrawn"]).as_py() or 0}
        words = self._rows["kind"].unify_dictionaries().combine_chunks()
        names, codes = words.dictionary.to_pylist(), words.indices.fill_null(-1).to_numpy()
        found: dict[Kind, Entries] = {}
        for kind in LIST_KINDS:
            mine = np.flatnonzero(codes == names.index(kind.value)) if kind.value in names else np.zeros(0, np.int64)
            rows = taken(self._rows, mine)
            if kind is Kind.PDQ and rows.num_rows:
                rows = _matchable(rows, pdq_quality, aside)
            if rows.num_rows:
                found[kind] = self._distinct(kind, rows, aside)
        return Compiled(found, {reason: count for reason, count in sorted(aside.items()) if count})

    def _distinct(self, kind: Kind, rows: pa.Table, aside: dict[str, int]) -> Entries:
        values = values_of(rows["value"], kind.width)
        first, group = _groups(values)
        distinct, count = values.take(first, axis=0), len(first)
        vetted = (rows["notes"].to_numpy() & int(Note.UNCONFIRMED)) == 0
        members = _members(rows, vetted, group, count)
        # Counts do not tell who voted, and one member may vote about every entry of a value: at least so many did.
        support = np.maximum(_greatest(rows["agree"].to_numpy(), group, count), members - 1)
        disputed = _greatest(rows["dispute"].to_numpy(), group, count) > support
        flags = np.where(disputed, np.uint8(EntryFlag.DISPUTED), np.uint8(0))
        flags |= np.where(_sums(vetted, group, count) == 0, np.uint8(EntryFlag.UNVETTED), np.uint8(0))
        if kind is Kind.PDQ:
            odd = implausible_pdq(distinct)
            aside["implausible"] = int(np.count_nonzero(odd))
            flags |= np.where(odd, np.uint8(EntryFlag.UNVETTED), np.uint8(0))
        self._decide(kind, distinct, flags)
        for reason, flag in (("disputed", EntryFlag.DISPUTED), ("quarantined", EntryFlag.QUARANTINED)):
            aside[reason] = aside.get(reason, 0) + int(np.count_nonzero(flags & flag))
        names = narrow(texts_of(rows["entry"]).take(first))
        return Entries(kind, distinct, names, flags, np.minimum(members, 255).astype(np.uint8))

    def _decide(self, kind: Kind, distinct: NDArray[np.uint8], flags: NDArray[np.uint8]) -> None:
        mine = [each for each in self._decisions.values() if each.kind is kind]
        leading = leading_words(distinct)
        for each in mine:
            place = _find(distinct, leading, each.value)
            if place is None:
                continue
            if each.state == "released":
                flags[place] = EntryFlag.RELEASED
            else:
                flags[place] |= np.uint8(EntryFlag.QUARANTINED)

    def to_bytes(self) -> bytes:
        """The bank as an Arrow stream; not sealed yet."""
        decisions = [{**asdict(each), "value": each.value.hex()} for each in self.decisions]
        about = {
            b"format": FORMAT,
            b"rows": str(self._rows.num_rows),  # an Arrow stream that was cut between two batches reads as a whole one
            b"checkpoint": self.checkpoint,
            b"source": self.source,
            b"decisions": json.dumps(decisions),
        }
        sink = pa.BufferOutputStream()
        # one dictionary for every column of words, since a stream may not replace one
        rows = self._rows.unify_dictionaries().replace_schema_metadata(about)
        with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(rows)
        return bytes(sink.getvalue())

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> "Bank":
        """The bank that was written.

        Raises:
            ListError: these are not the bytes of a bank.
        """
        try:
            with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
                rows = reader.read_all()
            about = rows.schema.metadata or {}
            rows = rows.replace_schema_metadata(None)
            if about.get(b"format") != FORMAT or rows.schema != SCHEMA or int(about[b"rows"]) != rows.num_rows:
                raise ValueError("another format")  # noqa: TRY301 — one way out for everything that is malformed
            made = [
                Decision(Kind(each["kind"]), bytes.fromhex(each["value"]), each["state"], each["reason"], each["on"])
                for each in json.loads(about[b"decisions"])
            ]
            checkpoint, source = (about[name].decode("utf-8") for name in (b"checkpoint", b"source"))
            return cls(rows, {(each.kind, each.value): each for each in made}, checkpoint, source)
        except (pa.ArrowException, ValueError, KeyError, TypeError, OSError):
            raise ListError(
                "what is kept beside the list is not a bank", todo="Import the list again as a whole."
            ) from None


def quarantine(values: Iterable[tuple[Kind, bytes]], reason: str, today: date) -> list[Decision]:
    """The decision to set values apart."""
    return [Decision(kind, value, "quarantined", reason, today.isoformat()) for kind, value in values]


def release(values: Iterable[tuple[Kind, bytes]], reason: str, today: date) -> list[Decision]:
    """The decision to stand by values: no alarm sets them apart again."""
    return [Decision(kind, value, "released", reason, today.isoformat()) for kind, value in values]


def _shown_id(text: str) -> str:
    """What was given for an id, if it can be one: something else may be a digest or an address."""
    sound = 1 <= len(text) <= MAX_ID_LENGTH and text.isascii() and text.isprintable() and not re.search(TELLING, text)
    return text if sound else "a text that is no id"


def _standing(rows: pa.Table) -> pa.Table:
    """Entries and values that were not taken back."""
    return rows.select(["entry", "value"]).filter(pc.invert(rows["withdrawn"]))


def _distinct_values(rows: pa.Table) -> int:
    return pc.count_distinct(rows["value"].cast(pa.large_binary())).as_py() or 0


def _until(batch: pa.RecordBatch, latest: datetime | None) -> pa.RecordBatch:
    """The rows, none of them of a later time."""
    if latest is None or not len(batch):
        return batch
    place = SCHEMA.get_field_index("updated")
    times, end = batch.column(place), pa.scalar(latest, SCHEMA.field(place).type)
    beyond = pc.greater(times, end)
    if not pc.any(beyond).as_py():
        return batch
    return batch.set_column(place, SCHEMA.field(place), pc.if_else(beyond, end, times))


def _matchable(rows: pa.Table, least: int, aside: dict[str, int]) -> pa.Table:
    """PDQ rows without those of several pictures in one, and those of too low a quality; these are counted."""
    grid = pa.array((rows["notes"].to_numpy() & int(Note.GRID)) != 0)
    flat = pc.less(rows["quality"], least).combine_chunks().fill_null(False)
    aside["grid"] = pc.sum(grid).as_py() or 0
    aside["low_quality"] = pc.sum(pc.and_(flat, pc.invert(grid))).as_py() or 0
    return rows.filter(pc.invert(pc.or_(grid, flat)))


def _groups(values: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First place of every distinct row in the order of the rows as byte strings, and the group of each row."""
    order, fresh = ordered(values)
    group = np.empty(len(order), np.intp)
    group[order] = np.cumsum(fresh) - 1
    return order[fresh], group


def _sums(column: NDArray[np.integer], group: NDArray[np.intp], groups: int) -> NDArray[np.int64]:
    """Sum of a column over each group."""
    return np.bincount(group, column, groups).astype(np.int64)


def _greatest(column: NDArray[np.integer], group: NDArray[np.intp], groups: int) -> NDArray[np.int64]:
    """Greatest of a column over each group; its numbers are not negative."""
    found = np.zeros(groups, np.int64)
    told = np.flatnonzero(column)  # few rows have votes
    np.maximum.at(found, group[told], column[told].astype(np.int64))
    return found


def _members(rows: pa.Table, vetted: NDArray[np.bool_], group: NDArray[np.intp], groups: int) -> NDArray[np.int64]:
    """How many different members gave each value in rows that were looked at; 1 at least.

    Who is not named is no voice beside those who are: it may be any of them.
    """
    words = rows["member"].unify_dictionaries().combine_chunks()
    names = [one_spelling(word) for word in words.dictionary.to_pylist()]
    numbers = {name: number for number, name in enumerate(sorted({"", *names}))}  # 0 is the empty one
    codes = np.array([numbers[name] for name in names], np.int64)[words.indices.to_numpy()]
    heard = vetted & (codes > 0)
    pairs = np.sort((group[heard].astype(np.int64) << 32) | codes[heard])
    fresh = np.ones(len(pairs), np.bool_)
    fresh[1:] = pairs[1:] != pairs[:-1]
    return np.maximum(np.bincount(pairs[fresh] >> 32, minlength=groups), 1)


def _find(distinct: NDArray[np.uint8], leading: NDArray[np.uint64], value: bytes) -> int | None:
    """Where a value stands among ordered, distinct rows, whose first eight bytes as numbers are `leading`."""
    wanted = leading_words(np.frombuffer(value, np.uint8).reshape(1, -1))[0]
    low, high = np.searchsorted(leading, wanted, "left"), np.searchsorted(leading, wanted, "right")
    return next((int(row) for row in range(low, high) if distinct[row].tobytes() == value), None)
