"""What goes wrong on the way is tried again where that helps, and otherwise costs the shard, with a reason."""

import os
import signal
import subprocess
import sys
import time

import loopback
import pytest

import small
import vetset
from vetset.engine.local import LocalEngine
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.storage import transfer
from vetset.store.store import Store

PASSING = pytest.mark.parametrize("fault", ["error 500", "error 503", "drop"])


def stored(root, store, **options):
    note = vetset.scan(root, store=store, engine=small.HERE, **options)
    return Store(store).digest(), dict(note.failed)


def failures(root, out, custodian):
    result = vetset.audit(root, lists=[small.known()], seal_to=[custodian.public], out=out, engine=small.HERE)
    return result.manifest.failed, result.errors


@pytest.fixture
def local(roots, tmp_path):
    return stored(roots / "webdataset", tmp_path / "local")


@PASSING
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_passes_is_tried_again_on_s3(  # noqa: PLR0917  fixtures
    roots, bucket, tmp_path, local, fault, method
):
    address = bucket.upload(roots / "webdataset")
    bucket.plan(loopback.first_times(fault, times=2, method=method))
    assert stored(address, tmp_path / "s3") == local


@PASSING
def test_what_passes_is_tried_again_over_http(roots, on_the_web, tmp_path, local, fault):
    site = on_the_web(roots / "webdataset")
    site.faults = loopback.Faults(loopback.first_times(fault, times=2))
    assert stored(f"{site.address}/data/files.txt", tmp_path / "web") == local


def test_what_does_not_pass_costs_the_shard_and_no_other(roots, bucket, custodian, tmp_path):
    address = bucket.upload(roots / "webdataset")
    bucket.plan(loopback.first_times("error 500", times=1000, ending="00001.tar"))
    failed, errors = failures(address, tmp_path / "audit", custodian)
    assert [shard.uri for shard in failed] == ["00001.tar"]
    assert "HTTP 500" in errors[0]
    assert "secret place" not in errors[0]
    assert bucket.log.count("GET", "00001.tar") == transfer.ATTEMPTS
    bucket.plan(loopback.first_times(""))
    again, errors = failures(address, tmp_path / "again", custodian)
    assert not again
    assert not errors


@pytest.mark.usefixtures("short_blocks")
def test_a_pass_that_broke_off_goes_on_from_there(roots, on_the_web, tmp_path, local):
    site = on_the_web(roots / "webdataset")
    site.faults = loopback.Faults(loopback.first_times("drop", ending=".tar"))
    assert stored(f"{site.address}/data/files.txt", tmp_path / "web") == local
    resumed = [asked for method, path, asked in site.log.requests if path.endswith(".tar") and asked]
    assert len(resumed) == 2
    assert all(asked.startswith("bytes=") and asked != "bytes=0-" for asked in resumed)


def test_a_silent_server_is_left_and_asked_again(roots, on_the_web, tmp_path, local, monkeypatch):
    monkeypatch.setattr("vetset.storage.web.READ_SECONDS", 0.3)
    site = on_the_web(roots / "webdataset")
    site.faults = loopback.Faults(loopback.first_times("slow", ending="00000.tar"))
    assert stored(f"{site.address}/data/files.txt", tmp_path / "web") == local
    assert site.log.count("GET", "00000.tar") >= 2  # a busy machine is silent, too


def test_a_slow_answer_is_waited_for(roots, bucket, tmp_path, local):
    address = bucket.upload(roots / "webdataset")
    bucket.plan(loopback.first_times("slow", ending="00000.tar"))
    assert stored(address, tmp_path / "s3") == local


def test_a_server_without_ranges_still_serves_tars(roots, on_the_web, tmp_path, local):
    site = on_the_web(roots / "webdataset")
    site.ranges = False
    assert stored(f"{site.address}/data/files.txt", tmp_path / "web") == local


def test_a_server_without_ranges_cannot_go_on(roots, on_the_web, custodian, tmp_path):
    site = on_the_web(roots / "webdataset")
    site.ranges = False
    site.faults = loopback.Faults(loopback.first_times("drop", ending="00000.tar"))
    failed, errors = failures(f"{site.address}/data/files.txt", tmp_path / "audit", custodian)
    assert [shard.uri for shard in failed] == ["00000.tar"]
    assert "serves no ranges" in errors[0]


def test_a_server_that_ignores_ranges_is_found_out_before_the_body(roots, on_the_web, custodian, tmp_path):
    site = on_the_web(roots / "parquet")
    site.ranges = False
    failed, errors = failures(f"{site.address}/data/files.txt", tmp_path / "audit", custodian)
    assert len(failed) == 2
    assert all("does not serve ranges" in error for error in errors)


def test_another_range_than_was_asked_for_is_refused(roots, on_the_web, custodian, tmp_path):
    site = on_the_web(roots / "parquet")
    site.lies_about_ranges = True
    failed, errors = failures(f"{site.address}/data/files.txt", tmp_path / "audit", custodian)
    assert len(failed) == 2
    assert all("another range" in error for error in errors)


def test_a_server_without_head_is_asked_otherwise(roots, on_the_web, tmp_path, local):
    site = on_the_web(roots / "webdataset")
    site.heads = False
    assert stored(f"{site.address}/data/files.txt", tmp_path / "web") == local


