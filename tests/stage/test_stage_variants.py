"""Variants from the bytes of a dataset to sealed matches: recorded as what they are, counted once, balanced."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import small
from photographs import tiles
from vetset.api.auditing import audit, match, scan
from vetset.api.custody import open_audit
from vetset.api.setup import keygen
from vetset.cli.audit import lines_of, told
from vetset.cli.custody import summary_lines
from vetset.dataset.webdataset import pack
from vetset.engine.local import LocalEngine
from vetset.model.coverage import Drift
from vetset.model.errors import CountError
from vetset.model.finding import confirmed_matches
from vetset.model.policy import Policy, ScanPolicy
from vetset.model.signal import Form, Kind, Reason, Variant
from vetset.signal.pdq import pdq
from vetset.stage.attest import claims
from vetset.stage.match import ListMatcher
from vetset.store.columns import Values, column_of, quality_of, variants_of, why_of
from vetset.store.part import Part, PartWriter
from vetset.store.store import Store

TILES = tiles(200, 14, 31)
EVERY = ScanPolicy(variants=tuple(Form), frames=8).pdq_variants
HERE = LocalEngine(0)


def encoded(picture, form, **options):
    out = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, form, **options)
    return out.getvalue()


def sideways():
    tags = Image.Exif()
    tags[0x0112] = 6
    return encoded(np.ascontiguousarray(np.rot90(TILES[1])), "PNG", exif=tags)


def ghost(number, grey):
    """A picture of which nothing is seen unless it lies on grey ground."""
    picture = Image.new("RGBA", (200, 200), (255 - grey,) * 3)
    picture.putalpha(Image.fromarray(TILES[number]).convert("L"))
    return picture


def on(picture, colour):
    return pdq(np.array(Image.alpha_composite(Image.new("RGBA", picture.size, colour), picture).convert("RGB")))[0]


def animated():
    return encoded(
        TILES[4],
        "WEBP",
        save_all=True,
        append_images=[Image.fromarray(tile) for tile in TILES[5:9]],
        lossless=True,
    )


def cut(number):
    data = encoded(TILES[number], "JPEG", quality=95)
    return data[: int(len(data) * 0.97)]


FILES = {
    "plain": lambda: encoded(TILES[0], "PNG"),
    "sideways": sideways,
    "on-white": lambda: encoded(ghost(2, 255), "PNG"),
    "on-black": lambda: encoded(ghost(3, 0), "PNG"),
    "animated": animated,
    "cut": lambda: cut(9),
    "cut-other": lambda: cut(10),
    "flat": lambda: encoded(np.full((90, 90, 3), 120, np.uint8), "PNG"),
    "broken": lambda: b"\x89PNG\r\n\x1a\n" + bytes(50),
}

LISTED = {
    "plain": (lambda: pdq(TILES[0])[0], Variant.STORED),
    "sideways": (lambda: pdq(TILES[1])[0], Variant.UPRIGHT),
    "on-white": (lambda: on(ghost(2, 255), "white"), Variant.WHITE),
    "on-black": (lambda: on(ghost(3, 0), "black"), Variant.BLACK),
    "animated": (lambda: pdq(TILES[8])[0], Variant.FRAME_2),
    "cut": (lambda: pdq(TILES[9])[0], Variant.PARTIAL),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants") / "dataset"
    folder.mkdir()
    for name, make in FILES.items():
        (folder / f"{name}.png").write_bytes(make())
    return folder


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return keygen("custodian", out=tmp_path_factory.mktemp("keys"))


def audited(dataset, key, out, lists, **policy):
    given = Policy(scan=ScanPolicy(**policy))
    result = audit(dataset, lists=lists, seal_to=[key[0]], out=out, engine=HERE, policy=given)
    return result, open_audit(out, key[1]).case.findings


def the_list(*names):
    values = [LISTED[name][0]() for name in names]
    return small.hash_list("known", small.entries(Kind.PDQ, values, ids=list(names)))


@pytest.fixture(scope="module")
def found(dataset, key, tmp_path_factory):
    return audited(dataset, key, tmp_path_factory.mktemp("audit") / "a", [the_list(*LISTED)])


def test_each_variant_is_found_and_recorded_as_what_it_is(found):
    _, findings = found
    assert {(match.entry, match.record.key.partition(".")[0], match.variant) for match in findings.matches} == {
        (name, name, variant) for name, (_, variant) in LISTED.items()
    }


def test_a_record_is_decided_by_any_variant_but_a_partial_one(found):
    result, _ = found
    coverage = result.manifest.coverage[Kind.PDQ]
    assert (coverage.records, coverage.decided) == (9, 5)
    assert coverage.undecided == {Reason.UNDECODABLE: 1, Reason.TRUNCATED: 2, Reason.LOW_QUALITY: 1}


def test_a_truncated_file_that_matches_is_matched_and_the_sum_still_balances(found):
    result, findings = found
    (tally,) = [tally for tally in findings.tallies if tally.kind is Kind.PDQ]
    assert result.errors == ()
    assert findings.status == "complete"
    assert (tally.matched, tally.matched_partial, tally.not_matched) == (6, 1, 0)
    assert tally.undecided == {Reason.UNDECODABLE: 1, Reason.TRUNCATED: 1, Reason.LOW_QUALITY: 1}


def test_what_is_told_of_a_truncated_file_that_matches_is_what_the_coverage_says(found, key):
    result, findings = found
    opened = open_audit(result.manifest.request.store.removesuffix("/store"), key[1])
    document = opened.summary()
    told = document["lists"][0]["kinds"]["pdq"]
    coverage = document["coverage"]["pdq"]
    undecided = sum(told["undecided"].values())
    assert told["matched"] + told["not_matched"] + undecided == told["records"]
    assert undecided + told["matched_partial"] == sum(coverage["undecided"].values()) == 4
    assert "  pdq        6 matched (1 of them undecided: truncated), 0 not, 3 others undecided of 9" in "\n".join(
        summary_lines(document)
    )
    (line,) = (text for text in claims(findings, result.manifest) if " by pdq" in text)
    assert line.endswith(
        f"over {coverage['decided']} of 9 records by pdq; 4 undecided, of which 1 match by what decodes of a truncated "
        "file"
    )


def test_coverage_and_store_are_the_same_whatever_is_on_the_list(dataset, key, tmp_path, found):
    nothing = small.hash_list("known", small.entries(Kind.PDQ, [bytes(32)]))
    other, findings = audited(dataset, key, tmp_path / "b", [nothing])
    assert findings.matches == ()
    assert other.manifest.coverage == found[0].manifest.coverage
    one, two = (Store(Path(result.manifest.request.store)) for result in (other, found[0]))
    assert one.digest() == two.digest()


def test_without_variants_only_the_stored_picture_is_looked_at(dataset, key, tmp_path):
    result, findings = audited(dataset, key, tmp_path / "c", [the_list(*LISTED)], variants=())
    assert {match.entry for match in findings.matches} == {"plain"}
    assert result.manifest.coverage[Kind.PDQ].decided == 3


def test_a_store_is_matched_elsewhere_with_its_variants(dataset, key, tmp_path, found):
    scan(dataset, store=tmp_path / "store", engine=HERE)
    match(tmp_path / "store", lists=[the_list(*LISTED)], seal_to=[key[0]], out=tmp_path / "d")
    assert open_audit(tmp_path / "d", key[1]).case.findings.matches == found[1].matches


def test_what_decodes_of_a_truncated_file_never_confirms(found):
    _, findings = found
    confirmed = {match.variant for match in confirmed_matches(findings.matches, small.trust("known"))}
    assert confirmed == {variant for _, variant in LISTED.values()} - {Variant.PARTIAL}


# The store, column by column


def test_a_part_has_columns_for_what_the_policy_names_and_no_others(dataset, tmp_path):
    for number, forms in enumerate([(), ("white",), ("frames", "resized512"), tuple(Form)]):
        policy = Policy(scan=ScanPolicy(variants=forms, frames=3))
        note = scan(dataset, store=tmp_path / str(number), engine=HERE, policy=policy)
        store = Store(tmp_path / str(number))
        parts = [Part(store.part_path(shard.part), shard.uri) for shard in note.shards]
        assert {part.variants(Kind.PDQ) for part in parts} == {(Variant.STORED, *policy.scan.pdq_variants)}


def test_a_metadata_table_has_no_columns_for_pictures(tmp_path):
    (tmp_path / "table").mkdir()
    rows = pa.table({"url": ["https://pictures.example/1"], "md5": ["0" * 32]})
    pq.write_table(rows, tmp_path / "table" / "a.parquet")
    note = scan(tmp_path / "table", store=tmp_path / "store", engine=HERE)
    (shard,) = note.shards
    part = Part(Store(tmp_path / "store").part_path(shard.part), shard.uri)
    assert part.variants(Kind.PDQ) == ()
    assert part.coverage(Kind.PDQ).undecided == {Reason.METADATA_ONLY: 1}


@st.composite
def parts(draw):
    """Cells of PDQ of up to 25 records in every variant, out of a small pool, with reasons that fit them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    further = tuple(variant for variant in EVERY if random.random() < 0.5)
    pool = [random.bytes(32) for _ in range(5)]
    rows = draw(st.integers(1, 25))
    chosen = variants_of(Kind.PDQ, further)
    cells = {
        variant: [pool[random.integers(5)] if random.random() < 0.2 else None for _ in range(rows)]
        for variant in chosen
    }
    decides = [any(cells[v][row] is not None for v in chosen if v is not Variant.PARTIAL) for row in range(rows)]
    partial = cells.get(Variant.PARTIAL, [None] * rows)
    other = (Reason.LOW_QUALITY, Reason.UNDECODABLE, Reason.TRUNCATED)
    why = [
        0 if decides[row] else (Reason.TRUNCATED if partial[row] is not None else other[random.integers(3)]).code
        for row in range(rows)
    ]
    listed = [value for value in pool if random.random() < 0.5] + [random.bytes(32)]
    return further, cells, why, decides, listed


