"""StopNCII's entries as opinions."""

import re
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from importer_contract import ImporterContract, rows_of
from json_entries import SECONDS, SECRET, digits, lines, listed, row, stopncii

from vetset.hashlist.bank import Bank
from vetset.hashlist.entry_names import entry_name
from vetset.hashlist.opinions import Note
from vetset.hashlist.owners.stopncii import read_stopncii, stopncii_rows
from vetset.model.errors import ListError
from vetset.model.hashlist import EntryFlag
from vetset.model.signal import Kind

UNCONFIRMED = int(Note.UNCONFIRMED)


def name(seed):
    return entry_name(SECRET, Kind.PDQ, bytes.fromhex(digits(seed, 64)))


def moment(seed):
    return datetime.fromtimestamp(SECONDS + seed, UTC)


def standing(seed, notes=UNCONFIRMED, **cells):
    return row(name(seed), "pdq", digits(seed, 64), updated=moment(seed), notes=notes, **cells)


def gone(seed):
    return row(name(seed), None, None, updated=moment(seed))


def said(*values, source="A"):
    return [{"source": source, "feedbackValue": value, "tags": ["Nude"]} for value in values]


def rows(*entries, unsupported=None):
    counter = Counter() if unsupported is None else unsupported
    return rows_of(stopncii_rows(enumerate(entries, 1), SECRET, counter, "document", service=True))


class TestStopNCII(ImporterContract):
    suffix = ".json"
    by_lines = True
    secrets = (digits(1, 64), digits(1, 64)[:20], digits(2, 64), name(1), "case-1-27664732", "Sourceful", "Ha1fWord")

    def importer(self, path):
        return read_stopncii(path, SECRET, Counter())

    def documents(self):
        entries = [stopncii(1), stopncii(2, hashStatus="Withdrawn"), stopncii(3, signalType="VideoMD5")]
        found = [standing(1), gone(2)]
        page = {"count": 3, "nextPageToken": digits(9, 80), "hasMoreRecords": False, "hashRecords": entries}
        return {
            "list": (listed(entries), found),
            "page": (listed(page), found),
            "lines": (lines(entries), found),
            "pages": (
                lines([{**page, "hasMoreRecords": True}, {**page, "hashRecords": [stopncii(4)]}]),
                [*found, standing(4)],
            ),
        }

    def refused(self):
        good = stopncii(1)
        wrong = {
            "nothing": [],
            "films alone": [stopncii(1, signalType="VideoMD5")],
            "short": [stopncii(1, hashValue=digits(1, 64)[:-1])],
            "letters": [stopncii(1, hashValue="x" + digits(1, 64)[1:])],
            "number": [stopncii(1, hashValue=int(digits(1, 64), 16))],
            "list": [stopncii(1, hashValue=[digits(1, 64)])],
            "status": [stopncii(1, hashStatus="Ha1fWord")],
            "no status": [{key: good[key] for key in good if key != "hashStatus"}],
            "status of a case": [stopncii(1, caseNumbers={"case-1-27664732": "Ha1fWord"})],
            "cases": [stopncii(1, caseNumbers=["case-1-27664732"])],
            "number as a status": [stopncii(1, caseNumbers={"case-1-27664732": 1})],
            "feedback": [stopncii(1, CSPFeedbacks=said("Ha1fWord"))],
            "source": [stopncii(1, CSPFeedbacks=[{"source": 1, "feedbackValue": "Blocked"}])],
            "feedback as a word": [stopncii(1, CSPFeedbacks="Sourceful")],
            "milliseconds": [stopncii(1, lastModtimestamp=SECONDS * 1000)],
            "text as a time": [stopncii(1, lastModtimestamp="1700000000")],
            "no time": [{key: good[key] for key in good if key != "lastModtimestamp"}],
            "another field": [stopncii(1, thumbHash=digits(2, 64))],
            "value in a field": [stopncii(1, comment=digits(2, 64))],
            "the second": [good, stopncii(2, hashValue="")],
            "no object": [good, digits(2, 64)],
        }
        return {name: listed(entries) for name, entries in wrong.items()} | {
            "a page of several": listed({"hasMoreRecords": True, "hashRecords": [good]}),
            "records": listed({"hashRecords": {"a": good}}),
            "twice": listed(good).replace(b'"hashStatus"', b'"signalType": "Text", "hashStatus"'),
        }

    def many(self, values):
        yield b"["
        for start in range(0, values, 1000):
            yield b", " * bool(start) + listed([stopncii(seed) for seed in range(start, start + 1000)])[1:-1]
        yield b"]"


