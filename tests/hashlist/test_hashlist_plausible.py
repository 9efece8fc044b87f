"""Which values can be PDQ: the claim about photographs, and the refusal of a column of something else."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from photographs import photographs, pixels
from vetset import fingerprint
from vetset.hashlist.formats import opinions
from vetset.hashlist.opinions import OpinionRows
from vetset.hashlist.plausible import FEWEST, implausible_pdq, with_plausible_pdq
from vetset.model.errors import ListError
from vetset.model.signal import Kind, Signal

DIGESTS = [hashlib.sha256(str(number).encode()).digest() for number in range(400)]
ODD = [value for value in DIGESTS if int.from_bytes(value).bit_count() != 128]


def sound(number):
    half = hashlib.md5(str(number).encode()).digest()
    return half + bytes(255 - byte for byte in half)


def edits(image):
    yield image
    yield image.convert("L")
    yield image.convert("1")
    yield image.filter(ImageFilter.GaussianBlur(5))
    yield ImageEnhance.Contrast(image).enhance(10)
    yield image.resize((48, 48))
    yield image.crop((image.width // 4, image.height // 4, image.width // 2, image.height // 2))


def test_photographs_and_edits_of_them_have_128_bits_set():
    values = []
    for path in photographs():
        image = Image.fromarray(pixels(path.name)).convert("RGB")
        image.thumbnail((400, 400))
        for edit in edits(image):
            stored = io.BytesIO()
            edit.save(stored, "PNG")
            (found,) = fingerprint(stored.getvalue(), kinds=["pdq"])
            if isinstance(found, Signal) and found.quality >= 50:
                values.append(found.value)
    assert len(values) > 80
    assert not implausible_pdq(np.frombuffer(b"".join(values), np.uint8).reshape(-1, 32)).any()


def test_the_mask_counts_bits():
    values = [sound(1), *DIGESTS[:50], bytes(32)]
    expected = [int.from_bytes(value).bit_count() != 128 for value in values]
    assert implausible_pdq(np.frombuffer(b"".join(values), np.uint8).reshape(-1, 32)).tolist() == expected


def test_digests_hardly_ever_have_128_bits_set():
    assert 0.9 < implausible_pdq(np.frombuffer(b"".join(DIGESTS), np.uint8).reshape(-1, 32)).mean() < 0.99


@pytest.fixture
def listed(tmp_path):
    """Import PDQ values of a table."""

    def read(values, column="pdq"):
        path = tmp_path / "list.csv"
        path.write_text(f"{column}\n" + "".join(f"{value.hex()}\n" for value in values))
        return sum(len(batch) for batch in opinions(path))

    return read


def test_a_column_of_digests_is_refused_and_none_of_them_is_shown(listed):
    assert listed(DIGESTS, "sha256") == len(DIGESTS)
    with pytest.raises(ListError, match=r"cannot be that.*less than half") as caught:
        listed(DIGESTS)
    assert not any(value.hex()[:8] in str(caught.value) for value in DIGESTS)


def test_half_of_them_may_be_odd_and_no_more(listed):
    good = [sound(number) for number in range(50)]
    assert listed(good + ODD[:50]) == 100
    with pytest.raises(ListError, match="cannot be that"):
        listed(good + ODD[:51])


def test_nothing_is_said_of_few_values_however_often_they_come(listed):
    assert listed(ODD[: FEWEST - 1] * 5) == 5 * (FEWEST - 1)
    with pytest.raises(ListError, match="cannot be that"):
        listed(ODD[:FEWEST])


def test_a_value_that_many_entries_have_weighs_little(listed):
    assert listed([sound(number) for number in range(30)] + [bytes(32)] * 500) == 530


def test_values_of_low_quality_are_not_looked_at():
    rows = OpinionRows("a test")
    for number, value in enumerate(ODD[:100]):
        rows.add(f"e{number}", [(Kind.PDQ, value), (Kind.MD5, value[:16])], quality=49)
    rows.withdraw("gone")
    batch = rows.batch()
    assert list(with_plausible_pdq([batch], "a test")) == [batch]


def test_small_batches_are_looked_at_together():
    batches = []
    for number, value in enumerate(ODD[:FEWEST]):
        rows = OpinionRows("a test")
        rows.add(f"e{number}", [(Kind.PDQ, value)])
        batches.append(rows.batch())
    assert list(with_plausible_pdq(batches[1:], "a test")) == batches[1:]
    with pytest.raises(ListError, match="a test: most of"):
        list(with_plausible_pdq(batches, "a test"))
