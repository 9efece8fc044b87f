"""What a graph's file may ask for: nothing but its own bytes and the runtime's operators."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_graphs import model, picture_model

from vetset.model.errors import UsageError
from vetset.signal import embedding
from vetset.signal.embedding import load_embedder
from vetset.signal.graph import FIELDS, SCHEMA, require_self_contained

SIDE = 8
DESCRIPTION = {
    "version": 1, "input": "pixels", "output": "vector", "dimension": 4, "size": SIDE, "resize": "squash",
    "filter": "bilinear", "layout": "NCHW", "dtype": "float32",
}  # fmt: skip
MATRIX = np.random.default_rng(0).standard_normal((3 * SIDE * SIDE, 4)).astype(np.float32)


def plain(nodes=(), constants=()):
    project = helper.make_node("MatMul", ["numbers", "weights"], ["vector"])
    return picture_model([*nodes, project], [*constants, ("weights", MATRIX)], side=SIDE, dimension=4)


def outside(name="w", place="weights.bin"):
    """A tensor whose numbers lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=MATRIX.shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    return tensor


def with_tensor(where, tensor):
    """A model that has a tensor at some place where the format allows one."""
    found = plain()
    graph = found.graph
    if where == "initializer":
        graph.initializer.append(tensor)
    elif where == "sparse":
        graph.sparse_initializer.add().values.CopyFrom(tensor)
    elif where == "constant":
        graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    elif where == "list":
        graph.node.append(helper.make_node("Any", [], ["c"], values=[tensor]))
    elif where == "branch":
        branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "branch", [], [])
        graph.node.append(helper.make_node("If", ["x"], ["c"], then_branch=branch, else_branch=branch))
    elif where == "function":
        node = helper.make_node("Constant", [], ["c"], value=tensor)
        found.functions.append(helper.make_function("own", "f", [], ["c"], [node], [helper.make_opsetid("", 17)]))
    else:
        found.training_info.add().algorithm.initializer.append(tensor)
    return found.SerializeToString()


PLACES = ["initializer", "sparse", "constant", "list", "branch", "function", "training"]


def test_every_way_to_a_tensor_or_an_operator_is_walked():
    expected, waiting = {}, [onnx.ModelProto.DESCRIPTOR]

    def leads(message, seen=()):
        if message.name in {"TensorProto", "NodeProto"}:
            return True
        inner = [field.message_type for field in message.fields if field.message_type is not None]
        return any(leads(each, (*seen, message.name)) for each in inner if each.name not in (*seen, message.name))

    while waiting:
        message = waiting.pop()
        if message.name in expected:
            continue
        fields = [field for field in message.fields if field.message_type is not None and leads(field.message_type)]
        expected[message.name] = {field.number: field.message_type.name for field in fields}
        waiting += [field.message_type for field in fields]
    assert expected == SCHEMA


def test_every_field_that_the_installed_onnx_knows_is_known():
    assert set(FIELDS) == set(SCHEMA)
    for name, known in FIELDS.items():
        assert {field.number for field in getattr(onnx, name).DESCRIPTOR.fields} <= known


def test_a_field_of_no_known_version_is_refused_by_name():
    for data, name in ((field(99, b""), "99 of ModelProto"), (field(7, field(3, b"")), "3 of GraphProto")):
        with pytest.raises(UsageError, match=f"not known here.*field {name}"):
            require_self_contained(data, "m.onnx")


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("place", ["weights.bin", "../weights.bin", "/etc/hostname"])
def test_weights_in_another_file_are_refused_wherever_they_are_asked_for(where, place):
    require_self_contained(with_tensor(where, onnx.numpy_helper.from_array(MATRIX, "w")), "m.onnx")
    with pytest.raises(UsageError, match=r"m\.onnx.*other files") as caught:
        require_self_contained(with_tensor(where, outside(place=place)), "m.onnx")
    assert place not in str(caught.value)


def test_a_tensor_that_only_names_a_file_or_only_says_it_is_elsewhere_is_refused():
    for spare in ("external_data", "data_location"):
        tensor = outside()
        tensor.ClearField(spare)
        with pytest.raises(UsageError, match="other files"):
            require_self_contained(with_tensor("initializer", tensor), "m.onnx")


