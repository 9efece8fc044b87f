"""What the parsers refuse, where they say it is, and what they never say."""

import hashlib
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.hashlist.files import lines as lines_module
from vetset.hashlist.files.text import parse_list
from vetset.model.errors import ListError
from vetset.model.signal import Kind

MD5 = hashlib.shake_256(b"md5").hexdigest(16)
SHA = hashlib.shake_256(b"sha").hexdigest(32)
GOOD = f"md5 {MD5}\n"


def lines_named(error):
    return [int(number) for number in re.findall(r"line (\d+)", str(error))]


TEXTS = {
    "too short": (GOOD + f"md5 {MD5[:-1]}\n", [2], "md5 with 31 characters"),
    "too long": (f"md5 {MD5}0\n" + GOOD, [1], "md5 with 33 characters"),
    "of another kind's length": (f"sha256 {MD5}\n", [1], "sha256 with 32 characters"),
    "not hexadecimal": (GOOD + f"md5 g{MD5[1:]}\n" + GOOD, [2], "md5 with other characters"),
    "underscored": (f"md5 {MD5[:15]}_{MD5[16:]}\n", [1], "other characters"),
    "prefixed": (f"md5 0x{MD5[2:]}\n", [1], "other characters"),
    "unknown kind": (GOOD + f"\nmd6 {MD5}\n", [3], "no kind of value"),
    "embedding": (f"embedding {MD5}\n", [1], "no kind of value"),
    "bare value": (GOOD + MD5 + "\n", [2], "no kind is stated"),
    "bare kind": ("\n" + GOOD + "md5\n", [3], "no kind is stated"),
    "three words": (GOOD + f"md5 {MD5} note\n", [2], "3 words"),
    "comma": (f"md5,{MD5}\n", [1], "no kind is stated"),
    "not ASCII": (GOOD + f"md5 {'ä' * 16}\n", [2], "other characters"),
    "full-width digits": ("md5 " + "１" * 32 + "\n", [1], "md5 with 96 characters"),
    "no-break space": (f"md5\u00a0{MD5}\n", [1], "no kind is stated"),
    "several": (f"x\n{GOOD}md5 1\n{GOOD}# c\nsha1 z\n", [1, 3, 6], "sha1 with 1 characters"),
}


@pytest.mark.parametrize(("text", "numbers", "what"), TEXTS.values(), ids=TEXTS)
def test_malformed_lines_of_text_are_named(parsed, text, numbers, what):
    with pytest.raises(ListError, match=what) as caught:
        parsed(text)
    assert lines_named(caught.value) == numbers


TABLES = {
    "too short": (f"md5\n{MD5}\n{MD5[:-1]}\n", [3], "md5 with 31 characters"),
    "not hexadecimal": (f"md5\n{MD5}\n{MD5[:-1]}z\n", [3], "md5 with other characters"),
    "spaces within": (f"md5\n{MD5[:15]} {MD5[16:]}\n", [2], "md5 with other characters"),
    "too many cells": (f"md5\n{MD5},{MD5}\n", [2], "2 cells"),
    "too few cells": (f"id,md5\na\nb,{MD5}\n", [2], "1 cells"),
    "an id without a value": (f"id,md5\na,{MD5}\nb,\n", [3], "no value"),
    "an id of 65 characters": (f"id,md5\n{'i' * 65},{MD5}\n", [2], "an id that is not"),
    "an id that is not ASCII": (f"id,md5\na,{MD5}\nä,{MD5}\n", [3], "an id that is not"),
    "an id with a control character": (f"id,md5\n\x1b[2J,{MD5}\n", [2], "an id that is not"),
    "an id that is the value": (f"id,md5\n{MD5.upper()},{MD5}\n", [2], "an id that has the form of a digest"),
    "an id that is another digest": (f"id,md5\nb,{MD5}\n{SHA},{MD5}\n", [3], "an id that has the form of a digest"),
    "an unknown kind": (f"kind,value\nmd5,{MD5}\nphash,{MD5}\n", [3], "no kind of value"),
    "a missing kind": (f"kind,value\n,{MD5}\n", [2], "no kind of value"),
    "a missing value": (f"kind,value\nmd5,{MD5}\nmd5,\n", [3], "md5 with 0 characters"),
    "open quotes": (f'id,md5\n"a,{MD5}\n', [2], "quotes"),
    "stray quotes": (f'id,md5\n"a"b,{MD5}\n', [2], "quotes"),
    "a comment below the header": (f"id,md5\n# a comment\na,{MD5}\n", [2], "1 cells"),
}


