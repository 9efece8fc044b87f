"""What is read again of a finding's record: whatever the dataset holds there, the finding is sealed."""

import resource

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
import vetset
from vetset.dataset.parquet import ParquetFormat
from vetset.model.signal import Kind
from vetset.stage import provenance as stage_provenance

TWICE = pa.StructArray.from_arrays([pa.array([1, 3]), pa.array([2, 4])], fields=[pa.field("a", pa.int64())] * 2)


@pytest.fixture
def table(tmp_path):
    """Write a table of two rows with a column of one's own; its folder."""

    def write(column):
        root = tmp_path / "data"
        root.mkdir()
        digests = [small.md5(image).hex() for image in small.images()[1:3]]
        pq.write_table(pa.table({"url": [small.url(1), small.url(2)], "md5": digests, "x": column}), root / "x.parquet")
        return root

    return write


@pytest.mark.parametrize(
    "column",
    [
        TWICE,
        pa.ListArray.from_arrays([0, 1, 2], TWICE),
        pa.array([1, 2], pa.timestamp("ns")).dictionary_encode(),
        pa.array([1, 2], pa.timestamp("us", tz="Mars/Olympus")),
        pa.array(["a", "b"], pa.string_view()),
        pa.array([small.images()[1], b""]),
    ],
    ids=["two of one name", "list of such", "repeated nanoseconds", "unknown zone", "view", "picture"],
)
def test_a_finding_is_sealed_with_its_address_whatever_a_cell_beside_it_holds(audit, table, column):
    audited = audit(table(column), embeddings=None)
    (entry,) = audited.findings.provenance
    assert (entry.url, entry.checked) == (small.url(1), True)
    assert small.images()[1].hex()[:128] not in entry.columns


@pytest.mark.parametrize(
    "column",
    [TWICE, pa.array([1, 2], pa.timestamp("us", tz="Mars/Olympus")), pa.array(["a", "b"], pa.string_view())],
    ids=["two of one name", "unknown zone", "view"],
)
def test_such_a_table_is_cleaned(audit, table, tmp_path, column):
    audited = audit(table(column), embeddings=None)
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order.json")
    vetset.clean(audited.root, order, signer=audited.pub, out=tmp_path / "cleaned", engine=small.HERE)
    left = pq.read_table(tmp_path / "cleaned" / "x.parquet")
    assert left["url"].to_pylist() == [small.url(2)]
    assert left.schema == pq.read_table(audited.root / "x.parquet").schema


@pytest.mark.parametrize("error", [RecursionError, MemoryError, KeyError, pa.ArrowInvalid, OSError])
def test_a_finding_is_sealed_unchecked_whatever_reading_it_again_ends_with(audit, table, monkeypatch, error):
    def refused(*_):
        raise error("with words of the dataset")

    monkeypatch.setattr(ParquetFormat, "read_rows", refused)
    audited = audit(table(pa.array(["a", "b"])), embeddings=None)
    (entry,) = audited.findings.provenance
    assert (entry.url, entry.columns, entry.checked) == ("", "{}", False)
    assert [match.kind for match in audited.findings.matches] == [Kind.MD5]


def test_columns_that_cannot_be_written_down_cost_no_address(audit, table, monkeypatch):
    monkeypatch.setattr("vetset.dataset.fields.scalar", lambda _value: object())
    audited = audit(table(pa.array(["a", "b"])), embeddings=None)
    (entry,) = audited.findings.provenance
    assert (entry.url, entry.columns, entry.checked) == (small.url(1), "{}", True)


@pytest.mark.parametrize(
    "address", ["data:image/png;base64,iVBORw0KGgo=", " DATA:,x", "https://example.org/" + "x" * 9_000]
)
def test_an_address_that_may_be_the_picture_is_not_sealed(audit, tmp_path, address):
    root = tmp_path / "data"
    root.mkdir()
    md5 = small.md5(small.images()[1]).hex()
    pq.write_table(pa.table({"url": [address, small.url(1)], "md5": [md5, md5]}), root / "x.parquet")
    audited = audit(root, embeddings=None)
    first, second = audited.findings.provenance
    assert (first.url, second.url, first.checked, second.checked) == ("", small.url(1), True, True)


def test_what_lies_beside_a_finding_takes_no_more_memory_than_it_may(audit, table, monkeypatch):
    refused = []

    def greedy(*_):
        with pytest.raises(MemoryError):
            bytearray(stage_provenance.MOST_BYTES + (256 << 20))
        refused.append(resource.getrlimit(resource.RLIMIT_DATA))
        raise MemoryError

    monkeypatch.setattr(ParquetFormat, "read_rows", greedy)
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    audited = audit(table(pa.array(["a", "b"])), embeddings=None)
    assert (len(refused), len(audited.findings.provenance)) == (1, 1)
    assert limits == resource.getrlimit(resource.RLIMIT_DATA) != refused[0]


LONG = "a" * (96 << 20)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([LONG, "b"]),
        pa.array([[LONG[: 4 << 20]] * 24, []], pa.list_(pa.string())),
        pa.array([{"y": LONG}, None], pa.struct([("y", pa.large_string())])),
    ],
    ids=["text", "one text again and again", "text in a struct"],
)
def test_a_cell_that_takes_more_memory_costs_no_finding(audit, table, monkeypatch, column):
    monkeypatch.setattr(stage_provenance, "MOST_BYTES", 32 << 20)
    audited = audit(table(column), embeddings=None)
    (entry,) = audited.findings.provenance
    assert entry.columns == "{}"
    assert [match.kind for match in audited.findings.matches] == [Kind.MD5]
