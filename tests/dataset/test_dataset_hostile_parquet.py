"""Tables that were made to exhaust or mislead: refused, or read in bounded memory. Limits hold in a process apart."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vetset.dataset import sidecar
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.dataset.sidecar import Sidecar
from vetset.dataset.tables import open_table
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.signal import URL_KINDS, Kind, Reason

PARQUET = format_of(Format.PARQUET)
MAPPING = ColumnMapping()
MD5 = "0123456789abcdef" * 2
ROOM = 256
"""MiB that a reading process may ask for beyond what its libraries took."""

LIMITED = """
import resource, sys
from pathlib import Path
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
def status(name):
    (line,) = [line for line in open("/proc/self/status") if line.startswith(name + ":")]
    return int(line.split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + (int(sys.argv[2]) << 20),) * 2)
table, path = format_of(Format.PARQUET), Path(sys.argv[1])
(shard,) = table.discover(path)
before = status("VmHWM")
try:
    print("rows", sum(len(batch) for batch in table.read(path, shard, ColumnMapping())))
except DatasetError as error:
    print("refused", error)
print(status("VmHWM") - before >> 20)
"""


def within_limits(path):
    """What reading a table says, and how much more memory than before it held, in MiB."""
    command = [sys.executable, "-c", LIMITED, str(path), str(ROOM)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    told, peak = done.stdout.splitlines()
    return told, int(peak)


def written(path, table, **settings):
    pq.write_table(table, path, store_schema=False, **settings)
    return path


def rows_of(path):
    (shard,) = PARQUET.discover(path)
    return [
        (batch.first_row + row, batch.urls[row].as_py() if batch.urls is not None else None, batch)
        for batch in PARQUET.read(path, shard, MAPPING)
        for row in range(len(batch))
    ]


def test_one_long_value_that_a_dictionary_repeats_to_ten_gigabytes_costs_its_file_and_not_the_process(tmp_path):
    rows = 40_000
    urls = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["u" * (256 << 10)]))
    path = written(tmp_path / "x.parquet", pa.table({"url": urls}))
    assert path.stat().st_size < 1 << 20
    told, peak = within_limits(path)
    assert told.startswith("refused x.parquet: reading the parquet file takes more memory than there is")
    assert peak <= ROOM


def test_a_page_that_unpacks_to_a_thousand_times_its_size_costs_its_file_and_not_the_process(tmp_path):
    # The page and its values are in memory together.
    urls = pa.array(["u" * (1 << 20)] * 160, pa.large_string())
    settings = {"use_dictionary": False, "compression": "zstd", "data_page_size": 1 << 30, "write_statistics": False}
    path = written(tmp_path / "x.parquet", pa.table({"url": urls}), **settings)
    assert path.stat().st_size < 160 << 10
    told, peak = within_limits(path)
    assert told.startswith("refused x.parquet: reading the parquet file takes more memory than there is")
    assert peak <= ROOM


def test_a_table_beside_a_tar_of_more_rows_than_is_sensible_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "x.parquet", pa.table({"key": ["a", "b", "c"]}), row_group_size=2)
    monkeypatch.setattr(sidecar, "MAX_SIDECAR_ROWS", 3)
    assert Sidecar(path, "x.parquet", MAPPING).keys == ["a", "b", "c"]
    monkeypatch.setattr(sidecar, "MAX_SIDECAR_ROWS", 2)
    with pytest.raises(DatasetError, match="more rows than is sensible"):
        Sidecar(path, "x.parquet", MAPPING)


def test_a_row_group_of_millions_is_read_in_bounded_memory(tmp_path):
    rows = 3_000_000
    path = written(tmp_path / "x.parquet", pa.table({"url": pa.nulls(rows, pa.string())}), row_group_size=rows)
    told, peak = within_limits(path)
    assert told == f"rows {rows}"
    assert peak <= ROOM // 2


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[MD5]]), pa.array([{"md5": MD5}]), pa.array([1]), pa.array([1.5]), pa.array([True]),
        pa.array([[(MD5, 1)]], pa.map_("string", pa.int64())), pa.array([0], pa.timestamp("ns")),
    ],
    ids=lambda column: str(column.type).split("<")[0].split("[")[0],
)  # fmt: skip
@pytest.mark.parametrize("name", ["md5", "url"])
def test_a_column_of_another_type_is_refused_and_not_guessed_at(tmp_path, name, column):
    path = written(tmp_path / "x.parquet", pa.table({name: column}))
    with pytest.raises(DatasetError, match="of another type"):
        rows_of(path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("dictionary", [True, False])
def test_every_way_to_store_text_gives_the_same_addresses(tmp_path, kind, dictionary):
    urls = pa.array(["u", None, "v", "u"], kind)
    path = written(tmp_path / "x.parquet", pa.table({"url": urls}), use_dictionary=dictionary, row_group_size=3)
    assert [url for _, url, _ in rows_of(path)] == ["u", None, "v", "u"]


def damaged_text(**columns):
    """A table of text columns some of whose cells are no UTF-8."""
    arrays = {}
    for name, values in columns.items():
        stored = pa.array(values, pa.binary())
        arrays[name] = pa.Array.from_buffers(pa.string(), len(stored), stored.buffers())
    return pa.table(arrays)


def test_text_that_is_no_utf8_costs_its_cell_and_not_its_table(tmp_path):
    table = damaged_text(
        url=[b"u\xff", b"v"], md5=[MD5.encode(), b"\xff" * 32], key=[b"k\xff", b"l"], words=[b"\xff", b"w"]
    )
    path = written(tmp_path / "x.parquet", table)
    (shard,) = PARQUET.discover(path)
    found = PARQUET.read_rows(path, shard, [0, 1], MAPPING)
    assert [found[row].key for row in (0, 1)] == ["k\\xff", "l"]
    assert [batch.keys.to_pylist() for batch in PARQUET.read(path, shard, MAPPING)] == [["k\\xff", "l"]]
    assert (found[0].fields.url, found[1].fields.url) == (None, "v")
    assert set(URL_KINDS) <= found[0].fields.malformed
    assert found[0].fields.declared == {Kind.MD5: bytes.fromhex(MD5)}
    assert Kind.MD5 in found[1].fields.malformed


def test_the_table_beside_a_tar_may_hold_text_that_is_no_utf8(tmp_path):
    path = written(tmp_path / "x.parquet", damaged_text(url=[b"u\xff", b"v"], key=[b"a", b"b"], words=[b"\xff", b"w"]))
    sidecar = Sidecar(path, "x.parquet", MAPPING)
    assert (sidecar.fields(0).url, sidecar.fields(1).url) == (None, "v")
    assert set(URL_KINDS) <= sidecar.fields(0).malformed
    assert sorted(sidecar.full_fields([0, 1])) == [0, 1]


def test_the_table_beside_a_tar_takes_no_more_memory_than_it_has_bytes(tmp_path, monkeypatch):
    asked = []
    path = written(tmp_path / "x.parquet", pa.table({"key": ["a"]}))
    from vetset.dataset import places

    class Watched:
        def __init__(self, stream):
            self.stream = stream

        def read(self, count):
            asked.append(count)
            return self.stream.read(count)

    opened = places.open_plain

    from contextlib import contextmanager

    @contextmanager
    def watched(path, where):
        with opened(path, where) as (stream, size):
            yield Watched(stream), size

    monkeypatch.setattr(places, "open_plain", watched)
    Sidecar(path, "x.parquet", MAPPING)
    assert asked
    assert max(asked) <= path.stat().st_size


def test_reasons_are_given_for_digests_that_are_none(tmp_path):
    path = written(tmp_path / "x.parquet", pa.table({"md5": pa.array([MD5, "x" * 32, None, MD5[:-1], ""])}))
    (_, _, batch), *_ = rows_of(path)
    codes = [0, Reason.MALFORMED_VALUE.code, Reason.NULL_VALUE.code, *[Reason.MALFORMED_VALUE.code] * 2]
    assert batch.declared[Kind.MD5].why.tolist() == codes


def test_damage_is_told_from_what_the_system_refuses(tmp_path):
    """Arrow raises an `OSError` for both, and puts the whole path into the second."""
    find = (
        Path(__file__).parents[1] / "fuzz" / "corpus" / "table_beside" / "found-column-that-is-a-structure-of-nothing"
    )
    with pytest.raises(DatasetError, match="is damaged"), open_table(find, "00000.parquet") as table:
        table.read_row_group(0)
    with pytest.raises(DatasetError, match=r"cannot be read \(No such file or directory\)") as told:  # noqa: SIM117
        with open_table(tmp_path / "00000.parquet", "00000.parquet"):
            pass
    assert str(tmp_path) not in str(told.value)
