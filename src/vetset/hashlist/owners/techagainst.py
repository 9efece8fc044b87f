"""Tech Against Terrorism: the hash list of its archive (TCAP) of verified terrorist and violent extremist files.

Entries are JSON objects, one for each hash, as the service's documentation and Meta's client `python-threatexchange`
have them (docs.terrorismanalytics.org, *Content Hash List*):

    id            whole number
    hash_digest   hexadecimal digits
    algorithm     MD5, SHA1, SHA256, PDQ, PhotoDNA; SHA512 and TMK are counted and not kept, as are digests of the bytes
                  of films, sound and papers
    file_type     extension of the file, `jpg`
    ideology      islamist, far-right: kept verbatim as the category
    deleted       true where it was taken back
    updated_on    seconds since 1970, UTC, with a fraction
    created_on    not kept

GIFCT publishes no format of its own for its database. What a member gets of it through ThreatExchange is read by
`vetset.hashlist.owners.threatexchange`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from vetset.hashlist.files import documents
from vetset.hashlist.files.documents import MalformedValue
from vetset.hashlist.opinions import OpinionRows
from vetset.model.signal import BYTE_KINDS, Kind

RESULTS = "results"
"""The field of a page that holds entries."""
_FIELDS = frozenset(
    {"id", "hash_digest", "algorithm", "file_type", "ideology", "deleted", "updated_on", "created_on"}
)  # fmt: skip
_ALGORITHMS = {
    "MD5": Kind.MD5,
    "SHA1": Kind.SHA1,
    "SHA256": Kind.SHA256,
    "PDQ": Kind.PDQ,
    "PDNA": Kind.PHOTODNA,
    "PhotoDNA": Kind.PHOTODNA,
}
_OTHERS = frozenset({"SHA512", "TMK"})
_NO_PICTURE = {
    "film": frozenset({"3gp", "avi", "flv", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "ts", "webm", "wmv"}),
    "sound": frozenset({"aac", "amr", "flac", "m4a", "mp3", "oga", "ogg", "opus", "wav", "wma"}),
    "paper": frozenset({"doc", "docx", "epub", "odp", "odt", "pdf", "ppt", "pptx", "rtf", "txt", "xls", "xlsx"}),
}
"""What a digest of the bytes of such a file cannot be: that of a picture. Other types are taken for pictures."""


def read_techagainst(path: Path, unsupported: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Rows of a file of Tech Against Terrorism: pages as the service sends them, or entries, in a JSON list or lines.

    Args:
        path: the file.
        unsupported: counts entries of other algorithms by algorithm, and digests of what is no picture by what it is.

    Raises:
        ListError: the file is malformed, or holds nothing that could be kept.
    """
    found = documents.entries_of(documents.documents_of(path), RESULTS, path.name, _more)
    return techagainst_rows(found, unsupported, path.name)


def _more(page: Mapping[str, Any]) -> object:
    return page.get("next")


def techagainst_rows(
    entries: Iterable[tuple[int, Mapping[str, Any]]], unsupported: Counter[str], where: str, *, service: bool = False
) -> Iterator[pa.RecordBatch]:
    """Rows of entries that were parsed from JSON; arguments as those of `read_techagainst`.

    Pages of a `service` may hold nothing, and a few values that are malformed (`documents.opinions`).

    Raises:
        ListError: as `documents.opinions`.
    """
    take = partial(_take, unsupported=unsupported)
    what = "entries of Tech Against Terrorism"
    return documents.opinions(entries, take, where, what, lost=unsupported if service else None)


def _take(entry: Mapping[str, Any], rows: OpinionRows, unsupported: Counter[str]) -> bool:
    documents.check_fields(entry, _FIELDS)
    name = str(documents.whole(entry, "id"))
    updated = documents.seconds(entry, "updated_on")
    algorithm = documents.text(entry, "algorithm")
    category = documents.text(entry, "ideology", absent="")
    file_type = documents.text(entry, "file_type", absent="")
    if documents.flag(entry, "deleted"):
        rows.withdraw(name, updated=updated)
        return True
    kind = _ALGORITHMS.get(algorithm)
    passed_over = _passed_over(algorithm, kind, file_type)
    if kind is None or passed_over:
        unsupported[passed_over] += 1
        rows.withdraw(name, updated=updated)  # it may have been something else before
        return False
    try:
        value = documents.value(entry, "hash_digest", kind)
    except MalformedValue as error:
        raise error.of(name, updated) from None
    rows.add(name, [(kind, value)], category=category, updated=updated)
    return True


def _passed_over(algorithm: str, kind: Kind | None, file_type: str) -> str:
    """What is counted instead of being kept; empty where it is kept."""
    if kind is None:
        return algorithm if algorithm in _OTHERS else "other"
    extension = file_type.rpartition("/")[2].rpartition(".")[2].lower()
    other = next((what for what, extensions in _NO_PICTURE.items() if extension in extensions), "")
    return f"{kind.value} of {other}" if other and kind in BYTE_KINDS else ""
