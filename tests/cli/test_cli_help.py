"""Help is quick, complete, and the same as the page of the documentation."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from vetset.cli.app import app

ROOT = Path(__file__).parents[2]
# not pydantic: typer imports it for itself, in 25 ms
HEAVY = {"numpy", "pyarrow", "numba", "PIL", "onnxruntime", "cryptography", "securesystemslib", "pyrage"}


def script():
    spec = importlib.util.spec_from_file_location("make_cli_reference", ROOT / "scripts" / "make_cli_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = script()
NAMES = [name for name, _ in REFERENCE.commands(typer.main.get_command(app), "vetset")]
PROBE = """
import sys, time
from vetset.cli import main
sys.argv = ["vetset", *sys.argv[1:], "--help"]
try:
    main()
except SystemExit:
    print(",".join(sorted(sys.modules)), time.process_time(), file=sys.stderr)
"""


BARE = """
import sys, time, typer
app = typer.Typer()
@app.command()
def one() -> None:
    pass
sys.argv = ["bare", "--help"]
try:
    app()
except SystemExit:
    print(time.process_time(), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def bare():
    """Seconds of the processor that typer alone takes for a help page on this machine."""
    runs = [subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=True) for _ in range(3)]
    return max(float(run.stderr) for run in runs)


@pytest.mark.parametrize("name", NAMES)
def test_help_imports_nothing_heavy_and_is_quick(name, bare):
    command = [sys.executable, "-c", PROBE, *name.split()[1:]]
    took = []
    while not took or (took[-1] >= 2 * bare and len(took) < 3):  # a busy machine makes one run slow, hardly three
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        modules, seconds = done.stderr.split()
        heavy = HEAVY & set(modules.split(","))
        assert not heavy
        assert "Usage: " in done.stdout
        took.append(float(seconds))
    assert min(took) < 2 * bare


def test_the_installed_command_answers_about_as_soon_as_typer_does(bare):
    import resource

    def spent():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    took = []
    for _ in range(3):
        before = spent()
        subprocess.run([Path(sys.executable).with_name("vetset"), "--help"], capture_output=True, check=True)
        took.append(spent() - before)
    assert min(took) < 2 * bare


@pytest.mark.parametrize("name", NAMES)
def test_every_option_and_argument_is_explained(name):
    command = dict(REFERENCE.commands(typer.main.get_command(app), "vetset"))[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_the_page_of_the_documentation_is_what_the_application_says():
    assert (ROOT / "docs" / "cli-reference.md").read_text(encoding="utf-8") == REFERENCE.reference()


def test_the_version_is_told(vetset):
    ended = vetset("--version")
    assert (ended.code, ended.out.split()[0]) == (0, "vetset")


def test_without_a_command_help_is_shown(vetset):
    assert "Commands:" in "".join(vetset()[1:])


def test_an_interrupt_from_the_keyboard_says_how_to_go_on(vetset, ready, roots, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vetset.api.listing.lists", interrupted)
    ended = vetset("lists", "show")
    assert ended.code == 130
    assert "run the same command again" in ended.err


def test_a_defect_shows_where_it_is_and_no_text_that_could_hold_data(vetset, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("https://pictures.example/planted")

    monkeypatch.setattr("vetset.api.listing.lists", broken)
    ended = vetset("lists", "show")
    assert ended.code == 70
    assert "RuntimeError in test_cli_help.py" in ended.err
    assert "planted" not in ended.out + ended.err
