"""Lists on the command line: in, up to date, compared, decided about; numbers and never a value."""

import base64
import hashlib
import json
import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from PIL import Image

import small
from vetset.api import listing
from vetset.seal.envelope import seal, unseal
from vetset.seal.keys import load_private, load_public
from vetset.stage import intake

TOLD = ("--category", "benchmark", "--licence", "test")


def digest(number):
    return hashlib.md5(b"%d" % number).hexdigest()


def table(path, numbers, header="id,md5"):
    path.write_text("\n".join([header, *(f"item-{number},{digest(number)}" for number in numbers)]) + "\n")
    return path


@pytest.fixture
def added(vetset, tmp_path):
    file = table(tmp_path / "list.csv", range(10))
    ended = vetset("lists", "add", file, "--name", "known", "--owner", "hotline", *TOLD, "--as-of", "2026-01-01")
    assert ended.code == 0, ended.err
    return file


def shown(vetset, name="known"):
    (found,) = [entry for entry in json.loads(vetset("lists", "show", "--json").out) if entry["name"] == name]
    return found


def delta(path, numbers, gone=()):
    lines = [f"item-{number},{digest(number)}," for number in numbers]
    path.write_text("\n".join(["id,md5,deleted", *lines, *(f"item-{number},,yes" for number in gone)]) + "\n")
    return path


@contextmanager
def piped(content):
    """Path of a pipe that this comes out of, as a shell's `<(…)` has it."""
    out, into = os.pipe()

    def write():
        with suppress(BrokenPipeError), os.fdopen(into, "wb") as pipe:
            pipe.write(content)

    writer = Thread(target=write)
    writer.start()
    yield f"/dev/fd/{out}"
    os.close(out)
    writer.join()


def test_a_list_out_of_a_pipe_is_whole_or_refused(vetset, tmp_path):
    # lines whose length divides what is read to tell the format: nothing would show where the beginning is missing
    values = [base64.b32encode(hashlib.md5(b"%d" % number).digest()).rstrip(b"=") for number in range(6000)]
    content = b"".join(b"md5 %b\r\n" % value for value in values)
    with piped(content) as pipe:
        ended = vetset("lists", "add", pipe, "--name", "piped", *TOLD)
    assert ended.code == 12
    assert "only once" in ended.err
    assert "--format" in ended.err
    with piped(content) as pipe:
        ended = vetset("lists", "add", pipe, "--name", "piped", "--format", "text", *TOLD)
    assert ended.code == 0, ended.err
    assert shown(vetset, "piped")["entries"] == {"md5": 6000}
    with piped(content) as pipe:
        ended = vetset("lists", "update", "piped", pipe, "--as-of", "2026-02-01", "--whole", "--format", "text")
    assert "0 new, 0 changed, 0 taken back, 6000 unchanged" in ended.out
    file = tmp_path / "list.txt"
    file.write_bytes(content)
    assert vetset("keygen", "owner", "--out", tmp_path / "keys").code == 0
    said = ("--owner", "hotline", "--category", "benchmark", "--as-of", "2026-01-01")
    signing = ("--key", tmp_path / "keys" / "owner.key", "--out", tmp_path / "sig")
    assert vetset("lists", "sign", file, *said, *signing).code == 0
    signed = ("--signature", tmp_path / "sig", "--signer", tmp_path / "keys" / "owner.pub")
    with piped(content) as pipe:
        ended = vetset("lists", "add", pipe, "--name", "signed", "--format", "text", "--licence", "t", *signed)
    assert ended.code == 12
    assert "is read twice" in ended.err


def test_an_update_is_told_in_numbers_before_it_is_used(vetset, added, tmp_path):
    before = shown(vetset)
    file = delta(tmp_path / "delta.csv", [3, 10, 11], gone=[1, 2])
    looked = vetset("lists", "update", "known", file, "--as-of", "2026-02-01", "--dry-run")
    assert looked.code == 0, looked.err
    assert "2 new, 0 changed, 2 taken back, 1 unchanged" in looked.out
    assert "nothing was changed" in looked.out
    assert shown(vetset) == before
    done = vetset("lists", "update", "known", file, "--as-of", "2026-02-01", "--json")
    told = json.loads(done.out)
    assert told["change"] == {"added": 2, "changed": 0, "withdrawn": 2, "unchanged": 1, "stale": 0, "unknown": 0}
    after = shown(vetset)
    assert (after["entries"], after["aside"], after["as_of"]) == ({"md5": 10}, {"withdrawn": 2}, "2026-02-01")
    assert after["version"] != before["version"]
    assert digest(3) not in looked.out + done.out + looked.err + done.err


