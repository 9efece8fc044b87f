"""A delivery brought together with what is known of a list, entry by entry.

A delivery is *full* (the owner's whole list: what is absent was taken back) or a delta. Either states whole entries.
The last statement about an entry holds, by the owner's own time, so that a page that comes late takes nothing back; one
that tells no time is the last. A full delivery is what stands now: of it nothing is late, whatever times its entries
tell, else an entry that one export left out would never come back with the next. What could not be read of a statement
is what was known: damage takes nothing back.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.hashlist.opinions import SCHEMA, Note
from vetset.model.errors import ListError

_NEVER, _ALWAYS = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_UNTOLD = _NEVER + 1
"""Up to here no time was told."""
_TOLD = 10
_PIECE = 1 << 20
"""Rows of one chunk at most where rows are put in another order."""
_LONG = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
"""Types with offsets of 64 bits: those of 32 end at 2 GiB, which the values of ten million entries may have."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a delivery did, in numbers of entries.

    Attributes:
        added: new, or standing again after they were taken back.
        changed: with other values, or something else said of them.
        withdrawn: taken back.
        unchanged: stated again as they were.
        stale: stated, by a delta, as they were before what is known already; passed over.
        unknown: taken back, of which nothing was known.
    """

    added: int = 0
    changed: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    stale: int = 0
    unknown: int = 0


def merged(
    old: pa.Table, news: pa.Table, *, full: bool, strict: bool, when: datetime | None
) -> tuple[pa.Table, Change]:
    """What is known after a delivery, and what changed.

    Args:
        old: rows of `SCHEMA`, those of an entry one after the other, one statement an entry.
        news: rows of `SCHEMA` in the order in which they came.
        full: whether what is absent was taken back.
        strict: whether taking back what was never known is an error.
        when: as of when what is absent counts as taken back; where more was said of an entry since, just after that.

    Raises:
        ListError: strict, and an entry is taken back that was never known.
    """
    return _Merge(old, news, when).result(full=full, strict=strict)


@dataclass(frozen=True, slots=True)
class _Statements:
    """One statement about each of some entries: the rows of an entry follow each other.

    Attributes:
        start: int64 (n + 1,) first row of each, and the end.
        entry: int64 (n,) code of its id.
        moment: int64 (n,) seconds of the owner's time.
        gone: bool (n,) whether it takes the entry back.
        notes: uint16 (n,) `Note` bits.
    """

    start: NDArray[np.int64]
    entry: NDArray[np.int64]
    moment: NDArray[np.int64]
    gone: NDArray[np.bool_]
    notes: NDArray[np.uint16]

    @classmethod
    def of(cls, rows: pa.Table, codes: NDArray[np.int64], untold: int) -> "_Statements":
        """Of rows that follow each other.

        Args:
            rows: of `SCHEMA`.
            codes: of every row's entry.
            untold: the time of a statement that tells none.
        """
        start = _starts(codes)
        gone, notes = rows["withdrawn"].to_numpy(), rows["notes"].to_numpy()
        moments = _moments(rows, untold)
        return cls(np.append(start, len(codes)), codes[start], moments[start], gone[start], notes[start])

    def noted(self, note: Note) -> NDArray[np.bool_]:
        """Which of them take an entry back for this reason."""
        found: NDArray[np.bool_] = self.gone & ((self.notes & np.uint16(note)) != 0)
        return found

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of these statements, one after the other."""
        sizes = self.start[which + 1] - self.start[which]
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        found: NDArray[np.int64] = np.repeat(self.start[which], sizes) + within
        return found


