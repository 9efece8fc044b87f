"""The pictures of the self-test: they are what was drawn, they cover what is decoded, and nothing wrong passes them."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from canary_cases import LOSSY_BITS, drawn_for_heic, of_encodings, others, packed
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from vetset.model.errors import EngineError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import BYTE_KINDS, Form, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal import canaries as module
from vetset.signal.canaries import MODEL_TRIPLE, canaries, faults, model_pictures, policy_for_canaries
from vetset.signal.decode import FORMATS
from vetset.signal.fingerprint import fingerprint
from vetset.signal.pdq import pdq, pdq_plain

CANARIES = {canary.name: canary for canary in canaries()}
DRAWN = {made.name: made.drawn for made in (*of_encodings(), *others())}
DRAWN |= {name: np.array(picture.convert("RGB")) for name, picture in drawn_for_heic()}


def distance(one, other):
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def answers_of(canary, policy):
    kinds = [kind for kind in policy.kinds if not kind.is_url]
    return fingerprint(canary.data, kinds=kinds, policy=policy, variants=policy.variants)


@pytest.mark.parametrize(
    "policy",
    [
        ScanPolicy(),
        ScanPolicy(variants=tuple(Form), frames=8),
        ScanPolicy(variants=(), frames=1),
        ScanPolicy(frames=1),
        ScanPolicy(kinds=(Kind.PDQ,), min_pdq_quality=100),
        ScanPolicy(kinds=(Kind.MD5, Kind.URL_MD5), min_pdq_quality=0),
        ScanPolicy(max_pixels=1, max_image_bytes=1, min_pdq_quality=0),
    ],
    ids=["defaults", "every form", "no form", "one frame", "pdq alone", "no pdq", "caps of nothing"],
)
@pytest.mark.parametrize("name", CANARIES)
def test_every_picture_comes_out_as_it_must_whatever_the_policy(name, policy):
    asked = policy_for_canaries(policy)
    assert CANARIES[name].at_hand
    assert faults(CANARIES[name], answers_of(CANARIES[name], asked), asked) == []


def test_the_names_are_those_of_what_is_drawn():
    assert list(CANARIES) == list(DRAWN)


@pytest.mark.parametrize("name", CANARIES)
def test_what_must_come_out_is_what_was_drawn_by_the_definition(name):
    """Not by the decoder, which is what is being tested: so a picture that it always got wrong would show."""
    canary = CANARIES[name]
    assert canary.digests == {kind: hashlib.new(kind.value, canary.data).digest() for kind in BYTE_KINDS}
    if DRAWN[name] is None:
        assert canary.reason is not None
        assert Variant.STORED not in canary.pdq
        return
    value, quality = pdq_plain(DRAWN[name])
    assert distance(canary.pdq[Variant.STORED], value) <= (20 if canary.bits else 0)
    assert canary.quality >= 90
    assert canary.bits or canary.quality == quality


def test_every_format_that_is_decoded_is_there_and_heic():
    shown = set()
    for canary in CANARIES.values():
        try:
            with Image.open(io.BytesIO(canary.data)) as picture:
                shown.add(picture.format)
        except UnidentifiedImageError:
            shown.add(canary.needs)
    assert shown >= {*FORMATS, "heic"}


def test_every_reason_of_a_file_that_is_no_whole_picture_and_every_form_is_there():
    reasons = {canary.reason for canary in CANARIES.values()} - {None}
    assert reasons == {Reason.TRUNCATED, Reason.LOW_QUALITY, Reason.UNKNOWN_ENCODING}
    found = {variant for canary in CANARIES.values() for variant in canary.pdq}
    every = {variant for form in Form for variant in form.variants(2)}
    assert found == {Variant.STORED, *every}


def test_no_two_pictures_match_but_the_two_that_a_model_must_find_alike():
    pairs = set()
    names = [name for name, canary in CANARIES.items() if Variant.STORED in canary.pdq]
    for one in names:
        for other in names:
            apart = distance(CANARIES[one].pdq[Variant.STORED], CANARIES[other].pdq[Variant.STORED])
            if one < other and apart <= 31 + 2 * LOSSY_BITS:
                pairs.add((one, other))
    assert pairs == {tuple(sorted(MODEL_TRIPLE[:2]))}


def test_the_file_is_small():
    data = module._packed()
    assert len(data) < 150 << 10
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == len(CANARIES) + 1


def test_the_file_is_made_again_alike():
    made = list(others())
    assert packed(made) == packed(made)
    assert [one.data for one in others()] == [one.data for one in made]


@given(st.sampled_from(sorted(CANARIES)), st.data())
@settings(max_examples=150, deadline=None)
def test_a_wrong_answer_is_named(name, data):
    """One bit of a digest; more bits of a PDQ than decoders round; an answer that is missing, or another reason."""
    canary, policy = CANARIES[name], policy_for_canaries(ScanPolicy())
    answers = answers_of(canary, policy)
    known = [
        place
        for place, answer in enumerate(answers)
        if answer.kind is not Kind.PDQ or answer.variant is Variant.STORED or answer.variant in canary.pdq
    ]
    place = data.draw(st.sampled_from(known))
    answer = answers[place]
    if isinstance(answer, NoSignal):
        wrong = replace(answer, reason=Reason.UNDECODABLE)
    elif data.draw(st.booleans()):
        wrong = NoSignal(answer.kind, Reason.UNDECODABLE, answer.variant)
    else:
        bits = 1 if answer.kind is not Kind.PDQ else 2 * LOSSY_BITS + 1
        flipped = data.draw(st.sets(st.integers(0, 8 * len(answer.value) - 1), min_size=bits, max_size=bits))
        value = int.from_bytes(answer.value) ^ sum(1 << bit for bit in flipped)
        wrong = replace(answer, value=value.to_bytes(len(answer.value)))
    word = answer.kind.value if answer.variant is Variant.STORED else answer.variant.value
    assert faults(canary, [*answers[:place], wrong, *answers[place + 1 :]], policy) == [word]
    assert faults(canary, [*answers[:place], *answers[place + 1 :]], policy) == [word]


def test_a_form_that_a_picture_does_not_have_is_named():
    policy = policy_for_canaries(ScanPolicy())
    for variant in (Variant.UPRIGHT, Variant.WHITE, Variant.FRAME_1):
        answers = [*answers_of(CANARIES["PNG"], policy), Signal(Kind.PDQ, b"\1" * 32, 100, variant)]
        assert faults(CANARIES["PNG"], answers, policy) == [variant.value]


def test_a_lossless_picture_whose_hash_has_one_bit_more_is_named():
    policy = policy_for_canaries(ScanPolicy(kinds=(Kind.PDQ,)))
    (answer,) = answers_of(CANARIES["PNG"], policy)
    wrong = replace(answer, value=bytes([answer.value[0] ^ 1]) + answer.value[1:])
    assert faults(CANARIES["PNG"], [wrong], policy) == ["pdq"]
    assert faults(CANARIES["PNG"], [replace(answer, quality=answer.quality - 1)], policy) == ["pdq"]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("PNG, grey, 16 bits", lambda pixels: np.minimum(pixels.astype(np.int64) * 256, 255).astype(np.uint8)),
        ("JPEG, CMYK (Adobe, inverted), quality 90", lambda pixels: 255 - pixels),
        ("PNG, interlaced", lambda pixels: np.where(np.arange(len(pixels))[:, None, None] % 2, pixels, 0)),
        ("WebP, lossless", lambda pixels: np.ascontiguousarray(pixels[::-1])),
        ("GIF", lambda pixels: np.roll(pixels, 4, axis=1)),
    ],
)
def test_what_decoders_are_known_to_get_wrong_shows_in_the_hash(name, broken):
    pixels = DRAWN[name]
    value, _ = pdq(np.ascontiguousarray(broken(pixels).astype(np.uint8)))
    assert distance(value, CANARIES[name].pdq[Variant.STORED]) > CANARIES[name].bits


def test_colours_that_are_exchanged_show_in_the_hash():
    """Red for blue is what a decoder hands out that speaks BGR."""
    near = [distance(pdq(np.ascontiguousarray(DRAWN[name][:, :, ::-1]))[0], CANARIES[name].pdq[Variant.STORED])
            for name in ("PNG", "BMP", "TIFF", "PPM")]  # fmt: skip
    assert min(near) > 0


def damaged(change):
    with zipfile.ZipFile(io.BytesIO(module._packed())) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    change(held)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return out.getvalue()


def _edited(held, **fields):
    listed = json.loads(held["expected.json"])
    held["expected.json"] = json.dumps([listed[0] | fields, *listed[1:]]).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        module._packed()[:1000],
        damaged(lambda held: held.pop("000")),
        damaged(lambda held: held.pop("expected.json")),
        damaged(lambda held: held.update({"expected.json": b"{"})),
        damaged(lambda held: _edited(held, digests=None)),
        damaged(lambda held: _edited(held, pdq={"stored": "zz"})),
        damaged(lambda held: _edited(held, pdq={"other": "00"})),
        damaged(lambda held: _edited(held, reason="none of them")),
        damaged(lambda held: _edited(held, bits="many")),
    ],
)
def test_a_damaged_file_is_told_and_how_to_mend_it(monkeypatch, data):
    monkeypatch.setattr(module, "_packed", lambda: data)
    canaries.cache_clear()
    try:
        with pytest.raises(EngineError, match="Install vetset anew"):
            canaries()
    finally:
        monkeypatch.undo()
        canaries.cache_clear()
    assert len(canaries()) == len(CANARIES)


def test_a_model_is_given_a_picture_its_copy_and_another(monkeypatch):
    first, alike, other = model_pictures()
    assert first.shape == alike.shape == other.shape
    assert 0 < np.abs(first.astype(int) - alike).mean() < 5
    assert np.abs(first.astype(int) - other).mean() > 50
    monkeypatch.setattr(module, "decode", lambda *_, **__: Reason.UNDECODABLE)
    assert model_pictures() is None
