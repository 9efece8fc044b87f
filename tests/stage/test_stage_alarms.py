"""A poisoned list in an audit of ordinary pictures: each alarm is raised, its matches stay, true items go.

The MD5 collision is the one of Wang, Feng, Lai and Yu (2004, "Collisions for hash functions MD4, MD5, HAVAL-128 and
RIPEMD"): two blocks of 128 bytes that show nothing.
"""

import hashlib
import io
import itertools
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented import World, flipped
from PIL import Image, ImageEnhance, ImageFilter

import photographs
import small
import vetset
from vetset.case.findings import FindingsPart, RecheckPart, alarms_now, fold, trust_of
from vetset.case.manifest import ListUse
from vetset.dataset.webdataset import pack
from vetset.model.alarm import Alarm, Sign
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.finding import Match, Seeds
from vetset.model.hashlist import EntryFlag
from vetset.model.policy import AlarmPolicy, MatchPolicy, Policy, RemovePolicy
from vetset.model.signal import Kind, Variant
from vetset.model.verdict import Decision
from vetset.stage.alarms import raised
from vetset.stage.audit import record_table
from vetset.stage.order import to_remove
from vetset.stage.verify import ListAsker
from vetset.store.store import Store

LOW = Policy(alarm=AlarmPolicy(hits=100, hit_rate=0.1))
"""For a dataset of 2,000 records."""
ONE = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
    "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
OTHER = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a"
    "085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70"
)
TRUE = range(20)
VIRAL = range(20, 80)
TEMPLATE = range(80, 480)
COLLISION = (480, 481)
COUNT = 2000
MANY = range(600, 660)
"""Different pictures at one address."""
FEW = range(660, 700)


def page():
    """A page with lines of no text: what a thousand unlike pictures can be laid over."""
    random = np.random.default_rng(5)
    drawn = np.full((128, 128, 3), 245.0)
    for top in range(10, 120, 9):
        drawn[top : top + 4, 8 : int(40 + 80 * random.random())] = 30
    return drawn


def edited(picture, number):
    """One of 60 ordinary edits."""
    width, height = picture.size
    how, step = divmod(number, 10)
    share = (step + 1) / 10
    edge = share * 0.05
    return (
        lambda: Image.open(io.BytesIO(small.encoded(np.asarray(picture), int(20 + 70 * share)))).convert("RGB"),
        lambda: picture.resize((int(width * (0.4 + share)), int(height * (0.4 + share)))),
        lambda: picture.crop(
            (int(width * edge), int(height * edge), int(width * (1 - edge)), int(height * (1 - edge)))
        ),
        lambda: ImageEnhance.Brightness(picture).enhance(0.6 + share * 0.8),
        lambda: ImageEnhance.Contrast(picture).enhance(0.6 + share * 0.8),
        lambda: picture.filter(ImageFilter.GaussianBlur(share * 2)),
    )[how]()


@cache
def images():
    viral = Image.fromarray(photographs.pixels("coffee.png"))
    viral.thumbnail((192, 192))
    under = page()
    tiles = photographs.tiles(96, COUNT - 482 + len(TRUE), seed=21)
    laid = [
        (0.75 * under + 0.25 * tile).round().astype(np.uint8) for tile in photographs.tiles(128, len(TEMPLATE), seed=3)
    ]
    stored = [small.encoded(tile, 85) for tile in tiles[: len(TRUE)]]
    stored += [small.encoded(np.asarray(edited(viral, number)), 85) for number in range(len(VIRAL))]
    stored += [small.encoded(pixels, 90) for pixels in laid]
    stored += [ONE, OTHER]
    stored += [small.encoded(tile, 85) for tile in tiles[len(TRUE) :]]
    assert len(stored) == COUNT
    return tuple(stored)


def address(number):
    return small.url(MANY[0] if number in MANY else FEW[0] if number in FEW else number)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    root, store = tmp_path_factory.mktemp("alarms") / "data", tmp_path_factory.mktemp("alarms") / "store"
    root.mkdir()
    for shard, numbers in enumerate(np.array_split(np.arange(COUNT), 3)):
        samples = [
            (small.key(n), {"jpg": images()[n], "json": json.dumps({"url": address(n)}).encode()})
            for n in numbers.tolist()
        ]
        pack(samples, root / f"{shard}.tar")
    vetset.scan(root, store=store, engine=small.HERE)
    return store


