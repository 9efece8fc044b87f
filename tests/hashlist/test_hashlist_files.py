"""Files of lists by their format, under what every importer must hold."""

import hashlib
from collections import Counter

import pytest
from importer_contract import ImporterContract, rows_of

from vetset.hashlist import formats
from vetset.hashlist.formats import FORMATS, Format, opinions
from vetset.model.errors import ListError
from vetset.model.signal import Kind

MD5 = [hashlib.md5(bytes([number])).digest() for number in range(4)]
SHA1 = hashlib.sha1(b"a").digest()


def row(entry, kind, value, **more):
    bare = {
        "entry": entry, "kind": kind, "value": value, "member": "", "category": "", "updated": None, "notes": 0,
        "sets": "", "quality": None, "agree": 0, "dispute": 0, "withdrawn": kind is None,
    }  # fmt: skip
    return bare | more


class TestText(ImporterContract):
    by_lines = True
    secrets = (MD5[0].hex()[:12], MD5[1].hex()[:12], SHA1.hex()[:12], "a remark")

    def importer(self, path):
        return opinions(path)

    def documents(self):
        return {
            "two kinds": (
                f"md5 {MD5[0].hex()}\nsha1 {SHA1.hex().upper()}\n".encode(),
                [row("line:1", "md5", MD5[0]), row("line:2", "sha1", SHA1)],
            ),
            "without a last end of line": (
                f"md5 {MD5[0].hex()}\nmd5 {MD5[1].hex()}".encode(),
                [row("line:1", "md5", MD5[0]), row("line:2", "md5", MD5[1])],
            ),
        }

    def refused(self):
        return {
            "a remark": f"md5 {MD5[0].hex()} a remark\n".encode(),
            "no kind": f"{MD5[0].hex()}\n".encode(),
            "cut digits": f"md5 {MD5[0].hex()[:-1]}\n".encode(),
            "no digits": f"md5 {MD5[0].hex()[:-1]}g\n".encode(),
            "latin-1": f"md5 {MD5[0].hex()}\n# \u00e4\n".encode("latin-1"),
            "empty": b"",
        }

    def many(self, values):
        for number in range(values):
            yield f"md5 {hashlib.md5(str(number).encode()).hexdigest()}\n".encode()


class TestTable(ImporterContract):
    suffix = ".csv"
    by_lines = True
    secrets = (MD5[0].hex()[:12], MD5[1].hex()[:12], SHA1.hex()[:12], "secret")

    def importer(self, path):
        return opinions(path)

    def documents(self):
        return {
            "values last": (
                f"id,category,deleted,md5,sha1\na,secret,,{MD5[0].hex()},{SHA1.hex()}\nb,,1,,\n".encode(),
                [
                    row("a", "md5", MD5[0], category="secret"),
                    row("a", "sha1", SHA1, category="secret"),
                    row("b", None, None),
                ],
            ),
            "values first": (
                f"md5;category\n{MD5[0].hex()};secret\n{MD5[1].hex()};\n".encode(),
                [row("line:2", "md5", MD5[0], category="secret"), row("line:3", "md5", MD5[1])],
            ),
            "quoted": (
                f'"id","kind","value"\n"a","md5","{MD5[0].hex()}"\n"a","sha1","{SHA1.hex()}"\n'.encode(),
                [row("a", "md5", MD5[0]), row("a", "sha1", SHA1)],
            ),
        }

    def refused(self):
        return {
            "no header": f"{MD5[0].hex()},secret\n".encode(),
            "an unknown column": f"md5,secret\n{MD5[0].hex()},secret\n".encode(),
            "a value too long": f"md5\n{MD5[0].hex()}\n{SHA1.hex()}\n".encode(),
            "an id that is a digest": f"id,md5\n{SHA1.hex()},{MD5[0].hex()}\n".encode(),
            "an id twice": f"id,md5\nsecret,{MD5[0].hex()}\nb,{MD5[1].hex()}\nsecret,{MD5[2].hex()}\n".encode(),
            "no time": f"md5,date\n{MD5[0].hex()},secret\n".encode(),
            "withdrawn without an id": f"md5,deleted\n{MD5[0].hex()},1\n".encode(),
            "no entry": b"id,md5\n",
        }

    def many(self, values):
        yield b"id,md5,category,updated\n"
        for number in range(values):
            yield f"e{number},{hashlib.md5(str(number).encode()).hexdigest()},A{number % 7},2026-01-02\n".encode()


@pytest.fixture
def written(tmp_path):
    """A file with this name and content."""

    def write(name, content):
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


TEXT = f"md5 {MD5[0].hex()}\n"
TABLE = f"id,md5\na,{MD5[0].hex()}\n"


@pytest.mark.parametrize(
    ("name", "content", "entry"),
    [("a.txt", TEXT, "line:1"), ("a", TABLE, "a"), ("a.csv", TABLE, "a"), ("a.TSV", TABLE, "a")],
)
def test_the_format_is_told_by_name_and_first_line(written, name, content, entry):
    assert [each["entry"] for each in rows_of(opinions(written(name, content)))] == [entry]


def test_the_format_may_be_said(written):
    assert len(rows_of(opinions(written("a.dat", TABLE), format="table"))) == 1
    assert len(rows_of(opinions(written("a.csv", TEXT), format="text"))) == 1
    with pytest.raises(ListError, match="columns that are not known"):
        list(opinions(written("a.txt", TEXT), format="table"))
    with pytest.raises(ListError, match=r"no such format of lists; expected one of: table, text"):
        opinions(written("a.txt", TEXT), format="xlsx")


def test_a_format_that_nobody_reads_is_refused(written, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", tuple(each for each in FORMATS if each.name in {"table", "text"}))
    for content in ("<?xml version='1.0'?>\n<a/>", '\n [{"a": 1}]', "{}"):
        with pytest.raises(ListError, match=r"cannot be told.*fits none"):
            opinions(written("list.txt", content))


def test_a_file_that_fits_two_formats_is_refused_until_it_is_said_which(written, monkeypatch):
    other = Format("other", lambda *_: True, lambda *_: iter(()))
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, other))
    with pytest.raises(ListError, match=r"cannot be told.*fits 2"):
        opinions(written("a.txt", TEXT))
    assert list(opinions(written("a.txt", TEXT), format="other")) == []


def test_a_format_is_not_told_what_it_does_not_take(written, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", (Format("other", lambda *_: True, lambda *_: iter(())),))
    with pytest.raises(ListError, match="cannot be told a kind"):
        opinions(written("a.txt", TEXT), kind=Kind.MD5)
    with pytest.raises(ListError, match="has no columns to pass over"):
        opinions(written("a.txt", TEXT), ignore=("a",))


def test_everything_that_is_said_reaches_the_reader(written):
    counted = Counter()
    path = written("a.csv", f"md5;tmk;note\n{MD5[0].hex()};x;y\n")
    assert len(rows_of(opinions(path, ignore=("note",), unsupported=counted))) == 1
    assert counted == {"tmk": 1}
    with pytest.raises(ListError, match="said to hold md5"):
        list(opinions(path, kind=Kind.MD5, ignore=("note",)))
    path = written("b.csv", f"value;note\n{MD5[0].hex()};x\n")
    assert len(rows_of(opinions(path, kind=Kind.MD5, ignore=("note",)))) == 1
