"""Hugging Face datasets: parquet files whose columns hold pictures, and the Arrow streams that `datasets` writes.

One file is one shard. A record is a picture: a cell of a picture column, or of a list of them; a row without any is one
record too. What a row holds beside its pictures belongs to all of them, and `siblings` tells which records share a row.
A row goes when the last of its pictures goes; a picture that goes from a row that stays leaves a null.

What `datasets` needs beside its streams to load them belongs to no shard; `complete` writes it. The streams that `map`
and its like leave in a cache (`cache-….arrow`) are by-products: they are neither audited nor carried along.
"""

import hashlib
import re
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.arrays import cast_to, compacted, without_counts
from vetset.dataset.columns import DEFAULT_MAPPING, ColumnMapping, own_keys
from vetset.dataset.fields import MAX_COLUMN, fields_of
from vetset.dataset.hf_cells import Cells
from vetset.dataset.hf_info import companions, schema_of_survivors, write_companions
from vetset.dataset.hf_schema import Leaf
from vetset.dataset.hf_tables import RowFile, is_stream, open_rows
from vetset.dataset.hf_unnamed import picture_leaves, require_same_places, same_name
from vetset.dataset.identity import digest_of, row_identities
from vetset.dataset.legible import row_values
from vetset.dataset.places import (
    Found,
    belongs_to_embeddings,
    copy_file,
    new_file,
    place,
    stamp_of,
    suffix_of,
    walk_files,
)
from vetset.dataset.reading import Outcome, Reading
from vetset.dataset.tables import check_length
from vetset.model.dataset import Format, Shard
from vetset.model.errors import DatasetError
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.signal import URL_KINDS, USUAL_KINDS, Kind, Reason
from vetset.storage.remote import Place

_BY_PRODUCT = re.compile(r"(.*/)?cache-[^/]*\.arrow", re.DOTALL)
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is looked at in the rows of one file.

    Attributes:
        leaves: where pictures lie.
        roles: which column means what.
        columns: those that one pass needs.
    """

    leaves: tuple[Leaf, ...]
    roles: Mapping[str, str]
    columns: tuple[str, ...]

    @property
    def one_a_row(self) -> bool:
        """Whether every row is exactly one record, which can be known without looking."""
        return not self.leaves or (len(self.leaves) == 1 and not any(step < 0 for step in self.leaves[0].steps))


def _leaves(file: RowFile, path: Place, where: str) -> tuple[Leaf, ...]:
    """Where the pictures of an open file lie.

    Raises:
        DatasetError: columns have one name, pictures lie where they are not read, or their description is damaged.
    """
    if len(set(file.schema.names)) != len(file.schema.names):
        raise same_name(where)
    return picture_leaves(file.schema, path, where)


def _plan(file: RowFile, mapping: ColumnMapping, path: Place, where: str) -> _Plan:
    leaves = _leaves(file, path, where)
    roles = mapping.found_in(file.schema.names, where)
    wanted = {leaf.column for leaf in leaves} | set(roles.values())
    return _Plan(leaves, roles, tuple(name for name in file.schema.names if name in wanted))


def _keys(batch: Any, column: str | None, first: int, where: str) -> list[str]:
    """The key of every row of a batch.

    Raises:
        DatasetError: they are addresses, which nothing outside the dataset may hold.
    """
    own = None if column is None else batch.column(column)
    return list(own_keys(own, first, len(batch), where).to_pylist())


def _is_address(path: str) -> bool:
    return path.lower().startswith(_SCHEMES) and path.isprintable()


def _with_path(fields: Fields, path: str | None) -> Fields:
    """The fields of one cell: where its row states no address, a path that is one is the picture's."""
    stated = fields.malformed.intersection(URL_KINDS) or (fields.url is not None and fields.url.strip())
    return fields if stated or path is None or not _is_address(path) else replace(fields, url=path)


