"""Folders of pictures: what belongs to a picture, how many make a shard, which links are refused."""

import json

import numpy as np
import pytest
from dataset_cases import FIXTURE, document, folder_nested, md5_of, picture, url

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import detect, discover, format_of
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Unreadable
from vetset.model.signal import Kind, Reason

FOLDER = format_of(Format.FOLDER)
MAPPING = ColumnMapping()


def items_of(root):
    return [item for shard in discover(root) for item in FOLDER.read(root, shard, MAPPING)]


def test_keys_are_paths_and_json_gives_address_and_digest(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jpg").write_bytes(picture(1))
    (tmp_path / "a" / "b.json").write_bytes(document(1))
    (item,) = items_of(tmp_path)
    assert (item.key, item.image, item.fields.url) == ("a/b.jpg", picture(1), url(1))
    assert item.fields.declared[Kind.MD5].hex() == md5_of(1)


@pytest.mark.parametrize(
    ("documents", "meant"),
    [
        (["a.aesthetic.json", "a.json"], "a.json"),
        (["a.json", "a.meta.json"], "a.json"),
        (["a.jpg.json", "a.json"], "a.jpg.json"),
        (["a.jpg.json", "a.jpg.aesthetic.json"], "a.jpg.json"),
        (["a.meta.json"], "a.meta.json"),
        (["a.aesthetic.json", "a.meta.json"], None),
        (["a.JSON", "a.json"], None),
    ],
)
def test_of_several_documents_the_one_of_the_picture_s_name_counts_or_none(tmp_path, documents, meant):
    (tmp_path / "a.jpg").write_bytes(picture(1))
    for number, name in enumerate(documents):
        (tmp_path / name).write_bytes(document(number))
    (item,) = items_of(tmp_path)
    if meant is None:
        assert item.fields.url is None
        assert item.fields.malformed >= {Kind.URL_MD5, Kind.URL_SHA256, Kind.MD5}
    else:
        assert item.fields.url == url(documents.index(meant))


def test_the_real_tool_s_files_mode_is_read_with_its_json():
    root = FIXTURE / "files"
    assert detect(root) is Format.FOLDER
    for item in items_of(root):
        stated = json.loads((root / item.key).with_suffix(".json").read_text())
        assert (item.fields.url, item.fields.declared[Kind.MD5].hex()) == (stated["url"], stated["md5"])


def test_an_empty_picture_is_unreadable(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (item,) = items_of(tmp_path)
    assert isinstance(item, Unreadable)
    assert item.reason is Reason.EMPTY_FILE


def test_files_of_no_picture_are_listed(tmp_path):
    folder_nested(tmp_path)
    assert FOLDER.unclaimed(tmp_path) == ["notes.md", "readme"]


def test_shared_sidecars_stay_while_one_picture_stays(tmp_path):
    source = tmp_path / "source"
    folder_nested(source)
    shard = next(shard for shard in discover(source) if shard.uri == ".#0")
    keys = [item.key for item in FOLDER.read(source, shard, MAPPING)]
    assert keys == ["both.jpg", "both.png", "top.jpg"]
    assert FOLDER.siblings(source, shard).tolist() == [0, 0, 1]
    FOLDER.write(source, shard, np.array([False, True, False]), tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["both.json", "both.png"]
    FOLDER.write(source, shard, np.array([False, False, True]), tmp_path / "none")
    kept = sorted(path.name for path in (tmp_path / "none").iterdir())
    assert kept == ["top.caption.txt", "top.jpg", "top.json", "top.txt"]


def test_a_sidecar_that_begins_as_a_picture_is_one(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    for number, name in enumerate(["a.jpg", "a.orig", "a.jpg.bak", "b.jpg"]):
        (source / name).write_bytes(b"\xff\xd8\xff%d" % number)
    (source / "a.json").write_bytes(document(1))
    (source / "a.xml").write_bytes(b"<x/>")
    (shard,) = discover(source)
    items = list(FOLDER.read(source, shard, MAPPING))
    told = [("a.jpg", 0), ("a.jpg.bak", 2), ("a.orig", 1), ("b.jpg", 3)]
    assert [(item.key, item.image) for item in items] == [(name, b"\xff\xd8\xff%d" % number) for name, number in told]
    assert [item.fields.url for item in items] == [url(1)] * 3 + [None]
    assert FOLDER.siblings(source, shard).tolist() == [0, 0, 0, 1]
    again = FOLDER.read_rows(source, shard, range(4), MAPPING)
    assert [(again[row].key, again[row].image) for row in range(4)] == [(item.key, item.image) for item in items]
    assert not {"orig", "bak", "jpg"} & set(again[1].fields.columns)
    assert FOLDER.unclaimed(source) == []
    FOLDER.write(source, shard, np.array([False, False, False, True]), out)
    assert [path.name for path in out.iterdir()] == ["b.jpg"]
    assert list(FOLDER.identities(out, shard)) == list(FOLDER.identities(source, shard))[3:]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    root = tmp_path_factory.mktemp("crowded")
    for number in range(2_300):
        (root / f"{number:05d}.jpg").write_bytes(b"%d" % number)
    return root


def test_a_crowded_folder_is_dealt_to_shards_of_at_most_a_thousand(crowded):
    shards = discover(crowded)
    sizes = [len(list(FOLDER.read(crowded, shard, MAPPING))) for shard in shards]
    assert sum(sizes) == 2_300
    assert max(sizes) <= 1_000
    assert shards[0].uri == ".#0of4"


def test_a_shard_of_a_crowded_folder_means_the_same_records_in_a_cleaned_copy(crowded, tmp_path):
    generator = np.random.default_rng(5)
    survivors = {}
    for shard in discover(crowded):
        before = list(FOLDER.identities(crowded, shard))
        keep = generator.random(len(before)) < 0.2
        FOLDER.write(crowded, shard, keep, tmp_path)
        survivors[shard] = [identity for identity, kept in zip(before, keep, strict=True) if kept]
    assert [shard.uri for shard in discover(tmp_path)] == [".#0"]
    for shard, expected in survivors.items():
        assert list(FOLDER.identities(tmp_path, shard)) == expected


@pytest.mark.parametrize("target", ["outside.jpg", "/etc/hostname", "gone.jpg", "."])
def test_links_out_of_the_root_to_folders_or_nowhere_are_refused(tmp_path, target):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "outside.jpg").write_bytes(picture(1))
    (root / "sub" / "link.jpg").symlink_to(tmp_path / target if target == "outside.jpg" else target)
    for act in (detect, lambda root: discover(root, Format.FOLDER)):
        with pytest.raises(DatasetError, match="sub: a symbolic link"):
            act(root)


@pytest.mark.parametrize("name", ["00001.tar", "train.parquet", "sub/train.ARROW"])
def test_a_link_in_place_of_a_shard_is_named(tmp_path, name):
    link = tmp_path / "root" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "outside")
    with pytest.raises(DatasetError, match=rf"^{name}: a symbolic link"):
        detect(tmp_path / "root")


def test_a_link_to_a_file_of_the_same_dataset_is_a_record(tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture(1))
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    assert [(item.key, item.image) for item in items_of(tmp_path)] == [("a.jpg", picture(1)), ("b.jpg", picture(1))]


def test_a_name_as_long_as_names_can_be_is_copied(tmp_path):
    name = "n" * 251 + ".jpg"
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / name).write_bytes(picture(1))
    (shard,) = discover(tmp_path / "source")
    FOLDER.write(tmp_path / "source", shard, np.ones(1, np.bool_), tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == picture(1)


def test_a_name_that_is_no_utf8_is_escaped_in_the_key(tmp_path):
    (tmp_path / "a\udcff.jpg").write_bytes(picture(1))
    (item,) = items_of(tmp_path)
    assert item.key == "a\\xff.jpg"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.tar"], Format.WEBDATASET), (["a.tar", "a.parquet", "a_stats.json"], Format.WEBDATASET),
        (["a.parquet", "sub/b.parquet"], Format.PARQUET), (["sub/a.JPG", "x.txt"], Format.FOLDER),
        (["0/a.jpg", "0.parquet", "0_stats.json"], Format.FOLDER),
    ],
)  # fmt: skip
def test_formats_are_told_by_suffix(tmp_path, files, expected):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert detect(tmp_path) is expected


@pytest.mark.parametrize(
    ("files", "seen"),
    [([], "no files"), (["a.tar", "b.jpg"], "1 .tar"), (["a.parquet", "b.jpg"], "1 .parquet"), (["a.tar.gz"], "1 .gz")],
)
def test_an_unclear_place_says_what_was_seen(tmp_path, files, seen):
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match=seen):
        detect(tmp_path)


def test_a_place_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no dataset"):
        detect(tmp_path / "gone")


def test_a_named_format_without_shards_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(DatasetError, match="no shards of format parquet"):
        discover(tmp_path, Format.PARQUET)
