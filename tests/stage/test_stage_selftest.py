"""The self-test: each link is broken on purpose, and the audit claims nothing; whole, it says what it was tried on."""

import ctypes
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import older
import small
import vetset
from vetset.case.manifest import read_manifest
from vetset.dataset.columns import ColumnMapping
from vetset.engine.worker import TOO_LONG, apart
from vetset.model.errors import CountError, EngineError, UsageError
from vetset.model.hashlist import Entries
from vetset.model.policy import ScanPolicy
from vetset.model.selftest import ScanTest, Selftest
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Form, Kind, Reason
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex
from vetset.search.nearest import Neighbours
from vetset.signal import canaries as pictures
from vetset.signal import digest, fingerprint
from vetset.stage import canary, hits, pictured, selftest
from vetset.stage.canary import model_faults, scan_test, selftest_of
from vetset.stage.match import Matcher
from vetset.stage.pictured import Asked
from vetset.stage.scan import scan_key
from vetset.stage.space import aligned_space
from vetset.store.store import Scanned

KINDS = (*BYTE_KINDS, *URL_KINDS, Kind.PDQ)
ASKED = Asked(KINDS, ScanPolicy())
SCANNED = "the self-test failed where"


@pytest.fixture(autouse=True)
def untried(monkeypatch):
    """Nothing has passed in this process yet, and what passes or fails here is forgotten afterwards."""
    monkeypatch.setattr(canary, "_passed", {})
    selftest.kernel_faults.cache_clear()
    yield
    selftest.kernel_faults.cache_clear()


# What is broken: a name, how, and what is said of it.


def _wrong_pixels(monkeypatch):
    """A decoder that turns every picture over."""
    for name in ("decode", "decode_picture"):
        inner = getattr(fingerprint, name)

        def decode(data, *given, _inner=inner, **named):
            found = _inner(data, *given, **named)
            if isinstance(found, np.ndarray):
                return np.ascontiguousarray(found[::-1])
            return found if isinstance(found, Reason) else replace(found, pixels=found.pixels[::-1].copy())

        monkeypatch.setattr(fingerprint, name, decode)


def _one_format(monkeypatch):
    """A decoder that hands out 16-bit greys as other builds do: white."""
    inner = fingerprint.decode_picture

    def decode(data, *given, **named):
        found = inner(data, *given, **named)
        grey = data[:4] == b"\x89PNG" and data[24:26] == b"\x10\0"
        return replace(found, pixels=np.full_like(found.pixels, 255)) if grey else found

    monkeypatch.setattr(fingerprint, "decode_picture", decode)


def _an_earlier_picture(monkeypatch):
    """A decoder that hands out the picture before."""
    inner, before = fingerprint.decode_picture, []

    def decode(data, *given, **named):
        found = inner(data, *given, **named)
        if not isinstance(found, Reason):
            before.append(replace(found, pixels=found.pixels.copy()))
            return before[-2:][0]
        return found

    monkeypatch.setattr(fingerprint, "decode_picture", decode)


def _a_bit_of_the_hash(monkeypatch):
    inner = fingerprint.pdq

    def pdq(pixels):
        value, quality = inner(pixels)
        return bytes([value[0] ^ 1]) + value[1:], quality

    monkeypatch.setattr(fingerprint, "pdq", pdq)


def _a_digest(monkeypatch):
    inner = digest.digest
    monkeypatch.setattr(digest, "_IN_LANES", ())
    monkeypatch.setattr(digest, "digest", lambda data, kind: inner(data + b"\0" * (kind is Kind.SHA1), kind))


def _a_lane(monkeypatch):
    def md5_of_each(*texts):
        found = digest.md5_of_each(*texts)
        found[4:5] ^= 1
        return found

    monkeypatch.setitem(digest._OF_EACH, Kind.MD5, md5_of_each)


def _digests_of_addresses(monkeypatch):
    monkeypatch.setattr(canary, "url_digests", lambda *_: np.zeros((1, 16), np.uint8))


