"""StopNCII's service: everything that changed since a time, page by page.

    GET /FetchHashes?startTimestamp=SECONDS&pageSize=800[&nextPageToken=TOKEN]
    {"count": 2, "hashRecords": […], "hasMoreRecords": true, "nextPageToken": "…", "nextSetTimestamp": SECONDS}

As Meta's client `python-threatexchange` has it (`exchanges/clients/stopncii`); StopNCII publishes no documentation. A
token does not live for long. `nextSetTimestamp` of the last page is where the next range begins. What was taken back is
told for some weeks only: that client takes a copy for stale after 30 days without a sync, and so does this one.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from vetset.hashlist.files import documents
from vetset.hashlist.files.documents import Malformed
from vetset.hashlist.owners.stopncii import RECORDS, stopncii_rows
from vetset.hashlist.sync.position import Position, page_of
from vetset.hashlist.sync.ranges import SLACK, Page
from vetset.hashlist.sync.transport import Client
from vetset.model.errors import KeyFileError, ServiceError
from vetset.model.hashlist import Category

BASE = "https://api.stopncii.org/v1"
PAGE_SIZE = 800
COPY_LIVES = timedelta(days=30)
_BEGINNING = "0"


def stopncii_headers(keys: str) -> dict[str, str]:
    """The headers for `function_key,subscription_key`: the two that StopNCII gives a platform for `FetchHashes`.

    Raises:
        KeyFileError: these are not two.
    """
    function_key, _, subscription_key = keys.partition(",")
    if not function_key or not subscription_key or "," in subscription_key:
        raise KeyFileError("the credentials are not usable", expected="function_key,subscription_key")
    return {"x-functions-key": function_key, "Ocp-Apim-Subscription-Key": subscription_key}


class StopNCII:
    """The service as a source of a sync (`sync.Source`).

    Args:
        client: talks to `BASE` with `stopncii_headers`.
        secret: what entries are named under (`entry_name`).
    """

    name = "stopncii"
    category = Category.INTIMATE_IMAGES
    stale_after = timedelta(hours=1)

    def __init__(self, client: Client, secret: bytes) -> None:
        self._client = client
        self._secret = secret

    @property
    def host(self) -> str:
        """The host that answers."""
        return self._client.host

    def first(self, checkpoint: str, now: datetime) -> str:
        """Where the range begins that goes on from a checkpoint.

        Raises:
            ServiceError: the last sync is so long ago that not everything is told any more that was taken back.
        """
        since = _BEGINNING
        if checkpoint:
            last = Position.of(checkpoint)
            since = last.since
            # where the clock here ran ahead then, the service's own time says how long ago it was
            asked = last.begun if last.begun <= now + SLACK else datetime.fromtimestamp(int(since), UTC)
            if now - asked > COPY_LIVES:
                raise ServiceError(
                    "the last sync is too long ago: hashes that were taken back meanwhile may not be told any more",
                    expected=f"one within {COPY_LIVES.days} days",
                    where=self.host,
                    todo="Nothing was changed. Fetch the whole list: `vetset lists sync NAME --full`.",
                )
        return str(Position(since, int(now.timestamp())))

    def page(self, position: str) -> Page | None:
        """The page at a position; None where the service knows the position no more.

        Raises:
            ServiceError: the service does not answer as it should.
            ListError: entries are malformed.
        """
        here = Position.of(position)
        asked = {"startTimestamp": here.since, "pageSize": str(PAGE_SIZE)}
        if here.token:
            asked["nextPageToken"] = here.token
        answer = self._client.find(f"/FetchHashes?{urlencode(asked)}")
        if answer is None:
            return None
        where = f"a page of {self.host}"
        content = documents.page(answer.body, where)
        try:
            token, latest = _following(content)
        except Malformed as error:
            raise ServiceError("a page of the service is malformed", seen=str(error), where=self.host) from None
        unsupported: Counter[str] = Counter()
        entries = documents.entries_of([content], RECORDS, where)
        batches = list(stopncii_rows(entries, self._secret, unsupported, where, service=True))
        return page_of(here, token, latest, batches, unsupported)

    def after(self, first: str, latest: datetime | None) -> str:
        """The checkpoint that holds when every page of a range is there."""
        begun = Position.of(first)
        if latest is None:
            return str(begun)
        return str(Position(str(int(begun.resumable(latest).timestamp())), begun.asked))


def _following(content: dict[str, object]) -> tuple[str, datetime | None]:
    """The token of the next page, empty after the last one, which says where the next range begins.

    Raises:
        Malformed: the page does not hold what it says, or not what a page holds.
    """
    held = documents.objects(content, RECORDS)
    if RECORDS not in content or documents.whole(content, "count") != len(held):
        raise Malformed(f"{RECORDS} does not hold as many entries as count says")
    if documents.flag(content, "hasMoreRecords"):
        token = content.get("nextPageToken")
        if type(token) is not str or not token.isascii() or not 0 < len(token) <= 4000:
            raise Malformed("nextPageToken is not an ASCII text, though there are more pages")
        return token, None
    return "", documents.seconds(content, "nextSetTimestamp")
