"""Rows of embeddings and records by key: the same as a dictionary says, in little memory, and nothing else."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_rows import batches
from vetset.model.errors import AlignmentError, OutputError
from vetset.store import alignment
from vetset.store.alignment import align
from vetset.store.key_digest import key_digests
from vetset.store.spool import Spool

KEYS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), unique=True, max_size=60)


def aligned(records, parts, **options):
    named = [(f"embedding part {number}", batches(keys)) for number, keys in enumerate(parts)]
    return align(batches(records), len(records), named, **options)


@settings(max_examples=60, deadline=None)
@given(KEYS, st.randoms(use_true_random=False), st.sampled_from([1 << 8, 1 << 12, 1 << 28]), st.integers(1, 4))
def test_every_row_finds_its_record(records, random, memory, parts):
    rows = random.sample(records, random.randint(0, len(records)))
    cuts = sorted(random.randint(0, len(rows)) for _ in range(parts - 1))
    pieces = [rows[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    place = {key: number for number, key in enumerate(records)}
    found = aligned(records, pieces, memory=memory)
    assert [numbers.tolist() for numbers in found] == [[place[key] for key in piece] for piece in pieces]
    assert all(numbers.dtype == np.int64 for numbers in found)


@pytest.mark.parametrize("memory", [1 << 12, 1 << 28])
def test_several_classes_and_slabs_give_what_one_gives(tmp_path, memory):
    keys = [f"{hashlib.sha256(str(number).encode()).hexdigest()[:12]}" for number in range(9000)]
    order = np.random.default_rng(1).permutation(9000)
    parts = [[keys[number] for number in piece] for piece in np.array_split(order, 7)]
    found = aligned(keys, parts, memory=memory, scratch=tmp_path)
    assert np.array_equal(np.concatenate(found), order)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("memory", [1 << 12, 1 << 28])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda keys: [*keys[:-1], "foreign"], r"embedding part 2: embeddings without a record.*saw 1 of 1000 rows"),
        (lambda keys: [*keys[:-1], keys[0]], r"embedding part 2: two rows of embeddings for one record"),
        (lambda keys: [*keys[:-1], "0"], r"embedding part 2: two rows of embeddings for one record"),
    ],
    ids=["a foreign key", "a key twice in a part", "a key of an earlier part"],
)
def test_what_is_not_one_to_one_is_refused_by_part(memory, change, said):
    parts = [[str(number) for number in range(start, start + 1000)] for start in (0, 1000, 2000)]
    with pytest.raises(AlignmentError, match=said):
        aligned([str(number) for number in range(5000)], [*parts[:2], change(parts[2])], memory=memory)


def test_the_first_part_that_is_wrong_is_named():
    with pytest.raises(AlignmentError, match="embedding part 1"):
        aligned(list("abcdef"), [["a"], ["b", "b"], ["x"]])


@pytest.mark.parametrize("memory", [1 << 12, 1 << 28])
def test_a_key_of_two_records_is_refused(memory):
    records = [str(number) for number in range(3000)] + ["7", "8", "8"]
    with pytest.raises(AlignmentError, match=r"expected 3003 distinct keys; saw 3000"):
        aligned(records, [["1"]], memory=memory)


def test_more_rows_than_records_are_not_taken_in():
    taken = []

    def endless():
        while True:
            taken.append(0)
            yield pa.array(["x"] * 1000)

    with pytest.raises(AlignmentError, match=r"embedding part 0: there are more rows"):
        align(batches(["a", "b"]), 2, [("embedding part 0", endless())])
    assert len(taken) == 1


def test_records_without_a_row_and_parts_without_rows_are_fine():
    assert [found.tolist() for found in aligned(list("abc"), [[], ["c"], []])] == [[], [2], []]
    assert aligned([], []) == []
    assert [found.tolist() for found in aligned([], [[]])] == [[]]


def test_no_message_repeats_a_key():
    with pytest.raises(AlignmentError) as caught:
        aligned(["planted-one", "planted-two"], [["planted-three"]])
    assert "planted" not in str(caught.value)


def test_without_room_for_the_join_nothing_is_aligned(tmp_path):
    with pytest.raises(OutputError, match="cannot be written down"):
        aligned(["a"], [["a"]], scratch=tmp_path / "nowhere")


def test_memory_has_a_bound_that_the_dataset_does_not_move(monkeypatch):
    """The widest arrays of the join are counted by their bytes, over a dataset that is 8 times as large."""
    widest = []

    def measured(records, rows, join=alignment._joined):
        widest.append(records.nbytes + rows.nbytes)
        return join(records, rows)

    monkeypatch.setattr(alignment, "_joined", measured)
    for count in (20_000, 160_000):
        keys = [str(number) for number in range(count)]
        widest.clear()
        align(batches(keys, 5000), count, [("embedding part 0", batches(keys, 5000))], memory=1 << 20)
        assert max(widest) < 1 << 19
        assert sum(widest) == count * 2 * 24


def test_digests_are_those_of_the_reference():
    """The vectors of SipHash's reference implementation, vectors_sip128, key 00 01 … 0f, inputs of length 0, 1, 15."""
    keys = pa.array(["", "\0", "".join(map(chr, range(15)))])
    high, low = key_digests(keys, bytes(range(16)))
    told = [(one.tobytes() + two.tobytes()).hex() for one, two in zip(high, low, strict=True)]
    assert told[:2] == ["a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45"]
    assert told[2] == python_siphash(bytes(range(15)), bytes(range(16))).hex()


def python_siphash(data, secret):
    """SipHash-2-4-128 written straight from its definition."""
    mask = (1 << 64) - 1

    def rotated(value, bits):
        return ((value << bits) | (value >> (64 - bits))) & mask

    def turned(v, times):
        for _ in range(times):
            v[0] = (v[0] + v[1]) & mask
            v[1] = rotated(v[1], 13) ^ v[0]
            v[0] = rotated(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = rotated(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotated(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotated(v[1], 17) ^ v[2]
            v[2] = rotated(v[2], 32)

    k0, k1 = int.from_bytes(secret[:8], "little"), int.from_bytes(secret[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v[3] ^= word
        turned(v, 2)
        v[0] ^= word
    v[2] ^= 0xEE
    turned(v, 4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    turned(v, 4)
    return first.to_bytes(8, "little") + (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=20),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 3),
)
def test_digests_of_any_keys_are_as_defined(keys, secret, skipped):
    array = pa.array(keys, pa.string()).slice(skipped)
    high, low = key_digests(array, secret)
    expected = [python_siphash(key.encode(), secret) for key in keys[skipped:]]
    assert [one.tobytes() + two.tobytes() for one, two in zip(high, low, strict=True)] == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), max_size=9), max_size=9), st.integers(1, 7))
def test_a_spool_gives_back_each_class_in_order(pieces, held):
    dtype = np.dtype([("number", "<i8")])
    with Spool(None, dtype, 5, held) as spool:
        first = 0
        for piece in pieces:
            entries = np.zeros(len(piece), dtype)
            entries["number"] = np.arange(first, first + len(piece))
            first += len(piece)
            spool.add(entries, np.array(piece, np.int64))
        flat = np.array([number for piece in pieces for number in piece], np.int64)
        for number in range(5):
            assert spool.of_class(number)["number"].tolist() == np.flatnonzero(flat == number).tolist()
