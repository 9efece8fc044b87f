"""Metadata tables without pictures (LAION, Re-LAION, DataComp, COYO): one parquet file is one shard.

Only the mapped columns are read, and the shard's digest is over them and the footer (`extents`), row group by row group
just behind the decoder, so that they come from the disk, or from afar, once. What a column's name means is `columns`'
affair.
"""

import hashlib
from collections.abc import Collection, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.columns import (
    DEFAULT_MAPPING,
    ColumnMapping,
    declared_column,
    key_strings,
    listed,
    own_keys,
    url_strings,
)
from vetset.dataset.extents import Extents
from vetset.dataset.fields import fields_of
from vetset.dataset.legible import row_values
from vetset.dataset.picked import picked_batches
from vetset.dataset.places import (
    belongs_to_embeddings,
    copy_file,
    new_file,
    open_plain,
    place,
    stamp_of,
    suffix_of,
    walk_files,
)
from vetset.dataset.reading import ColumnBatch, Outcome, Reading
from vetset.dataset.tables import (
    check_length,
    check_rows,
    column_names,
    filter_table,
    group_batches,
    open_table,
    table_identities,
    told_columns,
)
from vetset.model.dataset import Format, Shard
from vetset.model.errors import DatasetError
from vetset.model.record import Record, Unreadable
from vetset.model.signal import DECLARED_KINDS, LIST_KINDS, USUAL_KINDS, Kind, Reason
from vetset.storage.remote import Place, Remote

BATCH_ROWS = 1 << 16


class ParquetFormat:
    """Reader and writer of metadata tables."""

    name = Format.PARQUET

    def discover(self, root: Place) -> list[Shard]:
        """One shard for every `.parquet` below the root, sorted by uri.

        Raises:
            DatasetError: the root cannot be listed.
        """
        tables = (found for found in walk_files(root) if suffix_of(found.uri) == "parquet")
        return sorted(
            Shard(found.uri, Format.PARQUET, found.size, stamp_of([found]))
            for found in tables
            if not belongs_to_embeddings(root, found)
        )

    def unclaimed(self, root: Place) -> list[str]:
        """Uris of files that belong to no shard; a cleaned copy does not have them."""
        claimed = {shard.uri for shard in self.discover(root)}
        return sorted(found.uri for found in walk_files(root) if found.uri not in claimed)

    def read(
        self, root: Place, shard: Shard, mapping: ColumnMapping, kinds: Collection[Kind] = USUAL_KINDS
    ) -> Reading[ColumnBatch]:
        """Keys, addresses and stated digests, as far as these kinds need them, in batches of at most 65,536 rows."""
        return Reading(_batches(place(root, shard.uri), shard, mapping, kinds))

    def read_rows(
        self, root: Place, shard: Shard, rows: Collection[int], mapping: ColumnMapping
    ) -> dict[int, Record | Unreadable]:
        """Some rows with their columns, but for those that hold bytes; there is never a picture (`metadata_only`).

        Where the table cannot be read as a whole, what is matched by (address, digests) is read without the rest.

        Raises:
            DatasetError: the file is damaged there too.
        """
        source = place(root, shard.uri)
        try:
            return _picked(source, shard.uri, rows, mapping)
        except DatasetError:
            return _picked(source, shard.uri, rows, mapping, only_roles=True)

    def identities(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping = DEFAULT_MAPPING,  # noqa: ARG002  one protocol
    ) -> Iterator[bytes]:
        """SHA-256 (32 bytes) of every row: all columns, typed.

        Raises:
            DatasetError: the file is damaged, or a column's type cannot be compared.
        """
        with open_table(place(root, shard.uri), shard.uri) as table:
            yield from table_identities(table, shard.uri)

    def siblings(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping = DEFAULT_MAPPING,  # noqa: ARG002  one protocol
    ) -> NDArray[np.int64]:
        """int64 (records,): rows stand alone."""
        with open_table(place(root, shard.uri), shard.uri) as table:
            return np.arange(table.metadata.num_rows)

    def write(
        self,
        root: Place,
        shard: Shard,
        keep: NDArray[np.bool_],
        out: Path,
        mapping: ColumnMapping = DEFAULT_MAPPING,  # noqa: ARG002  one protocol
    ) -> None:
        """Write the rows that are kept to the same uri under `out`; verbatim if that is all of them.

        Args:
            root: the dataset.
            shard: one of its shards.
            keep: bool (records,).
            out: root of the new revision.
            mapping: not needed here.

        Raises:
            AlignmentError: `keep` is not one entry for each record.
            DatasetError: the file is damaged.
            OutputError: the target exists or cannot be written.
        """
        source = place(root, shard.uri)
        with open_table(source, shard.uri) as table:
            check_length(keep, table.metadata.num_rows, shard.uri)
        if keep.all():
            copy_file(source, out, shard.uri)
            return
        with new_file(out, shard.uri) as target:
            filter_table(source, keep, target, shard.uri)


