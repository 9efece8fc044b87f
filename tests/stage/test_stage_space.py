"""Spaces of vectors: one pass counts, samples are fair, nulls and degenerate vectors are told apart in any layout."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import vetset
from embedding_cases import LAYOUTS, npy_bytes
from embedding_rows import keys_of, opened, vectors_of
from vetset.dataset.embeddings.layouts import find_embeddings
from vetset.dataset.embeddings.parts import Choice
from vetset.dataset.webdataset import pack
from vetset.model.errors import AlignmentError
from vetset.model.policy import ExpandPolicy, Policy
from vetset.model.signal import Reason
from vetset.search.blocks import ArrayBlock
from vetset.stage.space import aligned_space

EVERY = pytest.mark.parametrize("layout", LAYOUTS)


def embeddings_in(folder, layout, numbers=range(small.COUNT), parts=3):
    order = np.random.default_rng(3).permutation(np.array(numbers))
    for part, rows in enumerate(np.array_split(order, parts)):
        names = [small.key(number) for number in rows.tolist()]
        LAYOUTS[layout](folder, part, names, small.vectors()[rows].astype(np.float16), "float16")
    return folder


@EVERY
def test_an_audit_finds_the_same_in_every_layout_and_cleaning_moves_the_vectors(audit, tmp_path, layout):
    done = audit(embeddings=embeddings_in(tmp_path / "e", layout))
    assert small.candidates(done.findings) == small.CANDIDATES
    vetset.order(done.out, done.key, out=tmp_path / "order")
    out = tmp_path / "cleaned"
    vetset.clean(done.root, tmp_path / "order", signer=done.pub, out=out, engine=small.HERE)
    before, after = opened(tmp_path / "e"), opened(out / "embeddings")
    stays = [name for part in before for name in keys_of(part) if small.number_of(name) not in small.MATCHED]
    assert [name for part in after for name in keys_of(part)] == stays
    kept = np.concatenate([vectors_of(part) for part in before])
    mask = [small.number_of(name) not in small.MATCHED for part in before for name in keys_of(part)]
    assert np.array_equal(np.concatenate([vectors_of(part) for part in after]), kept[mask])


def test_vectors_in_the_datasets_own_tars_move_with_their_samples(audit, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    for shard, numbers in enumerate(np.array_split(np.arange(small.COUNT), 2)):
        samples = [
            (small.key(n), {"jpg": small.images()[n], "l14.npy": npy_bytes(small.vectors()[n].astype(np.float16))})
            for n in numbers.tolist()
        ]
        pack(samples, root / f"{shard:05d}.tar")
    known = small.hash_list("known", *(part for kind, part in small.known().entries.items() if "url" not in kind))
    done = audit(root, embeddings=root, lists=[known])
    assert small.candidates(done.findings) == small.CANDIDATES
    vetset.order(done.out, done.key, out=tmp_path / "order")
    vetset.clean(root, tmp_path / "order", signer=done.pub, out=tmp_path / "cleaned", engine=small.HERE)
    assert not (tmp_path / "cleaned" / "embeddings").exists()
    left = [small.number_of(name) for part in find_embeddings(tmp_path / "cleaned") for name in keys_of(part)]
    assert left == [number for number in range(small.COUNT) if number not in small.MATCHED - {3}]


def test_nulls_have_no_embedding_and_zeros_and_nan_are_degenerate(audit, tmp_path):
    rows = [None if n in {2, 4} else small.vectors()[n].tolist() for n in range(small.COUNT - 3)]
    rows[8], rows[9] = [0.0] * small.DIMENSION, [float("nan")] * small.DIMENSION
    table = pa.table({"key": [small.key(n) for n in range(len(rows))], "v": pa.array(rows, pa.list_(pa.float32()))})
    (tmp_path / "e").mkdir()
    pq.write_table(table, tmp_path / "e" / "a.parquet")
    for number, known in enumerate((small.known(), small.stranger())):
        done = audit(embeddings=tmp_path / "e", lists=[known], out=f"audit{number}")
        coverage = vetset.open_audit(done.out, done.key).manifest.coverage["embedding"]
        assert (coverage.records, coverage.decided) == (small.COUNT, small.COUNT - 7)
        assert coverage.undecided == {Reason.NO_EMBEDDING: 5, Reason.DEGENERATE_VECTOR: 2}


def test_the_policy_says_which_column_and_the_order_carries_it(audit, tmp_path):
    (tmp_path / "e").mkdir()
    order = list(range(small.COUNT))
    table = pa.table({
        "mine": [small.key(n) for n in order],
        "text": pa.array(np.random.default_rng(1).standard_normal((24, 4)).tolist(), pa.list_(pa.float32())),
        "image": pa.array(small.vectors().tolist(), pa.list_(pa.float32())),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "e" / "a.parquet")
    with pytest.raises(AlignmentError, match=r"expand\.vector_column"):
        audit(embeddings=tmp_path / "e", out="first")
    policy = Policy(expand=ExpandPolicy(key_column="mine", vector_column="image"))
    done = audit(embeddings=tmp_path / "e", policy=policy)
    assert small.candidates(done.findings) == small.CANDIDATES
    vetset.order(done.out, done.key, out=tmp_path / "order")
    out = tmp_path / "cleaned"
    vetset.clean(done.root, tmp_path / "order", signer=done.pub, out=out, engine=small.HERE)
    (part,) = opened(out / "embeddings", Choice(key="mine", vectors="image"))
    assert [small.number_of(name) for name in keys_of(part)] == [n for n in order if n not in small.MATCHED]


class Counted(ArrayBlock):
    """A block that counts its passes."""

    passes = 0

    def open(self):
        type(self).passes += 1
        return super().open()


def test_what_a_search_counted_is_not_counted_again():
    vectors = np.ones((10, 3), np.float32)
    vectors[4] = 0
    Counted.passes = 0
    space = aligned_space([Counted("x", vectors)], [range(10)], 12)
    space.note_unusable(np.array([1]))
    assert space.coverage.undecided == {Reason.NO_EMBEDDING: 2, Reason.DEGENERATE_VECTOR: 1}
    assert Counted.passes == 0
    again = aligned_space([Counted("x", vectors)], [range(10)], 12)
    assert again.coverage == again.coverage == space.coverage
    assert Counted.passes == 1


BOTH = ("sample", "sample_of_rows")


@pytest.mark.parametrize("sample", BOTH)
@given(
    kinds=st.lists(st.sampled_from(["good", "zero", "nan"]), max_size=40),
    wanted=st.integers(1, 50),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_sample_holds_distinct_usable_rows_all_of_them_if_they_are_few(sample, kinds, wanted, seed):
    vectors = np.array([{"good": [1, 2], "zero": [0, 0], "nan": [np.nan, 1]}[kind] for kind in kinds], np.float32)
    vectors = vectors.reshape(-1, 2)
    half = len(kinds) // 2
    space = aligned_space([vectors[:half], vectors[half:]], [range(half), range(half, len(kinds))], len(kinds))
    found = getattr(space, sample)(wanted, np.random.default_rng(seed))
    rows = found.numbers.tolist()
    good = {row for row, kind in enumerate(kinds) if kind == "good"}
    assert len(set(rows)) == len(rows)
    assert set(rows) <= good
    assert len(rows) == min(wanted, len(good)) or len(kinds) > 64 * wanted
    assert np.allclose(found.vectors, np.array([[1, 2]]) / np.sqrt(5))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_sample_is_the_same_whatever_the_order_of_rows_and_parts_and_how_few_have_a_vector(data):
    records = data.draw(st.integers(1, 300))
    there = sorted(data.draw(st.sets(st.integers(0, records - 1), max_size=records)))
    vectors = {record: np.array([record + 1, 1, record % 7], np.float32) for record in there}
    wanted, seed = data.draw(st.integers(1, 40)), data.draw(st.integers(0, 99))
    found = []
    for _ in range(2):
        order = np.array(data.draw(st.permutations(there)), np.int64)
        parts = np.array_split(order, data.draw(st.integers(1, 4)))
        blocks = [np.array([vectors[each] for each in part.tolist()], np.float32).reshape(-1, 3) for part in parts]
        found.append(aligned_space(blocks, parts, records).sample(wanted, np.random.default_rng(seed)))
    assert np.array_equal(found[0].numbers, found[1].numbers)
    assert np.array_equal(found[0].vectors, found[1].vectors)
    assert set(found[0].numbers.tolist()) <= set(there)
    assert len(found[0].numbers) == min(wanted, len(there))


@pytest.mark.parametrize("sample", BOTH)
def test_every_row_is_as_likely_to_be_drawn_as_any_other(sample):
    """A small block beside a large one: chi-square over 4,000 draws of 10 of 100 rows, 99 degrees of freedom."""
    vectors = np.ones((100, 2), np.float32)
    space = aligned_space([vectors[:5], vectors[5:]], [range(5), range(5, 100)], 100)
    counts = np.zeros(100)
    for seed in range(4000):
        counts[getattr(space, sample)(10, np.random.default_rng(seed)).numbers] += 1
    assert ((counts - 400) ** 2 / 400).sum() < 160


def test_vectors_come_with_their_records_and_those_that_are_unusable_do_not_come():
    vectors = np.arange(1, 19, dtype=np.float32).reshape(6, 3)
    unit = (vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)).astype(np.float32)
    vectors[1], vectors[2] = 0, np.nan
    for watched in (False, True):
        space = aligned_space([vectors[3:], vectors[:3]], [range(3, 6), np.array([0, 1, 2])], 6, watched=watched)
        found = space.vectors(np.array([4, 0, 1, 2, 3, 9]))
        assert found.numbers.tolist() == [0, 3, 4]
        assert np.array_equal(found.vectors, unit[[0, 3, 4]])
        assert found.vectors.dtype == np.float32
        nothing = space.vectors(np.array([], np.int64))
        assert (nothing.numbers.shape, nothing.vectors.shape) == ((0,), (0, 3))
