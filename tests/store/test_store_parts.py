"""What was scanned comes back as it was, or there is an error that names the shard."""

import stat
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_parts import KINDS, random_rows, write_part

import small
from vetset.model.coverage import Coverage, Drift
from vetset.model.errors import CountError, OutputError
from vetset.model.signal import REASON_OF_CODE, Kind, Variant
from vetset.store import part as module
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import Part, PartWriter
from vetset.store.store import Store
from vetset.store.vectors import VectorFile
from vetset.store.whole import file_digest, is_whole


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def rows():
    return random_rows(np.random.default_rng(5), 20)


def keys_of(part):
    return [key for _, keys in part.key_batches() for key in keys.to_pylist()]


def contents(part):
    """Everything that a part says, as plain values."""
    found = [part.records, part.kinds, keys_of(part), part.quality().tobytes()]
    for kind in part.kinds:
        found += [(values.values.tobytes(), values.present.tobytes()) for values in part.signals(kind)]
        found += [part.why(kind).tobytes(), part.coverage(kind)]
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_any_signals_come_back(tmp_path_factory, count, chunks, seed):
    generated = random_rows(np.random.default_rng(seed), count)
    keys, cells, quality, why = generated
    path = write_part(Store(tmp_path_factory.mktemp("store")), "p", generated, chunks=chunks)
    part = Part(path, "shard")
    assert (part.records, part.kinds, keys_of(part)) == (count, KINDS, keys)
    for kind in KINDS:
        for variant, found in zip(VARIANTS[kind], part.signals(kind), strict=True):
            assert np.array_equal(found.values, cells[kind, variant].values)
            assert np.array_equal(found.present, cells[kind, variant].present)
        assert np.array_equal(part.why(kind), why[kind])
    assert np.array_equal(part.quality(), quality)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_coverage_is_what_counting_one_by_one_says(tmp_path_factory, count, seed):
    generated = random_rows(np.random.default_rng(seed), count)
    _, cells, _, why = generated
    part = Part(write_part(Store(tmp_path_factory.mktemp("store")), "p", generated), "shard")
    for kind in KINDS:
        decided = sum(any(cells[kind, variant].present[row] for variant in VARIANTS[kind]) for row in range(count))
        undecided = {}
        for code in why[kind].tolist():
            if code:
                undecided[REASON_OF_CODE[code]] = undecided.get(REASON_OF_CODE[code], 0) + 1
        assert part.coverage(kind) == Coverage(kind, count, decided, undecided)
        assert part.coverage(kind).balanced


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.binary(min_size=16, max_size=16), max_size=30), st.integers(0, 5))
def test_values_survive_arrow_also_as_slices(values, start):
    column = Values.of(values, 16).to_arrow()
    assert column.to_pylist() == values
    found = Values.from_arrow(column.slice(start), 16)
    assert found.present.tolist() == [value is not None for value in values[start:]]
    assert [bytes(row) for row in found.values] == [value or bytes(16) for value in values[start:]]


def test_equal_signals_make_equal_files(tmp_path, rows):
    stores = [Store(tmp_path / name) for name in ("a", "b")]
    for store in stores:
        write_part(store, "p", rows)
    assert stores[0].digest() == stores[1].digest()
    write_part(stores[1], "q", rows)
    assert stores[0].digest() != stores[1].digest()


def test_a_single_flipped_bit_changes_the_digest_of_a_store(store, rows):
    path = write_part(store, "p", rows)
    before = store.digest()
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert store.digest() != before


def test_any_flipped_bit_is_an_error_that_names_the_shard(store, rows):
    path = write_part(store, "p", rows)
    data = path.read_bytes()
    for bit in np.random.default_rng(1).choice(len(data) * 8, 400, replace=False).tolist():
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        with pytest.raises(CountError, match=r"^00007\.tar: "):
            contents(Part(path, "00007.tar"))