def _truncated_taken_for_whole(monkeypatch):
    inner = fingerprint.decode_picture

    def decode(data, *given, **named):
        found = inner(data, *given, **named)
        return inner(small.images()[0], *given, **named) if found is Reason.TRUNCATED else found

    monkeypatch.setattr(fingerprint, "decode_picture", decode)


def _an_upright_form(monkeypatch):
    monkeypatch.setattr("vetset.signal.variants.turned", lambda pixels, _: pixels)


def _a_golden(monkeypatch):
    """What must come out was changed by one bit."""
    first, *rest = pictures.canaries()
    changed = replace(first, digests={**first.digests, Kind.MD5: bytes(16)})
    monkeypatch.setattr(canary, "canaries", lambda: (changed, *rest))


BROKEN_SCANS = {
    "pixels": (_wrong_pixels, "PNG (pdq"),
    "one format": (_one_format, "PNG, grey, 16 bits (pdq)"),
    "an earlier picture": (_an_earlier_picture, "(pdq"),
    "a bit of the hash": (_a_bit_of_the_hash, "PNG (pdq)"),
    "a digest": (_a_digest, "(sha1)"),
    "a lane": (_a_lane, "(md5)"),
    "digests of addresses": (_digests_of_addresses, "digests of addresses (url_md5)"),
    "truncated for whole": (_truncated_taken_for_whole, "PNG that ends early (pdq"),
    "an upright form": (_an_upright_form, "EXIF orientation 6 (upright)"),
    "a golden": (_a_golden, "JPEG, quality 90 (md5)"),
}


@pytest.mark.parametrize("how", BROKEN_SCANS)
def test_a_scan_that_gets_something_wrong_says_what(monkeypatch, how):
    break_it, said = BROKEN_SCANS[how]
    break_it(monkeypatch)
    failed = scan_test(ASKED, pictures=True).failed
    assert any(said in word for word in failed), failed
    assert scan_test(ASKED, pictures=True).failed, "and is not taken for sound the next time"


def test_a_scan_that_gets_all_right_says_how_many_and_is_tried_once(monkeypatch):
    test = scan_test(ASKED, pictures=True)
    assert (test.failed, test.pictures) == ((), len(pictures.canaries()))
    monkeypatch.setattr(canary, "_tested", None)
    assert scan_test(ASKED, pictures=True) == test
    assert test.tools == canary.tools()


def hang_in_the_test(seconds):
    """What a worker does whose decoder hangs on one of the pictures."""
    canary.TEST_SECONDS = seconds
    canary._tested = lambda *_, **__: ctypes.PyDLL(None).pause()
    scan_test(ASKED, pictures=True)


def test_a_worker_whose_decoder_hangs_on_a_picture_is_ended():
    assert apart(hang_in_the_test, 0.2) == TOO_LONG


@pytest.mark.parametrize("forms", [(), tuple(Form)])
def test_a_table_needs_no_picture_and_digests_alone_need_no_decoder(monkeypatch, forms):
    table = scan_test(Asked(KINDS, ScanPolicy(variants=forms)), pictures=False)
    assert (table.pictures, table.failed) == (0, ())
    _wrong_pixels(monkeypatch)
    kinds = (Kind.MD5, Kind.SHA256)
    plain = scan_test(Asked(kinds, ScanPolicy(kinds=kinds, variants=forms)), pictures=True)
    assert (plain.pictures, plain.failed) == (len(pictures.canaries()), ())


def test_a_decoder_that_an_installation_lacks_is_no_fault_but_is_not_counted(monkeypatch):
    monkeypatch.setattr("vetset.signal.canaries.features.check", lambda name: name != "avif")
    test = scan_test(ASKED, pictures=True)
    lacking = sum(one.needs == "avif" for one in pictures.canaries())
    assert lacking > 3
    assert (test.pictures, test.failed) == (len(pictures.canaries()) - lacking, ())


# The audit as a whole.


