# ruff: noqa: INP001 - scripts are run, never imported as a package
"""Writes docs/cli-reference.md out of the application itself: `python scripts/make_cli_reference.py`."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from vetset.cli.app import DEFECT, STOPPED, app
from vetset.model.errors import VetsetError

TARGET = Path(__file__).parents[1] / "docs" / "cli-reference.md"
WIDTH = 100

HEAD = """\
# The command line

Written by `python scripts/make_cli_reference.py`; change the commands, not this page.

With `--json` a command prints one JSON document on stdout; on stderr every line is a JSON document of its own:
progress, and the error if there is one.
"""


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, groups before what they hold."""
    yield name, group
    for part, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {part}")


def help_of(name: str, command: Any) -> str:
    """What `--help` prints on a terminal of a fixed width."""
    context = command.context_class(command, info_name=name, terminal_width=WIDTH, help_option_names=["-h", "--help"])
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def classes(family: type[VetsetError]) -> Iterator[type[VetsetError]]:
    """The tree of errors."""
    yield family
    for each in family.__subclasses__():
        yield from classes(each)


def exit_codes() -> list[tuple[int, str]]:
    """Every exit code with what it means."""
    told = {0: "The command did what it was asked; for `audit` the same with and without findings."}
    for each in classes(VetsetError):
        if "exit_code" in vars(each):
            told[each.exit_code] = (inspect.getdoc(each) or "").splitlines()[0]
    told[VetsetError.exit_code] = "Another error that vetset raises on purpose."
    told[DEFECT] = "A defect of vetset."
    told[STOPPED] = "Stopped from the keyboard; the same command goes on."
    return sorted(told.items())


def reference() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, command in commands(typer.main.get_command(app), "vetset"):
        parts.append(f"## {name}\n\n```text\n{help_of(name, command)}\n```\n")
    rows = "\n".join(f"| {code} | {meaning} |" for code, meaning in exit_codes())
    parts.append(f"## Exit codes\n\n| code | meaning |\n|---:|---|\n{rows}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
