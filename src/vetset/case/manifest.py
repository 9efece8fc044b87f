"""The public side of an audit, `run.json`: dataset, shards, policy, lists, recipients and coverage.

It is the same with and without findings. It holds a digest of itself, so that damage is told as that; and the sealed
parts hold a digest of what it said when the findings were sealed, so that nothing else is opened or attested beside
them. Both are of the document as it was written: what later versions add to it changes nothing of an older one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from vetset.model.canonical import canonical_json, document_digest, summed, unsummed
from vetset.model.coverage import Coverage, Drift
from vetset.model.dataset import ShardDigest
from vetset.model.errors import OutputError, UsageError
from vetset.model.hashlist import STATED, voice_of
from vetset.model.policy import Policy
from vetset.model.selftest import Selftest
from vetset.model.signal import URL_KINDS, Kind, Reason
from vetset.storage.commit import write_atomic
from vetset.storage.looking import is_file_at, refused

MANIFEST_VERSION = 1
DATASET_AUDIT = "dataset-audit"
"""The purpose of an audit that states none."""


@dataclass(frozen=True, slots=True)
class ListUse:
    """A list that an audit used: without its number of entries or an unkeyed digest of it."""

    name: str
    owner: str
    category: str
    licence: str
    as_of: str
    purpose: str
    expires: str
    version: str
    origin: str = STATED
    share_counts: bool = True
    pdq_radius: int | None = None

    @property
    def voice(self) -> str:
        """Who stands behind it, as `ListInfo` has it."""
        return voice_of(self.owner, self.origin)

    @property
    def answered_for(self) -> bool:
        """Whether an owner stands behind it, as `ListInfo` has it."""
        return bool(self.voice)


def in_force(used: Iterable[ListUse], rechecks: Iterable[Iterable[ListUse]]) -> tuple[ListUse, ...]:
    """The lists that hold now, sorted by name: those of the audit, each superseded by what it was at the last recheck.

    Args:
        used: the lists of the audit itself.
        rechecks: the lists of every recheck, in their order.
    """
    latest = {entry.name: entry for entry in used}
    for lists in rechecks:
        latest |= {entry.name: entry for entry in lists}
    return tuple(latest[name] for name in sorted(latest))


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody the findings are sealed to."""

    name: str
    recipient: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ScannedShard:
    """One shard as the audit read it.

    Attributes:
        uri: place in the dataset.
        name: what its records call it (content digest, with a suffix if the same content came before).
        digest: hex SHA-256 of its content.
        records: what the reader counted.
        part: key of its part in the store.
    """

    uri: str
    name: ShardDigest
    digest: str
    records: Annotated[int, Field(ge=0)]
    part: str


