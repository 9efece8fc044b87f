"""Updates of ThreatExchange."""

from fuzz_targets.json_lists import the_same_in_another_layout
from vetset.hashlist.owners.threatexchange import read_updates


def target(data: bytes) -> None:
    """As a file."""
    the_same_in_another_layout(data, read_updates)
