"""The content of a vault's file: as packed, or refused. The version in it is put right, so that the rest is reached."""

import json

from vetset.hashlist.vault.info import checked_info
from vetset.hashlist.vault.packing import _version, check_entries, pack, unpack
from vetset.model.canonical import canonical_json
from vetset.model.errors import ListError, SealError
from vetset.model.hashlist import Category, ListInfo

SECRET = bytes(32)


def _with_version(data):
    """The same content as somebody who has the secret would have packed it."""
    header, _, body = data.partition(b"\n")
    try:
        document = json.loads(header)
        info = ListInfo(**{**document["info"], "category": Category(document["info"]["category"])})
        document["info"]["version"] = _version(info, document["columns"], [body], SECRET)
        return canonical_json(document) + b"\n" + body
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        return data


def _unpacked(content, secret):
    try:
        return unpack(content, secret)
    except SealError:
        return None


def target(data: bytes) -> None:
    """As it came, and under a version that holds; a list of unknown secret is read as far as one that is known."""
    for content in (data, _with_version(data)):
        known, unknown = _unpacked(content, SECRET), _unpacked(content, None)
        assert known is None or unknown is not None
        if unknown is None:
            continue
        found, bank = unknown
        for kind, column in found.entries.items():
            assert column.values.shape == (len(column), kind.width)
            assert column.ids.shape == column.flags.shape == column.members.shape == (len(column),)
        try:
            check_entries(found.entries, "x")
            info = checked_info(found.info)
        except ListError:
            continue
        pieces, final = pack(info, found.entries, SECRET, bank)
        again, named = unpack(b"".join(pieces), SECRET)
        assert (again.info, named) == (final, bank)
        assert {kind: column.values.tobytes() for kind, column in again.entries.items()} == {
            kind: column.values.tobytes() for kind, column in found.entries.items()
        }
