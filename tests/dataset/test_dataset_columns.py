"""Mapping by name, and hex and base64 to bytes, against plain Python."""

import base64
import binascii

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset.columns import ColumnMapping, declared_column, key_strings, url_strings
from vetset.dataset.fields import fields_of, fields_of_json
from vetset.model.errors import DatasetError
from vetset.model.signal import Kind, Reason

HEX = "0123456789abcdefABCDEF"
NULL, MALFORMED = Reason.NULL_VALUE.code, Reason.MALFORMED_VALUE.code


def plain_unhex(value, width):
    """The oracle: one value, without arrays."""
    if value is None:
        return None, NULL
    if len(value) == 2 * width and all(character in HEX for character in value):
        return bytes.fromhex(value), 0
    return None, MALFORMED


DIGESTS = st.one_of(
    st.none(),
    st.text(HEX, min_size=32, max_size=32),
    st.text(HEX + "gG/:@`{ é", min_size=32, max_size=32),
    st.text(HEX, max_size=70),
)


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(DIGESTS, max_size=30),
    kind=st.sampled_from([Kind.MD5, Kind.SHA1, Kind.SHA256]),
    form=st.sampled_from(["string", "large_string", "string_view", "dictionary", "binary", "chunked", "sliced"]),
)
def test_digests_of_a_column_agree_with_plain_python(values, kind, form):
    width = kind.width
    if form == "binary":
        values = [None if value is not None and not value.isascii() else value for value in values]
        values = [None if value is not None and len(value) == width else value for value in values]
        column = pa.array([None if value is None else value.encode() for value in values], pa.binary())
    elif form == "dictionary":
        column = pa.array(values, pa.string()).dictionary_encode()
    elif form == "chunked":
        column = pa.chunked_array([pa.array(values[:3], pa.string()), pa.array(values[3:], pa.string())])
    elif form == "sliced":
        column = pa.array(["0" * 32, None, *values, "f" * 32], pa.string()).slice(2, len(values))
    else:
        column = pa.array(values, getattr(pa, form)())
    result = declared_column(column, kind, "x")
    for row, value in enumerate(values):
        expected, why = plain_unhex(value, width)
        assert result.why[row] == why
        assert result.values[row].tobytes() == (expected or bytes(width))


@pytest.mark.parametrize("kind", [pa.binary(16), pa.binary(), pa.large_binary(), pa.binary_view()])
def test_raw_bytes_are_taken_as_they_are(kind):
    values = [bytes(range(16)), None, b"f" * 16]
    result = declared_column(pa.array(values, kind), Kind.MD5, "x")
    assert [row.tobytes() for row in result.values] == [values[0], bytes(16), values[2]]
    assert result.why.tolist() == [0, NULL, 0]


def test_a_column_of_nulls_is_null_throughout():
    result = declared_column(pa.nulls(3), Kind.MD5, "x")
    assert result.why.tolist() == [NULL] * 3


@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.list_(pa.int8())])
def test_a_column_that_can_hold_no_digest_is_refused(kind):
    with pytest.raises(DatasetError, match="another type"):
        declared_column(pa.array([], kind), Kind.MD5, "x")


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
VALUES = st.binary(min_size=144, max_size=144)


def spoiled(text, place, character):
    return text[:place] + character + text[place + 1 :]


STATED = st.one_of(
    st.none(),
    VALUES.map(lambda value: base64.b64encode(value).decode()),
    VALUES.map(bytes.hex),
    VALUES.map(lambda value: value.hex().upper()),
    st.text(ALPHABET, min_size=192, max_size=192),
    st.builds(
        spoiled, st.text(ALPHABET, min_size=192, max_size=192), st.integers(0, 191), st.sampled_from("=-_ \n\0\x7f,é")
    ),
    st.builds(spoiled, VALUES.map(bytes.hex), st.integers(0, 287), st.sampled_from("gG=+/ ")),
    st.text(ALPHABET, max_size=200),
)


def plain_photodna(text):
    """The oracle: one text, character by character."""
    if text is None:
        return None, NULL
    if len(text) == 288 and all(character in HEX for character in text):
        return bytes.fromhex(text), 0
    if len(text) == 192 and all(character in ALPHABET for character in text):
        bits = "".join(f"{ALPHABET.index(character):06b}" for character in text)
        return int(bits, 2).to_bytes(144, "big"), 0
    return None, MALFORMED


