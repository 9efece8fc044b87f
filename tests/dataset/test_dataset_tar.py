"""The header walk against Python's tarfile, and against damage."""

import contextlib
import io
import tarfile

import numpy as np
import pytest
from dataset_cases import add, md5_of, picture, sample, table_beside, tar_of, url
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import discover, format_of
from vetset.dataset.samples import split_name
from vetset.dataset.tar import TarWalk
from vetset.dataset.tar_headers import common_members
from vetset.dataset.webdataset import pack
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Record, Unreadable
from vetset.model.signal import Kind, Reason

WEBDATASET = format_of(Format.WEBDATASET)
MAPPING = ColumnMapping()


def walked(data):
    walk = TarWalk(io.BytesIO(data), len(data), "x.tar")
    return [(member.name.decode("utf-8", "surrogateescape"), walk.content(member)) for member in walk if member.regular]


class Forward(io.BytesIO):
    """A stream that cannot go back."""

    def seekable(self):
        return False


def told(stream, size):
    """Members with their contents, and how the walk ended: where it does not, what was the matter and where."""
    walk, found = TarWalk(stream, size, "x.tar"), []
    ways = [lambda _: b"", lambda member: walk.beginning(member, 5), walk.content]
    try:
        found += ((member, ways[number % 3](member)) for number, member in enumerate(walk))
    except DatasetError as error:
        return found, str(error)
    return found, walk.content_end


def archived(members, form, mtime=0.0):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in members:
            add(archive, name, data, mtime)
    return buffer.getvalue()


def items_of(root):
    (shard,) = WEBDATASET.discover(root)
    return list(WEBDATASET.read(root, shard, MAPPING))


NAMES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=300).map(
    lambda name: "m" + name.rstrip("/")
)


@settings(max_examples=60, deadline=None)
@given(
    members=st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=6),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    mtime=st.sampled_from([0.0, 1.5]),
)
def test_the_walk_yields_what_tarfile_yields(members, form, mtime):
    data = archived(members, form, mtime)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(member.name, archive.extractfile(member).read()) for member in archive]
    assert walked(data) == expected


HEADERS = st.tuples(st.integers(0, 40), st.integers(0, 511), st.integers(0, 255), st.booleans())
"""Damage: in which block, where, to what, and whether the checksum is put right."""


