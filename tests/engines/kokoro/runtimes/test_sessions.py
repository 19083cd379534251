"""onnxruntime and OpenVINO behind the one protocol: the same answers, the same errors."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from firstaudio.engines.kokoro.runtimes.base import Port
from firstaudio.engines.kokoro.runtimes.hardware import processor
from firstaudio.engines.kokoro.runtimes.openvino_runtime import OpenVinoRuntime
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.errors import ConfigError, EngineError, MissingExtraError

RUNTIMES = {"onnxruntime-cpu": OrtRuntime, "openvino-cpu": OpenVinoRuntime}
bf16 = pytest.mark.skipif(not processor().has_bf16, reason="this processor has no bf16")


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    return RUNTIMES[request.param](num_threads=1)


def local_step(values=(1.5, -2.0, 0.25)):
    return {"x": np.array([values], np.float32)}


def test_names_are_library_device_and_precision():
    names = [OrtRuntime().name, OpenVinoRuntime().name, OpenVinoRuntime("GPU", "bf16").name, OrtRuntime("cuda").name]

    assert names == ["onnxruntime-cpu", "openvino-cpu", "openvino-gpu-bf16", "onnxruntime-cuda"]


def test_ports_are_the_graphs_own(runtime, local_model):
    session = runtime.load(local_model)

    assert [Port("x", "float32", (1, None))] == list(session.inputs)
    assert [port.name for port in session.outputs] == ["z", "y", "n"]
    assert [port.dtype for port in session.outputs] == ["float32", "float32", "int64"]


def test_outputs_come_by_name_whatever_their_order(runtime, local_model):
    outputs = runtime.load(local_model).run(local_step())

    assert outputs["z"].tolist() == [[1.5, -2.0, 0.25]]
    assert outputs["y"].tolist() == [[2.5, 1.0, 1.25]]
    assert outputs["n"].tolist() == [1, 3]


def test_outputs_are_the_callers_own(runtime, local_model):
    session = runtime.load(local_model)
    inputs = local_step()
    first = session.run(inputs)
    session.run(local_step((7.0, 7.0, 7.0)))
    inputs["x"][:] = 9.0

    assert first["y"].tolist() == [[2.5, 1.0, 1.25]]
    assert first["z"].tolist() == [[1.5, -2.0, 0.25]]
    first["y"][:] = 0.0  # writable


def test_steps_of_many_sizes_are_right(runtime, local_model):
    session = runtime.load(local_model)

    for size in (1, 50, 3, 50, 2):
        x = np.arange(size, dtype=np.float32)[None]
        assert (x + 1).tolist() == session.run({"x": x})["y"].tolist()


def test_a_step_may_run_on_any_thread(runtime, local_model):
    session = runtime.load(local_model)
    with ThreadPoolExecutor(1) as pool:
        outputs = pool.submit(session.run, local_step()).result(timeout=30)

    assert outputs["y"].tolist() == [[2.5, 1.0, 1.25]]


def test_fixed_shapes_give_the_same(runtime, local_model):
    session = runtime.load(local_model, {"x": [1, 3]})

    assert session.run(local_step())["y"].tolist() == [[2.5, 1.0, 1.25]]


def test_openvino_compiles_for_the_fixed_shapes_alone(local_model):
    session = OpenVinoRuntime(num_threads=1).load(local_model, {"x": [1, 3]})

    assert [port.shape for port in session.inputs] == [(1, 3)]
    with pytest.raises(EngineError, match=r"is float32 \[1, 3\], it was given float32 \[1, 2\]"):
        session.run(local_step((1.0, 2.0)))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"wants the inputs x, it was given none"),
        (local_step() | {"speed": np.ones(1, np.float32)}, r"wants the inputs x, it was given speed, x"),
        ({"x": np.array([[1, 2]], np.int64)}, r"input x is float32 \[1, \?\], it was given int64 \[1, 2\]"),
        ({"x": np.zeros((2, 2, 2), np.float32)}, r"input x is float32 \[1, \?\], it was given float32 \[2, 2, 2\]"),
    ],
)
def test_a_step_that_does_not_fit_is_refused_in_the_same_words(runtime, local_model, inputs, message):
    session = runtime.load(local_model)

    with pytest.raises(EngineError, match=message):
        session.run(inputs)
    assert session.run(local_step())["y"].tolist() == [[2.5, 1.0, 1.25]]


@pytest.mark.parametrize("broken_file", ["missing", "empty", "truncated", "foreign", "folder"], indirect=True)
def test_a_file_that_is_no_model_is_the_operators_to_mend(runtime, broken_file):
    with pytest.raises(ConfigError, match=r"models pull kokoro") as raised:
        runtime.load(broken_file)

    assert str(broken_file) in raised.value.message


def test_the_whole_model_speaks_in_onnxruntime(tiny):
    session = OrtRuntime(num_threads=1).load(tiny.model)
    audio = session.run(tiny.inputs)["audio"]

    assert [(port.name, port.dtype, port.shape) for port in session.inputs] == [
        ("tokens", "int64", (1, None)),
        ("style", "float32", (1, 256)),
        ("speed", "float32", (1,)),
    ]
    assert audio.dtype == np.float32
    assert len(audio) % 600 == 0
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() > 1e-3


def test_a_step_that_the_graph_itself_refuses_is_an_engine_error(tiny):
    """Token 99999 is beyond the vocabulary: only the library can notice."""
    session = OrtRuntime(num_threads=1).load(tiny.model)

    with pytest.raises(EngineError, match="onnxruntime-cpu failed: ") as raised:
        session.run(tiny.inputs | {"tokens": np.array([[99_999]], np.int64)})
    assert raised.value.retryable


def test_a_graph_that_the_library_cannot_run_says_what_to_do(tiny):
    """The whole export holds operators on sequences; OpenVINO takes the pieces only."""
    with pytest.raises(EngineError, match=r"openvino-cpu cannot run .*: .*; choose another one in kokoro.runtimes"):
        OpenVinoRuntime(num_threads=1).load(tiny.model)


def test_a_device_that_is_not_there_is_an_error_and_not_the_processor_under_its_name(local_model):
    with pytest.raises(ConfigError, match="no CUDAExecutionProvider; pip install onnxruntime-gpu"):
        OrtRuntime("cuda").load(local_model)
    with pytest.raises(EngineError, match="openvino-gpu9 cannot run"):
        OpenVinoRuntime("GPU9").load(local_model)


def test_a_provider_that_did_not_start_is_an_error(local_model, monkeypatch):
    """onnxruntime only warns, and goes on with the CPU."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])

    with pytest.raises(EngineError, match=r"CUDAExecutionProvider did not start, .* CPUExecutionProvider in its place"):
        OrtRuntime("cuda").load(local_model)


