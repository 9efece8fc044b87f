"""Requests to a service: what is tried again, what is final, what nobody hears of."""

import io
import logging
import ssl
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ncmec_server import REASONS, USER, Database, Service, serving
from vetset.hashlist.owners.ncmec.feedback import Vote, reasons, send_feedback
from vetset.hashlist.sync.transport import Client, Limits, basic, secret
from vetset.hashlist.vault.info import checked_info
from vetset.model.errors import KeyFileError, ListError, MissingExtraError, ServiceError, UsageError
from vetset.model.hashlist import Category, ListInfo

STATUS = "/v2/status"
RANGE = "/v2/entries?from=2024-01-01T00%3A00%3A00.000Z&to=2026-01-01T00%3A00%3A00.000Z"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service():
    found = Service(Database())
    for _ in range(3):
        found.database.add()
    return found


@contextmanager
def talking(service, certificate=None, user=USER, trust=None, **limits):
    waits = []
    settings = {"limits": Limits(**limits), "trust": trust, "sleep": waits.append}
    with serving(service, certificate) as base, Client(base, basic(user), **settings) as client:
        yield client, waits


def test_what_may_pass_is_tried_again(service):
    with talking(service) as (client, waits):
        service.faults = [500, 502, "half", 503]
        answer = client.get(RANGE)
        assert b"<images" in answer.body
        assert answer.date == service.database.clock
        assert len(waits) == 4
        assert all(0 < wait <= 60 for wait in waits)
        assert waits[-1] > waits[0]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_service_is_left_alone_as_long_as_it_asks(service, form):
    service.retry_after = (
        "17" if form == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=18), True)
    )
    with talking(service) as (client, waits):
        service.faults = [429]
        client.get(STATUS)
        assert len(waits) == 1
        assert 15 <= waits[0] <= 18


def test_a_service_that_asks_for_more_than_is_waited_is_not_asked_again(service):
    service.retry_after = "301"
    with talking(service) as (client, waits):
        service.faults = [429]
        with pytest.raises(ServiceError, match="301 seconds"):
            client.get(STATUS)
        assert waits == []


@pytest.mark.parametrize(
    "retry_after", ["", "soon", "-5", "9" * 30, "1e9", "Wed, 99 Foo", "Fri, 31 Dec 9999 23:59:59 -1400"]
)
def test_waits_that_are_nonsense_are_no_waits(service, retry_after):
    service.retry_after = retry_after
    with talking(service) as (client, waits):
        service.faults = [503]
        client.get(STATUS)
        assert len(waits) == 1
        assert waits[0] <= 60


def test_tries_end(service):
    with talking(service, attempts=3) as (client, waits):
        service.faults = [500] * 9
        with pytest.raises(ServiceError, match="HTTP 500"):
            client.get(STATUS)
        assert len(waits) == 2
        service.faults.clear()
    with talking(service, whole=0.0) as (client, waits):
        service.faults = [500] * 9
        with pytest.raises(ServiceError, match="HTTP 500"):
            client.get(STATUS)
        assert waits == []


def test_an_answer_that_drips_ends(service):
    with talking(service, whole=0.3) as (client, _):
        service.faults = ["slow"]
        with pytest.raises(ServiceError, match="too long"):
            client.get(STATUS)


def test_nobody_there_is_an_error_after_some_tries(service):
    with talking(service, attempts=2, connect=1.0) as (client, waits):
        pass
    fresh = Client(client._base, {}, limits=Limits(attempts=2), sleep=waits.append)
    with pytest.raises(ServiceError, match="ConnectError"):
        fresh.get(STATUS)
    assert len(waits) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 405, 418, 501])
def test_what_is_refused_is_final(service, status):
    with talking(service) as (client, waits):
        service.faults = [status]
        with pytest.raises(ServiceError, match=r"redirects|refuses") as caught:
            client.get(STATUS)
        assert f"HTTP {status}" in str(caught.value)
        assert waits == []
        assert len(service.asked) == 1


