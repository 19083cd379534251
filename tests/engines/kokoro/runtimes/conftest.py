"""Runtimes with stated figures and faults."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from firstaudio.engines.kokoro.runtimes.base import Arrays, Port, Session
from firstaudio.errors import EngineError, FirstaudioError

MODEL = Path(__file__).parents[3] / "data" / "kokoro" / "model.onnx"
MS = 1_000_000


class FakeClock:
    """Nanoseconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class FakeSession:
    """Gives `audio`: its input `x`, with noise, or a stated fault.

    Args:
        clock: Moved by what each run costs.
        costs_ms: Of the runs, in turn, again and again.
        faults: By number of the run: "raise", "silent", "nan" or "shape".
        noise: Level of what is added.
    """

    inputs = (Port("x", "float32", (None,)),)
    outputs = (Port("audio", "float32", (None,)),)

    def __init__(
        self,
        clock: FakeClock | None = None,
        costs_ms: Sequence[float] = (1.0,),
        faults: Mapping[int, str] | None = None,
        noise: float = 0.0,
    ) -> None:
        self.clock = clock or FakeClock()
        self.costs_ms = costs_ms
        self.faults = faults or {}
        self.noise = noise
        self.num_runs = 0
        self.done: list[float] = []
        self.inside = 0
        self.most_inside = 0
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, Any]) -> Arrays:
        with self._lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            fault = self.faults.get(self.num_runs)
            self.clock.now += round(self.costs_ms[self.num_runs % len(self.costs_ms)] * MS)
            self.num_runs += 1
        try:
            return self._output(inputs["x"], fault)
        finally:
            with self._lock:
                self.inside -= 1

    def _output(self, x: Any, fault: str | None) -> Arrays:
        if fault == "raise":
            raise EngineError("it fell over")
        if fault == "silent":
            return {"audio": np.zeros_like(x)}
        if fault == "nan":
            return {"audio": np.full_like(x, np.nan)}
        if fault == "shape":
            return {"audio": x[:-1]}
        self.done.append(float(x[0]))
        return {"audio": x + self.noise * np.cos(np.arange(len(x), dtype=np.float32))}


class FakeRuntime:
    """Loads one session, or refuses."""

    def __init__(self, name: str, session: Session | None = None, refusal: FirstaudioError | None = None) -> None:
        self.name = name
        self.session = session
        self.refusal = refusal

    def load(self, model: Path, shapes: Mapping[str, Sequence[int]] | None = None) -> Session:
        if self.refusal:
            raise self.refusal
        assert self.session is not None
        return self.session


def is_valid(outputs: Arrays) -> bool:
    audio = outputs["audio"]
    return bool(np.isfinite(audio).all() and np.abs(audio).max() > 0)


def tokens(numbers: Iterable[int] = range(1, 9)) -> Arrays:
    return {
        "tokens": np.array([list(numbers)], np.int64),
        "style": np.full((1, 256), 0.1, np.float32),
        "speed": np.ones(1, np.float32),
    }


@pytest.fixture(scope="session")
def fakes() -> SimpleNamespace:
    return SimpleNamespace(Clock=FakeClock, Session=FakeSession, Runtime=FakeRuntime, is_valid=is_valid, MS=MS)


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """A real model, small, and a step for it."""
    return SimpleNamespace(model=MODEL, inputs=tokens())


@pytest.fixture
def broken_file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file that is no model: "missing", "empty", "truncated", "foreign" or "folder"."""
    path = tmp_path / "model.onnx"
    content = {"empty": b"", "truncated": MODEL.read_bytes()[:500_000], "foreign": b"GIF89a" * 1000}
    if request.param == "folder":
        path.mkdir()
    elif request.param != "missing":
        path.write_bytes(content[request.param])
    return path


@pytest.fixture(scope="session")
def local_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph without random numbers: `y = relu(x) + 1`, `z = x` and the length `n`."""
    from onnx import TensorProto, helper, save

    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("Constant", [], ["one"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])),
        helper.make_node("Add", ["positive", "one"], ["y"]),
        helper.make_node("Identity", ["x"], ["z"]),
        helper.make_node("Shape", ["x"], ["n"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "length"])
    outputs = [
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, "length"]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "length"]),
        helper.make_tensor_value_info("n", TensorProto.INT64, [2]),
    ]
    graph = helper.make_graph(nodes, "local", [x], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("local") / "local.onnx"
    save(model, path)
    return path
