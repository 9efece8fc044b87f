"""Different labels are different pictures: held against the boxes, and against a plain perceptual hash of its own."""

import numpy as np
import pytest
from PIL import Image

from vetset.demo.edits import EDITS, opened
from vetset.demo.plan import plan


@pytest.fixture(scope="module")
def drafts():
    return plan(20, 2400)[1]


def plain_hash(image):
    """256 bits: which of the 16 × 16 lowest frequencies of a 64 × 64 picture are above their median."""
    grey = np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BOX), float)
    frequency, place = np.arange(1, 17)[:, None], np.arange(64)[None, :]
    cosines = np.cos(np.pi * frequency * (2 * place + 1) / 128)
    low = cosines @ grey @ cosines.T
    return (low > np.median(low)).ravel()


def box_of(label):
    name, _, box = label.partition("/")
    return name, *(int(edge) for edge in box.split("-"))


def test_no_pixel_of_a_photograph_is_under_two_labels(drafts, photographs):
    covered = {photograph.name: np.zeros(photograph.rgb.shape[:2], np.uint8) for photograph in photographs}
    for label in {draft.label for draft in drafts} - {""}:
        name, left, upper, right, lower = box_of(label)
        covered[name][upper:lower, left:right] += 1
    assert max(part.max() for part in covered.values()) == 1


def test_there_are_many_labels(drafts):
    assert len({draft.label for draft in drafts}) > 1900


def test_a_plain_hash_keeps_different_labels_far_apart(drafts):
    first = {}
    for draft in drafts:
        if draft.role in {"distractor", "original"}:
            first.setdefault(draft.label, draft.image)
    bits = np.array([plain_hash(opened(image)) for image in first.values()], np.float32)
    alike = bits @ bits.T + (1 - bits) @ (1 - bits).T
    distances = (256 - alike)[np.triu_indices(len(bits), 1)]
    assert len(bits) > 1900
    assert distances.min() > 40


def test_the_plain_hash_sees_the_mild_edits(drafts):
    originals = [draft.image for draft in drafts if draft.role == "original"]
    for name in ("jpeg_q80", "resize_up", "webp_q80"):
        far = [
            np.count_nonzero(plain_hash(opened(image)) != plain_hash(opened(EDITS[name](image)))) for image in originals
        ]
        assert max(far) <= 31, name
