"""From the text of an address to a place, and what no address may hold.

An address is written into `run.json`, the store and errors. So it may hold no credential: they come from the
environment and the configuration files that the stores' own libraries read.
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from vetset.model.errors import DatasetError, UsageError
from vetset.storage.looking import resolved
from vetset.storage.remote import HTTP, OBJECTS, Place, Remote, require_extra

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_ALIASES = {"s3a": "s3", "gcs": "gs", "az": "abfs", "abfss": "abfs"}
_SINGLE = (".tar", ".parquet")
_HUB = re.compile(r"datasets/([^/@]+/[^/@]+)(?:@([^/]+))?(?:/(.*))?")
KNOWN = "a local path, s3://, gs://, abfs://, hf://datasets/, https:// or http://"


def is_address(text: str | Path) -> bool:
    """Whether a text is an address and not a local path."""
    return isinstance(text, str) and _SCHEME.match(text) is not None


def _refused(problem: str, expected: str, todo: str | None = None) -> UsageError:
    # The address itself is not repeated: it is refused for what it holds.
    return UsageError(problem, expected=expected, where="the dataset's address", todo=todo)


def _checked(scheme: str, text: str) -> str:
    """What stands behind `scheme://`, without a slash at its end.

    Raises:
        UsageError: it holds a credential, a query, or parts that are no names.
    """
    rest = text.partition("://")[2]
    authority, _, path = rest.partition("/")
    if "?" in rest or "#" in rest:
        raise _refused(
            "the address has a query or a fragment",
            "an address without '?' and '#'",
            "Signed addresses are not taken, since they would be written down: use the store's own scheme, and keep "
            "keys in its usual configuration (docs/remote.md).",
        )
    user = authority.rpartition("@")[0]
    if user and (scheme != "abfs" or ":" in user):
        raise _refused(
            "the address holds a user or a password",
            f"{scheme}://host/path",
            "Put credentials into the environment or the store's configuration file (docs/remote.md).",
        )
    parts = unquote(path).rstrip("/").split("/")
    if not authority or any(part in {".", ".."} for part in parts) or ("" in parts and parts != [""]):
        raise _refused("the address is no path", f"{scheme}://… with plain names between the slashes")
    if any(ord(character) < 32 for character in unquote(rest)):
        raise _refused("the address holds control characters", "printable text")
    return rest.rstrip("/")


def place_of(text: str | Path) -> Place:
    """The place that a text names. Nothing is looked up, and nothing is asked of the other side.

    Raises:
        UsageError: the scheme is not known, or the address holds what it must not.
    """
    found = _SCHEME.match(text) if isinstance(text, str) else None
    if found is None:
        return Path(text)
    scheme = found[1].lower()
    scheme = _ALIASES.get(scheme, scheme)
    if scheme not in HTTP | OBJECTS:
        raise _refused("an address of this scheme is not read", KNOWN)
    rest = _checked(scheme, str(text))
    if scheme in HTTP:
        return _web(scheme, rest)
    if scheme == "hf" and _HUB.fullmatch(rest) is None:
        raise _refused("an address of the Hub names no dataset", "hf://datasets/owner/name[@revision]/path")
    authority, slash, path = rest.partition("/")
    # of abfs://container@account.host/path the account belongs to the connection, not to the path
    container = authority.partition("@")[0] if scheme == "abfs" else authority
    return Remote(scheme, f"{container}{slash}{path}", f"{scheme}://{rest}")


def _web(scheme: str, rest: str) -> Remote:
    host, _, path = rest.partition("/")
    place = f"{scheme}://{urlsplit(f'//{host}').netloc.lower()}/{unquote(path)}"
    if place.endswith(".txt"):
        return Remote(scheme, place.rpartition("/")[0], quoted(place), listing=place, single=False)
    if not place.endswith(_SINGLE):
        raise _refused(
            "an HTTP address names neither a shard nor a list",
            "the address of one .tar or .parquet file, or of a .txt file that lists files, one relative path a line",
            "Listings in HTML are not followed.",
        )
    return Remote(scheme, place, quoted(place), single=True)


def quoted(place: str) -> str:
    """An HTTP address as it is sent: its path percent-encoded."""
    scheme, _, rest = place.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{slash}{quote(path)}"


def _at_commit(place: Remote) -> Remote:
    """A place of the Hub, fixed at the commit that its revision means now: what is read does not change under it."""
    require_extra("hf")
    from vetset.storage.objects import commit_of  # noqa: PLC0415 - its packages are an extra

    form = _HUB.fullmatch(place.path)
    if form is None:
        return place
    commit = commit_of(form[1], unquote(form[2]) if form[2] else None)
    path = f"datasets/{form[1]}@{commit}" + (f"/{form[3]}" if form[3] else "")
    return Remote("hf", path, place.text)


def root_of(text: str | Path) -> Place:
    """The place of a dataset that must be there: local ones absolute, remote ones known to be a folder or an object.

    Raises:
        DatasetError: nothing is there, or it may not be read.
        UsageError: the address is refused.
        MissingExtraError: the package for it is not installed.
    """
    place = place_of(text)
    if isinstance(place, Path):
        return resolved(place, DatasetError)
    if place.scheme == "hf":
        place = _at_commit(place)
    try:
        if place.single is None:
            place.single = place.is_file()
            there = place.single or place.backend.is_folder(place)
        else:
            there = place.stat() is not None if place.single else place.backend.is_folder(place)
    except OSError as error:
        raise DatasetError(
            f"the place cannot be read ({error.strerror or type(error).__name__})",
            where=str(place),
            todo=getattr(error, "todo", None) or "Check the address, the network and the credentials (docs/remote.md).",
        ) from None
    if not there:
        raise DatasetError(
            "there is nothing at this address", where=str(place), todo="Check bucket, path and revision."
        )
    return place
