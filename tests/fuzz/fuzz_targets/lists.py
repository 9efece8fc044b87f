"""What the two list targets share: parse, hold the answer against its own rules, write down, parse again."""

import re

from fuzz_targets.scratch import written
from vetset.hashlist.files.text import parse_list
from vetset.hashlist.vault.packing import check_entries, pack, unpack
from vetset.model.errors import ListError
from vetset.model.hashlist import Category, ListInfo
from vetset.model.signal import Kind

INFO = ListInfo("x", "owner", Category.OTHER, "test")
_DIGEST = re.compile(r"[0-9a-fA-F]{32}")
SECRET = bytes(32)


def _parsed(name, data, kind):
    try:
        return parse_list(written(name, data), kind=kind)
    except ListError as error:
        told = str(error)
    assert not _DIGEST.search(told), "an error repeats what may be a value"
    return None


def _values(entries):
    return {kind: column.values.tobytes() for kind, column in entries.items()}


def parsed_and_back(name: str, data: bytes) -> None:
    """Parse under three statements about the kind; each accepted answer must survive text and packing."""
    for kind in (None, Kind.MD5, Kind.PDQ):
        entries = _parsed(name, data, kind)
        if entries is None:
            continue
        check_entries(entries, "x")
        text = b"".join(
            b"%s %s\n" % (found.value.encode(), value.hex().encode())
            for found, column in entries.items()
            for value in map(bytes, column.values)
        )
        again = _parsed("again.txt", text, None)
        assert again is not None
        assert _values(again) == _values(entries)
        pieces, _ = pack(INFO, entries, SECRET)
        back, _ = unpack(b"".join(pieces), SECRET)
        assert _values(back.entries) == _values(entries)
        for found, column in entries.items():
            assert back.entries[found].ids.tolist() == column.ids.tolist()
            assert all(identity and identity.isascii() for identity in column.ids.tolist())
