"""What is stated of the records of a tar: whose JSON, whose row of the table, and that no stated address is lost."""

import hashlib
import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_cases import picture, tar_of, url
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset import fields, samples, shard_index
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.dataset.sidecar import Sidecar
from vetset.dataset.tar import RECORD
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Record, Unreadable
from vetset.model.signal import DECLARED_KINDS, URL_KINDS, Kind, Reason

WEBDATASET = format_of(Format.WEBDATASET)
MAPPING = ColumnMapping()
ALL = frozenset((*DECLARED_KINDS, *URL_KINDS))


def stated(number, **more):
    return json.dumps({"url": url(number), **more}).encode()


def shard_of(folder, members, rows=None):
    """A tar and the table beside it: rows are (key, number of the address)."""
    tar_of(folder / "00000.tar", members)
    if rows is not None:
        keys, numbers = [key for key, _ in rows], [None if number is None else url(number) for _, number in rows]
        captions = [f"caption of {number}" for _, number in rows]
        pq.write_table(pa.table({"key": keys, "url": numbers, "caption": captions}), folder / "00000.parquet")
    (shard,) = WEBDATASET.discover(folder)
    return shard


def read(folder, shard):
    """All records, which are found again by their rows as they were read."""
    items = list(WEBDATASET.read(folder, shard, MAPPING))
    assert [item.row for item in items] == list(range(len(items)))
    again = WEBDATASET.read_rows(folder, shard, range(len(items)), MAPPING)
    assert [(again[item.row].key, type(again[item.row])) for item in items] == [(one.key, type(one)) for one in items]
    told = [(item.fields.url, item.fields.declared, item.fields.malformed) for item in items]
    fields = [again[row].fields for row in range(len(items))]
    assert [(each.url, each.declared, each.malformed) for each in fields] == told
    assert len(list(WEBDATASET.identities(folder, shard, MAPPING))) == len(items)
    assert len(WEBDATASET.siblings(folder, shard, MAPPING)) == len(items)
    return items


def urls(items):
    return [item.fields.url for item in items]


def test_every_row_of_a_key_is_looked_at(tmp_path):
    shard = shard_of(tmp_path, [("a.jpg", picture(1)), ("b.jpg", picture(2))], [("a", 1), ("a", 2), ("b", 3)])
    items = read(tmp_path, shard)
    assert urls(items) == [url(1), url(3), url(2)]
    assert (items[2].key, items[2].reason) == ("a", Reason.NOT_DOWNLOADED)


def test_samples_of_one_key_have_its_rows_in_turn(tmp_path):
    members = [("a.jpg", picture(1)), ("b.jpg", picture(2)), ("a.jpg", picture(3)), ("b.jpg", picture(4))]
    shard = shard_of(tmp_path, members, [("a", 1), ("b", 2), ("a", 3)])
    assert urls(read(tmp_path, shard)) == [url(1), url(2), url(3), None]


def test_what_json_does_not_state_the_table_does(tmp_path):
    members = [("a.jpg", picture(1)), ("a.json", json.dumps({"label": 1, "md5": "0" * 32}).encode())]
    members += [("b.jpg", picture(2)), ("b.json", b"no JSON")]
    members += [("c.jpg", picture(3)), ("c.json", b'{"url": " "}')]
    items = read(tmp_path, shard_of(tmp_path, members, [("a", 1), ("b", 2), ("c", 3)]))
    assert urls(items) == [url(1), url(2), url(3)]
    assert items[0].fields.declared == {Kind.MD5: bytes(16)}
    assert items[1].fields.malformed == frozenset(DECLARED_KINDS)
    again = WEBDATASET.read_rows(tmp_path, WEBDATASET.discover(tmp_path)[0], [0], MAPPING)
    assert again[0].fields.columns == {"label": 1, "key": "a", "caption": "caption of 1"}


def test_a_row_that_contradicts_its_sample_is_a_record_and_goes_with_it(tmp_path):
    members = [("a.jpg", picture(1)), ("a.json", stated(7)), ("b.jpg", picture(2))]
    shard = shard_of(tmp_path, members, [("a", 1), ("a", 2), ("b", 3)])
    assert urls(read(tmp_path, shard)) == [url(7), url(3), url(1), url(2)]
    siblings = WEBDATASET.siblings(tmp_path, shard, MAPPING)
    assert siblings[0] == siblings[2]
    assert len(set(siblings.tolist())) == 3
    WEBDATASET.write(tmp_path, shard, np.array([False, True, False, True]), tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "00000.parquet")["url"].to_pylist() == [url(2), url(3)]


