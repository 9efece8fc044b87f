"""Which addresses are read, which are refused, and what is said about it."""

import builtins
import json
import pickle

import pytest

import small
import vetset
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError, MissingExtraError, UsageError
from vetset.storage import remote
from vetset.storage.address import is_address, place_of, root_of
from vetset.storage.remote import Remote


def scan(address, store):
    return vetset.scan(address, store=store, engine=small.HERE)


@pytest.mark.parametrize(
    ("text", "path", "shown"),
    [
        ("s3://bucket/a/b/", "bucket/a/b", "s3://bucket/a/b"),
        ("S3A://bucket", "bucket", "s3://bucket"),
        ("gs://bucket/a", "bucket/a", "gs://bucket/a"),
        ("abfs://box@account.dfs.core.windows.net/a", "box/a", "abfs://box@account.dfs.core.windows.net/a"),
        ("hf://datasets/owner/name@v1/data", "datasets/owner/name@v1/data", "hf://datasets/owner/name@v1/data"),
        ("https://Host.example/a%20b/x.tar", "https://host.example/a b/x.tar", "https://host.example/a%20b/x.tar"),
        ("http://host:81/a/list.txt", "http://host:81/a", "http://host:81/a/list.txt"),
    ],
)
def test_addresses_are_understood_without_asking_anybody(text, path, shown):
    place = place_of(text)
    assert (place.path, str(place)) == (path, shown)
    assert pickle.loads(pickle.dumps(place)) == place  # noqa: S301  as it travels to workers
    assert is_address(text)
    assert place_of(shown) == place


SECRET = "pLaNtEd-SeCrEt"  # noqa: S105  planted


@pytest.mark.parametrize(
    "text",
    [
        f"s3://user:{SECRET}@bucket/a",
        f"s3://{SECRET}@bucket/a",
        f"https://user:{SECRET}@host/a.tar",
        f"https://host/a.tar?X-Amz-Signature={SECRET}",
        f"https://host/a.tar#{SECRET}",
        f"https://host/{SECRET}/../a.tar",
        f"https://host/%2e%2e/{SECRET}.tar",
        f"s3://bucket//{SECRET}",
        f"s3:///{SECRET}",
        f"s3://bucket/a%0a{SECRET}",
        f"abfs://box:{SECRET}@account.dfs.core.windows.net/a",
        f"hf://models/owner/{SECRET}",
        f"hf://datasets/{SECRET}",
        f"ftp://host/{SECRET}.tar",
        f"https://host/{SECRET}/",
        f"https://host/{SECRET}.html",
    ],
)
def test_an_address_that_is_refused_is_not_repeated(text, tmp_path):
    with pytest.raises(UsageError) as caught:
        scan(text, tmp_path / "store")
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("place", ["s3://bucket/store", "https://host/store"])
def test_what_is_written_is_written_here(roots, place, custodian, tmp_path):
    with pytest.raises(UsageError, match="output place is an address"):
        scan(roots / "webdataset", place)
    with pytest.raises(UsageError, match="output place is an address"):
        vetset.audit(roots / "webdataset", lists=[small.known()], seal_to=[custodian.public], out=place)


@pytest.mark.parametrize(
    ("address", "extra", "package"),
    [
        ("s3://bucket/a", "s3", "s3fs"),
        ("gs://bucket/a", "gcs", "gcsfs"),
        ("abfs://box/a", "azure", "adlfs"),
        ("hf://datasets/owner/name", "hf", "huggingface_hub"),
        ("https://host/a.tar", "http", "urllib3"),
        ("https://host/a.tar", "http", "tenacity"),
    ],
)
def test_a_missing_package_names_its_extra(monkeypatch, tmp_path, address, extra, package):
    taken = remote.import_module

    def without(name):
        if name == package:
            raise ImportError(name)
        return taken(name) if name in {"tenacity", "urllib3"} else builtins

    monkeypatch.setattr(remote, "import_module", without)
    with pytest.raises(MissingExtraError, match=rf"vetset\[{extra}\]") as caught:
        scan(address, tmp_path / "store")
    assert caught.value.expected == package


def test_what_is_not_there_is_told(bucket, on_the_web, on_the_hub, roots, tmp_path):
    site = on_the_web(roots / "webdataset")
    on_the_hub(roots / "webdataset")
    for address in (
        "s3://no-such-bucket/data",
        f"s3://{bucket.name}/nothing",
        f"{site.address}/data/nothing.tar",
        f"{site.address}/data/nothing.txt",
        "hf://datasets/owner/nothing",
        "hf://datasets/owner/small@no-such-revision",
        "hf://datasets/owner/small/nothing",
    ):
        with pytest.raises(DatasetError) as caught:
            scan(address, tmp_path / "store")
        assert str(caught.value).startswith(address.partition("@")[0])


