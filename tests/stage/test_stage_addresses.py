"""Records without an address are undecided, also where their column holds a text without any."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
from vetset.model.dataset import Format
from vetset.model.signal import Kind

BLANK = ["", "  ", "\t\n"]
STATED = [*BLANK, small.url(3)]


def write_table(root):
    pq.write_table(pa.table({"url": [*STATED, None]}), root / "x.parquet")


def write_rows(root):
    cells = pa.array([{"bytes": image, "path": None} for image in small.images()[:5]])
    pq.write_table(pa.table({"image": cells, "url": [*STATED, None]}), root / "x.parquet")


def write_folder(root):
    for number, stated in enumerate([*STATED, None]):
        (root / f"{number}.jpg").write_bytes(small.images()[number])
        (root / f"{number}.json").write_text(json.dumps({"url": stated}))


WRITERS = {Format.PARQUET: write_table, Format.HUGGINGFACE: write_rows, Format.FOLDER: write_folder}


@pytest.mark.parametrize("form", WRITERS)
def test_an_empty_address_decides_nothing_and_matches_nothing(audit, tmp_path, form):
    root = tmp_path / "data"
    root.mkdir()
    WRITERS[form](root)
    known = [hashlib.sha256(text.encode()).digest() for text in STATED]
    audited = audit(root, embeddings=None, lists=[small.hash_list("known", small.entries(Kind.URL_SHA256, known))])
    assert {match.record.row for match in audited.findings.matches} == {3}
    for kind in ("url_md5", "url_sha256"):
        counted = audited.summary["coverage"][kind]
        assert (counted["records"], counted["decided"]) == (5, 1)
        assert counted["undecided"]["null_value"] >= len(BLANK)