def test_of_a_picture_that_goes_no_row_is_left(tmp_path):
    members = [(f"{key}.jpg", picture(number)) for number, key in enumerate("abac")]
    shard = shard_of(tmp_path, members, [("a", 1), ("b", 2), ("a", 3), ("c", 4)])
    WEBDATASET.write(tmp_path, shard, np.array([True, True, False, True]), tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "00000.parquet")["url"].to_pylist() == [url(1), url(2), url(4)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, b"{}", b"[", 1, 2, 3])), min_size=1, max_size=6),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, 1, 2, 3])), max_size=6),
    st.integers(0, 2**16 - 1),
)
def test_no_stated_address_is_lost_and_survivors_are_what_they_were(tmp_path_factory, pictures, rows, bits):
    folder, members = tmp_path_factory.mktemp("stated"), []
    for number, (key, document) in enumerate(pictures):
        members.append((f"{key}.jpg", picture(number)))
        if document is not None:
            members.append((f"{key}.json", stated(document) if isinstance(document, int) else document))
    shard = shard_of(folder, members, rows)
    items = read(folder, shard)
    there = {url(document) for _, document in pictures if isinstance(document, int)}
    there |= {url(number) for _, number in rows if number is not None}
    assert set(urls(items)) - {None} == there
    siblings = WEBDATASET.siblings(folder, shard, MAPPING)
    keep = (bits >> (siblings % 16)) & 1 == 1
    problem = ""
    try:
        WEBDATASET.write(folder, shard, keep, folder / "out")
    except DatasetError as error:
        problem = str(error)
    if problem:  # what a dropped sample kept apart would become one
        assert "do not lie together" in problem
        return
    left = read(folder / "out", shard)
    kept = [item for item, stays in zip(items, keep.tolist(), strict=True) if stays]
    assert [(item.key, getattr(item, "image", None), item.fields.url) for item in left] == [
        (item.key, getattr(item, "image", None), item.fields.url) for item in kept
    ]


def test_each_picture_of_a_dotted_name_has_its_own_json(tmp_path):
    names = [f"example.com_{number}" for number in range(3)]
    members = [
        each for n, name in enumerate(names) for each in ((f"{name}.jpg", picture(n)), (f"{name}.json", stated(n)))
    ]
    items = read(tmp_path, shard_of(tmp_path, members))
    assert urls(items) == [url(0), url(1), url(2)]
    assert {item.key for item in items} == {"example"}
    members[3] = ("example.com_1.txt", b"a caption of the second")
    shard = shard_of(tmp_path, members)
    assert urls(read(tmp_path, shard)) == [url(0), None, url(2)]
    found = WEBDATASET.read_rows(tmp_path, shard, range(3), MAPPING)
    assert [found[row].fields.columns.get("txt") for row in range(3)] == [None, "a caption of the second", None]


def test_of_several_documents_the_one_that_fits_is_taken_or_none(tmp_path):
    members = [("a.meta.json", stated(1)), ("a.json", stated(2)), ("a.jpg", picture(1))]
    members += [("b.x.json", stated(3)), ("b.y.json", stated(4)), ("b.jpg", picture(2))]
    members += [("c.meta.json", stated(5)), ("c.jpg", picture(3))]
    members += [("d.left.json", stated(6)), ("d.left.jpg", picture(4)), ("d.right.jpg", picture(5))]
    items = read(tmp_path, shard_of(tmp_path, members))
    assert urls(items) == [url(2), None, url(5), url(6), None]
    assert [item.fields.malformed for item in items] == [frozenset(), ALL, frozenset(), frozenset(), frozenset()]


def test_of_one_sample_no_more_is_held_than_of_one_picture(tmp_path, monkeypatch):
    size = len(picture(39))
    for module in (samples, shard_index):
        monkeypatch.setattr(module, "MAX_PICTURE", 2 * size)
    members = [(f"a.{number}.jpg", picture(39 + 40 * number)) for number in range(4)] + [("b.jpg", picture(39))]
    items = read(tmp_path, shard_of(tmp_path, members))
    assert [getattr(item, "reason", None) for item in items] == [None, None, *[Reason.TOO_LARGE] * 2, None]


PICTURES = {
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(60),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(60),
    "gif": b"GIF89a" + bytes(60),
    "webp": b"RIFF\x60\0\0\0WEBPVP8 " + bytes(60),
    "tiff": b"MM\0*" + bytes(60),
    "bmp": b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(60),
    "avif": b"\0\0\0\x1cftypavif" + bytes(60),
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    "only its first bytes": b"\xff\xd8\xff",
}


