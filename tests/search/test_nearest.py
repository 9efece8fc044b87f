"""nearest returns what float64 brute force returns, whatever the blocks, the threads and the data."""

import threading
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from vetset.model.errors import AlignmentError, DatasetError, UsageError
from vetset.search import linear, products, screen, similarity
from vetset.search import nearest as module
from vetset.search.blocks import ArrayBlock, each_piece
from vetset.search.nearest import nearest
from vetset.search.rounding import FIT

METRICS = ["ip", "cosine"]
SHAPES = ["plain", "cone", "outlier", "clusters", "one point"]
KINDS = [np.float16, np.float32, np.int8]
# rows that fill whole vectors of the kernels, and rows that do not, have loops of their own
SOME_COLUMNS = st.one_of(st.integers(2, 70), st.sampled_from([32, 64]))
COLUMNS = st.one_of(st.integers(1, 700), st.integers(1, 22).map(lambda times: 32 * times))


def assert_same(seeds, blocks, k, metric, *, threads=1, least=-np.inf):
    found = nearest(seeds, blocks, k, metric=metric, threads=threads, least=least)
    similarity, block, row = linear.nearest(seeds, blocks, k, metric)
    hit = similarity >= least
    np.testing.assert_array_equal(found.seed, np.nonzero(hit)[0])
    np.testing.assert_array_equal(found.similarity, similarity[hit])
    np.testing.assert_array_equal(found.block, block[hit])
    np.testing.assert_array_equal(found.row, row[hit])
    dtypes = (found.seed.dtype, found.block.dtype, found.row.dtype, found.similarity.dtype)
    assert dtypes == (np.int64, np.int64, np.int64, np.float64)
    return found


def all_similarities(seeds, blocks, metric):
    rows = np.concatenate(blocks)
    return linear.similarities(seeds, rows[np.isfinite(rows.astype(np.float64)).all(axis=1)], metric)


