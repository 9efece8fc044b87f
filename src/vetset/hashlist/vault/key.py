"""The key of a vault: an age identity that opens its lists, and a secret that keys the digests of lists."""

import json
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import pyrage

from vetset.model.errors import KeyFileError
from vetset.seal.document import parse_object
from vetset.seal.keys import read_key_file

KEY_FORMAT = "vetset-vault-key"
_SECRET = re.compile(r"[0-9a-f]{64}")
_LOST = "Restore it from a copy; without it, move the vault's folder away and import the lists into a new one."


@dataclass(frozen=True, slots=True)
class VaultKey:
    """What opens the lists of a vault, and keys their digests."""

    identity: str = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def recipient(self) -> str:
        """Whom lists are sealed to: the vault itself."""
        return str(pyrage.x25519.Identity.from_str(self.identity).to_public())

    @classmethod
    def fresh(cls) -> "VaultKey":
        """A new one."""
        return cls(str(pyrage.x25519.Identity.generate()), secrets.token_bytes(32))

    def to_bytes(self) -> bytes:
        """The content of `vault.key`."""
        document = {"format": KEY_FORMAT, "version": 1, "identity": self.identity, "secret": self.secret.hex()}
        return (json.dumps(document, indent=2) + "\n").encode("ascii")

    @classmethod
    def read(cls, path: Path) -> "VaultKey":
        """The key in a file that only its owner can read.

        Raises:
            KeyFileError: it is missing, malformed, or open to other users.
        """
        try:
            document = parse_object(_read(path))
            identity, secret = document.get("identity"), document.get("secret")
            if document.get("format") != KEY_FORMAT or document.get("version") != 1:
                raise ValueError("it does not say that it is the key of a vault")  # noqa: TRY301 — one way out
            if not isinstance(identity, str) or not isinstance(secret, str) or not _SECRET.fullmatch(secret):
                raise ValueError("identity or secret are not what they should be")  # noqa: TRY301
            if not identity.isascii():
                raise ValueError("the identity holds other characters than ASCII")  # noqa: TRY301
            pyrage.x25519.Identity.from_str(identity)
        except (ValueError, pyrage.IdentityError) as error:
            how = "no age identity" if isinstance(error, pyrage.IdentityError) else str(error)
            raise KeyFileError(
                f"the vault's key is malformed: {how}",
                where=path.name,
                todo=_LOST,
            ) from None
        return cls(identity, bytes.fromhex(secret))


def _read(path: Path) -> bytes:
    try:
        return read_key_file(path, private=True)
    except KeyFileError as error:
        # keys that `vetset keygen` makes are another matter: a vault's is made once
        error.todo = f"Run: chmod 600 {path}; if others may have read it, a new vault is due" if error.seen else _LOST
        raise
