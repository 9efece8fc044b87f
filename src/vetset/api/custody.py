"""open, verify, expand, copies, order, attest: what a custodian runs, who holds a private key."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vetset.api.given import Key, existing_store, private_key, require_sealed, today, written
from vetset.api.second import second_list
from vetset.case.findings import Recheck, trust_of
from vetset.case.ledger import OpenedCase
from vetset.case.manifest import ListUse, Manifest, read_manifest
from vetset.case.rounds import Rules
from vetset.dataset.columns import ColumnMapping
from vetset.model.coverage import Coverage
from vetset.model.errors import DatasetError, SealError, UsageError
from vetset.model.hashlist import HashList
from vetset.model.signal import Kind
from vetset.stage.attest import attested
from vetset.stage.audit import ledger_of, record_table, space_of
from vetset.stage.calibrate import require_same_space
from vetset.stage.complete import require_complete
from vetset.stage.copies import occurrences
from vetset.stage.order import removal_order, signed_order
from vetset.stage.progress import Reporter, Silent
from vetset.stage.provenance import provenance
from vetset.stage.recheck import dataset_if_there
from vetset.stage.rounds import Search, drive
from vetset.stage.selftest import require_vectors
from vetset.stage.summary import summary
from vetset.stage.verify import ListAsker, verify_with_list
from vetset.storage.address import root_of
from vetset.storage.commit import alone_in


@dataclass(frozen=True, slots=True)
class Opened:
    """An audit that was opened by one of its recipients.

    Attributes:
        manifest: its public side.
        case: its findings, decrypted; treat them as what they are. No notebook or log shows them unasked.
    """

    manifest: Manifest
    case: OpenedCase = field(repr=False)

    def summary(self) -> dict[str, Any]:
        """Counts, coverage and rounds as JSON; never an address, a key or a digest of a record.

        `run_json` tells whether it was held against what the sealed parts state of it: `agrees`, `not finished` as long
        as it may change, or `not stated` where an earlier version sealed them.
        """
        unbound = "not stated" if self.manifest.state == "sealed" else "not finished"
        return {**summary(self.case.findings, self.manifest), "run_json": "agrees" if self.case.bound else unbound}


def open_audit(path: Path | str, key: Key) -> Opened:
    """Decrypt, check and fold the findings of an audit.

    Raises:
        KeyFileError: the key is not one of the recipients'.
        SealError: a sealed part is damaged, missing or out of order, or there is none yet.
    """
    manifest = read_manifest(Path(path))
    private = private_key(key)
    case = ledger_of(Path(path), manifest).open(private)
    # in their order; a recheck that was killed before it was told is sealed and not named
    sealed = iter([_as_noted(change) for change in case.findings.rechecks])
    if not all((note.lists, note.held_on, dict(note.coverage)) in sealed for note in manifest.rechecks):
        raise SealError(
            "run.json names a recheck that is not sealed here",
            expected="a sealed part for every recheck",
            where="case",
            todo="The last parts of the case are missing, or run.json was changed: restore both from one copy.",
        )
    return Opened(manifest, case)


def _as_noted(change: Recheck) -> tuple[tuple[ListUse, ...], str, dict[Kind, Coverage]]:
    """What `run.json` says of a recheck."""
    return change.lists, change.held_on, {item.kind: item for item in change.coverage}


def _finished(path: Path | str, key: Key) -> Opened:
    """An audit that has come to its end, opened.

    Raises:
        SealError: it has not.
    """
    opened = open_audit(path, key)
    require_sealed(opened.manifest)
    return opened


@contextmanager
def _at_work(path: Path | str, key: Key) -> Iterator[Opened]:
    """The same, to be gone on with by this run alone: of two at once, both would ask about the same candidates."""
    read_manifest(Path(path))  # what is no audit is told before it is locked
    with alone_in(Path(path)):
        yield _finished(path, key)


@contextmanager
def _search(
    opened: Opened, embeddings: Path | str | None, store: Path | str | None, reporter: Reporter | None
) -> Iterator[Search]:
    """What rounds need, if these are the vectors that the audit searched.

    Raises:
        UsageError: the audit knows no embeddings.
        AlignmentError: the embeddings do not join, or are not those that the audit searched.
        CountError: the search does not find planted vectors on this machine.
    """
    manifest, rounds = opened.manifest, opened.case.findings.rounds
    request = manifest.request
    folder = root_of(embeddings or request.embeddings) if embeddings or request.embeddings else None
    with existing_store(store or request.store) as place:
        table = record_table(place, manifest)
        space = space_of(request, folder, place, table)
        if space is None or not rounds:
            raise UsageError(
                "this audit has no embeddings to search",
                todo="Audit with --embeddings DIR or --embedder NAME; with the same --store nothing is read twice.",
            )
        require_vectors(space)
        space.reporter = reporter or Silent()
        require_same_space(space, request.policy.expand, manifest.dataset_digest, rounds[0].calibration)
        root, shards = dataset_if_there(request)
        mapping = ColumnMapping(**request.mapping)
        read = partial(provenance, table=table, root=root, shards=shards, mapping=mapping)
        yield Search(space, table, trust_of(opened.case.findings, manifest), read)


def expand(
    path: Path | str,
    key: Key,
    *,
    embeddings: Path | str | None = None,
    store: Path | str | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Search the neighbours of what has been confirmed since the last round, and seal what comes.

    Args:
        path: the audit.
        key: private key of a recipient.
        embeddings: where the embeddings lie now, if not where the audit found them.
        store: where the store lies now, if not where the audit left it.
        reporter: hears of progress; how long a search takes depends on the number of seeds.

    Returns:
        The summary, with the new round.

    Raises:
        UsageError: the audit knows no embeddings, or another run is at work in its folder.
        AlignmentError: the embeddings do not join, or are not those that the audit searched.
    """
    with _at_work(path, key) as opened:
        with _search(opened, embeddings, store, reporter) as search:
            part = search.around(opened.case.findings)
        ledger_of(Path(path), opened.manifest).append(part)
    return open_audit(path, key).summary()


