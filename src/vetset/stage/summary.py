"""What a custodian sees of an opened case: counts, coverage, alarms, rounds. Never an address, a key or a digest.

Per-list counts and de-duplicated unions stand side by side, since lists overlap. There is a union for each harm and
none over all of them, since a match of one says nothing about another.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vetset.case.copies import ItemCopies
from vetset.case.findings import Findings, alarms_now, held_on, lists_now, trust_of
from vetset.case.manifest import Manifest
from vetset.case.nearness import Calibration, Crowding
from vetset.case.rounds import Stop
from vetset.model.dataset import UNIDENTIFIED, RecordId
from vetset.model.finding import Evidence, Match, Seeds, confirmed_matches, counted_matches, owners, set_apart
from vetset.model.hashlist import UNKNOWN
from vetset.model.trust import Trust
from vetset.model.verdict import Decision
from vetset.stage.copies import basis
from vetset.stage.items import harms_of

_ORDER = (Decision.KNOWN, Decision.NEAR, Decision.MATCH_UNCLASSIFIED, Decision.NOT_KNOWN, Decision.UNDECIDED)


def _records(matches: Iterable[Match]) -> int:
    return len({match.record for match in matches})


def _lists(findings: Findings, manifest: Manifest) -> list[dict[str, Any]]:
    told = []
    used_now = lists_now(findings, manifest)
    for used, about in zip(used_now, manifest.lists_json(used_now, held_on(findings, manifest)), strict=True):
        matches = [match for match in findings.matches if match.list_name == used.name]
        kinds = {
            tally.kind.value: {
                "records": tally.records,
                "matched": tally.matched,
                "matched_partial": tally.matched_partial,
                "not_matched": tally.not_matched,
                "undecided": {reason.value: count for reason, count in tally.undecided.items()},
            }
            for tally in findings.tallies
            if tally.list_name == used.name
        }
        told.append(
            {
                **about,
                "owner": used.owner,
                "category": used.category,
                "answered_for": used.answered_for,
                "share_counts": used.share_counts,
                "matched_records": _records(matches),
                "kinds": kinds,
            }
        )
    return told


def _unions(findings: Findings, trust: Trust) -> dict[str, dict[str, Any]]:
    """Without doubles, what the lists about each harm say together; without lists that nobody answers for."""
    answered = [match for match in findings.matches if trust.answered(match.list_name)]
    by_harm: dict[str, list[Match]] = {
        trust.category(name).value: [] for name in sorted(trust.lists) if trust.answered(name)
    }
    for match in answered:
        by_harm[trust.category(match.list_name).value].append(match)
    content = {entry.record: entry.content for entry in findings.provenance}
    confirmed = confirmed_matches(findings.matches, trust)
    known = set(Seeds.confirmed((), findings.verdicts, trust).records)
    return {
        harm: _union(matches, [match for match in confirmed if trust.category(match.list_name) == harm], trust)
        | {
            "distinct_items": len({content[match.record] for match in matches if match.record in content}),
            "held_back": len(_held_back(matches, trust) - known),
        }
        for harm, matches in sorted(by_harm.items())
    }


def _union(matches: Sequence[Match], confirmed: Sequence[Match], trust: Trust) -> dict[str, Any]:
    agree = Counter(owners(counted_matches(matches, trust), trust).values())
    return {
        "records": _records(matches),
        "confirmed": _records(confirmed),
        "by_owners": {str(count): agree[count] for count in sorted(agree)},
        "by_evidence": {
            evidence.value: _records(match for match in matches if match.evidence is evidence)
            for evidence in (Evidence.EXACT, Evidence.URL, Evidence.PERCEPTUAL)
        },
    }


def _held_back(matches: Sequence[Match], trust: Trust) -> set[RecordId]:
    """Records that only match what is set apart, and that no order contains for it unless the policy says so."""
    counted = {match.record for match in counted_matches(matches, trust)}
    return {match.record for match in matches if set_apart(match, trust)} - counted


def _alarms(findings: Findings, manifest: Manifest) -> list[dict[str, Any]]:
    """What looks poisoned, with the list's version and state, and the entry's id."""
    lists = {used.name: used for used in lists_now(findings, manifest)}
    return [
        {
            "sign": alarm.sign.value,
            "list": alarm.list_name,
            "as_of": lists[alarm.list_name].as_of,
            "version": lists[alarm.list_name].version,
            "kind": None if alarm.kind is None else alarm.kind.value,
            "entry": alarm.entry,
            "records": alarm.records,
            "seen": alarm.seen,
            "limit": alarm.limit,
        }
        for alarm in alarms_now(findings, manifest.request.policy)
    ]


def _strongest(findings: Findings) -> dict[Any, Decision]:
    """The weightiest decision about each record that has one."""
    return {
        record: min((verdict.decision for verdict in verdicts), key=_ORDER.index)
        for record, verdicts in findings.verdict_of().items()
    }


def _calibration(told: Calibration) -> dict[str, Any]:
    """How the threshold came about; without the landmarks, which only tell vectors from others."""
    return {name: value for name, value in asdict(told).items() if name != "landmarks"}


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


def _by_harm(records: Iterable[RecordId], harms: Mapping[RecordId, frozenset[str]]) -> dict[str, int]:
    """How many of some records are of each harm; one that is of two counts in both. Nothing if they are none."""
    counted = Counter(harm for record in records for harm in harms.get(record, frozenset({UNKNOWN})))
    return dict(sorted(counted.items()))


def _rounds(findings: Findings, trust: Trust) -> list[dict[str, Any]]:
    strongest = _strongest(findings)
    content = {entry.record: entry.content for entry in findings.provenance if entry.content != UNIDENTIFIED}
    seen: set[Any] = {content.get(match.record) for match in confirmed_matches(findings.matches, trust)}
    harms = harms_of(findings, trust)
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
                "calibration": _calibration(entry.calibration),
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
                "confirmed": _by_harm(known, harms),
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


def _copies(findings: Findings, trust: Trust) -> dict[str, Any] | None:
    """How often items occur: in all, how many how often, and one by one under numbers that mean nothing else."""
    counted = findings.copies
    if counted is None:
        return None
    records = dict.fromkeys((trust.category(name).value for name in trust.lists if trust.answered(name)), 0)
    # parts of before have items without a harm
    unstated = {UNKNOWN: counted.records} if any(not item.harms for item in counted.items) else {}
    records |= {**counted.records_by_harm, **unstated}
    return {
        "by_category": {
            harm: {"records": shown, **_items([item for item in counted.items if harm in (item.harms or (UNKNOWN,))])}
            for harm, shown in sorted(records.items())
        },
        "of_records": counted.dataset_records,
        "with_bytes": counted.with_bytes,
        "with_pdq": counted.with_pdq,
        "of_now": counted.confirmed == basis(findings, trust),
        "each": [
            {"item": number, "occurrences": item.occurrences, **asdict(item)}
            for number, item in enumerate(counted.items, start=1)
        ],
    }


def _items(items: Sequence[ItemCopies]) -> dict[str, Any]:
    sizes = Counter(1 << (item.occurrences - 1).bit_length() for item in items)
    return {
        "items": len(items),
        "occurrences": sum(item.occurrences for item in items),
        "largest": max((item.occurrences for item in items), default=0),
        "by_evidence": {
            name: sum(getattr(item, name) for item in items)
            for name in ("confirmed", "by_bytes", "by_pdq", "by_embedding")
        },
        "items_by_occurrences": {_range_text(most): sizes[most] for most in sorted(sizes)},
    }


def _range_text(most: int) -> str:
    """The numbers up to a power of two and above the one before, as in 5-8."""
    least = most // 2 + 1
    return str(most) if least >= most else f"{least}-{most}"


def summary(findings: Findings, manifest: Manifest) -> dict[str, Any]:
    """The JSON document of `vetset open`."""
    strongest = Counter(decision.value for decision in _strongest(findings).values())
    trust = trust_of(findings, manifest)
    return {
        "status": findings.status,
        "records": manifest.records,
        "shards": {"read": len(manifest.shards), "failed": len(manifest.failed)},
        "unclaimed_files": manifest.unclaimed,
        "coverage": manifest.coverage_json(),
        "drift": manifest.drift_json(),
        "lists": _lists(findings, manifest),
        "purpose": manifest.request.purpose,
        "audited_on": manifest.audited_on,
        "alarms": _alarms(findings, manifest),
        "union": _unions(findings, trust),
        "candidates": {
            "records": len(findings.candidates),
            "verdicts": {decision.value: strongest[decision.value] for decision in _ORDER if strongest[decision.value]},
            "without_verdict": len(findings.candidates)
            - len({candidate.record for candidate in findings.candidates} & set(findings.verdict_of())),
            "lapsed": len(findings.lapsed(trust)),
        },
        "rounds": _rounds(findings, trust),
        "until_dry": [_stop_json(stop) for stop in findings.stops],
        "rechecks": _rechecks(findings),
        "copies": _copies(findings, trust),
        "changed_since_scan": sum(entry.asked and not entry.checked for entry in findings.provenance),
        "not_read_again": sum(not entry.asked for entry in findings.provenance),
        "findings_digest": findings.digest,
    }
