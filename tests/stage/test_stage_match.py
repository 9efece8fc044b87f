"""The join of a store with lists, against a linear scan over the same columns."""

from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
from vetset.model.dataset import ShardDigest
from vetset.model.errors import CountError
from vetset.model.policy import MatchPolicy, Policy, ScanPolicy
from vetset.model.signal import Kind, Reason, Variant
from vetset.stage import match as match_stage
from vetset.stage.match import Given, ListMatcher
from vetset.stage.matched import match_store
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import Part, PartWriter
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import Store

KINDS = (Kind.MD5, Kind.URL_SHA256, Kind.PDQ)
REASONS = (Reason.NULL_VALUE, Reason.UNDECODABLE, Reason.LOW_QUALITY)
SHARD = ShardDigest("a" * 64)


def written(store, cells, quality, why, *, name="part", chunks=1):
    """A part with these cells: (kind, variant) → list of bytes or None."""
    count = len(quality)
    arrays = [pa.array([f"key {n}" for n in range(count)])]
    for kind in KINDS:
        arrays += [Values.of(cells[kind, variant], kind.width).to_arrow() for variant in VARIANTS[kind]]
        if kind is Kind.PDQ:
            arrays.append(pa.array(quality, pa.uint8()))
        arrays.append(pa.array(why[kind], pa.uint8()))
    edges = [count * number // chunks for number in range(chunks + 1)]
    with PartWriter(store, KINDS) as writer:
        for start, end in pairwise(edges):
            writer.append([array.slice(start, end - start) for array in arrays])
        writer.commit(name, count)
    return Part(store.part_path(name), name)


@st.composite
def stores(draw):
    """Cells of up to 30 records whose values come out of a small pool, so that they meet those of the lists."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 30))
    pool = {kind: [random.bytes(kind.width) for _ in range(6)] for kind in KINDS}
    cells, why = {}, {}
    for kind in KINDS:
        for variant in VARIANTS[kind]:
            cells[kind, variant] = [
                None if random.random() < 0.4 else near(pool[kind][random.integers(6)], kind, random)
                for _ in range(count)
            ]
        why[kind] = [
            0
            if any(cells[kind, variant][row] is not None for variant in VARIANTS[kind])
            else REASONS[random.integers(3)].code
            for row in range(count)
        ]
    quality = [
        0 if cells[Kind.PDQ, Variant.STORED][row] is None else int(random.integers(50, 101)) for row in range(count)
    ]
    lists = []
    for name in ("one", "two"):
        parts = []
        for kind in KINDS:
            chosen = {pool[kind][random.integers(6)] for _ in range(random.integers(1, 5))} | {random.bytes(kind.width)}
            flags = [int(flag) for flag in random.integers(0, 2, len(chosen))]
            parts.append(small.entries(kind, sorted(chosen), flags=flags))
        lists.append(small.hash_list(name, *parts))
    return cells, quality, why, lists


def near(value, kind, random):
    """The value, for PDQ with up to 40 bits flipped."""
    if kind is not Kind.PDQ:
        return value
    bits = np.unpackbits(np.frombuffer(value, np.uint8))
    bits[random.permutation(256)[: random.integers(0, 41)]] ^= 1
    return np.packbits(bits).tobytes()


def distance(left, right):
    return sum((a ^ b).bit_count() for a, b in zip(left, right, strict=True))


def by_linear_scan(cells, quality, lists, radius):
    """All that match, written down in the plainest way."""
    found = set()
    for hash_list in lists:
        for kind, entries in hash_list.entries.items():
            for variant in VARIANTS[kind]:
                for row, value in enumerate(cells[kind, variant]):
                    for number in range(len(entries)):
                        wanted = entries.values[number].tobytes()
                        if value is None or distance(value, wanted) > (radius if kind is Kind.PDQ else 0):
                            continue
                        name, entry, flag = hash_list.info.name, entries.ids[number].decode(), entries.flags[number]
                        grade = quality[row] if kind is Kind.PDQ else 100
                        found.add((row, name, entry, kind, variant, distance(value, wanted), grade, flag == 0))
    return found


@given(stores(), st.integers(0, 31))
@settings(max_examples=40, deadline=None)
def test_matches_and_tallies_are_those_of_a_linear_scan(tmp_path_factory, content, radius):
    cells, quality, why, lists = content
    count = len(quality)
    part = written(Store(tmp_path_factory.mktemp("store")), cells, quality, why)
    policy = Policy(match=MatchPolicy(pdq_radius=radius, confirm_distance=0))
    result = ListMatcher(lists, policy).shard(part, SHARD, count)
    seen = {
        (m.record.row, m.list_name, m.entry, m.kind, m.variant, m.distance, m.quality, m.seedable)
        for m in result.matches
    }
    expected = by_linear_scan(cells, quality, lists, radius)
    assert seen == expected
    assert len(result.matches) == len(expected)
    assert list(result.matches) == sorted(result.matches)
    coverage = {item.kind: item for item in result.coverage}
    for tally in result.tallies:
        matched = {row for row, name, _, kind, *_ in expected if (name, kind) == (tally.list_name, tally.kind)}
        assert tally.matched == len(matched)
        assert tally.undecided == Counter(
            next(reason for reason in REASONS if reason.code == code) for code in why[tally.kind] if code
        )
        tally.check(coverage[tally.kind], "shard")


@given(st.lists(stores(), min_size=1, max_size=5), st.integers(1, 40), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_shards_that_are_joined_together_are_told_apart(tmp_path_factory, contents, slab, chunks):
    store, lists = Store(tmp_path_factory.mktemp("store")), contents[0][3]
    parts = [
        written(store, cells, quality, why, name=f"part{number}", chunks=chunks)
        for number, (cells, quality, why, _) in enumerate(contents)
    ]
    group = [Given(part, ShardDigest(f"{n}" * 64), part.records) for n, part in enumerate(parts)]
    matcher = ListMatcher(lists, Policy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(match_stage, "SLAB_RECORDS", slab)
        together = matcher.group(group)
    assert together == [matcher.shard(given.part, given.name, given.records) for given in group]


@given(stores(), st.integers(1, 4), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_of_crowded_entries_the_best_are_named_and_every_record_counts(tmp_path_factory, content, named, most):
    """Entries that nothing is held against first, then by distance, then as they stand in the list."""
    cells, quality, why, lists = content
    part = written(Store(tmp_path_factory.mktemp("store")), cells, quality, why)
    matcher = ListMatcher(lists, Policy())
    whole = matcher.shard(part, SHARD, len(quality))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(match_stage, "NAMED_ENTRIES", named)
        patch.setattr(match_stage, "MOST_PAIRS", most)
        few = matcher.shard(part, SHARD, len(quality))
    assert (few.tallies, few.coverage) == (whole.tallies, whole.coverage)
    wanted = []
    agreed = list(zip(whole.matches, whole.rows, strict=True))
    for _, forms in groupby(sorted(agreed, key=form_of), key=form_of):
        wanted += sorted(forms, key=lambda pair: (not pair[0].seedable, pair[0].distance, pair[1]))[:named]
    assert sorted(zip(few.matches, few.rows, strict=True)) == sorted(wanted)


def form_of(pair):
    match = pair[0]
    return match.record, match.list_name, match.kind, match.variant


def test_a_list_that_crowds_around_one_picture_costs_what_is_named(tmp_path):
    code = np.packbits(np.arange(256) < 128)
    many = np.tile(code, (20_000, 1))
    many.view(np.uint8)[:, :2] ^= np.arange(20_000, dtype=np.uint16)[:, None].view(np.uint8)
    crowd = small.hash_list("crowd", small.entries(Kind.PDQ, sorted({row.tobytes() for row in many})))
    cells = {(kind, variant): [None] * 60 for kind in KINDS for variant in VARIANTS[kind]}
    cells[Kind.PDQ, Variant.STORED] = [code.tobytes()] * 60
    why = {kind: [Reason.NULL_VALUE.code if kind is not Kind.PDQ else 0] * 60 for kind in KINDS}
    part = written(Store(tmp_path), cells, [100] * 60, why)
    found = ListMatcher([crowd], Policy()).shard(part, SHARD, 60)
    assert len(found.matches) == 60 * match_stage.NAMED_ENTRIES
    assert min(match.distance for match in found.matches) == 0
    assert [tally.matched for tally in found.tallies] == [60]


def damaged(tmp_path, change):
    """A part of four records, one of them without MD5, after a change of its columns."""
    cells = {
        (kind, variant): [bytes([n]) * kind.width for n in range(4)] for kind in KINDS for variant in VARIANTS[kind]
    }
    why = {kind: [0, 0, 0, 0] for kind in KINDS}
    for variant in VARIANTS[Kind.MD5]:
        cells[Kind.MD5, variant][3] = None
    why[Kind.MD5][3] = Reason.NULL_VALUE.code
    change(cells, why)
    part = written(Store(tmp_path), cells, [100] * 4, why)
    lists = [small.hash_list("one", small.entries(Kind.MD5, [bytes(16)]))]
    (tally,) = ListMatcher(lists, Policy()).shard(part, SHARD, 4).tallies
    return tally, part.coverage(Kind.MD5)


def with_a_key_that_is_no_text(batch):
    keys = pa.array([b"\xff"] * len(batch), pa.binary())
    return batch.set_column(0, "key", pa.StringArray.from_buffers(len(batch), *keys.buffers()[1:]))


@pytest.mark.parametrize(
    "change", [with_a_key_that_is_no_text, lambda batch: batch.drop_columns(["pdq.quality"])], ids=["key", "quality"]
)
@pytest.mark.parametrize("value", [bytes(32), b"\xff" * 32], ids=["found", "not found"])
def test_damage_says_nothing_of_what_is_found(tmp_path, change, value):
    store = Store(tmp_path)
    cells = {(kind, variant): [bytes(kind.width)] for kind in KINDS for variant in VARIANTS[kind]}
    written(store, cells, [100], {kind: [0] for kind in KINDS})
    small.rewritten(store.part_path("part"), change)
    matcher = ListMatcher([small.hash_list("one", small.entries(Kind.PDQ, [value]))], Policy())
    with pytest.raises(CountError):
        matcher.shard(Part(store.part_path("part"), "part"), SHARD, 1)


def test_an_undamaged_part_balances(tmp_path):
    tally, coverage = damaged(tmp_path, lambda cells, why: None)
    assert (tally.balanced, coverage.balanced) == (True, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda cells, why: why[Kind.MD5].__setitem__(3, 0),
        lambda cells, why: why[Kind.MD5].__setitem__(0, Reason.NULL_VALUE.code),
        lambda cells, why: why[Kind.MD5].__setitem__(1, Reason.NULL_VALUE.code),
    ],
    ids=["neither signal nor reason", "a match with a reason", "signal and reason"],
)
def test_a_record_that_is_both_or_neither_unbalances_the_counts(tmp_path, change):
    _, coverage = damaged(tmp_path, change)
    assert not coverage.balanced


def test_a_shard_without_a_kind_that_the_policy_scans_for_is_no_shard_that_adds_up(tmp_path):
    store = Store(tmp_path / "store")
    for name, kinds in (("0", (Kind.MD5, Kind.SHA256)), ("1", (Kind.MD5,))):
        with PartWriter(store, kinds) as writer:
            nothing = [pa.nulls(2, pa.binary(kind.width)) for kind in kinds for _ in range(2)]
            why = pa.array([Reason.UNDECODABLE.code] * 2, pa.uint8())
            cells = [column for place in range(len(kinds)) for column in (*nothing[2 * place : 2 * place + 2], why)]
            writer.append([pa.array(["a", "b"]), *cells])
            writer.commit(name, 2)
    shards = [StoredShard(f"{name}.tar", ShardDigest(name * 64), name, 2) for name in "01"]
    lists = [small.hash_list("known", small.entries(Kind.MD5, [b"0" * 16]))]
    policy = Policy(scan=ScanPolicy(kinds=(Kind.MD5, Kind.SHA256)))
    assert match_store(RecordTable(store, shards[:1]), lists, policy).imbalances == ()
    (told,) = match_store(RecordTable(store, shards), lists, policy).imbalances
    assert "1.tar" in told
    assert "sha256" in told
