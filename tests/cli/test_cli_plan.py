"""vetset plan on the command line: what it says, as text and as JSON, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
from vetset.cli.output import SamplingLines
from vetset.cli.plan import lines_of
from vetset.model.dataset import Format
from vetset.model.plan import Cost, Estimate, Plan, Role, Sample, Undecided
from vetset.model.signal import Kind, Reason

KNOWN = """\
webdataset: 2 shards, 24 records, … to read
  everything was read: no number is an estimate
cost: … core-hours
  reading    … core-seconds, grows with bytes: …
  signals    … core-seconds, grows with records: 24
  commits    … core-seconds, grows with shards: 2
  start      … core-seconds, grows with workers: 2, and the command's own
time: … with 16 workers, a core for each; 14 have nothing to do
  if the storage delivers …/s to all of them together
store: …
records that will be undecided, by kind of signal:
  md5        0 %
  sha1       0 %
  sha256     0 %
  url_md5    0 %
  url_sha256 0 %
  pdq        16.7 %: low_quality 16.7 %
what records state:
  url        100 % of records
  md5        0 % of records
  sha1       0 % of records
  sha256     0 % of records
sample: 2 of 2 shards, 24 records fingerprinted of 24 read, seed 0, …, processes …
  a process read …/s; of … the system fetched …, the rest was in memory, or it does not say
"""
NUMBER = re.compile(
    r"[\d.]+(?:e-\d+)? (?:[KMGT]?B\b)|[\d.]+(?:e-\d+)?(?= core-)|(?<=time: )\w+|(?<=, )\w+(?=, proc)|(?<=processes )\d+"
)


def test_what_is_said_of_a_small_dataset(vetset, roots):
    ended = vetset("plan", roots / "webdataset", "--workers", "16")
    assert ended.code == 0
    assert NUMBER.sub("…", ended.out) == KNOWN
    assert re.fullmatch(
        r"plan: a sample out of 2 shards, .*, for 1m00s\nplan: 2 shards, 24 records in \d+s\n", ended.err
    )


def test_json_is_one_document(vetset, roots):
    ended = vetset("plan", roots / "parquet", "--json", "--column", "md5=")
    document = json.loads(ended.out)
    assert document["records"] == {"exact": True, "high": 24, "low": 24, "value": 24}
    assert document["columns"]["md5"] == {"columns": [], "stated": 0.0}
    assert document["undecided"]["md5"]["reasons"]["absent_column"]["value"] == 1
    assert all("progress" in json.loads(line) for line in ended.err.splitlines())


def large(**changed):
    """A plan as of a large dataset."""

    def about(value):
        return Estimate(value, 0.9 * value, 1.1 * value)

    nothing = Estimate(0.0, 0.0, 0.12)
    given = {
        "format": Format.WEBDATASET, "shards": 230_000, "bytes": 240 * 10**12, "unclaimed_files": 3,
        "records": about(2.3e9), "workers": 1000, "busy": 1000,
        "cost": Cost(about(9e5), about(9e6), about(5e3), 3e3, about(1e7)), "wall_seconds": about(10_000.0),
        "bytes_per_second": 2.4e10, "listing_seconds": 2.0, "store_bytes": about(5e11),
        "undecided": {
            Kind.MD5: Undecided(nothing), Kind.PDQ: Undecided(about(0.03), {Reason.LOW_QUALITY: about(0.03)})
        },
        "failed_shards": about(7000.0), "failures": {"DatasetError: the archive is truncated": 1},
        "roles": {"url": Role(("URL",), 0.5)}, "other_columns": ("TEXT",),
        "sample": Sample(30, 2, 7000, 300_000, 3 * 10**10, 10**9, 1e8, 16, 60.0, 0),
    }  # fmt: skip
    return Plan(**{**given, **changed})


def test_what_is_said_of_a_large_dataset():
    assert (
        "\n".join(lines_of(large()))
        == """\
webdataset: 230,000 shards, about 2,300,000,000 (2,070,000,000 to 2,530,000,000) records, 240.0 TB to read
  in brackets: where it lies with 95 %
  3 files there belong to no shard: they will not be audited
cost: 2,778 core-hours (2,500 core-hours to 3,056 core-hours)
  reading    900,000.0 core-seconds, grows with bytes: 240.0 TB
  signals    9,000,000.0 core-seconds, grows with records: 2,300,000,000
  commits    5,000.0 core-seconds, grows with shards: 230,000
  start      3,000.0 core-seconds, grows with workers: 1,000, and the command's own
