"""PhotoDNA values that dataset and list state: matched by distance where the policy says how near, and otherwise not.

All values are made up. The dataset is the small one; each record states a value of its own, in every form in turn.
"""

import base64
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import vetset
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.webdataset import pack
from vetset.model.coverage import Coverage
from vetset.model.dataset import ShardDigest
from vetset.model.errors import PolicyError
from vetset.model.finding import Evidence, Seeds
from vetset.model.policy import MatchPolicy, Policy, RemovePolicy, ScanPolicy
from vetset.model.signal import URL_KINDS, USUAL_KINDS, Kind, Reason, Variant
from vetset.model.trust import Trust
from vetset.search.distance import DistanceIndex
from vetset.search.linear import distance_pairs
from vetset.signal.fingerprint import SIGNAL_VERSIONS
from vetset.stage import match as match_stage
from vetset.stage.match import ListMatcher
from vetset.stage.request import list_uses
from vetset.stage.scan import scan_key
from vetset.store.columns import Values
from vetset.store.part import Part, PartWriter
from vetset.store.store import Store

ASKED = ScanPolicy(kinds=(*USUAL_KINDS, Kind.PHOTODNA))
NULL, MALFORMED, ABSENT = 9, 10, 11
"""Records whose value is null, malformed, or not there at all."""


def value(number):
    return np.random.default_rng(number).integers(0, 256, 144, dtype=np.uint8)


def moved(number, by):
    """A value at a Euclidean distance of `by` from that of a record."""
    near = value(number).astype(np.int64)
    near[7] += by if near[7] < 128 else -by
    return near.astype(np.uint8)


def known():
    """Record 2 at distance 0, 4 and 5 at 30, 6 at 31; one value of nobody."""
    near = [moved(2, 0), moved(4, 30), moved(5, 30), moved(6, 31), value(999)]
    return small.hash_list("known", small.entries(Kind.PHOTODNA, [row.tobytes() for row in near], list("abcde")))


def stated(number):
    if number == NULL:
        return {"photodna": None}
    if number == MALFORMED:
        return {"photodna": "A" * 191 + "="}
    if number == ABSENT:
        return {}
    raw = value(number).tobytes()
    return {"photodna": [base64.b64encode(raw).decode(), raw.hex(), raw.hex().upper()][number % 3]}


def rows_of(numbers):
    return {"url": [small.url(n) for n in numbers], "key": [small.key(n) for n in numbers]}


def write_webdataset(root):
    samples = [
        (small.key(n), {"jpg": small.images()[n], "json": json.dumps({"url": small.url(n), **stated(n)}).encode()})
        for n in range(small.COUNT)
    ]
    pack(samples, root / "0.tar")


def write_beside(root):
    """As img2dataset lays it out; the last rows of the table were never downloaded."""
    pack([(small.key(n), {"jpg": small.images()[n]}) for n in range(small.COUNT - 3)], root / "0.tar")
    texts = [stated(n).get("photodna") for n in range(small.COUNT)]
    pq.write_table(pa.table({**rows_of(range(small.COUNT)), "photodna": texts}), root / "0.parquet")


def write_folder(root):
    for n in range(small.COUNT):
        (root / f"{small.key(n)}.jpg").write_bytes(small.images()[n])
        (root / f"{small.key(n)}.json").write_text(json.dumps(stated(n)))


def write_table(root):
    texts = [stated(n).get("photodna") for n in range(small.COUNT)]
    raw = [None if n in (NULL, MALFORMED, ABSENT) else value(n).tobytes() for n in range(small.COUNT)]
    halves = [slice(0, 13), slice(13, None)]
    columns = [pa.array(texts[halves[0]]), pa.array(raw[halves[1]], pa.binary(144))]
    for number, (half, column) in enumerate(zip(halves, columns, strict=True)):
        table = pa.table({**rows_of(range(small.COUNT)[half]), "PhotoDNA": column})
        pq.write_table(table, root / f"{number}.parquet", row_group_size=5)


def write_huggingface(root):
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({
        "image": pa.array([{"bytes": data, "path": None} for data in small.images()], image),
        "key": [small.key(n) for n in range(small.COUNT)],
        "photodna": [stated(n).get("photodna") for n in range(small.COUNT)],
    })  # fmt: skip
    pq.write_table(table, root / "0.parquet", row_group_size=5)


WRITERS = [write_webdataset, write_beside, write_folder, write_table, write_huggingface]


@pytest.fixture
def root(request, tmp_path):
    place = tmp_path / "data"
    place.mkdir()
    request.param(place)
    return place


def policy_of(radius=None, confirm=None, kinds=ASKED):
    return Policy(scan=kinds, match=MatchPolicy(photodna_radius=radius, confirm_photodna=confirm))


