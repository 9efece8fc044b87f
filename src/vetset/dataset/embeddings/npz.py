"""The npz container: npy arrays in a zip, as `np.savez` writes them. What is packed by deflate is refused.

The archive's directory is read by Python's `zipfile`; where an array begins is taken from its own header, which must
agree with the directory. DataComp's `UID.npz` are such files.
"""

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.embeddings.npy import npy_shape, write_npy_header
from vetset.dataset.embeddings.parts import refused
from vetset.dataset.embeddings.rows import StoredRows, checked_rows
from vetset.dataset.places import open_plain
from vetset.storage.remote import Place

MAX_ARRAYS = 100
_LOCAL = struct.Struct("<4s5H3I2H")
_SUFFIX = ".npy"
_NOT_PLAIN = 0x1 | 0x20 | 0x40
"""Flags of a member that is encrypted, patched, or strongly encrypted (APPNOTE 4.4.4)."""
_DAMAGED = (zipfile.BadZipFile, struct.error, ValueError, OverflowError, NotImplementedError, RuntimeError)
"""What `zipfile` raises for archives that are damaged, or made in ways that it does not know."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """The arrays of one archive, proven against its size.

    Attributes:
        where: part, for errors.
        arrays: by name, in their order; all of them are rows of vectors.
    """

    where: str
    arrays: Mapping[str, StoredRows]

    def candidates(self) -> list[str]:
        """Names of arrays that could be rows of vectors."""
        return list(self.arrays)

    def rows(self, name: str) -> StoredRows:
        """The rows of an array."""
        return self.arrays[name]

    def write(self, keep: NDArray[np.bool_], target: Path) -> None:
        """Write the kept rows of every array, in their order.

        Raises:
            AlignmentError: an array has another number of rows, or the file changed.
            DatasetError: it cannot be read.
        """
        kept = int(np.count_nonzero(keep))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for name, stored in self.arrays.items():
                # a fixed time: the same rows give the same bytes
                member = zipfile.ZipInfo(name + _SUFFIX, (1980, 1, 1, 0, 0, 0))
                with archive.open(member, "w", force_zip64=True) as sink:
                    write_npy_header(sink, kept, stored.dimension, stored.numbers)
                    stored.stretch.copy(keep, sink)


def _content(stream: BinaryIO, member: zipfile.ZipInfo, where: str) -> tuple[int, int]:
    """Where the content of a member begins and ends, by its own header."""
    stream.seek(member.header_offset)
    fields = _LOCAL.unpack(stream.read(_LOCAL.size))
    magic, _, flags, method, *_, name_length, extra_length = fields
    name = stream.read(name_length)
    plain = (
        magic == b"PK\x03\x04"
        and not (flags | member.flag_bits) & _NOT_PLAIN
        and method == member.compress_type == zipfile.ZIP_STORED
    )
    if not plain or member.file_size != member.compress_size or name != member.orig_filename.encode("utf-8"):
        raise refused("an array of an npz file is packed, encrypted or damaged", where, "what np.savez writes")
    begin = member.header_offset + _LOCAL.size + name_length + extra_length
    return begin, begin + member.file_size


def read_arrays(place: Place, where: str) -> Arrays:
    """The arrays of an npz file.

    Raises:
        AlignmentError: it is damaged, truncated or compressed, or holds something else than rows of vectors.
        DatasetError: it cannot be read.
    """
    with open_plain(place, where) as (stream, size):
        try:
            with zipfile.ZipFile(stream) as archive:
                members = archive.infolist()
            extents = [_content(stream, member, where) for member in members[: MAX_ARRAYS + 1]]
        except _DAMAGED:
            raise refused("an npz file is damaged", where, "what np.savez writes") from None
        names = [member.filename.removesuffix(_SUFFIX) for member in members]
        if len(members) > MAX_ARRAYS or len(set(names)) != len(names):
            raise refused("an npz file holds a name twice, or too many", where, f"at most {MAX_ARRAYS} arrays")
        order = sorted(extents)
        if any(begin < end for (_, end), (begin, _) in pairwise(order)):
            raise refused("arrays of an npz file lie in each other", where, "what np.savez writes")
        found = {}
        for name, (begin, end) in zip(names, extents, strict=True):
            stream.seek(begin)
            shape, numbers = npy_shape(stream, where)
            found[name] = checked_rows(place, where, shape, numbers, (stream.tell(), end, size))
    return Arrays(where, found)
