"""The store: one committed part per shard content, under a key that says everything the part depends on.

    STORE/store.json           format, version, stated lifetime
    STORE/parts/<key>.arrow    signals; present means committed
    STORE/parts/<key>.npy      computed embeddings, float16 (records, d); committed before its part
    STORE/parts/<key>.b3       digests of both, as b3sum writes them; committed before its part
    STORE/seen/<key>.json      (place, size, stamp) of a shard → its part, so that a resumed run does not read it again
    STORE/passed/<key>.json    records of such a shard that are passed over, because they ended their worker
    STORE/trails/<key>         the record that is in hand, while a shard is being scanned
    STORE/scans/<stamp>.json   which parts make up a revision, so that the store can be matched without the dataset
    STORE/shares/<stamp>.<i>-of-<n>.json   the same of one part of a scan that was made in several

The key of a part is the digest of the shard's content, the versions of the signals, the decoders that were at hand, the
scan part of the policy, what the self-test said where it was made, and the records that were passed over, if any were.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

from pydantic import Field, TypeAdapter, ValidationError

from vetset.model.canonical import canonical_json, document_digest, summed, unsummed
from vetset.model.dataset import Shard
from vetset.model.errors import OutputError
from vetset.model.policy import ScanPolicy
from vetset.model.selftest import ScanTest
from vetset.model.signal import Kind
from vetset.storage.commit import PARTIAL, clear_partials, is_unbegun, private_folder, write_atomic
from vetset.storage.locks import Held, lock
from vetset.storage.looking import state_at
from vetset.store.passed import PassedOver, parsed, still, written
from vetset.store.whole import are_whole

STORE_VERSION = 3
FOLDERS = ("parts", "seen", "passed", "scans", "shares")
LIFETIME_DAYS = 90
"""How long a store should be kept at most; stated in it, so that whoever finds one knows."""


@dataclass(frozen=True, slots=True)
class ScanKey:
    """Everything but the content that decides what a part holds.

    Attributes:
        policy: digest of the scan part of the policy.
        kinds: the kinds that are computed.
        versions: version of the code of each kind.
        mapping: digest of the column mapping.
        embedder: id of the model, or empty.
        decoders: extras that were at hand and without which some encodings are not decoded.
        reading: version of the code that makes records of shards.
    """

    policy: str
    kinds: tuple[Kind, ...]
    versions: Mapping[Kind, int]
    mapping: str
    embedder: str = ""
    decoders: tuple[str, ...] = ()
    reading: int = 1

    def part(self, shard_digest: str, passed: Iterable[PassedOver] = (), test: ScanTest | None = None) -> str:
        """Key of the part of a shard with this content, these of whose records were passed over.

        What was made where the self-test failed, or was not made, never stands for what was made where it passed.
        """
        further: dict[str, object] = {"passed": found} if (found := sorted(one.effect for one in passed)) else {}
        if test is not None:
            further["selftest"] = sorted(test.failed)
        return document_digest({"store": STORE_VERSION, "shard": shard_digest, "scan": asdict(self), **further})

    def seen(self, root: str, shard: Shard) -> str:
        """Key under which an unread shard is looked up."""
        return document_digest({"store": STORE_VERSION, "root": root, "at": asdict(shard), "scan": asdict(self)})


@dataclass(frozen=True, slots=True)
class Scanned:
    """A shard that lies in the store.

    Attributes:
        uri: place in the dataset.
        digest: hex SHA-256 of the shard's content.
        records: what the reader counted.
        part: key of its part.
        passed: records of it that were passed over.
        test: how known pictures came out where it was scanned; None where a version without self-test did it.
    """

    uri: str
    digest: str
    records: int
    part: str
    passed: tuple[PassedOver, ...] = ()
    test: ScanTest | None = None

    @property
    def tested(self) -> bool:
        """Whether it was scanned where the self-test passed, so that it need not be scanned again."""
        return self.test is not None and not self.test.failed


@dataclass(frozen=True, slots=True)
class ScanNote:
    """Which parts make up one revision of a dataset.

    Attributes:
        root: the dataset's place when it was scanned.
        format: its format.
        dataset_stamp: digest over place, size and stamp of every shard.
        scan_policy: the scan part of the policy, as JSON.
        mapping: the column mapping, by role.
        embedder: id of the model that computed embeddings, or empty.
        shards: every shard that was read, sorted by uri.
        failed: why every shard that was not was not, in words, by uri.
        unclaimed: files of the dataset that belong to no shard; None if nobody counted them.
    """

    root: str
    format: str
    dataset_stamp: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    scan_policy: ScanPolicy
    mapping: Mapping[str, str | None]
    embedder: str
    shards: tuple[Scanned, ...]
    failed: Mapping[str, str]
    unclaimed: int | None = None

    @property
    def name(self) -> str:
        """What the note is called: another revision, or another way to scan it, has another name."""
        how = document_digest(
            {"policy": self.scan_policy.digest, "mapping": dict(self.mapping), "embedder": self.embedder}
        )
        return f"{self.dataset_stamp[:32]}-{how[:16]}"


_NOTE = TypeAdapter(ScanNote)
_TEST = TypeAdapter[ScanTest | None](ScanTest | None)
_SHARE = re.compile(r"\.(\d+)-of-(\d+)")


def _content(path: Path) -> bytes:
    """What is in a file of the store; nothing if it is not there.

    Raises:
        OutputError: it may not be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise OutputError(
            f"the store cannot be read ({error.strerror or type(error).__name__})",
            where=str(path.parent),
            todo="Mend the permissions there, or have whose store it is give you a copy.",
        ) from error


