"""Object stores and the Hub, through the file systems that fsspec knows them by.

Each request of ours is one request of theirs: they find credentials and endpoints and sign; ranges, tries, reading
ahead and the watch over versions are `transfer`'s. What they say in an error stays with them.
"""

import errno
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

from fsspec.asyn import sync

from vetset.model.errors import DatasetError
from vetset.storage.remote import Backend, ChangedError, Remote, RemoteError, Seen, TransientError
from vetset.storage.transfer import retrying

CONNECT_SECONDS = 10
READ_SECONDS = 60
_AT_COMMIT = re.compile(r"datasets/([^/@]+/[^/@]+)@([0-9a-f]+)/(.+)")
_TALKERS = (
    "adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "httpcore", "httpcore2",
    "httpx", "httpx2", "huggingface_hub", "s3fs", "urllib3",
)  # fmt: skip
"""Loggers that write down which object was asked for, and why that failed."""
_VERSIONS = ("generation", "ETag", "etag", "blob_id", "md5Hash", "LastModified", "last_modified")
_DENIED = "access denied, or no such place for these credentials"
_CREDENTIALS = "Check the credentials and what they may read (docs/remote.md)."
_OWN_MISTAKES = (TypeError, AttributeError, NameError, KeyError, IndexError, AssertionError, MemoryError)


def _silence() -> None:
    for name in _TALKERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _status(error: BaseException | None) -> int | None:
    """The HTTP status behind a library's error, wherever it keeps it."""
    for _ in range(4):
        if error is None:
            return None
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            told = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            told = getattr(response, "status_code", None) or getattr(error, "status_code", None)
        if type(error).__module__.startswith("gcsfs"):  # elsewhere a `code` may be a parser's own
            told = told or getattr(error, "code", None)
        if isinstance(told, int) and 100 <= told < 600:
            return told
        error = error.__cause__ or error.__context__
    return None


def _translated(error: Exception) -> OSError:
    """An error of ours for one of a library's, of which only the class and the HTTP status are told."""
    status = _status(error)
    name = type(error).__name__
    if isinstance(error, RemoteError):
        return error
    if status in {412, 416}:
        return ChangedError()
    if isinstance(error, PermissionError) or status in {401, 403} or "Credential" in name:
        return RemoteError(errno.EACCES, _DENIED, _CREDENTIALS)
    if isinstance(error, FileNotFoundError) or status == 404:
        return FileNotFoundError(errno.ENOENT, "there is no such object")
    if status is not None and 400 <= status < 500 and status not in {408, 425, 429}:
        return RemoteError(errno.EIO, f"the store refused, HTTP {status}", _CREDENTIALS)
    return TransientError(errno.EIO, f"the store failed: {name}" + (f", HTTP {status}" if status else ""))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except _OWN_MISTAKES:
        raise
    except Exception as error:  # noqa: BLE001  a library's own tree of errors; translated, never swallowed
        raise _translated(error) from None


def _version(info: dict[str, Any]) -> str:
    large = info.get("lfs")
    digest = large.get("sha256") or large.get("oid") if isinstance(large, dict) else getattr(large, "sha256", None)
    told = digest or next((info[name] for name in _VERSIONS if info.get(name)), None)
    if told is None:
        raise RemoteError(
            errno.ENOTSUP, "the store states no version of an object, so that a change could not be noticed"
        )
    return str(told).removeprefix("W/").strip('"')


def _seen(info: dict[str, Any]) -> Seen:
    return Seen(int(info["size"]), _version(info))


def _relative(place: Remote, name: str) -> str:
    """The path of an object below a place.

    Raises:
        RemoteError: the object's name is no path, as names in a store may be.
    """
    uri = name.removeprefix(place.path).removeprefix("/")
    if {"", ".", ".."} & set(uri.split("/")):
        raise RemoteError(
            errno.EINVAL, "the name of an object there is no path", "Rename or remove it: no '..', no doubled slashes."
        )
    return uri


