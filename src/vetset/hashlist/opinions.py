"""What an owner says, entry by entry, as Arrow batches of one schema: what every importer yields and the bank keeps.

An *entry* is what the owner counts as one item, under the owner's own id. It has a row for each of its values, and they
follow each other. An entry that its owner took back has one row, without kind and value, and `withdrawn` true.

    entry         string       the owner's id; printable ASCII, at most 64, no digest or address in it; distinct items
                               have distinct ids
    kind          dictionary   word of a `LIST_KINDS`; null where withdrawn, but for the kind that could not be read
                               (`Note.UNREAD`) of an entry that stands by others
    value         binary       raw bytes, as many as the kind is wide; null where withdrawn
    member        dictionary   which of the owner's members says so; empty where the owner does
    category      dictionary   the owner's own word for what it is, verbatim
    updated       timestamp    seconds UTC of the owner's last change; null where not told
    notes         uint16       `Note` bits
    sets          dictionary   jurisdictions or sets of law under which the item is illegal: words with commas between
    quality       uint8        of a PDQ value, 0 to 100; null where not told
    agree         uint16       members who spoke for it, beside the one that gave it
    dispute       uint16       members who spoke against it
    withdrawn     bool         the owner took it back; or nothing of it can be matched (`Note.NO_VALUE`, `Note.UNREAD`)

Verbatim words are opinions of others, too, and are kept, never printed. Nothing here puts a piece of an entry into an
error but its id, and that only where it has the form of one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import IntFlag

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.model.errors import ListError
from vetset.model.signal import LIST_KINDS, Kind

MAX_ID_LENGTH = 64
MAX_WORD_LENGTH = 200
"""Characters of a member, category or set at most."""
LINE = "line:"
"""What an id begins with that is no owner's: the number of a line follows."""
BATCH_ROWS = 1 << 16
"""Rows that an importer collects before it yields them, about."""

_WORD = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("entry", pa.string()),
        ("kind", _WORD),
        ("value", pa.binary()),
        ("member", _WORD),
        ("category", _WORD),
        ("updated", pa.timestamp("s", "UTC")),
        ("notes", pa.uint16()),
        ("sets", _WORD),
        ("quality", pa.uint8()),
        ("agree", pa.uint16()),
        ("dispute", pa.uint16()),
        ("withdrawn", pa.bool_()),
    ]
)
"""See the module's text for what each column holds."""

_FIRST_PRINTABLE, _LAST_PRINTABLE = 0x20, 0x7E
TELLING = r"[0-9A-Fa-f]{32}|://"
"""What no id may hold, since ids are shown to people: a digest, whatever stands before it, or an address."""


class Note(IntFlag):
    """What an owner or its members remark about an entry."""

    NONE = 0
    GRID = 1
    """Several pictures in one: its PDQ is of the arrangement, so that it is not matched."""
    VIRAL = 2
    """Passed around widely, perhaps without ill will (a meme)."""
    UNCONFIRMED = 4
    """Not looked at by the owner, or not sure of."""
    GENERATED = 8
    """Made by a model or drawn."""
    SELF_MADE = 16
    """By the owner's word made by the person who is shown."""
    NO_VALUE = 32
    """Of a row that takes back: the entry stands, and none of its values is of a kind that is matched."""
    UNREAD = 64
    """Of a row that takes back: the entry was named, and its values cannot be read, or those of a kind that the row
    names; what was known of them stays."""


class OpinionRows:
    """Collects rows and yields them as batches; checks what each value and id must be.

    Args:
        where: name of the file or service, for errors.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}

    def __len__(self) -> int:
        return len(self._columns["entry"])

    def add(
        self,
        entry: str,
        values: Iterable[tuple[Kind, bytes]],
        *,
        member: str = "",
        category: str = "",
        updated: datetime | None = None,
        notes: Note = Note.NONE,
        sets: Sequence[str] = (),
        quality: int | None = None,
        agree: Mapping[Kind, int] | None = None,
        dispute: Mapping[Kind, int] | None = None,
    ) -> None:
        """An entry that stands, with all its values; `agree` and `dispute` count members, kind by kind.

        `quality` is that of its PDQ values.
        """
        for kind, value in values:
            self._row(
                entry=entry,
                kind=kind.value,
                value=value,
                member=member,
                category=category,
                updated=updated,
                notes=int(notes),
                sets=",".join(sorted(sets)),
                quality=quality if kind is Kind.PDQ else None,
                agree=min((agree or {}).get(kind, 0), 0xFFFF),
                dispute=min((dispute or {}).get(kind, 0), 0xFFFF),
                withdrawn=False,
            )

    def withdraw(
        self, entry: str, *, member: str = "", updated: datetime | None = None, notes: Note = Note.NONE
    ) -> None:
        """An entry that its owner took back, or of which nothing can be matched (`notes`)."""
        self._row(
            entry=entry, kind=None, value=None, member=member, category="", updated=updated, notes=int(notes), sets="",
            quality=None, agree=0, dispute=0, withdrawn=True,
        )  # fmt: skip

    def _row(self, **cells: object) -> None:
        for name, column in self._columns.items():
            column.append(cells[name])

    def batch(self) -> pa.RecordBatch:
        """What was collected, checked; nothing is held afterwards.

        Raises:
            ListError: an id, a value or a word is not as it must be.
        """
        arrays = [pa.array(self._columns[field.name], field.type) for field in SCHEMA]
        self._columns = {name: [] for name in SCHEMA.names}
        return checked(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), self._where)


def utc(text: str) -> datetime:
    """An ISO 8601 time with its zone, as UTC without fractions of a second.

    Raises:
        ValueError: it is no such time, or says no zone (local time would be read otherwise on every machine), or is of
            the first or last day that there is, in a zone where it is another.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ValueError("a time beyond all days") from None


