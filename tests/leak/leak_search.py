"""Looks for planted secrets in all that a run wrote: as they are, encoded, inside Parquet, inside compression."""

import base64
import bz2
import io
import lzma
import zlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MOST_INFLATED = 1 << 24
LEAST_STREAM = 4


@dataclass(frozen=True)
class Secret:
    """One planted value; `name` is what a failure may print."""

    name: str
    value: bytes


def base64_cores(value):
    """The middle of a value's base64 form, for each of the three places that it can begin at within a longer text."""
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + value)
        first = -(-shift * 8 // 6)
        whole = (shift + len(value)) * 8 // 6
        yield encoded[first:whole]


def forms(value):
    """Every form that is looked for, by name."""
    found = {"raw": value, "hex": value.hex().encode(), "HEX": value.hex().upper().encode()}
    found["utf-16"] = value.decode("latin-1").encode("utf-16-le")
    found["percent"] = b"".join(b"%%%02X" % byte for byte in value)
    found["reversed"] = value[::-1]
    for number, core in enumerate(base64_cores(value)):
        found[f"base64/{number}"] = core
        found[f"base64url/{number}"] = core.replace(b"+", b"-").replace(b"/", b"_")
    return found


class Search:
    """Finds any of many secrets in bytes, by an index over the first bytes of every form."""

    WIDTH = 8

    def __init__(self, secrets):
        self._by_start = {}
        for secret in secrets:
            for form, data in forms(secret.value).items():
                self._by_start.setdefault(data[: self.WIDTH], []).append((secret.name, form, data))

    def in_bytes(self, data, where):
        """What is found in these bytes, and in whatever they hold compressed or as a table."""
        found = set()
        for place, piece in unfolded(data, where):
            found |= self._plain(piece, place)
        return found

    def _plain(self, data, where):
        return {
            (name, form, where)
            for start, forms_of in self._by_start.items()
            if start in data
            for name, form, whole in forms_of
            if whole in data
        }

    def in_folder(self, folder):
        """What is found in every file below a folder, and in the names of files."""
        found = set()
        for path in sorted(Path(folder).rglob("*")):
            found |= self._plain(str(path.relative_to(folder)).encode(), f"name of {path.name}")
            if path.is_file():
                found |= self.in_bytes(path.read_bytes(), str(path.relative_to(folder)))
        return found


def unfolded(data, where, depth=0):
    """The bytes themselves, then what can be read out of them, layer by layer."""
    yield where, data
    if depth == 3:
        return
    if data[:4] == b"PAR1" == data[-4:]:
        yield f"{where}: table", table_bytes(pq.read_table(io.BytesIO(data)))
    for name, start, inflate in STREAMS:
        position = data.find(start)
        while position >= 0:
            inner = inflate(data[position:])
            if len(inner) >= LEAST_STREAM:
                yield from unfolded(inner, f"{where}: {name} at {position}", depth + 1)
            position = data.find(start, position + 1)
    for text in decoded(data):
        yield from unfolded(text, f"{where}: base64", depth + 1)


def table_bytes(table):
    """Every cell and the metadata of a table, one after the other."""
    cells = [repr(table.schema.metadata).encode()]
    for column in table.columns:
        values = column.to_pylist()
        cells += [value if isinstance(value, bytes) else repr(value).encode() for value in values]
    return b"\n".join(cells)


def decoded(data):
    """Long runs of base64 in a text, as in an envelope."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
    if data[:1] not in b'{["' or len(data) < 60:
        return
    for run in data.split(b'"'):
        if len(run) >= 40 and not run.strip(alphabet):
            try:
                yield base64.b64decode(run, validate=True)
            except ValueError:
                continue


def _zlib(wbits):
    def inflate(data):
        inflater = zlib.decompressobj(wbits)
        try:
            return inflater.decompress(data, MOST_INFLATED)
        except zlib.error:
            return b""

    return inflate


def _zstd(data):
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return stream.read(MOST_INFLATED)
    except (OSError, pa.ArrowInvalid):
        return b""


def _by(module):
    def inflate(data):
        try:
            return module.decompress(data)
        except (OSError, ValueError, EOFError, lzma.LZMAError):
            return b""

    return inflate


STREAMS = (
    ("zlib", b"\x78\x01", _zlib(15)),
    ("zlib", b"\x78\x5e", _zlib(15)),
    ("zlib", b"\x78\x9c", _zlib(15)),
    ("zlib", b"\x78\xda", _zlib(15)),
    ("gzip", b"\x1f\x8b\x08", _zlib(31)),
    ("zstd", b"\x28\xb5\x2f\xfd", _zstd),
    ("bzip2", b"BZh", _by(bz2)),
    ("xz", b"\xfd7zXZ\x00", _by(lzma)),
)