class ObjectStore:
    """Objects behind a file system of fsspec.

    Args:
        make: makes the file system, in the process and at the time that it is first used.
    """

    conditional = False
    streams = False

    def __init__(self, make: Callable[[], Any]) -> None:
        with _told():
            self._files = make()
        _silence()

    def _info(self, place: Remote) -> dict[str, Any] | None:
        try:
            with _told():
                info: dict[str, Any] = self._files.info(place.path)
        except FileNotFoundError:
            return None
        return info

    def stat(self, place: Remote) -> Seen | None:
        """What the store says of an object; None where there is none, or a folder."""
        info = retrying()(partial(self._info, place))
        return _seen(info) if info is not None and info["type"] == "file" else None

    def is_folder(self, place: Remote) -> bool:
        """Whether there is something below a place."""

        def once() -> bool:
            try:
                with _told():
                    listed = self._files.ls(place.path, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return any(info["name"].strip("/") != place.path for info in listed)

        return bool(retrying()(once))

    def _listing(self, place: Remote, read: Callable[[], Any]) -> list[dict[str, Any]]:
        def once() -> list[dict[str, Any]]:
            with _told():
                found = read()
            return list(found.values()) if isinstance(found, dict) else list(found)

        # some stores mark a folder by an empty object whose name ends in a slash, or is the folder's own
        found = retrying()(once)
        return [info for info in found if not info["name"].endswith("/") and info["name"] != place.path]

    def entries(self, place: Remote) -> tuple[dict[str, Seen], list[str]]:
        """Objects and folders of one folder."""
        listed = self._listing(place, partial(self._files.ls, place.path, detail=True))
        files = {_relative(place, info["name"]): _seen(info) for info in listed if info["type"] == "file"}
        return files, sorted(_relative(place, info["name"]) for info in listed if info["type"] == "directory")

    def below(self, place: Remote) -> dict[str, Seen]:
        """Every object below a place."""
        listed = self._listing(place, partial(self._files.find, place.path, detail=True))
        return {_relative(place, info["name"]): _seen(info) for info in listed}

    def fetch(self, place: Remote, seen: Seen, start: int, end: int) -> bytes:
        """One range of an object."""
        with _told():
            return self._range(place.path, seen, start, end)

    def _range(self, path: str, seen: Seen, start: int, end: int) -> bytes:  # noqa: ARG002  others use the version
        return bytes(self._files.cat_file(path, start=start, end=end))

    def begin(self, place: Remote, seen: Seen, start: int) -> Iterator[bytes]:
        """Not here: a pass is made of ranges.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError


class S3Store(ObjectStore):
    """S3 and what speaks like it: every range names the entity tag that it must be of."""

    conditional = True

    def _range(self, path: str, seen: Seen, start: int, end: int) -> bytes:
        bucket, _, key = path.partition("/")
        asked = {"Range": f"bytes={start}-{end - 1}", "IfMatch": f'"{seen.version}"'}
        answer = self._files.call_s3("get_object", Bucket=bucket, Key=key, **asked)
        body = answer["Body"]
        try:
            if answer["ETag"].strip('"') != seen.version:
                raise ChangedError
            if answer["ContentLength"] != end - start:
                raise RemoteError(errno.EPROTO, "the store answered with another range than it was asked for")
            return bytes(sync(self._files.loop, body.read))
        finally:
            body.close()


class GoogleStore(ObjectStore):
    """Google Cloud Storage: every range names the generation that it must be of."""

    conditional = True

    def _range(self, path: str, seen: Seen, start: int, end: int) -> bytes:
        try:
            return bytes(self._files.cat_file(path, start=start, end=end, generation=seen.version))
        except FileNotFoundError:
            raise ChangedError from None  # this generation is gone: overwritten, or deleted


class Hub(ObjectStore):
    """Datasets of the Hugging Face Hub. Paths name a commit, which never changes.

    Its library lists; ranges are asked for here, because it would try each of them again by itself and say of which
    file. Where the Hub hands on to its own storage, the token stays behind.
    """

    conditional = True

    def _range(self, path: str, seen: Seen, start: int, end: int) -> bytes:
        from huggingface_hub import get_session  # noqa: PLC0415 - an extra
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # noqa: PLC0415 - an extra

        form = _AT_COMMIT.fullmatch(path)
        if form is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object")
        address = f"{self._files.endpoint}/datasets/{form[1]}/resolve/{form[2]}/{quote(form[3])}"
        headers = {**build_hf_headers(), "Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        session = get_session()
        with session.stream("GET", address, headers=headers, timeout=READ_SECONDS, follow_redirects=True) as answer:
            answer.raise_for_status()
            whole = (start, end) == (0, seen.size)
            told = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-{end - 1}/")
            if not (
                told if answer.status_code == 206 else whole
            ):  # before the body is read: it may be the whole object
                raise RemoteError(errno.EPROTO, "the Hub answered with another range than it was asked for")
            data = bytearray()
            for piece in answer.iter_raw():
                data += piece
                if len(data) > end - start:
                    raise RemoteError(errno.EPROTO, "the Hub sends more than it was asked for")
            return bytes(data)


_PLAIN = {"skip_instance_cache": True, "use_listings_cache": False}


def _s3() -> Any:
    from s3fs import S3FileSystem  # noqa: PLC0415 - an extra

    limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retries": {"total_max_attempts": 1}}
    files = S3FileSystem(config_kwargs=limits, **_PLAIN)
    files.retries = 1  # tries are ours, with waits of ours
    return files


def _google() -> Any:
    from gcsfs import GCSFileSystem  # noqa: PLC0415 - an extra

    return GCSFileSystem(**_PLAIN)


def _azure(authority: str) -> Any:
    from adlfs import AzureBlobFileSystem  # noqa: PLC0415 - an extra

    container, at, host = authority.partition("@")
    account = {"account_name": host.partition(".")[0]} if at and container else {}
    return AzureBlobFileSystem(**_PLAIN, **account)


def _hub() -> Any:
    from huggingface_hub import HfFileSystem  # noqa: PLC0415 - an extra

    return HfFileSystem(endpoint=_endpoint(), skip_instance_cache=True)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT")


def object_store(scheme: str, authority: str) -> Backend:
    """What talks to an object store.

    Raises:
        OSError: it cannot be set up as the environment is.
    """
    if scheme == "s3":
        return S3Store(_s3)
    if scheme == "gs":
        return GoogleStore(_google)
    return ObjectStore(partial(_azure, authority)) if scheme == "abfs" else Hub(_hub)


def commit_of(dataset: str, revision: str | None) -> str:
    """The commit that a revision of a Hub dataset means now.

    Raises:
        DatasetError: there is no such dataset or revision, or the Hub cannot be asked.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 - an extra

    def once() -> str:
        with _told():
            return str(HfApi(endpoint=_endpoint()).dataset_info(dataset, revision=revision).sha)

    _silence()
    try:
        return retrying()(once)
    except OSError as error:
        raise DatasetError(
            f"the Hub does not tell which commit is meant ({error.strerror})",
            expected="a dataset that exists and may be read, and a revision of it",
            where=f"hf://datasets/{dataset}",
            todo="Check owner, name, revision and HF_TOKEN (docs/remote.md).",
        ) from None
