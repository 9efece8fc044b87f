"""Records come out in their order, each with the digests that it has alone; few are read ahead."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.record import Fields, Record, Unreadable
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Kind, NoSignal, Reason, Signal
from vetset.signal.digest import digest, url_digest
from vetset.stage import digested as module
from vetset.stage.digested import BYTES_AHEAD, MOST_AHEAD, byte_digests, digested

KINDS = (*BYTE_KINDS, *URL_KINDS, Kind.PDQ, Kind.PHOTODNA)


def alone(item):
    """What a record comes to by the plain functions, one at a time."""
    found = []
    for kind in BYTE_KINDS:
        if isinstance(item, Unreadable):
            found.append(NoSignal(kind, item.reason))
        else:
            empty = NoSignal(kind, Reason.EMPTY_FILE)
            found.append(Signal(kind, digest(item.image, kind)) if item.image else empty)
    url = item.fields.url
    for kind in URL_KINDS:
        if url is None:
            found.append(NoSignal(kind, Reason.ABSENT_COLUMN))
        else:
            found.append(Signal(kind, url_digest(url, kind)) if url.strip() else NoSignal(kind, Reason.NULL_VALUE))
    return found


URLS = (
    st.none() | st.sampled_from(["", "  ", "https://pictures.example/\ud800", "https://pictures.example/ä"]) | st.text()
)
SIZES = st.none() | st.integers(0, 5000)


@given(st.lists(st.tuples(SIZES, URLS), max_size=150))
@settings(max_examples=60, deadline=None)
def test_every_record_has_the_digests_that_it_has_alone(given_items):
    random = np.random.default_rng(len(given_items))
    items = [
        Unreadable(row, str(row), Reason.NO_IMAGE, Fields(url=url))
        if size is None
        else Record(row, str(row), random.bytes(size), Fields(url=url))
        for row, (size, url) in enumerate(given_items)
    ]
    found = list(digested(items, KINDS))
    assert [item for item, _ in found] == items
    assert [answers for _, answers in found] == [alone(item) for item in items]


@pytest.mark.parametrize("kinds", [(), (Kind.SHA1,), (Kind.URL_MD5,), (Kind.PDQ,), (Kind.URL_SHA256, Kind.MD5)])
def test_no_other_kinds_than_those_that_are_asked_for(kinds):
    item = Record(0, "0", b"picture", Fields(url="https://pictures.example/"))
    (answers,) = (answers for _, answers in digested([item], kinds))
    assert {answer.kind for answer in answers} == set(kinds) - {Kind.PDQ}


@pytest.mark.parametrize(
    ("size", "ahead"), [(10, MOST_AHEAD), (BYTES_AHEAD // 4, 4), (BYTES_AHEAD, 1), (0, MOST_AHEAD)]
)
def test_so_many_are_read_ahead_and_so_many_bytes(size, ahead):
    read = []

    def records():
        for row in range(3 * MOST_AHEAD):
            read.append(row)
            yield Record(row, str(row), bytes(size), Fields())

    for row, _ in enumerate(digested(records(), ())):
        assert len(read) == min((row // ahead + 1) * ahead, 3 * MOST_AHEAD)


def test_digests_of_many_pictures_go_through_the_lanes(monkeypatch):
    images = [bytes([number]) * 100 for number in range(MOST_AHEAD)]
    asked = []
    inner = module.digests
    monkeypatch.setattr(
        module, "digests", lambda texts, kinds: asked.append((len(texts), kinds)) or inner(texts, kinds)
    )
    assert len(byte_digests(images, (Kind.MD5, Kind.SHA256, Kind.PDQ))) == MOST_AHEAD
    assert asked == [(MOST_AHEAD, [Kind.MD5, Kind.SHA256])]
