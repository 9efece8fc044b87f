"""Every command on its way: what it prints, as text and as JSON, and what it never prints."""

import json
import re

import pytest

import small
from vetset.cli import output
from vetset.cli.output import ProgressLines, size_text, time_text
from vetset.model.errors import OutputError


def steps(place, roots):
    """Every command, in the order of the way through."""
    key, pub = place / "keys" / "custodian.key", place / "keys" / "custodian.pub"
    audit, order, statement = place / "audit", place / "order", place / "statement"
    data = roots / "webdataset"
    told = ("--owner", "o", "--category", "other", "--licence", "l")
    return [
        ("keygen", "other", "--out", place / "keys"),
        ("lists", "add", place / "known.txt", "--name", "third", *told),
        ("lists", "show"),
        ("plan", data),
        ("plan", data, "--sample-shards", "1", "--workers", "64"),
        ("scan", data, "--store", place / "store"),
        ("scan", data, "--store", place / "shared", "--part", "1/2"),
        ("scan", data, "--store", place / "shared", "--part", "2/2"),
        ("scan", data, "--store", place / "shared", "--merge"),
        ("match", place / "store", "--list", "known", "--seal-to", pub, "--out", place / "matched"),
        ("recheck", place / "matched", "--list", "second"),
        ("recheck", place / "matched"),
        ("open", audit, "--key", key),
        ("verify", audit, "--key", key, "--with", "list:second"),
        ("expand", audit, "--key", key),
        ("expand", audit, "--key", key, "--until-dry", "--with", "list:second", "--first-by", "punsafe"),
        ("copies", audit, "--key", key),
        ("order", audit, "--key", key, "--out", order),
        ("clean", data, order, "--signer", pub, "--out", place / "cleaned"),
        ("clean", data, order, "--signer", pub, "--out", place / "keep", "--keep-list"),
        ("attest", audit, "--key", key, "--out", statement),
        ("check", statement, "--signer", pub, "--dataset", data),
        ("check", statement, "--signer", pub, "--key", key),
    ]


def secrets():
    """What must never be printed: addresses, captions, digests and PDQ codes, in hex."""
    told = set()
    for number, image in enumerate(small.images()):
        told |= {small.url(number), small.caption(number), small.md5(image).hex(), small.sha256(image).hex()}
    return told | {small.pdq(small.images()[0]).hex()}


def test_every_command_ends_well_and_prints_no_secret(vetset, audited, ready, roots):
    for step in steps(ready, roots):
        ended = vetset(*step)
        assert ended.code == 0, (step, ended.err)
        assert not [text for text in secrets() if text in ended.out + ended.err]


def test_json_is_one_document_on_stdout_and_one_on_every_line_of_stderr(vetset, audited, ready, roots):
    for step in [*steps(ready, roots), audited]:
        ended = vetset(*step, "--json")
        assert ended.code == 0, step
        assert isinstance(json.loads(ended.out), dict | list)
        for line in ended.err.splitlines():
            assert list(json.loads(line)) == ["progress"]


def test_opening_as_json_has_what_the_issue_promises(vetset, audited, ready):
    told = json.loads(vetset("open", ready / "audit", "--key", ready / "keys" / "custodian.key", "--json").out)
    assert {"coverage", "lists", "union", "rounds"} <= set(told)
    (used,) = told["lists"]
    assert {kind: tally["matched"] for kind, tally in used["kinds"].items()} == {
        "md5": 2, "pdq": 2, "sha256": 1, "url_sha256": 1,
    }  # fmt: skip
    (union,) = told["union"].values()
    assert union["records"] == 5
    assert union["by_evidence"] == {"exact": 3, "perceptual": 2, "url": 1}


def test_a_recheck_tells_which_lists_are_in_force_and_whether_anything_was_held(vetset, audited, ready):
    first, again = (json.loads(vetset("recheck", ready / "audit", "--list", "second", "--json").out) for _ in range(2))
    assert (first["held"], again["held"]) == (["second"], [])
    assert [used["name"] for used in first["lists"]] == ["known", "second"]
    assert (first["lists"], first["errors"]) == (again["lists"], [])
    assert first["coverage"]["md5"]["decided"] == 24
    told = json.loads(vetset("open", ready / "audit", "--key", ready / "keys" / "custodian.key", "--json").out)
    (change,) = told["rechecks"]
    assert (change["new"], change["withdrawn"], change["flagged"]) == (2, 0, 0)


