"""The application: its commands in the order of their use, and one place where errors become exit codes."""

import os
import sys
import traceback
from typing import Annotated

import typer

from vetset.cli import attest, audit, clean, custody, demo, keys, lists, plan, recheck, scan
from vetset.cli.output import complain
from vetset.model.errors import VetsetError

DEFECT = 70
"""Exit code of an error that vetset did not foresee."""

STOPPED = 130
"""Exit code that typer gives to an interrupt from the keyboard."""

app = typer.Typer(
    name="vetset",
    help=(
        "Audit an image-training dataset for known illegal material: nobody sees a picture, "
        "findings exist only sealed.\n\n"
        "The way through:  keygen → lists add → audit → open → (verify → expand → copies) → order → clean → attest "
        "→ check.\n\n"
        "`vetset demo` walks it on a small benign dataset that it builds itself."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"vetset {version('vetset')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    # the callback above has answered already
    del version


app.command("demo")(demo.command)
app.command("keygen")(keys.command)
app.add_typer(lists.app, name="lists")
app.command("plan")(plan.plan_command)
app.command("scan")(scan.scan_command)
app.command("match")(scan.match_command)
app.command("audit")(audit.command)
app.command("recheck")(recheck.recheck_command)
app.command("open")(custody.open_command)
app.command("verify")(custody.verify_command)
app.command("expand")(custody.expand_command)
app.command("copies")(custody.copies_command)
app.command("order")(custody.order_command)
app.command("clean")(clean.command)
app.command("attest")(attest.attest_command)
app.command("check")(attest.check_command)


def main() -> None:
    """Run the command line; the process ends with the error's own exit code."""
    try:
        app()
    except VetsetError as error:
        complain(error, as_json="--json" in sys.argv[1:])
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == STOPPED:
            print("vetset: stopped; run the same command again to go on", file=sys.stderr)
        raise
    except Exception as error:  # noqa: BLE001  the last resort: the text of a foreign error may hold data
        _defect(error)


def _defect(error: Exception) -> None:
    """Say where a defect is, without the error's text, which might repeat data."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    name = place.filename.rsplit("/", 1)[-1]
    print(f"vetset: a defect: {type(error).__name__} in {name}, line {place.lineno}.", file=sys.stderr)
    if os.environ.get("VETSET_DEBUG"):
        traceback.print_exception(error)
    else:
        print("Set VETSET_DEBUG=1 for the details; look through them before you pass them on.", file=sys.stderr)
    sys.exit(DEFECT)
