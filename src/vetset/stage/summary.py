"""What a custodian sees of an opened case: counts, coverage, rounds. Never an address, a key or a record's digest.

Per-list counts and the de-duplicated union stand side by side, since lists overlap; categories of harm are counted
apart, since a match of one says nothing about another.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from vetset.case.findings import Findings, lists_now
from vetset.case.manifest import Manifest
from vetset.case.nearness import Crowding
from vetset.case.rounds import Stop
from vetset.model.dataset import UNIDENTIFIED
from vetset.model.finding import Evidence, Match, is_confirmed
from vetset.model.policy import Policy
from vetset.model.verdict import Decision
from vetset.stage.copies import basis

_ORDER = (Decision.KNOWN, Decision.NEAR, Decision.MATCH_UNCLASSIFIED, Decision.NOT_KNOWN, Decision.UNDECIDED)


def _records(matches: Iterable[Match]) -> int:
    return len({match.record for match in matches})


def _lists(findings: Findings, manifest: Manifest) -> list[dict[str, Any]]:
    told = []
    for used in lists_now(findings, manifest):
        matches = [match for match in findings.matches if match.list_name == used.name]
        kinds = {
            tally.kind.value: {
                "records": tally.records,
                "matched": tally.matched,
                "not_matched": tally.not_matched,
                "undecided": {reason.value: count for reason, count in tally.undecided.items()},
            }
            for tally in findings.tallies
            if tally.list_name == used.name
        }
        told.append(
            {
                "name": used.name,
                "owner": used.owner,
                "category": used.category,
                "as_of": used.as_of,
                "version": used.version,
                "matched_records": _records(matches),
                "kinds": kinds,
            }
        )
    return told


def _union(findings: Findings, manifest: Manifest) -> dict[str, Any]:
    category = {used.name: used.category for used in lists_now(findings, manifest)}
    content = {entry.record: entry.content for entry in findings.provenance}
    matched = {match.record for match in findings.matches}
    policy = manifest.request.policy
    return {
        "records": len(matched),
        "distinct_items": len({content[record] for record in matched if record in content}),
        "confirmed": _records(match for match in findings.matches if is_confirmed(match, policy)),
        "by_category": {
            name: _records(match for match in findings.matches if category[match.list_name] == name)
            for name in sorted(set(category.values()))
        },
        "by_evidence": {
            evidence.value: _records(match for match in findings.matches if match.evidence is evidence)
            for evidence in (Evidence.EXACT, Evidence.URL, Evidence.PERCEPTUAL)
        },
    }


def _strongest(findings: Findings) -> dict[Any, Decision]:
    """The weightiest decision about each record that has one."""
    return {
        record: min((verdict.decision for verdict in verdicts), key=_ORDER.index)
        for record, verdicts in findings.verdict_of().items()
    }


def _crowding(told: Crowding | None) -> dict[str, int] | None:
    """What was degenerate in a round, in pairs of a crowded seed and a record; None if nobody looked."""
    if told is None:
        return None
    seeds = told.seeds
    return {
        "seeds": len(seeds),
        "pairs_within_threshold": sum(seed.within for seed in seeds),
        "returned_as_copies": sum(seed.copies for seed in seeds),
        "returned_as_neighbours": sum(seed.others for seed in seeds),
        "left_out_as_collapsed": sum(seed.collapsed for seed in seeds),
        "left_out_beyond_k": sum(seed.beyond for seed in seeds),
        "records_left_out_as_collapsed": told.collapsed,
        "seeds_at_collapsed_points": sum(seed.collapsed > 0 for seed in seeds),
        "hubs": told.hubs,
        "most_unlike_seeds_of_a_hub": told.hub_most,
    }


def _rounds(findings: Findings, policy: Policy) -> list[dict[str, Any]]:
    strongest = _strongest(findings)
    content = {entry.record: entry.content for entry in findings.provenance if entry.content != UNIDENTIFIED}
    seen: set[Any] = {content.get(match.record) for match in findings.matches if is_confirmed(match, policy)}
    told = []
    for entry in findings.rounds:
        brought = [candidate for candidate in findings.candidates if candidate.round == entry.number]
        decisions = Counter(strongest[item.record].value for item in brought if item.record in strongest)
        known = [item.record for item in brought if strongest.get(item.record) is Decision.KNOWN]
        items = {content.get(record, record) for record in known} - seen
        seen |= items
        told.append(
            {
                "number": entry.number,
                "k": entry.k,
                "threshold": entry.calibration.threshold,
                "calibration": asdict(entry.calibration),
                "crowding": _crowding(entry.crowding),
                "seeds": len(entry.seeds),
                "seeds_without_vector": entry.blind,
                "seeds_saturated": entry.saturated,
                "pairs_above_threshold": entry.above,
                "new_candidates": entry.fresh,
                "of_these_copies": entry.copies,
                "verdicts": {
                    decision.value: decisions[decision.value] for decision in _ORDER if decisions[decision.value]
                },
                "without_verdict": len(brought) - sum(decisions.values()),
                "confirmed": len(known),
                "of_these_duplicates": len(known) - len(items),
            }
        )
    return told


def _rechecks(findings: Findings) -> list[dict[str, Any]]:
    """What every recheck changed, in records."""
    return [
        {
            "lists": [{"name": used.name, "as_of": used.as_of, "version": used.version} for used in change.lists],
            "status": change.status,
            "new": _records(change.new),
            "withdrawn": _records(change.withdrawn),
            "flagged": _records(change.flagged),
        }
        for change in findings.rechecks
    ]


def _stop_json(stop: Stop) -> dict[str, Any]:
    """Why rounds ended, and by which rules they went."""
    told = asdict(stop)
    return {**told.pop("rules"), **told}


def _copies(findings: Findings, policy: Policy) -> dict[str, Any] | None:
    """How often items occur: in all, how many how often, and one by one under numbers that mean nothing else."""
    counted = findings.copies
    if counted is None:
        return None
    sizes = Counter(1 << (item.occurrences - 1).bit_length() for item in counted.items)
    return {
        "items": len(counted.items),
        "occurrences": sum(item.occurrences for item in counted.items),
        "records": counted.records,
        "largest": max((item.occurrences for item in counted.items), default=0),
        "by_evidence": {
            name: sum(getattr(item, name) for item in counted.items)
            for name in ("confirmed", "by_bytes", "by_pdq", "by_embedding")
        },
        "items_by_occurrences": {_range_text(most): sizes[most] for most in sorted(sizes)},
        "of_records": counted.dataset_records,
        "with_bytes": counted.with_bytes,
        "with_pdq": counted.with_pdq,
        "of_now": counted.confirmed == basis(findings, policy),
        "each": [
            {"item": number, "occurrences": item.occurrences, **asdict(item)}
            for number, item in enumerate(counted.items, start=1)
        ],
    }


def _range_text(most: int) -> str:
    """The numbers up to a power of two and above the one before, as in 5-8."""
    least = most // 2 + 1
    return str(most) if least >= most else f"{least}-{most}"


def summary(findings: Findings, manifest: Manifest) -> dict[str, Any]:
    """The JSON document of `vetset open`."""
    strongest = Counter(decision.value for decision in _strongest(findings).values())
    policy = manifest.request.policy
    return {
        "status": findings.status,
        "records": manifest.records,
        "shards": {"read": len(manifest.shards), "failed": len(manifest.failed)},
        "unclaimed_files": manifest.unclaimed,
        "coverage": manifest.coverage_json(),
        "drift": manifest.drift_json(),
        "lists": _lists(findings, manifest),
        "union": _union(findings, manifest),
        "candidates": {
            "records": len(findings.candidates),
            "verdicts": {decision.value: strongest[decision.value] for decision in _ORDER if strongest[decision.value]},
            "without_verdict": len(findings.candidates)
            - len({candidate.record for candidate in findings.candidates} & set(findings.verdict_of())),
            "lapsed": len(findings.lapsed(policy)),
        },
        "rounds": _rounds(findings, policy),
        "until_dry": [_stop_json(stop) for stop in findings.stops],
        "rechecks": _rechecks(findings),
        "copies": _copies(findings, policy),
        "changed_since_scan": sum(not entry.checked for entry in findings.provenance),
        "findings_digest": findings.digest,
    }
