"""A text list: what is accepted comes back from being written down again; a refusal repeats no value."""

from fuzz_targets.lists import parsed_and_back


def target(data: bytes) -> None:
    """With and without a stated kind."""
    parsed_and_back("x.txt", data)