@pytest.mark.parametrize("most", [1, 7, 1 << 20])
def test_joins_that_would_have_too_many_pairs_are_made_in_pieces(monkeypatch, most):
    near = [moved(number, by).tobytes() for number in range(6) for by in (0, 20, 31)]
    entries = small.hash_list("crowd", small.entries(Kind.PHOTODNA, near))
    monkeypatch.setattr(match_stage, "MOST_PAIRS", most)
    held = []
    joined = DistanceIndex.join
    monkeypatch.setattr(DistanceIndex, "join", lambda *given, **more: held.append(joined(*given, **more)) or held[-1])
    values = Values.of([value(number % 6).tobytes() for number in range(20)], 144)
    matcher = match_stage.Matcher(entries.entries[Kind.PHOTODNA], 30**2)
    found = [pair for each in matcher.join([values]) for pair in zip(each.row, each.entry, strict=True)]
    assert len(found) == len(set(found)) == 20 * 2
    assert max(len(pairs[0]) for pairs in held) <= max(most, len(near))


def of_photodna(findings):
    return {
        small.number_of(match.record.key): (match.entry, match.distance, match.evidence, match.variant, match.quality)
        for match in findings.matches
        if match.kind is Kind.PHOTODNA
    }


def hit(entry, distance):
    return entry, distance, Evidence.PERCEPTUAL, Variant.DECLARED, 100


@pytest.mark.parametrize("root", WRITERS, indirect=True, ids=lambda write: write.__name__)
def test_in_every_format_what_lies_within_the_radius_is_found_and_counts_balance(audit, root):
    audited = audit(root, embeddings=None, lists=[known()], policy=policy_of(30))
    findings = audited.findings
    assert of_photodna(findings) == {2: hit("a", 0), 4: hit("b", 900), 5: hit("c", 900)}
    assert findings.status == "complete"
    (tally,) = findings.tallies
    undecided = tally.undecided
    assert (tally.records, tally.matched, tally.not_matched) == (24, 3, 18)
    assert set(undecided) <= {Reason.NULL_VALUE, Reason.ABSENT_COLUMN, Reason.MALFORMED_VALUE}
    assert undecided[Reason.MALFORMED_VALUE] == 1
    assert sum(undecided.values()) == 3
    coverage = json.loads((audited.out / "run.json").read_text())["coverage"]["photodna"]
    assert (coverage["records"], coverage["decided"]) == (24, 21)


@pytest.mark.parametrize("root", WRITERS, indirect=True, ids=lambda write: write.__name__)
def test_where_it_is_not_asked_for_the_store_is_the_same_as_if_nothing_was_stated(root, tmp_path):
    vetset.scan(root, store=tmp_path / "one", engine=small.HERE)
    (store,) = Store(tmp_path / "one").scans()
    assert Kind.PHOTODNA not in store.scan_policy.kinds
    for path in (tmp_path / "one" / "parts").glob("*.arrow"):
        part = Part(path, "x")
        assert part.kinds == USUAL_KINDS
        assert value(2).tobytes() not in path.read_bytes()


@pytest.mark.parametrize("root", WRITERS[:1], indirect=True)
def test_a_list_of_values_that_were_not_scanned_for_decides_nothing_and_needs_no_radius(audit, root):
    findings = audit(root, embeddings=None, lists=[known()], policy=policy_of(kinds=ScanPolicy())).findings
    assert findings.matches == ()
    (tally,) = findings.tallies
    assert tally.undecided == {Reason.NOT_SCANNED: 24}


@pytest.mark.parametrize("root", WRITERS[:1], indirect=True)
def test_without_a_radius_nothing_is_scanned_and_nothing_written(audit, root, tmp_path, custodian):
    with pytest.raises(PolicyError, match=r"match\.photodna_radius.*known.*licence"):
        audit(root, embeddings=None, lists=[known()], policy=policy_of())
    assert not (tmp_path / "audit").exists()
    vetset.scan(root, store=tmp_path / "store", policy=policy_of(), engine=small.HERE)
    given = {"lists": [known()], "seal_to": [custodian.public], "policy": Policy(remove=RemovePolicy(near=False))}
    with pytest.raises(PolicyError, match=r"photodna_radius"):
        vetset.match(tmp_path / "store", out=tmp_path / "matched", **given)
    assert not (tmp_path / "matched").exists()


@pytest.mark.parametrize("root", WRITERS[:1], indirect=True)
def test_lists_without_such_values_need_no_radius(audit, root):
    assert audit(root, embeddings=None, policy=policy_of()).findings.status == "complete"


@pytest.mark.parametrize("root", WRITERS[:1], indirect=True)
def test_it_confirms_only_where_the_policy_says_how_near(audit, root):
    def confirmed(out, **named):
        policy = policy_of(30, **named)
        findings = audit(root, embeddings=None, lists=[known()], policy=policy, out=out).findings
        trust = Trust.of(policy, list_uses([known()]))
        return {small.number_of(record.key) for record in Seeds.confirmed(findings.matches, (), trust).records}

    assert confirmed("one") == set()
    assert confirmed("two", confirm=29.9) == {2}
    assert confirmed("three", confirm=30) == {2, 4, 5}


