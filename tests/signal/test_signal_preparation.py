"""How pictures become inputs: known models against their authors' definition, written again with Pillow and NumPy."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import picking
from PIL import Image

from photographs import pixels
from vetset.model.errors import UsageError
from vetset.signal.embedding import load_embedder
from vetset.signal.preparation import PRESETS, Preparation, described

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
FACTS = {
    "clip-vit-b-32": (512, 224, "crop", CLIP_MEAN, CLIP_STD, "image_embeds"),
    "clip-vit-l-14": (768, 224, "crop", CLIP_MEAN, CLIP_STD, "image_embeds"),
    "openclip-vit-h-14": (1024, 224, "crop", CLIP_MEAN, CLIP_STD, "image_embeds"),
    "siglip-base-patch16-224": (768, 224, "squash", HALF, HALF, "pooler_output"),
    "siglip-so400m-patch14-384": (1152, 384, "squash", HALF, HALF, "pooler_output"),
}
"""Dimension, side, what becomes of the shape, mean, std, output."""


def known(name):
    return Preparation.model_validate(dict(PRESETS[name]))


def cropped(picture, size):
    """The shorter side to `size`, the longer cut to a whole pixel; then the middle, half a pixel to the even side."""
    short, long = sorted(picture.size)
    longer = int(size * long / short)
    resized = picture.resize((longer, size) if picture.width >= picture.height else (size, longer), Image.BICUBIC)
    left, top = int(round((resized.width - size) / 2.0)), int(round((resized.height - size) / 2.0))  # noqa: RUF046
    return resized.crop((left, top, left + size, top + size))


def prepared(name, image):
    return known(name).prepare(image)


def by_definition(name, image):
    _, size, shape, mean, std, _ = FACTS[name]
    picture = Image.fromarray(image)
    square = cropped(picture, size) if shape == "crop" else picture.resize((size, size), Image.BICUBIC)
    numbers = np.asarray(square).astype(np.float32) / np.float32(255)
    return ((numbers - np.array(mean, np.float32)) / np.array(std, np.float32)).transpose(2, 0, 1)


def test_every_known_model_is_looked_at_here():
    assert set(PRESETS) == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_a_known_model_is_described_as_its_authors_do(name):
    dimension, size, _, _, _, output = FACTS[name]
    found = known(name)
    assert (found.dimension, found.size, found.input, found.output) == (dimension, size, "pixel_values", output)


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", FACTS)
def test_pictures_of_every_size_are_prepared_bit_for_bit(name, data):
    whole = pixels(data.draw(st.sampled_from(["astronaut.png", "coffee.png", "rocket.jpg"])))
    # sides of 6 and more: none of these is over 111 times as long as wide, from where on a strip is cut beforehand
    height, width = data.draw(st.integers(6, whole.shape[0])), data.draw(st.integers(6, whole.shape[1]))
    image = np.ascontiguousarray(whole[:height, :width])
    np.testing.assert_array_equal(known(name).prepare(image), by_definition(name, image))


@pytest.mark.parametrize("short", [1, 2, 3, 5])
@pytest.mark.parametrize("upright", [False, True])
def test_strips_are_prepared_bit_for_bit_up_to_111_times_as_long_as_wide_and_nearly_so_beyond(short, upright):
    wide = np.tile(pixels("coffee.png"), (1, 2, 1))[200 : 200 + short]
    for length in (111 * short, 111 * short + 1, 150 * short):
        image = wide[:, :length].transpose(1, 0, 2) if upright else wide[:, :length]
        made, defined = (of("clip-vit-l-14", np.ascontiguousarray(image)) for of in (prepared, by_definition))
        assert np.array_equal(made, defined) or length > 111 * short
        assert np.abs(made - defined).mean() < 0.11  # of numbers from about -2 to 2: half a pixel of the strip


@pytest.mark.parametrize("side", [225, 226, 227, 228, 229, 230, 231])
@pytest.mark.parametrize("upright", [False, True])
def test_the_middle_is_that_of_torchvision_whichever_number_of_pixels_is_cut(side, upright):
    image = np.ascontiguousarray(pixels("astronaut.png")[:224, :side])
    image = np.ascontiguousarray(image.transpose(1, 0, 2)) if upright else image
    np.testing.assert_array_equal(known("clip-vit-l-14").prepare(image), by_definition("clip-vit-l-14", image))


@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("name", FACTS)
def test_the_vector_of_a_known_model_is_that_of_its_definition(tmp_path, name, batch):
    graph, places = picking(known(name), batch=batch)
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    images = [pixels("astronaut.png")[:300], pixels("coffee.png"), pixels("rocket.jpg")[:, :200]]
    vectors = load_embedder(f"{name}={tmp_path / 'm.onnx'}").embed(images)
    for image, vector in zip(images, vectors, strict=True):
        expected = by_definition(name, image).reshape(-1)[places].astype(np.float64)
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-7)


def test_a_description_overrides_single_fields_of_a_known_model(tmp_path):
    own = known("clip-vit-b-32").model_copy(update={"input": "image", "output": "embedding", "dtype": "float16"})
    graph, places = picking(own)
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    named = f"clip-vit-b-32={tmp_path / 'm.onnx'}"
    with pytest.raises(UsageError, match=r'into m\.json: \{"input": "image", "output": "embedding"\}'):
        load_embedder(named)
    beside = tmp_path / "m.json"
    beside.write_text(json.dumps({"input": "image", "output": "embedding"}))
    with pytest.raises(UsageError, match=r"float16.*into m\.json"):
        load_embedder(named)
    beside.write_text(json.dumps({"input": "image", "output": "embedding", "dtype": "float16", "batch": 2}))
    expected = by_definition("clip-vit-b-32", pixels("coffee.png")).reshape(-1)[places].astype(np.float16)
    vector = load_embedder(named).embed([pixels("coffee.png")])[0]
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected.astype(np.float64)), atol=1e-6)


def test_a_name_and_the_whole_description_come_to_the_same(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps(dict(PRESETS["siglip-base-patch16-224"])))
    assert described(tmp_path / "m.onnx") == described(tmp_path / "other.onnx", "siglip-base-patch16-224")


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"size": "large"}', '{"unknown": 1}', '{"version": 2}'])
def test_a_malformed_description_is_refused_beside_a_known_model_too(tmp_path, content):
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(UsageError, match="malformed"):
        described(tmp_path / "m.onnx", "clip-vit-b-32")


def test_a_description_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "m.json").mkdir()
    with pytest.raises(UsageError, match="no readable description"):
        described(tmp_path / "m.onnx", "clip-vit-b-32")
