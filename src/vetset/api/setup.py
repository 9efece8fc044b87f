"""keygen and lists: what is there before an audit."""

from pathlib import Path

from vetset.hashlist.text import parse_list
from vetset.hashlist.vault import Vault, default_home
from vetset.model.errors import UsageError
from vetset.model.hashlist import UNKNOWN, Category, ListInfo
from vetset.model.signal import LIST_KINDS, Kind
from vetset.seal.keys import generate


def keygen(name: str, out: Path | str) -> tuple[Path, Path]:
    """Make a key pair: `out`/NAME.pub to give away, `out`/NAME.key (0600) to keep.

    Returns:
        Paths of the public and the private file.

    Raises:
        UsageError: the name is not usable.
        OutputError: a key of that name is there already.
    """
    generate(name, Path(out))
    return Path(out) / f"{name}.pub", Path(out) / f"{name}.key"


def add_list(
    file: Path | str,
    *,
    name: str,
    owner: str,
    category: Category | str,
    licence: str,
    as_of: str = UNKNOWN,
    purpose: str = UNKNOWN,
    expires: str = UNKNOWN,
    kind: Kind | str | None = None,
    replace: bool = False,
) -> ListInfo:
    """Import a list; from here on it lies encrypted under `$VETSET_HOME`.

    Raises:
        ListError: the file or what is said about it is malformed; nothing was imported.
    """
    try:
        stated = None if kind is None else Kind(kind)
    except ValueError as error:
        known = ", ".join(LIST_KINDS)
        raise UsageError("there is no such kind", expected=f"one of {known}", seen=str(kind)) from error
    try:
        harm = Category(category)
    except ValueError as error:
        known = ", ".join(each.value for each in Category)
        raise UsageError("there is no such category", expected=f"one of {known}", seen=str(category)) from error
    vault = Vault(default_home())  # before anything is read: no core dump from here on
    entries = parse_list(Path(file), kind=stated)
    info = ListInfo(name, owner, harm, licence, as_of, purpose, expires)
    return vault.add(info, entries, replace=replace)


def lists() -> list[ListInfo]:
    """What is known of every list in the vault; never a value."""
    return Vault(default_home()).infos()