def checked(batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
    """The batch itself, if every row is as the schema's text says.

    Args:
        batch: rows of `SCHEMA`.
        where: name of the file or service, for errors.

    Raises:
        ListError: a row is not; the error names the entry by its id, unless the id itself is at fault.
    """
    if batch.schema != SCHEMA:
        raise ListError("rows of a list have another schema", where=where)
    ids = batch.column("entry")
    if ids.null_count or not _sound_ids(ids):
        raise ListError(
            "an entry's id is not usable",
            expected=f"1 to {MAX_ID_LENGTH} printable ASCII characters without the digits of a digest or an address",
            where=where,
            todo="Nothing was imported. Tell the owner; ids are shown to people, so that a digest must not be one.",
        )
    _check_values(batch, where)
    for name in ("member", "category", "sets"):
        words = batch.column(name).dictionary
        if words.null_count or (len(words) and pc.max(pc.utf8_length(words)).as_py() > MAX_WORD_LENGTH):
            most = f"{MAX_WORD_LENGTH} characters"
            raise ListError(f"the {name} of an entry is too long", expected=most, where=where)
    return batch


def _sound_ids(ids: pa.StringArray) -> bool:
    """Whether all ids are as the schema's text says."""
    lengths = pc.binary_length(ids).to_numpy()
    if len(ids) and not 1 <= lengths.min() <= lengths.max() <= MAX_ID_LENGTH:
        return False
    characters = _characters(ids)
    if np.any((characters < _FIRST_PRINTABLE) | (characters > _LAST_PRINTABLE)):
        return False
    return not pc.any(pc.match_substring_regex(ids, TELLING), min_count=0).as_py()


def _characters(texts: pa.StringArray) -> NDArray[np.uint8]:
    """All bytes of texts, one after the other."""
    if not len(texts):
        return np.zeros(0, np.uint8)
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4)
    return np.frombuffer(data or b"", np.uint8, int(starts[-1] - starts[0]), int(starts[0]))


def _check_values(batch: pa.RecordBatch, where: str) -> None:
    kinds, gone = batch.column("kind"), batch.column("withdrawn").to_numpy(zero_copy_only=False)
    known = {kind.value: kind for kind in LIST_KINDS}
    widths = [known[word].width if word in known else -1 for word in kinds.dictionary.to_pylist()]
    codes = kinds.indices.fill_null(len(widths)).to_numpy(zero_copy_only=False)
    wanted = np.array([*widths, -1], np.int64)[codes]
    wanted[gone & ((batch.column("notes").to_numpy() & np.uint16(Note.UNREAD)) != 0)] = -1
    lengths = pc.binary_length(batch.column("value")).fill_null(-1).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((lengths != wanted) | (gone != (wanted < 0)))
    if len(wrong):
        raise ListError(
            "a value has not the length of its kind",
            expected=", ".join(f"{kind.value}: {kind.width} bytes" for kind in LIST_KINDS),
            where=f"{where}, entry {batch.column('entry')[int(wrong[0])].as_py()}",
            todo="Nothing was imported.",
        )


def values_of(values: pa.Array | pa.ChunkedArray, width: int) -> NDArray[np.uint8]:
    """Binary values of one width as uint8 (n, width).

    Raises:
        ValueError: one of them is null or of another length.
    """
    if isinstance(values, pa.ChunkedArray):
        found = np.empty((len(values), width), np.uint8)
        row = 0
        for chunk in values.chunks:
            found[row : row + len(chunk)] = values_of(chunk, width)
            row += len(chunk)
        return found
    if isinstance(values.type, pa.BaseExtensionType) or values.null_count:
        raise ValueError("a value is null")
    _, offsets, data = values.buffers()
    rows = len(values)
    starts = np.frombuffer(offsets, np.int32, rows + 1, values.offset * 4) if rows else np.zeros(1, np.int32)
    if np.any(np.diff(starts) != width):
        raise ValueError("a value is of another length")
    size = rows * width
    taken = np.frombuffer(data, np.uint8, size, int(starts[0])) if size else np.zeros(0, np.uint8)
    return taken.reshape(-1, width)


def texts_of(texts: pa.Array | pa.ChunkedArray) -> NDArray[np.bytes_]:
    """ASCII texts as bytes of one width, `S` and the longest's length."""
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    width = max([1, *(int(pc.max(pc.binary_length(chunk)).as_py() or 0) for chunk in chunks)])
    found = np.zeros((len(texts), width), np.uint8)
    row = 0
    for chunk in _pieces(chunks):
        # made equally long, they lie in memory as they must
        equal = _characters(pc.ascii_rpad(chunk, width, "\0"))
        found[row : row + len(chunk)] = equal.reshape(-1, width)
        row += len(chunk)
    return found.view(f"S{width}").reshape(-1)


def _pieces(chunks: Iterable[pa.Array]) -> Iterator[pa.Array]:
    for chunk in chunks:
        for start in range(0, len(chunk), BATCH_ROWS):
            yield chunk.slice(start, BATCH_ROWS)
