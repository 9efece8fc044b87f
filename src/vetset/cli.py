"""Command line (placeholder until the stages stand)."""


def main() -> None:
    """Nothing yet."""
