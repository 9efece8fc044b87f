"""A CSV list: see `list_text`."""

from fuzz_targets.lists import parsed_and_back


def target(data: bytes) -> None:
    """With and without a stated kind."""
    parsed_and_back("x.csv", data)
