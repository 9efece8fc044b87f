"""NCMEC's documented protocol on loopback, over a made-up database of members' entries, with faults on demand.

Pages are by internal numbers, as the parameters `start`, `size` and `max` of the real service suggest, and so in no
order of time. The service has a clock of its own, which tests set.
"""

import random
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape, quoteattr

from list_servers import OwnerHandler, serving_by

NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
USER = "somebody:something"
REASONS = {f"0123456{number}-abcd-0123-4567-012345678900": f"Reason {number}" for number in range(3)}
TYPES = {"md5": 16, "sha1": 20, "pdq": 32}


def written(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Item:
    """One entry as it stands now; the service never shows an earlier state."""

    number: int
    member: int
    own: str
    video: bool
    when: datetime
    values: dict[str, list[str]] = field(default_factory=dict)
    deleted: bool = False
    word: str = "A1"
    voted: datetime | None = None
    votes: dict[tuple[str, int], bool] = field(default_factory=dict)

    @property
    def changed(self):
        return max(self.when, self.voted or self.when)

    def element(self):
        kind = "video" if self.video else "image"
        head = (
            f'<member id="{self.member}">Member {self.member}</member><timestamp>{written(self.when)}</timestamp>'
            f"<id>{escape(self.own)}</id>"
        )
        if self.deleted:
            name = f"deleted{kind.title()}"
            return f"<{name}>{head}</{name}>"
        values = "".join(f"<{name}>{value}</{name}>" for name, found in self.values.items() for value in found)
        values += '<tmk-pdqf rel="self" href="/v2/secret/href"/>' if self.video else ""
        return (
            f"<{kind}>{head}<classification>{self.word}</classification><fingerprints>{values}</fingerprints>"
            f"{self._feedback()}</{kind}>"
        )

    def _feedback(self):
        if self.voted is None:
            return ""
        sides = ""
        for (name, member), up in self.votes.items():
            members = f'<members><member id="{member}">Member {member}</member></members>'
            side = "affirmativeFeedback" if up else "negativeFeedback"
            inside = members if up else f'<reasons><reason guid="g" name="r" type="{name}"/>{members}</reasons>'
            sides += f'<{side} type="{name.title()}">{inside}</{side}>'
        return f'<feedback lastUpdateTimestamp="{written(self.voted)}">{sides}</feedback>'


class Database:
    """Members' entries, changed one at a time by a generator with a seed; the clock moves on with every change."""

    def __init__(self, seed=0, start=datetime(2025, 1, 1, tzinfo=UTC), members=5):
        self.dice = random.Random(seed)
        self.clock = start
        self.members = members
        self.items = {}

    def tick(self, seconds=None):
        self.clock += timedelta(seconds=seconds if seconds is not None else self.dice.randrange(1, 120))

    def _values(self):
        names = self.dice.sample(sorted(TYPES), self.dice.randrange(1, 4))
        return {name: [self._value(name) for _ in range(1 + (self.dice.random() < 0.1))] for name in names}

    def _value(self, name):
        if self.dice.random() < 0.05:  # the same picture from several members
            return f"{self.dice.randrange(20):02x}" * TYPES[name]
        if name == "pdq":
            bits = [1] * 128 + [0] * 128
            self.dice.shuffle(bits)
            return f"{int(''.join(map(str, bits)), 2):064x}"
        return self.dice.randbytes(TYPES[name]).hex()

    def add(self):
        self.tick()
        number, member = len(self.items) + 1, self.dice.randrange(self.members)
        own = self.dice.choice([f"image{number}", f"{number:032x}", f"pröva {number}"])
        item = Item(number, member, own, self.dice.random() < 0.1, self.clock, self._values())
        self.items[number] = item
        return item

    def change(self):
        """One random thing that members do."""
        if len(self.items) < 5 or self.dice.random() < 0.4:
            return self.add()
        self.tick()
        item = self.items[self.dice.choice(list(self.items))]
        deed = self.dice.random()
        if item.deleted or deed < 0.4:
            item.when, item.deleted, item.values = self.clock, False, self._values()
            item.word = self.dice.choice(["A1", "A2", "B1", "B2"])
        elif deed < 0.6:
            item.when, item.deleted, item.voted, item.votes = self.clock, True, None, {}
        else:
            name = self.dice.choice(list(item.values))
            item.votes[name, self.dice.randrange(self.members)] = self.dice.random() < 0.5
            item.voted = self.clock
        return item


class Service:
    """What the handler asks: answers, and faults that are taken from a queue, one a request.

    Faults: a number is that HTTP status; `half`, `garbage`, `huge`, `slow`, `redirect`, `compressed`, `elsewhere` (a
    `next` on another host), `circle` (a `next` seen before) and `endless`.
    """

    def __init__(self, database, size=1000):
        self.database, self.size = database, size
        self.faults, self.asked, self.feedback = [], [], {}
        self.retry_after = "0"
        self.tells_time = True
        self.shuffled = False
        self.alive = timedelta(hours=12)
        self.redirect = "https://elsewhere.invalid/v2/entries"
        self.base = ""

    prefix = "/npo"

    def moment(self):
        return self.database.clock if self.tells_time else None

    def garbage(self):
        return self.database.dice.randbytes(2000)

    def answer(self, path):
        parts = urlsplit(path)
        if parts.path == "/npo/v2/status":
            return f'{HEAD}<status xmlns="{NAMESPACE}"><member id="1">Somebody</member></status>'
        if parts.path.endswith("/reasons"):
            reasons = "".join(f'<reason guid="{guid}" name="{name}" type="x"/>' for guid, name in REASONS.items())
            inside = f"<availableFeedbackReasons>{reasons}</availableFeedbackReasons>"
            return f'{HEAD}<reasonsResult xmlns="{NAMESPACE}">{inside}</reasonsResult>'
        if parts.path == "/npo/v2/entries":
            return self._entries(parse_qs(parts.query))
        return None

    def _entries(self, asked):
        start, until = (datetime.fromisoformat(asked[word][0]) for word in ("from", "to"))
        found = [item for item in self.database.items.values() if start <= item.changed <= until]
        at = int(asked.get("start", ["1"])[0])
        given = datetime.fromisoformat(asked["at"][0]) if "at" in asked else self.database.clock
        if self.database.clock - given > self.alive:
            return None
        rest = sorted((item for item in found if item.number >= at), key=lambda item: item.number)
        page, more = rest[: self.size], rest[self.size :]
        if self.shuffled:
            self.database.dice.shuffle(page)
        following = f"&start={more[0].number}&size={self.size}" if more else ""
        return self._document(page, asked, following)

    def _document(self, page, asked, following):
        fault = self.faults.pop(0) if self.faults and self.faults[0] in {"circle", "endless", "elsewhere"} else None
        if fault == "circle":
            following = "&start=1&size=1"
            self.faults.append("circle")
        if fault == "endless":
            self.serial = getattr(self, "serial", 0) + 1
            following = f"&start=1&size=1&serial={self.serial}"
            self.faults.append("endless")
        sections = ""
        for name, video in (("images", False), ("videos", True)):
            mine = [item for item in page if item.video == video]
            if mine:
                latest = written(max(item.changed for item in mine))
                elements = "".join(item.element() for item in mine)
                sections += f'<{name} count="{len(mine)}" maxTimestamp="{latest}">{elements}</{name}>'
        paging = ""
        if following:
            times = "".join(f"&{word}={quote(asked[word][0], '')}" for word in ("from", "to"))
            at = f"&at={quote(written(self.database.clock), '')}"
            host = "//elsewhere.invalid" if fault == "elsewhere" else ""
            path = f"{host}/v2/entries?{times[1:]}{following}{at}"
            paging = f"<paging><next>{escape(path)}</next></paging>"
        return f"{HEAD}<queryResult xmlns={quoteattr(NAMESPACE)}>{sections}{paging}</queryResult>"

    def put(self, path, body):
        parts = urlsplit(path).path.split("/")
        if len(parts) != 8 or parts[7] != "feedback" or b"feedbackSubmission" not in body:
            return None
        self.feedback[parts[4], unquote(parts[5]), parts[6]] = body.decode()
        return f'{HEAD}<submissionResult xmlns="{NAMESPACE}"/>'


class Handler(OwnerHandler):
    def do_GET(self):  # noqa: N802 — http.server calls it so
        service = self.server.service
        service.asked.append(("GET", self.path))
        if self.headers.get("Authorization") != f"Basic {b64encode(USER.encode()).decode()}":
            return self.send(401, b"")
        fault = None
        if service.faults and service.faults[0] not in {"circle", "endless", "elsewhere"}:
            fault = service.faults.pop(0)
        if isinstance(fault, int):
            return self.send(fault, b"no", {"Retry-After": service.retry_after})
        if fault == "redirect":
            return self.send(302, b"", {"Location": service.redirect})
        body = service.answer(self.path)
        if body is None:
            return self.send(404, b"no")
        return self.answer_with(fault, body.encode())

    def do_PUT(self):  # noqa: N802 — http.server calls it so
        service = self.server.service
        body = self.rfile.read(int(self.headers["Content-Length"]))
        service.asked.append(("PUT", self.path))
        if service.faults:
            return self.send(service.faults.pop(0), b"", {"Retry-After": service.retry_after})
        answer = service.put(self.path, body)
        return self.send(404, b"") if answer is None else self.send(200, answer.encode())


serving = partial(serving_by, Handler)
