"""The whole way over what the real `datasets` wrote, in each of the three forms in which it keeps rows."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
import vetset
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.signal import Kind, Reason

FIXTURE = Path(__file__).parents[1] / "fixtures" / "huggingface"
FORMS = pytest.mark.parametrize("name", ["parquet", "saved", "cache"])


def rows_of(root):
    """All rows by their id, in order."""
    rows = []
    for path in sorted(root.rglob("*.arrow")):
        rows += pa.ipc.open_stream(path.read_bytes()).read_all().to_pylist()
    for path in sorted(root.rglob("*.parquet")):
        rows += pq.read_table(path, partitioning=None).to_pylist()
    return {row["id"]: row for row in rows}


def known(rows):
    """A list that knows a picture, a view in a list, and an address of a row without a picture."""
    views = [row["views"][0]["bytes"] for row in rows.values() if row["views"]]
    bare = next(row for row in rows.values() if row["image"] is None)
    picture = next(row for row in rows.values() if not row["views"] and row["image"])
    entries = (
        small.entries(Kind.SHA256, [small.sha256(picture["image"]["bytes"])]),
        small.entries(Kind.MD5, [small.md5(views[0])]),
        small.entries(Kind.URL_SHA256, [small.sha256(bare["url"].encode())]),
    )
    gone = {picture["id"], bare["id"]}
    gone |= {row["id"] for row in rows.values() if any(view["bytes"] == views[0] for view in row["views"])}
    return small.hash_list("known", *entries), gone


@FORMS
def test_what_is_known_is_found_cleaned_with_its_row_and_gone(audit, custodian, tmp_path, name):
    root = FIXTURE / name
    rows = rows_of(root)
    hash_list, gone = known(rows)
    audited = audit(root, embeddings=False, lists=[hash_list])
    assert {match.record.key for match in audited.findings.matches} == gone
    assert all(entry.checked for entry in audited.findings.provenance)
    coverage = vetset.open_audit(audited.out, custodian).manifest.coverage[Kind.MD5]
    pictures = sum((row["image"] is not None) + len(row["views"]) for row in rows.values())
    assert (coverage.records, coverage.undecided) == (pictures + 1, {Reason.NO_IMAGE: 1})

    order = vetset.order(audited.out, custodian, out=tmp_path / "order.json")
    cleaned = vetset.clean(root, order, signer=custodian.public, out=tmp_path / "cleaned", engine=small.HERE)
    assert list(rows_of(cleaned).items()) == [(key, row) for key, row in rows.items() if key not in gone]
    again = audit(cleaned, embeddings=False, lists=[hash_list], out="again")
    assert again.findings.matches == ()
    assert again.findings.status == "complete"
    assert json.loads((cleaned / "vetset-revision.json").read_text())["files_not_carried"] == 0


@pytest.mark.parametrize("name", ["saved", "cache"])
def test_what_datasets_needs_to_load_the_revision_is_there(audit, custodian, tmp_path, name):
    root = FIXTURE / name
    hash_list, _ = known(rows_of(root))
    order = vetset.order(audit(root, embeddings=False, lists=[hash_list]).out, custodian, out=tmp_path / "order.json")
    cleaned = vetset.clean(root, order, signer=custodian.public, out=tmp_path / "cleaned", engine=small.HERE)
    before, after = small.tree(root), small.tree(cleaned)
    assert before.keys() == after.keys() - {"vetset-revision.json"}
    for path in sorted(cleaned.rglob("dataset_info.json")):
        told = json.loads(path.read_text())
        assert not {"dataset_size", "download_size", "size_in_bytes", "download_checksums"} & told.keys()
        for split, about in told.get("splits", {}).items():
            rows = pa.ipc.open_stream((path.parent / f"parquet-{split}.arrow").read_bytes()).read_all().num_rows
            assert about == {"name": split, "num_examples": rows, "dataset_name": "parquet"}
        assert told["features"] == json.loads(before[path.relative_to(cleaned).as_posix()])["features"]


@FORMS
def test_an_order_about_nothing_gives_the_same_files(audit, custodian, tmp_path, name):
    audited = audit(FIXTURE / name, embeddings=False, lists=[small.stranger()])
    order = vetset.order(audited.out, custodian, out=tmp_path / "order.json")
    cleaned = vetset.clean(FIXTURE / name, order, signer=custodian.public, out=tmp_path / "cleaned", engine=small.HERE)
    left = small.tree(cleaned)
    del left["vetset-revision.json"]
    assert left == small.tree(FIXTURE / name)


def test_a_keep_list_writes_no_file_of_the_dataset(audit, custodian, tmp_path):
    audited = audit(FIXTURE / "saved", embeddings=False, lists=[small.stranger()])
    order = vetset.order(audited.out, custodian, out=tmp_path / "order.json")
    options = {"signer": custodian.public, "out": tmp_path / "kept", "keep_list": True, "engine": small.HERE}
    kept = vetset.clean(FIXTURE / "saved", order, **options)
    assert set(small.tree(kept)) == {"keep.parquet", "vetset-revision.json"}
    assert len(set(pq.read_table(kept / "keep.parquet")["key"].to_pylist())) == len(rows_of(FIXTURE / "saved"))


def test_a_damaged_description_stops_the_cleaning_and_leaves_nothing(audit, custodian, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(FIXTURE / "saved", root)
    (root / "train" / "state.json").write_text("[]")
    hash_list, _ = known(rows_of(root))
    order = vetset.order(audit(root, embeddings=False, lists=[hash_list]).out, custodian, out=tmp_path / "order.json")
    with pytest.raises(DatasetError, match=r"state\.json: a file that `datasets` needs .* is damaged"):
        vetset.clean(root, order, signer=custodian.public, out=tmp_path / "cleaned", engine=small.HERE)
    assert not (tmp_path / "cleaned").exists()


def test_a_folder_of_tables_with_pictures_is_audited_without_being_named(audit, tmp_path):
    small.write_huggingface(tmp_path / "data")
    audited = audit(tmp_path / "data", embeddings=False)
    assert vetset.open_audit(audited.out, audited.key).manifest.request.format == Format.HUGGINGFACE
    numbers = np.array([small.number_of(match.record.key) for match in audited.findings.matches])
    assert set(numbers.tolist()) == small.MATCHED
