"""The audit as a whole, in every format, against what the small dataset was built to hold."""

import json
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import older
import small
import vetset
from vetset.case.manifest import read_manifest
from vetset.cli.custody import summary_lines
from vetset.cli.trust import union_lines
from vetset.dataset.formats import detect
from vetset.engine.local import LocalEngine
from vetset.model.dataset import Format
from vetset.model.errors import (
    AlignmentError,
    DatasetError,
    EngineError,
    ListError,
    OutputError,
    PolicyError,
    SealError,
    UsageError,
)
from vetset.model.hashlist import EntryFlag
from vetset.model.policy import ExpandPolicy, MatchPolicy, Policy, ScanPolicy
from vetset.model.signal import Kind, Reason
from vetset.storage.commit import PARTIAL, alone_in
from vetset.store.store import Store

FORMATS = list(Format)
WITH_PICTURES = [Format.WEBDATASET, Format.FOLDER, Format.HUGGINGFACE]


@pytest.mark.parametrize("form", WITH_PICTURES)
def test_every_planted_match_is_found_by_its_kind_of_evidence_and_nothing_else(audit, form):
    expected = {0: {"exact", "perceptual"}, 1: {"exact"}, 3: {"url"}, 20: {"exact"}, 21: {"perceptual"}}
    assert small.found(audit(form=form).findings) == expected


def test_a_metadata_table_matches_by_what_it_states(audit):
    expected = {0: {"exact"}, 1: {"exact"}, 3: {"url"}, 20: {"exact"}}
    assert small.found(audit(form=Format.PARQUET).findings) == expected


@pytest.mark.parametrize("form", WITH_PICTURES)
def test_the_first_round_brings_the_neighbour_of_a_confirmed_record_and_its_copy(audit, form):
    assert small.candidates(audit(form=form).findings) == small.CANDIDATES


@pytest.mark.parametrize("form", FORMATS)
def test_counts_balance_for_every_list_and_kind(audit, form):
    audited = audit(form=form)
    assert audited.findings.status == "complete"
    for tally in audited.findings.tallies:
        assert tally.balanced
        assert tally.records == small.COUNT


@pytest.mark.parametrize("form", FORMATS)
def test_findings_carry_address_and_columns_read_again_and_compared(audit, form):
    for entry in audit(form=form).findings.provenance:
        number = small.number_of(entry.record.key)
        assert entry.checked
        assert entry.url == small.url(number)
        assert small.caption(number) in entry.columns


def test_a_picture_that_changed_since_it_was_scanned_is_sealed_as_unchecked(audit, tmp_path):
    root = tmp_path / "data"
    small.write_folder(root)
    audit(root, embeddings=None, out="first", store=tmp_path / "store")
    path = root / small.dataset_key(0, Format.FOLDER)
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    audited = audit(root, embeddings=None, out="second", store=tmp_path / "store")
    changed = [small.number_of(entry.record.key) for entry in audited.findings.provenance if not entry.checked]
    assert changed == [0]
    assert (audited.summary["changed_since_scan"], audited.summary["not_read_again"]) == (1, 0)
    assert "1 findings could not be read again" in "\n".join(summary_lines(audited.summary))


def test_without_the_dataset_findings_are_not_said_to_have_changed(roots, tmp_path, custodian):
    vetset.scan(roots / "webdataset", store=tmp_path / "store", engine=small.HERE)
    vetset.match(tmp_path / "store", lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "out")
    told = vetset.open_audit(tmp_path / "out", custodian).summary()
    assert (told["changed_since_scan"], told["not_read_again"]) == (0, len(small.MATCHED))
    assert "5 findings carry no address and no columns: the dataset was not at hand" in "\n".join(summary_lines(told))
    assert "could not be read again" not in "\n".join(summary_lines(told))


def test_items_and_records_are_told_apart(audit):
    told = audit().summary["union"]
    (line,) = union_lines(told)
    (union,) = told.values()
    assert line.endswith(f"of {union['distinct_items']} distinct items; {union['confirmed']} records confirmed")


