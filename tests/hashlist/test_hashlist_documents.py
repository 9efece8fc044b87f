"""JSON of list owners: the same objects in every layout, and nothing that two readers could read in two ways."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vetset.hashlist.files import documents
from vetset.hashlist.files.documents import Malformed
from vetset.model.errors import ListError
from vetset.model.signal import Kind

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
OBJECTS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6)
DIGEST = "0123456789abcdef" * 2


def read(path, data):
    path.write_bytes(data)
    return list(documents.documents_of(path))


LAYOUTS = st.fixed_dictionaries({"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 1])})


@given(OBJECTS, LAYOUTS, st.sampled_from(["\n", " ", "\r\n\t"]), st.booleans())
def test_objects_are_read_in_every_layout(tmp_path_factory, objects, layout, space, marked):
    path = tmp_path_factory.mktemp("json") / "x.json"
    texts = [json.dumps(each, **layout) for each in objects]
    mark = "\ufeff" * marked
    for text in (space.join(texts), f"{space}[{(space + ',').join(texts)}{space}]{space}"):
        try:
            data = (mark + text).encode()
        except UnicodeEncodeError:  # half a pair stands in a text
            assert not layout["ensure_ascii"]
            return
        assert read(path, data) == objects


def test_objects_over_many_blocks_are_read(tmp_path):
    objects = [{"x": "é" * 1_500_000, "n": number} for number in range(3)]
    for data in (json.dumps(objects), "\n".join(json.dumps(each, ensure_ascii=False) for each in objects)):
        assert read(tmp_path / "x", data.encode()) == objects


REFUSED = {
    "twice": b'{"a": 1, "a": 2}',
    "twice within": b'[{"a": {"b": 1, "b": 1}}]',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": 1e999}',
    "long number": b'{"a": ' + b"9" * 5000 + b"}",
    "deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "text": b'"x"',
    "list within": b"[[]]",
    "number": b"[{}, 1]",
    "no comma": b"[{} {}]",
    "comma at the end": b"[{},]",
    "comma first": b"[,{}]",
    "no end": b"[{}",
    "no end after a comma": b"[{},",
    "half": b'{"a": ',
    "more after the list": b"[{}] {}",
    "more after an empty list": b"[] []",
    "single quotes": b"{'a': 1}",
    "no UTF-8": b'{"a": "\xff"}',
    "half a letter": b'{"a": "x"}\xc3',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "gzip": b"\x1f\x8b\x08\x00",
    "NUL": b"\0\0",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_no_strict_json_is_refused(tmp_path, data):
    with pytest.raises(ListError, match="not JSON as it was expected") as caught:
        read(tmp_path / "x.json", data)
    assert "x.json, object" in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_object_beyond_the_cap_is_refused_before_more_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_DOCUMENT", 1 << 20)
    with pytest.raises(ListError, match="more than 1048576 characters"):
        read(tmp_path / "x", b'{"a": "' + b"x" * (16 << 20))


def test_a_file_beyond_the_cap_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_LIST_BYTES", 1 << 20)
    with pytest.raises(ListError, match="too large"):
        read(tmp_path / "x", b"{}\n" * (1 << 19))


def test_pages_hold_entries_and_lone_entries_are_their_own(tmp_path):
    pages = [{"results": [{"n": 1}, {"n": 2}], "next": None}, {"n": 3}, {"results": []}]
    assert list(documents.entries_of(pages, "results", "x")) == [(1, {"n": 1}), (2, {"n": 2}), (3, {"n": 3})]
    for wrong in ({"results": {}}, {"results": None}, {"results": [1]}):
        with pytest.raises(ListError, match=r"list|object"):
            list(documents.entries_of([wrong], "results", "x"))


def test_an_answer_is_one_object_under_a_cap(monkeypatch):
    assert documents.page(b'{"a": 1}', "x") == {"a": 1}
    for data in (b"[]", b'{"a": 1, "a": 1}', b"<html>", b"", b'{"a": NaN}'):
        with pytest.raises(ListError, match="x: an answer"):
            documents.page(data, "x")
    monkeypatch.setattr(documents, "MAX_DOCUMENT", 7)
    with pytest.raises(ListError, match="too large"):
        documents.page(b'{"a": 1}', "x")


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("sha1", None, "sha1"),
        ("new_hash", "", "new_hash"),
        ("link", "https://pictures.example/", "link"),
        ("remark", f"see {DIGEST}", "remark"),
        ("remark", [{"a": [DIGEST]}], "remark"),
        ("remark", {DIGEST: 1}, "remark"),
        ("remark", int(DIGEST, 16), "remark"),
        ("remark", "A" * 43 + "=", "remark"),
        (DIGEST, 1, None),
        ("x" * 40 + "hash", 1, None),
        ("ae" + "c" * 29 + "d", 1, None),
        ("hash_" + "Q" * 26, 1, None),
        ("hash_" + "q" * 22, 1, None),
        ("hash_" + "q" * 21, 1, "hash_" + "q" * 21),
        ("hash\x1b[2J", 1, None),
    ],
)
def test_unknown_fields_that_may_hold_values_are_refused(name, content, shown):
    with pytest.raises(Malformed) as caught:
        documents.check_fields({"id": 1, name: content}, {"id"})
    said = str(caught.value)
    assert said.startswith(f"the field {shown} is" if shown else "a field is")
    assert DIGEST not in said


def test_unknown_fields_that_hold_none_are_passed_over():
    entry = {"id": 1, "remark": "viral, 2024-01-01", "rank": 7, "more": {"a": [None, True, 1.5, "x"]}, "none": None}
    documents.check_fields(entry, {"id"})
    deep = 1
    for _ in range(documents.MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(Malformed, match="nested too deeply"):
        documents.check_fields({"more": deep}, {"id"})


@pytest.mark.parametrize(
    ("read_field", "wrong"),
    [
        (documents.text, [None, 1, "x" * 201, "a\nb", "\ud800", "\x1b[2J"]),
        (documents.flag, [None, 0, 1, "true"]),
        (documents.whole, [None, True, 1.0, -1, 1 << 63, "1"]),
        (documents.seconds, [None, True, -1, "1", 1_700_000_000_000]),
        (documents.objects, [1, "x", {}, [1], [[]]]),
    ],
)
def test_fields_have_their_type_and_no_other(read_field, wrong):
    for content in wrong:
        with pytest.raises(Malformed, match=r"^x is "):
            read_field({"x": content}, "x")


def test_values_are_of_their_kind():
    assert documents.value({"x": DIGEST.upper()}, "x", Kind.MD5) == bytes.fromhex(DIGEST)
    for wrong in (DIGEST[:-1], DIGEST[:-1] + "g", DIGEST[:-2] + " 0", DIGEST[:-1] + "é", DIGEST + "00", None, 1, ""):
        with pytest.raises(Malformed) as caught:
            documents.value({"x": wrong}, "x", Kind.MD5)
        assert DIGEST[:8] not in str(caught.value)
