"""NCMEC's service as a source of a sync.

A range goes from the checkpoint, less `SLACK`, to now by the service's clock. The next checkpoint is where the range
ended, and never later than this machine's clock says: of two clocks the earlier one is believed, since beginning too
early costs some pages, and too late would cost entries. Where the service tells no time, the checkpoint is the latest
change that it told of, which cannot be ahead of its clock.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote

from vetset.hashlist.opinions import Note, utc
from vetset.hashlist.owners.ncmec.entries import EntriesReader
from vetset.hashlist.owners.ncmec.environments import Environment
from vetset.hashlist.sync.ranges import SLACK, Page
from vetset.hashlist.sync.transport import Client
from vetset.model.errors import ListError, ServiceError
from vetset.model.hashlist import Category

STALE_AFTER = timedelta(hours=12)
MALFORMED_OF_A_PAGE = 10
"""Fingerprints of a page (1000 entries) that may be malformed: they are counted, and do not stop the rest."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_NEXT = re.compile(r"/v2/entries\?[A-Za-z0-9%&=.:+_~-]{1,3000}")


class NcmecSource:
    """One environment of NCMEC's.

    Args:
        environment: which one.
        client: talks to its base.
        secret: what ids that cannot be shown are hidden under (`entry_id`).
    """

    stale_after = STALE_AFTER

    def __init__(self, environment: Environment, client: Client, secret: bytes) -> None:
        self._environment, self._client, self._secret = environment, client, secret
        self._notes = Note.GENERATED if environment.generated else Note.NONE

    @property
    def name(self) -> str:
        """The name of the environment."""
        return f"NCMEC {self._environment.name}"

    @property
    def host(self) -> str:
        """The host that answers."""
        return self._client.host

    @property
    def category(self) -> Category:
        """What the environment's entries are about."""
        return self._environment.category

    def first(self, checkpoint: str, now: datetime) -> str:
        """See `sync.Source`: the range from a checkpoint to now."""
        served = self._client.get("/v2/status").date
        until = now if served is None else min(now, served)
        before = _checkpoint(checkpoint)
        since = _BEGINNING if before is None else max(_BEGINNING, min(before, until) - SLACK)
        return json.dumps(
            {
                "from": _written(since),
                "to": _written(now if served is None else served),
                "until": _written(until),
                "clock": served is not None,
                "before": checkpoint,
                "next": None,
            }
        )

    def page(self, position: str) -> Page | None:
        """See `sync.Source`."""
        place = json.loads(position)
        path = place["next"] or f"/v2/entries?from={quote(place['from'], '')}&to={quote(place['to'], '')}"
        answer = self._client.find(path)
        if answer is None:
            return None
        reader = EntriesReader(self.name, self._secret, notes=self._notes, malformed=MALFORMED_OF_A_PAGE)
        batches = [batch for batch in (*reader.feed(answer.body), *reader.close()) if len(batch)]
        told = reader.told
        following = None if told.next is None else json.dumps({**place, "next": self._checked_next(told.next, place)})
        return Page(batches, following, told.latest, told.numbers())

    def after(self, first: str, latest: datetime | None) -> str:
        """See `sync.Source`."""
        place = json.loads(first)
        until = utc(place["until"])
        if place["clock"]:
            return _written(until)
        return str(place["before"]) if latest is None else _written(min(until, latest))

    def _checked_next(self, path: str, place: dict[str, str]) -> str:
        """The place of the next page, if it is one of the same range on the same service.

        Raises:
            ServiceError: it is not.
        """
        asked = parse_qs(path.partition("?")[2])
        same = all(_is_time(told, place[word]) for word in ("from", "to") for told in asked.get(word, ()))
        if not _NEXT.fullmatch(path) or not same:
            raise ServiceError(
                "the place of the next page is not usable",
                expected="a path of this service, within the range that was asked for",
                where=self.host,
                todo="Nothing was changed.",
            )
        return path


def _written(moment: datetime) -> str:
    """As NCMEC writes times: UTC, milliseconds, `Z`."""
    return f"{moment.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S')}.000Z"


def _checkpoint(text: str) -> datetime | None:
    try:
        return utc(text) if text else None
    except ValueError:
        raise ListError(
            "the checkpoint is not one of this source's",
            expected="a time",
            todo="Fetch the list anew, as a whole.",
        ) from None


def _is_time(told: str, wanted: str) -> bool:
    try:
        return utc(told) == utc(wanted)
    except ValueError:
        return False
