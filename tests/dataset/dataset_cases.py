"""Small datasets of every format, built by other means than the code under test where that is possible."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIXTURE = Path(__file__).parents[1] / "fixtures" / "img2dataset"
HUGGINGFACE = Path(__file__).parents[1] / "fixtures" / "huggingface"


def picture(number: int) -> bytes:
    """Bytes that stand for a picture: readers do not decode."""
    return b"\xff\xd8" + hashlib.sha256(str(number).encode()).digest() * (1 + number % 40)


def url(number: int) -> str:
    return f"https://pictures.example/{number}.jpg"


def md5_of(number: int) -> str:
    return hashlib.md5(url(number).encode()).hexdigest()


def document(number: int) -> bytes:
    return json.dumps({"url": url(number), "md5": md5_of(number), "caption": f"caption {number}", "w": 64}).encode()


def add(archive: tarfile.TarFile, name: str, data: bytes, mtime: float = 0) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.mtime = mtime
    archive.addfile(member, io.BytesIO(data))


def tar_of(path: Path, members: list[tuple[str, bytes]], form: int = tarfile.USTAR_FORMAT, mtime: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members:
            add(archive, name, data, mtime)


def sample(key: str, number: int, suffix: str = "jpg") -> list[tuple[str, bytes]]:
    return [
        (f"{key}.{suffix}", picture(number)),
        (f"{key}.json", document(number)),
        (f"{key}.txt", f"caption {number}".encode()),
    ]


def table_beside(path: Path, rows: list[tuple[str, int, str]]) -> None:
    """A table as img2dataset writes it: (key, number, status)."""
    numbers = [number for _, number, _ in rows]
    failed = [status != "success" for _, _, status in rows]
    columns = {
        "url": [url(number) for number in numbers],
        "caption": [f"caption {number}" for number in numbers],
        "key": [key for key, _, _ in rows],
        "status": [status for _, _, status in rows],
        "error_message": ["HTTP Error 404: Not Found" if fails else None for fails in failed],
        "md5": [None if fails else md5_of(number) for number, fails in zip(numbers, failed, strict=True)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata({b"origin": b"test"}), path, row_group_size=7)


def stats_beside(path: Path, statuses: list[str]) -> None:
    failed = statuses.count("failed_to_download")
    success = statuses.count("success")
    counts = {"count": len(statuses), "successes": success, "failed_to_download": failed, "failed_to_resize": 0}
    by_status = {"success": success, "HTTP Error 404: Not Found": failed}
    path.write_text(json.dumps({**counts, "duration": 1.5, "start_time": 7.0, "status_dict": by_status}, indent=4))


def webdataset_plain(root: Path) -> None:
    """Two shards with tables and statistics, one bare shard, one empty one."""
    for shard in range(2):
        members, rows = [], []
        for number in range(12):
            key = f"{shard:05d}{number:04d}"
            status = "failed_to_download" if number % 5 == 3 else "success"
            rows.append((key, 100 * shard + number, status))
            if status == "success":
                members += sample(key, 100 * shard + number)
        tar_of(root / f"{shard:05d}.tar", members)
        table_beside(root / f"{shard:05d}.parquet", rows)
        stats_beside(root / f"{shard:05d}_stats.json", [status for _, _, status in rows])
    tar_of(root / "more" / "00002.tar", [member for number in range(5) for member in sample(f"{number}", number)])
    tar_of(root / "more" / "00003.tar", [])


def webdataset_odd(root: Path) -> None:
    """Long and strange names, several pictures of one key, keys that come again, members that are no samples."""
    members = [
        *sample("a/b/" + "long" * 40, 1),
        ("two.jpg", picture(2)), ("two.png", picture(3)), ("two.json", document(2)),
        *sample("again", 4), *sample("other", 5, "webp"), *sample("again", 6),
        ("alone.json", document(7)),
        ("../climbs.jpg", picture(8)), ("/absolute.jpg", picture(9)), (".hidden.jpg", picture(10)),
        ("ünïcode.JPG", picture(11)), ("empty.jpg", b""), ("seg.mask.png", picture(12)),
        ("__index__", b"notes"), ("broken.jpg", picture(13)), ("broken.json", b"{not json"),
    ]  # fmt: skip
    tar_of(root / "pax.tar", members, tarfile.PAX_FORMAT, mtime=12.25)
    tar_of(root / "gnu.tar", members, tarfile.GNU_FORMAT)
    with tarfile.open(root / "others.tar", "w") as archive:
        for kind, name in ((tarfile.DIRTYPE, "dir"), (tarfile.SYMTYPE, "x.jpg"), (tarfile.LNKTYPE, "y.jpg")):
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            archive.addfile(member)
        for name, data in sample("dir/real", 20) + sample("./dotted", 21):
            add(archive, name, data)
    table_beside(root / "others.parquet", [("dir/real", 20, "success"), ("dotted", 21, "success"), ("gone", 22, "x")])


def folder_nested(root: Path) -> None:
    """Pictures at several depths, with all kinds of sidecars, and files that are nobody's."""
    files = {
        "top.jpg": picture(0), "top.json": document(0), "top.txt": b"caption", "top.caption.txt": b"more",
        "both.jpg": picture(1), "both.png": picture(2), "both.json": document(1), "both.jpg.txt": b"of the JPEG",
        "notes.md": b"nobody's", "sub/a.JPG": picture(3), "sub/b.jpeg": picture(4), "sub/b.json": b"[]",
        "sub/deep/c.webp": picture(5), "sub/empty.png": b"", "sub/a.b.jpg": picture(6), "sub/a.b.json": document(6),
        "name with spaces/ü.gif": picture(7), "readme": b"nobody's",
    }  # fmt: skip
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def laion_table(count: int, first: int = 0) -> pa.Table:
    """A table like Re-LAION's with md5, with gaps and a malformed digest."""
    numbers = range(first, first + count)
    generator = np.random.default_rng(first)
    faces = [[[0.1, 0.2, 0.3, 0.4]] * (number % 3) if number % 4 else None for number in numbers]
    return pa.table({
        "URL": [None if number % 11 == 5 else url(number) for number in numbers],
        "TEXT": pa.array([f"caption {number % 7}" for number in numbers]).dictionary_encode(),
        "hash": pa.array(generator.integers(-(2**62), 2**62, count)),
        "punsafe": pa.array(generator.random(count), pa.float32()),
        "md5": [None if n % 13 == 7 else "no digest" if n % 17 == 3 else md5_of(n) for n in numbers],
        "SAMPLE_ID": pa.array(numbers, pa.int64()),
        "face_bboxes": pa.array(faces, pa.list_(pa.list_(pa.float64()))),
        "exif": pa.array([{"a": number, "b": None} for number in numbers]),
        "when": pa.array([number * 1_000_003 for number in numbers], pa.timestamp("ns")),
        "tags": pa.array([[("k", n)] if n % 2 else None for n in numbers], pa.map_("string", pa.int64())),
        "flag": pa.array([None if number % 6 == 0 else number % 2 == 0 for number in numbers]),
    }).replace_schema_metadata({b"origin": b"test"})  # fmt: skip


