"""The walk over a tar's headers: of what it accepts, Python's tarfile reads the same files.

tarfile stops without a word where an owner or a time is no number, so that its files may be fewer; never others.
"""

import io
import tarfile
from typing import BinaryIO

from fuzz_targets.headers import mended
from vetset.dataset.tar import TarWalk
from vetset.model.errors import DatasetError


class _Forward(io.BytesIO):
    """A stream that cannot go back, as the reader that digests sees it."""

    def seekable(self) -> bool:
        return False


def _walked(stream: BinaryIO, size: int) -> list[tuple[str, bytes]] | None:
    walk = TarWalk(stream, size, "x.tar")
    try:
        return [(m.name.decode("utf-8", "surrogateescape"), walk.content(m)) for m in walk if m.regular]
    except DatasetError:
        return None


def _by_tarfile(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8") as archive:
            for member in archive:
                found += [(member.name, archive.extractfile(member).read())] if member.isreg() else []
    except (tarfile.TarError, EOFError):
        return found
    return found


def target(data: bytes) -> None:
    """Both as it came and with checksums that hold."""
    for archive in (data, mended(data)):
        ours = _walked(io.BytesIO(archive), len(archive))
        for ahead in (512, 2048, 1 << 20):
            through = io.BufferedReader(_Forward(archive), ahead)
            assert ours == _walked(through, len(archive)), "seeking and reading through disagree"
        if ours is not None:
            theirs = _by_tarfile(archive)
            assert theirs == ours[: len(theirs)], "tarfile reads other files out of this archive"
