"""HTTP: one object by its address, or the files that a list names; never a link out of a page.

Ranges are asked for and their answers checked; a server that sends the whole object instead is told from one that
serves ranges before a byte of the body is read. Redirects lead to the same host or nowhere.
"""

import errno
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from vetset.storage.address import quoted
from vetset.storage.remote import ChangedError, Remote, RemoteError, Seen, TransientError
from vetset.storage.transfer import retrying

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
"""Longest silence in the middle of an answer."""
MAX_LIST = 64 << 20
"""Bytes of a list of files."""
PIECE = 1 << 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOPS = 3
_ABSENT = frozenset({404, 410})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "vetset"}


def _manager(host: str, scheme: str) -> Any:
    """A pool of connections, through the proxy that the environment names."""
    proxy = getproxies().get(scheme)
    if proxy and not proxy_bypass(host):
        return urllib3.ProxyManager(proxy, maxsize=8)
    return urllib3.PoolManager(maxsize=8)


@lru_cache(maxsize=32)
def _manager_of(host: str, scheme: str) -> Any:
    return _manager(host, scheme)


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc


@contextmanager
def _passing() -> Iterator[None]:
    """Turn what a connection can suffer into an error of ours; urllib3's own text may repeat the address."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, RemoteError):
            raise
        if isinstance(error, urllib3.exceptions.SSLError):
            raise RemoteError(errno.EPROTO, "the server's certificate is not trusted") from None
        raise TransientError(errno.EIO, f"the connection failed: {type(error).__name__}") from None


def _refuse(status: int) -> None:
    """Raise for an answer that is no success."""
    if status in _ABSENT:
        raise FileNotFoundError(errno.ENOENT, f"there is no such object, HTTP {status}")
    if status in {401, 403, 407}:
        raise RemoteError(
            errno.EACCES, f"access denied, HTTP {status}", "Only what the server hands to anybody is read."
        )
    if status == 412:
        raise ChangedError
    if status == 416:
        raise ChangedError(problem="changed: it became shorter")
    if status in _PASSING:
        raise TransientError(errno.EIO, f"the server failed, HTTP {status}")
    raise RemoteError(errno.EIO, f"the server refused, HTTP {status}")


def _asked(method: str, path: str, headers: dict[str, str]) -> Any:
    """The answer to a request, its body unread; redirects within the host are followed."""
    address = quoted(path)
    origin = _origin(address)
    for _ in range(_HOPS + 1):
        with _passing():
            answer = _manager_of(origin[1], origin[0]).request(
                method,
                address,
                headers={**_HEADERS, **headers},
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        if answer.status not in _REDIRECTS:
            return answer
        answer.close()
        address = urljoin(address, answer.headers.get("Location", ""))
        if _origin(address) != origin or "?" in address:
            raise RemoteError(
                errno.EPERM,
                "the server redirects to another host",
                "Name the place where the object lies itself; of the Hub, hf://datasets/….",
            )
    raise RemoteError(errno.ELOOP, "the server redirects in a circle")


def _version(headers: Any) -> str:
    tag = headers.get("ETag") or headers.get("Last-Modified")
    if not tag:
        raise RemoteError(
            errno.ENOTSUP,
            "the server states neither ETag nor Last-Modified, so that a change could not be noticed",
            "Copy the dataset to a local place.",
        )
    return str(tag)


def _condition(seen: Seen) -> dict[str, str]:
    if seen.version.startswith('"'):
        return {"If-Match": seen.version}
    return {} if seen.version.startswith("W/") else {"If-Unmodified-Since": seen.version}


def _check_same(answer: Any, seen: Seen, start: int, end: int, *, partial_: bool) -> None:
    """Hold an answer's head against what was seen, before its body is read.

    Raises:
        ChangedError: it is another version.
        RemoteError: it is not the range that was asked for.
    """
    if (answer.headers.get("Content-Encoding") or "identity") != "identity":
        raise RemoteError(errno.ENOTSUP, "the server sends the object compressed though it was asked not to")
    if _version(answer.headers) != seen.version:
        raise ChangedError
    if partial_:
        told = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if told is None or (int(told[1]), int(told[2]) + 1) != (start, end):
            raise RemoteError(errno.EPROTO, "the server answered with another range than it was asked for")
        if told[3] not in {"*", str(seen.size)}:
            raise ChangedError
    elif int(answer.headers.get("Content-Length") or seen.size) != seen.size:
        raise ChangedError


class Web:
    """Objects behind HTTP."""

    conditional = True
    streams = True

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        """What was seen of the files of a list since its root was looked up: one HEAD for each."""

    def stat(self, place: Remote) -> Seen | None:
        """Size and entity tag by HEAD; None where the list or the server does not know the object."""
        if place.listing and place.path not in self._names(place):
            return None
        if place.path not in self._seen or not place.listing:
            seen = retrying()(partial(self._head, place.path))
            if seen is None or not place.listing:
                return seen
            self._seen[place.path] = seen
        return self._seen[place.path]

    def _head(self, path: str) -> Seen | None:
        answer = _asked("HEAD", path, {})
        if answer.status in {405, 501}:  # a server without HEAD: ask for the object and do not read it
            answer = _asked("GET", path, {})
        answer.close()
        if answer.status in _ABSENT:
            return None
        if answer.status != 200:
            _refuse(answer.status)
        length = answer.headers.get("Content-Length", "")
        if not length.isdigit() or len(length) > 18:
            raise RemoteError(errno.ENOTSUP, "the server does not state the object's size")
        return Seen(int(length), _version(answer.headers))

    def is_folder(self, place: Remote) -> bool:
        """Whether the list names something below a place."""
        if place.single is False:
            _listed.cache_clear()  # a root is looked up: what was seen for an earlier one may have changed
            self._seen.clear()
        return any(path.startswith(f"{place.path}/") for path in self._names(place)) if place.listing else False

    def entries(self, place: Remote) -> tuple[dict[str, Seen], list[str]]:
        """Files of one folder, and its subfolders, by the list."""
        start = len(place.path) + 1
        inside = [path[start:] for path in self._names(place) if path.startswith(f"{place.path}/")]
        folders = sorted({name.partition("/")[0] for name in inside if "/" in name})
        return self._all_seen(place, [name for name in inside if "/" not in name]), folders

    def below(self, place: Remote) -> dict[str, Seen]:
        """Every file that the list names."""
        start = len(place.path) + 1
        return self._all_seen(place, [path[start:] for path in self._names(place) if path.startswith(f"{place.path}/")])

    def _all_seen(self, place: Remote, names: list[str]) -> dict[str, Seen]:
        def one(name: str) -> Seen:
            return place.joinpath(name).require()

        with ThreadPoolExecutor(8, "vetset-list") as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    def _names(self, place: Remote) -> frozenset[str]:
        return _listed(place.listing)

    def fetch(self, place: Remote, seen: Seen, start: int, end: int) -> bytes:
        """One range of an object."""
        whole = (start, end) == (0, seen.size)
        headers = _condition(seen) | ({} if whole else {"Range": f"bytes={start}-{end - 1}"})
        answer = _asked("GET", place.path, headers)
        try:
            if answer.status not in {200, 206}:
                _refuse(answer.status)
            if answer.status == 200 and not whole:
                raise RemoteError(
                    errno.ENOTSUP,
                    "the server does not serve ranges",
                    "Only tars and small files can be read from it; copy the dataset to a local place.",
                )
            _check_same(answer, seen, start, end, partial_=answer.status == 206)
            with _passing():
                data = bytes(answer.read(end - start))
            if len(data) != end - start:
                raise TransientError(errno.EIO, "the connection ended before the object did")
            return data
        finally:
            answer.close() if answer.length_remaining else answer.release_conn()

    def begin(self, place: Remote, seen: Seen, start: int) -> Iterator[bytes]:
        """The bytes from `start` to the end, as they come."""
        headers = _condition(seen) | ({"Range": f"bytes={start}-"} if start else {})
        answer = _asked("GET", place.path, headers)
        try:
            if answer.status not in {200, 206}:
                _refuse(answer.status)
            if answer.status == 200 and start:
                raise RemoteError(
                    errno.ENOTSUP,
                    "the connection was lost, and the server cannot go on from there: it serves no ranges",
                )
            _check_same(answer, seen, start, seen.size, partial_=answer.status == 206)
            left = seen.size - start
            while left:
                with _passing():
                    piece = bytes(answer.read(min(PIECE, left)))
                if not piece:
                    return
                left -= len(piece)
                yield piece
        finally:
            answer.close()


@lru_cache(maxsize=2)
def _listed(address: str) -> frozenset[str]:
    """The full paths that a list of files names: relative ones below the list's own folder.

    Raises:
        RemoteError: a line is not the plain relative path of a file, or the list is absurdly long.
    """
    web = Web()
    list_file = Remote(urlsplit(address).scheme, address, address, single=True)
    seen = web.stat(list_file)
    if seen is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such list")
    if seen.size > MAX_LIST:
        raise RemoteError(errno.EFBIG, f"the list of files is longer than {MAX_LIST} bytes")
    data = retrying()(partial(web.fetch, list_file, seen, 0, seen.size)) if seen.size else b""
    folder = address.rpartition("/")[0]
    names = set()
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split("/")
        if "://" in line or {"", ".", ".."} & set(parts) or any(ord(char) < 32 or char == "\ufffd" for char in line):
            raise RemoteError(
                errno.EINVAL,
                f"line {number} of the list is no relative path",
                "One path a line, below the list's folder.",
            )
        names.add(f"{folder}/{line}")
    return frozenset(names)
