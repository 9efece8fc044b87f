"""A small dataset as img2dataset writes it, with addresses and captions that occur nowhere else, and lists about it."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from photographs import tiles
from vetset.dataset.embeddings.clip_retrieval import write_new
from vetset.dataset.webdataset import pack
from vetset.signal.pdq import pdq

DIMENSION = 16


@dataclass(frozen=True)
class Item:
    """One record."""

    key: str
    url: str
    caption: str
    image: bytes


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def build(folder: Path, *, shards=3, rows=8, size=128, seed=3) -> list[Item]:
    """Write `shards` tars of `rows` records each with their tables; the last record of each shard is no picture."""
    folder.mkdir(parents=True)
    pictures = [jpeg(tile) for tile in tiles(size, shards * rows, seed)]
    items = []
    for shard in range(shards):
        part = []
        for row in range(rows):
            number = shard * rows + row
            secret = hashlib.sha256(f"{seed}-{number}".encode()).hexdigest()[:20]
            url = f"https://planted.example/{secret}/picture.jpg"
            image = b"no picture" if row == rows - 1 else pictures[number]
            part.append(Item(f"{shard:05}{row:04}", url, f"a planted caption {secret[::-1]}", image))
        members = [
            (
                item.key,
                {
                    "jpg": item.image,
                    "json": json.dumps({"url": item.url, "caption": item.caption, "key": item.key}).encode(),
                    "txt": item.caption.encode(),
                },
            )
            for item in part
        ]
        pack(members, folder / f"{shard:05}.tar")
        columns = {name: [getattr(item, name) for item in part] for name in ("caption", "url", "key")}
        pq.write_table(pa.table({**columns, "status": ["success"] * rows}), folder / f"{shard:05}.parquet")
        items += part
    return items


def write_vectors(items: list[Item], folder: Path, near: dict[int, int], seed=2) -> None:
    """Write random embeddings, in two parts that do not follow the shards; `near[i] = j` puts i beside j."""
    vectors = np.random.default_rng(seed).normal(size=(len(items), DIMENSION)).astype(np.float16)
    for one, other in near.items():
        vectors[one] = vectors[other] + np.float16(0.01)
    half = len(items) // 2 + 3
    for number, rows in enumerate((range(half), range(half, len(items)))):
        write_new(folder, number, vectors[list(rows)], [items[row].key for row in rows])


def pdq_of(item: Item) -> bytes:
    """The hash of a picture that confirms: a list has no others."""
    with Image.open(io.BytesIO(item.image)) as picture:
        code, quality = pdq(np.asarray(picture.convert("RGB")))
    if quality < 80:
        raise ValueError("this picture is too flat for a list: take another record")
    return code


def known_lines(items: list[Item], chosen: list[int]) -> list[tuple[str, bytes]]:
    """Entries of every kind about these records: kind and value."""
    entries = []
    for place, number in enumerate(chosen):
        item = items[number]
        makers = {
            "md5": lambda item: hashlib.md5(item.image).digest(),
            "sha256": lambda item: hashlib.sha256(item.image).digest(),
            "pdq": pdq_of,
            "url_sha256": lambda item: hashlib.sha256(item.url.encode()).digest(),
            "sha1": lambda item: hashlib.sha1(item.image).digest(),
            "url_md5": lambda item: hashlib.md5(item.url.encode()).digest(),
        }
        kind = list(makers)[place % len(makers)]
        entries.append((kind, makers[kind](item)))
    return entries


def unrelated_lines(count: int, seed=3) -> list[tuple[str, bytes]]:
    """Entries of every kind about nothing."""
    rng = np.random.default_rng(seed)
    widths = {"md5": 16, "sha256": 32, "pdq": 32, "url_sha256": 32, "sha1": 20, "url_md5": 16}
    kinds = [list(widths)[number % len(widths)] for number in range(count)]
    # of a usable picture, half of the bits are set
    half = np.repeat(np.array([0, 1], np.uint8), 128)
    return [
        (kind, np.packbits(rng.permutation(half)).tobytes() if kind == "pdq" else rng.bytes(widths[kind]))
        for kind in kinds
    ]


def write_list(path: Path, lines: list[tuple[str, bytes]]) -> Path:
    path.write_text("".join(f"{kind} {value.hex()}\n" for kind, value in lines))
    return path