@pytest.mark.parametrize("how", ["one format", "a bit of the hash", "a golden"])
def test_an_audit_whose_scan_is_broken_seals_what_it_found_and_claims_nothing(audit, monkeypatch, tmp_path, how):
    break_it, said = BROKEN_SCANS[how]
    break_it(monkeypatch)
    audited = audit(embeddings=None)
    result = vetset.audit(
        audited.root, lists=[small.known()], seal_to=[audited.pub], out=audited.out, engine=small.HERE
    )
    assert any(SCANNED in text and said in text and "anew" in text for text in result.errors), result.errors
    assert audited.findings.status == "unbalanced"
    assert {0, 1, 3, 20} <= set(small.found(audited.findings))
    with pytest.raises(CountError, match="nothing can be claimed") as caught:
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
    assert said in str(caught.value)
    # whole again: a recheck does not mend what was scanned, and another audit with the same store reads everything anew
    monkeypatch.undo()
    vetset.recheck(audited.out, lists=[small.second()])
    with pytest.raises(CountError, match="self-test"):
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
    other = tmp_path / "other"
    again = vetset.audit(
        audited.root, lists=[small.known()], seal_to=[audited.pub], out=other, engine=small.HERE,
        store=audited.out / "store",
    )  # fmt: skip
    assert (again.reused, again.errors) == (0, ())
    vetset.attest(other, audited.key, out=tmp_path / "statement")


def _drops(cls, name="join"):
    def break_it(monkeypatch):
        """An index that loses the last pair of what it finds."""
        inner = getattr(cls, name)
        monkeypatch.setattr(
            cls, name, lambda self, *given, **named: tuple(found[:-1] for found in inner(self, *given, **named))
        )

    return break_it


def _drops_a_row(cls, name):
    def break_it(monkeypatch):
        """An index that was built without its last entry."""
        inner = cls.__init__

        def build(self, values):
            inner(self, values)
            changed = getattr(self, name).copy()
            changed[-1] ^= np.array(~np.zeros(1, changed.dtype))[0]
            setattr(self, name, changed)

        monkeypatch.setattr(cls, "__init__", build)

    return break_it


def _one_too_many(monkeypatch):
    """A search that returns what does not agree."""
    inner = DigestIndex.join

    def join(self, queries):
        query, entry = inner(self, queries)
        return np.append(query, 0), np.append(entry, len(self) - 1)

    monkeypatch.setattr(DigestIndex, "join", join)


def _wrong_distance(monkeypatch):
    inner = HammingIndex._join

    def join(self, *given):
        query, entry, distance = inner(self, *given)
        return query, entry, distance + 1

    monkeypatch.setattr(HammingIndex, "_join", join)


BROKEN_INDEXES = {
    "digests lose a pair": (_drops(DigestIndex), Kind.SHA256),
    "codes lose a pair": (_drops(HammingIndex, "_join"), Kind.PDQ),
    "digests lack an entry": (_drops_a_row(DigestIndex, "_words"), Kind.MD5),
    "codes lack an entry": (_drops_a_row(HammingIndex, "_codes"), Kind.PDQ),
    "one too many": (_one_too_many, Kind.SHA256),
    "a wrong distance": (_wrong_distance, Kind.PDQ),
}


@pytest.mark.parametrize("how", BROKEN_INDEXES)
def test_an_audit_whose_index_is_broken_claims_nothing_until_a_recheck_with_a_whole_one(
    audit, monkeypatch, tmp_path, how
):
    break_it, kind = BROKEN_INDEXES[how]
    break_it(monkeypatch)
    audited = audit(embeddings=None)
    manifest = read_manifest(audited.out)
    assert any(f"list known, {kind}: its index" in text for text in manifest.problems), manifest.problems
    assert manifest.selftest.indexes < 4
    assert audited.findings.status == "unbalanced"
    values = [value.tobytes().hex() for entries in small.known().entries.values() for value in entries.values]
    assert not any(value in text for text in manifest.problems for value in values)
    with pytest.raises(CountError, match="nothing can be claimed"):
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
    monkeypatch.undo()
    selftest.kernel_faults.cache_clear()
    assert vetset.recheck(audited.out, lists=[small.known()]).errors == ()
    vetset.attest(audited.out, audited.key, out=tmp_path / "statement")


