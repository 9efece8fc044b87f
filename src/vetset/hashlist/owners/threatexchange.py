"""ThreatExchange: files of signals, and dumps of a privacy group's updates (GIFCT's members get its hashes so, too).

*Files of signals* are what `python-threatexchange` exchanges without a service, and hasher-matcher-actioner beside it:
a line for each, `signal_type value`, or the value alone where the file is of one type. Entries have no ids, so they are
named by `entry_name`.

*Updates* are the objects that `/<privacy group>/threat_updates` answers with, an indicator each
(developers.facebook.com/docs/threat-exchange/reference/apis/threat-updates, and the client in `python-threatexchange`):

    id                          of the indicator
    type, indicator             HASH_PDQ and 64 hexadecimal digits, …
    last_updated                seconds since 1970, or ISO 8601 with a zone
    should_delete               true where it left the group
    descriptors                 {"data": […]}: members' opinions: `id`, `owner`, `status`, `tags`, `reactions`
    tags, status                the same of all members together, where descriptors were not asked for

What an indicator is about is told by its tags, and by the group that it was shared in: the caller says which harm.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from vetset.hashlist.entry_names import entry_name
from vetset.hashlist.files import documents
from vetset.hashlist.files.documents import Malformed
from vetset.hashlist.files.lines import Complaints, blocks
from vetset.hashlist.opinions import BATCH_ROWS, MAX_WORD_LENGTH, Note, OpinionRows, utc
from vetset.model.errors import ListError
from vetset.model.signal import BYTE_KINDS, Kind

DATA = "data"
"""The field of a page that holds updates."""
_SIGNALS = {kind.value: kind for kind in (Kind.PDQ, *BYTE_KINDS, Kind.PHOTODNA)}
"""Signal types that are kinds here, by the same word."""
_OTHER_SIGNALS = frozenset(
    {
        "pdq_ocr", "raw_text", "text_tlsh", "trend_query", "url", "url_md5", "video_md5", "video_sha256",
        "vpdq",
    }
)  # fmt: skip
"""Signal types that are counted. `url_md5` is one of them: it is taken of the address in lower case without its scheme,
so that it is not the kind of that name here."""
_INDICATORS = {
    "HASH_PDQ": Kind.PDQ, "HASH_MD5": Kind.MD5, "HASH_SHA1": Kind.SHA1, "HASH_SHA256": Kind.SHA256,
    "HASH_PHOTODNA": Kind.PHOTODNA,
}  # fmt: skip
_OTHER_INDICATORS = frozenset(
    {
        "HASH_IMPHASH", "HASH_PDQ_OCR", "HASH_SSDEEP", "HASH_TEXT_TLSH", "HASH_TMK", "HASH_URL_MD5", "HASH_VIDEO_MD5",
        "HASH_VIDEO_SHA256", "DEBUG_STRING", "DOMAIN", "EMAIL_ADDRESS", "IP_ADDRESS", "RAW_URI", "TEXT_STRING",
        "TREND_QUERY", "UNCLICKABLE_URL", "URI",
    }
)  # fmt: skip
_VIDEO_TAG = "media_type_video"
"""Tag of a digest that is of a film, by the convention of `python-threatexchange`."""
_FIELDS = frozenset(
    {
        "id", "indicator", "type", "creation_time", "last_updated", "should_delete", "tags", "status",
        "applications_with_opinions", "descriptors",
    }
)  # fmt: skip
_FOR, _AGAINST = "MALICIOUS", "NON_MALICIOUS"
_STATUSES = frozenset({_FOR, _AGAINST, "SUSPICIOUS", "UNKNOWN"})
_REACTIONS = {"HELPFUL": _FOR, "DISAGREE_WITH_TAGS": _AGAINST}
_MAX_OWNERS = 10_000


def read_signals(
    path: Path, secret: bytes, unsupported: Counter[str], *, signal_type: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows of a file of signals. Blank lines and lines that begin with `#` are skipped.

    Args:
        path: UTF-8 text.
        secret: what entries are named under (`entry_name`).
        unsupported: counts signals of other types, by type.
        signal_type: what bare values are; a file that states types itself must not be given one.

    Raises:
        ListError: lines are malformed or state a type that nobody knows; nothing of the file can be kept; it cannot be
            read; or it was said to hold signals that cannot be held against a picture.
    """
    stated = None if signal_type is None else _SIGNALS.get(signal_type)
    if signal_type is not None and stated is None:
        known = f"one of {', '.join(_SIGNALS)}"
        raise ListError("signals of this type are not of pictures", expected=known, where=path.name)
    return _signals(path, secret, unsupported, stated)