def test_a_server_that_states_no_version_is_refused(roots, on_the_web, tmp_path):
    site = on_the_web(roots / "webdataset")
    site.tags = False
    with pytest.raises(DatasetError, match="neither ETag nor Last-Modified"):
        stored(f"{site.address}/data/files.txt", tmp_path / "web")


@pytest.fixture
def short_blocks(monkeypatch):
    """Several requests for each object of the small dataset."""
    monkeypatch.setattr(transfer, "BLOCK", 20_000)


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("form", [Format.WEBDATASET, Format.PARQUET])
def test_an_object_that_is_replaced_on_s3_is_never_mixed(roots, bucket, custodian, tmp_path, form):
    address = bucket.upload(roots / form.value)
    name = min(path.name for path in (roots / form.value).iterdir())
    data = (roots / form.value / name).read_bytes()
    asked = []

    def replace(path):
        if path.endswith(name):
            asked.append(path)
            if len(asked) == 2:
                bucket.put(f"data/{name}", data[::-1])

    bucket.between.before_get = replace
    failed, errors = failures(address, tmp_path / "audit", custodian)
    assert [shard.uri for shard in failed] == [name]
    assert "changed while it was read" in errors[0]


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("form", [Format.WEBDATASET, Format.PARQUET])
def test_an_object_that_is_replaced_on_the_web_is_never_mixed(roots, on_the_web, custodian, tmp_path, form):
    site = on_the_web(roots / form.value)
    name = min(path.name for path in (roots / form.value).iterdir())
    site.faults = loopback.Faults(loopback.first_times("drop" if form is Format.WEBDATASET else "", ending=name))
    asked = []

    def replace(path):
        if path.endswith(name):
            asked.append(path)
            if len(asked) == 2:
                site.files[path] = site.files[path][::-1]

    site.before_get = replace
    failed, errors = failures(f"{site.address}/data/files.txt", tmp_path / "audit", custodian)
    assert [shard.uri for shard in failed] == [name]
    assert "changed while it was read" in errors[0]


@pytest.mark.usefixtures("short_blocks")
def test_an_object_that_is_replaced_on_google_is_never_mixed(roots, on_google, custodian, tmp_path):
    site = on_google(roots / "webdataset")
    asked = []

    def replace(name):
        if name.endswith("00000.tar"):
            asked.append(name)
            if len(asked) == 3:
                site.files[name] = site.files[name][::-1]

    site.before_get = replace
    failed, errors = failures("gs://box/data", tmp_path / "audit", custodian)
    assert [shard.uri for shard in failed] == ["00000.tar"]
    assert "changed while it was read" in errors[0]


def test_an_object_that_disappears_costs_its_shard(roots, bucket, custodian, tmp_path):
    address = bucket.upload(roots / "webdataset")
    bucket.plan(loopback.first_times("error 404", times=1000, ending="00001.tar"))
    failed, errors = failures(address, tmp_path / "audit", custodian)
    assert [shard.uri for shard in failed] == ["00001.tar"]
    assert "no such object" in errors[0]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_access_denied_is_told_and_not_tried_again(roots, bucket, custodian, tmp_path, method):
    address = bucket.upload(roots / "webdataset")
    bucket.plan(loopback.first_times("error 403", times=1000, method=method))
    with pytest.raises(DatasetError, match="access denied"):
        vetset.scan(f"{address}/00000.tar" if method == "HEAD" else address, store=tmp_path / "s3", engine=small.HERE)


def test_a_remote_scan_whose_process_was_killed_goes_on(roots, bucket, tmp_path, local):
    address = bucket.upload(roots / "webdataset")
    bucket.plan(lambda method, path, _before: "slow" if method == "GET" and path.endswith("00001.tar") else "")
    command = [sys.executable, "-c", "from vetset.cli import main; main()", "scan", address, "--store"]
    parts = tmp_path / "s3" / "parts"
    with subprocess.Popen([*command, str(tmp_path / "s3"), "--workers", "1"], start_new_session=True) as process:
        patience = time.monotonic() + 60
        while not (parts.is_dir() and any(parts.glob("*.arrow"))) and time.monotonic() < patience:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert len(list(parts.glob("*.arrow"))) == 1
    bucket.plan(loopback.first_times(""))
    before = bucket.log.count("GET", "00000.tar")
    assert before > 0
    assert stored(address, tmp_path / "s3") == local
    assert bucket.log.count("GET", "00000.tar") == before


def test_a_scan_that_lost_a_shard_reads_only_that_again(roots, bucket, tmp_path, local):
    address = bucket.upload(roots / "webdataset")
    bucket.plan(loopback.first_times("error 404", times=1, ending="00001.tar"))
    _, failed = stored(address, tmp_path / "s3")
    assert list(failed) == ["00001.tar"]
    before = bucket.log.count("GET", "00000.tar")
    assert stored(address, tmp_path / "s3") == local
    assert bucket.log.count("GET", "00000.tar") == before
    assert stored(address, tmp_path / "s3") == local
    bucket.put("data/00000.tar", (roots / "webdataset" / "00001.tar").read_bytes())
    stored(address, tmp_path / "s3")
    assert bucket.log.count("GET", "00000.tar") > before


def test_workers_read_from_afar_too(roots, bucket, tmp_path, local):
    address = bucket.upload(roots / "webdataset")
    note = vetset.scan(address, store=tmp_path / "s3", engine=LocalEngine(1))
    assert (Store(tmp_path / "s3").digest(), dict(note.failed)) == local
