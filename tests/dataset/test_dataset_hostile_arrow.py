"""Arrow files that ask for more memory than they have bytes: refused before anything is allocated."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset import arrow_messages
from vetset.dataset.embeddings.layouts import find_embeddings, settle
from vetset.dataset.hf_tables import open_rows
from vetset.model.errors import AlignmentError, DatasetError

ROWS = 40
LENGTHS = {"key": ROWS * 41, "emb": ROWS * 8 * 4, "more": ROWS * 37, "kind": 3 * 331}
"""Bytes of the values of each column, of the last one in its dictionary; no number of these occurs by chance."""
HUGE = 3 << 29
"""Bytes that a forged buffer states: more than the limit, and few enough for Arrow to get them."""
TOO_MUCH = "unpacks to more"


def table():
    vectors = np.random.default_rng(1).standard_normal(ROWS * 8).astype(np.float32)
    return pa.table({
        "key": [f"{number:041d}" for number in range(ROWS)],
        "emb": pa.FixedSizeListArray.from_arrays(pa.array(vectors), 8),
        "more": [f"{number % 3:037d}" for number in range(ROWS)],
        "kind": pa.array([f"{number % 3:0331d}" for number in range(ROWS)]).dictionary_encode(),
    })  # fmt: skip


def written(form="stream", *, rows=ROWS, metadata=None, **options):
    sink = pa.BufferOutputStream()
    begin = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with begin(sink, table().schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in table().to_batches(max_chunksize=rows):
            writer.write_batch(batch, metadata)
    return sink.getvalue().to_pybytes()


def forged(data, column, stated):
    """The file, in which the compressed values of a column state another length."""
    length = LENGTHS[column].to_bytes(8, "little")
    (place,) = (place for place in range(0, len(data), 8) if data[place : place + 8] == length)
    return data[:place] + stated.to_bytes(8, "little", signed=True) + data[place + 8 :]


def placed(tmp_path, data):
    (tmp_path / "x.arrow").write_bytes(data)
    return tmp_path


def keys_and_vectors(folder):
    (part,) = find_embeddings(folder)
    keys = [key for batch in part.key_batches() for key in batch.to_pylist()]
    return keys, part.block().take(np.arange(part.rows))


def stream_rows(folder):
    with open_rows(folder / "x.arrow", "x.arrow") as rows:
        return sum(len(batch) for _, batch in rows.batches(None))


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("form", ["file", "stream"])
@pytest.mark.parametrize("column", LENGTHS)
def test_a_buffer_that_unpacks_to_gigabytes_is_refused(tmp_path, column, form, codec):
    data = written(form, compression=codec)
    keys, vectors = keys_and_vectors(placed(tmp_path, data))
    assert keys == table()["key"].to_pylist()
    assert np.array_equal(vectors, np.array(table()["emb"].to_pylist(), np.float32))
    with pytest.raises(DatasetError, match=TOO_MUCH):
        keys_and_vectors(placed(tmp_path, forged(data, column, HUGE)))


@pytest.mark.parametrize("column", LENGTHS)
def test_a_datasets_stream_that_unpacks_to_gigabytes_is_refused(tmp_path, column):
    data = written(compression="zstd")
    assert stream_rows(placed(tmp_path, data)) == ROWS
    with pytest.raises(DatasetError, match=TOO_MUCH):
        stream_rows(placed(tmp_path, forged(data, column, HUGE)))


def test_no_buffer_is_large_and_together_they_are(tmp_path):
    data = forged(written(compression="zstd"), "key", arrow_messages.WORST_BYTES // 2)
    data = forged(data, "emb", arrow_messages.WORST_BYTES // 2)
    with pytest.raises(DatasetError, match=TOO_MUCH):
        keys_and_vectors(placed(tmp_path, data))


def test_the_limit_is_of_all_buffers_of_a_batch_and_of_no_more_than_one(tmp_path, monkeypatch):
    values = LENGTHS["key"] + LENGTHS["emb"] + LENGTHS["more"]
    whole = values + 4 * (2 * (ROWS + 1) + ROWS)  # where texts begin, and places in the dictionary
    monkeypatch.setattr(arrow_messages, "WORST_BYTES", whole)
    assert len(keys_and_vectors(placed(tmp_path, written(compression="zstd")))[0]) == ROWS
    monkeypatch.setattr(arrow_messages, "WORST_BYTES", whole - 1)
    with pytest.raises(DatasetError, match=TOO_MUCH):
        keys_and_vectors(tmp_path)
    monkeypatch.setattr(arrow_messages, "WORST_BYTES", whole // 3)
    assert len(keys_and_vectors(placed(tmp_path, written(rows=ROWS // 4, compression="zstd")))[0]) == ROWS


def test_what_is_not_compressed_may_be_as_long_as_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_messages, "WORST_BYTES", 0)
    for options in ({}, {"use_legacy_format": True, "metadata_version": pa.ipc.MetadataVersion.V4}):
        keys, _ = keys_and_vectors(placed(tmp_path, written(**options)))
        assert len(keys) == ROWS


def test_a_batch_compressed_as_arrow_0_17_did_is_refused(tmp_path):
    old = {"use_legacy_format": True, "metadata_version": pa.ipc.MetadataVersion.V4}
    data = written(metadata={"ARROW:experimental_compression": "zstd"}, **old)
    with pytest.raises(DatasetError, match="damaged"):
        keys_and_vectors(placed(tmp_path, data))
    heads, messages = arrow_messages.Heads("x"), [each.metadata for each in pa.ipc.MessageReader.open_stream(data)]
    heads.passed(len(messages[-1]).to_bytes(4, "little"))
    with pytest.raises(pa.ArrowInvalid):  # before anything is unpacked
        heads.passed(messages[-1].to_pybytes())


def test_were_arrow_to_read_in_other_pieces_the_stream_would_be_refused():
    data = written(compression="zstd")
    length = int.from_bytes(data[4:8], "little")
    for pieces in (
        [data[:8]],
        [data[:4], data[4:8], data[8 : 7 + length]],
        [data[:4], data[4:8], data[8 : 9 + length]],
    ):
        heads = arrow_messages.Heads("x")
        for piece in pieces[:-1]:
            heads.passed(piece)
        with pytest.raises(pa.ArrowInvalid):
            heads.passed(pieces[-1])


def test_of_other_columns_nothing_is_decoded_for_the_keys(tmp_path):
    placed(tmp_path, forged(written(compression="zstd"), "emb", 7))
    (part,) = find_embeddings(tmp_path)
    assert sum(map(len, part.key_batches())) == ROWS
    with pytest.raises(DatasetError):
        part.block().take(np.arange(ROWS))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_head_is_refused_or_read_as_arrow_reads_it(tmp_path_factory, data):
    whole = bytearray(written("stream", rows=20, compression="lz4"))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    folder = placed(tmp_path_factory.mktemp("damaged"), bytes(whole))
    for read in (keys_and_vectors, stream_rows):
        try:
            read(folder)
        except (AlignmentError, DatasetError):
            continue


def test_vectors_of_no_components_are_rows_without_numbers(tmp_path):
    nothing = pa.Array.from_buffers(pa.list_(pa.float32(), 0), ROWS, [None], children=[pa.array([], pa.float32())])
    whole = table().set_column(1, "emb", nothing)
    with pa.ipc.new_stream(str(tmp_path / "x.arrow"), whole.schema) as writer:
        writer.write_table(whole)
    (part,) = parts = find_embeddings(tmp_path)
    assert part.block().take(np.arange(ROWS)).shape == (ROWS, 0)
    with pytest.raises(AlignmentError, match="no row of these embeddings has a vector"):
        settle(parts)


def test_two_columns_of_one_name_are_no_vectors(tmp_path):
    whole = table().rename_columns(["key", "emb", "emb", "kind"])
    with pa.ipc.new_stream(str(tmp_path / "x.arrow"), whole.schema) as writer:
        writer.write_table(whole)
    with pytest.raises(AlignmentError, match="not clear"):
        find_embeddings(tmp_path)
