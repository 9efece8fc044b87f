"""lists sync: a list brought up to what its owner's service says, page by page, all of it or nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from vetset.api.given import today
from vetset.hashlist.formats import KEPT
from vetset.hashlist.services import opened, owner_of
from vetset.hashlist.sync.ranges import Source, synced
from vetset.hashlist.sync.spool import Spool
from vetset.hashlist.vault.info import checked_info
from vetset.hashlist.vault.vault import Vault, default_home
from vetset.model.errors import ListError, UsageError
from vetset.model.hashlist import UNKNOWN, ListInfo
from vetset.stage.intake import NOTHING, Applied, Intake, known, taken_in


def sync_list(
    name: str,
    *,
    service: str = "",
    licence: str = "",
    purpose: str = "",
    expires: str = "",
    share_counts: bool | None = None,
    address: str = "",
    full: bool = False,
    accept: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Intake:
    """Fetch what changed since the last time, vet it, and keep it. An interrupted sync goes on where it was.

    Args:
        name: what the list is called here. The first sync makes it.
        service: where it comes from (`ncmec:Industry`, `stopncii`, `techagainst`); needed the first time.
        licence: under what terms it may be used; needed the first time.
        purpose: what it may be used for; as it was if not given.
        expires: the last day of use; as it was if not given.
        share_counts: whether the licence lets numbers of matches be told; as it was if not given.
        address: where the service is, if not where its owner says.
        full: fetch everything anew, and take back what is not there any more.
        accept: whether the list may become another one: much taken back, or many times as large.
        dry_run: tell the numbers and change nothing; the pages that were fetched wait for the next sync.
        progress: hears how many pages there are.

    Raises:
        UsageError: the first sync does not say from where or under what terms, a later one names another service or,
            unless everything is fetched, another host; or another sync of this list is under way.
        ServiceError: the service cannot be reached, or does not answer as it should; nothing was changed.
        ListError: what it gives is malformed, or changes more than it may unasked; nothing was changed, and the next
            sync asks again.
        KeyFileError: there are no credentials.
    """
    vault = Vault(default_home())
    spool = vault.spool(name)
    # one at a time, from what is known until that is kept: pages of one sync would be cleared by another
    with spool.alone():
        new = name not in vault.names()
        before = NOTHING if new else known(vault, name)
        service = _service(name, service, before.bank.source, licence, new=new)
        with opened(service, default_home(), vault.naming_secret(), address) as source:
            info = _first(name, service, source, licence) if new else vault.load(name).info
            if not new and not full:
                _require_same_host(info, source.host)
            told = replace(
                info,
                licence=licence or info.licence,
                purpose=purpose or info.purpose,
                expires=expires or info.expires,
                share_counts=info.share_counts if share_counts is None else share_counts,
                origin=f"service:{source.host}",
                as_of=today().isoformat(),
            )
            checked_info(told)  # before hours of pages, which what is refused afterwards would take along
            got = synced(source, before.bank, spool, lambda: datetime.now(UTC), full=full, progress=progress)
        told = replace(told, as_of=got.begun.astimezone(UTC).date().isoformat())
        left_out = {word: number for word, number in got.told.items() if word not in KEPT}
        applied = Applied(got.bank.from_source(service), got.change, left_out)
        with _asked_again(spool):
            made = taken_in(vault, told, before, applied, today=today(), accept=accept or new, keep=not dry_run)
        if made.kept:
            spool.clear()
    return made


@contextmanager
def _asked_again(spool: Spool) -> Iterator[None]:
    """What was refused is not kept for the next sync: its owner may have mended it by then."""
    try:
        yield
    except ListError:
        spool.clear()
        raise


def _require_same_host(info: ListInfo, host: str) -> None:
    known = info.origin.removeprefix("service:")
    if known == host:
        return
    raise UsageError(
        "the list comes from another host, whose changes would be mixed with this one's",
        expected=known,
        seen=host,
        where=info.name,
        todo="Nothing was asked for. If the service moved there, fetch everything anew with --full.",
    )


def _service(name: str, given: str, known: str, licence: str, *, new: bool) -> str:
    if new and not (given and licence):
        raise UsageError(
            "the first sync of a list says where it comes from and under what terms",
            expected="a service and a licence",
            where=name,
            todo="Give --from ncmec:ENVIRONMENT, stopncii or techagainst, and --licence.",
        )
    if not new and given not in {"", known}:
        raise UsageError(
            "the list comes from somewhere else",
            expected=f"--from {known}, or nothing" if known else "no sync: it was added as a file",
            where=name,
            todo="Sync the other one under a name of its own; entries of two owners are never mixed.",
        )
    if not new and not known:
        raise UsageError("the list was added as a file", where=name, todo="Use `vetset lists update`.")
    return given or known


def _first(name: str, service: str, source: Source, licence: str) -> ListInfo:
    return ListInfo(name, owner_of(service), source.category, licence, as_of=UNKNOWN)
