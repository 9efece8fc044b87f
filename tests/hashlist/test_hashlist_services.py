"""Syncs with StopNCII's and Tech Against Terrorism's protocols: many deltas end where one whole download does."""

import json
import logging
import random
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc
import pytest
from json_entries import SECRET, digits, stopncii

from json_servers import (
    BEGINNING,
    FUNCTION_KEY,
    PASSWORD,
    SUBSCRIPTION_KEY,
    USER,
    StopNciiService,
    TechAgainstService,
    serving,
)
from vetset.hashlist.bank import Bank
from vetset.hashlist.owners.stopncii_service import StopNCII, stopncii_headers
from vetset.hashlist.owners.techagainst_service import TechAgainstTerrorism
from vetset.hashlist.sync.position import Position
from vetset.hashlist.sync.ranges import SLACK, synced
from vetset.hashlist.sync.spool import Spool
from vetset.hashlist.sync.transport import Client, Limits
from vetset.model.errors import KeyFileError, ListError, ServiceError
from vetset.model.hashlist import Category

PASSING = [429, 500, 502, 503, 504, "half"]


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def plain(data):
    return data


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "sync", plain, plain)


def source_of(service, base):
    limits = Limits(answer=4 << 20)
    if isinstance(service, StopNciiService):
        headers = stopncii_headers(f"{FUNCTION_KEY},{SUBSCRIPTION_KEY}")
        return StopNCII(Client(base, headers, limits=limits, sleep=lambda _: None), SECRET)
    return TechAgainstTerrorism(Client(base, {}, limits=limits, sleep=lambda _: None), f"{USER}:{PASSWORD}")


@pytest.fixture(params=[StopNciiService, TechAgainstService], ids=["StopNCII", "TechAgainst"])
def service(request):
    return request.param(size=7)


@pytest.fixture
def source(service):
    with serving(service) as base:
        source = source_of(service, base)
        yield source
        source._client.close()


def now_of(service):
    return lambda: datetime.fromtimestamp(service.clock, UTC)


def said(service, bank):
    """What stands, as the service's own database tells it."""
    rows = bank.rows.filter(pc.invert(bank.rows["withdrawn"])).to_pylist()
    if isinstance(service, StopNciiService):
        return sorted((row["value"].hex(), row["agree"], row["dispute"]) for row in rows)
    return sorted((row["entry"], row["value"].hex(), row["category"]) for row in rows)


def standing_rows(bank):
    rows = bank.rows.filter(pc.invert(bank.rows["withdrawn"])).to_pylist()
    return sorted(({**row, "updated": None} for row in rows), key=repr)


def test_a_first_sync_and_a_delta(service, source, spool):
    for _ in range(80):
        service.tick(600)
        service.change()
    first = synced(source, Bank.empty(), spool, now_of(service))
    spool.clear()
    assert said(service, first.bank) == service.standing()
    assert first.told["standing"] >= len(service.standing())
    assert first.pages > 3
    before = len(service.asked)
    service.tick(7200)
    service.change()
    second = synced(source, first.bank, spool, now_of(service))
    assert said(service, second.bank) == service.standing()
    assert second.change.added + second.change.changed + second.change.withdrawn <= 1
    assert len(service.asked) - before < before  # what changed within the hour before, and no more
    assert source.category in {Category.INTIMATE_IMAGES, Category.TERRORISM}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [StopNciiService, TechAgainstService], ids=["StopNCII", "TechAgainst"])
