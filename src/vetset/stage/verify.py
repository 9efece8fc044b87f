"""verify: candidates → verdicts. This file knows how to ask a local list; services come as verifiers of their own."""

from collections.abc import Sequence

from vetset.case.findings import Findings, VerdictsPart
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.finding import Match
from vetset.model.hashlist import HashList
from vetset.model.policy import Policy
from vetset.model.signal import Kind
from vetset.stage.match import ListMatcher
from vetset.store.records import RecordTable
from vetset.verifier.local_list import ListVerifier
from vetset.verifier.protocol import Question, asked


def open_questions(findings: Findings, verifier: str, policy: Policy) -> list[RecordId]:
    """Candidates that this verifier has not been asked about, sorted; not those whose seed was withdrawn."""
    lapsed = findings.lapsed(policy)
    answered = {verdict.record for verdict in findings.verdicts if verdict.verifier == verifier}
    return sorted(candidate.record for candidate in findings.candidates if candidate.record not in answered | lapsed)


def _questions(records: Sequence[RecordId], table: RecordTable, hash_list: HashList, policy: Policy) -> list[Question]:
    matcher = ListMatcher([hash_list], policy)
    matches: dict[RecordId, list[Match]] = {}
    decidable: dict[RecordId, set[Kind]] = {record: set() for record in records}
    by_shard: dict[ShardDigest, list[RecordId]] = {}
    for record in records:
        by_shard.setdefault(record.shard, []).append(record)
    for index, shard in enumerate(table.shards):
        asked_here = by_shard.get(shard.name, [])
        if not asked_here:
            continue
        part = table.part(index)
        for match in matcher.shard(part, shard.name, shard.records).matches:
            if match.record in decidable:
                matches.setdefault(match.record, []).append(match)
        for kind in hash_list.entries:
            if kind in part.kinds:
                present = part.present_at(kind, [record.row for record in asked_here])
                for record in asked_here:
                    if record.row in present:
                        decidable[record].add(kind)
    return [
        Question(record, tuple(sorted(matches.get(record, ()))), frozenset(decidable[record])) for record in records
    ]


def verify_with_list(findings: Findings, table: RecordTable, hash_list: HashList, policy: Policy) -> VerdictsPart:
    """Ask a local list about every candidate it was not asked about yet.

    Raises:
        CountError: the store does not fit, or a candidate was left without verdict.
    """
    verifier = ListVerifier(f"list:{hash_list.info.name}", policy)
    records = open_questions(findings, verifier.name, policy)
    questions = _questions(records, table, hash_list, policy) if records else []
    return VerdictsPart(verifier.name, asked(verifier, questions))
