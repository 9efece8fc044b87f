"""What img2dataset writes beside `00000.tar`.

`00000.parquet` has one row for every address that was tried, `00000_stats.json` says how the tries ended. Rows that
never became a picture still point at one, so they are records too.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.columns import ColumnMapping, key_strings, listed
from vetset.dataset.fields import fields_of
from vetset.dataset.legible import python_values
from vetset.dataset.picked import picked_rows
from vetset.dataset.places import MAX_TEXT, read_whole
from vetset.dataset.tables import check_rows, column_names, decoded, open_table, table_identities, told_columns
from vetset.model.errors import DatasetError
from vetset.model.record import Fields
from vetset.storage.remote import Place

MAX_SIDECAR = 1 << 31
MAX_SIDECAR_ROWS = 1 << 24
"""Bytes and rows of a table beside a tar, at most; it is held whole."""
_AT_ONCE = 1024
"""Rows whose cells are made values of Python's together."""
_FAILURES = ("failed_to_download", "failed_to_resize")


def plain_key(key: str) -> str:
    """A member's key as a sidecar would write it: without the `./` that `tar cf x.tar .` puts before every name."""
    while key.startswith("./"):
        key = key[2:]
    return key


def _is_number(kind: Any) -> bool:
    """Whether keys of a type are numbers, if only because pandas made them floating where one is missing."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_integer(value) or pa.types.is_floating(value) or pa.types.is_decimal(value))


class Sidecar:
    """The rows of one `00000.parquet`, held in memory; img2dataset writes 10,000 of them by default.

    Attributes:
        data: the file's bytes.
        digest: hex SHA-256 of them.
        keys: the key of every row.

    Raises:
        DatasetError: the file is damaged, or has no key column.
    """

    def __init__(self, path: Place, where: str, mapping: ColumnMapping) -> None:
        self.data = read_whole(path, where, MAX_SIDECAR)
        self.digest = hashlib.sha256(self.data).hexdigest()
        self._where = where
        self._mapping = mapping
        with open_table(self.data, where) as table:
            names = column_names(table)
            self._roles = mapping.found_in(names, where, strict=False)
            if "key" not in self._roles:
                raise DatasetError(
                    "the table beside a tar cannot be joined to its samples",
                    expected="a key column",
                    seen=listed(names),
                    where=where,
                    todo="Map it (--column key=NAME; in Python ColumnMapping(key=...)), or move the table out of the "
                    "dataset.",
                )
            chosen = sorted(set(self._roles.values()))
            _require_sensible(table.metadata, where)
            self._table = table.read(columns=chosen)
            check_rows(self._table.num_rows, table.metadata.num_rows, where)
        column = self._table[self._roles["key"]]
        self.keys: list[str] = key_strings(column, 0, len(column), where).to_pylist()
        self._numbered = _is_number(column.type)
        self._rows: dict[str, list[int]] = {}
        for row, stated in enumerate(column.is_valid().to_pylist()):
            if stated:  # the number of a row that has no key is called like no sample
                self._rows.setdefault(plain_key(self.keys[row]), []).append(row)
        self._first, self._cells = -1, dict[str, list[Any]]()

    def __len__(self) -> int:
        return len(self.keys)

    def written(self, key: str) -> str:
        """A member's key as this table writes it: numbers without the zeros that names begin with."""
        plain = plain_key(key)
        return plain.lstrip("0") or "0" if self._numbered and plain.isdigit() else plain

    def rows_of(self, key: str) -> list[int]:
        """Rows of a key, in order."""
        return self._rows.get(self.written(key), [])

    def fields(self, row: int) -> Fields:
        """Address and stated digests of one row; rows are best asked for in order."""
        first = row - row % _AT_ONCE
        if first != self._first:
            cells = self._table.slice(first, _AT_ONCE)
            with decoded(self._where):
                self._cells = {name: python_values(cells[name]) for name in cells.column_names}
            self._first = first
        values = {name: column[row - first] for name, column in self._cells.items()}
        return fields_of(values, self._mapping, self._where)

    def full_fields(self, rows: Collection[int]) -> dict[int, Fields]:
        """Fields of some rows with all their columns."""
        with open_table(self.data, self._where) as table:
            # as of any table: no bytes that are not asked for
            told = told_columns(table.schema_arrow, self._roles.values())
        picked = picked_rows(self.data, rows, self._where, told)
        return {row: fields_of(row_, self._mapping, self._where, with_columns=True) for row, row_ in picked.items()}

    def identities(self) -> list[bytes]:
        """SHA-256 (32 bytes) of every row."""
        with open_table(self.data, self._where) as table:
            return list(table_identities(table, self._where))

    def outcomes(self) -> list[tuple[str | None, str | None]] | None:
        """Status and error message of every row; None where the table does not say."""
        with open_table(self.data, self._where) as table:
            if not {"status", "error_message"} <= set(column_names(table)):
                return None
            columns = table.read(columns=["status", "error_message"])
            return list(zip(python_values(columns["status"]), python_values(columns["error_message"]), strict=True))


def _require_sensible(metadata: Any, where: str) -> None:
    """Refuse a table before room is made for the rows that it claims, of which a row group may claim any number."""
    stated = sum(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    check_rows(stated, metadata.num_rows, where)
    if stated > MAX_SIDECAR_ROWS:
        raise DatasetError(
            "a table beside a tar has more rows than is sensible",
            expected=f"≤ {MAX_SIDECAR_ROWS}",
            seen=str(stated),
            where=where,
            todo="It was damaged or made to do that; look at it by hand. The others are not affected.",
        )


def stats_of_survivors(data: bytes, sidecar: Sidecar | None, rows: NDArray[np.bool_], lost: int, where: str) -> bytes:
    """The `_stats.json` of what stays: its counts made anew, its other fields as they were.

    Args:
        data: the file as it was.
        sidecar: the table beside it, if there is one.
        rows: bool (rows of the sidecar,), those that stay.
        lost: pictures that were dropped, for a shard without a table.
        where: the file, for errors.

    Raises:
        DatasetError: it is no JSON object.
    """
    stats = _parsed(data, where)
    outcomes = sidecar.outcomes() if sidecar is not None else None
    if outcomes is None:
        counts: dict[str, Any] = {name: stats[name] - lost for name in ("count", "successes") if _is_count(stats, name)}
        statuses = stats.get("status_dict")
        if isinstance(statuses, dict) and _is_count(statuses, "success"):
            counts["status_dict"] = {**statuses, "success": statuses["success"] - lost}
    else:
        stay = [outcome for outcome, kept in zip(outcomes, rows.tolist(), strict=True) if kept]
        by_status = Counter(status for status, _ in stay)
        counts = {
            "count": len(stay),
            "successes": by_status["success"],
            **{name: by_status[name] for name in _FAILURES},
            "status_dict": dict(Counter(status if status == "success" else str(message) for status, message in stay)),
        }
    stats.update({name: value for name, value in counts.items() if name in stats})
    return json.dumps(stats, indent=4).encode()


def _is_count(document: dict[str, Any], name: str) -> bool:
    return isinstance(document.get(name), int)


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise DatasetError(
            "a shard's statistics are damaged",
            expected="a JSON object",
            where=where,
            todo="Remove the file: it holds no record, and img2dataset's readers do not need it.",
        )
    return document


def read_stats(path: Place, where: str) -> bytes:
    """The bytes of a `_stats.json`.

    Raises:
        DatasetError: it cannot be read, or is absurdly large.
    """
    return read_whole(path, where, MAX_TEXT)