def expand_until_dry(
    path: Path | str,
    key: Key,
    *,
    with_list: str | HashList,
    budget: int | None = None,
    least_yield: float | None = None,
    most_rounds: int | None = None,
    first_by: str = "",
    embeddings: Path | str | None = None,
    store: Path | str | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Verify, expand, verify … until nothing new is confirmed, or until another rule says that it is enough.

    What is interrupted goes on with the same arguments. The rules are about the whole case, what was asked and
    searched before included; candidates are asked about best first.

    Args:
        path: the audit.
        key: private key of a recipient.
        with_list: name of a list in the vault, or a list, which decides about candidates.
        budget: candidates that it may be asked about in all.
        least_yield: share of the last round's candidates, of those asked about, that must be confirmed, 0 to 1.
        most_rounds: rounds in all, the audit's own included.
        first_by: column of the dataset by whose number, greatest first, candidates are asked about. It is taken from
            what is sealed with them.
        embeddings: where the embeddings lie now, if not where the audit found them.
        store: where the store lies now, if not where the audit left it.
        reporter: hears of progress; how long a search takes depends on the number of seeds.

    Returns:
        The summary, with all rounds and why they ended.

    Raises:
        UsageError: a limit is out of its range, the audit knows no embeddings or used this list itself or one of its
            owner, or another run is at work in its folder.
        AlignmentError: the embeddings do not join, or are not those that the audit searched.
    """
    _require_limits(budget, least_yield, most_rounds)
    with _at_work(path, key) as opened:
        second = second_list(opened.case.findings, opened.manifest, with_list)
        with _search(opened, embeddings, store, reporter) as search:
            asker = ListAsker(search.table, second, search.trust.policy)
            rules = Rules(asker.name, asker.version, budget, least_yield, most_rounds, first_by, asker.harm)
            drive(ledger_of(Path(path), opened.manifest), private_key(key), rules, asker, search)
    return open_audit(path, key).summary()


def _require_limits(budget: int | None, least_yield: float | None, most_rounds: int | None) -> None:
    for name, value, least, most in (
        ("budget", budget, 0, None),
        ("least_yield", least_yield, 0, 1),
        ("most_rounds", most_rounds, 1, None),
    ):
        if value is not None and not (least <= value and (most is None or value <= most)):
            expected = f"{least} or more" if most is None else f"{least} to {most}"
            raise UsageError(f"{name} is out of its range", expected=expected, seen=str(value))


def verify(path: Path | str, key: Key, *, with_list: str | HashList, store: Path | str | None = None) -> dict[str, Any]:
    """Ask a second list about every candidate it was not asked about yet, and seal its verdicts.

    Args:
        path: the audit.
        key: private key of a recipient.
        with_list: name of a list in the vault, or a list.
        store: where the store lies now, if not where the audit left it.

    Returns:
        The summary, with the verdicts.

    Raises:
        UsageError: the audit used this list itself, under whatever name, or a list of its owner, or another run is at
            work in its folder.
    """
    with _at_work(path, key) as opened:
        manifest = opened.manifest
        second = second_list(opened.case.findings, opened.manifest, with_list)
        with existing_store(store or manifest.request.store) as place:
            table = record_table(place, manifest)
            part = verify_with_list(opened.case.findings, table, second, trust_of(opened.case.findings, manifest))
        ledger_of(Path(path), manifest).append(part)
    return open_audit(path, key).summary()


def copies(path: Path | str, key: Key, *, store: Path | str | None = None) -> dict[str, Any]:
    """Count how often every confirmed item occurs in the dataset, and seal the numbers.

    Nothing is found by it. What is confirmed afterwards is not in the numbers; the summary says whether that is so.

    Args:
        path: the audit.
        key: private key of a recipient.
        store: where the store lies now, if not where the audit left it.

    Returns:
        The summary, with the numbers.

    Raises:
        UsageError: the store is not there, or another run is at work in the audit's folder.
        CountError: a part of the store is damaged or missing, so that nothing can be counted.
    """
    with _at_work(path, key) as opened:
        manifest = opened.manifest
        with existing_store(store or manifest.request.store) as place:
            trust = trust_of(opened.case.findings, manifest)
            part = occurrences(opened.case.findings, record_table(place, manifest), trust)
        ledger_of(Path(path), manifest).append(part)
    return open_audit(path, key).summary()


def order(path: Path | str, key: Key, *, out: Path | str, store: Path | str | None = None) -> Path:
    """Sign the removal order of an audit.

    What goes is what was found and, where the policy says so, what could not be decided; the store tells which that is.

    Args:
        path: the audit.
        key: private key of a recipient, who signs.
        out: file for the order.
        store: where the store lies now, if not where the audit left it.

    Raises:
        DatasetError: a shard failed.
        CountError: counts do not add up or the self-test failed, so that more may have to go than was found.
        UsageError: the store is not there.
        OutputError: the output file exists.
    """
    opened = _finished(path, key)
    if opened.manifest.failed:
        raise DatasetError(
            "an order needs the whole revision",
            expected="every shard read",
            seen="shards that failed (run.json names them)",
            todo="Mend or remove them, then audit anew.",
        )
    require_complete(opened.case.findings, opened.manifest, "no order can be made of this audit")
    with existing_store(store or opened.manifest.request.store) as place:
        made = removal_order(opened.case.findings, record_table(place, opened.manifest), opened.manifest)
    return written(Path(out), signed_order(made, private_key(key)))


def attest(path: Path | str, key: Key, *, out: Path | str) -> Path:
    """Sign what may be claimed about an audit; what was found stays sealed inside.

    Raises:
        CountError: a shard failed or counts do not add up, so nothing may be claimed.
        SealError: run.json is not what was sealed, or nobody stated what it said then.
        OutputError: the output file exists.
    """
    opened = _finished(path, key)
    return written(Path(out), attested(opened.case, opened.manifest, private_key(key), today()))
