"""A folder of pictures: names and sidecars cut out of the input, a line a file, `name=content`."""

import numpy as np

from fuzz_targets.scratch import emptied
from vetset.dataset.columns import DEFAULT_MAPPING
from vetset.dataset.formats import format_of
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError

_FOLDER = format_of(Format.FOLDER)
MAX_FILES = 30


def _files(data):
    files = {}
    for line in data.split(b"\n")[:MAX_FILES]:
        name, _, content = line.partition(b"=")
        name = name.replace(b"\0", b"").replace(b"/", b"_")[:200]
        if name not in {b"", b".", b".."}:
            files[name] = content
    return files


def target(data: bytes) -> None:
    """Every picture is one record; a copy of every second one holds what it held."""
    root = emptied("folder")
    for name, content in _files(data).items():
        with open(bytes(root) + b"/" + name, "wb") as file:  # noqa: PTH123  names that are no text
            file.write(content)
    for shard in _FOLDER.discover(root):
        reading = _FOLDER.read(root, shard, DEFAULT_MAPPING)
        try:
            items = list(reading)
        except DatasetError:
            continue
        identities = list(_FOLDER.identities(root, shard))
        assert len(items) == reading.records == len(identities)
        picked = _FOLDER.read_rows(root, shard, range(len(items)), DEFAULT_MAPPING)
        assert [(item.row, item.key) for item in items] == [(row, picked[row].key) for row in sorted(picked)]
        for item in items:
            item.key.encode()
        _copied(root, shard, identities)


def _copied(root, shard, identities):
    # Sidecars go with the last of their pictures, so that all records of a stem go together here.
    stems = _FOLDER.siblings(root, shard)
    keep = stems % 2 == 0
    out = emptied("folder-out")
    _FOLDER.write(root, shard, keep, out)
    copies = _FOLDER.discover(out)
    found = [identity for copy in copies for identity in _FOLDER.identities(out, copy)]
    assert found == [identities[row] for row in np.flatnonzero(keep)], "survivors are not what they were"
