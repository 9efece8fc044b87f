"""Rounds until dry: what they reach, which rule ends them, and that an interruption anywhere changes nothing."""

import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import vetset
from vetset.case.findings import FindingsPart, Provenance, RecheckPart, VerdictsPart
from vetset.case.ledger import Ledger
from vetset.case.nearness import Calibration
from vetset.case.rounds import Rules
from vetset.dataset.embeddings.clip_retrieval import write_new
from vetset.model.dataset import ContentId, RecordId, ShardDigest
from vetset.model.errors import AlignmentError, UsageError
from vetset.model.finding import Match, Seeds
from vetset.model.policy import ExpandPolicy, MatchPolicy, Policy
from vetset.model.signal import Kind, Reason, Variant
from vetset.model.verdict import Decision, Verdict
from vetset.seal.keys import new_key
from vetset.stage.expand import expand
from vetset.stage.items import harms_of
from vetset.stage.rounds import Search, drive, next_step, unsearched
from vetset.stage.space import aligned_space
from vetset.storage.commit import alone_in
from vetset.store.columns import part_schema
from vetset.store.part import PartWriter
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import Store

KEY = new_key("custodian")
SHARD = ShardDigest("c" * 64)
THRESHOLD = 0.8
POLICY = Policy(expand=ExpandPolicy(min_similarity=THRESHOLD, max_similarity=THRESHOLD, k=50))
RULES = Rules("list:second", "1")
CALIBRATION = Calibration("set by hand", 0, 0, 0.001, THRESHOLD, THRESHOLD, bounded=True)


class EndedError(Exception):
    """Stands for whatever ends a process."""


def record(number):
    return RecordId(SHARD, number, str(number))


def match(number):
    return Match(record(number), "one", "entry", Kind.MD5, Variant.STORED, 0, 100)


@dataclass
class World:
    """A dataset of which only vectors, digests and scores exist, and who knows what of it.

    `fuse` counts the points that are reached; at 0 the run ends there.
    """

    vectors: np.ndarray
    listed: set
    known: set
    digests: list = field(default_factory=list)
    scores: dict = field(default_factory=dict)
    fuse: int = -1
    asked: list = field(default_factory=list)
    name: str = RULES.verifier
    version: str = RULES.version
    harm: str = ""
    undecided: set = field(default_factory=set)
    table: RecordTable | None = None

    @property
    def count(self):
        return len(self.vectors)

    def reached(self):
        self.fuse -= 1
        if self.fuse == 0:
            raise EndedError

    def stored(self, folder):
        """A store in which every picture has bytes and none a PDQ."""
        schema, store = part_schema([Kind.SHA256, Kind.PDQ]), Store(folder)
        columns = {
            "key": [str(row) for row in range(self.count)],
            "sha256": [bytes([value]) * 32 for value in self.digests or range(self.count)],
            "sha256.why": [0] * self.count,
            "pdq.why": [Reason.LOW_QUALITY.code] * self.count,
        }
        nothing = [None] * self.count
        with PartWriter(store, [Kind.SHA256, Kind.PDQ]) as writer:
            writer.append([pa.array(columns.get(item.name, nothing), item.type) for item in schema])
            writer.commit("part", self.count)
        return RecordTable(store, [StoredShard("0.tar", SHARD, "part", self.count)])

    def ask(self, records):
        self.reached()
        self.asked.append([item.row for item in records])
        verdicts = [
            Verdict(item, self.decision(item.row), self.name, version=self.version, owner="x", category=self.harm)
            for item in sorted(records)
        ]
        self.reached()
        return VerdictsPart(self.name, tuple(verdicts))

    def decision(self, row):
        if row in self.undecided:
            return Decision.UNDECIDED
        return Decision.KNOWN if row in self.known else Decision.NOT_KNOWN

    def provenance(self, records):
        self.reached()
        return tuple(
            Provenance(
                item, "0.tar", ContentId(f"sha256:{item.row}"), "",
                json.dumps({"punsafe": self.scores[item.row]} if item.row in self.scores else {}), checked=True,
            )
            for item in sorted(records)
        )  # fmt: skip

    @property
    def space(self):
        return aligned_space([self.vectors], [np.arange(self.count)], self.count)

    def search(self, policy=POLICY):
        return Search(self.space, self.table, small.trust("one", policy=policy), self.provenance)

    def begin(self, folder, policy=POLICY):
        """The case as an audit leaves it."""
        self.table = self.stored(folder / "store")
        matches = tuple(match(number) for number in sorted(self.listed))
        seeds = Seeds.confirmed(matches, (), small.trust("one"))
        settled = {found.record for found in matches}
        told, candidates = expand(
            seeds, self.space, self.table, policy, calibration=CALIBRATION, number=1, settled=settled
        )
        where = self.provenance([*settled, *(candidate.record for candidate in candidates)])
        ledger = Fused(folder, self)
        ledger.write_first(FindingsPart(matches, (), candidates, (told,), where, "complete"))
        return ledger

    def run(self, ledger, rules=RULES, policy=POLICY):
        """Drive once; returns the findings."""
        drive(ledger, KEY, rules, self, self.search(policy))
        return ledger.open(KEY).findings