def test_a_second_audit_of_the_same_request_changes_no_byte(audit):
    before = small.tree(audit().out)
    assert small.tree(audit().out) == before


def test_two_audits_of_one_dataset_open_to_the_same_canonical_content(audit):
    assert audit(out="one").findings.digest == audit(out="two").findings.digest


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"policy": Policy(match=MatchPolicy(pdq_radius=30))}, "policy"),
        ({"lists": "second"}, "lists"),
        ({"root": "folder"}, "dataset"),
        ({"embeddings": None}, "embeddings"),
    ],
)
def test_another_request_in_the_same_folder_is_refused(audit, roots, changed, word):
    audit()
    if "lists" in changed:
        changed = {"lists": [small.second()]}
    if "root" in changed:
        changed = {"root": roots / "folder", "embeddings": roots / "folder-embeddings"}
    with pytest.raises(UsageError, match=word):
        audit(**changed)


def test_a_folder_that_holds_something_else_is_refused_untouched(audit, tmp_path):
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "diary.txt").write_text("mine")
    with pytest.raises(OutputError):
        audit()
    assert small.tree(tmp_path / "audit") == {"diary.txt": b"mine"}


def test_a_run_killed_inside_its_first_rename_goes_on(audit, tmp_path):
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "run.json.0badcafe.partial").write_bytes(b"{")
    assert small.found(audit().findings)
    assert not list((tmp_path / "audit").glob("*.partial"))


@pytest.mark.parametrize("inside", ["audit", "deep/er/audit"])
def test_an_output_inside_the_dataset_is_refused(roots, custodian, inside):
    root = roots / "webdataset"
    before = small.tree(root)
    with pytest.raises(UsageError, match="inside the dataset"):
        vetset.audit(root, lists=[small.known()], seal_to=[custodian.public], out=root / inside, engine=small.HERE)
    assert small.tree(root) == before


def test_files_that_belong_to_no_shard_are_counted(audit, tmp_path, custodian):
    root = tmp_path / "data"
    small.write_webdataset(root)
    (root / "README.md").write_text("about")
    (root / "more.zip").write_bytes(b"PK")
    audited = audit(root, embeddings=None)
    assert audited.summary["unclaimed_files"] == 2
    vetset.scan(root, store=tmp_path / "store", engine=small.HERE)
    for store in (audited.out / "store", tmp_path / "store"):
        out = tmp_path / f"matched-{store.parent.name}"
        vetset.match(store, lists=[small.known()], seal_to=[custodian.public], out=out)
        assert vetset.open_audit(out, custodian).summary()["unclaimed_files"] == 2


@pytest.mark.parametrize("begun", [False, True])
def test_a_second_run_touches_nothing_in_the_folder_of_the_first(audit, tmp_path, begun):
    out = tmp_path / "audit"
    if begun:
        audit()
    else:
        out.mkdir()
    (out / f"run.json.1{PARTIAL}").write_text("under way")
    before = small.tree(out)
    with alone_in(out), pytest.raises(UsageError, match="another run is at work"):
        audit()
    assert small.tree(out) == before


def test_the_public_side_is_the_same_with_and_without_findings(audit):
    def public(audited):
        told = older.run_json(audited.out)
        told["request"]["store"] = told["request"]["lists"] = ""
        return told, {name: len(data) for name, data in small.tree(audited.out / "case").items()}

    assert public(audit(out="with")) == public(audit(out="without", lists=[small.stranger()]))


def test_the_store_is_byte_for_byte_the_same_with_and_without_findings(audit):
    def store(audited):
        return {name: data for name, data in small.tree(audited.out / "store").items() if name.startswith("parts")}

    assert store(audit(out="with")) == store(audit(out="without", lists=[small.stranger()]))


