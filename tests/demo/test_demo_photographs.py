import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vetset.demo.photographs import FINE, load_photographs, textures
from vetset.model.errors import MissingExtraError


def test_photographs_have_distinct_names_and_rgb_pixels(photographs):
    assert len({photograph.name for photograph in photographs}) == len(photographs) == 18
    for photograph in photographs:
        assert photograph.rgb.dtype == np.uint8
        assert photograph.rgb.ndim == 3
        assert photograph.rgb.shape[2] == 3


def test_reading_the_photographs_imports_neither_package():
    program = (
        "import sys; from vetset.demo.photographs import load_photographs; load_photographs();"
        "sys.exit(bool({'skimage', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("absent", ["skimage", "sklearn"])
def test_a_missing_package_is_named_with_the_extra(monkeypatch, absent):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find(name))
    with pytest.raises(MissingExtraError, match=rf"{absent}.*vetset\[demo\]"):
        load_photographs()


def test_a_package_without_its_pictures_is_a_missing_extra(monkeypatch, tmp_path):
    spec = importlib.util.find_spec("skimage")
    monkeypatch.setattr(spec, "submodule_search_locations", [str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(MissingExtraError, match="astronaut"):
        load_photographs()


def test_blocks_cover_every_pixel_once(photographs, blocks):
    for photograph in photographs:
        covered = np.zeros(photograph.rgb.shape[:2], np.uint8)
        for block in blocks:
            if block.whole.photograph is photograph:
                left, upper, right, lower = block.whole.box
                covered[upper:lower, left:right] += 1
        assert (covered == 1).all()


def test_cells_lie_inside_their_block_and_apart(blocks):
    for block in blocks:
        left, upper, right, lower = block.whole.box
        covered = np.zeros((lower - upper, right - left), np.uint8)
        assert len(block.cells) <= FINE**2
        for cell in block.cells:
            a, b, c, d = cell.box
            assert left <= a < c <= right
            assert upper <= b < d <= lower
            covered[b - upper : d - upper, a - left : c - left] += 1
        assert covered.max() <= 1


def test_there_are_enough_textured_cells_for_the_demonstration(blocks):
    assert sum(len(block.cells) for block in blocks) > 2300


def test_labels_are_unique(blocks):
    labels = [tile.label for block in blocks for tile in (block.whole, *block.cells)]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("longer", [64, 192])
def test_a_tile_becomes_a_picture_of_the_stated_size(blocks, longer):
    for block in blocks[::40]:
        picture = block.whole.picture(longer)
        assert max(picture.size) == longer
        assert picture.mode == "RGB"


def plain_texture(cell):
    steps_across = [abs(int(row[x + 1]) - int(row[x])) for row in cell for x in range(len(row) - 1)]
    steps_down = [abs(int(cell[y + 1][x]) - int(cell[y][x])) for y in range(len(cell) - 1) for x in range(len(cell[0]))]
    if np.std(cell.astype(float)) < 10:
        return 0.0
    return sum(steps_across) / len(steps_across) + sum(steps_down) / len(steps_down)


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(1, 3), st.integers(1, 3)), st.integers(2, 5), st.data())
def test_textures_of_all_cells_agree_with_one_cell_at_a_time(grid, side, data):
    grey = data.draw(arrays(np.uint8, (grid[0] * side, grid[1] * side)))
    expected = [
        [
            plain_texture(grey[row * side : (row + 1) * side, column * side : (column + 1) * side])
            for column in range(grid[1])
        ]
        for row in range(grid[0])
    ]
    assert np.allclose(textures(grey, side), expected)
