"""What lies beside a list: everything that its owner said, as one sealed file whose content nobody here looks into.

    lists/NAME.<16 hex digits>.bank

The digits are the first of the bank's digest (`packing.bank_digest`), all of which the list states in
its own sealed header. So a list and its bank change together, by the rename of the list: a bank is written first, under
a name of its own, and one that no list states is a leftover.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path

from blake3 import blake3

from vetset.hashlist.vault.packing import bank_digest
from vetset.model.errors import OutputError, SealError
from vetset.seal.envelope import seal_into, unseal_from
from vetset.storage.commit import commit, temporary_file

Bank = Iterable[bytes] | bytes
_NAME = re.compile(r"(.+)\.([0-9a-f]{16})\.bank", re.DOTALL)
_BUFFER = 1 << 20


class BankFile:
    """A bank that is written but does not count yet.

    Attributes:
        digest: what the list has to state.
    """

    def __init__(self, temporary: Path, name: str, digest: str) -> None:
        self._temporary, self._name, self.digest = temporary, name, digest

    def commit(self) -> None:
        """Give it its name, which no list states yet.

        Raises:
            OutputError: the place cannot be written.
        """
        commit(self._temporary, bank_path(self._temporary.parent, self._name, self.digest))


def bank_path(folder: Path, name: str, digest: str) -> Path:
    """Where the bank of this digest lies, beside the list of this name."""
    return folder / f"{name}.{digest[:16]}.bank"


@contextmanager
def written_bank(folder: Path, name: str, bank: Bank, secret: bytes, recipient: str) -> Iterator[BankFile]:
    """Seal a bank into a temporary file, which is gone on leaving unless it was committed.

    Args:
        folder: of the lists.
        name: of its list.
        bank: the content, whole or in pieces of which one is held at a time.
        secret: of the vault.
        recipient: of the vault.

    Raises:
        OutputError: the disk is full or the place cannot be written. Whatever the pieces raise is raised too.
    """
    code = bank_digest(name, secret)
    with temporary_file(folder / f"{name}.bank") as temporary:
        with temporary.open("wb", buffering=_BUFFER) as file:
            seal_into(file, _coded([bank] if isinstance(bank, bytes) else bank, code), [recipient])
        yield BankFile(temporary, name, code.hexdigest())


def _coded(pieces: Iterable[bytes], code: blake3) -> Iterator[bytes]:
    for piece in pieces:
        code.update(piece)
        yield piece


def read_bank(path: Path, name: str, digest: str, secret: bytes, identity: str) -> memoryview:
    """The content of a bank.

    Raises:
        FileNotFoundError: it is not there.
        OSError: it cannot be read.
        SealError: it is damaged, or another bank than the list states.
        KeyFileError: it is not sealed for this vault.
    """
    with path.open("rb", buffering=_BUFFER) as file:
        content = unseal_from(file, identity)
    code = bank_digest(name, secret)
    code.update(content)
    if not compare_digest(code.hexdigest(), digest):
        raise SealError("this file holds another bank than its list states")
    return content


def clear_banks(folder: Path, stated: Mapping[str, str | None]) -> None:
    """Remove banks that no list states: what a killed run left, and what was superseded.

    Args:
        folder: of the lists.
        stated: the names of all lists, each with the digest that it states, an empty text for none; None where that
            was not looked up: its banks are left alone.

    Raises:
        OutputError: one cannot be removed.
    """
    for path in folder.glob("*.bank"):
        found = _NAME.fullmatch(path.name)
        if found is None:
            continue
        digest = stated.get(found[1], "")
        if digest is not None and digest[:16] != found[2]:
            try:
                path.unlink()
            except OSError as error:
                raise OutputError(f"a superseded bank cannot be removed ({error.strerror})", where=found[1]) from error
