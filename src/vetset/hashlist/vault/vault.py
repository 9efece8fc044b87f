"""Where lists are kept: one encrypted file each, under $VETSET_HOME, together with the key that opens them.

    HOME/                0700
        vault.key        0600   JSON: an age identity, and a secret that keys the digests of lists
        vault.lock       0600   held while the vault is written to
        lists/NAME.list  0600   a sealed part (see `vetset.seal.envelope`): header, then columns (see `packing`)
        lists/NAME.….bank       0600   a sealed part: what its owner said, opaque here (see `bankfile`)
        sync/NAME/       0700   sealed pages of a sync that is not done (see `sync.spool`)

What this protects from and what not is told in docs/lists.md: the key lies beside the lists, so it is for backups, lost
disks, crash leftovers and other users, not for somebody who acts as the same user.
"""

import fcntl
import io
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import date
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from vetset.hashlist.sync.spool import Spool, clear_pages
from vetset.hashlist.vault import packing
from vetset.hashlist.vault.bankfile import Bank, BankFile, bank_path, clear_banks, read_bank, written_bank
from vetset.hashlist.vault.info import checked_info
from vetset.hashlist.vault.key import VaultKey
from vetset.hashlist.vault.sealed import SealedList
from vetset.model.errors import KeyFileError, ListError, OutputError, SealError, UsageError
from vetset.model.hashlist import Entries, HashList, ListInfo
from vetset.model.signal import Kind
from vetset.seal.dumps import forbid_core_dumps
from vetset.seal.envelope import first_line_from, seal, seal_into, unseal, unseal_from
from vetset.seal.keys import NAME_PATTERN, PublicKey
from vetset.storage.commit import alone_in, clear_partials, commit, private_folder, temporary_file, write_atomic
from vetset.storage.locks import lock
from vetset.storage.looking import is_folder_at

HOME_VARIABLE = "VETSET_HOME"
SUFFIX = ".list"
_BUFFER = 1 << 20
_RESTORE = "Restore the vault's folder as a whole from a copy; or `vetset lists remove` this list, and import it again."


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


def _require_name(info: ListInfo, name: str) -> None:
    if info.name != name:
        raise SealError("this file holds the list of another name", where=name, todo=_RESTORE)