def test_a_gated_dataset_is_told(on_the_hub, roots, tmp_path):
    site = on_the_hub(roots / "webdataset")
    site.faults.plan = lambda _method, _path, _before: "error 403"
    with pytest.raises(DatasetError, match="access denied"):
        scan("hf://datasets/owner/small", tmp_path / "store")


@pytest.mark.parametrize(
    "line", ["../up.tar", "/etc/passwd", "https://elsewhere.example/a.tar", "a//b.tar", "./a.tar", "a/\tb.tar"]
)
def test_a_list_names_files_below_its_folder_only(roots, on_the_web, tmp_path, line):
    site = on_the_web(roots / "webdataset", ["00000.tar", "", line])
    with pytest.raises(DatasetError, match="line 3 of the list") as caught:
        scan(f"{site.address}/data/files.txt", tmp_path / "store")
    assert line not in str(caught.value)
    assert {path for _, path, _ in site.log.requests} == {"/data/files.txt"}


def test_a_list_says_what_there_is(roots, on_the_web, tmp_path):
    site = on_the_web(roots / "webdataset", ["00000.tar"])
    note = scan(f"{site.address}/data/files.txt", tmp_path / "store")
    assert [shard.uri for shard in note.shards] == ["00000.tar"]
    assert {path for _, path, _ in site.log.requests} == {"/data/files.txt", "/data/00000.tar"}


def test_a_listed_file_that_is_missing_is_an_error(roots, on_the_web, tmp_path):
    site = on_the_web(roots / "webdataset", ["00000.tar", "gone.tar"])
    with pytest.raises(DatasetError, match="no such object"):
        scan(f"{site.address}/data/files.txt", tmp_path / "store")


def test_a_list_is_read_anew_for_each_scan(roots, on_the_web, tmp_path):
    site = on_the_web(roots / "webdataset", ["00000.tar"])
    address = f"{site.address}/data/files.txt"
    assert len(scan(address, tmp_path / "store").shards) == 1
    site.files["/data/files.txt"] = b"00000.tar\n00001.tar\n"
    assert len(scan(address, tmp_path / "store").shards) == 2


def test_a_redirect_stays_on_the_host(roots, on_the_web, tmp_path):
    site = on_the_web(roots / "webdataset")
    elsewhere = on_the_web(roots / "webdataset")
    site.redirect["/data/moved.tar"] = "/data/00000.tar"
    assert len(scan(f"{site.address}/data/moved.tar", tmp_path / "store").shards) == 1
    site.redirect["/data/away.tar"] = f"{elsewhere.address}/data/00000.tar"
    with pytest.raises(DatasetError, match="redirects to another host") as caught:
        scan(f"{site.address}/data/away.tar", tmp_path / "store")
    assert elsewhere.address not in str(caught.value)
    assert not elsewhere.log.requests
    site.redirect["/data/round.tar"] = "/data/round.tar"
    with pytest.raises(DatasetError, match="circle"):
        scan(f"{site.address}/data/round.tar", tmp_path / "store")


def test_names_in_a_store_that_are_no_paths_are_refused(bucket, tmp_path):
    bucket.put("data/a//b.tar", b"x")
    with pytest.raises(DatasetError, match="is no path"):
        scan(f"s3://{bucket.name}/data", tmp_path / "store")


def test_marks_of_folders_are_no_files(roots, bucket, tmp_path):
    address = bucket.upload(roots / "webdataset")
    bucket.put("data/", b"")
    bucket.put("data/empty/", b"")
    assert len(scan(address, tmp_path / "store").shards) == 2


def test_a_uri_does_not_leave_a_remote_root(roots, bucket):
    from vetset.dataset.columns import ColumnMapping
    from vetset.dataset.formats import format_of
    from vetset.model.dataset import Shard

    root = root_of(bucket.upload(roots / "webdataset"))
    assert isinstance(root, Remote)
    for uri in ("../elsewhere.tar", "/a.tar", ""):
        with pytest.raises(DatasetError, match="leaves the dataset"):
            list(format_of(Format.WEBDATASET).read(root, Shard(uri, Format.WEBDATASET, 1, ""), ColumnMapping()))


def test_run_json_names_the_address(roots, bucket, audit):
    address = bucket.upload(roots / "webdataset")
    there = audit(address, embeddings=False)
    assert json.loads((there.out / "run.json").read_text())["request"]["root"] == address
