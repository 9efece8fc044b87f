"""Verdicts, folded: the last word of each verifier counts, and a list that is rechecked speaks by its matches."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from vetset.case.manifest import ListUse
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.verdict import Decision, Verdict, list_verifier

Spoken: TypeAlias = dict[tuple[RecordId, str], Verdict]
"""The last verdict of each verifier about each record, in the order in which they were asked first."""

_HELD = frozenset({Decision.KNOWN, Decision.NEAR, Decision.MATCH_UNCLASSIFIED})
"""What a list says of what it holds."""


def by_verifier(verdicts: Sequence[Verdict]) -> Spoken:
    """The last of these verdicts of each verifier about each record."""
    return {(verdict.record, verdict.verifier): verdict for verdict in verdicts}


def takes_back(before: Mapping[tuple[RecordId, str], Verdict], now: Sequence[Verdict]) -> bool:
    """Whether a verifier does not know any more what it knew."""
    return any(
        before[key].decision is Decision.KNOWN and verdict.decision is not Decision.KNOWN
        for key, verdict in by_verifier(now).items()
        if key in before
    )


def beside(
    verdicts: Mapping[tuple[RecordId, str], Verdict], lists: Sequence[ListUse], unread: Collection[ShardDigest]
) -> Spoken:
    """The verdicts that stand beside a recheck: what a list in it held when it verified, its matches tell by now.

    Args:
        verdicts: those before.
        lists: the lists of the recheck.
        unread: shards that it could not read, so that its matches tell nothing of them.
    """
    voices = {list_verifier(used.name): used.voice for used in lists}
    return {
        key: verdict
        for key, verdict in verdicts.items()
        if verdict.decision not in _HELD
        or verdict.record.shard in unread
        or verdict.verifier not in voices
        # of parts of before nobody knows whose list it was: a name was all there is
        or verdict.owner not in {"", voices[verdict.verifier]}
    }
