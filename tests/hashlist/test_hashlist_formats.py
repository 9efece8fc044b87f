"""What the parsers accept, against what is written down plainly here."""

import csv
import hashlib
import io
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importer_contract import rows_of

from vetset.hashlist.files import lines as lines_module
from vetset.hashlist.files import table, text
from vetset.hashlist.files.spellings import SETS, SPELLINGS
from vetset.hashlist.files.text import parse_list
from vetset.hashlist.formats import opinions
from vetset.model.errors import ListError
from vetset.model.hashlist import EntryFlag
from vetset.model.signal import LIST_KINDS, Kind


def value(kind, number):
    return hashlib.shake_256(f"{kind.value} {number}".encode()).digest(kind.width)


def as_dict(entries):
    return {
        kind: dict(zip([bytes(row) for row in column.values], [bytes(name) for name in column.ids], strict=True))
        for kind, column in entries.items()
    }


MD5 = [value(Kind.MD5, number) for number in range(4)]
PDQ = [value(Kind.PDQ, number) for number in range(4)]


def test_text_holds_a_kind_and_a_value_a_line(parsed):
    text = f"md5 {MD5[0].hex()}\npdq {PDQ[0].hex()}\nmd5 {MD5[1].hex()}"
    assert as_dict(parsed(text)) == {
        Kind.MD5: {MD5[0]: b"line:1", MD5[1]: b"line:3"},
        Kind.PDQ: {PDQ[0]: b"line:2"},
    }


def test_comments_and_blank_lines_count_as_lines(parsed):
    text = f"# synthetic\n\n  # more: ä\nmd5 {MD5[0].hex()}\n \t \n"
    assert as_dict(parsed(text)) == {Kind.MD5: {MD5[0]: b"line:4"}}


@pytest.mark.parametrize("kind", LIST_KINDS)
def test_bare_values_are_of_the_stated_kind(parsed, kind):
    first = value(kind, 1)
    assert as_dict(parsed(first.hex(), kind=kind)) == {kind: {first: b"line:1"}}


@pytest.mark.parametrize("kind", LIST_KINDS)
def test_every_kind_has_its_word(parsed, kind):
    first = value(kind, 1)
    assert as_dict(parsed(f"{kind.value} {first.hex()}")) == {kind: {first: b"line:1"}}


def test_case_spaces_and_line_ends_do_not_matter(parsed):
    plain = parsed(f"md5 {MD5[0].hex()}\nmd5 {MD5[1].hex()}\n")
    other = parsed(f"\ufeffMD5\t{MD5[0].hex().upper()}  \r\n  Md5   {MD5[1].hex()}\r\n")
    assert as_dict(plain) == as_dict(other)


def test_of_a_doubled_value_the_first_line_counts(parsed):
    found = parsed(f"md5 {MD5[1].hex()}\nmd5 {MD5[0].hex()}\nmd5 {MD5[1].hex().upper()}\n")
    assert as_dict(found) == {Kind.MD5: {MD5[0]: b"line:2", MD5[1]: b"line:1"}}


def test_columns_named_by_kinds_may_have_empty_cells(parsed):
    rows = f"id,MD5,pdq\na,{MD5[0].hex()},{PDQ[0].hex()}\nb,,{PDQ[1].hex()}\n,{MD5[2].hex()},\n"
    assert as_dict(parsed(rows, "list.csv")) == {
        Kind.MD5: {MD5[0]: b"a", MD5[2]: b"line:4"},
        Kind.PDQ: {PDQ[0]: b"a", PDQ[1]: b"b"},
    }


def test_columns_kind_and_value(parsed):
    rows = f"value;kind\n{MD5[0].hex()};md5\n{PDQ[0].hex()};PDQ\n"
    assert as_dict(parsed(rows)) == {Kind.MD5: {MD5[0]: b"line:2"}, Kind.PDQ: {PDQ[0]: b"line:3"}}


