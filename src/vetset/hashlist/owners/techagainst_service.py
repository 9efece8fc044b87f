"""Tech Against Terrorism's service: entries in the order of their last change, page by page.

    POST /token-auth/tcap/   username, password, resend=false   →  {"token": "…", "user": {…}}
    GET  /api/hash-list/v2/all?order=asc[&after=SECONDS,ID]     →  {"count": 9, "next": "…", "previous": null,
                                                                    "checkpoint": "SECONDS,ID", "results": […]}

As the service's documentation has it (docs.terrorismanalytics.org, *Content Hash List*), and Meta's client
`python-threatexchange`. Tokens are short-lived, so that each page has one of its own, as that client does. `next` is
the address of the following page, by an offset. It is read as *there are more* and never asked for: an entry that
changes while pages are fetched moves to the end and all behind it one place to the front, so that one is missed at the
next offset. The page after an entry, which `checkpoint` names, misses none.
"""

import re
from collections import Counter
from datetime import datetime, timedelta
from urllib.parse import urlencode

from vetset.hashlist.files import documents
from vetset.hashlist.files.documents import Malformed
from vetset.hashlist.owners.techagainst import RESULTS, techagainst_rows
from vetset.hashlist.sync.position import Position, latest_of, page_of
from vetset.hashlist.sync.ranges import Page
from vetset.hashlist.sync.transport import Client
from vetset.model.errors import KeyFileError, ServiceError
from vetset.model.hashlist import Category

BASE = "https://app.terrorismanalytics.org"
_CHECKPOINT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?,[0-9]{1,19}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,8000}")


class TechAgainstTerrorism:
    """The service as a source of a sync (`sync.Source`).

    Args:
        client: talks to `BASE` without credentials.
        credentials: `user:password`.

    Raises:
        KeyFileError: the credentials are not of this form.
    """

    name = "techagainst"
    category = Category.TERRORISM
    stale_after = timedelta(hours=12)

    def __init__(self, client: Client, credentials: str) -> None:
        user, _, password = credentials.partition(":")
        if not user or not password:
            raise KeyFileError("the credentials are not usable", expected="user:password")
        self._client = client
        self._form = {"username": user, "password": password, "resend": "false"}

    @property
    def host(self) -> str:
        """The host that answers."""
        return self._client.host

    def first(self, checkpoint: str, now: datetime) -> str:
        """Where the range begins that goes on from a checkpoint."""
        since = Position.of(checkpoint).since if checkpoint else ""
        return str(Position(since, int(now.timestamp())))

    def page(self, position: str) -> Page | None:
        """The page at a position; None where the service knows the position no more.

        Raises:
            ServiceError: the service does not answer as it should.
            ListError: entries are malformed.
        """
        here = Position.of(position)
        after = here.token or here.since
        asked = {"order": "asc", **({"after": after} if after else {})}
        answer = self._client.find(f"/api/hash-list/v2/all?{urlencode(asked)}", self._authorization())
        if answer is None:
            return None
        where = f"a page of {self.host}"
        content = documents.page(answer.body, where)
        try:
            token = _following(content)
        except Malformed as error:
            raise ServiceError("a page of the service is malformed", seen=str(error), where=self.host) from None
        unsupported: Counter[str] = Counter()
        entries = documents.entries_of([content], RESULTS, where)
        batches = list(techagainst_rows(entries, unsupported, where, service=True))
        return page_of(here, token, latest_of(batches), batches, unsupported)

    def after(self, first: str, latest: datetime | None) -> str:
        """The checkpoint that holds when every page of a range is there."""
        begun = Position.of(first)
        if latest is None:
            return str(begun)
        return str(Position(f"{int(begun.resumable(latest).timestamp())},0", begun.asked))

    def _authorization(self) -> dict[str, str]:
        answer = self._client.post("/token-auth/tcap/", self._form)
        token = documents.page(answer.body, f"an answer of {self.host}").get("token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise ServiceError("the service gave no token", where=self.host)
        return {"Authorization": f"Bearer {token}"}


def _following(content: dict[str, object]) -> str:
    """What the next page comes after, empty where there is none.

    Raises:
        Malformed: the page is not what a page is.
    """
    if type(content.get(RESULTS)) is not list:
        raise Malformed(f"{RESULTS} is not a list")
    following = content.get("next")
    if following is None:
        return ""
    checkpoint = content.get("checkpoint")
    if type(following) is not str or type(checkpoint) is not str or not _CHECKPOINT.fullmatch(checkpoint):
        raise Malformed("checkpoint is not SECONDS,ID, though there are more pages")
    return checkpoint
