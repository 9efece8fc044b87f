"""The self-test of a scan: pictures whose fingerprints are known go the way of every record, once in a process.

What decodes and hashes may be another machine's for every shard (`scan --part`), so each shard's outcome is noted with
it in the store, and what is scanned where the test fails is kept apart from what is scanned where it passes.
"""

import platform
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray
from PIL import features

from vetset.engine.worker import begin_step, end_step, is_worker
from vetset.model.canonical import document_digest
from vetset.model.errors import EngineError
from vetset.model.selftest import ScanTest, Selftest
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Kind
from vetset.signal.canaries import Canary, canaries, digest_of_canaries, faults, model_pictures, policy_for_canaries
from vetset.signal.digest import url_digests
from vetset.signal.embedding import ALIKE, Embedder
from vetset.signal.lanes import LANES
from vetset.signal.warm import warm_up
from vetset.stage.digested import Answers, byte_digests
from vetset.stage.pictured import Asked, embedder_of, taken
from vetset.store.store import Scanned

TEST_SECONDS = 300.0
"""Longest time for the test in a worker, which a decoder that hangs would keep for ever."""

_PACKAGES = ("vetset", "numpy", "numba", "llvmlite", "Pillow", "simplejpeg", "pillow-heif", "onnxruntime")
_LIBRARIES = ("libjpeg_turbo", "webp", "avif", "jpg_2000", "libtiff", "zlib")

_ADDRESS = "abc"
_OF_ADDRESS = {
    Kind.URL_MD5: bytes.fromhex("900150983cd24fb0d6963f7d28e17f72"),
    Kind.URL_SHA256: bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
}
"""The test vectors of RFC 1321 and FIPS 180-2."""

_passed: dict[tuple[Asked, bool], ScanTest] = {}
"""What passed in this process. What failed is tried again with the next shard."""


def scan_test(asked: Asked, *, pictures: bool) -> ScanTest:
    """How the known pictures come out here, as a scan of this kind would have them.

    Args:
        asked: what is computed of every record.
        pictures: whether any is; a table of metadata has none.

    Raises:
        EngineError: the known pictures are missing or damaged, or the model cannot be loaded.
    """
    found = _passed.get((asked, pictures))
    if found is None:
        found = _watched(asked, pictures=pictures)
        if not found.failed:
            _passed[asked, pictures] = found
    return found


def _watched(asked: Asked, *, pictures: bool) -> ScanTest:
    if not is_worker():
        return _tested(asked, pictures=pictures)
    if pictures:
        warm_up()
    begin_step(TEST_SECONDS)
    try:
        return _tested(asked, pictures=pictures)
    finally:
        end_step()


def _tested(asked: Asked, *, pictures: bool) -> ScanTest:
    failed = [f"digests of addresses ({kind.value})" for kind in asked.kinds if kind in URL_KINDS and not _right(kind)]
    tried = [canary for canary in canaries() if canary.at_hand] if pictures and asked.picture_kinds else []
    digests = byte_digests([canary.data for canary in tried], asked.picture_kinds)
    wrong = {
        canary.name: words
        for canary, answers in zip(tried, digests, strict=True)
        if (words := _faults_of(canary, answers, asked))
    }
    failed += [f"{name} ({', '.join(words)})" for name, words in wrong.items()]
    if pictures and Kind.EMBEDDING in asked.kinds:
        failed += model_faults(embedder_of(asked))
    return ScanTest(tools(), len(tried) - len(wrong), tuple(failed))


def _faults_of(canary: Canary, digests: Answers, asked: Asked) -> list[str]:
    """What a scan would get wrong of one of the known pictures."""
    policy = policy_for_canaries(asked.policy)
    decoded = [kind for kind in asked.picture_kinds if kind not in BYTE_KINDS]
    answers, _ = taken(canary.data, decoded, policy, pixels=Kind.EMBEDDING in asked.kinds)
    return faults(canary, [*digests, *answers], policy)


def _right(kind: Kind) -> bool:
    """Whether the digest of an address is the published one in every lane."""
    data = np.frombuffer(_ADDRESS.encode(), np.uint8)
    many = url_digests(data, np.zeros(LANES, np.int64), np.full(LANES, len(data), np.int64), kind)
    return many.tobytes() == LANES * _OF_ADDRESS[kind]


def model_faults(embedder: Embedder) -> list[str]:
    """What a model gets wrong of three known pictures, in words; nothing if it is sound.

    Its vectors must be finite, the same again, and nearer between a picture and its slightly compressed copy than
    between two pictures.
    """
    pictures = model_pictures()
    if pictures is None:
        return ["the model (its pictures are not decoded)"]
    try:
        first, alike, other = _vectors(embedder, pictures)
        (again,) = _vectors(embedder, pictures[:1])
    except (EngineError, MemoryError):
        return ["the model (it fails)"]
    if not all(np.isfinite(vector).all() and vector.any() for vector in (first, alike, other, again)):
        return ["the model (vectors that are not finite, or zero)"]
    # two batches, and twice what is lost in half precision
    if float(np.linalg.norm(first - again)) > 2 * ALIKE:
        return ["the model (another vector the second time)"]
    near, far = (first @ vector / np.linalg.norm(vector) for vector in (alike, other))
    return [] if near > far else ["the model (a copy is no nearer than another picture)"]


def _vectors(embedder: Embedder, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """As the store would keep them (n, d)."""
    return embedder.embed(pictures).astype(np.float16).astype(np.float64)


@cache
def tools() -> str:
    """Hex SHA-256 over the known pictures and the versions of all that decodes, hashes and embeds here."""
    packages = dict(_versions(_PACKAGES))
    libraries = {name: str(features.version(name)) for name in _LIBRARIES}
    machine = [platform.machine(), platform.python_version()]
    return document_digest(
        {"canaries": digest_of_canaries(), "packages": packages, "libraries": libraries, "machine": machine}
    )


def _versions(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in packages:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "none"


def selftest_of(shards: Sequence[Scanned]) -> Selftest:
    """What the self-tests of a scan come to, over all shards."""
    failed = []
    without = sum(shard.test is None for shard in shards)
    if without:
        failed.append(
            f"{without} of {len(shards)} shards were scanned by a version without self-test. "
            "Scan the dataset into the store again, and audit anew."
        )
    wrong = {word: None for shard in shards if shard.test is not None for word in shard.test.failed}
    if wrong:
        count = sum(bool(shard.test and shard.test.failed) for shard in shards)
        failed.append(
            f"the self-test failed where {count} of {len(shards)} shards were scanned: {_some(list(wrong))}. "
            "Install vetset and what it needs anew there, scan again, and audit into another folder."
        )
    return Selftest(
        min((shard.test.pictures for shard in shards if shard.test is not None), default=0), 0, 0, tuple(failed)
    )


def _some(words: Sequence[str]) -> str:
    return "; ".join(words[:8]) + (f"; and {len(words) - 8} more" if len(words) > 8 else "")
