r"""Sealing to recipients: an age file behind one line that tells damage from a wrong key.

Layout: the line `vetset-sealed/1 <64 hex digits> <8 digits>\n`, zeros, an age file up to the end. The number is where
the age file (https://age-encryption.org/v1) begins; the digest is SHA-256 over that number (its 8 digits) and
everything after the line. So any age tool opens it too: `tail -c +N SEALED | age -d -i IDENTITY`, N one more than the
number.

Why not the age file alone: age cannot tell a damaged recipient line from a missing one, so a flipped bit would be
reported as somebody else's key; and its header contains a filler of random length. Here the zeros take up the
difference, so that the sealed size is a function of the length of the content and of the number of recipients.
The digest is of the sealed bytes: it needs no secret and proves nothing but that the file is whole.

`seal_into` and `unseal_from` go through a file piece by piece, for what is too large to be held twice; `seal` and
`unseal` do the same with bytes.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import numpy as np
import pyrage

from vetset.model.errors import KeyFileError, SealError, UsageError, VetsetError
from vetset.seal.keys import PrivateKey, PublicKey

_LINE = re.compile(rb"vetset-sealed/1 ([0-9a-f]{64}) ([0-9]{8})\n")
_LINE_LENGTH = len("vetset-sealed/1 ") + 64 + 1 + 8 + 1
# Room for age's own bytes: version, MAC, nonce and random filler; a recipient's lines; a tag for each 64 KiB.
_ROOM = 1024
_ROOM_PER_RECIPIENT = 128
_CHUNK = 64 << 10
_CHUNK_TAG = 16
# What an age header ends with; a nonce and the chunks follow.
_HEADER_END = re.compile(rb"\n--- [0-9A-Za-z+/]{43}\n")
_NONCE = 16
_BLOCK = 1 << 20


def sealed_size(length: int, recipients: int) -> int:
    """Bytes of what `seal` makes of `length` bytes for that many recipients."""
    chunks = max(1, -(-length // _CHUNK))
    return _LINE_LENGTH + _ROOM + recipients * _ROOM_PER_RECIPIENT + length + chunks * _CHUNK_TAG


def _recipient(key: PublicKey | str) -> pyrage.x25519.Recipient:
    text = key if isinstance(key, str) else key.recipient
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise KeyFileError(
            "a recipient is not an age X25519 recipient",
            expected="a public key that `vetset keygen` made, or age1…",
            todo="Name the NAME.pub of whoever is to open the seal.",
        ) from None


def seal(plain: bytes, recipients: Sequence[PublicKey | str]) -> bytes:
    """Encrypt for every one of `recipients`; each of them alone can open it. Does not pad: see `padding`.

    Raises:
        UsageError: there is no recipient.
        KeyFileError: a recipient is malformed.
    """
    sealed = io.BytesIO()
    seal_into(sealed, [plain], recipients)
    return sealed.getvalue()


def seal_into(file: BinaryIO, pieces: Iterable[bytes | memoryview], recipients: Sequence[PublicKey | str]) -> None:
    """Seal content that comes in pieces, one of which is held at a time.

    Args:
        file: where the sealed part goes, from its beginning: empty, seekable, buffered.
        pieces: the content, cut anywhere.
        recipients: as for `seal`.

    Raises:
        UsageError, KeyFileError: as `seal`.
        OSError: the file cannot be written. Whatever the pieces raise is raised too.
    """
    if not recipients:
        raise UsageError("there is nobody to seal for", expected="at least one recipient", todo="Name a public key.")
    keys = [_recipient(key) for key in recipients]
    source, target = _Pieces(pieces), _Sealed(file, len(keys))
    try:
        pyrage.encrypt_io(source, target, keys)
    except (pyrage.EncryptError, OSError) as error:
        raise source.failure or target.failure or error from None
    if target.failure is not None:  # of the last bytes pyrage does not tell
        raise target.failure
    target.finish(source.length)


class _Pieces:
    """Content as a file that age reads. It keeps what the pieces raised, of which pyrage makes a text."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")
        self.length = 0
        self.failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            while not self._left:
                self._left = memoryview(next(self._pieces)).cast("B")
        except StopIteration:
            return b""
        except BaseException as error:
            self.failure = error
            raise
        taken = bytes(self._left[:size])
        self._left = self._left[size:]
        self.length += len(taken)
        return taken


class _Sealed:
    """A sealed part as a file that age writes: its filler is put before it when age's header is known."""

    def __init__(self, file: BinaryIO, recipients: int) -> None:
        self._file, self._recipients = file, recipients
        self._digest = hashlib.sha256()
        self._header = b""
        self._start = 0
        self._written = 0
        self.failure: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            if self._start:
                self._put(data)
            else:
                self._begin(data)
        except BaseException as error:
            self.failure = error
            raise
        return len(data)

    def _begin(self, data: bytes) -> None:
        self._header += data
        end = _HEADER_END.search(self._header)
        room = _ROOM + _ROOM_PER_RECIPIENT * self._recipients - _NONCE
        filler = room - (end.end() if end else len(self._header))
        if filler < 0:
            raise SealError(
                "age added more bytes than there is room for", todo="Report this with the version of pyrage."
            )
        if end is None:
            return
        self._start = _LINE_LENGTH + filler
        self._digest.update(b"%08d" % self._start)
        self._file.seek(_LINE_LENGTH)
        self._put(bytes(filler))
        self._put(self._header)

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
        self._written += len(data)

    def finish(self, length: int) -> None:
        """Write the first line, over content of `length` bytes."""
        if _LINE_LENGTH + self._written != sealed_size(length, self._recipients):
            raise SealError(
                "age wrote another number of bytes than its format says", todo="Report this with the version of pyrage."
            )
        self._file.seek(0)
        self._file.write(b"vetset-sealed/1 %b %08d\n" % (self._digest.hexdigest().encode("ascii"), self._start))