def _moments(rows: pa.Table, untold: int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = rows["updated"].cast(pa.int64()).fill_null(untold).to_numpy()
    return found


def _starts(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the runs of equal codes begin."""
    fresh = np.ones(len(codes), np.bool_)
    fresh[1:] = codes[1:] != codes[:-1]
    return np.flatnonzero(fresh)


def _settled(rows: pa.Table, codes: NDArray[np.int64], names: int) -> NDArray[np.int64]:
    """The rows of a delivery that hold, those of an entry one after the other.

    Of an entry that is stated at several times, the latest hold. Rows of one time belong together, wherever they stand:
    a table may name an entry once for each kind. If some of them take it back, the last row decides. A value that is
    stated twice, as by a page that was given twice, counts once. What could not be read says that an entry is there,
    and nothing against what else is said of it.

    Args:
        rows: of `SCHEMA`, in the order in which they came.
        codes: of every row's entry.
        names: number of codes.
    """
    moment, gone = _moments(rows, _ALWAYS), rows["withdrawn"].to_numpy()
    stated = _stated(rows, gone, codes, names)
    latest = np.full(names, _NEVER)
    np.maximum.at(latest, codes[stated], moment[stated])
    kept = np.flatnonzero(stated & (moment == latest[codes]))
    last = np.zeros(names, np.int64)
    last[codes[kept]] = kept  # of codes that occur more than once, the last assignment stays
    final = last[codes[kept]]
    kept = kept[(gone[kept] == gone[final]) & (~gone[kept] | (kept == final))]
    runs = codes[kept][_starts(codes[kept])]
    if len(runs) and np.bincount(runs).max() > 1:
        first = np.zeros(names, np.int64)
        first[codes[kept][::-1]] = kept[::-1]
        kept = kept[np.argsort(first[codes[kept]], kind="stable")]
    found: NDArray[np.int64] = kept[_last_of_each_value(rows, codes, kept)]
    return found


def _stated(rows: pa.Table, gone: NDArray[np.bool_], codes: NDArray[np.int64], names: int) -> NDArray[np.bool_]:
    """All rows but those that could not be read of entries of which others could."""
    unread = gone & ((rows["notes"].to_numpy() & np.uint16(Note.UNREAD)) != 0)
    if not unread.any():
        return np.ones(len(codes), np.bool_)
    known = np.zeros(names, np.bool_)
    known[codes[~unread]] = True
    found: NDArray[np.bool_] = ~unread | ~known[codes]
    return found


def _last_of_each_value(rows: pa.Table, codes: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows are the last that state their value of their entry."""
    mine = codes[kept]
    if not len(mine):
        return np.ones(0, np.bool_)
    kinds = rows["kind"].unify_dictionaries().combine_chunks().indices.fill_null(0).to_numpy()[kept]
    starts = _starts(mine)
    sizes = np.diff(np.append(starts, len(mine)))
    several = np.bitwise_count(np.bitwise_or.reduceat(np.uint64(1) << kinds.astype(np.uint64), starts)) < sizes
    asked = np.flatnonzero(np.repeat(several, sizes))
    fresh = np.ones(len(mine), np.bool_)
    fresh[asked] = False
    table = pa.table(
        [
            pa.array(mine[asked]),
            pa.array(kinds[asked]),
            taken(rows.select(["value"]), kept[asked])["value"],
            pa.array(asked),
        ],
        ["entry", "kind", "value", "row"],
    )
    stays = table.group_by(["entry", "kind", "value"], use_threads=False).aggregate([("row", "max")])
    fresh[stays["row_max"].to_numpy()] = True
    return fresh


def taken(rows: pa.Table, which: NDArray[np.int64]) -> pa.Table:
    """These rows; without copying where they are all, in their order. However many bytes their values have."""
    if len(which) == rows.num_rows and np.array_equal(which, np.arange(len(which))):
        return rows
    schema = rows.schema
    whole = rows.cast(pa.schema([field.with_type(_LONG.get(field.type, field.type)) for field in schema]))
    whole = whole.combine_chunks()
    pieces = (which[start : start + _PIECE] for start in range(0, len(which), _PIECE))
    return pa.concat_tables([schema.empty_table(), *(whole.take(pa.array(piece)).cast(schema) for piece in pieces)])


def _completed(old: pa.Table, news: pa.Table) -> pa.Table:
    """The delivery, with what was known of kinds that could not be read of entries that stand by others.

    It comes first, at the time of the statement that it belongs to, so that what was said anew of a value holds.
    """
    unread = news.filter(pc.and_(news["withdrawn"], pc.is_valid(news["kind"]))).select(["entry", "kind", "updated"])
    if not unread.num_rows:
        return news
    plain = pa.schema([("entry", pa.string()), ("kind", pa.string()), ("updated", SCHEMA.field("updated").type)])
    times = unread.cast(plain).group_by(["entry", "kind"]).aggregate([("updated", "max")]).to_pylist()
    said = {(each["entry"], each["kind"]): each["updated_max"] for each in times}
    known = old.filter(pc.is_in(old["entry"], pc.unique(unread["entry"])))
    names = zip(known["entry"].to_pylist(), known["kind"].cast(pa.string()).to_pylist(), strict=True)
    where = [(row, said[name]) for row, name in enumerate(names) if name in said]
    stays = taken(known, np.array([row for row, _ in where], np.int64))
    place = SCHEMA.get_field_index("updated")
    told = pa.array([moment for _, moment in where], SCHEMA.field(place).type)
    return pa.concat_tables([stays.set_column(place, SCHEMA.field(place), told), news])


class _Merge:
    """Old rows and a delivery, brought together entry by entry."""

    def __init__(self, old: pa.Table, delivered: pa.Table, when: datetime | None) -> None:
        news = _completed(old, delivered)
        ids = pa.chunked_array([*old["entry"].chunks, *news["entry"].chunks], pa.string())
        whole = ids.dictionary_encode().combine_chunks() if len(ids) else pa.array([], pa.string()).dictionary_encode()
        codes = whole.indices.to_numpy().astype(np.int64)
        self._names = whole.dictionary
        settled = _settled(news, codes[old.num_rows :], len(self._names))
        self._old, self._news, self._when = old, taken(news, settled), when
        self._before = _Statements.of(old, codes[: old.num_rows], _NEVER)
        self._after = _Statements.of(self._news, codes[old.num_rows :][settled], _ALWAYS)
        self._known = np.full(len(self._names), -1, np.int64)
        self._known[self._before.entry] = np.arange(len(self._before.entry))

    def result(self, *, full: bool, strict: bool) -> tuple[pa.Table, Change]:
        """All rows afterwards, and what changed."""
        known = self._known[self._after.entry]
        moment, gone = self._after.moment, self._after.gone
        # of an entry that was not known (-1), what stands at the end: never stated, and gone
        late = moment < np.append(self._before.moment, _NEVER)[known]
        # nothing is said of what could not be read, nor of what was never there and has no value
        mute = self._after.noted(Note.UNREAD) | (self._after.noted(Note.NO_VALUE) & (known < 0))
        stale = np.zeros_like(late) if full else late & ~mute
        passed = stale | mute
        stood = ~np.append(self._before.gone, True)[known]
        unknown = (known < 0) & gone & ~mute
        if strict and unknown.any():
            raise self._refused(np.flatnonzero(unknown))
        same = (self._same(known) | (gone & ~stood & (known >= 0))) & ~passed
        added = ~gone & ~stood & ~passed
        changed = ~gone & stood & ~passed & ~same
        kept = np.ones(len(self._before.entry), np.bool_)
        kept[known[~passed & (known >= 0)]] = False
        absent = self._absent() if full else np.zeros(0, np.int64)
        kept[absent] = False
        rows = pa.concat_tables(
            [
                taken(self._old, self._before.rows(np.flatnonzero(kept))),
                taken(self._news, self._after.rows(np.flatnonzero(~passed))),
                self._tombstones(absent),
            ]
        )
        counts = Change(
            added=int(added.sum()),
            changed=int(changed.sum()),
            withdrawn=int((gone & stood & ~passed).sum()) + len(absent),
            unchanged=int(same.sum()),
            stale=int(stale.sum()),
            unknown=int(unknown.sum()),
        )
        return rows, counts

    def _same(self, known: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which statements say what was known already, whatever their time."""
        same = np.zeros(len(known), np.bool_)
        sizes = np.diff(self._after.start)
        before = np.append(np.diff(self._before.start), -1)[known]
        asked = np.flatnonzero(sizes == before)
        if not len(asked):
            return same
        mine = taken(self._news, self._after.rows(asked))
        theirs = taken(self._old, self._before.rows(known[asked]))
        equal = np.ones(mine.num_rows, np.bool_)
        for name in SCHEMA.names:
            if name != "updated":
                equal &= _equal(mine[name], theirs[name])
        starts = np.cumsum(sizes[asked]) - sizes[asked]
        same[asked] = np.logical_and.reduceat(equal, starts)
        return same

    def _absent(self) -> NDArray[np.int64]:
        """Statements known before of entries that stand and that a full delivery does not name."""
        named = np.zeros(len(self._names), np.bool_)
        named[self._after.entry] = True
        return np.flatnonzero(~named[self._before.entry] & ~self._before.gone)

    def _tombstones(self, which: NDArray[np.int64]) -> pa.Table:
        rows = taken(self._old, self._before.start[which])
        count = rows.num_rows
        # after the last thing that was known: who states that once more, late, does not bring the entry back
        moments = np.maximum(self._before.moment[which] + 1, _NEVER if self._when is None else self._seconds())
        fixed: dict[str, pa.Array] = {
            "withdrawn": pa.array(np.ones(count, np.bool_)),
            "updated": pa.array(moments, mask=moments <= _UNTOLD).cast(SCHEMA.field("updated").type),
            **{name: pa.array(np.zeros(count, np.uint16)) for name in ("notes", "agree", "dispute")},
            **{name: pa.nulls(count, SCHEMA.field(name).type) for name in ("kind", "value", "quality")},
            **{name: pa.array([""] * count).cast(SCHEMA.field(name).type) for name in ("category", "sets")},
        }
        return pa.table([fixed.get(name, rows[name]) for name in SCHEMA.names], schema=SCHEMA)

    def _seconds(self) -> int:
        return int(pa.scalar(self._when, SCHEMA.field("updated").type).cast(pa.int64()).as_py())

    def _refused(self, statements: NDArray[np.int64]) -> ListError:
        names = [self._names[int(code)].as_py() for code in self._after.entry[statements[:_TOLD]]]
        more = "" if len(statements) <= _TOLD else f" and {len(statements) - _TOLD} more"
        return ListError(
            "entries are taken back that were never in the list",
            expected="ids of entries that are known",
            seen=f"entries {', '.join(names)}{more}",
            todo="Nothing was applied. Is this the delta of another list, or is one missing before it?",
        )


def _equal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Cell by cell; two cells without a value are equal."""
    if pa.types.is_dictionary(left.type):
        left, right = left.cast(pa.string()), right.cast(pa.string())
    both = pc.and_(pc.is_null(left), pc.is_null(right))
    equal: NDArray[np.bool_] = pc.or_(pc.equal(left, right).fill_null(False), both).to_numpy()
    return equal