def test_the_runtime_is_not_even_asked(tmp_path, monkeypatch):
    found = plain()
    found.graph.initializer[0].CopyFrom(outside("weights"))
    data = found.SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data)
    (tmp_path / "m.json").write_text(json.dumps(DESCRIPTION))
    (tmp_path / "weights.bin").write_bytes(MATRIX.tobytes())
    monkeypatch.chdir(tmp_path)
    onnxruntime.InferenceSession(data)  # which takes whatever lies in the folder that the command is run in
    monkeypatch.setattr(embedding, "open_session", None)
    with pytest.raises(UsageError, match="other files"):
        load_embedder("m.onnx")


@pytest.mark.parametrize(
    ("domain", "operator"), [("my.company", "Read"), ("ai.onnx.contrib", "PyOp"), ("", "EPContext")]
)
def test_operators_that_bring_code_or_files_are_refused(domain, operator):
    found = plain([helper.make_node(operator, ["numbers"], ["more"], domain=domain)])
    with pytest.raises(UsageError, match=f"operators.*{operator}"):
        require_self_contained(found.SerializeToString(), "m.onnx")


def test_a_function_of_the_file_itself_is_taken(tmp_path):
    found = plain()
    found.graph.node[-1].domain, found.graph.node[-1].op_type = "own", "project"
    inside = helper.make_node("MatMul", ["a", "b"], ["c"])
    found.functions.append(
        helper.make_function("own", "project", ["a", "b"], ["c"], [inside], [helper.make_opsetid("", 17)])
    )
    found.opset_import.append(helper.make_opsetid("own", 1))
    (tmp_path / "m.onnx").write_bytes(found.SerializeToString())
    (tmp_path / "m.json").write_text(json.dumps(DESCRIPTION))
    assert load_embedder(str(tmp_path / "m.onnx")).embed([np.full((9, 9, 3), 7, np.uint8)]).shape == (1, 4)


def test_a_name_as_long_as_it_likes_is_told_short():
    found = plain([helper.make_node("x" * 9_000, ["numbers"], ["more"], domain="d\n\x1b[31m")])
    with pytest.raises(UsageError) as caught:
        require_self_contained(found.SerializeToString(), "m.onnx")
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)


def varint(number):
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number, value, *, more=0):
    """A text or message as a field; `more` is added to its tag."""
    return varint((number << 3 | 2) + more) + varint(len(value)) + value


def nested(depth):
    data = b""
    for number in [1, *[5, 6, 1] * depth][::-1]:
        data = field(number, data)
    return field(7, data)


def test_bits_of_a_tag_that_the_runtime_drops_hide_nothing(tmp_path, monkeypatch):
    found = plain()
    del found.graph.initializer[:]
    tensor = outside("weights")
    entry = tensor.external_data[0].SerializeToString()
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    hidden = field(13, entry, more=1 << 32) + varint((14 << 3) + (1 << 32)) + b"\x01"
    data = found.SerializeToString() + field(7, field(5, tensor.SerializeToString() + hidden))
    (tmp_path / "weights.bin").write_bytes(MATRIX.tobytes())
    monkeypatch.chdir(tmp_path)
    onnxruntime.InferenceSession(data)  # which takes the weights of that file
    with pytest.raises(UsageError, match="no ONNX graph"):
        require_self_contained(data, "m.onnx")


@pytest.mark.parametrize("tag", [b"\xba\x00", b"\xba\x80\x00", b"\xba\x80\x80\x80\x00", b"\xba\x80\x80\x80\x10"])
def test_tags_that_are_longer_than_they_need_be_are_refused(tag):
    require_self_contained(b"\x3a\x00", "m.onnx")
    with pytest.raises(UsageError, match="no ONNX graph"):
        require_self_contained(tag + b"\x00", "m.onnx")


@pytest.mark.parametrize("length", [b"\x82\x80\x80\x80\x80\x00", b"\x80\x80\x80\x80\x08"])
def test_a_length_that_the_runtime_does_not_take_is_refused(length):
    require_self_contained(b"\x12\x82\x80\x00ab", "m.onnx")  # longer than it need be: every parser agrees
    with pytest.raises(UsageError, match="no ONNX graph"):
        require_self_contained(b"\x12" + length + b"ab", "m.onnx")


