"""Which columns mean what, by name, and how their values become fingerprints.

Defaults follow the schemas of LAION-400M, LAION-5B and Re-LAION, DataComp, COYO and img2dataset, compared without
regard to case. LAION's `hash` is mmh3 of address and text, a row key: it is never taken for a digest of a picture, and
neither is COYO's `image_phash`, which is no PDQ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.dataset.declared import BASE64_LENGTH, unbase64
from vetset.dataset.hexadecimal import unhex
from vetset.dataset.reading import DigestColumn
from vetset.model.errors import DatasetError
from vetset.model.signal import Kind, Reason

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "url": ("url",),
    "key": ("key", "uid", "sample_id", "id", "image_id"),
    "md5": ("md5",),
    "sha1": ("sha1",),
    "sha256": ("sha256",),
    "photodna": ("photodna",),
}
"""Names that are looked for, in lower case and in this order, when a role is not mapped by hand."""
ROLES = tuple(DEFAULTS)
ADDRESS = r"(?i)://|\bhttps?:/"
"""What makes a key an address: a pattern for Python and for Arrow. In the name of a file, `//` may have become `/`."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Names of the dataset's columns for each role: None looks for the usual names, "" switches the role off.

    Attributes:
        url: address of the picture, hashed as its UTF-8 bytes.
        key: the dataset's own key.
        md5: digest of the picture's file, hex or raw, as are sha1 and sha256.
        sha1: see md5.
        sha256: see md5.
        photodna: PhotoDNA value of the picture, base64, hex or raw.
    """

    url: str | None = None
    key: str | None = None
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None
    photodna: str | None = None

    def by_role(self) -> dict[str, str | None]:
        """The names as they are written down and digested, by role.

        `photodna` is left out where nothing is said of it, so that what was scanned before there was such a role is
        still known by the same digest.
        """
        return {role: name for role, name in asdict(self).items() if role != "photodna" or name is not None}

    def found_in(self, names: Sequence[str], where: str, *, strict: bool = True) -> dict[str, str]:
        """Role → column for the roles that these columns fill.

        Args:
            names: the columns that are there.
            where: shard, for errors.
            strict: refuse a hand-mapped column that is absent (a table), or pass over it (one JSON document).

        Raises:
            DatasetError: a hand-mapped column is absent, or two columns fill one role.
        """
        roles = {}
        for role in ROLES:
            wanted: str | None = getattr(self, role)
            if wanted == "":
                continue
            column = (
                _usual(role, names, where) if wanted is None else _mapped(role, wanted, names, where, strict=strict)
            )
            if column is not None:
                roles[role] = column
        return roles


DEFAULT_MAPPING = ColumnMapping()


def _usual(role: str, names: Sequence[str], where: str) -> str | None:
    for default in DEFAULTS[role]:
        fitting = [name for name in names if name.lower() == default]
        if len(fitting) > 1:
            raise DatasetError(
                f"more than one column could be the {role}",
                seen=", ".join(map(repr, fitting)),
                where=where,
                todo=f"Name one of them: --column {role}=NAME; in Python ColumnMapping({role}=...).",
            )
        if fitting:
            return fitting[0]
    return None


def _mapped(role: str, wanted: str, names: Sequence[str], where: str, *, strict: bool) -> str | None:
    count = names.count(wanted)
    if count == 1:
        return wanted
    if count == 0 and not strict:
        return None
    raise DatasetError(
        f"the column mapped to {role} is {'absent' if count == 0 else 'there more than once'}",
        expected=repr(wanted),
        seen=listed(names),
        where=where,
    )


def listed(names: Sequence[str]) -> str:
    """Column names for an error text, at most twenty of them."""
    shown = ", ".join(name[:60] for name in names[:20])
    return f"{shown}, … ({len(names)} columns)" if len(names) > 20 else shown or "no columns"


def _plain(column: Any) -> Any:
    """One contiguous array without dictionary, view or extension encoding."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if pa.types.is_binary_view(array.type) else array


