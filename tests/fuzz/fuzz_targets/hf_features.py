"""What the metadata of a schema declare of its columns: places of pictures, or a refusal, whatever they hold."""

import pyarrow as pa

from vetset.dataset.hf_schema import METADATA, features_of, leaves_of
from vetset.model.errors import DatasetError

_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_TYPES = {
    "image": _IMAGE,
    "raw": pa.binary(),
    "jpg": pa.large_binary(),
    "place": pa.string(),
    "many": pa.list_(pa.binary()),
    "both": pa.struct({"image": pa.list_(_IMAGE), "caption": pa.list_(pa.string())}),
    "number": pa.int64(),
}
_SURE = {"image", "jpg", "both.image"}
"""Places that are pictures whatever anybody declares."""


def target(data: bytes) -> None:
    """Nothing that is declared hides a picture, and nothing that is no picture becomes one."""
    schema = pa.schema(_TYPES, metadata={METADATA: data})
    try:
        features = features_of(schema.metadata, "x")
        leaves = leaves_of(schema, "x")
    except DatasetError:
        return
    assert isinstance(features, dict)
    names = [leaf.name for leaf in leaves]
    assert set(names) >= _SURE
    assert set(names) <= _SURE | {"raw", "place", "many", "both.caption"}
    assert len(set(names)) == len(names)
