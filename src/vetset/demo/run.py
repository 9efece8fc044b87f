"""The demonstration: the whole way, really walked, and held against the labels of the dataset that it built.

Each step is the public function that a user would call. At the end the labels, which vetset never saw, tell what was
found by which kind of evidence and what was not found at all.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vetset.api.auditing import audit
from vetset.api.custody import Opened, attest, expand_until_dry, open_audit, order
from vetset.api.listing import add_list
from vetset.api.revision import check, clean
from vetset.api.setup import keygen
from vetset.case.findings import Findings
from vetset.demo.build import build_dataset
from vetset.demo.embed import MODEL, write_embeddings
from vetset.demo.lists import write_lists
from vetset.demo.planted import Planted
from vetset.demo.replace import replace_image
from vetset.engine.local import LocalEngine
from vetset.model.canonical import canonical_json
from vetset.model.errors import CountError, OutputError
from vetset.model.finding import Evidence
from vetset.model.signal import URL_KINDS
from vetset.model.verdict import Decision
from vetset.storage.commit import is_vacant, private_folder, write_atomic

Say = Callable[[str], None]

CATEGORY = "benchmark"
"""What the lists of the demonstration are about."""

HOW = ("exact", "url", "perceptual", "neighbour")
"""Kinds of evidence, strongest first; a record counts under the first that found it."""


EXACT_ROLES = ("original", "edit:exact")
"""Records that store the very bytes that a list is of."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one kind of planted record.

    Attributes:
        role: what was done to the known item.
        planted: how many records of the dataset show it.
        found: how many were found, by the strongest evidence.
        confirmed: candidates among them that the second list confirmed.
        missed: how many nothing led to.
        removed: how many the cleaned dataset no longer holds.
    """

    role: str
    planted: int
    found: Mapping[str, int]
    confirmed: int
    missed: int
    removed: int


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration came to.

    Attributes:
        folder: where everything lies.
        seconds: how long it took, building included.
        records: records of the dataset.
        rows: one per role of planted records.
        strangers: matches and candidates that show no known item.
        rounds: new candidates and confirmed ones of each round of neighbours.
        undecided: records whose picture could not be decided, by reason.
        again: matches in the cleaned dataset.
        planted_again: keys found after a survivor was replaced by a known item, beside the key that was replaced.
        statement: what `check` said.
    """

    folder: Path
    seconds: float
    records: int
    rows: tuple[Row, ...]
    strangers: Mapping[str, int]
    rounds: tuple[Mapping[str, int], ...]
    undecided: Mapping[str, int]
    again: int
    planted_again: tuple[tuple[str, ...], str]
    statement: str

    def to_json(self) -> dict[str, Any]:
        """The JSON document of `vetset demo`."""
        return {**asdict(self), "folder": str(self.folder)}


