"""PhotoDNA values of lists, all of them made up: in base64 and in hexadecimal, in text, in tables and in the vault."""

import base64
import hashlib

import numpy as np
import pytest

from vetset.hashlist.vault.packing import pack, unpack
from vetset.model.errors import ListError
from vetset.model.hashlist import Category, ListInfo
from vetset.model.signal import Kind

VALUES = [hashlib.shake_256(f"photodna {number}".encode()).digest(144) for number in range(5)]
CODED = [base64.b64encode(value).decode() for value in VALUES]
SHA256 = hashlib.sha256(b"synthetic").hexdigest()


def held(entries):
    column = entries[Kind.PHOTODNA]
    return dict(zip([bytes(row) for row in column.values], [bytes(name) for name in column.ids], strict=True))


FORMS = {
    "base64": CODED,
    "hex": [value.hex() for value in VALUES],
    "upper hex": [value.hex().upper() for value in VALUES],
}


@pytest.mark.parametrize("form", FORMS)
def test_texts_hold_either_form(parsed, form):
    texts = FORMS[form]
    entries = parsed(f"photodna {texts[0]}\nPhotoDNA {texts[1]}\nsha256 {SHA256}\nphotodna {texts[2]}\n")
    assert held(entries) == {VALUES[0]: b"line:1", VALUES[1]: b"line:2", VALUES[2]: b"line:4"}
    assert len(entries[Kind.SHA256]) == 1
    assert held(parsed(f"{texts[0]}\n{texts[0]}\n", kind=Kind.PHOTODNA)) == {VALUES[0]: b"line:1"}


def test_a_file_has_one_form(parsed):
    with pytest.raises(ListError, match="line 2: photodna with 288 characters: hex"):
        parsed(f"photodna {CODED[0]}\nphotodna {VALUES[1].hex()}\n")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_tables_hold_either_form(parsed, sign, form):
    texts = FORMS[form]
    rows = [f"id{sign}photodna", f"a{sign}{texts[0]}", f"b{sign}{texts[1]}", f'"c"{sign}"{texts[2]}"']
    assert held(parsed("\n".join(rows), "list.csv")) == {VALUES[0]: b"a", VALUES[1]: b"b", VALUES[2]: b"c"}


def test_columns_kind_and_value(parsed):
    assert held(parsed(f"kind,value\nphotodna,{CODED[3]}\nsha256,{SHA256}\n", "list.csv")) == {VALUES[3]: b"line:2"}


FAULTS = {
    "too short": (CODED[0][:-1], "photodna with 191 characters"),
    "padded": (CODED[0][:-1] + "=", "photodna with other characters than those of base64"),
    "of another alphabet": (CODED[0][:9] + "." + CODED[0][10:], "photodna with other characters than those of base64"),
    "the other form": (VALUES[0].hex(), "photodna with 288 characters: hex"),
    "a SHA-256": (SHA256, "photodna with 64 characters"),
}


@pytest.mark.parametrize(("value", "told"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("form", ["text", "table"])
def test_what_is_no_value_is_told_by_its_line_and_not_shown(parsed, value, told, form):
    good = [f"photodna {CODED[1]}", "photodna ", f"photodna {CODED[2]}"]
    lines = [*good[:1], good[1] + value, good[2]]
    text = "\n".join(lines) if form == "text" else "kind,value\n" + "\n".join(line.replace(" ", ",") for line in lines)
    with pytest.raises(ListError) as refusal:
        parsed(text, "list.csv" if form == "table" else "list.txt")
    message = str(refusal.value)
    assert f"line {2 if form == 'text' else 3}: {told}" in message
    assert not any(part in message for part in (value[:12], CODED[1][:12], VALUES[0].hex()[:12]))


def test_values_come_back_out_of_a_packed_list(parsed):
    entries = parsed(f"sha256 {SHA256}\n" + "".join(f"photodna {text}\n" for text in CODED))
    info = ListInfo(name="one", owner="nobody", category=Category.BENCHMARK, licence="none")
    pieces, described = pack(info, entries, bytes(32))
    back, _ = unpack(b"".join(pieces), bytes(32))
    assert described.entries == back.info.entries == {Kind.SHA256: 1, Kind.PHOTODNA: 5}
    np.testing.assert_array_equal(back.entries[Kind.PHOTODNA].values, entries[Kind.PHOTODNA].values)
    assert held(back.entries) == held(entries)
    assert not any(shown in repr(back) for shown in (CODED[0][:12], VALUES[0].hex()[:12], repr(VALUES[0])[2:20]))
