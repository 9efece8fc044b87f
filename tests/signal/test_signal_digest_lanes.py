"""Sixteen texts side by side have the digests that each has alone."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.errors import UsageError
from vetset.model.signal import BYTE_KINDS, Kind
from vetset.signal import digest as module
from vetset.signal import digest_rounds
from vetset.signal.digest import LONGEST, digest, digests, kinds_in_lanes, url_digest, url_digests
from vetset.signal.digest_lanes import md5_of_each, sha1_of_each, sha256_of_each
from vetset.signal.digest_rounds import SHA256_START

EDGES = [0, 1, 54, 55, 56, 57, 62, 63, 64, 65, 118, 119, 120, 127, 128, 129, 183, 184, 1000]


def laid_out(texts, before=b"", behind=b""):
    """All texts in one array, with where each begins and how long it is."""
    lengths = np.array([len(text) for text in texts], np.int64)
    starts = len(before) + np.concatenate(([0], np.cumsum(lengths)[:-1])) if texts else np.zeros(0, np.int64)
    return np.frombuffer(before + b"".join(texts) + behind, np.uint8), starts.astype(np.int64), lengths


def assert_equal_to_hashlib(texts, **around):
    data, starts, lengths = laid_out(texts, **around)
    pairs = ((md5_of_each, hashlib.md5), (sha1_of_each, hashlib.sha1), (sha256_of_each, hashlib.sha256))
    for of_each, alone in pairs:
        found = of_each(data, starts, lengths)
        assert [row.tobytes() for row in found] == [alone(text).digest() for text in texts]


@given(st.lists(st.binary(max_size=200) | st.sampled_from(EDGES).map(lambda size: b"x" * size), max_size=50))
@settings(max_examples=200, deadline=None)
def test_any_texts_have_the_digests_of_hashlib(texts):
    assert_equal_to_hashlib(texts)


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("count", [1, 15, 16, 17])
def test_every_length_around_a_block_at_the_end_of_the_data_and_inside(size, count):
    random = np.random.default_rng(size)
    texts = [random.bytes(size) for _ in range(count)]
    assert_equal_to_hashlib(texts)
    assert_equal_to_hashlib(texts, before=b"before", behind=b"behind" * 20)


def test_one_long_text_among_short_ones():
    assert_equal_to_hashlib([b"a", b"b" * 100_000, b"", b"c" * 63] * 5)


@given(st.lists(st.integers(0, 300) | st.integers(1000, 9000), max_size=60), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_lanes_that_take_the_next_text_while_others_are_in_theirs(sizes, seed):
    random = np.random.default_rng(seed)
    assert_equal_to_hashlib([random.bytes(size) for size in [*sizes, 60_000]])  # on average not short


@pytest.mark.parametrize("size", EDGES)
def test_every_length_around_a_block_behind_a_long_text(size):
    random = np.random.default_rng(size)
    assert_equal_to_hashlib([random.bytes(5000 + size), *(random.bytes(size) for _ in range(40)), random.bytes(70_000)])


@given(st.lists(st.integers(0, 3000), max_size=40), st.sampled_from([0, 100, 10_000, 1 << 20]))
@settings(max_examples=50, deadline=None)
def test_digests_of_many_are_those_of_each(sizes, longest):
    random = np.random.default_rng(len(sizes))
    texts = [random.bytes(size) for size in sizes]
    for kinds in (BYTE_KINDS, BYTE_KINDS[::-1], BYTE_KINDS[:1], ()):
        alone = [[digest(text, kind) for text in texts] for kind in kinds]
        assert digests(texts, kinds, longest=longest) == alone


@pytest.mark.parametrize("kind", BYTE_KINDS)
def test_no_digest_depends_on_the_processor(monkeypatch, kind):
    texts = [bytes([number]) * 100 * number for number in range(40)]
    for lanes in (BYTE_KINDS, ()):
        monkeypatch.setattr(module, "_IN_LANES", lanes)
        assert digests(texts, [kind]) == [[digest(text, kind) for text in texts]]


def test_what_is_taken_side_by_side_is_what_is_faster_so():
    with_instructions = {"sha": True, "avx2": True}
    assert kinds_in_lanes("x86_64", with_instructions) == {Kind.MD5, Kind.SHA1}
    assert kinds_in_lanes("x86_64", {**with_instructions, "avx512vl": True}) == set(BYTE_KINDS)
    assert kinds_in_lanes("AMD64", {"avx2": True}) == set(BYTE_KINDS)
    assert kinds_in_lanes("aarch64", {"sha2": True}) == {Kind.MD5}


def test_texts_that_are_too_long_to_be_copied_are_digested_alone():
    texts = [b"a" * (LONGEST + more) for more in (-1, 0, 1)] + [b"b", b"c", b""]
    assert digests(texts, [Kind.MD5]) == [[hashlib.md5(text).digest() for text in texts]]


def test_a_kind_that_is_no_digest_of_bytes_is_refused():
    with pytest.raises(UsageError):
        digests([b"a"] * 9, [Kind.URL_MD5])


def test_the_constants_are_those_of_the_standard():
    assert SHA256_START[0] == 0x6A09E667
    assert SHA256_START[7] == 0x5BE0CD19
    assert [hex(root) for root in digest_rounds._ROOTS] == ["0x5a827999", "0x6ed9eba1", "0x8f1bbcdc", "0xca62c1d6"]


@pytest.mark.parametrize("kind", [Kind.URL_MD5, Kind.URL_SHA256])
def test_digests_of_many_addresses_are_those_of_each(kind):
    urls = [f"https://pictures.example/ä/{number}" * (number % 7) for number in range(100)]
    found = url_digests(*laid_out([url.encode() for url in urls]), kind)
    assert [row.tobytes() for row in found] == [url_digest(url, kind) for url in urls]


def test_a_kind_that_is_no_digest_of_an_address_is_refused():
    with pytest.raises(UsageError):
        url_digests(*laid_out([b"a"]), Kind.MD5)