def cut(rows, rng):
    return np.split(rows, np.sort(rng.integers(0, len(rows) + 1, 4)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("seed_kind", [np.float16, np.float32])
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
    second = found.similarity[found.seed == 1]
    assert len(np.unique(second.astype(np.float32))) < len(np.unique(second))  # float32 could not tell them apart


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
@pytest.mark.parametrize("magnitude", [1e-42, 1e-36, 1e-13, 1e13, 1e37])
def test_rows_too_short_or_long_to_be_screened(metric, magnitude):
    rng = np.random.default_rng(8)
    rows = (rng.uniform(0.5, 3, (3000, 40)) * magnitude).astype(np.float32)
    assert_same(rng.uniform(0.5, 3, (4, 40)).astype(np.float32), cut(rows, rng), 20, metric)


def shaped(rng, shape, size, dimension, kind):
    """Rows of a nature that embeddings may have, as float16, float32 or int8."""
    rows = rng.standard_normal((size, dimension))
    if shape == "cone":  # all pictures share a direction, as with CLIP
        rows = 0.3 * rows + 4 * rng.standard_normal(dimension)
    elif shape == "outlier":  # one column is larger than all others together
        rows[:, dimension // 2] += 30
    elif shape == "clusters":
        rows = rows[rng.integers(0, 5, size)] + 1e-4 * rows
    elif shape == "one point":  # what blank pictures collapse to
        rows[:] = rows[0]
    rows /= np.abs(rows).max()
    return (rows * 120).astype(np.int8) if kind == np.int8 else rows.astype(kind)


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(METRICS), st.sampled_from(KINDS),
    st.sampled_from(["plain", "cone", "outlier", "clusters", "one point"]),
    st.tuples(SOME_COLUMNS, st.integers(1, 3)),
)  # fmt: skip
def test_rows_of_every_nature_by_any_number_of_threads(seed, metric, kind, shape, sizes):
    dimension, threads = sizes
    rng = np.random.default_rng(seed)
    rows = shaped(rng, shape, 300, dimension, kind)
    seeds = rows[rng.integers(0, 300, 5)].astype(np.float32)
    assert_same(seeds, cut(rows, rng), 25, metric, threads=threads)
    scores = all_similarities(seeds, [rows], metric)
    least = float(np.sort(scores.ravel())[-200])
    found = assert_same(seeds, cut(rows, rng), 25, metric, threads=threads, least=least)
    np.testing.assert_array_equal(found.within, (scores >= least).sum(axis=1))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(KINDS),
    st.sampled_from(SHAPES), COLUMNS, st.sampled_from(products.ways()),
)  # fmt: skip
def test_every_cosine_is_within_the_bounds_of_the_screening(seed, kind, shape, dimension, way):
    rng = np.random.default_rng(seed)
    rows, asked = shaped(rng, shape, 60, dimension, kind), rng.standard_normal((70, dimension)).astype(np.float32)
    asked[:10] = rows[:10]
    centre = screen.centre_of(shaped(rng, shape, 60, dimension, kind) if seed % 2 else rows)
    seeds, room = screen.Seeds.prepared(asked, centre, way), screen.Rows.room(60, dimension)
    room.take(rows.view(np.uint16) if kind == np.float16 else rows, seeds)
    assert np.abs(room.whole.astype(int)).max() <= seeds.levels == products.LEVELS[way]
    cosines = linear.similarities(asked, rows, "cosine").T
    for group, _, wide in room.products(60, seeds):
        scores = wide[:, : group.stop - group.start]
        bound = scores * (room.grain[:, None].astype(np.float64) * seeds.grain[group]) + seeds.offset[group]
        fit = room.state == FIT
        assert (cosines[fit][:, group] <= (bound + room.bound[:, None])[fit]).all()
        assert (cosines[fit][:, group] >= (bound + room.bound[:, None] - room.apart[:, None])[fit]).all()
        np.testing.assert_array_equal(np.linalg.norm(rows.astype(np.float64), axis=1) > 0, fit)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 80), st.integers(1, 64),
    st.sampled_from(products.ways()),
)  # fmt: skip
def test_products_of_bytes_are_those_of_integers(seed, tiles, parts, count, way):
    rng, most = np.random.default_rng(seed), products.LEVELS[way]
    edge = rng.random() < 0.3  # the greatest products there are
    draw = (
        (lambda shape: rng.choice([-most, most], shape))
        if edge
        else (lambda shape: rng.integers(-most, most + 1, shape))
    )
    rows = draw((tiles * products.TILE, parts * products.COLUMNS)).astype(np.int8)
    seeds = draw((count, parts * products.COLUMNS)).astype(np.int8)
    group = products.packed(seeds, way)
    room = np.empty(len(rows) * products.GROUP, np.int32)
    scores = group.multiply(rows, rows.sum(axis=1, dtype=np.int32), room)
    np.testing.assert_array_equal(scores[:, :count], rows.astype(np.int64) @ seeds.astype(np.int64).T)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("count", [1, 64])
def test_sums_of_the_most_columns_fit_where_they_are_kept(sign, count):
    for way in products.ways():
        most = products.LEVELS[way]
        rows, seeds = np.full((products.TILE, 65_536), most * sign, np.int8), np.full((count, 65_536), most, np.int8)
        room = np.empty(products.TILE * products.GROUP, np.int32)
        scores = products.packed(seeds, way).multiply(rows, rows.sum(axis=1, dtype=np.int32), room)
        assert (scores[:, :count] == sign * most**2 * 65_536).all()


def test_who_needs_eight_bits_is_given_them():
    assert products.quickest(127) in {"bytes", "numkong"}
    assert products.quickest(63) == products.ways()[0]
    assert products.ways()[-1] == "numkong"


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(KINDS), st.sampled_from(SHAPES),
    st.tuples(st.integers(1, 90), st.integers(1, 70), st.integers(1, 40)),
    st.tuples(st.sampled_from(METRICS), st.sampled_from(products.ways())),
)  # fmt: skip
def test_what_is_learnt_ahead_rules_nothing_out_that_belongs(seed, kind, shape, sizes, how):
    (dimension, count, k), (metric, way) = sizes, how
    rng = np.random.default_rng(seed)
    rows = shaped(rng, shape, 400, dimension, kind)
    if kind != np.int8:
        rows[rng.integers(0, 400, 20)] *= kind(3)
        rows[rng.integers(0, 400, 5)] = np.nan
    rows[rng.integers(0, 400, 5)] = 0
    rows[200:300] = rows[:100]  # ties, of which the first ones are kept
    asked = rng.standard_normal((count, dimension)).astype(np.float32)
    asked[:5] = np.nan_to_num(rows[:5][: len(asked[:5])])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "ways", lambda: [way])
        patch.setattr(module, "_AHEAD_SHARE", 1)
        patch.setattr(module, "_CHUNK_ROWS", 64)
        assert_same(asked, cut(rows, rng), k, metric, threads=int(rng.integers(1, 3)))


