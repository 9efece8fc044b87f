"""What a graph's file asks for, read from its bytes before any runtime sees them.

An ONNX file may name other files for its weights, and operators that come with code of their own. Either would let a
file that somebody downloaded reach for more than the pictures it is given, and its digest would not say what it
computes. So both are refused here, whatever the installed runtime would do about them.

ONNX is a protocol buffer; only its outline is walked, weights are stepped over. Every place that the format's schema
gives to a tensor or an operator is looked at, also in branches, functions and training graphs. What the runtime's
parser could take for something else than this walk does is refused: tags that are longer than they need be, of which
it drops bits; fields in another form than the schema's, which it skips; and fields that the schema here does not have.
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

FIELDS: dict[str, frozenset[int]] = {
    "ModelProto": frozenset({*range(1, 9), 14, 20, 25, 26}),
    "TrainingInfoProto": frozenset(range(1, 5)),
    "FunctionProto": frozenset({1, *range(4, 15)}),
    "GraphProto": frozenset({1, 2, 5, *range(10, 17)}),
    "NodeProto": frozenset(range(1, 11)),
    "AttributeProto": frozenset({*range(1, 12), 13, 14, 15, *range(20, 24)}),
    "SparseTensorProto": frozenset(range(1, 4)),
    "TensorProto": frozenset({*range(1, 15), 16}),
}
"""All fields that these messages have, up to ONNX 1.23. A later version may keep weights or operators in others."""

_IDENTITY = {"NodeProto": (7, 4, 8), "FunctionProto": (10, 1, 13)}
"""Domain, name and overload of an operator, and of a function that defines one."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST = 64
_FIXED = {1: 8, 5: 4}
"""Bytes of numbers that have no length of their own, by form."""
_LONGEST = 1 << 31
"""Bytes of a message or text that the runtime's parser takes."""

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Sets of operators that ONNX Runtime has itself."""
_FROM_A_FILE = "EPContext"  # an operator that is a compiled graph, in a file of its own


Operators = set[tuple[str, str, str]]


class _MalformedError(Exception):
    """The bytes are no protocol buffer, or not what they seem to be."""


class _UnknownFieldError(Exception):
    """A message has a field that the schema does not have."""


def require_self_contained(graph: bytes, where: str) -> None:
    """Refuse a graph that needs anything but its own bytes and the runtime's own operators.

    Raises:
        UsageError: it is no ONNX file or one of a later version, has external data, or uses an operator that neither
            the runtime nor it has.
    """
    operators: Operators = set()
    functions: Operators = set()
    try:
        external = _walk(memoryview(graph), "ModelProto", operators, functions, 0)
    except _MalformedError as error:
        raise UsageError("the file is no ONNX graph", expected="a protocol buffer", where=where) from error
    except _UnknownFieldError as error:
        raise UsageError(
            "the graph has a field that is not known here, so nobody can say what it asks for",
            expected="fields of ONNX up to 1.23",
            seen=str(error),
            where=where,
            todo="Export it for an earlier version of ONNX.",
        ) from error
    if external:
        raise UsageError(
            "the graph keeps weights in other files",
            expected="one file, without external data",
            where=where,
            todo="Export it into one file, with weights of half precision if they have more than 2 GB.",
        )
    foreign = {
        each for each in operators if each[1] == _FROM_A_FILE or (each[0] not in DOMAINS and each not in functions)
    }
    if foreign:
        raise UsageError(
            "the graph uses operators that ONNX Runtime does not have itself",
            expected="operators of ONNX and of ONNX Runtime",
            seen=", ".join(ascii("::".join(each[:2]))[:64] for each in sorted(foreign)[:4]),
            where=where,
        )


def _walk(data: memoryview, message: str, operators: Operators, functions: Operators, depth: int) -> bool:
    """Collect the operators and functions of a message; whether a tensor in it lies in another file."""
    if depth > _DEEPEST:
        raise _MalformedError
    identity = _IDENTITY.get(message, ())
    external, names = False, {}
    for field, value in _fields(data):
        if field not in FIELDS[message]:
            raise _UnknownFieldError(f"field {field} of {message}")
        inner = SCHEMA[message].get(field)
        if message == "TensorProto":
            external |= field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)
        elif inner is not None or field in identity:
            if not isinstance(value, memoryview):
                raise _MalformedError
            if inner is not None:
                external |= _walk(value, inner, operators, functions, depth + 1)
            else:
                names[field] = value
    if identity:
        domain, name, overload = (_text(names.get(field)) for field in identity)
        (operators if message == "NodeProto" else functions).add((domain, name, overload))
    return external


def _text(value: memoryview | None) -> str:
    """A text; different bytes are different texts, also where they are no UTF-8."""
    return "" if value is None else bytes(value).decode("utf-8", "surrogateescape")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview | None]]:
    """Number and value of every field: a number, or the bytes of a message, a text or packed numbers; None if fixed."""
    place = 0
    while place < len(data):
        field, kind, place = _tag(data, place)
        value: int | memoryview | None = None
        if kind == 0:
            value, place = _number(data, place, 10)
        elif kind == 2:
            size, place = _number(data, place, 5)
            if size >= _LONGEST:
                raise _MalformedError
            value, place = data[place : place + size], place + size
        elif kind in _FIXED:
            place += _FIXED[kind]
        else:  # groups, which ONNX has never had
            raise _MalformedError
        if place > len(data):
            raise _MalformedError
        yield field, value


def _tag(data: memoryview, place: int) -> tuple[int, int, int]:
    """Number and form of a field, and the place after them; in as few bytes as they need."""
    key, end = _number(data, place, 5)
    if key >> 32 or (end - place > 1 and not data[end - 1]) or not key >> 3:
        raise _MalformedError
    return key >> 3, key & 7, end


def _number(data: memoryview, place: int, most: int) -> tuple[int, int]:
    """A number of at most so many bytes, seven bits each, and the place after it."""
    number = 0
    for shift in range(0, 7 * most, 7):
        if place >= len(data):
            raise _MalformedError
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise _MalformedError
