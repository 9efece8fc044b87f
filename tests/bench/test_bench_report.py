"""The page holds what was measured, and is not written where something was not."""

import copy
import importlib.util
import math
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("bench_report", ROOT / "bench" / "report.py")
report = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(report)


def topic(name):
    return {
        "title": f"Topic {name}",
        "data": "made up",
        "tables": [
            {
                "title": f"Table {name}",
                "inside": "everything",
                "unit": "µs",
                "better": "less",
                "rows": [
                    {"way": "ours", "values": [2.0, 2.5, 2.0], "peer": "", "once": False},
                    {"way": "theirs", "values": [8.0, 5.0, 4.0], "peer": "peer", "once": False},
                    {"way": "slow", "values": [1234.5], "peer": "", "once": True},
                ],
            }
        ],
        "checks": [["all equal", "7 of 7"]],
        "blas": [],
    }


def results():
    machine = {
        "code": "commit 0123456789ab", "processor": "a processor",
        "flags": ["avx2"], "cores": 2, "memory_gb": 25.0, "memory_read_gb_s": 17.0,
        "page_cache_read_gb_s": 9.0, "load": 0.0, "python": "3.11", "system": "Linux", "packages": {"numpy": "2"},
    }  # fmt: skip
    return {"quick": False, "minutes": 1.0, "machine": machine, "topics": {name: topic(name) for name in report.TOPICS}}


def test_every_topic_is_on_the_page():
    page = report.render(results())
    assert all(f"## Topic {name}\n" in page for name in report.TOPICS)


def test_the_page_says_which_commit_was_measured():
    assert "| code | commit 0123456789ab |" in report.render(results())


def test_the_page_says_which_topics_were_measured_again():
    again = {"again": {"neighbours": "commit 456"}}
    assert "| measured again: neighbours | commit 456, in a run of its own |" in report.render(results() | again)
    assert "measured again:" not in report.render(results())


def test_a_row_shows_median_spread_and_the_median_of_the_ratios_of_each_round():
    assert "| theirs | 5.00 | 4.00–8.00 | 3 | 2.00× (2.00–4.00) |" in report.render(results())


def test_a_row_measured_once_says_so():
    assert "| slow | 1,230 | once | 1 | 617× |" in report.render(results())


def test_more_is_better_turns_the_ratio():
    changed = results()
    changed["topics"]["audit"]["tables"][0]["better"] = "more"
    assert "| Table audit | 2.00 µs | peer 0.500× |" in report.render(changed)


def table_of(document):
    return document["topics"]["hamming"]["tables"][0]


def drop_topic(document):
    del document["topics"]["digests"]


def drop_values(document):
    table_of(document)["rows"][1]["values"] = []


def drop_round(document):
    table_of(document)["rows"][1]["values"].pop()


def none_for_a_value(document):
    table_of(document)["rows"][0]["values"][1] = None


def nan_for_a_value(document):
    table_of(document)["rows"][0]["values"][1] = math.nan


def zero_for_a_value(document):
    table_of(document)["rows"][0]["values"][1] = 0.0


def text_for_a_value(document):
    table_of(document)["rows"][0]["values"][1] = "fast"


def drop_the_direction(document):
    del table_of(document)["better"]


def empty_check(document):
    document["topics"]["hashing"]["checks"] = [["all equal", ""]]


def drop_checks(document):
    document["topics"]["hashing"]["checks"] = []


def drop_machine_limit(document):
    del document["machine"]["memory_read_gb_s"]


def drop_load(document):
    del document["machine"]["load"]


def drop_minutes(document):
    del document["minutes"]


def quick_run(document):
    document["quick"] = True


@pytest.mark.parametrize(
    "damage",
    [
        drop_topic, drop_values, drop_round, none_for_a_value, nan_for_a_value, zero_for_a_value, text_for_a_value,
        drop_the_direction, empty_check, drop_checks, drop_machine_limit, drop_load, drop_minutes, quick_run,
    ],
)  # fmt: skip
def test_a_page_with_a_hole_is_not_rendered(damage):
    damaged = copy.deepcopy(results())
    damage(damaged)
    with pytest.raises(report.NotMeasuredError):
        report.render(damaged)


def pinned(name):
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return {(name, rest) for name, rest in re.findall(r"^([a-z0-9-]+)==(.*?) *\\$", text, re.MULTILINE)}


def normal(requirement):
    return re.match(r"[\w-]+", requirement).group().lower().replace("_", "-")


def test_vetset_is_measured_with_the_versions_it_is_tested_with():
    bench, tested = pinned("bench.txt"), pinned("lock.txt")
    assert {pin for pin in bench if pin[0] in {name for name, _ in tested}} <= tested


def test_the_benchmark_installs_everything_that_vetset_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {normal(need) for need in project["dependencies"]} <= {name for name, _ in pinned("bench.txt")}


def test_every_pin_of_the_benchmark_has_a_hash():
    text = (ROOT / "requirements" / "bench.txt").read_text(encoding="utf-8")
    parts = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert parts
    assert all("--hash=sha256:" in part for part in parts)
