"""Small cases with invented findings."""

from vetset.case.findings import FindingsPart, Provenance, Round, RoundPart, VerdictsPart
from vetset.case.ledger import Ledger
from vetset.case.nearness import Calibration
from vetset.model.coverage import Tally
from vetset.model.dataset import ContentId, RecordId, ShardDigest
from vetset.model.finding import Candidate, Evidence, Match
from vetset.model.signal import Kind, Reason, Variant
from vetset.model.verdict import Decision, Verdict
from vetset.seal.keys import new_key

KEY, SECOND, STRANGER = (new_key(name) for name in ("custodian", "second", "stranger"))
FLOOR = 4096
CALIBRATION = Calibration("sampled", 10, 100, 0.001, 0.6, 0.6, bounded=False)


def record(number):
    return RecordId(ShardDigest("ab" * 32), number, f"key-{number}")


def findings(matches=1, candidates=1):
    """What an audit of ten records found."""
    found = tuple(
        Match(record(number), "known", "line:1", Kind.MD5, Variant.STORED, 0, 100) for number in range(matches)
    )
    near = tuple(Candidate(record(5 + number), Evidence.NEIGHBOUR, record(0), 0.9, 1) for number in range(candidates))
    tally = Tally("known", Kind.MD5, 10, matches, 9 - matches, {Reason.EMPTY_FILE: 1})
    told = Round(1, 5, CALIBRATION, tuple(match.record for match in found), 0, 0, candidates, candidates, 0)
    where = tuple(
        Provenance(item, "0.tar", ContentId("sha256:" + "cd" * 32), "https://example.org/a.jpg", "{}", checked=True)
        for item in sorted({match.record for match in found} | {candidate.record for candidate in near})
    )
    return FindingsPart(found, (tally,), near, (told,), where, "complete")


def verdicts(name="second", decision=Decision.KNOWN):
    return VerdictsPart(name, (Verdict(record(5), decision, name),))


def another_round():
    told = Round(2, 5, CALIBRATION, (record(5),), 0, 0, 1, 1, 0)
    candidate = Candidate(record(8), Evidence.NEIGHBOUR, record(5), 0.8, 2)
    return RoundPart(told, (candidate,), ())


def ledger(folder, keys=(KEY,), floor=FLOOR):
    return Ledger(folder, [key.public.recipient for key in keys], floor)


def written(folder, later=(), keys=(KEY,)):
    """A case of the findings and these later parts."""
    case = ledger(folder, keys)
    case.write_first(findings())
    for part in later:
        case.append(part)
    return case