def test_a_shard_that_cannot_be_read_leaves_findings_sealed_and_incomplete(audit, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    tar = root / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:5000])
    audited = audit(root, embeddings=None)
    assert audited.findings.status == "incomplete"
    assert {0, 1, 3} <= set(small.found(audited.findings))


def test_a_second_run_of_an_incomplete_audit_still_says_so(roots, tmp_path, custodian):
    root = tmp_path / "data"
    small.write_webdataset(root)
    tar = root / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:5000])
    told = set()
    for _ in range(2):
        result = vetset.audit(
            root, lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "out", engine=small.HERE
        )
        told |= set(result.errors)
    (why,) = told
    assert why.startswith("00001.tar: byte ")
    assert "the archive is truncated. Fetch or build this shard again" in why


class Losing(LocalEngine):
    """Says nothing of the first item."""

    def map(self, task, items):
        yield from list(super().map(task, items))[1:]


def test_an_audit_whose_engine_loses_a_shard_is_not_finished(audit, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(small, "HERE", Losing(0))
        with pytest.raises(EngineError, match="every item"):
            audit()
    assert read_manifest(tmp_path / "audit").state == "running"
    audit()
    assert len(read_manifest(tmp_path / "audit").shards) == 2


def test_an_empty_tar_is_a_shard_of_no_records(audit, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    (root / "00002.tar").write_bytes(bytes(10240))
    audited = audit(root, embeddings=None)
    assert audited.summary["records"] == small.COUNT
    assert audited.summary["shards"] == {"read": 3, "failed": 0}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"root": "nowhere"}, DatasetError),
        ({"dataset_format": "zip"}, UsageError),
        ({"lists": []}, UsageError),
        ({"lists": ["unheard-of"]}, ListError),
        ({"embedder": "sscd"}, UsageError),
        ({"policy": "nowhere.toml"}, PolicyError),
    ],
)
def test_a_bad_request_is_refused_before_anything_is_written(audit, tmp_path, monkeypatch, options, error):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    with pytest.raises(error):
        audit(**options)
    assert not (tmp_path / "audit").exists()


def test_an_expired_list_is_refused(audit):
    expired = replace(small.known(), info=replace(small.known().info, expires="2020-01-01"))
    with pytest.raises(ListError, match="expired"):
        audit(lists=[expired])


def test_nobody_to_seal_to_is_refused(roots, tmp_path):
    with pytest.raises(UsageError, match="nobody to seal"):
        vetset.audit(roots / "webdataset", lists=[small.known()], seal_to=[], out=tmp_path / "out")


class TestTables:
    """LAION-like tables, odd cells and all."""

    @pytest.fixture
    def table(self, tmp_path):
        columns = {
            "URL": [small.url(3), None, small.url(5), small.url(6), small.url(7)],
            "TEXT": ["a", None, "c", "d", "e"],
            "hash": pa.array([int.from_bytes(small.md5(small.images()[1])[:7]), 1, 2, 3, 4], pa.int64()),
            "md5": [None, small.md5(small.images()[1]).hex().upper(), "not a digest", "", "00" * 16],
            "punsafe": pa.array([0.1, None, 0.3, 0.4, 1.0], pa.float32()),
        }
        (tmp_path / "laion").mkdir()
        pq.write_table(pa.table(columns), tmp_path / "laion" / "part-00000.parquet")
        return tmp_path / "laion"

    def test_upper_case_hex_and_addresses_match(self, audit, table):
        findings = audit(table, embeddings=None).findings
        assert {(match.record.row, match.kind) for match in findings.matches} == {(0, Kind.URL_SHA256), (1, Kind.MD5)}

    def test_every_undecided_cell_has_its_reason(self, audit, table):
        coverage = audit(table, embeddings=None).summary["coverage"]
        assert coverage["md5"]["undecided"] == {"malformed_value": 2, "null_value": 1}
        assert coverage["url_sha256"]["undecided"] == {"null_value": 1}
        assert coverage["sha1"]["undecided"] == {"absent_column": 5}
        assert coverage["pdq"]["undecided"] == {"metadata_only": 5}

    def test_the_row_key_called_hash_is_never_matched(self, audit, tmp_path):
        digest = small.md5(small.images()[1])
        (tmp_path / "coyo").mkdir()
        table = pa.table({"url": ["https://pictures.example/x"], "hash": [digest.hex()], "image_phash": [digest.hex()]})
        pq.write_table(table, tmp_path / "coyo" / "a.parquet")
        audited = audit(tmp_path / "coyo", embeddings=None)
        assert audited.findings.matches == ()
        assert audited.summary["coverage"]["md5"]["undecided"] == {"absent_column": 1}

    def test_a_column_under_another_name_is_matched_when_it_is_named(self, audit, tmp_path):
        (tmp_path / "odd").mkdir()
        table = pa.table({"link": ["https://pictures.example/x"], "checksum": [small.md5(small.images()[1])]})
        pq.write_table(table, tmp_path / "odd" / "a.parquet")
        audited = audit(tmp_path / "odd", embeddings=None, columns=vetset.ColumnMapping(url="link", md5="checksum"))
        assert [match.kind for match in audited.findings.matches] == [Kind.MD5]


