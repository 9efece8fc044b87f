"""Where a dataset's files are opened, listed and copied; every file of this room is opened through here.

A place is a local path, or a folder or object behind an address (`storage.remote`); what differs between the two is
decided here. Paths come from data that may be hostile: a shard's uri may not leave its root, and a symbolic
link that leads out of the root, or to a folder, is refused instead of followed.
"""

import hashlib
import io
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar

from blake3 import blake3

from vetset.model.errors import DatasetError, OutputError
from vetset.storage.commit import PARTIAL
from vetset.storage.remote import ChangedError, Place, Remote, Seen

CHUNK = 1 << 20
MAX_PICTURE = 1 << 30
"""Bytes of one picture that a reader is willing to hold; above it the record is `too_large`."""
MAX_TEXT = 16 << 20
"""Bytes of one JSON or caption file that are parsed; above it the file counts as malformed."""
IMAGE_SUFFIXES = frozenset({
    "avif", "bmp", "dib", "gif", "heic", "heif", "ico", "jfif", "jp2", "jpe", "jpeg", "jpg", "jxl", "pbm", "pgm",
    "png", "pnm", "ppm", "tga", "tif", "tiff", "webp",
})  # fmt: skip
"""Suffixes, in lower case, of what counts as a picture. What is in it is found out later, from its bytes."""

SHARD_SUFFIXES = frozenset({"tar", "parquet", "arrow"})
"""Suffixes, in lower case, of files that hold many records: their names are told, as those of shards are."""


@dataclass(frozen=True, slots=True)
class Found:
    """One regular file below a root: path relative to it, with forward slashes, and what `stat` says.

    `version` is what a store says of a remote object instead of a time: entity tag, generation or digest.
    """

    uri: str
    size: int
    mtime_ns: int
    version: str = ""


T = TypeVar("T")
AnyPlace = TypeVar("AnyPlace", Path, Remote, Place)


def base_of(root: AnyPlace) -> AnyPlace:
    """The folder that uris are relative to: the root itself, or the folder of a root that is one file."""
    return root.parent if root.is_file() else root


def place(root: AnyPlace, uri: str) -> AnyPlace:
    """The place of a uri below a root.

    Raises:
        DatasetError: the uri is absolute or climbs out of the root.
    """
    parts = PurePosixPath(uri).parts
    if not uri or uri.startswith("/") or ".." in parts or "\0" in uri:
        raise DatasetError(
            "a shard's uri leaves the dataset",
            expected="a relative path without '..'",
            todo="The store or order belongs to another dataset, or was tampered with.",
        )
    return base_of(root).joinpath(*parts)


def place_found(root: Place, found: Found) -> Place:
    """The place of a file that was listed; of a remote one, the version that was listed is the one that is meant."""
    there = place(root, found.uri)
    if isinstance(there, Remote):
        there.seen = Seen(found.size, found.version)
    return there


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn the operating system's refusals into a `DatasetError` that names the shard and no file below it."""
    try:
        yield
    except ChangedError:
        raise DatasetError(
            "changed while it was read",
            expected="one version from the first byte to the last",
            where=where,
            todo="Run again when nobody writes there any more.",
        ) from None
    except OSError as error:
        raise DatasetError(
            f"cannot be read ({error.strerror or type(error).__name__})",
            where=where,
            todo=getattr(error, "todo", None) or "Check that the file is still there and may be read.",
        ) from None


def _kept_link(entry: os.DirEntry[str], base: Path, folder_uri: str) -> None:
    """Refuse a link that leads elsewhere; a shard is named, a picture, whose name is its key, only by its folder."""
    target = Path(entry.path).resolve()
    if not target.is_file() or not target.is_relative_to(base.resolve()):
        raise DatasetError(
            "a symbolic link leads out of the dataset, to a folder, or nowhere",
            expected="regular files, or links to files of the same dataset",
            where=str(PurePosixPath(folder_uri, entry.name if suffix_of(entry.name) in SHARD_SUFFIXES else "")),
            todo="Replace the link by a copy of what it points to, or scan the place that it points to.",
        )


def _found(uri: str, seen: Seen) -> Found:
    return Found(uri, seen.size, 0, seen.version)


def _list_remote(base: Remote, folder_uri: str) -> tuple[list[Found], list[str]]:
    there = place(base, folder_uri) if folder_uri else base
    with readable(folder_uri or str(base)):
        files, folders = there.backend.entries(there)
    before = f"{folder_uri}/" if folder_uri else ""
    found = sorted((_found(before + name, seen) for name, seen in files.items()), key=lambda file: file.uri)
    return found, sorted(before + name for name in folders)