def _picked(
    source: Place, where: str, rows: Collection[int], mapping: ColumnMapping, *, only_roles: bool = False
) -> dict[int, Record | Unreadable]:
    records: dict[int, Record | Unreadable] = {}
    with open_table(source, where) as table:
        roles = _roles(table, mapping, where)
        mapped = sorted(set(roles.values()))
        columns = mapped if only_roles else told_columns(table.schema_arrow, mapped)
    for numbers, batch in picked_batches(source, rows, where, columns):
        for place_, (row, values) in enumerate(zip(numbers, row_values(batch), strict=True)):
            key = batch.column(roles["key"]).slice(place_, 1) if "key" in roles else None
            name = str(key_strings(key, row, 1, where)[0].as_py())
            fields = fields_of(values, mapping, where, with_columns=True)
            records[row] = Unreadable(row, name, Reason.METADATA_ONLY, fields)
    return records


def _roles(table: Any, mapping: ColumnMapping, where: str, kinds: Collection[Kind] = LIST_KINDS) -> Mapping[str, str]:
    """Role → column of a table that has at least one column to match by; PhotoDNA is one only where it is asked for."""
    names = column_names(table)
    roles = mapping.found_in(names, where)
    if Kind.PHOTODNA not in kinds:
        roles.pop(Kind.PHOTODNA.value, None)
    if not roles.keys() - {"key"}:
        raise DatasetError(
            "no column of this table can be matched against a list",
            expected="a url, md5, sha1 or sha256 column (LAION's `hash` is a row key, not a digest), "
            "or photodna where it is among scan.kinds",
            seen=listed(names),
            where=where,
            todo="Say which column is which, for instance --column url=address --column md5=checksum; in Python "
            'ColumnMapping(url="address", md5="checksum").',
        )
    return roles


def _needed(roles: Mapping[str, str], kinds: Collection[Kind]) -> Mapping[str, str]:
    """Role → column for the key and for what these kinds are taken of; all of them where nothing would be left."""
    wanted = {"key", *(kind.value for kind in kinds)} | ({"url"} if any(kind.is_url for kind in kinds) else set())
    needed = {role: column for role, column in roles.items() if role in wanted}
    return needed or roles


def _batches(
    path: Place, shard: Shard, mapping: ColumnMapping, kinds: Collection[Kind]
) -> Generator[ColumnBatch, None, Outcome]:
    digest = hashlib.sha256(b"parquet columns\0")
    digests = path.digests if isinstance(path, Remote) else {}
    first = 0
    with open_plain(path, shard.uri) as (stream, size), open_table(path, shard.uri, known=digests) as table:
        roles = _needed(_roles(table, mapping, shard.uri, kinds), kinds)
        chosen = sorted(set(roles.values()))
        extents = Extents(stream, size, table, digests, columns=chosen, where=shard.uri)
        digest.update(extents.footer())
        if not table.metadata.num_rows:  # it still says which columns it has
            yield _column_batch(table.schema_arrow.empty_table(), roles, 0, shard.uri)
        for group in range(table.metadata.num_row_groups):
            for batch in group_batches(table, group, BATCH_ROWS, shard.uri, chosen, threads=False):
                yield _column_batch(batch, roles, first, shard.uri)
                first += len(batch)
            digest.update(extents.group(group))
        check_rows(first, table.metadata.num_rows, shard.uri)
    return Outcome(digest.hexdigest(), first)


def _column_batch(batch: Any, roles: Mapping[str, str], first: int, where: str) -> ColumnBatch:
    columns = {role: batch.column(name) for role, name in roles.items()}
    return ColumnBatch(
        first,
        len(batch),
        own_keys(columns["key"], first, len(batch), where) if "key" in columns else None,
        url_strings(columns["url"], where) if "url" in columns else None,
        {kind: declared_column(columns[kind.value], kind, where) for kind in DECLARED_KINDS if kind.value in columns},
    )
