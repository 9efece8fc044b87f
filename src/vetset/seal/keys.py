"""Key pairs: an age X25519 key to seal for somebody, and an Ed25519 key to sign as somebody, in one small JSON file.

NAME.pub (0644)                                       NAME.key (0600)
    {                                                     {
      "format": "vetset-public-key",                        "format": "vetset-private-key",
      "version": 1,                                         "version": 1,
      "name": "custodian",                                  "name": "custodian",
      "recipient": "age1…",                                 "identity": "AGE-SECRET-KEY-1…",
      "signer": "<64 hex digits: Ed25519 public key>"       "signing": "<64 hex digits: Ed25519 seed>"
    }                                                     }

The public half follows from the private one, so a lost NAME.pub can be made again. `recipient` and `identity` are what
the age tool itself uses. Nothing of a private key is ever part of a `repr` or of an error.
"""

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vetset.model.canonical import document_digest
from vetset.model.errors import KeyFileError, OutputError, UsageError
from vetset.seal.document import parse_object
from vetset.storage.commit import private_folder, write_atomic

VERSION = 1
PUBLIC_FORMAT = "vetset-public-key"
PRIVATE_FORMAT = "vetset-private-key"
MAX_KEY_FILE_BYTES = 16 << 10
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEX_32_BYTES = re.compile(r"[0-9a-f]{64}")
_PUBLIC_FIELDS = {"format", "version", "name", "recipient", "signer"}
_PRIVATE_FIELDS = {"format", "version", "name", "identity", "signing"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Whom to seal for, and whose signature to expect.

    Attributes:
        name: what the holder calls it.
        recipient: age X25519 recipient, `age1…`.
        signer: Ed25519 public key, 64 lower-case hex digits.
    """

    name: str
    recipient: str
    signer: str

    @property
    def fingerprint(self) -> str:
        """32 hex digits that name both halves of the key, for manifests. The name is not part of it."""
        return document_digest({"recipient": self.recipient, "signer": self.signer})[:32]

    @property
    def keyid(self) -> str:
        """The key id in signatures: what securesystemslib computes for an Ed25519 key, so that its users find it."""
        return document_digest({"keytype": "ed25519", "keyval": {"public": self.signer}, "scheme": "ed25519"})

    def verifier(self) -> Ed25519PublicKey:
        """The Ed25519 key object."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.signer))

    def to_bytes(self) -> bytes:
        """The content of NAME.pub."""
        return _file_bytes(
            {
                "format": PUBLIC_FORMAT,
                "version": VERSION,
                "name": self.name,
                "recipient": self.recipient,
                "signer": self.signer,
            }
        )


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """Opens what was sealed for its holder, and signs as its holder.

    Attributes:
        name: what the holder calls it.
        identity: age X25519 identity, `AGE-SECRET-KEY-1…`.
        signing: Ed25519 seed, 64 lower-case hex digits.
    """

    name: str
    identity: str = field(repr=False)
    signing: str = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """The half that may be given away."""
        recipient = str(pyrage.x25519.Identity.from_str(self.identity).to_public())
        return PublicKey(self.name, recipient, self.signer().public_key().public_bytes_raw().hex())

    def signer(self) -> Ed25519PrivateKey:
        """The Ed25519 key object."""
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.signing))

    def to_bytes(self) -> bytes:
        """The content of NAME.key: secret."""
        return _file_bytes(
            {
                "format": PRIVATE_FORMAT,
                "version": VERSION,
                "name": self.name,
                "identity": self.identity,
                "signing": self.signing,
            }
        )


def _file_bytes(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=True) + "\n").encode("ascii")


