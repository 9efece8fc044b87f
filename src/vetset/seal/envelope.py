r"""Sealing to recipients: an age file behind one line that tells damage from a wrong key.

Layout: the line `vetset-sealed/1 <64 hex digits> <8 digits>\n`, zeros, an age file up to the end. The number is where
the age file (https://age-encryption.org/v1) begins; the digest is SHA-256 over that number (its 8 digits) and
everything after the line. So any age tool opens it too: `tail -c +N SEALED | age -d -i IDENTITY`, N one more than the
number.

Why not the age file alone: age cannot tell a damaged recipient line from a missing one, so a flipped bit would be
reported as somebody else's key; and its header contains a filler of random length. Here the zeros take up the
difference, so that the sealed size is a function of the length of the content and of the number of recipients.
The digest is of the sealed bytes: it needs no secret and proves nothing but that the file is whole.
"""

import hashlib
import re
from collections.abc import Sequence

import pyrage

from vetset.model.errors import KeyFileError, SealError, UsageError
from vetset.seal.keys import PrivateKey, PublicKey

_LINE = re.compile(rb"vetset-sealed/1 ([0-9a-f]{64}) ([0-9]{8})\n")
_LINE_LENGTH = len("vetset-sealed/1 ") + 64 + 1 + 8 + 1
# Room for age's own bytes: version, MAC, nonce and random filler; a recipient's lines; a tag for each 64 KiB.
_ROOM = 1024
_ROOM_PER_RECIPIENT = 128
_CHUNK = 64 << 10
_CHUNK_TAG = 16
_ATTEMPTS = 64


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
    if not recipients:
        raise UsageError("there is nobody to seal for", expected="at least one recipient", todo="Name a public key.")
    keys = [_recipient(key) for key in recipients]
    size = sealed_size(len(plain), len(keys))
    for _ in range(_ATTEMPTS):
        encrypted: bytes = pyrage.encrypt(plain, keys)
        start = size - len(encrypted)
        if start >= _LINE_LENGTH:
            body = bytes(start - _LINE_LENGTH) + encrypted
            where = b"%08d" % start
            return b"vetset-sealed/1 " + _digest(where, body) + b" " + where + b"\n" + body
    raise SealError("age added more bytes than there is room for", todo="Report this with the version of pyrage.")


def _digest(where: bytes, body: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(where)
    digest.update(body)
    return digest.hexdigest().encode("ascii")


def unseal(sealed: bytes, key: PrivateKey | str) -> bytes:
    """The content of a sealed part.

    Args:
        sealed: what `seal` returned.
        key: a private key, or an age identity `AGE-SECRET-KEY-1…`.

    Raises:
        SealError: the sealed part is damaged: any bit of it.
        KeyFileError: it is whole, and not for this key; or the key is malformed.
    """
    text = key if isinstance(key, str) else key.identity
    try:
        identity = pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise KeyFileError(
            "the key is not an age X25519 identity", todo="Name the NAME.key of the custodian."
        ) from None
    line = _LINE.match(sealed)
    if line is None:
        raise _damaged("its first line is not that of a sealed part")
    start = int(line[2])
    body = memoryview(sealed)[_LINE_LENGTH:]
    if _digest(line[2], body) != line[1]:
        raise _damaged("it is not what was written")
    filler, encrypted = sealed[_LINE_LENGTH:start], sealed[start:]
    if start < _LINE_LENGTH or filler != bytes(start - _LINE_LENGTH):
        raise _damaged("it does not begin as a sealed part does")
    try:
        return bytes(pyrage.decrypt(encrypted, [identity]))
    except pyrage.DecryptError as error:
        # The only way that pyrage tells the two apart is by the text.
        if "No matching keys" in str(error):
            raise KeyFileError(
                "this key does not open the seal",
                expected="the key of one of the recipients named when it was sealed",
                todo="Use the NAME.key that belongs to one of them.",
            ) from None
        raise _damaged("its encryption does not verify") from None


def _damaged(how: str) -> SealError:
    return SealError(f"a sealed part is damaged: {how}", todo="Restore it from a copy of the bundle.")
