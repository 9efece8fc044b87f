"""Sealed parts in a folder: `case/000001.age`, `case/000002.age`, … Appending needs no private key; opening does.

Each part holds the chain's head over all parts before it, so that a part that is missing, replaced or out of order is
found when the case is opened. Parts are compressed, padded to a size class whose floor depends on the number of records
of the dataset, and only then sealed; nothing else is ever written.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vetset.case.findings import PART, AnyPart, Findings, FindingsPart, LaterPart, RoundsPart, fold
from vetset.model.canonical import canonical_json
from vetset.model.errors import OutputError, SealError, VetsetError
from vetset.model.policy import SealPolicy
from vetset.seal.chain import link
from vetset.seal.document import parse_object
from vetset.seal.envelope import seal, unseal
from vetset.seal.keys import PrivateKey
from vetset.seal.padding import pad, unpad
from vetset.storage.commit import clear_partials, private_folder, write_atomic
from vetset.storage.locks import lock

MAX_PART_BYTES = 4 << 30
MAX_TIMES = 256
"""A part that unpacks to more bytes than this, and to more than so many times its own, is refused. What was sealed must
open again, however much it is: one entry for a placeholder finds millions of records, whose JSON is some forty times
what it is compressed."""


def seal_floor(policy: SealPolicy, records: int) -> int:
    """Least size class, in bytes, of the sealed parts of a dataset of this many records."""
    return max(policy.floor_bytes, int(policy.bytes_per_record * records))


def packed(document: Any, floor: int) -> bytes:
    """A document as it is sealed: canonical JSON, compressed, padded."""
    return pad(zlib.compress(canonical_json(document), 6), floor)


def unpacked(data: bytes, where: str) -> dict[str, Any]:
    """The document in an unsealed part.

    Raises:
        SealError: the padding, the compression or the JSON is damaged.
    """
    try:
        inflater, payload = zlib.decompressobj(), unpad(data)
        text = inflater.decompress(payload, max(MAX_PART_BYTES, MAX_TIMES * len(payload)))
        document = parse_object(text) if inflater.eof and not inflater.unused_data else None
    except SealError as error:
        raise error.at(where) from None
    except (zlib.error, ValueError) as error:
        raise SealError("a sealed part does not unpack", where=where, todo="Restore it from a copy.") from error
    if document is None:
        raise SealError("a sealed part is longer than any part can be, or cut off", where=where)
    return document


@dataclass(frozen=True, slots=True)
class OpenedCase:
    """A case that was opened.

    Attributes:
        findings: what it folds to.
        head: of its chain.
        parts: how many there are.
        bound: whether the first part states what run.json said when it was sealed, and it says that. Earlier versions
            stated nothing, so that it cannot be checked.
        unfinished: the last part, if its rounds have not ended.
    """

    findings: Findings = field(repr=False)
    head: str
    parts: int
    bound: bool = False
    unfinished: RoundsPart | None = field(default=None, repr=False)


def _read(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SealError(f"a sealed part cannot be read ({error.strerror})", where=where) from error


def _unsealed(sealed: bytes, key: PrivateKey, where: str) -> bytes:
    try:
        return unseal(sealed, key)
    except VetsetError as error:
        raise error.at(where) from None


def _decoded(document: dict[str, Any], number: int, where: str) -> AnyPart:
    """The content of a part: what the audit found in the first, what came later in all others."""
    try:
        part = PART.validate_python(document["content"])
    except (KeyError, ValidationError):
        # without a cause: the validation's own text would repeat the content
        raise SealError("a sealed part holds something else", where=where) from None
    if isinstance(part, FindingsPart) is not (number == 1):
        raise SealError("a sealed part holds something else", where=where)
    return part


def _head(paths: Sequence[Path]) -> str | None:
    """The chain's head over these parts."""
    head = None
    for path in paths:
        head = link(head, _read(path, f"case/{path.name}"))
    return head