def test_taking_back_what_was_never_there_changes_nothing(vetset, added, tmp_path):
    before = shown(vetset)
    file = delta(tmp_path / "delta.csv", [10], gone=[77])
    ended = vetset("lists", "update", "known", file, "--as-of", "2026-02-01")
    assert ended.code == 12
    assert "item-77" in ended.err
    assert "Nothing was applied" in ended.err
    assert shown(vetset) == before


def test_a_whole_list_takes_back_what_it_does_not_hold(vetset, added, tmp_path):
    file = table(tmp_path / "whole.csv", range(5, 12))
    told = json.loads(vetset("lists", "update", "known", file, "--whole", "--as-of", "2026-02-01", "--json").out)
    assert told["change"]["withdrawn"] == 5
    assert shown(vetset)["entries"] == {"md5": 7}


def test_a_delivery_that_makes_another_list_of_it_is_asked_about(vetset, tmp_path):
    file = table(tmp_path / "list.csv", range(3000))
    assert vetset("lists", "add", file, "--name", "known", "--owner", "hotline", *TOLD).code == 0
    cut = table(tmp_path / "cut.csv", range(1900))
    asked = vetset("lists", "update", "known", cut, "--whole", "--as-of", "2026-02-01")
    assert asked.code == 12
    assert "1100 taken back or with other values" in asked.err
    assert "--accept" in asked.err
    assert shown(vetset)["entries"] == {"md5": 3000}
    assert vetset("lists", "update", "known", cut, "--whole", "--as-of", "2026-02-01", "--accept").code == 0
    assert shown(vetset)["entries"] == {"md5": 1900}


def test_one_entry_of_many_values_is_asked_about_like_many_entries(vetset, added, tmp_path):
    def one_more(numbers):
        lines = [*(f"item-{number},{digest(number)}" for number in range(10)), *(f"one,{digest(n)}" for n in numbers)]
        (tmp_path / "more.csv").write_text("\n".join(["id,md5", *lines]) + "\n")
        return "lists", "update", "known", tmp_path / "more.csv", "--whole", "--as-of", "2026-02-01"

    few, many = range(100, 1100), range(100, 2000)
    assert vetset(*one_more(few), "--dry-run").code == 0
    asked = vetset(*one_more(many))
    assert asked.code == 12
    assert "0 taken back, 1900 new" in asked.err
    assert "1000 new, where 10 stand" in asked.err
    assert shown(vetset)["entries"] == {"md5": 10}
    assert vetset(*one_more(many), "--accept").code == 0
    back = vetset(*one_more([]))
    assert back.code == 12
    assert "1900 taken back, 0 new" in back.err
    assert vetset(*one_more(range(100, 1900))).code == 0


def test_another_list_without_ids_is_asked_about_though_its_lines_are_as_many(vetset, tmp_path):
    def plain(name, numbers):
        (tmp_path / name).write_text("".join(f"md5 {digest(number)}\n" for number in numbers))
        return tmp_path / name

    told = ("--name", "known", "--owner", "hotline", *TOLD)
    assert vetset("lists", "add", plain("list.txt", range(3000)), *told).code == 0
    update = ("lists", "update", "known", "--whole", "--as-of", "2026-02-01")
    asked = vetset(*update, plain("other.txt", range(5000, 8000)))
    assert asked.code == 12
    assert "3000 taken back" in asked.err
    assert shown(vetset)["entries"] == {"md5": 3000}
    moved = vetset(*update, plain("moved.txt", [9999, *range(3000)]))
    assert moved.code == 0, moved.err
    assert shown(vetset)["entries"] == {"md5": 3001}


@pytest.mark.parametrize("day", ["2025-12-31", "unknown", "31.12.2026", "2026-13-01"])
@pytest.mark.parametrize("dry", [True, False])
def test_an_update_of_an_older_day_or_none_is_refused(vetset, added, day, dry):
    before = shown(vetset)
    ended = vetset("lists", "update", "known", added, "--whole", "--as-of", day, *["--dry-run"] * dry)
    assert ended.code == 12
    assert "older" in ended.err or "has no date" in ended.err or "is not a date" in ended.err
    assert shown(vetset) == before


@pytest.mark.parametrize("day", ["9999-12-31", "2206-01-31", str(datetime.now(UTC).date() + timedelta(days=3))])
def test_a_date_that_is_yet_to_come_is_refused(vetset, added, day):
    before = vetset("lists", "show", "--json").out
    told = ("--name", "other", "--owner", "hotline", *TOLD)
    for ended in (
        vetset("lists", "add", added, *told, "--as-of", day),
        vetset("lists", "update", "known", added, "--whole", "--as-of", day),
        vetset("lists", "update", "known", added, "--as-of", day, "--dry-run"),
    ):
        assert ended.code == 12
        assert "yet to come" in ended.err
    assert vetset("lists", "show", "--json").out == before


