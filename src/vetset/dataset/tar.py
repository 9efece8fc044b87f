"""The members of a tar archive, by walking its headers: USTAR, with PAX and GNU long names.

The walk never extracts and trusts no number: every size is held against the file before anything is read. What two
readers of tar could understand differently is refused, because one of them may be the trainer's: conflicting names, a
link with content, sparse members, bytes behind the end. Formats: POSIX.1-2017 pax "ustar Interchange Format" and "pax
Header Block"; GNU tar manual "Basic Tar Format". img2dataset writes a PAX header (a fractional mtime) for every member,
so that PAX is the common case here, not the exception.
"""

import zlib
from collections.abc import Iterator
from io import BufferedReader
from typing import BinaryIO, NamedTuple

from vetset.dataset.tar_headers import BLOCK, common_members
from vetset.model.errors import DatasetError

RECORD = 20 * BLOCK
_OTHER_RECORDS = tuple(BLOCK << power for power in range(6, 12))
"""What writers fill the last record up to where they were told so (`tar --blocking-factor`): 32 KiB to 1 MiB."""
ZEROS = bytes(BLOCK)
MAX_EXTENDED = 1 << 20
"""Bytes of a PAX or long-name header; a path is at most a few thousand."""
_REGULAR = frozenset(b"0\x007")
"""A file, a file as writers before POSIX marked it (NUL), a contiguous file."""
_WITHOUT_CONTENT = frozenset(b"123456")
_LABEL = ord("V")
"""What GNU tar calls an archive by, if asked to: no member."""
_LONG_NAME, _LONG_LINK, _PAX, _PAX_SOLARIS, _PAX_GLOBAL, _SPARSE = b"LKxXgS"


class Member(NamedTuple):
    """One entry of an archive: where it lies and what it is called.

    Attributes:
        name: the stored bytes of its path.
        start: where its first header begins, extended headers included.
        data: where its content begins.
        size: bytes of its content.
        end: where the next member begins.
        regular: whether it is a file (and not a folder, a link, a device or a global header).
    """

    name: bytes
    start: int
    data: int
    size: int
    end: int
    regular: bool


