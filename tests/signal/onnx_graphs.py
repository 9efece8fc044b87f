"""Small graphs whose answers are known."""

import numpy as np
import onnx
from onnx import TensorProto, helper

KINDS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def model(nodes, given, made, constants=(), **more):
    """A whole model of these nodes."""
    graph = helper.make_graph(nodes, "small", given, made, [onnx.numpy_helper.from_array(v, n) for n, v in constants])
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **more)
    found.ir_version = 8
    return found


def picture_model(nodes, constants=(), *, side, dimension, layout="NCHW", dtype="float32", batch="n", names=None):
    """A model of a picture's input to a vector; `nodes` lead from "numbers", (n, 3·side·side) float32, to "vector"."""
    given, made = names or ("pixels", "vector")
    shape = [batch, 3, side, side] if layout == "NCHW" else [batch, side, side, 3]
    flat = [
        helper.make_node("Cast", [given], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["cast"], ["numbers"]),
    ]
    named = [helper.make_node("Identity", ["vector"], [made])] if made != "vector" else []
    return model(
        [*flat, *nodes, *named],
        [helper.make_tensor_value_info(given, KINDS[dtype], shape)],
        [helper.make_tensor_value_info(made, TensorProto.FLOAT, [batch, dimension])],
        constants,
    )


def picking(preparation, **how):
    """A model that gives some numbers of its input as they are, and which: any of them shows wrong pre-processing."""
    size, dimension = preparation.size, preparation.dimension
    places = np.random.default_rng(dimension).integers(0, 3 * size * size, dimension)
    nodes = [helper.make_node("Gather", ["numbers", "places"], ["vector"], axis=1)]
    how = {
        "layout": preparation.layout,
        "dtype": preparation.dtype,
        "names": (preparation.input, preparation.output),
    } | how
    return picture_model(nodes, [("places", places)], side=size, dimension=dimension, **how), places