def _item(cells: Cells, record: int, row: int, key: str, fields: Fields) -> Record | Unreadable:
    image = cells.image(record)
    own = _with_path(fields, cells.path(record))
    return Unreadable(row, key, image, own) if isinstance(image, Reason) else Record(row, key, image, own)


class HuggingfaceFormat:
    """Reader and writer of what the `datasets` library keeps: parquet with pictures, and Arrow streams."""

    name = Format.HUGGINGFACE

    def discover(self, root: Place) -> list[Shard]:
        """One shard for every `.parquet` and `.arrow` below the root, sorted by uri; not for a cache's by-products.

        Raises:
            DatasetError: the root cannot be listed.
        """
        return sorted(
            Shard(found.uri, Format.HUGGINGFACE, found.size, stamp_of([found])) for found in _files_of_rows(root)
        )

    def unclaimed(self, root: Place) -> list[str]:
        """Uris of files that belong to no shard and are not needed to load one; a cleaned copy does not have them."""
        claimed = {shard.uri for shard in self.discover(root)}
        claimed.update(companions(root, [uri for uri in claimed if is_stream(uri)]))
        return sorted(found.uri for found in walk_files(root) if found.uri not in claimed)

    def read(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping,
        kinds: Collection[Kind] = USUAL_KINDS,  # noqa: ARG002  one protocol
    ) -> Reading[Record | Unreadable]:
        """The pictures of every row, by column and place in their list; other columns only where needed."""
        return Reading(_pass(root, shard, mapping))

    def read_rows(
        self, root: Place, shard: Shard, rows: Collection[int], mapping: ColumnMapping
    ) -> dict[int, Record | Unreadable]:
        """Some records, with the columns of their rows and their own paths in `fields.columns`; never another picture.

        Where rows cannot be read as a whole, what is matched by (pictures, address, digests) is read without the rest.

        Raises:
            DatasetError: the file is damaged there too.
        """
        path, where = place(root, shard.uri), shard.uri
        first_records = _located(path, where, rows, mapping)
        try:
            return _picked(path, where, rows, first_records, mapping)
        except DatasetError:
            return _picked(path, where, rows, first_records, mapping, only_needed=True)

    def identities(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping = DEFAULT_MAPPING,  # noqa: ARG002  one protocol
    ) -> Iterator[bytes]:
        """SHA-256 (32 bytes) of every record: its picture, its place in the row, and the row without its pictures.

        Raises:
            DatasetError: the file is damaged, or a column's type cannot be compared.
        """
        source = place(root, shard.uri)
        with open_rows(source, shard.uri) as file:
            leaves = _leaves(file, source, shard.uri)
            for _, batch in file.batches(None):
                cells = Cells(batch, leaves)
                rows = list(row_identities(_own_buffers(_bare(cells))))
                for record, row in enumerate(cells.row.tolist()):
                    stored, path = cells.stored(record)
                    name, at = cells.where(record)
                    yield digest_of(
                        [
                            rows[row],
                            name.encode("utf-8", "surrogatepass"),
                            str(at).encode(),
                            None if stored is None else hashlib.sha256(stored).digest(),
                            None if path is None else path.encode("utf-8", "surrogateescape"),
                        ]
                    )

    def siblings(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping = DEFAULT_MAPPING,
    ) -> NDArray[np.int64]:
        """int64 (records,): the row that each record belongs to; equal numbers share its other columns.

        Raises:
            DatasetError: the file is damaged.
        """
        path = place(root, shard.uri)
        with open_rows(path, shard.uri) as file:
            plan = _plan(file, mapping, path, shard.uri)
            if plan.one_a_row:
                return np.arange(file.count())
            columns = tuple(dict.fromkeys(leaf.column for leaf in plan.leaves))
            rows = [first + Cells(batch, plan.leaves).row for first, batch in file.batches(columns)]
        return np.concatenate([np.zeros(0, np.int64), *rows])

    def write(
        self,
        root: Place,
        shard: Shard,
        keep: NDArray[np.bool_],
        out: Path,
        mapping: ColumnMapping = DEFAULT_MAPPING,
    ) -> None:
        """Write what is kept to the same uri under `out`, in a file of the same kind; verbatim if it is everything.

        Args:
            root: the dataset.
            shard: one of its shards.
            keep: bool (records,).
            out: root of the new revision.
            mapping: as for reading.

        Raises:
            AlignmentError: `keep` is not one entry for each record.
            DatasetError: the file is damaged, or a picture cannot be taken out of a row that stays.
            OutputError: the target exists or cannot be written.
        """
        path, where = place(root, shard.uri), shard.uri
        check_length(keep, len(self.siblings(root, shard, mapping)), where)
        if keep.all():
            copy_file(path, out, shard.uri)
            return
        with new_file(out, shard.uri) as target, open_rows(path, where) as file:
            leaves = _leaves(file, path, where)
            schema = schema_of_survivors(without_counts(file.schema))
            at, filled = 0, set[Leaf]()
            batches = file.batches(None)
            # Reading comes first: Arrow's reader refuses damaged metadata of columns, and the writer asks for them.
            before = next(batches, None)
            with file.writer(target, schema, where) as append:
                while before is not None:
                    cells = Cells(before[1], leaves)
                    stays = keep[at : at + len(cells)]
                    filled |= cells.leaves_of(stays)
                    kept = _kept(before[1], cells, stays)
                    at += len(cells)
                    if len(kept):
                        append(cast_to(kept, schema).replace_schema_metadata(schema.metadata), file.stretch)
                    before = next(batches, None)
            require_same_places(schema, target, where, {leaf for leaf in leaves if leaf.sure or leaf in filled})

    def complete(self, root: Place, shards: Sequence[Shard], out: Path, changed: Collection[str]) -> None:
        """Write to `out` what `datasets` needs beside its streams, once all of them were written there.

        Args:
            root: the dataset.
            shards: its shards.
            out: root of the new revision.
            changed: uris of the shards that lost a record.

        Raises:
            DatasetError: such a file is damaged, or rows are looked up through a file of indices.
            OutputError: a target exists or cannot be written.
        """
        write_companions(root, [shard.uri for shard in shards if is_stream(shard.uri)], out, changed)


