"""Words are the memory of the rows wherever that can be."""

import mmap

import numpy as np
import pytest

from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex
from vetset.search.words import as_words

N, WIDTH = 50, 32


def rows_of(buffer, offset=0):
    return np.frombuffer(buffer, np.uint8, N * WIDTH, offset).reshape(N, WIDTH)


def marked(rows):
    rows.flags.writeable = False
    return rows


def mapped():
    made = mmap.mmap(-1, N * WIDTH + 8)
    made.write(bytes(range(200)) * 8)
    return made


CASES = {
    "an array": (lambda: np.arange(N * WIDTH, dtype=np.uint8).reshape(N, WIDTH), True),
    "memory marked as not to be written to": (lambda: marked(rows_of(bytearray(range(200)) * 8)), True),
    "a map marked so": (lambda: marked(rows_of(mapped())), True),
    "bytes": (lambda: rows_of(bytes(range(200)) * 8), False),
    "an array that is marked itself": (
        lambda: marked(np.arange(N * WIDTH, dtype=np.uint8).reshape(N, WIDTH).copy()),
        False,
    ),
    "memory that is not aligned": (lambda: rows_of(mapped(), 1), False),
    "every second row": (lambda: np.zeros((2 * N, WIDTH), np.uint8)[::2], False),
}


@pytest.mark.parametrize("word", [np.uint32, np.uint64])
@pytest.mark.parametrize(("made", "shared"), CASES.values(), ids=CASES)
def test_one_type_and_the_same_bytes(made, shared, word):
    rows = made()
    writeable = rows.flags.writeable
    words = as_words(rows, word)
    assert (words.dtype, words.shape) == (word, (N, WIDTH // words.itemsize))
    assert words.flags.c_contiguous
    assert words.flags.aligned
    assert words.flags.writeable
    assert words.tobytes() == rows.tobytes()
    assert np.shares_memory(words, rows) == shared
    assert rows.flags.writeable == writeable


def test_an_index_writes_nothing_to_the_memory_of_a_list():
    memory = bytearray(np.random.default_rng(1).bytes(2_000 * WIDTH))
    before = bytes(memory)
    rows = np.frombuffer(memory, np.uint8).reshape(-1, WIDTH)
    rows.flags.writeable = False
    for way in ("brute", "bands", "probe"):
        HammingIndex(rows).join(rows[:10], way=way)
    DigestIndex(rows).join(rows[:10])
    assert memory == before