@pytest.mark.parametrize(("text", "numbers", "what"), TABLES.values(), ids=TABLES)
def test_malformed_rows_are_named(parsed, text, numbers, what):
    with pytest.raises(ListError, match=what) as caught:
        parsed(text, "list.csv")
    assert lines_named(caught.value) == numbers


HEADERS = {
    "no header": (f"{MD5}\n", "column 1;.*expected|expected.*column 1"),
    "an unknown column": (f"md5,colour\n{MD5},x\n", "not known.*column 2"),
    "a doubled column": (f"md5,MD5\n{MD5},{MD5}\n", "a column twice"),
    "a doubled id": (f"id,md5,id\na,{MD5},b\n", "a column twice"),
    "no value": ("id\na\n", "does not say where the values are"),
    "a kind without a value": ("kind,id\nmd5,a\n", "does not say where the values are"),
    "kinds and value": (f"md5,kind,value\n{MD5},md5,{MD5}\n", "does not say where the values are"),
    "a value without a kind": (f"value\n{SHA}\n", "of which kind"),
}


@pytest.mark.parametrize(("text", "what"), HEADERS.values(), ids=HEADERS)
def test_a_malformed_header_is_refused_with_the_known_kinds(parsed, text, what):
    with pytest.raises(ListError, match=what) as caught:
        parsed("# comment\n" + text, "list.csv")
    assert lines_named(caught.value) == [2]
    assert "md5, sha1, sha256, url_md5, url_sha256, pdq" in str(caught.value)


def test_unknown_columns_are_counted_by_the_separator_that_is_there(parsed):
    with pytest.raises(ListError, match="column 1, 2"):
        parsed("a;b\n", "list.csv")


def test_a_line_that_only_says_id_is_no_header(parsed):
    with pytest.raises(ListError, match="line 1: no kind is stated"):
        parsed("id\n")


STATED = {
    "text": (f"md5 {MD5}\nsha256 {SHA}\n", "list.txt"),
    "a table of kinds and values": (f"kind,value\nmd5,{MD5}\nsha256,{SHA}\n", "list.csv"),
    "a table of two columns": (f"md5,sha256\n{MD5},{SHA}\n", "list.csv"),
}


@pytest.mark.parametrize(("text", "name"), STATED.values(), ids=STATED)
def test_another_kind_than_stated_is_refused(parsed, text, name):
    with pytest.raises(ListError, match="said to hold md5"):
        parsed(text, name, kind=Kind.MD5)


def test_64_bare_digits_are_not_guessed_at(parsed):
    with pytest.raises(ListError, match="no kind is stated"):
        parsed(SHA)


def test_embeddings_are_no_kind_of_a_list(parsed):
    with pytest.raises(ListError, match="cannot carry"):
        parsed(GOOD, kind=Kind.EMBEDDING)


FILES = {
    "UTF-16 with a mark": (GOOD.encode("utf-16"), "UTF-16"),
    "UTF-16 big-endian": (b"\xfe\xff" + GOOD.encode("utf-16-be"), "UTF-16"),
    "gzip": (b"\x1f\x8b\x08\x00", "gzip"),
    "zip": (b"PK\x03\x04xyz", "zip"),
    "zstd": (b"\x28\xb5\x2f\xfdxyz", "zstd"),
    "parquet": (b"PAR1xyz", "parquet"),
}


