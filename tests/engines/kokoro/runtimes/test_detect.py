"""What is there, what is not and why, and what names in the configuration become."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from firstaudio.engines.kokoro.runtimes import detect
from firstaudio.engines.kokoro.runtimes.detect import KNOWN, available, resolve
from firstaudio.engines.kokoro.runtimes.hardware import Processor
from firstaudio.errors import ConfigError, MissingExtraError

NAMES = [known.name for known in KNOWN]


def processor_with(monkeypatch, *flags, model="Some Xeon", architecture="x86_64"):
    here = Processor(model, architecture, flags if architecture == "x86_64" else None, 2)
    monkeypatch.setattr(detect, "processor", lambda: here)


def with_ort(monkeypatch, *providers):
    fake = SimpleNamespace(get_available_providers=lambda: [*providers, "CPUExecutionProvider"])
    monkeypatch.setattr(detect, "import_ort", lambda: fake)


def with_openvino(monkeypatch, *devices, capabilities=()):
    core = SimpleNamespace(available_devices=list(devices), get_property=lambda device, name: list(capabilities))
    monkeypatch.setattr(detect, "import_openvino", lambda: SimpleNamespace(Core=lambda: core))


@pytest.fixture
def plain(monkeypatch):
    """A machine with both libraries and an old processor."""
    processor_with(monkeypatch, "avx2")
    with_ort(monkeypatch)
    with_openvino(monkeypatch, "CPU")


@pytest.fixture
def modern(monkeypatch):
    """A machine with both libraries and AMX."""
    processor_with(monkeypatch, "avx2", "amx_bf16")
    with_ort(monkeypatch)
    with_openvino(monkeypatch, "CPU")


def there():
    return [candidate.name for candidate in available() if candidate.is_there]


def names(*arguments, **options):
    return [runtime.name for runtime in resolve(*arguments, **options)]


def test_every_known_runtime_is_told_of_and_what_is_missing_has_a_reason(plain):
    candidates = available()

    assert [candidate.name for candidate in candidates] == NAMES
    assert all(candidate.is_there or candidate.problem for candidate in candidates)


def test_a_plain_machine_has_the_two_on_its_processor(plain):
    assert there() == ["onnxruntime-cpu", "openvino-cpu"]


def test_bf16_is_there_where_the_processor_has_it(modern):
    assert there() == ["onnxruntime-cpu", "openvino-cpu", "openvino-cpu-bf16"]


def test_bf16_that_would_be_emulated_is_not_there(monkeypatch, plain):
    with_openvino(monkeypatch, "CPU", capabilities=["FP32", "BF16"])
    (found,) = [candidate for candidate in available() if candidate.name == "openvino-cpu-bf16"]

    assert found.problem == "this processor has no bf16 (AMX or AVX-512 BF16)"


@pytest.mark.parametrize(("capabilities", "expected"), [(["FP32", "BF16"], True), (["FP32"], False)])
def test_where_the_system_tells_no_flags_openvino_is_asked(monkeypatch, capabilities, expected):
    processor_with(monkeypatch, architecture="AMD64")
    with_ort(monkeypatch)
    with_openvino(monkeypatch, "CPU", capabilities=capabilities)

    assert expected == ("openvino-cpu-bf16" in there())


def test_a_gpu_of_either_library_is_found(monkeypatch, plain):
    with_ort(monkeypatch, "CUDAExecutionProvider")
    with_openvino(monkeypatch, "CPU", "GPU.0")

    assert there() == ["onnxruntime-cpu", "openvino-cpu", "onnxruntime-cuda", "openvino-gpu"]


def test_apple_silicon_has_sessions_for_neural_engine_and_gpu(monkeypatch, plain):
    processor_with(monkeypatch, model="Apple M1", architecture="arm64")
    with_ort(monkeypatch, "CoreMLExecutionProvider")

    assert {"onnxruntime-coreml", "onnxruntime-coreml-neural", "onnxruntime-coreml-gpu"} <= set(there())


def test_an_intel_mac_has_no_neural_engine(monkeypatch, plain):
    with_ort(monkeypatch, "CoreMLExecutionProvider")
    found = {candidate.name: candidate for candidate in available()}

    assert found["onnxruntime-coreml-neural"].problem == "this processor has no neural engine"


def test_what_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = {candidate.name: (candidate.problem, candidate.remedy) for candidate in available()}

    assert found["openvino-cpu"] == ("not installed", "pip install openvino")
    assert found["onnxruntime-cpu"] == ("not installed", "pip install onnxruntime")
    assert found["onnxruntime-cuda"][1] == "pip install onnxruntime-gpu (needs an NVIDIA GPU with CUDA and cuDNN)"


def test_an_installation_that_does_not_load_says_so(monkeypatch, plain):
    def broken():
        try:
            raise ImportError("libfoo.so: cannot open shared object file")
        except ImportError as error:
            raise MissingExtraError("running a model in OpenVINO", "openvino") from error

    monkeypatch.setattr(detect, "import_openvino", broken)
    found = {candidate.name: candidate.problem for candidate in available()}

    assert found["openvino-cpu"] == "its import failed: libfoo.so: cannot open shared object file"


@pytest.mark.parametrize(
    ("wanted", "precision", "expected"),
    [
        (["auto"], "auto", ["onnxruntime-cpu", "openvino-cpu", "openvino-cpu-bf16"]),
        (["auto"], "f32", ["onnxruntime-cpu", "openvino-cpu"]),
        (["auto"], "bf16", ["openvino-cpu-bf16"]),
        (["openvino-cpu"], "auto", ["openvino-cpu", "openvino-cpu-bf16"]),
        (["openvino-cpu"], "f32", ["openvino-cpu"]),
        (["openvino-cpu"], "bf16", ["openvino-cpu-bf16"]),
        (["openvino-cpu-bf16"], "auto", ["openvino-cpu-bf16"]),
        (["openvino-cpu", "onnxruntime-cpu"], "f32", ["openvino-cpu", "onnxruntime-cpu"]),
        (["openvino-cpu", "openvino-cpu-bf16"], "auto", ["openvino-cpu", "openvino-cpu-bf16"]),
    ],
)
def test_names_and_precision_become_runtimes(modern, wanted, precision, expected):
    assert expected == names(wanted, precision)


@pytest.mark.parametrize(
    ("wanted", "precision", "message"),
    [
        (["tensorrt"], "auto", r"'tensorrt', which nobody knows; known are: auto, onnxruntime-cpu, openvino-cpu, .*"),
        (["auto", "onnxruntime-cpu"], "auto", r"auto stands for all of them, so it stands alone"),
        (["onnxruntime-cuda"], "auto", r"onnxruntime-cuda is not there: .* no CUDA.* \(pip install onnxruntime-gpu"),
        (["onnxruntime-cpu"], "bf16", r"onnxruntime-cpu does not compute in bf16"),
        (["openvino-cpu-bf16"], "f32", r"openvino-cpu-bf16 does not compute in f32"),
        (["openvino-cpu-bf16"], "auto", r"not there: openvino-cpu-bf16: this processor has no bf16"),
        (["openvino-cpu"], "bf16", r"not there: openvino-cpu-bf16: this processor has no bf16"),
        (["auto"], "bf16", r"no runtime of this machine computes in bf16: openvino-cpu-bf16: this processor has no"),
    ],
)
def test_a_name_that_cannot_be_had_says_why(plain, wanted, precision, message):
    with pytest.raises(ConfigError, match=message):
        resolve(wanted, precision)


def test_an_old_processor_answers_openvino_in_f32(plain):
    assert names(["openvino-cpu"], "auto") == ["openvino-cpu"]


def test_without_any_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingExtraError, match=r"firstaudio\[kokoro\]"):
        resolve(["auto"])


def test_this_machine_has_what_the_tests_are_installed_with():
    assert {"onnxruntime-cpu", "openvino-cpu"} <= set(there())