def test_a_list_may_be_of_what_is_today_somewhere(vetset, added):
    day = str(datetime.now(UTC).date() + timedelta(days=1))
    assert vetset("lists", "update", "known", added, "--whole", "--as-of", day).code == 0
    assert shown(vetset)["as_of"] == day


def test_the_first_day_of_all_is_a_day(vetset, added):
    told = ("--name", "old", "--owner", "hotline", *TOLD, "--as-of", "0001-01-01")
    assert vetset("lists", "add", added, *told).code == 0
    fewer = table(added.parent / "fewer.csv", range(5))
    assert vetset("lists", "update", "old", fewer, "--whole", "--as-of", "0001-01-01").code == 0
    assert shown(vetset, "old")["entries"] == {"md5": 5}


@pytest.mark.parametrize(
    ("moment", "stands"), [("2026-06-10T08:00:00+09:00", True), ("2026-06-09T23:00:00+14:00", False)]
)
def test_what_is_said_on_the_day_of_a_whole_list_that_left_it_out_holds_wherever_that_was(
    vetset, added, tmp_path, moment, stands
):
    fewer = table(tmp_path / "fewer.csv", range(9))
    assert vetset("lists", "update", "known", fewer, "--whole", "--as-of", "2026-06-10").code == 0
    again = tmp_path / "again.csv"
    again.write_text(f"id,md5,updated\nitem-9,{digest(9)},{moment}\n")
    assert vetset("lists", "update", "known", again, "--as-of", "2026-06-10").code == 0
    assert shown(vetset)["entries"] == {"md5": 9 + stands}


def test_what_is_said_of_a_list_is_checked_before_its_file_is_read(vetset, tmp_path):
    told = ("--name", "known", "--owner", "hotline", *TOLD, "--expires", "tomorrow")
    ended = vetset("lists", "add", table(tmp_path / "list.csv", [1], header="id,what"), *told)
    assert ended.code == 12
    assert "expires is not a date" in ended.err


def test_an_export_that_was_cut_off_is_mended_by_the_next(vetset, tmp_path):
    def dated(name, numbers):
        lines = [f"item-{number},{digest(number)},2026-01-01" for number in numbers]
        (tmp_path / name).write_text("\n".join(["id,md5,updated", *lines]) + "\n")
        return tmp_path / name

    whole, cut = dated("whole.csv", range(10)), dated("cut.csv", range(6))
    told = ("--name", "known", "--owner", "hotline", *TOLD, "--as-of", "2026-01-02")
    assert vetset("lists", "add", whole, *told).code == 0
    assert vetset("lists", "update", "known", cut, "--whole", "--as-of", "2026-01-03").code == 0
    assert shown(vetset)["entries"] == {"md5": 6}
    ended = vetset("lists", "update", "known", whole, "--whole", "--as-of", "2026-01-04")
    assert "4 new, 0 changed, 0 taken back, 6 unchanged" in ended.out
    assert (shown(vetset)["entries"], shown(vetset)["aside"]) == ({"md5": 10}, {})


def test_the_same_list_again_changes_nothing_and_says_so(vetset, added):
    assert vetset("lists", "quarantine", "known", "item-3", "--reason", "an alarm").code == 0
    before = shown(vetset)
    again = vetset("lists", "add", added, "--name", "known", "--owner", "hotline", *TOLD, "--as-of", "2026-01-01")
    assert again.code == 0, again.err
    assert "0 new, 0 changed, 0 taken back, 10 unchanged" in again.out
    assert shown(vetset) == before
    other = vetset("lists", "add", added, "--name", "known", "--owner", "another", *TOLD)
    assert other.code == 12
    assert "--replace" in other.err


def test_a_list_that_has_expired_is_shown_as_such(vetset, tmp_path):
    file = table(tmp_path / "list.csv", [1])
    told = ("--name", "known", "--owner", "hotline", *TOLD, "--expires", "2020-01-01")
    assert "expired 2020-01-01" in vetset("lists", "add", file, *told).out
    assert "expired 2020-01-01" in vetset("lists", "show").out


