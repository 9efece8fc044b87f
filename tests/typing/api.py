"""What a user writes, as the strict type checker must accept it; it is checked, never run."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import vetset


def fingerprints(data: bytes) -> list[bytes]:
    found = vetset.fingerprint(data, kinds=("md5", "pdq"))
    assert_type(found, list[vetset.Signal | vetset.NoSignal])
    return [signal.value for signal in found if isinstance(signal, vetset.Signal)]


def searching(codes: NDArray[np.uint8], seeds: NDArray[np.float32], rows: NDArray[np.float16]) -> vetset.Neighbours:
    query, entry = vetset.DigestIndex(codes).join(codes)
    assert_type(query, NDArray[np.int64])
    _, _, distance = vetset.HammingIndex(codes).join(codes, radius=31)
    assert_type(entry, NDArray[np.int64])
    assert_type(distance, NDArray[np.uint16])
    return vetset.nearest(seeds, [rows], 10, least=0.5)


def walk(dataset: Path, key: Path, pub: Path, out: Path) -> dict[str, Any]:
    vetset.keygen("custodian", out)
    taken = vetset.add_list("known.csv", name="known", owner="Hotline", category="opt-out", licence="terms")
    policy = vetset.load_policy("policy.toml")
    planned = vetset.plan(dataset, columns=columns(), workers=16, seconds=10, sample_shards=4, seed=1)
    assert_type(planned, vetset.Plan)
    assert_type(planned.cost.total.value, float)
    vetset.scan(dataset, store=out / "store", engine=vetset.LocalEngine(2))
    vetset.scan(dataset, store=out / "store", part="1/2")
    vetset.match(out / "store", lists=[taken.info.name], seal_to=[pub], out=out / "matched", policy=policy)
    try:
        result = vetset.audit(
            dataset, lists=["known"], seal_to=[pub], out=out / "audit", policy=policy, embeddings=out / "embeddings"
        )
    except vetset.errors.VetsetError as error:
        assert_type(error.exit_code, int)
        raise
    assert_type(result.manifest.records, int)
    newer = vetset.recheck(out / "audit", lists=["known"])
    assert_type([used.version for used in newer.held], list[str])
    opened = vetset.open_audit(out / "audit", key)
    assert_type(opened, vetset.Opened)
    vetset.verify(out / "audit", key, with_list="second")
    vetset.expand(out / "audit", key)
    vetset.expand_until_dry(out / "audit", key, with_list="second", budget=100, least_yield=0.01, first_by="punsafe")
    vetset.copies(out / "audit", key)
    order = vetset.order(out / "audit", key, out=out / "order.json")
    vetset.clean(dataset, order, signer=pub, out=out / "cleaned")
    statement = vetset.attest(out / "audit", key, out=out / "statement.json")
    checked = vetset.check(statement, signer=pub, dataset=dataset)
    assert_type(checked.subjects["00000.tar"], str)
    assert_type([used.name for used in vetset.lists()], list[str])
    return opened.summary()


def columns() -> vetset.ColumnMapping:
    return vetset.ColumnMapping(url="link", md5="")
