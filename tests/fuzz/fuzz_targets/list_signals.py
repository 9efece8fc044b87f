"""A file of ThreatExchange's signals: what is accepted comes back from being written down again."""

from fuzz_targets.json_lists import rows
from vetset.hashlist.owners.threatexchange import read_signals

SECRET = bytes(32)


def target(data: bytes) -> None:
    """With and without a stated type."""
    for stated in (None, "pdq"):
        found = rows("x.txt", data, lambda path, counts: read_signals(path, SECRET, counts, signal_type=stated))  # noqa: B023
        if found is None:
            continue
        text = "".join(f"{row['kind']} {row['value'].hex()}\n" for row in found[0])
        again = rows("again.txt", text.encode(), lambda path, counts: read_signals(path, SECRET, counts))
        assert again is not None
        assert again[0] == found[0]
        assert not again[1]
