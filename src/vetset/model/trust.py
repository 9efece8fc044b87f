"""How far each list is trusted in one case: whose opinion it is, which harm it is about, whether an alarm holds it.

What follows from that for matches is decided in `vetset.model.finding`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from vetset.model.alarm import Alarm
from vetset.model.hashlist import Category, voice_of
from vetset.model.policy import Policy


class AboutList(Protocol):
    """What a list says of itself, whether it is at hand or only named in a manifest."""

    @property
    def name(self) -> str:
        """What it is called here."""
        ...

    @property
    def owner(self) -> str:
        """Whose opinion it is, or `unknown`."""
        ...

    @property
    def origin(self) -> str:
        """How that is known."""
        ...

    @property
    def category(self) -> str:
        """Which harm its entries are about."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """What decides about matches beside the matches themselves.

    Attributes:
        policy: every threshold and rule.
        lists: what is known of each list, by name.
        held: names of lists that an alarm keeps from confirming and removing anything.
    """

    policy: Policy
    lists: Mapping[str, AboutList] = field(repr=False)
    held: frozenset[str] = frozenset()

    @classmethod
    def of(cls, policy: Policy, lists: Iterable[AboutList], alarms: Iterable[Alarm] = ()) -> Self:
        """From the lists of a case and the alarms that are on."""
        held = frozenset(alarm.list_name for alarm in alarms if alarm.sign.of_list)
        return cls(policy, {used.name: used for used in lists}, held)

    def answered(self, list_name: str) -> bool:
        """Whether somebody answers for the list; what matches another one is a private count."""
        return bool(self.owner(list_name))

    def category(self, list_name: str) -> Category:
        """Which harm a match of the list is about."""
        return Category(self.lists[list_name].category)

    def owner(self, list_name: str) -> str:
        """Who stands behind the list, see `voice_of`."""
        used = self.lists[list_name]
        return voice_of(used.owner, used.origin)
