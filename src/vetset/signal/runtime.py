"""ONNX Runtime: on which device a graph runs, that it really does, and what it raises.

ONNX Runtime takes another device where the one that was asked for does not start, and says so in a log. Other devices
round in other ways, so a scan on several of them would mix vectors that were made differently. Here a device that is
asked for is the one that computes, or an error says why not.
"""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from vetset.model.errors import EngineError, MissingExtraError, UsageError

DEVICES: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        "cpu": ("CPUExecutionProvider", {}),
        # single precision as it is, and one way to convolve: by default ten bits of it, and the way that is fastest now
        "cuda": ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}),
        "migraphx": ("MIGraphXExecutionProvider", {}),
        "openvino": ("OpenVINOExecutionProvider", {}),
        "coreml": ("CoreMLExecutionProvider", {}),
    }
)
"""Devices by name: ONNX Runtime's provider, and how it is set up."""


def device_of(asked: str) -> str:
    """The device that a graph runs on, a name of `DEVICES`.

    Args:
        asked: the one that was asked for; if empty, CUDA where the installed runtime has it, else the CPU.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        UsageError: the installed runtime does not have the device.
    """
    if find_spec("onnxruntime") is None:
        raise MissingExtraError(
            "computing embeddings needs ONNX Runtime", todo="pip install 'vetset[embed]', which brings onnxruntime"
        )
    import onnxruntime  # noqa: PLC0415 - heavy, and absent without the extra

    providers = set(onnxruntime.get_available_providers())
    here = [device for device, (provider, _) in DEVICES.items() if provider in providers]
    if not asked:
        return "cuda" if "cuda" in here else "cpu"
    if asked not in here:
        raise UsageError(
            "the installed ONNX Runtime does not have this device",
            expected=" or ".join(here),
            seen=asked,
            todo="Each device has a package of ONNX Runtime, of which one may be installed: docs/embeddings.md",
        )
    return asked


def open_session(graph: bytes, device: str, threads: int, where: str) -> Any:
    """A session of ONNX Runtime that runs the graph on this device.

    Args:
        graph: the file's bytes.
        device: one that `device_of` gave.
        threads: threads of one run on the CPU.
        where: the file, for errors.

    Raises:
        UsageError: the runtime does not take the graph.
        EngineError: the device does not start.
    """
    import onnxruntime  # noqa: PLC0415 - as above

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # an error is raised, too, and is told once
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.load_model_format", "ONNX")
    provider, settings = DEVICES[device]
    try:
        # without fallback: it would print the error, with what is in it, and go on with the CPU
        session = onnxruntime.InferenceSession(
            graph, options, providers=[(provider, dict(settings))], enable_fallback=0
        )
    except runtime_errors() as error:
        if device != "cpu":
            raise _not_started(device, type(error).__name__, where) from error
        raise UsageError("ONNX Runtime does not take the graph", seen=type(error).__name__, where=where) from error
    if session.get_providers()[0] != provider:
        raise _not_started(device, "another device in its place", where)
    return session


def _not_started(device: str, seen: str, where: str) -> EngineError:
    return EngineError(
        f"the device {device} does not start, or does not take the graph",
        seen=seen,
        where=where,
        todo="Look at its driver and at its memory, which every worker needs a part of; or choose the CPU by `@cpu` "
        "at the end of the embedder's name.",
    )


@cache
def runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises about graphs, runs and devices; its classes have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415 - as above

    own = (each for each in vars(state).values() if isinstance(each, type) and issubclass(each, Exception))
    return (*own, RuntimeError, ValueError)


def run(session: Any, output: str, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """One output of a graph.

    Raises:
        EngineError: the runtime failed.
        MemoryError: memory does not hold the run.
    """
    try:
        (out,) = session.run([output], dict(feed))
    except runtime_errors() as error:
        # without its cause, whose text may hold numbers of the picture
        raise EngineError("the graph failed on a picture", seen=type(error).__name__) from None
    made: NDArray[Any] = out
    return made