def test_a_check_always_tells_how_many_files_nobody_read(vetset, ready, tmp_path):
    data, key, pub = tmp_path / "data", ready / "keys" / "custodian.key", ready / "keys" / "custodian.pub"
    small.write_webdataset(data)
    (data / "README.md").write_text("about")
    vetset("audit", data, "--list", "known", "--seal-to", pub, "--out", tmp_path / "out")
    vetset("attest", tmp_path / "out", "--key", key, "--out", tmp_path / "statement")
    check = ("check", tmp_path / "statement", "--signer", pub)
    for compared, now in (((), None), (("--dataset", data), 1)):
        assert "1 files belonged to no shard: they were not audited" in vetset(*check, *compared).out
        told = json.loads(vetset(*check, *compared, "--json").out)
        assert (told["unclaimed_files"], told["unclaimed_files_now"]) == (1, now)
    (data / "extra.jpg").write_bytes(small.images()[0])
    ended = vetset(*check, "--dataset", data)
    assert (ended.code, ended.out) == (10, "")
    assert "saw 2" in ended.err


def test_a_recheck_of_a_damaged_store_ends_with_30_whatever_was_found(vetset, audited, ready):
    for path in (ready / "audit" / "store" / "parts").glob("*.arrow"):
        path.write_bytes(path.read_bytes()[:-100])
    ended = vetset("recheck", ready / "audit", "--list", "second")
    assert ended.code == 30
    assert "scan the dataset into it again" in ended.err
    assert "damaged" in ended.err


def test_a_part_that_is_missing_at_the_merge_ends_with_2_and_is_named(vetset, ready, roots):
    vetset("scan", roots / "webdataset", "--store", ready / "shared", "--part", "1/2")
    ended = vetset("scan", roots / "webdataset", "--store", ready / "shared", "--merge")
    assert ended.code == 2
    assert "without 2/2 (not there)" in ended.err


def test_rounds_until_dry_say_why_they_ended_and_opening_says_it_again(vetset, audited, ready):
    key = ("--key", ready / "keys" / "custodian.key")
    limits = ("--budget", "9", "--least-yield", "0.1", "--most-rounds", "7")
    ended = vetset("expand", ready / "audit", *key, "--until-dry", "--with", "list:second", *limits)
    assert ended.code == 0
    assert all(re.match(r"neighbours: ", line) for line in ended.err.splitlines())
    # One pass, for the round, with its beginning and its end.
    assert [bool(re.search(r"\(\d+ records/s\)$", line)) for line in ended.err.splitlines()] == [False, True]
    assert "confirmed: 2 benchmark (1 of them duplicates)" in ended.out
    assert "rounds with list:second ended after 2: nothing new was confirmed; asked about 3, 2 confirmed" in ended.out
    assert vetset("open", ready / "audit", *key).out == ended.out


