"""Limits for hostile data reach the engine, and impossible ones are refused."""

import subprocess
import sys

import pytest

from vetset.cli.options import memory_bytes, record_limit
from vetset.engine.local import LocalEngine
from vetset.model.errors import EngineError


@pytest.mark.parametrize(("command", "rest"), [("audit", ["--list", "known", "--out"]), ("scan", ["--store"])])
def test_limits_reach_the_engine(vetset, ready, roots, monkeypatch, command, rest):  # noqa: PLR0917  fixtures
    seen = {}

    def begin(_self, workers=None, *, seconds=None, memory=None):
        seen.update(workers=workers, seconds=seconds, memory=memory)
        raise EngineError("enough")

    monkeypatch.setattr(LocalEngine, "__init__", begin)
    more = ["--seal-to", str(ready / "keys" / "custodian.pub")] if command == "audit" else []
    limits = ["--shard-seconds", "90", "--worker-gib", "1.5", "--workers", "2"]
    assert vetset(command, roots / "webdataset", *rest, ready / "out", *more, *limits).code == 41
    assert seen == {"workers": 2, "seconds": 90.0, "memory": memory_bytes(1.5)}


def test_gibibytes_are_bytes():
    assert memory_bytes(1.5) == 3 << 29
    assert memory_bytes(None) is None


@pytest.mark.parametrize(
    ("record", "shard", "limit"),
    [(None, None, None), (5.0, None, 5.0), (None, 1000.0, None), (None, 60.0, 15.0), (50.0, 60.0, 50.0)],
)
def test_a_record_has_at_most_a_quarter_of_its_shards_time_unless_told_otherwise(record, shard, limit):
    assert record_limit(record, shard) == limit


@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf"])
@pytest.mark.parametrize(("option", "word"), [("--shard-seconds", "seconds"), ("--worker-gib", "memory")])
@pytest.mark.parametrize("command", ["audit", "scan"])
def test_a_limit_that_is_none_is_a_usage_error_before_anything_is_read(tmp_path, command, option, word, number):
    """In the real engine, which the fixture of the others puts another in place of."""
    more = ("--store", "store") if command == "scan" else ("--list", "known", "--seal-to", "a.pub", "--out", "out")
    run = [sys.executable, "-c", "from vetset.cli import main; main()", command, "nowhere", *more, option, number]
    told = subprocess.run(run, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (told.returncode, told.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert word in told.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_time_for_records_that_is_none_is_refused(vetset, ready, roots, seconds):
    result = vetset("scan", roots / "webdataset", "--store", ready / "out", "--record-seconds", seconds)
    assert result.code == 2
    assert "the time for a record is none" in result.err