def test_many_deltas_end_where_one_whole_download_does(kind, seed, tmp_path):
    service, dice = kind(seed, size=3), random.Random(seed)
    away, failed = timedelta(0), 0
    with serving(service) as base:
        source = source_of(service, base)
        bank = Bank.empty()
        spool = Spool(tmp_path / "deltas", plain, plain)

        def now():
            service.tick(dice.randrange(30))  # the service's clock goes on while pages are fetched
            if dice.random() < 0.6:
                service.change()  # and so do its entries
            return datetime.fromtimestamp(service.clock, UTC) + away

        for _ in range(60):
            for _ in range(dice.randrange(10)):
                service.change()
            service.tick(dice.randrange(100, 90_000))
            away = timedelta(hours=dice.randrange(-72, 72)) if dice.random() < 0.2 else timedelta(0)
            if dice.random() < 0.2:
                service.faults += dice.choices(PASSING, k=dice.randrange(1, 10))
            service.faults += ["garbage"] if dice.random() < 0.05 else []
            try:
                bank = Bank.from_bytes(synced(source, bank, spool, now).bank.to_bytes())
            except (ServiceError, ListError):
                failed += 1
                continue
            spool.clear()
        service.faults.clear()
        away = timedelta(0)
        service.tick(2 * 3600)
        bank = synced(source, bank, Spool(tmp_path / "last", plain, plain), now_of(service)).bank
        whole = synced(source, Bank.empty(), Spool(tmp_path / "whole", plain, plain), now_of(service)).bank
        full = synced(source, bank, Spool(tmp_path / "full", plain, plain), now_of(service), full=True)
        source._client.close()
    assert failed > 0
    assert len(service.entries) > 80
    assert said(service, bank) == service.standing()
    assert standing_rows(bank) == standing_rows(whole) == standing_rows(full.bank)
    assert full.change.added == full.change.changed == full.change.withdrawn == 0


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(service, source, spool, fault):
    for _ in range(20):
        service.change()
    service.faults = [fault, None, fault, fault]
    assert said(service, synced(source, Bank.empty(), spool, now_of(service)).bank) == service.standing()


@pytest.mark.parametrize("fault", ["garbage", "compressed", "redirect", 401, 403, 418])
def test_what_does_not_pass_changes_nothing_and_tells_nothing(service, source, spool, fault, caplog):
    caplog.set_level(logging.DEBUG)
    for _ in range(80):
        service.change()
    service.faults = [None, None, fault]
    with pytest.raises((ServiceError, ListError)) as caught:
        synced(source, Bank.empty(), spool, now_of(service))
    told = "".join(traceback.format_exception(caught.value)) + repr(source) + caplog.text
    values = [entry.get("hashValue") or entry["hash_digest"] for entry in service.entries.values()]
    assert not [secret for secret in (FUNCTION_KEY, SUBSCRIPTION_KEY, PASSWORD, "Bearer", *values) if secret in told]
    assert said(service, synced(source, Bank.empty(), spool, now_of(service)).bank) == service.standing()


@pytest.mark.parametrize(
    ("kind", "fault", "problem"),
    [
        (StopNciiService, "short", "as many entries as count says"),
        (StopNciiService, "circle", "circle"),
        (StopNciiService, "no token", "nextPageToken"),
        (StopNciiService, "endless", "without end"),
        (StopNciiService, "odd", "object 1: hashStatus is none of"),
        (TechAgainstService, "circle", "circle"),
        (TechAgainstService, "no checkpoint", "checkpoint is not SECONDS,ID"),
        (TechAgainstService, "no token", "no token"),
        (TechAgainstService, "refused", "refuses the credentials"),
    ],
)
def test_pages_that_do_not_add_up_are_errors(kind, fault, problem, spool):
    service = kind(size=5)
    for _ in range(20):
        service.change()
    with serving(service) as base:
        source = source_of(service, base)
        service.faults = [fault]
        with pytest.raises((ServiceError, ListError), match=problem) as caught:
            synced(source, Bank.empty(), spool, now_of(service), max_pages=30)
        assert len(service.asked) < 80
        assert "elsewhere" not in str(caught.value)
        service.faults.clear()
        assert said(service, synced(source, Bank.empty(), spool, now_of(service)).bank) == service.standing()
        source._client.close()


