"""NCMEC's answers to entry queries: read in one piece and in many, and counted by another XML parser."""

import re
from xml.etree import ElementTree as ET

from vetset.hashlist.opinions import checked
from vetset.hashlist.owners.ncmec.entries import NAMESPACE, EntriesReader
from vetset.model.errors import ListError

_DIGEST = re.compile(r"[0-9a-fA-F]{32}")


def _read(data, step, malformed):
    reader = EntriesReader("x", bytes(32), malformed=malformed)
    batches = []
    try:
        for start in range(0, len(data), step):
            batches += reader.feed(data[start : start + step])
        batches += reader.close()
    except ListError as error:
        told = str(error)
        batches = None
    if batches is None:
        assert not _DIGEST.search(told), "an error repeats what may be a value"
        return None
    return [row for batch in batches for row in checked(batch, "x").to_pylist()], reader.told


def target(data: bytes) -> None:
    """What is accepted has as many pictures as ElementTree finds, and the same rows however it comes."""
    found = _read(data, max(1, len(data)), 0)
    if found is None:
        return
    rows, told = found
    assert _read(data, 7, 0)[0] == rows
    assert _read(data, 64, 10)[0] == rows
    tree = ET.fromstring(data)  # noqa: S314 — what has a DOCTYPE was refused above
    images = tree.findall(f"{{{NAMESPACE}}}images")
    pictures = sum(len(section.findall(f"{{{NAMESPACE}}}image")) for section in images)
    deleted = sum(len(section.findall(f"{{{NAMESPACE}}}deletedImage")) for section in images)
    assert (told.standing + told.empty, told.withdrawn) == (pictures, deleted)
    assert len({row["entry"] for row in rows}) <= pictures + deleted
    assert not _DIGEST.search(str(told.numbers()))
