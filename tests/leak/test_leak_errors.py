"""Datasets that are not as they should be, full of planted secrets: nothing that is said about them repeats one."""

import io
import tarfile
import traceback

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leak_search import Search, Secret

import small_dataset
from vetset.api.auditing import audit
from vetset.api.listing import add_list
from vetset.api.setup import keygen
from vetset.dataset.embeddings.clip_retrieval import write_new
from vetset.engine.local import LocalEngine
from vetset.model.errors import VetsetError

ADDRESS = "https://planted.example/9f8e7d6c5b4a/picture.jpg"
CAPTION = "a caption that is planted here 1a2b3c4d5e"
DIGEST = bytes.fromhex("00f1e2d3c4b5a69788796a5b4c3d2e1f")
SEARCH = Search(
    [
        Secret("address", ADDRESS.encode()),
        Secret("token", b"9f8e7d6c5b4a"),
        Secret("caption", CAPTION.encode()),
        Secret("digest", DIGEST),
    ]
)


def tar_of(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def table_of(path, **columns):
    pq.write_table(pa.table({"url": [ADDRESS] * 3, "caption": [CAPTION] * 3, **columns}), path)


def broken_json(folder):
    text = f'{{"url": "{ADDRESS}", "md5": "{DIGEST.hex()}x", "caption": "{CAPTION}", }}'.encode()
    tar_of(folder / "0.tar", [("a.jpg", b"x"), ("a.json", text), ("b.jpg", b"y"), ("b.json", b"\xff" + text)])


def odd_json(folder):
    text = f'{{"url": ["{ADDRESS}"], "md5": {{"{DIGEST.hex()}": 1}}, "sha256": "{CAPTION}"}}'.encode()
    tar_of(folder / "0.tar", [("a.jpg", b"x"), ("a.json", text)])


def truncated_tar(folder):
    tar_of(folder / "0.tar", [("a.jpg", b"x"), ("a.txt", CAPTION.encode() * 400), ("b.txt", ADDRESS.encode() * 400)])
    data = (folder / "0.tar").read_bytes()
    (folder / "0.tar").write_bytes(data[:9000])


def damaged_header(folder):
    tar_of(folder / "0.tar", [("a.jpg", b"x"), (f"{CAPTION}.jpg", b"y"), ("c.jpg", b"z")])
    data = bytearray((folder / "0.tar").read_bytes())
    data[1024 + 150] ^= 0xFF
    (folder / "0.tar").write_bytes(data)


def damaged_table_beside(folder):
    tar_of(folder / "0.tar", [("a.jpg", b"x")])
    table_of(folder / "0.parquet", key=["a", "b", "c"])
    data = (folder / "0.parquet").read_bytes()
    (folder / "0.parquet").write_bytes(data[:200] + data[240:])


def malformed_digests(folder):
    table_of(folder / "0.parquet", md5=[DIGEST.hex()[:-1], DIGEST.hex() + "0", CAPTION], sha256=[ADDRESS, None, "x"])


def a_key_twice(folder):
    table_of(folder / "0.parquet", md5=[DIGEST.hex()] * 3, key=["one", "one", "two"])


def no_known_column(folder):
    pq.write_table(pa.table({"x": [ADDRESS, CAPTION], "y": [DIGEST, DIGEST]}), folder / "0.parquet")


def truncated_table(folder):
    table_of(folder / "0.parquet", md5=[DIGEST.hex()] * 3)
    data = (folder / "0.parquet").read_bytes()
    (folder / "0.parquet").write_bytes(data[:-20])


def nested_columns(folder):
    table_of(folder / "0.parquet", md5=[[DIGEST.hex()], [CAPTION], None], sha1=[{"a": ADDRESS}] * 3)


DATASETS = [
    broken_json,
    odd_json,
    truncated_tar,
    damaged_header,
    damaged_table_beside,
    malformed_digests,
    a_key_twice,
    no_known_column,
    truncated_table,
    nested_columns,
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    base = tmp_path_factory.mktemp("errors")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VETSET_HOME", str(base / "home"))
        source = small_dataset.write_list(base / "list.txt", [("md5", DIGEST), *small_dataset.unrelated_lines(6)])
        add_list(source, name="known", owner="o", category="benchmark", licence="l")
        keygen("custodian", base / "keys")
        yield base / "keys"


def said_by_audit(dataset, keys, out, **given):
    """All that is said in public of an audit, errors with all their causes included."""
    said = []
    try:
        result = audit(
            dataset, lists=["known"], seal_to=[keys / "custodian.pub"], out=out, engine=LocalEngine(0), **given
        )
        said += result.errors
    except VetsetError as error:
        said += [str(error), repr(vars(error)), "".join(traceback.format_exception_only(error))]
    said += [path.read_text() for path in out.glob("run.json")]
    return "\n".join(said)


@pytest.mark.parametrize("make", DATASETS, ids=lambda make: make.__name__)
def test_of_a_dataset_with(tmp_path, keys, capfd, make):
    """… something wrong with it nothing is repeated, neither in errors nor in what lies in the output folder."""
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    make(dataset)
    said = said_by_audit(dataset, keys, tmp_path / "out")
    assert said
    assert not SEARCH.in_bytes(said.encode(), "said")
    assert not SEARCH.in_bytes("".join(capfd.readouterr()).encode(), "console")
    if (tmp_path / "out").exists():
        found = SEARCH.in_folder(tmp_path / "out")
        assert {name for name, _, _ in found} <= ({"digest"} if make is a_key_twice else set())


def test_of_embeddings_with_foreign_keys_no_key_is_repeated(tmp_path, keys):
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    malformed_digests(dataset)
    vectors = np.ones((2, 4), np.float16)
    write_new(tmp_path / "vectors", 0, vectors, [ADDRESS, CAPTION])
    said = said_by_audit(dataset, keys, tmp_path / "out", embeddings=tmp_path / "vectors")
    assert "embeddings without a record" in said
    assert not SEARCH.in_bytes(said.encode(), "said")


def test_a_secret_that_is_said_would_be_found():
    assert SEARCH.in_bytes(f"could not read {ADDRESS}".encode(), "said")
