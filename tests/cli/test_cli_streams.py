"""What is printed where a command does not end well: words, or JSON where that is asked for, and never a traceback."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small

RUN = [sys.executable, "-c", "from vetset.cli import main; main()"]
FIELDS = {"error", "exit_code", "expected", "problem", "seen", "todo", "where"}


def complaint(ended):
    """The one line on stderr, as JSON."""
    (line,) = ended.err.splitlines()
    told = json.loads(line)
    assert set(told) == FIELDS
    assert (told["exit_code"], ended.out) == (ended.code, "")
    return told


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("audit", "x"), "--list"),
        (("audit", "x", "--unheard-of"), "--unheard-of"),
        (("unheard-of",), "unheard-of"),
        (("lists", "unheard-of"), "unheard-of"),
        (("plan", "x", "--workers", "0"), "--workers"),
        (("plan", "x", "y"), "y"),
    ],
)
def test_wrong_arguments_are_told_as_json_too(vetset, arguments, word):
    told = complaint(vetset(*arguments, "--json"))
    assert (told["error"], told["exit_code"]) == ("UsageError", 2)
    assert word in told["problem"]
    assert "--help" in told["todo"]
    plain = vetset(*arguments)
    assert (plain.code, plain.err.startswith("Usage: "), word in plain.err) == (2, True, True)


def test_what_stands_behind_two_dashes_is_no_option(vetset):
    assert vetset("open", "--", "--json").err.startswith("Usage: ")


@pytest.fixture
def ending(vetset, monkeypatch, tmp_path):
    """A command that is ended by an error."""

    def run(error, *more):
        def end(*_, **__):
            raise error

        monkeypatch.setattr("vetset.api.setup.keygen", end)
        return vetset("keygen", "name", "--out", tmp_path, *more)

    return run


def test_an_interrupt_is_told_as_json_too(ending):
    told = complaint(ending(KeyboardInterrupt(), "--json"))
    assert (told["error"], told["exit_code"]) == ("Stopped", 130)
    assert ending(KeyboardInterrupt()).err == "vetset: stopped; run the same command again to go on\n"


@pytest.mark.parametrize("error", [ValueError("words of data"), OSError(5, "words of data"), BrokenPipeError(32, "x")])
def test_a_defect_is_told_as_json_too_and_without_its_text(ending, error, monkeypatch):
    monkeypatch.delenv("VETSET_DEBUG", raising=False)
    told = complaint(ending(error, "--json"))
    assert (told["error"], told["exit_code"]) == ("Defect", 70)
    assert type(error).__name__ in told["problem"]
    assert "VETSET_DEBUG" in told["todo"]
    plain = ending(error)
    assert (plain.code, plain.err.startswith("vetset: a defect: ")) == (70, True)
    assert "words of data" not in plain.err + json.dumps(told)


def test_the_details_of_a_defect_are_json_too(ending, monkeypatch):
    monkeypatch.setenv("VETSET_DEBUG", "1")
    first, second = map(json.loads, ending(ValueError("details"), "--json").err.splitlines())
    assert (first["exit_code"], first["todo"]) == (70, None)
    assert "ValueError: details" in second["traceback"]


@pytest.fixture(params=["full", "broken"])
def nowhere(request):
    """A standard output that takes nothing."""
    if request.param == "full":
        handle = os.open("/dev/full", os.O_WRONLY)
    else:
        end, handle = os.pipe()
        os.close(end)
    yield handle
    os.close(handle)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["keygen", "name", "--out", "keys"]])
def test_a_result_that_cannot_be_printed_is_an_output_error(tmp_path, nowhere, arguments, unbuffered):
    place = {"cwd": tmp_path, "env": {**os.environ, "PYTHONUNBUFFERED": unbuffered}}
    ended = subprocess.run([*RUN, *arguments], stdout=nowhere, stderr=subprocess.PIPE, text=True, check=False, **place)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (40, 1)
    assert "cannot be written" in ended.stderr
    assert (tmp_path / "keys" / "name.key").exists() is (arguments[0] == "keygen")


def test_a_result_that_cannot_be_printed_is_told_as_json_too(tmp_path, nowhere):
    run = [*RUN, "keygen", "name", "--out", "keys", "--json"]
    ended = subprocess.run(run, stdout=nowhere, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    told = json.loads(ended.stderr)
    assert (ended.returncode, told["error"], told["exit_code"]) == (40, "OutputError", 40)


def test_progress_that_nobody_reads_ends_no_run(tmp_path, nowhere):
    small.write_webdataset(tmp_path / "data")
    run = [*RUN, "scan", "data", "--store", "store", "--workers", "1"]
    ended = subprocess.run(run, stdout=subprocess.PIPE, stderr=nowhere, text=True, check=False, cwd=tmp_path)
    assert (ended.returncode, f"{small.COUNT} records" in ended.stdout) == (0, True)


def test_a_name_that_is_no_text_is_printed_escaped(tmp_path):
    out = os.fsencode(tmp_path) + b"/\xff"
    env = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    ended = subprocess.run([*RUN, "keygen", "name", "--out", out], capture_output=True, check=False, env=env)
    assert (ended.returncode, b"\\udcff/name.key" in ended.stdout, ended.stderr) == (0, True, b"")


ORDERS = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\r\nvetset: all is well"


def is_plain(text):
    """Whether it is lines with nothing in them but text, none of which a name began."""
    lines = text.split("\n")
    return all(map(str.isprintable, lines)) and not any(line.startswith("vetset: all is well") for line in lines)


def test_names_in_a_dataset_give_no_orders_to_the_terminal(vetset, tmp_path):
    small.write_webdataset(tmp_path / "data")
    (tmp_path / "data" / f"{ORDERS}.tar").write_bytes(bytes(range(256)) * 4)
    ended = vetset("scan", tmp_path / "data", "--store", tmp_path / "store")
    assert (ended.code, is_plain(ended.out), is_plain(ended.err)) == (30, True, True)
    assert r"\x1b]0;title\x07\x1b[2J\x9b31m\u202e\r\nvetset: all is well.tar" in ended.err


def test_columns_of_a_dataset_give_no_orders_to_the_terminal(vetset, tmp_path):
    table = pa.table({"url": ["https://a.example/1"], ORDERS: ["x"]})
    pq.write_table(table, tmp_path / "data.parquet")
    ended = vetset("plan", tmp_path / "data.parquet")
    assert (ended.code, is_plain(ended.out), r"\x1b]0;title\x07" in ended.out) == (0, True, True)


CLOSED = """
import os
from pathlib import Path
from vetset.cli import main
if __name__ == "__main__":
    try:
        main()
    finally:
        Path("told").write_text(" ".join(os.readlink(f"/proc/self/fd/{number}") for number in range(3)))
"""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_stream_that_was_closed_ends_no_run_and_goes_nowhere(tmp_path, closed):
    small.write_webdataset(tmp_path / "data")
    (tmp_path / "run.py").write_text(CLOSED)
    run = [sys.executable, "run.py", "scan", "data", "--store", "store", "--workers", "1", "--json"]
    given = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "cwd": tmp_path}
    ended = subprocess.run(["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *run], check=False, **given)
    assert (ended.returncode, "progress" in ended.stdout, "Error" in ended.stderr) == (0, False, False)
    assert (tmp_path / "told").read_text().count("/dev/null") == len(closed.split()) + (closed[0] != "0")
