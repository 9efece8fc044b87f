"""The removal order and the new revision: exactly the policy's records go, and everything that carries them."""

import base64
import json
import os
import stat
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
import vetset
from embedding_rows import keys_of, opened, vectors_of
from vetset.dataset.embeddings.beside import ArrayPart
from vetset.dataset.embeddings.parts import Choice
from vetset.dataset.formats import format_of
from vetset.model.dataset import Format
from vetset.model.errors import AlignmentError, DatasetError, OutputError, SignatureError, UsageError
from vetset.model.policy import ExpandPolicy, Policy, RemovePolicy, ScanPolicy
from vetset.model.signal import Kind
from vetset.seal.signature import sign
from vetset.stage.clean import same_survivors
from vetset.stage.order import PAYLOAD_TYPE, token

FORMATS = list(Format)


@pytest.fixture
def ordered(audit, tmp_path):
    """An audit with verdicts, and its order."""

    def make(form=Format.WEBDATASET, *, out="audit", verified=True, **options):
        audited = audit(form=form, out=out, **options)
        if verified:
            vetset.verify(audited.out, audited.key, with_list=small.second())
        return audited, vetset.order(audited.out, audited.key, out=tmp_path / f"{out}.order")

    return make


@pytest.fixture
def cleaned(ordered, tmp_path):
    def make(form=Format.WEBDATASET, *, out="audit", keep_list=False, **options):
        audited, order = ordered(form, out=out, **options)
        target = tmp_path / f"{out}-cleaned"
        return audited, vetset.clean(
            audited.root, order, signer=audited.pub, out=target, keep_list=keep_list, engine=small.HERE
        )

    return make


def table_of(path):
    return pa.ipc.open_stream(path.read_bytes()).read_all() if path.suffix == ".arrow" else pq.read_table(path)


def survivors(root, form):
    """Numbers of the records that are there, in order, each with everything that is stored of it."""
    if form is Format.WEBDATASET:
        told = {}
        for path in sorted(root.glob("*.tar")):
            with tarfile.open(path) as archive:
                for member in archive:
                    told.setdefault(small.number_of(member.name), {})[member.name] = archive.extractfile(member).read()
        return told
    if form is Format.FOLDER:
        told = {}
        for name, data in small.tree(root).items():
            if name.startswith(("a/", "b/")):
                told.setdefault(small.number_of(name), {})[name] = data
        return told
    rows = [row for path in sorted(root.glob("part-*")) for row in table_of(path).to_pylist()]
    return {int(row["key"]): row for row in rows}


# A table of metadata holds no pictures: nothing is perceptual there, and copies of bytes cannot be seen.
GONE = {
    Format.WEBDATASET: small.MATCHED | {5, 22},
    Format.FOLDER: small.MATCHED | {5, 22},
    Format.PARQUET: {0, 1, 3, 20, 5},
    Format.HUGGINGFACE: small.MATCHED | {5, 22},
}


@pytest.mark.parametrize("form", FORMATS)
def test_exactly_what_the_policy_removes_is_gone_and_survivors_are_byte_identical_and_in_order(cleaned, form):
    audited, out = cleaned(form)
    before, after = survivors(audited.root, form), survivors(out, form)
    assert list(after.items()) == [(number, held) for number, held in before.items() if number not in GONE[form]]


@pytest.mark.parametrize("keep_list", [False, True])
def test_what_must_be_kept_private_is_made_for_its_owner_only(cleaned, keep_list):
    before = os.umask(0o022)
    try:
        _, out = cleaned(keep_list=keep_list)
    finally:
        os.umask(before)
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in [out, *out.rglob("*")]}
    assert modes == {(True, 0o700), (False, 0o600)}


@pytest.mark.parametrize("form", FORMATS)
def test_the_new_revision_audits_to_zero(cleaned, audit, form):
    _, out = cleaned(form)
    again = audit(out, out="again", embeddings=out / "embeddings", dataset_format=form)
    assert again.findings.matches == ()
    assert again.findings.status == "complete"
    assert again.summary["unclaimed_files"] == 0