def _signals(path: Path, secret: bytes, unsupported: Counter[str], stated: Kind | None) -> Iterator[pa.RecordBatch]:
    rows, none = OpinionRows(path.name), True
    form = "`signal_type value`" if stated is None else f"a value of {stated.value}"
    complaints = Complaints(path.name, f"{form} on every line")
    for first, lines in blocks(path):
        for number, line in enumerate(lines, first):
            words = line.decode("utf-8").split()
            if not words or words[0].startswith("#"):
                continue
            try:
                found = _signal(words, stated, unsupported)
            except Malformed as error:
                complaints.add(number, str(error))
                if complaints.enough:
                    complaints.check()
                continue
            if found is not None:
                rows.add(entry_name(secret, *found), [found])
                none = False
        if len(rows) >= BATCH_ROWS and not complaints.found:
            yield rows.batch()
    complaints.check()
    if none:
        raise documents.nothing(path.name)
    if len(rows):
        yield rows.batch()


def _signal(words: list[str], stated: Kind | None, unsupported: Counter[str]) -> tuple[Kind, bytes] | None:
    if stated is not None:
        if len(words) != 1:
            raise Malformed(f"{len(words)} words")
        return stated, documents.value_of(words[0], stated)
    kind = _SIGNALS.get(words[0])
    if kind is None:
        if len(words) == 1 or words[0] not in _OTHER_SIGNALS:  # a text or an address may be of many words
            raise Malformed("the first word is no type of signal" if len(words) > 1 else "no type of signal is stated")
        unsupported[words[0]] += 1
        return None
    if len(words) != 2:
        raise Malformed(f"{len(words)} words")
    return kind, documents.value_of(words[1], kind)


