"""Where lists are kept: one encrypted file each, under $VETSET_HOME, together with the key that opens them.

    HOME/                0700
        vault.key        0600   JSON: an age identity, and a secret that keys the digests of lists
        vault.lock       0600   held while the vault is written to
        lists/NAME.list  0600   a sealed part (see `vetset.seal.envelope`): header, then columns (see `packing`)

What this protects from and what not is told in docs/lists.md: the key lies beside the lists, so it is for backups, lost
disks, crash leftovers and other users, not for somebody who acts as the same user.
"""

import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import pyrage

from vetset.hashlist import packing
from vetset.model.errors import KeyFileError, ListError, OutputError, SealError, UsageError
from vetset.model.hashlist import UNKNOWN, Category, Entries, HashList, ListInfo
from vetset.model.signal import Kind
from vetset.seal.document import parse_object
from vetset.seal.envelope import seal, unseal
from vetset.seal.keys import NAME_PATTERN, read_key_file
from vetset.storage.commit import clear_partials, private_folder, write_atomic

HOME_VARIABLE = "VETSET_HOME"
KEY_FORMAT = "vetset-vault-key"
SUFFIX = ".list"
_SECRET = re.compile(r"[0-9a-f]{64}")
_MAX_TEXT = 1000


def default_home() -> Path:
    """$VETSET_HOME, or ~/.vetset where that is not set.

    Raises:
        UsageError: neither can be told.
    """
    named = os.environ.get(HOME_VARIABLE)
    try:
        return Path(named).expanduser() if named else Path.home() / ".vetset"
    except RuntimeError:
        raise UsageError("there is no home folder", todo=f"Set {HOME_VARIABLE} to a folder of yours.") from None


def require_usable(info: ListInfo, today: date) -> None:
    """Refuse a list whose day is over.

    Raises:
        ListError: the list has expired.
    """
    if info.expired(today):
        raise ListError(
            "the list has expired",
            expected=f"use until {info.expires}",
            seen=today.isoformat(),
            where=info.name,
            todo="Get the owner's current list and import it in place of this one.",
        )


@dataclass(frozen=True, slots=True)
class _VaultKey:
    identity: str = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def recipient(self) -> str:
        return str(pyrage.x25519.Identity.from_str(self.identity).to_public())

    @classmethod
    def fresh(cls) -> "_VaultKey":
        return cls(str(pyrage.x25519.Identity.generate()), secrets.token_bytes(32))

    def to_bytes(self) -> bytes:
        document = {"format": KEY_FORMAT, "version": 1, "identity": self.identity, "secret": self.secret.hex()}
        return (json.dumps(document, indent=2) + "\n").encode("ascii")