def extents(array: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Bytes, starts (n,) and lengths (n,) of a string, binary or fixed-size binary array."""
    count = len(array)
    buffers = array.buffers()
    data = np.frombuffer(buffers[-1] or b"", dtype=np.uint8)
    if pa.types.is_fixed_size_binary(array.type):
        width = array.type.byte_width
        starts = (np.arange(count, dtype=np.int64) + array.offset) * width
        return data, starts, np.full(count, width, dtype=np.int64)
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    if count == 0 or buffers[1] is None:
        return data, np.zeros(count, np.int64), np.zeros(count, np.int64)
    stored = np.frombuffer(buffers[1], dtype=np.int64 if large else np.int32)
    offsets: NDArray[np.int64] = stored[array.offset : array.offset + count + 1].astype(np.int64)
    return data, offsets[:-1], offsets[1:] - offsets[:-1]


def _gathered(data: NDArray[np.uint8], starts: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Rows of `width` bytes at `starts`, without a copy where they lie side by side."""
    if len(starts) and (np.diff(starts) == width).all():
        return data[starts[0] : starts[0] + width * len(starts)].reshape(-1, width)
    return data[starts[:, None] + np.arange(width)] if len(starts) else np.zeros((0, width), np.uint8)


def declared_column(column: Any, kind: Kind, where: str) -> DigestColumn:
    """Values of a kind that a column states: uint8 (n, kind.width) and why-codes uint8 (n,).

    Hex text of either case, as string or binary, and raw bytes are understood, of PhotoDNA base64 too; null rows are
    `null_value`, anything else that is not of this width is `malformed_value`.

    Raises:
        DatasetError: the column's type can hold no digest (for instance an integer).
    """
    array, width = _plain(column), kind.width
    count = len(array)
    if pa.types.is_null(array.type):
        nothing = np.zeros((count, width), dtype=np.uint8)
        return DigestColumn(nothing, np.full(count, Reason.NULL_VALUE.code, dtype=np.uint8))
    is_text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    is_bytes = pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)
    if not (is_text or is_bytes or pa.types.is_fixed_size_binary(array.type)):
        raise DatasetError(
            "a column that should hold digests is of another type",
            expected=f"hex text or {width} raw bytes",
            seen=str(array.type),
            where=where,
            todo=f"Map the right column (--column {kind.value}=NAME), or switch the role off (--column {kind.value}=); "
            f'in Python ColumnMapping({kind.value}="").',
        )
    if pa.types.is_fixed_size_binary(array.type) and array.type.byte_width == width and not array.null_count:
        block = np.frombuffer(array.buffers()[1] or b"", dtype=np.uint8)
        block = block[array.offset * width : (array.offset + count) * width].reshape(count, width)
        return DigestColumn(block, np.zeros(count, dtype=np.uint8))
    return _mixed(array, kind, is_text=is_text)


def _mixed(array: Any, kind: Kind, *, is_text: bool) -> DigestColumn:
    """Values out of a column that may hold hex text, base64, raw bytes, nulls and anything else."""
    count, width = len(array), kind.width
    data, starts, lengths = extents(array)
    absent = np.zeros(count, np.bool_) if not array.null_count else np.asarray(array.is_null())
    in_hex = np.flatnonzero((lengths == 2 * width) & ~absent)
    decoded, good = unhex(data, starts if len(in_hex) == count else starts[in_hex], width)
    if len(in_hex) == count and good.all():
        return DigestColumn(decoded, np.zeros(count, dtype=np.uint8))
    values = np.zeros((count, width), dtype=np.uint8)
    why = np.full(count, Reason.MALFORMED_VALUE.code, dtype=np.uint8)
    values[in_hex[good]] = decoded[good]
    why[in_hex[good]] = 0
    if kind is Kind.PHOTODNA:
        coded = np.flatnonzero((lengths == BASE64_LENGTH) & ~absent)
        decoded, good = unbase64(data, starts[coded])
        values[coded[good]] = decoded[good]
        why[coded[good]] = 0
    if not is_text:
        raw = np.flatnonzero((lengths == width) & ~absent)
        values[raw] = _gathered(data, starts[raw], width)
        why[raw] = 0
    why[absent] = Reason.NULL_VALUE.code
    return DigestColumn(values, why)


