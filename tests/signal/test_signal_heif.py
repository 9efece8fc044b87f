"""HEIC where its extra is installed: the primary picture as the file turns it, or a reason; never part of a picture."""

import random
import re
import struct
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from heif_cases import FILES, faded, heif_bytes

from vetset.model.errors import EngineError
from vetset.model.policy import ScanPolicy
from vetset.model.signal import Form, Kind, Reason
from vetset.signal import heif
from vetset.signal.decode import decode, decode_picture
from vetset.signal.fingerprint import decoders, fingerprint
from vetset.signal.heif_boxes import MAX_EXTENTS, _is_plain, _Meta, _Piece, _Properties, is_heif, refusal
from vetset.signal.pdq import pdq
from vetset.stage.scan import ScanTask, scan_key, scan_shard

CAP = 1 << 24
GRID = heif_bytes("grid")
PLAIN = heif_bytes("plain-2")


def whole(data):
    found = decode_picture(data, max_pixels=CAP, frames=2)
    assert not isinstance(found, Reason), found
    return found


def distance(one, other):
    return (int.from_bytes(pdq(one)[0]) ^ int.from_bytes(pdq(other)[0])).bit_count()


@pytest.mark.parametrize("name", FILES)
def test_each_file_decodes_to_the_picture_that_it_was_made_of(name):
    found = whole(heif_bytes(name)).pixels
    assert found.shape == FILES[name].upright.shape
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert np.abs(found.astype(int) - FILES[name].upright).mean() < 5
    assert distance(found, FILES[name].upright) <= 20


@pytest.mark.parametrize("name", ["alpha", "alpha-premultiplied"])
def test_alpha_is_there_and_dropped_from_the_canonical_picture(name):
    picture = whole(heif_bytes(name))
    alpha = np.asarray(faded(picture.pixels.shape[1::-1]))
    assert np.abs(picture.alpha.astype(int) - alpha).max() <= 2
    np.testing.assert_array_equal(decode(heif_bytes(name), max_pixels=CAP), picture.pixels)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("turned-")])
def test_the_turn_is_the_files_own_and_exif_is_not_applied_again(name):
    data = heif_bytes(name)
    assert b"irot" in data or b"imir" in data
    picture = whole(data)
    assert picture.orientation == 1
    kinds = [signal.variant for signal in fingerprint(data, kinds=[Kind.PDQ], variants=[Form.UPRIGHT])]
    assert kinds == ["stored"]


def test_further_pictures_of_a_collection_are_no_frames():
    assert whole(heif_bytes("collection")).frames == ()


def test_a_primary_picture_of_another_coding_is_not_replaced_by_the_next_one():
    data = heif_bytes("collection")
    items = [found.end() for found in re.finditer(rb"infe\x02\0\0.\0.\0\0(?=hvc1)", data, re.DOTALL)]
    assert len(items) == 2
    first, second = (data[:at] + b"av01" + data[at + 4 :] for at in items)
    assert decode(second, max_pixels=CAP) in {Reason.UNKNOWN_ENCODING, Reason.UNDECODABLE}
    assert distance(decode(first, max_pixels=CAP), FILES["collection"].upright) <= 20


# Files that are made of more than a decoder is trusted with


@pytest.mark.parametrize("kind", [b"iden", b"iovl", b"unci", b"av01", b"jpeg", b"mski", b"tmap"])
def test_only_hevc_and_grids_of_it_reach_the_decoder(kind, monkeypatch):
    monkeypatch.setattr(heif._library(), "open_heif", lambda *_, **__: pytest.fail("the decoder saw it"))
    for known in (b"hvc1", b"grid"):
        place = GRID.index(b"infe\x02") + 12 if known == b"grid" else GRID.rindex(b"infe\x02") + 12
        assert GRID[place : place + 4] == known
        assert decode(GRID[:place] + kind + GRID[place + 4 :], max_pixels=CAP) is Reason.UNKNOWN_ENCODING


PIECE = [_Piece(inside=False, start=0, length=1)]
PLAIN_META = _Meta(
    primary=1,
    kinds={1: b"hvc1", 2: b"hvc1", 3: b"grid", 4: b"iden", 5: b"Exif"},
    pieces=dict.fromkeys((1, 2, 3, 4, 5), PIECE),
    properties=_Properties({1: (8, 8), 2: (8, 8), 3: (16, 8)}, set(), set(), 64),
    references=[(5, b"cdsc", [1])],
    inner=(0, 0),
    canvases={},
)


