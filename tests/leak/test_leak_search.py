"""The search itself finds what is there: otherwise that it finds nothing would mean nothing."""

import base64
import bz2
import gzip
import io
import json
import lzma
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leak_search import Search, Secret

VALUE = bytes.fromhex("00f1e2d3c4b5a69788796a5b4c3d2e1f")
OTHER = b"https://planted.example/abcdef/picture.jpg"
SEARCH = Search([Secret("digest", VALUE), Secret("address", OTHER)])


def table(compression, binary):
    sink = io.BytesIO()
    values = [None, VALUE, b"x"] if binary else ["a", OTHER.decode(), "b"]
    pq.write_table(pa.table({"column": values}), sink, compression=compression)
    return sink.getvalue()


def zstd(data):
    return pa.Codec("zstd").compress(data, asbytes=True)


HIDDEN = {
    "raw": b"before" + VALUE + b"after",
    "hex": b"md5 " + VALUE.hex().encode(),
    "upper hex": VALUE.hex().upper().encode(),
    "base64, first place": base64.b64encode(VALUE + b"tail"),
    "base64, second place": base64.b64encode(b"x" + VALUE + b"tail"),
    "base64, third place": base64.b64encode(b"xy" + VALUE + b"tail"),
    "base64 for addresses": base64.urlsafe_b64encode(b"x" + VALUE),
    "address": b'{"url": "' + OTHER + b'"}',
    "utf-16": OTHER.decode().encode("utf-16-le"),
    "zlib": b"junk" + zlib.compress(VALUE * 2),
    "zlib, fastest": zlib.compress(OTHER, 1),
    "gzip": gzip.compress(b"text " + VALUE),
    "zstd": zstd(b"text " + OTHER * 3),
    "bzip2": bz2.compress(OTHER),
    "xz": lzma.compress(OTHER),
    "gzip in zlib": zlib.compress(gzip.compress(VALUE)),
    "parquet, plain": table("none", binary=True),
    "parquet, zstd": table("zstd", binary=True),
    "parquet, snappy": table("snappy", binary=False),
    "zlib in base64 in json": json.dumps({"a": base64.b64encode(zlib.compress(OTHER * 3)).decode()}).encode(),
}


@pytest.mark.parametrize("data", HIDDEN.values(), ids=HIDDEN.keys())
def test_a_planted_secret_is_found(tmp_path, data):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(data)
    assert SEARCH.in_folder(tmp_path)


def test_a_secret_in_a_name_is_found(tmp_path):
    (tmp_path / VALUE.hex()).write_bytes(b"")
    assert SEARCH.in_folder(tmp_path)


def test_where_nothing_is_planted_nothing_is_found(tmp_path):
    for number, data in enumerate(HIDDEN.values()):
        (tmp_path / str(number)).write_bytes(data)
    assert not Search([Secret("digest", bytes(range(100, 116)))]).in_folder(tmp_path)
