"""Neighbours of what is confirmed, against all cosines in double precision."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import vetset
from vetset.model.dataset import Format, RecordId, ShardDigest
from vetset.model.errors import AlignmentError, UsageError
from vetset.model.finding import Match, Seeds
from vetset.model.policy import ExpandPolicy, Policy
from vetset.model.signal import Kind, Variant
from vetset.stage.expand import calibrate, neighbours
from vetset.stage.space import aligned_space

SHARD = ShardDigest("b" * 64)
SEED = "0123456789abcdef" * 4


def record(number):
    return RecordId(SHARD, number, str(number))


def seeds_of(numbers):
    matches = [Match(record(number), "one", "entry", Kind.MD5, Variant.STORED, 0, 100) for number in numbers]
    return Seeds.confirmed(matches, (), Policy())


TABLE = SimpleNamespace(
    numbers=lambda records: np.array([item.row for item in records], np.int64),
    records=lambda numbers: [record(int(number)) for number in numbers],
)


def space_of(vectors, cuts=(7,), records=None):
    order = np.random.default_rng(1).permutation(len(vectors))
    blocks = np.split(order, [cut for cut in cuts if cut < len(vectors)])
    return aligned_space([vectors[rows] for rows in blocks], list(blocks), records or len(vectors))


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
    expected = set()
    for start in chosen:
        ranked = sorted((-every[start, row], row) for row in range(count) if row != start)[:k]
        expected |= {(start, row) for cosine, row in ranked if -cosine >= threshold}
    found, blind, _ = neighbours(seeds_of(chosen), space_of(vectors), TABLE, k=k, threshold=threshold, number=1)
    assert {(item.seed.row, item.record.row) for item in found} == expected
    assert blind == 0
    for item in found:
        assert item.similarity == pytest.approx(every[item.seed.row, item.record.row], abs=1e-5)


def test_a_seed_is_not_its_own_neighbour():
    found, _, _ = neighbours(seeds_of([2]), space_of(small.vectors()), TABLE, k=23, threshold=-1.0, number=1)
    assert {item.record.row for item in found} == set(range(24)) - {2}


def test_seeds_without_a_vector_are_counted():
    vectors = small.vectors().copy()
    vectors[3] = 0
    vectors[4] = np.nan
    space = space_of(vectors)
    assert neighbours(seeds_of([2, 3, 4]), space, TABLE, k=5, threshold=0.9, number=1)[1] == 2


def test_seeds_with_more_neighbours_than_k_are_counted():
    vectors = np.ones((20, 4), np.float32)
    vectors[10:] = [[1, -1, 1, -1]]
    space = space_of(vectors)
    inside = neighbours(seeds_of([0, 12]), space, TABLE, k=9, threshold=0.9, number=1)[2]
    beyond = neighbours(seeds_of([0, 12]), space, TABLE, k=8, threshold=0.9, number=1)[2]
    assert (inside, beyond) == (0, 2)


def test_calibration_is_the_same_each_time_and_another_for_another_dataset():
    vectors = np.random.default_rng(2).standard_normal((500, 8)).astype(np.float16)
    policy = ExpandPolicy(calibration_pairs=1000, min_similarity=-1, max_similarity=1)
    first, again, other = (calibrate(space_of(vectors), policy, seed) for seed in (SEED, SEED, "f" * 64))
    assert first == again
    assert first != other
    assert first.pairs >= 1000


def test_the_threshold_is_the_quantile_of_all_pairs_where_all_are_looked_at():
    vectors = np.random.default_rng(2).standard_normal((60, 8)).astype(np.float16)
    policy = ExpandPolicy(false_candidate_rate=0.05, min_similarity=-1, max_similarity=1)
    told = calibrate(space_of(vectors), policy, SEED)
    expected = np.quantile(cosines(vectors)[np.triu_indices(60, 1)], 0.95)
    assert told.threshold == pytest.approx(expected, abs=1e-5)
    assert (told.vectors, told.pairs, told.bounded) == (60, 60 * 59 // 2, False)


@pytest.mark.parametrize(("low", "high", "expected"), [(0.9999, 1.0, 0.9999), (-1.0, -0.9, -0.9)])
def test_the_policys_bounds_hold_and_are_told(low, high, expected):
    policy = ExpandPolicy(min_similarity=low, max_similarity=high)
    told = calibrate(space_of(small.vectors()), policy, SEED)
    assert (told.threshold, told.bounded) == (expected, True)


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