def test_a_recheck_whose_index_is_broken_claims_nothing(audit, monkeypatch, tmp_path):
    audited = audit(embeddings=None)
    _drops(DigestIndex)(monkeypatch)
    result = vetset.recheck(audited.out, lists=[small.second()])
    assert any("list second, md5" in text for text in result.errors)
    with pytest.raises(CountError, match="nothing can be claimed"):
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")


def test_a_list_whose_index_is_broken_decides_nothing(audit, monkeypatch):
    audited = audit()
    _drops(DigestIndex)(monkeypatch)
    with pytest.raises(CountError, match="nothing is decided"):
        vetset.verify(audited.out, audited.key, with_list=small.second())


def _finds_nothing(monkeypatch):
    def nearest(seeds, blocks, *_, **__):
        none = np.zeros(0, np.int64)
        counts = np.zeros(len(blocks), np.int64)
        within = np.zeros(len(seeds), np.int64)
        return Neighbours(none, none, none, np.zeros(0), within, counts, counts, counts)

    monkeypatch.setattr(hits, "nearest", nearest)


def test_an_audit_whose_search_for_neighbours_finds_nothing_claims_nothing(audit, monkeypatch, tmp_path):
    _finds_nothing(monkeypatch)
    audited = audit()
    (problem,) = read_manifest(audited.out).problems
    assert "search for neighbours does not find planted vectors (float" in problem
    assert read_manifest(audited.out).selftest.vectors == 0
    assert audited.findings.status == "unbalanced"
    assert small.found(audited.findings)
    assert (audited.findings.candidates, audited.findings.rounds) == ((), ())
    for sign in (vetset.attest, vetset.order):
        with pytest.raises(CountError, match="planted vectors"):
            sign(audited.out, audited.key, out=tmp_path / "signed")


def test_nothing_is_searched_by_a_search_that_is_broken(audit, monkeypatch):
    audited = audit()
    _finds_nothing(monkeypatch)
    with pytest.raises(CountError, match="nothing is searched"):
        vetset.expand(audited.out, audited.key)


def test_a_whole_audit_says_what_it_was_tried_on_and_so_does_its_statement(audit, tmp_path):
    found, nothing = audit(), audit(lists=[small.stranger()], out="nothing")
    told = [json.loads((audited.out / "run.json").read_bytes())["selftest"] for audited in (found, nothing)]
    expected = {"pictures": len(pictures.canaries()), "indexes": 4, "vectors": 16, "failed": []}
    assert told == [expected, expected]
    statement = vetset.attest(found.out, found.key, out=tmp_path / "statement")
    predicate = vetset.check(statement, signer=found.pub).predicate
    assert predicate["selftest"] == {name: expected[name] for name in ("pictures", "indexes", "vectors")}


def test_an_audit_by_a_version_without_self_test_claims_nothing(audit, tmp_path):
    audited = older.made_older(audit(embeddings=None), forgotten=["selftest"])
    assert small.found(audited.findings)
    with pytest.raises(CountError, match="version without self-test"):
        vetset.order(audited.out, audited.key, out=tmp_path / "order")
    with pytest.raises(CountError, match="version without self-test"):
        vetset.attest(audited.out, audited.key, out=tmp_path / "statement")


# What a scan leaves in the store.


def scan(root, store, **options):
    return vetset.scan(root, store=store, engine=small.HERE, **options)