@pytest.fixture
def match(scanned, custodian, tmp_path):
    def run(*lists, policy=None, out="audit"):
        vetset.match(scanned, lists=list(lists), seal_to=[custodian.public], out=tmp_path / out, policy=policy)
        return small.Audited(scanned, tmp_path / out, custodian, custodian.public, None)

    return run


def sha256s(numbers):
    return small.entries(Kind.SHA256, [small.sha256(images()[number]) for number in numbers])


def template(flag=EntryFlag.NONE):
    return small.entries(Kind.PDQ, [small.pdq(small.encoded(page().astype(np.uint8)))], ["template"], [flag])


def removed(audited, **changes):
    """Numbers of records that an order would contain, and of seeds."""
    opened = vetset.open_audit(audited.out, audited.key)
    trust = trust_of(opened.case.findings, opened.manifest)
    if changes:
        trust = replace(trust, policy=trust.policy.model_copy(update={"remove": RemovePolicy(**changes)}))
    with Store(audited.root) as store:
        goes = to_remove(opened.case.findings, record_table(store, opened.manifest), trust)
    seeds = Seeds.confirmed(opened.case.findings.matches, opened.case.findings.verdicts, trust).records
    return {small.number_of(record.key) for record in goes}, {small.number_of(record.key) for record in seeds}


def signs(audited):
    return [(alarm["sign"], alarm["list"], alarm["entry"]) for alarm in audited.summary["alarms"]]


def viral_list():
    original = Image.fromarray(photographs.pixels("coffee.png"))
    original.thumbnail((192, 192))
    return small.entries(Kind.PDQ, [small.pdq(small.encoded(np.asarray(original), 95))], ["viral"])


def test_the_pictures_are_what_the_tests_take_them_for():
    assert hashlib.md5(ONE).digest() == hashlib.md5(OTHER).digest()
    assert small.sha256(ONE) != small.sha256(OTHER)


def test_a_clean_list_raises_no_alarm_and_a_popular_item_does_not_either(match):
    audited = match(small.hash_list("known", sha256s(TRUE), viral_list()))
    goes, seeds = removed(audited)
    assert signs(audited) == []
    assert len(goes & set(VIRAL)) > 45
    assert set(TRUE) <= seeds
    assert goes <= {*TRUE, *VIRAL}


def test_a_template_and_a_collision_are_set_apart_and_true_items_still_go(match):
    md5 = small.entries(Kind.MD5, [small.md5(ONE), small.md5(images()[3])], ["forged", "true"])
    audited = match(small.hash_list("known", sha256s([*TRUE, TEMPLATE[0]]), template(), md5))
    goes, seeds = removed(audited)
    assert signs(audited) == [("collision", "known", "forged"), ("unlike", "known", "template")]
    assert goes == seeds == {*TRUE, TEMPLATE[0]}, "the other entry of that record is in no doubt"
    told = audited.summary["union"]["benchmark"]
    assert told["confirmed"] == len(TRUE) + 1
    assert told["held_back"] == told["records"] - len(TRUE) - 1 > 100
    assert told["by_owners"] == {"1": len(TRUE) + 1}
    assert len(removed(audited, doubtful=True)[0]) > 100 + len(TRUE)
    assert removed(audited, unconfirmed_matches=False)[0] == goes


def test_an_entry_under_an_alarm_confirms_nothing_when_its_list_verifies(match):
    audited = match(small.hash_list("known", sha256s([0])))
    second = small.hash_list("second", sha256s(TRUE), template())
    with Store(audited.root) as store:
        table = record_table(store, vetset.open_audit(audited.out, audited.key).manifest)
        keys = [(shard, part.key_batches()) for shard, part in table.parts()]
        records = [
            RecordId(shard.name, row, key)
            for shard, batches in keys
            for row, key in enumerate(key for _, batch in batches for key in batch.to_pylist())
        ]
        asker = ListAsker(table, second, Policy())
        # those of the template are asked about one by one, and judged by all that the entry matches
        few = [record for record in records if small.number_of(record.key) in TEMPLATE][:3]
        alone = asker.ask(few).verdicts
        verdicts = {small.number_of(one.record.key): one for one in asker.ask(records).verdicts}
    assert {one.decision for one in alone} == {Decision.UNDECIDED}
    assert "alarm" in alone[0].reason
    known = {number for number, one in verdicts.items() if one.decision is Decision.KNOWN}
    assert known == set(TRUE)
    assert not [one for number, one in verdicts.items() if number in TEMPLATE and one.decision is Decision.NEAR]
    with Store(audited.root) as store:
        table = record_table(store, vetset.open_audit(audited.out, audited.key).manifest)
        much = ListAsker(table, small.hash_list("much", sha256s(range(600, 900))), LOW).ask(records).verdicts
    assert {one.decision for one in much} == {Decision.UNDECIDED, Decision.NOT_KNOWN}, "a list under an alarm"