@pytest.mark.parametrize(
    ("plain", "changed"),
    [
        (True, {}),
        (True, {"alphas": {2}, "references": [(2, b"auxl", [1])]}),
        (False, {"alphas": {2}, "references": [(2, b"auxl", [1])], "sizes": {1: (8, 8), 2: (4, 4)}}),
        (False, {"alphas": {4}, "references": [(4, b"auxl", [1])], "sizes": {1: (8, 8), 4: (8, 8)}}),
        (True, {"primary": 3, "references": [(3, b"dimg", [1, 2])]}),
        (False, {"primary": 3, "references": [(3, b"dimg", [])]}),
        (False, {"primary": 3, "references": []}),
        (False, {"primary": 3, "references": [(3, b"dimg", [1, 4])]}),
        (False, {"primary": 3, "references": [(3, b"dimg", [1, 3])]}),
        (False, {"primary": 3, "references": [(3, b"dimg", [1, 2])], "sizes": {1: (8, 8), 2: (4, 8), 3: (16, 8)}}),
        (False, {"primary": 3, "references": [(3, b"dimg", [1, 2]), (1, b"dimg", [2])]}),
        (False, {"primary": 3, "references": [(3, b"dimg", [1]), (2, b"auxl", [1])], "alphas": {2}}),
        (False, {"sizes": {}}),
        (False, {"deep_greys": {1}}),
        (True, {"deep_greys": {2}}),
        (False, {"primary": 3, "references": [(3, b"dimg", [1, 2])], "deep_greys": {2}}),
        (False, {"pieces": {}}),
        (False, {"primary": 3, "references": [(3, b"dimg", [1, 2])], "pieces": {3: PIECE, 1: PIECE}}),
        (False, {"primary": 9}),
    ],
)
def test_what_is_plain(plain, changed):
    changed = dict(changed)
    said = {key: changed.pop(key) for key in ("sizes", "alphas", "deep_greys") if key in changed}
    meta = replace(PLAIN_META, **changed, properties=replace(PLAIN_META.properties, **said))
    assert _is_plain(meta) is plain


def test_deep_grey_does_not_reach_the_decoder(monkeypatch):
    monkeypatch.setattr(heif._library(), "open_heif", lambda *_, **__: pytest.fail("the decoder saw it"))
    assert decode(heif_bytes("grey-ten-bits"), max_pixels=CAP) is Reason.UNKNOWN_ENCODING


def test_a_type_that_is_no_word_does_not_reach_the_decoder():
    place = PLAIN.index(b"infe\x02") + 12
    assert decode(PLAIN[:place] + b"\xffvc1" + PLAIN[place + 4 :], max_pixels=CAP) is Reason.UNDECODABLE


# Files that end early, or claim too much