def written(store, further, cells, why):
    rows = len(why)
    arrays = [pa.array([f"key {row}" for row in range(rows)])]
    for number, variant in enumerate(variants_of(Kind.PDQ, further)):
        arrays.append(Values.of(cells[variant], 32).to_arrow())
        arrays.append(pa.array([None if value is None else 50 + number for value in cells[variant]], pa.uint8()))
    arrays.append(pa.array(why, pa.uint8()))
    with PartWriter(store, [Kind.PDQ], further) as writer:
        writer.append(arrays)
        writer.commit("part", rows)
    return Part(store.part_path("part"), "shard")


@given(parts())
@settings(max_examples=40, deadline=None)
def test_matches_and_tallies_of_variants_are_those_of_a_linear_scan(tmp_path_factory, content):
    further, cells, why, decides, listed = content
    part = written(Store(tmp_path_factory.mktemp("store")), further, cells, why)
    hash_list = small.hash_list("one", small.entries(Kind.PDQ, listed))
    result = ListMatcher([hash_list], Policy()).shard(part, "a" * 64, len(why))
    expected = {
        (row, variant, 50 + number)
        for number, variant in enumerate(variants_of(Kind.PDQ, further))
        for row, value in enumerate(cells[variant])
        if value in listed
    }
    assert {(match.record.row, match.variant, match.quality) for match in result.matches} == expected
    (tally,), (coverage,) = result.tallies, result.coverage
    matched = {row for row, _, _ in expected}
    assert tally.matched == len(matched)
    assert tally.matched_partial == sum(not decides[row] for row in matched)
    assert coverage.decided == sum(decides)
    tally.check(coverage, "shard")


