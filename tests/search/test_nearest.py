"""nearest returns what float64 brute force returns, whatever the blocks; damage is refused by name."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.errors import AlignmentError, DatasetError, UsageError
from vetset.search import linear
from vetset.search import nearest as module
from vetset.search.nearest import nearest

METRICS = ["ip", "cosine"]


def assert_same(seeds, blocks, k, metric, sources=None):
    found = nearest(seeds, blocks if sources is None else sources, k, metric=metric)
    similarity, block, row = linear.nearest(seeds, blocks, k, metric)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found.similarity, similarity.astype(np.float32))
    np.testing.assert_array_equal(found.block, block)
    np.testing.assert_array_equal(found.row, row)
    assert (found.similarity.dtype, found.block.dtype, found.row.dtype) == (np.float32, np.int64, np.int64)
    return found


def cut(rows, rng):
    return np.split(rows, np.sort(rng.integers(0, len(rows) + 1, 4)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("seed_kind", [np.float16, np.float32, np.float64])
def test_clustered_rows_in_blocks_of_odd_sizes(metric, kind, seed_kind):
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((12, 65))
    rows = (centres[rng.integers(0, 12, 1501)] + 0.05 * rng.standard_normal((1501, 65))).astype(kind)
    assert_same((centres + 0.01).astype(seed_kind), cut(rows, rng), 37, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_near_ties_below_float32_resolution_are_ranked_in_float64(metric):
    rng = np.random.default_rng(2)
    base = rng.standard_normal(96).astype(np.float32)
    rows = np.tile(base, (900, 1))
    at = rng.integers(0, 96, 900)
    rows[np.arange(900), at] = np.nextafter(rows[np.arange(900), at], np.float32(9))
    seeds = np.stack([base, rng.standard_normal(96).astype(np.float32)])
    found = assert_same(seeds, cut(rows, rng), 50, metric)
    assert len(np.unique(found.similarity[0])) < 50  # float32 alone could not have told them apart


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_duplicates_across_the_last_place_are_won_by_block_and_row(metric, kind):
    rng = np.random.default_rng(3)
    rows = np.tile(rng.standard_normal(32).astype(kind), (800, 1))
    rows[::7] = rng.standard_normal((115, 32)).astype(kind)
    assert_same(rows[[1, 0]].astype(np.float32), cut(rows, rng), 200, metric)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(METRICS), st.sampled_from([np.float16, np.float32]),
    st.tuples(st.integers(1, 9), st.integers(1, 60), st.integers(1, 12)),
)  # fmt: skip
def test_small_integers_full_of_ties_zeros_and_rows_that_are_not_finite(seed, metric, kind, sizes):
    dimension, size, k = sizes
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, 2, (size, dimension)).astype(kind)
    rows[rng.random(size) < 0.2, 0] = rng.choice(np.array([np.nan, np.inf, -np.inf], kind))
    seeds = rng.integers(-1, 2, (3, dimension)).astype(np.float32)
    assert_same(seeds, cut(rows, rng), k, metric)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(METRICS), st.integers(1, 40))
def test_magnitudes_from_the_smallest_to_the_largest_float32(seed, metric, k):
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((80, 7)) * 10.0 ** rng.integers(-44, 38, (80, 1))).astype(np.float32)
    rows[:20] *= np.float32(10) ** rng.integers(-20, 0, (20, 7)).astype(np.float32)
    seeds = (rng.standard_normal((3, 7)) * 10.0 ** rng.integers(-36, 37, (3, 1))).astype(np.float32)
    assert_same(seeds, cut(rows, rng), k, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("magnitude", [1e-42, 1e-36, 1e37])
def test_rows_at_the_edge_of_float32_are_scaled_before_they_are_screened(metric, magnitude):
    rng = np.random.default_rng(8)
    rows = (rng.uniform(0.5, 3, (3000, 40)) * magnitude).astype(np.float32)
    assert_same(rng.uniform(0.5, 3, (4, 40)), cut(rows, rng), 20, metric)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_the_bound_holds_for_the_scores_that_blas_returns(seed, dimension):
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((50, dimension)) * 10.0 ** rng.integers(-8, 8, (50, dimension))).astype(np.float32)
    seeds = module._prepare(rng.standard_normal((4, dimension)) * 10.0 ** rng.integers(-9, 9, (4, dimension)), "ip")
    screen, length, weight, lost = module._screened(rows, cosine=False)
    scores = (seeds.screen @ screen.T).astype(np.float64) * (seeds.weight[:, None] * weight)
    margin = np.outer(seeds.margin, length) * (seeds.weight[:, None] * weight)
    assert lost == 0
    assert (np.abs(scores - linear.similarities(seeds.exact, rows)) <= margin).all()


def test_the_answer_does_not_depend_on_blocks_chunks_or_groups(monkeypatch):
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((700, 24)).astype(np.float16)
    seeds = rng.standard_normal((11, 24)).astype(np.float32)
    whole = nearest(seeds, [rows], 30)
    monkeypatch.setattr(module, "_CHUNK_VALUES", 24 * 13)
    monkeypatch.setattr(module, "_GROUP", 3)
    for size in (1, 64, 699):
        parts = nearest(seeds, [rows[i : i + size] for i in range(0, 700, size)], 30)
        np.testing.assert_array_equal(parts.similarity, whole.similarity)
        np.testing.assert_array_equal(parts.block * size + parts.row, whole.row)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_rows_that_are_not_finite_take_no_part_and_are_counted_by_block(kind):
    rng = np.random.default_rng(5)
    blocks = [rng.standard_normal((40, 8)).astype(kind) for _ in range(3)]
    blocks[0][3, 2], blocks[0][5, 0], blocks[2][39] = np.nan, np.inf, -np.inf
    found = assert_same(rng.standard_normal((2, 8)), blocks, 1000, "ip")
    np.testing.assert_array_equal(found.skipped, [2, 0, 1])
    assert found.row.shape == (2, 117)


@pytest.mark.parametrize("metric", METRICS)
def test_all_rows_are_returned_where_fewer_than_k_exist(metric):
    rng = np.random.default_rng(6)
    blocks = [np.empty((0, 5), np.float32), rng.standard_normal((3, 5)).astype(np.float32)]
    assert assert_same(rng.standard_normal((4, 5)), blocks, 10**12, metric).row.shape == (4, 3)


def test_no_blocks_and_no_seeds_give_empty_arrays():
    assert nearest(np.ones((2, 4)), [], 5).row.shape == (2, 0)
    assert nearest(np.ones((0, 4)), [np.ones((3, 4), np.float16)], 2).row.shape == (0, 2)


def test_a_zero_vector_has_cosine_zero_with_everything():
    rows = np.array([[-1, 0], [0, 0], [1, 0]], np.float32)
    found = assert_same(np.array([[1.0, 0], [0, 0]]), [rows], 3, "cosine")
    np.testing.assert_array_equal(found.row, [[2, 1, 0], [0, 1, 2]])
    np.testing.assert_array_equal(found.similarity, [[1, 0, -1], [0, 0, 0]])


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_npy_files_give_what_arrays_give(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, "_CHUNK_VALUES", 17 * 100)
    rng = np.random.default_rng(7)
    blocks = [rng.standard_normal((size, 17)).astype(kind) for size in (1, 333, 0, 100)]
    paths = [tmp_path / f"{number}.npy" for number in range(4)]
    for path, block in zip(paths, blocks, strict=True):
        np.save(path, block)
    seeds = rng.standard_normal((5, 17))
    assert_same(seeds, blocks, 40, "cosine", sources=paths)
    mapped = [blocks[0], np.load(paths[1], mmap_mode="r"), str(paths[2]), np.asfortranarray(blocks[3])]
    assert_same(seeds, blocks, 40, "cosine", sources=mapped)


def test_every_float16_becomes_its_float32():
    half = np.arange(65536, dtype=np.uint16).reshape(64, 1024)
    single = np.empty(half.shape, np.uint32)
    module._widen(half, single)
    wanted = half.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(single.view(np.float32), wanted)
    np.testing.assert_array_equal(np.signbit(single.view(np.float32)), np.signbit(wanted))


@pytest.mark.parametrize(("dimension", "asked"), [(1, 600), (16, 20), (3000, 2)])
def test_duplicates_at_the_last_place_stay_within_bounded_memory_whatever_the_shape(dimension, asked):
    rows = np.ones((400_000 // dimension, dimension), np.float16)
    seeds = np.ones((asked, dimension), np.float32)
    nearest(seeds, [rows[:10]], 5)
    tracemalloc.start()
    found = nearest(seeds, [rows], 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.row, np.tile(np.arange(5), (asked, 1)))
    assert peak < 20_000_000


def test_seeds_that_are_not_finite_are_refused_without_saying_which():
    seeds = np.ones((9, 4))
    seeds[7, 2] = np.nan
    with pytest.raises(DatasetError) as caught:
        nearest(seeds, [np.ones((2, 4), np.float32)], 1)
    assert "7" not in str(caught.value)


@pytest.mark.parametrize("seeds", [np.ones(4), np.ones((2, 4), np.int32), np.ones((2, 0)), np.full((1, 4), 1e300)])
def test_seeds_of_another_type_shape_or_range_are_refused(seeds):
    with pytest.raises(DatasetError, match="seed"):
        nearest(seeds, [np.ones((2, 4), np.float32)], 1)


@pytest.mark.parametrize("k", [0, -3])
def test_fewer_than_one_neighbour_is_refused(k):
    with pytest.raises(UsageError, match="1 or more"):
        nearest(np.ones((1, 4)), [np.ones((2, 4), np.float32)], k)


def test_an_unknown_metric_is_refused():
    with pytest.raises(UsageError, match="ip or cosine"):
        nearest(np.ones((1, 4)), [np.ones((2, 4), np.float32)], 1, metric="l2")


def test_another_dimension_is_refused_before_anything_is_read_and_names_the_block():
    with pytest.raises(AlignmentError, match="block 1"):
        nearest(np.ones((1, 4)), [np.ones((2, 4), np.float32), np.ones((2, 5), np.float32)], 1)


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 4)), np.ones((2, 4), np.int8), np.ones(4, np.float32), np.ones((2, 4), ">f4")]
)
def test_a_block_of_another_type_or_shape_is_refused_by_number(tmp_path, wrong):
    np.save(tmp_path / "wrong.npy", wrong)
    for source in (wrong, tmp_path / "wrong.npy"):
        with pytest.raises(DatasetError, match="block 1"):
            nearest(np.ones((1, 4)), [np.ones((2, 4), np.float32), source], 1)


def damaged(path, name):
    np.save(path, np.ones((50, 4), np.float32))
    data = path.read_bytes()
    if name == "pickled":
        np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    elif name == "column order":
        np.save(path, np.asfortranarray(np.ones((50, 4), np.float32)))
    elif name == "negative":
        path.write_bytes(data.replace(b"(50, 4), ", b"(-5, -4),"))
    else:
        path.write_bytes(
            {
                "cut short": data[:-1],
                "cut in the header": data[:40],
                "empty": b"",
                "too long": data + b"0",
                "no npy": b"PK" + data[2:],
                "huge": data.replace(b"(50, 4), }         ", b"(5000000000, 4), } "),
                "version 3": data[:6] + b"\x03" + data[7:],
                "spaces": data[:60] + b" " * 68 + data[128:],
                "long digits": data.replace(b"(50, 4), }", b"(" + b"5" * 60),
                "no header": data[:10] + b"{" * 118 + data[128:],
            }[name]
        )
    return path


@pytest.mark.parametrize(
    "name",
    [
        "pickled", "cut short", "cut in the header", "empty", "too long", "no npy", "huge", "version 3", "no header",
        "negative", "column order", "spaces", "long digits",
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_by_number(tmp_path, name):
    path = damaged(tmp_path / "a.npy", name)
    with pytest.raises(DatasetError, match="block 1"):
        nearest(np.ones((1, 4)), [np.ones((2, 4), np.float32), path], 1)


def test_a_missing_file_is_refused_without_its_name(tmp_path):
    with pytest.raises(DatasetError, match="block 0") as caught:
        nearest(np.ones((1, 4)), [tmp_path / "hidden-name.npy"], 1)
    assert "hidden-name" not in str(caught.value)


def test_a_file_cut_short_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((50, 4), np.float32))
    opened = module.open_block

    def open_then_cut(*arguments):
        block = opened(*arguments)
        path.write_bytes(path.read_bytes()[:-100])
        return block

    monkeypatch.setattr(module, "open_block", open_then_cut)
    with pytest.raises(DatasetError, match="ended while it was read"):
        nearest(np.ones((1, 4)), [path], 1)


def test_a_million_rows_in_uneven_blocks_with_a_cluster_of_200():
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((1_000_000, 16)).astype(np.float16)
    rows[500_000:500_200] = rows[7]
    seeds = rows[[7, 999_999, 3]].astype(np.float32)
    blocks = [rows[:1], rows[1:333_334], rows[333_334:999_999], rows[999_999:]]
    found = assert_same(seeds, blocks, 250, "cosine")
    assert np.count_nonzero(found.similarity[0] == found.similarity[0, 0]) == 201