def new_key(name: str) -> PrivateKey:
    """A fresh key in memory.

    Raises:
        UsageError: the name holds something else than letters, digits, `.`, `_` and `-`.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(
            "the name of a key is not usable",
            expected="1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
            todo="Name the key after its holder, for instance custodian.",
        )
    return PrivateKey(
        name, str(pyrage.x25519.Identity.generate()), Ed25519PrivateKey.generate().private_bytes_raw().hex()
    )


def generate(name: str, out: Path) -> None:
    """Write `out`/NAME.pub (0644) and `out`/NAME.key (0600), each at once; what exists is never overwritten.

    Raises:
        UsageError: the name is not usable.
        OutputError: one of the files exists already, or cannot be written.
    """
    key = new_key(name)
    private_folder(out)
    private, public = out / f"{name}.key", out / f"{name}.pub"
    for path in (private, public):
        if os.path.lexists(path):
            raise OutputError(
                "a key file of this name exists already",
                where=path.name,
                todo="Keys are never overwritten: what was sealed to them would be lost. Choose another name.",
            )
    write_atomic(private, key.to_bytes(), mode=0o600)
    write_atomic(public, key.public.to_bytes(), mode=0o644)


def read_key_file(path: Path, *, private: bool) -> bytes:
    """The bytes of a key file.

    Raises:
        KeyFileError: it is missing, not a regular file, too large, or private and open to others than its owner.
    """
    try:
        # O_NONBLOCK: opening a pipe by mistake must not hang.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise KeyFileError("this is not a key file", expected="a regular file", where=path.name)
            if private and state.st_mode & 0o077:
                raise KeyFileError(
                    "the private key is open to other users",
                    expected="mode 0600",
                    seen=f"mode {stat.S_IMODE(state.st_mode):04o}",
                    where=path.name,
                    todo=f"Run: chmod 600 {path.name} — and make a new key if others may have read it.",
                )
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(
            f"the key file cannot be read ({error.strerror or type(error).__name__})",
            where=path.name,
            todo="Name a file that `vetset keygen` made.",
        ) from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileError("this is not a key file", expected=f"at most {MAX_KEY_FILE_BYTES} bytes", where=path.name)
    return data


def _malformed(path: Path, problem: str) -> KeyFileError:
    return KeyFileError(
        f"the key file is malformed: {problem}", where=path.name, todo="Use the file as `vetset keygen` wrote it."
    )


def _document(path: Path, data: bytes, wanted: str) -> dict[str, Any]:
    try:
        document = parse_object(data)
    except ValueError as error:
        raise _malformed(path, str(error)) from None
    found = document.get("format")
    if found != wanted:
        if found not in (PUBLIC_FORMAT, PRIVATE_FORMAT):
            raise _malformed(path, "it does not say that it is a vetset key")
        half = {PUBLIC_FORMAT: "public key (NAME.pub)", PRIVATE_FORMAT: "private key (NAME.key)"}
        raise KeyFileError(
            "the wrong half of a key was given",
            expected=f"a {half[wanted]}",
            seen=f"a {half[found]}",
            where=path.name,
            todo="Private keys stay with their holder; everybody else is given NAME.pub.",
        )
    if document.get("version") != VERSION or isinstance(document["version"], bool):
        raise _malformed(path, f"expected version {VERSION}")
    return document


def _fields(path: Path, document: dict[str, Any], names: set[str]) -> None:
    if set(document) != names or not all(isinstance(document[name], str) for name in names - {"version"}):
        raise _malformed(path, f"expected the fields {', '.join(sorted(names))}")
    if not all(document[name].isascii() for name in names - {"version"}):
        raise _malformed(path, "it holds other characters than ASCII")
    if not NAME_PATTERN.fullmatch(document["name"]):
        raise _malformed(path, "the name is not usable")


def load_public(path: Path) -> PublicKey:
    """Read NAME.pub.

    Raises:
        KeyFileError: the file is missing, malformed, or a private key.
    """
    document = _document(path, read_key_file(path, private=False), PUBLIC_FORMAT)
    _fields(path, document, _PUBLIC_FIELDS)
    key = PublicKey(document["name"], document["recipient"], document["signer"])
    try:
        canonical = str(pyrage.x25519.Recipient.from_str(key.recipient))
    except pyrage.RecipientError:
        raise _malformed(path, "the recipient is not an age X25519 recipient") from None
    if canonical != key.recipient:
        raise _malformed(path, "the recipient is not in its canonical form")
    if not _HEX_32_BYTES.fullmatch(key.signer):
        raise _malformed(path, "the signer is not 64 lower-case hex digits")
    return key


def load_private(path: Path) -> PrivateKey:
    """Read NAME.key.

    Raises:
        KeyFileError: the file is missing, malformed, a public key, or open to other users than its owner.
    """
    # A public key is told apart first: "chmod 600" would be the wrong advice for it.
    if path.suffix == ".pub":
        _document(path, read_key_file(path, private=False), PRIVATE_FORMAT)
    document = _document(path, read_key_file(path, private=True), PRIVATE_FORMAT)
    _fields(path, document, _PRIVATE_FIELDS)
    key = PrivateKey(document["name"], document["identity"], document["signing"])
    try:
        canonical = str(pyrage.x25519.Identity.from_str(key.identity))
    except pyrage.IdentityError:
        raise _malformed(path, "the identity is not an age X25519 identity") from None
    if canonical != key.identity:
        raise _malformed(path, "the identity is not in its canonical form")
    if not _HEX_32_BYTES.fullmatch(key.signing):
        raise _malformed(path, "the signing key is not 64 lower-case hex digits")
    return key
