"""Servers on loopback: S3 (moto's), plain HTTP with every bad habit, the APIs of the Hub and of Google as documented.

All of them count the bytes of bodies that they send, and can be told to misbehave at chosen requests.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

KEY, SECRET = "AKIAPLANTEDKEYPLANTED", "planted/secret/of/the/environment/0123456789"
"""The credentials with which vetset reaches S3 here; they are looked for in everything that it writes."""


@dataclass
class Log:
    """What a server was asked and what it sent."""

    requests: list[tuple[str, str, str]] = field(default_factory=list)
    sent: int = 0

    def count(self, method, ending=""):
        return sum(asked[0] == method and asked[1].endswith(ending) for asked in self.requests)


@dataclass
class Faults:
    """Misbehaviour, decided request by request: `plan(method, path, number of such requests before)` names it.

    `error N` answers status N, `drop` closes in the middle of the body, `slow` waits before the body.
    """

    plan: Callable[[str, str, int], str] = lambda _method, _path, _before: ""
    seen: dict = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, method, path):
        with self.lock:
            before = self.seen.get((method, path), 0)
            self.seen[method, path] = before + 1
        return self.plan(method, path, before)


def first_times(fault, times=1, ending="", method="GET"):
    """A plan: the first requests of each such object go wrong."""
    return lambda verb, path, before: fault if verb == method and path.endswith(ending) and before < times else ""


@contextmanager
def served(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class S3Between:
    """WSGI in front of moto: counts, and misbehaves."""

    def __init__(self, application):
        self.application = application
        self.log = Log()
        self.faults = Faults()
        self.before_get = None

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.log.requests.append((method, path, environ.get("HTTP_RANGE", "")))
        if self.before_get is not None and method == "GET" and environ.get("HTTP_RANGE"):
            self.before_get(path)
        fault = self.faults.of(method, path) if environ.get("HTTP_USER_AGENT", "").find("test-writer") < 0 else ""
        if fault.startswith("error"):
            start_response(f"{fault.split()[1]} Trouble", [("Content-Type", "application/xml")])
            text = b"<Error><Code>Trouble</Code><Message>secret place /inside</Message></Error>"
            return [] if method == "HEAD" else [text]
        body = b"".join(self.application(environ, start_response))
        if fault == "slow":
            time.sleep(1.5)
        return self._pieces(body, drop=fault == "drop")

    def _pieces(self, body, *, drop):
        half = len(body) // 2
        for piece in (body[:half], body[half:]):
            self.log.sent += len(piece)
            yield piece
            if drop:
                raise ConnectionResetError


class Files:
    """A dictionary of files behind HTTP."""

    def __init__(self, files):
        self.files = dict(files)
        self.log = Log()
        self.faults = Faults()
        self.ranges = True
        self.lies_about_ranges = False
        self.heads = True
        self.tags = True
        self.redirect = {}
        self.before_get = None
        self.address = ""

    def tag(self, path):
        return f'"{hashlib.md5(self.files[path]).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_arguments):
        pass

    @property
    def site(self):
        return self.server.site

    def _answer(self, status, headers, body=b"", *, drop=False, sent=True):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not sent:
            return
        piece = body[: len(body) // 2] if drop else body
        self.site.log.sent += len(piece)
        self.wfile.write(piece)
        if drop:
            self.close_connection = True

    def _part(self, data):
        """Status, headers and body of an answer to a request for a range."""
        asked = self.headers.get("Range")
        if not asked or not self.site.ranges:
            return 200, {}, data
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1 if last else len(data), len(data))
        if start >= len(data):
            return 416, {}, b""
        if self.site.lies_about_ranges:
            start, end = start + 1, end + 1
        return 206, {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, data[start:end]

    def _serve(self, method):
        path = unquote(urlsplit(self.path).path)
        site = self.site
        site.log.requests.append((method, path, self.headers.get("Range", "")))
        if site.before_get is not None and method == "GET":
            site.before_get(path)
        fault = site.faults.of(method, path)
        if path in site.redirect:
            self._answer(302, {"Location": site.redirect[path]})
        elif fault.startswith("error"):
            self._answer(int(fault.split()[1]), {})
        elif method == "HEAD" and not site.heads:
            self._answer(405, {})
        elif path not in site.files:
            self._answer(404, {}, b"<a href='/data/other.tar'>other</a>", sent=method == "GET")
        else:
            status, headers, body = self._part(site.files[path]) if method == "GET" else (200, {}, site.files[path])
            if site.tags:
                headers["ETag"] = site.tag(path)
            if fault == "slow":
                time.sleep(1.5)
            self._answer(status, headers, body, drop=fault == "drop", sent=method == "GET")

    def do_GET(self):
        self._serve("GET")

    def do_HEAD(self):
        self._serve("HEAD")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_arguments):
        """A client that went away is no news."""


@contextmanager
def web(files):
    """Serve files by HTTP; their paths begin with a slash."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = Files(files)
    server.site.address = f"http://127.0.0.1:{server.server_port}"
    with served(server):
        yield server.site


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Hub(_Handler):
    """GET /api/datasets/…/revision|tree, POST …/paths-info, GET /datasets/…/resolve, as the Hub documents them."""

    def _json(self, document, status=200):
        self._answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _entry(self, path):
        data = self.site.files[path]
        return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def _entries(self, folder, *, recursive):
        start = f"{folder}/" if folder else ""
        below = [path for path in sorted(self.site.files) if path.startswith(start)]
        folders = {
            start + "/".join(path[len(start) :].split("/")[:depth])
            for path in below
            for depth in range(1, path[len(start) :].count("/") + 1)
        }
        listed = [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in sorted(folders)]
        listed += [self._entry(path) for path in below]
        return [entry for entry in listed if recursive or "/" not in entry["path"][len(start) :]]

    def _api(self, method):
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        site = self.site
        site.log.requests.append((method, path, self.headers.get("Range", "")))
        fault = site.faults.of(method, path)
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length) if length else b""
        start = f"/api/datasets/{site.name}"
        if fault.startswith("error"):
            self._answer(int(fault.split()[1]), {})
        elif path in {start, f"{start}/revision/main", f"{start}/revision/{COMMIT}"}:
            self._json({"id": site.name, "sha": COMMIT, "private": False, "tags": [], "siblings": []})
        elif path.startswith(f"{start}/tree/{COMMIT}"):
            folder = path.removeprefix(f"{start}/tree/{COMMIT}").strip("/")
            listed = self._entries(folder, recursive="recursive=true" in parts.query.lower())
            self._json(listed) if listed else self._json({"error": "Not found"}, 404)
        elif path == f"{start}/paths-info/{COMMIT}":
            asked = json.loads(sent)["paths"] if sent[:1] == b"{" else [unquote(sent.decode().partition("=")[2])]
            self._json([self._entry(name) for name in asked if name in site.files])
        elif path.startswith(f"/datasets/{site.name}/resolve/{COMMIT}/"):
            name = path.split(f"{COMMIT}/", 1)[1]
            if name in site.files:
                status, headers, body = self._part(site.files[name])
                self._answer(status, headers, body, drop=fault == "drop", sent=method == "GET")
            else:
                self._answer(404, {"X-Error-Code": "EntryNotFound"})
        else:
            self._answer(404, {"X-Error-Code": "RepoNotFound"})

    def do_GET(self):
        self._api("GET")

    def do_HEAD(self):
        self._api("HEAD")

    def do_POST(self):
        self._api("POST")