@settings(max_examples=150, deadline=None)
@given(st.lists(STATED, max_size=12), st.sampled_from(["string", "large_string", "string_view", "binary", "sliced"]))
def test_photodna_values_agree_with_plain_python_in_columns_and_in_documents(texts, form):
    if form == "binary":  # where 144 bytes are a value as they are, whatever they say
        texts = [text for text in texts if text is None or len(text.encode()) == len(text) != 144]
        column = pa.array([None if text is None else text.encode() for text in texts], pa.binary())
    elif form == "sliced":
        column = pa.array(["A" * 192, None, *texts, "0" * 288], pa.string()).slice(2, len(texts))
    else:
        column = pa.array(texts, getattr(pa, form)())
    result = declared_column(column, Kind.PHOTODNA, "x")
    for row, text in enumerate(texts):
        expected, why = plain_photodna(text)
        assert result.why[row] == why
        assert result.values[row].tobytes() == (expected or bytes(144))
        fields = fields_of({"photodna": text}, ColumnMapping(), "x")
        assert fields.declared.get(Kind.PHOTODNA) == expected
        assert (Kind.PHOTODNA in fields.malformed) == (why == MALFORMED)


@pytest.mark.parametrize("kind", [pa.binary(144), pa.binary(), pa.large_binary()])
def test_photodna_values_may_be_raw_bytes(kind):
    values = [bytes(range(144)), None, b"A" * 144]
    result = declared_column(pa.array(values, kind), Kind.PHOTODNA, "x")
    assert [row.tobytes() for row in result.values] == [values[0], bytes(144), values[2]]
    assert result.why.tolist() == [0, NULL, 0]
    assert fields_of({"photodna": values[0]}, ColumnMapping(), "x").declared == {Kind.PHOTODNA: values[0]}


@pytest.mark.parametrize("value", [["0"] * 144, 5, {"a": 1}, True, b"A" * 143])
def test_what_can_be_no_photodna_value_is_malformed(value):
    fields = fields_of({"photodna": value}, ColumnMapping(), "x")
    assert (fields.declared, fields.malformed) == ({}, {Kind.PHOTODNA})


def test_base64_of_a_digest_is_no_digest():
    text = binascii.b2a_base64(bytes(32), newline=False).decode()
    assert declared_column(pa.array([text]), Kind.SHA256, "x").why.tolist() == [MALFORMED]
    assert fields_of({"sha256": text}, ColumnMapping(), "x").malformed == {Kind.SHA256}


def test_a_document_that_is_damaged_says_nothing_of_photodna_either():
    assert Kind.PHOTODNA in fields_of_json(b"{", ColumnMapping(), "x").malformed


def test_a_mapping_that_says_nothing_of_photodna_is_written_as_before_there_was_any():
    assert ColumnMapping(url="a").by_role() == {"url": "a", "key": None, "md5": None, "sha1": None, "sha256": None}
    assert ColumnMapping(photodna="").by_role()["photodna"] == ""
    assert ColumnMapping(**ColumnMapping(photodna="p").by_role()) == ColumnMapping(photodna="p")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["SAMPLE_ID", "URL", "TEXT", "HEIGHT", "hash", "punsafe"], {"url": "URL", "key": "SAMPLE_ID"}),
        (["URL", "TEXT", "hash", "md5"], {"url": "URL", "md5": "md5"}),
        (["uid", "url", "text", "sha256"], {"url": "url", "key": "uid", "sha256": "sha256"}),
        (["id", "url", "text", "image_phash"], {"url": "url", "key": "id"}),
        (["url", "caption", "key", "status", "sha256"], {"url": "url", "key": "key", "sha256": "sha256"}),
        (["image_id", "id", "Url", "SHA1"], {"url": "Url", "key": "id", "sha1": "SHA1"}),
    ],
    ids=["laion-2b", "laion-md5", "datacomp", "coyo", "img2dataset", "mixed"],
)
def test_the_usual_schemas_are_known(names, expected):
    assert ColumnMapping().found_in(names, "x") == expected