def test_without_the_comparison_of_digests_a_flipped_bit_passes_unseen(store, rows, monkeypatch):
    path = write_part(store, "p", rows)
    data, good = path.read_bytes(), contents(Part(path, "shard"))
    monkeypatch.setattr(module, "is_whole", lambda _: True)
    value = next(bytes(row) for row in rows[1][Kind.SHA256, VARIANTS[Kind.SHA256][0]].values if row.any())
    damaged = bytearray(data)
    damaged[data.index(value) + 3] ^= 8
    path.write_bytes(damaged)
    assert contents(Part(path, "shard")) != good


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_part_is_an_error_that_names_the_shard(store, rows, length):
    path = write_part(store, "p", rows)
    data = path.read_bytes()
    path.write_bytes(data[: length if isinstance(length, int) else int(length * len(data))])
    with pytest.raises(CountError, match="shard"):
        Part(path, "shard")


@pytest.mark.parametrize("suffix", [".arrow", ".b3"])
def test_a_missing_part_is_an_error_that_names_the_shard(store, rows, suffix):
    path = write_part(store, "p", rows)
    path.with_suffix(suffix).unlink()
    with pytest.raises(CountError, match="shard"):
        Part(path, "shard")


@pytest.mark.parametrize(
    "left", [b"", b"c", b"\xff" * 80, b"00" * 32, b"00" * 32 + b"  ", b"00" * 32 + b"  ../p.arrow\n"]
)
def test_digests_that_are_cut_off_or_damaged_make_a_part_that_is_not_whole(store, rows, left):
    sums = write_part(store, "p", rows).with_suffix(".b3")
    whole = sums.read_bytes()
    assert store.holds("p")
    for damaged in (left, whole + left, whole[:-2]):
        sums.write_bytes(damaged)
        assert store.holds("p") == (damaged == whole)


def test_embeddings_whose_digest_is_lost_make_a_part_that_is_not_whole(store, rows):
    with PartWriter(store, (Kind.EMBEDDING,)) as writer:
        writer.append([pa.array(rows[0]), pa.array(np.zeros(20, np.uint8))], np.zeros((20, 4), np.float16))
        writer.commit("p", 20)
    assert store.holds("p")
    sums = store.part_path("p").with_suffix(".b3")
    sums.write_bytes(sums.read_bytes().splitlines(keepends=True)[0])
    assert not store.holds("p")


def test_a_part_under_another_parts_name_is_an_error(store, rows):
    one, two = write_part(store, "one", rows), write_part(store, "two", random_rows(np.random.default_rng(6), 20))
    one.write_bytes(two.read_bytes())
    with pytest.raises(CountError, match="shard"):
        Part(one, "shard")


