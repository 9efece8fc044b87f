"""What was read of NCMEC's answers, in numbers. Nothing here is a value, an id or a category."""

from dataclasses import dataclass, field
from datetime import datetime

MAX_NAMES = 100
"""Names that are counted apart at most; the rest is `other`."""


_WORDS = {"empty": "without a value that is matched"}
"""What attributes are called where their own name would say little."""


def count(counter: dict[str, int], name: str) -> None:
    """Count one more of this name."""
    name = name if name in counter or len(counter) < MAX_NAMES else "other"
    counter[name] = counter.get(name, 0) + 1


@dataclass(slots=True)
class Told:
    """What was read.

    Attributes:
        standing: entries of pictures with a value that vetset matches.
        empty: entries of pictures without one.
        withdrawn: pictures that were taken back.
        videos: entries of videos, also of those taken back; not kept.
        malformed: fingerprints that are not what their type says.
        categorizations: categorizations that are no `Note`; not kept.
        unsupported: fingerprints of pictures that vetset does not match, by type; not kept.
        strange: elements that were passed over, by name.
        latest: the greatest `maxTimestamp`.
        next: where the next page is, if the document says that there is one.
    """

    standing: int = 0
    empty: int = 0
    withdrawn: int = 0
    videos: int = 0
    malformed: int = 0
    categorizations: int = 0
    unsupported: dict[str, int] = field(default_factory=dict)
    strange: dict[str, int] = field(default_factory=dict)
    latest: datetime | None = None
    next: str | None = field(default=None, repr=False)

    def numbers(self) -> dict[str, int]:
        """All of it but `latest` and `next`, by words that can be shown; zeros are left out."""
        plain = ("standing", "empty", "withdrawn", "videos", "malformed", "categorizations")
        found = {_WORDS.get(name, name): getattr(self, name) for name in plain}
        found |= {f"unsupported {name}": number for name, number in self.unsupported.items()}
        found |= {f"element {name}": number for name, number in self.strange.items()}
        return {name: number for name, number in found.items() if number}
