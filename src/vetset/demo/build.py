"""The dataset of the demonstration, laid out as img2dataset lays out its `webdataset` output.

A shard is three files: `00000.tar` (for every download that succeeded the members KEY.jpg, KEY.json, KEY.txt),
`00000.parquet` (one row for every address, failed ones included) and `00000_stats.json`. The key is the shard's number
times 10⁴ plus the row, in nine digits, and the suffix is `.jpg` whatever the bytes are (img2dataset, `writer.py`,
`downloader.py: compute_key` and `download_shard`, `logger.py: write_stats`). Times are the same for all, so that the
same seed gives the same bytes.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from vetset.dataset.webdataset import pack
from vetset.demo.plan import Draft, plan
from vetset.demo.planted import Planted, PlantedRecord
from vetset.model.errors import OutputError, UsageError
from vetset.storage.commit import is_vacant, write_atomic

_ROWS_DIGITS = 4
_SHARD_DIGITS = 5

_SCHEMA = pa.schema(
    [
        ("caption", pa.string()),
        ("url", pa.string()),
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("exif", pa.string()),
        ("md5", pa.string()),
    ]
)
_FAILURE = "HTTP Error 404: Not Found"


def _size(data: bytes) -> tuple[int | None, int | None]:
    """Width and height as the header states them; nothing where there is no header."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except UnidentifiedImageError:
        return None, None


def _row(draft: Draft, key: str, url: str) -> dict[str, Any]:
    """The metadata of one record: a row of the Parquet file, and the `.json` member where there is one."""
    row: dict[str, Any] = dict.fromkeys(_SCHEMA.names)
    row |= {"caption": f"a picture, number {key}", "url": url, "key": key}
    if draft.image is None:
        return row | {"status": "failed_to_download", "error_message": _FAILURE}
    download = draft.image if draft.download is None else draft.download
    row["width"], row["height"] = _size(draft.image)
    row["original_width"], row["original_height"] = _size(download)
    return row | {"status": "success", "exif": "{}", "md5": hashlib.md5(download).hexdigest()}


def _samples(rows: Iterable[tuple[dict[str, Any], Draft]]) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """Key and members of every download that succeeded."""
    for row, draft in rows:
        if draft.image is not None:
            text = json.dumps(row, indent=4).encode()
            yield row["key"], {"jpg": draft.image, "json": text, "txt": row["caption"].encode()}


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=_SCHEMA), buffer)
    return buffer.getvalue()


def _stats(rows: Sequence[dict[str, Any]]) -> bytes:
    statuses = Counter(row["error_message"] or row["status"] for row in rows)
    failed = sum(row["status"] == "failed_to_download" for row in rows)
    document = {
        "count": len(rows),
        "successes": len(rows) - failed,
        "failed_to_download": failed,
        "failed_to_resize": 0,
        "duration": 0.0,
        "start_time": 0.0,
        "end_time": 0.0,
        "status_dict": dict(sorted(statuses.items())),
    }
    return json.dumps(document, indent=4).encode()


def _write_shard(folder: Path, number: int, drafts: Sequence[Draft], urls: Sequence[str]) -> list[PlantedRecord]:
    shard = f"{number:0{_SHARD_DIGITS}d}"
    keys = [f"{number * 10**_ROWS_DIGITS + row:0{_SHARD_DIGITS + _ROWS_DIGITS}d}" for row in range(len(drafts))]
    rows = [_row(draft, key, url) for draft, key, url in zip(drafts, keys, urls, strict=True)]
    pack(_samples(zip(rows, drafts, strict=True)), folder / f"{shard}.tar")
    write_atomic(folder / f"{shard}.parquet", _parquet(rows))
    write_atomic(folder / f"{shard}_stats.json", _stats(rows))
    return [
        PlantedRecord(key, shard, row, draft.label, draft.role, draft.known, draft.image)
        for row, (key, draft) in enumerate(zip(keys, drafts, strict=True))
    ]


def build_dataset(out: Path, *, seed: int = 20, records: int = 2400, shards: int = 6) -> Planted:
    """Write `out/dataset`, an ordinary image dataset with copies of some pictures planted in it.

    The same seed gives the same bytes, as long as Pillow, NumPy, PyArrow and the photographs stay the same.

    Args:
        out: the folder to write into; `out/dataset` must not hold anything yet.
        seed: decides everything that is left to chance.
        records: rows of the dataset, failed downloads included.
        shards: how many shards the rows are dealt to.

    Returns:
        What was planted where.

    Raises:
        MissingExtraError: the photographs are not installed.
        UsageError: the records are too few, or too many or too few for the shards.
        OutputError: the place is taken or cannot be written.
    """
    if not 0 < shards <= 10**_SHARD_DIGITS or not shards <= records <= shards * 10**_ROWS_DIGITS:
        raise UsageError(
            "the records do not fit the shards",
            expected=f"1 to {10**_ROWS_DIGITS} records in each shard",
            seen=f"{records} records, {shards} shards",
            todo="Change one of the two numbers.",
        )
    folder = out / "dataset"
    if not is_vacant(folder):
        raise OutputError(
            "the output place is taken",
            expected="a path that does not exist, or an empty folder",
            where=folder.name,
            todo="Name another one; vetset does not overwrite.",
        )
    items, drafts = plan(seed, records)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng([seed, 1]).permutation(10 * records)[:records]
    urls = [draft.url or f"https://example.org/p/{number}.jpg" for draft, number in zip(drafts, numbers, strict=True)]
    edges = [records * shard // shards for shard in range(shards + 1)]
    planted: list[PlantedRecord] = []
    for number, (start, end) in enumerate(pairwise(edges)):
        planted += _write_shard(folder, number, drafts[start:end], urls[start:end])
    return Planted(seed, tuple(items), tuple(planted))
