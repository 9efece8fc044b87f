"""The names that columns have in tables of list owners, and the words in their cells.

Names are compared in lower case and without spaces, hyphens, underscores and full stops. No owner's format of tables is
public (members get it with the list), so these are common names, and whoever meets another one renames the column or
has it passed over by name.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from vetset.hashlist.files.encodings import Encoding
from vetset.hashlist.opinions import MAX_WORD_LENGTH, Note, utc
from vetset.model.signal import LIST_KINDS, Kind


class Column(StrEnum):
    """What a column says of an entry, beside its values."""

    ID = "id"
    KIND = "kind"
    VALUE = "value"
    CATEGORY = "category"
    AGE = "age"
    MEMBER = "member"
    UPDATED = "updated"
    UPDATED_UTC = "updated_utc"
    QUALITY = "quality"
    SETS = "sets"
    STATUS = "status"
    WITHDRAWN = "withdrawn"
    GRID = "grid"
    VIRAL = "viral"
    UNCONFIRMED = "unconfirmed"
    GENERATED = "generated"
    SELF_MADE = "self_made"


SPELLINGS: Mapping[Column, tuple[str, ...]] = {
    Column.ID: ("id", "entry", "entry id", "image id", "hash id", "record id"),
    Column.KIND: ("kind", "type", "hash type", "signal type", "algorithm"),
    Column.VALUE: ("value", "hash", "hash value", "digest", "signal"),
    Column.CATEGORY: ("category", "classification", "class", "severity"),
    Column.AGE: ("age", "age band", "age range", "age group"),
    Column.MEMBER: ("member", "source", "organisation", "organization", "submitter"),
    Column.UPDATED: ("updated", "updated at", "last updated", "date", "timestamp", "modified", "last modified"),
    Column.UPDATED_UTC: ("updated utc", "last updated utc", "date utc", "timestamp utc", "modified utc"),
    Column.QUALITY: ("quality", "pdq quality"),
    Column.SETS: ("sets", "jurisdictions", "jurisdiction"),
    Column.STATUS: ("status", "state"),
    Column.WITHDRAWN: ("withdrawn", "deleted", "is deleted", "removed"),
    Column.GRID: ("grid", "is grid", "grid image"),
    Column.VIRAL: ("viral", "is viral", "meme"),
    Column.UNCONFIRMED: ("unconfirmed", "is unconfirmed"),
    Column.GENERATED: ("generated", "ai generated", "is generated", "synthetic"),
    Column.SELF_MADE: ("self generated", "is self generated", "self made"),
}
"""Names of columns, by what they say."""

SETS: Mapping[str, tuple[str, ...]] = {
    "UK": ("uk", "gb"),
    "US": ("us", "usa"),
    "CA": ("ca", "canada"),
    "AU": ("au", "australia"),
    "NZ": ("nz", "new zealand"),
    "INTERPOL Baseline": ("interpol baseline", "interpol", "baseline"),
}
"""Names of columns that say whether an item is in a set, by the set."""

NOTES: Mapping[Column, Note] = {
    Column.GRID: Note.GRID,
    Column.VIRAL: Note.VIRAL,
    Column.UNCONFIRMED: Note.UNCONFIRMED,
    Column.GENERATED: Note.GENERATED,
    Column.SELF_MADE: Note.SELF_MADE,
}
"""The remark that a column of yes and no is about."""

_OTHER_NAMES = {"pdna": "photodna", "photo dna": "photodna"}
_NOT_MATCHED = ("netclean", "videntifier", "vpdq", "tmk", "tmk_pdqf", "ssvh_pdna", "ssvh_safer_hash")
_SUFFIXES = {
    "": None,
    "hex": Encoding.HEX,
    "base32": Encoding.BASE32,
    "b32": Encoding.BASE32,
    "base64": Encoding.BASE64,
    "b64": Encoding.BASE64,
}
_KINDS = {kind.value: kind for kind in LIST_KINDS}
_YES, _NO = frozenset({"1", "true", "yes", "y"}), frozenset({"", "0", "false", "no", "n"})
_STANDS = frozenset({"", "active", "current", "live", "new", "added", "updated", "confirmed", "verified"})
_GONE = frozenset({"deleted", "withdrawn", "removed", "revoked", "retracted"})
_BEST_QUALITY = 100


def plain(name: str) -> str:
    """A name of a column, or of a kind, without what is written in several ways."""
    return name.lower().translate(_DROPPED)


_DROPPED = str.maketrans("", "", " -_.\t")
COLUMN_OF_NAME = {plain(name): column for column, names in SPELLINGS.items() for name in names}
SET_OF_NAME = {plain(name): one for one, names in SETS.items() for name in names}
WORD_OF_NAME = {plain(word): word for word in (*_KINDS, *_NOT_MATCHED)} | {
    plain(name): word for name, word in _OTHER_NAMES.items()
}
"""Words for what values are, by their names; those that are no kinds are counted, and not matched."""
VALUES_OF_NAME = {
    name + suffix: (word, encoding) for name, word in WORD_OF_NAME.items() for suffix, encoding in _SUFFIXES.items()
}
"""What the values of a column are and how they are written, where its name tells, by its name."""


def kind_of(word: str) -> Kind | None:
    """The kind that a word of `WORD_OF_NAME` stands for, if it is matched."""
    return _KINDS.get(word)


def is_yes(text: str) -> bool:
    """What a cell of yes and no says; nothing is no.

    Raises:
        ValueError: it says neither.
    """
    if (told := text.lower()) in _YES:
        return True
    if told in _NO:
        return False
    raise ValueError


def is_gone(text: str) -> bool:
    """Whether a cell that tells the state of an entry says that it was taken back.

    Raises:
        ValueError: it has no word that is known.
    """
    if (told := text.lower()) in _GONE:
        return True
    if told in _STANDS:
        return False
    raise ValueError


def quality(text: str) -> int | None:
    """A whole number from 0 to 100; None where nothing is told.

    Raises:
        ValueError: it is none.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= _BEST_QUALITY):
        raise ValueError
    return int(text)


def moment(text: str) -> int | None:
    """Seconds since 1970 of an ISO 8601 time with a zone, or of the beginning of a day in UTC; None for nothing.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return None
    return int((_day(text) or utc(text)).timestamp())


def moment_utc(text: str) -> int | None:
    """Like `moment`, where the format says that times without a zone are in UTC.

    Raises:
        ValueError: it is no time.
    """
    if not text or _day(text):
        return moment(text)
    told = datetime.fromisoformat(text)
    return moment(text) if told.tzinfo else int(told.replace(tzinfo=UTC, microsecond=0).timestamp())


def _day(text: str) -> datetime | None:
    if len(text) != len("YYYY-MM-DD"):
        return None
    told = datetime.fromisoformat(text)
    # other ISO forms of this length, such as weeks, are not taken
    return told.replace(tzinfo=UTC) if text == told.date().isoformat() else None


def words(text: str) -> str:
    """A word or a few, as they are.

    Raises:
        ValueError: they are longer than `MAX_WORD_LENGTH`, or not printable.
    """
    if len(text) > MAX_WORD_LENGTH or not text.isprintable():
        raise ValueError
    return text


def sets(text: str) -> frozenset[str]:
    """Words with `|`, `;` or `,` between.

    Raises:
        ValueError: as `words`.
    """
    parts = words(text).replace(";", "|").replace(",", "|").split("|")
    return frozenset(part.strip() for part in parts) - {""}
