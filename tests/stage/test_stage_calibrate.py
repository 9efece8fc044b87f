"""How near is near, on distributions whose quantiles are known and with planted copies and look-alikes."""

from dataclasses import replace

import numpy as np
import pytest
from invented import SEED, World, flipped, near

import small
import vetset
from vetset.case.findings import PART, FindingsPart
from vetset.case.nearness import Calibration
from vetset.model.errors import AlignmentError
from vetset.model.policy import ExpandPolicy, Policy
from vetset.stage.calibrate import calibrate, require_same_space
from vetset.stage.space import aligned_space

OPEN = {"min_similarity": -1, "max_similarity": 1}


def rules(**changes):
    return Policy(expand=ExpandPolicy(**{**OPEN, **changes}))


def told(world, tmp_path, policy, seed=SEED):
    return calibrate(world.space(), world.table(tmp_path / "store"), policy, seed)


def sphere(count, seed=2):
    return np.random.default_rng(seed).standard_normal((count, 3))


def with_copies(count, groups, size, *, bits=8):
    """Unlike pictures in any direction, and so many of them each encoded anew several times."""
    random = np.random.default_rng(4)
    world = World.unlike(np.random.default_rng(5).standard_normal((count, 16)))
    world.vectors = world.vectors.astype(np.float64)
    for group in range(groups):
        first = group * size
        for copy in range(first + 1, first + size):
            world.codes[copy] = flipped(world.codes[first], bits, random)
            world.vectors[copy] = near(world.vectors[first], 0.999, random)
    world.vectors = world.vectors.astype(np.float16)
    return world


def test_the_interval_holds_a_quantile_that_is_known(tmp_path):
    # the cosine of two random directions in space is uniform (Archimedes): a share of 0.01 lies above 0.98
    found = told(World.unlike(sphere(2000)), tmp_path, rules(false_candidate_rate=0.01, calibration_pairs=100_000))
    low, high = found.interval
    assert low <= 0.98 <= high
    assert high - low < 0.01
    assert low <= found.threshold <= high
    assert found.false_rate.low <= 0.01 <= found.false_rate.high
    assert found.false_per_seed.value == pytest.approx(found.false_rate.value * 1999)
    assert (found.vectors, found.records, found.bounded) == (448, 2000, False)


def test_copies_among_the_pairs_do_not_move_the_threshold(tmp_path):
    policy = rules(false_candidate_rate=0.001)
    plain = told(with_copies(1500, 0, 10), tmp_path / "a", policy)
    among = told(with_copies(1500, 60, 10), tmp_path / "b", policy)
    assert among.copies == 60 * 45  # of a million pairs: more than twice the rate
    assert among.random_pairs == among.pairs - among.copies
    assert plain.quantile == pytest.approx(plain.threshold, abs=0.001)
    assert among.quantile > 0.99
    assert among.threshold == pytest.approx(plain.threshold, abs=0.03)