def test_a_radius_of_which_the_square_is_no_whole_number_is_rounded_down(audit, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    write_folder(root)
    narrow = audit(root, embeddings=None, lists=[known()], policy=policy_of(29.999), out="narrow")
    assert set(of_photodna(narrow.findings)) == {2}
    wide = audit(root, embeddings=None, lists=[known()], policy=policy_of(31), out="wide")
    assert set(of_photodna(wide.findings)) == {2, 4, 5, 6}


def test_a_column_of_another_name_is_mapped(audit, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    texts = [stated(n).get("photodna") for n in range(8)]
    pq.write_table(pa.table({"key": [small.key(n) for n in range(8)], "pdna": texts}), root / "0.parquet")
    mapping = ColumnMapping(photodna="pdna")
    audited = audit(root, embeddings=None, lists=[known()], policy=policy_of(30), columns=mapping)
    assert set(of_photodna(audited.findings)) == {2, 4, 5}
    # where it is not asked for it is no column to match by, and a table of nothing else is refused
    unasked = audit(root, embeddings=None, lists=[known()], columns=mapping, out="unasked")
    assert unasked.findings.status == "incomplete"


def test_an_order_takes_what_matched_out_of_the_table(audit, tmp_path, custodian):
    root = tmp_path / "data"
    root.mkdir()
    write_table(root)
    audited = audit(root, embeddings=None, lists=[known()], policy=policy_of(30))
    vetset.order(audited.out, custodian, out=tmp_path / "order.json")
    vetset.clean(root, tmp_path / "order.json", signer=custodian.public, out=tmp_path / "clean", engine=small.HERE)
    left = pa.concat_tables(
        [pq.read_table(path, columns=["key"]) for path in sorted((tmp_path / "clean").glob("*.p*"))]
    )
    gone = set(range(small.COUNT)) - {small.number_of(key) for key in left["key"].to_pylist()}
    assert {2, 4, 5} <= gone


def test_the_key_of_a_usual_scan_is_what_it_was_before_there_was_photodna(monkeypatch):
    # Another key, and every store there was would have been scanned anew; addresses were of version 1 then.
    monkeypatch.setattr("vetset.stage.scan.SIGNAL_VERSIONS", {**SIGNAL_VERSIONS, **dict.fromkeys(URL_KINDS, 1)})
    key = scan_key(ScanPolicy(), ColumnMapping()).part("0" * 64)
    assert key == "f218f27c2f65d93a7ae93ab812a15da61a11bd9ede5f9fa065858f2deb473f90"
    assert scan_key(ScanPolicy(), ColumnMapping(photodna="x")).part("0" * 64) != key
    assert scan_key(ASKED, ColumnMapping()).part("0" * 64) != key


@given(st.integers(0, 2**32), st.tuples(st.integers(1, 60), st.integers(1, 40)), st.floats(0, 400), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_matches_and_tallies_are_those_of_a_linear_scan(tmp_path_factory, seed, sizes, radius, by):
    random, count = np.random.default_rng(seed), sizes[0]
    pool = random.integers(0, 256, (5, 144))
    rows, entries = (
        np.clip(pool[random.integers(5, size=size)] + random.integers(-by, by + 1, (size, 144)), 0, 255).astype(
            np.uint8
        )
        for size in sizes
    )
    present = random.random(count) < 0.7
    why = np.where(present, 0, Reason.NULL_VALUE.code).astype(np.uint8)
    store = Store(tmp_path_factory.mktemp("store"))
    with PartWriter(store, (Kind.PHOTODNA,)) as writer:
        held = Values(np.where(present[:, None], rows, np.uint8(0)), present).to_arrow()
        writer.append([pa.array([f"key {n}" for n in range(count)]), held, pa.array(why)])
        writer.commit("part", count)
    part, hash_list = Part(store.part_path("part"), "part"), _list_of(entries)
    result = ListMatcher([hash_list], policy_of(radius)).shard(part, ShardDigest("a" * 64), count)
    asked = np.flatnonzero(present)
    query, entry, apart = distance_pairs(rows[asked], hash_list.entries[Kind.PHOTODNA].values, int(radius**2 + 1))
    ids = hash_list.entries[Kind.PHOTODNA].ids
    expected = {
        (int(asked[q]), ids[e].decode(), int(d))
        for q, e, d in zip(query, entry, apart, strict=True)
        if d <= radius * radius
    }
    assert {(match.record.row, match.entry, match.distance) for match in result.matches} == expected
    assert len(result.matches) == len(expected)
    (tally,), (coverage,) = result.tallies, result.coverage
    matched = len({row for row, _, _ in expected})
    assert (tally.matched, tally.not_matched) == (matched, len(asked) - matched)
    assert coverage == Coverage(
        Kind.PHOTODNA, count, len(asked), {Reason.NULL_VALUE: count - len(asked)} if len(asked) < count else {}
    )
    tally.check(coverage, "shard")


def _list_of(rows):
    distinct = sorted({row.tobytes() for row in rows})
    return small.hash_list("one", small.entries(Kind.PHOTODNA, distinct))