class TestMatching:
    """Matching by what a dataset declares, and not matching what may not decide."""

    @pytest.fixture
    def declared(self, tmp_path):
        """A sample whose stored bytes were resized: its JSON states the digest of the original."""
        root = tmp_path / "resized"
        root.mkdir()
        document = json.dumps({"url": small.url(1), "md5": small.md5(small.images()[1]).hex()}).encode()
        small.pack([("000000001", {"jpg": small.images()[9], "json": document})], root / "0.tar")
        return root

    def test_a_declared_digest_matches_and_says_that_it_is_one(self, audit, declared):
        (match,) = audit(declared, embeddings=None).findings.matches
        assert (match.kind, match.variant.value) == (Kind.MD5, "declared")

    def test_a_picture_of_low_quality_never_matches_and_is_undecided(self, audit, tmp_path):
        flat = np.full((160, 160, 3), 90, np.uint8)
        flat[70:90, 70:90] = 120
        image = small.encoded(flat)
        pdq = small.vetset.fingerprint(image, kinds=("pdq",), policy=ScanPolicy(min_pdq_quality=0))[0]
        root = tmp_path / "flat"
        root.mkdir()
        (root / "flat.jpg").write_bytes(image)
        audited = audit(root, embeddings=None, lists=[small.hash_list("flat", small.entries(Kind.PDQ, [pdq.value]))])
        assert audited.findings.matches == ()
        assert audited.summary["coverage"]["pdq"]["undecided"] == {"low_quality": 1}

    def test_a_kind_that_was_not_scanned_is_undecided_for_every_record(self, audit):
        policy = Policy(scan=ScanPolicy(kinds=(Kind.SHA256, Kind.MD5)))
        findings = audit(embeddings=None, policy=policy).findings
        tallies = {tally.kind: tally for tally in findings.tallies}
        assert tallies[Kind.PDQ].undecided == {Reason.NOT_SCANNED: small.COUNT}
        assert tallies[Kind.PDQ].not_matched == 0

    def test_a_disputed_entry_matches_but_does_not_seed(self, audit):
        entries = small.entries(Kind.SHA256, [small.sha256(small.images()[0])], flags=[EntryFlag.DISPUTED])
        audited = audit(lists=[small.hash_list("disputed", entries)])
        assert small.found(audited.findings) == {0: {"exact"}}
        assert audited.findings.rounds[0].seeds == ()
        assert audited.findings.candidates == ()

    def test_an_address_alone_never_seeds(self, audit):
        entries = small.entries(Kind.URL_SHA256, [small.sha256(small.url(0).encode())])
        audited = audit(lists=[small.hash_list("addresses", entries)])
        assert small.found(audited.findings) == {0: {"url"}}
        assert audited.findings.rounds[0].seeds == ()

    def test_a_perceptual_match_outside_the_confirming_distance_never_seeds(self, audit):
        code = bytearray(small.pdq(small.images()[0]))
        for bit in range(25):
            code[bit // 8] ^= 1 << bit % 8
        lists = [small.hash_list("far", small.entries(Kind.PDQ, [bytes(code)]))]
        audited = audit(lists=lists)
        assert 0 in small.found(audited.findings)
        assert audited.findings.rounds[0].seeds == ()

    def test_two_lists_are_counted_apart_and_their_union_without_doubles(self, audit):
        other = small.hash_list("other", small.entries(Kind.MD5, [small.md5(small.images()[n]) for n in (0, 9)]))
        summary = audit(lists=[small.known(), other], embeddings=None).summary
        assert {told["name"]: told["matched_records"] for told in summary["lists"]} == {"known": 5, "other": 2}
        assert summary["union"]["benchmark"]["records"] == 6

    def test_a_malformed_digest_is_told_from_an_absent_one(self, audit, tmp_path):
        root = tmp_path / "bare"
        root.mkdir()
        small.pack([("1", {"json": b'{"md5": "zz"}'}), ("2", {"json": b"{}"})], root / "0.tar")
        coverage = audit(root, embeddings=None).summary["coverage"]
        assert coverage["md5"]["undecided"] == {"malformed_value": 1, "no_image": 1}
        assert coverage["sha1"]["undecided"] == {"no_image": 2}


class TestStores:
    """scan and match as two halves, for two parties."""

    def test_scan_then_match_finds_what_audit_finds(self, audit, roots, tmp_path, custodian):
        vetset.scan(roots / "webdataset", store=tmp_path / "store", engine=small.HERE)
        vetset.match(tmp_path / "store", lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "matched")
        matched = vetset.open_audit(tmp_path / "matched", custodian).case.findings
        assert matched.matches == audit(embeddings=None).findings.matches
        assert {entry.url for entry in matched.provenance} == {""}

    def test_a_store_without_a_scan_says_so(self, tmp_path, custodian):
        from vetset.store.store import Store

        Store(tmp_path / "store")
        with pytest.raises(UsageError, match="vetset scan"):
            vetset.match(tmp_path / "store", lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "out")

    def test_another_scan_part_than_the_stores_is_refused(self, roots, tmp_path, custodian):
        vetset.scan(roots / "folder", store=tmp_path / "store", engine=small.HERE)
        policy = Policy(scan=ScanPolicy(min_pdq_quality=60))
        with pytest.raises(PolicyError, match="scan part"):
            vetset.match(
                tmp_path / "store",
                lists=[small.known()],
                seal_to=[custodian.public],
                out=tmp_path / "out",
                policy=policy,
            )

    def test_a_changed_threshold_reads_no_shard_again(self, roots, tmp_path, custodian):
        request = {"lists": [small.known()], "seal_to": [custodian.public], "store": tmp_path / "store"}
        vetset.audit(roots / "webdataset", **request, out=tmp_path / "one", engine=small.HERE)
        policy = Policy(match=MatchPolicy(pdq_radius=20, confirm_distance=10), expand=ExpandPolicy(k=5))
        result = vetset.audit(roots / "webdataset", **request, out=tmp_path / "two", policy=policy, engine=small.HERE)
        assert result.reused == 2


class TestEmbeddingProblems:
    """What is wrong with embeddings stops the audit, but never loses what the lists found."""

    @pytest.fixture
    def broken(self, tmp_path):
        def make(damage):
            folder = tmp_path / "broken"
            small.write_embeddings(folder, Format.WEBDATASET)
            damage(folder)
            return folder

        return make

    def _gap(self, folder):
        for path in folder.glob("*/*_1.*"):
            path.unlink()

    def test_a_gap_in_the_parts_is_named_before_anything_is_read(self, audit, broken, tmp_path):
        with pytest.raises(AlignmentError, match="embedding part 1"):
            audit(embeddings=broken(self._gap))
        assert not (tmp_path / "audit").exists()

    @pytest.mark.parametrize(
        "keys", [["nobody"], ["000000000", "000000000"]], ids=["foreign key", "two rows of one key"]
    )
    def test_a_join_that_is_not_one_to_one_seals_what_the_lists_found(self, audit, tmp_path, custodian, keys):
        folder = tmp_path / "broken"
        small.write_new(folder, 0, small.vectors()[: len(keys)], keys)
        with pytest.raises(AlignmentError, match="embedding part 0") as caught:
            audit(embeddings=folder)
        assert caught.value.exit_code == 11
        findings = vetset.open_audit(tmp_path / "audit", custodian).case.findings
        assert findings.status == "incomplete"
        assert set(small.found(findings)) == small.MATCHED

    def test_a_damaged_metadata_table_seals_what_the_lists_found(self, audit, tmp_path, custodian):
        folder = tmp_path / "broken"
        small.write_new(folder, 0, small.vectors(), [small.key(n) for n in range(small.COUNT)])
        path = folder / "metadata" / "metadata_0.parquet"
        start = pq.read_metadata(path).row_group(0).column(1).dictionary_page_offset
        data = bytearray(path.read_bytes())
        data[start : start + 40] = bytes(40)
        path.write_bytes(data)
        with pytest.raises((AlignmentError, DatasetError)):
            audit(embeddings=folder)
        assert set(small.found(vetset.open_audit(tmp_path / "audit", custodian).case.findings)) == small.MATCHED

    def test_with_right_embeddings_the_same_folder_ends_well(self, audit, tmp_path):
        folder = tmp_path / "broken"
        small.write_new(folder, 0, small.vectors()[:1], ["nobody"])
        with pytest.raises(AlignmentError):
            audit(embeddings=folder)
        audited = audit()
        assert audited.findings.status == "complete"
        assert small.candidates(audited.findings) == small.CANDIDATES

    def test_doubled_keys_in_the_dataset_are_refused(self, audit, tmp_path):
        root = tmp_path / "doubled"
        root.mkdir()
        for shard in range(2):
            small.pack([("same", {"jpg": small.images()[shard]})], root / f"{shard}.tar")
        folder = tmp_path / "embeddings"
        small.write_new(folder, 0, small.vectors()[:1], ["same"])
        with pytest.raises(AlignmentError, match="more than one record"):
            audit(root, embeddings=folder)

    def test_records_without_a_vector_and_vectors_without_direction_are_undecided(self, audit, tmp_path):
        vectors = small.vectors()[: small.COUNT - 2].copy()
        vectors[9], vectors[10] = 0, np.nan
        folder = tmp_path / "embeddings"
        small.write_new(folder, 0, vectors, [small.key(n) for n in range(small.COUNT - 2)])
        coverage = audit(embeddings=folder).summary["coverage"]["embedding"]
        assert coverage == {"records": 24, "decided": 20, "undecided": {"degenerate_vector": 2, "no_embedding": 2}}


def test_one_store_remembers_every_way_in_which_a_dataset_was_scanned(roots, tmp_path):
    place, store = roots / Format.PARQUET.value, tmp_path / "store"
    names = {
        vetset.scan(place, store=store, policy=policy, engine=small.HERE).name
        for policy in (Policy(), Policy(scan=ScanPolicy(min_pdq_quality=60)))
    }
    with Store(store) as opened:
        assert {note.name for note in opened.scans()} == names
    assert len(names) == 2


def test_a_damaged_note_of_a_scan_is_named_so_that_one_of_a_dataset_that_is_no_more_can_be_removed(
    roots, tmp_path, custodian
):
    notes = [
        vetset.scan(roots / form, store=tmp_path / "store", engine=small.HERE) for form in ("webdataset", "parquet")
    ]
    damaged = tmp_path / "store" / "scans" / f"{notes[0].name}.json"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    about = {"lists": [small.known()], "seal_to": [custodian.public], "out": tmp_path / "out"}
    with pytest.raises(OutputError, match=re.escape(str(damaged))):
        vetset.match(tmp_path / "store", revision=notes[1].name, **about)
    damaged.unlink()
    assert vetset.match(tmp_path / "store", **about).errors == ()


def test_a_folder_of_pictures_with_embeddings_inside_is_still_a_folder_of_pictures(roots, tmp_path):
    shutil.copytree(roots / Format.FOLDER.value, tmp_path / "d")
    shutil.copytree(roots / f"{Format.FOLDER.value}-embeddings", tmp_path / "d" / "embeddings")
    assert detect(tmp_path / "d") is Format.FOLDER


@pytest.mark.parametrize("lost", ["the part", "the folder"])
def test_a_finished_audit_whose_case_is_gone_is_sealed_again_from_the_store(audit, monkeypatch, lost):
    audited = audit()
    before, findings = small.tree(audited.out), audited.findings
    if lost == "the folder":
        shutil.rmtree(audited.out / "case")
    else:
        (audited.out / "case" / "000001.age").unlink()
    with pytest.raises(SealError, match="run the audit again"):
        vetset.open_audit(audited.out, audited.key)
    for command in (vetset.order, vetset.attest):
        with pytest.raises(SealError, match="no sealed bundle"):
            command(audited.out, audited.key, out=audited.out / "signed")
    monkeypatch.setattr("vetset.stage.scan.scan_shard", None)  # nothing is read again
    audit()
    assert audited.findings == findings
    after = small.tree(audited.out)
    assert {name: data for name, data in after.items() if name != "case/000001.age"} == {
        name: data for name, data in before.items() if name != "case/000001.age"
    }
    audit()
    assert small.tree(audited.out) == after


def test_a_matched_store_whose_case_is_gone_is_sealed_again(roots, custodian, tmp_path):
    vetset.scan(roots / "webdataset", store=tmp_path / "store", engine=small.HERE)
    request = {"lists": [small.known()], "seal_to": [custodian.public], "out": tmp_path / "out"}
    vetset.match(tmp_path / "store", **request)
    shutil.rmtree(tmp_path / "out" / "case")
    vetset.match(tmp_path / "store", **request)
    assert set(small.found(vetset.open_audit(tmp_path / "out", custodian).case.findings)) == small.MATCHED


def test_an_audit_whose_rechecks_are_gone_with_its_case_is_not_sealed_again(audit):
    audited = audit(embeddings=None)
    vetset.recheck(audited.out, lists=[small.second()])
    (audited.out / "case" / "000002.age").rename(audited.out / "a copy")
    for lists in (None, [small.second()]):
        with pytest.raises(SealError, match="Restore"):
            vetset.recheck(audited.out, lists=[small.known()] if lists is None else lists)
    with pytest.raises(SealError, match="another folder"):
        audit(embeddings=None)
    shutil.rmtree(audited.out / "case")
    with pytest.raises(SealError, match="another folder"):
        audit(embeddings=None)
    assert not (audited.out / "case").exists()


def test_nothing_is_rechecked_behind_a_first_part_that_is_gone(audit, tmp_path):
    audited = audit(embeddings=None)
    (audited.out / "case" / "000001.age").rename(tmp_path / "copy")
    before = small.tree(audited.out)
    with pytest.raises(SealError, match="missing") as caught:
        vetset.recheck(audited.out, lists=[small.second()])
    assert (caught.value.exit_code, caught.value.where) == (22, "case")
    assert small.tree(audited.out) == before
    (tmp_path / "copy").rename(audited.out / "case" / "000001.age")
    vetset.recheck(audited.out, lists=[small.second()])
    assert set(small.found(audited.findings)) == {*small.MATCHED, 5, 22}