def test_a_part_made_where_the_test_failed_is_told_by_the_merge_and_never_taken_for_a_sound_one(
    roots, tmp_path, monkeypatch, custodian
):
    root, store = roots / "webdataset", tmp_path / "store"
    with monkeypatch.context() as broken:
        _a_bit_of_the_hash(broken)
        bad = scan(root, store, part="1/2")
    scan(root, store, part="2/2")
    merged = scan(root, store, merge=True)
    assert [shard.tested for shard in merged.shards] == [False, True]
    (text,) = selftest_of(merged.shards).failed
    assert f"{SCANNED} 1 of 2 shards were scanned: " in text
    result = vetset.match(store, lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "out")
    assert result.errors == (text,)
    again = scan(root, store, part="1/2")
    assert again.shards[0].part != bad.shards[0].part
    whole = scan(root, tmp_path / "whole")
    assert scan(root, store, merge=True) == whole
    assert vetset.match(
        store, lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "sound"
    ).errors == ()  # fmt: skip


def test_a_store_without_self_test_may_be_matched_but_not_claimed_with_and_is_scanned_again(roots, tmp_path, custodian):
    root, store = roots / "webdataset", tmp_path / "store"
    note = scan(root, store)
    for path in (*(store / "seen").iterdir(), *(store / "scans").iterdir()):
        document = json.loads(path.read_bytes())
        document.pop("sum")
        document.pop("selftest", None)
        for shard in document.get("shards", ()):
            shard.pop("test")
        path.write_text(json.dumps(document))
    result = vetset.match(store, lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "out")
    assert result.errors == selftest_of([replace(shard, test=None) for shard in note.shards]).failed
    assert "2 of 2 shards were scanned by a version without self-test" in result.errors[0]
    assert result.manifest.records == 24
    seen = []

    class Reporter:
        def started(self, *_):
            pass

        def advanced(self, size, records):
            seen.append(records)

        def finished(self):
            pass

    assert scan(root, store, reporter=Reporter()) == note
    assert len(seen) == 2


def test_a_damaged_note_of_the_self_test_says_nothing(roots, tmp_path):
    root, store = roots / "webdataset", tmp_path / "store"
    note = scan(root, store)
    for path in (store / "seen").iterdir():
        document = json.loads(path.read_bytes())
        document.pop("sum")
        path.write_text(json.dumps({**document, "selftest": {"pictures": "many"}}))
    with pytest.raises(UsageError, match="nothing to merge"):
        scan(root, store, merge=True)
    assert scan(root, store) == note


def test_what_a_scan_comes_to_is_the_least_of_its_shards_and_all_that_failed():
    def shard(*failed, pictures=100):
        return Scanned("a.tar", "ab", 1, "part", (), ScanTest("tools", pictures, failed))

    assert selftest_of([]) == Selftest()
    assert selftest_of([shard(), shard(pictures=7)]) == Selftest(pictures=7)
    words = [f"encoding {number}" for number in range(12)]
    (text,) = selftest_of([shard(*words), shard(words[0]), shard()]).failed
    assert "where 2 of 3 shards were scanned: encoding 0; " in text
    assert text.count("encoding") == 8
    assert "and 4 more" in text


def test_keys_of_parts_tell_whether_the_test_passed_but_not_by_which_versions():
    key = scan_key(ScanPolicy(), ColumnMapping())
    keys = {
        key.part("ab"),
        key.part("ab", (), ScanTest("one", 5)),
        key.part("ab", (), ScanTest("one", 5, ("PNG (pdq)",))),
        key.part("ab", (), ScanTest("one", 5, ("GIF (pdq)",))),
    }
    assert len(keys) == 4
    assert key.part("ab", (), ScanTest("one", 5)) == key.part("ab", (), ScanTest("two", 6))


# Indexes.


def matcher_of(values, kind, radius=31):
    count = len(values)
    marks = np.zeros(count, np.uint8)
    return Matcher(Entries(kind, values, np.arange(count).astype(np.bytes_), marks, marks + np.uint8(1)), radius)


