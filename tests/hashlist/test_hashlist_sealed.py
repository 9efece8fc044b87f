"""A list goes to another process sealed, or not at all."""

import copy
import multiprocessing
import pickle
from dataclasses import replace

import numpy as np
import pytest

from vetset.hashlist.vault import packing
from vetset.hashlist.vault.sealed import SealedList
from vetset.hashlist.vault.vault import Vault
from vetset.model.errors import KeyFileError, ListError, SealError, UsageError
from vetset.model.hashlist import Category, Entries, HashList, ListInfo
from vetset.model.signal import Kind
from vetset.seal.envelope import seal
from vetset.seal.keys import new_key

INFO = ListInfo("kept", "a test", Category.OTHER, "CC0-1.0")
VALUE = bytes(range(16))
ENTRIES = {
    Kind.MD5: Entries(
        Kind.MD5, np.frombuffer(VALUE, np.uint8).reshape(1, 16), np.array([b"a"]), np.zeros(1, "u1"), np.ones(1, "u1")
    )
}


@pytest.fixture(scope="module")
def key():
    return new_key("node")


@pytest.fixture
def vault(tmp_path):
    vault = Vault(tmp_path / "home")
    vault.add(INFO, ENTRIES, bank=b"bank")
    return vault


@pytest.fixture
def sealed(vault, key):
    return vault.sealed("kept", key.public)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [ENTRIES[Kind.MD5], HashList(INFO, ENTRIES), [ENTRIES]], ids=lambda _: "")
def test_a_list_is_never_pickled(value, protocol):
    with pytest.raises(UsageError, match=r"never pickled.*Vault\.sealed"):
        pickle.dumps(value, protocol)


def test_nor_is_it_copied_by_way_of_a_pickle():
    with pytest.raises(UsageError, match="never pickled"):
        copy.deepcopy(HashList(INFO, ENTRIES))
    assert replace(HashList(INFO, ENTRIES), info=INFO).entries is ENTRIES


def test_information_may_be_pickled():
    assert pickle.loads(pickle.dumps(INFO)) == INFO  # noqa: S301 — our own


def test_a_sealed_list_opens_to_what_was_kept(vault, sealed, key):
    found, kept = sealed.open(key), vault.load("kept")
    assert found.info == kept.info
    assert bytes(found.entries[Kind.MD5].values) == VALUE
    assert list(found.entries[Kind.MD5].ids) == [b"a"]


def opened(sealed, identity, answers):
    answers.put(bytes(sealed.open(identity).entries[Kind.MD5].values))


def test_it_goes_to_another_process(sealed, key):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=opened, args=(sealed, key.identity, answers))
    process.start()
    assert answers.get(timeout=60) == VALUE
    process.join()


def test_neither_its_form_nor_its_pickle_shows_anything(sealed):
    assert repr(sealed) == str(sealed) == "SealedList()"
    pickled = pickle.dumps(sealed)
    assert pickle.loads(pickled) == sealed  # noqa: S301 — our own
    assert not [shown for shown in (VALUE, b"kept", b"a test", VALUE.hex().encode()) if shown in pickled]


def test_it_opens_for_nobody_else(vault, sealed):
    for identity in (new_key("other"), vault._key().identity):
        with pytest.raises(KeyFileError, match="does not open"):
            sealed.open(identity)


def test_damage_is_noticed(sealed, key):
    for place in range(0, len(sealed.content), 11):
        damaged = bytearray(sealed.content)
        damaged[place] ^= 1
        with pytest.raises(SealError):
            SealedList(bytes(damaged)).open(key)


MALFORMED = {
    "unsorted": lambda entries: replace(entries, values=np.array([[2] * 16, [1] * 16], np.uint8)),
    "unknown flags": lambda entries: replace(entries, flags=np.full(2, 64, np.uint8)),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_what_somebody_else_sealed_has_to_be_a_list_at_least(key, change):
    two = Entries(
        Kind.MD5,
        np.array([[1] * 16, [2] * 16], np.uint8),
        np.array([b"a", b"b"]),
        np.zeros(2, np.uint8),
        np.ones(2, np.uint8),
    )
    for entries, fine in ((two, True), (change(two), False)):
        pieces, _ = packing.pack(INFO, {Kind.MD5: entries}, bytes(32))
        made = SealedList(seal(b"".join(pieces), [key.public]))
        if fine:
            assert len(made.open(key).entries[Kind.MD5]) == 2
        else:
            with pytest.raises(SealError, match="not as it should be"):
                made.open(key)


def test_information_that_no_vault_takes_is_refused(key):
    pieces, _ = packing.pack(replace(INFO, owner=""), ENTRIES, bytes(32))
    with pytest.raises(SealError, match="not as it should be"):
        SealedList(seal(b"".join(pieces), [key.public])).open(key)


def test_no_list_and_no_recipient_are_refused(vault, key):
    with pytest.raises(ListError, match="no list of this name"):
        vault.sealed("other", key.public)
    with pytest.raises(KeyFileError, match="recipient"):
        vault.sealed("kept", "age1nobody")
