"""Limits for hostile data reach the engine, and impossible ones are refused."""

import pytest

from vetset.cli.options import memory_bytes
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
