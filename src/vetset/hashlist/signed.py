"""A list that its owner signed: whose the file is, that it is whole, and what the owner says of it.

What is signed is a document beside the file, with the file's SHA-256 and length. It binds the owner's words too: which
harm the entries are about, of what day they are, and whether they are all of the list or what changed. A file that
nobody altered could otherwise be handed on as newer than it is, or as a list of another harm, or a few changes as the
whole list, which would take back all the rest. The envelope is DSSE's (`vetset.seal.signature`).
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vetset.hashlist.files.lines import require_readable_again
from vetset.hashlist.vault.info import checked_info
from vetset.model.canonical import canonical_json
from vetset.model.errors import ListError, SignatureError, UsageError
from vetset.model.hashlist import UNKNOWN, ListInfo, one_spelling
from vetset.seal.document import parse_object
from vetset.seal.keys import PrivateKey, PublicKey
from vetset.seal.signature import check, sign

PAYLOAD_TYPE = "application/vnd.vetset.list.v2+json"
_MISMATCH = "Nothing was changed. Ask the owner, or leave out what the signature says anyway."


@dataclass(frozen=True, slots=True)
class Terms:
    """What an owner says of a file, and signs with it.

    Attributes:
        owner: the owner's name.
        category: which harm the entries are about.
        as_of: ISO date of the owner's state.
        whole: whether the file is the whole list, or what changed.
        licence: under what terms it may be used; `unknown` leaves it to who imports it, as for the others.
        purpose: what it may be used for.
        expires: the last day of use.
    """

    owner: str
    category: str
    as_of: str
    whole: bool = True
    licence: str = UNKNOWN
    purpose: str = UNKNOWN
    expires: str = UNKNOWN


def sign_file(file: Path, terms: Terms, key: PrivateKey) -> bytes:
    """The envelope that says so of a file.

    Raises:
        ListError: the terms are malformed, or name no owner or no day.
        UsageError: the file cannot be read.
    """
    _require_terms(terms)
    return sign(PAYLOAD_TYPE, canonical_json({**_identity(file), **asdict(terms)}), key)


def signed_terms(file: Path, envelope: bytes, signer: PublicKey) -> Terms:
    """What the owner says of the file.

    Raises:
        SignatureError: the signature is not by this signer, of another file, or says something malformed.
        ListError: the file can be read only once, so that nothing would be left of it to import.
        UsageError: the file cannot be read.
    """
    payload = check(envelope, signer, PAYLOAD_TYPE)
    identity = _identity(file, again=True)
    try:
        stated = parse_object(payload)
        seen = {name: stated.pop(name) for name in identity}
        terms = Terms(**stated)
        _require_terms(terms)
    except (ValueError, KeyError, TypeError, ListError):
        raise SignatureError(
            "the signature says something of the list that is not usable",
            expected="what `vetset lists sign` writes",
            where=file.name,
            todo="Ask the owner for another signature.",
        ) from None
    if seen != identity:
        raise SignatureError("the signature is of another file", where=file.name, todo="Ask the owner for both again.")
    return terms


def agreed(terms: Terms | None, **given: str | None) -> dict[str, str]:
    """What is said of a list: by its owner's signature, and by who imports it where the owner leaves it open.

    Args:
        terms: what was signed, if anything.
        given: what who imports it says, by names of `Terms`; None where nothing is said.

    Returns:
        The same names; `unknown` where neither says anything.

    Raises:
        SignatureError: the two are not the same.
    """
    found = {}
    for name, said in given.items():
        signed = UNKNOWN if terms is None else getattr(terms, name)
        if said is not None and signed not in {UNKNOWN, said}:
            raise SignatureError(
                f"the {name} is not the one that the owner signed", expected=signed, seen=said, todo=_MISMATCH
            )
        found[name] = said if signed == UNKNOWN and said is not None else signed
    return found


def require_whole(terms: Terms | None, *, whole: bool) -> None:
    """Refuse changes as a whole list, and a whole list as changes.

    Raises:
        SignatureError: the owner signed the file as the other.
    """
    if terms is not None and terms.whole is not whole:
        words = {True: "a whole list", False: "what changed"}
        raise SignatureError(
            "the owner signed the file as something else",
            expected=words[whole],
            seen=words[terms.whole],
            todo="A whole list is added, or given to `update` with --whole; what changed is given to `update` without.",
        )


def _require_terms(terms: Terms) -> None:
    """Hold the words to what a list in the vault is held to."""
    checked_info(
        ListInfo("signed", terms.owner, terms.category, terms.licence, terms.as_of, terms.purpose, terms.expires)  # type: ignore[arg-type]
    )
    if not isinstance(terms.whole, bool):
        raise ListError("a signed list is a whole one or not", expected="true or false")
    if UNKNOWN in {one_spelling(terms.owner), terms.as_of}:
        raise ListError("a signed list needs its owner and its day", expected="a name, and YYYY-MM-DD")


def _identity(file: Path, *, again: bool = False) -> dict[str, Any]:
    """What names the bytes of a file, which may have to be read again afterwards."""
    try:
        with file.open("rb") as handle:
            if again:
                require_readable_again(handle, file.name, "Write it to a file first: what is signed is read twice.")
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
            return {"sha256": digest, "bytes": handle.tell()}
    except OSError as error:
        raise UsageError("there is no list to read", seen=error.strerror, where=file.name) from error
