"""Syncing on the command line, with each owner's service on loopback."""

import json
from datetime import UTC, datetime, timedelta

import pytest

import json_servers
import ncmec_server
from vetset.api import syncing
from vetset.hashlist.sync import transport
from vetset.hashlist.vault.vault import default_home
from vetset.stage import intake
from vetset.storage.commit import alone_in


class Ncmec:
    name, variable, credentials = "ncmec:NGO", "VETSET_NCMEC_CREDENTIALS", ncmec_server.USER
    owner, category = "NCMEC", "child-abuse"

    def __init__(self):
        self.database = ncmec_server.Database(7)
        self.service = ncmec_server.Service(self.database, size=5)
        self.serving = ncmec_server.serving

    def change(self, times):
        for _ in range(times):
            self.database.add() if self.database.dice.random() < 0.6 else self.database.change()


class Json:
    serving = staticmethod(json_servers.serving)

    def change(self, times):
        for _ in range(times):
            self.service.tick()
            self.service.change()


class Stop(Json):
    name, variable = "stopncii", "VETSET_STOPNCII_CREDENTIALS"
    credentials = f"{json_servers.FUNCTION_KEY},{json_servers.SUBSCRIPTION_KEY}"
    owner, category = "StopNCII.org", "intimate-images"

    def __init__(self):
        self.service = json_servers.StopNciiService(7, size=5)


class Tech(Json):
    name, variable = "techagainst", "VETSET_TECHAGAINST_CREDENTIALS"
    credentials = f"{json_servers.USER}:{json_servers.PASSWORD}"
    owner, category = "Tech Against Terrorism", "terrorism"

    def __init__(self):
        self.service = json_servers.TechAgainstService(7, size=5)


@pytest.fixture(params=[Ncmec, Stop, Tech], ids=lambda given: given.__name__)
def served(request, monkeypatch):
    """A service with some entries that answers, and its credentials at hand."""
    given = request.param()
    monkeypatch.setenv(given.variable, given.credentials)
    monkeypatch.setattr(transport.time, "sleep", lambda _: None)
    given.change(40)
    with given.serving(given.service) as address:
        given.address = address
        yield given


@pytest.fixture
def sync(vetset, served):
    def run(*more):
        return vetset("lists", "sync", "theirs", "--address", served.address, *more)

    return run


def shown(vetset):
    return json.loads(vetset("lists", "show", "--json").out)


def first(served):
    return "--from", served.name, "--licence", "agreement of 2026-01-31", "--purpose", "dataset-audit"