class Vault:
    """The lists of one user on one machine.

    Core dumps of the process are off from here on (see `vetset.seal.dumps`).

    Args:
        home: folder of the vault; made (0700) when the first list is added.
    """

    def __init__(self, home: Path) -> None:
        forbid_core_dumps()
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
            KeyFileError, SealError: as `info`.
        """
        return [self.info(name) for name in self.names()]

    def info(self, name: str) -> ListInfo:
        """What is known about a list, without its entries: damage in these is seen when they are loaded.

        Raises:
            ListError: there is no list of this name.
            KeyFileError: the vault's key is missing, malformed, not the one, or open to other users.
            SealError: the beginning of the list's file is damaged, or it is another list's.
        """
        self._require(name)
        key = self._key()
        with self._opened(name) as file:
            info = packing.unpack_info(first_line_from(file, key.identity, packing.MOST_HEADER))
        _require_name(info, name)
        return info

    def load(self, name: str) -> HashList:
        """A list, ready to be searched. Whether it has expired is for `require_usable` to say.

        Raises:
            ListError: there is no list of this name.
            KeyFileError: the vault's key is missing, malformed, not the one, or open to other users.
            SealError: the list's file is damaged, or is another list's.
        """
        self._require(name)
        return self._read(name, self._key())[0]

    def state(self, name: str) -> str:
        """What tells whether a list, or its bank, was changed meanwhile: another text after every change.

        Ask for it before you read what you are going to change, and tell `add` of it. Empty where there is no list.

        Raises:
            ListError: the list cannot be read.
        """
        if name not in self.names():
            return ""
        try:
            with self._path(name).open("rb") as file:
                return file_digest(file, "sha256").hexdigest()  # of what was encrypted, which is never twice the same
        except OSError as error:
            raise ListError(f"the list cannot be read ({error.strerror})", where=name) from error

    def bank(self, name: str) -> memoryview:
        """What was kept beside a list when it was added, as it was given.

        Returns:
            The bytes, decrypted into memory of their own.

        Raises:
            ListError: there is no list of this name, or no bank beside it.
            KeyFileError: as `load`.
            SealError: list or bank is damaged, or the bank is gone, older than the list, or another's.
        """
        self._require(name)
        key = self._key()
        stated = ""
        while True:
            _, digest = self._read(name, key)
            if not digest:
                raise ListError("no bank", expected="a list that a bank lies beside", where=name)
            try:
                return read_bank(bank_path(self._lists, name, digest), name, digest, key.secret, key.identity)
            except FileNotFoundError:
                # Superseded since the list was read? Then the list states another one by now.
                if digest == stated:
                    raise SealError("the bank of this list is gone", where=name, todo=_RESTORE) from None
                stated = digest
            except OSError as error:
                raise ListError(f"the bank cannot be read ({error.strerror})", where=name) from error
            except (SealError, KeyFileError) as error:
                error.todo = _RESTORE
                raise error.at(name) from None

    def sealed(self, name: str, recipient: PublicKey | str) -> SealedList:
        """A list for another process or node: sealed to whoever is to open it there, so that it can be pickled.

        Args:
            name: of the list.
            recipient: a public key, or an age recipient `age1…`.

        Raises:
            ListError, KeyFileError, SealError: as `load`, or the recipient is malformed.
        """
        self._require(name)
        key = self._key()
        content = self._content(name, key)
        self._unpacked(name, content, key)
        sealed = io.BytesIO()
        seal_into(sealed, [content], [recipient])
        return SealedList(sealed.getvalue())

    def add(
        self,
        info: ListInfo,
        entries: Mapping[Kind, Entries],
        *,
        replace: bool = False,
        bank: Bank | None = None,
        since: str | None = None,
    ) -> ListInfo:
        """Keep a list, and the bank beside it. The same again under the same name changes nothing.

        A list and its bank change together, whatever dies when: who looks finds the old two or the new two.

        Args:
            info: what is known about it; `version` and `entries` are computed here.
            entries: its entries by kind, as `parse_list` returns them.
            replace: whether a list of this name, or its bank, may be superseded.
            bank: bytes to keep with it, whole or in pieces that make no use of this vault; None for no bank.
            since: the state that this was made from; None where it was made from nothing that lies here.

        Returns:
            The information with the version (keyed BLAKE3 under the vault's secret over content and information, not
            over the bank) and the number of entries filled in.

        Raises:
            ListError: the information or the entries are malformed, another list has this name, or what lies here is in
                another state by now.
            KeyFileError, SealError: the vault's key, or the list that has this name, cannot be used.
            OutputError: the vault cannot be written; what was there before is still there.
        """
        checked = checked_info(info)
        packing.check_entries(entries, checked.name)
        private_folder(self._home)
        with self._locked():
            private_folder(self._lists)
            clear_partials(self._lists)
            if since is not None and self.state(checked.name) != since:
                raise ListError(
                    "the list was changed by somebody else meanwhile",
                    where=checked.name,
                    todo="Nothing of this was kept. Do it again.",
                )
            key = self._key_or_new()
            present = self._stated(checked.name, key)
            self._clear_banks(checked.name, present[1])
            with self._new_bank(checked.name, bank, key) as beside:
                digest = beside.digest if beside else ""
                pieces, final = packing.pack(checked, entries, key.secret, digest)
                if present == (final, digest):
                    return final
                if present[0] is not None and not replace:
                    raise ListError(
                        "another list has this name",
                        expected="a new name, or the same content and the same said about it",
                        where=checked.name,
                        todo="Choose another name, bring changes in with `vetset lists update`, or say --replace.",
                    )
                with self._new_list(checked.name, pieces, key) as temporary:
                    # Both are written before either gets its name, so that a full disk leaves nothing behind.
                    if beside:
                        beside.commit()
                    commit(temporary, self._path(checked.name))
            self._clear_banks(checked.name, digest)
        return final

    def naming_secret(self) -> bytes:
        """What entries are named under whose owner gives them no ids (`entry_name`): 32 bytes, this vault's own.

        An empty vault gets its key here.

        Raises:
            KeyFileError: the vault's key cannot be used.
            OutputError: the vault cannot be written.
        """
        private_folder(self._home)
        with self._locked():
            return blake3(b"names of entries", key=self._key_or_new().secret).digest()

    def spool(self, name: str) -> Spool:
        """Where the pages of a list's sync wait, sealed to this vault. An empty vault gets its key here.

        Raises:
            KeyFileError: the vault's key cannot be used.
            OutputError: the vault cannot be written.
        """
        if not NAME_PATTERN.fullmatch(name):
            raise ListError("this is no name of a list", expected="letters, digits, '.', '_' or '-'")
        private_folder(self._home)
        with self._locked():
            key = self._key_or_new()
        private_folder(self._home / "sync")
        return Spool(
            self._pages(name), lambda data: seal(data, [key.recipient]), lambda data: bytes(unseal(data, key.identity))
        )

    def remove(self, name: str) -> None:
        """Forget a list, its bank and pages of it that wait, for instance when the right to use it ends.

        Their bytes may stay on the disk, encrypted.

        Raises:
            ListError: there is no list of this name, and no page that waits for one.
            OutputError: it cannot be removed.
            UsageError: a sync of it is under way.
        """
        pages = self._home / "sync" / name
        waiting = NAME_PATTERN.fullmatch(name) is not None and is_folder_at(pages, ListError)
        if not waiting:
            self._require(name)
        with alone_in(pages) if waiting else nullcontext(), self._locked():
            try:
                self._path(name).unlink(missing_ok=True)
                if waiting:
                    clear_pages(pages)
                    pages.rmdir()
            except OSError as error:
                raise OutputError(f"the list cannot be removed ({error.strerror})", where=name) from error
            self._clear_banks(name, "")

    def _require(self, name: str) -> None:
        names = self.names()
        if name not in names:
            raise ListError(
                "there is no list of this name",
                expected=f"one of: {', '.join(names)}" if names else "a list to have been added first",
                todo="Import it with `vetset lists add`.",
            )

    def _path(self, name: str) -> Path:
        return self._lists / f"{name}{SUFFIX}"

    def _pages(self, name: str) -> Path:
        return self._home / "sync" / name

    def _read(self, name: str, key: VaultKey) -> tuple[HashList, str]:
        """A list, and the digest of its bank or an empty text."""
        return self._unpacked(name, self._content(name, key), key)

    def _content(self, name: str, key: VaultKey) -> memoryview:
        with self._opened(name) as file:
            return unseal_from(file, key.identity)

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        """The file of a list; what is wrong with it is told with its name and what to do."""
        try:
            with self._path(name).open("rb", buffering=_BUFFER) as file:
                yield file
        except OSError as error:
            raise ListError(f"the list cannot be read ({error.strerror})", where=name) from error
        except (SealError, KeyFileError) as error:
            error.todo = _RESTORE
            raise error.at(name) from None

    def _unpacked(self, name: str, content: memoryview, key: VaultKey) -> tuple[HashList, str]:
        try:
            found, bank = packing.unpack(content, key.secret)
        except SealError as error:
            error.todo = _RESTORE
            raise error.at(name) from None
        _require_name(found.info, name)
        return found, bank

    def _stated(self, name: str, key: VaultKey) -> tuple[ListInfo | None, str]:
        """What is there under a name: the information of the list, and the digest of its bank."""
        if name not in self.names():
            return None, ""
        found, bank = self._read(name, key)
        return found.info, bank

    def _new_bank(
        self, name: str, bank: Bank | None, key: VaultKey
    ) -> AbstractContextManager[BankFile] | AbstractContextManager[None]:
        if bank is None:
            return nullcontext()
        return written_bank(self._lists, name, bank, key.secret, key.recipient)

    def _clear_banks(self, name: str, digest: str) -> None:
        """Remove the banks of a list but the one of this digest, and those of lists that are not there."""
        clear_banks(self._lists, dict.fromkeys(self.names()) | {name: digest})

    @contextmanager
    def _new_list(self, name: str, pieces: packing.Pieces, key: VaultKey) -> Iterator[Path]:
        """A sealed list under a temporary name."""
        with temporary_file(self._path(name)) as temporary:
            with temporary.open("wb", buffering=_BUFFER) as file:
                seal_into(file, pieces, [key.recipient])
                file.flush()
                os.fsync(file.fileno())
            yield temporary

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            handle = os.open(self._home / "vault.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._closed(error) from error
        try:
            self._wait_for(handle)
            yield
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        try:
            lock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise self._closed(error) from error

    def _closed(self, error: OSError) -> OutputError:
        return OutputError(f"the vault cannot be written ({error.strerror})", where=str(self._home))

    def _key_or_new(self) -> VaultKey:
        # Only an empty vault gets a key: beside lists, a new one would hide that the old one was lost.
        if not self._key_path.exists() and not self.names():
            clear_partials(self._home)
            write_atomic(self._key_path, VaultKey.fresh().to_bytes(), mode=0o600)
        return self._key()

    def _key(self) -> VaultKey:
        mode = stat.S_IMODE(self._home.stat().st_mode)
        if mode & 0o022:
            raise KeyFileError(
                "other users can change the vault's folder",
                expected="mode 0700",
                seen=f"mode {mode:04o}",
                where=str(self._home),
                todo=f"Run: chmod 700 {self._home}",
            )
        return VaultKey.read(self._key_path)
