"""Devices: the one that was asked for computes, or an error says why not. Runtimes that do otherwise are made up."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from onnx_graphs import picture_model

from vetset.model.errors import EngineError, UsageError
from vetset.signal.embedding import load_embedder
from vetset.signal.runtime import DEVICES, device_of, open_session, run, runtime_errors
from vetset.stage import pictured

SIDE = 8
PICTURES = list(np.random.default_rng(2).integers(0, 256, (3, 20, 30, 3), np.uint8))


@pytest.fixture
def graph(tmp_path):
    nodes = [helper.make_node("MatMul", ["numbers", "weights"], ["vector"])]
    weights = np.random.default_rng(0).standard_normal((3 * SIDE * SIDE, 4)).astype(np.float32)
    model = picture_model(nodes, [("weights", weights)], side=SIDE, dimension=4)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    description = {
        "version": 1, "input": "pixels", "output": "vector", "dimension": 4, "size": SIDE, "resize": "squash",
        "filter": "bilinear", "layout": "NCHW", "dtype": "float32", "batch": 2,
    }  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(description))
    return str(tmp_path / "m.onnx")


class Machine:
    """An installed runtime with more devices than this one, which really computes on the CPU.

    Args:
        devices: what it says it has.
        starts: which of them start; the others are replaced by the CPU, as ONNX Runtime does, or raise.
    """

    def __init__(self, monkeypatch, devices, starts=(), raises=None):
        self.asked = []
        self._starts = {DEVICES[device][0] for device in (*starts, "cpu")}
        self._raises = raises
        self._real = onnxruntime.InferenceSession
        providers = [DEVICES[device][0] for device in (*devices, "cpu")]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
        monkeypatch.setattr(onnxruntime, "InferenceSession", self._session)

    def _session(self, graph, options, providers, enable_fallback):
        assert enable_fallback == 0
        ((provider, settings),) = providers
        self.asked.append((provider, settings))
        if provider not in self._starts and self._raises is not None:
            raise self._raises
        session = self._real(graph, options, providers=["CPUExecutionProvider"])
        used = provider if provider in self._starts else "CPUExecutionProvider"
        session.get_providers = lambda: [used, "CPUExecutionProvider"]
        return session


def test_the_cpu_is_taken_where_there_is_nothing_else_and_cuda_where_there_is(monkeypatch):
    Machine(monkeypatch, ["openvino"])
    assert device_of("") == "cpu"
    Machine(monkeypatch, ["openvino", "cuda"])
    assert (device_of(""), device_of("cpu"), device_of("openvino")) == ("cuda", "cpu", "openvino")


def test_a_device_that_the_runtime_does_not_have_is_refused_with_those_it_has(monkeypatch, graph):
    Machine(monkeypatch, ["openvino"])
    with pytest.raises(UsageError, match=r"expected cpu or openvino; saw cuda"):
        load_embedder(f"{graph}@cuda")


def test_the_installed_runtime_says_the_same():
    absent = [device for device, (name, _) in DEVICES.items() if name not in onnxruntime.get_available_providers()]
    assert device_of("cpu") == "cpu"
    for device in absent:
        with pytest.raises(UsageError, match=f"saw {device}"):
            device_of(device)


def test_the_device_is_a_part_of_the_identity_unless_it_is_the_cpu(monkeypatch, graph):
    plain = load_embedder(graph).id
    machine = Machine(monkeypatch, ["cuda", "openvino"], starts=["cuda", "openvino"])
    ids = {name: load_embedder(f"{graph}{name}").id for name in ("", "@cuda", "@openvino", "@cpu")}
    assert ids[""] == ids["@cuda"]
    assert ids["@cpu"] == plain
    assert len({ids["@cuda"], ids["@openvino"], ids["@cpu"]}) == 3
    assert machine.asked[0] == ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})


@pytest.mark.parametrize(
    "raises", [None, RuntimeError("value 17"), ValueError("value 17"), runtime_errors()[1]("value 17")]
)
@pytest.mark.parametrize("name", ["", "@cuda"])
def test_a_device_that_does_not_start_is_not_replaced(monkeypatch, graph, name, raises):
    Machine(monkeypatch, ["cuda"], raises=raises)
    with pytest.raises(EngineError, match=r"the device cuda does not start.*@cpu") as caught:
        load_embedder(f"{graph}{name}")
    assert "17" not in caught.value.problem + str(caught.value.seen)
    assert load_embedder(f"{graph}@cpu").embed(PICTURES).shape == (3, 4)


def test_a_worker_whose_model_is_another_one_refuses_to_work(monkeypatch, graph):
    pictured._embedder.cache_clear()
    asked = load_embedder(graph).id
    assert pictured._embedder(graph, asked).id == asked
    pictured._embedder.cache_clear()
    Machine(monkeypatch, ["cuda"], starts=["cuda"])  # which the process that asked did not have
    with pytest.raises(EngineError, match="another model than the run"):
        pictured._embedder(graph, asked)


class Failing:
    """A session whose runs fail."""

    def __init__(self, error):
        self._error = error

    def run(self, names, feed):
        raise self._error


@pytest.mark.parametrize("error", [each("value 17 of the picture") for each in runtime_errors()])
def test_what_the_runtime_says_of_a_picture_is_not_passed_on(error):
    with pytest.raises(EngineError, match=f"failed on a picture; saw {type(error).__name__}") as caught:
        run(Failing(error), "vector", {})
    assert "17" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_memory_that_is_not_there_is_no_fault_of_the_graph():
    with pytest.raises(MemoryError):
        run(Failing(MemoryError()), "vector", {})


def test_the_runtime_fails_where_the_graph_does(graph):
    session = open_session(Path(graph).read_bytes(), "cpu", 1, graph)
    with pytest.raises(EngineError, match="failed on a picture"):
        run(session, "vector", {"pixels": np.zeros((1, 3, SIDE, SIDE + 1), np.float32)})


def test_threads_are_those_that_are_asked_for(monkeypatch, graph):
    seen = []
    real = onnxruntime.InferenceSession

    def session(graph, options, **named):
        seen.append((options.intra_op_num_threads, options.inter_op_num_threads))
        return real(graph, options, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    load_embedder(graph, threads=2)
    assert seen == [(2, 1)]