@dataclass(frozen=True, slots=True)
class FailedShard:
    """One shard that could not be read to its end. Nothing is claimed about a dataset that has one.

    Attributes:
        uri: its place.
        error: why, and what to do, in words; of audits of before the class of the error alone.
    """

    uri: str
    error: str


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. An output folder belongs to one request.

    Attributes:
        root: absolute place of the dataset.
        format: its format.
        dataset_stamp: digest over place, size and stamp of every shard.
        mapping: the column mapping.
        policy: every setting.
        lists: the lists, sorted by name.
        recipients: to whom findings are sealed, sorted by name.
        embeddings: absolute place of precomputed embeddings, or empty.
        embeddings_stamp: changes with their files.
        embedder: id of the model that computes embeddings, or empty.
        store: absolute place of the store.
        purpose: what it is for; lists that must not be used for it are refused.
    """

    root: str
    format: str
    dataset_stamp: str
    mapping: Mapping[str, str | None]
    policy: Policy
    lists: tuple[ListUse, ...]
    recipients: tuple[Recipient, ...]
    embeddings: str
    embeddings_stamp: str
    embedder: str
    store: str
    purpose: str = DATASET_AUDIT

    def differences(self, other: "Request") -> list[str]:
        """Which parts of two requests differ, as words for an error message."""
        words = {
            "root": "dataset",
            "format": "format",
            "dataset_stamp": "files of the dataset",
            "mapping": "column mapping",
            "policy": "policy",
            "lists": "lists",
            "recipients": "recipients",
            "embeddings": "embeddings",
            "embeddings_stamp": "files of the embeddings",
            "embedder": "embedder",
            "store": "store",
            "purpose": "purpose",
        }
        return [word for name, word in words.items() if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True, slots=True)
class RecheckNote:
    """What may be told of a recheck: which lists, at which version, and how much could be decided.

    Attributes:
        lists: the lists that were held against the store, sorted by name.
        coverage: per kind, over the store as it was then.
        unbalanced: where counts did not add up, in words without a count of matches.
        held_on: ISO date in UTC; empty if written before it was noted.
    """

    lists: tuple[ListUse, ...]
    coverage: Mapping[Kind, Coverage]
    unbalanced: tuple[str, ...] = ()
    held_on: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`run.json`.

    Attributes:
        request: what was asked for.
        state: `running` or `sealed`.
        shards: every shard that was read, sorted by uri.
        failed: every shard that was not.
        coverage: per kind, over everything that was read.
        unbalanced: where counts do not add up, in words without a count of matches.
        unclaimed: files of the dataset that belong to no shard: they were not audited. None if nobody counted them,
            where a store was matched that was scanned before they were.
        rechecks: what came after the audit, in order. The request stays what it was.
        drift: per kind of digest, how the stored bytes compare with what the dataset declares of them.
        selftest: what the run was tried on; None before it was, and of a version that did not.
        vetset: version of the software.
        audited_on: ISO date in UTC on which the audit was begun; empty if written before it was noted.
        as_read: the document that it was read from, so that what did not change is written, and digested, as it was.
    """

    request: Request
    vetset: str
    state: str = "running"
    shards: tuple[ScannedShard, ...] = ()
    failed: tuple[FailedShard, ...] = ()
    coverage: Mapping[Kind, Coverage] = field(default_factory=dict)
    unbalanced: tuple[str, ...] = ()
    unclaimed: int | None = 0
    rechecks: tuple[RecheckNote, ...] = ()
    drift: Mapping[Kind, Drift] = field(default_factory=dict)
    audited_on: str = ""
    selftest: Selftest | None = None
    format: str = "vetset-audit"
    version: int = MANIFEST_VERSION
    as_read: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def records(self) -> int:
        """Records in every shard that was read."""
        return sum(shard.records for shard in self.shards)

    def coverage_json(self) -> dict[str, Any]:
        """Coverage as JSON, in the order of the kinds, whatever order the file has."""
        return {kind.value: self.coverage[kind].to_json() for kind in Kind if kind in self.coverage}

    def drift_json(self) -> dict[str, dict[str, int]]:
        """How stored bytes and declared digests compare, as JSON, in the order of the kinds."""
        return {kind.value: self.drift[kind].to_json() for kind in Kind if kind in self.drift}

    @property
    def silent_columns(self) -> tuple[str, ...]:
        """Columns that were named by hand, and of which no record says anything: the name is wrong, perhaps."""
        named = ((role, name) for role, name in sorted(self.request.mapping.items()) if name)
        return tuple(f"{role}={name}" for role, name in named if self._is_silent(role))

    def _is_silent(self, role: str) -> bool:
        kinds = [kind for kind in Kind if kind.value == role or (role == "url" and kind in URL_KINDS)]
        stated = [self.drift[kind] for kind in kinds if kind in self.drift]
        if stated:
            return not any(drift.agree or drift.differ for drift in stated)
        told = [self.coverage[kind] for kind in kinds if kind in self.coverage]
        return bool(told) and all(0 < each.records == each.undecided.get(Reason.ABSENT_COLUMN, 0) for each in told)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why nothing can be claimed, if so: shards or self-tests that failed, counts that do not add up."""
        failed = [f"{shard.uri}: {shard.error}" for shard in self.failed]
        failed += self.untested
        return tuple(dict.fromkeys([*failed, *(text for texts in self.unbalanced_lists.values() for text in texts)]))

    @property
    def untested(self) -> tuple[str, ...]:
        """What failed in the self-test of the audit itself, which no recheck mends."""
        if self.selftest is None:
            return ("the audit was made by a version without self-test. Audit anew.",) if self.state == "sealed" else ()
        return self.selftest.failed

    @property
    def lists(self) -> tuple[ListUse, ...]:
        """The lists in force, sorted by name."""
        return in_force(self.request.lists, (note.lists for note in self.rechecks))

    @property
    def held_on(self) -> dict[str, str]:
        """ISO date on which each list in force was held against the records; empty where nobody noted it."""
        days = dict.fromkeys((used.name for used in self.request.lists), self.audited_on)
        for note in self.rechecks:
            days |= dict.fromkeys((used.name for used in note.lists), note.held_on)
        return days

    def lists_json(self, lists: Iterable[ListUse], days: Mapping[str, str]) -> list[dict[str, Any]]:
        """Which lists these are, as JSON: name, version, state, and whether that is older than the policy allows.

        Args:
            lists: the lists.
            days: ISO date on which each was held, by name.
        """
        too_old = self.request.policy.lists.too_old
        return [
            {
                "name": used.name,
                "as_of": used.as_of,
                "version": used.version,
                "too_old": too_old(used.as_of, days[used.name]),
            }
            for used in lists
        ]

    @property
    def unbalanced_lists(self) -> dict[str, tuple[str, ...]]:
        """By list in force, where counts did not add up when it was last held against the store."""
        latest = {used.name: self.unbalanced for used in self.request.lists}
        for note in self.rechecks:
            latest |= {used.name: note.unbalanced for used in note.lists}
        return latest

    @property
    def dataset_digest(self) -> str:
        """Hex SHA-256 over uri and content of every shard: the identity of this revision."""
        return revision_digest({shard.uri: shard.digest for shard in self.shards})

    @property
    def identity(self) -> str:
        """Hex digest of what was asked for and of which revision: the parts of its case state it, sealed."""
        return document_digest([self.dataset_digest, self.to_json()["request"]])

    @property
    def told(self) -> str:
        """Hex digest of all that it says, but for how far the run is and what came afterwards.

        Once the findings are sealed it stays what it is: the sealed parts state it.
        """
        return document_digest({name: value for name, value in self.to_json().items() if name not in _GOES_ON})

    def to_json(self) -> dict[str, Any]:
        """The JSON document; what stands as it was read is as it was read, also where a field is missing there."""
        document: dict[str, Any] = _ADAPTER.dump_python(self, mode="json", exclude={"as_read"})
        if self.as_read is None:
            return document
        before = _ADAPTER.validate_python(self.as_read)
        same = {part.name for part in fields(self) if getattr(self, part.name) == getattr(before, part.name)}
        changed = {name: value for name, value in document.items() if name not in same}
        return {name: self.as_read[name] for name in document if name in same and name in self.as_read} | changed


_ADAPTER = TypeAdapter(Manifest)
_GOES_ON = {"state", "rechecks"}


def revision_digest(shards: Mapping[str, str]) -> str:
    """Identity of a revision, from the content digest of every shard by uri."""
    return document_digest(dict(sorted(shards.items())))


def manifest_path(folder: Path) -> Path:
    """Where the manifest of an audit lies."""
    return folder / "run.json"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `run.json` atomically, canonical, with a digest of itself and a final newline."""
    write_atomic(manifest_path(folder), canonical_json(summed(manifest.to_json())) + b"\n", mode=0o644)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an audit.

    Raises:
        UsageError: there is no audit in this folder, or it may not be read.
        OutputError: the manifest is damaged or of another version.
    """
    path = manifest_path(folder)
    if not is_file_at(path, UsageError):
        raise UsageError(
            "there is no audit here",
            expected="a folder that `vetset audit` wrote (it holds run.json)",
            where=str(folder),
            todo="Name the folder that was given to --out.",
        )
    try:
        document = json.loads(_bytes(path))
        if document.get("format") != "vetset-audit" or document.get("version") != MANIFEST_VERSION:
            raise OutputError(
                "the manifest is of another format or version",
                expected=f"vetset-audit version {MANIFEST_VERSION}",
                where=str(path),
                todo="Open the audit with the version of vetset that wrote it.",
            )
        told = unsummed(document)
        return replace(_ADAPTER.validate_python(told), as_read=told)
    except (ValueError, AttributeError, RecursionError, ValidationError) as error:
        raise OutputError(
            "the manifest is damaged",
            where=str(path),
            todo="Restore run.json from a copy; without one, audit into another folder with the same --store: nothing "
            "is read twice.",
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise refused(path, error, UsageError) from None
