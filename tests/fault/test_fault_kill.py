"""Killed anywhere and started again, an audit comes to what it would have come to undisturbed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_case import KILLED, Counting, Places, run_audit, run_clean, run_rounds

import small_dataset
from vetset.api.custody import open_audit, order
from vetset.api.listing import add_list
from vetset.api.setup import keygen
from vetset.case.manifest import read_manifest
from vetset.engine.local import LocalEngine
from vetset.hashlist.vault.vault import HOME_VARIABLE
from vetset.model.errors import OutputError
from vetset.storage.commit import PARTIAL
from vetset.store.store import Store

DRIVER = Path(__file__).parent / "fault_case.py"
SHARDS, ROWS = 3, 6


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def places(tmp_path_factory, home):
    """A dataset, a list about some of it, keys, embeddings, an undisturbed audit and its order."""
    base = tmp_path_factory.mktemp("fault")
    made = Places(base)
    items = small_dataset.build(made.dataset, shards=SHARDS, rows=ROWS)
    small_dataset.write_vectors(items, made.embeddings, near={4: 1, 15: 8})
    lines = small_dataset.known_lines(items, [1, 2, 8, 13]) + small_dataset.unrelated_lines(30)
    add_list(
        small_dataset.write_list(base / "list.txt", lines),
        name="known",
        owner="owner",
        category="benchmark",
        licence="test",
    )
    # 4 lies near the listed 1: once the second list has confirmed it, it seeds a round
    add_list(
        small_dataset.write_list(base / "second.txt", small_dataset.known_lines(items, [4])),
        name="second",
        owner="another owner",
        category="benchmark",
        licence="test",
    )
    keygen("custodian", base / "keys")
    run_audit(made, base / "undisturbed")
    order(base / "undisturbed", made.key, out=made.order)
    return made


def content(places, out):
    """What an audit came to: digests of the store and of the opened findings, and the public side."""
    manifest = read_manifest(out)
    opened = open_audit(out, places.key)
    return {
        "store": Store(out / "store").digest(),
        "findings": opened.case.findings.digest,
        "parts": opened.case.parts,
        "coverage": manifest.coverage,
        "shards": manifest.shards,
        "state": manifest.state,
    }


@pytest.fixture(scope="module")
def undisturbed(places):
    found = content(places, places.base / "undisturbed")
    findings = open_audit(places.base / "undisturbed", places.key).case.findings
    assert findings.matches
    assert findings.candidates
    return found


def killed_at(places, what, *points):
    """Let the driver kill the command at every time of these points."""
    command = [sys.executable, str(DRIVER), str(places.base), what, *points]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def partials(folder):
    return [path.name for path in folder.rglob(f"*{PARTIAL}")]


def committed(out):
    """Shards whose part is committed, by the files alone."""
    return len(list((out / "store" / "parts").glob("*.arrow"))) if (out / "store" / "parts").exists() else 0


def assert_goes_on(places, undisturbed, out):
    before = committed(out)
    engine = Counting()
    was_sealed = (out / "run.json").exists() and read_manifest(out).state == "sealed"
    result = run_audit(places, out, engine)
    assert result.reused == (SHARDS if was_sealed else before)
    assert len(engine.read) == SHARDS - before
    assert content(places, out) == undisturbed
    assert partials(out) == []


@pytest.mark.parametrize("point", ["before", "after", "append", "read"])
def test_an_audit_that_is_killed_at_any_point_goes_on_where_it_was(places, undisturbed, point):
    """… before and after every rename, after every batch of signals, before every shard."""
    cases = killed_at(places, "audit", point)
    assert len(cases) >= (SHARDS if point in {"append", "read"} else 3 * SHARDS + 5)
    for case in cases:
        assert case["status"] == KILLED
        assert_goes_on(places, undisturbed, Path(case["out"]))


def test_a_finished_audit_is_left_alone(places, undisturbed):
    out = places.base / "undisturbed"
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    engine = Counting()
    assert run_audit(places, out, engine).reused == SHARDS
    assert engine.read == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == files


def test_the_comparison_would_notice_another_result(places, undisturbed, tmp_path):
    add_list(
        small_dataset.write_list(tmp_path / "list.txt", small_dataset.unrelated_lines(30)),
        name="other",
        owner="owner",
        category="benchmark",
        licence="test",
    )
    from vetset.api.auditing import audit

    out = tmp_path / "out"
    audit(places.dataset, lists=["other"], seal_to=[places.pub], out=out, engine=LocalEngine(0))
    found = content(places, out)
    assert found["store"] == undisturbed["store"]
    assert found["findings"] != undisturbed["findings"]


def test_workers_and_all_killed_at_a_random_moment_an_audit_goes_on(places, undisturbed, tmp_path):
    out = tmp_path / "out"
    code = (
        f"import sys; sys.path.insert(0, {str(DRIVER.parent)!r})\n"
        "from pathlib import Path\n"
        "from fault_case import Places, run_audit\n"
        "from vetset.engine.local import LocalEngine\n"
        "if __name__ == '__main__':\n"
        f"    run_audit(Places(Path({str(places.base)!r})), Path({str(out)!r}), LocalEngine(2))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    end = time.monotonic() + 60
    while not (out / "store" / "store.json").exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.uniform(0.0, 1.5))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert_goes_on(places, undisturbed, out)


@pytest.mark.parametrize("point", ["before", "after", "pass", "ask"])
def test_rounds_that_are_killed_at_any_point_go_on_to_the_same_findings(places, point):
    """… before and after every part is sealed, before and after every pass and every question."""
    cases = killed_at(places, "rounds", point)
    reference = open_audit(places.base / "killed" / f"rounds-{point}-0" / "out", places.key).case.findings
    assert len(reference.rounds) > 1
    assert reference.stops[0].rule == "dry"
    assert reference.stops[0].confirmed > 0
    assert len(cases) >= 2
    for case in cases:
        out = Path(case["out"])
        assert case["status"] == KILLED
        run_rounds(places, out)
        findings = open_audit(out, places.key).case.findings
        assert findings.digest == reference.digest
        assert len({verdict.record for verdict in findings.verdicts}) == len(findings.verdicts)
        assert partials(out) == []


@pytest.mark.parametrize("point", ["before", "after", "sync"])
def test_a_cleaning_that_is_killed_leaves_all_or_nothing_and_runs_again(places, point):
    cases = killed_at(places, "clean", point)
    assert {Path(case["out"]).exists() for case in cases} == ({True, False} if point != "before" else {False})
    reference = places.base / "killed" / f"clean-{point}-0" / "out"
    for case in cases:
        out = Path(case["out"])
        assert case["status"] == KILLED
        if out.exists():
            with pytest.raises(OutputError, match="taken"):
                run_clean(places, out)
        else:
            run_clean(places, out)
        assert files_of(out) == files_of(reference)
        assert [path.name for path in out.parent.iterdir()] == ["out"]


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