class Vault:
    """The lists of one user on one machine.

    Args:
        home: folder of the vault; made (0700) when the first list is added.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lists = home / "lists"
        self._key_path = home / "vault.key"

    def __repr__(self) -> str:
        return f"Vault({str(self._home)!r})"

    def names(self) -> list[str]:
        """Names of the lists that are kept here, sorted.

        Raises:
            ListError: the vault's folder cannot be read.
        """
        try:
            found = [path.name for path in self._lists.iterdir()] if self._lists.is_dir() else []
        except OSError as error:
            raise ListError(f"the vault cannot be read ({error.strerror})", where=str(self._lists)) from error
        names = (name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX))
        return sorted(name for name in names if NAME_PATTERN.fullmatch(name))

    def infos(self) -> list[ListInfo]:
        """What is known about every list, sorted by name.

        Raises:
            KeyFileError, SealError: as `load`.
        """
        return [self.load(name).info for name in self.names()]

    def load(self, name: str) -> HashList:
        """A list, ready to be searched. Whether it has expired is for `require_usable` to say.

        Raises:
            ListError: there is no list of this name.
            KeyFileError: the vault's key is missing, malformed, not the one, or open to other users.
            SealError: the list's file is damaged, or is another list's.
        """
        names = self.names()
        if name not in names:
            raise ListError(
                "there is no list of this name",
                expected=f"one of: {', '.join(names)}" if names else "a list to have been added first",
                todo="Import it with `vetset lists add`.",
            )
        return self._read(name, self._key())

    def add(
        self,
        info: ListInfo,
        entries: Mapping[Kind, Entries],
        *,
        replace: bool = False,
    ) -> ListInfo:
        """Keep a list. The same list under the same name again changes nothing.

        Args:
            info: what is known about it; `version` and `entries` are computed here.
            entries: its entries by kind, as `parse_list` returns them.
            replace: whether a list of this name may be superseded.

        Returns:
            The information with the version (HMAC-SHA-256 under the vault's secret over content and information) and
            the number of entries filled in.

        Raises:
            ListError: the information or the entries are malformed, or another list has this name.
            KeyFileError, SealError: the vault's key, or the list that has this name, cannot be used.
            OutputError: the vault cannot be written; what was there before is still there.
        """
        checked = _checked(info)
        packing.check_entries(entries, checked.name)
        private_folder(self._home)
        with self._locked():
            private_folder(self._lists)
            clear_partials(self._lists)
            key = self._key_or_new()
            data, final = packing.pack(checked, entries, key.secret)
            if checked.name in self.names():
                present = self._read(checked.name, key).info
                if present == final:
                    return final
                if not replace:
                    raise ListError(
                        "another list has this name",
                        expected="a new name, or the same content and information",
                        where=checked.name,
                        todo="Choose another name, or say that the list is to be replaced.",
                    )
            write_atomic(self._path(checked.name), seal(data, [key.recipient]), mode=0o600)
        return final

    def remove(self, name: str) -> None:
        """Forget a list, for instance when the right to use it ends. Its bytes may stay on the disk, encrypted.

        Raises:
            ListError: there is no list of this name.
            OutputError: it cannot be removed.
        """
        if name not in self.names():
            raise ListError("there is no list of this name", expected=f"one of: {', '.join(self.names())}")
        try:
            self._path(name).unlink()
        except OSError as error:
            raise OutputError(f"the list cannot be removed ({error.strerror})", where=name) from error

    def _path(self, name: str) -> Path:
        return self._lists / f"{name}{SUFFIX}"

    def _read(self, name: str, key: _VaultKey) -> HashList:
        try:
            sealed = self._path(name).read_bytes()
        except OSError as error:
            raise ListError(f"the list cannot be read ({error.strerror})", where=name) from error
        try:
            found = packing.unpack(unseal(sealed, key.identity), key.secret)
        except (SealError, KeyFileError) as error:
            error.todo = "Restore the vault's folder as a whole from a copy, or import the list again."
            raise error.at(name) from None
        if found.info.name != name:
            raise SealError("this file holds the list of another name", where=name, todo="Import the list again.")
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            handle = os.open(self._home / "vault.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OutputError(f"the vault cannot be written ({error.strerror})", where=str(self._home)) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _key_or_new(self) -> _VaultKey:
        # Only an empty vault gets a key: beside lists, a new one would hide that the old one was lost.
        if not self._key_path.exists() and not self.names():
            clear_partials(self._home)
            write_atomic(self._key_path, _VaultKey.fresh().to_bytes(), mode=0o600)
        return self._key()

    def _key(self) -> _VaultKey:
        mode = stat.S_IMODE(self._home.stat().st_mode)
        if mode & 0o022:
            raise KeyFileError(
                "other users can change the vault's folder",
                expected="mode 0700",
                seen=f"mode {mode:04o}",
                where=str(self._home),
                todo=f"Run: chmod 700 {self._home}",
            )
        try:
            document = parse_object(read_key_file(self._key_path, private=True))
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
                where=self._key_path.name,
                todo="Restore it from a copy; without it the lists have to be imported into a new vault.",
            ) from None
        return _VaultKey(identity, bytes.fromhex(secret))


def _checked(info: ListInfo) -> ListInfo:
    """The information with its category typed, and without a version and counts of the caller's.

    Raises:
        ListError: something in it is malformed.
    """
    if not isinstance(info.name, str) or not NAME_PATTERN.fullmatch(info.name):
        raise ListError(
            "the name of a list is not usable",
            expected="1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        )
    try:
        category = Category(info.category)
    except ValueError:
        raise ListError(
            "this is no category of lists", expected=f"one of: {', '.join(Category)}", where=info.name
        ) from None
    for what in ("owner", "licence", "purpose", "as_of", "expires"):
        text = getattr(info, what)
        if not isinstance(text, str) or not text.strip() or not text.isprintable() or len(text) > _MAX_TEXT:
            raise ListError(
                f"the {what} of a list is not usable",
                expected=f"1 to {_MAX_TEXT} printable characters on one line",
                where=info.name,
            )
    as_of, expires = _day(info, "as_of"), _day(info, "expires")
    if as_of is not None and expires is not None and expires < as_of:
        raise ListError("the list expires before its own date", where=info.name, todo="Mend as_of or expires.")
    return replace(info, category=category, version="", entries={})


def _day(info: ListInfo, what: str) -> date | None:
    text = getattr(info, what)
    if text == UNKNOWN:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # fromisoformat also takes other ISO forms, which would not compare as texts.
    if day is None or day.isoformat() != text:
        raise ListError(f"{what} is not a date", expected=f"YYYY-MM-DD or {UNKNOWN}", where=info.name)
    return day