def test_what_is_released_raises_no_alarm_and_is_no_hit(match):
    audited = match(small.hash_list("known", template(EntryFlag.RELEASED)), policy=LOW)
    assert signs(audited) == []
    assert audited.findings.hits == {"known": (0,)}
    assert len(removed(audited)[0]) > 100


def test_a_value_that_was_released_is_not_set_apart_for_another_of_the_same_id(match):
    forged = small.entries(Kind.MD5, [small.md5(ONE), small.md5(images()[3])], ["case"] * 2, [0, EntryFlag.RELEASED])
    audited = match(small.hash_list("known", forged))
    assert signs(audited) == [("collision", "known", "case")]
    assert removed(audited) == ({3}, {3})


@pytest.mark.parametrize("flag", [EntryFlag.QUARANTINED, EntryFlag.DISPUTED])
def test_what_is_set_apart_already_raises_no_alarm_and_goes_only_where_the_policy_says_so(match, flag):
    audited = match(small.hash_list("known", template(flag)))
    assert (signs(audited), removed(audited)) == ([], (set(), set()))
    assert len(removed(audited, doubtful=True)[0]) > 100


def test_an_address_with_many_contents_is_set_apart_and_one_with_some_is_not(match):
    urls = small.entries(Kind.URL_SHA256, [small.sha256(address(group[0]).encode()) for group in (MANY, FEW)],
                         ["many", "few"])  # fmt: skip
    audited = match(small.hash_list("known", urls))
    assert signs(audited) == [("contents", "known", "many")]
    assert removed(audited) == (set(FEW), set())


def test_a_list_that_matches_too_much_is_set_apart_whole_until_the_policy_allows_it(match):
    much = small.hash_list("much", sha256s(range(700, 1000)))
    known = small.hash_list("known", sha256s(TRUE))
    audited = match(much, known, policy=LOW)
    (alarm,) = audited.summary["alarms"]
    assert (alarm["sign"], alarm["list"], alarm["records"], alarm["seen"]) == ("hit-rate", "much", 300, 0.15)
    assert (alarm["version"], alarm["as_of"]) == ("much", "2026-01-01")
    assert removed(audited) == (set(TRUE), set(TRUE))
    assert audited.summary["union"]["benchmark"]["held_back"] == 300
    allowed = match(much, known, policy=Policy(alarm=AlarmPolicy(hits=100, hit_rate=0.2)), out="allowed")
    assert removed(allowed)[0] == {*TRUE, *range(700, 1000)}
    assert signs(match(much, known, out="default")) == [], "300 records are few"


def newer(numbers, version, *parts):
    made = small.hash_list("known", sha256s(numbers), *parts)
    return replace(made, info=replace(made.info, version=version, as_of=f"2026-01-{int(version):02}"))


def test_a_version_that_jumps_is_set_apart_until_it_is_what_it_was(match):
    policy = Policy(alarm=AlarmPolicy(hits=100, hit_rate=1))
    audited = match(newer(TRUE, "1"), policy=policy)
    vetset.recheck(audited.out, lists=[newer([*TRUE, *range(700, 1000)], "2")])
    (alarm,) = audited.summary["alarms"]
    assert (alarm["sign"], alarm["version"], alarm["records"], alarm["seen"]) == ("jump", "2", 320, 16)
    assert removed(audited) == (set(), set())
    # another one like it does not make it normal
    vetset.recheck(audited.out, lists=[newer([*TRUE, *range(700, 1001)], "3")])
    assert signs(audited) == [("jump", "known", "")]
    vetset.recheck(audited.out, lists=[newer([*TRUE, 700], "4")])
    assert (signs(audited), removed(audited)) == ([], ({*TRUE, 700}, {*TRUE, 700}))


def test_an_entry_alarm_ends_with_the_version_that_has_no_such_entry(match):
    audited = match(newer(TRUE, "1", template()))
    assert signs(audited) == [("unlike", "known", "template")]
    vetset.recheck(audited.out, lists=[newer(TRUE, "2")])
    assert signs(audited) == []


