"""Values as text against Python's own base16, base32 and base64."""

import base64

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.hashlist.files.encodings import Encoding, decoded, encoding_of, fitting
from vetset.model.signal import LIST_KINDS, Kind

WRITE = {Encoding.HEX: base64.b16encode, Encoding.BASE32: base64.b32encode, Encoding.BASE64: base64.b64encode}
KINDS = st.sampled_from(LIST_KINDS)
ENCODINGS = st.sampled_from(Encoding)


def written(value, encoding, padded=True):
    text = WRITE[encoding](value).decode()
    return text if padded else text.rstrip("=")


def read(texts, kind, encoding):
    bare, fits = fitting(pa.array(texts, pa.string()), kind, encoding)
    values, wrong = decoded(bare.filter(pa.array(fits)), kind, encoding)
    return fits.tolist(), [bytes(row) for row in values], wrong.tolist()


@settings(max_examples=200, deadline=None)
@given(kind=KINDS, encoding=ENCODINGS, data=st.data())
def test_what_was_written_is_read_with_and_without_padding(kind, encoding, data):
    values = data.draw(st.lists(st.binary(min_size=kind.width, max_size=kind.width), max_size=6))
    texts = [written(value, encoding, data.draw(st.booleans())) for value in values]
    if encoding is not Encoding.BASE64:
        texts = [text.lower() if data.draw(st.booleans()) else text for text in texts]
    assert read(texts, kind, encoding) == ([True] * len(values), values, [False] * len(values))
    assert all(encoding_of(text, kind) in (encoding, None) for text in texts)


@pytest.mark.parametrize("kind", LIST_KINDS)
def test_the_length_tells_the_encoding(kind):
    value = bytes(range(250, 256)) * (kind.width // 4)
    texts = (written(value[: kind.width], encoding, padded) for encoding in Encoding for padded in (True, False))
    for text in texts:
        fits = [encoding for encoding in Encoding if read([text], kind, encoding)[0] == [True]]
        assert fits == [encoding_of(text, kind)] or (kind.width == 16 and text.endswith("======"))


@settings(max_examples=100, deadline=None)
@given(kind=KINDS, encoding=ENCODINGS, data=st.data())
def test_what_was_cut_off_is_no_value(kind, encoding, data):
    text = written(data.draw(st.binary(min_size=kind.width, max_size=kind.width)), encoding, padded=False)
    assert [encoding_of(text[:end], kind) for end in range(len(text))] == [None] * len(text)


def test_a_padded_md5_is_no_hexadecimal():
    assert encoding_of(written(bytes(16), Encoding.BASE32), Kind.MD5) is Encoding.BASE32
    assert encoding_of("=" * 32, Kind.MD5) is Encoding.HEX
    assert read(["=" * 32], Kind.MD5, Encoding.HEX)[2] == [True]


CHARACTERS = st.sampled_from("0123456789abcdefABCDEFghGHzZ+/-_=. ä\u0661\x7f\x00")


@settings(max_examples=400, deadline=None)
@given(kind=KINDS, encoding=ENCODINGS, data=st.data())
def test_other_characters_are_as_wrong_as_python_says(kind, encoding, data):
    text = list(written(data.draw(st.binary(min_size=kind.width, max_size=kind.width)), encoding, padded=False))
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(CHARACTERS)
    whole = "".join(text)
    fits, values, wrong = read([whole], kind, encoding)
    group = {Encoding.HEX: 2, Encoding.BASE32: 8, Encoding.BASE64: 4}[encoding]
    try:
        padded = whole.upper() if encoding is not Encoding.BASE64 and whole.isascii() else whole
        padded += "=" * (-len(whole) % group)
        expected = {
            Encoding.HEX: lambda: base64.b16decode(padded),
            Encoding.BASE32: lambda: base64.b32decode(padded),
            Encoding.BASE64: lambda: base64.b64decode(padded, validate=True),
        }[encoding]()
    except ValueError:
        expected = b""
    # Python takes bits that are left over, and then writes another text
    sound = len(expected) == kind.width and written(expected, encoding) == padded
    if fits == [True] and wrong == [False]:
        assert sound
        assert values == [expected]
    else:
        assert not sound


@pytest.mark.parametrize("encoding", [Encoding.BASE32, Encoding.BASE64])
def test_a_value_has_one_form(encoding):
    text = written(bytes(16), encoding, padded=False)
    assert read([text, text[:-1] + "B"], Kind.MD5, encoding)[2] == [False, True]


@pytest.mark.parametrize("ends", ["=", "==", "===", "=====", "======="])
def test_half_a_padding_is_none(ends):
    assert read([written(bytes(16), Encoding.BASE32, padded=False) + ends], Kind.MD5, Encoding.BASE32)[0] == [False]
