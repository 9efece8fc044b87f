"""Arrow IPC streams that nobody vouches for: read forward, with no more asked for than there is or is sensible."""

import mmap
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from vetset.dataset.arrow_messages import Heads
from vetset.dataset.places import CHUNK
from vetset.model.errors import DatasetError

Update = Callable[[Any], None]


class Forward:
    """What Arrow reads a stream through: never more than there is is asked for, and all that passes is digested.

    No batch comes by that would unpack to more than `arrow_messages.WORST_BYTES`.

    Args:
        stream: the file, where the messages begin.
        size: its bytes.
        where: the file, for errors.
        update: is given all bytes that pass, in order.
        mapped: hand out views of the file where it can be mapped: Arrow then takes values from where they lie.
    """

    closed = False

    def __init__(
        self, stream: BinaryIO, size: int, where: str, update: Update | None = None, *, mapped: bool = False
    ) -> None:
        self._stream = stream
        self._size = size
        self._update = update
        self._position = stream.tell()
        self._mapped = _mapped(stream, size) if mapped else None
        self._heads = Heads(where)
        self.ended_early = False

    def read(self, count: int = -1) -> Any:
        """The next bytes.

        Raises:
            DatasetError: they complete a batch that would unpack to too much.
        """
        left, asked = self._size - self._position, count
        if not 0 <= count <= left:
            # Only a stream whose end mark is missing, or a message that claims too much, leads here.
            self.ended_early, count = True, left
        if self._mapped is not None:
            data: Any = self._mapped[self._position : self._position + count]
        else:
            data = self._stream.read(count)
        self._position += len(data)
        if self._update is not None:
            self._update(data)
        if len(data) == asked:  # Arrow makes nothing of a message that is cut off
            self._heads.passed(data)
        return data

    def rest(self) -> int:
        """Read on to the end of the file; how many bytes that were."""
        start = self._position
        while self._position < self._size and len(self.read(min(CHUNK, self._size - self._position))):
            pass
        return self._position - start

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """No."""
        return False

    def tell(self) -> int:
        """Bytes that passed, and those before the messages."""
        return self._position

    def close(self) -> None:
        """Whoever opened the file closes it."""


def _mapped(stream: BinaryIO, size: int) -> memoryview | None:
    """The file in memory, page by page as it is looked at; None where it lies in no file of this machine."""
    try:
        return memoryview(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ))
    except (AttributeError, OSError, ValueError):
        return None


def damaged(problem: str, where: str, expected: str | None = None) -> DatasetError:
    """The error for a file that is not what it should be."""
    todo = "Fetch or build this file again; the others are not affected."
    return DatasetError(problem, expected=expected, where=where, todo=todo)


_WITHOUT_ARRAYS = frozenset({pa.lib.Type_INTERVAL_MONTHS, pa.lib.Type_INTERVAL_DAY_TIME})


def require_arrays(schema: Any) -> None:
    """Refuse columns that Arrow reads and its Python has no arrays for, as intervals of months.

    Raises:
        pa.ArrowNotImplementedError: there is one.
    """
    for field in schema:
        if not _has_array(field.type):
            raise pa.ArrowNotImplementedError(f"columns of {field.type}")


def _has_array(kind: Any) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_array(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _has_array(kind.value_type)
    # the type is asked, and no array of it is made: of a union of nothing that ends the process (a find of the soak)
    return kind.id not in _WITHOUT_ARRAYS and all(
        _has_array(kind.field(index).type) for index in range(kind.num_fields)
    )


def record_batches(reader: Any, source: Forward, size: int, where: str) -> Iterator[Any]:
    """The record batches of a stream, in order; what is in them was not looked at yet.

    Args:
        reader: Arrow's, over `source`.
        source: what it reads through.
        size: bytes of the file.
        where: for errors.

    Raises:
        DatasetError: the stream is damaged or ends without its end mark.
    """
    try:
        while True:
            batch = reader.read_next_batch()
            if batch.num_rows > 8 * size:
                raise damaged("a record batch claims more rows than its file has bits", where)
            yield batch
    except StopIteration:
        pass
    except OSError as error:
        if error.errno is not None:
            raise
        # Arrow's own word for a message that holds less than it says, or than its file does.
        raise damaged("the Arrow stream is truncated or damaged", where) from None
    if source.ended_early:
        raise damaged("the Arrow stream is truncated", where, "an end mark behind the last record batch")
