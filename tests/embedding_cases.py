"""The same rows in every layout of embeddings, written as their own writers do it."""

import io
import json
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from vetset.dataset.webdataset import pack

VECTORS = {"float16": np.float16, "float32": np.float32, "bfloat16": np.float32, "int8": np.int8}
"""Type as it is stored, and as it is handed out."""


def keys(rows, part=0):
    return [f"{part:03d}{row:06d}" for row in range(rows)]


def vectors(rows, dimension=5, numbers="float16", seed=0):
    """Values that every type holds exactly."""
    values = np.random.default_rng(seed).integers(-100, 100, (rows, dimension))
    return values.astype(VECTORS[numbers])


def npy_bytes(array, numbers="float16"):
    """As np.save writes it; bfloat16 as it writes ml_dtypes' arrays."""
    sink = io.BytesIO()
    if numbers == "bfloat16":
        header = {"descr": "<V2", "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(sink, header)
        sink.write((array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes())
    else:
        np.save(sink, array)
    return sink.getvalue()


def safetensors_bytes(tensors, metadata=None):
    """Tensors (name → array, type) as the library writes them."""
    header, data = {} if metadata is None else {"__metadata__": metadata}, b""
    for name, (array, dtype) in tensors.items():
        raw = (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes() if dtype == "BF16" else array.tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


_TENSORS = {"float16": "F16", "float32": "F32", "bfloat16": "BF16", "int8": "I8"}


def written(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def key_table(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"key": names, "caption": [f"caption of {name}" for name in names]}), path, row_group_size=3
    )


def as_clip(folder, part, names, array, numbers):
    written(folder / "img_emb" / f"img_emb_{part}.npy", npy_bytes(array, numbers))
    key_table(folder / "metadata" / f"metadata_{part}.parquet", names)


def as_npy(folder, part, names, array, numbers):
    written(folder / f"{part:04d}.npy", npy_bytes(array, numbers))
    key_table(folder / f"{part:04d}.parquet", names)


def as_safetensors(folder, part, names, array, numbers):
    noted = {"model": "x"}
    written(folder / f"{part:04d}.safetensors", safetensors_bytes({"emb": (array, _TENSORS[numbers])}, noted))
    key_table(folder / f"{part:04d}.parquet", names)


def as_npz(folder, part, names, array, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{part:04d}.npz", "w") as archive:
        archive.writestr("l14_img.npy", npy_bytes(array, numbers))
    key_table(folder / f"{part:04d}.parquet", names)


_ARROW = {"float16": pa.float16(), "float32": pa.float32(), "int8": pa.int8()}


def lists(array, numbers, form):
    """Rows as Arrow lists of one of three forms."""
    flat = pa.array(array.reshape(-1), _ARROW[numbers])
    rows, dimension = array.shape
    if form == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, dimension)
    large = form == "large"
    offsets = pa.array(np.arange(0, rows * dimension + 1, dimension), pa.int64() if large else pa.int32())
    return (pa.LargeListArray if large else pa.ListArray).from_arrays(offsets, flat)


def table_of(names, array, numbers, form="list"):
    return pa.table({
        "caption": pa.array(names).dictionary_encode(),
        "embedding": lists(array, numbers, form),
        "key": names,
    })  # fmt: skip


def as_parquet(folder, part, names, array, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table_of(names, array, numbers), folder / f"part-{part}.parquet", row_group_size=4)


def as_feather(folder, part, names, array, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    feather.write_feather(table_of(names, array, numbers, "fixed"), folder / f"part-{part}.feather", chunksize=4)


def as_stream(folder, part, names, array, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    table = table_of(names, array, numbers, "large")
    with pa.OSFile(str(folder / f"part-{part}.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)


def as_tar(folder, part, names, array, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    samples = [
        (name, {"npy": npy_bytes(row, numbers), "txt": b"words"}) for name, row in zip(names, array, strict=True)
    ]
    pack(samples, folder / f"{part:05d}.tar")


LAYOUTS = {
    "clip-retrieval": as_clip,
    "npy": as_npy,
    "safetensors": as_safetensors,
    "npz": as_npz,
    "parquet": as_parquet,
    "feather": as_feather,
    "stream": as_stream,
    "tar": as_tar,
}
TABLES = {"parquet", "feather", "stream"}
CASES = [
    (layout, numbers) for layout in LAYOUTS for numbers in VECTORS if not (layout in TABLES and numbers == "bfloat16")
]


def build(folder, layout, sizes=(9, 4, 6), numbers="float16", dimension=5):
    """A set of several parts; gives keys and vectors of each."""
    told = []
    for part, rows in enumerate(sizes):
        names, array = keys(rows, part), vectors(rows, dimension, numbers, seed=part)
        LAYOUTS[layout](folder, part, names, array, numbers)
        told.append((names, array))
    return told
