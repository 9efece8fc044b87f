"""Lines of a list file: streamed, numbered, and refused as a whole when some of them are wrong.

Nothing here ever puts a piece of a line into an error: what looks like a comment may be a value in the wrong place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vetset.model.errors import ListError

BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 64 << 10
MAX_LIST_BYTES = 8 << 30
MAX_COMPLAINTS = 10
_NEWLINE = ord("\n")
_BOM = b"\xef\xbb\xbf"
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file (or a spreadsheet)",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"PAR1": "a parquet file",
}


@dataclass(slots=True)
class Complaints:
    """What is wrong with which lines; enough of it to mend a list, and no more than that.

    Attributes:
        where: name of the file.
        expected: what a line should have been.
        unit: what is numbered, where it is not lines.
    """

    where: str
    expected: str = ""
    unit: str = "line"
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, what: str) -> None:
        """Note that a line (numbered from 1) is wrong; `what` holds nothing of the line."""
        self.found.append((line, what))

    @property
    def enough(self) -> bool:
        """Whether reading on would tell nothing new."""
        return len(self.found) > MAX_COMPLAINTS

    def check(self) -> None:
        """Refuse the list if there was a complaint.

        Raises:
            ListError: names up to 10 lines and what is wrong with each.
        """
        if not self.found:
            return
        shown = sorted(self.found)[:MAX_COMPLAINTS]
        text = "; ".join(f"{self.unit} {line}: {what}" for line, what in shown)
        raise ListError(
            "the list is malformed",
            expected=self.expected,
            seen=text + (f"; and more {self.unit}s" if self.enough else ""),
            where=self.where,
            todo=f"Nothing was imported. Mend these {self.unit}s and import the whole list again.",
        )


def text_blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    r"""The lines of a UTF-8 file in blocks: the number of the first line (from 1), and the text of whole lines.

    A byte order mark is dropped, `\r\n` becomes `\n`. Every block ends with `\n`, but for the last one where the file
    does not. At most one block and one line are in memory.

    Raises:
        ListError: the file cannot be read, is no UTF-8 text, or has a line or size beyond the caps.
    """
    number, rest, total = 1, b"", 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(BLOCK_BYTES):
                if total == 0:
                    chunk = _beginning(path, chunk, file.read(len(_BOM)) if len(chunk) < len(_BOM) else b"")
                total += len(chunk)
                if total > MAX_LIST_BYTES:
                    raise ListError(
                        "the list is too large", expected=f"at most {MAX_LIST_BYTES} bytes", where=path.name
                    )
                end = chunk.rfind(b"\n") + 1
                if end:
                    yield number, _checked(path, number, rest + chunk[:end])
                    number += newlines(chunk)
                    rest = chunk[end:]
                else:
                    rest += chunk
                if len(rest) > MAX_LINE_BYTES:
                    raise _refused(path, number, f"a line of more than {MAX_LINE_BYTES} bytes")
    except OSError as error:
        raise _unreadable(path, error) from error
    if rest:
        yield number, _checked(path, number, rest)


def beginning(path: Path) -> bytes:
    """The first bytes of a list file, without a byte order mark; enough of them to tell its format.

    Raises:
        ListError: the file cannot be read, or only once, or is compressed, a spreadsheet or UTF-16.
    """
    try:
        with path.open("rb") as file:
            require_readable_again(file, path.name, "Say its format (--format), or write it to a file first.")
            return _beginning(path, file.read(MAX_LINE_BYTES), b"")
    except OSError as error:
        raise _unreadable(path, error) from error


def require_readable_again(file: BinaryIO, where: str, todo: str) -> None:
    """Refuse a pipe, of which nothing has been read yet, where a list is read from its beginning once more.

    What was read of it would be missing then, and the rest be taken for the whole list.

    Raises:
        ListError: the file can be read only once.
    """
    if not file.seekable():
        raise ListError(
            "the list can be read only once",
            expected="a file, which can be read again",
            seen="a pipe or a terminal",
            where=where,
            todo=f"{todo} Nothing was imported.",
        )


def _unreadable(path: Path, error: OSError) -> ListError:
    return ListError(
        f"the list cannot be read ({error.strerror or type(error).__name__})",
        where=path.name,
        todo="Name a file that exists and that you may read.",
    )


def newlines(block: bytes) -> int:
    """How many line ends there are, several times as fast as `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == _NEWLINE))


def split(block: bytes) -> list[bytes]:
    """The lines of a block, without their ends."""
    return block.removesuffix(b"\n").split(b"\n")


def blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Like `text_blocks`, with the lines apart and without their ends.

    Raises:
        ListError: as `text_blocks`.
    """
    return ((number, split(block)) for number, block in text_blocks(path))


def _beginning(path: Path, chunk: bytes, more: bytes) -> bytes:
    chunk += more
    for magic, what in _FOREIGN.items():
        if chunk.startswith(magic):
            raise ListError(
                "the list is not a text file",
                expected="UTF-8 text or CSV",
                seen=what,
                where=path.name,
                todo="Export it as UTF-8 text or CSV first.",
            )
    return chunk.removeprefix(_BOM)


def _refused(path: Path, line: int, seen: str) -> ListError:
    return ListError(
        "the list is not plain UTF-8 text",
        expected="UTF-8 lines that end with a newline",
        seen=seen,
        where=f"{path.name}, line {line}",
        todo="Export it as UTF-8 text or CSV. Nothing was imported.",
    )


def _checked(path: Path, first: int, block: bytes) -> bytes:
    """A block of lines with plain ends, each of them text without stray control bytes."""
    if b"\r" in block:
        # the file may end with the first half of an end of line
        block = block.replace(b"\r\n", b"\n") if block.endswith(b"\n") else (block + b"\n").replace(b"\r\n", b"\n")[:-1]
    for byte, what in ((b"\0", "a NUL byte (UTF-16, or no text at all)"), (b"\r", "a carriage return within a line")):
        if byte in block:
            raise _refused(path, first + block[: block.index(byte)].count(b"\n"), what)
    if not block.isascii():
        try:
            block.decode("utf-8")
        except UnicodeDecodeError as error:
            number = first + block[: error.start].count(b"\n")
            raise _refused(path, number, "bytes that are not UTF-8") from None
    start = 0
    while len(block) - start > MAX_LINE_BYTES:
        end = block.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if end < 0:
            number = first + block[:start].count(b"\n")
            raise _refused(path, number, f"a line of more than {MAX_LINE_BYTES} bytes")
        start = end + 1
    return block