def test_public_output_and_sizes_are_the_same_with_and_without_alarms(match):
    poisoned = small.hash_list("known", sha256s(range(700, 1000)), template())
    unrelated = [small.entries(kind, [bytes([7]) * kind.width]) for kind in (Kind.SHA256, Kind.PDQ)]
    shown = []
    for out, given_list in (("with", poisoned), ("without", small.hash_list("known", *unrelated))):
        audited = match(replace(given_list, info=small.stranger().info), policy=LOW, out=out)
        sizes = [path.stat().st_size for path in sorted((audited.out / "case").iterdir())]
        shown.append(((audited.out / "run.json").read_bytes(), sizes, len(audited.summary["alarms"])))
    assert shown[0][:2] == shown[1][:2]
    assert [count for *_, count in shown] == [2, 0]


def test_alarms_are_told_with_what_to_do_and_never_a_value(match):
    from vetset.cli.custody import summary_lines

    audited = match(small.hash_list("known", sha256s(range(700, 1000)), template()), policy=LOW)
    text = "\n".join(summary_lines(audited.summary))
    assert "ALARM unlike: the pdq entry template of list known (as of 2026-01-01, version known) matches" in text
    assert "ALARM hit-rate: list known" in text
    assert "quarantine or release" in text
    assert "held back, in no order unless remove.doubtful says so" in text
    assert bytes(template().values[0]).hex() not in text + json.dumps(audited.summary)


# against what is written down plainly


def distance(one, other):
    return (int.from_bytes(bytes(one)) ^ int.from_bytes(bytes(other))).bit_count()


def groups(codes, radius):
    """How many groups, each begun by the first code, in order, that is far from every beginning before."""
    begun = []
    for code in sorted(codes, key=bytes):
        if all(distance(code, first) > radius for first in begun):
            begun.append(code)
    return len(begun)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_alarms_of_entries_are_those_counted_by_hand(tmp_path_factory, data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count, centre = 40, random.integers(0, 256, 32, dtype=np.uint8)
    world = World.unlike(np.zeros((count, 2)))
    most = data.draw(st.integers(0, 31))
    world.codes = np.stack([flipped(centre, int(random.integers(0, most + 1)), random) for _ in range(count)])
    world.pictures = random.integers(0, data.draw(st.integers(1, 30)), count)
    table = world.table(tmp_path_factory.mktemp("store"), shards=data.draw(st.integers(1, 3)))
    limits = AlarmPolicy(unlike=data.draw(st.integers(1, 12)), contents=data.draw(st.integers(1, 20)), hit_rate=1)
    policy = Policy(alarm=limits, match=MatchPolicy(pdq_radius=data.draw(st.integers(20, 31))))
    kinds = (Kind.PDQ, Kind.MD5, Kind.URL_MD5)
    listed = small.hash_list(
        "known", *(small.entries(kind, [bytes([n]) * kind.width for n in range(2)]) for kind in kinds)
    )
    records, found, expected = table.records(np.arange(count)), [], []
    for kind in kinds:
        for row in range(2):
            rows = sorted(data.draw(st.sets(st.integers(0, count - 1))))
            name = f"{kind.value}-{row}"
            declared = data.draw(st.sets(st.sampled_from(rows))) if rows and kind is Kind.MD5 else set()
            for n in rows:
                form = Variant.DECLARED if n in declared else Variant.STORED
                found.append((Match(records[n], "known", name, kind, form, 0, 100), row))
            rows = [n for n in rows if n not in declared]
            contents = len({int(world.pictures[n]) for n in rows})
            codes = [world.codes[n] for n in rows]
            if kind is Kind.MD5 and contents > 1:
                expected.append((Sign.COLLISION, name, len(rows), contents))
            if kind is Kind.URL_MD5 and contents > limits.contents:
                expected.append((Sign.CONTENTS, name, len(rows), contents))
            pairs = [distance(a, b) > policy.match.pdq_radius for i, a in enumerate(codes) for b in codes[:i]]
            if (
                kind is Kind.PDQ
                and groups(codes, policy.match.pdq_radius) > limits.unlike
                and sum(pairs) > limits.unlike_pairs * len(pairs)
            ):
                expected.append((Sign.UNLIKE, name, len(rows), limits.unlike + 1))
    seen = raised(sorted(found), table, [listed], policy)
    assert sorted((a.sign, a.entry, a.records, a.seen) for a in seen.alarms) == sorted(expected)
    held = {name for _, name, *_ in expected}
    assert {f"{kind.value}-{row}" for _, kind, row in seen.apart} == held
    assert seen.hits == {"known": len({match.record for match, _ in found if match.entry not in held})}


def test_as_many_groups_as_the_policy_allows_are_no_alarm(tmp_path):
    world = World.unlike(np.zeros((12, 2)))
    world.codes[11] = world.codes[10]
    table = world.table(tmp_path)
    listed = small.hash_list("known", small.entries(Kind.PDQ, [bytes(32)]))
    found = [
        (Match(record, "known", "entry", Kind.PDQ, Variant.STORED, 0, 100), 0)
        for record in table.records(np.arange(12))
    ]
    allowed = [Policy(alarm=AlarmPolicy(unlike=number)) for number in (10, 11)]
    assert [len(raised(found, table, [listed], policy).alarms) for policy in allowed] == [1, 0]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_records_decides_nothing_about_an_alarm(tmp_path, order):
    chain = [bytes(32), bytes(28) + b"\0\0\xff\xff", bytes(28) + b"\xff" * 4]  # 16 bits, and 16 more
    world = World.unlike(np.zeros((3, 2)))
    world.codes = np.array([list(chain[place]) for place in order], np.uint8)
    listed = small.hash_list("known", small.entries(Kind.PDQ, [chain[1]]))
    table = world.table(tmp_path)
    found = [
        (Match(record, "known", "entry", Kind.PDQ, Variant.STORED, 16, 100), 0)
        for record in table.records(np.arange(3))
    ]
    raised_ = raised(found, table, [listed], Policy(alarm=AlarmPolicy(unlike=1)))
    assert [alarm.seen for alarm in raised_.alarms] == [2]


def use(version):
    return ListUse("known", "owner", "benchmark", "test", "2026-01-01", "unknown", "unknown", version)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=8))