def _parts(folder: Path) -> list[Path]:
    """What is called as parts are, in order; a folder that may not be read is none without parts."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".age")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SealError(f"the case cannot be read ({error.strerror})", where="case") from error


def _closed(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"the case cannot be written ({error.strerror or type(error).__name__})",
        where=str(folder),
        todo="Mend the permissions there, then run the same command.",
    )


class Ledger:
    """The sealed parts of one audit.

    Args:
        folder: the audit's folder; parts lie in `case/` below it.
        recipients: age recipients.
        floor: least size class in bytes.
        audit: which audit it is (`Manifest.identity`); empty if nobody asks.
        told: what its `run.json` says (`Manifest.told`); empty as long as it may still change.
    """

    def __init__(self, folder: Path, recipients: Sequence[str], floor: int, audit: str = "", told: str = "") -> None:
        self._folder = folder / "case"
        self._audit = audit
        self._told = told
        self._recipients = list(recipients)
        self._floor = floor

    def paths(self) -> list[Path]:
        """The sealed parts in order.

        Raises:
            SealError: a number is missing, or the folder cannot be read.
        """
        paths = _parts(self._folder)
        for number, path in enumerate(paths, start=1):
            if path.name != f"{number:06}.age":
                raise SealError(
                    "a sealed part is missing",
                    expected=f"{number:06}.age",
                    seen=path.name,
                    where="case",
                    todo="Restore it from a copy.",
                )
        return paths

    def head(self) -> str | None:
        """The chain's head over all parts, as anybody can compute it."""
        return _head(self.paths())

    def write_first(self, part: FindingsPart) -> None:
        """Seal what the audit found. Writing it again, after an interrupted run, replaces it.

        Raises:
            SealError: parts follow it already, which replacing it would cut off.
        """
        with self._alone():
            if len(self.paths()) > 1:
                raise SealError(
                    "the case goes on already, so its first part cannot be written again",
                    where="case",
                    todo="Audit into another folder; with the same --store nothing is read twice.",
                )
            self._write(1, None, part)

    def require_parts(self, least: int) -> None:
        """Refuse to go on in a case that lost parts: what is sealed behind a gap fits neither there nor anywhere else.

        Args:
            least: how many there must be by what `run.json` names.

        Raises:
            SealError: there are fewer, or a number is missing.
        """
        if len(self.paths()) < least:
            raise SealError(
                "sealed parts of this audit are missing",
                expected=f"case/{least:06}.age, and those before it",
                where="case",
                todo="Restore them from a copy. Without one, audit into another folder: with the same --store nothing "
                "is read twice.",
            )

    def append(self, part: LaterPart) -> None:
        """Seal a further part after the ones that are there.

        Raises:
            SealError: there is none, so that it would take the place of the first.
        """
        with self._alone():
            self.require_parts(1)
            self._write(len(self.paths()) + 1, self.head(), part)

    def carry_on(self, before: OpenedCase, more: RoundsPart) -> None:
        """Seal more of some rounds: in place of the last part, if these are its own that go on, else behind it.

        So rounds leave one part, however many they were: who sees the folder does not learn their number.

        Args:
            before: the case as it was opened.
            more: what has come since.
        """
        with self._alone():
            paths = self.paths()
            begun = before.unfinished
            if begun is not None and begun.rules == more.rules and len(paths) == before.parts:
                self._write(before.parts, _head(paths[:-1]), begun.then(more))
            else:
                self._write(len(paths) + 1, _head(paths), more)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only one who writes, so that of two parts written at once neither takes the other's number.

        Raises:
            OutputError: the folder cannot be opened or locked.
        """
        try:
            handle = os.open(private_folder(self._folder), os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _closed(self._folder, error) from error
        try:
            self._wait_for(handle)
            clear_partials(self._folder)
            yield
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        try:
            lock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise _closed(self._folder, error) from error

    def _write(self, number: int, head: str | None, part: AnyPart) -> None:
        content = PART.dump_python(part, mode="json")
        document = {
            "number": number,
            "previous": head,
            "audit": self._audit,
            "told": self._told,
            "content": content,
        }
        write_atomic(self._folder / f"{number:06}.age", seal(packed(document, self._floor), self._recipients))

    def open(self, key: PrivateKey) -> OpenedCase:
        """Decrypt, check and fold every part.

        Raises:
            KeyFileError: the key is not one of the recipients'.
            SealError: a part is damaged, missing or out of order.
        """
        head: str | None = None
        parts, bound = [], False
        for number, path in enumerate(self.paths(), start=1):
            where = f"case/{path.name}"
            sealed = _read(path, where)
            document = unpacked(_unsealed(sealed, key, where), where)
            if document.get("number") != number or document.get("previous") != head:
                raise SealError(
                    "a sealed part does not follow the one before it", where=where, todo="Restore the case."
                )
            self._require_beside_run_json(document, where)
            bound = bound or (number == 1 and bool(self._told) and bool(document.get("told")))
            parts.append(_decoded(document, number, where))
            head = link(head, sealed)
        if head is None:
            raise SealError(
                "there is no sealed bundle",
                expected="case/000001.age",
                todo="Restore it from a copy, or run the audit again with the same --out: it goes on where it was.",
            )
        last = parts[-1]
        unfinished = last if isinstance(last, RoundsPart) and last.stop is None else None
        return OpenedCase(fold(parts), head, len(parts), bound, unfinished)

    def _require_beside_run_json(self, document: dict[str, Any], where: str) -> None:
        """Refuse a part that is of another audit, or of this one when its `run.json` said something else.

        Raises:
            SealError: it is.
        """
        if document.get("audit", self._audit) != self._audit:
            raise SealError(
                "a sealed part is of another audit",
                expected="the case that belongs to this run.json",
                where=where,
                todo="Restore run.json and case from one copy.",
            )
        if self._told and (document.get("told") or self._told) != self._told:
            raise SealError(
                "run.json does not say what it said when this part was sealed",
                expected="run.json as vetset wrote it",
                where=where,
                todo="Restore run.json and case from one copy.",
            )