@settings(max_examples=200, deadline=None)
@given(
    members=st.lists(st.tuples(NAMES.map(lambda name: name[:120]), st.binary(max_size=1500)), max_size=8),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]),
    mtime=st.sampled_from([0.0, 1.5]),
    damage=st.lists(HEADERS, max_size=2),
    window=st.sampled_from([512, 1536, 4000, 1 << 20]),
)
def test_common_members_are_those_of_the_walk_that_looks_at_each(members, form, mtime, damage, window):
    try:
        data = bytearray(archived(members, form, mtime))
    except ValueError:  # a name that is too long for this form
        return
    for block, place, value, mended in damage:
        start = block % (len(data) // 512) * 512
        data[start + place] = value
        if mended:
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    data = bytes(data)
    ahead = io.BufferedReader(Forward(data), window)
    assert told(ahead, len(data)) == told(Forward(data), len(data)) == told(io.BytesIO(data), len(data))


def test_img2datasets_members_are_all_common():
    data = archived([(f"{number:09d}.jpg", bytes(40 * number)) for number in range(300)], tarfile.PAX_FORMAT, 1.5)
    first = common_members(data, len(data))
    rest = first[-1][-1]
    walk = TarWalk(io.BytesIO(data), len(data), "x.tar")
    assert [(start, data, size, end) for start, _, _, data, size, end in first] == [
        (member.start, member.data, member.size, member.end) for _, member in zip(first, walk, strict=False)
    ]
    assert len(first) + len(common_members(data[rest:], len(data) - rest)) == 300


def test_ustar_prefixes_are_joined():
    name = "d" * 90 + "/" + "e" * 60 + ".jpg"
    assert walked(archived([(name, b"x")], tarfile.USTAR_FORMAT)) == [(name, b"x")]


@settings(max_examples=120, deadline=None)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_a_flipped_bit_is_read_or_refused_but_nothing_else(at, bit, form):
    data = bytearray(archived([*sample("a" * 120, 1), *sample("b", 2)], form, 0.5))
    data[at % len(data)] ^= 1 << bit
    with contextlib.suppress(DatasetError):
        assert isinstance(walked(bytes(data)), list)


def test_every_flipped_bit_of_a_plain_header_is_refused():
    whole = archived(sample("a", 1), tarfile.USTAR_FORMAT)
    for at in range(512):
        data = bytearray(whole)
        data[at] ^= 1
        if 148 <= at < 156 and data[at] in b"\x00\x01 !":
            continue  # the checksum field's own padding
        with pytest.raises(DatasetError):
            walked(bytes(data))


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_archive_is_refused(share):
    data = archived([*sample("a", 1), *sample("b", 2)], tarfile.PAX_FORMAT, 0.5)
    content = len(data.rstrip(b"\0"))
    with pytest.raises(DatasetError, match=r"truncated|empty"):
        walked(data[: int(share * content)])


@pytest.mark.parametrize(
    "size", [b"77777777777\0", b"\x80" + b"\0" * 4 + b"\x7f" + b"\xff" * 6, b"\xff" * 12, b"-0000000001\0"]
)
def test_an_absurd_or_negative_size_is_refused_before_anything_is_allocated(size):
    data = bytearray(archived([("a.jpg", b"x" * 100)], tarfile.USTAR_FORMAT))
    data[124:136] = size
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    with pytest.raises(DatasetError, match="claims more bytes"):
        walked(bytes(data))


def test_bytes_behind_the_end_are_refused():
    twice = archived(sample("a", 1), tarfile.USTAR_FORMAT) * 2
    with pytest.raises(DatasetError, match="behind the end"):
        walked(twice)


def test_a_link_with_content_is_refused():
    data = bytearray(archived([("a.jpg", b"x" * 100)], tarfile.USTAR_FORMAT))
    data[156:157] = b"1"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    with pytest.raises(DatasetError, match="claims to have content"):
        walked(bytes(data))


def test_a_pax_header_may_not_contradict_another():
    one = archived([("a" * 200 + ".jpg", b"x")], tarfile.PAX_FORMAT)
    two = archived([("b" * 200 + ".jpg", b"x")], tarfile.PAX_FORMAT)
    with pytest.raises(DatasetError, match="contradict"):
        walked(one[:1024] + two)


def test_a_pax_size_that_differs_from_the_header_is_the_one_that_counts():
    member = tarfile.TarInfo("a.jpg")
    member.size = 700
    member.pax_headers = {"size": "700"}
    data = bytearray(member.tobuf(tarfile.PAX_FORMAT) + b"y" * 700 + bytes(324) + bytes(1024))
    data[1024 + 124 : 1024 + 136] = b"00000000000\0"
    data[1024 + 148 : 1024 + 156] = b" " * 8
    data[1024 + 148 : 1024 + 156] = b"%06o\0 " % sum(data[1024:1536])
    assert walked(bytes(data)) == [("a.jpg", b"y" * 700)]


@pytest.mark.parametrize("content", [b"", b"no archive at all", bytes(511)])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(DatasetError, match=r"x\.tar"):
        items_of(tmp_path)


def test_an_empty_archive_has_no_records(tmp_path):
    tar_of(tmp_path / "x.tar", [])
    (shard,) = discover(tmp_path)
    reading = WEBDATASET.read(tmp_path, shard, MAPPING)
    assert (list(reading), reading.records) == ([], 0)


def test_names_that_climb_are_keys_and_never_paths(tmp_path):
    source = tmp_path / "source"
    tar_of(
        source / "x.tar", [("../../climbs.jpg", picture(1)), ("/etc/absolute.jpg", picture(2)), ("c.jpg", picture(3))]
    )
    assert [item.key for item in items_of(source)] == ["../../climbs", "/etc/absolute", "c"]
    (shard,) = discover(source)
    out = tmp_path / "deep" / "out"
    WEBDATASET.write(source, shard, np.array([True, True, False]), out)
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(written) == ["deep/out/x.tar", "source/x.tar"]


@pytest.mark.parametrize(
    ("name", "key", "suffix"),
    [
        ("a.jpg", "a", "jpg"), ("d.x/a.seg.PNG", "d.x/a", "png"), ("./a.json", "./a", "json"),
        (".hidden.jpg", ".hidden.jpg", "jpg"), ("nodot", "nodot", ""), ("d/.x", "d/.x", "x"),
    ],
)  # fmt: skip
def test_keys_follow_webdataset(name, key, suffix):
    assert split_name(name) == (key, suffix)


def test_records_come_with_address_and_digest_from_json(tmp_path):
    tar_of(tmp_path / "x.tar", [*sample("a", 1), ("b.jpg", picture(2))])
    first, second = items_of(tmp_path)
    assert (first.image, first.fields.url) == (picture(1), url(1))
    assert first.fields.declared == {Kind.MD5: bytes.fromhex(md5_of(1))}
    assert (second.fields.url, dict(second.fields.declared)) == (None, {})


def test_a_sample_without_json_takes_its_fields_from_the_table(tmp_path):
    tar_of(tmp_path / "x.tar", [("a.jpg", picture(1)), ("./b.jpg", picture(2))])
    table_beside(tmp_path / "x.parquet", [("b", 2, "success"), ("a", 1, "success")])
    first, second = items_of(tmp_path)
    assert (first.fields.url, second.fields.url) == (url(1), url(2))


def test_rows_that_were_never_downloaded_follow_in_the_table_s_order(tmp_path):
    tar_of(tmp_path / "x.tar", sample("b", 2))
    table_beside(
        tmp_path / "x.parquet", [("c", 3, "failed_to_download"), ("b", 2, "success"), ("a", 1, "failed_to_resize")]
    )
    items = items_of(tmp_path)
    assert [(item.row, item.key) for item in items] == [(0, "b"), (1, "c"), (2, "a")]
    assert all(isinstance(item, Unreadable) and item.reason is Reason.NOT_DOWNLOADED for item in items[1:])
    assert [item.fields.url for item in items[1:]] == [url(3), url(1)]


@pytest.mark.parametrize(
    ("members", "reason"),
    [([("a.json", b"{}")], Reason.NO_IMAGE), ([("a.jpg", b"")], Reason.EMPTY_FILE)],
)
def test_a_sample_without_a_picture_says_why(tmp_path, members, reason):
    tar_of(tmp_path / "x.tar", members)
    (item,) = items_of(tmp_path)
    assert isinstance(item, Unreadable)
    assert item.reason is reason


@pytest.mark.parametrize(
    "document", [b"{", b"[1]", b'"text"', b"[" * 100_000, b"\xff\xfe", b'{"md5": 7, "url": ["x"]}']
)
def test_broken_json_leaves_the_picture_and_marks_the_digests_malformed(tmp_path, document):
    tar_of(tmp_path / "x.tar", [("a.jpg", picture(1)), ("a.json", document)])
    (item,) = items_of(tmp_path)
    assert isinstance(item, Record)
    assert {Kind.MD5, Kind.URL_MD5} <= item.fields.malformed


def test_an_address_that_is_no_utf8_is_malformed(tmp_path):
    tar_of(tmp_path / "x.tar", [("a.jpg", picture(1)), ("a.json", b'{"url": "http://a/\\ud800"}')])
    (item,) = items_of(tmp_path)
    assert item.fields.url is None
    assert Kind.URL_MD5 in item.fields.malformed


def test_a_key_that_comes_again_is_another_record(tmp_path):
    tar_of(tmp_path / "x.tar", [*sample("a", 1), *sample("b", 2), *sample("a", 3), *sample("a", 4)])
    items = items_of(tmp_path)
    assert [(item.row, item.key) for item in items] == [(0, "a"), (1, "b"), (2, "a"), (3, "a")]
    assert [item.fields.url for item in items] == [url(1), url(2), url(3), url(4)]


def test_dropping_what_keeps_scattered_members_apart_is_refused(tmp_path):
    tar_of(tmp_path / "x.tar", [("a.jpg", picture(1)), ("b.jpg", picture(2)), ("a.json", b"{}")])
    (shard,) = discover(tmp_path)
    with pytest.raises(DatasetError, match="do not lie together"):
        WEBDATASET.write(tmp_path, shard, np.array([True, False, True]), tmp_path / "out")


def test_a_sidecar_without_a_key_column_is_refused(tmp_path):
    tar_of(tmp_path / "x.tar", sample("a", 1))
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"url": [url(1)], "name": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(DatasetError, match="key column"):
        items_of(tmp_path)
    (shard,) = discover(tmp_path)
    assert len(list(WEBDATASET.read(tmp_path, shard, ColumnMapping(key="name")))) == 1


def test_packing_is_deterministic_and_readable_by_tarfile(tmp_path):
    samples = [("000", {"jpg": b"1", "json": b"{}", "txt": b"c"}), ("k" * 120, {"png": b"2"})]
    for name in ("x.tar", "y.tar"):
        pack(samples, tmp_path / name)
    assert (tmp_path / "x.tar").read_bytes() == (tmp_path / "y.tar").read_bytes()
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert archive.getnames() == ["000.jpg", "000.json", "000.txt", "k" * 120 + ".png"]


def test_an_error_repeats_nothing_that_a_record_says(tmp_path):
    tar_of(tmp_path / "x.tar", [*sample("secretkey", 1), *sample("b", 2)])
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:1200])
    with pytest.raises(DatasetError) as caught:
        items_of(tmp_path)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert not any(word in str(error) for error in chain for word in ("secretkey", "http", "caption"))