def _document(path: Path) -> object:
    """The JSON document in a file of the store; None if it is none.

    Raises:
        OutputError: it may not be read.
    """
    try:
        document: object = json.loads(_content(path))
    except (ValueError, RecursionError):
        return None
    return document


def _noted(document: dict[str, Any]) -> bytes:
    """A note as it is written: with a digest of itself."""
    return canonical_json(summed(document)) + b"\n"


class Store:
    """A folder of committed parts.

    Args:
        folder: where it lies; made if it is not there.
        shared: whether runs on other machines may be at work in it, whose half-written files are left alone. Not every
            file system tells one machine of another's lock.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self.folder = folder
        self._shared = shared
        self._lock = -1
        marker = folder / "store.json"
        wanted = {"format": "vetset-store", "version": STORE_VERSION, "lifetime_days": LIFETIME_DAYS}
        if state_at(marker, OutputError) is not None:
            if _document(marker) != wanted:
                raise OutputError(
                    "the store is damaged or of another version",
                    expected=f"vetset-store version {STORE_VERSION}",
                    where=str(marker),
                    todo="Name another folder.",
                )
        elif not is_unbegun(folder) and state_at(marker, OutputError) is None:  # another run may have made it just now
            raise OutputError(
                "the folder of the store holds something else",
                expected="a vetset store, an empty folder or none",
                where=str(folder),
                todo="Name another folder with --store.",
            )
        private_folder(folder)
        # the marker first: a folder without it that holds anything is taken for somebody else's
        self._mark(marker, canonical_json(wanted) + b"\n")
        private_folder(folder / "parts")
        private_folder(folder / "seen")

    def _mark(self, marker: Path, wanted: bytes) -> None:
        """Write the marker, once: runs that begin at the same time must lock the same file."""
        if marker.exists():
            return
        try:
            handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                lock(handle, fcntl.LOCK_EX)
                if not marker.exists():
                    write_atomic(marker, wanted)
            finally:
                os.close(handle)
        except OSError as error:
            raise self._unlocked(error) from error

    def part_path(self, part: str) -> Path:
        """Where a part lies once it is committed."""
        return self.folder / "parts" / f"{part}.arrow"

    def embeddings_path(self, part: str) -> Path:
        """Where the computed embeddings of a part lie."""
        return self.folder / "parts" / f"{part}.npy"

    def find(self, key: ScanKey, root: str, shard: Shard, seconds: float | None = None) -> Scanned | None:
        """What is known of a shard from its place, size and stamp alone, if its part is committed and undamaged.

        Args:
            key: the way of scanning.
            root: the dataset's place.
            shard: the shard.
            seconds: time that a record may take, if the shard can be scanned: one that had less is tried again.
        """
        found = unsummed(_document(self.folder / "seen" / f"{key.seen(root, shard)}.json"))
        if found is None or not isinstance(found.get("records"), int):
            return None  # a damaged note says nothing: the shard is read again and the note written anew
        try:
            test = _TEST.validate_python(found.get("selftest"))
        except ValidationError:
            return None
        digest = str(found.get("digest"))
        passed = still(self.passed(key, root, shard), seconds)
        scanned = Scanned(shard.uri, digest, found["records"], key.part(digest, passed, test), passed, test)
        return scanned if self.holds(scanned.part) else None

    def holds(self, part: str) -> bool:
        """Whether a part is committed, and every file of it is there and is what was written."""
        return are_whole(self.part_path(part))

    def remember(self, key: ScanKey, root: str, shard: Shard, scanned: Scanned) -> None:
        """Note that the shard at this place, of this size and stamp, is this content."""
        note = {"digest": scanned.digest, "records": scanned.records, "selftest": _TEST.dump_python(scanned.test)}
        write_atomic(self.folder / "seen" / f"{key.seen(root, shard)}.json", _noted(note))

    def passed(self, key: ScanKey, root: str, shard: Shard) -> tuple[PassedOver, ...]:
        """Records of the shard at this place, of this size and stamp, that are passed over; sorted."""
        return parsed(_content(self._passed_path(key, root, shard)))

    def pass_over(self, key: ScanKey, root: str, shard: Shard, passed: Iterable[PassedOver]) -> None:
        """Remember that these records of a shard, and no others, are passed over."""
        path = self._passed_path(key, root, shard)
        note = canonical_json(written(passed)) + b"\n"
        if path.exists() or note != b"[]\n":
            write_atomic(private_folder(path.parent) / path.name, note)

    def _passed_path(self, key: ScanKey, root: str, shard: Shard) -> Path:
        return self.folder / "passed" / f"{key.seen(root, shard)}.json"

    def trail_path(self, key: ScanKey, root: str, shard: Shard) -> Path:
        """Where it says which record of a shard is in hand."""
        return self.folder / "trails" / key.seen(root, shard)

    def __enter__(self) -> Self:
        """Register as a user of the store; the only user removes what a killed run left half-written."""
        marker = self.folder / "store.json"
        # over NFS only who may write may lock alone
        try:
            self._lock = os.open(marker, os.O_RDWR if os.access(marker, os.W_OK) else os.O_RDONLY)
        except OSError as error:
            raise self._unlocked(error) from error
        self._clear()
        self._locked(fcntl.LOCK_SH)
        return self

    def _clear(self) -> None:
        """Remove what is half-written, if nobody else is at work."""
        if self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB) and not self._shared:
            for folder in (self.folder, *(self.folder / name for name in FOLDERS)):
                clear_partials(folder)

    def _locked(self, how: int) -> bool:
        """Lock the store; False where another run is at work, or where the file system has no locks."""
        try:
            return lock(self._lock, how) is Held.OURS
        except OSError as error:
            raise self._unlocked(error) from error

    def _unlocked(self, error: OSError) -> OutputError:
        return OutputError(f"the store cannot be locked ({error.strerror})", where=str(self.folder))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Also what a worker left half-written that died in between."""
        try:
            self._clear()
        finally:
            os.close(self._lock)

    def note_scan(self, note: ScanNote) -> None:
        """Write down which parts make up a revision, so that the store can be matched without the dataset."""
        private_folder(self.folder / "scans")
        write_atomic(self.folder / "scans" / f"{note.name}.json", _noted(_NOTE.dump_python(note, mode="json")))

    def note_share(self, note: ScanNote, number: int, count: int) -> None:
        """Write down what one part of a scan brought, of a scan that is made in `count` parts."""
        private_folder(self.folder / "shares")
        name = f"{note.name}.{number}-of-{count}.json"
        write_atomic(self.folder / "shares" / name, _noted(_NOTE.dump_python(note, mode="json")))

    def shares(self, name: str) -> dict[tuple[int, int], ScanNote]:
        """What the parts of a scan brought so far, by (number, count).

        Raises:
            OutputError: a note is damaged.
        """
        found = {}
        for path in sorted((self.folder / "shares").glob(f"{name}.*.json")):
            numbers = _SHARE.fullmatch(path.name.removeprefix(name).removesuffix(".json"))
            if numbers is not None:
                found[int(numbers[1]), int(numbers[2])] = self._note(path)
        return found

    def scans(self) -> list[ScanNote]:
        """Every revision that was scanned into this store.

        Raises:
            OutputError: a note is damaged.
        """
        return [self._note(path) for path in sorted((self.folder / "scans").glob("*.json"))]

    @staticmethod
    def _note(path: Path) -> ScanNote:
        try:
            return _NOTE.validate_python(unsummed(_document(path)))
        except ValidationError as error:
            raise OutputError(
                "the store's note of a scan is damaged",
                where=str(path),
                todo="Scan the dataset again. If it still says so, the note is of another scan: remove it.",
            ) from error

    def digest(self) -> str:
        """Hex SHA-256 over every committed part, by name and content: equal stores have equal digests."""
        total = hashlib.sha256()
        committed = (path for path in (self.folder / "parts").iterdir() if not path.name.endswith(PARTIAL))
        for path in sorted(committed):
            with path.open("rb") as file:
                total.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return total.hexdigest()
