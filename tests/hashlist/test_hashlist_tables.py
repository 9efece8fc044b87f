"""What tables say of their entries, row by row, and what of it is refused."""

import base64
import hashlib
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importer_contract import rows_of

from vetset.hashlist.bank import Bank
from vetset.hashlist.files import lines, spellings
from vetset.hashlist.files.cells import Cells, Faults
from vetset.hashlist.files.header import read_header
from vetset.hashlist.files.remarks import remarks
from vetset.hashlist.files.spellings import COLUMN_OF_NAME, SET_OF_NAME, SETS, SPELLINGS, VALUES_OF_NAME, Column, plain
from vetset.hashlist.formats import opinions
from vetset.hashlist.opinions import SCHEMA, Note
from vetset.model.errors import ListError

MD5 = [hashlib.md5(bytes([number])).digest() for number in range(6)]
SHA1 = [hashlib.sha1(bytes([number])).digest() for number in range(6)]
SHA256 = hashlib.sha256(b"a").digest()
HALF = hashlib.md5(b"half").digest()
PDQ = HALF + bytes(255 - byte for byte in HALF)
B32 = base64.b32encode(SHA1[0]).decode()
B64 = base64.b64encode(SHA1[0]).decode()


@pytest.fixture
def rows(tmp_path):
    """The opinions of a table, as dictionaries."""

    def read(text, name="list.csv", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return rows_of(opinions(path, **options))

    return read


def said(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


def test_a_row_with_several_values_is_one_entry(rows):
    found = rows(f"id,md5,sha1,pdq\na,{MD5[0].hex()},{SHA1[0].hex()},\nb,,{SHA1[1].hex()},{PDQ.hex()}\n")
    assert said(found, "entry", "kind", "value") == [
        ("a", "md5", MD5[0]), ("a", "sha1", SHA1[0]), ("b", "sha1", SHA1[1]), ("b", "pdq", PDQ),
    ]  # fmt: skip


def test_everything_that_is_said_of_an_entry(rows):
    header = "Entry ID,MD5,PDQ,Category,Age Band,Source,Last Updated,Grid,Viral,Unconfirmed,Generated,Self-Generated,"
    header += "Sets,PDQ_Quality,Interpol Baseline,NZ\n"
    row = f"a,{MD5[0].hex()},{PDQ.hex()},A1,7-10,hotline,2026-01-02T03:04:05+01:00,yes,1,true,Y,TRUE,"
    row += "UK| US;CA,77,no,1\n"
    (first, second) = rows(header + row)
    notes = Note.GRID | Note.VIRAL | Note.UNCONFIRMED | Note.GENERATED | Note.SELF_MADE
    assert first == {
        "entry": "a", "kind": "md5", "value": MD5[0], "member": "hotline", "category": "A1; age 7-10",
        "updated": datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC), "notes": int(notes), "sets": "CA,NZ,UK,US",
        "quality": None, "agree": 0, "dispute": 0, "withdrawn": False,
    }  # fmt: skip
    assert second == first | {"kind": "pdq", "value": PDQ, "quality": 77}


def test_nothing_is_said_where_nothing_stands(rows):
    (row,) = rows(
        f"id,md5,category,age,member,date,grid,uk,sets,quality,status,deleted\na,{MD5[0].hex()}" + "," * 10 + "\n"
    )
    assert (row["category"], row["member"], row["updated"], row["notes"], row["sets"]) == ("", "", None, 0, "")
    assert not row["withdrawn"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04:05.999+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("1969-12-31T23:59:58.5Z", datetime(1969, 12, 31, 23, 59, 58, tzinfo=UTC)),
        ("2026-01-02T00:30:00-11:30", datetime(2026, 1, 2, 12, tzinfo=UTC)),
    ],
)
def test_times(rows, text, moment):
    assert said(rows(f"md5,updated\n{MD5[0].hex()},{text}\n"), "updated") == [(moment,)]
    assert said(rows(f"md5,updated UTC\n{MD5[0].hex()},{text}\n"), "updated") == [(moment,)]


def test_times_without_a_zone_are_read_where_the_header_says_utc(rows):
    found = rows(f"md5,updated_utc\n{MD5[0].hex()},2026-01-02T03:04:05.5\n")
    assert said(found, "updated") == [(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),)]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05", "2026-02-30", "2026-02-30T00:00:00Z", "2026-01-02T24:00:01Z", "2026-01-02T23:59:60Z",
        "02.01.2026", "2026-W01-1", "20260102", "0001-01-01T00:00:00+12:00", "9999-12-31T23:00:00-12:00", "0", "now",
    ],
)  # fmt: skip
def test_what_is_no_time(rows, text):
    with pytest.raises(ListError, match="line 3: the cell `updated` is no time") as caught:
        rows(f"md5,updated\n{MD5[0].hex()},2026-01-02T03:04:05Z\n{MD5[1].hex()},{text}\n")
    assert text not in str(caught.value) or text == "0"


