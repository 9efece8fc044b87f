"""PhotoDNA values are content: nothing that an audit says or leaves outside its store and its sealed parts has one."""

import base64
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leak_search import Search, Secret
from test_leak_errors import tar_of

import vetset
from vetset.dataset.columns import ColumnMapping, declared_column
from vetset.dataset.fields import fields_of
from vetset.engine.local import LocalEngine
from vetset.model.errors import VetsetError
from vetset.model.record import Record
from vetset.model.signal import Kind
from vetset.seal.keys import load_private

POLICY = '[scan]\nkinds = ["sha256", "photodna"]\n[match]\nphotodna_radius = 30\n'
VALUES = [np.random.default_rng(number).bytes(144) for number in range(6)]
LISTED = bytes([(VALUES[2][0] + 3) % 256]) + VALUES[2][1:]
"""Of the list, and near a value of the dataset where the byte did not run over."""


def told_in(text):
    """Which values a text tells, whole or in parts, in whatever form."""
    pieces = [
        Secret(f"{n} from {at}", value[at : at + 24]) for n, value in enumerate([*VALUES, LISTED]) for at in (0, 48)
    ]
    return Search(pieces).in_bytes(text if isinstance(text, bytes) else text.encode(), "said")


def texts():
    coded = [base64.b64encode(value).decode() for value in VALUES]
    return [
        coded[0],
        VALUES[1].hex(),
        coded[2],
        coded[3][:-1],
        VALUES[4].hex() + "0",
        coded[5][:100] + "?" + coded[5][101:],
    ]


def pictures(root):
    samples = [(f"{n}.{part}", data) for n, text in enumerate(texts()) for part, data in (
        ("jpg", b"no picture %d" % n), ("json", json.dumps({"photodna": text}).encode()),
    )]  # fmt: skip
    tar_of(root / "0.tar", samples)


def table(root):
    pq.write_table(pa.table({"url": list("abcdef"), "photodna": texts()}), root / "0.parquet")


@pytest.mark.parametrize("write", [pictures, table])
def test_of_an_audit_nothing_outside_store_and_seal_has_a_value(tmp_path, monkeypatch, capfd, write):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    source = tmp_path / "source" / "list.txt"
    source.parent.mkdir()
    source.write_text("".join(f"photodna {base64.b64encode(value).decode()}\n" for value in (LISTED, VALUES[0])))
    (tmp_path / "policy.toml").write_text(POLICY)
    vetset.add_list(source, name="known", owner="o", category="benchmark", licence="l")
    vetset.keygen("custodian", tmp_path / "keys")
    given = {"lists": ["known"], "seal_to": [tmp_path / "keys" / "custodian.pub"], "policy": tmp_path / "policy.toml"}
    store, out = tmp_path / "store", tmp_path / "out"
    result = vetset.audit(tmp_path / "data", out=out, store=store, engine=LocalEngine(0), **given)
    opened = vetset.open_audit(out, load_private(tmp_path / "keys" / "custodian.key"))
    found = {match.record.row for match in opened.case.findings.matches}
    assert found == {0, 2}
    said = repr(result) + repr(opened) + json.dumps(opened.summary()) + "".join(capfd.readouterr())
    assert not told_in(said)
    assert {name for name, _, _ in Search([Secret("value", value) for value in VALUES]).in_folder(store)} == {"value"}
    for folder in (out, tmp_path / "home", tmp_path / "keys"):
        assert not Search([Secret("value", value[:24]) for value in [*VALUES, LISTED]]).in_folder(folder)


@pytest.mark.parametrize("text", texts()[3:])
def test_of_a_malformed_list_no_error_has_a_value(tmp_path, monkeypatch, text):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    for name, content in (
        ("a.txt", f"photodna {text}"),
        ("a.csv", f"id,photodna\nx,{text}"),
        ("b.csv", f"photodna\n{text}"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(VetsetError) as refusal:
            vetset.add_list(tmp_path / name, name="known", owner="o", category="benchmark", licence="l")
        assert not told_in(str(refusal.value) + repr(vars(refusal.value)))


def test_what_holds_values_does_not_show_them():
    fields = fields_of({"photodna": texts()[0]}, ColumnMapping(), "x", with_columns=True)
    assert fields.declared == {Kind.PHOTODNA: VALUES[0]}
    assert not fields.columns
    column = declared_column(pa.array(texts()), Kind.PHOTODNA, "x")
    said = [fields, Record(0, "k", b"", fields), column, vetset.DistanceIndex(column.values)]
    assert not told_in("".join(map(repr, said)))


def test_a_value_that_is_said_would_be_found():
    assert told_in(f"no value: {texts()[2]}")
    assert told_in(repr(vetset.Signal(Kind.PHOTODNA, VALUES[1]).value.hex()))
