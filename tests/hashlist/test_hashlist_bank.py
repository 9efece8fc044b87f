"""The bank of opinions against plain lines: a dictionary of entries, changed one statement at a time."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.hashlist.bank import Bank, quarantine, release
from vetset.hashlist.columns import first_of_each, ordered, sort_keys
from vetset.hashlist.deliveries import Change, taken
from vetset.hashlist.opinions import SCHEMA, Note, OpinionRows, checked, texts_of, utc, values_of
from vetset.model.errors import ListError
from vetset.model.hashlist import EntryFlag
from vetset.model.signal import LIST_KINDS, Kind

START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = (Kind.MD5, Kind.SHA1, Kind.PDQ)


def value(kind, number):
    if kind is Kind.PDQ:
        bits = np.zeros(256, np.uint8)
        bits[np.random.default_rng(number).permutation(256)[:128]] = 1
        return np.packbits(bits).tobytes()
    return bytes([number % 256]) * kind.width


def batch(*statements):
    """One batch of statements: (entry, day or None, None or {kind: (numbers, agree, dispute)}, options)."""
    rows = OpinionRows("a test")
    for entry, day, content, options in statements:
        updated = None if day is None else START + timedelta(days=day)
        if content is None:
            rows.withdraw(entry, updated=updated)
            continue
        values = [(kind, value(kind, number)) for kind, (number, _, _) in content.items()]
        agree = {kind: count for kind, (_, count, _) in content.items()}
        dispute = {kind: count for kind, (_, _, count) in content.items()}
        rows.add(entry, values, updated=updated, agree=agree, dispute=dispute, **options)
    return rows.batch()


def entry(name, *values, day=0, **options):
    return name, day, {kind: (number, 0, 0) for kind, number in values}, options


contents = st.dictionaries(
    st.sampled_from(KINDS), st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 2)), min_size=1
)
options = st.fixed_dictionaries(
    {
        "member": st.sampled_from(["", "a", "A ", "b"]),
        "category": st.sampled_from(["A1", "B2"]),
        "notes": st.sampled_from([Note.NONE, Note.GRID, Note.UNCONFIRMED, Note.VIRAL | Note.GRID]),
        "sets": st.sampled_from([(), ("UK",), ("US", "CA")]),
        "quality": st.sampled_from([None, 20, 90]),
    }
)
statements = st.tuples(
    st.sampled_from([f"e{number}" for number in range(6)]),
    st.one_of(st.none(), st.integers(0, 4)),
    st.one_of(st.none(), contents),
    options,
)
deliveries = st.lists(st.tuples(st.booleans(), st.lists(statements, max_size=8)), min_size=1, max_size=5)


class Plain:
    """What a bank holds, by the rules as they are written."""

    def __init__(self):
        self.known = {}

    def apply(self, delivery, full):
        counts = defaultdict(int)
        for name in dict.fromkeys(statement[0] for statement in delivery):
            said = [statement for statement in delivery if statement[0] == name]
            day = None if any(each[1] is None for each in said) else max(each[1] for each in said)
            latest = [each for each in said if each[1] == day]
            content = None if latest[-1][2] is None else {}
            for _, _, values, chosen in latest if content is not None else ():
                for kind, (number, agree, dispute) in (values or {}).items():
                    content.pop((kind, number), None)
                    told = chosen if kind is Kind.PDQ else chosen | {"quality": None}  # of PDQ values alone
                    content[kind, number] = (agree, dispute, told)
            self._state(name, day, content, counts, full)
        if full:
            for name, (day, said) in list(self.known.items()):
                if name not in {statement[0] for statement in delivery} and said is not None:
                    counts["withdrawn"] += 1
                    self.known[name] = (None if day is None else day + 1 / 86400, None)
        return Change(**counts)

    def _state(self, name, day, content, counts, full):
        known, before = name in self.known, self.known.get(name, (None, None))
        if not full and known and day is not None and before[0] is not None and day < before[0]:
            counts["stale"] += 1
            return
        if known and before[1] == content and list(before[1] or ()) == list(content or ()):
            counts["unchanged"] += 1
        elif content is None:
            counts["withdrawn" if before[1] is not None else "unknown"] += 1
        else:
            counts["changed" if before[1] is not None else "added"] += 1
        self.known[name] = (day, content)

    def entries(self, floor):
        found = defaultdict(list)
        aside = defaultdict(int)
        for name, (_, content) in self.known.items():
            if content is None:
                aside["withdrawn"] += 1
                continue
            for (kind, number), (agree, dispute, chosen) in content.items():
                if kind is Kind.PDQ and chosen["notes"] & Note.GRID:
                    aside["grid"] += 1
                elif kind is Kind.PDQ and chosen["quality"] is not None and chosen["quality"] < floor:
                    aside["low_quality"] += 1
                else:
                    found[kind, value(kind, number)].append((name, chosen, agree, dispute))
        result = {}
        for (kind, what), said in found.items():
            sure = [chosen["member"] for _, chosen, _, _ in said if not chosen["notes"] & Note.UNCONFIRMED]
            members = max(1, len({member.strip().lower() for member in sure} - {""}))
            flags = EntryFlag.NONE
            if max(dispute for *_, dispute in said) > max(members - 1, *(agree for *_, agree, _ in said)):
                flags |= EntryFlag.DISPUTED
                aside["disputed"] += 1
            if all(chosen["notes"] & Note.UNCONFIRMED for _, chosen, _, _ in said):
                flags |= EntryFlag.UNVETTED
            result[kind, what] = ({name for name, *_ in said}, int(flags), members)
        return result, dict(aside)


def as_plain(compiled):
    return {
        (kind, column.values[row].tobytes()): (
            column.ids[row].decode(), int(column.flags[row]), int(column.members[row]),
        )
        for kind, column in compiled.entries.items()
        for row in range(len(column))
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(deliveries, st.sampled_from([0, 50]))
def test_a_bank_holds_what_a_dictionary_does(given_deliveries, floor):
    bank, plain = Bank.empty(), Plain()
    for full, delivery in given_deliveries:
        cut = len(delivery) // 2
        bank, change = bank.apply([batch(*delivery[:cut]), batch(*delivery[cut:])], full=full)
        assert change == plain.apply(delivery, full)
    wanted, aside = plain.entries(floor)
    for state in (bank, Bank.from_bytes(bank.to_bytes())):
        compiled = state.entries(pdq_quality=floor)
        found = as_plain(compiled)
        assert compiled.aside == aside
        assert found.keys() == wanted.keys()
        for key, (names, flags, members) in wanted.items():
            assert found[key][0] in names
            assert found[key][1:] == (flags, members)


def test_entries_are_what_the_vault_takes():
    bank, _ = Bank.empty().apply(
        [batch(entry("b", (Kind.MD5, 9)), entry("a", (Kind.MD5, 3), (Kind.PDQ, 1)))], full=True
    )
    column = bank.entries().entries[Kind.MD5]
    assert column.ids.tolist() == [b"a", b"b"]
    assert column.values.tolist() == [[3] * 16, [9] * 16]
    assert (column.flags.dtype, column.members.tolist()) == (np.dtype(np.uint8), [1, 1])


def test_a_late_page_takes_nothing_back():
    bank, _ = Bank.empty().apply([batch(entry("a", (Kind.MD5, 2), day=5))], full=False)
    after, change = bank.apply([batch(entry("a", (Kind.MD5, 1), day=4), ("a", 3, None, {}))], full=False)
    assert change == Change(stale=1)
    assert after.rows == bank.rows


def test_what_a_whole_list_left_out_comes_back_with_the_next():
    whole = [batch(entry("a", (Kind.MD5, 1), day=1), entry("b", (Kind.MD5, 2), day=1))]
    bank, _ = Bank.empty().apply(whole, full=True, when=START + timedelta(days=2))
    cut, change = bank.apply([batch(entry("a", (Kind.MD5, 1), day=1))], full=True, when=START + timedelta(days=3))
    assert change == Change(withdrawn=1, unchanged=1)
    again, change = cut.apply(whole, full=True, when=START + timedelta(days=4))
    assert change == Change(added=1, unchanged=1)
    assert as_plain(again.entries()) == as_plain(bank.entries())


def test_lines_of_a_whole_list_are_not_taken_for_those_of_the_one_before():
    bank, _ = Bank.empty().apply(
        [batch(entry("line:1", (Kind.MD5, 1), day=4), entry("line:2", (Kind.MD5, 2), day=1))], full=True
    )
    bank, _ = bank.apply(
        [batch(entry("line:1", (Kind.MD5, 3), day=1), entry("line:2", (Kind.MD5, 1), day=4))], full=True
    )
    assert bank.entries().entries[Kind.MD5].values[:, 0].tolist() == [1, 3]


@given(st.lists(st.integers(0, 9), max_size=8), st.lists(st.integers(0, 9), max_size=8))
@pytest.mark.parametrize("word", ["line:", "item-"])
def test_entries_that_are_gone_are_those_whose_values_are(word, old, new):
    def lines(numbers):
        told = (entry(f"{word}{place}", (Kind.MD5, number)) for place, number in enumerate(numbers, 1))
        return Bank.empty().apply([batch(*told)], full=True)[0]

    entries = sum(number not in new for number in old)
    assert lines(old).gone(lines(new)) == (entries, len({*old} - {*new}))
    assert lines(old).values == len({*old})


def test_what_was_taken_back_leaves_its_id_and_no_value():
    bank, _ = Bank.empty().apply([batch(entry("a", (Kind.MD5, 77)), entry("b", (Kind.MD5, 78)))], full=True)
    bank, change = bank.apply([batch(("a", 1, None, {}))], full=False)
    assert change == Change(withdrawn=1)
    bank, change = bank.apply([batch()], full=True, when=START + timedelta(days=9))
    assert change == Change(withdrawn=1)
    assert value(Kind.MD5, 77) not in b"".join(row or b"" for row in bank.rows["value"].to_pylist())
    assert bank.rows["entry"].to_pylist() == ["a", "b"]
    assert bank.entries().entries == {}
    assert bank.entries().aside == {"withdrawn": 2}
    bank, change = bank.apply([batch(entry("a", (Kind.MD5, 77), day=2))], full=False)
    assert change == Change(added=1)
    assert bank.entries().aside == {"withdrawn": 1}


def test_taking_back_what_was_never_known_is_refused_where_that_is_asked():
    bank, _ = Bank.empty().apply([batch(entry("a", (Kind.MD5, 1)))], full=True)
    delta = [batch(entry("b", (Kind.MD5, 2)), *((f"gone-{number}", 1, None, {}) for number in range(12)))]
    with pytest.raises(ListError, match=r"gone-0, .*gone-9 and 2 more") as error:
        bank.apply(delta, full=False, strict=True)
    assert "Nothing was applied" in str(error.value)
    after, change = bank.apply(delta, full=False)
    assert change == Change(added=1, unknown=12)
    assert set(after.entries().entries[Kind.MD5].ids) == {b"a", b"b"}


def mute(name, note, day):
    rows = OpinionRows("a test")
    rows.withdraw(name, updated=START + timedelta(days=day), notes=note)
    return rows.batch()


@pytest.mark.parametrize("full", [False, True])
def test_what_cannot_be_read_leaves_what_was_known(full):
    bank, _ = Bank.empty().apply([batch(entry("a", (Kind.MD5, 1)))], full=False)
    after, change = bank.apply([mute("a", Note.UNREAD, 5), mute("b", Note.UNREAD, 5)], full=full)
    assert change == Change()
    assert after.rows.equals(bank.rows)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("day", [0, 1, 2])  # before, with and after the other statement
@pytest.mark.parametrize("late", [False, True])
def test_what_cannot_be_read_takes_nothing_from_its_own_delivery(full, day, late):
    known, _ = Bank.empty().apply([batch(entry("a", (Kind.MD5, 1), day=0))], full=False)
    pages = [batch(entry("a", (Kind.MD5, 2), day=1), entry("new", (Kind.MD5, 3), day=1))]
    wanted, told = known.apply(pages, full=full)
    unread = [mute("a", Note.UNREAD, day), mute("new", Note.UNREAD, day)]
    after, change = known.apply([*pages, *unread] if late else [*unread, *pages], full=full)
    assert change == told == Change(added=1, changed=1)
    assert after.rows.equals(wanted.rows)


def test_what_was_taken_back_stays_so_where_more_of_it_cannot_be_read():
    known, _ = Bank.empty().apply([batch(entry("a", (Kind.MD5, 1)), entry("b", (Kind.MD5, 2)))], full=False)
    after, change = known.apply([batch(("a", 1, None, {})), mute("a", Note.UNREAD, 2)], full=False)
    assert (change, after.standing) == (Change(withdrawn=1), 1)


def test_an_entry_that_has_no_value_any_more_is_gone_and_one_that_never_had_is_not_taken_back():
    bank, _ = Bank.empty().apply([batch(entry("a", (Kind.MD5, 1)), entry("b", (Kind.MD5, 2)))], full=False)
    news = [mute("a", Note.NO_VALUE, 5), mute("c", Note.NO_VALUE, 5)]
    after, change = bank.apply(news, full=False, strict=True)
    assert change == Change(withdrawn=1)
    assert [(row["entry"], row["withdrawn"]) for row in after.rows.to_pylist()] == [("b", False), ("a", True)]


def test_a_time_that_is_yet_to_come_holds_nothing_up():
    news = [batch(entry("a", (Kind.MD5, 1), day=9999), entry("b", (Kind.MD5, 2), day=1))]
    bank, _ = Bank.empty().apply(news, full=False, latest=START + timedelta(days=3))
    assert bank.rows["updated"].to_pylist() == [START + timedelta(days=3), START + timedelta(days=1)]
    bank, change = bank.apply([batch(("a", 4, None, {}))], full=False, latest=START + timedelta(days=5))
    assert change == Change(withdrawn=1)


@pytest.mark.parametrize("when", [None, START + timedelta(days=2), START + timedelta(days=8)])
def test_what_a_whole_list_left_out_is_not_brought_back_by_what_was_known_before(when):
    known = batch(entry("a", (Kind.MD5, 1), day=5))
    bank, _ = Bank.empty().apply([known, batch(entry("b", (Kind.MD5, 2)))], full=True)
    bank, change = bank.apply([batch(entry("b", (Kind.MD5, 2)))], full=True, when=when)
    assert change == Change(withdrawn=1, unchanged=1)
    bank, change = bank.apply([known], full=False)
    assert change == Change(stale=1)
    _, change = bank.apply([batch(entry("a", (Kind.MD5, 1), day=9))], full=False)
    assert change == Change(added=1)


def test_decisions_go_by_value_and_outlive_other_deliveries():
    first, _ = Bank.empty().apply([batch(entry("line:1", (Kind.MD5, 1)), entry("line:2", (Kind.MD5, 2)))], full=True)
    bank = first.decided(quarantine(first.values_of_entry("line:2"), "alarm", date(2026, 1, 2)))
    bank, _ = bank.apply([batch(entry("line:1", (Kind.MD5, 2)), entry("line:2", (Kind.MD5, 3)))], full=True)
    bank = Bank.from_bytes(bank.to_bytes())
    assert bank.entries().entries[Kind.MD5].flags.tolist() == [EntryFlag.QUARANTINED, EntryFlag.NONE]
    assert bank.entries().aside == {"quarantined": 1}
    bank = bank.decided(release([(Kind.MD5, value(Kind.MD5, 2))], "looked at", date(2026, 1, 3)))
    assert bank.entries().entries[Kind.MD5].flags.tolist() == [EntryFlag.RELEASED, EntryFlag.NONE]
    assert [(each.state, each.reason, each.on) for each in bank.decisions] == [("released", "looked at", "2026-01-03")]
    assert value(Kind.MD5, 2).hex() not in repr(bank.decisions)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("line:9", "saw line:9."),
        ("case-17", "saw case-17."),
        ("md5 " + "ab" * 16, "saw a text that is no id."),
        ("https://pictures.example/1", "saw a text that is no id."),
        ("x\ny", "saw a text that is no id."),
        ("", "saw a text that is no id."),
    ],
)
def test_an_entry_that_is_not_there_is_named_if_it_can_be_one(text, shown):
    with pytest.raises(ListError, match="no entry of this id") as caught:
        Bank.empty().values_of_entry(text)
    assert shown in str(caught.value)


@pytest.mark.parametrize(
    ("givers", "agree", "dispute", "disputed"),
    [
        (3, 0, 1, False),  # perhaps one member, who votes against every copy
        (20, 0, 1, False),
        (3, 0, 3, True),
        (2, 1, 2, True),  # the two may speak for each other's
        (2, 2, 2, False),
        (1, 0, 1, True),
    ],
)
def test_a_member_has_one_voice_about_a_value_however_often_it_is_given(givers, agree, dispute, disputed):
    given = [(f"e{one}", 0, {Kind.MD5: (7, agree, dispute)}, {"member": str(one)}) for one in range(givers)]
    bank, _ = Bank.empty().apply([batch(*given)], full=True)
    assert bank.entries().aside.get("disputed", 0) == disputed


@pytest.mark.parametrize(
    ("said", "members"),
    [
        ([("Big Co", Note.NONE), ("BIG  co ", Note.NONE)], 1),
        ([("Müller", Note.NONE), ("Mu\u0308ller", Note.NONE), ("ＭÜＬＬＥＲ", Note.NONE)], 1),
        ([("", Note.NONE), ("Big Co", Note.NONE)], 1),  # who is not named may be any of them
        ([("", Note.NONE), ("", Note.NONE)], 1),
        ([("one", Note.NONE), ("other", Note.UNCONFIRMED)], 1),
        ([("one", Note.UNCONFIRMED), ("other", Note.UNCONFIRMED)], 1),
        ([("one", Note.NONE), ("other", Note.NONE), ("", Note.NONE)], 2),
    ],
)
def test_voices_are_members_that_are_named_differently_and_stand_by_it(said, members):
    given = [
        (f"e{number}", 0, {Kind.MD5: (7, 0, 0)}, {"member": member, "notes": note})
        for number, (member, note) in enumerate(said)
    ]
    bank, _ = Bank.empty().apply([batch(*given)], full=True)
    assert bank.entries().entries[Kind.MD5].members.tolist() == [members]


def test_a_pdq_value_that_hardly_any_picture_has_confirms_nothing_until_it_is_released():
    odd = bytes(31) + b"\1"
    rows = OpinionRows("a test")
    rows.add("odd", [(Kind.PDQ, odd)])
    rows.add("even", [(Kind.PDQ, value(Kind.PDQ, 1))])
    bank, _ = Bank.empty().apply([rows.batch()], full=True)
    compiled = bank.entries()
    flags = dict(zip(compiled.entries[Kind.PDQ].ids, compiled.entries[Kind.PDQ].flags, strict=True))
    assert flags == {b"odd": EntryFlag.UNVETTED, b"even": EntryFlag.NONE}
    assert compiled.aside == {"implausible": 1}
    released = bank.decided(release([(Kind.PDQ, odd)], "right", date(2026, 1, 1)))
    assert sorted(released.entries().entries[Kind.PDQ].flags) == [EntryFlag.NONE, EntryFlag.RELEASED]


def test_a_delta_without_ids_is_refused():
    bank, _ = Bank.empty().apply([batch(entry("line:1", (Kind.MD5, 1)))], full=True)
    with pytest.raises(ListError, match="no ids of their own"):
        bank.apply([batch(entry("line:1", (Kind.MD5, 2)))], full=False, strict=True)


def test_a_checkpoint_stays_with_its_bank():
    bank = Bank.empty().with_checkpoint('{"to":"2026-01-01T00:00:00Z"}')
    bank, _ = bank.apply([batch(entry("a", (Kind.MD5, 1)))], full=False)
    assert Bank.from_bytes(bank.to_bytes()).checkpoint == '{"to":"2026-01-01T00:00:00Z"}'
    assert repr(bank) == "Bank(1 rows)"


def test_what_is_no_bank_is_refused():
    whole = Bank.empty().apply([batch(entry("a", (Kind.MD5, 1)))], full=True)[0].to_bytes()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("a", pa.int8())])) as writer:
        writer.write_table(pa.table({"a": pa.array([1], pa.int8())}))
    for data in (
        b"",
        b"x" * 100,
        whole[: len(whole) // 2],
        bytes(sink.getvalue()),
        whole.replace(b"bank-1", b"bank-2"),
    ):
        with pytest.raises(ListError, match="not a bank"):
            Bank.from_bytes(data)


@pytest.mark.parametrize("name", ["", "x" * 65, "é", "a\n", "0" * 32, "AB" * 20, "f" * 64, "md5:" + "0" * 32, "x://y"])
def test_ids_that_are_digests_or_not_printable_are_refused(name):
    rows = OpinionRows("a.xml")
    rows.add(name, [(Kind.MD5, bytes(16))])
    with pytest.raises(ListError, match=r"a\.xml: an entry's id is not usable"):
        rows.batch()


def test_a_value_of_another_length_is_named_by_its_entry():
    rows = OpinionRows("a.xml")
    rows.add("fine", [(Kind.MD5, bytes(16))])
    rows.add("short", [(Kind.SHA1, b"\xab" * 19)])
    with pytest.raises(ListError, match=r"a\.xml, entry short") as error:
        rows.batch()
    assert "abab" not in str(error.value)


@pytest.mark.parametrize("change", [
    {"kind": pa.array(["md6"]).dictionary_encode()}, {"kind": pa.nulls(1, SCHEMA.field("kind").type)},
    {"value": pa.array([None], pa.binary())}, {"withdrawn": pa.array([True])},
    {"category": pa.array(["x" * 201]).dictionary_encode()},
])  # fmt: skip
def test_rows_that_contradict_themselves_are_refused(change):
    good = batch(entry("a", (Kind.MD5, 1)))
    columns = [change.get(name, good.column(name)) for name in SCHEMA.names]
    with pytest.raises(ListError):
        checked(pa.RecordBatch.from_arrays(columns, schema=SCHEMA), "a test")
    with pytest.raises(ListError):
        checked(good.drop_columns(["sets"]), "a test")


def test_times_need_a_zone():
    assert utc("2026-01-31T23:30:00.5-02:00") == datetime(2026, 2, 1, 1, 30, tzinfo=UTC)
    with pytest.raises(ValueError, match="zone"):
        utc("2026-01-31T23:30:00")
    for beyond in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(ValueError, match="beyond"):
            utc(beyond)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=12).map(lambda text: text.hex()), max_size=30), st.integers(0, 5))
def test_texts_become_bytes_of_one_width(texts, cut):
    chunked = pa.chunked_array([pa.array(texts[:cut], pa.string()), pa.array(["", *texts], pa.string()).slice(1 + cut)])
    assert texts_of(chunked).tolist() == [text.encode() for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=5, max_size=5), max_size=30), st.integers(0, 5))
def test_values_become_rows(values, cut):
    chunked = pa.chunked_array(
        [pa.array(values[:cut], pa.binary()), pa.array([b"xx", *values], pa.binary()).slice(1 + cut)]
    )
    assert [bytes(row) for row in values_of(chunked, 5)] == values
    for wrong in ([b"12345", None], [b"1234"]):
        with pytest.raises(ValueError, match="value is"):
            values_of(pa.array(wrong, pa.binary()), 5)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(LIST_KINDS),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), max_size=60),
)
def test_the_fast_order_is_that_of_byte_strings(kind, drawn):
    rows = [bytes([a] * 8) + bytes([b] * (kind.width - 9)) + bytes([c]) for a, b, c in drawn]
    values = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, kind.width)
    np.testing.assert_array_equal(ordered(values)[0], np.lexsort(sort_keys(values)))
    first = first_of_each(values)
    assert [rows[place] for place in first] == sorted(set(rows))
    assert all(rows.index(rows[place]) == place for place in first)


def test_rows_are_taken_out_of_more_values_than_offsets_of_32_bits_reach():
    rows, width = 1 << 20, Kind.PHOTODNA.width
    content = np.zeros((rows, width), np.uint8)
    content[:, 0] = np.arange(rows) % 251
    offsets = pa.py_buffer((np.arange(rows + 1, dtype=np.int32) * width).tobytes())
    chunk = pa.Array.from_buffers(pa.binary(), rows, [None, offsets, pa.py_buffer(content)])
    many = pa.chunked_array([chunk] * 15)  # of one memory
    assert many.nbytes > 2**31
    asked = np.array([15 * rows - 1, 0, 7 * rows + 5])
    found = taken(pa.table({"value": many}), asked)["value"]
    assert values_of(found, width).tolist() == content[asked % rows].tolist()
    standing = pa.array(np.zeros(len(many), np.bool_))
    bank = Bank(pa.table({"entry": pa.repeat("a", len(many)), "value": many, "withdrawn": standing}))
    assert bank.gone(bank) == (0, 0)
