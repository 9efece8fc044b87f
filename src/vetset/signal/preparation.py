"""How a picture becomes the input of a graph: the description that lies beside a model, and those that are known.

`MODEL.json` says it for `MODEL.onnx`. Models whose pre-processing their authors published are known by name
(`PRESETS`); of such a one `MODEL.json` needs to say only what is different. Nothing here runs a graph.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from vetset.model.canonical import document_digest
from vetset.model.errors import UsageError

Pixels = NDArray[np.uint8]

_ROOM = 16 << 20
"""Bytes of a picture that is resized and not cut yet, at most, where it is long: a strip of a few pixels would grow to
gigabytes before its middle is taken. At 224 pixels a picture may be 111 times as long as wide."""


class Preparation(BaseModel):
    """What `MODEL.json` says: how a picture becomes the input of a graph, and where the vector comes out.

    The number of a pixel is `(value * scale - mean) / std`, a channel at a time in the order of `channels`: the product
    rounded to float32, the rest computed in float32, as torchvision and transformers do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    """Of this schema."""
    input: str
    """Name of the graph's picture input, of four dimensions."""
    output: str
    """Name of the graph's output, (n, dimension)."""
    dimension: int = Field(ge=2, le=65_536)
    """Components of a vector."""
    size: int = Field(ge=8, le=4_096)
    """Side of the square that the graph sees, in pixels."""
    resize: Literal["squash", "shortest_centre_crop"]
    """Both sides to `size`; or the shorter side to `size`, then the middle (as CLIP does)."""
    filter: Literal["bilinear", "bicubic"]
    """Pillow's filter of that name, which widens itself when shrinking."""
    layout: Literal["NHWC", "NCHW"]
    """Order of the input's dimensions."""
    dtype: Literal["uint8", "float32", "float16"]
    """Type of the input."""
    channels: Literal["RGB", "BGR"] = "RGB"
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """1/255 = 0.00392156862745098 for graphs that want 0 to 1."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    batch: int = Field(default=1, ge=1, le=4_096)
    """Pictures a run, at most. 1 for graphs quantised dynamically, whose vectors depend on their batch."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Of the graph's file; checked if given."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.dtype == "uint8" and (self.scale, self.mean, self.std) != (1.0, (0.0,) * 3, (1.0,) * 3):
            raise ValueError("a uint8 input takes no scale, mean or std")
        if not all(np.isfinite(self.mean)) or not all(np.isfinite(self.std)) or min(self.std) <= 0:
            raise ValueError("mean must be finite and std finite and positive")
        return self

    def identity(self, graph: str, device: str = "cpu") -> str:
        """Digest over the graph's SHA-256, every setting that can change a vector, and the device unless it is the CPU.

        The batch is none of them: an embedder proves that its vectors do not depend on it before it is used.
        """
        settings = self.model_dump(mode="json", exclude={"batch", "sha256"})
        elsewhere = {} if device == "cpu" else {"device": device}
        return document_digest({"graph": graph, "preparation": settings, **elsewhere})

    def prepare(self, image: Pixels) -> NDArray[Any]:
        """One picture (H, W, 3) as the graph wants it: `dtype`, (size, size, 3) or (3, size, size)."""
        planes: NDArray[Any] = self._square(image).transpose(2, 0, 1)
        if self.channels == "BGR":
            planes = planes[::-1]
        if self.dtype != "uint8":
            planes = np.stack([numbers.take(plane) for numbers, plane in zip(self._numbers(), planes, strict=True)])
        return np.ascontiguousarray(planes if self.layout == "NCHW" else planes.transpose(1, 2, 0))

    def _numbers(self) -> NDArray[Any]:
        """What each of the 256 values becomes, (3, 256), a channel at a time."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = (np.arange(256) * self.scale).astype(np.float32)
        return ((scaled - mean[:, None]) / std[:, None]).astype(np.dtype(self.dtype))

    def _square(self, image: Pixels) -> Pixels:
        chosen = Image.Resampling.BILINEAR if self.filter == "bilinear" else Image.Resampling.BICUBIC
        if self.resize == "squash":
            return np.asarray(Image.fromarray(image).resize((self.size, self.size), chosen))
        short = min(image.shape[:2])
        longest = short * max(8, _ROOM // (3 * self.size * self.size))
        picture = Image.fromarray(_middle(image, longest, longest))
        width, height = (max(self.size, self.size * side // short) for side in picture.size)
        return _middle(np.asarray(picture.resize((width, height), chosen)), self.size, self.size)


def _middle(image: Pixels, height: int, width: int) -> Pixels:
    """The middle of a picture, at most this large; half a pixel goes to the even side, as torchvision has it."""
    height, width = min(height, image.shape[0]), min(width, image.shape[1])
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return np.ascontiguousarray(image[top : top + height, left : left + width])


_ANY_OF_THEM: Mapping[str, Any] = {
    "version": 1, "input": "pixel_values", "filter": "bicubic", "layout": "NCHW", "dtype": "float32", "scale": 1 / 255,
    "batch": 8,
}  # fmt: skip
_CLIP: Mapping[str, Any] = {
    **_ANY_OF_THEM, "output": "image_embeds", "size": 224, "resize": "shortest_centre_crop",
    "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
}  # fmt: skip
_SIGLIP: Mapping[str, Any] = {
    **_ANY_OF_THEM, "output": "pooler_output", "resize": "squash", "mean": [0.5] * 3, "std": [0.5] * 3,
}  # fmt: skip

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "clip-vit-b-32": {**_CLIP, "dimension": 512},
        "clip-vit-l-14": {**_CLIP, "dimension": 768},
        "openclip-vit-h-14": {**_CLIP, "dimension": 1024},
        "siglip-base-patch16-224": {**_SIGLIP, "dimension": 768, "size": 224},
        "siglip-so400m-patch14-384": {**_SIGLIP, "dimension": 1152, "size": 384},
    }
)
"""Descriptions by name, field by field. The pre-processing is that of OpenAI's CLIP, of open_clip for H/14, and of the
transformers processor for SigLIP; input and output have the names that transformers' models have when exported."""

