"""Embeddings behind an address: the same findings as local ones in every layout, and requests that follow none."""

import numpy as np
import pytest

import small
import vetset
from embedding_cases import LAYOUTS
from embedding_rows import keys_of, opened, vectors_of
from vetset.dataset.embeddings.rows import StoredRows
from vetset.model.errors import DatasetError
from vetset.storage import transfer
from vetset.storage.address import root_of

EVERY = pytest.mark.parametrize("layout", LAYOUTS)


def written(folder, layout):
    """The small dataset's vectors in another layout, in parts that do not follow its shards."""
    order = np.random.default_rng(3).permutation(small.COUNT)
    for part, rows in enumerate(np.array_split(order, 3)):
        names = [small.key(number) for number in rows.tolist()]
        LAYOUTS[layout](folder, part, names, small.vectors()[rows].astype(np.float16), "float16")
    return folder


@EVERY
def test_s3_gives_what_is_local(bucket, tmp_path, layout):
    folder = written(tmp_path / "local", layout)
    here, there = opened(folder), opened(root_of(bucket.upload(folder)))
    for one, other in zip(here, there, strict=True):
        assert keys_of(one) == keys_of(other)
        assert np.array_equal(vectors_of(one), vectors_of(other))
        some = np.arange(one.rows)[1::3]
        assert np.array_equal(other.block().take(some), vectors_of(one)[some])
        keep = np.arange(one.rows) % 2 == 0
        one.write(keep, tmp_path / "one")
        other.write(keep, tmp_path / "other")
    assert small.tree(tmp_path / "one") == small.tree(tmp_path / "other")


@EVERY
def test_http_and_the_hub_give_what_is_local(on_the_web, on_the_hub, tmp_path, layout):
    folder = written(tmp_path / "local", layout)
    site, hub = on_the_web(folder), on_the_hub(folder)
    for address in (f"{site.address}/data/files.txt", f"hf://datasets/{hub.name}/data"):
        for one, other in zip(opened(folder), opened(root_of(address)), strict=True):
            assert keys_of(one) == keys_of(other)
            assert np.array_equal(vectors_of(one), vectors_of(other))


@EVERY
def test_requests_do_not_tell_what_was_found(roots, bucket, audit, tmp_path, layout):
    address = bucket.upload(written(tmp_path / "local", layout), prefix="embeddings")
    asked = []
    for number, known in enumerate((small.known(), small.stranger())):
        bucket.log.requests.clear()
        done = audit(embeddings=address, lists=[known], out=f"audit{number}")
        asked.append(sorted(bucket.log.requests))
        assert small.candidates(done.findings) == ({} if number else small.CANDIDATES)
        coverage = done.findings and vetset.open_audit(done.out, done.key).manifest.coverage["embedding"]
        assert (coverage.records, coverage.decided) == (small.COUNT, small.COUNT)
    assert asked[0] == asked[1]


def test_a_round_asks_the_same_whatever_was_confirmed(bucket, audit, tmp_path):
    address = bucket.upload(written(tmp_path / "local", "npy"), prefix="embeddings")
    asked = []
    for number, second in enumerate((small.second(), small.hash_list("second", *small.stranger().entries.values()))):
        done = audit(embeddings=address, out=f"audit{number}")
        vetset.verify(done.out, done.key, with_list=second)
        bucket.log.requests.clear()
        vetset.expand(done.out, done.key)
        asked.append(sorted(bucket.log.requests))
        assert (set(small.SECOND_ROUND) <= set(small.candidates(done.findings))) == (number == 0)
    assert asked[0] == asked[1]


def test_vectors_of_seeds_are_never_picked_out_of_a_remote_file(bucket, audit, tmp_path, monkeypatch):
    """What is picked is the sample of the calibration, the same with and without findings."""
    picked, take = [], StoredRows.take
    monkeypatch.setattr(
        StoredRows, "take", lambda self, rows: picked.append((self.where, *rows.tolist())) or take(self, rows)
    )
    folder = written(tmp_path / "local", "npy")
    address = bucket.upload(folder, prefix="embeddings")
    told = []
    for number, (place, known) in enumerate(
        (place, known) for place in (address, folder) for known in (small.known(), small.stranger())
    ):
        picked.clear()
        audit(embeddings=place, lists=[known], out=f"audit{number}")
        told.append(sorted(picked))
    assert told[0] == told[1]
    assert told[2] != told[3]  # locally they are


def test_cleaning_asks_the_same_whatever_goes(bucket, audit, tmp_path):
    folder = written(tmp_path / "local", "clip-retrieval")
    address = bucket.upload(folder, prefix="embeddings")
    asked = []
    for number, known in enumerate((small.known(), small.stranger())):
        done = audit(embeddings=address, lists=[known], out=f"audit{number}")
        vetset.order(done.out, done.key, out=tmp_path / f"order{number}")
        bucket.log.requests.clear()
        out = tmp_path / f"clean{number}"
        vetset.clean(done.root, tmp_path / f"order{number}", signer=done.pub, out=out, engine=small.HERE)
        asked.append(sorted(bucket.log.requests))
        rows = sum(part.rows for part in opened(out / "embeddings"))
        assert rows == small.COUNT - (0 if number else len(small.MATCHED))
        vetset.clean(
            done.root, tmp_path / f"order{number}", signer=done.pub, out=tmp_path / f"same{number}", engine=small.HERE,
            embeddings=folder,
        )  # fmt: skip
        assert small.tree(out / "embeddings") == small.tree(tmp_path / f"same{number}" / "embeddings")
    assert asked[0] == asked[1]


def test_a_pass_fetches_the_rows_and_no_more(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "BLOCK", 1 << 16)
    array = np.random.default_rng(1).standard_normal((5000, 40)).astype(np.float16)
    LAYOUTS["npy"](tmp_path, 0, [str(number) for number in range(5000)], array, "float16")
    (part,) = opened(root_of(bucket.upload(tmp_path)))
    bucket.log.sent = 0
    assert np.array_equal(vectors_of(part, step=999), array)
    assert bucket.log.sent - array.nbytes in range(2000)


def test_what_is_replaced_between_two_passes_costs_an_error(bucket, tmp_path):
    folder = written(tmp_path / "local", "npy")
    (part, *_) = opened(root_of(bucket.upload(folder)))
    bucket.put("data/0000.npy", (folder / "0001.npy").read_bytes())
    with pytest.raises(DatasetError, match="embedding part 0"):
        vectors_of(part)
