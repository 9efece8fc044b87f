import hashlib
import io
import json
import re
import tarfile
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vetset.demo.build import build_dataset
from vetset.demo.edits import EDITS, opened
from vetset.demo.odd import DAMAGE, ENCODINGS
from vetset.demo.photographs import Tile
from vetset.demo.plan import EDITS_PER_ITEM
from vetset.model.errors import OutputError, UsageError
from vetset.model.signal import Kind


@pytest.fixture(scope="module")
def members(planted, place):
    """Content of every archive: shard -> {name: bytes}, in stored order."""
    shards = sorted({record.shard for record in planted.records})
    contents = {}
    for shard in shards:
        with tarfile.open(place / "dataset" / f"{shard}.tar") as archive:
            contents[shard] = {member.name: archive.extractfile(member).read() for member in archive}
    return contents


@pytest.fixture(scope="module")
def rows(planted, place):
    """Rows of every Parquet file: shard -> list of dicts."""
    shards = sorted({record.shard for record in planted.records})
    return {shard: pq.read_table(place / "dataset" / f"{shard}.parquet").to_pylist() for shard in shards}


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_and_labels(tmp_path):
    first = build_dataset(tmp_path / "a", seed=3, records=160, shards=2)
    second = build_dataset(tmp_path / "b", seed=3, records=160, shards=2)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert first == second


def test_another_seed_gives_other_pictures(tmp_path, planted):
    other = build_dataset(tmp_path, seed=8, records=300, shards=3)
    assert {item.label for item in other.items} != {item.label for item in planted.items}


def test_a_shard_is_three_files(planted, place):
    stems = {record.shard for record in planted.records}
    names = {f"{stem}{suffix}" for stem in stems for suffix in (".tar", ".parquet", "_stats.json")}
    assert {path.name for path in (place / "dataset").iterdir()} == names


def test_keys_are_shard_and_row_in_nine_digits(planted):
    for record in planted.records:
        assert record.key == record.shard + f"{record.row:04d}"


def test_archives_hold_exactly_the_records_that_have_a_picture(planted, members):
    for shard, content in members.items():
        keys = [record.key for record in planted.records if record.shard == shard and record.image is not None]
        assert list(content) == [f"{key}.{suffix}" for key in keys for suffix in ("jpg", "json", "txt")]


def test_stored_bytes_are_the_labelled_ones(planted, members):
    for record in planted.records:
        assert members[record.shard].get(f"{record.key}.jpg") == record.image


def test_json_members_repeat_the_parquet_rows(planted, members, rows):
    for record in planted.records:
        if record.image is not None:
            assert json.loads(members[record.shard][f"{record.key}.json"]) == rows[record.shard][record.row]


def test_text_members_are_the_captions(planted, members, rows):
    for record in planted.records:
        if record.image is not None:
            text = members[record.shard][f"{record.key}.txt"].decode()
            assert text == rows[record.shard][record.row]["caption"]


def test_failed_downloads_are_rows_without_digest_or_size(planted, rows):
    failed = [rows[record.shard][record.row] for record in planted.records if record.role == "failed"]
    assert len(failed) >= 3
    for row in failed:
        assert row["status"] == "failed_to_download"
        assert row["error_message"]
        assert [row[name] for name in ("width", "height", "original_width", "exif", "md5")] == [None] * 5


def test_declared_digests_are_of_the_stored_bytes_except_where_the_picture_was_resized(planted, rows):
    originals = {item.name: item.original for item in planted.items}
    for record in planted.records:
        if record.image is not None:
            hashed = originals[record.known] if record.role == "resized" else record.image
            assert rows[record.shard][record.row]["md5"] == hashlib.md5(hashed).hexdigest()


def test_stated_sizes_are_those_of_the_pictures(planted, rows):
    for record in planted.records:
        row = rows[record.shard][record.row]
        if record.image is None or record.role in {f"damaged:{name}" for name in ("random_bytes", "empty", "text")}:
            assert row["width"] is None
        else:
            with Image.open(io.BytesIO(record.image)) as image:
                assert (row["width"], row["height"]) == image.size


def test_the_resized_record_is_smaller_than_its_download(planted, rows):
    [record] = [record for record in planted.records if record.role == "resized"]
    row = rows[record.shard][record.row]
    assert row["width"] < row["original_width"]


