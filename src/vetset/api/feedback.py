"""lists feedback: an owner is told what is thought of entries of its list. A person's decision, entry by entry.

Whoever gives feedback tells the owner that the item was met. So nothing is sent unless it is said so, and what is
written for an owner without a service is sealed to that owner, who reads it with `read_list_feedback`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vetset.api.given import Key, Pub, private_key, public_key, read_file, written
from vetset.hashlist.bank import Bank
from vetset.hashlist.owners.ncmec.feedback import Vote, reasons, send_feedback
from vetset.hashlist.services import client_of
from vetset.hashlist.vault.vault import Vault, default_home
from vetset.model.canonical import canonical_json
from vetset.model.errors import SealError, TrustError, UsageError
from vetset.model.hashlist import ListInfo
from vetset.model.signal import Kind
from vetset.seal.document import parse_object
from vetset.seal.envelope import seal, unseal

FORMAT = "vetset-list-feedback"
_SIZES = 1 << 16


def feedback_reasons(name: str, kind: Kind | str, *, address: str = "") -> Mapping[str, str]:
    """Why a fingerprint of a kind can be wrong, in the words of the list's owner: name by GUID.

    Raises:
        UsageError: the list comes from no service that takes feedback.
        ServiceError: the service does not answer as it should.
    """
    vault = Vault(default_home())
    with client_of(_ncmec(vault, name)[1], default_home(), address) as client:
        return reasons(client, _type(kind))


def send_list_feedback(
    name: str,
    entries: Sequence[str],
    *,
    wrong: Sequence[str] = (),
    kind: Kind | str | None = None,
    send: bool = False,
    address: str = "",
) -> Mapping[str, int]:
    """Tell NCMEC that fingerprints of entries are right, or why they are not.

    Args:
        name: the list.
        entries: the owner's ids, as findings name them.
        wrong: GUIDs of `feedback_reasons`; without any, the fingerprints are said to be right.
        kind: only the fingerprints of this kind.
        send: whether it is sent, or counted only.
        address: where the service is, if not where its owner says.

    Returns:
        What was sent or would be, in numbers by type.

    Raises:
        UsageError: no entry is named, the list comes from no service that takes feedback, or an entry has no such
            fingerprint.
        ListError: no entry of such an id stands in the list.
        ServiceError: the service does not take it.
    """
    _require_some(entries)
    vault = Vault(default_home())
    bank, service = _ncmec(vault, name)
    wanted = None if kind is None else _type(kind)
    votes = []
    for entry in entries:
        types = sorted({_type(each) for each, _ in bank.values_of_entry(entry)})
        chosen = [each for each in types if wanted in {None, each}]
        if not chosen:
            raise UsageError("an entry has no fingerprint of this kind", seen=", ".join(types), where=name)
        votes += [Vote(entry, each, tuple(wrong)) for each in chosen]
    with client_of(service, default_home(), address) as client:
        return send_feedback(client, votes, send=send)


def write_list_feedback(
    name: str, entries: Sequence[str], *, reason: str, seal_to: Sequence[Pub], out: Path | str
) -> Path:
    """Write for a list's owner what is thought of entries, sealed to that owner: ids and a reason, no values.

    Raises:
        UsageError: there is no entry, no reason, or nobody to seal it to.
        ListError: no entry of such an id stands in the list.
        OutputError: it cannot be written.
    """
    _require_some(entries)
    if not reason.strip() or not reason.isprintable():
        raise UsageError("feedback needs a reason", expected="a few words on one line")
    if not seal_to:
        raise UsageError("there is nobody to seal the feedback to", expected="the public key of the list's owner")
    vault = Vault(default_home())
    info, bank = vault.load(name).info, Bank.from_bytes(vault.bank(name))
    told = [{"id": entry, "kinds": sorted({kind for kind, _ in bank.values_of_entry(entry)})} for entry in entries]
    document = canonical_json({"format": FORMAT, "version": 1, **_about(info), "reason": reason, "entries": told})
    # spaces, so that what is opened is JSON, and the size says little of how many entries it is about
    filled = document + b" " * (-len(document) % _SIZES)
    return written(Path(out), seal(filled, [public_key(key) for key in seal_to]))


def read_list_feedback(file: Path | str, key: Key) -> Mapping[str, Any]:
    """What somebody who was given a list thinks of entries of it, for the list's owner.

    Args:
        file: what `write_list_feedback` wrote.
        key: the private key of the owner, to whom it was sealed.

    Returns:
        `list` (what it is called there), `owner`, `as_of`, `reason`, and of each of `entries` its `id` and `kinds`.

    Raises:
        UsageError: there is no such file.
        KeyFileError: the key is not usable, or not one that it was sealed to.
        SealError: the file is damaged, or holds something else.
    """
    sealed = read_file(file, "feedback")
    try:
        return _told(unseal(sealed, private_key(key)))
    except TrustError as error:
        raise error.at(Path(file).name) from None


def _told(document: bytes) -> Mapping[str, Any]:
    """The feedback in a document. Somebody else wrote it: its words are held to be of one line each."""
    try:
        found = parse_object(document)
        entries = [{"id": each["id"], "kinds": list(each["kinds"])} for each in found["entries"]]
        told = {name: found[name] for name in ("list", "owner", "as_of", "reason")}
        words = [*told.values(), *(word for each in entries for word in (each["id"], *each["kinds"]))]
        sound = (found["format"], found["version"]) == (FORMAT, 1) and all(map(str.isprintable, words))
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise SealError("what is sealed is no feedback", expected="a file that `vetset lists feedback` wrote")
    return {**told, "entries": entries}


def _require_some(entries: Sequence[str]) -> None:
    if not entries:
        raise UsageError("the feedback is about no entry", expected="ids of the owner's, as findings name them")


def _about(info: ListInfo) -> dict[str, str]:
    return {"list": info.name, "owner": info.owner, "as_of": info.as_of}


def _ncmec(vault: Vault, name: str) -> tuple[Bank, str]:
    bank = Bank.from_bytes(vault.bank(name))
    if not bank.source.startswith("ncmec:"):
        raise UsageError(
            "the list comes from no service that takes feedback",
            expected="a list of NCMEC's that is kept by `vetset lists sync`",
            where=name,
            todo="Write it for the owner instead: --seal-to OWNER.pub --out FILE.",
        )
    return bank, bank.source


def _type(kind: Kind | str) -> str:
    """NCMEC's word for a kind."""
    return "pdna" if kind == Kind.PHOTODNA else str(kind)
