"""StopNCII's and Tech Against Terrorism's protocols on loopback, over made-up hashes, with faults on demand.

Pages are taken of what stands when they are asked for, so that changes between two pages are seen or not as they would
be. Each service has a clock of its own, which tests set.
"""

import json
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qs, urlsplit

from list_servers import OwnerHandler, serving_by

BEGINNING = 1_700_000_000
FUNCTION_KEY, SUBSCRIPTION_KEY = "function-key-of-somebody", "subscription-key-of-somebody"
USER, PASSWORD = "somebody", "something: with a colon"


class Service:
    """A clock, faults that are taken from a queue, one a request, and what was asked.

    Faults: a number is that HTTP status; `half`, `garbage`, `compressed` and `redirect` are what they say; others are
    the protocols' own.
    """

    prefix = ""

    def __init__(self, seed=0, size=800):
        self.dice = random.Random(seed)
        self.size = size
        self.clock = float(BEGINNING)
        self.faults, self.asked = [], []
        self.entries = {}

    def tick(self, seconds=None):
        self.clock += self.dice.randrange(1, 120) if seconds is None else seconds

    def moment(self):
        return datetime.fromtimestamp(self.clock, UTC)

    def garbage(self):
        return self.dice.randbytes(2000)

    def pdq(self):
        bits = [1] * 128 + [0] * 128
        self.dice.shuffle(bits)
        return f"{int(''.join(map(str, bits)), 2):064x}"

    def fault(self, *names):
        """The next fault, if it is one of these."""
        return self.faults.pop(0) if self.faults and self.faults[0] in names else None


class StopNciiService(Service):
    """Own faults: `short` (fewer entries than counted), `circle` (a token that was given before), `no token`,
    `endless`, `odd` (an entry with a status that nobody knows).
    """

    prefix = "/v1"
    token_lives = 3600
    tombstone_lives = 45 * 86400

    def change(self):
        """One random thing that people and platforms do."""
        self.tick()
        if len(self.entries) < 5 or self.dice.random() < 0.4:
            signal = self.dice.choice(["ImagePDQ"] * 8 + ["VideoMD5", "Text"])
            entry = {"signalType": signal, "hashValue": self.pdq(), "hashStatus": "Received", "CSPFeedbacks": []}
            self.entries[len(self.entries)] = entry
            entry["caseNumbers"] = {f"case-{self.dice.getrandbits(64):016x}": "Received"}
        else:
            entry = self.entries[self.dice.choice(list(self.entries))]
            deed = self.dice.random()
            if deed < 0.3:
                entry["hashStatus"] = self.dice.choice(["Withdrawn", "Deleted"])
                if self.dice.random() < 0.5:
                    entry["hashStatus"] = "Active"
                    entry["caseNumbers"] = dict.fromkeys(entry["caseNumbers"], "Withdrawn")
            elif deed < 0.6:
                entry["hashStatus"] = "Active"
                entry["caseNumbers"] = dict.fromkeys(entry["caseNumbers"], "Active")
            else:
                said = self.dice.choice(["Blocked", "NotBlocked", "PendingReview", "Withdrawn"])
                source = self.dice.choice(["A", "B", "C"])
                others = [each for each in entry["CSPFeedbacks"] if each["source"] != source]
                entry["CSPFeedbacks"] = [*others, {"source": source, "feedbackValue": said, "tags": ["t"]}]
        entry["lastModtimestamp"] = int(self.clock)

    def standing(self):
        """Hash, platforms for, platforms against: of what stands."""
        return sorted(
            (each["hashValue"], *([one["feedbackValue"] for one in each["CSPFeedbacks"]].count(word)
                                  for word in ("Blocked", "NotBlocked")))
            for each in self.entries.values()
            if each["signalType"] == "ImagePDQ" and not self._gone(each)
        )  # fmt: skip

    @staticmethod
    def _gone(entry):
        gone = {"Withdrawn", "Deleted"}
        return entry["hashStatus"] in gone or set(entry["caseNumbers"].values()) <= gone

    def allowed(self, headers):
        return headers.get("x-functions-key") == FUNCTION_KEY and (
            headers.get("Ocp-Apim-Subscription-Key") == SUBSCRIPTION_KEY
        )

    def answer(self, method, path, body):
        parts = urlsplit(path)
        asked = {name: found[0] for name, found in parse_qs(parts.query, strict_parsing=True).items()}
        if method != "GET" or parts.path != "/v1/FetchHashes" or asked["pageSize"] != "800":
            return None
        return self._page(int(asked["startTimestamp"]), asked.get("nextPageToken"))

    def _page(self, start, token):
        at, given = (0, self.clock) if token is None else json.loads(urlsafe_b64decode(token))
        if self.clock - given > self.token_lives:
            return None
        dead = self.clock - self.tombstone_lives
        found = [
            (number, entry)
            for number, entry in self.entries.items()
            if number >= at
            and entry["lastModtimestamp"] >= start
            and not (self._gone(entry) and entry["lastModtimestamp"] < dead)
        ]
        page, more = [entry for _, entry in found[: self.size]], found[self.size :]
        fault = self.fault("short", "circle", "no token", "endless", "odd")
        following = json.dumps([more[0][0] if more else 0, self.clock])
        if fault == "circle":
            following = json.dumps([0, float(BEGINNING)])
            self.faults.insert(0, "circle")
        if fault == "endless":
            following = json.dumps([0, self.clock, len(self.asked)][:2])[:-1] + " " * len(self.asked) + "]"
            self.faults.insert(0, "endless")
        if fault == "odd":
            page = [{**page[0], "hashStatus": "Reconsidered"}, *page[1:]]
        content = {
            "count": len(page) + (fault == "short"),
            "hashRecords": page,
            "hasMoreRecords": bool(more) or fault in {"circle", "no token", "endless"},
            "nextSetTimestamp": int(self.clock),
            "nextPageToken": "" if fault == "no token" else urlsafe_b64encode(following.encode()).decode(),
        }
        return json.dumps(content)