DIGITS = st.integers(0, 99).map("{:02d}".format)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9999).map("{:04d}".format), *[DIGITS] * 5), min_size=1, max_size=3))
def test_the_quick_way_for_times_is_never_another_than_the_slow_one(told):
    texts = ["{}-{}-{}T{}:{}:{}Z".format(*each) for each in told]
    try:
        expected = [spellings.moment(text) for text in texts]
    except ValueError:
        expected = None
    header = read_header("md5,updated", "a test", kind=None, ignore=())
    cells = Cells([pa.array([""] * len(texts)), pa.array(texts)], np.arange(len(texts)))
    faults = Faults(cells.lines)
    found = remarks(header, cells, faults).updated.cast(pa.int64()).to_pylist()
    assert bool(faults) == (expected is None)
    assert expected in (None, found)


@pytest.mark.parametrize("name", ["hex", "base32", "base64"])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("suffix", [True, False])
def test_encodings_by_the_name_of_the_column_or_by_all_of_it(rows, name, padded, suffix):
    write = {"hex": base64.b16encode, "base32": base64.b32encode, "base64": base64.b64encode}[name]
    texts = [write(value).decode() for value in SHA1[:3]]
    texts = texts if padded else [text.rstrip("=") for text in texts]
    column = f"SHA1_{name}" if suffix else "sha-1"
    found = rows("id;" + column + "\n" + "".join(f"e{number};{text}\n" for number, text in enumerate(texts)))
    assert [row["value"] for row in found] == SHA1[:3]


def test_kinds_by_row_have_an_encoding_each(rows):
    coded = base64.b64encode(PDQ).decode()
    found = rows(f"id,type,hash\na,SHA1,{B32}\na,sha-256,{SHA256.hex()}\nb,PDQ,{coded}\n")
    assert said(found, "entry", "kind", "value") == [("a", "sha1", SHA1[0]), ("a", "sha256", SHA256), ("b", "pdq", PDQ)]


def test_a_column_of_two_encodings_is_refused_with_what_to_call_it(rows):
    with pytest.raises(
        ListError, match=r"line 3: sha1 with 32 characters: base32, where hex is read \(name the column `sha1_base32`"
    ):
        rows(f"sha1\n{SHA1[0].hex()}\n{B32}\n")


def test_another_encoding_than_the_header_says_is_refused(rows):
    with pytest.raises(ListError, match="line 2: sha1 with 40 characters"):
        rows(f"sha1_base32\n{SHA1[0].hex()}\n")


def test_withdrawn_rows(rows):
    text = f"id,md5,status,deleted,date\na,{MD5[0].hex()},active,,\nb,{MD5[1].hex()},Deleted,no,2026-01-02\nc,,,yes,\n"
    found = rows(text)
    assert said(found, "entry", "kind", "value", "withdrawn") == [
        ("a", "md5", MD5[0], False), ("b", None, None, True), ("c", None, None, True),
    ]  # fmt: skip
    assert found[1]["updated"] == datetime(2026, 1, 2, tzinfo=UTC)


def test_rows_of_a_withdrawn_entry_are_one(rows):
    text = f"id,kind,value,deleted\na,md5,{MD5[0].hex()},1\na,sha1,{SHA1[0].hex()},1\nb,,,1\nc,md5,{MD5[1].hex()},0\n"
    assert said(rows(text), "entry", "withdrawn") == [("a", True), ("b", True), ("c", False)]


def test_a_list_may_take_back_and_nothing_else(rows):
    assert said(rows("id,md5,deleted\na,,1\n"), "entry", "withdrawn") == [("a", True)]


def test_columns_are_passed_over_by_name(rows):
    text = f"id,file name,md5,Width (px)\na,x.jpg,{MD5[0].hex()},640\n"
    assert said(rows(text, ignore=("File_Name", "width (px)")), "entry", "value") == [("a", MD5[0])]
    assert said(rows(f"id;md5;pdq\na;{MD5[0].hex()};junk\n", ignore=["pdq"]), "kind") == [("md5",)]