time: 2h46m (2h30m to 3h03m) with 1,000 workers, a core for each
  if the storage delivers 24.0 GB/s to all of them together
store: 500.0 GB (450.0 GB to 550.0 GB)
records that will be undecided, by kind of signal:
  md5        0 % (at most 12 %)
  pdq        3 % (2.7 % to 3.3 %): low_quality 3 % (2.7 % to 3.3 %)
shards that will fail: about 7,000 (6,300 to 7,700)
  1 of the sample: DatasetError: the archive is truncated
what records state:
  url        50 % of records by URL
  not used: TEXT (--column ROLE=NAME uses one)
sample: 30 of 230,000 shards (2 of them not to the end: what comes first there may be special), \
7,000 records fingerprinted of 300,000 read, seed 0, 1m00s, processes 16
  a process read 100.0 MB/s; of 30.0 GB the system fetched 1.0 GB, the rest was in memory, or it does not say"""
    )


def test_a_sample_that_is_too_small_for_intervals_says_so():
    plan = large(records=Estimate(5.0, None, None), failures={}, failed_shards=Estimate(0.0, 0.0, 9.0))
    said = "\n".join(lines_of(plan))
    assert "about 5 (no interval: one shard is too few) records" in said
    assert "none of the sample did; with 95 % at most 9" in said


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--format", "zip"), 2),
        (("--column", "md5"), 2),
        (("--seconds", "0"), 2),
        (("--sample-shards", "0"), 2),
        (("--seed", "-1"), 2),
        (("--policy", "nowhere.toml"), 13),
        (("--column", "md5=nothing-like-it", "--format", "parquet"), 10),
    ],
)
def test_what_makes_no_sense_ends_as_with_other_commands(vetset, roots, more, code):
    ended = vetset("plan", roots / "parquet", *more)
    assert (ended.code, ended.out) == (code, "")


@pytest.mark.parametrize("name", ["nowhere", "empty", "mixed"])
def test_no_dataset_is_the_same_error_as_for_a_scan(vetset, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.tar").write_bytes(b"x")
    (tmp_path / "mixed" / "a.jpg").write_bytes(b"x")
    planned, scanned = vetset("plan", tmp_path / name), vetset("scan", tmp_path / name, "--store", tmp_path / "store")
    assert planned == scanned
    assert planned.code == 10


def test_a_mapping_that_is_wrong_is_seen_before_a_week_of_work(vetset, tmp_path):
    pq.write_table(pa.table({"link": ["a"], "checksum": ["00" * 16]}), tmp_path / "t.parquet")
    ended = vetset("plan", tmp_path / "t.parquet")
    assert (ended.code, ended.out) == (10, "")
    assert "no column of this table can be matched against a list" in ended.err
    assert "saw link, checksum" in ended.err
    ended = vetset("plan", tmp_path / "t.parquet", "--column", "url=link")
    assert "not used: checksum" in ended.out


def test_progress_says_what_is_left_of_the_time(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("vetset.cli.output.time.monotonic", lambda: now[0])
    lines = SamplingLines(60)
    lines.started("plan", 10, 1000)
    for second in (2.0, 9.0):
        now[0] = second
        lines.advanced(1, 5)
    lines.finished()
    assert capsys.readouterr().err.splitlines() == [
        "plan: a sample out of 10 shards, 1.0 KB, for 1m00s",
        "plan: 2 shards, 10 records, 51s left",
        "plan: 2 shards, 10 records in 9s",
    ]


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_plan_that_is_stopped_leaves_nothing(tmp_path, how, code):
    (tmp_path / "tmp").mkdir()
    small.write_webdataset(tmp_path / "data")
    # a shell switches interrupts off for what it starts in the background, these tests perhaps: a terminal does not
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{begin}; from vetset.cli import main; main()", "plan", str(tmp_path / "data")]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        [*command, "--workers", "1"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        while not list((tmp_path / "tmp").rglob("store.json")) and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(how)
        said, told = running.communicate()
    assert (running.returncode, said) == (code, "")
    assert "Traceback" not in told
    for _ in range(200):
        if not list((tmp_path / "tmp").iterdir()):
            break
        time.sleep(0.05)
    assert list((tmp_path / "tmp").iterdir()) == []