def test_a_column_value_is_of_the_stated_kind(parsed):
    assert as_dict(parsed(f"value\n{PDQ[0].hex()}\n", "list.csv", kind=Kind.PDQ)) == {Kind.PDQ: {PDQ[0]: b"line:2"}}


@pytest.mark.parametrize(
    ("name", "sign"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"), ("a.txt", ","), ("a", ";")]
)
def test_separators_and_names_of_tables(parsed, name, sign):
    assert as_dict(parsed(f"# c\n\nid{sign}md5\nx{sign}{MD5[0].hex()}\n", name)) == {Kind.MD5: {MD5[0]: b"x"}}


def test_quotes_around_cells(parsed):
    rows = f'"id","md5"\n"a, ""b""","{MD5[0].hex()}"\n c , {MD5[1].hex()} \n'
    assert as_dict(parsed(rows, "list.csv")) == {Kind.MD5: {MD5[0]: b'a, "b"', MD5[1]: b"c"}}


def test_an_id_may_begin_like_a_comment(parsed):
    assert as_dict(parsed(f"id,md5\n#1,{MD5[0].hex()}\n", "a.csv")) == {Kind.MD5: {MD5[0]: b"#1"}}


def test_blank_rows_are_passed_over(parsed):
    assert as_dict(parsed(f"id,md5\n,\n\na,{MD5[0].hex()}\n , \n", "a.csv")) == {Kind.MD5: {MD5[0]: b"a"}}


def test_an_id_of_64_characters_is_kept_whole(parsed):
    assert as_dict(parsed(f"id,md5\n{'i' * 64},{MD5[0].hex()}\n", "a.csv")) == {Kind.MD5: {MD5[0]: b"i" * 64}}


def test_entries_are_as_their_type_says(parsed):
    column = parsed("".join(f"sha1 {value(Kind.SHA1, number).hex()}\n" for number in range(1000)))[Kind.SHA1]
    rows = [bytes(row) for row in column.values]
    assert rows == sorted(set(rows))
    assert (column.values.dtype, column.values.shape) == (np.dtype(np.uint8), (1000, 20))
    assert (column.flags.dtype, set(column.flags)) == (np.dtype(np.uint8), {EntryFlag.NONE})
    assert column.ids.dtype == np.dtype("S9")


def test_values_that_end_or_begin_with_zero_bytes_stay_apart(parsed):
    values = [bytes(16), bytes(15) + b"\1", b"\1" + bytes(15), bytes(8) + b"\1" + bytes(7)]
    found = parsed("".join(f"md5 {one.hex()}\n" for one in reversed(values)))
    assert [bytes(row) for row in found[Kind.MD5].values] == sorted(values)


LISTS = st.lists(st.tuples(st.sampled_from(LIST_KINDS), st.integers(0, 6), st.booleans()), min_size=1, max_size=30)


def expected_of(rows, first, ids=None):
    expected = {}
    for place, (kind, number, *_) in enumerate(rows):
        name = b"line:%d" % (first + place) if ids is None or not ids[place] else ids[place].encode()
        expected.setdefault(kind, {}).setdefault(value(kind, number), name)
    return expected


def parse_bytes(content, name="list.txt", **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return parse_list(path, **options)


@settings(max_examples=60, deadline=None)
@given(rows=LISTS, block=st.integers(1, 200))
def test_text_gives_what_it_was_made_of_however_it_is_cut_into_blocks(rows, block):
    content = "".join(f"{k.value} {value(k, n).hex().upper() if up else value(k, n).hex()}\n" for k, n, up in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK_BYTES", block)
        assert as_dict(parse_bytes(content.encode())) == expected_of(rows, 1)


@settings(max_examples=60, deadline=None)
@given(
    rows=LISTS,
    # rows of one id that do not follow each other are refused
    ids=st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8), min_size=30, max_size=30).map(
        lambda ids: [each if ids.index(each) == place else "" for place, each in enumerate(ids)]
    ),
    block=st.integers(1, 200),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_tables_give_what_they_were_made_of_however_they_are_cut_into_blocks(rows, ids, block, end):
    file = io.StringIO()
    writer = csv.writer(file, lineterminator=end)
    writer.writerow(["id", *(kind.value for kind in LIST_KINDS)])
    for name, (kind, number, _) in zip(ids, rows, strict=False):
        writer.writerow([name, *(value(kind, number).hex() if kind is one else "" for one in LIST_KINDS)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK_BYTES", block)
        assert as_dict(parse_bytes(file.getvalue().encode(), "list.csv")) == expected_of(rows, 2, ids)


CELLS = st.sampled_from(
    [MD5[0].hex(), MD5[1].hex().upper(), PDQ[0].hex(), "", " ", "a", '"b"', '"', "#", "x" * 65, "ä", " " + MD5[2].hex()]
)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=3).map(",".join), max_size=5), header=st.integers(0, 2))
def test_column_by_column_is_never_another_answer_than_row_by_row(rows, header):
    content = "\n".join([["id,md5", "md5,id,pdq", "md5,pdq"][header], *rows]).encode()

    def answer():
        try:
            return as_dict(parse_bytes(content, "list.csv"))
        except ListError as error:
            return error.problem

    fast = answer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "plain_cells", lambda *_, **__: None)
        assert answer() == fast