def parquet_tables(root: Path) -> None:
    """Two files of several row groups, and one without rows."""
    root.joinpath("part").mkdir(parents=True)
    pq.write_table(laion_table(50), root / "part-0.parquet", row_group_size=16, compression="zstd")
    pq.write_table(laion_table(31, 1000), root / "part" / "part-1.parquet", row_group_size=31)
    pq.write_table(laion_table(0), root / "part" / "part-2.parquet")


IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def cell(number: int) -> dict[str, object]:
    return {"bytes": picture(number), "path": f"{number}.jpg"}


def stream_of(path: Path, table: pa.Table, rows: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


def one_picture_a_row(count: int, first: int = 0) -> pa.Table:
    """As `datasets` writes it; some cells are null, empty, or only say where their picture is."""
    numbers = range(first, first + count)
    others = {
        3: None,
        5: {"bytes": None, "path": None},
        6: {"bytes": b"", "path": None},
        8: {"bytes": None, "path": "x/y.png"},
    }
    others[9] = {"bytes": None, "path": url(9)}
    return pa.table({
        "image": pa.array([others.get(number % 10, cell(number)) for number in numbers], IMAGE),
        "caption": [f"caption {number}" for number in numbers],
        "url": [None if number % 3 == 0 else url(number) for number in numbers],
        "md5": [None if number % 4 else md5_of(number) for number in numbers],
        "id": pa.array(numbers, pa.int64()),
    }).replace_schema_metadata({b"origin": b"test"})  # fmt: skip


def several_pictures_a_row(count: int, first: int = 0) -> pa.Table:
    """Pictures in lists, of fixed length too, in structs, in lists of structs, in plain binary columns."""
    numbers = range(first, first + count)
    pair = pa.list_(IMAGE, 2)
    turned = pa.struct({"when": pa.timestamp("ns"), "views": pa.list_(pa.struct({"view": IMAGE, "angle": pa.int8()}))})
    features = {"jpg": {"_type": "Value", "dtype": "binary"}, "scan": {"_type": "Image"}, "place": {"_type": "Image"}}
    return pa.table({
        "caption": pa.array([f"caption {number}" for number in numbers]).dictionary_encode(),
        "pages": pa.array([[cell(3 * n + m) if m != 1 else None for m in range(n % 4)] or None for n in numbers],
                          pa.large_list(IMAGE)),
        "pair": pa.array([None if n % 3 else [cell(500 + n), None if n % 2 else cell(600 + n)] for n in numbers], pair),
        "deep": pa.array([{"when": n, "views": [{"view": cell(700 + n), "angle": m} for m in range(n % 3)]} if n % 5
                          else None for n in numbers], turned),
        "jpg": [picture(800 + n) if n % 2 else None for n in numbers],
        "scan": pa.array([picture(900 + n % 2) for n in numbers], pa.large_binary()).dictionary_encode(),
        "place": pa.array([f"scans/{n}.png" if n % 7 == 0 else None for n in numbers]),
        "grid": pa.array([[[cell(n)], None, [cell(n + 1), None]] if n % 6 == 2 else [] for n in numbers],
                         pa.list_(pa.list_(IMAGE))),
        "empty": pa.nulls(count),
    }).replace_schema_metadata(
        {b"origin": b"test", b"huggingface": json.dumps({"info": {"features": features}})}
    )  # fmt: skip


def huggingface_plain(root: Path) -> None:
    """Parquet and streams of one picture a row, of no rows, and a stream without pictures."""
    one, two = root / "data" / "train-00000-of-00002.parquet", root / "data" / "train-00001-of-00002.parquet"
    one.parent.mkdir(parents=True)
    pq.write_table(one_picture_a_row(40), one, row_group_size=16, compression="zstd")
    pq.write_table(one_picture_a_row(0), two)
    stream_of(root / "a" / "x-train.arrow", one_picture_a_row(33, 100))
    stream_of(root / "a" / "x-validation.arrow", one_picture_a_row(0))
    stream_of(
        root / "b" / "words.arrow", pa.table({"caption": ["a test", "b"], "when": pa.array([1, 2], pa.timestamp("ns"))})
    )


def huggingface_odd(root: Path) -> None:
    """Rows of several pictures, in both kinds of file."""
    stream_of(root / "data-00000-of-00001.arrow", several_pictures_a_row(31))
    pq.write_table(several_pictures_a_row(45, 200), root / "more.parquet", row_group_size=20)


def jpeg(number: int) -> bytes:
    """What begins as a picture does."""
    return b"\xff\xd8\xff\xe0" + picture(number) + bytes(64)


MORE = pa.struct({"width": pa.int16(), "bytes": pa.binary(), "path": pa.string(), "thumb": IMAGE})


def unnamed_pictures(count: int, first: int = 0) -> pa.Table:
    """Pictures that nobody calls so: in columns of bytes of any name, and in structs that hold more than a file."""
    numbers = range(first, first + count)
    more = [None if n % 5 == 4 else {"width": n, **cell(n), "thumb": cell(100 + n) if n % 2 else None} for n in numbers]
    return pa.table({
        "caption": [f"caption {n}" for n in numbers],
        "content": [jpeg(200 + n) if n % 3 == 2 else None for n in numbers],
        "more": pa.array(more, MORE),
        "image_2": [picture(300 + n) if n % 4 else b"" for n in numbers],
        "digest": [bytes([n % 256]) * 32 for n in numbers],
        "frames": pa.array([[jpeg(400 + n), None] if n % 2 else None for n in numbers], pa.list_(pa.large_binary())),
        "sound": [b"RIFF\0\0\0\0WAVE" + bytes(100) for n in numbers],
    })  # fmt: skip


def huggingface_unnamed(root: Path) -> None:
    """Both kinds of file."""
    stream_of(root / "data-00000-of-00001.arrow", unnamed_pictures(31))
    pq.write_table(unnamed_pictures(45, 500), root / "more.parquet", row_group_size=20)


def fixture_saved(root: Path) -> None:
    """What the real `datasets` saves."""
    root.symlink_to(HUGGINGFACE / "saved")


def fixture_cache(root: Path) -> None:
    """What it leaves in its cache."""
    root.symlink_to(HUGGINGFACE / "cache")


def fixture_parquet(root: Path) -> None:
    """What it uploads."""
    root.symlink_to(HUGGINGFACE / "parquet")


def fixture_md5(root: Path) -> None:
    """The real tool's webdataset output."""
    root.symlink_to(FIXTURE / "md5")


def fixture_sha256(root: Path) -> None:
    """The same with SHA-256."""
    root.symlink_to(FIXTURE / "sha256")


def fixture_files(root: Path) -> None:
    """The real tool's files mode."""
    root.symlink_to(FIXTURE / "files")


BUILDERS = {
    builder.__name__: builder
    for builder in (
        webdataset_plain, webdataset_odd, folder_nested, parquet_tables, huggingface_plain, huggingface_odd,
        huggingface_unnamed,
        fixture_md5, fixture_sha256, fixture_files, fixture_saved, fixture_cache, fixture_parquet,
    )
}  # fmt: skip