def test_a_redirect_is_not_followed(service):
    other = Service(Database())
    with serving(other) as elsewhere, talking(service) as (client, _):
        service.redirect = f"{elsewhere}{STATUS}"
        service.faults = ["redirect"]
        with pytest.raises(ServiceError, match="not followed") as caught:
            client.get(STATUS)
        assert other.asked == []
        assert elsewhere not in str(caught.value)


def test_what_is_not_there_is_none_or_an_error(service):
    with talking(service) as (client, _):
        assert client.find("/v2/other") is None
        with pytest.raises(ServiceError, match="no such place"):
            client.get("/v2/other")


@pytest.mark.parametrize("fault", ["huge", "compressed"])
def test_an_answer_beyond_the_caps_is_refused(service, fault):
    with talking(service, answer=1 << 20) as (client, waits):
        service.faults = [fault]
        with pytest.raises(ServiceError, match=r"too large|compressed"):
            client.get(STATUS)
        assert waits == []


ODD = [
    "",
    "v2",
    "//elsewhere/v2",
    "/v2/../x",
    "/v2/.",
    "/v2 x",
    "/v2\n",
    "/v2#x",
    "/é",
    "https://elsewhere/",
    "/" * 9000,
]


@pytest.mark.parametrize("path", ODD)
def test_paths_that_lead_elsewhere_are_not_asked_for(service, path):
    with talking(service) as (client, _):
        with pytest.raises(ServiceError, match="path"):
            client.get(path)
        assert service.asked == []


@pytest.mark.parametrize(
    "base",
    [
        "http://host.example/x", "ftp://127.0.0.1", "https://", "https://u:p@host/", "https://host/?a=b", "host",
        "https://[::1", "https://host:abc/x", "https://host:99999/", "https://a..b/x", "https://bücher.example/",
        "https://a b/",
    ],
)  # fmt: skip
def test_other_addresses_are_refused(base):
    with pytest.raises(UsageError):
        Client(base, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "my_proxy", "api.example", "xn--bcher-kva.example"])
def test_every_host_that_is_asked_can_be_told_as_the_origin_of_a_list(host):
    with Client(f"https://{host}/v2", {}) as client:
        checked_info(ListInfo("a", "b", Category.OTHER, "c", origin=f"service:{client.host}"))


@pytest.fixture
def certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "server.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_that_is_not_trusted_is_final(service, certificate):
    with talking(service, certificate) as (client, waits):
        with pytest.raises(ServiceError, match="certificate"):
            client.get(STATUS)
        assert waits == []
        assert service.asked == []


def test_a_certificate_that_is_trusted_is_enough(service, certificate):
    with talking(service, certificate, trust=ssl.create_default_context(cafile=certificate)) as (client, _):
        assert b"<images" in client.get(RANGE).body


def test_credentials_are_in_no_error_log_or_repr(service, caplog, capfd):
    for name in ("httpx2", "httpcore2", "httpcore2.http11", "httpcore2.connection", "tenacity", "root"):
        caplog.set_level(logging.DEBUG, name)
    texts = io.StringIO()
    with talking(service, user="somebody:wrong-sekrit") as (client, _):
        for path in (STATUS, RANGE, "/v2/other"):
            service.faults = [503, "half"]
            try:
                client.get(path)
            except ServiceError as error:
                texts.write(f"{error} {error!r} {error.__cause__} {error.__context__}")
        texts.write(f"{client!r} {client.get!r} {Limits()!r}")
    with talking(service) as (client, _):
        texts.write(repr(client.get(RANGE)))
    heard = texts.getvalue() + caplog.text + "".join(capfd.readouterr())
    assert "refuses the credentials" in heard
    for word in ("sekrit", "c29tZWJvZHk", "something", "from=", "<images", "Member"):
        assert word not in heard
    assert logging.getLogger("httpcore2.http11").level == logging.DEBUG  # as it was before


