"""Requests to a list owner's service: one host, no redirects, caps on everything, and nothing said of what is sent.

What may pass (connection failures, 429, 5xx) is tried again, with the wait that the service asks for; a certificate
that is not trusted is final. Credentials live in one header of requests to the one host, and in no `repr`, error or
log: while a request is on its way, the HTTP libraries may log nothing below a warning.
"""

import logging
import os
import re
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from vetset.model.errors import KeyFileError, MissingExtraError, ServiceError, UsageError
from vetset.model.hashlist import HOST
from vetset.seal.keys import read_key_file
from vetset.storage.looking import state_at

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_ABSENT = frozenset({400, 404, 410})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PATH = re.compile(r"/[A-Za-z0-9/._~%!$&'()*+,;=:@-]*(?:\?[A-Za-z0-9/._~%!$&'()*+,;=:@?-]*)?")
_LOGGERS = (
    "httpx2",
    "httpcore2",
    *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)
_MAX_PATH = 8000
_HOST = re.compile(HOST)
_WORD = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,998}")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much.

    Attributes:
        answer: bytes of one answer.
        connect: seconds until there is a connection.
        silence: seconds without a byte.
        whole: seconds for one request with all its tries and waits.
        attempts: how often it is tried.
        wait: seconds that are waited at most before a try; a service that asks for more is not asked again.
    """

    answer: int = 64 << 20
    connect: float = 20.0
    silence: float = 60.0
    whole: float = 1800.0
    attempts: int = 6
    wait: float = 300.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Attributes:
        body: its bytes.
        date: when, by the service's clock; None where it does not tell.
    """

    body: bytes = field(repr=False)
    date: datetime | None


