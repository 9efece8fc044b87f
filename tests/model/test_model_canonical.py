"""The bytes that digests are taken of."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vetset.model.canonical import canonical_json, document_digest
from vetset.model.hashlist import Category, ListInfo
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.removal import RemovalOrder
from vetset.model.signal import Kind, Reason

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_golden_bytes():
    document = {"b": [1, 2.5, 1e-7, None, True], "a": {"ü": '😀\n"', "A": ""}, "ä": -0.0, "": [], "é": 10**20}
    expected = (
        b'{"":[],"a":{"A":"","\\u00fc":"\\ud83d\\ude00\\n\\""},"b":[1,2.5,1e-07,null,true],'
        b'"\\u00e4":-0.0,"\\u00e9":100000000000000000000}'
    )
    assert canonical_json(document) == expected


def test_a_golden_digest():
    assert document_digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@given(DOCUMENTS)
def test_reading_gives_the_document_back_and_writing_the_same_bytes(document):
    data = canonical_json(document)
    assert json.loads(data) == document
    assert canonical_json(json.loads(data)) == data


@given(st.dictionaries(st.text(), st.integers(), max_size=6), st.randoms())
def test_the_order_of_names_does_not_matter(document, random):
    names = list(document)
    random.shuffle(names)
    assert document_digest({name: document[name] for name in names}) == document_digest(document)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": value})


def test_what_is_not_json_is_refused():
    with pytest.raises(TypeError):
        canonical_json({"a": b"bytes"})


def test_no_repr_of_what_flows_shows_what_it_holds():
    fields = Fields("https://pictures.example/planted", {Kind.MD5: b"planted"}, frozenset(), {"caption": "planted"})
    shown = [
        fields,
        Record(1, "key", b"planted", fields),
        Unreadable(1, "key", Reason.NO_IMAGE, fields),
        RemovalOrder("digest", "planted", ("planted",)),
    ]
    assert not [repr(each) for each in shown if "planted" in repr(each)]


def test_a_list_may_be_used_on_its_last_day_and_not_after():
    from datetime import date

    info = ListInfo("one", "owner", Category.OTHER, "terms", expires="2026-03-31")
    assert not info.expired(date(2026, 3, 31))
    assert info.expired(date(2026, 4, 1))
