"""A page as NCMEC's service gives it: where it says that the next one is, and the reasons for feedback."""

import json
from contextlib import suppress

from vetset.hashlist.owners.ncmec.environments import environment
from vetset.hashlist.owners.ncmec.feedback import reasons
from vetset.hashlist.owners.ncmec.service import NcmecSource
from vetset.hashlist.sync.transport import Answer
from vetset.model.errors import ListError, ServiceError

POSITION = json.dumps({
    "from": "2026-01-01T00:00:00.000Z", "to": "2026-01-02T00:00:00.000Z", "until": "2026-01-02T00:00:00.000Z",
    "clock": True, "before": "", "next": None,
})  # fmt: skip


class Stub:
    """Answers everything alike, and remembers what was asked for."""

    host = "127.0.0.1"

    def __init__(self, body):
        self._answer = Answer(body, None)
        self.asked = []

    def find(self, path):
        self.asked.append(path)
        return self._answer

    get = find


def target(data: bytes) -> None:
    """Documented errors only; the next page is asked for below the service's own path."""
    stub = Stub(data)
    with suppress(ListError):
        reasons(stub, "md5")
    source = NcmecSource(environment("test_NGO"), stub, bytes(32))
    try:
        page = source.page(POSITION)
        assert page is not None
        if page.next is not None:
            source.page(page.next)
            assert stub.asked[-1].startswith("/v2/entries?")
            assert source.after(POSITION, page.latest) == "2026-01-02T00:00:00.000Z"
    except (ListError, ServiceError):
        return