class Fused(Ledger):
    """Ends before or after a part is sealed, when the world's fuse is burnt."""

    def __init__(self, folder, world):
        super().__init__(folder, [KEY.public.recipient], 4096)
        self.world = world

    def _write(self, number, head, part):
        self.world.reached()
        super()._write(number, head, part)
        self.world.reached()


def steps(angles, others=6):
    """Vectors in a plane at these angles in degrees, and others at right angles to it and to each other."""
    vectors = np.zeros((len(angles) + others, 2 + others), np.float32)
    turned = np.deg2rad(np.array(angles, np.float64))
    vectors[: len(angles), 0], vectors[: len(angles), 1] = np.cos(turned), np.sin(turned)
    vectors[range(len(angles), len(vectors)), range(2, 2 + others)] = 1
    return vectors


def chain(**given):
    """0 → 1 → 2 → 3 → 4, each near the next only; 0 is listed, 4 nobody knows."""
    return World(steps([0, 30, 60, 90, 120]), {0}, {1, 2, 3}, **given)


def decided(findings):
    return {verdict.record.row: verdict.decision is Decision.KNOWN for verdict in findings.verdicts}


def test_a_chain_is_followed_to_its_end_in_as_many_rounds_as_it_has_links(tmp_path):
    world = chain()
    findings = world.run(world.begin(tmp_path))
    assert decided(findings) == {1: True, 2: True, 3: True, 4: False}
    assert [[seed.row for seed in told.seeds] for told in findings.rounds] == [[0], [1], [2], [3]]
    assert [told.fresh for told in findings.rounds] == [1, 1, 1, 1]
    (stop,) = findings.stops
    assert (stop.rule, stop.rounds, stop.asked, stop.confirmed, stop.never_asked) == ("dry", 4, 4, 3, 0)


def test_each_round_searches_for_its_new_seeds_only_and_nobody_is_asked_twice(tmp_path, monkeypatch):
    from vetset.stage import hits as hits_stage

    world, passes = chain(), []
    ledger = world.begin(tmp_path)
    search = hits_stage.nearest

    def counted(seeds, *given, **named):
        passes.append(len(seeds))
        return search(seeds, *given, **named)

    monkeypatch.setattr(hits_stage, "nearest", counted)
    world.run(ledger)
    assert passes == [1, 1, 1]
    assert world.asked == [[1], [2], [3], [4]]


@pytest.mark.parametrize(
    ("rules", "rule", "rounds", "asked"),
    [
        ({"most_rounds": 1}, "rounds", 1, 1),
        ({"most_rounds": 3}, "rounds", 3, 3),
        ({"most_rounds": 9}, "dry", 4, 4),
        ({"budget": 0}, "budget", 1, 0),
        ({"budget": 2}, "budget", 2, 2),
        ({"budget": 4}, "dry", 4, 4),
        ({"least_yield": 1.0}, "dry", 4, 4),
        ({"budget": 2, "most_rounds": 1}, "rounds", 1, 1),
    ],
)
def test_every_rule_ends_the_rounds_where_it_says(tmp_path, rules, rule, rounds, asked):
    world = chain()
    (stop,) = world.run(world.begin(tmp_path), replace(RULES, **rules)).stops
    assert (stop.rule, stop.rounds, stop.asked) == (rule, rounds, asked)
    assert stop.never_asked == rounds - asked