_FIELDS = TypeAdapter(dict[str, Any])


def described(path: Path, preset: str = "") -> Preparation:
    """How the graph at this path is fed.

    Args:
        path: the graph; the description lies beside it, under the same name but for its ending `.json`.
        preset: one of `PRESETS`, whose fields hold where the description says nothing; then there need be none.

    Raises:
        UsageError: the description is missing, unreadable or malformed.
    """
    beside = path.with_suffix(".json")
    fields = dict(PRESETS[preset]) if preset else {}
    try:
        fields |= _FIELDS.validate_json(beside.read_bytes())
    except FileNotFoundError as error:
        if not preset:
            raise _undescribed(path, beside) from error
    except OSError as error:
        raise _undescribed(path, beside) from error
    except ValidationError as error:
        raise _malformed(error, beside) from error
    try:
        return Preparation.model_validate(fields)
    except ValidationError as error:
        raise _malformed(error, beside) from error


def _undescribed(path: Path, beside: Path) -> UsageError:
    return UsageError(
        "the graph has no readable description of its pre-processing",
        expected=f"{beside.name} beside {path.name}, or a name before it: {', '.join(f'{name}=' for name in PRESETS)}",
        where=str(beside),
        todo="docs/embeddings.md says what it holds.",
    )


def _malformed(error: ValidationError, beside: Path) -> UsageError:
    first = error.errors(include_url=False, include_input=False)[0]
    return UsageError(
        "the description of the graph is malformed",
        expected=first["msg"],
        seen=f"{error.error_count()} problems, first at {'.'.join(map(str, first['loc'])) or 'the whole'}",
        where=str(beside),
    )