def list_folder(base: Place, folder_uri: str) -> tuple[list[Found], list[str]]:
    """Regular files of one folder and uris of its subfolders, both sorted.

    Raises:
        DatasetError: the folder cannot be read, or holds a link that is refused.
    """
    if isinstance(base, Remote):
        return _list_remote(base, folder_uri)
    files, folders = [], []
    with readable(folder_uri or "."), os.scandir(base / folder_uri) as entries:
        for entry in entries:
            uri = f"{folder_uri}/{entry.name}" if folder_uri else entry.name
            if entry.is_symlink():
                _kept_link(entry, base, folder_uri)
            status = entry.stat()
            if stat.S_ISDIR(status.st_mode):
                folders.append(uri)
            elif stat.S_ISREG(status.st_mode):
                files.append(Found(uri, status.st_size, status.st_mtime_ns))
    return sorted(files, key=lambda found: found.uri), sorted(folders)


def _walk_remote(root: Remote) -> Iterator[Found]:
    with readable(str(root)):
        if root.is_file():
            yield _found(root.name, root.require())
            return
        below = root.backend.below(root)
    if not below:
        raise DatasetError("there is no dataset at this place", where=str(root), todo="Check the address.")
    # as local folders are walked: a folder's files come before those of its subfolders
    for uri in sorted(below, key=lambda uri: (uri.split("/")[:-1], uri)):
        yield _found(uri, below[uri])


def walk_files(root: Place) -> Iterator[Found]:
    """Every regular file below a root (or the root, if it is one), folder by folder.

    Raises:
        DatasetError: nothing is there, a folder cannot be read, or a link is refused.
    """
    if isinstance(root, Remote):
        yield from _walk_remote(root)
        return
    if root.is_file():
        status = root.stat()
        yield Found(root.name, status.st_size, status.st_mtime_ns)
        return
    if not root.is_dir():
        raise DatasetError("there is no dataset at this place", where=root.name, todo="Check the path.")
    waiting = [""]
    while waiting:
        files, folders = list_folder(root, waiting.pop())
        yield from files
        waiting.extend(reversed(folders))


def one_file(base: Place, uri: str) -> Found:
    """What `stat` says of one file.

    Raises:
        DatasetError: it is not there.
    """
    with readable(uri):
        if isinstance(base, Remote):
            return _found(uri, base.joinpath(uri).require())
        status = base.joinpath(uri).stat()
    return Found(uri, status.st_size, status.st_mtime_ns)


def belongs_to_embeddings(root: Place, found: Found) -> bool:
    """Whether a table is the metadata of clip-retrieval embeddings that lie inside the dataset."""
    parts = found.uri.split("/")
    if len(parts) < 2 or parts[-2] != "metadata" or suffix_of(found.uri) != "parquet":
        return False
    with readable(found.uri):
        return root.joinpath(*parts[:-2], "img_emb").is_dir()


def is_there(root: Place, uri: str) -> bool:
    """Whether there is a file of this uri.

    Raises:
        DatasetError: the uri leaves the root, or the store does not say.
    """
    with readable(uri):
        return place(root, uri).is_file()


def suffix_of(uri: str) -> str:
    """Lower-case suffix of a file name without its dot; empty where there is none."""
    return PurePosixPath(uri).suffix[1:].lower()


def stamp_of(files: Iterable[Found]) -> str:
    """A short digest of names, sizes and times (or versions): it changes when files change, without reading them."""
    digest = hashlib.sha256()
    for found in files:
        stamp = found.version or found.mtime_ns
        digest.update(f"{found.size} {stamp} ".encode() + os.fsencode(found.uri) + b"\n")
    return digest.hexdigest()[:32]


class _Hashing(io.RawIOBase):
    """A raw stream that digests what passes through it."""

    def __init__(self, raw: io.RawIOBase, update: Callable[[memoryview], object]) -> None:
        self._raw = raw
        self._update = update

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        count = self._raw.readinto(buffer)
        if count:
            self._update(memoryview(buffer)[:count])
        return count


@contextmanager
def _one_version(handle: int) -> Iterator[int]:
    """The size of an open file, in which nobody writes meanwhile; one that takes its place is another file.

    Raises:
        ChangedError: somebody did, so that what was read is of two versions.
    """
    before = os.fstat(handle)
    yield before.st_size
    after = os.fstat(handle)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise ChangedError