def test_what_was_never_asked_about_is_told_with_what_ended_the_rounds(vetset, audited, ready):
    key = ("--key", ready / "keys" / "custodian.key")
    budget = ("--budget", "1", "--first-by", "punsafe")
    ended = vetset("expand", ready / "audit", *key, "--until-dry", "--with", "list:second", *budget)
    assert (
        "the budget is used; asked about 1, 1 confirmed, 1 never asked about, 2 candidates without a score" in ended.out
    )
    assert "1 candidates were never asked about; lists were matched with every record all the same" in ended.out
    assert "punsafe" not in ended.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--until-dry",),
        ("--until-dry", "--with", "somebody"),
        ("--with", "list:second"),
        ("--budget", "3"),
        ("--least-yield", "0.5"),
        ("--most-rounds", "2"),
        ("--first-by", "punsafe"),
        ("--until-dry", "--with", "list:second", "--budget", "-1"),
        ("--until-dry", "--with", "list:second", "--least-yield", "2"),
        ("--until-dry", "--with", "list:second", "--least-yield", "nan"),
        ("--until-dry", "--with", "list:second", "--most-rounds", "0"),
        ("--until-dry", "--with", "list:known"),
    ],
)
def test_options_of_rounds_that_mean_nothing_end_with_2_and_seal_nothing(vetset, audited, ready, arguments):
    ended = vetset("expand", ready / "audit", "--key", ready / "keys" / "custodian.key", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert len(list((ready / "audit" / "case").iterdir())) == 1


def test_copies_tell_how_often_items_occur_and_when_that_was_before(vetset, audited, ready):
    key = ("--key", ready / "keys" / "custodian.key")
    ended = vetset("copies", ready / "audit", *key)
    assert "copies, benchmark: 2 confirmed items occur 6 times in 6 records, the most frequent 4 times" in ended.out
    assert "4 confirmed; others by bytes 0, by PDQ 0, by embedding 2; items by occurrences: 1 × 2, 1 × 3-4" in ended.out
    assert "counted before the last findings" not in ended.out
    told = vetset("verify", ready / "audit", *key, "--with", "list:second").out
    assert "counted before the last findings: run `vetset copies` again" in told


def test_opening_never_names_a_record(vetset, audited, ready):
    ended = vetset("open", ready / "audit", "--key", ready / "keys" / "custodian.key", "--json")
    assert not [number for number in range(24) if small.key(number) in ended.out]


def test_an_audit_prints_the_same_with_and_without_findings(vetset, ready, roots):
    (ready / "stranger.txt").write_text(
        "\n".join(
            f"{kind.value} {value.tobytes().hex()}"
            for kind, entries in small.stranger().entries.items()
            for value in entries.values
        )
    )
    told = ("--owner", "owner of known", "--category", "benchmark", "--licence", "test", "--as-of", "2026-01-01")
    vetset("lists", "add", ready / "stranger.txt", "--name", "knowm", *told)
    shown = []
    for name in ("known", "knowm"):
        arguments = ("--seal-to", ready / "keys" / "custodian.pub", "--embeddings", roots / "webdataset-embeddings")
        ended = vetset("audit", roots / "webdataset", "--list", name, *arguments, "--out", ready / f"of-{name}")
        text = re.sub(r"version [0-9a-f]{12}", "version", ended.out.replace(name, "NAME"))
        shown.append((ended.code, text, re.sub(r"in \d+s \(\d+ records/s\)", "", ended.err)))
    assert shown[0] == shown[1]


def test_a_finished_audit_run_again_changes_nothing_and_reads_nothing(vetset, audited, ready):
    before = small.tree(ready / "audit")
    ended = vetset(*audited, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["shards"] == {"read": 2, "reused": 2, "failed": 0}
    assert small.tree(ready / "audit") == before


def test_a_finished_audit_run_again_tells_the_same(vetset, ready, roots):
    arguments = ("audit", roots / "folder", "--list", "known", "--seal-to", ready / "keys" / "custodian.pub")
    first, again = (vetset(*arguments, "--out", ready / "audit").out for _ in range(2))
    assert re.sub(r"\d+ were", "", again) == re.sub(r"\d+ were", "", first)


def test_progress_without_a_terminal_is_plain_lines(vetset, ready, roots):
    ended = vetset("scan", roots / "webdataset", "--store", ready / "store")
    first, last = ended.err.splitlines()
    assert first.startswith("scan: 2 shards, ")
    assert re.fullmatch(r"scan: 2/2 shards, 24 records in \d+s \(\d+ records/s\)", last)


def test_shards_that_were_read_before_are_no_progress(vetset, ready, roots):
    arguments = ("scan", roots / "webdataset", "--store", ready / "store")
    vetset(*arguments, "--part", "1/2")
    first, last = vetset(*arguments).err.splitlines()
    size = size_text(sorted((roots / "webdataset").glob("*.tar"))[1].stat().st_size)
    assert first == f"scan (1 shards were read before): 1 shards, {size}"
    assert re.fullmatch(r"scan \(1 shards were read before\): 1/1 shards, 1\d records in .+", last)


def test_progress_tells_rate_and_time_left_every_few_seconds(monkeypatch, capsys):
    clock = iter([0.0, 2.0, 6.0, 8.0, 8.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(clock))
    lines = ProgressLines()
    lines.started("scan", 4, 4000)
    for _ in range(3):
        lines.advanced(1000, 600)
    assert capsys.readouterr().err.splitlines() == [
        "scan: 4 shards, 4.0 KB",
        "scan: 2/4 shards, 1200 records, 200 records/s, 6s left",
    ]


def test_on_a_terminal_progress_is_a_bar(monkeypatch):
    monkeypatch.setattr(output.sys.stderr, "isatty", lambda: True)
    assert isinstance(output.progress(as_json=False), output.ProgressBar)
    assert isinstance(output.progress(as_json=True), ProgressLines)


def test_the_bar_goes_through_a_whole_stage(monkeypatch, capsys):
    bar = output.ProgressBar()
    bar.started("scan", 2, 2000)
    for _ in range(2):
        bar.advanced(1000, 5)
    bar.finished()
    assert "2/2" in capsys.readouterr().err


def test_the_time_left_of_a_bar_goes_by_bytes_and_by_all_that_was_read():
    clock = [0.0]
    bar = output.ProgressBar()
    bar.started("scan", 10, 1200)
    bar._progress.get_time = bar._progress._tasks[bar._task]._get_time = lambda: clock[0]
    for _ in range(4):
        clock[0] += 100
        bar.advanced(200, 5)
    (task,) = bar._progress.tasks
    left = task.time_remaining
    bar.finished()
    assert left == 200, "two bytes a second, 400 to go; the six shards that are left are small"


def test_an_error_takes_the_bar_down_before_it_is_told(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    bar = output.ProgressBar()
    bar.started("scan", 2, 2000)
    bar.advanced(1000, 5)
    output.complain(OutputError("the disk is full"), as_json=False)
    drawn, told = capsys.readouterr().err.split("vetset: the disk is full")
    assert "1/2" in drawn
    assert drawn.count("\x1b[?25h") == drawn.count("\x1b[?25l") == 1, "the cursor that was hidden is shown"
    assert told == "\n"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (2e9, "2.0 GB"), (3e15, "3000.0 TB")]
)
def test_sizes_in_words(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.9, "59s"), (60, "1m00s"), (3599, "59m59s"), (7260, "2h01m")]
)
def test_times_in_words(seconds, text):
    assert time_text(seconds) == text
