import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from vetset.model.errors import SignatureError
from vetset.seal.keys import PublicKey
from vetset.seal.signature import check, preauth, sign

TYPE = "application/vnd.in-toto+json"


def edited(envelope, **changes):
    return json.dumps(json.loads(envelope) | changes).encode()


def test_the_encoding_is_that_of_the_protocols_own_example():
    # protocol.md of secure-systems-lab/dsse, "Test Vectors"
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert preauth("http://example.com/HelloWorld", b"hello world") == expected


def test_the_encoding_counts_bytes_and_leaves_them_alone():
    assert preauth("ä", b"\x00\xff") == b"DSSEv1 2 \xc3\xa4 2 \x00\xff"


def test_the_envelope_keeps_its_form(golden_key):
    assert sign("application/example", b"hello", golden_key) == (
        b'{"payload":"aGVsbG8=","payloadType":"application/example","signatures":[{"keyid":'
        b'"75ae790ee58e915231032b31c22a4065135d9e6fde9ab754f20c477df74e0ae2","sig":'
        b'"wTnyhplSVisYZxaRDskF5CtQQpudNvfhx0ZNCmQ3kPNg/MyOpq7NKIf4IRwmB2b7tcNzjd1Elq31Npa9y7JgCA=="}]}'
    )


@pytest.mark.parametrize("payload", [b"", b"{}", bytes(range(256)), b"x" * 100_000])
def test_what_was_signed_checks(key, payload):
    assert check(sign(TYPE, payload, key), key.public, TYPE) == payload


def test_another_signer_is_refused(key, other):
    with pytest.raises(SignatureError, match="no signature holds"):
        check(sign(TYPE, b"{}", other), key.public, TYPE)


def test_the_claimed_key_id_is_not_believed(key, other):
    document = json.loads(sign(TYPE, b"{}", other))
    document["signatures"][0]["keyid"] = key.public.keyid
    with pytest.raises(SignatureError, match="no signature holds"):
        check(json.dumps(document).encode(), key.public, TYPE)


def test_another_payload_type_is_refused(key):
    with pytest.raises(SignatureError, match="another type"):
        check(sign("application/other", b"{}", key), key.public, TYPE)


def test_a_relabelled_payload_type_is_refused(key):
    with pytest.raises(SignatureError, match="no signature holds"):
        check(edited(sign("application/other", b"{}", key), payloadType=TYPE), key.public, TYPE)


def test_an_altered_payload_is_refused(key):
    altered = base64.b64encode(b'{"a":2}').decode()
    with pytest.raises(SignatureError, match="no signature holds"):
        check(edited(sign(TYPE, b'{"a":1}', key), payload=altered), key.public, TYPE)


def test_every_flipped_bit_of_the_signature_is_noticed(key):
    document = json.loads(sign(TYPE, b"{}", key))
    raw = base64.b64decode(document["signatures"][0]["sig"])
    for bit in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        document["signatures"][0]["sig"] = base64.b64encode(damaged).decode()
        with pytest.raises(SignatureError):
            check(json.dumps(document).encode(), key.public, TYPE)


@pytest.mark.parametrize(
    "changes",
    [
        {"signatures": []},
        {"signatures": None},
        {"signatures": {}},
        {"signatures": ["x"]},
        {"signatures": [{}]},
        {"signatures": [{"sig": "?"}]},
        {"signatures": [{"sig": 1}]},
        {"signatures": [{"sig": ""}] * 65},
        {"payload": None},
        {"payload": "?"},
        {"payload": "e30"},
        {"payload": "e31="},
        {"payload": "ä"},
        {"payload": 3},
        {"payloadType": None},
        {"payloadType": 3},
    ],
)
def test_a_malformed_envelope_is_refused(key, changes):
    with pytest.raises(SignatureError, match="malformed"):
        check(edited(sign(TYPE, b"{}", key), **changes), key.public, TYPE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"payload":NaN}',
        b'{"payload":1e999}',
        b"[" * 100_000,
        b'{"payloadType":"a","payloadType":"b","payload":"","signatures":[{"sig":""}]}',
    ],
)
def test_what_is_no_envelope_is_refused(key, data):
    with pytest.raises(SignatureError, match="malformed"):
        check(data, key.public, TYPE)


@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=200) | st.text(alphabet='{}[]":,payloadTypesignaturesig=', max_size=200).map(str.encode))
def test_foreign_bytes_are_a_signature_error(data):
    signer = PublicKey("a", "", "00" * 32)
    with pytest.raises(SignatureError):
        check(data, signer, TYPE)


def test_one_good_signature_among_others_is_enough(key, other):
    document = json.loads(sign(TYPE, b"{}", other))
    document["signatures"] += json.loads(sign(TYPE, b"{}", key))["signatures"]
    assert check(json.dumps(document).encode(), key.public, TYPE) == b"{}"


def test_url_safe_base64_is_accepted_as_the_protocol_says(key):
    payload = b"\xfb\xff\xfe" * 5
    document = json.loads(sign(TYPE, payload, key))
    document["payload"] = base64.urlsafe_b64encode(payload).decode()
    assert check(json.dumps(document).encode(), key.public, TYPE) == payload


def test_securesystemslib_accepts_what_is_signed_here(key):
    library_key = SSlibKey.from_crypto(key.public.verifier())
    envelope = Envelope.from_dict(json.loads(sign(TYPE, b'{"a":1}', key)))
    assert set(envelope.verify([library_key], 1)) == {key.public.keyid}


def test_securesystemslib_refuses_an_altered_payload_too(key):
    library_key = SSlibKey.from_crypto(key.public.verifier())
    envelope = Envelope.from_dict(json.loads(sign(TYPE, b'{"a":1}', key)))
    envelope.payload = b'{"a":2}'
    with pytest.raises(VerificationError):
        envelope.verify([library_key], 1)


def test_what_securesystemslib_signs_is_accepted_here():
    signer = CryptoSigner.generate_ed25519()
    envelope = Envelope(b'{"a":1}', TYPE, {})
    envelope.sign(signer)
    public = PublicKey("library", "", signer.public_key.keyval["public"])
    assert check(json.dumps(envelope.to_dict()).encode(), public, TYPE) == b'{"a":1}'


@settings(max_examples=40, deadline=None)
@given(kind=st.text(max_size=30), payload=st.binary(max_size=100))
def test_the_encoding_is_securesystemslibs(kind, payload):
    assert preauth(kind, payload) == Envelope(payload, kind, {}).pae()