@pytest.mark.parametrize("name", ["grid", "plain-3", "alpha", "collection"])
def test_a_file_that_ends_anywhere_is_never_a_picture(name):
    data = heif_bytes(name)
    cuts = sorted({28, 33, 200, len(data) - 1, *(len(data) * share // 20 for share in range(1, 20))})
    told = {cut: decode(data[:cut], max_pixels=CAP) for cut in cuts}
    assert {cut: reason for cut, reason in told.items() if reason is not Reason.TRUNCATED} == {}


def test_a_tile_that_lies_outside_the_file_is_missing_even_where_every_box_is_whole():
    data = bytearray(GRID)
    place = data.index(b"mdat") - 4
    data[place : place + 4] = bytes(4)  # to the end of the file, wherever that is
    assert isinstance(decode(bytes(data), max_pixels=CAP), np.ndarray)
    assert decode(bytes(data[:-1]), max_pixels=CAP) is Reason.TRUNCATED


@pytest.mark.parametrize("tail", [b"trailing", bytes(100), b"\xff" * 9])
def test_bytes_after_the_last_box_do_not_matter(tail):
    np.testing.assert_array_equal(decode(GRID + tail, max_pixels=CAP), decode(GRID, max_pixels=CAP))


@pytest.mark.parametrize("name", ["plain-2", "grid"])
def test_one_pixel_more_than_the_cap_is_too_large(name):
    pixels = FILES[name].box[2] * FILES[name].box[3]
    assert isinstance(decode(heif_bytes(name), max_pixels=pixels), np.ndarray)
    assert decode(heif_bytes(name), max_pixels=pixels - 1) is Reason.TOO_LARGE


@pytest.mark.parametrize("side", [8000, 65535, 2**31, 2**32 - 1])
def test_a_header_that_claims_an_enormous_picture_is_too_large(side):
    data = re.sub(rb"ispe\0\0\0\0.{8}", b"ispe\0\0\0\0" + struct.pack(">II", side, side), PLAIN, flags=re.DOTALL)
    assert refusal(data, CAP) is Reason.TOO_LARGE
    assert decode(data, max_pixels=CAP) is Reason.TOO_LARGE


@pytest.mark.parametrize("side", [16, 300])
def test_a_header_that_claims_another_size_than_the_picture_has_gives_no_picture(side):
    data = re.sub(rb"ispe\0\0\0\0.{8}", b"ispe\0\0\0\0" + struct.pack(">II", side, side), PLAIN, flags=re.DOTALL)
    assert decode(data, max_pixels=CAP) in {Reason.TOO_LARGE, Reason.UNDECODABLE}


def test_a_grid_that_claims_an_enormous_canvas_is_too_large():
    place = GRID.index(struct.pack(">BBBBHH", 0, 0, 3, 3, 200, 200))
    data = GRID[: place + 4] + struct.pack(">HH", 60_000, 60_000) + GRID[place + 8 :]
    assert refusal(data, CAP) is Reason.TOO_LARGE
    assert decode(data, max_pixels=CAP) is Reason.TOO_LARGE


def test_the_boxes_of_a_hostile_file_are_bounded():
    place = PLAIN.index(b"iloc")
    extents = PLAIN[: place + 20] + struct.pack(">H", MAX_EXTENTS + 1) + PLAIN[place + 22 :]
    assert refusal(extents, CAP) is Reason.UNDECODABLE
    items = PLAIN[: place + 10] + b"\xff\xff" + PLAIN[place + 12 :]
    assert refusal(items, CAP) is Reason.UNDECODABLE
    assert refusal(PLAIN[:28] + (struct.pack(">I", 8) + b"free") * 30_000, CAP) is Reason.UNDECODABLE


def test_a_film_without_a_still_picture_is_undecodable():
    film = struct.pack(">I4s4sI4s", 20, b"ftyp", b"hevc", 0, b"hevc") + struct.pack(">I4s", 8, b"moov")
    assert is_heif(film)
    assert decode(film, max_pixels=CAP) is Reason.UNDECODABLE


def test_damage_never_raises_and_never_passes_the_cap():
    dice = random.Random(5)
    for number in range(300):
        data = bytearray(dice.choice([GRID, PLAIN, heif_bytes("alpha"), heif_bytes("collection")]))
        for _ in range(dice.choice((1, 2, 8))):
            data[dice.randrange(700)] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        found = decode_picture(bytes(data), max_pixels=1 << 18, frames=2)
        assert isinstance(found, Reason) or found.pixels.size <= 3 << 18, number


# With and without the extra


@pytest.fixture
def without_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, heif.LIBRARY, None)
    heif._library.cache_clear()
    yield
    monkeypatch.undo()
    heif._library.cache_clear()


def test_without_the_extra_heic_is_an_unknown_encoding(without_extra):
    assert not heif.decodes_heif()
    for name in ("plain-2", "grid"):
        assert decode(heif_bytes(name), max_pixels=CAP) is Reason.UNKNOWN_ENCODING


def test_a_library_that_is_too_old_is_none(without_extra, monkeypatch):
    monkeypatch.setitem(sys.modules, heif.LIBRARY, SimpleNamespace(libheif_version=lambda: "1.23.5"))
    assert not heif.decodes_heif()
    heif._library.cache_clear()
    monkeypatch.setitem(sys.modules, heif.LIBRARY, SimpleNamespace(libheif_version=lambda: "1.23.6"))
    assert heif.decodes_heif()


def test_what_was_scanned_without_the_extra_is_not_reused_with_it(without_extra, monkeypatch):
    from vetset.dataset.columns import ColumnMapping

    poor = scan_key(ScanPolicy(), ColumnMapping())
    digests = scan_key(ScanPolicy(kinds=(Kind.MD5,)), ColumnMapping())
    monkeypatch.undo()
    heif._library.cache_clear()
    rich = scan_key(ScanPolicy(), ColumnMapping())
    assert (poor.decoders, rich.decoders) == ((), ("heic",))
    assert poor.part("0" * 64) != rich.part("0" * 64)
    assert digests == scan_key(ScanPolicy(kinds=(Kind.MD5,)), ColumnMapping()), "digests need no decoder"


def test_a_worker_with_other_decoders_than_the_run_does_not_write_under_its_key(without_extra, tmp_path, monkeypatch):
    from vetset.dataset.columns import ColumnMapping
    from vetset.model.dataset import Format, Shard

    key = scan_key(ScanPolicy(), ColumnMapping())
    monkeypatch.undo()
    heif._library.cache_clear()
    shard = Shard("a", Format.FOLDER, 1, "x")
    task = ScanTask(tmp_path, shard, ColumnMapping(), ScanPolicy(), key, tmp_path / "store", "")
    with pytest.raises(EngineError, match="other decoders"):
        scan_shard(task)
    assert not (tmp_path / "store").exists()


def test_this_installation_has_the_extra_that_the_tests_need():
    assert decoders() == ("heic",)


def test_no_plugin_is_registered_with_pillow():
    from PIL import Image

    decode(PLAIN, max_pixels=CAP)
    assert "HEIF" not in Image.OPEN
