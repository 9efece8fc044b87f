"""What members tell NCMEC of each other's fingerprints: that they are right, or why they are not.

Feedback tells the owner that somebody has met the item, so it is a person's decision, entry by entry: nothing here is
called by an audit or a sync, and `send_feedback` sends nothing unless it is told to. Requests and their answers follow
facebook/threatexchange's client; what the service answers to a vote is not documented and not read.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from vetset.hashlist.files.markup import Anything, Markup, Node
from vetset.hashlist.owners.ncmec.entries import NAMESPACE
from vetset.hashlist.owners.ncmec.fingerprints import TYPES
from vetset.hashlist.sync.transport import Client
from vetset.model.errors import ServiceError, UsageError

MAX_VOTES = 10_000
MAX_REASONS = 1000
_ENTRY = re.compile(r"([0-9]{1,18})-([^~].{0,62})")
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class Vote:
    """One member's word about one fingerprint.

    Attributes:
        entry: the entry's id as a finding names it, `MEMBER-ENTRY`.
        type: one of `TYPES`, in lower case.
        reasons: GUIDs of `reasons`, why it is not right; none says that it is.
    """

    entry: str = field(repr=False)
    type: str
    reasons: tuple[str, ...] = field(default=(), repr=False)

    @property
    def affirmative(self) -> bool:
        """Whether it says that the fingerprint is right."""
        return not self.reasons

    def path(self) -> str:
        """Where it is put.

        Raises:
            UsageError: it names no entry or no type of NCMEC's.
        """
        found = _ENTRY.fullmatch(self.entry)
        if found is None or self.type not in TYPES:
            raise UsageError(
                "feedback is about an entry that cannot be named to NCMEC, or a type that it does not have",
                expected=f"MEMBER-ENTRY as the owner gave it, and one of: {', '.join(TYPES)}",
                todo="Nothing was sent. Of entries whose id is kept as a digest, tell NCMEC in another way.",
            )
        return f"/v2/entries/{found[1]}/{quote(found[2], '')}/{self.type.upper()}/feedback"

    def document(self) -> bytes:
        """What is put there."""
        inside = "<affirmative/>"
        if self.reasons:
            guids = "".join(f"<guid>{guid}</guid>" for guid in self.reasons)
            inside = f"<negative><reasonIds>{guids}</reasonIds></negative>"
        head = '<?xml version="1.0" encoding="UTF-8"?>'
        return f'{head}<feedbackSubmission xmlns="{NAMESPACE}">{inside}</feedbackSubmission>'.encode("ascii")


def reasons(client: Client, kind: str) -> Mapping[str, str]:
    """Why a fingerprint of a type can be wrong: name by GUID.

    Raises:
        UsageError: there is no such type.
        ServiceError: the service does not answer as it should.
        ListError: its answer is malformed.
    """
    if kind not in TYPES:
        raise UsageError("there is no such type of fingerprint", expected=f"one of: {', '.join(TYPES)}")
    found: dict[str, str] = {}

    def take(attributes: dict[str, str]) -> None:
        guid, name = attributes.get("guid", ""), attributes.get("name", "")
        if not _GUID.fullmatch(guid) or len(found) >= MAX_REASONS:
            markup.refuse("a reason is not usable", f"at most {MAX_REASONS}, each with a GUID")
        found[guid.lower()] = name

    other = Node()
    other.children = Anything(other, {f"{NAMESPACE} reason": Node(opened=take)})
    markup = Markup(Anything(other), lambda _: other, client.host)
    markup.feed(client.get(f"/v2/feedback/{kind.upper()}/reasons").body)
    markup.close()
    return found


def send_feedback(client: Client, votes: Sequence[Vote], *, send: bool = False) -> Mapping[str, int]:
    """What would be sent, in numbers by type; and only where `send` says so, sent.

    Everything is checked before anything is sent; reasons are asked of the service.

    Raises:
        UsageError: a vote is not one that NCMEC takes, or one fingerprint has two. Nothing was sent.
        ServiceError: the service does not take a vote. How many it took before is told; sending all of them again
            changes nothing.
    """
    if len(votes) > MAX_VOTES:
        raise UsageError("there is too much feedback at once", expected=f"at most {MAX_VOTES}", seen=str(len(votes)))
    planned = {vote.path(): vote.document() for vote in votes}
    if len(planned) != len(votes):
        raise UsageError("one fingerprint has two votes", todo="Nothing was sent.")
    _check_reasons(client, votes)
    for number, (path, document) in enumerate(planned.items() if send else ()):
        try:
            client.put(path, document)
        except ServiceError as error:
            error.seen = "; ".join(filter(None, (error.seen, f"{number} of {len(votes)} were taken")))
            error.todo = "Send all of them again: what was taken is not counted twice."
            raise
    return dict(Counter(f"{'affirmative' if vote.affirmative else 'negative'} {vote.type}" for vote in votes))


def _check_reasons(client: Client, votes: Iterable[Vote]) -> None:
    wanted: dict[str, set[str]] = {}
    for vote in votes:
        if vote.reasons:
            wanted.setdefault(vote.type, set()).update(reason.lower() for reason in vote.reasons)
    for kind, named in sorted(wanted.items()):
        if not named <= set(reasons(client, kind)):
            raise UsageError(
                f"a reason is none that NCMEC has for {kind}",
                expected="GUIDs of its own, of this environment",
                todo="Nothing was sent.",
            )
