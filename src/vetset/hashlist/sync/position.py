"""Where a sync stands with a service that answers page by page: texts for positions and checkpoints, and times."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from vetset.hashlist.files.documents import MALFORMED
from vetset.hashlist.sync.ranges import SLACK, Page
from vetset.model.canonical import canonical_json
from vetset.model.errors import ListError
from vetset.seal.document import parse_object


@dataclass(frozen=True, slots=True)
class Position:
    """A page of a range, or, as a checkpoint, where the next range begins.

    Attributes:
        since: what the service is asked to go on from, in its own words.
        asked: when the range was begun, seconds since 1970 by the clock here.
        token: which page of the range, in the service's words; empty for the first.
    """

    since: str = field(repr=False)
    asked: int
    token: str = field(default="", repr=False)

    def __str__(self) -> str:
        content = {"since": self.since, "asked": self.asked, "token": self.token}
        return canonical_json(content).decode("utf-8")

    @classmethod
    def of(cls, text: str) -> "Position":
        """The position that was written by `str`.

        Raises:
            ListError: the text is none: the list was fetched from another service.
        """
        try:
            content = parse_object(text.encode("utf-8"))
            since, asked, token = content["since"], content["asked"], content["token"]
            if isinstance(since, str) and isinstance(asked, int) and isinstance(token, str):
                return cls(since, asked, token)
        except (ValueError, KeyError):
            pass
        raise ListError("the checkpoint is not one of this source's", todo="Fetch the list anew, as a whole.")

    @property
    def begun(self) -> datetime:
        """When the range was begun."""
        return datetime.fromtimestamp(self.asked, UTC)

    def at(self, token: str) -> "Position":
        """Another page of the same range."""
        return replace(self, token=token)

    def resumable(self, latest: datetime) -> datetime:
        """From when the next range must tell what changed.

        Not from a time that lies ahead of the clock here, whatever the service's clock says, and a little before:
        what is written while a range is fetched may bear an earlier time. What is told twice changes nothing.

        Args:
            latest: up to when the service says that the range tells what changed.
        """
        return max(min(latest, self.begun), datetime.fromtimestamp(0, UTC) + SLACK) - SLACK


def page_of(
    position: Position,
    token: str,
    latest: datetime | None,
    batches: Sequence[pa.RecordBatch],
    unsupported: Counter[str],
) -> Page:
    """A page of a service as a sync takes it.

    Args:
        position: where it is.
        token: of the page after it; empty where there is none.
        latest: up to when the range tells what changed, if this page says so.
        batches: its opinions.
        unsupported: what was passed over, by type, and malformed values.
    """
    rows = sum(len(batch) for batch in batches)
    standing = sum(batch.column("withdrawn").false_count for batch in batches)
    passed_over = {word if word == MALFORMED else f"unsupported {word}": count for word, count in unsupported.items()}
    told = {"standing": standing, "withdrawn": rows - standing, **passed_over}
    return Page(
        batches,
        str(position.at(token)) if token else None,
        latest,
        {word: count for word, count in told.items() if count},
    )


def latest_of(batches: Iterable[pa.RecordBatch]) -> datetime | None:
    """The latest time of rows."""
    found = (pc.max(batch.column("updated")).as_py() for batch in batches if len(batch))
    return max((moment for moment in found if moment is not None), default=None)
