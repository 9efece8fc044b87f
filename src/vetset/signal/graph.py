"""What a graph's file asks for, read from its bytes before any runtime sees them.

An ONNX file may name other files for its weights, and operators that come with code of their own. Either would let a
file that somebody downloaded reach for more than the pictures it is given, and its digest would not say what it
computes. So both are refused here, whatever the installed runtime would do about them.

ONNX is a protocol buffer; only its outline is walked, weights are stepped over. Every place that the format's schema
gives to a tensor or an operator is looked at, also in branches, functions and training graphs.
"""

from collections.abc import Iterator

from vetset.model.errors import UsageError

SCHEMA: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto", 22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}  # fmt: skip
"""Which fields of which messages lead to a tensor or to an operator."""

_NAME_OF_NODE, _DOMAIN_OF_NODE = 4, 7
_NAME_OF_FUNCTION, _DOMAIN_OF_FUNCTION = 1, 10
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST = 64

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Sets of operators that ONNX Runtime has itself."""
_FROM_A_FILE = "EPContext"  # an operator that is a compiled graph, in a file of its own


class _MalformedError(Exception):
    """The bytes are no protocol buffer."""


def require_self_contained(graph: bytes, where: str) -> None:
    """Refuse a graph that needs anything but its own bytes and the runtime's own operators.

    Raises:
        UsageError: it is no ONNX file, has external data, or uses an operator that neither the runtime nor it has.
    """
    operators: set[tuple[str, str]] = set()
    functions: set[tuple[str, str]] = set()
    try:
        external = _walk(memoryview(graph), "ModelProto", operators, functions, 0)
    except _MalformedError as error:
        raise UsageError("the file is no ONNX graph", expected="a protocol buffer", where=where) from error
    if external:
        raise UsageError(
            "the graph keeps weights in other files",
            expected="one file, without external data",
            where=where,
            todo="Export it into one file, with weights of half precision if they have more than 2 GB.",
        )
    foreign = {each for each in operators - functions if each[0] not in DOMAINS or each[1] == _FROM_A_FILE}
    if foreign:
        raise UsageError(
            "the graph uses operators that ONNX Runtime does not have itself",
            expected="operators of ONNX and of ONNX Runtime",
            seen=", ".join(ascii("::".join(each))[:64] for each in sorted(foreign)[:4]),
            where=where,
        )


def _walk(
    data: memoryview, message: str, operators: set[tuple[str, str]], functions: set[tuple[str, str]], depth: int
) -> bool:
    """Collect the operators and functions of a message; whether a tensor in it lies in another file."""
    if depth > _DEEPEST:
        raise _MalformedError
    external, names = False, {}
    for field, value in _fields(data):
        if message == "TensorProto":
            external |= field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)
        elif isinstance(value, memoryview):
            inner = SCHEMA[message].get(field)
            if inner is not None:
                external |= _walk(value, inner, operators, functions, depth + 1)
            elif message in {"NodeProto", "FunctionProto"}:
                names[field] = value
    if message == "NodeProto":
        operators.add((_text(names.get(_DOMAIN_OF_NODE)), _text(names.get(_NAME_OF_NODE))))
    elif message == "FunctionProto":
        functions.add((_text(names.get(_DOMAIN_OF_FUNCTION)), _text(names.get(_NAME_OF_FUNCTION))))
    return external


def _text(value: memoryview | None) -> str:
    return "" if value is None else bytes(value).decode("utf-8", "replace")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of every field: a number, or the bytes of a message, a text or packed numbers."""
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        field, kind = key >> 3, key & 7
        value: int | memoryview
        if kind == 0:
            value, place = _number(data, place)
        elif kind in {1, 2, 5}:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, place = _number(data, place)
            value, place = data[place : place + size], place + size
        else:  # groups, which the format has never had
            raise _MalformedError
        if place > len(data) or field == 0:
            raise _MalformedError
        yield field, value


def _number(data: memoryview, place: int) -> tuple[int, int]:
    """A number of at most ten bytes, seven bits each, and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise _MalformedError
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise _MalformedError