class _TransientError(Exception):
    """It may work the next time; `wait` is how many seconds the service asks to wait."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


def secret(variable: str, file: Path) -> str:
    """A secret out of the environment, or of the one line of a file that only its owner may read.

    Raises:
        KeyFileError: there is neither, the file is open to others, or what is there is not one printable line.
    """
    text = os.environ.get(variable)
    if text is None:
        if state_at(file, KeyFileError) is None:
            raise KeyFileError(
                "there are no credentials", expected=f"${variable}, or the file {file.name} (mode 0600)",
                where=str(file.parent), todo="Put what the list's owner gave you there.",
            )  # fmt: skip
        text = read_key_file(file, private=True).decode("utf-8", "replace")
    text = text.strip()
    if not _WORD.fullmatch(text):
        raise KeyFileError("the credentials are not usable", expected="one line of printable ASCII", where=variable)
    return text


def basic(user_and_password: str) -> dict[str, str]:
    """The header for `user:password`.

    Raises:
        KeyFileError: there is no colon, or nothing on a side of it.
    """
    user, _, password = user_and_password.partition(":")
    if not user or not password:
        raise KeyFileError("the credentials are not usable", expected="user:password")
    return {"Authorization": f"Basic {b64encode(user_and_password.encode('ascii')).decode('ascii')}"}


def _host(base: str) -> str:
    """The host of a service's address.

    Raises:
        UsageError: it is no such address.
    """
    try:
        parts = urlsplit(base)
        host = parts.hostname or ""
        safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
        sound = _HOST.fullmatch(host) and ".." not in host and parts.port != 0
        if safe and sound and not parts.query and "@" not in parts.netloc:
            return host
    except ValueError:  # a port that is none, a bracket that does not close
        pass
    raise UsageError("this is no address of a list owner's service", expected="https://HOST/PATH, HOST in ASCII")


class Client:
    """Talks to one service.

    Args:
        base: `https://host/path` that every request goes below. Plain HTTP is for servers on this machine alone.
        headers: sent with every request; they may hold credentials.
        limits: see `Limits`.
        trust: certificates that are trusted, instead of the system's.
        sleep: waits so many seconds.

    Raises:
        MissingExtraError: the packages for it are not installed.
        UsageError: the base is no such address.
    """

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str],
        *,
        limits: Limits | None = None,
        trust: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host = _host(base)
        self._base = base.rstrip("/")
        self._limits = limits or Limits()
        self._sleep = sleep
        self._library = _library()
        timeout = self._library.Timeout(self._limits.silence, connect=self._limits.connect)
        fixed = {"User-Agent": "vetset", "Accept-Encoding": "identity"}
        # Redirects would carry the credentials elsewhere; cookies would tell one request of another.
        self._http = self._library.Client(
            headers={**fixed, **headers},
            timeout=timeout,
            follow_redirects=False,
            verify=True if trust is None else trust,
        )

    def __repr__(self) -> str:
        return f"Client({self.host!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def find(self, path: str, headers: Mapping[str, str] | None = None) -> Answer | None:
        """What lies at a path below the base, `?` and parameters included; None where the service knows no such place.

        Args:
            path: where.
            headers: sent with this request alone; they may hold credentials.

        Raises:
            ServiceError: the service cannot be reached, refuses, or its answer goes beyond the limits.
        """
        return self._tried("GET", path, None, headers or {})

    def get(self, path: str) -> Answer:
        """As `find`, of what must be there.

        Raises:
            ServiceError: as `find`, or there is no such place.
        """
        return self._there(self.find(path))

    def put(self, path: str, body: bytes) -> Answer:
        """Put an XML document at a path below the base; putting it again must change nothing.

        Raises:
            ServiceError: as `get`.
        """
        return self._there(self._tried("PUT", path, body, {"Content-Type": "application/xml; charset=utf-8"}))

    def post(self, path: str, form: Mapping[str, str]) -> Answer:
        """Send a form to a path below the base, as for a token; sending it again must change nothing.

        Raises:
            ServiceError: as `get`.
        """
        body = urlencode(form).encode("ascii")
        return self._there(self._tried("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"}))

    def _there(self, answer: Answer | None) -> Answer:
        if answer is None:
            raise ServiceError("the service knows no such place, or refuses what is asked for", where=self.host)
        return answer

    def _tried(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer | None:
        climbs = {".", ".."} & set(path.partition("?")[0].split("/")) or path.startswith("//")
        if not _PATH.fullmatch(path) or len(path) > _MAX_PATH or climbs:
            raise ServiceError("a path of a request is not usable", expected="one below the service", where=self.host)
        tenacity = import_module("tenacity")
        deadline = time.monotonic() + self._limits.whole
        usual = tenacity.wait_exponential_jitter(initial=1.0, max=60.0, jitter=1.0)
        attempts = tenacity.stop_after_attempt(self._limits.attempts)

        def wait(state: Any) -> float:
            return float(min(max(usual(state), state.outcome.exception().wait), self._limits.wait))

        retrying = tenacity.Retrying(
            stop=lambda state: attempts(state) or time.monotonic() >= deadline,
            wait=wait,
            sleep=self._sleep,
            retry=tenacity.retry_if_exception_type(_TransientError),
            reraise=True,
        )
        try:
            answer: Answer | None = retrying(self._once, method, path, body, headers, deadline)
        except _TransientError as error:
            raise ServiceError(str(error), where=self.host, todo="What was fetched is kept. Try again later.") from None
        return answer

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], deadline: float
    ) -> Answer | None:
        with _quiet(), self._passing():
            self._http.cookies.clear()
            with self._http.stream(method, self._base + path, headers=dict(headers), content=body) as answer:
                if answer.status_code in _ABSENT:
                    return None
                self._check(answer.status_code, _seconds(answer.headers.get("Retry-After")))
                return Answer(self._body(answer, deadline), _date(answer.headers.get("Date")))

    def _check(self, status: int, asked: float) -> None:
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise ServiceError("the service redirects, which is not followed", seen=f"HTTP {status}", where=self.host)
        if status in {401, 403}:
            todo = "Are these the credentials of this environment?"
            raise ServiceError("the service refuses the credentials", seen=f"HTTP {status}", where=self.host, todo=todo)
        if status not in _PASSING:
            raise ServiceError("the service refuses", seen=f"HTTP {status}", where=self.host)
        if asked > self._limits.wait:
            raise ServiceError(
                "the service asks to be left alone for longer than is waited",
                expected=f"at most {self._limits.wait:.0f} seconds",
                seen=f"{asked:.0f} seconds",
                where=self.host,
                todo="What was fetched is kept. Try again after that time.",
            )
        raise _TransientError(f"the service failed, HTTP {status}", asked)

    def _body(self, answer: Any, deadline: float) -> bytes:
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ServiceError("the service answers compressed though it was asked not to", where=self.host)
        held = bytearray()
        for piece in answer.iter_raw():
            held += piece
            if len(held) > self._limits.answer:
                raise ServiceError(
                    "the service's answer is too large",
                    expected=f"at most {self._limits.answer} bytes",
                    where=self.host,
                )
            if time.monotonic() > deadline:
                raise ServiceError("the service's answer takes too long", where=self.host, todo="Try again later.")
        return bytes(held)

    @contextmanager
    def _passing(self) -> Iterator[None]:
        """Turn what a connection can suffer into errors of ours; those of the library may repeat the address."""
        try:
            yield
        except self._library.HTTPError as error:
            if _is_of(error, ssl.SSLError):
                raise ServiceError(
                    "the service's certificate is not trusted",
                    where=self.host,
                    todo="Nothing was sent. Do not go on before it is known why.",
                ) from None
            raise _TransientError(f"the connection to the service failed: {type(error).__name__}") from None


def _library() -> Any:
    """The HTTP library, where it and what tries again are installed.

    Raises:
        MissingExtraError: one of them is missing.
    """
    try:
        import_module("tenacity")
        return import_module("httpx2")
    except ImportError:
        raise MissingExtraError(
            "fetching lists needs a package that is not installed",
            expected="httpx2 and tenacity",
            todo="Run pip install 'vetset[sync]'.",
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """The HTTP libraries log addresses and headers at lower levels; addresses say what is asked for."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _is_of(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _date(text: str | None) -> datetime | None:
    """A date of a header; None for none, and for none that can be read."""
    try:
        moment = parsedate_to_datetime(text) if text else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):  # a day of another zone may be none in UTC
        return None


def _seconds(text: str | None) -> float:
    """The seconds of a Retry-After header, which may be a date; 0 for none, and for none that can be read."""
    if text is not None and re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text)
    until = _date(text)
    return 0.0 if until is None else max(0.0, (until - datetime.now(UTC)).total_seconds())