@pytest.mark.parametrize("form", FORMATS)
def test_vectors_captions_and_metadata_of_the_embeddings_lose_the_same_rows(cleaned, form):
    audited, out = cleaned(form)
    for old, new in zip(opened(audited.embeddings, Choice(audited.root)), opened(out / "embeddings"), strict=True):
        numbers = [small.number_of(name) for name in keys_of(old)]
        keep = np.array([number not in GONE[form] for number in numbers])
        assert np.array_equal(vectors_of(new), vectors_of(old)[keep])
        captions = [folder / new.files[1].uri for folder in (out / "embeddings", audited.embeddings)]
        assert np.array_equal(np.load(captions[0]), np.load(captions[1])[keep])
        assert pq.read_table(new.metadata).equals(pq.read_table(old.metadata).filter(keep))


@pytest.mark.parametrize("form", FORMATS)
def test_a_keep_list_names_what_stays_and_copies_nothing(cleaned, form):
    _, out = cleaned(form, keep_list=True)
    assert set(small.tree(out)) == {"keep.parquet", "vetset-revision.json"}
    kept = [small.number_of(name) for name in pq.read_table(out / "keep.parquet")["key"].to_pylist()]
    assert sorted(kept) == sorted(set(range(24)) - GONE[form])
    assert len(kept) == len(set(kept))


def test_a_keep_list_names_a_shard_whose_name_is_no_text_as_its_keys_do(audit, tmp_path):
    small.write_folder(tmp_path / "data")
    (tmp_path / "data" / "a").rename(tmp_path / "data" / os.fsdecode(b"a\xff"))
    audited = audit(tmp_path / "data", embeddings=False, dataset_format=Format.FOLDER)
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order.json")
    options = {"signer": audited.pub, "out": tmp_path / "kept", "keep_list": True, "engine": small.HERE}
    kept = pq.read_table(vetset.clean(audited.root, order, **options) / "keep.parquet")
    named = {
        (shard.partition("#")[0], key.partition("/")[0])
        for shard, key in zip(kept["shard"].to_pylist(), kept["key"].to_pylist(), strict=True)
    }
    assert ("a\\xff", "a\\xff") in named


@pytest.mark.parametrize("name", [".keys", "keys", ".vetset", "0.keys.parquet"])
def test_a_folder_of_any_name_survives_beside_embeddings(audit, tmp_path, monkeypatch, name):
    root, key_of = tmp_path / "data", small.dataset_key
    small.write_folder(root)
    (root / "a").rename(root / name)
    monkeypatch.setattr(small, "dataset_key", lambda number, form: key_of(number, form).replace("a/", f"{name}/"))
    small.write_embeddings(tmp_path / "vectors", Format.FOLDER)
    audited = audit(root, embeddings=tmp_path / "vectors", dataset_format=Format.FOLDER)
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order.json")
    out = vetset.clean(root, order, signer=audited.pub, out=tmp_path / "clean", engine=small.HERE)
    before, after = (
        {small.number_of(path) for path in small.tree(place) if path.endswith(".jpg")} for place in (root, out)
    )
    assert after == before - {0, 1, 3, 20, 21}
    assert {number for number in after if number % 2}


def test_the_dataset_itself_is_not_touched(cleaned, roots):
    before = small.tree(roots / "webdataset")
    cleaned()
    assert small.tree(roots / "webdataset") == before


@pytest.mark.parametrize(
    ("remove", "gone"),
    [
        (RemovePolicy(), {0, 1, 3, 20, 21, 5, 22}),
        (RemovePolicy(unconfirmed_matches=False), {0, 1, 20, 21, 5, 22}),
        (RemovePolicy(undecided_candidates=True), {0, 1, 3, 20, 21, 5, 22}),
    ],
)
def test_the_rules_of_the_policy_decide(cleaned, remove, gone):
    _, out = cleaned(policy=Policy(remove=remove))
    assert set(range(24)) - set(survivors(out, Format.WEBDATASET)) == gone


@pytest.mark.parametrize(("undecided", "gone"), [(False, small.MATCHED), (True, small.MATCHED | {5, 22})])
def test_candidates_without_a_verdict_go_only_where_the_policy_says_so(cleaned, undecided, gone):
    _, out = cleaned(verified=False, policy=Policy(remove=RemovePolicy(undecided_candidates=undecided)))
    assert set(range(24)) - set(survivors(out, Format.WEBDATASET)) == gone


def test_a_candidate_that_a_verifier_does_not_know_is_not_an_undecided_one(cleaned):
    policy = Policy(
        remove=RemovePolicy(undecided_candidates=True), expand=ExpandPolicy(min_similarity=-1, max_similarity=-1)
    )
    _, out = cleaned(policy=policy)
    assert set(range(24)) - set(survivors(out, Format.WEBDATASET)) == small.MATCHED | {5, 22}


