"""The npy container: one array a file. The header is matched, not evaluated as the Python literal that it is.

Format: NumPy Enhancement Proposal 1, versions 1.0 and 2.0, which `np.save` writes.
"""

import re
import struct
from typing import IO, BinaryIO

import numpy as np

from vetset.dataset.embeddings.parts import refused
from vetset.dataset.embeddings.rows import BFLOAT16, KNOWN_TYPES, StoredRows, checked_rows
from vetset.dataset.places import open_plain
from vetset.storage.remote import Place

MAX_HEADER = 10_000
"""Bytes of an npy file's header, as NumPy has it; one of vectors takes about 100."""
_TYPES = {"<f2": "float16", "<f4": "float32", "|i1": "int8", "<V2": BFLOAT16}
"""Names that NumPy gives to types; `<V2` is what it calls ml_dtypes' bfloat16, whose name it does not know."""
_NAMES = {name: descr for descr, name in _TYPES.items()}
_VERSIONS = {b"\x93NUMPY\x01\x00": struct.Struct("<H"), b"\x93NUMPY\x02\x00": struct.Struct("<I")}
_SIDE = rb"(?:0|[1-9][0-9]{0,18})"
_VALUE = rb"(?:True|False|'[<>|=]?[A-Za-z][0-9]{0,9}'|\((?:" + _SIDE + rb", ?)*(?:" + _SIDE + rb")?\))"
_FIELD = re.compile(rb"'(descr|fortran_order|shape)' ?: ?(" + _VALUE + rb")")
_DICTIONARY = re.compile(rb"\{ ?(?:" + _FIELD.pattern + rb" ?, ?){2}" + _FIELD.pattern + rb" ?,? ?\}[ \n]*")
_NUMBER = re.compile(rb"[0-9]+")


def _header_fields(stream: BinaryIO, where: str) -> tuple[tuple[int, ...], str, bool]:
    """Shape, type and order out of the beginning of an npy file."""
    version = _VERSIONS.get(stream.read(8))
    if version is None:
        raise refused("a file is no npy array of a known version", where, "version 1.0 or 2.0")
    (length,) = version.unpack(stream.read(version.size).ljust(version.size, b"\0"))
    text = stream.read(min(length, MAX_HEADER + 1))
    fields = dict(_FIELD.findall(text)) if len(text) == length <= MAX_HEADER and _DICTIONARY.fullmatch(text) else {}
    if len(fields) != 3 or fields[b"fortran_order"] not in {b"True", b"False"}:
        raise refused("the header of an npy file is damaged", where, "descr, fortran_order and shape, once each")
    shape = tuple(int(side) for side in _NUMBER.findall(fields[b"shape"]))
    return shape, fields[b"descr"].strip(b"'\"").decode("ascii"), fields[b"fortran_order"] == b"True"


def npy_shape(stream: BinaryIO, where: str) -> tuple[tuple[int, ...], str]:
    """Shape and type (a key of `STORED`, else NumPy's own name) of an array whose header begins here; read behind it.

    Raises:
        AlignmentError: the header is damaged, or the array lies in Fortran order or holds pickled objects.
    """
    shape, descr, fortran = _header_fields(stream, where)
    if fortran:
        raise refused("an array that is not rows of vectors", where, "rows one after the other", "Fortran order")
    if descr.endswith("O"):
        raise refused("an array of pickled objects, which is never loaded", where, KNOWN_TYPES)
    return shape, _TYPES.get(descr, descr)


def npy_rows(place: Place, where: str) -> StoredRows:
    """The rows of an npy file, their header proven against the file's size; nothing is unpickled or mapped.

    Raises:
        AlignmentError: it is truncated, longer than stated, or no array of rows of vectors.
        DatasetError: it cannot be read.
    """
    with open_plain(place, where) as (stream, size):
        shape, numbers = npy_shape(stream, where)
        return checked_rows(place, where, shape, numbers, (stream.tell(), size, size))


def write_npy_header(sink: BinaryIO | IO[bytes], rows: int, dimension: int, numbers: str) -> None:
    """The header of an array (rows, dimension), as `np.save` writes it."""
    header = {"descr": _NAMES[numbers], "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(sink, header)
