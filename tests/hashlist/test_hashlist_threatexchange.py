"""ThreatExchange's files of signals and updates as opinions."""

import base64
from collections import Counter
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from importer_contract import ImporterContract, rows_of
from json_entries import SECONDS, SECRET, descriptor, digits, lines, listed, row, update

from vetset.hashlist.entry_names import entry_name
from vetset.hashlist.files import documents
from vetset.hashlist.opinions import Note
from vetset.hashlist.owners import threatexchange
from vetset.hashlist.owners.threatexchange import read_signals, read_updates
from vetset.model.errors import ListError
from vetset.model.signal import Kind

UNCONFIRMED = int(Note.UNCONFIRMED)


def signal(kind, seed, count):
    value = digits(seed, count)
    return row(entry_name(SECRET, Kind(kind), bytes.fromhex(value)), kind, value)


def standing(seed, kind="pdq", count=64, **cells):
    told = {"updated": datetime.fromtimestamp(SECONDS + seed, UTC), "category": "made-up-tag", "member": "1001"}
    return row(str(seed), kind, digits(seed, count), **told | cells)


def gone(seed):
    return row(str(seed), None, None, updated=datetime.fromtimestamp(SECONDS + seed, UTC))


def rows(*entries, unsupported=None):
    counter = Counter() if unsupported is None else unsupported
    take = partial(threatexchange._take, unsupported=counter)
    return rows_of(documents.opinions(enumerate(entries, 1), take, "document", "indicators", lost=counter))


def told(*descriptors):
    return {"data": list(descriptors)}


class TestSignals(ImporterContract):
    by_lines = True
    secrets = (digits(1, 64), digits(1, 64)[:20], digits(2, 32), "Ha1fWord")

    def importer(self, path):
        return read_signals(path, SECRET, Counter())

    def documents(self):
        text = (
            f"# made up\npdq {digits(1, 64)}\n\nvideo_md5 {digits(2, 32)}\r\nmd5  {digits(3, 32).upper()}\n"
            f"url https://a.example/b c\nsha256\t{digits(4, 64)}\n"
        )
        found = [signal("pdq", 1, 64), signal("md5", 3, 32), signal("sha256", 4, 64)]
        return {"text": (text.encode(), found)}

    def test_a_document_that_was_cut_anywhere_is_refused(self, imported, caplog, capfd):
        # a value that was cut is refused; a signal that is not kept has no form, so that a cut in it is not seen
        document = f"pdq {digits(1, 64)}\nmd5 {digits(2, 32)}\n".encode()
        given_rows = [signal("pdq", 1, 64), signal("md5", 2, 32)]
        self.documents = lambda: {"text": (document, given_rows)}
        super().test_a_document_that_was_cut_anywhere_is_refused(imported, caplog, capfd)

    def refused(self):
        wrong = {
            "nothing": "", "comments": "# a\n\n", "films alone": f"video_md5 {digits(2, 32)}\n",
            "bare": f"{digits(1, 64)}\n", "type": f"Ha1fWord {digits(1, 64)}\n", "upper": f"PDQ {digits(1, 64)}\n",
            "order": f"{digits(1, 64)} pdq\n", "short": f"pdq {digits(1, 64)[:-1]}\n",
            "table": f"pdq,{digits(1, 64)}\n",
            "letters": f"pdq g{digits(1, 64)[1:]}\n", "three": f"pdq {digits(1, 64)} x\n", "no value": "pdq\n",
            "letter": f"pdq é{digits(1, 64)[1:]}\n", "second": f"pdq {digits(1, 64)}\nmd5 {digits(1, 64)}\n",
        }  # fmt: skip
        return {name: text.encode() for name, text in wrong.items()}

    def many(self, values):
        for start in range(0, values, 1000):
            yield "".join(f"pdq {digits(seed, 64)}\n" for seed in range(start, start + 1000)).encode()


