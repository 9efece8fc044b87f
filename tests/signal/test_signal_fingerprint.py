"""One answer for each kind, in the order asked, from one decoding."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from photographs import tiles
from vetset.model.errors import UsageError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal import fingerprint as module
from vetset.signal.digest import digest, url_digest
from vetset.signal.fingerprint import SIGNAL_VERSIONS, fingerprint, fingerprints, screen
from vetset.signal.pdq import pdq

PHOTO = tiles(250, 1, 31)[0]


def encoded(image: np.ndarray, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, form)
    return out.getvalue()


DATA = encoded(PHOTO)
FLAT = encoded(np.full((80, 80, 3), 120, np.uint8))


def test_the_digests_are_those_of_the_stored_bytes():
    md5, sha1, sha256, _ = fingerprint(DATA)
    assert md5 == Signal(Kind.MD5, hashlib.md5(DATA).digest())
    assert sha1 == Signal(Kind.SHA1, hashlib.sha1(DATA).digest())
    assert sha256 == Signal(Kind.SHA256, hashlib.sha256(DATA).digest())


def test_the_perceptual_hash_is_that_of_the_decoded_pixels():
    value, quality = pdq(PHOTO)
    assert fingerprint(DATA)[3] == Signal(Kind.PDQ, value, quality, Variant.STORED)


@pytest.mark.parametrize("kinds", [("pdq", "md5"), (Kind.SHA256, Kind.PDQ, Kind.SHA1), ("sha1",), ()])
def test_answers_come_in_the_order_asked(kinds):
    assert [answer.kind for answer in fingerprint(DATA, kinds=kinds)] == [Kind(kind) for kind in kinds]


@pytest.mark.parametrize("kinds", [("pdq", "md5"), (Kind.SHA256, Kind.PDQ, Kind.SHA1), ("sha1",), ("pdq",), ()])
@pytest.mark.parametrize("variants", [(), ("upright", "dihedral", "white", "partial")])
def test_many_pictures_have_the_answers_of_each(kinds, variants):
    tags = Image.Exif()
    tags[0x0112] = 6
    turned = io.BytesIO()
    Image.fromarray(PHOTO).save(turned, "JPEG", exif=tags)
    images = [DATA, b"", FLAT, b"no picture", turned.getvalue(), turned.getvalue()[:-3000]] * 3
    for policy in (None, ScanPolicy(max_image_bytes=len(DATA) - 1)):
        alone = [fingerprint(data, kinds=kinds, policy=policy, variants=variants) for data in images]
        assert fingerprints(images, kinds=kinds, policy=policy, variants=variants) == alone


@pytest.mark.parametrize("kind", ["embedding", "url_md5", "url_sha256", "phash"])
def test_kinds_that_are_not_taken_of_stored_bytes_are_refused(kind):
    with pytest.raises(UsageError, match="stored bytes"):
        fingerprint(DATA, kinds=("md5", kind))
    with pytest.raises(UsageError, match="stored bytes"):
        screen(DATA, (kind,), ScanPolicy())
    with pytest.raises(UsageError, match="stored bytes"):
        fingerprints([DATA], kinds=("md5", kind))


def test_a_flat_picture_has_digests_but_no_perceptual_hash():
    answers = fingerprint(FLAT)
    assert [type(answer) for answer in answers] == [Signal, Signal, Signal, NoSignal]
    assert answers[3] == NoSignal(Kind.PDQ, Reason.LOW_QUALITY)


def test_the_policy_says_which_quality_is_low():
    quality = pdq(PHOTO)[1]
    small = encoded(np.ascontiguousarray(PHOTO[:60, :60] // 4 + 90))
    low = pdq(PHOTO[:60, :60] // 4 + 90)[1]
    assert 0 < low < quality
    at, above = ScanPolicy(min_pdq_quality=low), ScanPolicy(min_pdq_quality=low + 1)
    assert isinstance(fingerprint(small, kinds=("pdq",), policy=at)[0], Signal)
    assert fingerprint(small, kinds=("pdq",), policy=above) == [NoSignal(Kind.PDQ, Reason.LOW_QUALITY)]


def test_a_file_over_the_cap_keeps_its_digests():
    answers = fingerprint(DATA, policy=ScanPolicy(max_image_bytes=len(DATA) - 1))
    assert answers[:3] == fingerprint(DATA, kinds=BYTE_KINDS)
    assert answers[3] == NoSignal(Kind.PDQ, Reason.TOO_LARGE)


def test_too_many_pixels_are_too_large():
    policy = ScanPolicy(max_pixels=250 * 250 - 1)
    assert fingerprint(DATA, kinds=("pdq",), policy=policy) == [NoSignal(Kind.PDQ, Reason.TOO_LARGE)]


def test_an_empty_file_has_no_signal_at_all():
    assert fingerprint(b"") == [NoSignal(kind, Reason.EMPTY_FILE) for kind in (*BYTE_KINDS, Kind.PDQ)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no picture", Reason.UNKNOWN_ENCODING),
        (DATA[: len(DATA) // 2], Reason.TRUNCATED),
        (encoded(PHOTO, "JPEG")[:-400], Reason.TRUNCATED),
    ],
)
def test_what_cannot_be_decoded_is_undecided_and_still_has_digests(data, reason):
    answers = fingerprint(data)
    assert all(isinstance(answer, Signal) for answer in answers[:3])
    assert answers[3] == NoSignal(Kind.PDQ, reason)


def test_screening_gives_the_same_answers_and_the_pixels():
    answers, pixels = screen(DATA, ("sha1", "pdq"), ScanPolicy())
    assert answers == fingerprint(DATA, kinds=("sha1", "pdq"))
    np.testing.assert_array_equal(pixels, PHOTO)


def test_screening_says_why_there_are_no_pixels():
    assert screen(b"", (), ScanPolicy()) == ([], Reason.EMPTY_FILE)
    assert screen(DATA, (), ScanPolicy(max_image_bytes=5)) == ([], Reason.TOO_LARGE)


@pytest.fixture
def decodings(monkeypatch):
    seen = []
    real = module.decode
    monkeypatch.setattr(module, "decode", lambda data, **options: seen.append(1) or real(data, **options))
    return seen


def test_a_picture_is_decoded_once(decodings):
    screen(DATA, ("md5", "pdq", "sha1"), ScanPolicy())
    assert len(decodings) == 1


def test_digests_alone_decode_nothing(decodings):
    fingerprint(DATA, kinds=BYTE_KINDS)
    assert not decodings


def test_every_kind_has_a_version():
    assert set(SIGNAL_VERSIONS) == set(Kind)
    with pytest.raises(TypeError):
        SIGNAL_VERSIONS[Kind.PDQ] = 2


def test_addresses_are_digested_as_their_utf8_bytes():
    address = "https://example.org/ä b?x=%20"
    assert url_digest(address, Kind.URL_MD5) == hashlib.md5(address.encode()).digest()
    assert url_digest(address, Kind.URL_SHA256) == hashlib.sha256(address.encode()).digest()


def test_an_address_with_a_lone_surrogate_still_has_a_digest():
    assert len(url_digest("https://example.org/\ud800", Kind.URL_MD5)) == 16


@pytest.mark.parametrize("kind", Kind)
def test_digests_refuse_the_kinds_of_the_others(kind):
    if kind in BYTE_KINDS:
        assert len(digest(b"x", kind)) == kind.width
    else:
        with pytest.raises(UsageError):
            digest(b"x", kind)
    if kind in URL_KINDS:
        assert len(url_digest("x", kind)) == kind.width
    else:
        with pytest.raises(UsageError):
            url_digest("x", kind)


def test_pixels_that_are_handed_out_outlive_the_next_picture():
    one, other = (encoded(tile, "JPEG") for tile in tiles(250, 2, 32))
    _, pixels = screen(one, (Kind.PDQ,), ScanPolicy())
    before = pixels.copy()
    fingerprint(other)
    screen(other, (Kind.PDQ,), ScanPolicy())
    np.testing.assert_array_equal(pixels, before)


def test_threads_do_not_share_borrowed_pixels():
    files = [encoded(tile, "JPEG") for tile in tiles(250, 8, 33)] * 8
    wanted = [fingerprint(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fingerprint, files)) == wanted
