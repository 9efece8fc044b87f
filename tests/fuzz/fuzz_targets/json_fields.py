"""The JSON of a sample, and a shard's statistics: fields or a reason, whatever the document holds."""

import json

from vetset.dataset.columns import DEFAULT_MAPPING
from vetset.dataset.fields import fields_of_json
from vetset.dataset.sidecar import stats_of_survivors
from vetset.model.errors import DatasetError
from vetset.model.signal import BYTE_KINDS


def _document(data):
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def target(data: bytes) -> None:
    """Digests are those that Python's own reader finds; nothing is both stated and malformed."""
    try:
        fields = fields_of_json(data, DEFAULT_MAPPING, "x.tar", with_columns=True)
    except DatasetError:
        fields = None
    document = _document(data)
    if fields is not None:
        assert not set(fields.declared) & fields.malformed
        assert all(len(value) == kind.width for kind, value in fields.declared.items())
        assert all(value is None or isinstance(value, str | int | float) for value in fields.columns.values())
        if fields.url is not None:
            fields.url.encode()
        json.dumps(dict(fields.columns), allow_nan=False)
        if isinstance(document, dict):
            for kind in BYTE_KINDS:
                assert kind in fields.malformed or _stated(document, kind) in (None, fields.declared.get(kind))
        else:
            assert fields.malformed
    try:
        json.loads(stats_of_survivors(data, None, [], 1, "x_stats.json"))
    except DatasetError:
        assert not isinstance(document, dict)


def _stated(document, kind):
    value = next((value for name, value in document.items() if name.lower() == kind.value), None)
    return None if value is None else bytes.fromhex(value)