def _number(field: bytes) -> int:
    """A numeric header field: octal text, or GNU's base 256. -1 where it is neither, or negative."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.partition(b"\0")[0].strip()
    if not text:
        return 0
    if not text.isdigit():
        return -1
    try:
        return int(text, 8)
    except ValueError:  # an 8 or a 9
        return -1


def _byte_sum(header: bytes) -> int:
    """Sum of the bytes of a header: `sum(header)`, ten times faster where half of it is zeros, as is usual."""
    if header.count(0) >= BLOCK // 2:
        # The low half of Adler-32 is 1 + the sum modulo 65521, and 256 bytes cannot reach that.
        return (zlib.adler32(header) & 0xFFFF) - 1
    return sum(header)


def _checksum_holds(header: bytes) -> bool:
    stated = _number(header[148:156])
    if stated == _byte_sum(header) - ((zlib.adler32(header[148:156]) & 0xFFFF) - 1) + 8 * 0x20:
        return True
    # Some old writers summed signed characters.
    signed = sum(byte - 256 if byte > 127 else byte for byte in header[:148] + header[156:])
    return stated == signed + 8 * 0x20


def _pax_records(data: bytes) -> dict[bytes, bytes] | None:
    """The records of a PAX header, each `length keyword=value` and a newline; None where they do not add up."""
    records = {}
    position = 0
    while position < len(data) and data[position]:
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        if not digits.isdigit():
            return None
        end = position + int(digits)
        keyword, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= space or end > len(data) or data[end - 1] != 0x0A or not equals:
            return None
        records[keyword] = value
        position = end
    return records


class TarWalk:
    """Iterates the members of an archive in order; `content` reads the current one, or it is passed over.

    Args:
        stream: the archive at its beginning. If it cannot seek, everything is read (and so digested).
        size: bytes of the archive.
        where: uri of the shard, for errors.
    """

    def __init__(self, stream: BinaryIO, size: int, where: str) -> None:
        self._stream = stream
        self._size = size
        self._where = where
        self._position = 0
        self._seekable = stream.seekable()
        self.content_end = 0
        """Where the last member ended: the end-of-archive blocks begin here."""

    def __iter__(self) -> Iterator[Member]:
        """The members, extended headers folded into the one that they describe.

        Raises:
            DatasetError: the archive is truncated, damaged or ambiguous.
        """
        if self._size == 0:
            raise self._refused("the file is empty", "a tar archive")
        while members := self._common() or self._single():
            for member in members:
                # from one content to the next, over all that lies between
                self._pass_to(member.data)
                yield member
                self.content_end = member.end
            self._pass_to(self.content_end)
        self._check_rest()

    def beginning(self, member: Member, count: int) -> bytes:
        """The first bytes of the member that was just yielded, at most so many.

        Raises:
            DatasetError: the archive ended before the member did.
        """
        return self._read(min(count, member.size))

    def content(self, member: Member, begun: bytes = b"") -> bytes:
        """The bytes of the member that was just yielded, of which the first may have been read.

        Raises:
            DatasetError: the archive ended before the member did.
        """
        return begun + self._read(member.size - len(begun))

    def _refused(self, problem: str, expected: str | None = None) -> DatasetError:
        return DatasetError(
            problem,
            expected=expected,
            where=f"{self._where}, byte {self._position}",
            todo="Fetch or build this shard again; the others are not affected.",
        )

    def _common(self) -> list[Member]:
        """The next members, as far as what was read ahead holds their headers and there is nothing to judge."""
        if self._seekable or not isinstance(self._stream, BufferedReader):
            return []  # of one that seeks, headers alone are read; others hold nothing ahead
        window, base = self._stream.peek(), self._position
        return [
            Member(window[at : at + length], base + start, base + data, size, base + end, regular=True)
            for start, at, length, data, size, end in common_members(window, self._size - base)
        ]

    def _single(self) -> list[Member]:
        member = self._next()
        return [] if member is None else [member]

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._position += len(data)
        if len(data) != count:
            raise self._refused("the archive is truncated")
        return data

    def _pass_to(self, offset: int) -> None:
        if self._seekable:
            if offset != self._position:
                self._stream.seek(offset)
            self._position = offset
            return
        while self._position < offset:
            self._read(min(offset - self._position, 1 << 20))

    def _header(self) -> bytes | None:
        """The next header block, its checksum proven; None at the end of the archive."""
        if self._position + BLOCK > self._size:
            raise self._refused("the archive is truncated", "an end-of-archive block")
        header = self._read(BLOCK)
        if header == ZEROS:
            return None
        if not _checksum_holds(header):
            raise self._refused("a header's checksum is wrong", "a tar header")
        return header

    def _extent(self, size: int) -> int:
        """Where content of `size` bytes that begins here ends, padding included."""
        end = self._position + (size + BLOCK - 1) // BLOCK * BLOCK
        if size < 0 or end > self._size:
            raise self._refused("a member claims more bytes than the archive holds, or the archive is truncated")
        return end

    def _extended(self, header: bytes) -> bytes:
        size = _number(header[124:136])
        end = self._extent(size)
        if size > MAX_EXTENDED:
            raise self._refused("an extended header is too long", f"≤ {MAX_EXTENDED} bytes")
        data = self._read(size)
        if any(self._read(end - self._position)):
            raise self._refused("an extended header goes on behind its end, where some readers look")
        return data

    def _pax(self, data: bytes) -> dict[bytes, bytes]:
        if b"path=" not in data and b"size=" not in data and b"GNU.sparse" not in data:
            return {}  # the common case: only a time
        records = _pax_records(data)
        if records is None or any(keyword.startswith(b"GNU.sparse") for keyword in records):
            raise self._refused("a PAX header is malformed, or describes a sparse file")
        return records

    def _next(self) -> Member | None:
        start = self._position
        names: set[bytes] = set()
        sizes: set[int] = set()
        while True:
            header = self._header()
            if header is None:
                if start != self._position - BLOCK:
                    raise self._refused("an extended header describes nothing")
                return None
            kind = header[156]
            if kind == _LONG_NAME:
                names.add(self._extended(header).split(b"\0", 1)[0])
            elif kind == _LONG_LINK:
                self._extended(header)
            elif kind in (_PAX, _PAX_SOLARIS):
                records = self._pax(self._extended(header))
                if b"path" in records:
                    names.add(records[b"path"])
                if b"size" in records:
                    sizes.add(self._decimal(records[b"size"]))
            else:
                return self._member(header, start, names, sizes)

    def _decimal(self, value: bytes) -> int:
        if not value.isdigit() or len(value) > 20:
            raise self._refused("a PAX header states a size that is no number")
        return int(value)

    def _member(self, header: bytes, start: int, names: set[bytes], sizes: set[int]) -> Member:
        kind = header[156]
        if len(names) > 1 or len(sizes) > 1:
            raise self._refused("two extended headers contradict each other")
        if kind == _SPARSE:
            raise self._refused("sparse members are not read", "plain members")
        data = self._position
        if kind == _PAX_GLOBAL and (names or sizes):
            raise self._refused("an extended header describes a global one, where some readers take the next member")
        if kind == _PAX_GLOBAL:
            if self._pax(self._extended(header)).keys() & {b"path", b"size"}:
                raise self._refused("a global header renames or resizes members")
            return Member(b"", start, data, 0, self._position, regular=False)
        size = sizes.pop() if sizes else _number(header[124:136])
        end = self._extent(size)
        if kind in _WITHOUT_CONTENT and size:
            raise self._refused("a link, folder or device claims to have content")
        if kind not in _REGULAR and kind not in _WITHOUT_CONTENT and (kind != _LABEL or size):
            raise self._refused("a member is of a type that some readers take for a file", "files, links and folders")
        plain = not names and not header[345]
        name = names.pop() if names else self._short_name(header)
        folder = kind in _REGULAR and name.endswith(b"/")
        # Before POSIX a folder was a file (NUL) whose name ends in a slash. Of any other such file readers differ.
        if folder and (kind or size or not plain):
            raise self._refused("a file's name ends in a slash, and some readers take it for a folder")
        return Member(name, start, data, size, end, kind in _REGULAR and not folder)

    def _short_name(self, header: bytes) -> bytes:
        name = header[:100].split(b"\0", 1)[0]
        prefix = header[345:500].split(b"\0", 1)[0]
        if not prefix:
            return name
        # GNU's own form has times there. Python's reader takes them for folders, others do not.
        if header[257:263] != b"ustar\0":
            raise self._refused("a member's name reads differently in different readers", "a ustar or PAX header")
        return prefix + b"/" + name

    def _check_rest(self) -> None:
        """Behind the end-of-archive block the last record is filled up: anything else would go unseen.

        A file that got its size before its content, or lost its end with its machine, ends in zeros, too. Theirs go on
        for longer than a record.
        """
        while self._position < self._size:
            chunk = self._read(min(self._size - self._position, 1 << 20))
            if chunk.count(0) != len(chunk):
                raise self._refused("there are bytes behind the end of the archive", "zeros up to the end of the file")
        zeros = self._size - self.content_end
        records = [RECORD, *(record for record in _OTHER_RECORDS if self._size % record == 0)]
        if all(zeros >= record + 2 * BLOCK for record in records):
            self._position = self.content_end
            raise self._refused("from here on there are zeros only: the archive was not written to its end")
