"""The application: its commands in the order of their use, and one place where errors become exit codes."""

import json
import os
import sys
import traceback
from typing import Annotated, Any

import typer

from vetset.cli import STOPPED, attest, audit, clean, custody, demo, keys, lists, plan, recheck, scan
from vetset.cli.output import complain, plain
from vetset.cli.streams import both
from vetset.model.errors import UsageError, VetsetError

DEFECT = 70
"""Exit code of an error that vetset did not foresee."""

# typer brings click along, or asks for it, as its version may be
_MISUSE: type[Exception] = next(
    each for each in typer.BadParameter.__mro__ if issubclass(each, Exception) and each.__name__ == "ClickException"
)

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
    arguments = sys.argv[1:]
    named = arguments[: arguments.index("--")] if "--" in arguments else arguments
    with both():
        sys.exit(_ended(as_json="--json" in named))


def _ended(*, as_json: bool) -> int:
    """Run the command; whatever ends it is told by `complain`, and has an exit code."""
    try:
        code = app(standalone_mode=False)
        print(end="", flush=True)
    except VetsetError as error:
        complain(error, as_json=as_json)
        return error.exit_code
    except _MISUSE as error:
        return _misused(error, as_json=as_json)
    except SystemExit as end:  # typer's answer to a pipe that broke, without a word
        return _defect(end.__context__ or end, as_json=as_json)
    except Exception as error:  # noqa: BLE001  the last resort: the text of a foreign error may hold data
        return _defect(error, as_json=as_json)
    if code == STOPPED:
        told = VetsetError("stopped; run the same command again to go on")
        complain(told, as_json=as_json, name="Stopped", code=STOPPED)
    return code if isinstance(code, int) else 0


def _misused(error: Any, *, as_json: bool) -> int:
    """Say what is wrong with the arguments: in typer's own way, or as every other error is told as JSON."""
    if as_json:
        path = error.ctx.command_path if getattr(error, "ctx", None) else "vetset"
        complain(UsageError(error.format_message().rstrip("."), todo=f"See {path} --help."), as_json=True)
    else:
        error.show()
    return int(error.exit_code)


def _defect(error: BaseException, *, as_json: bool) -> int:
    """Say where a defect is, without the error's text, which might repeat data."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    name = place.filename.rsplit("/", 1)[-1]
    debug = bool(os.environ.get("VETSET_DEBUG"))
    todo = None if debug else "Set VETSET_DEBUG=1 for the details; look through them before you pass them on."
    told = VetsetError(f"a defect: {type(error).__name__} in {name}, line {place.lineno}", todo=todo)
    complain(told, as_json=as_json, name="Defect", code=DEFECT)
    if debug:
        text = "".join(traceback.format_exception(error))
        print(json.dumps({"traceback": text}) if as_json else "\n".join(map(plain, text.split("\n"))), file=sys.stderr)
    return DEFECT