def test_a_yield_below_the_rate_ends_them_and_one_at_it_does_not(tmp_path):
    """Of the first round's three one is confirmed, which would bring another."""
    fan = World(steps([0, 30, 60, -25, -20]), {0}, {1})
    for rate, rule, rounds in ((1 / 3, "dry", 2), (0.34, "yield", 1)):
        (stop,) = fan.run(fan.begin(tmp_path / rule), replace(RULES, least_yield=rate)).stops
        assert (stop.rule, stop.rounds) == (rule, rounds)


def test_a_greater_budget_goes_on_where_the_smaller_one_ended(tmp_path):
    world = chain()
    ledger = world.begin(tmp_path)
    world.run(ledger, replace(RULES, budget=2))
    findings = world.run(ledger, replace(RULES, budget=9))
    assert world.asked == [[1], [2], [3], [4]]
    assert [stop.rule for stop in findings.stops] == ["budget", "dry"]


def test_the_nearest_are_asked_first(tmp_path):
    world = World(steps([0, 30, 10, 20, -5]), {0}, set())
    world.run(world.begin(tmp_path), replace(RULES, budget=3))
    assert world.asked == [[4, 2, 3]]


NO_NUMBERS = [None, "0.99", True, [1], {"a": 1}]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=map(repr, NO_NUMBERS))
def test_a_column_of_scores_puts_candidates_in_order_and_what_has_none_comes_last(tmp_path, value):
    world = World(steps([0, 30, 10, 20, -5]), {0}, set(), scores={1: 0.5, 3: 7, 4: value})
    ledger = world.begin(tmp_path)
    (stop,) = world.run(ledger, replace(RULES, budget=3, first_by="punsafe")).stops
    assert world.asked == [[3, 1, 4]]
    assert (stop.rule, stop.never_asked, stop.unscored) == ("budget", 1, 2)


