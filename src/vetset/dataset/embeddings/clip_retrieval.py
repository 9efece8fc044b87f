"""Embeddings as clip-retrieval lays them out.

`img_emb/img_emb_N.npy`, `metadata/metadata_N.parquet` and perhaps `text_emb/text_emb_N.npy` hold the same rows in the
same order.

clip-retrieval writes float16 from `np.save`; its metadata holds `image_path` (a webdataset's `__key__`, or the path of
a file) and, if it was told to keep metadata, the columns of the JSON, `key` among them. A part that is missing or of
another length shifts every later row of a joined index, so parts are checked before anything is joined.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vetset.dataset.embeddings.beside import ArrayPart, array_part
from vetset.dataset.embeddings.npy import write_npy_header
from vetset.dataset.embeddings.parts import Choice, refused
from vetset.dataset.places import Found, new_file, one_file
from vetset.storage.remote import Place

_KINDS = {"img_emb": "npy", "metadata": "parquet", "text_emb": "npy"}


def clip_files(files: Mapping[str, Found]) -> dict[str, dict[int, Found]]:
    """Part number → file, for `img_emb`, `metadata` and `text_emb`.

    Raises:
        AlignmentError: two files have one number.
    """
    numbered: dict[str, dict[int, Found]] = {kind: {} for kind in _KINDS}
    for kind, suffix in _KINDS.items():
        pattern = re.compile(rf"{kind}/{kind}_(\d{{1,9}})\.{suffix}")
        for uri in sorted(files):
            fits = pattern.fullmatch(uri)
            if fits is None:
                continue
            if int(fits[1]) in numbered[kind]:
                raise refused("two files have one part number", f"{kind}_{int(fits[1])}")
            numbered[kind][int(fits[1])] = files[uri]
    return numbered


def clip_parts(root: Place, files: Mapping[str, Found], choice: Choice) -> list[ArrayPart]:
    """The parts of a set of embeddings, by number.

    Raises:
        AlignmentError: a number is missing, rows of a part's files differ, or an array is truncated or no array of
            vectors.
        DatasetError: a metadata table is damaged.
    """
    numbered = clip_files(files)
    vectors, metadata, texts = (numbered[kind] for kind in _KINDS)
    parts = []
    for number in range(max(max(numbers, default=0) for numbers in (vectors, metadata, texts)) + 1):
        present = (number in vectors, number in metadata, not texts or number in texts)
        where = f"embedding part {number}"
        if not all(present):
            missing = tuple(_KINDS)[present.index(False)]
            raise refused("a part is missing", where, f"a {missing} file of this number")
        text = [texts[number]] if texts else []
        parts.append(array_part(where, root, (vectors[number], *text, metadata[number]), choice))
    return parts


def write_new(
    folder: Path,
    number: int,
    vectors: NDArray[np.floating[Any]],
    keys: Sequence[str],
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> ArrayPart:
    """Write a new part as clip-retrieval does.

    Args:
        folder: root of the set of embeddings.
        number: part number.
        vectors: (rows, dimension); stored as float32 if they are, else as float16.
        keys: the dataset's key of every row; becomes `image_path` and `key`.
        columns: further columns of the metadata.

    Raises:
        AlignmentError: lengths differ.
        OutputError: the part exists or cannot be written.
    """
    where = f"embedding part {number}"
    lengths = {len(keys), len(vectors), *(len(values) for values in (columns or {}).values())}
    if len(lengths) != 1 or vectors.ndim != 2:
        raise refused("vectors, keys and columns are of different length", where, f"{len(vectors)} rows")
    numbers = "float32" if vectors.dtype == np.float32 else "float16"
    stored = np.ascontiguousarray(vectors, dtype=np.dtype(numbers).newbyteorder("<"))
    table = pa.table({"image_path": pa.array(keys, pa.string()), "key": pa.array(keys, pa.string()), **(columns or {})})
    vectors_uri, metadata_uri = f"img_emb/img_emb_{number}.npy", f"metadata/metadata_{number}.parquet"
    with new_file(folder, vectors_uri) as target, target.open("wb") as sink:
        write_npy_header(sink, stored.shape[0], stored.shape[1], numbers)
        sink.write(stored.tobytes())
    with new_file(folder, metadata_uri) as target, pa.OSFile(os.fsencode(target), "wb") as sink:
        pq.write_table(table, sink)
    files = (one_file(folder, vectors_uri), one_file(folder, metadata_uri))
    return array_part(where, folder, files, Choice())