def test_other_values_under_the_old_ids_are_asked_about(vetset, tmp_path):
    file = table(tmp_path / "list.csv", range(3000))
    assert vetset("lists", "add", file, "--name", "known", "--owner", "hotline", *TOLD).code == 0
    lines = [f"item-{number},{digest(number + 10_000)}" for number in range(1500)]
    (tmp_path / "delta.csv").write_text("\n".join(["id,md5", *lines]) + "\n")
    asked = vetset("lists", "update", "known", tmp_path / "delta.csv", "--as-of", "2026-02-01")
    assert asked.code == 12
    assert "1500 taken back or with other values" in asked.err
    assert vetset("lists", "update", "known", tmp_path / "delta.csv", "--as-of", "2026-02-01", "--accept").code == 0


def test_entries_are_set_apart_and_released(vetset, added):
    ended = vetset("lists", "quarantine", "known", "item-3", "item-4", "--reason", "an alarm")
    assert ended.code == 0, ended.err
    assert "2 quarantined" in ended.out
    assert shown(vetset)["aside"] == {"quarantined": 2}
    released = vetset("lists", "release", "known", "item-3", "--reason", "looked at by two of us")
    assert released.code == 0, released.err
    assert shown(vetset)["aside"] == {"quarantined": 1}
    told = json.loads(vetset("lists", "decisions", "known", "--json").out)
    assert {(*each["entries"], each["kind"], each["state"], each["reason"]) for each in told} == {
        ("item-3", "md5", "released", "looked at by two of us"), ("item-4", "md5", "quarantined", "an alarm"),
    }  # fmt: skip
    assert vetset("lists", "quarantine", "known", "item-99", "--reason", "x").code == 12
    assert vetset("lists", "quarantine", "known", "item-3", "--reason", " ").code == 2


@pytest.mark.parametrize("how", ["update", "replace"])
def test_what_was_decided_during_an_update_is_not_lost(vetset, added, tmp_path, monkeypatch, how):
    file = table(tmp_path / "whole.csv", range(12))
    read = listing.opinions

    def slow(*given, **told):
        yield from read(*given, **told)
        listing.quarantine_entries("known", ["item-3"], reason="seen meanwhile")

    told = ("add", file, "--name", "known", "--owner", "hotline", *TOLD, "--replace")
    run = (
        ("lists", *told) if how == "replace" else ("lists", "update", "known", file, "--whole", "--as-of", "2026-02-01")
    )
    with monkeypatch.context() as patch:
        patch.setattr(listing, "opinions", slow)
        ended = vetset(*run)
    assert ended.code == 12
    assert "meanwhile" in ended.err
    assert (shown(vetset)["aside"], shown(vetset)["entries"]) == ({"quarantined": 1}, {"md5": 10})
    assert vetset(*run).code == 0
    assert (shown(vetset)["aside"], shown(vetset)["entries"]) == ({"quarantined": 1}, {"md5": 12})


def test_decisions_outlive_a_replacement(vetset, added, tmp_path):
    assert vetset("lists", "quarantine", "known", "item-3", "--reason", "an alarm").code == 0
    file = table(tmp_path / "new.csv", range(2, 6))
    told = ("--name", "known", "--owner", "hotline", *TOLD, "--replace")
    assert vetset("lists", "add", file, *told).code == 0
    assert shown(vetset)["aside"]["quarantined"] == 1


@pytest.mark.parametrize("category", ["child-abuse", "terrorism"])
def test_a_list_of_one_harm_is_not_called_another(vetset, tmp_path, category):
    value = hashlib.sha256(b"made up").hexdigest()
    file = tmp_path / "list.json"
    file.write_text(json.dumps([{
        "signalType": "ImagePDQ", "hashValue": value, "hashStatus": "Active", "lastModtimestamp": 1, "CSPFeedbacks": [],
        "caseNumbers": {},
    }]))  # fmt: skip
    told = ("--name", "known", "--owner", "StopNCII.org", "--licence", "test")
    ended = vetset("lists", "add", file, *told, "--category", category)
    assert ended.code == 12
    assert "intimate-images" in ended.err
    assert value not in ended.err
    for fine in ("intimate-images", "benchmark"):
        assert vetset("lists", "add", file, *told, "--category", fine, "--replace").code == 0
    other = table(tmp_path / "other.csv", range(3))
    assert vetset("lists", "add", other, *told, "--category", category, "--replace").code == 0
    for whole in ((), ("--whole",)):
        ended = vetset("lists", "update", "known", file, "--as-of", "2026-02-01", *whole)
        assert ended.code == 12
        assert "intimate-images" in ended.err


