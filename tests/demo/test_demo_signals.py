"""The dataset as vetset itself reads it: nothing is lost, and what is no picture is said to be none."""

import pytest

from vetset.dataset.columns import DEFAULT_MAPPING
from vetset.dataset.webdataset import WebdatasetFormat
from vetset.model.record import Record, Unreadable
from vetset.model.signal import Kind, NoSignal, Reason, Signal
from vetset.signal.fingerprint import fingerprint


@pytest.fixture(scope="module")
def read(planted, place):
    form, root = WebdatasetFormat(), place / "dataset"
    return [record for shard in form.discover(root) for record in form.read(root, shard, DEFAULT_MAPPING)]


def test_the_reader_yields_every_record_with_its_bytes(planted, read):
    stored = {record.key: record.image for record in read if isinstance(record, Record)}
    expected = {record.key: record.image for record in planted.records if record.image}
    assert {key: image for key, image in stored.items() if image} == expected
    assert sorted(record.key for record in read) == [record.key for record in planted.records]


def test_failed_downloads_are_read_as_not_downloaded(planted, read):
    failed = {record.key for record in planted.records if record.role == "failed"}
    assert {r.key for r in read if isinstance(r, Unreadable) and r.reason is Reason.NOT_DOWNLOADED} == failed


@pytest.mark.parametrize(
    ("damage", "reasons"),
    [
        ("truncated_jpeg", {Reason.TRUNCATED}),
        ("random_bytes", {Reason.UNKNOWN_ENCODING, Reason.UNDECODABLE}),
        ("empty", {Reason.EMPTY_FILE}),
        ("flat", {Reason.LOW_QUALITY}),
        ("text", {Reason.UNKNOWN_ENCODING, Reason.UNDECODABLE}),
    ],
)
def test_damage_is_undecided_for_a_stated_reason(planted, damage, reasons):
    images = [record.image for record in planted.records if record.role == f"damaged:{damage}"]
    answers = [fingerprint(image, kinds=[Kind.PDQ])[0] for image in images]
    assert len(answers) >= 3
    assert all(isinstance(answer, NoSignal) and answer.reason in reasons for answer in answers)


def test_odd_encodings_of_a_known_item_give_a_hash_near_the_original(planted):
    items = {item.name: item for item in planted.items}
    odd = [record for record in planted.records if record.role.startswith("odd:") and record.known]
    assert len(odd) >= 9
    for record in odd:
        [mine] = fingerprint(record.image, kinds=[Kind.PDQ])
        [original] = fingerprint(items[record.known].original, kinds=[Kind.PDQ])
        assert isinstance(mine, Signal), record.role
        apart = int.from_bytes(mine.value, "big") ^ int.from_bytes(original.value, "big")
        assert apart.bit_count() <= 20, record.role