def test_an_arrow_file_that_is_no_part_is_an_error(store, rows):
    path = store.part_path("p")
    table = pa.table({"a": [1]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    path.with_suffix(".b3").write_text(f"{file_digest(path)}  {path.name}\n")
    with pytest.raises(CountError, match="does not state its number of records"):
        Part(path, "shard")


def with_column(name, values):
    """A change that puts what `values` makes of a number of rows in the place of a column, or behind all."""

    def change(batch):
        place = batch.schema.get_field_index(name)
        if place < 0:
            return batch.append_column(name, values(len(batch)))
        return batch.set_column(place, name, values(len(batch)))

    return change


@pytest.mark.parametrize(
    "change",
    [
        with_column("md5", lambda count: pa.array([b"short"] * count, pa.binary(5))),
        with_column("md5.why", lambda count: pa.array([1] * count, pa.int64())),
        with_column("sha512", lambda count: pa.array([b""] * count, pa.binary())),
        lambda batch: batch.select(["key", "md5"]),
    ],
)
def test_a_part_whose_columns_are_not_those_of_a_part_is_an_error_that_names_the_shard(store, rows, change):
    path = write_part(store, "p", rows)
    small.rewritten(path, change)
    with pytest.raises(CountError, match="shard") as caught:
        Part(path, "shard")
    assert "does not know" in caught.value.seen


@pytest.mark.parametrize("reason", [len(REASON_OF_CODE) + 1, 255, None])
def test_a_reason_that_nobody_knows_is_an_error_that_names_the_shard(store, rows, reason):
    path = write_part(store, "p", rows)
    small.rewritten(path, with_column("md5.why", lambda count: pa.array([reason] * count, pa.uint8())))
    part = Part(path, "shard")
    for look in (part.coverage, part.why, lambda kind: list(part.windows(kind))):
        with pytest.raises(CountError, match="shard"):
            look(Kind.MD5)
    assert part.coverage(Kind.SHA1).records == 20


def test_a_file_of_another_format_is_an_error(store, rows):
    path = store.part_path("p")
    pq.write_table(pa.table({"a": [1]}), path)
    path.with_suffix(".b3").write_text(f"{file_digest(path)}  {path.name}\n")
    with pytest.raises(CountError, match="cannot be opened"):
        Part(path, "shard")


def test_a_part_is_looked_at_again_when_it_changes(store, rows):
    path = write_part(store, "p", rows)
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_whole(path)


@pytest.mark.parametrize("counted", [19, 21])
def test_a_row_that_the_reader_counted_otherwise_unbalances_every_kind(store, rows, counted):
    part = Part(write_part(store, "p", rows, records=counted), "shard")
    for kind in KINDS:
        assert not part.coverage(kind).balanced
        with pytest.raises(CountError, match="shard"):
            part.coverage(kind).check("shard")


def test_a_signal_beside_a_reason_against_it_unbalances_its_kind(store, rows):
    keys, cells, quality, why = rows
    row = int(np.flatnonzero(why[Kind.MD5] == 0)[0])
    why[Kind.MD5][row] = 1
    part = Part(write_part(store, "p", (keys, cells, quality, why)), "shard")
    assert not part.coverage(Kind.MD5).balanced
    assert part.coverage(Kind.SHA1).balanced


def test_neither_a_signal_nor_a_reason_unbalances_a_kind(store, rows):
    keys, cells, quality, why = rows
    row = int(np.flatnonzero(why[Kind.PDQ])[0])
    why[Kind.PDQ][row] = 0
    assert not Part(write_part(store, "p", (keys, cells, quality, why)), "shard").coverage(Kind.PDQ).balanced


def test_parts_are_for_their_owner_only(store, rows):
    write_part(store, "p", rows)
    for path in [store.folder, *store.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name


def test_a_part_that_is_given_up_leaves_nothing(store, rows):
    with pytest.raises(ZeroDivisionError), PartWriter(store, KINDS):
        raise ZeroDivisionError
    assert list((store.folder / "parts").iterdir()) == []


def limited(limit, do):
    """Do something while no file may be larger than `limit`."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        return do()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 3, 60, 500, 2_000, 6_000])
def test_a_disk_that_is_full_while_a_part_is_written_is_an_output_error_and_leaves_nothing(store, rows, limit):
    with pytest.raises(OutputError):
        limited(limit, lambda: write_part(store, "p", rows))
    assert list((store.folder / "parts").iterdir()) == []


def test_computed_embeddings_are_committed_before_their_part_and_checked_with_it(store, rows):
    vectors = np.arange(40, dtype=np.float16).reshape(20, 2)
    with PartWriter(store, (Kind.MD5, Kind.EMBEDDING)) as writer:
        columns = [pa.array(rows[0])]
        columns += [rows[1][Kind.MD5, variant].to_arrow() for variant in VARIANTS[Kind.MD5]]
        columns += [pa.array(rows[3][Kind.MD5]), pa.array(np.zeros(20, np.uint8))]
        for start, end in pairwise((0, 8, 20)):
            writer.append([column.slice(start, end - start) for column in columns], vectors[start:end])
        writer.commit("p", 20)
    path = store.embeddings_path("p")
    assert np.array_equal(np.load(path), vectors)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert is_whole(path)
    assert is_whole(store.part_path("p"))
    assert Part(store.part_path("p"), "shard").coverage(Kind.EMBEDDING) == Coverage(Kind.EMBEDDING, 20, 20, {})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    assert store.holds("p")
    path.write_bytes(data)
    assert not is_whole(path)
    assert not store.holds("p")
    path.unlink()
    assert not store.holds("p")


def test_a_disk_that_is_full_while_embeddings_are_written_leaves_nothing(store, rows):
    def commit():
        with PartWriter(store, (Kind.EMBEDDING,)) as writer:
            columns = [pa.array(rows[0]), pa.array(np.zeros(20, np.uint8))]
            writer.append(columns, np.zeros((20, 4096), np.float16))
            writer.commit("p", 20)

    with pytest.raises(OutputError):
        limited(50_000, commit)
    assert list((store.folder / "parts").iterdir()) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_picked_rows_are_those_of_the_whole(tmp_path_factory, count, chunks, seed):
    random = np.random.default_rng(seed)
    part = Part(
        write_part(Store(tmp_path_factory.mktemp("store")), "p", random_rows(random, count), chunks=chunks), "s"
    )
    rows = random.integers(0, count, 12).tolist()
    keys, quality = keys_of(part), part.quality()
    assert part.keys_at(rows) == {row: keys[row] for row in rows}
    assert part.quality_at(Variant.STORED, rows) == {row: quality[row] for row in rows}
    for kind in KINDS:
        signals = dict(zip(part.variants(kind), part.signals(kind), strict=True))
        stored = signals.get(Variant.STORED, Values.none(count, kind.width))
        assert part.stored_at(kind, rows) == {row: stored.values[row].tobytes() for row in rows if stored.present[row]}
        decided = np.logical_or.reduce([values.present for values in signals.values()])
        assert part.present_at(kind, rows) == {row for row in rows if decided[row]}
        windows = list(part.windows(kind))
        assert [window.first for window in windows] == np.cumsum([0, *(len(w.why) for w in windows)])[:-1].tolist()
        assert np.array_equal(np.concatenate([window.why for window in windows]), part.why(kind))


def test_of_a_part_that_is_asked_for_some_rows_only_the_batches_around_them_are_read(store, rows):
    part = Part(write_part(store, "p", rows, chunks=5), "s")
    assert [first for first, _ in part.key_batches([5, 6, 19])] == [4, 16]
    assert [first for first, _ in part.stored(Kind.MD5, [0, 3, 20, 10**9])] == [0]
    assert list(part.key_batches([])) == []


def test_a_row_that_no_part_has_is_an_error(store, rows):
    part = Part(write_part(store, "p", rows), "shard")
    with pytest.raises(CountError, match="shard"):
        part.keys_at([19, 20])


def test_a_part_without_keys_tells_rows_by_their_numbers(store, rows):
    with PartWriter(store, (Kind.MD5,), without={"key", "md5"}, packed=False) as writer:
        declared = rows[1][Kind.MD5, Variant.DECLARED].to_arrow()
        for start, end in pairwise((0, 8, 20)):
            writer.append([column.slice(start, end - start) for column in (declared, pa.array(rows[3][Kind.MD5]))])
        writer.commit("p", 20)
    part = Part(store.part_path("p"), "shard")
    assert keys_of(part) == [str(row) for row in range(20)]
    assert part.keys_at([3, 19]) == {3: "3", 19: "19"}
    assert part.variants(Kind.MD5) == (Variant.DECLARED,)
    assert part.stored_at(Kind.MD5, [1, 2]) == {}
    assert part.drift() == [Drift(Kind.MD5, 0, 0, 0)]


def test_vectors_that_come_in_pieces_are_the_file_that_numpy_reads(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(1000, 7)).astype(np.float16)
    file = VectorFile(tmp_path / "grown.npy")
    for start, end in pairwise((0, 1, 400, 1000)):
        file.append(vectors[start:end])
    file.finish()
    assert np.array_equal(np.load(tmp_path / "grown.npy", allow_pickle=False), vectors)
