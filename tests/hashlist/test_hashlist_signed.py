"""What an owner signs with a list: nothing else is read out of an envelope, and nothing malformed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.hashlist.signed import PAYLOAD_TYPE, Terms, sign_file, signed_terms
from vetset.model.canonical import canonical_json
from vetset.model.errors import ListError, SignatureError, UsageError
from vetset.seal.keys import new_key
from vetset.seal.signature import sign

KEY = new_key("owner")
TERMS = Terms("A hotline", "child-abuse", "2026-01-31", whole=False, licence="for audits", expires="2026-12-31")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"id,md5\n")
    return path


def test_what_was_signed_is_read_again(file):
    assert signed_terms(file, sign_file(file, TERMS, KEY), KEY.public) == TERMS


@pytest.mark.parametrize(
    "said",
    [
        {"owner": ""}, {"owner": "Unknown"}, {"owner": "two\nlines"}, {"category": "mischief"}, {"as_of": "unknown"},
        {"as_of": "31.01.2026"}, {"expires": "2026-01-30"}, {"purpose": "All Of It"}, {"licence": ""},
    ],
)  # fmt: skip
def test_nothing_malformed_is_signed(file, said):
    with pytest.raises(ListError):
        sign_file(file, Terms(**{"owner": "A", "category": "child-abuse", "as_of": "2026-01-31"} | said), KEY)


def test_another_file_and_another_signer_are_told_apart(file, tmp_path):
    envelope = sign_file(file, TERMS, KEY)
    with pytest.raises(SignatureError):
        signed_terms(file, envelope, new_key("other").public)
    file.write_bytes(b"id,md5\r\n")
    with pytest.raises(SignatureError, match="another file"):
        signed_terms(file, envelope, KEY.public)
    with pytest.raises(UsageError):
        signed_terms(tmp_path / "nowhere", envelope, KEY.public)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=9), each, max_size=3),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*Terms.__slots__, "sha256", "bytes", "more"]), _JSON) | _JSON)
def test_whatever_a_signer_signs_is_refused_as_one_error(tmp_path_factory, document):
    path = tmp_path_factory.getbasetemp() / "hypothesis.csv"
    path.write_bytes(b"id,md5\n")
    with pytest.raises(SignatureError):
        signed_terms(path, sign(PAYLOAD_TYPE, canonical_json(document), KEY), KEY.public)