@st.composite
def drawn_entries(draw):
    """Lists of all sizes; of codes also those that lie close together."""
    kind = draw(st.sampled_from([Kind.MD5, Kind.SHA1, Kind.URL_SHA256, Kind.PDQ, Kind.PHOTODNA]))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    count = draw(st.sampled_from([1, 2, 7, 300, 2000]))
    values = random.integers(0, 256, (count, kind.width), dtype=np.uint8)
    if kind is Kind.PDQ and draw(st.booleans()):
        values[:, : draw(st.integers(26, 31))] = 7
    return kind, np.unique(values, axis=0)


@given(drawn_entries(), st.integers(0, 31), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_sound_index_finds_its_own_whatever_the_list_and_radius(drawn, radius, sorted_bands):
    kind, values = drawn
    index = matcher_of(values, kind, radius)
    if kind is Kind.PDQ and sorted_bands:
        index._index._sorted()
        assert index.probe(values[:1]) is not None
    assert selftest.finds_its_own(index)


@given(drawn_entries(), st.data())
@settings(max_examples=60, deadline=None)
def test_an_index_of_a_few_hundred_entries_of_which_one_is_damaged_is_noticed(drawn, data):
    """All of them are in the sample; of longer lists, damage is noticed as often as it is met."""
    kind, values = drawn
    values = values[: selftest.SAMPLE]
    index = matcher_of(values, kind)
    row = data.draw(st.integers(0, len(values) - 1))
    if kind is Kind.PDQ:
        index._index._codes = index._index._codes.copy()
        index._index._codes[row] ^= np.uint64(1)
    elif kind is Kind.PHOTODNA:
        index._index._vectors = index._index._vectors.copy()
        index._index._vectors[row, 0] ^= 1
    else:
        index._index._words[row] ^= np.uint32(1)
    assert not selftest.finds_its_own(index)


@pytest.mark.parametrize("part", ["_starts", "_order"])
def test_damaged_bands_are_noticed_where_a_small_batch_would_not_use_them(part):
    values = np.random.default_rng(1).integers(0, 256, (200, 32), dtype=np.uint8)
    index = matcher_of(np.unique(values, axis=0), Kind.PDQ)
    index._index._sorted()
    assert selftest.finds_its_own(index)
    setattr(index._index, part, np.zeros_like(getattr(index._index, part)))
    assert not selftest.finds_its_own(index)


def test_a_list_whose_entries_lie_close_together_brings_no_flood_of_pairs(monkeypatch):
    values = np.zeros((20_000, 32), np.uint8)
    values[:, :2] = np.arange(20_000).astype(">u2").view(np.uint8).reshape(-1, 2)
    brought = []
    inner = HammingIndex._join

    def join(self, *given):
        found = inner(self, *given)
        brought.append(len(found[0]))
        return found

    monkeypatch.setattr(HammingIndex, "_join", join)
    assert selftest.finds_its_own(matcher_of(values, Kind.PDQ))
    assert 0 < max(brought) <= 2 * selftest._PAIRS


def test_a_list_without_entries_of_a_kind_has_nothing_to_lose():
    assert selftest.finds_its_own(matcher_of(np.zeros((0, 16), np.uint8), Kind.MD5))


def test_the_known_pictures_are_found_among_ten_thousand_others_by_every_way(monkeypatch):
    assert selftest.kernel_faults() == ()
    asked = []
    inner = HammingIndex._join

    def join(self, queries, radius, way, most):
        asked.append((len(self), way))
        found = inner(self, queries, radius, way, most)
        return tuple(part[:-1] for part in found) if way == "bands" else found

    monkeypatch.setattr(HammingIndex, "_join", join)
    selftest.kernel_faults.cache_clear()
    assert [text.partition(" does")[0] for text in selftest.kernel_faults()] == ["the search by pdq"]
    assert {way for _, way in asked} == {"auto", "brute", "bands"}
    assert min(size for size, _ in asked) > 10_000


def test_the_sample_is_another_one_each_time(monkeypatch):
    values = np.unique(np.random.default_rng(2).integers(0, 256, (5000, 16), dtype=np.uint8), axis=0)
    seen = []
    inner = DigestIndex.join
    monkeypatch.setattr(
        DigestIndex, "join", lambda self, queries: seen.append(queries.tobytes()) or inner(self, queries)
    )
    for _ in range(2):
        assert selftest.finds_its_own(matcher_of(values, Kind.MD5))
    assert len(seen) == len(set(seen)) == 2


# Vectors and models.


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
@pytest.mark.parametrize("dimension", [1, 2, 3, 16, 100, 768, 5000])
def test_planted_vectors_are_found_in_every_dimension_and_type(dimension, dtype):
    space = aligned_space([np.ones((3, dimension), dtype)], [range(3)], 3)
    assert selftest.vector_test(space) == selftest.Found(16)


def test_each_type_of_a_space_is_tried_and_a_space_without_vectors_needs_no_trial():
    two = aligned_space([np.ones((3, 8), np.float16), np.ones((2, 8), np.int8)], [range(3), range(3, 5)], 5)
    assert selftest.vector_test(two) == selftest.Found(32)
    assert selftest.vector_test(aligned_space([], [], 4)) == selftest.Found(0)


def test_a_search_that_overlooks_one_row_or_misjudges_it_is_noticed(monkeypatch):
    space = aligned_space([np.ones((3, 32), np.float32)], [range(3)], 3)
    inner = hits.nearest

    def without_last(*given, **named):
        found = inner(*given, **named)
        return replace(found, **{name: getattr(found, name)[:-1] for name in ("seed", "block", "row", "similarity")})

    def misjudged(*given, **named):
        found = inner(*given, **named)
        return replace(found, similarity=found.similarity * (1 - 1e-12))

    for broken in (without_last, misjudged):
        monkeypatch.setattr(hits, "nearest", broken)
        assert selftest.vector_test(space).tried == 0
        with pytest.raises(CountError, match="does not find planted vectors"):
            selftest.require_vectors(space)


class Model:
    """An embedder that sees a picture as a few averages, or does something else."""

    id = "model"
    dimension = 48

    def __init__(self, change=lambda vectors: vectors):
        self.change = change

    def embed(self, images):
        cells = [image[::12, ::16].astype(np.float32) for image in images]
        vectors = np.stack([np.concatenate([cell.ravel(), np.zeros(48)])[:48] + 1 for cell in cells])
        return self.change(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _fails(_):
    raise EngineError("no")


MODELS = {
    "a NaN": (lambda vectors: vectors * np.where(np.arange(48) == 5, np.nan, 1), "not finite"),
    "zero": (lambda vectors: vectors * 0, "or zero"),
    "the same for all": (lambda vectors: np.ones_like(vectors) / 48**0.5, "no nearer"),
    "random": (lambda vectors: np.random.default_rng().standard_normal(vectors.shape), "second time"),
    "by its place": (lambda vectors: np.roll(vectors, 1, axis=0) if len(vectors) > 1 else vectors, "second time"),
    "a failure": (_fails, "it fails"),
}


def test_a_sound_model_passes():
    assert model_faults(Model()) == []


@pytest.mark.parametrize("how", MODELS)
def test_a_model_that_is_broken_says_how(how):
    change, said = MODELS[how]
    (text,) = model_faults(Model(change))
    assert said in text


def test_a_model_goes_into_the_test_of_a_scan_that_asks_for_it(monkeypatch):
    monkeypatch.setattr(pictured, "_embedder", lambda *_: Model(MODELS["zero"][0]))
    asked = Asked((Kind.PDQ, Kind.EMBEDDING), ScanPolicy(kinds=(Kind.PDQ,)), "model", "model")
    assert scan_test(asked, pictures=True).failed == ("the model (vectors that are not finite, or zero)",)
    assert scan_test(asked, pictures=False).failed == ()
    monkeypatch.setattr(canary, "model_pictures", lambda: None)
    assert "not decoded" in scan_test(asked, pictures=True).failed[0]
