"""Whether the files of a part are what was written.

Arrow takes what lies in a file for what it once wrote: a bit that flips may silently exchange values, or crash the
reader. So the digests of a part's files lie beside it, as `b3sum` writes them, and are compared before Arrow sees a
byte. BLAKE3, because every byte of the store passes here twice and SHA-256 would cost more than the join.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from blake3 import blake3

from vetset.storage.commit import write_atomic

SUMS = ".b3"
VECTORS = ".npy"
_CHUNK = 1 << 20


def file_digest(path: Path) -> str:
    """Hex BLAKE3 of a file."""
    digest = blake3()
    buffer = bytearray(_CHUNK)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    return digest.hexdigest()


@cache
def _digest_once(path: Path, _size: int, _mtime_ns: int) -> str:
    """The digest of a committed file, taken once in a process and state of the file."""
    return file_digest(path)


def write_sums(part: Path, digests: Mapping[str, str]) -> None:
    """Write down the digests of a part's files, before the part is committed.

    Args:
        part: the part's own path.
        digests: hex BLAKE3 by file name.

    Raises:
        OutputError: the disk is full.
    """
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    write_atomic(part.with_suffix(SUMS), "".join(lines).encode("ascii"))


def are_whole(part: Path) -> bool:
    """Whether a part and every other file that was written with it are there and are what was written."""
    vectors = part.with_suffix(VECTORS)
    names = {part.name, vectors.name} if vectors.exists() else {part.name}
    try:
        named = {line[66:] for line in part.with_suffix(SUMS).read_text("ascii", "replace").splitlines()}
    except OSError:
        return False
    # digests of something else were damaged themselves: nobody wrote them
    return named <= {part.name, vectors.name} and all(is_whole(part.with_name(name)) for name in names | named)


def is_whole(path: Path) -> bool:
    """Whether a committed file of a part is there and is what was written."""
    try:
        sums = path.with_suffix(SUMS).read_bytes()
        state = path.stat()
        digest = _digest_once(path, state.st_size, state.st_mtime_ns)
    except OSError:
        return False
    return f"{digest}  {path.name}".encode("ascii") in sums.splitlines()