@pytest.mark.parametrize("head", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("name", ["a.bin", "a.png.orig", "a", "a.txt", "a.json"])
def test_a_picture_is_one_by_how_it_begins_whatever_its_name(tmp_path, head, name):
    items = read(tmp_path, shard_of(tmp_path, [("a.jpg", picture(1)), (name, head), ("b.jpg", picture(2))]))
    assert [item.image for item in items] == [picture(1), head, picture(2)]


@pytest.mark.parametrize(
    "content", [b"", b"BMW and other cars", b"RIFF\0\0\0\0WAVEfmt ", b"\0\0\0\x18ftypisom" + bytes(40), b"II", b"{}"]
)
def test_what_does_not_begin_as_one_is_none(tmp_path, content):
    items = read(tmp_path, shard_of(tmp_path, [("a.jpg", picture(1)), ("a.bin", content), ("b.bin", content)]))
    assert [type(item) for item in items] == [Record, Unreadable]
    assert items[1].reason is Reason.NO_IMAGE


def archive_of(*members, tail=0):
    """A tar of members (name, type, content), with so many zeros more at its end."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            archive.fileobj.write(member.tobuf(tarfile.USTAR_FORMAT))
            archive.fileobj.write(content + bytes(-len(content) % 512))
            archive.offset = archive.fileobj.tell()
    return sink.getvalue() + bytes(tail)


def items_of(folder, data):
    (folder / "00000.tar").write_bytes(data)
    return list(WEBDATASET.read(folder, WEBDATASET.discover(folder)[0], MAPPING))


@pytest.mark.parametrize("kind", [b"Z", b"N", b"A", b"a", b"9", b"D", b"M", b"V"])
@pytest.mark.parametrize("content", [b"", picture(1)])
def test_a_member_that_some_readers_take_for_a_file_is_refused(tmp_path, kind, content):
    data = archive_of(("a.jpg", b"0", picture(1)), ("b.jpg", kind, content))
    if kind == b"V" and not content:  # a label
        assert len(items_of(tmp_path, data)) == 1
        return
    with pytest.raises(DatasetError, match="some readers take for a file"):
        items_of(tmp_path, data)


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.9])
def test_an_archive_whose_end_was_never_written_is_refused(tmp_path, share):
    members = [(f"{number}.jpg", b"0", hashlib.sha256(bytes([number])).digest() * 300) for number in range(60)]
    whole = archive_of(*members)
    assert len(items_of(tmp_path, whole)) == 60
    written = int(share * len(whole))
    for data in (whole[:written] + bytes(len(whole) - written), whole[:written] + bytes(50 << 20)):
        with pytest.raises(DatasetError, match=r"zeros only|truncated|checksum"):
            items_of(tmp_path, data)


@pytest.mark.parametrize("factor", [1, 2, 20, 64, 128, 256, 512, 1024, 2048])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_last_record_may_be_as_long_as_tar_can_be_told(tmp_path, factor, count):
    members = [(f"{number}.jpg", b"0", picture(number)) for number in range(count)]
    whole = archive_of(*members)
    content = whole[: sum(512 + -(-len(data) // 512) * 512 for _, _, data in members)]
    end = len(content) + 1024
    data = content + bytes(1024 + -end % (512 * factor))
    assert len(items_of(tmp_path, data)) == count
    if factor > 64:
        with pytest.raises(DatasetError, match="zeros only"):
            items_of(tmp_path, data + bytes(512 * factor + RECORD))


def test_keys_that_are_addresses_are_not_told(tmp_path):
    members = [("https://a.example/x/1.jpg", picture(1)), ("https:/a.example/2.jpg", picture(2)), ("c.jpg", picture(3))]
    rows = [("https://a.example/x/1", 1), ("c", 3), ("HTTP://a.example/9", 4)]
    items = read(tmp_path, shard_of(tmp_path, members, rows))
    assert [item.key for item in items] == ["0", "1", "c", "3"]
    assert urls(items) == [url(1), None, url(3), url(4)]


@pytest.mark.parametrize("document", [{"url": "http://a.example", "URL": "http://b.example"}, {"md5": "0", "MD5": "1"}])
def test_a_document_with_two_names_for_one_thing_costs_its_record_only(tmp_path, document):
    members = [("a.jpg", picture(1)), ("a.json", json.dumps(document).encode())]
    members += [("b.jpg", picture(2)), ("b.json", json.dumps({"id": 1, "ID": 2, "url": url(2)}).encode())]
    items = read(tmp_path, shard_of(tmp_path, members))
    assert [item.fields.malformed for item in items] == [ALL, frozenset()]
    assert urls(items) == [None, url(2)]


def test_names_of_a_document_of_very_many_are_not_remembered(tmp_path):
    before = fields._known_roles.cache_info().currsize
    many = {f"name {number}": number for number in range(fields._MOST_NAMES)} | {"url": url(1)}
    items = read(tmp_path, shard_of(tmp_path, [("a.jpg", picture(1)), ("a.json", json.dumps(many).encode())]))
    assert urls(items) == [url(1)]
    assert fields._known_roles.cache_info().currsize == before


def test_the_table_is_gone_through_once_for_all_rows_that_are_read_again(tmp_path, monkeypatch):
    members = [each for n in range(9) for each in ((f"{n}.jpg", picture(n)), (f"{n}.json", stated(n)))]
    shard = shard_of(tmp_path, members, [(str(n), n) for n in range(12)])
    asked, full_fields = [], Sidecar.full_fields
    monkeypatch.setattr(Sidecar, "full_fields", lambda self, rows: asked.append(set(rows)) or full_fields(self, rows))
    found = WEBDATASET.read_rows(tmp_path, shard, [1, 4, 7, 10], MAPPING)
    assert asked == [{1, 4, 7, 10}]
    assert [found[row].fields.columns["caption"] for row in sorted(found)] == [f"caption of {n}" for n in (1, 4, 7, 10)]


def test_of_json_and_table_nothing_is_told_that_may_be_a_picture(tmp_path):
    document = json.dumps({"url": url(1), "long": "x" * (fields.MAX_COLUMN + 1), "none": None, "short": "y"}).encode()
    tar_of(tmp_path / "00000.tar", [("a.jpg", picture(1)), ("a.json", document)])
    cells = {"key": ["a"], "url": [url(1)], "stored": [b"\xff\xd8\xff" * 99], "small": [b"z"], "score": [0.5]}
    pq.write_table(pa.table(cells), tmp_path / "00000.parquet")
    (shard,) = WEBDATASET.discover(tmp_path)
    told = WEBDATASET.read_rows(tmp_path, shard, [0], MAPPING)[0].fields.columns
    assert told == {"none": None, "short": "y", "key": "a", "score": 0.5}


def test_keys_that_are_numbers_belong_to_names_with_zeros(tmp_path):
    tar_of(tmp_path / "00000.tar", [("000000001.jpg", picture(1)), ("0000.jpg", picture(2)), ("x.jpg", picture(3))])
    pq.write_table(pa.table({"key": [0, 1, 2], "url": [url(0), url(1), url(2)]}), tmp_path / "00000.parquet")
    items = read(tmp_path, WEBDATASET.discover(tmp_path)[0])
    assert urls(items) == [url(1), url(0), None, url(2)]


@pytest.mark.parametrize("keys", [pa.array([0.0, 1.0, None]), pa.array([0, 1, None]).dictionary_encode()])
def test_keys_that_pandas_or_a_dictionary_holds_as_numbers_do_too(tmp_path, keys):
    tar_of(tmp_path / "00000.tar", [("000000001.jpg", picture(1)), ("0000.jpg", picture(2)), ("2.jpg", picture(3))])
    pq.write_table(pa.table({"key": keys, "url": [url(0), url(1), url(2)]}), tmp_path / "00000.parquet")
    items = read(tmp_path, WEBDATASET.discover(tmp_path)[0])
    assert urls(items) == [url(1), url(0), None, url(2)]
    assert isinstance(items[3], Unreadable)


def test_names_that_are_one_number_have_its_rows_in_turn(tmp_path):
    tar_of(tmp_path / "00000.tar", [("01.jpg", picture(1)), ("1.jpg", picture(2))])
    pq.write_table(pa.table({"key": [1, 1], "url": [url(0), url(1)]}), tmp_path / "00000.parquet")
    assert urls(read(tmp_path, WEBDATASET.discover(tmp_path)[0])) == [url(0), url(1)]


def test_a_row_without_a_key_is_no_sample_s(tmp_path):
    shard = shard_of(tmp_path, [("1.jpg", picture(1))], [("x", 0), (None, 1), ("1", 2)])
    assert urls(read(tmp_path, shard)) == [url(2), url(0), url(1)]


def test_a_picture_that_is_called_like_a_note_is_a_record_and_goes(tmp_path):
    members = [("__meta__", b"{}"), ("__a.jpg__", b"\xff\xd8\xff-"), ("b.jpg", picture(1))]
    shard = shard_of(tmp_path / "source", members)
    assert [(item.key, item.image) for item in read(tmp_path / "source", shard)] == [
        ("__a", b"\xff\xd8\xff-"),
        ("b", picture(1)),
    ]
    WEBDATASET.write(tmp_path / "source", shard, np.array([False, True]), tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "00000.tar") as archive:
        assert archive.getnames() == ["__meta__", "b.jpg"]
