"""`MODEL.onnx`: a graph that needs nothing but its own bytes, or a refusal."""

import onnx
from google.protobuf.message import DecodeError, Message

from vetset.model.errors import UsageError
from vetset.signal.graph import DOMAINS, require_self_contained


def target(data: bytes) -> None:
    """What is accepted has no tensor elsewhere and no foreign operator in the eyes of the format's own library."""
    try:
        require_self_contained(data, "m.onnx")
    except UsageError:
        return
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return  # the runtime reads it with the same library
    own = {(function.domain, function.name) for function in model.functions}
    for message in _all(model):
        if isinstance(message, onnx.TensorProto):
            assert not message.external_data
            assert message.data_location == onnx.TensorProto.DEFAULT
        elif isinstance(message, onnx.NodeProto):
            assert message.op_type != "EPContext"
            assert message.domain in DOMAINS or (message.domain, message.op_type) in own


def _all(message: Message):
    """A message and all within it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                yield from _all(inner)