FOUR_BYTES, EIGHT_BYTES = 5, 1


@pytest.mark.parametrize(
    ("path", "number", "form", "value"),
    [
        ([7, 1], 4, FOUR_BYTES, b"Relu"),  # another name of a node
        ([7, 1], 7, FOUR_BYTES, b"mine"),  # another domain
        ([], 25, EIGHT_BYTES, field(10, b"abc") + field(1, b"f")),  # a function that there is not
        ([7], 5, 0, b"\x01"),
    ],
)
def test_a_field_that_the_runtime_skips_for_its_form_hides_nothing(path, number, form, value):
    data = varint(number << 3 | form) + value
    if path == [7, 1]:
        data = field(4, b"EPContext") + field(7, b"my.company") + data
    for outer in reversed(path):
        data = field(outer, data)
    with pytest.raises(UsageError, match="no ONNX graph"):
        require_self_contained(data, "m.onnx")


def calls(domain, name, functions):
    """A graph of one node, and these functions (domain, name, overload) that do nothing."""
    node = field(4, name) + field(7, domain)
    own = b"".join(field(25, field(1, n) + field(10, d) + field(13, overload)) for d, n, overload in functions)
    return field(7, field(1, node)) + own


def test_only_a_function_of_the_very_name_defines_an_operator():
    require_self_contained(calls(b"a", b"f", [(b"a", b"f", b"")]), "m.onnx")
    for functions in ([], [(b"a", b"g", b"")], [(b"a", b"f", b"other")]):
        with pytest.raises(UsageError, match=r"operators.*a::f"):
            require_self_contained(calls(b"a", b"f", functions), "m.onnx")
    with pytest.raises(UsageError, match="operators"):
        require_self_contained(calls(b"a\xff", b"f", [(b"a\xfe", b"f", b"")]), "m.onnx")


def test_no_function_stands_for_an_operator_that_lies_in_a_file():
    with pytest.raises(UsageError, match=r"operators.*EPContext"):
        require_self_contained(calls(b"com.microsoft", b"EPContext", [(b"com.microsoft", b"EPContext", b"")]), "m.onnx")


@pytest.mark.parametrize(
    "data",
    [
        b"\x3b", b"\x0b\x0c", b"\x00\x00", b"\x3a", b"\x3a\x05ab", b"\x08" + b"\xff" * 11, b"\x09abc", b"\x0dab",
        b"\x3a\xff", b"\x0f",
    ],
)  # fmt: skip
def test_what_is_no_protocol_buffer_is_refused(data):
    with pytest.raises(UsageError, match="no ONNX graph"):
        require_self_contained(data, "m.onnx")


def test_graphs_within_graphs_end():
    require_self_contained(nested(10), "m.onnx")
    with pytest.raises(UsageError, match="no ONNX graph"):
        require_self_contained(nested(30_000), "m.onnx")


WHOLE = with_tensor("branch", onnx.numpy_helper.from_array(MATRIX[:2], "w"))


@given(st.integers(0, len(WHOLE)), st.binary(max_size=12))
def test_damage_is_taken_or_refused_and_nothing_else(place, junk):
    try:
        require_self_contained(WHOLE[:place] + junk + WHOLE[place + len(junk) :], "m.onnx")
    except UsageError as error:
        assert "m.onnx" in str(error)  # noqa: PT017  either is right


def test_an_empty_file_is_no_model_for_the_runtime_either(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    (tmp_path / "m.json").write_text(json.dumps(DESCRIPTION))
    with pytest.raises(UsageError, match=r"m\.onnx"):
        load_embedder(str(tmp_path / "m.onnx"))


def test_an_operator_that_the_runtime_does_not_have_is_refused_by_it(tmp_path):
    found = model(
        [helper.make_node("Nothing", ["pixels"], ["vector"])],
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", 4])],
    )
    (tmp_path / "m.onnx").write_bytes(found.SerializeToString())
    (tmp_path / "m.json").write_text(json.dumps(DESCRIPTION))
    with pytest.raises(UsageError, match="does not take the graph"):
        load_embedder(str(tmp_path / "m.onnx"))