def test_statistics_count_the_rows(planted, place):
    for shard in sorted({record.shard for record in planted.records}):
        stats = json.loads((place / "dataset" / f"{shard}_stats.json").read_text())
        mine = [record for record in planted.records if record.shard == shard]
        failed = sum(record.image is None for record in mine)
        assert (stats["count"], stats["successes"], stats["failed_to_download"]) == (
            len(mine),
            len(mine) - failed,
            failed,
        )
        assert sum(stats["status_dict"].values()) == len(mine)


def test_addresses_are_unique_and_point_nowhere(planted, rows):
    addresses = [row["url"] for shard in rows.values() for row in shard]
    assert len(set(addresses)) == len(addresses) == len(planted.records)
    assert all(re.fullmatch(r"https://example\.org/[pk]/[0-9-]+\.jpg", address) for address in addresses)


def test_every_role_is_there(planted):
    roles = Counter(record.role for record in planted.records)
    wanted = {"distractor", "original", "resized", "failed", *(f"edit:{name}" for name in EDITS)}
    wanted |= {f"odd:{name}" for name in ENCODINGS} | {f"damaged:{name}" for name in DAMAGE}
    assert wanted <= set(roles)
    assert {role.partition(":")[0] for role in roles} == {
        "distractor", "original", "resized", "failed", "edit", "odd", "damaged", "copy",
    }  # fmt: skip


def test_every_stored_item_has_its_original_and_as_many_different_edits(planted):
    *stored, _, _ = planted.items
    for item in stored:
        roles = Counter(record.role for record in planted.records if record.known == item.name)
        assert roles["original"] == 1
        assert sum(role.startswith("edit:") for role in roles) == EDITS_PER_ITEM


def test_records_of_a_known_item_show_it_in_the_labelled_way(planted):
    items = {item.name: item for item in planted.items}
    for record in planted.records:
        if record.known is None:
            continue
        item = items[record.known]
        role, _, name = record.role.partition(":")
        made = {
            "original": lambda item, _: item.original,
            "edit": lambda item, name: EDITS[name](item.original),
            "odd": lambda item, name: ENCODINGS[name](opened(item.original)),
            "damaged": lambda item, name: DAMAGE[name](item.original, np.random.default_rng(0)),
        }
        if role in made:
            assert record.label == item.label
            assert record.image == made[role](item, name), record.role


def test_distractors_and_originals_show_the_tile_of_their_label(planted, photographs):
    by_name = {photograph.name: photograph for photograph in photographs}
    for record in planted.records:
        if record.role in {"distractor", "original"}:
            name, _, box = record.label.partition("/")
            tile = Tile(by_name[name], tuple(int(edge) for edge in box.split("-")), 0.0)
            stored = opened(record.image)
            expected = tile.picture(max(stored.size))
            assert stored.size == expected.size
            assert np.abs(np.asarray(stored, float) - np.asarray(expected, float)).mean() < 12


def test_copies_of_distractors_share_the_label_of_one(planted):
    distractors = {record.label: record for record in planted.records if record.role == "distractor"}
    copies = [record for record in planted.records if record.role.startswith("copy:")]
    assert copies
    for record in copies:
        assert record.known is None
        assert record.image == EDITS[record.role.partition(":")[2]](distractors[record.label].image)


def test_the_absent_item_has_an_address_and_no_picture(planted, rows):
    absent = planted.items[-1]
    [record] = [record for record in planted.records if record.known == absent.name]
    assert record.role == "failed"
    assert rows[record.shard][record.row]["url"] == absent.url
    assert absent.listed == (Kind.URL_SHA256,)


def test_known_items_come_from_many_photographs(planted):
    photographs = Counter(item.label.partition("/")[0] for item in planted.items)
    assert max(photographs.values()) <= 1 + len(planted.items) // len(photographs)


def test_labels_as_json_hold_no_bytes_and_no_address(planted):
    text = json.dumps(planted.to_json())
    assert "http" not in text
    assert len(json.loads(text)["records"]) == len(planted.records)


def test_records_show_themselves_without_bytes_or_addresses(planted):
    assert "http" not in repr(planted.items[0])
    assert "\\x" not in repr(planted.records[0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"records": 100}, "at least 160"),
        ({"records": 200, "shards": 0}, "do not fit"),
        ({"records": 20_001, "shards": 2}, "do not fit"),
    ],
)
def test_impossible_sizes_are_refused(tmp_path, settings, words):
    with pytest.raises(UsageError, match=words):
        build_dataset(tmp_path, **settings)


def test_a_taken_place_is_refused(planted, place):
    with pytest.raises(OutputError, match="taken"):
        build_dataset(place, seed=7, records=300, shards=3)
