"""Vetting a list: what everybody knows to be lawful is found in it, and nothing else."""

import hashlib
import io

import numpy as np
from PIL import Image

import small
from vetset.hashlist.opinions import OpinionRows
from vetset.model.hashlist import Category
from vetset.model.signal import Kind
from vetset.stage.intake import Delivery
from vetset.stage.vet import FILES, lawful

HARM = [bytes([number]) * 16 for number in range(1, 6)]


def near(value, bits):
    flipped = np.unpackbits(np.frombuffer(value, np.uint8))
    flipped[:bits] ^= 1
    return np.packbits(flipped).tobytes()


def found(*entries, benign=(), radius=31):
    return [(each.kind, each.value) for each in lawful({part.kind: part for part in entries}, benign, radius=radius)]


def test_files_that_every_crawler_brings_are_pictures_of_one_pixel_or_nothing():
    assert FILES[0] == b""
    assert all(Image.open(io.BytesIO(file)).size == (1, 1) for file in FILES[1:])
    assert len(set(FILES)) == len(FILES)


def test_their_digests_are_found_in_every_kind():
    md5 = [hashlib.md5(file).digest() for file in FILES]
    assert found(small.entries(Kind.MD5, HARM + md5)) == sorted((Kind.MD5, value) for value in md5)
    assert found(small.entries(Kind.MD5, HARM)) == []
    nothing = hashlib.sha256(b"").digest()
    assert found(small.entries(Kind.URL_SHA256, [nothing, bytes(32)])) == [(Kind.URL_SHA256, nothing)]
    pixel = hashlib.sha1(FILES[1]).digest()
    assert found(small.entries(Kind.SHA1, [pixel, bytes(20)])) == [(Kind.SHA1, pixel)]


def test_pictures_of_benign_lists_are_found_by_digest_and_near_by_pdq():
    famous = small.pdq(small.images()[0])
    benign = small.hash_list(
        "famous", small.entries(Kind.PDQ, [famous]), small.entries(Kind.MD5, HARM[:1]), category=Category.BENIGN
    )
    other = small.pdq(small.images()[3])
    listed = [near(famous, 31), near(famous, 32), other, famous]
    assert found(small.entries(Kind.PDQ, listed), benign=[benign]) == sorted(
        [(Kind.PDQ, near(famous, 31)), (Kind.PDQ, famous)]
    )
    assert found(small.entries(Kind.PDQ, listed), benign=[benign], radius=0) == [(Kind.PDQ, famous)]
    assert found(small.entries(Kind.MD5, HARM), benign=[benign]) == [(Kind.MD5, HARM[0])]


def test_which_side_is_larger_makes_no_difference():
    many = [hashlib.sha256(b"%d" % number).digest() for number in range(500)]
    few = small.entries(Kind.SHA256, [many[7], many[100], bytes(32)])
    benign = small.hash_list("many", small.entries(Kind.SHA256, many), category=Category.BENIGN)
    assert found(few, benign=[benign]) == sorted([(Kind.SHA256, many[7]), (Kind.SHA256, many[100])])
    few_benign = small.hash_list("few", few, category=Category.BENIGN)
    assert found(small.entries(Kind.SHA256, many), benign=[few_benign]) == sorted(
        [(Kind.SHA256, many[7]), (Kind.SHA256, many[100])]
    )


def test_nothing_is_shown_of_a_value():
    md5 = hashlib.md5(FILES[1]).digest()
    (one,) = lawful({Kind.MD5: small.entries(Kind.MD5, [md5])}, (), radius=31)
    assert repr(one) == "Lawful(kind=<Kind.MD5: 'md5'>, reason='a file that every crawler brings')"


def test_nothing_is_shown_of_a_delivery():
    rows = OpinionRows("a test")
    rows.add("a", [(Kind.MD5, HARM[0])])
    told = repr(Delivery([rows.batch()], full=True))
    assert told == "Delivery(full=True, strict=False, when=None, latest=None, again=False, left_out={})"
