"""One part of the store: the signals of one shard, written in chunks, committed whole, checked when read."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vetset.model.coverage import Coverage
from vetset.model.errors import CountError, OutputError
from vetset.model.signal import Kind
from vetset.storage.commit import atomic_file, commit, temporary_beside
from vetset.store.columns import QUALITY, VARIANTS, Values, column_of, part_schema, why_coverage, why_of
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
    """

    def __init__(self, store: Store, kinds: Sequence[Kind]) -> None:
        self._store = store
        self._schema = part_schema(kinds)
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
            columns: one array per column of `part_schema(kinds)`, in its order.
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

    def signals(self, kind: Kind) -> list[Values]:
        """The signals of one kind, in the order of `VARIANTS[kind]`."""
        names = [column_of(kind, variant) for variant in VARIANTS[kind]]
        table = self._columns(names)
        return [Values.from_arrow(table.column(name), kind.width) for name in names]

    def quality(self) -> NDArray[np.uint8]:
        """PDQ quality, uint8 (n,); 0 where there is no hash."""
        column = self._columns([QUALITY]).column(0)
        return np.asarray(column.fill_null(0).to_numpy(), np.uint8)

    def why(self, kind: Kind) -> NDArray[np.uint8]:
        """Reason codes, uint8 (n,); 0 where there is a signal."""
        return np.asarray(self._columns([why_of(kind)]).column(0).to_numpy(), np.uint8)

    def coverage(self, kind: Kind) -> Coverage:
        """Coverage of one kind; see `why_coverage` for what is counted from where."""
        why = self.why(kind)
        present = why == 0 if kind is Kind.EMBEDDING else np.zeros(len(why), np.bool_)
        for values in self.signals(kind) if kind is not Kind.EMBEDDING else []:
            present |= values.present
        return why_coverage(kind, self.records, why, present)