def test_the_answer_is_the_same_where_the_processor_lacks_the_instruction(monkeypatch):
    rng = np.random.default_rng(11)
    rows = rng.standard_normal((3000, 70)).astype(np.float16)
    seeds = rows[:80].astype(np.float32)
    wanted = nearest(seeds, [rows], 20)
    for way in products.ways():
        monkeypatch.setattr(products, "ways", lambda way=way: [way])
        found = nearest(seeds, [rows], 20)
        np.testing.assert_array_equal(found.row, wanted.row)
        np.testing.assert_array_equal(found.similarity, wanted.similarity)


def test_ways_of_our_own_are_not_gone_for_another_processor(monkeypatch):
    monkeypatch.setattr("numba.config.CPU_NAME", "generic")
    assert products.ways() == ["numkong"]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 100))
def test_the_kernel_adds_in_the_order_of_the_definition(seed, dimension):
    rng = np.random.default_rng(seed)
    seeds, rows = (rng.standard_normal((4, dimension)).astype(np.float32) * 1e3 for _ in range(2))
    lengths, lanes = similarity.lengths(seeds), np.empty((2, similarity.LANES))
    for metric in METRICS:
        wanted = linear.similarities(seeds, rows, metric)
        for i, j in np.ndindex(4, 4):
            assert similarity.similarity(seeds[i], lengths[i], rows[j], metric == "cosine", lanes) == wanted[i, j]


def test_the_answer_does_not_depend_on_blocks_chunks_or_threads(monkeypatch):
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((700, 24)).astype(np.float16)
    seeds = rng.standard_normal((131, 24)).astype(np.float32)
    whole = nearest(seeds, [rows], 30)
    monkeypatch.setattr(module, "_CHUNK_VALUES", 24 * 13)
    for size in (1, 64, 699):
        for threads in (1, 4):
            parts = nearest(seeds, [rows[i : i + size] for i in range(0, 700, size)], 30, threads=threads)
            np.testing.assert_array_equal(parts.similarity, whole.similarity)
            np.testing.assert_array_equal(parts.block * size + parts.row, whole.row)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_within_a_similarity_is_returned_also_on_its_edge(metric, kind):
    rng = np.random.default_rng(9)
    rows = (rng.standard_normal((1500, 33)) * 20).astype(kind)
    rows[100:300] = rows[7]
    seeds = rows[[7, 0, 1400]].astype(np.float32)
    scores = all_similarities(seeds, [rows], metric)
    for least in (scores[0, 7], np.nextafter(scores[0, 7], np.inf), np.sort(scores[1])[-400]):
        found = nearest(seeds, cut(rows, rng), None, least=least, metric=metric, threads=2)
        hit = scores >= least
        np.testing.assert_array_equal(found.within, hit.sum(axis=1))
        np.testing.assert_array_equal(np.bincount(found.seed, minlength=3), hit.sum(axis=1))
        order = np.lexsort((np.nonzero(hit)[1], -scores[hit], np.nonzero(hit)[0]))
        np.testing.assert_array_equal(found.similarity, scores[hit][order])


def test_copies_beyond_k_are_counted():
    rows = np.random.default_rng(10).standard_normal((5000, 48)).astype(np.float16)
    rows[1000:2000] = rows[3]
    found = nearest(rows[[3, 4]].astype(np.float32), [rows[:1500], rows[1500:]], 10, least=0.9, metric="cosine")
    np.testing.assert_array_equal(found.within, [1001, 1])
    np.testing.assert_array_equal(found.seed, [0] * 10 + [1])


