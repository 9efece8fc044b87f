"""Tech Against Terrorism's entries as opinions."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from importer_contract import ImporterContract, rows_of
from json_entries import SECONDS, digits, lines, listed, row, techagainst

from vetset.hashlist.owners import techagainst as module
from vetset.hashlist.owners.techagainst import read_techagainst, techagainst_rows


def moment(seed):
    return datetime.fromtimestamp(SECONDS + seed, UTC)


def standing(seed, kind="pdq", count=64, **cells):
    return row(str(seed), kind, digits(seed, count), **{"updated": moment(seed), "category": "islamist", **cells})


def gone(seed):
    return row(str(seed), None, None, updated=moment(seed))


def rows(*entries, unsupported=None):
    counter = Counter() if unsupported is None else unsupported
    return rows_of(techagainst_rows(enumerate(entries, 1), counter, "document", service=True))


class TestTechAgainst(ImporterContract):
    suffix = ".json"
    by_lines = True
    secrets = (digits(1, 64), digits(1, 64)[:20], digits(2, 64), "Ha1fWord", "islamist")

    def importer(self, path):
        return read_techagainst(path, Counter())

    def documents(self):
        entries = [
            techagainst(1),
            techagainst(2, deleted=True),
            techagainst(3, algorithm="MD5", hash_digest=digits(3, 32).upper(), ideology="far-right"),
            techagainst(4, algorithm="MD5", hash_digest=digits(4, 32), file_type="mp4"),
            techagainst(5, algorithm="SHA256", file_type=None, ideology=None),
        ]
        found = [
            standing(1), gone(2), standing(3, "md5", 32, category="far-right"), gone(4),
            standing(5, "sha256", category=""),
        ]  # fmt: skip
        page = {"count": 5, "next": None, "previous": None, "checkpoint": "1704085200,124", "results": entries}
        return {"list": (listed(entries), found), "lines": (lines(entries), found), "page": (listed(page), found)}

    def refused(self):
        good = techagainst(1)
        wrong = {
            "nothing": [],
            "films alone": [techagainst(1, algorithm="TMK")],
            "short": [techagainst(1, hash_digest=digits(1, 64)[:-1])],
            "of another algorithm": [techagainst(1, algorithm="MD5")],
            "letters": [techagainst(1, hash_digest="-" + digits(1, 64)[1:])],
            "no digest": [techagainst(1, hash_digest=None)],
            "text as an id": [techagainst(1, id=digits(1, 64))],
            "negative id": [techagainst(1, id=-1)],
            "true as an id": [techagainst(1, id=True)],
            "text as a flag": [techagainst(1, deleted="false")],
            "no flag": [{key: good[key] for key in good if key != "deleted"}],
            "text as a time": [techagainst(1, updated_on="2024-01-01")],
            "control characters": [techagainst(1, ideology="Ha1fWord\x1b[2J")],
            "algorithm": [techagainst(1, algorithm=["Ha1fWord"])],
            "another field": [techagainst(1, sha1="")],
            "value in a field": [techagainst(1, comment=digits(2, 64))],
            "the second": [good, techagainst(2, hash_digest="")],
        }
        page = {"count": 9, "next": "https://a.example", "checkpoint": "1,1", "results": [good]}
        return {name: listed(entries) for name, entries in wrong.items()} | {"a page of several": listed(page)}

    def many(self, values):
        for start in range(0, values, 1000):
            yield lines([techagainst(seed) for seed in range(start, start + 1000)])


def test_what_is_not_matched_is_counted_and_taken_back():
    unsupported = Counter()
    entries = [
        techagainst(1, algorithm="SHA512"), techagainst(2, algorithm="TMK"), techagainst(3, algorithm="NEW"),
        techagainst(4, algorithm="MD5", file_type="MP4"), techagainst(5, algorithm="SHA256", file_type="video/webm"),
        techagainst(6, algorithm="MD5", file_type=".mp3"), techagainst(7, algorithm="SHA256", file_type="pdf"),
        techagainst(8, algorithm="TMK", deleted=True),
    ]  # fmt: skip
    assert rows(*entries, unsupported=unsupported) == [gone(seed) for seed in range(1, 9)]
    assert unsupported == {
        "SHA512": 1, "TMK": 1, "other": 1, "md5 of film": 1, "sha256 of film": 1, "md5 of sound": 1,
        "sha256 of paper": 1,
    }  # fmt: skip


def test_pictures_and_what_is_not_known_to_be_none_are_kept():
    for seed, file_type in enumerate(["jpg", "image/jpeg", ".PNG", "gif", "", None, "bin"], 1):
        entry = techagainst(seed, algorithm="MD5", hash_digest=digits(seed, 32), file_type=file_type)
        assert rows(entry) == [standing(seed, "md5", 32)]
    assert rows(techagainst(1, file_type="mp4")) == [standing(1)]  # PDQ is of a picture, whatever it was taken from


@pytest.mark.parametrize("word", ["PDNA", "PhotoDNA"])
def test_photodna_is_kept(word):
    assert rows(techagainst(1, algorithm=word, hash_digest=digits(1, 288))) == [standing(1, "photodna", 288)]


def test_file_types_are_of_one_sort():
    sorts = list(module._NO_PICTURE.values())
    assert sum(map(len, sorts)) == len(frozenset().union(*sorts))