@contextmanager
def hub(name, files):
    """Serve one dataset as the Hub does; files by their path in the repository."""
    server = _Server(("127.0.0.1", 0), _Hub)
    server.site = Files(files)
    server.site.name = name
    server.site.address = f"http://127.0.0.1:{server.server_port}"
    with served(server):
        yield server.site


class _Google(_Handler):
    """GET of objects' lists, metadata and media, as the JSON API of Google Cloud Storage documents them."""

    def _json(self, document, status=200):
        self._answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _resource(self, name):
        data = self.site.files[name]
        generation = str(int.from_bytes(hashlib.md5(data).digest()[:4], "big"))
        told = {"kind": "storage#object", "bucket": "box", "name": name, "size": str(len(data))}
        return {**told, "generation": generation, "etag": generation, "updated": "2026-01-01T00:00:00Z"}

    def do_GET(self):
        parts = urlsplit(self.path)
        site, asked = self.site, {name: values[0] for name, values in parse_qs(parts.query).items()}
        site.log.requests.append(("GET", unquote(parts.path), self.headers.get("Range", "")))
        bucket, _, name = unquote(parts.path.partition("/b/")[2]).partition("/o")
        name = name.removeprefix("/")
        if site.before_get is not None:
            site.before_get(name)
        if bucket != "box" or (name and name not in site.files):
            self._json({"error": {"code": 404, "message": "secret place"}}, 404)
        elif not name:
            self._list(asked.get("prefix", ""), asked.get("delimiter"))
        elif asked.get("alt") != "media":
            self._json(self._resource(name))
        elif asked["generation"] != self._resource(name)["generation"]:
            self._json({"error": {"code": 404, "message": "no such generation"}}, 404)
        else:
            self._answer(*self._part(site.files[name]))

    def _list(self, prefix, delimiter):
        names = [name for name in sorted(self.site.files) if name.startswith(prefix)]
        inner = [name for name in names if delimiter and delimiter in name[len(prefix) :]]
        folders = {prefix + name[len(prefix) :].partition("/")[0] + "/" for name in inner}
        items = [self._resource(name) for name in names if name not in inner]
        self._json({"kind": "storage#objects", "items": items, "prefixes": sorted(folders)})


@contextmanager
def google(files):
    """Serve the bucket `box` as Google Cloud Storage does."""
    server = _Server(("127.0.0.1", 0), _Google)
    server.site = Files(files)
    server.site.address = f"http://127.0.0.1:{server.server_port}"
    with served(server):
        yield server.site