def test_laion_hash_and_coyo_phash_are_never_digests():
    assert ColumnMapping().found_in(["hash", "HASH", "image_phash", "phash"], "x") == {}


def test_a_mapping_by_hand_wins_and_empty_switches_off():
    names = ["url", "address", "md5", "checksum"]
    mapping = ColumnMapping(url="address", md5="checksum", key="")
    assert mapping.found_in([*names, "key"], "x") == {"url": "address", "md5": "checksum"}


def test_a_mapped_column_that_is_absent_is_named_with_what_is_there():
    with pytest.raises(DatasetError, match=r"'address'.*url, caption"):
        ColumnMapping(url="address").found_in(["url", "caption"], "x")


@pytest.mark.parametrize("names", [["URL", "url"], ["md5", "MD5"], ["url", "url"]])
def test_two_columns_for_one_role_are_refused(names):
    with pytest.raises(DatasetError, match="more than one"):
        ColumnMapping().found_in(names, "x")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", None, "c"]), ["a", "6", "c"]),
        (pa.array([7, None, -1]), ["7", "6", "-1"]),
        (pa.array([7.0, None, 2.0**60]), ["7", "6", str(2**60)]),
        (pa.array([b"\x01\xff", None, b""]), ["01ff", "6", ""]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.nulls(3), ["5", "6", "7"]),
        (None, ["5", "6", "7"]),
    ],
)
def test_keys_are_text_and_row_numbers_stand_in(column, expected):
    keys = key_strings(column, 5, 3, "x")
    assert keys.type == pa.string()
    assert keys.to_pylist() == expected


def invalid_text():
    offsets = np.array([0, 2, 4], np.int32)
    return pa.StringArray.from_buffers(2, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"ab\xff\xfe"))


def test_text_that_is_no_utf8_is_escaped_in_keys_and_null_in_addresses():
    assert key_strings(invalid_text(), 0, 2, "x").to_pylist() == ["ab", "\\xff\\xfe"]
    assert url_strings(invalid_text(), "x").to_pylist() == ["ab", None]


BLANK = ["", " ", "\n\t", "\u3000", "\x1f "]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.string_view()])
def test_an_empty_address_is_none(kind):
    column = pa.array([*BLANK, None, " u", "v"], pa.string()).cast(kind)
    found = url_strings(column, "x")
    assert found.type == pa.string()
    assert found.to_pylist() == [None] * (len(BLANK) + 1) + [" u", "v"]


@pytest.mark.parametrize("kind", [pa.decimal32(9), pa.decimal64(18), pa.decimal128(38), pa.decimal256(76)])
def test_whole_decimals_are_keys(kind):
    keys = key_strings(pa.array([10**8, None, -7], kind), 4, 3, "x")
    assert keys.to_pylist() == ["100000000", "5", "-7"]
    assert key_strings(pa.array([10**8], kind), 4, 1, "x").to_pylist() == ["100000000"]


@pytest.mark.parametrize("column", [pa.array([1], pa.decimal128(9, 2)), pa.array([True]), pa.array([["a"]])])
def test_what_can_be_no_key_is_refused_with_a_way_out(column):
    with pytest.raises(DatasetError, match="of another type") as refused:
        key_strings(column, 0, 1, "x")
    assert "--column key=" in refused.value.todo


def test_what_can_be_no_address_is_refused_with_a_way_out():
    with pytest.raises(DatasetError, match="of another type") as refused:
        url_strings(pa.array([1]), "x")
    assert "--column url=" in refused.value.todo


@pytest.mark.parametrize("value", ["0" * 31, "g" * 32, " " + "0" * 31, "0 " * 16, 7, ["0" * 32], "é" * 32])
def test_a_malformed_digest_in_json_is_marked(value):
    fields = fields_of({"md5": value}, ColumnMapping(), "x")
    assert (fields.malformed, dict(fields.declared)) == (frozenset({Kind.MD5}), {})


def test_columns_become_scalars_without_losing_any():
    row = {"url": "u", "a": float("nan"), "b": b"\x01", "c": [1, 2], "d": None, "e": True, "f": "text"}
    columns = fields_of(row, ColumnMapping(), "x", with_columns=True).columns
    assert columns == {"a": None, "b": "01", "c": "[1, 2]", "d": None, "e": True, "f": "text"}