def test_bare_values_are_of_the_stated_type(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(f"{digits(1, 64)}\n# made up\n{digits(2, 64)}\n")
    assert rows_of(read_signals(path, SECRET, Counter(), signal_type="pdq")) == [
        signal("pdq", 1, 64),
        signal("pdq", 2, 64),
    ]
    for wrong in ("video_md5", "url", "url_md5", "embedding", "PDQ", ""):
        with pytest.raises(ListError, match="not of pictures"):
            read_signals(path, SECRET, Counter(), signal_type=wrong)
    path.write_text(f"pdq {digits(1, 64)}\n")
    with pytest.raises(ListError, match="line 1: 2 words"):
        list(read_signals(path, SECRET, Counter(), signal_type="pdq"))


def test_signals_that_are_not_kept_are_counted_by_type(tmp_path):
    path, unsupported = tmp_path / "x.txt", Counter()
    others = f"video_md5 {digits(1, 32)}\nurl https://a.example\nraw_text two words\nurl x\nurl_md5 {digits(1, 32)}\n"
    path.write_text(f"{others}pdq {digits(1, 64)}\n")
    assert len(rows_of(read_signals(path, SECRET, unsupported))) == 1
    assert unsupported == {"video_md5": 1, "url": 2, "raw_text": 1, "url_md5": 1}


def test_photodna_signals_are_kept(tmp_path):
    path = tmp_path / "x.txt"
    value = bytes.fromhex(digits(1, 288))
    path.write_text(f"photodna {base64.b64encode(value).decode()}\nphotodna {value[::-1].hex()}\n")
    assert [row["value"] for row in rows_of(read_signals(path, SECRET, Counter()))] == [value, value[::-1]]


class TestUpdates(ImporterContract):
    suffix = ".json"
    by_lines = True
    secrets = (digits(1, 64), digits(1, 64)[:20], digits(2, 64), "Ha1fWord", "1001", "made-up-tag", "555|aSdF123GhK")

    def importer(self, path):
        return read_updates(path, Counter())

    def documents(self):
        entries = [
            update(1), update(2, should_delete=True), update(3, type="URI", indicator="https://a.example"),
            update(4, type="HASH_MD5", indicator=digits(4, 32)),
        ]  # fmt: skip
        found = [standing(1), gone(2), gone(3), standing(4, "md5", 32)]
        page = {"data": entries, "paging": {"cursors": {"after": "555|aSdF123GhK"}}}
        return {"list": (listed(entries), found), "lines": (lines(entries), found), "page": (listed(page), found)}

    def refused(self):
        good = update(1)
        wrong = {
            "nothing": [],
            "addresses alone": [update(1, type="URI")],
            "short": [update(1, indicator=digits(1, 64)[:-1])],
            "of another type": [update(1, type="HASH_SHA1")],
            "number": [update(1, indicator=1)],
            "id": [update(1, id=digits(1, 64))],
            "no id": [{key: good[key] for key in good if key != "id"}],
            "flag": [update(1, should_delete="False")],
            "time": [update(1, last_updated="2020-07-02T21:08:31")],
            "time beyond all days": [update(1, last_updated="0001-01-01T00:00:00+14:00")],
            "word as a time": [update(1, last_updated="Ha1fWord")],
            "status": [update(1, descriptors=told(descriptor(1, status="Ha1fWord")))],
            "owner": [update(1, descriptors=told(descriptor(1, owner="Ha1fWord")))],
            "owner as a text": [update(1, descriptors=told({**descriptor(1), "owner": "1001"}))],
            "descriptors": [update(1, descriptors=[descriptor(1)])],
            "descriptor": [update(1, descriptors=told("Ha1fWord"))],
            "tags": [update(1, descriptors=told(descriptor(1, tags="Ha1fWord")))],
            "tag": [update(1, descriptors=told(descriptor(1, tags=[["Ha1fWord"]])))],
            "reaction": [
                update(1, descriptors=told(descriptor(1, reactions=[{"key": "HELPFUL", "value": "Ha1fWord"}])))
            ],
            "reactions": [update(1, descriptors=told(descriptor(1, reactions={"HELPFUL": "1"})))],
            "another field": [update(1, raw_indicator=digits(2, 64))],
            "the second": [good, update(2, indicator="")],
        }
        page = {"data": [good], "paging": {"next": "https://graph.facebook.com/?access_token=555|aSdF123GhK"}}
        return {name: listed(entries) for name, entries in wrong.items()} | {"a page of several": listed(page)}

    def many(self, values):
        for start in range(0, values, 1000):
            yield lines([update(seed) for seed in range(start, start + 1000)])


def test_without_an_opinion_an_indicator_has_left_the_group():
    bare = {key: content for key, content in update(1).items() if key != "descriptors"}
    assert rows(bare) == [gone(1)]
    assert rows(update(1, descriptors=told())) == [gone(1)]
    hidden = {key: content for key, content in descriptor(1).items() if key != "owner"}
    assert rows(update(1, descriptors=told(hidden))) == [gone(1)]


def test_the_status_of_all_members_stands_for_descriptors_that_were_not_asked_for():
    bare = {key: content for key, content in update(1, tags=["b", "a"]).items() if key != "descriptors"}
    for status, cells in {
        "MALICIOUS": {}, "NON_MALICIOUS": {"dispute": 1, "notes": UNCONFIRMED},
        "SUSPICIOUS": {"notes": UNCONFIRMED}, "UNKNOWN": {"notes": UNCONFIRMED},
    }.items():  # fmt: skip
        assert rows({**bare, "status": status}) == [standing(1, member="", category="a,b", **cells)]


def test_the_oldest_that_speaks_for_it_is_the_member_and_the_others_are_counted():
    said = told(
        descriptor(4, "5", "NON_MALICIOUS"), descriptor(3, "4", "MALICIOUS"), descriptor(1, "2", "SUSPICIOUS"),
        descriptor(2, "3", "MALICIOUS", reactions=[
            {"key": "HELPFUL", "value": "6,5"}, {"key": "DISAGREE_WITH_TAGS", "value": "7,6"},
            {"key": "SAW_THIS_TOO", "value": "8"},
        ]),
    )  # fmt: skip
    assert rows(update(1, descriptors=said)) == [standing(1, member="3", agree=2, dispute=2)]


def test_tags_are_the_category_as_far_as_they_fit():
    tags = [f"tag-{number:03}" for number in range(40)]
    found = rows(update(1, descriptors=told(descriptor(1, tags={"data": [{"text": tag} for tag in tags]}))))
    assert found == [standing(1, category=",".join(tags[:25]))]
    assert rows(update(1, descriptors=told(descriptor(1, tags=None)))) == [standing(1, category="")]


def test_films_are_counted_and_taken_back():
    film = told(descriptor(1, tags=["media_type_video"]))
    unsupported = Counter()
    entries = [
        update(1, type="HASH_MD5", indicator=digits(1, 32), descriptors=film), update(2, type="HASH_VIDEO_MD5"),
        update(3, type="SOMETHING"), update(4, type="HASH_PDQ", descriptors=film), update(5, type="HASH_URL_MD5"),
    ]  # fmt: skip
    found = rows(*entries, unsupported=unsupported)
    assert found == [gone(1), gone(2), gone(3), standing(4, category="media_type_video"), gone(5)]
    assert unsupported == {"md5 of film": 1, "HASH_VIDEO_MD5": 1, "other": 1, "HASH_URL_MD5": 1}


def test_times_are_seconds_or_have_a_zone():
    assert rows(update(1, last_updated="2023-11-14T23:13:21+0100")) == [standing(1)]
    assert rows(update(1, last_updated=SECONDS + 1, id=1)) == [standing(1)]


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["MALICIOUS", "NON_MALICIOUS", "UNKNOWN"])), max_size=6))
def test_every_member_is_counted_on_one_side_at_most(opinions):
    said = [descriptor(number, str(owner), status) for number, (owner, status) in enumerate(opinions)]
    found = rows(update(1, descriptors=told(*said)))[0]
    last = {str(owner): status for owner, status in opinions}
    others = {owner: status for owner, status in last.items() if owner != found["member"]}
    assert found["withdrawn"] == (not opinions)
    if opinions:
        assert found["agree"] == list(others.values()).count("MALICIOUS")
        assert found["dispute"] == list(last.values()).count("NON_MALICIOUS")
        assert (found["notes"] == 0) == ("MALICIOUS" in last.values())