def test_a_list_is_begun_and_kept_up_to_date(vetset, served, sync):
    ended = sync(*first(served), "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["kept"]
    (info,) = shown(vetset)
    assert told["list"] == info
    assert (info["owner"], info["category"], info["origin"]) == (served.owner, served.category, "service:127.0.0.1")
    assert (info["answered_for"], info["purpose"]) == (True, "dataset-audit")
    assert sum(info["entries"].values()) > 0
    before = info["version"]
    served.change(15)
    again = sync()
    assert again.code == 0, again.err
    assert "new," in again.out
    (info,) = shown(vetset)
    assert info["version"] != before
    assert info["licence"] == "agreement of 2026-01-31"


def test_what_deltas_end_in_is_what_everything_anew_gives(vetset, served, sync):
    assert sync(*first(served)).code == 0
    for _ in range(4):
        served.change(10)
        assert sync("--accept").code == 0
    told = json.loads(sync("--full", "--json").out)
    assert (told["change"]["added"], told["change"]["changed"], told["change"]["withdrawn"]) == (0, 0, 0)


def test_an_interrupted_sync_changes_nothing_and_goes_on(vetset, served, sync):
    served.service.faults = [404] * 20
    failed = sync(*first(served))
    assert failed.code == 42, failed.err
    assert shown(vetset) == []
    served.service.faults = []
    assert sync(*first(served)).code == 0
    assert len(shown(vetset)) == 1


def test_what_is_kept_is_not_told_as_left_out(vetset, served, sync):
    told = json.loads(sync(*first(served), "--json").out)
    assert told["change"]["added"] > 0
    assert not {"standing", "withdrawn"} & told["left_out"].keys()


def test_a_file_changes_no_list_of_a_service(vetset, served, sync, tmp_path):
    assert sync(*first(served)).code == 0
    before = shown(vetset)
    file = tmp_path / "delta.csv"
    file.write_text("id,md5\na,00112233445566778899aabbccddeeff\n")
    ended = vetset("lists", "update", "theirs", file, "--as-of", "2099-01-01")
    assert ended.code == 2
    assert "lists sync" in ended.err
    assert shown(vetset) == before
    told = ("--name", "theirs", "--owner", "x", "--category", served.category, "--licence", "y")
    assert vetset("lists", "add", file, *told).code == 12
    assert vetset("lists", "add", file, *told, "--replace").code == 0
    assert sync().code == 2, "a list of files goes on with files"


@pytest.mark.parametrize("begun", [False, True])
def test_a_list_is_forgotten_with_the_pages_that_wait(vetset, served, sync, begun):
    folder = default_home() / "sync" / "theirs"
    if begun:
        assert sync(*first(served)).code == 0
        served.change(10)
    assert sync(*first(served), "--dry-run").code == 0
    assert list(folder.glob("*.page"))
    assert vetset("lists", "remove", "theirs").code == 0
    assert not folder.exists()
    assert shown(vetset) == []
    assert vetset("lists", "remove", "theirs").code == 12


def test_numbers_come_before_use(vetset, served, sync):
    looked = sync(*first(served), "--dry-run")
    assert looked.code == 0, looked.err
    assert "nothing was changed" in looked.out
    assert shown(vetset) == []
    asked = len(served.service.asked)
    assert sync(*first(served)).code == 0
    assert len(served.service.asked) <= asked + 1, "the pages that were looked at were not fetched again"


def test_the_state_is_of_the_day_on_which_pages_were_fetched(vetset, served, sync, monkeypatch):
    class Yesterday(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(days=1)

    with monkeypatch.context() as patch:
        patch.setattr(syncing, "datetime", Yesterday)
        assert sync(*first(served)).code == 0
        assert sync("--dry-run").code == 0
    (info,) = shown(vetset)
    assert info["as_of"] == (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    assert sync().code == 0  # what waits is of yesterday, and what changed since comes along
    (info,) = shown(vetset)
    assert info["as_of"] == datetime.now(UTC).date().isoformat()


def test_a_first_sync_says_from_where_and_under_what_terms(vetset, served, sync):
    for given in ((), ("--from", served.name), ("--licence", "x")):
        ended = sync(*given)
        assert ended.code == 2
        assert "the first sync" in ended.err
    other = "stopncii" if served.name != "stopncii" else "techagainst"
    assert sync(*first(served)).code == 0
    mixed = sync("--from", other)
    assert mixed.code == 2
    assert "from somewhere else" in mixed.err


@pytest.mark.parametrize("said", [("--purpose", "Not A Word"), ("--expires", "2020-01-31"), ("--expires", "soon")])
@pytest.mark.parametrize("begun", [False, True])
def test_what_is_said_of_a_list_is_checked_before_anything_is_fetched(vetset, served, sync, said, begun):
    if begun:
        assert sync(*first(served), "--dry-run").code == 0
    asked = len(served.service.asked)
    assert sync(*first(served), *said).code == 12
    assert len(served.service.asked) == asked
    assert sync(*first(served)).code == 0


def test_without_credentials_nobody_is_asked(vetset, served, sync, monkeypatch):
    monkeypatch.delenv(served.variable)
    ended = sync(*first(served))
    assert ended.code == 20
    assert served.variable in ended.err
    assert served.service.asked == []


def test_wrong_credentials_are_not_shown(vetset, served, sync, monkeypatch):
    wrong = "somebody:wrongword" if served.name != "stopncii" else "wrongword,wrongword"
    monkeypatch.setenv(served.variable, wrong)
    ended = sync(*first(served))
    assert ended.code != 0
    assert "wrongword" not in ended.out + ended.err


def test_a_list_of_files_is_not_synced(vetset, lists):
    told = ("--owner", "o", "--category", "other", "--licence", "l")
    assert vetset("lists", "add", lists / "known.txt", "--name", "known", *told).code == 0
    ended = vetset("lists", "sync", "known")
    assert ended.code == 2
    assert "lists update" in ended.err


def test_an_unknown_service_is_refused(vetset):
    ended = vetset("lists", "sync", "x", "--from", "elsewhere", "--licence", "l")
    assert ended.code == 2
    assert "ncmec:ENVIRONMENT, stopncii or techagainst" in ended.err


@pytest.mark.parametrize("served", [Ncmec], indirect=True)
def test_feedback_is_counted_and_sent_only_when_told_to(vetset, served, sync):
    assert sync(*first(served)).code == 0
    item = next(
        item for item in served.database.items.values() if not (item.video or item.deleted) and item.own[:5] == "image"
    )
    entry, address = f"{item.member}-{item.own}", ("--address", served.address)
    shown_reasons = json.loads(
        vetset("lists", "feedback", "theirs", "--reasons", "--kind", "pdq", *address, "--json").out
    )
    assert shown_reasons == ncmec_server.REASONS
    guid = next(iter(shown_reasons))
    looked = vetset("lists", "feedback", "theirs", entry, "--wrong", guid, *address)
    assert looked.code == 0, looked.err
    assert looked.out.startswith("would send: ")
    assert served.service.feedback == {}
    sent = json.loads(vetset("lists", "feedback", "theirs", entry, "--right", "--send", *address, "--json").out)
    assert sent["sent"]
    assert len(served.service.feedback) == sum(sent["votes"].values()) > 0
    assert vetset("lists", "feedback", "theirs", entry, "--right", "--wrong", guid, *address).code == 2


@pytest.mark.parametrize("served", [Stop], indirect=True)
def test_who_takes_no_feedback_is_told_in_a_file(vetset, served, sync):
    assert sync(*first(served)).code == 0
    ended = vetset("lists", "feedback", "theirs", "own:1", "--right")
    assert ended.code == 2
    assert "--seal-to" in ended.err


def test_a_list_of_a_service_changes_by_syncs_alone(vetset, served, sync, lists):
    assert sync(*first(served)).code == 0
    (before,) = shown(vetset)
    ended = vetset("lists", "update", "theirs", lists / "known.txt", "--whole", "--as-of", "2099-01-01")
    assert ended.code == 2
    assert "lists sync" in ended.err
    assert shown(vetset) == [before]


def test_a_file_in_the_place_of_a_service_is_a_list_of_files(vetset, served, sync, lists):
    assert sync(*first(served)).code == 0
    told = ("--owner", "o", "--category", "other", "--licence", "l")
    assert vetset("lists", "add", lists / "known.txt", "--name", "theirs", *told, "--replace").code == 0
    ended = sync()
    assert ended.code == 2
    assert "lists update" in ended.err


def test_pages_that_wait_are_forgotten_with_their_list(vetset, served, sync, monkeypatch, tmp_path):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    waiting = tmp_path / "home" / "sync" / "theirs"
    assert sync(*first(served), "--dry-run").code == 0
    assert list(waiting.glob("*.page"))
    assert vetset("lists", "remove", "theirs").code == 0, "there are pages, though no list yet"
    assert not waiting.exists()
    assert sync(*first(served)).code == 0
    assert sync("--full", "--dry-run").code == 0
    assert vetset("lists", "remove", "theirs").code == 0
    assert not waiting.exists()
    assert vetset("lists", "remove", "theirs").code == 12


def test_what_was_refused_is_asked_for_again(vetset, served, sync, monkeypatch):
    assert sync(*first(served)).code == 0
    monkeypatch.setattr(intake, "UNASKED", 0)
    served.change(200)
    assert "--accept" in sync().err
    asked = len(served.service.asked)
    sync()
    assert len(served.service.asked) > asked


def test_changes_of_another_host_are_not_mixed_in(vetset, served, sync):
    assert sync(*first(served)).code == 0
    before, asked = shown(vetset), len(served.service.asked)
    elsewhere = "lists", "sync", "theirs", "--address", served.address.replace("127.0.0.1", "localhost")
    ended = vetset(*elsewhere)
    assert ended.code == 2
    assert "another host" in ended.err
    assert "--full" in ended.err
    assert (shown(vetset), len(served.service.asked)) == (before, asked)
    assert vetset(*elsewhere, "--full").code == 0
    assert shown(vetset)[0]["origin"] == "service:localhost"


def test_one_sync_of_a_list_at_a_time(vetset, served, sync, monkeypatch, tmp_path):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    assert sync(*first(served)).code == 0
    asked = len(served.service.asked)
    with alone_in(tmp_path / "home" / "sync" / "theirs"):
        ended = sync()
    assert ended.code == 2
    assert "another run" in ended.err
    assert len(served.service.asked) == asked
