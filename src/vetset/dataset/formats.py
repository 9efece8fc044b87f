"""The way into this room: what format a place holds, which shards it has, and the reader and writer of each format."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.columns import DEFAULT_MAPPING, ColumnMapping
from vetset.dataset.folder import FolderFormat
from vetset.dataset.hf import HuggingfaceFormat, holds_pictures
from vetset.dataset.parquet import ParquetFormat
from vetset.dataset.places import IMAGE_SUFFIXES, belongs_to_embeddings, readable, suffix_of, walk_files
from vetset.dataset.reading import ColumnBatch, Reading
from vetset.dataset.webdataset import WebdatasetFormat
from vetset.model.dataset import Format, Shard
from vetset.model.errors import DatasetError
from vetset.model.record import Record, Unreadable
from vetset.model.signal import USUAL_KINDS, Kind
from vetset.storage.remote import Place

REVISION = "vetset-revision.json"
"""What vetset says of a revision that it cleaned, in the revision."""


class DatasetFormat(Protocol):
    """What every format can do. Roots are folders, local or behind an address, or one file of the format."""

    @property
    def name(self) -> Format:
        """Which format it is."""
        ...

    def discover(self, root: Place) -> list[Shard]:
        """The shards below a root, sorted by uri."""
        ...

    def unclaimed(self, root: Place) -> list[str]:
        """Uris of files below a root that belong to no shard: they are neither audited nor copied."""
        ...

    def read(
        self, root: Place, shard: Shard, mapping: ColumnMapping, kinds: Collection[Kind] = USUAL_KINDS
    ) -> Reading[Record | Unreadable] | Reading[ColumnBatch]:
        """One pass over a shard; rows count from 0 without a gap. Of a table only what these kinds need is read."""
        ...

    def read_rows(
        self, root: Place, shard: Shard, rows: Collection[int], mapping: ColumnMapping
    ) -> dict[int, Record | Unreadable]:
        """Some records with all their columns; rows that do not exist are absent."""
        ...

    def identities(self, root: Place, shard: Shard, mapping: ColumnMapping = DEFAULT_MAPPING) -> Iterator[bytes]:
        """SHA-256 (32 bytes) over everything that is stored of each record, in order."""
        ...

    def siblings(self, root: Place, shard: Shard, mapping: ColumnMapping = DEFAULT_MAPPING) -> NDArray[np.int64]:
        """int64 (records,): records with equal numbers share sidecars, which go only when the last of them goes."""
        ...

    def write(
        self,
        root: Place,
        shard: Shard,
        keep: NDArray[np.bool_],
        out: Path,
        mapping: ColumnMapping = DEFAULT_MAPPING,
    ) -> None:
        """Write the records of a shard for which `keep` (records,) holds to the same uri under `out`."""
        ...


_HUGGINGFACE = HuggingfaceFormat()
_FORMATS: dict[Format, DatasetFormat] = {
    Format.FOLDER: FolderFormat(),
    Format.WEBDATASET: WebdatasetFormat(),
    Format.PARQUET: ParquetFormat(),
    Format.HUGGINGFACE: _HUGGINGFACE,
}
_EXPECTED = (
    "a folder of pictures, webdataset tars (.tar), metadata tables (.parquet), or a Hugging Face dataset "
    "(.parquet with pictures, .arrow)"
)


def format_of(name: Format) -> DatasetFormat:
    """The reader and writer of a format."""
    return _FORMATS[name]


def unclaimed(name: Format, root: Place, embeddings: Place | None = None) -> list[str]:
    """Uris of files that belong to no shard, nor to the embeddings that were named, nor are vetset's own.

    Args:
        name: the format.
        root: the dataset.
        embeddings: where embeddings lie that are read beside it; below the root, perhaps.
    """
    return outside([uri for uri in format_of(name).unclaimed(root) if uri != REVISION], root, embeddings)


def outside(uris: Sequence[str], root: Place, embeddings: Place | None) -> list[str]:
    """Those of a dataset's files that do not lie where its embeddings do."""
    if not isinstance(root, Path) or not isinstance(embeddings, Path):
        return list(uris)
    here, there = root.resolve(), embeddings.resolve()
    return list(uris) if here == there else [uri for uri in uris if not (here / uri).is_relative_to(there)]


