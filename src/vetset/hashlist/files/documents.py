"""JSON of list owners: entries read one at a time from a file or a page, strictly and under caps.

What two parsers could read differently is refused (`vetset.seal.document`): a name that occurs twice, NaN, text that is
not UTF-8. Fields have the type that the format says, and no other is taken for it. A field that the format does not
name is passed over, unless its name or content may be a value: then the whole list is refused, because a value that was
passed over silently looks like a clean result.

No error holds a piece of a document but the name of a field, and that only where it looks like one.
"""

import binascii
import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from vetset.hashlist.files.encodings import Encoding
from vetset.hashlist.files.lines import MAX_LIST_BYTES, Complaints
from vetset.hashlist.opinions import BATCH_ROWS, MAX_WORD_LENGTH, Note, OpinionRows
from vetset.model.errors import ListError
from vetset.model.signal import Kind
from vetset.seal.document import STRICT, parse_object

MAX_DOCUMENT = 8 << 20
"""Characters of one document: an entry, or a page of them. Parsed, it takes at most some 25 times as many bytes."""
MALFORMED = "malformed"
"""Under which word values are counted that are none."""
MALFORMED_OF_A_PAGE = 10
MAX_DEPTH = 16
"""Objects and arrays within each other, in a field that is passed over."""
_BLOCK_BYTES = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_VALUE = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Za-z+/_-]{43}|://")
_NAME_OF_VALUE = re.compile(r"hash|md5|sha\d|pdq|dna|digest|ur[il]|fingerprint|signal|indicator|tmk", re.IGNORECASE)
_SHOWN_NAME = re.compile(r"(?!.*\d{4})(?!.*[A-Za-z0-9]{22})[A-Za-z_][A-Za-z0-9_]{0,31}")
"""Names that are told; an MD5 digest takes 22 letters in base64, and 26 in base32."""
_LAST_SECOND = 4_102_444_800
"""2100-01-01: later times are milliseconds, or nonsense."""


class Malformed(ValueError):  # noqa: N818 — it is what an entry is, and never leaves this package
    """An entry is not as its owner's format says. The text holds nothing of the entry."""


class MalformedValue(Malformed):
    """What is wrong with the entry is its value.

    Attributes:
        entry: its id, where the owner gives it one: what was known of it stays.
        updated: time of the owner's statement.
    """

    entry: str = ""
    updated: datetime | None = None

    def of(self, entry: str, updated: datetime) -> "MalformedValue":
        """The same of an entry that has an id."""
        self.entry, self.updated = entry, updated
        return self


