"""A JPEG whose data are not all there is undecided, whatever harmless things libjpeg says of it before."""

import io
from random import Random

import numpy as np
import pytest
from jpeg_cases import DAMAGE, REMARKS, doubly_sampled, markers, variants
from odd_cases import committed, jpeg
from PIL import Image

from photographs import tiles
from vetset.model.signal import Form, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal.decode import decode
from vetset.signal.fingerprint import fingerprint
from vetset.signal.jpeg import is_usual, segments, tidied
from vetset.signal.jpeg_data import lacks_data
from vetset.signal.partial import decode_partial

CAP = 1 << 24
PICTURE = np.ascontiguousarray(tiles(240, 1, 11)[0][:160, :192])
FILES = variants(PICTURE)
HUFFMAN_IN_ORDER = [name for name in FILES if "arithmetic" not in name and "progressive" not in name]
TRIES = 3


def by_pillow(data):
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def undecided(data):
    return isinstance(decode(data, max_pixels=CAP), Reason)


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_decided_and_lacks_nothing(name):
    np.testing.assert_array_equal(decode(FILES[name], max_pixels=CAP), by_pillow(FILES[name]))
    assert not lacks_data(FILES[name])


@pytest.mark.parametrize("remark", REMARKS)
@pytest.mark.parametrize("name", FILES)
def test_a_harmless_remark_changes_nothing(name, remark):
    own = decode(FILES[name], max_pixels=CAP)
    for number in range(TRIES):
        data = REMARKS[remark](FILES[name], Random(f"{name} {remark} {number}"))
        if data is not None:
            np.testing.assert_array_equal(by_pillow(data), own)
            np.testing.assert_array_equal(decode(data, max_pixels=CAP), own, err_msg=str(number))


@pytest.mark.parametrize("remark", ["none", *REMARKS])
@pytest.mark.parametrize("damage", ["ended_tidily", "ended", "zeroed", "without_intervals"])
@pytest.mark.parametrize("name", FILES)
def test_missing_data_are_seen_behind_every_harmless_remark(name, damage, remark):
    for number in range(TRIES):
        chance = Random(f"{name} {damage} {remark} {number}")
        data = FILES[name] if remark == "none" else REMARKS[remark](FILES[name], chance)
        data = None if data is None else DAMAGE[damage](data, chance)
        assert data is None or undecided(data), number


@pytest.mark.parametrize("remark", REMARKS)
@pytest.mark.parametrize("name", HUFFMAN_IN_ORDER)
def test_a_hole_that_is_seen_is_seen_behind_every_harmless_remark(name, remark):
    for number in range(TRIES):
        chance = Random(f"{name} {remark} {number}")
        holed = DAMAGE["holed"](FILES[name], chance)
        data = REMARKS[remark](holed, chance)
        assert data is None or not undecided(holed) or undecided(data), number


def test_a_truncated_file_with_a_stray_byte_is_hashed_as_partial_alone():
    data = FILES["plain"]
    scan = data.index(b"\xff\xda")
    stray = data[:scan] + b"\0" + data[scan : scan + (len(data) - scan) * 4 // 5] + b"\xff\xd9"
    stored, partial = fingerprint(stray, kinds=["pdq"], variants=[Form.PARTIAL])
    assert stored == NoSignal(Kind.PDQ, Reason.TRUNCATED)
    assert isinstance(partial, Signal)
    assert partial.variant is Variant.PARTIAL


def scans(data):
    return [place for place, kind in markers(data) if kind == 0xDA]


@pytest.mark.parametrize("name", ["scans.jpg", "arithmetic.jpg"])
def test_a_file_that_ends_in_good_order_without_its_last_scans_is_truncated(name):
    data = committed(name)
    for place in scans(data)[1:]:
        assert decode(data[:place] + b"\xff\xd9", max_pixels=CAP) is Reason.TRUNCATED


def test_a_usual_header_is_told_from_others():
    """What has data of all components in its first scan, as most tools write it; no other may match."""
    usual = {name for name, data in FILES.items() if is_usual(data)}
    assert {"plain", "restarts", "grey, plain"} <= usual
    assert not usual & {name for name in FILES if "arithmetic" in name or "scan" in name}
    thumbnail = b"\xff\xe1" + (2 + len(FILES["plain"])).to_bytes(2) + FILES["plain"]
    scans_after_it = committed("scans.jpg")[:2] + thumbnail + committed("scans.jpg")[2:]
    assert not is_usual(scans_after_it)


def test_arithmetic_coding_that_ends_early_in_good_order_is_truncated():
    data = committed("arithmetic.jpg")
    start = scans(data)[0]
    for share in (0.3, 0.6, 0.9, 0.99):
        cut = data[: start + int((len(data) - start) * share)] + b"\xff\xd9"
        assert decode(cut, max_pixels=CAP) is Reason.TRUNCATED, share


def test_a_progressive_file_without_a_scan_between_others_is_truncated():
    data = committed("arithmetic-progressive.jpg")
    places = [*scans(data), data.rindex(b"\xff\xd9")]
    planes = [data[place + 1 + int.from_bytes(data[place + 2 : place + 4])] for place in scans(data)]
    second = planes.index(0x21)  # from the plane above to the one that the next scan takes up
    without = data[: places[second]] + data[places[second + 1] :]
    assert decode(without, max_pixels=CAP) is Reason.TRUNCATED


def test_a_rare_sampling_is_decided_and_its_missing_data_are_seen():
    whole = committed("scans.jpg")
    odd = doubly_sampled(whole)
    np.testing.assert_array_equal(decode(odd, max_pixels=CAP), decode(whole, max_pixels=CAP))
    cut = odd[: len(odd) - 400] + b"\xff\xd9"
    assert decode(cut, max_pixels=CAP) is Reason.TRUNCATED


def test_what_lacks_data_of_a_rare_sampling_is_shown_in_part():
    odd = doubly_sampled(committed("scans.jpg"))
    shown = decode_partial(odd[: scans(odd)[2] - 100] + b"\xff\xd9", max_pixels=CAP)
    assert shown is not None
    assert shown.shape == decode(odd, max_pixels=CAP).shape


def test_a_damaged_profile_in_pieces_costs_no_picture():
    data = jpeg(PICTURE, icc_profile=bytes(100))
    damaged = data.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\2\1")
    np.testing.assert_array_equal(decode(damaged, max_pixels=CAP), decode(data, max_pixels=CAP))


@pytest.mark.parametrize("name", FILES)
def test_a_tidy_file_stays_as_it_is_but_for_what_follows_its_end(name):
    assert tidied(FILES[name] + b"trailing") == FILES[name]


def test_no_more_segments_are_read_than_a_picture_has():
    assert len(segments(b"\xff\xd8" + b"\xff\xfe\0\2" * (1 << 17))) == 1 << 14


@pytest.mark.parametrize("number", range(40))
def test_structure_of_garbage_raises_nothing(number):
    chance = Random(number)
    data = bytearray(FILES["restarts" if number % 2 else "scans, of a rare sampling"])
    for _ in range(chance.randrange(1, 20)):
        data[chance.randrange(2, 700)] = chance.choice([0, 1, 0xC0, 0xD0, 0xDA, 0xDD, 0xFF, chance.randrange(256)])
    cut = bytes(data[: chance.randrange(2, len(data))])
    for file in (bytes(data), cut):
        assert lacks_data(file) in {True, False}
        assert isinstance(tidied(file), bytes)
        assert isinstance(decode(file, max_pixels=CAP), np.ndarray | Reason)
