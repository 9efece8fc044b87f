"""The command line: one file a command, each the twin of one function of `vetset`. No logic lives here."""

import sys

__all__ = ["main"]

STOPPED = 130
"""Exit code that typer gives to an interrupt from the keyboard."""


def main() -> None:
    """Run the command line; an interrupt while it is still loaded is no traceback."""
    try:
        from vetset.engine.collector import collect_rarely

        collect_rarely()
        from vetset.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    run()
