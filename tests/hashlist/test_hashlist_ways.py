"""The quick way through a block of lines against the slow one, line by line: the same rows, or the same refusal."""

import base64
import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importer_contract import rows_of

from vetset.hashlist.columns import first_of_each, ordered, sort_keys
from vetset.hashlist.files import lines as lines_module
from vetset.hashlist.files import table, text
from vetset.hashlist.files.cells import plain_cells
from vetset.hashlist.formats import opinions
from vetset.model.errors import ListError
from vetset.model.signal import Kind

MD5 = [hashlib.md5(bytes([number])).hexdigest() for number in range(3)]
SHA1 = base64.b32encode(hashlib.sha1(b"a").digest()).decode()
SHA256 = hashlib.sha256(b"a").hexdigest()


def answer(data, name, block, **options):
    """The rows, or what the refusal says."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK_BYTES", block)
        path = Path(folder, name)
        path.write_bytes(data)
        try:
            return rows_of(opinions(path, **options))
        except ListError as error:
            return str(error)


def both(data, name, block=1 << 20, **options):
    quick = answer(data, name, block, **options)
    with pytest.MonkeyPatch.context() as patch:
        for module in (table, text):
            patch.setattr(module, "plain_cells", lambda *_, **__: None)
        slow = answer(data, name, block, **options)
    return quick, slow


SOUND_CELLS = [*MD5, MD5[0].upper(), SHA1, SHA256, "a", "b", "1", "yes", "2026-01-02", "2026-01-02T00:00:00Z", "UK|US"]
ODD_CELLS = [
    MD5[1][:-1],
    SHA256[:-1] + "g",
    "x" * 65,
    "#",
    "md5",
    "id",
    "line:3",
    " " + MD5[2],
    f'" {MD5[0]} "',
    "\ufeffa",
]
QUOTED_CELLS = ['""', '"a"', '"a,b"', '"a""b"', '"', 'a"b', ' "a"', f'"{MD5[2]}"']
SPACES_IN_CELLS = ["", "", " ", "\u00e4", "\u00a0", "\x0b", "\x1c", "\u2028"]
CELLS = st.sampled_from(SOUND_CELLS + ODD_CELLS + QUOTED_CELLS + SPACES_IN_CELLS)
HEADERS = st.sampled_from(
    ["id,md5", "md5", "md5,id", "id,md5,sha1", "kind,value", "id,kind,value", "id,md5,grid,uk", "md5,category,date",
     "id,md5,deleted", "id,sha256,pdq,sets", "id;md5;category", "id\tmd5\tage"]
)  # fmt: skip
LINES = st.lists(CELLS, min_size=1, max_size=4).map(",".join)


@settings(max_examples=600, deadline=None)
@given(
    header=HEADERS,
    lines=st.lists(LINES | st.just(""), max_size=6),
    ends=st.sampled_from([("\n", ""), ("\n", "\n"), ("\r\n", ""), ("\r\n", "\r\n"), ("\n", "\r")]),
    block=st.sampled_from([1, 30, 100, 1 << 20]),
    asked=st.booleans(),
)
def test_tables_of_odd_cells(header, lines, ends, block, asked):
    sign = next((each for each in ";\t" if asked and each in header), ",")
    between, last = ends
    rows = [line.replace(",", sign) for line in lines]
    quick, slow = both((between.join([header, *rows]) + last).encode(), "list.csv", block)
    assert quick == slow


@settings(max_examples=300, deadline=None)
@given(data=st.data(), quoted=st.booleans(), block=st.sampled_from([1, 200, 1 << 20]))
def test_tables_that_are_mostly_sound(data, quoted, block):
    count = data.draw(st.integers(1, 8))
    rows = [[f"e{number}", hashlib.md5(bytes([number])).hexdigest(), "A", "2026-01-02"] for number in range(count)]
    for _ in range(data.draw(st.integers(0, 2))):
        rows[data.draw(st.integers(0, count - 1))][data.draw(st.integers(0, 3))] = data.draw(CELLS)
    sign = '"{}"' if quoted else "{}"
    lines = ["id,md5,category,updated", *(",".join(sign.format(cell) for cell in row) for row in rows)]
    quick, slow = both(("\n".join(lines) + "\n").encode(), "list.csv", block)
    assert quick == slow


WORDS = st.sampled_from(
    ["md5", "MD5", "sha256", "pdq", "nokind", "#", "# a", *MD5, SHA256, MD5[0][:-1], SHA1, '"', "", "\u00a0"]
)
SPACES = st.sampled_from([" ", " ", "  ", "\t", "\x0b", " \t", "\n"])


@settings(max_examples=600, deadline=None)
@given(
    pieces=st.lists(st.tuples(WORDS, SPACES, WORDS), max_size=6),
    kind=st.sampled_from([None, Kind.MD5, Kind.SHA256]),
    block=st.sampled_from([1, 60, 1 << 20]),
)
def test_texts_of_odd_words(pieces, kind, block):
    quick, slow = both("\n".join(map("".join, pieces)).encode(), "list.txt", block, kind=kind)
    assert quick == slow


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120), st.sampled_from(["a.txt", "a.csv"]), st.sampled_from([b"", b"id,md5\n", b"md5 "]))
def test_bytes(data, name, first):
    quick, slow = both(first + data, name)
    assert quick == slow


SOUND = [
    ("id,md5\n" + "".join(f"e{number},{one}\n" for number, one in enumerate(MD5)), "a.csv", None),
    ('"id","md5"\n' + "".join(f'"e{number}","{one}"\n' for number, one in enumerate(MD5)), "a.csv", None),
    ("id\tmd5\tsha1\n" + "".join(f"e{number} \t{one}\t\n" for number, one in enumerate(MD5)), "a.tsv", None),
    ("".join(f"md5 {one}\n" for one in MD5), "a.txt", None),
    ("".join(f"md5\t{one}\r\n" for one in MD5), "a.txt", None),
    ("".join(f"{one}\n" for one in MD5), "a.txt", Kind.MD5),
]


@pytest.mark.parametrize(("content", "name", "kind"), SOUND)
def test_sound_files_take_the_quick_way(monkeypatch, content, name, kind):
    for module in (table, text):
        monkeypatch.setattr(module, "each_line", None)
    assert [row["value"].hex() for row in answer(content.encode(), name, 1 << 20, kind=kind)] == MD5


@pytest.mark.parametrize(
    "line",
    ['a,"b', 'a,b"', 'a,"b"c', 'a, "b"', 'a,"b""c"', "a,b,c", "a", "", "\n", '"a\nb",c', '"a,b",c\n"d', "\ufeffa,b"],
)
def test_what_is_not_plain_is_left_to_the_slow_way(line):
    assert plain_cells(f"{line}\nx,y\n".encode(), 1, ",", 2, quotes=True) is None


def test_of_a_hundred_thousand_rows_one_that_is_wrong_is_found_alike():
    rows = [f"e{number},{hashlib.md5(str(number).encode()).hexdigest()}" for number in range(100_000)]
    rows[77_776] = rows[77_776][:-1]
    quick, slow = both(("id,md5\n" + "\n".join(rows) + "\n").encode(), "a.csv")
    assert quick == slow
    assert "line 77778: md5 with 31 characters" in quick


@settings(max_examples=300, deadline=None)
@given(
    width=st.sampled_from([16, 20, 32, 144]),
    seed=st.integers(0, 1 << 30),
    rows=st.integers(0, 70),
    shared=st.integers(0, 16),
    twice=st.booleans(),
)
def test_first_of_each_is_what_sorting_by_all_bytes_gives(width, seed, rows, shared, twice):
    rng = np.random.default_rng(seed)
    values = rng.integers(2, size=(rows, width), dtype=np.uint8) * np.uint8(255)
    values[:, :shared] = 7
    if twice and rows:
        values[rng.random(rows) < 0.5] = values[0]
    order = np.lexsort(sort_keys(values))
    sorted_rows = values[order]
    fresh = np.ones(rows, np.bool_)
    fresh[1:] = np.any(sorted_rows[1:] != sorted_rows[:-1], axis=1)
    for found, expected in zip(ordered(values), (order, fresh), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(first_of_each(values), order[fresh])
