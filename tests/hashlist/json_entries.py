"""Made-up entries in the JSON of list owners, for the tests of their importers."""

import json
import random

SECRET = bytes(range(32))
SECONDS = 1_700_000_000


def digits(seed, count):
    """Hexadecimal digits that look like a value."""
    return random.Random(seed).randbytes(count // 2).hex()


def stopncii(seed, **fields):
    """An entry of StopNCII."""
    return {
        "lastModtimestamp": SECONDS + seed,
        "signalType": "ImagePDQ",
        "hashValue": digits(seed, 64),
        "hashStatus": "Active",
        "caseNumbers": {f"case-{seed}-27664732": "Active"},
        **fields,
    }


def techagainst(seed, **fields):
    """An entry of Tech Against Terrorism."""
    return {
        "id": seed,
        "hash_digest": digits(seed, 64),
        "algorithm": "PDQ",
        "file_type": "jpg",
        "ideology": "islamist",
        "deleted": False,
        "updated_on": SECONDS + seed + 0.25,
        "created_on": "2025-03-03T23:05:22.587",
        **fields,
    }


def update(seed, **fields):
    """An update of ThreatExchange, with one descriptor."""
    return {
        "id": str(seed),
        "indicator": digits(seed, 64),
        "type": "HASH_PDQ",
        "last_updated": SECONDS + seed,
        "should_delete": False,
        "descriptors": {"data": [descriptor(seed)]},
        **fields,
    }


def descriptor(seed, owner="1001", status="MALICIOUS", **fields):
    """A member's opinion of an indicator."""
    return {"id": str(10_000 + seed), "owner": {"id": owner}, "status": status, "tags": ["made-up-tag"], **fields}


def listed(entries, **options):
    """A JSON list."""
    return json.dumps(entries, **options).encode()


def lines(entries):
    """JSON lines."""
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def row(entry, kind, value, **cells):
    """A row as the importers give it."""
    return {
        "entry": entry, "kind": kind, "value": None if value is None else bytes.fromhex(value), "member": "",
        "category": "", "updated": None, "notes": 0, "sets": "", "quality": None, "agree": 0, "dispute": 0,
        "withdrawn": kind is None, **cells,
    }  # fmt: skip