def opinions(
    entries: Iterable[tuple[int, Mapping[str, Any]]],
    take: Callable[[Mapping[str, Any], OpinionRows], bool],
    where: str,
    what: str,
    *,
    lost: Counter[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows that `take` makes of entries, in batches; none that follow an entry which is malformed.

    Args:
        entries: number and content of each.
        take: puts an entry into rows, or raises `Malformed`; says whether the entry is of a kind that a list may
            carry, or was taken back.
        where: name of the file or service, for errors.
        what: what entries should have been, for errors.
        lost: for a page of a service: counts values that are malformed. Up to `MALFORMED_OF_A_PAGE` are passed over,
            since nobody here can mend them; and there may be no entry at all. None for a file.

    Raises:
        ListError: entries are malformed; up to 10 of them are named by their number. Or a file holds nothing.
    """
    rows, complaints = OpinionRows(where), Complaints(where, what, "object")
    taken, left = False, 0 if lost is None else MALFORMED_OF_A_PAGE
    for number, entry in entries:
        try:
            taken |= take(entry, rows)
        except Malformed as error:
            if lost is not None and isinstance(error, MalformedValue) and left:
                lost[MALFORMED] += 1
                left -= 1
                if error.entry:
                    rows.withdraw(error.entry, updated=error.updated, notes=Note.UNREAD)
                continue
            complaints.add(number, str(error))
            if complaints.enough:
                break
        if len(rows) >= BATCH_ROWS and not complaints.found:
            yield rows.batch()
    complaints.check()
    if not taken and lost is None:
        raise nothing(where)
    if len(rows):
        yield rows.batch()


def nothing(where: str) -> ListError:
    """The error for a file that holds nothing to hold against a picture: an empty list looks like a clean result."""
    return ListError(
        "the list holds no entry that could be held against a picture",
        expected="at least one value of a kind that a list may carry, or one that was taken back",
        where=where,
        todo="Nothing was imported. Name the file that holds the values.",
    )


def page(data: bytes, where: str) -> dict[str, Any]:
    """The object that a service answered with.

    Args:
        data: body of the answer, of at most `MAX_DOCUMENT` bytes.
        where: name of the service and page, for errors.

    Raises:
        ListError: it is larger, or no strict JSON object.
    """
    if len(data) > MAX_DOCUMENT:
        raise ListError("an answer is too large", expected=f"at most {MAX_DOCUMENT} bytes", where=where)
    try:
        return parse_object(data)
    except ValueError as error:  # its text quotes nothing
        raise ListError("an answer is not what was asked for", expected="JSON", seen=str(error), where=where) from None


def entries_of(
    documents: Iterable[dict[str, Any]],
    name: str,
    where: str,
    more: Callable[[Mapping[str, Any]], object] | None = None,
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Entries, numbered from 1: each document is one, or a page that holds some in the field `name`.

    Args:
        documents: pages and entries.
        name: the field of a page that holds entries.
        where: name of the file or service, for errors.
        more: of a file: whether a page says that there is one after it.

    Raises:
        ListError: what a page holds is not a list of objects; or the last page of a file is not the last of the list.
    """
    number, goes_on = 0, False
    for document in documents:
        goes_on = more is not None and name in document and bool(more(document))
        held = document.get(name, [document])
        if not isinstance(held, list):
            raise ListError(f"the field {name} of a page is not a list", where=where)
        for entry in held:
            number += 1
            if not isinstance(entry, dict):
                raise ListError("an entry is not an object", where=f"{where}, entry {number}")
            yield number, entry
    if goes_on:
        raise ListError(
            "the last page of the file says that there are more",
            where=where,
            todo="Nothing was imported: what is missing would count as taken back. Fetch all pages into one file.",
        )


def documents_of(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in a UTF-8 file: those of one JSON array, or one after the other (JSON lines), as they are read.

    At most one object of `MAX_DOCUMENT` characters and a block are in memory.

    Raises:
        ListError: the file cannot be read, is no such JSON, or is beyond the caps.
    """
    try:
        with path.open("rb") as file:
            yield from _Documents(file, path.name)
    except OSError as error:
        raise ListError(
            f"the list cannot be read ({error.strerror or type(error).__name__})",
            where=path.name,
            todo="Name a file that exists and that you may read.",
        ) from error


class _Documents:
    """Walks over a file; `self._text[self._at:]` is what was read and not yet passed on."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file = file
        self._where = where
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._bytes = 0
        self._ended = False
        self._number = 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        listed = self._next() == "["
        self._at += listed
        while character := self._next():
            if listed and character == "]" and self._number == 1:
                break
            yield self._document()
            self._number += 1
            if listed:
                character = self._next()
                if character not in {",", "]"}:
                    raise self._refused("something else than a comma after an object of a list")
                if character == "]":
                    break
                self._at += 1
        if listed and self._next() != "]":
            raise self._refused("a list that does not end")
        self._at += listed
        if self._next():
            raise self._refused("something after the end of the list")

    def _next(self) -> str:
        """The next character that is not space, still to be passed; empty at the end of the file."""
        while True:
            end = _SPACE.match(self._text, self._at)
            self._at = end.end() if end else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read as much as is held already, so that an object over many blocks is not parsed again for each of them."""
        if self._ended:
            return False
        rest = self._text[self._at :]
        data = self._file.read(max(_BLOCK_BYTES, len(rest)))
        self._bytes += len(data)
        if self._bytes > MAX_LIST_BYTES:
            raise ListError("the list is too large", expected=f"at most {MAX_LIST_BYTES} bytes", where=self._where)
        self._ended = not data
        try:
            self._text, self._at = rest + self._decoder.decode(data, final=self._ended), 0
        except UnicodeDecodeError:
            raise self._refused("bytes that are not UTF-8") from None
        return True

    def _document(self) -> dict[str, Any]:
        if self._text[self._at] != "{":
            raise self._refused("something else than an object")
        while True:
            try:
                found, self._at = STRICT.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > MAX_DOCUMENT:
                    raise self._refused(f"an object of more than {MAX_DOCUMENT} characters, or no JSON") from None
                if not self._more():
                    raise self._refused("what is not JSON") from None
            except RecursionError:
                raise self._refused("an object that is nested too deeply") from None
            except ValueError:
                raise self._refused("a name that occurs twice, or a number that is not finite or too long") from None
            else:
                return dict(found)

    def _refused(self, seen: str) -> ListError:
        return ListError(
            "the list is not JSON as it was expected",
            expected="objects in UTF-8, in one list or one after the other",
            seen=seen,
            where=f"{self._where}, object {self._number}",
            todo="Nothing was imported.",
        )


def check_fields(entry: Mapping[str, Any], known: AbstractSet[str]) -> None:
    """Refuse an entry with a field that is not `known` and may hold values; others that are not known may be there.

    Raises:
        Malformed: there is one.
    """
    if entry.keys() <= known:
        return
    for name in sorted(entry.keys() - known):
        if _NAME_OF_VALUE.search(name) or _VALUE.search(name) or _may_hold_value(entry[name], MAX_DEPTH):
            shown = f"the field {name}" if _SHOWN_NAME.fullmatch(name) else "a field"
            raise Malformed(f"{shown} is not known and may hold values")


def _may_hold_value(content: object, depth: int) -> bool:
    if isinstance(content, str):
        return _VALUE.search(content) is not None
    if isinstance(content, int):
        return content.bit_length() > 64
    if isinstance(content, dict | list):
        if not depth:
            raise Malformed("a field is nested too deeply")
        inner = [*content, *content.values()] if isinstance(content, dict) else content
        return any(_may_hold_value(one, depth - 1) for one in inner)
    return False


def text(entry: Mapping[str, Any], name: str, *, absent: str | None = None) -> str:
    """A text of printable characters, at most `MAX_WORD_LENGTH`; `absent` is what a missing field or null means.

    Raises:
        Malformed: the field is something else, or missing where it must not be.
    """
    found = entry.get(name)
    if found is None and absent is not None:
        return absent
    if type(found) is not str or len(found) > MAX_WORD_LENGTH or not found.isprintable():
        raise Malformed(f"{name} is not a text of at most {MAX_WORD_LENGTH} printable characters")
    return found


def word(entry: Mapping[str, Any], name: str, words: AbstractSet[str]) -> str:
    """One of the words that the format has for a field.

    Raises:
        Malformed: it is not.
    """
    found = entry.get(name)
    if type(found) is not str or found not in words:
        raise Malformed(f"{name} is none of {', '.join(sorted(words))}")
    return found


def flag(entry: Mapping[str, Any], name: str) -> bool:
    """True or false.

    Raises:
        Malformed: it is neither.
    """
    found = entry.get(name)
    if type(found) is not bool:
        raise Malformed(f"{name} is neither true nor false")
    return found


def whole(entry: Mapping[str, Any], name: str) -> int:
    """A number without fraction, from 0 to 2^63 - 1.

    Raises:
        Malformed: it is not.
    """
    found = entry.get(name)
    if type(found) is not int or not 0 <= found < 1 << 63:
        raise Malformed(f"{name} is not a whole number from 0 to 2^63 - 1")
    return found


def objects(entry: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of objects; empty where the field is missing or null.

    Raises:
        Malformed: it is something else.
    """
    found = entry.get(name)
    if found is None:
        return []
    if type(found) is not list or any(type(one) is not dict for one in found):
        raise Malformed(f"{name} is not a list of objects")
    return found


def seconds(entry: Mapping[str, Any], name: str) -> datetime:
    """A time as seconds since 1970 in UTC, with or without a fraction, which is cut off.

    Raises:
        Malformed: it is not a number, or not before the year 2100.
    """
    found = entry.get(name)
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found < _LAST_SECOND:
        raise Malformed(f"{name} is not a time in seconds since 1970")
    return datetime.fromtimestamp(math.floor(found), UTC)


def value(entry: Mapping[str, Any], name: str, kind: Kind) -> bytes:
    """A value of a kind from its hexadecimal digits, in either case; of PhotoDNA also from base64.

    Raises:
        MalformedValue: it is not.
    """
    found = entry.get(name)
    if type(found) is not str:
        raise MalformedValue(f"{name} is not a text")
    return value_of(found, kind, name)


def value_of(digits: str, kind: Kind, name: str = "the value") -> bytes:
    """Like `value`, of a text.

    Raises:
        MalformedValue: it is not a value of the kind.
    """
    try:
        if len(digits) == 2 * kind.width:
            return binascii.unhexlify(digits)
        if kind is Kind.PHOTODNA and len(digits) == Encoding.BASE64.length(kind):
            return binascii.a2b_base64(digits, strict_mode=True)
    except ValueError:  # text that is not ASCII, too
        raise MalformedValue(f"{name} has other characters than a value of {kind.value}") from None
    raise MalformedValue(f"{name} has {len(digits)} characters, where a value of {kind.value} has {2 * kind.width}")
