"""A sync with NCMEC's protocol: a year of changes ends where one whole download does, whatever happens in between."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyrage
import pytest

from ncmec_server import USER, Database, Service, serving
from vetset.hashlist.bank import Bank
from vetset.hashlist.deliveries import Change
from vetset.hashlist.opinions import SCHEMA, OpinionRows
from vetset.hashlist.owners.ncmec.environments import Environment, environment
from vetset.hashlist.owners.ncmec.service import NcmecSource
from vetset.hashlist.sync.ranges import SLACK, Page, synced
from vetset.hashlist.sync.spool import Spool
from vetset.hashlist.sync.transport import Client, Limits, basic
from vetset.model.errors import ListError, SealError, ServiceError, UsageError
from vetset.model.hashlist import Category
from vetset.model.signal import Kind
from vetset.seal.envelope import seal, unseal

START = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def service(database):
    return Service(database)


@pytest.fixture
def source(service, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    settings = {"limits": Limits(answer=2 << 20), "sleep": lambda _: None}
    with serving(service) as base, Client(base, basic(USER), **settings) as client:
        yield NcmecSource(environment("test_NGO"), client, bytes(32))


def masked(data):
    return bytes(byte ^ 0x5A for byte in data)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "sync" / "list", masked, masked)


def content(bank):
    """What stands, without the order in which it came."""
    standing = bank.rows.filter(pc.invert(bank.rows["withdrawn"])).to_pylist()
    compiled = bank.entries()
    flat = {
        kind: [
            (bytes(value), int(flag), int(members))
            for value, flag, members in zip(column.values, column.flags, column.members, strict=True)
        ]
        for kind, column in compiled.entries.items()
    }
    return sorted(standing, key=repr), flat


def state(service):
    """What stands by the database itself."""
    return sorted(
        (name, value, str(item.member))
        for item in service.database.items.values()
        if not item.deleted and not item.video
        for name, values in item.values.items()
        for value in set(values)
    )


def said(bank):
    rows = bank.rows.filter(pc.invert(bank.rows["withdrawn"])).to_pylist()
    return sorted((row["kind"], row["value"].hex(), row["member"]) for row in rows)


def whole(source, tmp_path, clock):
    empty = Spool(tmp_path / "whole", masked, masked)
    found = synced(source, Bank.empty(), empty, clock)
    empty.clear()
    return found.bank


def test_a_first_sync_and_a_delta(source, service, spool, database):
    items = [database.add() for _ in range(30)]
    pictures = [item for item in items if not item.video]
    first = synced(source, Bank.empty(), spool, lambda: database.clock)
    spool.clear()
    assert first.change == Change(added=len(pictures))
    assert said(first.bank) == state(service)
    assert first.told["videos"] == 30 - len(pictures)
    pictures[0].when, pictures[0].deleted = database.clock + timedelta(minutes=5), True
    database.tick(7200)
    second = synced(source, first.bank, spool, lambda: database.clock)
    assert second.change.withdrawn == 1
    assert second.change.added == second.change.changed == 0
    assert second.checkpoint > first.checkpoint
    assert said(second.bank) == state(service)
    assert repr(second).count("secret") == 0


class Year:
    """365 days of a service, of outages, of clocks that are wrong, and of a process that is killed anywhere."""

    def __init__(self, service, source, folder, seed):
        self.service, self.source = service, source
        self.database = service.database = Database(seed)
        self.dice = random.Random(seed)
        self.away = timedelta(0)
        self.bank = Bank.empty()
        self.spool = Spool(folder, self.seal, masked)
        self.killed = self.failed = 0
        service.size = 20

    def now(self):
        return self.database.clock + self.away

    def maybe(self, chance=0.02):
        if self.dice.random() < chance:
            raise Killed

    def seal(self, data):
        self.maybe()
        return masked(data)

    def day(self):
        dice, service = self.dice, self.service
        for _ in range(dice.randrange(12)):
            self.database.change()
        self.database.tick(dice.randrange(80_000, 90_000))
        if dice.random() < 0.1:
            self.away = timedelta(hours=dice.randrange(-72, 72))
        if dice.random() < 0.1:
            service.faults += dice.choices([429, 503, "half", 500, 502], k=dice.randrange(1, 12))
        if dice.random() < 0.03:
            service.faults.append("garbage")
        service.shuffled = dice.random() < 0.5
        service.tells_time = dice.random() < 0.8
        for _ in range(dice.choice([1, 1, 1, 3])):
            if self.try_once():
                break
            self.database.tick(dice.choice([60, 3600, 50_000]))
            self.database.change()

    def try_once(self):
        try:
            found = synced(self.source, self.bank, self.spool, self.now, progress=lambda _: self.maybe())
            if self.dice.random() < 0.1:  # looked at, and not kept
                return False
            self.maybe(0.05)  # before it is kept
            self.bank = Bank.from_bytes(found.bank.to_bytes())
            self.maybe(0.05)  # after it is kept, before the spool is cleared
            self.spool.clear()
        except Killed:
            self.killed += 1
            return False
        except (ServiceError, ListError):
            self.failed += 1
            return False
        return True


@pytest.mark.parametrize("seed", range(2))
def test_a_year_of_days_ends_where_one_whole_download_does(source, service, tmp_path, seed):
    year = Year(service, source, tmp_path / "year", seed)
    for _ in range(365):
        year.day()
    service.faults.clear()
    year.database.tick(3600)
    bank = synced(source, year.bank, Spool(tmp_path / "last", masked, masked), lambda: year.database.clock).bank
    assert year.killed > 20
    assert year.failed > 5
    assert said(bank) == state(service)
    assert content(bank) == content(whole(source, tmp_path, lambda: year.database.clock))


def test_pages_come_by_number_and_only_whole_ranges_count(source, service, spool, database):
    service.size = 4
    for _ in range(30):
        database.add()
    service.faults = [*[None] * 4, *[503] * 6]
    with pytest.raises(ServiceError, match="HTTP 503"):
        synced(source, Bank.empty(), spool, lambda: database.clock)
    assert len(list(spool.heads())) == 3
    before = len(service.asked)
    found = synced(source, Bank.empty(), spool, lambda: database.clock)
    assert len(service.asked) - before == 8 - 3  # neither the status nor a page that waits is asked for again
    assert said(found.bank) == state(service)


@pytest.mark.parametrize("away", [timedelta(hours=13), timedelta(hours=-1)])
def test_a_position_that_is_too_old_or_of_another_clock_is_not_used(source, service, spool, database, away):
    service.size = 4
    for _ in range(10):
        database.add()
    service.faults = [None, None, *[503] * 6]
    with pytest.raises(ServiceError):
        synced(source, Bank.empty(), spool, lambda: database.clock)
    service.asked.clear()
    found = synced(source, Bank.empty(), spool, lambda: database.clock + away)
    assert [path.rpartition("/")[2][:6] for _, path in service.asked] == ["status", *["entrie"] * 3]
    assert said(found.bank) == state(service)


def test_a_position_that_died_before_its_time_begins_the_range_anew(source, service, spool, database):
    service.size = 4
    for _ in range(10):
        database.add()
    service.faults = [None, None, *[503] * 6]
    with pytest.raises(ServiceError):
        synced(source, Bank.empty(), spool, lambda: database.clock)
    service.alive = timedelta(minutes=1)
    database.tick(600)
    assert said(synced(source, Bank.empty(), spool, lambda: database.clock).bank) == state(service)


@pytest.mark.parametrize("case", [("circle", 50, "circle"), ("endless", 7, "without end")])
def test_pages_without_end_are_an_error_and_do_not_wait(source, service, spool, database, case):
    fault, most, problem = case
    for _ in range(10):
        database.add()
    service.faults = [None, fault]
    database.tick()
    with pytest.raises(ServiceError, match=problem):
        synced(source, Bank.empty(), spool, lambda: database.clock, max_pages=most)
    assert list(spool.heads()) == []
    assert len(service.asked) < 20


def test_a_next_page_elsewhere_is_not_asked_for(source, service, spool, database):
    service.size = 2
    for _ in range(10):
        database.add()
    service.faults = [None, "elsewhere"]
    with pytest.raises(ServiceError, match="next page"):
        synced(source, Bank.empty(), spool, lambda: database.clock)
    assert len(service.asked) == 2


def test_a_next_page_of_another_range_is_refused(source):
    place = {"from": "2026-01-01T00:00:00.000Z", "to": "2026-01-02T00:00:00.000Z"}
    good = "/v2/entries?from=2026-01-01T00%3A00%3A00.000Z&to=2026-01-02T00%3A00%3A00Z&start=2"
    assert source._checked_next(good, place) == good
    for bad in (good.replace("01-01", "01-05"), good.replace("01-02", "yesterday"), good + "#x", good[3:], good + "\n"):
        with pytest.raises(ServiceError) as caught:
            source._checked_next(bad, place)
        assert "2026" not in str(caught.value)


@pytest.mark.parametrize("garbage", ["garbage", "huge", "compressed"])
def test_an_odd_page_changes_nothing_and_the_next_call_goes_on(source, service, spool, database, garbage):
    service.size = 4
    for _ in range(10):
        database.add()
    service.faults = [None, None, garbage]
    with pytest.raises((ListError, ServiceError)):
        synced(source, Bank.empty(), spool, lambda: database.clock)
    assert len(list(spool.heads())) == 1
    assert said(synced(source, Bank.empty(), spool, lambda: database.clock).bank) == state(service)


@pytest.mark.parametrize("case", [(full, begun, hours) for full in (0, 1) for begun in (0, 1) for hours in (0, 5, 168)])
def test_pages_that_waited_are_followed_by_what_changed_since(source, service, spool, database, case):
    full, begun, hours = case
    for _ in range(20):
        database.add()
    bank = synced(source, Bank.empty(), spool, lambda: database.clock).bank if begun else Bank.empty()
    spool.clear()
    database.tick(86400)
    database.change()
    synced(source, bank, spool, lambda: database.clock, full=full)  # looked at, and not kept
    looked = database.clock
    database.tick(hours * 3600)
    for _ in range(5):
        database.change()
    found = synced(source, bank, spool, lambda: database.clock, full=full)
    follows = full or hours > 1
    assert found.begun == (database.clock if follows else looked)
    assert not follows or said(found.bank) == state(service)
    spool.clear()
    database.tick(60)
    last = synced(source, found.bank, spool, lambda: database.clock).bank
    assert said(last) == state(service)


def test_an_edit_during_the_range_is_caught_by_the_next(source, service, spool, database):
    service.size = 3
    for _ in range(12):
        database.add()

    def meanwhile(_):
        database.change()

    bank = synced(source, Bank.empty(), spool, lambda: database.clock, progress=meanwhile).bank
    spool.clear()
    database.tick(60)
    assert said(synced(source, bank, spool, lambda: database.clock).bank) == state(service)


def test_the_earlier_clock_is_believed_and_ranges_overlap(source, service, database):
    database.clock = START
    ahead, behind = START + timedelta(days=2), START - timedelta(days=2)
    assert source.after(source.first("", ahead), None) == "2026-01-01T00:00:00.000Z"
    assert source.after(source.first("", behind), ahead) == "2025-12-30T00:00:00.000Z"
    # the checkpoint of a clock that was ahead: the range begins before the earlier of all clocks
    later = source.first("2026-06-01T00:00:00.000Z", START)
    assert '"from": "2025-12-31T23:00:00.000Z"' in later
    assert '"to": "2026-01-01T00:00:00.000Z"' in later
    service.tells_time = False
    first = source.first("2025-06-01T00:00:00.000Z", ahead)
    assert source.after(first, None) == "2025-06-01T00:00:00.000Z"
    assert source.after(first, START - timedelta(hours=3)) == "2025-12-31T21:00:00.000Z"
    assert source.after(first, START + timedelta(days=900)) == "2026-01-03T00:00:00.000Z"
    with pytest.raises(ListError, match="checkpoint"):
        source.first("of another source", START)


def test_everything_anew_takes_back_what_is_not_there(source, service, spool, database):
    for _ in range(10):
        database.add()
    rows = OpinionRows("elsewhere")
    rows.add("1-gone", [(Kind.MD5, bytes(16))], updated=START)
    bank = Bank.empty().apply([rows.batch()], full=False)[0].with_checkpoint("2025-01-01T06:00:00.000Z")
    found = synced(source, bank, spool, lambda: database.clock, full=True)
    assert found.change.withdrawn == 1
    assert said(found.bank) == state(service)
    spool.clear()
    database.items.clear()
    with pytest.raises(ServiceError, match="nothing at all"):
        synced(source, bank, spool, lambda: database.clock, full=True)
    assert list(spool.heads()) == []


def test_an_entry_that_changes_while_everything_is_fetched_is_not_taken_back(source, service, spool, database):
    for _ in range(60):
        database.add()
    service.size = 5
    bank = synced(source, Bank.empty(), spool, lambda: database.clock).bank
    spool.clear()
    database.tick(86400)

    def restated(pages):
        """Somebody votes for the entry at the end, which so leaves the pages that are still to come."""
        if pages <= 6:
            database.tick(120)
            standing = [item for item in database.items.values() if not item.video]
            standing[-pages].when = database.clock

    found = synced(source, bank, spool, lambda: database.clock, full=True, progress=restated)
    assert (found.change.added, found.change.changed, found.change.withdrawn) == (0, 0, 0)
    assert said(found.bank) == state(service)


def test_a_time_that_is_yet_to_come_hides_no_later_change(source, service, spool, database):
    victim = next(item for item in (database.add() for _ in range(30)) if not item.video)
    place, right = SCHEMA.get_field_index("updated"), source.page

    def dated_wrong(position):
        page = right(position)
        later = [pa.array([START + timedelta(days=9999)] * len(rows), SCHEMA.types[place]) for rows in page.batches]
        wrong = [rows.set_column(place, SCHEMA[place], time) for rows, time in zip(page.batches, later, strict=True)]
        return replace(page, batches=wrong)

    source.page = dated_wrong
    bank = synced(source, Bank.empty(), spool, lambda: database.clock).bank
    spool.clear()
    assert max(bank.rows["updated"].to_pylist()) <= database.clock + SLACK
    assert said(bank) == state(service)
    source.page = right
    database.tick(86400)
    victim.when, victim.deleted = database.clock - timedelta(hours=2), True
    found = synced(source, bank, spool, lambda: database.clock)
    assert found.change.withdrawn == 1
    assert said(found.bank) == state(service)


def test_pages_that_another_host_gave_are_not_used(source, service, spool, database):
    for _ in range(20):
        database.add()
    service.faults = []
    synced(source, Bank.empty(), spool, lambda: database.clock)
    asked = len(service.asked)
    synced(source, Bank.empty(), spool, lambda: database.clock)
    assert len(service.asked) == asked
    source._client.host = "another.example"
    synced(source, Bank.empty(), spool, lambda: database.clock)
    assert len(service.asked) > asked


def test_what_waits_is_of_this_source_and_this_checkpoint(source, service, spool, database):
    service.size = 4
    for _ in range(10):
        database.add()
    service.faults = [None, None, *[503] * 6]
    with pytest.raises(ServiceError):
        synced(source, Bank.empty(), spool, lambda: database.clock)
    bank = Bank.empty().with_checkpoint("2020-01-01T00:00:00.000Z")
    service.asked.clear()
    assert synced(source, bank, spool, lambda: database.clock).pages == 3
    assert len(service.asked) == 4


def test_generated_pictures_are_noted_for_whole_environments(source, service, spool, database):
    database.add().video = False
    made = NcmecSource(
        Environment("made", "https://x.invalid", Category.CHILD_ABUSE, generated=True), source._client, bytes(32)
    )
    rows = synced(made, Bank.empty(), spool, lambda: database.clock).bank.rows
    assert set(rows["notes"].to_pylist()) == {8}
    assert (made.name, made.category, made.host) == ("NCMEC made", Category.CHILD_ABUSE, "127.0.0.1")


class Still:
    """A source of one page."""

    name, host, category, stale_after = "still", "nowhere", Category.OTHER, timedelta(hours=1)

    def first(self, checkpoint, now):
        return "first"

    def page(self, position):
        rows = OpinionRows("still")
        rows.add("1-a", [(Kind.MD5, b"sixteen bytes of")])
        return Page([rows.batch()], None)

    def after(self, first, latest):
        return "done"


IDENTITY = pyrage.x25519.Identity.generate()


def encrypted(data):
    return seal(data, [str(IDENTITY.to_public())])


def opened(data):
    return unseal(data, str(IDENTITY))


@pytest.mark.parametrize("keys", [(masked, masked), (encrypted, opened)])
def test_pages_wait_sealed_and_damage_is_seen(tmp_path, keys):
    spool = Spool(tmp_path / "sync" / "list", *keys)
    found = synced(Still(), Bank.empty(), spool, lambda: START)
    assert (found.checkpoint, found.change, found.pages) == ("done", Change(added=1), 1)
    folder = tmp_path / "sync" / "list"
    assert folder.stat().st_mode & 0o777 == 0o700
    (page,) = folder.iterdir()
    assert page.stat().st_mode & 0o777 == 0o600
    sealed = page.read_bytes()
    assert b"sixteen bytes of" not in sealed
    assert b"first" not in sealed
    for damaged in (sealed[:-1], sealed[:40], b"", sealed[1:], masked(b"{}\n")):
        page.write_bytes(damaged)
        with pytest.raises(SealError, match="begins its range anew"):
            [list(spool.heads()), list(spool.batches())]
    page.write_bytes(sealed)
    page.rename(folder / "00000002.page")
    with pytest.raises(SealError):
        list(spool.heads())
    spool.clear()
    (folder / "00000001.page.0123abcd.partial").write_bytes(b"x")
    spool.clear()
    assert list(folder.iterdir()) == []


def test_one_sync_at_a_time(spool):
    with spool.alone(), pytest.raises(UsageError, match="another run"), spool.alone():
        pass
