import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.errors import SignatureError, UsageError
from vetset.seal.statement import STATEMENT_TYPE, parse_statement, statement

ONE, TWO = "1" * 64, "2" * 64
TYPE = "https://example.invalid/audit/v1"
GOLDEN = (
    b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"list":"\\u00e4","ratio":1.5,"rows":3},'
    b'"predicateType":"https://example.invalid/audit/v1","subject":['
    b'{"digest":{"sha256":"'
    + ONE.encode()
    + b'"},"name":"a"},{"digest":{"sha256":"'
    + TWO.encode()
    + b'"},"name":"b"}]}'
)


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def document(**changes):
    whole = json.loads(GOLDEN) | changes
    return canonical({name: value for name, value in whole.items() if value is not ...})


def test_the_canonical_form_stays():
    assert statement({"b": TWO, "a": ONE}, TYPE, {"rows": 3, "list": "ä", "ratio": 1.5}) == GOLDEN


def test_a_statement_is_read_back():
    found = parse_statement(GOLDEN)
    assert found.subjects == {"a": ONE, "b": TWO}
    assert found.predicate_type == TYPE
    assert found.predicate == {"rows": 3, "list": "ä", "ratio": 1.5}


SHA256 = st.binary(min_size=32, max_size=32).map(bytes.hex)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    subjects=st.dictionaries(st.text(min_size=1, max_size=5), SHA256, min_size=1),
    predicate=st.dictionaries(st.text(max_size=5), JSON, max_size=4),
)
def test_every_statement_is_read_back(subjects, predicate):
    found = parse_statement(statement(subjects, TYPE, predicate))
    assert (found.subjects, found.predicate) == (subjects, predicate)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        GOLDEN + b"\n",
        b" " + GOLDEN,
        GOLDEN.replace(b'"rows":3', b'"rows":3.0e0'),
        GOLDEN.replace(b'"rows":3', b'"rows":3,"rows":3'),
        GOLDEN.replace(b'"rows":3', b'"rows":1e999'),
        GOLDEN.replace(b'"rows":3', b'"rows":NaN'),
        GOLDEN.replace(b"\\u00e4", "ä".encode()),
        json.dumps(json.loads(GOLDEN)).encode(),
        document(_type="https://in-toto.io/Statement/v0.1"),
        document(extra=1),
        document(predicate=...),
        document(predicate=[]),
        document(predicate=None),
        document(predicateType=""),
        document(predicateType=1),
        document(subject=[]),
        document(subject={}),
        document(subject=["a"]),
        document(subject=[{"name": "a", "digest": {"sha256": ONE}}] * 2),
        document(subject=[{"name": "b", "digest": {"sha256": ONE}}, {"name": "a", "digest": {"sha256": ONE}}]),
        document(subject=[{"name": "", "digest": {"sha256": ONE}}]),
        document(subject=[{"name": 1, "digest": {"sha256": ONE}}]),
        document(subject=[{"name": "a", "digest": {"sha256": "A" * 64}}]),
        document(subject=[{"name": "a", "digest": {"sha256": "1" * 63}}]),
        document(subject=[{"name": "a", "digest": {"sha1": "1" * 40}}]),
        document(subject=[{"name": "a", "digest": {"sha256": ONE, "sha1": "1" * 40}}]),
        document(subject=[{"name": "a", "digest": {"sha256": ONE}, "uri": "x"}]),
        document(subject=[{"name": "a"}]),
        document(subject=5),
        document(subject=[{"name": "a", "digest": 5}]),
        document(subject=[{"name": "a", "digest": {"sha256": 5}}]),
    ],
)
def test_everything_else_is_malformed(data):
    with pytest.raises(SignatureError, match="malformed"):
        parse_statement(data)


@pytest.mark.parametrize(
    ("subjects", "predicate_type", "predicate"),
    [
        ({}, TYPE, {}),
        ({"": ONE}, TYPE, {}),
        ({"a": ONE.upper() + "F"}, TYPE, {}),
        ({"a": "F" * 64}, TYPE, {}),
        ({"a": ONE}, "", {}),
        ({"a": ONE}, TYPE, {"x": float("nan")}),
        ({"a": ONE}, TYPE, {"x": float("inf")}),
        ({"a": ONE}, TYPE, {"x": b"bytes"}),
        ({"a": ONE}, TYPE, {"x": {1, 2}}),
    ],
)
def test_a_statement_that_could_not_be_read_back_is_not_made(subjects, predicate_type, predicate):
    with pytest.raises(UsageError):
        statement(subjects, predicate_type, predicate)


def test_the_type_is_that_of_the_specification():
    assert STATEMENT_TYPE == "https://in-toto.io/Statement/v1"