def test_equal_vectors_of_flat_pictures_do_not_move_the_threshold(tmp_path):
    world = World.unlike(sphere(600))
    world.quality[:60] = 0
    world.vectors[:60] = [0, 0, 1]
    found = told(world, tmp_path, rules(false_candidate_rate=0.005))
    assert (found.same_point, found.copies) == (60 * 59 // 2, 0)
    assert found.threshold == pytest.approx(0.99, abs=0.004)


def test_near_duplicates_are_one_pair_of_each_group_and_the_recall_is_theirs(tmp_path):
    world = with_copies(600, 50, 3)
    random = np.random.default_rng(8)
    for first in range(0, 60, 3):  # 20 of the 50 groups lie far apart on this network
        for copy in (first + 1, first + 2):
            world.vectors[copy] = near(world.vectors[first], 0.5, random)
    found = told(world, tmp_path, rules(false_candidate_rate=0.01))
    assert (found.near_duplicates, found.near_without_vector, found.exact_copies) == (50, 0, 0)
    # of a far group the pair may be of the two copies, which lie anywhere
    assert 0.6 <= found.recall.value <= 0.7
    assert found.recall.low < found.recall.value < found.recall.high


def test_one_picture_in_a_thousand_copies_is_one_near_duplicate(tmp_path):
    found = told(with_copies(1200, 1, 1000), tmp_path, rules())
    assert found.near_duplicates == 1
    assert found.copies == 1000 * 999 // 2


def test_equal_bytes_are_counted_apart(tmp_path):
    world = with_copies(200, 10, 4)
    world.pictures[:40] = np.repeat(np.arange(10), 4)
    found = told(world, tmp_path, rules())
    assert (found.near_duplicates, found.recall) == (0, None)
    assert found.exact_copies == 10 * 3


@pytest.mark.parametrize("bits", [20, 21])
def test_a_near_duplicate_is_what_the_policy_confirms(tmp_path, bits):
    found = told(with_copies(100, 10, 2, bits=bits), tmp_path, rules())
    assert found.near_duplicates == (10 if bits == 20 else 0)
    assert found.copies == 10  # either way they are no random pairs


def test_a_near_duplicate_without_a_vector_is_counted(tmp_path):
    world = with_copies(100, 10, 2)
    world.vectors[[1, 3]] = 0
    found = told(world, tmp_path, rules())
    assert (found.near_duplicates, found.near_without_vector) == (8, 2)


def test_look_alikes_are_the_most_similar_other_pictures(tmp_path):
    world = with_copies(300, 40, 3)
    found = told(world, tmp_path, rules(calibration_seeds=300))
    unit = world.vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit.T
    group = np.where(np.arange(300) < 120, np.arange(300) // 3, np.arange(300))
    cosine[group[:, None] == group[None, :]] = -2
    best = cosine.max(axis=1)
    assert (found.look_alikes, found.look_alikes_hidden) == (300, 0)
    for point in found.curve:
        if np.abs(best - point.similarity).min() > 1e-6:
            assert point.look_alikes == np.count_nonzero(best >= point.similarity)


def test_what_pdq_cannot_compare_is_no_look_alike(tmp_path):
    world = World.unlike(sphere(50))
    world.unseen[:] = True
    found = told(world, tmp_path, rules(calibration_seeds=20))
    assert (found.look_alikes, found.look_alikes_hidden, found.alike) == (0, 20, None)
    assert (found.near_duplicates, found.recall) == (0, None)


def test_the_curve_counts_every_class_and_falls(tmp_path):
    found = told(with_copies(200, 20, 2), tmp_path, rules())
    assert [point.similarity for point in found.curve] == sorted({point.similarity for point in found.curve})
    for name in ("near_duplicates", "random_pairs", "look_alikes"):
        counts = [getattr(point, name) for point in found.curve]
        assert counts == sorted(counts, reverse=True)
        assert counts[0] <= getattr(found, name)
    at = next(point for point in found.curve if point.similarity == found.threshold)
    assert at.random_pairs / found.random_pairs == found.false_rate.value
    assert at.near_duplicates / found.near_duplicates == found.recall.value


def test_calibration_is_the_same_each_time_and_another_for_another_dataset(tmp_path):
    world = World.unlike(sphere(500))
    policy = rules(calibration_pairs=1000, false_candidate_rate=0.01)
    first, again, other = (
        told(world, tmp_path / str(run), policy, seed) for run, seed in enumerate((SEED, SEED, "f" * 64))
    )
    assert first == again
    assert first != other
    assert first.pairs >= 1000


@pytest.mark.parametrize(("low", "high", "expected"), [(0.9999, 1.0, 0.9999), (-1.0, -0.9, -0.9)])
def test_the_policys_bounds_hold_and_are_told(tmp_path, low, high, expected):
    found = told(World.unlike(small.vectors()), tmp_path, rules(min_similarity=low, max_similarity=high))
    assert (found.threshold, found.bounded) == (expected, True)


def test_without_probes_and_seeds_the_threshold_is_the_same_and_nothing_else_is_said(tmp_path):
    world = with_copies(200, 20, 2)
    whole = told(world, tmp_path / "a", rules())
    spared = told(world, tmp_path / "b", rules(calibration_probes=0, calibration_seeds=0))
    assert (spared.threshold, spared.interval, spared.copies) == (whole.threshold, whole.interval, whole.copies)
    assert (spared.near_duplicates, spared.recall, spared.look_alikes, spared.alike) == (0, None, 0, None)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_hardly_any_vectors_make_a_bound_decide(tmp_path, count):
    found = told(World.unlike(sphere(count)), tmp_path, Policy())
    assert 0.5 <= found.threshold <= 0.9
    assert found.pairs == count * (count - 1) // 2


def test_the_same_space_is_known_again_and_another_is_not(tmp_path):
    world = World.unlike(sphere(300))
    policy = rules(calibration_pairs=5000)
    first = told(world, tmp_path, policy)
    require_same_space(world.space(), policy.expand, SEED, first)
    other = World.unlike(np.abs(sphere(300, seed=9)))
    with pytest.raises(AlignmentError, match="not the embeddings"):
        require_same_space(other.space(), policy.expand, SEED, first)


def laid_out(world, order, owners=None):
    """The vectors of these records in this order, as those of these owners; their own unless said."""
    count = len(world.vectors)
    rows = np.array_split(order, 3)
    numbers = np.array_split(order if owners is None else owners, 3)
    return aligned_space([world.vectors[each] for each in rows], numbers, count)


def spread_out(count, dimension=16):
    """Few directions with many lengths: whichever pairs a sample has, their high cosines differ."""
    random = np.random.default_rng(0)
    centre = random.standard_normal((40, dimension))[random.integers(0, 40, count)]
    lengths = random.choice([0.3, 0.6, 1, 2], (count, 1))
    return World.unlike(centre * lengths + random.standard_normal((count, dimension)))


@pytest.mark.parametrize("count", [2, 24, 6000])
def test_the_same_vectors_are_known_in_any_order_and_not_as_those_of_other_records(tmp_path, count):
    world = spread_out(count)
    policy = rules(calibration_probes=0, calibration_seeds=0)
    first = calibrate(laid_out(world, np.arange(count)), world.table(tmp_path / "store"), policy, SEED)
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(count)
        require_same_space(laid_out(world, shuffled), policy.expand, SEED, first)
    for owners in (np.arange(count)[::-1], np.roll(np.arange(count), 1)):
        with pytest.raises(AlignmentError, match="not the embeddings"):
            require_same_space(laid_out(world, np.arange(count), owners), policy.expand, SEED, first)


def test_one_record_in_twenty_with_the_vector_of_another_is_enough_to_be_refused(tmp_path):
    world, order = spread_out(6000), np.arange(6000)
    policy = rules(calibration_probes=0, calibration_seeds=0)
    first = calibrate(laid_out(world, order), world.table(tmp_path / "store"), policy, SEED)
    owners = order.copy()
    owners[::20] = np.roll(owners[::20], 1)
    with pytest.raises(AlignmentError, match="other records"):
        require_same_space(laid_out(world, order, owners), policy.expand, SEED, first)


def test_a_round_without_landmarks_is_known_by_the_distribution_alone_as_in_its_time(tmp_path):
    world, policy = World.unlike(sphere(300)), rules(calibration_pairs=5000)
    first = replace(told(world, tmp_path, policy), landmarks=None)
    drawn = world.space().sample_of_rows(101, np.random.default_rng(int(SEED[:16], 16))).vectors.astype(np.float64)
    cosines = (drawn @ drawn.T)[np.triu_indices(101, 1)]
    first = replace(first, quantile=float(np.quantile(cosines, 0.999)))
    require_same_space(world.space(), policy.expand, SEED, first)
    with pytest.raises(AlignmentError, match="not the embeddings"):
        require_same_space(World.unlike(np.abs(sphere(300, seed=9))).space(), policy.expand, SEED, first)


@pytest.mark.parametrize(
    "sizes", [{}, {"calibration_probes": 0}, {"calibration_probes": 10, "calibration_seeds": 3500}]
)
def test_all_pairs_are_of_the_same_vectors_however_large_the_other_samples_are(tmp_path, sizes):
    world = World.unlike(np.random.default_rng(1).standard_normal((4000, 8)))
    policy = Policy(expand=ExpandPolicy(**sizes))
    first = told(world, tmp_path, policy)
    require_same_space(world.space(), policy.expand, SEED, first)
    alone = told(world, tmp_path / "alone", Policy(expand=ExpandPolicy(calibration_probes=0, calibration_seeds=0)))
    assert (first.vectors, first.quantile, first.interval) == (2001, alone.quantile, alone.interval)


def test_a_calibration_of_an_earlier_version_is_refused_by_name():
    earlier = Calibration("quantile", 24, 276, 0.001, 0.95, 0.9, bounded=True)
    with pytest.raises(AlignmentError, match="earlier version"):
        require_same_space(World.unlike(sphere(24)).space(), ExpandPolicy(), SEED, earlier)


def test_a_case_that_an_earlier_version_sealed_still_opens(audit):
    part = PART.dump_python(FindingsPart((), (), (), audit().findings.rounds, (), "complete"), mode="json")
    kept = {"method", "vectors", "pairs", "rate", "quantile", "threshold", "bounded"}
    (sealed,) = part["rounds"]
    del sealed["crowding"]
    sealed["calibration"] = {name: value for name, value in sealed["calibration"].items() if name in kept}
    (opened,) = PART.validate_python(part).rounds
    assert (opened.crowding, opened.calibration.curve, opened.calibration.recall) == (None, (), None)


def test_calibration_does_not_depend_on_findings(audit):
    without = audit(lists=[small.stranger()], out="without").findings.rounds[0]
    among = audit(out="with").findings.rounds[0]
    assert without.calibration == among.calibration
    assert (len(without.seeds), len(among.seeds)) == (0, 4)


def test_a_round_that_is_resumed_is_the_round_that_was(audit):
    first = audit()
    again = audit()
    assert first.findings.rounds == again.findings.rounds


def test_what_an_opened_case_shows_has_the_curve_and_no_identity(audit):
    audited = audit()
    (shown,) = vetset.open_audit(audited.out, audited.key).summary()["rounds"]
    assert shown["calibration"]["curve"][0].keys() == {"similarity", "near_duplicates", "random_pairs", "look_alikes"}
    assert shown["crowding"]["seeds"] == 0