@contextmanager
def open_pass(path: Place, start: int = 0, end: int | None = None) -> Iterator[tuple[io.RawIOBase, int]]:
    """Open a file for one pass from `start`: raw stream and size of the whole file. Not beyond `end`, if it is remote.

    Raises:
        OSError: it cannot be opened or read; see `readable`.
    """
    if isinstance(path, Remote):
        with path.open_pass(start, end) as opened:
            yield opened
    else:
        with path.open("rb", buffering=0) as raw, _one_version(raw.fileno()) as size:
            raw.seek(start)
            yield raw, size


@contextmanager
def open_hashed(path: Place, where: str) -> Iterator[tuple[BinaryIO, int, Callable[[], str]]]:
    """Open a file for one pass: stream (not seekable), size, and a function that gives the BLAKE3 of what was read.

    Raises:
        DatasetError: the file cannot be opened or read, or changed meanwhile.
    """
    digest = blake3()
    with readable(where), open_pass(path) as (raw, size):
        stream = io.BufferedReader(_Hashing(raw, digest.update), CHUNK)
        yield stream, size, digest.hexdigest


def in_order(root: Place, files: Iterable[Found], read: Callable[[Found], T]) -> Iterator[T]:
    """What `read` gives for each of these files, in their order; remote ones are read some ahead, within a bound."""
    if not isinstance(root, Remote):
        yield from map(read, files)
        return
    from vetset.storage.transfer import together  # noqa: PLC0415 - its packages are extras

    yield from together((found.size, partial(read, found)) for found in files)


@contextmanager
def open_plain(path: Place, where: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file for ranged reading: stream (seekable) and size.

    Raises:
        DatasetError: the file cannot be opened or read, or changed meanwhile.
    """
    with readable(where):
        if isinstance(path, Remote):
            with path.open_ranged() as opened:
                yield opened
        else:
            with path.open("rb") as stream, _one_version(stream.fileno()) as size:
                yield stream, size


def read_whole(path: Place, where: str, limit: int) -> bytes:
    """All bytes of a file that is no longer than `limit`.

    Raises:
        DatasetError: the file is longer, or cannot be read.
    """
    with open_plain(path, where) as (stream, size):
        if size > limit:
            raise DatasetError(
                "a file is larger than is sensible", expected=f"≤ {limit} bytes", seen=f"{size} bytes", where=where
            )
        # Not `limit`: Python makes room for all that it is asked for before it reads.
        return stream.read(size)


@contextmanager
def writable(where: str) -> Iterator[None]:
    """Turn the operating system's refusals to write into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"writing failed ({error.strerror or type(error).__name__})",
            where=where,
            todo="Free space or mend the permissions there, then run the same command.",
        ) from None


@contextmanager
def new_file(out: Path, uri: str) -> Iterator[Path]:
    """Yield a temporary path that becomes `out/uri`; what is there already is never replaced.

    Nothing is forced to disk here: a revision is built in a fresh folder that is made durable as a whole.

    Raises:
        OutputError: something is there already, or writing failed.
    """
    target = place(out, uri)
    if target.exists() or target.is_symlink():
        todo = "Write the new revision into an empty folder."
        raise OutputError("a file is there already", where=out.name, todo=todo)
    # A name of its own: the dataset's may be as long as names can be.
    temporary = target.with_name(f"{secrets.token_hex(8)}{PARTIAL}")
    try:
        with writable(out.name):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def read_range(source: BinaryIO, start: int, end: int, where: str) -> Iterator[bytes]:
    """The bytes [start, end) of a file, in chunks of at most 1 MiB.

    Raises:
        DatasetError: the source ended before the range did.
    """
    source.seek(start)
    left = end - start
    while left:
        chunk = source.read(min(left, CHUNK))
        if not chunk:
            raise DatasetError("the file became shorter while it was read", where=where, todo="Run again.")
        yield chunk
        left -= len(chunk)


def copy_ranges(source: BinaryIO, ranges: Iterable[tuple[int, int]], sink: BinaryIO, where: str) -> int:
    """Copy byte ranges [start, end) verbatim; the number of bytes copied.

    Raises:
        DatasetError: the source ended before a range did.
    """
    copied = 0
    for start, end in ranges:
        sink.writelines(read_range(source, start, end, where))
        copied += end - start
    return copied


def copy_file(source: Place, out: Path, uri: str, *, where: str | None = None) -> None:
    """Copy one file verbatim to `out/uri`; `where` stands for it in errors, if its own name should not.

    Raises:
        DatasetError: the source cannot be read.
        OutputError: the target exists or cannot be written.
    """
    named = where or uri
    with open_plain(source, named) as (stream, size), new_file(out, uri) as target, target.open("wb") as sink:
        copy_ranges(stream, [(0, size)], sink, named)
