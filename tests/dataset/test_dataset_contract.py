"""What holds for every format, over every small dataset."""

import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
from dataset_cases import BUILDERS
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import complete, detect, discover, format_of
from vetset.dataset.reading import ColumnBatch
from vetset.model.errors import AlignmentError, DatasetError, OutputError, UsageError
from vetset.model.record import Record, Unreadable

MAPPING = ColumnMapping()
EACH = pytest.mark.parametrize("name", sorted(BUILDERS))


def shards_of(root):
    form = format_of(detect(root))
    return [(form, shard) for shard in discover(root)]


def all_rows(items):
    rows = []
    for item in items:
        if isinstance(item, ColumnBatch):
            rows.extend(range(item.first_row, item.first_row + len(item)))
        else:
            assert isinstance(item, Record | Unreadable)
            rows.append(item.row)
    return rows


def tree(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@EACH
def test_reading_twice_gives_the_same_digest_and_count(roots, name):
    for form, shard in shards_of(roots / name):
        outcomes = set()
        for _ in range(2):
            reading = form.read(roots / name, shard, MAPPING)
            list(reading)
            outcomes.add((reading.digest, reading.records))
        assert len(outcomes) == 1


@EACH
def test_rows_count_from_zero_without_a_gap(roots, name):
    for form, shard in shards_of(roots / name):
        reading = form.read(roots / name, shard, MAPPING)
        rows = all_rows(reading)
        assert rows == list(range(reading.records))


@EACH
def test_every_record_has_one_identity_and_one_sibling_number(roots, name):
    for form, shard in shards_of(roots / name):
        reading = form.read(roots / name, shard, MAPPING)
        list(reading)
        identities = list(form.identities(roots / name, shard))
        assert len(identities) == reading.records == len(form.siblings(roots / name, shard))
        assert all(len(identity) == 32 for identity in identities)


@EACH
def test_discovery_is_sorted_and_stable(roots, name):
    first = discover(roots / name)
    assert first == discover(roots / name) == sorted(first, key=lambda shard: shard.uri)
    assert len({shard.uri for shard in first}) == len(first)


@EACH
def test_a_reading_tells_nothing_before_its_end_and_is_iterated_once(roots, name):
    form, shard = shards_of(roots / name)[0]
    reading = form.read(roots / name, shard, MAPPING)
    iterator = iter(reading)
    next(iterator)
    with pytest.raises(UsageError):
        _ = reading.digest
    with pytest.raises(UsageError):
        iter(reading)


@EACH
def test_rows_that_are_read_again_are_the_same_records(roots, name):
    for form, shard in shards_of(roots / name):
        items = list(form.read(roots / name, shard, MAPPING))
        again = form.read_rows(roots / name, shard, range(len(items) and 10_000), MAPPING)
        if items and isinstance(items[0], ColumnBatch):
            keys = [key for batch in items for key in batch.keys.to_pylist()]
            urls = [address for batch in items for address in batch.urls.to_pylist()]
            assert [(row, again[row].key, again[row].fields.url) for row in sorted(again)] == [
                (row, key, address) for row, (key, address) in enumerate(zip(keys, urls, strict=True))
            ]
            continue
        assert sorted(again) == [item.row for item in items]
        for item in items:
            other = again[item.row]
            assert type(other) is type(item)
            assert (other.key, other.fields.url, other.fields.declared) == (
                item.key,
                item.fields.url,
                item.fields.declared,
            )
            assert other.fields.malformed == item.fields.malformed
            assert not isinstance(item, Record) or other.image == item.image


@EACH
def test_keeping_everything_copies_every_claimed_file_verbatim(roots, name, tmp_path):
    root = roots / name
    for form, shard in shards_of(root):
        count = len(list(form.identities(root, shard)))
        form.write(root, shard, np.ones(count, np.bool_), tmp_path)
    complete(detect(root), root, discover(root), tmp_path, ())
    source = tree(root)
    for uri in format_of(detect(root)).unclaimed(root):
        del source[uri]
    assert tree(tmp_path) == source


@EACH
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.1, 0.5, 0.9]))
def test_survivors_are_the_records_that_are_kept_in_order(roots, name, seed, share):
    root = roots / name
    generator = np.random.default_rng(seed)
    for form, shard in shards_of(root):
        before = list(form.identities(root, shard))
        keep = generator.random(len(before)) < share
        with tempfile.TemporaryDirectory() as scratch:
            form.write(root, shard, keep, Path(scratch))
            expected = [identity for identity, kept in zip(before, keep, strict=True) if kept]
            assert list(form.identities(Path(scratch), shard)) == expected
            reading = form.read(Path(scratch), shard, MAPPING)
            assert all_rows(reading) == list(range(len(expected)))


@EACH
def test_a_mask_of_another_length_is_refused(roots, name, tmp_path):
    form, shard = shards_of(roots / name)[0]
    with pytest.raises(AlignmentError):
        form.write(roots / name, shard, np.ones(9_999, np.bool_), tmp_path)
    assert not tree(tmp_path)


@EACH
def test_nothing_is_overwritten(roots, name, tmp_path):
    form, shard = shards_of(roots / name)[0]
    keep = np.ones(len(list(form.identities(roots / name, shard))), np.bool_)
    form.write(roots / name, shard, keep, tmp_path)
    before = tree(tmp_path)
    with pytest.raises(OutputError):
        form.write(roots / name, shard, keep, tmp_path)
    assert tree(tmp_path) == before


@EACH
def test_a_full_disk_is_an_output_error_and_leaves_nothing_half_written(roots, name, tmp_path):
    form, shard = max(shards_of(roots / name), key=lambda pair: pair[1].size)
    keep = np.ones(len(list(form.identities(roots / name, shard))), np.bool_)
    keep[0] = False
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, before[1]))
    try:
        with pytest.raises(OutputError, match="too large"):
            form.write(roots / name, shard, keep, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert all(len(data) <= 40 and not name.endswith(".partial") for name, data in tree(tmp_path).items())


@EACH
@pytest.mark.parametrize("uri", ["../elsewhere.tar", "/etc/passwd", "a/../../b", ""])
def test_a_uri_that_leaves_the_root_is_refused(roots, name, uri, tmp_path):
    form, shard = shards_of(roots / name)[0]
    stranger = type(shard)(f"{uri}#0" if form.name.value == "folder" and uri else uri, shard.format, 0, "")
    with pytest.raises(DatasetError):
        list(form.read(roots / name, stranger, MAPPING))
    with pytest.raises(DatasetError):
        form.write(roots / name, stranger, np.ones(1, np.bool_), tmp_path)


@EACH
def test_one_changed_byte_changes_the_digest(roots, name, tmp_path):
    form, shard = shards_of(roots / name)[0]
    keep = np.ones(len(list(form.identities(roots / name, shard))), np.bool_)
    form.write(roots / name, shard, keep, tmp_path)
    reading = form.read(tmp_path, shard, MAPPING)
    list(reading)
    files = [p for p in sorted(tmp_path.rglob("*")) if p.is_file()]
    path = next(p for p in files if form.name.value != "folder" or p.suffix == ".json")
    data = bytearray(path.read_bytes())
    word = next(word for word in (b"test", b"tile of", b"aption") if word in data)
    data[data.find(word)] ^= 1
    path.write_bytes(data)
    changed = form.read(tmp_path, shard, MAPPING)
    list(changed)
    assert changed.digest != reading.digest


@EACH
def test_texts_of_records_hold_no_address_and_no_key(roots, name):
    for form, shard in shards_of(roots / name):
        for item in form.read(roots / name, shard, MAPPING):
            assert "http" not in repr(item)