def unseal(sealed: bytes, key: PrivateKey | str) -> bytes:
    """The content of a sealed part.

    Args:
        sealed: what `seal` returned.
        key: a private key, or an age identity `AGE-SECRET-KEY-1…`.

    Raises:
        SealError: the sealed part is damaged: any bit of it.
        KeyFileError: it is whole, and not for this key; or the key is malformed.
    """
    return bytes(unseal_from(io.BytesIO(sealed), key))


def unseal_from(file: BinaryIO, key: PrivateKey | str) -> memoryview:
    """The content of a sealed part that is read piece by piece, so that only the content is held.

    Args:
        file: the sealed part, seekable; read from its beginning to its end.
        key: as for `unseal`.

    Returns:
        The content, in memory of its own that may be written to.

    Raises:
        SealError, KeyFileError: as `unseal`.
        OSError: the file cannot be read.
    """
    identity, size = _identity(key), file.seek(0, io.SEEK_END)
    source, digest, blank = _opened(file)
    target = _Content(size)
    fault = _decrypted(source, target, identity) if blank else _damaged("it does not begin as a sealed part does")
    if source.digest_to_end() != digest:  # told first: only after it a wrong key is known to be one
        raise _damaged("it is not what was written")
    if fault is not None:
        raise fault
    return target.content()


def first_line_from(file: BinaryIO, key: PrivateKey | str, most: int) -> bytes:
    """The first line of what a sealed part holds, with its end, whatever follows it: no more than that is decrypted.

    Args:
        file: the sealed part, seekable.
        key: as for `unseal`.
        most: bytes that the line has at most.

    Raises:
        SealError: the beginning of the part is damaged, or holds no such line.
        KeyFileError: as `unseal`.
        OSError: the file cannot be read.
    """
    identity = _identity(key)
    source, _, blank = _opened(file)
    target = _FirstLine(most)
    fault = _decrypted(source, target, identity) if blank else _damaged("it does not begin as a sealed part does")
    if fault is not None:
        raise fault
    if not target.line.endswith(b"\n"):
        raise _damaged("it does not begin with a line")
    return target.line


def _identity(key: PrivateKey | str) -> pyrage.x25519.Identity:
    text = key if isinstance(key, str) else key.identity
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise KeyFileError(
            "the key is not an age X25519 identity", todo="Name the NAME.key of the custodian."
        ) from None


def _opened(file: BinaryIO) -> tuple["_Read", bytes, bool]:
    """A part behind its own first line and the blank, its digest as stated, and whether the blank is one."""
    file.seek(0)
    line = _LINE.fullmatch(file.read(_LINE_LENGTH))
    if line is None:
        raise _damaged("its first line is not that of a sealed part")
    source = _Read(file, line[2])
    return source, line[1], source.is_blank(int(line[2]) - _LINE_LENGTH)


def _decrypted(
    source: "_Read", target: "_Content | _FirstLine", identity: pyrage.x25519.Identity
) -> VetsetError | None:
    """Decrypt from here to there. Returns what is wrong; what went wrong in reading and writing is raised."""
    try:
        pyrage.decrypt_io(source, target, [identity])
    except _EnoughError:
        return None
    except (pyrage.DecryptError, OSError) as error:
        if failure := source.failure or target.failure:
            raise failure from None
        # The only way that pyrage tells the two apart is by the text.
        if "No matching keys" in str(error):
            return KeyFileError(
                "this key does not open the seal",
                expected="the key of one of the recipients named when it was sealed",
                todo="Use the NAME.key that belongs to one of them.",
            )
        return _damaged("its encryption does not verify")
    # of the last bytes pyrage does not tell
    if target.failure is not None and not isinstance(target.failure, _EnoughError):
        raise target.failure
    return None


class _Read:
    """A sealed part behind its first line, as a file that age reads."""

    def __init__(self, file: BinaryIO, where: bytes) -> None:
        self._file = file
        self._digest = hashlib.sha256(where)
        self.failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
            self._digest.update(data)
        except BaseException as error:
            self.failure = error
            raise
        return data

    def is_blank(self, length: int) -> bool:
        """Whether so many zeros come next."""
        while length > 0 and (data := self.read(min(length, _BLOCK))):
            if any(data):
                return False
            length -= len(data)
        return length == 0

    def digest_to_end(self) -> bytes:
        """Hex digest of where the age file begins, and everything up to the end."""
        while self.read(_BLOCK):
            pass
        return self._digest.hexdigest().encode("ascii")


class _Content:
    """What comes out of an age file, which is less than the file: as a file that age writes."""

    def __init__(self, most: int) -> None:
        self._room = np.empty(most, np.uint8).data  # pages that stay untouched cost nothing
        self._length = 0
        self.failure: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            end = self._length + len(data)
            self._room[self._length : end] = data
            self._length = end
        except BaseException as error:
            self.failure = error
            raise
        return len(data)

    def content(self) -> memoryview:
        return self._room[: self._length]


class _EnoughError(Exception):
    """Ends a decryption of which no more is wanted."""


class _FirstLine:
    """What comes out of an age file, up to the end of its first line or the most that it may have."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.line = b""
        self.failure: BaseException | None = None

    def write(self, data: bytes) -> int:
        if self.failure is not None:  # age writes again what it could not write
            raise self.failure
        end = data.find(b"\n") + 1
        self.line = (self.line + (data[:end] if end else data))[: self._most]
        if end or len(self.line) == self._most:
            self.failure = _EnoughError()
            raise self.failure
        return len(data)


def _damaged(how: str) -> SealError:
    return SealError(f"a sealed part is damaged: {how}", todo="Restore it from a copy of the bundle.")
