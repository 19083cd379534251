"""A real model of Kokoro's topology, small: cut once, loaded once; and ways to run and to change graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from firstaudio.engines.kokoro.decoder import Decoder, Features, NoiseTape
from firstaudio.engines.kokoro.loaded_piece import piece_on
from firstaudio.engines.kokoro.loading import window_runner
from firstaudio.engines.kokoro.model import CutModel
from firstaudio.engines.kokoro.pieces import Pieces, pieces_of
from firstaudio.engines.kokoro.runtimes.base import Session
from firstaudio.engines.kokoro.runtimes.board import RoutedSession
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.engines.kokoro.statistics import StatisticsTable
from firstaudio.engines.kokoro.store import ModelFiles
from firstaudio.engines.kokoro.surgery.cut import measuring
from firstaudio.engines.kokoro.surgery.rewrites import give_randomness
from firstaudio.engines.kokoro.voices import VoiceTable

FOLDER = Path(__file__).parents[2] / "data" / "kokoro"
MODEL, VOICES = FOLDER / "model.onnx", FOLDER / "voices.bin"
VOICE = "af_heart"
SEED = (7, 0)
INTEGERS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)

Floats = NDArray[np.float32]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Iterable[str],
    weights: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A small graph of float tensors; `inputs` are names and shapes."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def open_model(model: onnx.ModelProto) -> Any:
    """A session of onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_model(model: onnx.ModelProto, **inputs: Any) -> dict[str, Any]:
    """Every output by name."""
    session = open_model(model)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def snr_db(reference: Floats, other: Floats) -> float:
    noise = np.mean((reference.astype(float) - other) ** 2)
    return float("inf") if noise == 0 else float(10 * np.log10(np.mean(reference.astype(float) ** 2) / noise))


def in_dialect(
    model: onnx.ModelProto, names: Mapping[str, str], *, speed: int | None = None, durations: str = ""
) -> onnx.ModelProto:
    """The same export as somebody else makes it.

    Args:
        model: Not changed.
        names: New names of inputs and outputs.
        speed: An element type of the speed, where it is not float32: it is cast.
        durations: Name of an extra output of durations.
    """
    made = copy_of(model)
    if durations:
        rounds = next(node for node in made.graph.node if node.op_type == "Round")
        reads = {name: node for node in made.graph.node for name in node.input}
        last = reads[reads[rounds.output[0]].output[0]]  # Clip, then Cast
        made.graph.node.append(helper.make_node("Identity", [last.output[0]], [durations]))
        made.graph.output.append(helper.make_tensor_value_info(durations, onnx.TensorProto.INT64, ["num_tokens"]))
    if speed is not None:
        _cast_speed(made, speed)
    for node in made.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for port in (*made.graph.input, *made.graph.output):
        port.name = names.get(port.name, port.name)
    return made


def _cast_speed(model: onnx.ModelProto, element_type: int) -> None:
    for node in model.graph.node:
        node.input[:] = ["speed_as_float" if name == "speed" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Cast", ["speed"], ["speed_as_float"], to=onnx.TensorProto.FLOAT))
    port = next(port for port in model.graph.input if port.name == "speed")
    port.type.tensor_type.elem_type = element_type


# How public exports call things.
DIALECTS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "tokens": copy_of,
    "input_ids": lambda model: in_dialect(model, {"tokens": "input_ids", "audio": "waveform"}, durations="duration"),
    "int_speed": lambda model: in_dialect(
        model, {"tokens": "input_ids", "audio": "waveform"}, speed=onnx.TensorProto.INT32
    ),
    "long_speed": lambda model: in_dialect(model, {"audio": "output"}, speed=onnx.TensorProto.INT64),
}


class FaultySession:
    """Another session with stated faults.

    Args:
        session: Does the work.
        faults: By number of the run: "raise", "nan" or "constant".
    """

    def __init__(self, session: Session, faults: Mapping[int, str] | None = None) -> None:
        self._session, self.faults = session, dict(faults or {})
        self.inputs, self.outputs = session.inputs, session.outputs
        self.num_runs = 0

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        from firstaudio.errors import EngineError

        fault = self.faults.get(self.num_runs)
        self.num_runs += 1
        if fault == "raise":
            raise EngineError("it fell over", retryable=True)
        made = self._session.run(inputs)
        values = {None: lambda x: x, "nan": lambda x: np.full_like(x, np.nan), "constant": np.zeros_like}
        return {name: values[fault](value) for name, value in made.items()}


