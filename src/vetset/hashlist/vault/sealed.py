"""A list on its way to a worker or a node: a `HashList` is never pickled, its sealed form may be."""

import io
from dataclasses import dataclass, field

from vetset.hashlist.vault import packing
from vetset.hashlist.vault.info import checked_info
from vetset.model.errors import ListError, SealError
from vetset.model.hashlist import HashList
from vetset.seal.dumps import forbid_core_dumps
from vetset.seal.envelope import unseal_from
from vetset.seal.keys import PrivateKey


@dataclass(frozen=True, slots=True, repr=False)
class SealedList:
    """A list sealed to somebody (`Vault.sealed`): ciphertext and nothing else.

    It says nothing of who sealed it: take it from where you take your tasks.

    Attributes:
        content: a sealed part (see `vetset.seal.envelope`).
    """

    content: bytes = field(repr=False)

    def __repr__(self) -> str:
        return "SealedList()"

    def open(self, identity: PrivateKey | str) -> HashList:
        """The list. Core dumps of the process are off from here on.

        Args:
            identity: the private key that it was sealed for, or its age identity `AGE-SECRET-KEY-1…`.

        Raises:
            SealError: it is damaged, or holds something else than a list.
            KeyFileError: it was sealed for somebody else.
        """
        forbid_core_dumps()
        # The vault's secret stays where the vault is, so that the version cannot be computed here: the form is checked.
        found, _ = packing.unpack(unseal_from(io.BytesIO(self.content), identity), None)
        try:
            packing.check_entries(found.entries, "list")
            checked_info(found.info)
        except ListError:
            raise SealError("the content of a list is not as it should be") from None
        return found
