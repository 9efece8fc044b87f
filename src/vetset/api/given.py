"""What a caller may give, turned into what the stages take: files loaded, names looked up, days checked."""

import json
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import ValidationError

from vetset.case.manifest import Manifest
from vetset.dataset.formats import detect, discover
from vetset.hashlist.vault.vault import Vault, default_home, require_usable
from vetset.model.dataset import Format, Shard
from vetset.model.errors import DatasetError, ListError, OutputError, PolicyError, SealError, UsageError
from vetset.model.hashlist import Category, HashList, ListInfo
from vetset.model.policy import Policy
from vetset.seal.dumps import forbid_core_dumps
from vetset.seal.keys import PrivateKey, PublicKey, load_private, load_public
from vetset.storage.address import is_address, root_of
from vetset.storage.commit import clear_partials, write_atomic
from vetset.storage.looking import is_file_at, resolved, state_at
from vetset.storage.remote import Place
from vetset.store.store import Store

Key = Path | str | PrivateKey
Pub = Path | str | PublicKey


def private_key(key: Key) -> PrivateKey:
    """A private key, or the one in a file. Core dumps of the process are off from here on: it opens what was sealed."""
    forbid_core_dumps()
    return key if isinstance(key, PrivateKey) else load_private(Path(key))


def public_key(key: Pub) -> PublicKey:
    """A public key, or the one in a file."""
    return key if isinstance(key, PublicKey) else load_public(Path(key))


def today() -> date:
    """The day in UTC, for expiry and statements."""
    return datetime.now(UTC).date()


def load_policy(policy: Policy | Path | str | None) -> Policy:
    """A policy from TOML, or the defaults.

    Raises:
        PolicyError: the file is missing, is no TOML, or has unknown or impossible settings.
    """
    if policy is None:
        return Policy()
    if isinstance(policy, Policy):
        return policy
    path = Path(policy)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        # by way of JSON, which has no types for lists and names of settings: a number is a number, and no `true` or "3"
        return Policy.model_validate_json(json.dumps(found, default=str), strict=True)
    except OSError as error:
        raise PolicyError("the policy cannot be read", seen=error.strerror, where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError("the policy is not TOML", seen=str(error), where=str(path)) from error
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'policy'}: {item['msg']}" for item in error.errors())
        raise PolicyError(
            "the policy has unknown or impossible settings", seen=told, where=str(path), todo="See docs/policy.md."
        ) from error


def dataset_of(dataset: Path | str, dataset_format: Format | str | None) -> tuple[Place, Format, list[Shard]]:
    """Where a dataset lies, what format it has, and its shards.

    Raises:
        DatasetError: there is none, or not of a known format.
        UsageError: there is no format of the stated name, or the address is refused.
        MissingExtraError: the package that reads from such an address is not installed.
    """
    root = root_of(dataset)
    if isinstance(root, Path) and state_at(root, DatasetError) is None:
        expected = "a folder, a .tar, a .parquet or an .arrow file, or the address of one"
        raise DatasetError("there is no dataset", expected=expected, where=str(dataset))
    if dataset_format is not None and dataset_format not in list(Format):
        raise UsageError("there is no such format", expected=f"one of {', '.join(Format)}", seen=str(dataset_format))
    chosen = detect(root) if dataset_format is None else Format(dataset_format)
    return root, chosen, discover(root, chosen)


def require_beside(store: Path, out: Path) -> None:
    """Refuse to write an audit into a store: a store is handed on, and what it holds is the same whatever was found.

    Raises:
        UsageError: the audit's folder lies inside the store.
    """
    if resolved(out, OutputError).is_relative_to(resolved(store, OutputError)):
        raise UsageError(
            "the audit's folder lies inside the store",
            expected="a folder outside the store, which says nothing of lists and findings",
            where=str(out),
            todo="Name another one with --out.",
        )


def require_outside(root: Place, *places: Path) -> None:
    """Refuse to write into the dataset: what is written there would be taken for a part of it the next time.

    What is written is local, so that a dataset behind an address is never meant.

    Raises:
        UsageError: a place lies inside the dataset.
    """
    for place in places:
        if is_address(str(place).replace(":/", "://", 1)):
            raise UsageError(
                "an output place is an address", expected="a local folder", todo="Write there, then copy it yourself."
            )
        if isinstance(root, Path) and resolved(place, OutputError).is_relative_to(root):
            raise UsageError(
                "the output place lies inside the dataset",
                expected="a place outside the dataset",
                where=str(place),
                todo="Name another one.",
            )


def read_file(path: Path | str, what: str) -> bytes:
    """A signed document.

    Raises:
        UsageError: it is not there or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"there is no {what} to read", seen=error.strerror, where=str(path)) from error


def opened_lists(lists: Sequence[str | HashList], purpose: str) -> list[HashList]:
    """Lists out of the vault, none of them expired, and all of them to be used for this purpose.

    Raises:
        UsageError: there is none.
        ListError: a list is unknown, damaged or expired, or must not be used for this.
    """
    if not lists:
        raise UsageError(
            "there is no list to hold against the dataset",
            expected="at least one list",
            todo="Import one with `vetset lists add FILE --name NAME …` and name it with --list NAME.",
        )
    vault = Vault(default_home())
    opened = [vault.load(entry) if isinstance(entry, str) else entry for entry in lists]
    for hash_list in opened:
        require_usable(hash_list.info, today())
        _require_allowed(hash_list.info, purpose)
    return opened


def _require_allowed(info: ListInfo, purpose: str) -> None:
    """Refuse a list that must not be used for this.

    Raises:
        ListError: its terms name other purposes, or it holds what must not match.
    """
    if info.category == Category.BENIGN:
        raise ListError(
            "the list holds pictures that must not match",
            expected="a list of known items",
            where=info.name,
            todo="Benign lists are what `vetset lists add` and `update` vet other lists against; leave it out.",
        )
    if not info.allows(purpose):
        raise ListError(
            "the list must not be used for this purpose",
            expected=f"a purpose that its terms allow: {info.purpose}",
            seen=purpose,
            where=info.name,
            todo="Ask its owner, then import it again with this purpose; or state the one you have with --purpose.",
        )


def require_sealed(manifest: Manifest) -> None:
    """Refuse an audit that has not come to its end.

    Raises:
        SealError: it is still running, or was interrupted.
    """
    if manifest.state != "sealed":
        raise SealError(
            "the audit is not finished",
            expected="state sealed",
            seen=f"state {manifest.state}",
            todo="Run `vetset audit` again with the same --out; it goes on where it was.",
        )


def existing_store(place: Path | str) -> Store:
    """A store that is there.

    Raises:
        UsageError: it is not; an empty one is not made in its place.
        OutputError: it is damaged or of another version.
    """
    if not is_file_at(Path(place) / "store.json", UsageError):
        raise UsageError(
            "there is no store",
            expected="a folder that `vetset scan` or `vetset audit` wrote",
            where=str(place),
            todo="Name the place where it lies now; if it was deleted, audit the dataset anew.",
        )
    return Store(resolved(Path(place), UsageError))


def written(path: Path, data: bytes) -> Path:
    """A new file, whole; what exists is not overwritten.

    Raises:
        OutputError: the file exists or cannot be written.
    """
    if state_at(path, OutputError) is not None:
        raise OutputError("the output file exists", where=str(path), todo="Name another one; nothing is overwritten.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError("the output file cannot be made", seen=error.strerror, where=str(path)) from error
    clear_partials(path.parent, path.name)  # of a run that was killed while it wrote this file
    write_atomic(path, data)
    return path
