"""One part of the store: the signals of one shard, written in chunks, committed whole, checked when read."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vetset.model.coverage import Coverage, Drift
from vetset.model.errors import CountError, OutputError
from vetset.model.signal import BYTE_KINDS, Kind, Variant
from vetset.storage.commit import atomic_file, commit, temporary_beside
from vetset.store.columns import (
    VARIANTS,
    Values,
    column_of,
    part_schema,
    quality_of,
    variants_of,
    why_coverage,
    why_of,
)
from vetset.store.store import Store
from vetset.store.whole import file_digest, is_whole, write_sums

_RECORDS = b"vetset.records"


def _refused(error: OSError) -> OutputError:
    return OutputError("writing the store failed", seen=error.strerror, todo="Free space, then go on.")


class PartWriter:
    """Writes the part of one shard under a temporary name; without `commit` nothing stays.

    Args:
        store: where the part will lie.
        kinds: the kinds of its columns.
        further: the variants of PDQ that have columns beside the stored picture's.
    """

    def __init__(self, store: Store, kinds: Sequence[Kind], further: Sequence[Variant] = ()) -> None:
        self._store = store
        self._schema = part_schema(kinds, further)
        self._temporary = temporary_beside(store.part_path("uncommitted"))
        # Digests do not compress and do not repeat; page checksums find a bit that flips at rest.
        try:
            self._writer = pq.ParquetWriter(
                self._temporary, self._schema, compression="none", use_dictionary=False, write_page_checksum=True
            )
        except OSError as error:
            self._temporary.unlink(missing_ok=True)
            raise _refused(error) from error
        self._vectors: list[NDArray[np.float16]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        except OSError:
            # a full disk also refuses the footer of a part that is given up; why it is given up was told already
            if error is None:
                raise
        finally:
            self._temporary.unlink(missing_ok=True)

    def append(self, columns: Sequence[pa.Array], vectors: NDArray[np.float16] | None = None) -> None:
        """Add consecutive rows.

        Args:
            columns: one array per column of `part_schema`, in its order.
            vectors: float16 (n, d) embeddings of the same rows, NaN where there is none.

        Raises:
            OutputError: the disk is full.
        """
        try:
            self._writer.write_batch(pa.record_batch(list(columns), schema=self._schema))
        except OSError as error:
            raise _refused(error) from error
        if vectors is not None:
            self._vectors.append(vectors)

    def commit(self, part: str, records: int) -> None:
        """Close the part and give it its name; `records` is the reader's own count.

        Raises:
            OutputError: the disk is full.
        """
        try:
            sums = {}
            if self._vectors:
                vectors = self._store.embeddings_path(part)
                with atomic_file(vectors) as temporary:
                    with temporary.open("wb") as file:
                        np.lib.format.write_array(file, np.concatenate(self._vectors), allow_pickle=False)
                    sums[vectors.name] = file_digest(temporary)
            self._writer.add_key_value_metadata({_RECORDS.decode(): str(records)})
            self._writer.close()
            path = self._store.part_path(part)
            sums[path.name] = file_digest(self._temporary)
        except OSError as error:
            raise _refused(error) from error
        write_sums(path, sums)
        self._temporary.chmod(0o600)
        commit(self._temporary, path)


class Part:
    """A committed part, read column by column.

    Args:
        path: the Parquet file.
        name: what the shard is called in errors.

    Raises:
        CountError: the part is missing or is not a part.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        if not is_whole(path):
            raise self._damaged("files that are missing, or are not what was written")
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged("it cannot be opened") from error
        stated = (self._file.metadata.metadata or {}).get(_RECORDS)
        if stated is None:
            raise self._damaged("it does not state its number of records")
        self.records = int(stated)

    def _damaged(self, seen: str) -> CountError:
        return CountError(
            "a part of the store is damaged or missing",
            expected="the signals of this shard",
            seen=seen,
            where=self._name,
            todo="Scan the dataset into this store again: what is damaged is read anew.",
        )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that have columns here."""
        names = set(self._file.schema_arrow.names)
        return tuple(kind for kind in Kind if why_of(kind) in names)

    def _columns(self, names: list[str]) -> pa.Table:
        try:
            return self._file.read(columns=names)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged("a column cannot be read") from error

    def keys(self) -> pa.ChunkedArray:
        """The records' keys, in row order."""
        return self._columns(["key"]).column(0)

    def variants(self, kind: Kind) -> tuple[Variant, ...]:
        """The variants of a kind that have columns here, in their order."""
        names = set(self._file.schema_arrow.names)
        further = [variant for variant in Variant if variant not in VARIANTS[kind]]
        return tuple(variant for variant in variants_of(kind, further) if column_of(kind, variant) in names)

    def signals(self, kind: Kind) -> list[Values]:
        """The signals of one kind, in the order of `variants(kind)`."""
        return [self._values(kind, variant) for variant in self.variants(kind)]

    def _values(self, kind: Kind, variant: Variant) -> Values:
        name = column_of(kind, variant)
        if not self._present(name):
            return Values.none(
                self._file.metadata.num_rows, kind.width
            )  # most variants, in most parts: nothing to read
        return Values.from_arrow(self._columns([name]).column(0), kind.width)

    def _present(self, name: str) -> int:
        """How many records have a value in a column, from the footer alone."""
        index = self._file.schema_arrow.names.index(name)
        groups = (self._file.metadata.row_group(number) for number in range(self._file.metadata.num_row_groups))
        stated = [(group.num_rows, group.column(index).statistics) for group in groups]
        return sum(rows - (statistics.null_count if statistics is not None else 0) for rows, statistics in stated)

    def quality(self, variant: Variant = Variant.STORED) -> NDArray[np.uint8]:
        """PDQ quality of one variant, uint8 (n,); 0 where there is no hash."""
        column = self._columns([quality_of(variant)]).column(0)
        return np.asarray(column.fill_null(0).to_numpy(), np.uint8)

    def why(self, kind: Kind) -> NDArray[np.uint8]:
        """Reason codes, uint8 (n,); 0 where there is a signal."""
        return np.asarray(self._columns([why_of(kind)]).column(0).to_numpy(), np.uint8)

    def present(self, kind: Kind) -> NDArray[np.bool_]:
        """Which records have a signal that decides, bool (n,): what decodes of a truncated file does not."""
        decides = np.zeros(self._file.metadata.num_rows, np.bool_)
        for variant in self.variants(kind):
            if variant is not Variant.PARTIAL:
                decides |= self._values(kind, variant).present
        return decides

    def coverage(self, kind: Kind) -> Coverage:
        """Coverage of one kind; see `why_coverage` for what is counted from where."""
        why = self.why(kind)
        return why_coverage(kind, self.records, why, why == 0 if kind is Kind.EMBEDDING else self.present(kind))

    def drift(self) -> list[Drift]:
        """How stored bytes and declared digests compare, for every kind of digest of bytes that has columns here."""
        return [self._drift(kind) for kind in BYTE_KINDS if kind in self.kinds]

    def _drift(self, kind: Kind) -> Drift:
        stored = self._present(column_of(kind, Variant.STORED))
        if not stored or not self._present(column_of(kind, Variant.DECLARED)):
            return Drift(kind, stored, 0, 0)
        mine, theirs = self._values(kind, Variant.STORED), self._values(kind, Variant.DECLARED)
        both = mine.present & theirs.present
        agree = int(np.count_nonzero((mine.values == theirs.values).all(axis=1) & both))
        return Drift(kind, stored, agree, int(np.count_nonzero(both)) - agree)
