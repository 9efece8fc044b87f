"""Entries of StopNCII."""

from fuzz_targets.json_lists import the_same_in_another_layout
from vetset.hashlist.owners.stopncii import read_stopncii


def target(data: bytes) -> None:
    """As a file."""
    the_same_in_another_layout(data, lambda path, counts: read_stopncii(path, bytes(32), counts))
