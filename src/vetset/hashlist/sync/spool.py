"""Where fetched pages wait until their range is complete: sealed files that appear whole or not at all.

    FOLDER/                0700, e.g. $VETSET_HOME/sync/NAME
        00000001.page      0600, sealed: one line of JSON (`Head`), then an Arrow stream of opinions

How many pages wait, and how large they are, can be seen by whoever can see into the folder; nothing else can.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from vetset.hashlist.opinions import SCHEMA, checked
from vetset.model.errors import OutputError, SealError
from vetset.storage.commit import alone_in, clear_partials, private_folder, write_atomic

_FORMAT = "vetset-spool-2"
_FILE = re.compile(r"[0-9]{8}\.page")


def _file_name(number: int) -> str:
    return f"{number:08d}.page"


@dataclass(frozen=True, slots=True)
class Head:
    """What is known about a page beside its opinions.

    Attributes:
        source: name of the source that gave it.
        host: which answered.
        checkpoint: what its range goes on from.
        full: whether the range is everything.
        number: which page of the range it is, from 1.
        position: where it was.
        next: where the range goes on; None on the last page.
        latest: time of the latest change that the service knows of; None if it does not say.
        at: when it was fetched.
        rows: how many opinions it has.
        told: what was read, in numbers.
    """

    source: str
    host: str
    checkpoint: str = field(repr=False)
    full: bool
    number: int
    position: str = field(repr=False)
    next: str | None = field(repr=False)
    latest: datetime | None
    at: datetime
    rows: int
    told: Mapping[str, int]

    def to_json(self) -> str:
        """One line."""
        times = {"latest": self.latest.isoformat() if self.latest else None, "at": self.at.isoformat()}
        return json.dumps({"format": _FORMAT, **asdict(self), **times})

    @classmethod
    def from_json(cls, line: bytes) -> "Head":
        """The head that was written.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: this is no such line.
        """
        cells = json.loads(line)
        if cells.pop("format") != _FORMAT:
            raise ValueError("another format")
        latest, at = cells.pop("latest"), datetime.fromisoformat(cells.pop("at"))
        return cls(**cells, latest=datetime.fromisoformat(latest) if latest else None, at=at)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _FILE.fullmatch(path.name))


def clear_pages(folder: Path) -> None:
    """Forget all pages in a folder, for which no key is needed.

    Raises:
        OutputError: one cannot be removed.
    """
    try:
        for path in _files(folder)[::-1]:  # from the end, so that what is left after a kill begins at the beginning
            path.unlink()
        if folder.is_dir():
            clear_partials(folder)
    except OSError as error:
        raise OutputError(f"a page cannot be removed ({error.strerror})", where=folder.name) from error


class Spool:
    """The pages of one list's sync.

    Args:
        folder: made (0700) when it is first used.
        seal: encrypts bytes to the vault's own key.
        unseal: opens what it made; raises `SealError` for what is damaged.
    """

    def __init__(self, folder: Path, seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes]) -> None:
        self._folder, self._seal, self._unseal = folder, seal, unseal

    def alone(self) -> AbstractContextManager[None]:
        """Be the only sync that uses it.

        Raises:
            UsageError: another one does.
            OutputError: the folder cannot be made or opened.
        """
        private_folder(self._folder)
        return alone_in(self._folder)

    def add(self, head: Head, batches: Sequence[pa.RecordBatch]) -> None:
        """Keep a page, durably.

        Raises:
            OutputError: it cannot be written.
        """
        private_folder(self._folder)
        sink = pa.BufferOutputStream()
        rows = pa.Table.from_batches(batches, SCHEMA).unify_dictionaries()
        with pa.ipc.new_stream(sink, SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(rows)
        data = head.to_json().encode("ascii") + b"\n" + sink.getvalue().to_pybytes()
        write_atomic(self._folder / _file_name(head.number), self._seal(data))

    def heads(self) -> Iterator[Head]:
        """What is known of every page, in order.

        Raises:
            SealError: a page is damaged, or one is missing between others.
        """
        for number, (path, data) in enumerate(self._pages(), 1):
            try:
                head = Head.from_json(data.partition(b"\n")[0])
            except (ValueError, TypeError, KeyError, AttributeError):
                raise self._damaged(path) from None
            if path.name != _file_name(head.number) or head.number != number:
                raise self._damaged(path)
            yield head

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The opinions of all pages, in order.

        Raises:
            SealError: a page is damaged.
            ListError: its rows are not as they must be.
        """
        for path, data in self._pages():
            try:
                with pa.ipc.open_stream(pa.py_buffer(data.partition(b"\n")[2])) as reader:
                    found = reader.read_all().to_batches()
            except (pa.ArrowException, OSError):
                raise self._damaged(path) from None
            for batch in found:
                yield checked(batch, path.name)

    def clear(self) -> None:
        """Forget all pages.

        Raises:
            OutputError: one cannot be removed.
        """
        clear_pages(self._folder)

    def _pages(self) -> Iterator[tuple[Path, bytes]]:
        for path in _files(self._folder):
            try:
                sealed = path.read_bytes()
            except OSError as error:
                raise OutputError(f"a page cannot be read ({error.strerror})", where=path.name) from error
            try:
                yield path, self._unseal(sealed)
            except SealError as error:
                error.todo = f"Remove the folder {self._folder}: the sync then begins its range anew."
                raise error.at(path.name) from None

    def _damaged(self, path: Path) -> SealError:
        return SealError(
            "a page that waits is not what was written",
            where=path.name,
            todo=f"Remove the folder {self._folder}: the sync then begins its range anew.",
        )