def test_benign_pictures_are_set_apart_in_every_list(vetset, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    image = small.images()[0]
    (pictures / "famous.png").write_bytes(image)
    ended = vetset("lists", "benign", pictures, "--name", "famous")
    assert ended.code == 0, ended.err
    again = tmp_path / "again.jpg"
    Image.open(pictures / "famous.png").convert("RGB").save(again, quality=80)
    file = tmp_path / "list.txt"
    values = [
        f"md5 {hashlib.md5(image).hexdigest()}",
        f"sha1 {hashlib.sha1(b'').hexdigest()}",
        f"pdq {small.pdq(again.read_bytes()).hex()}",
        f"md5 {digest(1)}",
    ]
    file.write_text("\n".join(values) + "\n")
    ended = vetset("lists", "add", file, "--name", "known", "--owner", "hotline", *TOLD)
    assert ended.code == 0, ended.err
    assert shown(vetset)["aside"] == {"quarantined": 3}
    told = vetset("lists", "decisions", "known")
    assert [line.partition(" (")[0].rpartition(" ")[2] for line in told.out.splitlines()] == [
        "line:1", "line:2", "line:3",
    ]  # fmt: skip
    assert all(value.split()[1] not in told.out for value in values)
    assert all(value.split()[1] not in ended.out for value in values)


def test_a_benign_list_is_never_held_against_a_dataset(vetset, ready, roots):
    assert (
        vetset("lists", "add", ready / "known.txt", "--name", "fine", "--category", "benign", "--licence", "x").code
        == 0
    )
    ended = vetset(
        "audit", roots / "webdataset", "--list", "fine", "--seal-to", ready / "keys" / "custodian.pub", "--out",
        ready / "audit",
    )  # fmt: skip
    assert ended.code == 12
    assert "must not match" in ended.err


def test_a_folder_without_pictures_is_no_benign_list(vetset, tmp_path):
    assert vetset("lists", "benign", tmp_path / "nowhere", "--name", "famous").code == 12
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "note.txt").write_text("no picture")
    ended = vetset("lists", "benign", tmp_path / "text", "--name", "famous")
    assert ended.code == 12
    assert "note.txt" in ended.err