def test_an_interrupted_range_goes_on_where_it_was(service, source, spool):
    for _ in range(100):
        service.change()
    service.faults = [None] * 4 + [503] * 6
    with pytest.raises(ServiceError, match="503"):
        synced(source, Bank.empty(), spool, now_of(service))
    had = len(list(spool.heads()))
    assert had >= 2
    found = synced(source, Bank.empty(), spool, now_of(service))
    assert found.pages > had
    assert said(service, found.bank) == service.standing()


def test_a_token_that_expired_begins_the_range_anew(spool):
    service = StopNciiService(size=5)
    for _ in range(20):
        service.change()
    with serving(service) as base:
        source = source_of(service, base)
        service.faults = [None, None, *[503] * 6]
        with pytest.raises(ServiceError):
            synced(source, Bank.empty(), spool, now_of(service))
        service.token_lives = 60
        service.tick(600)
        assert said(service, synced(source, Bank.empty(), spool, now_of(service)).bank) == service.standing()
        # within one range there is no going on without it
        service.token_lives = -1
        with pytest.raises(ServiceError, match="does not know the page that it named"):
            synced(source, Bank.empty(), Spool(spool._folder.with_name("other"), plain, plain), now_of(service))
        source._client.close()


def test_each_page_of_techagainst_has_a_token_of_its_own_and_no_offset_is_asked_for(spool):
    service = TechAgainstService(size=5)
    for _ in range(20):
        service.change()
    with serving(service) as base:
        source = source_of(service, base)
        service.token_lives = 1
        found = synced(source, Bank.empty(), spool, lambda: (service.tick(5), now_of(service)())[1])
        source._client.close()
    assert [method for method, _ in service.asked] == ["POST", "GET"] * found.pages
    assert not [path for _, path in service.asked if "offset" in path]


@contextmanager
def begun(service, spool, moment=None):
    """A service with some entries: a source of it, and the bank of a first sync."""
    for _ in range(20):
        service.change()
    with serving(service) as base:
        source = source_of(service, base)
        bank = synced(source, Bank.empty(), spool, moment or now_of(service)).bank
        spool.clear()
        yield source, bank
        source._client.close()


def test_a_copy_that_was_not_synced_for_long_must_be_fetched_as_a_whole(spool):
    service = StopNciiService()
    with begun(service, spool) as (source, bank):
        victim = next(
            each for each in service.entries.values() if not service._gone(each) and each["signalType"] == "ImagePDQ"
        )
        victim["hashStatus"], victim["lastModtimestamp"] = "Withdrawn", int(service.clock)
        service.tick(46 * 86400)
        with pytest.raises(ServiceError, match="too long ago"):
            synced(source, bank, spool, now_of(service))
        found = synced(source, bank, spool, now_of(service), full=True)
    assert found.change.withdrawn == 1
    assert said(service, found.bank) == service.standing()


@pytest.mark.parametrize("ahead", [86400 * 365 * 20, 7200])
def test_a_service_whose_clock_jumps_ahead_hides_no_later_change(service, source, spool, ahead):
    for _ in range(20):
        service.change()
    clock = service.clock
    moment = lambda: datetime.fromtimestamp(clock, UTC)  # noqa: E731
    service.tick(ahead)
    for _ in range(20):
        service.change()
    bank = synced(source, Bank.empty(), spool, moment).bank
    spool.clear()
    assert bank.rows["updated"].combine_chunks().to_pylist() <= [moment() + SLACK] * bank.rows.num_rows
    service.clock = clock = clock + 7200  # mended
    for entry in service.entries.values():
        field = "lastModtimestamp" if "lastModtimestamp" in entry else "updated_on"
        entry[field] = min(entry[field], int(clock))
    for _ in range(20):
        service.change()
    clock = service.clock
    bank = synced(source, bank, spool, moment).bank
    assert said(service, bank) == service.standing()