def test_a_jump_is_measured_from_the_last_version_that_had_not_jumped(counts):
    parts = [FindingsPart((), (), (), (), (), "complete", hits={"known": counts[0]})]
    parts += [
        RecheckPart((use(str(n)),), (), (), (), (), (), "complete", hits={"known": count})
        for n, count in enumerate(counts[1:])
    ]
    calm, jumped = counts[0], False
    for count in counts[1:]:
        jumped = count >= 1000 and count > 10 * max(calm, 1)
        calm = calm if jumped else count
    told = alarms_now(fold(parts), Policy())
    assert [(alarm.sign, alarm.records, alarm.seen) for alarm in told] == (
        [(Sign.JUMP, counts[-1], counts[-1] / max(calm, 1))] if jumped else []
    )


def test_a_recheck_that_could_not_read_everything_lifts_no_alarm_and_is_no_measure():
    shard = ShardDigest("a" * 64)
    old, new = (
        Match(RecordId(ShardDigest(name * 64), 0, "k"), "known", "e", Kind.MD5, Variant.STORED, 0, 100) for name in "ab"
    )
    rate = Alarm("known", Sign.HIT_RATE, 600, 0.3, 0.1)
    entry = Alarm("known", Sign.COLLISION, 2, 2, 1, "e", Kind.MD5)
    held = replace(old, seedable=False)
    first = FindingsPart((held,), (), (), (), (), "complete", (rate, entry), {"known": 600})
    again = Alarm("known", Sign.HIT_RATE, 500, 0.4, 0.1)
    half = RecheckPart((use("2"),), (new,), (), (), (shard,), (), "unbalanced", alarms=(again,), hits={"known": 5})
    found = fold([first, half])
    assert set(found.alarms) == {again, entry}
    assert found.matches == (held, replace(new, seedable=False))
    assert found.hits == {"known": (600,)}
    whole = RecheckPart((use("2"),), (new,), (), (), (), (), "complete", hits={"known": 1})
    found = fold([first, half, whole])
    assert (found.alarms, found.matches, found.hits) == ((), (new,), {"known": (600, 1)})


def test_cases_that_were_sealed_before_alarms_fold_to_none():
    first = FindingsPart((), (), (), (), (), "complete")
    later = RecheckPart((use("2"),), (), (), (), (), (), "complete")
    assert alarms_now(fold([first, later]), Policy()) == ()