@pytest.mark.parametrize("value", [10**400, float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_no_score(tmp_path, value):
    world = World(steps([0, 10, 20]), {0}, set(), scores={1: value, 2: -3})
    (stop,) = world.run(world.begin(tmp_path), replace(RULES, budget=1, first_by="punsafe")).stops
    assert (world.asked, stop.unscored) == ([[2]], 1)


def test_rounds_leave_one_part_however_many_they_were(tmp_path):
    for name, world in (("many", chain()), ("none", World(steps([0, 90]), set(), set()))):
        ledger = world.begin(tmp_path / name)
        world.run(ledger)
        assert [path.name for path in ledger.paths()] == ["000001.age", "000002.age"]
    sizes = {path.stat().st_size for path in tmp_path.rglob("000002.age")}
    assert len(sizes) == 1


def test_the_same_command_again_adds_a_part_that_says_nothing_new(tmp_path):
    world = chain()
    ledger = world.begin(tmp_path)
    first, again = world.run(ledger), world.run(ledger)
    assert first.digest == again.digest
    assert len(ledger.paths()) == 3


def interrupted(world, ledger, fuses, rules):
    """Drive with these fuses, one after the other, and at last without."""
    ended = 0
    for fuse in fuses:
        world.fuse = fuse
        try:
            drive(ledger, KEY, rules, world, world.search())
        except EndedError:
            ended += 1
    world.fuse = -1
    return world.run(ledger, rules), ended


def check_once(findings):
    """Nobody was asked about anything twice, and nothing is a candidate of two rounds."""
    assert set(Counter(verdict.record for verdict in findings.verdicts).values()) <= {1}
    seeds = Counter(seed for told in findings.rounds for seed in told.seeds)
    assert set(seeds.values()) <= {1}
    assert sum(told.fresh for told in findings.rounds) == len(findings.candidates)


def test_ended_at_every_single_point_it_goes_on_to_the_same_findings(tmp_path):
    world = chain()
    expected = world.run(world.begin(tmp_path / "whole"))
    check_once(expected)
    for fuse in range(1, 100):
        world = chain()
        ledger = world.begin(tmp_path / str(fuse))
        findings, ended = interrupted(world, ledger, [fuse], RULES)
        assert findings.digest == expected.digest
        assert len(ledger.paths()) in {2, 3}  # one more where it was ended after the last seal
        if not ended:
            break
    # four verdicts and three rounds, of which every one passes two points and two of its seal; and the end
    assert fuse == 1 + 4 * (2 + 2) + 3 * (1 + 2) + 2


@st.composite
def worlds(draw):
    count = draw(st.integers(2, 14))
    angles = draw(st.lists(st.integers(0, 359), min_size=count, max_size=count))
    some = st.sets(st.integers(0, count - 1))
    digests = draw(st.lists(st.integers(0, 3 * count), min_size=count, max_size=count))
    return World(steps(angles, 2), draw(some), draw(some), digests=[*digests, 200, 201])


limits = st.builds(
    Rules,
    st.just(RULES.verifier),
    st.just("1"),
    st.none() | st.integers(0, 12),
    st.none() | st.floats(0, 1),
    st.none() | st.integers(1, 6),
)


@given(worlds(), limits, st.lists(st.integers(1, 12), max_size=6))
@settings(max_examples=60, deadline=None)
def test_interrupted_anywhere_anyhow_is_as_if_it_had_not_been(world, rules, fuses):
    with tempfile.TemporaryDirectory() as folder:
        expected = world.run(world.begin(Path(folder) / "whole"), rules)
        findings, _ = interrupted(world, world.begin(Path(folder) / "again"), fuses, rules)
    check_once(expected)
    assert findings.digest == expected.digest


def closure(world):
    """What is reached over confirmed records, by all cosines and equal digests."""
    doubles = world.vectors.astype(np.float64)
    near = doubles @ doubles.T >= THRESHOLD
    confirmed, candidates = set(world.listed), set()
    while True:
        brought = {other for seed in confirmed for other in range(world.count) if near[seed, other]} - world.listed
        brought |= {
            other
            for one in brought | candidates
            for other in range(world.count)
            if world.digests[other] == world.digests[one]
        } - world.listed
        if brought <= candidates:
            return candidates
        candidates |= brought
        confirmed |= candidates & world.known


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_without_a_limit_everything_is_asked_about_that_confirmed_records_lead_to(world):
    with tempfile.TemporaryDirectory() as folder:
        findings = world.run(world.begin(Path(folder)))
    cosines = world.vectors.astype(np.float64) @ world.vectors.astype(np.float64).T
    if np.abs(cosines - THRESHOLD).min() < 1e-4:
        return  # too near to the threshold for float32 to be the judge
    assert set(decided(findings)) == closure(world)
    assert [stop.rule for stop in findings.stops] == ["dry"]
    assert findings.stops[0].never_asked == 0


def test_a_part_that_came_in_between_stays_and_the_rounds_go_on_behind_it(tmp_path):
    world = chain()
    expected = world.run(world.begin(tmp_path / "whole"))
    ledger = world.begin(tmp_path / "again")
    world.fuse = 6
    with pytest.raises(EndedError):
        world.run(ledger)
    ledger.append(VerdictsPart("somebody", ()))
    world.fuse = -1
    findings = world.run(ledger)
    assert findings.digest == expected.digest
    assert len(ledger.paths()) == 4


def test_other_rules_do_not_go_on_in_the_part_of_the_first(tmp_path):
    world = chain()
    ledger = world.begin(tmp_path)
    world.fuse = 6
    with pytest.raises(EndedError):
        world.run(ledger)
    world.fuse = -1
    findings = world.run(ledger, replace(RULES, most_rounds=2))
    assert len(ledger.paths()) == 3
    assert [(stop.rule, stop.rules.most_rounds) for stop in findings.stops] == [("rounds", 2)]


def test_seeds_are_searched_again_once_after_a_withdrawal_and_then_no_more(tmp_path):
    """0 and 2 are listed; 0 is withdrawn, so that what it brought is lapsed, and 2 does not bring it."""
    world = World(steps([0, 30, 180, 210]), {0, 2}, set())
    ledger = world.begin(tmp_path)
    ledger.append(RecheckPart(lists_of_one(), (match(2),), (), (), (), (), "complete"))
    findings = ledger.open(KEY).findings
    assert [item.row for item in findings.lapsed(small.trust("one"))] == [1]
    assert [seed.row for seed in unsearched(findings, small.trust("one")).records] == [2]
    findings = world.run(ledger)
    assert [[seed.row for seed in told.seeds] for told in findings.rounds] == [[0, 2], [2]]
    assert decided(findings) == {3: False}
    assert findings.stops[0].rule == "dry"


A, B, C = range(3)
"""A is what list `one` knows and B what `two` does; C lies between them, nearer to A."""


def lapsed_case(folder, before, after, trust):
    """C between two seeds, after a recheck of list `one` in which A is not confirmed any more."""
    world = World(steps([0, 60, 29]), set(), set())
    world.table = world.stored(folder / "store")
    told, candidates = expand(
        Seeds.confirmed(before, (), trust), world.space, world.table, trust.policy, calibration=CALIBRATION, number=1,
        settled={found.record for found in before},
    )  # fmt: skip
    assert [(item.record.row, item.seed.row) for item in candidates] == [(C, A)]
    ledger = Fused(folder, world)
    ledger.write_first(FindingsPart(tuple(before), (), candidates, (told,), (), "complete"))
    ledger.append(RecheckPart(lists_of_one(), tuple(after), (), (), (), (), "complete"))
    return world, ledger


TWO_MEMBERS = Policy(match=MatchPolicy(confirm_owners=2), expand=POLICY.expand)
LAPSES = {
    "withdrawn": (None, {}),
    "flagged": ({"seedable": False}, {}),
    "not vetted any more": ({"vetted": False}, {}),
    "of fewer members": ({"members": 1}, {"policy": TWO_MEMBERS}),
    "of a list that an alarm holds": ({}, {"held": ["one"]}),
    "of a list that nobody answers for": ({}, {"one_owner": "unknown"}),
}


@pytest.mark.parametrize("lapse", LAPSES)
def test_whyever_a_seed_is_confirmed_no_more_what_it_brought_is_looked_for_around_the_others(tmp_path, lapse):
    changes, about = LAPSES[lapse]
    trust = small.trust("one", "two", policy=about.get("policy", POLICY))
    before = [replace(match(A), members=2), replace(match(B), list_name="two", members=2)]
    after = [] if changes is None else [replace(before[A], **changes)]
    world, ledger = lapsed_case(tmp_path, before, after, trust)
    lists = trust.lists | {"one": replace(trust.lists["one"], owner=about.get("one_owner", "somebody"))}
    trust = replace(trust, lists=lists, held=frozenset(about.get("held", ())))
    findings = ledger.open(KEY).findings
    assert [item.row for item in findings.lapsed(trust)] == [C]
    assert [item.row for item in unsearched(findings, trust).records] == [B]
    stop = drive(ledger, KEY, RULES, world, Search(world.space, world.table, trust, world.provenance))
    findings = ledger.open(KEY).findings
    assert [[seed.row for seed in told.seeds] for told in findings.rounds] == [[A, B], [B]]
    assert {(item.record.row, item.seed.row) for item in findings.candidates} == {(C, B)}
    assert (decided(findings), stop.rule) == ({C: False}, "dry")


def test_a_seed_that_is_confirmed_no_more_is_itself_looked_for_around_the_others(tmp_path):
    """Nothing lapsed, as the two lie near each other alone; while both were confirmed neither was a candidate."""
    world = World(steps([0, 30]), {0, 1}, set())
    ledger = world.begin(tmp_path)
    ledger.append(RecheckPart(lists_of_one(), (match(1),), (), (), (), (), "complete"))
    findings = world.run(ledger)
    assert [[seed.row for seed in told.seeds] for told in findings.rounds] == [[0, 1], [1]]
    assert (decided(findings), findings.stops[0].rule) == ({0: False}, "dry")


SAID = (None, {}, {"vetted": False}, {"seedable": False})
"""What a list says of a record."""


def left_out(world, findings):
    """Records that lie near a confirmed one, and are neither confirmed nor candidates that stand."""
    trust = small.trust("one", policy=POLICY)
    confirmed = {item.row for item in Seeds.confirmed(findings.matches, findings.verdicts, trust).records}
    stand = {item.record.row for item in findings.candidates} - {item.row for item in findings.lapsed(trust)}
    doubles = world.vectors.astype(np.float64)
    near = doubles @ doubles.T >= THRESHOLD + 1e-4
    return {other for seed in confirmed for other in np.flatnonzero(near[seed]).tolist()} - confirmed - stand


def rechecked(world, folder, says, fuses):
    """Rechecks, each with what the list says of every record then, and rounds until dry in between if it says so."""
    ledger = world.begin(folder)
    for number, (said, driven) in enumerate(says, 1):
        matches = tuple(replace(match(row), **what) for row, what in enumerate(said) if what is not None)
        ledger.append(RecheckPart(lists_of_one(str(number)), matches, (), (), (), (), "complete"))
        if driven or number == len(says):
            findings, _ = interrupted(world, ledger, fuses, RULES)
    return findings


@given(worlds(), st.data())
@settings(max_examples=40, deadline=None)
def test_after_any_rechecks_nothing_near_a_confirmed_record_is_left_out(world, data):
    said = st.lists(st.sampled_from(SAID), min_size=world.count, max_size=world.count)
    says = data.draw(st.lists(st.tuples(said, st.booleans()), min_size=1, max_size=3))
    fuses = data.draw(st.lists(st.integers(1, 12), max_size=4))
    with tempfile.TemporaryDirectory() as folder:
        expected = rechecked(world, Path(folder) / "whole", says, [])
        again = rechecked(world, Path(folder) / "again", says, fuses)
    assert left_out(world, expected) == set()
    assert expected.stops[-1].rule == "dry"
    assert again.digest == expected.digest
    since = expected.rounds[expected.rechecks[-1].rounds_before :]
    assert set(Counter(seed for told in since for seed in told.seeds).values()) <= {1}


def speaks_anew(world, version, known, undecided=()):
    """The verifier has another list by now, or is held anew; returns rules that name it."""
    world.version, world.known, world.undecided, world.asked = version, set(known), set(undecided), []
    return replace(RULES, version=version)


def test_another_version_is_asked_about_everything_again_and_its_word_counts(tmp_path):
    world = chain()
    world.known = set()
    ledger = world.begin(tmp_path)
    world.run(ledger)
    assert world.asked == [[1]]
    findings = world.run(ledger, speaks_anew(world, "2", {1, 2}))
    assert world.asked == [[1], [2], [3]]
    assert decided(findings) == {1: True, 2: True, 3: False}
    (_, stop) = findings.stops
    assert (stop.rules.version, stop.rule, stop.asked, stop.confirmed, stop.never_asked) == ("2", "dry", 3, 2, 0)
    check_once(findings)


def test_a_budget_is_of_this_version_and_what_it_was_not_asked_is_told_as_that(tmp_path):
    world = World(steps([0, 5, 10, 15]), {0}, set())
    ledger = world.begin(tmp_path)
    world.run(ledger)
    stop = world.run(ledger, replace(speaks_anew(world, "2", set()), budget=2)).stops[-1]
    assert (stop.rule, stop.asked, stop.never_asked) == ("budget", 2, 1)


def test_what_a_newer_version_takes_back_confirms_no_more_and_is_looked_for_around_the_others(tmp_path):
    """3 lies near 1 and near 2, and was passed over when 2 was searched around, since 1 had brought it."""
    world = World(steps([0, 30, -30, 60]), {0}, {1, 2})
    world.vectors[2] = world.vectors[1] + 0.1 * world.vectors[-1]
    ledger = world.begin(tmp_path / "whole")
    findings = world.run(ledger)
    assert [(item.record.row, item.seed.row) for item in findings.candidates if item.record.row == 3] == [(3, 1)]
    rules = speaks_anew(world, "2", {2})
    findings = world.run(ledger, rules)
    trust = small.trust("one", policy=POLICY)
    confirmed = Seeds.confirmed(findings.matches, findings.verdicts, trust).records
    assert [item.row for item in confirmed] == [0, 2]
    assert left_out(world, findings) == set()
    assert [(item.record.row, item.seed.row) for item in findings.candidates if item.record.row == 3] == [(3, 2)]
    assert findings.stops[-1].rule == "dry"
    assert world.run(ledger, rules).digest == findings.digest


def test_what_a_version_could_not_decide_is_asked_once_more_by_each_command(tmp_path):
    world = World(steps([0, 30, 25]), {0}, set(), undecided={1})
    ledger = world.begin(tmp_path)
    first = world.run(ledger)
    assert world.asked == [[2, 1]]
    assert world.run(ledger).digest == first.digest
    assert world.asked == [[2, 1], [1]]
    findings = world.run(ledger, replace(speaks_anew(world, RULES.version, {1}), budget=2))
    assert world.asked == [[1]]
    assert decided(findings) == {1: True, 2: False}


@given(worlds(), st.lists(st.tuples(st.sets(st.integers(0, 13)), st.sets(st.integers(0, 13))), max_size=3), st.data())
@settings(max_examples=40, deadline=None)
def test_whatever_versions_say_the_last_one_decides_and_nothing_is_left_out(world, says, data):
    fuses = data.draw(st.lists(st.integers(1, 12), max_size=4))
    given = (world.known, world.undecided)

    def told(folder, fuses):
        world.version, (world.known, world.undecided) = RULES.version, given
        ledger = world.begin(folder)
        rules = RULES
        findings, _ = interrupted(world, ledger, fuses, rules)
        for number, (known, undecided) in enumerate(says, 2):
            rules = speaks_anew(world, str(number), known, undecided)
            findings, _ = interrupted(world, ledger, fuses, rules)
        return findings

    with tempfile.TemporaryDirectory() as folder:
        expected, again = told(Path(folder) / "whole", []), told(Path(folder) / "again", fuses)
    assert again.digest == expected.digest
    assert {verdict.version for verdict in expected.verdicts} <= {str(1 + len(says))}
    assert all(verdict.decision is world.decision(verdict.record.row) for verdict in expected.verdicts)
    assert left_out(world, expected) == set()
    assert (expected.stops[-1].rule, expected.stops[-1].never_asked) == ("dry", 0)


def of_harm(world, harm):
    """The world's verifier, and rules, of this harm."""
    world.harm = harm
    return replace(RULES, harm=harm)


def test_what_a_verdict_confirmed_is_of_the_verifiers_harm_when_the_origin_is_withdrawn(tmp_path):
    world = chain()
    ledger, rules = world.begin(tmp_path), of_harm(world, "benchmark")
    world.run(ledger, replace(rules, budget=1))
    ledger.append(RecheckPart(lists_of_one(), (), (), (), (), (), "complete"))
    findings = world.run(ledger, rules)
    assert {2: True, 3: True, 4: False}.items() <= decided(findings).items()
    assert (findings.stops[-1].rule, findings.stops[-1].never_asked) == ("dry", 0)
    assert set(harms_of(findings, small.trust("one")).values()) == {frozenset({"benchmark"})}


def test_what_is_left_unasked_for_its_harm_is_not_told_as_dry(tmp_path):
    world = chain()
    findings = world.run(world.begin(tmp_path), of_harm(world, "terrorism"))
    assert (world.asked, findings.stops[-1].rule, findings.stops[-1].never_asked) == ([], "harm", 1)


def test_a_candidate_that_is_confirmed_by_now_and_whose_seed_is_no_more_is_not_of_another_harm(tmp_path):
    world = World(steps([0, 30]), {0}, set())
    ledger, rules = world.begin(tmp_path), of_harm(world, "benchmark")
    ledger.append(RecheckPart(lists_of_one(), (match(1),), (), (), (), (), "complete"))
    findings = world.run(ledger, rules)
    assert (world.asked, findings.stops[-1].rule, findings.stops[-1].never_asked) == ([[0]], "dry", 0)


def lists_of_one(version="2"):
    from vetset.case.manifest import ListUse

    return (ListUse("one", "owner", "benchmark", "test", "2026-02-01", "unknown", "unknown", version),)


def test_the_next_step_says_nothing_where_nothing_is_left(tmp_path):
    world = World(steps([0, 90]), set(), set())
    ledger = world.begin(tmp_path)
    assert next_step(ledger.open(KEY).findings, RULES, small.trust("one", policy=POLICY)).rule == "dry"


def test_an_audit_is_driven_until_dry_and_its_summary_tells_every_round(audit):
    audited = audit()
    told = vetset.expand_until_dry(audited.out, audited.key, with_list=small.second())
    findings = audited.findings
    assert small.candidates(findings) == small.CANDIDATES | small.SECOND_ROUND
    assert [(entry["seeds"], entry["new_candidates"], entry["confirmed"], entry["of_these_duplicates"])
            for entry in told["rounds"]] == [(4, 2, {"benchmark": 2}, 1), (2, 1, {}, 0)]  # fmt: skip
    (stop,) = told["until_dry"]
    assert (stop["rule"], stop["asked"], stop["confirmed"], stop["never_asked"]) == ("dry", 3, 2, 0)
    assert "punsafe" not in json.dumps(told)
    assert len(list((audited.out / "case").iterdir())) == 2


def test_driven_or_step_by_step_it_is_the_same(audit):
    driven, stepped = audit(out="driven"), audit(out="stepped")
    vetset.expand_until_dry(driven.out, driven.key, with_list=small.second())
    vetset.verify(stepped.out, stepped.key, with_list=small.second())
    vetset.expand(stepped.out, stepped.key)
    vetset.verify(stepped.out, stepped.key, with_list=small.second())
    assert replace(driven.findings, stops=()) == stepped.findings


MANY = 4_000
"""More vectors than the sample of all pairs takes, and fewer than the other samples of a calibration would."""


def themes(spread):
    """Vectors in groups of some twenty, so much spread: their rare high cosines differ from sample to sample."""
    random = np.random.default_rng(0)
    middles = random.standard_normal((MANY // 20, 64))
    vectors = middles[random.integers(0, len(middles), MANY)] + spread * random.standard_normal((MANY, 64))
    vectors[1] = vectors[0] + 0.1
    return vectors.astype(np.float32)


def test_an_audit_of_thousands_of_vectors_knows_them_again_and_no_others(tmp_path):
    names = [small.key(number) for number in range(MANY)]
    digests = [small.md5(name.encode()) for name in names]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"key": names, "md5": [value.hex() for value in digests]}), tmp_path / "data" / "0.parquet")
    write_new(tmp_path / "vectors", 0, themes(0.8), names)
    write_new(tmp_path / "others", 0, themes(0.6), names)
    first, second = (small.hash_list(f"list{row}", small.entries(Kind.MD5, [digests[row]])) for row in (0, 1))
    out = tmp_path / "audit"
    vetset.audit(
        tmp_path / "data", lists=[first], seal_to=[KEY.public], out=out, embeddings=tmp_path / "vectors",
        engine=small.HERE,
    )  # fmt: skip
    vetset.expand(out, KEY)
    for refused in (vetset.expand, partial(vetset.expand_until_dry, with_list=second)):
        with pytest.raises(AlignmentError, match="not the embeddings"):
            refused(out, KEY, embeddings=tmp_path / "others")
    told = vetset.expand_until_dry(out, KEY, with_list=second)
    assert told["rounds"][0]["calibration"]["vectors"] < MANY
    assert [entry["seeds"] for entry in told["rounds"]] == [1, 0, 1]


@pytest.mark.parametrize(
    "limits",
    [{"budget": -1}, {"least_yield": -0.1}, {"least_yield": 1.1}, {"least_yield": float("nan")}, {"most_rounds": 0}],
)
def test_limits_out_of_their_range_are_refused_before_anything_is_opened(tmp_path, limits):
    with pytest.raises(UsageError, match="out of its range"):
        vetset.expand_until_dry(tmp_path / "nothing", KEY, with_list=small.second(), **limits)


def test_the_audits_own_list_cannot_decide_and_without_embeddings_there_are_no_rounds(audit):
    audited = audit(embeddings=None)
    with pytest.raises(UsageError, match="cannot verify"):
        vetset.expand_until_dry(audited.out, audited.key, with_list=small.known())
    with pytest.raises(UsageError, match="no embeddings"):
        vetset.expand_until_dry(audited.out, audited.key, with_list=small.second())


def test_of_two_custodians_at_once_one_is_refused(audit):
    audited = audit()
    for command in (vetset.verify, vetset.expand_until_dry):
        with alone_in(audited.out), pytest.raises(UsageError, match="another run"):
            command(audited.out, audited.key, with_list=small.second())
    with alone_in(audited.out), pytest.raises(UsageError, match="another run"):
        vetset.expand(audited.out, audited.key)