def test_plain_rows_do_take_the_way_column_by_column(parsed, monkeypatch):
    monkeypatch.setattr(table, "each_line", None)
    monkeypatch.setattr(text, "each_line", None)
    rows = "".join(f"e{number},{value(Kind.MD5, number).hex()}\n" for number in range(100))
    assert len(parsed("id,md5\n" + rows, "a.csv")[Kind.MD5]) == 100


def test_a_list_of_two_hundred_thousand_lines(parsed):
    rows = [value(Kind.PDQ, number) for number in range(200_000)]
    found = parsed("".join(f"pdq {row.hex()}\n" for row in rows))[Kind.PDQ]
    assert len(found) == 200_000
    assert [bytes(row) for row in found.values] == sorted(rows)
    place = int(np.flatnonzero((found.values == np.frombuffer(rows[123_456], np.uint8)).all(axis=1))[0])
    assert found.ids[place] == b"line:123457"


DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "lists.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", DOCUMENTATION, re.DOTALL | re.MULTILINE)
EXAMPLES = [block for block in BLOCKS if not block.startswith("vetset ")]
"""Lists; what begins with the command is no list."""


@pytest.mark.parametrize(
    ("number", "counts"), [(0, {Kind.MD5: 1, Kind.PDQ: 1}), (1, {Kind.MD5: 2, Kind.PDQ: 1}), (2, {Kind.SHA1: 1})]
)
def test_the_examples_of_the_documentation_are_read(parsed, number, counts):
    assert {kind: len(column) for kind, column in parsed(EXAMPLES[number]).items()} == counts


def test_the_example_of_a_table_with_remarks_is_read(tmp_path):
    (tmp_path / "list.csv").write_text(EXAMPLES[3])
    found = rows_of(opinions(tmp_path / "list.csv"))
    assert [(row["entry"], row["category"], row["sets"], row["withdrawn"]) for row in found] == [
        ("case-19", "A; age 7-10", "CA,UK", False), ("case-20", "", "", True),
    ]  # fmt: skip
    assert found[0]["value"] == bytes(range(20))


def test_every_example_of_the_documentation_was_looked_at():
    assert len(EXAMPLES) == 4


def test_every_name_of_a_column_is_documented():
    rows = re.findall(r"^\| .*? \| (.*?) \|", DOCUMENTATION, re.MULTILINE)
    assert [row for row in map(", ".join, (*SPELLINGS.values(), *SETS.values())) if row not in rows] == []