def test_unknown_devices_and_precisions_are_refused():
    with pytest.raises(ConfigError, match="no device 'tpu' here; it has: cpu, cuda"):
        OrtRuntime("tpu")
    with pytest.raises(ConfigError, match="no precision 'f8' here; it has: f32, bf16"):
        OpenVinoRuntime(precision="f8")


@pytest.mark.parametrize(("kind", "package"), [(OrtRuntime, "onnxruntime"), (OpenVinoRuntime, "openvino")])
def test_a_library_that_is_not_installed_says_how_to_get_it(kind, package, local_model, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtraError, match=r"pip install 'firstaudio\["):
        kind().load(local_model)


@bf16
def test_bf16_is_close_and_f32_is_exact(tmp_path):
    """A product is where the two differ: OpenVINO takes bf16 unasked where it may."""
    model = product_model(tmp_path)
    x = np.random.default_rng(0).standard_normal((64, 256), dtype=np.float32)
    exact = OrtRuntime(num_threads=1).load(model).run({"x": x})["y"]
    f32 = OpenVinoRuntime(num_threads=1).load(model).run({"x": x})["y"]
    half = OpenVinoRuntime(precision="bf16", num_threads=1).load(model).run({"x": x})["y"]

    assert np.abs(f32 - exact).max() < 1e-4
    assert 1e-3 < np.abs(half - exact).max() < 1.0


def product_model(folder):
    from onnx import TensorProto, helper, numpy_helper, save

    weights = np.random.default_rng(1).standard_normal((256, 256), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 256])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 256])],
        [numpy_helper.from_array(weights, "w")],
    )
    path = folder / "product.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_openvino_is_imported_without_its_telemetry():
    program = (
        "import json, sys\n"
        "from firstaudio.engines.kokoro.runtimes.openvino_runtime import import_openvino\n"
        "import_openvino()\n"
        "print(json.dumps([n for n in sys.modules if n.partition('.')[0] == 'openvino_telemetry']))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(run.stdout) == []