def test_rows_that_are_of_no_or_another_length_are_counted_by_block():
    rows = np.eye(8, dtype=np.float32)
    blocks = [rows.copy(), np.empty((0, 8), np.float32), rows.copy()]
    blocks[0][1] = 0
    blocks[0][2] *= 1.02
    blocks[2][3] *= 0.995
    blocks[2][4] *= 0.9
    blocks[2][5, 0] = np.nan
    found = nearest(rows[:1], blocks, 99, metric="cosine")
    np.testing.assert_array_equal(found.zero, [1, 0, 0])
    np.testing.assert_array_equal(found.unnormalised, [1, 0, 1])
    np.testing.assert_array_equal(found.skipped, [0, 0, 1])
    np.testing.assert_array_equal(found.within, [15])


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_rows_that_are_not_finite_take_no_part_and_are_counted_by_block(kind):
    rng = np.random.default_rng(5)
    blocks = [rng.standard_normal((40, 8)).astype(kind) for _ in range(3)]
    blocks[0][3, 2], blocks[0][5, 0], blocks[2][39] = np.nan, np.inf, -np.inf
    found = assert_same(rng.standard_normal((2, 8)).astype(np.float32), blocks, 1000, "ip")
    np.testing.assert_array_equal(found.skipped, [2, 0, 1])
    np.testing.assert_array_equal(found.within, [117, 117])


@pytest.mark.parametrize("metric", METRICS)
def test_all_rows_are_returned_where_fewer_than_k_exist(metric):
    rng = np.random.default_rng(6)
    blocks = [np.empty((0, 5), np.float32), rng.standard_normal((3, 5)).astype(np.float32)]
    assert len(assert_same(rng.standard_normal((4, 5)).astype(np.float32), blocks, 10**12, metric).row) == 12


def test_no_blocks_and_no_seeds_give_empty_arrays():
    two, none = np.ones((2, 4), np.float32), np.ones((0, 4), np.float32)
    for seeds, blocks in ((two, []), (two, [none]), (none, [np.ones((3, 4), np.float16)])):
        found = nearest(seeds, blocks, 2)
        assert [len(each) for each in (found.seed, found.block, found.row, found.similarity)] == [0] * 4
        assert len(found.within) == len(seeds)
        assert len(found.skipped) == len(blocks)


def test_a_zero_vector_has_cosine_zero_with_everything():
    rows = np.array([[-1, 0], [0, 0], [1, 0]], np.float32)
    found = assert_same(np.array([[1.0, 0], [0, 0]], np.float32), [rows], 3, "cosine")
    np.testing.assert_array_equal(found.row, [2, 1, 0, 0, 1, 2])
    np.testing.assert_array_equal(found.similarity, [1, 0, -1, 0, 0, 0])


def test_mapped_and_strided_arrays_give_what_others_give(tmp_path):
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((333, 17)).astype(np.float16)
    np.save(tmp_path / "rows.npy", rows)
    seeds = rng.standard_normal((5, 17)).astype(np.float32)
    wanted = nearest(seeds, [rows, rows[::3]], 40)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for blocks in ([mapped, rows[::3]], [np.asfortranarray(rows), ArrayBlock("part 7", mapped[::3])]):
        np.testing.assert_array_equal(nearest(seeds, blocks, 40).similarity, wanted.similarity)


@pytest.mark.parametrize("convert", [similarity._single, similarity._reckoned])
def test_every_float16_becomes_its_float32(convert):
    half = np.arange(65536, dtype=np.uint16)
    wanted = half.view(np.float16).astype(np.float32)
    single = converted(convert, half)
    np.testing.assert_array_equal(single, wanted)
    np.testing.assert_array_equal(np.signbit(single), np.signbit(wanted))


def converted(convert, half):
    @njit
    def run(half, single):
        for i in range(half.size):
            single[i] = convert(half[i])

    single = np.empty(half.shape, np.float32)
    run(half, single)
    return single