@pytest.mark.parametrize("near", [True, False])
def test_a_candidate_that_is_near_to_a_known_one_goes_where_the_policy_says_so(audit, tmp_path, near):
    code = bytearray(small.pdq(small.images()[5]))
    for bit in range(25):
        code[bit // 8] ^= 1 << bit % 8
    audited = audit(policy=Policy(remove=RemovePolicy(near=near)))
    told = vetset.verify(
        audited.out, audited.key, with_list=small.hash_list("near", small.entries(Kind.PDQ, [bytes(code)]))
    )
    assert told["candidates"]["verdicts"] == {"near": 2}
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    out = vetset.clean(audited.root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
    assert ({5, 22} <= set(survivors(out, Format.WEBDATASET))) is not near


def test_pictures_that_share_a_caption_go_together(audit, tmp_path):
    root = tmp_path / "pairs"
    root.mkdir()
    small.pack(
        [
            ("pair", {"jpg": small.images()[0], "png": small.images()[9], "txt": b"what both show"}),
            ("alone", {"jpg": small.images()[10], "txt": b"what this one shows"}),
        ],
        root / "0.tar",
    )
    audited = audit(root, embeddings=None)
    assert len({match.record for match in audited.findings.matches}) == 1
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    out = vetset.clean(root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
    with tarfile.open(out / "0.tar") as archive:
        assert archive.getnames() == ["alone.jpg", "alone.txt"]


@pytest.mark.parametrize(("copies", "gone"), [(True, {5, 22}), (False, {5})])
def test_other_records_of_the_same_bytes_go_where_the_policy_says_so(audit, tmp_path, copies, gone):
    entry = small.hash_list("address", small.entries(Kind.URL_SHA256, [small.sha256(small.url(5).encode())]))
    audited = audit(lists=[entry], embeddings=None, policy=Policy(remove=RemovePolicy(copies=copies)))
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    out = vetset.clean(audited.root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
    assert set(range(24)) - set(survivors(out, Format.WEBDATASET)) == gone


def test_an_order_under_a_column_mapping_of_its_own_removes_what_the_audit_found(audit, tmp_path):
    root = tmp_path / "mapped"
    root.mkdir()
    table = pa.table({"name": ["x", "y"], "key": ["1", "2"], "sum": [small.md5(small.images()[1]).hex(), None]})
    pq.write_table(table, root / "a.parquet")
    columns = vetset.ColumnMapping(key="name", md5="sum")
    audited = audit(root, embeddings=None, columns=columns)
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    out = vetset.clean(root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
    assert pq.read_table(out / "a.parquet")["name"].to_pylist() == ["y"]


def test_an_audit_of_some_kinds_is_ordered_cleaned_attested_and_checked_by_what_they_need(audit, tmp_path):
    root, policy = tmp_path / "some", Policy(scan=ScanPolicy(kinds=(Kind.MD5,)), remove=RemovePolicy(copies=False))
    root.mkdir()
    known, other = (small.md5(small.images()[number]).hex() for number in (1, 2))
    table = pa.table({"url": ["https://a.example/1", "https://a.example/2"], "key": ["1", "2"], "md5": [known, other]})
    pq.write_table(table, root / "a.parquet")
    pq.write_table(table.select(["url", "key"]), root / "b.parquet")
    audited = audit(root, embeddings=None, policy=policy)
    assert audited.summary["coverage"]["md5"] == {"records": 4, "decided": 2, "undecided": {"absent_column": 2}}
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    statement = vetset.attest(audited.out, audited.key, out=tmp_path / "statement")
    vetset.check(statement, signer=audited.pub, dataset=root, engine=small.HERE)
    out = vetset.clean(root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
    assert pq.read_table(out / "a.parquet")["key"].to_pylist() == ["2"]
    assert pq.read_table(out / "b.parquet")["key"].to_pylist() == ["1", "2"]
    pq.write_table(table.slice(1), root / "a.parquet")
    with pytest.raises(DatasetError, match="not the one that was attested"):
        vetset.check(statement, signer=audited.pub, dataset=root, engine=small.HERE)


def test_an_order_from_a_store_alone_removes_the_same(audit, roots, tmp_path, custodian):
    vetset.scan(roots / "webdataset", store=tmp_path / "store", engine=small.HERE)
    vetset.match(tmp_path / "store", lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "matched")
    order = vetset.order(tmp_path / "matched", custodian, out=tmp_path / "order")
    out = vetset.clean(roots / "webdataset", order, signer=custodian.public, out=tmp_path / "out", engine=small.HERE)
    assert set(range(24)) - set(survivors(out, Format.WEBDATASET)) == small.MATCHED


def test_of_two_identical_shards_each_loses_its_own_records(audit, tmp_path):
    root = tmp_path / "twice"
    small.write_webdataset(root, range(12), shards=1)
    (root / "00001.tar").write_bytes((root / "00000.tar").read_bytes())
    audited = audit(root, embeddings=None)
    names = {match.record.shard for match in audited.findings.matches}
    assert len(names) == 2
    assert {name.partition("+")[2] for name in names} == {"", "1"}
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    out = vetset.clean(root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
    assert (out / "00000.tar").read_bytes() == (out / "00001.tar").read_bytes()
    assert set(survivors(out, Format.WEBDATASET)) == set(range(12)) - {0, 1, 3}


def test_a_dataset_of_which_everything_goes_leaves_no_record(audit, tmp_path):
    root = tmp_path / "all"
    small.write_folder(root, [0, 1])
    audited = audit(root, embeddings=None)
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    out = vetset.clean(root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
    assert set(small.tree(out)) == {"vetset-revision.json"}


def test_the_new_revision_says_that_it_is_private_and_what_stayed_behind(audit, tmp_path):
    root = tmp_path / "data"
    small.write_webdataset(root)
    (root / "README.md").write_text("about")
    audited = audit(root, embeddings=None)
    order = vetset.order(audited.out, audited.key, out=tmp_path / "order")
    out = vetset.clean(root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
    marker = json.loads((out / "vetset-revision.json").read_bytes())
    assert (marker["private"], marker["files_not_carried"]) == (True, 1)


class TestRefusals:
    """What is refused leaves nothing behind."""

    @pytest.fixture
    def refused(self, tmp_path):
        def check(error, dataset, order, signer, **options):
            with pytest.raises(error) as caught:
                vetset.clean(dataset, order, signer=signer, out=tmp_path / "refused", engine=small.HERE, **options)
            assert not list(tmp_path.glob("refused*"))
            return caught.value.exit_code

        return check

    def test_another_revision(self, ordered, refused, roots, tmp_path):
        audited, order = ordered()
        small.write_webdataset(tmp_path / "other", range(23))
        assert refused(DatasetError, tmp_path / "other", order, audited.pub) == 10

    def test_a_revision_of_which_one_byte_changed(self, ordered, refused, tmp_path):
        small.write_webdataset(tmp_path / "data")
        audited, order = ordered(root=tmp_path / "data")
        path = tmp_path / "data" / "00001.tar"
        data = bytearray(path.read_bytes())
        data[600] ^= 1
        path.write_bytes(data)
        assert refused(DatasetError, tmp_path / "data", order, audited.pub) == 10

    def test_the_wrong_signer(self, ordered, refused, someone):
        audited, order = ordered()
        assert refused(SignatureError, audited.root, order, someone.public) == 21

    @pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
    def test_a_flipped_byte_in_the_order(self, ordered, refused, place):
        audited, order = ordered()
        document = json.loads(order.read_bytes())
        payload = bytearray(base64.b64decode(document["payload"]))
        payload[int(len(payload) * place)] ^= 1
        document["payload"] = base64.b64encode(payload).decode()
        order.write_text(json.dumps(document))
        assert refused(SignatureError, audited.root, order, audited.pub) == 21

    def test_something_signed_that_is_no_order(self, ordered, refused, custodian):
        audited, order = ordered()
        order.write_bytes(sign(PAYLOAD_TYPE, b'{"dataset": 1}', custodian))
        assert refused(SignatureError, audited.root, order, audited.pub) == 21

    def test_no_order(self, ordered, refused, tmp_path):
        audited, _ = ordered()
        assert refused(UsageError, audited.root, tmp_path / "nowhere", audited.pub) == 2

    def test_a_place_that_is_taken(self, ordered, tmp_path):
        audited, order = ordered()
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "mine.txt").write_text("mine")
        with pytest.raises(OutputError) as caught:
            vetset.clean(audited.root, order, signer=audited.pub, out=tmp_path / "taken", engine=small.HERE)
        assert caught.value.exit_code == 40
        assert small.tree(tmp_path / "taken") == {"mine.txt": b"mine"}

    def test_a_place_inside_the_dataset(self, ordered, roots):
        audited, order = ordered()
        with pytest.raises(UsageError, match="inside the dataset"):
            vetset.clean(audited.root, order, signer=audited.pub, out=audited.root / "new", engine=small.HERE)

    def test_embeddings_that_are_gone(self, ordered, refused, tmp_path):
        small.write_embeddings(tmp_path / "emb", Format.WEBDATASET)
        audited, order = ordered(embeddings=tmp_path / "emb")
        (tmp_path / "emb").rename(tmp_path / "elsewhere")
        assert refused(UsageError, audited.root, order, audited.pub) == 2

    def test_embeddings_that_are_damaged(self, ordered, refused, tmp_path):
        small.write_embeddings(tmp_path / "emb", Format.WEBDATASET)
        audited, order = ordered(embeddings=tmp_path / "emb")
        (tmp_path / "emb" / "metadata" / "metadata_1.parquet").unlink()
        assert refused(AlignmentError, audited.root, order, audited.pub) == 11

    @pytest.mark.parametrize("strange", ["all", "one"])
    def test_embeddings_of_another_dataset(self, ordered, refused, tmp_path, strange):
        """Their rows would all stay: none has a key that goes."""
        small.write_embeddings(tmp_path / "emb", Format.WEBDATASET)
        audited, order = ordered(embeddings=tmp_path / "emb")
        for path in (tmp_path / "emb" / "metadata").iterdir():
            table = pq.read_table(path)
            names = [f"other-{key}" if strange == "all" or not row else key
                     for row, key in enumerate(table["key"].to_pylist())]  # fmt: skip
            pq.write_table(table.set_column(table.schema.get_field_index("key"), "key", [names]), path)
        assert refused(AlignmentError, audited.root, order, audited.pub) == 11

    def test_embeddings_that_are_nowhere_are_seen_before_a_shard_is_read(self, ordered, tmp_path):
        class Idle:
            def map(self, *_):
                pytest.fail("a shard was read")

        audited, order = ordered()
        told = {"signer": audited.pub, "out": tmp_path / "new", "embeddings": tmp_path / "nowhere"}
        with pytest.raises(AlignmentError, match="no embeddings"):
            vetset.clean(audited.root, order, engine=Idle(), **told)
        assert not (tmp_path / "new").exists()

    def test_an_order_is_not_overwritten(self, ordered, tmp_path):
        audited, order = ordered()
        before = order.read_bytes()
        with pytest.raises(OutputError, match="exists"):
            vetset.order(audited.out, audited.key, out=order)
        assert order.read_bytes() == before

    def test_an_order_of_a_dataset_with_a_failed_shard(self, audit, tmp_path):
        root = tmp_path / "data"
        small.write_webdataset(root)
        (root / "00001.tar").write_bytes((root / "00001.tar").read_bytes()[:3000])
        audited = audit(root, embeddings=None)
        with pytest.raises(DatasetError, match="whole revision"):
            vetset.order(audited.out, audited.key, out=tmp_path / "order")
        assert not (tmp_path / "order").exists()


class TestOrders:
    """An order is no map."""

    def _payload(self, order):
        return base64.b64decode(json.loads(order.read_bytes())["payload"])

    def test_it_has_as_many_tokens_with_and_without_findings(self, ordered):
        _, found = ordered(out="with")
        _, nothing = ordered(out="without", lists=[small.stranger()], verified=False)
        one, two = (json.loads(self._payload(order)) for order in (found, nothing))
        assert len(one["tokens"]) == len(two["tokens"]) == 1024
        assert found.stat().st_size == nothing.stat().st_size
        assert {name: one[name] for name in one if name not in ("salt", "tokens")} == {
            name: two[name] for name in two if name not in ("salt", "tokens")
        }

    def test_it_holds_no_key_address_caption_or_digest_of_a_picture(self, ordered):
        _, order = ordered()
        text = self._payload(order)
        for number in range(24):
            image = small.images()[number]
            for planted in (
                small.key(number).encode(),
                small.url(number).encode(),
                small.caption(number).encode(),
                small.sha256(image).hex().encode(),
                small.md5(image).hex().encode(),
            ):
                assert planted not in text

    def test_two_orders_of_one_audit_have_no_token_in_common(self, audit, tmp_path):
        audited = audit()
        tokens = [
            set(json.loads(self._payload(vetset.order(audited.out, audited.key, out=tmp_path / name)))["tokens"])
            for name in ("one", "two")
        ]
        assert not tokens[0] & tokens[1]

    def test_a_new_order_at_the_same_path_is_obeyed_in_the_same_process(self, audit, tmp_path):
        place = tmp_path / "order"
        gone = []
        for name, lists in (("one", [small.known()]), ("two", [small.second()])):
            audited = audit(lists=lists, embeddings=None, out=name)
            place.unlink(missing_ok=True)
            vetset.order(audited.out, audited.key, out=place)
            out = vetset.clean(audited.root, place, signer=audited.pub, out=tmp_path / f"{name}-out", engine=small.HERE)
            gone.append(set(range(24)) - set(survivors(out, Format.WEBDATASET)))
        assert gone == [small.MATCHED, {5, 22}]

    def test_tokens_tell_records_apart_that_differ_in_shard_row_or_key(self):
        from vetset.model.dataset import RecordId

        records = [RecordId(shard, row, key) for shard in "ab" for row in (1, 11) for key in ("1", "11", "\udcff")]
        assert len({token(b"salt", record) for record in records}) == len(records)


@pytest.mark.parametrize(
    "copies", [[], [b"a"], [b"a", b"c", b"b"], [b"c", b"a"], [b"a", b"b", b"c"], [b"a", b"x"], [b"a", b"c", b"c"]]
)
def test_the_comparison_with_the_original_sees_every_difference(copies):
    originals = [(b"a", True), (b"b", False), (b"c", True)]
    assert not same_survivors(originals, iter(copies))


def test_the_comparison_passes_exactly_the_survivors():
    assert same_survivors([(b"a", True), (b"b", False), (b"c", True)], iter([b"a", b"c"]))


class TestCopyIsReadAgain:
    """A writer that goes wrong is found out, and its copy is thrown away."""

    @pytest.fixture
    def spoilt(self, ordered, tmp_path, monkeypatch):
        def run(form, spoil):
            audited, order = ordered(form)
            chosen = type(format_of(form))
            write = chosen.write

            def wrong(self, *place):
                root, shard, keep, out, mapping = place
                write(self, *place)
                spoil(keep, out, lambda other: write(self, root, shard, other, out, mapping))

            monkeypatch.setattr(chosen, "write", wrong)
            with pytest.raises(OutputError, match="differs from its original"):
                vetset.clean(audited.root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
            assert not list(tmp_path.glob("out*"))

        return run

    @pytest.mark.parametrize("form", FORMATS)
    def test_a_survivor_too_few(self, spoilt, form):
        def spoil(keep, out, write):
            for path in [path for path in out.rglob("*") if path.is_file()]:
                path.unlink()
            fewer = keep.copy()
            fewer[np.flatnonzero(keep)[-1]] = False
            write(fewer)

        spoilt(form, spoil)

    @pytest.mark.parametrize("form", FORMATS)
    def test_a_removed_record_too_many(self, spoilt, form):
        def spoil(keep, out, write):
            for path in [path for path in out.rglob("*") if path.is_file()]:
                path.unlink()
            write(np.ones_like(keep))

        spoilt(form, spoil)

    def test_one_changed_byte_of_a_picture(self, spoilt):
        def spoil(keep, out, write):
            path = next(path for path in sorted(out.rglob("*.jpg")))
            path.write_bytes(path.read_bytes()[:-1] + b"\0")

        spoilt(Format.FOLDER, spoil)

    def test_one_changed_component_of_a_vector(self, ordered, tmp_path, monkeypatch):
        write = ArrayPart.write

        def wrong(part, keep, out):
            write(part, keep, out)
            path = out / part.files[0].uri
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)

        monkeypatch.setattr(ArrayPart, "write", wrong)
        audited, order = ordered()
        with pytest.raises(OutputError, match="embedding part 0"):
            vetset.clean(audited.root, order, signer=audited.pub, out=tmp_path / "out", engine=small.HERE)
        assert not list(tmp_path.glob("out*"))