def test_columns_to_be_passed_over_must_be_there(rows):
    with pytest.raises(ListError, match="not there"):
        rows(f"id,md5\na,{MD5[0].hex()}\n", ignore=("width",))
    with pytest.raises(ListError, match="without a header"):
        rows(f"md5 {MD5[0].hex()}\n", "list.txt", ignore=("width",))


def test_fingerprints_that_are_not_matched_are_counted(rows):
    told = Counter()
    found = rows(f"id,md5,NetClean,tmk_pdqf\na,{MD5[0].hex()},x,y\nb,,x,\n", unsupported=told)
    assert said(found, "entry", "withdrawn", "notes") == [("a", False, 0), ("b", True, int(Note.NO_VALUE))]
    assert told == {"netclean": 2, "tmk_pdqf": 1}
    told = Counter()
    rows(f"kind,value\nvPDQ,zzz\nmd5,{MD5[0].hex()}\n", unsupported=told)
    assert told == {"vpdq": 1}


@pytest.mark.parametrize("block", [40, 90, 1 << 20])
def test_an_entry_whose_values_are_all_of_other_kinds_has_none_any_more(rows, block, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    lone, first = f"a,NetClean,x\na,vPDQ,y\nb,md5,{MD5[0].hex()}\nb,NetClean,x\n", f"c,vPDQ,x\nc,md5,{MD5[1].hex()}\n"
    found = rows("id,kind,value\n" + lone + first + ",NetClean,x\nd,vPDQ,x\nd,vPDQ,y\n")
    bank, change = Bank.empty().apply([batch_of(found)], full=True)
    assert change.added == 2
    standing = [row for row in found if not row["withdrawn"]]
    assert said(standing, "entry", "value") == [("b", MD5[0]), ("c", MD5[1])]
    assert {row["entry"] for row in found if row["withdrawn"]} >= {"a", "d"}
    known = rows("id,md5\n" + "".join(f"{name},{MD5[2].hex()}\n" for name in "abcd"))
    before, _ = Bank.empty().apply([batch_of(known)], full=True)
    after, change = before.apply([batch_of(found)], full=False, strict=True)
    assert (change.changed, change.withdrawn) == (2, 2)
    assert sorted(set(after.rows.filter(after.rows["withdrawn"])["entry"].to_pylist())) == ["a", "d"]
    assert bank.standing == 2


def batch_of(found):
    return pa.RecordBatch.from_pylist(found, SCHEMA)


FAULTS = {
    "a flag": (f"md5,grid\n{MD5[0].hex()},maybe\n", "line 2: the cell `grid` is neither"),
    "a set's flag": (f"md5,uk\n{MD5[0].hex()},A\n", "line 2: the cell `UK` is neither"),
    "a state": (f"id,md5,status\na,{MD5[0].hex()},pending\n", "line 2: the cell `status` is no word for a state"),
    "a quality": (f"pdq,quality\n{PDQ.hex()},101\n", "line 2: the cell `quality` is no whole number"),
    "a quality with a fraction": (f"pdq,quality\n{PDQ.hex()},5.0\n", "line 2: the cell `quality` is no whole number"),
    "a long category": (f"md5,category\n{MD5[0].hex()},{'x' * 201}\n", "line 2: the cell `category` is not at most"),
    "a long category and age": (
        f"md5,category,age\n{MD5[0].hex()},{'x' * 200},{'y' * 200}\n",
        "line 2: what is said of its category",
    ),
    "a category with control characters": (
        f"md5,category\n{MD5[0].hex()},\x1b[2J\n",
        "line 2: the cell `category` is not",
    ),
    "withdrawn, without an id": (f"md5,deleted\n{MD5[0].hex()},1\n", "line 2: withdrawn, without an id"),
    "withdrawn, with an empty id": (f"id,md5,deleted\n,{MD5[0].hex()},1\n", "line 2: withdrawn, without an id"),
    "withdrawn, and no value": ("id,md5,deleted\na,xyz,1\n", "line 2: md5 with 3 characters"),
    "an id that is its value in base64": (f"id,sha1\n{B64},{B64}\n", "line 2: an id that is a value of its row"),
    "an id that is a digest in base32": (
        f"id,md5\n{B32},{MD5[0].hex()}\n",
        "line 2: an id that has the form of a digest",
    ),
    "ids that a spreadsheet shortened": (
        f"id,md5\n1.23457E+12,{MD5[0].hex()}\nE+12,{MD5[1].hex()}\n5e+3,{MD5[2].hex()}\n",
        "line 2: an id that a spreadsheet shortened .*export the column as text; line 4: an id that a spreadsheet",
    ),
    "an id that a European spreadsheet shortened": (
        f'id;md5\n"1,23E+12";{MD5[0].hex()}\n',
        "line 2: an id that a spreadsheet shortened",
    ),
    "an id of ours": (f"id,md5\nline:3,{MD5[0].hex()}\n,{MD5[1].hex()}\n", "line 2: an id that begins with `line:`"),
    "an id of ours, withdrawn": ("id,md5,deleted\nline:3,,yes\n", "line 2: an id that begins with `line:`"),
    "equal sha256 and pdq": (
        f"id,sha256,pdq\na,,\nb,{PDQ.hex()},\nc,{PDQ.hex()},{PDQ.hex()}\n",
        "line 2: no value; line 4: sha256 and pdq are",
    ),
    "the header once more": (f"id,md5\na,{MD5[0].hex()}\nID,MD5\n", "line 3: the header once more"),
    "mixed kinds": (
        f"md5\n{MD5[0].hex()}\n{SHA1[0].hex()}\n{SHA256.hex()}\n",
        "line 3: md5 with 40.*line 4: md5 with 64",
    ),
    "odd digits": (f"sha1\n{SHA1[0].hex()[:-1]}\n", "line 2: sha1 with 39 characters"),
    "another date in one entry": (
        f"id,kind,value,date\na,md5,{MD5[0].hex()},2026-01-01\na,sha1,{SHA1[0].hex()},2026-01-02\n",
        "line 3: another date than the line before",
    ),
    "withdrawn in part": (
        f"id,kind,value,deleted\na,md5,{MD5[0].hex()},0\na,sha1,{SHA1[0].hex()},1\n",
        "line 3: withdrawn, and the line",
    ),
    "rows of an entry apart": (
        f"id,md5\na,{MD5[0].hex()}\nb,{MD5[1].hex()}\na,{MD5[2].hex()}\nc,{MD5[3].hex()}\nb,{MD5[4].hex()}\n",
        "line 4: an id that stands above, too, with others between; line 6: an id",
    ),
    "a last line without an end": (
        f"md5,category\n{MD5[0].hex()},A\n{MD5[1].hex()},B",
        "line 3: the last line has no end",
    ),
}


@pytest.mark.parametrize(("text", "what"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("block", [1, 40, 1 << 20])
def test_faults_are_named_by_line(rows, monkeypatch, text, what, block):
    monkeypatch.setattr("vetset.hashlist.files.lines.BLOCK_BYTES", block)
    with pytest.raises(ListError, match=what) as caught:
        rows(text)
    shown = f"{caught.value} {caught.value!r}"
    assert not any(value.hex()[:8] in shown for value in (*MD5, *SHA1, PDQ, SHA256))
    assert B32[:8] not in shown
    assert B64[:8] not in shown


def test_ids_that_look_a_little_like_shortened_ones_are_ids(rows):
    ids = ["12.5E+12", "1E12", "1.2E-5", "1.E+2", "x1E+2", "1E+2x", "1234567890123", "baseline:3", "line"]
    found = rows("id,md5\n" + "".join(f"{one},{MD5[0].hex()}\n" for one in ids))
    assert [row["entry"] for row in found] == ids


@pytest.mark.parametrize(
    "header",
    [
        "id,md5,sha1_hex,sha1_base32",
        "md5,md5_base64",
        "md5,updated,date",
        "md5,date,date utc",
        "md5,uk,gb",
        "md5,grid,is grid",
    ],
)
def test_two_columns_for_one_thing_are_refused(rows, header):
    with pytest.raises(ListError, match="a column twice"):
        rows(header + "\n")


def test_utf16_and_latin1_are_refused(rows):
    text = f"md5,category\n{MD5[0].hex()},\u00e4\n"
    assert said(rows(text), "category") == [("\u00e4",)]
    with pytest.raises(ListError, match="UTF-16"):
        rows(text.encode("utf-16"))
    with pytest.raises(ListError, match="line 2: the list is not plain UTF-8"):
        rows(text.encode("latin-1"))


def test_every_name_of_a_column_means_one_thing():
    names = [plain(name) for spelled in (*SPELLINGS.values(), *SETS.values()) for name in spelled]
    assert len(set(names)) == len(names) == len(COLUMN_OF_NAME) + len(SET_OF_NAME)
    assert not set(names) & set(VALUES_OF_NAME)
    assert set(SPELLINGS) == set(Column)