@pytest.mark.parametrize(("data", "what"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_text_is_called_what_it_is(parsed, data, what):
    with pytest.raises(ListError, match=what):
        parsed(data)


BYTES = {
    "UTF-16 without a mark": ((GOOD + GOOD).encode("utf-16-le"), 1, "NUL"),
    "a NUL byte": ((GOOD + GOOD).encode() + b"md5 \0\n", 3, "NUL"),
    "Latin-1": (GOOD.encode() + "# ä\n".encode("latin-1") + GOOD.encode(), 2, "not UTF-8"),
    "old Macintosh line ends": ((GOOD + GOOD).replace("\n", "\r").encode(), 1, "carriage return"),
    "a carriage return between": (GOOD.encode() + f"md5\r{MD5}\n".encode(), 2, "carriage return"),
    "an endless line": (GOOD.encode() + b"#" * 70_000 + b"\n", 2, "65536 bytes"),
    "an endless last line": (GOOD.encode() + b"#" * 70_000, 2, "65536 bytes"),
}


@pytest.mark.parametrize("case", BYTES.values(), ids=BYTES)
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_bytes_that_are_no_text_are_refused_with_their_line(parsed, monkeypatch, case, block):
    data, number, what = case
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", block)
    with pytest.raises(ListError, match=what) as caught:
        parsed(data)
    assert f"line {number}" in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n", "\ufeff", "id,md5\n", "id,md5\n,\n", "md5"])
def test_a_list_without_entries_is_refused(parsed, content):
    for name in ("list.csv",) if "md5" in content else ("list.txt", "list.csv"):
        with pytest.raises(ListError, match="no entry"):
            parsed(content, name)


def test_a_file_that_cannot_be_read_is_a_list_error(tmp_path):
    for path in (tmp_path, tmp_path / "gone.txt"):
        with pytest.raises(ListError, match="cannot be read"):
            parse_list(path)


def test_a_list_beyond_the_cap_is_refused(parsed, monkeypatch):
    monkeypatch.setattr(lines_module, "MAX_LIST_BYTES", 3 * len(GOOD))
    assert parsed(GOOD * 3)
    with pytest.raises(ListError, match="too large"):
        parsed(GOOD * 4)


def test_at_most_ten_lines_are_named_and_that_there_are_more_is_said(parsed):
    with pytest.raises(ListError, match="and more lines") as caught:
        parsed("bad\n" * 1000)
    assert lines_named(caught.value) == list(range(1, 11))


def test_ten_malformed_lines_are_all_there_is(parsed):
    with pytest.raises(ListError) as caught:
        parsed("bad\n" * 10 + GOOD)
    assert "more lines" not in str(caught.value)


def test_malformed_digits_and_lengths_are_named_in_the_order_of_the_lines(parsed):
    with pytest.raises(ListError) as caught:
        parsed(f"md5 z{MD5[1:]}\nmd5 1\nsha256 z{SHA[1:]}\nmd5 2\n")
    assert lines_named(caught.value) == [1, 2, 3, 4]


def test_one_bad_line_late_in_a_long_list_is_found(parsed):
    with pytest.raises(ListError) as caught:
        parsed(GOOD * 50_000 + f"md5 {MD5[:-1]}g\n" + GOOD * 50_000)
    assert lines_named(caught.value) == [50_001]


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_no_error_says_a_value(parsed, name):
    secret = "deadbeef" * 4
    documents = [
        secret,
        f"{secret},{secret}",
        f"md5 {secret}0",
        f"{secret} {secret}",
        f"md5 {secret} {secret}",
        f"id,md5\n{secret},{secret}",
        f"id,md5,{secret}\na,{secret},b",
        f"id,md5\na,{secret}g",
        f"kind,value\n{secret},{secret}",
        f"md5\n{secret}{secret}",
        f'md5\n"{secret}',
        f"md5 {secret}\xff",
    ]
    for document in documents:
        with pytest.raises(ListError) as caught:
            parsed(document, name)
        assert secret[:8] not in f"{caught.value} {caught.value!r} {caught.value.args}"


PIECES = st.sampled_from(
    [
        "md5",
        "sha256",
        "pdq",
        "id",
        "kind",
        "value",
        MD5,
        SHA,
        "x",
        " ",
        ",",
        ";",
        "\t",
        '"',
        "#",
        "\r",
        "\0",
        "ä",
        "\ufeff",
    ]
)
DOCUMENTS = (
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=6).map("\n".join).map(str.encode)
)


@settings(max_examples=300, deadline=None)
@given(
    data=DOCUMENTS,
    name=st.sampled_from(["a.txt", "a.csv", "a.tsv", "a"]),
    kind=st.none() | st.sampled_from([Kind.MD5, Kind.PDQ]),
    block=st.sampled_from([1, 5, 1 << 20]),
)
def test_whatever_a_file_holds_there_are_entries_or_a_list_error(data, name, kind, block):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK_BYTES", block)
        path = Path(folder, name)
        path.write_bytes(data)
        try:
            outcome = parse_list(path, kind=kind)
        except ListError as error:
            outcome = error
    if isinstance(outcome, ListError):
        assert not any(value[:8] in str(outcome) for value in (MD5, SHA))
    else:
        assert sum(map(len, outcome.values())) > 0
