"""StopNCII: hashes that people made of intimate pictures of themselves, so that platforms keep them from spreading.

Entries are JSON objects. The shape is that of the service's answers, as Meta's client `python-threatexchange` reads
them; StopNCII publishes none:

    lastModtimestamp   seconds since 1970, UTC
    signalType         ImagePDQ; VideoMD5, VideoTMK, Text, URL and Unknown are counted and not kept
    hashValue          64 hexadecimal digits
    hashStatus         Received, Active, Unknown; Withdrawn, Deleted
    caseNumbers        object: case → status. One hash may be in the cases of several people. Numbers are not kept
    CSPFeedbacks       may be missing: objects with `source` (a platform), `feedbackValue`, `tags` (not kept)

Nobody at StopNCII has seen the pictures: an entry is its sender's word, and noted as unconfirmed until a platform says
that it looked at a match and blocked it. Entries have no ids, so they are named by `entry_name`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from vetset.hashlist.entry_names import entry_name
from vetset.hashlist.files import documents
from vetset.hashlist.files.documents import Malformed
from vetset.hashlist.opinions import Note, OpinionRows
from vetset.model.signal import Kind

RECORDS = "hashRecords"
"""The field of a page that holds entries."""
_FIELDS = frozenset({"lastModtimestamp", "signalType", "hashValue", "hashStatus", "caseNumbers", "CSPFeedbacks"})
_SIGNALS = frozenset({"Unknown", "ImagePDQ", "VideoMD5", "VideoTMK", "Text", "URL"})
_STANDING = frozenset({"Unknown", "Received", "Active"})
_WITHDRAWN = frozenset({"Withdrawn", "Deleted"})
_FOR, _AGAINST = "Blocked", "NotBlocked"
_FEEDBACK = frozenset({"Unknown", "None", "QualityUnknown", "PendingReview", _FOR, _AGAINST}) | _WITHDRAWN
_OTHER = "other"


def read_stopncii(path: Path, secret: bytes, unsupported: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Rows of a file of StopNCII: pages as the service sends them, or entries, in a JSON list or as JSON lines.

    Args:
        path: the file.
        secret: what entries are named under (`entry_name`).
        unsupported: counts entries of other signal types, by type.

    Raises:
        ListError: the file is malformed, or holds nothing that could be kept.
    """
    found = documents.entries_of(documents.documents_of(path), RECORDS, path.name, _more)
    return stopncii_rows(found, secret, unsupported, path.name)


def _more(page: Mapping[str, Any]) -> object:
    return page.get("hasMoreRecords")


def stopncii_rows(
    entries: Iterable[tuple[int, Mapping[str, Any]]],
    secret: bytes,
    unsupported: Counter[str],
    where: str,
    *,
    service: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Rows of entries that were parsed from JSON; arguments as those of `read_stopncii`.

    Pages of a `service` may hold nothing, and a few values that are malformed (`documents.opinions`).

    Raises:
        ListError: as `documents.opinions`.
    """
    take = partial(_take, secret=secret, unsupported=unsupported)
    return documents.opinions(entries, take, where, "entries of StopNCII", lost=unsupported if service else None)


def _take(entry: Mapping[str, Any], rows: OpinionRows, secret: bytes, unsupported: Counter[str]) -> bool:
    documents.check_fields(entry, _FIELDS)
    updated = documents.seconds(entry, "lastModtimestamp")
    withdrawn = _withdrawn(entry)
    signal = documents.text(entry, "signalType")
    agree, dispute = _feedback(entry)
    if signal != "ImagePDQ":
        unsupported[signal if signal in _SIGNALS else _OTHER] += not withdrawn
        return False
    value = documents.value(entry, "hashValue", Kind.PDQ)
    name = entry_name(secret, Kind.PDQ, value)
    if withdrawn:
        rows.withdraw(name, updated=updated)
        return True
    notes = Note.NONE if agree else Note.UNCONFIRMED
    rows.add(
        name, [(Kind.PDQ, value)], updated=updated, notes=notes,
        agree={Kind.PDQ: agree}, dispute={Kind.PDQ: dispute},
    )  # fmt: skip
    return True


def _withdrawn(entry: Mapping[str, Any]) -> bool:
    """Whether the owner took the hash back, or everybody did whose case it is in."""
    if documents.word(entry, "hashStatus", _STANDING | _WITHDRAWN) in _WITHDRAWN:
        return True
    cases = entry.get("caseNumbers")
    if cases is None:
        return False
    if type(cases) is not dict or any(type(status) is not str for status in cases.values()):
        raise Malformed("caseNumbers is not an object of words")
    if not set(cases.values()) <= _STANDING | _WITHDRAWN:
        raise Malformed(f"a status of caseNumbers is none of {', '.join(sorted(_STANDING | _WITHDRAWN))}")
    return bool(cases) and set(cases.values()) <= _WITHDRAWN


def _feedback(entry: Mapping[str, Any]) -> tuple[int, int]:
    """How many platforms blocked a match of it, and how many looked and did not; each counts once.

    Feedback without a source may all be of one platform. Feedback that was withdrawn counts for nothing.
    """
    sides: dict[str, set[str]] = {_FOR: set(), _AGAINST: set()}
    for feedback in documents.objects(entry, "CSPFeedbacks"):
        said = documents.word(feedback, "feedbackValue", _FEEDBACK)
        source = documents.text(feedback, "source", absent="")
        if said in sides:
            sides[said].add(source)
    return len(sides[_FOR]), len(sides[_AGAINST])
