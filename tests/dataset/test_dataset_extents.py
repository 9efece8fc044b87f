"""What a metadata table is known by (ADR 10): the footer and the columns that are read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.model.dataset import Format, Shard

ROWS = 2_000


def table_of(path, **changed):
    """Three row groups; statistics are off, so that the footer does not tell one content from another."""
    columns = {
        "url": [f"https://pictures.example/{row:06d}" for row in range(ROWS)],
        "md5": [f"{row:032x}" for row in range(ROWS)],
        "caption": [f"caption {row:06d}" for row in range(ROWS)],
    }
    for name, (row, value) in changed.items():
        columns[name][row] = value
    pq.write_table(
        pa.table(columns), path, row_group_size=700, write_statistics=False, compression="none", use_dictionary=False
    )
    return path


def digest_of(path, **mapping):
    reading = format_of(Format.PARQUET).read(
        path, Shard(path.name, Format.PARQUET, path.stat().st_size, ""), ColumnMapping(**mapping)
    )
    list(reading)
    return reading.digest


@pytest.mark.parametrize("row", [0, 699, 700, ROWS - 1])
def test_a_change_in_a_column_that_is_read_changes_the_digest(tmp_path, row):
    before = table_of(tmp_path / "a.parquet")
    for name, value in (("url", f"https://pictures.example/9{row:05d}"), ("md5", f"{1 << 90:032x}")):
        changed = table_of(tmp_path / "b.parquet", **{name: (row, value)})
        assert changed.stat().st_size == before.stat().st_size
        assert digest_of(changed) != digest_of(before)


def test_a_change_in_another_column_does_not_unless_it_is_mapped(tmp_path):
    before = table_of(tmp_path / "a.parquet")
    changed = table_of(tmp_path / "b.parquet", caption=(3, "another 000003"))
    assert digest_of(changed) == digest_of(before)
    assert digest_of(changed, key="caption") != digest_of(before, key="caption")


def test_a_change_of_the_footer_changes_the_digest(tmp_path):
    before = table_of(tmp_path / "a.parquet")
    longer = table_of(tmp_path / "b.parquet", caption=(3, "a longer caption 000003"))
    assert digest_of(longer) != digest_of(before)


def test_mappings_that_read_other_columns_give_other_digests(tmp_path):
    path = table_of(tmp_path / "a.parquet")
    assert len({digest_of(path), digest_of(path, url=""), digest_of(path, key="caption")}) == 3


def test_columns_within_columns_are_read_whole(tmp_path):
    rows = [{"a": f"{row:03d}", "b": f"{row:03d}"} for row in range(10)]
    paths = []
    for name, value in (("x", "009"), ("y", "123")):
        rows[9] = {"a": "009", "b": value}
        columns = {"md5": [f"{row:032x}" for row in range(10)], "inner.b": [r["b"] for r in rows]}
        paths.append(tmp_path / f"{name}.parquet")
        pq.write_table(pa.table(columns), paths[-1], write_statistics=False, compression="none", use_dictionary=False)
    assert digest_of(paths[0], key="inner.b") != digest_of(paths[1], key="inner.b")
    assert digest_of(paths[0]) == digest_of(paths[1])


def test_an_empty_table_has_a_digest(tmp_path):
    pq.write_table(pa.table({"md5": pa.array([], pa.string())}), tmp_path / "a.parquet")
    assert len(digest_of(tmp_path / "a.parquet")) == 64