@pytest.mark.parametrize(("dimension", "asked"), [(1, 600), (16, 20), (3000, 2)])
def test_duplicates_at_the_last_place_stay_within_bounded_memory_whatever_the_shape(dimension, asked):
    rows = np.ones((min(60_000, 400_000 // dimension), dimension), np.float16)
    seeds = np.ones((asked, dimension), np.float32)
    nearest(seeds, [rows[:10]], 5)
    tracemalloc.start()
    found = nearest(seeds, [rows], 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.row, np.tile(np.arange(5), asked))
    assert peak < 20_000_000


def test_seeds_that_are_not_finite_are_refused_without_saying_which():
    seeds = np.ones((9, 4), np.float32)
    seeds[7, 2] = np.nan
    with pytest.raises(DatasetError) as caught:
        nearest(seeds, [np.ones((2, 4), np.float32)], 1)
    assert "7" not in str(caught.value)


@pytest.mark.parametrize(
    "seeds", [np.ones(4, np.float32), np.ones((2, 4)), np.ones((2, 4), np.int32), np.ones((2, 0), np.float32)]
)
def test_seeds_of_another_type_or_shape_are_refused(seeds):
    with pytest.raises(DatasetError, match="seed"):
        nearest(seeds, [np.ones((2, 4), np.float32)], 1)


ONE = np.ones((1, 4), np.float32)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"k": 0}, "1 or more"), ({"k": -3}, "1 or more"), ({"k": None}, "all rows"), ({"metric": "l2"}, "cosine"),
        ({"least": np.nan}, "no number"), ({"threads": 0}, "threads"),
    ],
)  # fmt: skip
def test_questions_without_sense_are_refused(asked, problem):
    with pytest.raises(UsageError, match=problem):
        nearest(ONE, [ONE], **{"k": 1, **asked})


def test_another_dimension_is_refused_before_anything_is_read_and_names_the_block():
    with pytest.raises(AlignmentError, match="block 1"):
        nearest(ONE, [np.ones((2, 4), np.float32), np.ones((2, 5), np.float32)], 1)


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 4)), np.ones((2, 4), np.uint8), np.ones(4, np.float32), np.ones((2, 4), ">f4")]
)
def test_an_array_of_another_type_or_shape_is_refused_by_number(wrong):
    with pytest.raises(DatasetError, match="block 1"):
        nearest(ONE, [np.ones((2, 4), np.float32), wrong], 1)


@pytest.mark.parametrize("threads", [1, 3])
def test_each_block_that_was_read_is_told_of_once_and_in_order(threads):
    told = []
    blocks = [np.ones((rows, 4), np.float32) for rows in (9_000, 0, 1, 5_000)]
    nearest(ONE, blocks, 1, threads=threads, passed=told.append)
    assert told == [0, 1, 2, 3]


class Failing(ArrayBlock):
    """A block that breaks off."""

    @contextmanager
    def open(self):
        left = iter(range(3))

        def fill(out):
            if next(left, None) is None:
                raise DatasetError("ended while it was read", where=self.where)
            out[:] = 1

        yield fill


def test_what_a_reader_raises_ends_the_pass_and_is_raised(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_ROWS", 4)
    block = Failing("part 3", np.ones((100_000, 4), np.float32))
    before = threading.active_count()
    for threads in (1, 3):
        with pytest.raises(DatasetError, match="part 3"):
            nearest(ONE, [block], 1, threads=threads)
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_what_a_worker_raises_ends_the_pass_and_is_raised(error):
    seen = []

    def fails(pieces):
        next(pieces)
        raise error

    def works(pieces):
        seen.extend(piece.start for piece in pieces)

    with pytest.raises(error):
        each_piece([ArrayBlock("block 0", np.ones((100_000, 4), np.float32))], 10, [works, fails, works])
    assert len(seen) < 10_000


def test_a_million_rows_in_uneven_blocks_with_a_cluster_of_200():
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((1_000_000, 16)).astype(np.float16)
    rows[500_000:500_200] = rows[7]
    seeds = rows[[7, 999_999, 3]].astype(np.float32)
    blocks = [rows[:1], rows[1:333_334], rows[333_334:999_999], rows[999_999:]]
    found = assert_same(seeds, blocks, 250, "cosine")
    assert np.count_nonzero(found.similarity[:250] == found.similarity[0]) == 201
