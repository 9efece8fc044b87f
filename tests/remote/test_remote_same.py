"""The same dataset gives the same store wherever it lies, and only what is needed comes over the wire."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import loopback
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
import vetset
from vetset.dataset import window
from vetset.dataset.tables import open_table
from vetset.model.dataset import Format
from vetset.storage.address import place_of
from vetset.store.store import Store

FORMS = pytest.mark.parametrize("form", list(Format))


def scanned(root, store, **options):
    note = vetset.scan(root, store=store, engine=small.HERE, **options)
    return Store(store).digest(), sum(shard.records for shard in note.shards), dict(note.failed)


@FORMS
def test_s3_gives_the_store_of_the_local_dataset(roots, bucket, tmp_path, form):
    address = bucket.upload(roots / form.value)
    assert scanned(address, tmp_path / "s3") == scanned(roots / form.value, tmp_path / "local")


@FORMS
def test_http_gives_the_store_of_the_local_dataset(roots, on_the_web, tmp_path, form):
    site = on_the_web(roots / form.value)
    assert scanned(f"{site.address}/data/files.txt", tmp_path / "web") == scanned(
        roots / form.value, tmp_path / "local"
    )


@FORMS
def test_the_hub_gives_the_store_of_the_local_dataset(roots, on_the_hub, tmp_path, form):
    site = on_the_hub(roots / form.value)
    address = f"hf://datasets/{site.name}@main/data"
    assert scanned(address, tmp_path / "hub") == scanned(roots / form.value, tmp_path / "local")
    assert any(loopback.COMMIT in path for _, path, _ in site.log.requests)


@FORMS
def test_google_gives_the_store_of_the_local_dataset(roots, on_google, tmp_path, form):
    on_google(roots / form.value)
    assert scanned("gs://box/data", tmp_path / "google") == scanned(roots / form.value, tmp_path / "local")


def test_a_whole_bucket_and_a_whole_repository_are_datasets(roots, bucket, on_the_hub, on_google, tmp_path):
    on_the_hub(roots / "parquet")
    on_google(roots / "parquet")
    bucket.upload(roots / "parquet")
    expected = scanned(roots / "parquet", tmp_path / "local")
    for number, address in enumerate((f"s3://{bucket.name}", "gs://box", "hf://datasets/owner/small")):
        assert scanned(address, tmp_path / f"store{number}") == expected


@pytest.mark.parametrize("form", [Format.WEBDATASET, Format.PARQUET])
def test_one_file_is_a_dataset_of_its_own(  # noqa: PLR0917  fixtures
    roots, bucket, on_the_web, on_the_hub, on_google, tmp_path, form
):
    name = min(path.name for path in (roots / form.value).iterdir())
    site = on_the_web(roots / form.value)
    expected = scanned(roots / form.value / name, tmp_path / "local")
    assert scanned(f"{bucket.upload(roots / form.value)}/{name}", tmp_path / "s3") == expected
    assert scanned(f"{site.address}/data/{name}", tmp_path / "web") == expected
    on_the_hub(roots / form.value)
    assert scanned(f"hf://datasets/owner/small/data/{name}", tmp_path / "hub") == expected
    on_google(roots / form.value)
    assert scanned(f"gs://box/data/{name}", tmp_path / "google") == expected


def test_what_img2dataset_writes_beside_a_tar_is_found_by_its_name(fixture_root, on_the_web, tmp_path):
    site = on_the_web(fixture_root)
    expected = scanned(fixture_root / "00000.tar", tmp_path / "local")
    assert scanned(f"{site.address}/data/00000.tar", tmp_path / "web") == expected
    asked = {path for _, path, _ in site.log.requests}
    assert asked == {"/data/00000.tar", "/data/00000.parquet", "/data/00000_stats.json"}


def wide_table(path, rows=20_000, *, text=True):
    """A small column of digests beside a large one of noise, in several row groups."""
    random = np.random.default_rng(1)
    table = pa.table({
        "md5": [random.bytes(16).hex() for _ in range(rows)],
        "noise": [random.bytes(200).hex() if text else random.bytes(400) for _ in range(rows)],
    })  # fmt: skip
    path.parent.mkdir()
    pq.write_table(table, path, row_group_size=6_000)


def test_a_table_is_not_fetched_whole_for_one_column(bucket, on_the_web, tmp_path):
    wide_table(tmp_path / "wide" / "part.parquet")
    size = (tmp_path / "wide" / "part.parquet").stat().st_size
    address = bucket.upload(tmp_path / "wide")
    site = on_the_web(tmp_path / "wide")
    expected = scanned(tmp_path / "wide", tmp_path / "local")
    bucket.log.sent = 0
    assert scanned(address, tmp_path / "s3") == expected
    assert size > 8_000_000
    assert bucket.log.sent < size // 7
    assert scanned(f"{site.address}/data/part.parquet", tmp_path / "web") == expected
    assert site.log.sent < size // 7


def test_columns_side_by_side_come_over_the_wire_once(on_the_web, tmp_path):
    random = np.random.default_rng(2)
    table = pa.table({name: [random.bytes(16).hex() for _ in range(40_000)] for name in ("url", "md5")})
    (tmp_path / "two").mkdir()
    path = tmp_path / "two" / "part.parquet"
    pq.write_table(table, path, row_group_size=6_000)
    footers = 3 * (64 << 10)
    site = on_the_web(tmp_path / "two")
    assert scanned(f"{site.address}/data/part.parquet", tmp_path / "web") == scanned(
        tmp_path / "two", tmp_path / "local"
    )
    assert site.log.sent < path.stat().st_size + footers


def test_a_long_chunk_is_fetched_in_few_requests(on_the_web, tmp_path):
    random = np.random.default_rng(3)
    (tmp_path / "long").mkdir()
    table = pa.table({"image": [random.bytes(100_000) for _ in range(120)]})
    pq.write_table(table, tmp_path / "long" / "part.parquet", use_dictionary=False, write_batch_size=4)
    site = on_the_web(tmp_path / "long")
    place = place_of(f"{site.address}/data/part.parquet")
    before = site.log.count("GET")
    with open_table(place, "part.parquet") as rows:
        assert sum(len(batch) for batch in rows.iter_batches(4)) == 120
    assert site.log.count("GET") - before <= 4


def test_of_a_column_of_bytes_that_may_be_pictures_the_beginning_is_fetched(bucket, tmp_path):
    wide_table(tmp_path / "wide" / "part.parquet", text=False)
    size = (tmp_path / "wide" / "part.parquet").stat().st_size
    address = bucket.upload(tmp_path / "wide")
    expected = scanned(tmp_path / "wide", tmp_path / "local")
    bucket.log.sent = 0
    assert scanned(address, tmp_path / "s3") == expected
    assert bucket.log.sent < size // 7 + (3 << 20)


def test_a_table_of_pictures_comes_over_the_wire_once(on_the_web, tmp_path):
    random = np.random.default_rng(4)
    images = [{"bytes": b"\xff\xd8\xff" + random.bytes(50_000), "path": f"{number}.jpg"} for number in range(60)]
    (tmp_path / "rows").mkdir()
    path = tmp_path / "rows" / "part.parquet"
    pq.write_table(pa.table({"image": images, "label": list(range(60))}), path, row_group_size=20)
    footers = 4 * (64 << 10)
    site = on_the_web(tmp_path / "rows")
    expected = scanned(tmp_path / "rows", tmp_path / "local")
    assert scanned(f"{site.address}/data/part.parquet", tmp_path / "web") == expected
    assert site.log.sent < path.stat().st_size + footers


def test_columns_too_far_apart_to_go_by_together_are_fetched_in_few_requests(on_the_web, tmp_path, monkeypatch):
    monkeypatch.setattr(window, "MOST_HELD", 1 << 20)
    random = np.random.default_rng(5)
    columns = {
        name: [{"bytes": b"\xff\xd8\xff" + random.bytes(100_000), "path": None} for _ in range(60)]
        for name in ("image", "depth")
    }
    (tmp_path / "rows").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "rows" / "part.parquet", write_batch_size=4)
    site = on_the_web(tmp_path / "rows")
    expected = scanned(tmp_path / "rows", tmp_path / "local")
    assert scanned(f"{site.address}/data/part.parquet", tmp_path / "web") == expected
    assert site.log.count("GET") <= 8


def test_a_tar_comes_over_the_wire_once(roots, bucket, on_the_web, tmp_path):
    size = sum(path.stat().st_size for path in (roots / "webdataset").iterdir())
    address = bucket.upload(roots / "webdataset")
    bucket.log.sent = 0
    scanned(address, tmp_path / "s3")
    assert size <= bucket.log.sent < size + 20_000
    site = on_the_web(roots / "webdataset")
    scanned(f"{site.address}/data/files.txt", tmp_path / "web")
    assert size <= site.log.sent < size + 1000


def test_a_folder_of_many_shards_is_listed_once_and_not_for_each_of_them(roots, bucket, tmp_path, monkeypatch):
    address = bucket.upload(roots / "folder")
    lists = []
    for most in (1000, 2):
        monkeypatch.setattr("vetset.dataset.folder.SHARD_RECORDS", most)
        bucket.log.requests.clear()
        note = vetset.scan(address, store=tmp_path / f"{most}", engine=small.HERE)
        lists.append(sum(path.count("/") == 1 for _, path, _ in bucket.log.requests))
        assert sum(shard.records for shard in note.shards) == 24
    assert len(note.shards) > 8
    assert lists[0] == lists[1] > 0


def test_a_folder_that_changed_is_listed_anew_whatever_was_kept_of_it(roots, bucket, tmp_path):
    address = bucket.upload(roots / "folder")
    first = vetset.scan(address, store=tmp_path / "store", engine=small.HERE)
    bucket.put("data/new.jpg", small.images()[3])
    again = vetset.scan(address, store=tmp_path / "store", engine=small.HERE)
    assert [sum(shard.records for shard in note.shards) for note in (first, again)] == [24, 25]


@FORMS
def test_an_audit_of_s3_finds_what_an_audit_of_the_local_dataset_finds(roots, bucket, audit, form):
    here = audit(form=form)
    there = audit(bucket.upload(roots / form.value), form=form, out="remote", embeddings=False, read_again=True)
    assert small.found(there.findings) == small.found(here.findings)
    assert all(entry.checked for entry in there.findings.provenance)
    told = {entry.record: (entry.url, entry.columns) for entry in here.findings.provenance}
    for entry in there.findings.provenance:
        assert told[entry.record] == (entry.url, entry.columns)


@FORMS
def test_requests_do_not_tell_what_was_found(roots, bucket, audit, form):
    address = bucket.upload(roots / form.value)
    asked = []
    for number, known in enumerate((small.known(), small.stranger())):
        bucket.log.requests.clear()
        done = audit(address, form=form, out=f"audit{number}", embeddings=False, lists=[known])
        asked.append(sorted(bucket.log.requests))
        assert bool(done.findings.matches) == (number == 0)
        assert not any(entry.checked or entry.url for entry in done.findings.provenance)
        vetset.recheck(done.out, lists=[small.second()])
        assert sorted(bucket.log.requests) == asked[-1]
    assert asked[0] == asked[1]


def test_what_is_read_again_is_read_as_whole_shards(roots, bucket, audit, tmp_path):
    address = bucket.upload(roots / "webdataset")
    sizes = {f"/{bucket.name}/data/{path.name}": path.stat().st_size for path in (roots / "webdataset").iterdir()}
    audit(address, embeddings=False, out="first")
    bucket.log.requests.clear()
    audit(address, embeddings=False, store=tmp_path / "first" / "store", out="second", read_again=True)
    fetched = {}
    for method, path, asked in bucket.log.requests:
        if method == "GET" and asked:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            fetched.setdefault(path, set()).update(range(int(start), int(end) + 1))
    assert {path: len(numbers) for path, numbers in fetched.items()} == sizes


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_read_again_does_not_outlive_a_run_that_is_ended(roots, bucket, tmp_path, monkeypatch, how):
    (tmp_path / "memory").mkdir()
    child = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(small.__file__).parent)!r})
import small, vetset
from vetset.dataset.webdataset import WebdatasetFormat
from vetset.seal.keys import new_key
from vetset.stage import provenance
provenance._MEMORY = Path({str(tmp_path / "memory")!r})
WebdatasetFormat.read_rows = lambda *_: print("held", flush=True) or time.sleep(60)
vetset.audit({bucket.upload(roots / "webdataset")!r}, lists=[small.known()], seal_to=[new_key("x").public],
             out={str(tmp_path / "audit")!r}, engine=small.HERE, read_again=True)
"""
    with subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "held\n"
        assert list((tmp_path / "memory").rglob("*.tar"))
        running.send_signal(how)
    for _ in range(200):
        if not list((tmp_path / "memory").iterdir()):
            break
        time.sleep(0.05)
    assert list((tmp_path / "memory").iterdir()) == []


def test_without_room_in_memory_findings_are_sealed_unchecked(roots, bucket, audit, tmp_path, monkeypatch):
    monkeypatch.setattr("vetset.stage.provenance._MEMORY", tmp_path / "nowhere")
    there = audit(bucket.upload(roots / "webdataset"), embeddings=False, read_again=True)
    assert set(small.found(there.findings)) == small.MATCHED
    assert not any(entry.checked for entry in there.findings.provenance)


@FORMS
def test_a_remote_dataset_is_cleaned_into_a_local_copy(roots, bucket, audit, tmp_path, form):
    address = bucket.upload(roots / form.value)
    there = audit(address, form=form, embeddings=False)
    vetset.order(there.out, there.key, out=tmp_path / "order.json")
    vetset.clean(address, tmp_path / "order.json", signer=there.pub, out=tmp_path / "remote", engine=small.HERE)
    vetset.clean(
        roots / form.value, tmp_path / "order.json", signer=there.pub, out=tmp_path / "local", engine=small.HERE
    )
    assert small.tree(tmp_path / "remote") == small.tree(tmp_path / "local")
    assert small.tree(tmp_path / "remote") != small.tree(roots / form.value)
