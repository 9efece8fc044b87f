"""Entries of Tech Against Terrorism."""

from fuzz_targets.json_lists import the_same_in_another_layout
from vetset.hashlist.owners.techagainst import read_techagainst


def target(data: bytes) -> None:
    """As a file."""
    the_same_in_another_layout(data, read_techagainst)
