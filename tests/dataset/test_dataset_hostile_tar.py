"""Archives that were made to deceive: refused with their place, or read as every other reader reads them."""

import io
import subprocess
import tarfile

import pytest
from dataset_cases import add, picture

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.dataset.tar import TarWalk
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Record

WEBDATASET = format_of(Format.WEBDATASET)


def header(name=b"a.jpg", size=b"00000000003", kind=b"0", magic=b"ustar\x0000", prefix=b"", **fields):
    """One header block with a checksum that holds."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:124] = b"0000644\x000000000\x000000000\x00"
    block[124 : 124 + len(size)] = size
    block[136:147] = b"00000000000"
    block[156:157] = kind
    block[257 : 257 + len(magic)] = magic
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def content(data):
    return data + bytes(-len(data) % 512)


END = bytes(1024)


def walked(data):
    walk = TarWalk(io.BytesIO(data), len(data), "x.tar")
    return [(member.name.decode(), walk.content(member)) for member in walk if member.regular]


def by_tarfile(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive if member.isreg()]


def archived(members, form=tarfile.USTAR_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in members:
            add(archive, name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [b"0", b"\0", b"7"], ids=["file", "file before POSIX", "contiguous file"])
def test_every_mark_of_a_file_is_a_file(kind):
    data = header(kind=kind) + content(b"abc") + END
    assert walked(data) == by_tarfile(data) == [("a.jpg", b"abc")]


def test_an_archive_of_the_oldest_form_is_read_whole(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(picture(number))
    names = [f"{number}.jpg" for number in range(3)]
    subprocess.run(["tar", "--format=v7", "-cf", "x.tar", *names], cwd=tmp_path, check=True)
    for name in names:
        (tmp_path / name).unlink()
    (shard,) = WEBDATASET.discover(tmp_path)
    items = list(WEBDATASET.read(tmp_path, shard, ColumnMapping()))
    assert [(type(item), item.image) for item in items] == [(Record, picture(number)) for number in range(3)]


@pytest.mark.parametrize("form", ["ustar", "gnu", "oldgnu", "posix", "v7"])
def test_what_gnu_tar_writes_is_read_as_tarfile_reads_it(tmp_path, form):
    (tmp_path / "a.jpg").write_bytes(picture(1))
    (tmp_path / "b.json").write_bytes(b"{}")
    subprocess.run(["tar", f"--format={form}", "-cf", "x.tar", "a.jpg", "b.json"], cwd=tmp_path, check=True)
    data = (tmp_path / "x.tar").read_bytes()
    assert walked(data) == by_tarfile(data) == [("a.jpg", picture(1)), ("b.json", b"{}")]


def test_a_sparse_file_of_gnu_tar_is_refused(tmp_path):
    for form in ("gnu", "posix"):
        with (tmp_path / "a.jpg").open("wb") as file:
            file.seek(1 << 20)
            file.write(b"x")
        subprocess.run(["tar", f"--format={form}", "--sparse", "-cf", "x.tar", "a.jpg"], cwd=tmp_path, check=True)
        with pytest.raises(DatasetError, match="sparse"):
            walked((tmp_path / "x.tar").read_bytes())


def test_a_prefix_that_only_some_readers_see_is_refused():
    data = header(magic=b"ustar  \0", prefix=b"12345670123") + content(b"abc") + END
    with pytest.raises(DatasetError, match="reads differently"):
        walked(data)


@pytest.mark.parametrize("kind", [b"L", b"x"])
def test_an_extended_header_that_goes_on_in_its_padding_is_refused(kind):
    hidden = {b"L": b"long.jpg" + b"er.json", b"x": b"14 path=a.jpg\n" + b"14 path=b.jpg\n"}[kind]
    stated = {b"L": b"00000000010", b"x": b"00000000016"}[kind]
    data = header(kind=kind, size=stated) + content(hidden) + header() + content(b"abc") + END
    with pytest.raises(DatasetError, match="goes on behind its end"):
        walked(data)


@pytest.mark.parametrize("kind", b"123456")
@pytest.mark.parametrize("name", [b"/etc/passwd", b"../../climbs", b"dev.jpg"])
def test_links_devices_and_folders_are_no_records_and_hide_none(kind, name):
    data = header(name, size=b"00000000000", kind=bytes([kind])) + header() + content(b"abc") + END
    assert walked(data) == by_tarfile(data) == [("a.jpg", b"abc")]


def test_members_of_one_name_are_all_read():
    members = [("a.jpg", b"1"), ("a.jpg", b"2"), ("a.jpg", b"3")]
    assert walked(archived(members)) == members


@pytest.mark.parametrize("first", [b"", b"old"], ids=["with its end", "without"])
def test_archives_one_behind_the_other_are_refused_or_read_whole(first):
    one, two = archived([("a.jpg", b"1")]), archived([("b.jpg", b"2")])
    if first:  # `tar --concatenate` takes the end of the first away
        assert walked(one[:1024] + two) == [("a.jpg", b"1"), ("b.jpg", b"2")]
    else:
        with pytest.raises(DatasetError, match="behind the end"):
            walked(one + two)


@pytest.mark.parametrize(
    "size", [b"77777777777\0", b"\x80" + bytes(3) + b"\x01" + bytes(7), b"\x80" + b"\xff" * 11, b"\xff" * 12],
    ids=["8 GiB", "72 PB", "all that fits", "negative"],
)  # fmt: skip
@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"g", b"K", b"5", b"9"])
def test_a_member_that_claims_more_than_there_is_is_refused(kind, size):
    data = header(kind=kind, size=size) + content(b"abc") + END
    with pytest.raises(DatasetError, match=r"claims|truncated|content"):
        walked(data)


def test_a_pax_size_of_terabytes_is_refused():
    record = b"22 size=4398046511104\n"
    data = header(kind=b"x", size=b"%011o" % len(record)) + content(record) + header() + content(b"abc") + END
    with pytest.raises(DatasetError, match="claims more bytes"):
        walked(data)


@pytest.mark.parametrize(
    "record", [b"11 path=a\n", b"99 path=a\n", b"0 path=a\n", b"-9 path=a\n", b"10 path=a", b"path=a\n"]
)
def test_a_pax_record_that_does_not_add_up_is_refused(record):
    data = header(kind=b"x", size=b"%011o" % len(record)) + content(record) + header() + content(b"abc") + END
    with pytest.raises(DatasetError, match="malformed"):
        walked(data)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_archive_cut_at_any_block_is_refused(form):
    data = archived([("d" * 90 + "/a.jpg", b"x" * 1200), ("b.json", b"{}"), ("c.jpg", b"")], form)
    ends = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for size in range(0, ends + 1, 512):
        with pytest.raises(DatasetError, match=r"truncated|empty"):
            walked(data[:size])
    assert len(walked(data[: ends + 512])) == 3