def _utf8(array: Any, errors: str | None) -> Any:
    """A `StringArray` whose text is valid; invalid text becomes null, or is escaped where `errors` names how."""
    try:
        return array.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for value in array.cast(pa.large_binary()).to_pylist():
            try:
                texts.append(None if value is None else value.decode("utf-8", errors or "strict"))
            except UnicodeDecodeError:
                texts.append(None)
        return pa.array(texts, pa.string())


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def url_strings(column: Any, where: str) -> Any:
    """Addresses as a `pyarrow.StringArray` (n,); null where there is none, or only white space, or no UTF-8.

    Raises:
        DatasetError: the column holds no text.
    """
    array = _plain(column)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.string())
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or _is_binary(array.type)):
        raise DatasetError(
            "the address column is of another type",
            expected="text",
            seen=str(array.type),
            where=where,
            todo="Map the right column, or switch the role off: `--column url=`.",
        )
    texts = _utf8(array, None)
    blank = pc.or_(pc.utf8_is_space(texts), pc.equal(pc.binary_length(texts), 0))
    return pc.if_else(blank, pa.scalar(None, pa.string()), texts) if pc.any(blank).as_py() else texts


def key_strings(column: Any | None, first_row: int, count: int, where: str) -> Any:
    """Keys as a `pyarrow.StringArray` (n,) without nulls; the row number stands in for an absent key.

    Whole numbers print without a decimal point (pandas turns a nullable int64 into float64); raw bytes print as hex.

    Raises:
        DatasetError: the column's type can be no key.
    """
    array = pa.nulls(count) if column is None else _plain(column)
    kind = array.type
    is_whole = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0)
    if is_whole and not array.null_count:
        return array.cast(pa.string())
    numbers = pa.array(np.arange(first_row, first_row + count)).cast(pa.string())
    if pa.types.is_null(kind):
        return numbers
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        keys = _utf8(array, "backslashreplace")
    elif is_whole:
        keys = array.cast(pa.string())
    elif pa.types.is_floating(kind):
        doubles = array.cast(pa.float64())
        whole = pc.and_(pc.equal(doubles, pc.floor(doubles)), pc.less(pc.abs(doubles), 2.0**63))
        integers = pc.if_else(whole, doubles, pa.scalar(None, pa.float64())).cast(pa.int64()).cast(pa.string())
        keys = pc.coalesce(integers, doubles.cast(pa.string()))
    elif _is_binary(kind):
        keys = pa.array([None if value is None else value.hex() for value in array.to_pylist()], pa.string())
    else:
        raise DatasetError(
            "the key column is of another type",
            expected="text or numbers",
            seen=str(kind),
            where=where,
            todo="Map another column, or none with `--column key=`: rows are then told by their number.",
        )
    return pc.coalesce(keys, numbers)


def own_keys(column: Any | None, first_row: int, count: int, where: str) -> Any:
    """Keys as `key_strings` has them, none of which is an address.

    Raises:
        DatasetError: the type can be no key, or they are addresses, which nothing outside the dataset may hold.
    """
    keys = key_strings(column, first_row, count, where)
    # what is rare in a key is looked for first: ten times faster than the pattern
    if pc.any(pc.match_substring(keys, ":/")).as_py() and pc.any(pc.match_substring_regex(keys, ADDRESS)).as_py():
        raise DatasetError(
            "the key column holds addresses",
            expected="keys that point nowhere by themselves",
            where=where,
            todo="Map another column, or none with `--column key=`: rows are then told by their number.",
        )
    return keys
