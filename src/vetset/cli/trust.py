"""How far lists are trusted, for people: each list, what several say together, and alarms with what to do."""

from collections.abc import Iterable, Mapping
from typing import Any

from vetset.cli.output import state_text

_SEEN = {
    "unlike": "matches {records} records in more than {limit:g} groups that are not like each other",
    "collision": "is the digest of {seen:g} different stored contents: somebody made it so",
    "contents": "is an address with {seen:g} different contents",
    "hit-rate": "matches {records} records, {seen:.2%} of all: more than {limit:.2%}",
    "jump": "matches {records} records, {seen:.0f} times as many as its version before: more than {limit:g} times",
}
_ENTRY = "its matches are set apart: they confirm nothing and enter no order"
_LIST = "all of its matches are set apart: they confirm nothing and enter no order"
_DO_ENTRY = "look into it; quarantine or release the entry with `vetset lists`, tell the owner, then `vetset recheck`"
_DO_LIST = (
    "look into the list before anything else; quarantine or release entries with `vetset lists` and `vetset recheck`, "
    "or audit with a policy that allows as much (with the same --store nothing is read twice)"
)


def list_line(used: Mapping[str, Any]) -> str:
    """A list, its state and how many records match."""
    line = (
        f"list {used['name']} ({used['owner']}, {used['category']}, {state_text(used)}): "
        f"{used['matched_records']} records match"
    )
    if not used["answered_for"]:
        return f"{line}; private count only: nobody answers for this list"
    return line if used["share_counts"] else f"{line}; its terms let this number be told to nobody"


def alarm_lines(alarms: Iterable[Mapping[str, Any]]) -> list[str]:
    """What looks poisoned, what follows, and what to do."""
    lines = []
    for alarm in alarms:
        what = f"the {alarm['kind']} entry {alarm['entry']} of list" if alarm["entry"] else "list"
        lines += [
            f"ALARM {alarm['sign']}: {what} {alarm['list']} (as of {alarm['as_of']}, version {alarm['version'][:12]}) "
            + _SEEN[alarm["sign"]].format(**alarm),
            f"  {_ENTRY if alarm['entry'] else _LIST}",
            f"  {_DO_ENTRY if alarm['entry'] else _DO_LIST}",
        ]
    return lines


def union_lines(unions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the lists about each harm say together; harms are never added up."""
    lines = []
    for harm, union in unions.items():
        evidence = ", ".join(f"{count} {name}" for name, count in union["by_evidence"].items())
        owners = ", ".join(f"{count} by {number}" for number, count in union["by_owners"].items()) or "none"
        lines.append(
            f"union of the lists about {harm}: {union['records']} records ({evidence}; by number of independent "
            f"owners: {owners}) of {union['distinct_items']} distinct items; {union['confirmed']} records confirmed"
        )
        if union["held_back"]:
            lines.append(
                f"  {union['held_back']} of them only match what is set apart (quarantined, disputed or under an "
                "alarm): held back, in no order unless remove.doubtful says so"
            )
    return lines