def signed(vetset, folder, file, *said, by="owner"):
    """The arguments that prove a file, signed by somebody with what they say of it."""
    if not (folder / "keys" / f"{by}.key").exists():
        assert vetset("keygen", by, "--out", folder / "keys").code == 0
    out = folder / f"{by}-{file.name}.sig"
    said = {"--owner": "A hotline", "--category": "child-abuse", "--as-of": "2026-01-01"} | dict(said)
    ended = vetset(
        "lists", "sign", file, "--key", folder / "keys" / f"{by}.key", "--out", out,
        *(word for pair in said.items() for word in pair if word is not True),
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return "--signature", out, "--signer", folder / "keys" / f"{by}.pub"


def test_a_signed_list_stays_signed(vetset, tmp_path):
    file = table(tmp_path / "list.csv", range(4))
    proof, strange = signed(vetset, tmp_path, file), signed(vetset, tmp_path, file, by="other")
    wrong = vetset("lists", "add", file, "--name", "known", "--licence", "tests", *strange[:2], *proof[2:])
    assert wrong.code == 21
    ended = vetset("lists", "add", file, "--name", "known", "--licence", "tests", *proof)
    assert ended.code == 0, ended.err
    assert shown(vetset)["origin"].startswith("signed:")
    assert shown(vetset)["answered_for"]
    other = table(tmp_path / "more.csv", range(5))
    update = "lists", "update", "known", other, "--whole", "--as-of", "2026-02-01"
    assert vetset(*update).code == 21
    stale = vetset(*update, *proof)
    assert stale.code == 21
    assert "another file" in stale.err
    assert vetset(*update, *signed(vetset, tmp_path, other, ("--as-of", "2026-02-01"))).code == 0
    assert vetset("lists", "add", file, "--name", "two", *TOLD, "--signer", proof[3]).code == 2
    before = shown(vetset)
    for other in ((*TOLD, "--owner", "hotline"), ("--licence", "tests", *strange)):
        assert vetset("lists", "add", file, "--name", "known", *other, "--replace").code == 21
    assert shown(vetset) == before
    assert vetset("lists", "add", file, "--name", "known", "--licence", "tests", *proof, "--replace").code == 0


def test_a_file_that_is_exchanged_while_it_is_read_is_not_the_signed_one(vetset, tmp_path, monkeypatch):
    file, other = table(tmp_path / "list.csv", range(4)), table(tmp_path / "more.csv", range(5))
    proof, read = signed(vetset, tmp_path, file), listing.opinions

    def exchanged(path, **given):
        path.write_bytes(other.read_bytes())
        return read(path, **given)

    monkeypatch.setattr(listing, "opinions", exchanged)
    ended = vetset("lists", "add", file, "--name", "known", "--licence", "tests", *proof)
    assert (ended.code, ended.out) == (21, "")
    assert "another file" in ended.err
    assert json.loads(vetset("lists", "show", "--json").out) == []


def test_a_list_of_a_day_that_is_yet_to_come_is_not_signed(vetset, tmp_path):
    file = table(tmp_path / "list.csv", range(4))
    vetset("keygen", "owner", "--out", tmp_path / "keys")
    told = ("--owner", "hotline", "--category", "child-abuse", "--as-of", "2999-01-31")
    key, out = tmp_path / "keys" / "owner.key", tmp_path / "list.sig"
    ended = vetset("lists", "sign", file, "--key", key, "--out", out, *told)
    assert ended.code == 12
    assert "yet to come" in ended.err
    assert not out.exists()


def test_what_an_owner_signed_is_what_the_list_is(vetset, tmp_path):
    file = table(tmp_path / "list.csv", range(4))
    proof = signed(vetset, tmp_path, file, ("--purpose", "dataset-audit"), ("--expires", "2999-01-31"))
    add = "lists", "add", file, "--name", "known", *proof
    nothing = vetset(*add)
    assert nothing.code == 2
    assert "--licence" in nothing.err
    for said in (
        ("--category", "terrorism"),
        ("--owner", "Another"),
        ("--as-of", "2026-05-01"),
        ("--expires", "2999-02-01"),
    ):
        ended = vetset(*add, "--licence", "tests", *said)
        assert ended.code == 21, said
        assert said[1] in ended.err
    assert vetset("lists", "show", "--json").out.count("known") == 0
    assert vetset(*add, "--licence", "tests", "--owner", "A hotline").code == 0
    found = shown(vetset)
    assert (found["owner"], found["category"], found["as_of"]) == ("A hotline", "child-abuse", "2026-01-01")
    assert (found["purpose"], found["expires"], found["licence"]) == ("dataset-audit", "2999-01-31", "tests")


def test_what_changed_is_not_taken_for_the_whole_list(vetset, tmp_path):
    file = table(tmp_path / "list.csv", range(9))
    assert vetset("lists", "add", file, "--name", "known", "--licence", "t", *signed(vetset, tmp_path, file)).code == 0
    few = table(tmp_path / "few.csv", range(8, 11))
    said = ("--as-of", "2026-02-01"), ("--purpose", "research"), ("--expires", "2999-02-01"), ("--changes", True)
    proof = signed(vetset, tmp_path, few, *said)
    ended = vetset("lists", "update", "known", few, "--whole", *proof)
    assert ended.code == 21
    assert "what changed" in ended.err
    assert vetset("lists", "add", few, "--name", "other", "--licence", "t", *proof).code == 21
    assert vetset("lists", "update", "known", few, *proof).code == 0
    found = shown(vetset)
    assert (found["as_of"], found["purpose"], found["expires"]) == ("2026-02-01", "research", "2999-02-01")
    assert sum(shown(vetset)["entries"].values()) == 11


def test_an_older_list_is_not_passed_off_as_a_newer_one(vetset, tmp_path):
    file, later = table(tmp_path / "list.csv", range(4)), table(tmp_path / "later.csv", range(5))
    first = signed(vetset, tmp_path, file)
    assert vetset("lists", "add", file, "--name", "known", "--licence", "t", *first).code == 0
    proof = signed(vetset, tmp_path, later, ("--as-of", "2026-02-01"))
    assert vetset("lists", "update", "known", later, "--whole", *proof).code == 0
    back = "lists", "update", "known", file, "--whole", *first
    assert vetset(*back).code == 12
    assert vetset(*back, "--as-of", "2026-03-01").code == 21


def test_of_two_signed_lists_of_one_day_the_first_does_not_come_back(vetset, tmp_path):
    file, later = table(tmp_path / "list.csv", range(4)), table(tmp_path / "later.csv", range(5))
    begun = table(tmp_path / "begun.csv", range(3))
    first = signed(vetset, tmp_path, begun)
    assert vetset("lists", "add", begun, "--name", "known", "--licence", "t", *first).code == 0
    earlier, proof = (signed(vetset, tmp_path, one, ("--as-of", "2026-02-01")) for one in (file, later))
    for _ in range(2):  # the same one again changes nothing
        assert vetset("lists", "update", "known", later, "--whole", *proof).code == 0
    back = vetset("lists", "update", "known", file, "--whole", *earlier)
    assert back.code == 12
    assert "of the same day" in back.err
    assert shown(vetset)["entries"] == {"md5": 5}
    more = ("lists", "add", file, "--name", "known", "--licence", "t", *earlier, "--replace")
    assert vetset(*more).code == 0
    assert shown(vetset)["entries"] == {"md5": 4}


def test_nobody_answers_for_a_list_without_owner_and_signature(vetset, tmp_path):
    ended = vetset("lists", "add", table(tmp_path / "list.csv", range(4)), "--name", "stray", *TOLD)
    assert ended.code == 0, ended.err
    assert "nobody answers for it" in ended.out
    assert not shown(vetset, "stray")["answered_for"]


def test_feedback_goes_to_the_owner_alone(vetset, added, tmp_path):
    assert vetset("keygen", "owner", "--out", tmp_path / "keys").code == 0
    out = tmp_path / "feedback.age"
    told = ("--reason", "a famous painting", "--seal-to", tmp_path / "keys" / "owner.pub", "--out", out)
    ended = vetset("lists", "feedback", "known", "item-3", "item-4", *told)
    assert ended.code == 0, ended.err
    assert b"item-3" not in out.read_bytes()
    document = json.loads(unseal(out.read_bytes(), load_private(tmp_path / "keys" / "owner.key")))
    assert (document["list"], document["owner"], document["reason"]) == ("known", "hotline", "a famous painting")
    assert document["entries"] == [{"id": "item-3", "kinds": ["md5"]}, {"id": "item-4", "kinds": ["md5"]}]
    assert digest(3) not in json.dumps(document)
    reading = ("lists", "read-feedback", out, "--key", tmp_path / "keys" / "owner.key")
    ended = vetset(*reading)
    assert (
        ended.out == "list known (owner hotline, as of 2026-01-01): a famous painting\n  item-3 (md5)\n  item-4 (md5)\n"
    )
    assert json.loads(vetset(*reading, "--json").out)["entries"] == document["entries"]
    assert vetset("lists", "feedback", "known", "item-99", *told[:-1], tmp_path / "other").code == 12
    assert vetset("lists", "feedback", "known", "item-3", "--right").code == 2
    assert vetset("lists", "feedback", "known", *told[:-1], tmp_path / "other").code == 2
    assert vetset("lists", "feedback", "known", "item-3", "--reason", "x", "--out", tmp_path / "other").code == 2


def test_what_is_no_feedback_for_this_key_is_not_read(vetset, added, tmp_path):
    keys, out = tmp_path / "keys", tmp_path / "feedback.age"
    for name in ("owner", "other"):
        assert vetset("keygen", name, "--out", keys).code == 0
    told = ("--reason", "a famous painting", "--seal-to", keys / "owner.pub")
    assert vetset("lists", "feedback", "known", "item-3", *told, "--out", out).code == 0
    ended = vetset("lists", "read-feedback", out, "--key", keys / "other.key")
    assert (ended.code, "feedback.age: this key does not open" in ended.err) == (20, True)
    good = {"format": "vetset-list-feedback", "version": 1, "list": "l", "owner": "o", "as_of": "unknown"}
    good |= {"reason": "r", "entries": [{"id": "item-3", "kinds": ["md5"]}]}
    for number, wrong in enumerate(
        (b"Ha1fWord", b"[]", {"version": 2}, {"format": "x"}, {"reason": "a\x1b[2J"}, {"owner": 1}, {"entries": [1]},
         {"entries": [{"id": "a\nb", "kinds": []}]}, {"entries": [{"kinds": []}]}, {"entries": None})
    ):  # fmt: skip
        content = wrong if isinstance(wrong, bytes) else json.dumps(good | wrong).encode()
        file = tmp_path / f"{number}.age"
        file.write_bytes(seal(content, [load_public(keys / "owner.pub")]))
        ended = vetset("lists", "read-feedback", file, "--key", keys / "owner.key")
        assert (ended.code, ended.out) == (22, ""), wrong
        assert "is no feedback" in ended.err
        assert "Ha1fWord" not in ended.err
    assert vetset("lists", "read-feedback", tmp_path / "none", "--key", keys / "owner.key").code == 2


@pytest.mark.parametrize("other", [["--right"], ["--wrong", "guid"], ["--send"], ["--kind", "md5"], ["--reasons"]])
def test_feedback_into_a_file_is_not_taken_for_sent(vetset, added, tmp_path, other):
    assert vetset("keygen", "owner", "--out", tmp_path / "keys").code == 0
    out = tmp_path / "feedback.age"
    told = ("--reason", "a famous painting", "--seal-to", tmp_path / "keys" / "owner.pub", "--out", out)
    ended = vetset("lists", "feedback", "known", "item-3", *told, *other)
    assert ended.code == 2
    assert "to a service or into a file" in ended.err
    assert not out.exists()


def test_feedback_into_a_file_needs_the_file(vetset, added):
    ended = vetset("lists", "feedback", "known", "item-3", "--reason", "a famous painting")
    assert ended.code == 2
    assert "--out FILE" in ended.err


def test_lists_are_compared_in_numbers(vetset, added, tmp_path):
    file = table(tmp_path / "second.csv", range(5, 20))
    assert vetset("lists", "add", file, "--name", "second", "--owner", "other", *TOLD).code == 0
    told = json.loads(vetset("lists", "overlap", "known", "second", "--json").out)
    assert told == {
        "md5": {"distinct": 20, "by_owners": {"1": 15, "2": 5}, "of_one_owner_alone": {"known": 5, "second": 10}}
    }
    same = ("--name", "again", "--owner", " OTHER", *TOLD)
    assert vetset("lists", "add", file, *same).code == 0
    spelled = json.loads(vetset("lists", "overlap", "known", "second", "again", "--json").out)
    assert spelled["md5"]["by_owners"] == {"1": 15, "2": 5}, "two spellings of a name are one owner"
    over = ("--name", "over", "--owner", "y", *TOLD, "--expires", "2026-01-01")
    assert vetset("lists", "add", file, *over).code == 0
    assert "expired" in vetset("lists", "overlap", "known", "over").err
    assert "15 by 1, 5 by 2" in vetset("lists", "overlap", "known", "second").out
    assert vetset("lists", "overlap", "known").code == 2
    harm = ("--category", "terrorism", "--licence", "test", "--owner", "x")
    assert vetset("lists", "add", file, "--name", "third", *harm).code == 0
    ended = vetset("lists", "overlap", "known", "third")
    assert ended.code == 12
    assert "different harms" in ended.err


def test_a_list_is_forgotten(vetset, added):
    assert vetset("lists", "remove", "known").code == 0
    assert json.loads(vetset("lists", "show", "--json").out) == []
    assert vetset("lists", "remove", "known").code == 12


@pytest.mark.parametrize("owner", ["unknown", "Unknown", " UNKNOWN "])
def test_nobody_is_an_owner_however_that_is_spelled(vetset, tmp_path, owner):
    file = table(tmp_path / "list.csv", range(3))
    assert vetset("lists", "add", file, "--name", "known", "--owner", owner, *TOLD).code == 0
    assert shown(vetset)["answered_for"] is False


def test_what_supersedes_a_list_holds_nothing_of_it(vetset, tmp_path):
    told = ("--name", "known", "--owner", "hotline", *TOLD)
    rows = ["id,md5,updated", f"a,{digest(1)},2026-02-01", f"b,{digest(2)},2026-02-01"]
    file = tmp_path / "list.csv"
    file.write_text("\n".join(rows) + "\n")
    assert vetset("lists", "add", file, *told).code == 0
    file.write_text(f"id,md5,updated\na,{digest(3)},2026-01-01\n")
    assert vetset("lists", "add", file, *told, "--replace").code == 0
    right = tmp_path / "right.csv"
    right.write_text(f"id,md5\nx,{digest(3)}\n")
    assert vetset("lists", "add", right, "--name", "right", "--owner", "other", *TOLD).code == 0
    found = json.loads(vetset("lists", "overlap", "known", "right", "--json").out)
    assert found["md5"]["by_owners"] == {"1": 0, "2": 1}
    assert shown(vetset)["aside"] == {}


def test_a_list_of_which_nothing_is_left_is_not_kept(vetset, added, tmp_path):
    before = shown(vetset)
    ended = vetset("lists", "update", "known", delta(tmp_path / "gone.csv", [], range(10)), "--as-of", "2026-02-01")
    assert ended.code == 12
    assert "lists remove" in ended.err
    assert shown(vetset) == before


def test_what_somebody_else_decided_meanwhile_is_not_lost(vetset, added, monkeypatch):
    looked = intake.benign_lists
    others = []

    def meanwhile(vault):
        monkeypatch.setattr(intake, "benign_lists", looked)
        others.append(vetset("lists", "quarantine", "known", "item-5", "--reason", "an alarm").code)
        return looked(vault)

    monkeypatch.setattr(intake, "benign_lists", meanwhile)
    ended = vetset("lists", "quarantine", "known", "item-3", "--reason", "another")
    assert others == [0]
    assert ended.code == 12
    assert "changed by somebody else" in ended.err
    assert shown(vetset)["aside"] == {"quarantined": 1}
    assert vetset("lists", "quarantine", "known", "item-3", "--reason", "another").code == 0
    assert shown(vetset)["aside"] == {"quarantined": 2}
