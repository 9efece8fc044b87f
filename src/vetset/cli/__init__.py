"""The command line: one file a command, each the twin of one function of `vetset`. No logic lives here."""

from vetset.cli.app import main

__all__ = ["main"]