def test_names_are_keyed_and_those_of_the_value_alone():
    value = bytes.fromhex(digits(1, 64))
    assert entry_name(SECRET, Kind.PDQ, value) == "own:2b50df9bb50141b7fc273b9375f143"
    assert len({entry_name(SECRET, Kind.PDQ, value), entry_name(SECRET, Kind.SHA256, value),
                entry_name(bytes(32), Kind.PDQ, value), entry_name(SECRET, Kind.PDQ, value[::-1])}) == 4  # fmt: skip
    with pytest.raises(ValueError, match="32"):
        entry_name(b"short", Kind.PDQ, value)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_names_are_usable_ids(secret, value):
    assert re.fullmatch("own:[0-9a-f]{30}", entry_name(secret, Kind.PDQ, value))


@pytest.mark.parametrize("status", ["Withdrawn", "Deleted"])
def test_withdrawn_hashes_are_taken_back(status):
    assert rows(stopncii(1, hashStatus=status)) == [gone(1)]
    assert rows(stopncii(1, caseNumbers={"a": status, "b": "Withdrawn"})) == [gone(1)]
    assert rows(stopncii(1, caseNumbers={"a": status, "b": "Active"})) == [standing(1)]
    assert rows(stopncii(1, caseNumbers={})) == rows(stopncii(1, caseNumbers=None)) == [standing(1)]


@pytest.mark.parametrize("status", ["Unknown", "Received", "Active"])
def test_other_statuses_stand(status):
    assert rows(stopncii(1, hashStatus=status)) == [standing(1)]


def test_platforms_are_counted_once_and_confirm_by_blocking():
    feedback = [
        *said("Blocked", "Blocked", "NotBlocked"),
        *said("Blocked", source="B"),
        *said("PendingReview", source="C"),
    ]
    assert rows(stopncii(1, CSPFeedbacks=feedback)) == [standing(1, notes=0, agree=2, dispute=1)]
    without = [{"feedbackValue": "Blocked"}, {"feedbackValue": "Blocked", "source": ""}]
    assert rows(stopncii(1, CSPFeedbacks=without)) == [standing(1, notes=0, agree=1)]
    for value in ("Unknown", "None", "QualityUnknown", "PendingReview", "Withdrawn", "Deleted"):
        assert rows(stopncii(1, CSPFeedbacks=said(value))) == [standing(1)]
    assert rows(stopncii(1, CSPFeedbacks=said("NotBlocked"))) == [standing(1, dispute=1)]


def test_other_signals_are_counted_by_type_and_not_read():
    unsupported = Counter()
    entries = [stopncii(seed, signalType=kind, hashValue=None) for seed, kind in
               enumerate(["VideoMD5", "VideoTMK", "Text", "URL", "Unknown", "VideoMD5", "ImageNew"])]  # fmt: skip
    assert rows(*entries, stopncii(9), unsupported=unsupported) == [standing(9)]
    assert unsupported == {"VideoMD5": 2, "VideoTMK": 1, "Text": 1, "URL": 1, "Unknown": 1, "other": 1}
    rows(stopncii(1, signalType="URL", hashStatus="Deleted"), unsupported=unsupported)
    assert unsupported["URL"] == 1


def test_ten_entries_are_named_and_nothing_follows_them(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(lines([stopncii(seed, hashValue="") for seed in range(30)]))
    with pytest.raises(
        ListError, match=r"object 1: hashValue has 0 characters.*object 10: .*; and more objects"
    ) as caught:
        list(read_stopncii(path, SECRET, Counter()))
    assert "object 11" not in str(caught.value)


def test_in_a_bank_they_confirm_nothing_until_a_platform_blocked_one():
    half = ["f" * 32 + "0" * 32, "0" * 32 + "f" * 32]  # of a picture's PDQ, half of the bits are set
    entries = [stopncii(1, hashValue=half[0]), stopncii(2, hashValue=half[1], CSPFeedbacks=said("Blocked"))]
    delivery = stopncii_rows(enumerate(entries, 1), SECRET, Counter(), "x")
    bank, _ = Bank.empty().apply(delivery, full=True)
    found = bank.entries().entries[Kind.PDQ]
    flags = dict(zip([bytes(row).hex() for row in found.values], found.flags.tolist(), strict=True))
    assert flags == {half[0]: EntryFlag.UNVETTED, half[1]: EntryFlag.NONE}
