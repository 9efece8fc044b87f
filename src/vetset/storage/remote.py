"""A place behind an address: a folder of objects, or one object, read-only.

`Remote` answers to the names that readers use of a local path (`joinpath`, `is_file`, …), so that a reader does not
know where it reads. It is plain values and travels to workers; what talks to the other side is made anew in each
process. Errors are this module's own and hold fixed words: what a library says may repeat an address or a key.
"""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, TypeAlias, cast

from vetset.model.errors import MissingExtraError

HTTP = frozenset({"http", "https"})
OBJECTS = frozenset({"s3", "gs", "abfs", "hf"})


class RemoteError(OSError):
    """Reading from afar failed, and trying again will not help.

    Args:
        number: the `errno` that comes closest.
        problem: what happened, in words of ours.
        todo: what can be done about it.
    """

    def __init__(self, number: int, problem: str, todo: str | None = None) -> None:
        super().__init__(number, problem)
        self.todo = todo

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, self.strerror, self.todo)


class TransientError(RemoteError):
    """Reading from afar failed in a way that may pass: a lost connection, an overloaded server."""


class ChangedError(RemoteError):
    """What lies there is not what was listed or opened."""

    def __init__(self, number: int = errno.ESTALE, problem: str = "changed", todo: str | None = None) -> None:
        super().__init__(number, problem, todo)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an object without reading it.

    Attributes:
        size: bytes.
        version: entity tag, generation or digest; changes when the object does.
    """

    size: int
    version: str


class Backend(Protocol):
    """What talks to one kind of store. Paths are its own.

    Every method raises `RemoteError`, or an `OSError` of the usual kinds (not found, not permitted).
    """

    conditional: bool
    """Whether `fetch` itself refuses an object that is not `seen` any more."""
    streams: bool
    """Whether one pass is one long answer (`begin`) instead of many ranges."""

    def stat(self, place: "Remote") -> Seen | None:
        """What is known of an object; None where there is none of that name."""
        ...

    def is_folder(self, place: "Remote") -> bool:
        """Whether there are objects below a place."""
        ...

    def entries(self, place: "Remote") -> tuple[dict[str, Seen], list[str]]:
        """Objects of one folder and names of its subfolders."""
        ...

    def below(self, place: "Remote") -> dict[str, Seen]:
        """Every object below a place, by its path relative to it."""
        ...

    def fetch(self, place: "Remote", seen: Seen, start: int, end: int) -> bytes:
        """The bytes [start, end) of an object, all of them."""
        ...

    def begin(self, place: "Remote", seen: Seen, start: int) -> Iterator[bytes]:
        """The bytes from `start` to the end, as they come; only of a backend that `streams`."""
        ...


@dataclass(slots=True)
class Remote:
    """A folder of objects, or one object.

    Attributes:
        scheme: `s3`, `gs`, `abfs`, `hf`, `http` or `https`.
        path: what its backend calls the place; of `hf`, with the commit that the revision meant when it was looked up.
        text: its address as it is written down and shown; holds no credential.
        listing: for HTTP the address of the list of files that says what there is, or empty.
        single: whether the dataset is this one object; None where it is not the root.
        seen: the version that is meant, once it is known: everything that is read is of this one.
        digests: BLAKE3 of extents [start, end) that were read exactly, until they are asked for.
    """

    scheme: str
    path: str
    text: str
    listing: str = ""
    single: bool | None = None
    seen: Seen | None = field(default=None, compare=False)
    digests: dict[tuple[int, int], bytes] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> "Remote":
        """The folder that it lies in."""
        return Remote(self.scheme, self.path.rpartition("/")[0], self.text.rpartition("/")[0], self.listing)

    def joinpath(self, *parts: str) -> "Remote":
        """A place below this one."""
        uri = "/".join(part.strip("/") for part in parts if part)
        if not uri:
            return self
        base = self.text.rpartition("/")[0] if self.single is False and self.listing else self.text
        return Remote(self.scheme, f"{self.path}/{uri}", f"{base}/{uri}", self.listing)

    def __truediv__(self, uri: str) -> "Remote":
        return self.joinpath(uri)

    def with_suffix(self, suffix: str) -> "Remote":
        """The same place with another suffix."""
        last = PurePosixPath(self.name).stem + suffix
        return self.parent.joinpath(last)

    @property
    def backend(self) -> Backend:
        """What talks to the other side, made once in a process.

        Raises:
            MissingExtraError: the package for it is not installed.
        """
        return backend_of(self.scheme, self.text.split("/")[2] if self.scheme == "abfs" else "")

    def stat(self) -> Seen | None:
        """What is known of the object; None where there is none. The first answer is the version that is meant."""
        if self.seen is None:
            self.seen = self.backend.stat(self)
        return self.seen

    def require(self) -> Seen:
        """What is known of an object that must be there.

        Raises:
            FileNotFoundError: it is not.
        """
        seen = self.stat()
        if seen is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object")
        return seen

    def is_file(self) -> bool:
        """Whether it is one object."""
        return self.stat() is not None if self.single is None else self.single

    def is_dir(self) -> bool:
        """Whether objects lie below it."""
        return self.backend.is_folder(self) if self.single is None else not self.single

    def exists(self) -> bool:
        """Whether anything is there."""
        return self.is_file() or self.backend.is_folder(self)

    @contextmanager
    def open_pass(self, start: int = 0, end: int | None = None) -> Iterator[tuple[io.RawIOBase, int]]:
        """Open the object for one pass: raw stream (not seekable) and size; the next blocks are fetched ahead.

        Args:
            start: first byte of the pass.
            end: where it ends; None for the end of the object.

        Raises:
            OSError: it cannot be opened or read, or is not the version that was opened any more.
        """
        from vetset.storage.transfer import Ahead, require_unchanged  # noqa: PLC0415 - its packages are extras

        with Ahead(self, start=start, end=end) as stream:
            yield stream, stream.size
        require_unchanged(self)

    @contextmanager
    def open_ranged(self, *, exact: bool = False) -> Iterator[tuple[BinaryIO, int]]:
        """Open the object for ranged reading: stream (seekable) and size.

        Args:
            exact: fetch no byte beside what is asked for, and remember the digest of each extent in `digests`.

        Raises:
            OSError: it cannot be opened or read, or is not the version that was opened any more.
        """
        from vetset.storage.transfer import Ranged, require_unchanged  # noqa: PLC0415 - its packages are extras

        with Ranged(self, exact=exact) as stream:
            yield cast("BinaryIO", stream), stream.size
        require_unchanged(self)


Place: TypeAlias = Path | Remote
"""Where something lies that is read."""


_EXTRAS = {
    "s3": ("s3", ("tenacity", "fsspec", "s3fs")),
    "gs": ("gcs", ("tenacity", "fsspec", "gcsfs")),
    "abfs": ("azure", ("tenacity", "fsspec", "adlfs")),
    "hf": ("hf", ("tenacity", "fsspec", "huggingface_hub")),
    "http": ("http", ("tenacity", "urllib3")),
    "https": ("http", ("tenacity", "urllib3")),
}


def require_extra(scheme: str) -> None:
    """Refuse a scheme whose packages are not installed.

    Raises:
        MissingExtraError: one of them is missing.
    """
    extra, packages = _EXTRAS[scheme]
    for package in packages:
        try:
            import_module(package)
        except ImportError:
            raise MissingExtraError(
                f"reading from {scheme}:// needs a package that is not installed",
                expected=package,
                todo=f"Run pip install 'vetset[{extra}]'.",
            ) from None


@lru_cache(maxsize=8)
def backend_of(scheme: str, authority: str) -> Backend:
    """What talks to one kind of store (and, where accounts are part of the address, to one account).

    Raises:
        MissingExtraError: a package for it is not installed.
        OSError: it cannot be set up as the environment is.
    """
    require_extra(scheme)
    if scheme in HTTP:
        from vetset.storage.web import Web  # noqa: PLC0415 - its packages are extras

        return Web()
    from vetset.storage.objects import object_store  # noqa: PLC0415 - its packages are extras

    return object_store(scheme, authority)
