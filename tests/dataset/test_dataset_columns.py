"""Mapping by name and hex to bytes, against plain Python."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset.columns import ColumnMapping, fields_of, key_strings, unhex_column, url_strings
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
    width=st.sampled_from([16, 20, 32]),
    form=st.sampled_from(["string", "large_string", "string_view", "dictionary", "binary", "chunked", "sliced"]),
)
def test_unhex_agrees_with_plain_python(values, width, form):
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
    result = unhex_column(column, width, "x")
    for row, value in enumerate(values):
        expected, why = plain_unhex(value, width)
        assert result.why[row] == why
        assert result.values[row].tobytes() == (expected or bytes(width))


@pytest.mark.parametrize("kind", [pa.binary(16), pa.binary(), pa.large_binary(), pa.binary_view()])
def test_raw_bytes_are_taken_as_they_are(kind):
    values = [bytes(range(16)), None, b"f" * 16]
    result = unhex_column(pa.array(values, kind), 16, "x")
    assert [row.tobytes() for row in result.values] == [values[0], bytes(16), values[2]]
    assert result.why.tolist() == [0, NULL, 0]


def test_a_column_of_nulls_is_null_throughout():
    result = unhex_column(pa.nulls(3), 16, "x")
    assert result.why.tolist() == [NULL] * 3


@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.list_(pa.int8())])
def test_a_column_that_can_hold_no_digest_is_refused(kind):
    with pytest.raises(DatasetError, match="another type"):
        unhex_column(pa.array([], kind), 16, "x")


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


@pytest.mark.parametrize("value", ["0" * 31, "g" * 32, " " + "0" * 31, "0 " * 16, 7, ["0" * 32], "é" * 32])
def test_a_malformed_digest_in_json_is_marked(value):
    fields = fields_of({"md5": value}, ColumnMapping(), "x")
    assert (fields.malformed, dict(fields.declared)) == (frozenset({Kind.MD5}), {})


def test_columns_become_scalars_without_losing_any():
    row = {"url": "u", "a": float("nan"), "b": b"\x01", "c": [1, 2], "d": None, "e": True, "f": "text"}
    columns = fields_of(row, ColumnMapping(), "x", with_columns=True).columns
    assert columns == {"a": None, "b": "01", "c": "[1, 2]", "d": None, "e": True, "f": "text"}