class TechAgainstService(Service):
    """Own faults: `circle` (more pages, and no entry), `no checkpoint`, `no token`, `refused`."""

    token_lives = 60

    def __init__(self, seed=0, size=1000):
        super().__init__(seed, size)
        self._tokens = {}

    def change(self):
        """One random thing that analysts do."""
        self.tick(self.dice.random() * 60)
        if len(self.entries) < 5 or self.dice.random() < 0.5:
            number = len(self.entries) + 1
            algorithm, digits = self.dice.choice([("PDQ", 64), ("MD5", 32), ("SHA256", 64), ("SHA512", 128)])
            value = self.pdq() if algorithm == "PDQ" else self.dice.randbytes(digits // 2).hex()
            entry = {
                "id": number, "hash_digest": value, "algorithm": algorithm, "deleted": False,
                "file_type": self.dice.choice(["jpg", "png", "mp4"]), "ideology": "islamist",
                "created_on": "2025-03-03T23:05:22.587",
            }  # fmt: skip
            self.entries[number] = entry
        else:
            entry = self.entries[self.dice.choice(list(self.entries))]
            if self.dice.random() < 0.5:
                entry["deleted"] = not entry["deleted"]
            else:
                entry["ideology"] = self.dice.choice(["islamist", "far-right"])
        entry["updated_on"] = round(self.clock, 6)

    def standing(self):
        """Id, digest, ideology: of what stands."""
        return sorted(
            (str(each["id"]), each["hash_digest"], each["ideology"])
            for each in self.entries.values()
            if not each["deleted"]
            and (each["algorithm"] == "PDQ" or (each["algorithm"] != "SHA512" and each["file_type"] != "mp4"))
        )

    def allowed(self, headers):
        return True

    def answer(self, method, path, body, authorization=""):
        parts = urlsplit(path)
        if (method, parts.path) == ("POST", "/token-auth/tcap/"):
            form = {name: found[0] for name, found in parse_qs(body.decode(), strict_parsing=True).items()}
            if form != {"username": USER, "password": PASSWORD, "resend": "false"} or self.fault("refused"):
                return 401
            token = f"header.{self.dice.getrandbits(128):032x}.signature"
            self._tokens[token] = self.clock
            return json.dumps({"token": "" if self.fault("no token") else token, "user": {"name": USER}})
        if (method, parts.path) != ("GET", "/api/hash-list/v2/all"):
            return None
        token = authorization.removeprefix("Bearer ")
        if self.clock - self._tokens.get(token, 0) > self.token_lives:
            return 401
        return self._page({name: found[0] for name, found in parse_qs(parts.query, strict_parsing=True).items()})

    def _page(self, asked):
        moment, _, number = asked.get("after", "0,0").partition(",")
        behind = (float(moment), int(number))
        ordered = sorted(self.entries.values(), key=lambda each: (each["updated_on"], each["id"]))
        found = [each for each in ordered if (each["updated_on"], each["id"]) > behind]
        page, more = found[: self.size], found[self.size :]
        fault = self.fault("circle", "no checkpoint")
        last = page[-1] if page else None
        checkpoint = f"{last['updated_on']},{last['id']}" if last else asked.get("after", "")
        if fault == "circle":
            checkpoint, more = f"{BEGINNING},1", [1]
            self.faults.insert(0, "circle")
        content = {
            "count": len(found),
            "next": "https://elsewhere.invalid/?limit=1000&offset=1000" if more else None,
            "previous": None,
            "checkpoint": "soon" if fault == "no checkpoint" else checkpoint,
            "results": page,
        }
        return json.dumps(content)


class Handler(OwnerHandler):
    def do_GET(self):  # noqa: N802 — http.server calls it so
        self._answer("GET", b"")

    def do_POST(self):  # noqa: N802 — http.server calls it so
        self._answer("POST", self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, method, body):
        service = self.server.service
        service.asked.append((method, self.path))
        if not service.allowed(self.headers):
            return self.send(401, b"")
        fault = service.fault(None, "half", "garbage", "compressed", "redirect", *range(600))
        if isinstance(fault, int):
            return self.send(fault, b"no", {"Retry-After": "0"})
        if fault == "redirect":
            return self.send(302, b"", {"Location": "https://elsewhere.invalid/"})
        extra = (
            {"authorization": self.headers.get("Authorization", "")} if isinstance(service, TechAgainstService) else {}
        )
        found = service.answer(method, self.path, body, **extra)
        if not isinstance(found, str):
            return self.send(found or 404, b"no")
        return self.answer_with(fault, found.encode())


serving = partial(serving_by, Handler)
