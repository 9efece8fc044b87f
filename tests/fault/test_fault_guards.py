"""Each guard refuses what it is there for, and what it refuses would pass without it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fault_case import Places, run_audit

import small_dataset
from vetset.api.auditing import audit, match
from vetset.api.custody import attest, open_audit, order
from vetset.api.listing import add_list
from vetset.api.revision import check, clean
from vetset.api.setup import keygen
from vetset.dataset.embeddings.clip_retrieval import write_new
from vetset.engine.local import LocalEngine
from vetset.hashlist.vault.vault import HOME_VARIABLE
from vetset.model.coverage import Coverage, Tally
from vetset.model.errors import AlignmentError, CountError, DatasetError, SealError, SignatureError
from vetset.model.signal import Reason
from vetset.stage import order as order_stage
from vetset.stage import space as space_stage
from vetset.store.store import Store
from vetset.store.whole import file_digest


@dataclass(frozen=True)
class Walk:
    """A dataset, lists, keys; audited nowhere yet."""

    places: Places
    items: list[small_dataset.Item]


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        base = tmp_path_factory.mktemp("guards")
        places = Places(base)
        items = small_dataset.build(places.dataset, shards=2, rows=6)
        small_dataset.write_vectors(items, places.embeddings, near={4: 1})
        lines = small_dataset.known_lines(items, [1, 2, 8]) + small_dataset.unrelated_lines(12)
        add_list(
            small_dataset.write_list(base / "list.txt", lines),
            name="known",
            owner="owner",
            category="benchmark",
            licence="test",
        )
        keygen("custodian", base / "keys")
        keygen("stranger", base / "keys")
        yield Walk(places, items)


@pytest.fixture
def out(walk, tmp_path):
    run_audit(walk.places, tmp_path / "first")
    return tmp_path / "first"


def rewritten(part, change):
    """Change the rows of a part so that it is whole again: only the counts can tell."""
    with pa.ipc.open_file(str(part)) as reader:
        *batches, last = [reader.get_batch_with_custom_metadata(i) for i in range(reader.num_record_batches)]
        table = change(pa.Table.from_batches([entry.batch for entry in batches], reader.schema))
    with pa.ipc.new_file(str(part), table.schema) as writer:
        writer.write_table(table)
        writer.write_batch(last.batch, custom_metadata=last.custom_metadata)
    part.with_suffix(".b3").write_text(f"{file_digest(part)}  {part.name}\n")


def first_part(out):
    return min((out / "store" / "parts").glob("*.arrow"))


def without_a_row(table):
    return table.slice(1)


def with_a_row_twice(table):
    return pa.concat_tables([table, table.slice(0, 1)])


def again(walk, out, **given):
    """Audit over the same store into another folder."""
    target = out.parent / "second"
    result = audit(
        walk.places.dataset,
        lists=["known"],
        seal_to=[walk.places.pub],
        out=target,
        store=out / "store",
        engine=LocalEngine(0),
        **given,
    )
    return target, result


@pytest.mark.parametrize("change", [without_a_row, with_a_row_twice])
def test_counts_that_do_not_add_up_are_sealed_and_nothing_is_claimed(walk, out, tmp_path, change):
    rewritten(first_part(out), change)
    target, result = again(walk, out)
    assert result.errors
    assert open_audit(target, walk.places.key).case.findings.status == "unbalanced"
    with pytest.raises(CountError) as caught:
        attest(target, walk.places.key, out=tmp_path / "statement")
    assert caught.value.exit_code == 30
    assert not (tmp_path / "statement").exists()


def test_without_the_counts_a_lost_row_would_be_attested(walk, out, tmp_path, monkeypatch):
    rewritten(first_part(out), without_a_row)
    monkeypatch.setattr(Coverage, "check", lambda *_: None)
    monkeypatch.setattr(Tally, "check", lambda *_: None)
    monkeypatch.setattr(Tally, "balanced", property(lambda _: True))
    target, result = again(walk, out)
    assert not result.errors
    assert attest(target, walk.places.key, out=tmp_path / "statement").exists()


def test_either_count_alone_notices_a_lost_row(walk, out, monkeypatch):
    rewritten(first_part(out), without_a_row)
    monkeypatch.setattr(Coverage, "check", lambda *_: None)
    _, result = again(walk, out)
    assert result.errors


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_part_costs_its_shard_and_the_claim_but_not_the_other_findings(walk, out, tmp_path):
    damage(first_part(out))
    target = out.parent / "second"
    result = match(out / "store", lists=["known"], seal_to=[walk.places.pub], out=target)
    assert len(result.errors) == 1
    assert ".tar" in result.errors[0]
    damaged = {coverage.undecided.get(Reason.DAMAGED_SHARD, 0) for coverage in result.manifest.coverage.values()}
    assert len(damaged) == 1
    assert damaged.pop() in {shard.records for shard in result.manifest.shards}
    assert all(coverage.balanced for coverage in result.manifest.coverage.values())
    findings = open_audit(target, walk.places.key).case.findings
    assert findings.status == "unbalanced"
    assert all(tally.balanced for tally in findings.tallies)
    with pytest.raises(CountError):
        attest(target, walk.places.key, out=tmp_path / "statement")


def test_a_damaged_part_is_read_again_by_whoever_has_the_dataset(walk, out):
    before = Store(out / "store").digest()
    damage(first_part(out))
    target, result = again(walk, out)
    assert (result.reused, result.errors) == (1, ())
    assert Store(out / "store").digest() == before
    assert open_audit(target, walk.places.key).case.findings.status == "complete"


def shifted_vectors(walk, folder, change):
    """Embeddings of the dataset whose keys were changed."""
    vectors = np.random.default_rng(9).normal(size=(len(walk.items), 16)).astype(np.float16)
    write_new(folder, 0, vectors, change([item.key for item in walk.items]))
    return folder


ODD_KEYS = {
    "a foreign key": lambda keys: [*keys[:-1], "999999999"],
    "a key twice": lambda keys: [*keys[:-1], keys[0]],
}


@pytest.mark.parametrize("change", ODD_KEYS.values(), ids=ODD_KEYS.keys())
def test_embeddings_that_do_not_join_are_refused_and_what_lists_found_is_sealed(walk, out, tmp_path, change):
    embeddings = shifted_vectors(walk, tmp_path / "vectors", change)
    with pytest.raises(AlignmentError) as caught:
        again(walk, out, embeddings=embeddings)
    assert caught.value.exit_code == 11
    findings = open_audit(out.parent / "second", walk.places.key).case.findings
    assert (findings.status, len(findings.matches) > 0) == ("incomplete", True)


def test_without_the_join_by_key_vectors_would_be_taken_for_other_records(walk, out, tmp_path, monkeypatch):
    embeddings = shifted_vectors(walk, tmp_path / "vectors", ODD_KEYS["a key twice"])

    def unchecked(_keys, _records, parts, **_):
        return [np.arange(sum(map(len, batches))) for _, batches in parts]

    monkeypatch.setattr(space_stage, "align", unchecked)
    target, result = again(walk, out, embeddings=embeddings)
    assert not result.errors
    assert open_audit(target, walk.places.key).case.findings.rounds


def test_a_changed_seal_is_refused(walk, out):
    part = out / "case" / "000001.age"
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    with pytest.raises(SealError):
        open_audit(out, walk.places.key)


@pytest.fixture
def ordered(walk, out, tmp_path):
    return order(out, walk.places.key, out=tmp_path / "order.json")


def test_an_order_of_another_signer_removes_nothing(walk, ordered, tmp_path):
    stranger = walk.places.base / "keys" / "stranger.pub"
    with pytest.raises(SignatureError) as caught:
        clean(walk.places.dataset, ordered, signer=stranger, out=tmp_path / "cleaned", engine=LocalEngine(0))
    assert caught.value.exit_code == 21
    assert not (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("field", ["payload", "signatures"])
def test_a_changed_order_removes_nothing(walk, ordered, tmp_path, field):
    document = json.loads(ordered.read_bytes())
    text = document["payload"] if field == "payload" else document["signatures"][0]["sig"]
    changed = ("B" if text[40] == "A" else "A").join((text[:40], text[41:]))
    if field == "payload":
        document["payload"] = changed
    else:
        document["signatures"][0]["sig"] = changed
    ordered.write_text(json.dumps(document))
    with pytest.raises(SignatureError):
        clean(walk.places.dataset, ordered, signer=walk.places.pub, out=tmp_path / "cleaned", engine=LocalEngine(0))
    assert not (tmp_path / "cleaned").exists()


def test_without_the_signature_anybodys_order_would_be_carried_out(walk, ordered, tmp_path, monkeypatch):
    import base64

    def unchecked(envelope, *_):
        return base64.b64decode(json.loads(envelope)["payload"])

    monkeypatch.setattr(order_stage, "check", unchecked)
    stranger = walk.places.base / "keys" / "stranger.pub"
    assert clean(
        walk.places.dataset, ordered, signer=stranger, out=tmp_path / "cleaned", engine=LocalEngine(0)
    ).is_dir()


def test_a_statement_speaks_of_one_revision_only(walk, out, tmp_path):
    statement = attest(out, walk.places.key, out=tmp_path / "statement")
    assert check(statement, signer=walk.places.pub, dataset=walk.places.dataset, engine=LocalEngine(0)).predicate
    with pytest.raises(SignatureError):
        check(statement, signer=walk.places.base / "keys" / "stranger.pub")
    other = tmp_path / "other"
    small_dataset.build(other, shards=2, rows=6, seed=99)
    with pytest.raises(DatasetError):
        check(statement, signer=walk.places.pub, dataset=other, engine=LocalEngine(0))


def test_a_shard_that_cannot_be_read_is_counted_sealed_and_not_claimed(walk, tmp_path):
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for path in walk.places.dataset.iterdir():
        (dataset / path.name).write_bytes(path.read_bytes())
    tar = Path(dataset / "00001.tar")
    tar.write_bytes(tar.read_bytes()[:5000])
    result = audit(dataset, lists=["known"], seal_to=[walk.places.pub], out=tmp_path / "out", engine=LocalEngine(0))
    assert [shard.uri for shard in result.manifest.failed] == ["00001.tar"]
    assert open_audit(tmp_path / "out", walk.places.key).case.findings.status == "incomplete"
    with pytest.raises(CountError):
        attest(tmp_path / "out", walk.places.key, out=tmp_path / "statement")


def test_findings_are_in_no_part_of_the_public_side(walk, out):
    text = (out / "run.json").read_text()
    findings = open_audit(out, walk.places.key).case.findings
    assert findings.matches
    assert not any(entry.url in text for entry in findings.provenance)
    assert not any(word in text for word in ('"matched"', '"not_matched"', '"candidates"', '"findings"'))