class Tiny:
    """The small model, cut and loaded. Nobody changes its folder."""

    def __init__(self, folder: Path) -> None:
        self.files = ModelFiles(MODEL, VOICES, "own", folder)
        self.pieces: Pieces = pieces_of(MODEL, self.files.pieces)
        self.voices = VoiceTable(VOICES)
        self.runtime = OrtRuntime("cpu", num_threads=1)
        self.sessions = {
            name: self.runtime.load(self.pieces.path(name))
            for name in ("front", "source", "generator", "window", "tail")
        }
        self.decoder = self.decoder_with(lambda inputs, _length: (self.sessions["window"].run(inputs)["x"], "one"))
        self._measuring: Any = None

    def decoder_with(self, window: Any, min_frames: int = 0) -> Decoder:
        """A decoder on the loaded pieces with a window piece of one's own."""
        front, source, tail, generator = (self.sessions[name] for name in ("front", "source", "tail", "generator"))
        return Decoder(
            front, source, tail, lambda: generator, window, self.pieces.noise, "whole", min_frames=min_frames
        )

    def model_with(self, sessions: Mapping[str, Session], folder: Path) -> CutModel:
        """A model whose windows go to the first of these sessions while it can; statistics lie in `folder`."""
        window = piece_on(
            "window",
            [RoutedSession(name, each, is_stand_by=index > 0) for index, (name, each) in enumerate(sessions.items())],
        )
        table = StatisticsTable(folder, len(self.pieces.norms.scale), self.voices.digests())
        return CutModel(self.pieces, self.decoder_with(window_runner(window)), [window], table)

    def style(self, num_tokens: int = 20, voice: str = VOICE) -> Floats:
        return self.voices.style(voice, num_tokens)

    def features(self, num_tokens: int, speed: float = 1.0) -> Features:
        return self.decoder.features(ids(num_tokens), self.style(num_tokens), speed)

    def statistics(self, features: Features, seed: Sequence[int] = SEED) -> Floats:
        """Mean and variance at each norm of this very run."""
        if self._measuring is None:
            self._measuring = open_model(measuring(onnx.load(self.pieces.path("generator"))))
        return self._measuring.run(["statistics"], self.decoder.generator_inputs(features, seed))[0][0]


def ids(num_tokens: int) -> list[int]:
    """Tokens without pads."""
    return np.random.default_rng(num_tokens).integers(1, 178, num_tokens).tolist()


def speak_file(model: onnx.ModelProto, pieces: Pieces, features: Features, **inputs: Any) -> dict[str, Any]:
    """What a whole file gives, uncut, with the noise that the cut one uses; its noise is made by `give_randomness`."""
    wanted = [port.name for port in model.graph.input if port.name.startswith("noise_")]
    length = features.f0.shape[1]
    tapes = [NoiseTape(want, [*SEED, index]).beginning(length) for index, want in enumerate(pieces.noise.values())]
    return run_model(model, **inputs, **dict(zip(wanted, tapes, strict=True)))


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    """The functions of this file."""
    return SimpleNamespace(
        model_of=model_of,
        run_model=run_model,
        copy_of=copy_of,
        load=onnx.load,
        snr_db=snr_db,
        ids=ids,
        dialects=DIALECTS,
        Faulty=FaultySession,
        speak_file=speak_file,
        MODEL=MODEL,
        VOICES=VOICES,
        VOICE=VOICE,
        SEED=SEED,
    )


@pytest.fixture(scope="session")
def kokoro(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The small model, cut and loaded once."""
    return Tiny(tmp_path_factory.mktemp("kokoro"))


@pytest.fixture(scope="session")
def export() -> onnx.ModelProto:
    """The small model as a graph; copy it before changing it."""
    return onnx.load(MODEL)


@pytest.fixture(scope="session")
def given_noise(export: onnx.ModelProto) -> onnx.ModelProto:
    """The whole file with its random numbers as inputs."""
    model = copy_of(export)
    give_randomness(model)
    return model
