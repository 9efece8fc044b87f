"""Whether the files of a part are what was written.

Parquet's own checksums cover the data pages and nothing else: a bit that flips in a page header or in the footer may
silently exchange values, or crash the reader. So the digests of a part's files lie beside it, as `sha256sum` writes
them, and are compared before Arrow sees a byte.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from vetset.storage.commit import write_atomic

SUMS = ".sha256"


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _digest_once(path: Path, _size: int, _mtime_ns: int) -> str:
    """The digest of a committed file, taken once in a process and state of the file."""
    return file_digest(path)


def write_sums(part: Path, digests: Mapping[str, str]) -> None:
    """Write down the digests of a part's files, before the part is committed.

    Args:
        part: the part's own path.
        digests: hex SHA-256 by file name.

    Raises:
        OutputError: the disk is full.
    """
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    write_atomic(part.with_suffix(SUMS), "".join(lines).encode("ascii"))


def are_whole(part: Path) -> bool:
    """Whether a part and every other file that was written with it are there and are what was written."""
    try:
        names = {line[66:] for line in part.with_suffix(SUMS).read_text("ascii", "replace").splitlines()}
    except OSError:
        return False
    return all(is_whole(part.with_name(name)) for name in {part.name, *names} if "/" not in name)


def is_whole(path: Path) -> bool:
    """Whether a committed file of a part is there and is what was written."""
    try:
        sums = path.with_suffix(SUMS).read_bytes()
        state = path.stat()
        digest = _digest_once(path, state.st_size, state.st_mtime_ns)
    except OSError:
        return False
    return f"{digest}  {path.name}".encode("ascii") in sums.splitlines()