def test_a_partial_signal_with_another_reason_than_truncated_is_refused_when_it_matches(tmp_path):
    further = (Variant.PARTIAL,)
    cells = {Variant.STORED: [None], Variant.PARTIAL: [bytes(32)]}
    part = written(Store(tmp_path), further, cells, [Reason.UNDECODABLE.code])
    hash_list = small.hash_list("one", small.entries(Kind.PDQ, [bytes(32)]))
    result = ListMatcher([hash_list], Policy()).shard(part, "a" * 64, 1)
    with pytest.raises(CountError):
        result.tallies[0].check(result.coverage[0], "shard")


def test_a_partial_signal_that_is_called_decided_unbalances_the_coverage(tmp_path):
    cells = {Variant.STORED: [None], Variant.PARTIAL: [bytes(32)]}
    assert not written(Store(tmp_path), (Variant.PARTIAL,), cells, [0]).coverage(Kind.PDQ).balanced


def test_names_of_columns_are_distinct():
    names = [name for variant in Variant for name in (column_of(Kind.PDQ, variant), quality_of(variant))]
    assert len({*names, why_of(Kind.PDQ)}) == len(names) + 1


# Stored bytes and declared digests

DECLARED = ["same", "same", "0" * 32, None, "not a digest", "F" * 32]


