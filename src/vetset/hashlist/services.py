"""Owners' services by name: where they are, what credentials they take, whose lists they give.

    ncmec:ENVIRONMENT   NCMEC Hash Sharing v2 (`ncmec.environments`)  $VETSET_NCMEC_CREDENTIALS=user:password
    stopncii            StopNCII.org                                  $VETSET_STOPNCII_CREDENTIALS=function,subscription
    techagainst         Tech Against Terrorism                        $VETSET_TECHAGAINST_CREDENTIALS=user:password

Instead of the variable there may be a file of that name in `$VETSET_HOME/credentials`, mode 0600.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vetset.hashlist.owners.ncmec.environments import environment
from vetset.hashlist.owners.ncmec.service import NcmecSource
from vetset.hashlist.owners.stopncii_service import BASE as STOPNCII
from vetset.hashlist.owners.stopncii_service import StopNCII, stopncii_headers
from vetset.hashlist.owners.techagainst_service import BASE as TECH_AGAINST
from vetset.hashlist.owners.techagainst_service import TechAgainstTerrorism
from vetset.hashlist.sync.ranges import Source
from vetset.hashlist.sync.transport import Client, basic, secret
from vetset.model.errors import UsageError

OWNERS = {"ncmec": "NCMEC", "stopncii": "StopNCII.org", "techagainst": "Tech Against Terrorism"}
"""Whose lists a service gives, by its name."""


def owner_of(service: str) -> str:
    """Whose lists a service gives.

    Args:
        service: `NAME` or `NAME:ENVIRONMENT`.

    Raises:
        UsageError: there is no such service.
    """
    name = service.partition(":")[0]
    if name not in OWNERS:
        raise UsageError(
            "there is no such service",
            expected="ncmec:ENVIRONMENT, stopncii or techagainst",
            seen=name if name.isascii() and name.isprintable() else "another name",
        )
    return OWNERS[name]


@contextmanager
def client_of(service: str, home: Path, address: str = "") -> Iterator[Client]:
    """What talks to a service, with its credentials, as long as it is needed.

    Args:
        service: `NAME` or `NAME:ENVIRONMENT`.
        home: of the vault; credentials may lie there.
        address: where the service is, if not where its owner says: a proxy of yours, a test.

    Raises:
        UsageError: there is no such service or environment.
        KeyFileError: there are no credentials, or not usable ones.
        MissingExtraError: the packages for it are not installed.
    """
    owner_of(service)
    name, _, place = service.partition(":")
    if place and name != "ncmec":
        raise UsageError("this service has no environments", expected=name)
    where = environment(place) if name == "ncmec" else None
    base = address or (where.base if where else STOPNCII if name == "stopncii" else TECH_AGAINST)
    headers = basic(_told(name, home)) if where else stopncii_headers(_told(name, home)) if name == "stopncii" else {}
    with Client(base, headers) as client:
        yield client


def _told(name: str, home: Path) -> str:
    word = f"VETSET_{name.upper()}_CREDENTIALS"
    return secret(word, home / "credentials" / word)


@contextmanager
def opened(service: str, home: Path, naming: bytes, address: str = "") -> Iterator[Source]:
    """A service to sync with, as long as it is needed.

    Args:
        service: `NAME` or `NAME:ENVIRONMENT`.
        home: of the vault; credentials may lie there.
        naming: what entries are named under whose owner gives them no ids, or ids that cannot be shown.
        address: where the service is, if not where its owner says.

    Raises:
        UsageError, KeyFileError, MissingExtraError: as `client_of`.
    """
    name, _, place = service.partition(":")
    with client_of(service, home, address) as client:
        if name == "ncmec":
            yield NcmecSource(environment(place), client, naming)
        elif name == "stopncii":
            yield StopNCII(client, naming)
        else:
            yield TechAgainstTerrorism(client, _told(name, home))