def complete(name: Format, root: Place, shards: Sequence[Shard], out: Path, changed: Collection[str]) -> None:
    """Write to a new revision, once all its shards are there, what belongs to none of them but is needed to load it.

    Args:
        name: format of the dataset.
        root: the dataset.
        shards: all its shards.
        out: root of the new revision.
        changed: uris of the shards that lost a record.

    Raises:
        DatasetError: such a file is damaged.
        OutputError: a target exists or cannot be written.
    """
    if name is Format.HUGGINGFACE:
        _HUGGINGFACE.complete(root, shards, out, changed)


def _of_tables(root: Place, tables: list[str], streams: int) -> Format:
    """The format of a place that holds parquet tables, Arrow streams, and nothing else.

    Raises:
        DatasetError: some of the tables hold pictures and others do not.
    """
    held = Counter(holds_pictures(root, uri) for uri in tables)
    if held[False] and (held[True] or streams):
        raise DatasetError(
            "some tables of this place hold pictures and others do not",
            expected="tables with pictures (huggingface) or metadata tables (parquet)",
            seen=f"{held[True] + streams} with pictures or in Arrow's form, {held[False]} without",
            where=root.name,
            todo="Point at the folder that holds one of them, or name the format: read as huggingface, a row without a "
            "picture is told by its address and stated digests.",
        )
    # A table that cannot be opened is a shard that fails, and is told of when it is read.
    return Format.HUGGINGFACE if held[True] or streams else Format.PARQUET


def _is_files_mode(root: Place, tables: list[str]) -> bool:
    """Whether every table lies beside a folder of its name, as img2dataset's files mode writes them."""
    with readable(root.name):
        return all((root / uri).with_suffix("").is_dir() for uri in tables)


def detect(root: Place) -> Format:
    """The format of what lies at a place, by the files' suffixes and, of tables, by what their columns are.

    Raises:
        DatasetError: nothing is there, nothing that is known, or more than one format.
    """
    suffixes: Counter[str] = Counter()
    tables: list[str] = []
    for found in walk_files(root):
        if belongs_to_embeddings(root, found):
            continue
        suffix = suffix_of(found.uri)
        suffixes["pictures" if suffix in IMAGE_SUFFIXES else f".{suffix}" if suffix else "others"] += 1
        if suffix == "parquet":
            tables.append(found.uri)
    others = suffixes["pictures"] + suffixes[".arrow"]
    if suffixes[".tar"] and not others:
        return Format.WEBDATASET
    if (suffixes[".parquet"] or suffixes[".arrow"]) and not suffixes["pictures"] and not suffixes[".tar"]:
        return _of_tables(root, tables, suffixes[".arrow"])
    if (
        suffixes["pictures"]
        and root.is_dir()
        and not suffixes[".tar"]
        and not suffixes[".arrow"]
        and _is_files_mode(root, tables)
    ):
        return Format.FOLDER
    seen = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(8) if count)
    raise DatasetError(
        "the format of this place is not clear",
        expected=_EXPECTED,
        seen=seen or "no files",
        where=root.name,
        todo="Name the format, or point at the folder that holds one of them; unpack compressed archives first.",
    )


def discover(root: Place, name: Format | None = None) -> list[Shard]:
    """The shards of a dataset, sorted by uri.

    Args:
        root: the dataset's folder, or its only file.
        name: its format; None finds out.

    Raises:
        DatasetError: the format is not clear, or the dataset has no shards.
    """
    chosen = detect(root) if name is None else name
    shards = format_of(chosen).discover(root)
    if not shards:
        raise DatasetError(
            f"there are no shards of format {chosen.value} here",
            expected=_EXPECTED,
            where=root.name,
            todo="Check the path and the format.",
        )
    return shards
