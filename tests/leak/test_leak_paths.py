"""A dataset that only says where its pictures are: the places are nowhere in the clear, and nobody goes there."""

import hashlib
import socket

import pyarrow as pa
import pytest
from leak_search import Search, Secret

import small
import vetset
from vetset.model.signal import Kind, Reason

ADDRESS = "https://planted.example/5d41402abc4b2a76/a-picture.jpg"
LOCAL = "/home/somebody/planted-9b71d224bd62f378/a-picture.jpg"
BESIDE = "planted-name-3785d4f16e9b6f0c.jpg"


@pytest.fixture
def dataset(tmp_path):
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    local = tmp_path / "planted-b1946ac92492d234.jpg"
    local.write_bytes(small.images()[2])
    cells = [
        {"bytes": None, "path": ADDRESS},
        {"bytes": None, "path": LOCAL},
        {"bytes": None, "path": str(local)},
        {"bytes": small.images()[1], "path": BESIDE},
    ]
    table = pa.table({"image": pa.array(cells, image), "caption": ["planted words a3f5c2"] * 4})
    (tmp_path / "data").mkdir()
    with pa.OSFile(str(tmp_path / "data" / "x.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return tmp_path / "data", [ADDRESS, LOCAL, str(local), BESIDE, "planted words a3f5c2"]


def test_places_of_pictures_are_sealed_and_never_opened(dataset, tmp_path, custodian, monkeypatch, capfd):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a place in the data was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    root, secrets = dataset
    known = small.hash_list(
        "known",
        small.entries(Kind.URL_SHA256, [hashlib.sha256(ADDRESS.encode()).digest()]),
        small.entries(Kind.MD5, [small.md5(small.images()[1]), small.md5(small.images()[2])]),
    )
    out = tmp_path / "audit"
    vetset.audit(root, lists=[known], seal_to=[custodian.public], out=out, engine=small.HERE)
    opened = vetset.open_audit(out, custodian)
    # The file of this machine that a path names was not looked at, though a list knows it.
    assert sorted(match.record.row for match in opened.case.findings.matches) == [0, 3]
    assert opened.manifest.coverage[Kind.MD5].undecided == {Reason.NOT_DOWNLOADED: 3}
    sealed = {entry.record.row: entry for entry in opened.case.findings.provenance}
    assert (sealed[0].url, sealed[3].url) == (ADDRESS, "")
    assert BESIDE in sealed[3].columns
    assert all(entry.checked for entry in sealed.values())
    order = vetset.order(out, custodian, out=tmp_path / "order")
    cleaned = vetset.clean(root, order, signer=custodian.public, out=tmp_path / "cleaned", engine=small.HERE)
    statement = vetset.attest(out, custodian, out=tmp_path / "statement")
    search = Search([Secret(f"secret {number}", secret.encode()) for number, secret in enumerate(secrets)])
    assert search.in_folder(out) == set()
    assert search.in_bytes(order.read_bytes() + statement.read_bytes(), "documents") == set()
    assert search.in_bytes("".join(capfd.readouterr()).encode(), "console") == set()
    # The search finds what it is asked for: the survivors of the copy, and not what went.
    left = {name for name, _, _ in search.in_folder(cleaned)}
    assert left == {"secret 1", "secret 2", "secret 4"}