def test_secrets_come_from_the_environment_or_a_closed_file(tmp_path, monkeypatch):
    file = tmp_path / "ncmec.credentials"
    with pytest.raises(KeyFileError, match="no credentials"):
        secret("VETSET_TEST_SECRET", file)
    file.write_text("somebody:sekrit\n")
    file.chmod(0o644)
    with pytest.raises(KeyFileError, match="open to other users"):
        secret("VETSET_TEST_SECRET", file)
    file.chmod(0o600)
    assert secret("VETSET_TEST_SECRET", file) == "somebody:sekrit"
    monkeypatch.setenv("VETSET_TEST_SECRET", "other:thing")
    assert secret("VETSET_TEST_SECRET", file) == "other:thing"
    for odd in ("", "two\nsekrits", "sekrit\tx", "ä:sekrit", "sekrit" * 1000):
        monkeypatch.setenv("VETSET_TEST_SECRET", odd)
        with pytest.raises(KeyFileError) as caught:
            secret("VETSET_TEST_SECRET", file)
        assert "sekrit" not in str(caught.value)
    for odd in ("sekrit", ":sekrit", "sekrit:"):
        with pytest.raises(KeyFileError) as caught:
            basic(odd)
        assert "sekrit" not in str(caught.value)


@pytest.mark.parametrize("package", ["httpx2", "tenacity"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"vetset\[sync\]"):
        Client("https://host.example", {})


GUID = next(iter(REASONS))
VOTES = [Vote("42-image 1/é", "md5"), Vote("42-image2", "pdq", (GUID.upper(),)), Vote("7-b-c", "md5")]


def test_feedback_is_shown_in_numbers_and_sent_only_when_told_to(service):
    with talking(service) as (client, _):
        assert reasons(client, "pdq") == REASONS
        votes = [Vote("42-image 1", "md5"), *VOTES[1:]]
        wanted = {"affirmative md5": 2, "negative pdq": 1}
        assert send_feedback(client, votes) == wanted
        assert {method for method, _ in service.asked} == {"GET"}
        assert service.feedback == {}
        assert send_feedback(client, votes, send=True) == wanted
    assert set(service.feedback) == {("42", "image 1", "MD5"), ("42", "image2", "PDQ"), ("7", "b-c", "MD5")}
    assert "<affirmative/>" in service.feedback["42", "image 1", "MD5"]
    assert GUID.upper() in service.feedback["42", "image2", "PDQ"]
    assert "image2" not in repr(votes)


def test_feedback_that_ncmec_does_not_take_is_not_sent_at_all(service):
    odd = [Vote("42-~abc", "md5"), Vote("image1", "md5"), Vote("42-a", "url_md5"), Vote("42-a", "MD5")]
    unknown = Vote("42-a", "pdq", ("01234569-abcd-0123-4567-012345678900",))
    with talking(service) as (client, _):
        for votes in (*([vote] for vote in odd), [unknown], [VOTES[2], VOTES[2]], [VOTES[2]] * 10_001):
            with pytest.raises(UsageError) as caught:
                send_feedback(client, [Vote("42-b", "md5"), *votes], send=True)
            assert "42" not in str(caught.value)
        with pytest.raises(UsageError):
            reasons(client, "x/../y")
    assert service.feedback == {}


def test_feedback_that_is_cut_off_says_how_far_it_came(service):
    with talking(service) as (client, waits):
        service.faults = [503, 418]
        with pytest.raises(ServiceError, match="0 of 2 were taken"):
            send_feedback(client, [Vote("1-a", "md5"), Vote("1-b", "md5")], send=True)
        assert len(waits) == 1
        assert send_feedback(client, [Vote("1-a", "md5"), Vote("1-b", "md5")], send=True) == {"affirmative md5": 2}


def test_reasons_that_are_malformed_are_refused(service):
    with talking(service) as (client, _):
        service.faults = ["garbage"]
        with pytest.raises(ListError):
            reasons(client, "md5")