def read_updates(path: Path, unsupported: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Rows of a dump of updates: pages as the service sends them, or indicators, in a JSON list or as JSON lines.

    An indicator stands if a member's opinion of it comes along; without one it has left the group (a deletion is not
    always marked, python-threatexchange's issue 834). The member is the one whose descriptor that speaks for it is the
    oldest; other members who speak for or against it, by a descriptor or a reaction, are counted. Nobody having called
    it malicious, it is unconfirmed.

    Args:
        path: the file.
        unsupported: counts indicators of other types by type, and digests of films.

    Raises:
        ListError: the file is malformed, or holds nothing that could be kept.
    """
    found = documents.entries_of(documents.documents_of(path), DATA, path.name, _more)
    take = partial(_take, unsupported=unsupported)
    return documents.opinions(found, take, path.name, "indicators of ThreatExchange")


def _more(page: Mapping[str, Any]) -> object:
    paging = page.get("paging")
    return isinstance(paging, dict) and paging.get("next")


@dataclass(frozen=True, slots=True)
class _Said:
    """What members say of an indicator: `sides` has the side of each, `tags` those of all."""

    member: str
    sides: Mapping[str, str]
    tags: frozenset[str]

    @property
    def agree(self) -> int:
        """How many members speak for it beside the one that gave it."""
        return sum(side == _FOR for member, side in self.sides.items() if member != self.member)

    @property
    def dispute(self) -> int:
        """How many speak against it."""
        return sum(side == _AGAINST for side in self.sides.values())


def _take(entry: Mapping[str, Any], rows: OpinionRows, unsupported: Counter[str]) -> bool:
    documents.check_fields(entry, _FIELDS)
    name = _number(entry, "id")
    updated = _moment(entry)
    said = _said(entry)
    if documents.flag(entry, "should_delete") or said is None:
        rows.withdraw(name, updated=updated)
        return True
    word = documents.text(entry, "type")
    kind = _INDICATORS.get(word)
    passed_over = ""
    if kind is None:
        passed_over = word if word in _OTHER_INDICATORS else "other"
    elif _VIDEO_TAG in said.tags and kind in BYTE_KINDS:
        passed_over = f"{kind.value} of film"
    if kind is None or passed_over:
        unsupported[passed_over] += 1
        rows.withdraw(name, updated=updated)  # tags change: it may have been of a picture before
        return False
    value = documents.value(entry, "indicator", kind)
    confirmed = _FOR in said.sides.values()
    rows.add(
        name, [(kind, value)], member=said.member, category=_joined(said.tags), updated=updated,
        notes=Note.NONE if confirmed else Note.UNCONFIRMED,
        agree={kind: said.agree}, dispute={kind: said.dispute},
    )  # fmt: skip
    return True


def _said(entry: Mapping[str, Any]) -> _Said | None:
    """None where no opinion comes along."""
    held = entry.get("descriptors")
    if held is None:
        if entry.get("status") is None:
            return None
        return _Said("", {"": documents.word(entry, "status", _STATUSES)}, _tags(entry))
    if type(held) is not dict:
        raise Malformed("descriptors is not an object")
    descriptors = [one for one in documents.objects(held, DATA) if "owner" in one]  # without one it is not to be seen
    if not descriptors:
        return None
    descriptors.sort(key=lambda one: int(_number(one, "id")))
    sides = {_owner(one): documents.word(one, "status", _STATUSES) for one in descriptors}
    first = next((member for member, side in sides.items() if side == _FOR), _owner(descriptors[0]))
    reacted: dict[str, str] = {}
    for one in descriptors:
        reacted |= {member: side for member, side in _reactions(one).items() if reacted.get(member) != _FOR}
    return _Said(first, reacted | sides, frozenset().union(*(_tags(one) for one in descriptors)))


def _reactions(descriptor: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for reaction in documents.objects(descriptor, "reactions"):
        side = _REACTIONS.get(documents.text(reaction, "key"))
        members = reaction.get("value")
        if type(members) is not str or members.count(",") >= _MAX_OWNERS:
            raise Malformed("the value of a reaction is not a text")
        if side is not None:
            found |= {_digits(member): side for member in members.split(",") if found.get(_digits(member)) != _FOR}
    return found


def _owner(descriptor: Mapping[str, Any]) -> str:
    owner = descriptor["owner"]
    if type(owner) is not dict:
        raise Malformed("owner is not an object")
    return _number(owner, "id")


def _number(entry: Mapping[str, Any], name: str) -> str:
    """An id, which the service writes as a text of digits."""
    found = entry.get(name)
    return _digits(found, name) if type(found) is str else str(documents.whole(entry, name))


def _digits(found: str, name: str = "a member of a reaction") -> str:
    if not (found.isascii() and found.isdecimal() and len(found) <= 19):
        raise Malformed(f"{name} is not a number")
    return found.lstrip("0") or "0"


def _moment(entry: Mapping[str, Any]) -> datetime:
    found = entry.get("last_updated")
    if type(found) is not str:
        return documents.seconds(entry, "last_updated")
    with suppress(ValueError):
        return utc(found)
    raise Malformed("last_updated is neither a time in seconds nor one in ISO 8601 with a zone")


def _tags(entry: Mapping[str, Any]) -> frozenset[str]:
    """A list of words, or of objects that hold them, as the service writes them where tags were asked for by name."""
    found = entry.get("tags")
    if type(found) is dict:
        return frozenset(documents.text(tag, "text") for tag in documents.objects(found, DATA))
    if found is None:
        return frozenset()
    if type(found) is not list:
        raise Malformed("tags is not a list")
    return frozenset(documents.text({"a tag": tag}, "a tag") for tag in found)


def _joined(tags: frozenset[str]) -> str:
    """Tags with commas between, as many of them as a word may be long, in the order of the alphabet."""
    found = ""
    for tag in sorted(tags):
        longer = f"{found},{tag}" if found else tag
        if len(longer) > MAX_WORD_LENGTH:
            break
        found = longer
    return found