def _files_of_rows(root: Place) -> Iterator[Found]:
    for found in walk_files(root):
        if is_stream(found.uri):
            passed_over = _BY_PRODUCT.fullmatch(found.uri) is not None
        else:
            passed_over = suffix_of(found.uri) != "parquet" or belongs_to_embeddings(root, found)
        if not passed_over:
            yield found


def holds_pictures(root: Place, uri: str) -> bool | None:
    """Whether a table has columns of pictures, by its schema or by what lies in its columns; None if it is damaged.

    True also where pictures lie in columns that are not read, or their description is damaged: whoever reads the table
    is told so, and nobody takes it for a table of metadata.
    """
    path = place(root, uri)
    try:
        with open_rows(path, uri) as file:
            return _may_hold(file, path, uri)
    except DatasetError:
        return None


def _may_hold(file: RowFile, path: Place, where: str) -> bool:
    try:
        return bool(picture_leaves(file.schema, path, where))
    except DatasetError:
        return True


def _pass(root: Place, shard: Shard, mapping: ColumnMapping) -> Generator[Record | Unreadable, None, Outcome]:
    digest = hashlib.sha256(b"huggingface\0")
    records = 0
    path = place(root, shard.uri)
    with open_rows(path, shard.uri, digest.update) as file:
        plan = _plan(file, mapping, path, shard.uri)
        stating = tuple(column for role, column in plan.roles.items() if role != "key")
        for first, batch in file.batches(plan.columns):
            cells = Cells(batch, plan.leaves)
            keys = _keys(batch, plan.roles.get("key"), first, shard.uri)
            stated = row_values(batch.select(stating)) if stating else [{}] * len(batch)
            fields = [fields_of(values, mapping, shard.uri) for values in stated]
            for record, row in enumerate(cells.row.tolist()):
                yield _item(cells, record, records + record, keys[row], fields[row])
            records += len(cells)
    return Outcome(digest.hexdigest(), records)


