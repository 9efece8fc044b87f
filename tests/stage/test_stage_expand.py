"""Neighbours of what is confirmed, against all cosines in double precision."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented import World, seeds_of

import small
import vetset
from vetset.model.dataset import Format
from vetset.model.errors import AlignmentError, UsageError
from vetset.model.policy import ExpandPolicy, Policy
from vetset.model.signal import Kind
from vetset.stage.expand import neighbours


def near(chosen, vectors, k, threshold):
    """Neighbours among pictures that nothing but their vectors is known of."""
    world = World.unlike(vectors)
    world.unseen[:] = True
    policy = Policy(expand=ExpandPolicy(k=k))
    with tempfile.TemporaryDirectory() as folder:
        table = world.table(Path(folder) / "store", shards=1)
        return neighbours(seeds_of(table, chosen), world.space(), table, policy, threshold=threshold, number=1)


def cosines(vectors):
    doubles = vectors.astype(np.float64)
    length = np.linalg.norm(doubles, axis=1, keepdims=True)
    return (doubles / length) @ (doubles / length).T


@given(st.integers(0, 2**32), st.integers(2, 60), st.integers(1, 8), st.floats(0.1, 0.9))
@settings(max_examples=40, deadline=None)
def test_neighbours_are_those_of_all_cosines(seed, count, k, threshold):
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((count, 6)).astype(np.float16)
    chosen = sorted(random.permutation(count)[: random.integers(1, min(5, count) + 1)].tolist())
    every = cosines(vectors)
    gaps = np.abs(every - threshold)[~np.eye(count, dtype=bool)]
    if gaps.min() < 1e-4:
        return  # too near to the threshold for float32 to be the judge
    expected: dict[int, tuple[float, int]] = {}
    for start in chosen:
        ranked = sorted((-every[start, row], row) for row in range(count) if row != start)[:k]
        for cosine, row in ranked:
            if -cosine >= threshold:
                expected[row] = min(expected.get(row, (2.0, 0)), (cosine, start))
    found = near(chosen, vectors, k, threshold)
    assert {item.record.row: item.seed.row for item in found.neighbours} == {
        row: seed for row, (_, seed) in expected.items()
    }
    assert (found.blind, found.pairs) == (0, sum(np.count_nonzero(every[row] >= threshold) - 1 for row in chosen))
    for item in found.neighbours:
        assert item.similarity == pytest.approx(every[item.seed.row, item.record.row], abs=1e-5)


def test_a_seed_is_not_its_own_neighbour():
    found = near([2], small.vectors(), 23, -1.0)
    assert {item.record.row for item in found.neighbours} == set(range(24)) - {2}


def test_seeds_without_a_vector_are_counted():
    vectors = small.vectors().copy()
    vectors[3] = 0
    vectors[4] = np.nan
    assert near([2, 3, 4], vectors, 5, 0.9).blind == 2


def test_seeds_that_have_more_neighbours_than_k_are_told_of_to_the_last_record():
    vectors = np.ones((20, 4), np.float32)
    vectors[10:] = [[1, -1, 1, -1]]
    found = near([0, 12], vectors, 9, 0.9)
    assert (len(found.neighbours), found.pairs, found.crowding.seeds) == (18, 18, ())
    found = near([0, 12], vectors, 8, 0.9)
    assert (len(found.neighbours), found.pairs) == (16, 18)
    assert [(told.seed.row, told.within, told.others, told.beyond) for told in found.crowding.seeds] == [
        (0, 9, 8, 1),
        (12, 9, 8, 1),
    ]


def test_an_audit_without_seeds_still_records_its_round(audit):
    (told,) = audit(lists=[small.stranger()]).findings.rounds
    assert (told.number, told.seeds, told.fresh) == (1, (), 0)
    assert told.calibration.pairs == 24 * 23 // 2


def test_an_audit_without_embeddings_records_no_round(audit):
    assert audit(embeddings=None).findings.rounds == ()


@pytest.mark.parametrize("form", [Format.WEBDATASET, Format.FOLDER, Format.HUGGINGFACE])
def test_what_a_verifier_confirms_seeds_the_next_round(audit, form):
    audited = audit(form=form)
    vetset.verify(audited.out, audited.key, with_list=small.second())
    vetset.expand(audited.out, audited.key)
    findings = audited.findings
    assert small.candidates(findings) == small.CANDIDATES | small.SECOND_ROUND
    assert {small.number_of(seed.key) for seed in findings.rounds[1].seeds} == {5, 22}
    assert findings.rounds[1].calibration == findings.rounds[0].calibration


def test_a_confirmed_record_is_never_a_candidate(audit):
    findings = audit(policy=Policy(expand=ExpandPolicy(min_similarity=-1, max_similarity=-1))).findings
    assert set(small.candidates(findings)) == set(range(24)) - small.CONFIRMED


def test_a_copy_of_a_neighbour_that_is_confirmed_by_itself_is_no_candidate(audit, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    declared = b'{"md5": "' + b"ab" * 16 + b'"}'
    small.pack(
        [
            ("0", {"jpg": small.images()[0]}),
            ("1", {"jpg": small.images()[5]}),
            ("2", {"jpg": small.images()[5], "json": declared}),
        ],
        root / "0.tar",
    )
    small.write_new(tmp_path / "embeddings", 0, small.vectors()[[0, 5]], ["0", "1"])
    digests = small.entries(Kind.MD5, [small.md5(small.images()[0]), b"\xab" * 16])
    findings = audit(root, embeddings=tmp_path / "embeddings", lists=[small.hash_list("known", digests)]).findings
    assert set(small.found(findings)) == {0, 2}
    assert small.candidates(findings) == {1: "neighbour"}


def test_a_candidate_keeps_the_round_that_brought_it(audit):
    audited = audit(policy=Policy(expand=ExpandPolicy(min_similarity=-1, max_similarity=-1)))
    vetset.verify(audited.out, audited.key, with_list=small.second())
    vetset.expand(audited.out, audited.key)
    assert {item.round for item in audited.findings.candidates} == {1}
    assert audited.findings.rounds[1].fresh == 0


def test_expanding_without_embeddings_is_refused(audit):
    audited = audit(embeddings=None)
    with pytest.raises(UsageError, match="no embeddings"):
        vetset.expand(audited.out, audited.key)


def test_expanding_over_the_embeddings_of_another_model_is_refused(audit, tmp_path):
    audited = audit()
    vectors = np.abs(np.random.default_rng(8).standard_normal((24, 16))).astype(np.float32)
    small.write_new(tmp_path / "other", 0, vectors, [small.key(n) for n in range(24)])
    with pytest.raises(AlignmentError, match="not the embeddings"):
        vetset.expand(audited.out, audited.key, embeddings=tmp_path / "other")
    assert len(audited.findings.rounds) == 1


def test_embeddings_that_were_moved_are_found_where_they_are_named(audit, tmp_path, roots):
    import shutil

    shutil.copytree(roots / "webdataset-embeddings", tmp_path / "here")
    audited = audit(embeddings=tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(AlignmentError):
        vetset.expand(audited.out, audited.key)
    told = vetset.expand(audited.out, audited.key, embeddings=tmp_path / "there")
    assert [entry["number"] for entry in told["rounds"]] == [1, 2]
