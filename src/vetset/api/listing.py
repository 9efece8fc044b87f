"""lists: bringing owners' lists into the vault, keeping them up to date, deciding about their entries."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa

from vetset.api.given import Key, Pub, private_key, public_key, read_file, today, written
from vetset.hashlist.bank import quarantine, release
from vetset.hashlist.formats import format_of, opinions
from vetset.hashlist.overlap import as_json, overlap
from vetset.hashlist.signed import Terms, agreed, require_whole, sign_file, signed_terms
from vetset.hashlist.vault.info import checked_info
from vetset.hashlist.vault.vault import Vault, default_home, require_usable
from vetset.model.errors import ListError, SignatureError, UsageError
from vetset.model.hashlist import STATED, UNKNOWN, Category, ListInfo
from vetset.model.signal import LIST_KINDS, Kind
from vetset.stage.benign import benign
from vetset.stage.intake import NOTHING, Delivery, Intake, Known, decide, intake, known, require_begun

_FIRST_ZONE = timezone(timedelta(hours=14))
"""Where a day begins first."""


def add_list(
    file: Path | str,
    *,
    name: str,
    owner: str | None = None,
    category: Category | str | None = None,
    licence: str | None = None,
    as_of: str | None = None,
    purpose: str | None = None,
    expires: str | None = None,
    kind: Kind | str | None = None,
    list_format: str | None = None,
    ignore: Sequence[str] = (),
    share_counts: bool = True,
    pdq_radius: int | None = None,
    signature: Path | str | None = None,
    signer: Pub | None = None,
    replace: bool = False,
) -> Intake:
    """Import an owner's whole list; from here on it lies encrypted under `$VETSET_HOME`.

    What its owner signed need not be said again, and cannot be said otherwise. Of anything else that nobody says,
    `unknown` is kept.

    Args:
        file: what the owner gave; docs/lists.md has the formats.
        name: what to call it here.
        owner: whose opinion it is. Of a list whose owner is not known, and that nobody signed, only counts are told.
        category: which harm it is about; needed, unless it was signed.
        licence: under what terms it may be used; needed, unless it was signed.
        as_of: date of the owner's state.
        purpose: what it may be used for: words with commas between.
        expires: the last day of use.
        kind: what bare values are.
        list_format: the format, where it cannot be told.
        ignore: columns of a table that hold no values and are not needed.
        share_counts: whether the licence lets numbers of matches be told beside its name.
        pdq_radius: greatest distance for its PDQ values, where its owner wants less than the policy.
        signature: the owner's signature of the file, as `vetset lists sign` makes it.
        signer: the owner's public key.
        replace: whether a list of this name may be superseded.

    Raises:
        ListError: the file or what is said about it is malformed; nothing was imported.
        SignatureError: the signature is not of this file or not by this signer, or says otherwise; or the list that it
            would supersede was signed by another.
        UsageError: nobody says which harm the list is about, or under what terms it may be used.
    """
    origin, terms = _signed(Path(file), signature, signer)
    require_whole(terms, whole=True)
    harm = None if category is None else str(category)
    said = agreed(terms, owner=owner, category=harm, licence=licence, as_of=as_of, purpose=purpose, expires=expires)
    for what in ("category", "licence"):
        if said[what] == UNKNOWN:
            raise UsageError(f"nobody says which {what} the list has", expected=f"--{what}, or an owner who signed it")
    info = ListInfo(
        name, said["owner"], _category(said["category"]), said["licence"], said["as_of"], said["purpose"],
        said["expires"], origin, share_counts, pdq_radius,
    )  # fmt: skip
    format_of(Path(file), list_format).require_harm(info.category, name)
    vault = Vault(default_home())
    before = _superseded(vault, name, replace=replace, origin=origin)
    batches, left_out = _read(vault, Path(file), list_format, kind, ignore)
    batches = _still_signed(batches, Path(file), signature, signer)
    delivery = Delivery(batches, full=True, when=_beginning(info.as_of), latest=_end(), left_out=left_out)
    return intake(vault, info, before, delivery, today=today(), accept=True, keep=True)


def add_benign(folder: Path | str, *, name: str, replace: bool = False) -> Intake:
    """Make a list of your own pictures that no other list may hold: famous ones, logos, templates.

    Every list that is added or updated afterwards is vetted against it: entries that match are set apart.

    Raises:
        ListError: a file in the folder is no usable picture.
    """
    info = ListInfo(name, "this vault", Category.BENIGN, "own pictures")
    vault = Vault(default_home())
    delivery = Delivery(benign(Path(folder)), full=True)
    before = _superseded(vault, name, replace=replace)
    return intake(vault, info, before, delivery, today=today(), accept=True, keep=True)


def _superseded(vault: Vault, name: str, *, replace: bool, origin: str = STATED) -> Known:
    """What a list begins with: what was decided of the one in whose place it comes; or the one that it may be.

    Raises:
        SignatureError: the one in whose place it comes was signed, and this is not signed by the same signer.
    """
    if name not in vault.names():
        return NOTHING
    if replace:
        _require_signer(vault.info(name), origin)
    before = known(vault, name)
    return before.superseded() if replace else Known(before.bank, "")


def update_list(
    file: Path | str,
    *,
    name: str,
    as_of: str | None = None,
    expires: str | None = None,
    licence: str | None = None,
    whole: bool = False,
    kind: Kind | str | None = None,
    list_format: str | None = None,
    ignore: Sequence[str] = (),
    signature: Path | str | None = None,
    signer: Pub | None = None,
    accept: bool = False,
    dry_run: bool = False,
) -> Intake:
    """Bring what an owner changed into a list that is there, all of it or nothing.

    Args:
        file: entries that are new, changed, or taken back.
        name: the list.
        as_of: date of the owner's state now; needed, unless it was signed.
        expires: the last day of use, if it is another one now.
        licence: the terms, if they are others now.
        whole: the file is the owner's whole list: what is not in it was taken back.
        kind: what bare values are.
        list_format: the format, where it cannot be told.
        ignore: columns of a table that are not needed.
        signature: the owner's signature of the file; needed if the list was signed.
        signer: the owner's public key.
        accept: whether the list may become another one: much taken back, or many times as large.
        dry_run: tell the numbers and change nothing.

    Raises:
        ListError: there is no such list, it is newer, comes from a service or was changed meanwhile, or something in
            the file is malformed; nothing was changed.
        SignatureError: the list was signed, and this is not signed by the same signer, or is signed as something else.
    """
    vault = Vault(default_home())
    before = known(vault, name)
    info = vault.load(name).info
    if before.bank.source:
        raise UsageError(
            "the list comes from a service",
            expected=f"changes that {before.bank.source} gives",
            where=name,
            todo="Use `vetset lists sync`, or import the file under another name.",
        )
    origin, terms = _signed(Path(file), signature, signer)
    _require_signer(info, origin)
    require_whole(terms, whole=whole)
    said = agreed(terms, as_of=as_of, expires=expires, licence=licence, purpose=None)
    agreed(terms, owner=info.owner, category=info.category.value)
    kept = {what: word if word != UNKNOWN else getattr(info, what) for what, word in said.items()}
    told = replace(info, **(kept | {"as_of": said["as_of"]}))  # type: ignore[arg-type]
    _require_newer(info, checked_info(told))
    format_of(Path(file), list_format).require_harm(info.category, name)
    batches, left_out = _read(vault, Path(file), list_format, kind, ignore)
    batches = _still_signed(batches, Path(file), signature, signer)
    strict = not whole and format_of(Path(file), list_format).strict
    when = _beginning(told.as_of)
    # of two whole lists of one day, whoever hands them on could bring back the earlier one
    again = whole and terms is not None and told.as_of == info.as_of
    delivery = Delivery(batches, whole, strict=strict, when=when, latest=_end(), again=again, left_out=left_out)
    return intake(vault, told, before, delivery, today=today(), accept=accept, keep=not dry_run)


def _require_signer(known: ListInfo, origin: str) -> None:
    if known.origin.startswith("signed:") and origin != known.origin:
        raise SignatureError(
            "the list is a signed one, and this file is not signed by the same signer",
            where=known.name,
            todo="Give --signature and the --signer that the list was added with. If it is to be another's now, "
            "`vetset lists remove` it first.",
        )


def _require_newer(known: ListInfo, told: ListInfo) -> None:
    if told.as_of != UNKNOWN and (known.as_of == UNKNOWN or told.as_of >= known.as_of):
        return
    raise ListError(
        "the update has no date" if told.as_of == UNKNOWN else "the update is older than the list",
        expected="the date of the owner's state" if known.as_of == UNKNOWN else f"as of {known.as_of} or later",
        seen=f"as of {told.as_of}",
        where=known.name,
        todo="Nothing was changed. If the date of the list is wrong, import the whole list again with --replace.",
    )


def lists() -> list[ListInfo]:
    """What is known of every list in the vault; never a value."""
    return Vault(default_home()).infos()


def list_decisions(name: str) -> list[dict[str, Any]]:
    """What was decided here about entries of a list, by vetting or by somebody; never a value.

    Returns:
        `entries` (the owner's ids under which the value stands, none if it was taken back), `kind`, `state`
        (`quarantined` or `released`), `reason` and `on` (ISO date) of each, by date and id.

    Raises:
        ListError: there is no such list.
    """
    found = [
        {"entries": list(ids), "kind": made.kind.value, "state": made.state, "reason": made.reason, "on": made.on}
        for made, ids in known(Vault(default_home()), name).bank.entries_decided()
    ]
    return sorted(found, key=lambda each: (each["on"], each["entries"], each["kind"]))  # not in the order of values


def quarantine_entries(name: str, entries: Sequence[str], *, reason: str) -> ListInfo:
    """Set entries apart: they match, and confirm, seed and remove nothing, until they are released.

    Raises:
        ListError: there is no such list, or no entry of such an id stands in it.
    """
    return _decided(name, entries, reason, apart=True)


def release_entries(name: str, entries: Sequence[str], *, reason: str) -> ListInfo:
    """Stand by entries that somebody has looked into: no alarm sets them apart again.

    Raises:
        ListError: there is no such list, or no entry of such an id stands in it.
    """
    return _decided(name, entries, reason, apart=False)


def _decided(name: str, entries: Sequence[str], reason: str, *, apart: bool) -> ListInfo:
    if not reason.strip() or not reason.isprintable():
        raise UsageError("a decision about entries needs a reason", expected="a few words on one line")
    vault, day = Vault(default_home()), today()
    before = known(vault, name)
    values = [value for entry in entries for value in before.bank.values_of_entry(entry)]
    return decide(vault, vault.load(name).info, before, (quarantine if apart else release)(values, reason, day), day)


def remove_list(name: str) -> None:
    """Forget a list and all that is kept beside it, for instance when the right to use it ends.

    Raises:
        ListError: there is no list of this name.
    """
    Vault(default_home()).remove(name)


def overlap_lists(names: Sequence[str]) -> dict[str, Mapping[str, object]]:
    """How lists agree, kind by kind, in numbers.

    Raises:
        ListError: a list is unknown or expired, or they are about different harms, whose numbers are never put
            together.
        UsageError: fewer than two are named.
    """
    if len(set(names)) < 2:
        raise UsageError("there is nothing to compare", expected="two lists or more")
    vault = Vault(default_home())
    infos: list[ListInfo] = []
    columns: dict[Kind, list[tuple[ListInfo, Any]]] = {kind: [] for kind in LIST_KINDS}
    for name in dict.fromkeys(names):
        hash_list = vault.load(name)
        require_usable(hash_list.info, today())
        infos.append(hash_list.info)
        for kind, column in hash_list.entries.items():
            # the values alone, so that the rest of the list is not held while the others are read
            columns[kind].append((hash_list.info, column.values.copy()))
    if len({info.category for info in infos}) > 1:
        raise ListError("the lists are about different harms", todo="Compare lists of one category.")
    return {
        kind.value: as_json(
            overlap([values for _, values in held], [info.voice for info, _ in held]), [info.name for info, _ in held]
        )
        for kind, held in columns.items()
        if held
    }


def sign_list(
    file: Path | str,
    key: Key,
    out: Path | str,
    *,
    owner: str,
    category: Category | str,
    as_of: str,
    whole: bool = True,
    licence: str | None = None,
    purpose: str | None = None,
    expires: str | None = None,
) -> Path:
    """Sign a list as its owner: who imports it knows whose it is, that it is whole, and what the owner says of it.

    Args:
        file: the list, as it will be given away.
        key: the owner's private key.
        out: where the signature goes.
        owner: the owner's name.
        category: which harm the entries are about.
        as_of: ISO date of the owner's state.
        whole: whether the file is the whole list; otherwise it is what changed.
        licence: the terms of use; like the next two, left to who imports it if None.
        purpose: what it may be used for: words with commas between.
        expires: the last day of use.

    Raises:
        ListError: something that is said is malformed, or the day is yet to come, before which nobody takes the list.
        UsageError: there is no such file, or no such category.
        OutputError: the signature cannot be written.
    """
    open_ = (licence or UNKNOWN, purpose or UNKNOWN, expires or UNKNOWN)
    terms = Terms(owner, _category(category).value, as_of, whole, *open_)
    signature = sign_file(Path(file), terms, private_key(key))
    require_begun(as_of, Path(file).name, today())
    return written(Path(out), signature)


def _signed(file: Path, signature: Path | str | None, signer: Pub | None) -> tuple[str, Terms | None]:
    """The origin of a list, and what its owner signed, if anything."""
    if (signature is None) != (signer is None):
        raise UsageError("a signature needs a signer, and a signer a signature", todo="Give both, or neither.")
    if signature is None or signer is None:
        return STATED, None
    key = public_key(signer)
    return f"signed:{key.fingerprint}", signed_terms(file, read_file(signature, "signature"), key)


def _still_signed(
    batches: Iterator[pa.RecordBatch], file: Path, signature: Path | str | None, signer: Pub | None
) -> Iterator[pa.RecordBatch]:
    """The same batches; once all were read, a file that was exchanged meanwhile is not the one that was signed.

    Raises:
        SignatureError: it was.
    """
    yield from batches
    _signed(file, signature, signer)


def _read(
    vault: Vault, file: Path, list_format: str | None, kind: Kind | str | None, ignore: Sequence[str]
) -> tuple[Iterator[pa.RecordBatch], Mapping[str, int]]:
    """Opinions of a file, and counts of what it holds beside them; these are whole when all was read."""
    left_out: Counter[str] = Counter()
    found = opinions(
        file,
        format=list_format,
        kind=_kind(kind),
        ignore=ignore,
        unsupported=left_out,
        secret=vault.naming_secret,
    )
    return found, left_out


def _beginning(as_of: str) -> datetime | None:
    """When a day begins on earth, in UTC: what was said on it, wherever that was, was not said before."""
    try:
        return None if as_of == UNKNOWN else datetime.fromisoformat(as_of).replace(tzinfo=_FIRST_ZONE).astimezone(UTC)
    except (ValueError, OverflowError):
        # what is wrong with it is said where the information is checked, before anything is read; the first day of all
        # has no such beginning, and nothing was said before it
        return None


def _end() -> datetime:
    """The end of what a file can tell of: that of tomorrow. No file has a later date."""
    return datetime.combine(today(), time(), UTC) + timedelta(days=2)


def _kind(kind: Kind | str | None) -> Kind | None:
    try:
        return None if kind is None else Kind(kind)
    except ValueError as error:
        known = ", ".join(LIST_KINDS)
        raise UsageError("there is no such kind", expected=f"one of {known}", seen=str(kind)) from error


def _category(category: Category | str) -> Category:
    try:
        return Category(category)
    except ValueError as error:
        known = ", ".join(each.value for each in Category)
        raise UsageError("there is no such category", expected=f"one of {known}", seen=str(category)) from error
