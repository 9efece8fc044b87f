"""Servers on loopback, and datasets on them; every wait is short here."""

import sys
from itertools import count
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from vetset.storage import remote, transfer, web

sys.path.insert(0, str(Path(__file__).parent))

import loopback
from loopback import KEY, SECRET

_BUCKETS = count()


class Quiet(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def log(self, *_arguments):
        pass


class Bucket:
    """One bucket of the S3 server, and the server's log and faults."""

    def __init__(self, between, endpoint):
        self.name = f"bucket{next(_BUCKETS)}"
        self.between = between
        self.log = between.log
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="writer",
            aws_secret_access_key="writer",  # noqa: S106  of a server on loopback
            region_name="us-east-1",
            config=Config(user_agent_extra="test-writer"),
        )
        self.client.create_bucket(Bucket=self.name)

    def put(self, key, data):
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def upload(self, folder, prefix="data"):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"s3://{self.name}/{prefix}"

    def plan(self, plan):
        self.between.faults = loopback.Faults(plan)


@pytest.fixture(scope="session")
def s3_server():
    between = loopback.S3Between(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, between, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    with loopback.served(server):
        yield between, f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short waits, and nothing kept from another test."""
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(transfer, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(web, "READ_SECONDS", 1.0)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    remote.backend_of.cache_clear()


@pytest.fixture
def bucket(s3_server, monkeypatch, tmp_path):
    """A new bucket; the environment says how vetset reaches it."""
    between, endpoint = s3_server
    between.faults, between.log, between.before_get = loopback.Faults(), loopback.Log(), None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    return Bucket(between, endpoint)


def listed(root, names=None):
    """The files of a folder as a web server has them, and the list that names them."""
    files = {
        f"/data/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in sorted(Path(root).rglob("*"))
        if path.is_file()
    }
    lines = [path.removeprefix("/data/") for path in files] if names is None else names
    return files | {"/data/files.txt": "\n".join(lines).encode()}


@pytest.fixture
def on_the_web():
    """Serve a folder by HTTP; gives the site, whose list is `files.txt`."""
    open_sites = []

    def serve(root, names=None):
        site = loopback.web(listed(root, names))
        open_sites.append(site)
        return site.__enter__()

    yield serve
    for site in open_sites:
        site.__exit__(None, None, None)


@pytest.fixture
def on_the_hub(monkeypatch):
    """Serve a folder as the Hub does, below `data/` of one repository; gives the site."""
    open_sites = []

    def serve(root):
        files = {path.removeprefix("/"): data for path, data in listed(root, []).items()}
        del files["data/files.txt"]
        site = loopback.hub("owner/small", files)
        open_sites.append(site)
        found = site.__enter__()
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        monkeypatch.setenv("HF_TOKEN", "hf_plantedTokenPlantedToken")
        return found

    yield serve
    for site in open_sites:
        site.__exit__(None, None, None)


@pytest.fixture
def fixture_root():
    """What the real img2dataset wrote."""
    return Path(__file__).parents[1] / "fixtures" / "img2dataset" / "sha256"


@pytest.fixture
def on_google(monkeypatch):
    """Serve a folder as Google Cloud Storage does, below `data/` of the bucket `box`; gives the site."""
    open_sites = []

    def serve(root):
        files = {path.removeprefix("/"): data for path, data in listed(root, []).items()}
        del files["data/files.txt"]
        site = loopback.google(files)
        open_sites.append(site)
        found = site.__enter__()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.address)
        return found

    yield serve
    for site in open_sites:
        site.__exit__(None, None, None)