def _located(path: Place, where: str, rows: Collection[int], mapping: ColumnMapping) -> dict[int, int]:
    """Rows of the file that hold these records: row → its first record."""
    with open_rows(path, where) as file:
        plan = _plan(file, mapping, path, where)
        if plan.one_a_row:
            return {row: row for row in rows}
        wanted = np.array(sorted(rows), np.int64)
        located: dict[int, int] = {}
        records = 0
        columns = tuple(dict.fromkeys(leaf.column for leaf in plan.leaves))
        for first, batch in file.batches(columns):
            row = Cells(batch, plan.leaves).row
            inside = wanted[(wanted >= records) & (wanted < records + len(row))] - records
            for here in np.unique(row[inside]).tolist():
                located[first + here] = records + int(np.searchsorted(row, here))
            records += len(row)
        return located


def _picked(
    path: Place,
    where: str,
    rows: Collection[int],
    first_records: Mapping[int, int],
    mapping: ColumnMapping,
    *,
    only_needed: bool = False,
) -> dict[int, Record | Unreadable]:
    """These records, out of the rows of the file that hold them: row → its first record."""
    wanted, found = set(rows), {}
    with open_rows(path, where) as file:
        plan = _plan(file, mapping, path, where)
        for first, batch in file.batches(plan.columns if only_needed else None, first_records.keys()):
            inside = [row for row in range(first, first + len(batch)) if row in first_records]
            few = batch.take(pa.array([row - first for row in inside], pa.int64()))
            cells = Cells(few, plan.leaves)
            stated = _stated(few, cells, plan, mapping, where)
            at = np.concatenate([[0], np.cumsum(np.bincount(cells.row, minlength=len(few)))])
            keys = [_keys(few.slice(n, 1), plan.roles.get("key"), row, where)[0] for n, row in enumerate(inside)]
            for record, here in enumerate(cells.row.tolist()):
                number = first_records[inside[here]] + record - int(at[here])
                if number in wanted:
                    fields = _with_own_path(stated[here], cells, record)
                    found[number] = _item(cells, record, number, keys[here], fields)
    return found


def _bare(cells: Cells) -> Any:
    """The rows without any of their pictures, also where the schema would not let them be null."""
    return cells.without(np.ones(len(cells), np.bool_), strict=False)


def _own_buffers(batch: Any) -> Any:
    """The same rows in memory of their own, if they are a slice of more: comparing copies whole buffers."""
    return batch.take(pa.array(np.arange(len(batch)))) if any(column.offset for column in batch.columns) else batch


def _stated(batch: Any, cells: Cells, plan: _Plan, mapping: ColumnMapping, where: str) -> list[Fields]:
    """All that the dataset says of some rows, without their pictures."""
    only_pictures = {leaf.column for leaf in plan.leaves if not leaf.steps and not leaf.more}
    columns = [name for name in batch.schema.names if name not in only_pictures]
    bare = _bare(cells).select(columns)
    stated = row_values(bare) if columns else [{}] * len(batch)
    return [fields_of(values, mapping, where, with_columns=True) for values in stated]


def _with_own_path(fields: Fields, cells: Cells, record: int) -> Fields:
    path = cells.path(record)
    if path is None:
        return fields
    own = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")[:MAX_COLUMN]
    return replace(fields, columns={**fields.columns, f"{cells.where(record)[0]}.path": own})


def _kept(batch: Any, cells: Cells, keep: NDArray[np.bool_]) -> Any:
    """The rows of which a record stays, without the pictures that do not."""
    rows = np.zeros(len(batch), np.bool_)
    rows[cells.row[keep]] = True
    gone = ~keep & rows[cells.row]
    changed = cells.without(gone) if gone.any() else batch
    return compacted(changed.filter(pa.array(rows)))