@contextmanager
def _home(folder: Path) -> Iterator[None]:
    """Keep the demonstration's lists out of the user's vault."""
    before = os.environ.get("VETSET_HOME")
    os.environ["VETSET_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["VETSET_HOME"]
        else:
            os.environ["VETSET_HOME"] = before


def found_by(findings: Findings) -> dict[str, str]:
    """The strongest evidence for each record's key."""
    found: dict[str, str] = {candidate.record.key: "neighbour" for candidate in findings.candidates}
    for evidence in (Evidence.PERCEPTUAL, Evidence.URL, Evidence.EXACT):
        found |= {match.record.key: evidence.value for match in findings.matches if match.evidence is evidence}
    return found


def tabulate(planted: Planted, findings: Findings, survivors: set[str]) -> tuple[Row, ...]:
    """Hold findings against labels, role by role."""
    found = found_by(findings)
    known = {verdict.record.key for verdict in findings.verdicts if verdict.decision is Decision.KNOWN}
    roles: dict[str, list[str]] = {}
    for record in planted.records:
        if record.known is not None:
            roles.setdefault(record.role, []).append(record.key)
    rows = []
    for role, keys in sorted(roles.items()):
        counted = Counter(found[key] for key in keys if key in found)
        rows.append(
            Row(
                role=role,
                planted=len(keys),
                found={how: counted[how] for how in HOW if counted[how]},
                confirmed=sum(key in known for key in keys),
                missed=sum(key not in found for key in keys),
                removed=sum(key not in survivors for key in keys),
            )
        )
    return tuple(rows)


def _strangers(planted: Planted, findings: Findings) -> dict[str, int]:
    shows = {record.key: record.known for record in planted.records}
    counted = Counter(how for key, how in found_by(findings).items() if shows[key] is None)
    return {how: counted[how] for how in HOW}


def _rounds(opened: Opened) -> tuple[Mapping[str, int], ...]:
    return tuple(
        {"candidates": told["new_candidates"], "confirmed": told["verdicts"].get("known", 0)}
        for told in opened.summary()["rounds"]
    )


def _surviving_keys(before: Planted, keep_list: Path) -> set[str]:
    kept: set[str] = set(pq.read_table(keep_list / "keep.parquet").column("key").to_pylist())
    return {record.key for record in before.records} & kept


@dataclass(frozen=True, slots=True)
class _Walk:
    """One demonstration on its way."""

    out: Path
    planted: Planted
    say: Say

    @property
    def pub(self) -> Path:
        return self.out / "keys" / "custodian.pub"

    @property
    def key(self) -> Path:
        return self.out / "keys" / "custodian.key"

    def prepare(self) -> None:
        """Keys, lists, embeddings."""
        keygen("custodian", self.out / "keys")
        lists = write_lists(self.planted, private_folder(self.out / "lists"))
        for name, file, owner in (
            ("known", lists.known_csv, "Demo hotline"),
            ("second", lists.second_txt, "Second demo hotline"),
        ):
            add_list(
                file,
                name=name,
                owner=owner,
                category=CATEGORY,
                licence="demonstration",
                as_of="2026-01-01",
                purpose="dataset-audit",
            )
        count = write_embeddings(self.planted, self.out / "embeddings", LocalEngine())
        self.say(f"embeddings: {count} vectors of {MODEL}, in parts as clip-retrieval writes them")

    def find(self) -> Opened:
        """Audit, then verify and expand until nothing new is confirmed."""
        target = self.out / "audit"
        audit(
            self.out / "dataset",
            lists=["known"],
            seal_to=[self.pub],
            out=target,
            embeddings=self.out / "embeddings",
        )
        self.say("audit: scanned, matched, one round of neighbours, sealed to the custodian")
        expand_until_dry(target, self.key, with_list="second")
        return open_audit(target, self.key)

    def remove(self) -> set[str]:
        """Order and clean; returns the keys that stay, from the keep-list."""
        signed = order(self.out / "audit", self.key, out=self.out / "order.json")
        clean(self.out / "dataset", signed, signer=self.pub, out=self.out / "cleaned")
        clean(self.out / "dataset", signed, signer=self.pub, out=self.out / "keep", keep_list=True)
        return _surviving_keys(self.planted, self.out / "keep")

    def again(self) -> int:
        """Audit the cleaned dataset; returns the number of records that match."""
        result = self.out / "audit-of-cleaned"
        audit(
            self.out / "cleaned",
            lists=["known"],
            seal_to=[self.pub],
            out=result,
            embeddings=self.out / "cleaned" / "embeddings",
        )
        return int(open_audit(result, self.key).summary()["union"][CATEGORY]["records"])

    def replaced(self, survivors: set[str]) -> tuple[tuple[str, ...], str]:
        """Put one known item back in place of a survivor and audit again; returns what was found, and where it is."""
        copy = self.out / "replaced"
        shutil.copytree(self.out / "cleaned", copy)
        victim = next(
            record
            for record in self.planted.records
            if record.key in survivors and record.role == "distractor" and record.image is not None
        )
        item = self.planted.items[0]
        replace_image(copy, victim, item.original)
        result = self.out / "audit-of-replaced"
        audit(copy, lists=["known"], seal_to=[self.pub], out=result)
        findings = open_audit(result, self.key).case.findings
        return tuple(sorted({match.record.key for match in findings.matches})), victim.key

    def prove(self) -> str:
        """Attest the audit of the cleaned dataset, then check the statement against it."""
        statement = attest(self.out / "audit-of-cleaned", self.key, out=self.out / "statement.json")
        found = check(statement, signer=self.pub, dataset=self.out / "cleaned", key=self.key)
        claims = list(found.result["claims"]) if found.result else []
        return f"signature and dataset agree; {len(claims)} claims, the first: {claims[0]}"


def run_demo(out: Path, *, say: Say | None = None, records: int = 2400) -> DemoResult:
    """Build the dataset and walk the whole way.

    Args:
        out: where everything will lie; must not exist, or be empty.
        say: hears one line per step.
        records: size of the dataset.

    Raises:
        OutputError: `out` holds something.
        MissingExtraError: the photographs or the model are not installed.
        CountError: the walk did not end as the labels say it must.
    """
    if not is_vacant(out):
        raise OutputError(
            "the folder of the demonstration is taken", where=str(out), todo="Remove it, or name another with --out."
        )
    tell = say or (lambda _: None)
    begun = time.monotonic()
    private_folder(out)
    planted = build_dataset(out, records=records)
    write_atomic(out / "labels.json", canonical_json(planted.to_json()))
    tell(f"built {len(planted.records)} records of benign photographs, {len(planted.items)} of which stand in as known")
    walk = _Walk(out, planted, tell)
    with _home(out / "home"):
        walk.prepare()
        opened = walk.find()
        tell("expand until dry: a second list decided about candidates; what it confirmed seeded another round")
        survivors = walk.remove()
        tell("order and clean: signed, cleaned, read again; survivors byte-identical")
        again = walk.again()
        planted_again = walk.replaced(survivors)
        statement = walk.prove()
    findings = opened.case.findings
    pdq = opened.summary()["coverage"]["pdq"]["undecided"]
    result = DemoResult(
        folder=out,
        seconds=round(time.monotonic() - begun, 1),
        records=len(planted.records),
        rows=tabulate(planted, findings, survivors),
        strangers=_strangers(planted, findings),
        rounds=_rounds(opened),
        undecided=pdq,
        again=again,
        planted_again=planted_again,
        statement=statement,
    )
    _judge(result, _lost_copies(planted, findings))
    return result


def _lost_copies(planted: Planted, findings: Findings) -> int:
    """Stored copies, byte for byte, of an item that is listed by more than its address, and that were not found."""
    listed = {item.name for item in planted.items if set(item.listed) - set(URL_KINDS)}
    copies = [record.key for record in planted.records if record.role in EXACT_ROLES and record.known in listed]
    found = found_by(findings)
    return sum(key not in found for key in copies)


def _judge(result: DemoResult, lost_copies: int) -> None:
    """Refuse to end well where the walk contradicts the labels."""
    problems = []
    if lost_copies:
        problems.append("an exact copy of a listed item was not found")
    if any(result.strangers[how] for how in ("exact", "url", "perceptual")):
        problems.append("a record that shows no known item matched")
    if result.again:
        problems.append("the cleaned dataset still matches")
    found, replaced = result.planted_again
    if found != (replaced,):
        problems.append("the item that was put back was not the one thing found")
    if problems:
        raise CountError("the demonstration went wrong", seen="; ".join(problems), where=str(result.folder))
