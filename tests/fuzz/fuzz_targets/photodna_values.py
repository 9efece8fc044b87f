"""PhotoDNA values of a dataset, one a line: columns and documents read the same, which is what Python's own reads."""

import base64

import pyarrow as pa

from vetset.dataset.columns import DEFAULT_MAPPING, declared_column
from vetset.dataset.fields import fields_of
from vetset.model.signal import Kind

WIDTH = Kind.PHOTODNA.width


def _plain(line):
    """What Python makes of a line: raw bytes, hexadecimal digits, or base64 that is written back the same."""
    if len(line) == WIDTH:
        return line
    try:
        if len(line) == 2 * WIDTH and line.isalnum():
            return bytes.fromhex(line.decode("ascii"))
        value = base64.b64decode(line, validate=True)
    except ValueError:
        return None
    return value if len(value) == WIDTH and base64.b64encode(value) == line else None


def target(data: bytes) -> None:
    """Raw, as text, and in a table; what is no text is there as bytes only."""
    lines = data.split(b"\n")
    column = declared_column(pa.array(lines, pa.binary()), Kind.PHOTODNA, "x")
    for row, line in enumerate(lines):
        expected = _plain(line)
        assert (column.why[row] == 0) == (expected is not None)
        assert expected is None or column.values[row].tobytes() == expected
        fields = fields_of({"photodna": line}, DEFAULT_MAPPING, "x")
        assert fields.declared.get(Kind.PHOTODNA) == expected
        assert (Kind.PHOTODNA in fields.malformed) == (expected is None)
        try:
            text = line.decode()
        except UnicodeDecodeError:
            continue
        as_text = None if len(line) == WIDTH else expected
        told = declared_column(pa.array([text]), Kind.PHOTODNA, "x")
        assert (told.values[0].tobytes() if told.why[0] == 0 else None) == as_text
        assert fields_of({"photodna": text}, DEFAULT_MAPPING, "x").declared.get(Kind.PHOTODNA) == as_text