def packed(folder, declared, *, shards=1):
    """Pictures whose sidecars declare these MD5 digests (None: nothing)."""
    folder.mkdir()
    samples = []
    for number, (tile, value) in enumerate(zip(TILES, declared, strict=False)):
        image = encoded(tile, "PNG")
        stated = hashlib.md5(image).hexdigest() if value == "same" else value
        fields = {} if stated is None else {"md5": stated}
        samples.append((f"{number:05d}", {"png": image, "json": json.dumps(fields).encode()}))
    for number in range(shards):
        pack(samples[number::shards], folder / f"{number:05d}.tar")
    return folder


@pytest.mark.parametrize("shards", [1, 3])
def test_run_json_says_how_many_stored_bytes_are_as_declared(tmp_path, key, shards):
    dataset = packed(tmp_path / "dataset", DECLARED, shards=shards)
    result, _ = audited(dataset, key, tmp_path / "audit", [the_list("plain")])
    expected = {"stored": 6, "agree": 2, "differ": 2, "undeclared": 2}
    assert result.manifest.drift_json()["md5"] == expected
    assert result.manifest.drift_json()["sha256"] == {"stored": 6, "agree": 0, "differ": 0, "undeclared": 6}
    written = json.loads((tmp_path / "audit" / "run.json").read_bytes())
    assert written["drift"]["md5"] == {"kind": "md5", "stored": 6, "agree": 2, "differ": 2}
    assert open_audit(tmp_path / "audit", key[1]).summary()["drift"]["md5"] == expected


def test_drift_is_told_on_the_console_the_same_whatever_is_on_the_list(tmp_path, key):
    dataset = packed(tmp_path / "dataset", DECLARED)
    texts = []
    for number, name in enumerate(("plain", "sideways")):
        result, _ = audited(dataset, key, tmp_path / str(number), [the_list(name)])
        texts.append("\n".join(lines_of(told(result), tmp_path / "audit")))
    assert texts[0] == texts[1]
    assert "md5        stored bytes: 2 as declared, 2 differ, 2 without a declared digest" in texts[0]
    assert "sha256     stored" not in texts[0]


def test_a_table_has_no_stored_bytes_to_compare(tmp_path, key):
    small.write_parquet(tmp_path / "table")
    result, _ = audited(tmp_path / "table", key, tmp_path / "audit", [the_list("plain")])
    assert {tuple(drift.values()) for drift in result.manifest.drift_json().values()} == {(0, 0, 0, 0)}


def test_both_digests_are_matched_where_they_differ(tmp_path, key):
    dataset = packed(tmp_path / "dataset", DECLARED)
    stored = hashlib.md5(encoded(TILES[2], "PNG")).digest()
    hash_list = small.hash_list("known", small.entries(Kind.MD5, [bytes(16), stored]))
    _, findings = audited(dataset, key, tmp_path / "audit", [hash_list])
    assert {(match.record.key, match.variant) for match in findings.matches} == {
        ("00002", Variant.STORED),
        ("00002", Variant.DECLARED),
    }


def test_drift_of_two_kinds_is_not_added():
    with pytest.raises(ValueError, match="cannot be added"):
        Drift(Kind.MD5, 1, 1, 0) + Drift(Kind.SHA1, 1, 1, 0)
