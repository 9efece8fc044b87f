"""Crowds at one point and near one seed: copies come, what collapsed is counted, and the counts add up."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented import World, flipped, near, seeds_of

from vetset.model.policy import ExpandPolicy, Policy
from vetset.stage import crowds
from vetset.stage import passes as passes_stage
from vetset.stage.expand import neighbours
from vetset.stage.hits import threads_here
from vetset.stage.passes import passes
from vetset.stage.progress import Silent

SEED_ROW = 0


def spread(count, dimension=16, seed=3):
    return np.random.default_rng(seed).standard_normal((count, dimension))


def searched(world, tmp_path, rows=(SEED_ROW,), threshold=0.9, **rules):
    policy = Policy(expand=ExpandPolicy(**rules))
    table = world.table(tmp_path / "store")
    found = neighbours(seeds_of(table, rows), world.space(), table, policy, threshold=threshold, number=1)
    keys = {}
    for item in found.neighbours:
        keys.setdefault(int(item.seed.key), set()).add(int(item.record.key))
    return keys, found.crowding


def blanks(count, blank, *, seed=5):
    """A flat seed, `blank` further flat pictures of its vector, and others."""
    world = World.unlike(spread(count, seed=seed))
    world.vectors[: blank + 1] = world.vectors[0]
    world.quality[: blank + 1] = 0
    return world


def test_blank_pictures_are_left_out_and_counted(tmp_path):
    keys, crowding = searched(blanks(400, 300), tmp_path)
    (told,) = crowding.seeds
    assert keys == {}
    assert (told.within, told.copies, told.others, told.collapsed, told.beyond) == (300, 0, 0, 300, 0)


def test_byte_copies_of_a_blank_seed_come_all_the_same(tmp_path):
    world = blanks(400, 300)
    world.pictures[5:25] = world.pictures[0]
    keys, crowding = searched(world, tmp_path)
    assert keys[0] == set(range(5, 25))
    assert (crowding.seeds[0].copies, crowding.seeds[0].collapsed) == (20, 280)


def test_pictures_that_a_network_cannot_tell_apart_are_left_out(tmp_path):
    world = World.unlike(spread(100))
    world.vectors[:50] = world.vectors[0]
    keys, crowding = searched(world, tmp_path)
    assert (keys, crowding.seeds[0].collapsed) == ({}, 49)


@pytest.mark.parametrize("others", [9, 10])
def test_a_point_is_collapsed_from_as_many_pictures_on_as_the_policy_says(tmp_path, others):
    world = World.unlike(spread(100))
    world.vectors[: others + 1] = world.vectors[0]
    keys, crowding = searched(world, tmp_path)
    assert keys.get(0, set()) == (set(range(1, 10)) if others == 9 else set())
    assert len(crowding.seeds) == (others == 10)


def test_a_thousand_copies_of_one_other_picture_are_no_collapse(tmp_path):
    # a mirrored picture on a network that does not see mirroring
    random = np.random.default_rng(1)
    world = World.unlike(spread(300))
    world.vectors[:200] = world.vectors[0]
    for row in range(2, 200):
        world.codes[row] = flipped(world.codes[1], 6, random)
    keys, crowding = searched(world, tmp_path, k=500)
    assert keys[0] == set(range(1, 200))
    assert crowding.seeds == ()


def test_without_pdq_nothing_is_called_collapsed(tmp_path):
    world = World.unlike(spread(100))
    world.vectors[:50] = world.vectors[0]
    world.unseen[:] = True
    keys, crowding = searched(world, tmp_path, k=30)
    assert len(keys[0]) == 30
    (told,) = crowding.seeds
    assert (told.within, told.others, told.collapsed, told.beyond) == (49, 30, 0, 19)


@pytest.mark.parametrize("size", [1, 10, 200, 1000])
@pytest.mark.parametrize("same", ["bytes", "pdq"])
def test_every_copy_of_a_seed_comes_whatever_k_and_crowd_are(tmp_path, size, same):
    random = np.random.default_rng(size)
    world = World.unlike(spread(size + 150))
    for row in range(1, size + 1):
        world.vectors[row] = world.vectors[0] if same == "bytes" else near(world.vectors[0], 0.98, random)
        if same == "bytes":
            world.pictures[row] = world.pictures[0]
        world.codes[row] = flipped(world.codes[0], int(random.integers(0, 21)), random)
    keys, crowding = searched(world, tmp_path, k=3, crowd=5)
    assert set(range(1, size + 1)) <= keys[0]
    assert all(told.copies == size for told in crowding.seeds)


def test_copies_do_not_push_neighbours_out(tmp_path):
    random = np.random.default_rng(6)
    world = World.unlike(spread(500))
    for row in range(1, 201):
        world.codes[row] = flipped(world.codes[0], 4, random)
        world.vectors[row] = near(world.vectors[0], 0.99, random)
    for row in range(201, 211):
        world.vectors[row] = near(world.vectors[0], 0.95, random)
    keys, crowding = searched(world, tmp_path, k=10)
    assert keys[0] == set(range(1, 211))
    assert crowding.seeds == ()


def test_collapsed_vectors_do_not_push_neighbours_out(tmp_path):
    random = np.random.default_rng(6)
    world = World.unlike(spread(500))
    world.vectors[:301] = world.vectors[0]
    for row in range(301, 311):
        world.vectors[row] = near(world.vectors[0], 0.95, random)
    keys, crowding = searched(world, tmp_path, k=10)
    assert keys[0] == set(range(301, 311))
    assert (crowding.seeds[0].collapsed, crowding.seeds[0].beyond) == (300, 0)


@pytest.mark.parametrize("k", [1, 3, 17, 100])
def test_copies_beside_a_collapsed_point_are_counted_as_copies_whatever_k_is(tmp_path, k):
    random = np.random.default_rng(6)
    world = World.unlike(spread(400))
    world.vectors[1:13] = world.vectors[0]
    for row in range(13, 18):
        world.codes[row] = flipped(world.codes[0], 4, random)
        world.vectors[row] = near(world.vectors[0], 0.99, random)
    keys, crowding = searched(world, tmp_path, k=k)
    (told,) = crowding.seeds
    assert (told.within, told.copies, told.others, told.collapsed, told.beyond) == (17, 5, 0, 12, 0)
    assert keys[0] == set(range(13, 18))


def test_copies_of_a_seed_that_has_k_hits_and_more_beyond_are_counted_as_copies(tmp_path):
    """Behind an address copies are not looked up: the search alone brings them, as many as it keeps."""
    random = np.random.default_rng(6)
    world = World.unlike(spread(100))
    for row in range(1, 21):
        world.codes[row] = flipped(world.codes[0], 4, random)
        world.vectors[row] = near(world.vectors[0], 0.99, random)
    table, space = world.table(tmp_path / "store"), world.space()
    space.watched = True
    policy = Policy(expand=ExpandPolicy(k=5, crowd=0))
    found = neighbours(seeds_of(table, [0]), space, table, policy, threshold=0.9, number=1)
    (told,) = found.crowding.seeds
    assert (told.within, told.copies, told.others, told.beyond) == (20, 5, 0, 15)


def test_memory_is_bounded_by_the_copies_that_are_looked_at_at_once(tmp_path, monkeypatch):
    count, dimension = 20_000, 256
    world = World.unlike(spread(count + 50, dimension))
    world.vectors[:count], world.codes[:count], world.pictures[:count] = world.vectors[0], world.codes[0], 0
    table, space = world.table(tmp_path / "store"), world.space()
    monkeypatch.setattr(crowds, "_COPIES", 1_000)
    policy = Policy(expand=ExpandPolicy(k=3, crowd=5))
    tracemalloc.start()
    found = neighbours(seeds_of(table, [0]), space, table, policy, threshold=0.9, number=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.neighbours) == count - 1
    assert peak < count * dimension * 4  # what all their vectors would take


def test_more_than_the_search_keeps_is_counted_to_the_last_record(tmp_path):
    keys, crowding = searched(blanks(400, 300), tmp_path, k=5, crowd=45)
    (told,) = crowding.seeds
    assert keys == {}
    assert told.within == 300
    assert (told.collapsed, told.beyond) in {(50, 250), (51, 249)}  # with the seed's own row among those kept, or not


def test_hubs_are_told_of_and_stay_candidates(tmp_path):
    # twelve seeds along twelve axes, 0.2 from each other, and two records in their middle
    world = World.unlike(spread(60, 64))
    base = np.full(64, 0.5)
    for axis in range(12):
        world.vectors[axis] = base / 4 + 2.0 * np.eye(64)[axis]
    world.vectors[20] = world.vectors[21] = world.vectors[:12].astype(np.float64).mean(axis=0)
    keys, crowding = searched(world, tmp_path, rows=range(12), threshold=0.3)
    assert {20, 21} <= set().union(*keys.values())
    assert (crowding.hubs, crowding.hub_most) == (2, 12)
    _, none = searched(world, tmp_path / "more", rows=range(12), threshold=0.3, hub_seeds=13)
    assert none.hubs == 0


def test_many_seeds_of_one_picture_make_no_hub(tmp_path):
    random = np.random.default_rng(2)
    world = World.unlike(spread(60))
    for row in range(1, 30):
        world.vectors[row] = near(world.vectors[0], 0.99, random)
    _, crowding = searched(world, tmp_path, rows=range(20))
    assert crowding.hubs == 0


def crowded(random, seed):
    """A world with copies, collapsed points and records that PDQ says nothing of."""
    count = int(random.integers(20, 120))
    world = World.unlike(random.standard_normal((count, 4)), seed)
    points = random.integers(0, 6, count)
    world.vectors = world.vectors[points] if random.random() < 0.5 else world.vectors
    world.pictures = random.integers(0, count, count)
    world.quality[random.random(count) < 0.3] = 10
    world.unseen[random.random(count) < 0.2] = True
    return world


class Heard(Silent):
    """What progress was told of."""

    def __init__(self):
        self.stages = []

    def started(self, stage, shards, size):
        self.stages.append(stage)


@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3]))
@settings(max_examples=60, deadline=None)
def test_many_passes_find_what_one_does(tmp_path_factory, seed, at_once):
    random = np.random.default_rng(seed)
    world = crowded(random, seed)
    count = len(world.vectors)
    world.codes[random.random(count) < 0.5] = world.codes[0]
    rows = sorted(random.permutation(count)[:7].tolist())
    expand = ExpandPolicy(k=int(random.integers(1, 9)), crowd=int(random.integers(0, 9)), collapsed_from=3, hub_seeds=2)
    policy = Policy(expand=expand.model_copy(update={"search_memory_mb": 1}))
    table = world.table(tmp_path_factory.mktemp("world"))
    seeds, threshold = seeds_of(table, rows), float(random.choice([0.5, 0.9, 0.999]))
    one = neighbours(seeds, world.space(), table, policy, threshold=threshold, number=1)
    space = world.space()
    space.reporter = Heard()
    kept = min(count, expand.k + expand.crowd + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes_stage, "_BYTES", (1 << 20) // (kept * at_once * max(2, threads_here())))
        many = neighbours(seeds, space, table, policy, threshold=threshold, number=1)
    assert many == one
    count = -(-len(rows) // at_once)
    assert space.reporter.stages == [f"neighbours, pass {number} of {count}" for number in range(1, count + 1)]


@given(st.integers(1, 10**5), st.integers(1, 2000), st.integers(1, 4096), st.integers(1, 16))
@settings(deadline=None)
def test_no_pass_keeps_more_than_the_memory_holds_unless_it_is_of_one_seed(seeds, kept, memory_mb, threads):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes_stage, "threads_here", lambda: threads)
        told = list(passes(seeds, kept, memory_mb, watched=False))
        (alone,) = passes(seeds, kept, memory_mb, watched=True)
    sizes = [step.seeds.stop - step.seeds.start for step in told]
    assert (told[0].seeds.start, told[-1].seeds.stop, sum(sizes)) == (0, seeds, seeds)
    assert all(one.seeds.stop == other.seeds.start for one, other in itertools.pairwise(told))
    assert max(sizes) == 1 or max(sizes) * kept * threads * 120 <= memory_mb << 20
    assert (alone.seeds, alone.name) == (slice(0, seeds), "neighbours")
    assert 1 <= alone.threads <= threads
    assert alone.threads == 1 or seeds * kept * alone.threads * 120 <= memory_mb << 20


def test_who_keeps_the_vectors_sees_one_pass_however_many_seeds_there_are(tmp_path, monkeypatch):
    world = World.unlike(spread(60))
    table, space = world.table(tmp_path / "store"), world.space()
    space.watched, space.reporter = True, Heard()
    monkeypatch.setattr(passes_stage, "_BYTES", 1 << 30)
    neighbours(seeds_of(table, range(9)), space, table, Policy(), threshold=0.9, number=1)
    assert space.reporter.stages == ["neighbours"]


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_the_counts_of_every_seed_add_up_to_all_within_the_threshold(tmp_path_factory, seed):
    random = np.random.default_rng(seed)
    world = crowded(random, seed)
    count = len(world.vectors)
    rows = sorted(random.permutation(count)[:5].tolist())
    k, crowd = int(random.integers(1, 20)), int(random.integers(0, 20))
    threshold = float(random.choice([0.5, 0.9, 0.999]))
    keys, crowding = searched(
        world, tmp_path_factory.mktemp("world"), rows, threshold, k=k, crowd=crowd, collapsed_from=3
    )
    unit = world.vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit.T
    if np.abs(cosine[rows] - threshold).min() < 1e-6:
        return
    within = {row: set(np.flatnonzero(cosine[row] >= threshold).tolist()) - {row} for row in rows}
    told = {int(crowd.seed.key): crowd for crowd in crowding.seeds}
    returned = set().union(*keys.values())
    for row in rows:
        assert keys.get(row, set()) <= within[row]
        assert {other for other in within[row] if world.pictures[other] == world.pictures[row]} <= returned
        if row in told:
            crowd = told[row]
            assert crowd.within == len(within[row])
            assert crowd.copies + crowd.others + crowd.collapsed + crowd.beyond == len(within[row])
            assert crowd.collapsed + crowd.beyond > 0
        else:
            assert within[row] <= returned
    left_out = sum(crowd.collapsed + crowd.beyond for crowd in crowding.seeds)
    assert len(set().union(*within.values()) - returned) <= left_out
    assert crowding.collapsed <= len(set().union(*within.values()) - returned)


def test_seeds_that_are_copies_of_each_other_bring_every_copy_once(tmp_path):
    random = np.random.default_rng(9)
    world = World.unlike(spread(700))
    for row in range(1, 500):
        world.codes[row] = flipped(world.codes[0], int(random.integers(0, 16)), random)
        world.vectors[row] = near(world.vectors[0], 0.99, random)
    keys, crowding = searched(world, tmp_path, rows=range(100), threshold=0.95, k=5, crowd=20)
    assert set().union(*keys.values()) == set(range(500))
    assert sum(len(records) for records in keys.values()) == 500
    assert all(told.within == 499 for told in crowding.seeds)
