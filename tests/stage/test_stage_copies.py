"""How often items occur, against counting by hand: every pair compared, every link followed."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import vetset
from vetset.case.copies import ItemCopies
from vetset.case.findings import Findings
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.errors import CountError
from vetset.model.finding import Candidate, Evidence, Match
from vetset.model.policy import MatchPolicy, Policy
from vetset.model.signal import Kind, Variant
from vetset.model.verdict import Decision, Verdict
from vetset.search.hamming import HammingIndex
from vetset.stage import items as items_stage
from vetset.stage.copies import copies, occurrences
from vetset.stage.items import near
from vetset.store.columns import part_schema
from vetset.store.part import PartWriter
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import Store

DISTANCE, QUALITY = 20, 70
POLICY = Policy(match=MatchPolicy(confirm_distance=DISTANCE, confirm_quality=QUALITY))
TRUST = small.trust("one", "two", policy=POLICY)
KINDS = (Kind.SHA256, Kind.PDQ)
FURTHER = (Variant.WHITE, Variant.PARTIAL)
FORMS = (Variant.STORED, *FURTHER)
NOTHING = Findings((), (), (), (), (), (), "complete")


def code(number):
    """PDQ codes on a line: 12 bits from one to the next, so that one step is near and two are not."""
    bits = np.zeros(256, np.uint8)
    bits[: 12 * number] = 1
    return np.packbits(bits).tobytes()


def table_of(folder, shards):
    """A store of these records: a digest's number, and for each form a code's number with its quality; or None."""
    stored, store = [], Store(folder)
    schema = part_schema(KINDS, FURTHER)
    for number, rows in enumerate(shards):
        columns = {"key": [str(row) for row in range(len(rows))]}
        columns["sha256"] = [None if digest is None else bytes([digest]) * 32 for digest, _ in rows]
        columns["sha256.declared"] = [None] * len(rows)
        columns["sha256.why"] = columns["pdq.why"] = [0] * len(rows)
        for place, form in enumerate(FORMS):
            name = "pdq" if form is Variant.STORED else f"pdq.{form.value}"
            columns[name] = [None if forms[place] is None else code(forms[place][0]) for _, forms in rows]
            columns[f"{name}.quality"] = [None if forms[place] is None else forms[place][1] for _, forms in rows]
        arrays = [pa.array(columns[item.name], item.type) for item in schema]
        with PartWriter(store, KINDS, FURTHER) as writer:
            for first in range(0, len(rows), 3):
                writer.append([array.slice(first, 3) for array in arrays])
            writer.commit(f"{number:064x}", len(rows))
        name = ShardDigest(f"{number:064x}")
        stored.append(StoredShard(f"{number}.tar", name, f"{number:064x}", len(rows)))
    return RecordTable(store, stored)


digest_numbers = st.none() | st.integers(0, 6)
codes = st.none() | st.tuples(st.integers(0, 8), st.sampled_from([50, 69, 70, 100]))
rows_of = st.lists(st.tuples(digest_numbers, st.tuples(codes, codes, codes)), max_size=8)


@st.composite
def cases(draw):
    """A dataset and findings about it: confirmed in every way, near, withdrawn, flagged, by address."""
    shards = draw(st.lists(rows_of, min_size=1, max_size=3))
    records = [
        RecordId(ShardDigest(f"{shard:064x}"), row, str(row))
        for shard, rows in enumerate(shards)
        for row in range(len(rows))
    ]
    if not records:
        return shards, NOTHING
    some = st.lists(st.sampled_from(records), max_size=5)
    match = st.builds(
        Match,
        st.sampled_from(records),
        st.sampled_from(["one", "two"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([Kind.MD5, Kind.PDQ, Kind.URL_MD5]),
        st.sampled_from(FORMS),
        st.sampled_from([0, DISTANCE, DISTANCE + 1]),
        st.sampled_from([QUALITY - 1, QUALITY]),
        st.booleans(),
    )
    decision = st.sampled_from(list(Decision))
    tracking = st.sampled_from(["", "x", "y"])
    verdicts = draw(
        st.lists(st.builds(Verdict, st.sampled_from(records), decision, st.just("list:s"), tracking), max_size=4)
    )
    candidates = {
        item: Candidate(item, Evidence.NEIGHBOUR, draw(st.sampled_from(records)), 0.9, 1) for item in draw(some)
    }
    matches = tuple(sorted(draw(st.lists(match, max_size=6))))
    return shards, replace(
        NOTHING, matches=matches, verdicts=tuple(verdicts), candidates=tuple(sorted(candidates.values()))
    )


def confirms(match):
    """The rule of the policy, written down a second time."""
    if match.kind is Kind.URL_MD5 or not match.seedable or match.variant is Variant.PARTIAL:
        return False
    return match.kind is Kind.MD5 or (match.distance <= DISTANCE and match.quality >= QUALITY)


def bits(one, other):
    return (int.from_bytes(code(one)) ^ int.from_bytes(code(other))).bit_count()


def usable(forms, chosen=(Variant.STORED, Variant.WHITE)):
    """Numbers of codes that can confirm, of these forms."""
    return [
        value[0] for form, value in zip(FORMS, forms, strict=True) if form in chosen and value and value[1] >= QUALITY
    ]


def evidence_of(findings):
    """Entries and forms of every confirmed record."""
    entries, forms = {}, {}
    for match in filter(confirms, findings.matches):
        here = (match.record.shard, match.record.row)
        entries.setdefault(here, set()).add((match.list_name, match.kind, match.entry))
        forms.setdefault(here, set()).add(match.variant if match.kind is Kind.PDQ else Variant.STORED)
    for verdict in findings.verdicts:
        if verdict.decision is Decision.KNOWN:
            here = (verdict.record.shard, verdict.record.row)
            entries.setdefault(here, set()).update({verdict.tracking} - {""})
            forms.setdefault(here, set()).add(Variant.STORED)
    return entries, forms


def groups_of(records, same):
    """Records that are linked, over however many."""
    groups = []
    for here in records:
        touching = [group for group in groups if any(same(here, other) for other in group)]
        groups = [group for group in groups if group not in touching] + [{here}.union(*touching)]
    return groups


def by_hand(shards, findings):
    """(confirmed, by bytes, by PDQ, by embedding) of every item, sorted; and the number of records that show any."""
    rows = {(f"{shard:064x}", row): cells for shard, part in enumerate(shards) for row, cells in enumerate(part)}
    entries, forms = evidence_of(findings)
    stand = {here: usable(rows[here][1], forms[here] - {Variant.PARTIAL}) for here in entries}

    def close(codes, here):
        return any(bits(a, b) <= DISTANCE for a in codes for b in stand[here])

    def same(one, other):
        digest = rows[one][0]
        equal = digest is not None and digest == rows[other][0]
        return equal or bool(entries[one] & entries[other]) or close(stand[one], other)

    told, showing = [], set(entries)
    for group in groups_of(entries, same):
        digests = {rows[here][0] for here in group} - {None}
        near_it = {(item.record.shard, item.record.row) for item in findings.candidates
                   if (item.seed.shard, item.seed.row) in group}  # fmt: skip
        others = rows.keys() - entries.keys()
        equal = {here for here in others if rows[here][0] in digests}
        alike = {here for here in others if any(close(usable(rows[here][1]), one) for one in group)} - equal
        embedded = (near_it & others) - equal - alike
        showing |= equal | alike | embedded
        told.append((len(group), len(equal), len(alike), len(embedded)))
    return sorted(told), len(showing)


@given(cases())
@settings(max_examples=150, deadline=None)
def test_items_and_their_occurrences_are_those_counted_by_hand(case):
    shards, findings = case
    with tempfile.TemporaryDirectory() as folder:
        told = occurrences(findings, table_of(Path(folder) / "store", shards), TRUST)
    expected, showing = by_hand(shards, findings)
    assert sorted((i.confirmed, i.by_bytes, i.by_pdq, i.by_embedding) for i in told.items) == expected
    assert told.records == showing
    assert told.dataset_records == sum(map(len, shards))
    every = [row for rows in shards for row in rows]
    assert told.with_bytes == sum(digest is not None for digest, _ in every)
    assert told.with_pdq == sum(bool(usable(forms)) for _, forms in every)
    assert [item.occurrences for item in told.items] == sorted((item.occurrences for item in told.items), reverse=True)


@given(st.lists(st.integers(0, 8), max_size=20), st.lists(st.integers(0, 8), max_size=20))
@settings(max_examples=30, deadline=None)
def test_pairs_come_some_at_a_time_and_none_is_lost(entries, queries):
    index = HammingIndex(np.frombuffer(b"".join(map(code, entries)), np.uint8).reshape(-1, 32).copy())
    asked = np.frombuffer(b"".join(map(code, queries)), np.uint8).reshape(-1, 32).copy()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(items_stage, "_MOST_PAIRS", 1)
        patched.setattr(items_stage, "_LEAST_QUERIES", 3)
        found = [
            pair
            for query, entry in near(index, asked, DISTANCE)
            for pair in zip(query.tolist(), entry.tolist(), strict=True)
        ]
    assert sorted(found) == [
        (q, e) for q, one in enumerate(queries) for e, other in enumerate(entries) if bits(one, other) <= DISTANCE
    ]


def test_codes_in_a_row_are_one_item_and_each_record_is_counted_once(tmp_path):
    stored = [(None, ((number, 100), None, None)) for number in (0, 1, 2, 3)]
    listed = tuple(
        Match(RecordId(ShardDigest("0" * 64), row, str(row)), "one", entry, Kind.MD5, Variant.STORED, 0, 100)
        for row, entry in ((0, "a"), (1, "b"), (2, "c"))
    )
    told = occurrences(replace(NOTHING, matches=listed), table_of(tmp_path / "store", [stored]), TRUST)
    assert told.items == (ItemCopies(3, 0, 1, 0, ("benchmark",)),)


def test_a_damaged_part_is_told_and_nothing_is_counted(tmp_path):
    table = table_of(tmp_path / "store", [[(1, (None, None, None))]])
    (part,) = (tmp_path / "store" / "parts").glob("*.arrow")
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(CountError, match="damaged"):
        occurrences(NOTHING, table, TRUST)


def test_other_records_of_equal_bytes_are_found_with_what_they_copy(tmp_path):
    rows = [(1, (None, None, None)), (None, (None, None, None)), (1, (None, None, None)), (2, (None, None, None))]
    table = table_of(tmp_path / "store", [rows, rows])
    first, other = (RecordId(ShardDigest(f"{shard:064x}"), 0, "0") for shard in (0, 1))
    found = copies([first, other], table)
    assert {(record.shard[-1], record.row) for record in found} == {("0", 2), ("1", 2)}
    assert set(found.values()) <= {first, other}


def test_the_summary_has_numbers_and_nothing_that_names_a_record(audit):
    audited = audit()
    told = vetset.copies(audited.out, audited.key)["copies"]
    # 0 with 21, its picture again; 1 with 20, its bytes again; 5 and its copy 22 lie near 0
    assert told["each"] == [
        {"item": 1, "occurrences": 4, "confirmed": 2, "by_bytes": 0, "by_pdq": 0, "by_embedding": 2,
         "harms": ("benchmark",)},
        {"item": 2, "occurrences": 2, "confirmed": 2, "by_bytes": 0, "by_pdq": 0, "by_embedding": 0,
         "harms": ("benchmark",)},
    ]  # fmt: skip
    text = json.dumps(told)
    assert not [number for number in range(24) if small.key(number) in text]
    assert (told["of_records"], told["with_bytes"], told["of_now"]) == (24, 24, True)
    told = told["by_category"]["benchmark"]
    assert (told["items"], told["occurrences"], told["records"], told["largest"]) == (2, 6, 6, 4)
    assert told["by_evidence"] == {"confirmed": 4, "by_bytes": 0, "by_pdq": 0, "by_embedding": 2}
    assert told["items_by_occurrences"] == {"2": 1, "3-4": 1}
    assert sum(told["by_evidence"].values()) == told["occurrences"]


def test_items_are_no_more_than_distinct_contents_of_confirmed_records(audit):
    audited = audit()
    told = vetset.copies(audited.out, audited.key)
    assert told["copies"]["by_category"]["benchmark"]["items"] <= told["union"]["benchmark"]["distinct_items"]


def test_what_is_confirmed_later_makes_the_numbers_those_of_before(audit):
    audited = audit()
    vetset.copies(audited.out, audited.key)
    assert vetset.verify(audited.out, audited.key, with_list=small.second())["copies"]["of_now"] is False
    told = vetset.copies(audited.out, audited.key)["copies"]
    assert told["of_now"] is True
    assert {(item["confirmed"], item["by_bytes"]) for item in told["each"]} == {(2, 0)}
    assert told["by_category"]["benchmark"]["items"] == 3


def test_without_a_finding_there_is_no_item_and_the_part_is_as_large(audit):
    nothing, something = audit(lists=[small.stranger()], out="nothing"), audit(out="something")
    told = [vetset.copies(audited.out, audited.key)["copies"] for audited in (nothing, something)]
    counted = told[0]["by_category"]["benchmark"]
    assert (counted["items"], counted["records"], counted["largest"], told[0]["each"]) == (0, 0, 0, [])
    sizes = {(audited.out / "case" / "000002.age").stat().st_size for audited in (nothing, something)}
    assert len(sizes) == 1


def test_where_nobody_counted_there_are_no_numbers(audit):
    assert audit().summary["copies"] is None
