"""Lines of a list file: streamed, numbered, and refused as a whole when some of them are wrong.

Nothing here ever puts a piece of a line into an error: what looks like a comment may be a value in the wrong place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vetset.model.errors import ListError

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 64 << 10
MAX_LIST_BYTES = 8 << 30
MAX_COMPLAINTS = 10
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


def blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    r"""The lines of a UTF-8 file in blocks: the number of the first line (from 1), and the lines without their ends.

    A byte order mark is dropped, `\r\n` is an end of line like `\n`. At most one block and one line are in memory.

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
                whole, newline, rest_of_chunk = chunk.rpartition(b"\n")
                if newline:
                    yield number, (lines := _split(path, number, rest + whole))
                    number += len(lines)
                    rest = rest_of_chunk
                else:
                    rest += rest_of_chunk
                if len(rest) > MAX_LINE_BYTES:
                    raise _refused(path, number, f"a line of more than {MAX_LINE_BYTES} bytes")
    except OSError as error:
        raise ListError(
            f"the list cannot be read ({error.strerror or type(error).__name__})",
            where=path.name,
            todo="Name a file that exists and that you may read.",
        ) from error
    if rest:
        yield number, _split(path, number, rest)


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


def _split(path: Path, first: int, block: bytes) -> list[bytes]:
    """Lines of a block whose last line has no end; each of them is text without stray control bytes."""
    if b"\r" in block:
        block = (block + b"\n").replace(b"\r\n", b"\n")[:-1]
    for byte, what in ((b"\0", "a NUL byte (UTF-16, or no text at all)"), (b"\r", "a carriage return within a line")):
        if byte in block:
            raise _refused(path, first + block[: block.index(byte)].count(b"\n"), what)
    if not block.isascii():
        try:
            block.decode("utf-8")
        except UnicodeDecodeError as error:
            number = first + block[: error.start].count(b"\n")
            raise _refused(path, number, "bytes that are not UTF-8") from None
    lines = block.split(b"\n")
    if len(block) > MAX_LINE_BYTES:
        for number, line in enumerate(lines, first):
            if len(line) > MAX_LINE_BYTES:
                raise _refused(path, number, f"a line of more than {MAX_LINE_BYTES} bytes")
    return lines