def test_a_clock_that_ran_ahead_once_does_not_hide_how_long_ago_it_was(spool):
    service = StopNciiService()
    with begun(service, spool, lambda: now_of(service)() + timedelta(days=3650)) as (source, bank):
        service.tick(20 * 86400)
        synced(source, bank, spool, now_of(service))
        spool.clear()
        service.tick(20 * 86400)
        with pytest.raises(ServiceError, match="too long ago"):
            synced(source, bank, spool, now_of(service))


def test_a_value_that_cannot_be_read_takes_nothing_back(spool):
    service = TechAgainstService()
    with begun(service, spool) as (source, bank):
        standing = {row["entry"] for row in bank.rows.to_pylist() if not row["withdrawn"]}
        broken = next(each for each in service.entries.values() if str(each["id"]) in standing)
        broken["hash_digest"], broken["updated_on"] = broken["hash_digest"][:-2], service.clock
        service.tick(60)
        for full in (False, True):
            found = synced(source, bank, spool, now_of(service), full=full)
            spool.clear()
            assert found.change.withdrawn == 0
            assert str(broken["id"]) in {row["entry"] for row in found.bank.rows.to_pylist() if not row["withdrawn"]}


def test_malformed_values_of_a_page_are_counted_up_to_some(spool):
    service = StopNciiService()
    for seed in range(30):
        service.entries[seed] = stopncii(
            seed, lastModtimestamp=BEGINNING, hashValue=digits(seed, 64)[: 64 - (seed < 10)]
        )
    with serving(service) as base:
        source = source_of(service, base)
        found = synced(source, Bank.empty(), spool, now_of(service))
        assert found.told == {"standing": 20, "malformed": 10}
        spool.clear()
        service.entries[11]["hashValue"] = ""
        with pytest.raises(ListError, match="object 12: hashValue has 0 characters") as caught:
            synced(source, Bank.empty(), spool, now_of(service))
        assert "object 1:" not in str(caught.value)
        source._client.close()


def test_a_service_that_gives_nothing_takes_nothing_back(service, source, spool):
    for _ in range(20):
        service.change()
    bank = synced(source, Bank.empty(), spool, now_of(service)).bank
    spool.clear()
    kept, service.entries = service.entries, {}
    with pytest.raises(ServiceError, match="nothing at all"):
        synced(source, bank, spool, now_of(service), full=True)
    assert synced(source, bank, spool, now_of(service)).change.withdrawn == 0
    service.entries = kept


def test_a_certificate_that_nobody_vouches_for_is_final(service, spool, tmp_path):
    certificate = tmp_path / "own.pem"
    certificate.write_bytes(self_signed())
    with serving(service, certificate) as base:
        source = source_of(service, base)
        with pytest.raises(ServiceError, match="not trusted"):
            synced(source, Bank.empty(), spool, now_of(service))
        source._client.close()
    assert service.asked == []


def self_signed():
    """A certificate for this machine that is signed by nobody else, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(serialization.Encoding.PEM, *form)


def test_credentials_have_their_form(source):
    for wrong in ("", "one", "one,", ",two", "one,two,three"):
        with pytest.raises(KeyFileError, match="function_key,subscription_key"):
            stopncii_headers(wrong)
    for wrong in ("", "somebody", "somebody:", ":something"):
        with pytest.raises(KeyFileError, match="user:password"):
            TechAgainstTerrorism(source._client, wrong)


def test_positions_survive_and_those_of_others_are_refused(service, source):
    place = Position("12", 34, "a token")
    assert Position.of(str(place)) == place
    assert place.resumable(datetime(1, 1, 1, tzinfo=UTC)) == datetime(1970, 1, 1, tzinfo=UTC)
    for wrong in ("2026-01-01T00:00:00.000Z", "{}", "[]", json.dumps({"since": 1, "asked": 2, "token": ""}), "{"):
        with pytest.raises(ListError, match="not one of this source's"):
            source.first(wrong, datetime.now(UTC))
