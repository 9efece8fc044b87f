import csv
import hashlib
from collections import Counter

import numpy as np
import pytest

from vetset.demo.build import build_dataset
from vetset.demo.edits import opened
from vetset.demo.lists import FAR_EDITS, write_lists
from vetset.model.signal import Kind
from vetset.signal.pdq import pdq

DIGESTS = {Kind.MD5: hashlib.md5, Kind.SHA1: hashlib.sha1, Kind.SHA256: hashlib.sha256}


@pytest.fixture(scope="module")
def first(lists):
    """The first list as (kind, value) pairs, read from its CSV form."""
    with lists.known_csv.open(newline="") as file:
        return {
            (Kind(name), bytes.fromhex(value))
            for row in csv.DictReader(file)
            for name, value in row.items()
            if name != "id" and value
        }


def pairs(path):
    return [(Kind(kind), bytes.fromhex(value)) for kind, value in map(str.split, path.read_text().splitlines())]


def values(item):
    """Every value that some list could hold of an item."""
    made = {kind: digest(item.original).digest() for kind, digest in DIGESTS.items()}
    made[Kind.URL_SHA256] = hashlib.sha256(item.url.encode()).digest()
    made[Kind.PDQ] = pdq(np.asarray(opened(item.original)))[0]
    return made


def test_both_forms_of_the_first_list_hold_the_same_entries(lists, first):
    lines = pairs(lists.known_txt)
    assert len(set(lines)) == len(lines)
    assert set(lines) == first


def test_values_have_the_width_of_their_kind(lists, first):
    assert all(len(value) == kind.width for kind, value in [*first, *pairs(lists.second_txt)])


def test_the_first_list_holds_of_every_item_what_it_says_and_nothing_more(planted, first):
    for item in planted.items:
        held = tuple(kind for kind, value in values(item).items() if (kind, value) in first)
        assert set(held) == set(item.listed), item.name


def test_every_way_of_being_listed_occurs(planted):
    alone = Counter(item.listed[0] for item in planted.items if len(item.listed) == 1)
    assert {Kind.MD5, Kind.PDQ, Kind.SHA256, Kind.URL_SHA256} <= set(alone)
    assert any(len(item.listed) > 1 for item in planted.items)


def test_no_distractor_is_on_a_list(planted, lists, first):
    listed = first | set(pairs(lists.second_txt))
    for record in planted.records:
        if record.known is None and record.image is not None:
            assert not {(kind, digest(record.image).digest()) for kind, digest in DIGESTS.items()} & listed


def test_the_second_list_holds_the_chosen_edits(planted, lists):
    second = set(pairs(lists.second_txt))
    images = {record.key: record.image for record in planted.records}
    for key, kind in lists.second.items():
        image = images[key]
        value = pdq(np.asarray(opened(image)))[0] if kind is Kind.PDQ else DIGESTS[kind](image).digest()
        assert (kind, value) in second


def test_the_second_list_is_about_half_of_what_the_first_cannot_reach(planted, lists):
    listed = {item.name: item.listed for item in planted.items}
    beyond = [
        record.key
        for record in planted.records
        if record.role.startswith("edit:")
        and record.role != "edit:exact"
        and (record.role.removeprefix("edit:") in FAR_EDITS or Kind.PDQ not in listed[record.known])
    ]
    assert set(lists.second) <= set(beyond)
    assert abs(2 * len(lists.second) - len(beyond)) <= 1
    assert len(lists.second) >= 5


def test_both_lists_are_mostly_about_something_else(planted, lists, first):
    assert len(first) > 50 * len(planted.items)
    assert len(pairs(lists.second_txt)) > 20 * len(lists.second)


def test_unrelated_pdq_entries_look_like_pdq_and_match_nothing(planted, first):
    codes = np.array([np.frombuffer(value, np.uint8) for kind, value in sorted(first) if kind is Kind.PDQ])
    bits = np.unpackbits(codes, axis=1).astype(np.float32)
    assert (np.abs(bits.sum(axis=1) - 128) <= 1).mean() > 0.99
    distractors = [record for record in planted.records if record.role == "distractor"][:60]
    mine = np.array([np.frombuffer(pdq(np.asarray(opened(record.image)))[0], np.uint8) for record in distractors])
    mine = np.unpackbits(mine, axis=1).astype(np.float32)
    assert (mine @ (1 - bits).T + (1 - mine) @ bits.T).min() > 40


def test_the_same_dataset_gives_the_same_lists(planted, lists, tmp_path):
    again = write_lists(build_dataset(tmp_path, seed=7, records=300, shards=3), tmp_path)
    for name in ("known_csv", "known_txt", "second_txt"):
        assert getattr(again, name).read_bytes() == getattr(lists, name).read_bytes()
