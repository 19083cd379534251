"""A clock that tests move by hand, measurements, and traffic that never was."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from firstaudio.config import Config, StreamingConfig, SyntheticConfig, TelemetryConfig, TunerConfig
from firstaudio.config import EngineConfig as Engines
from firstaudio.synthesis.utterance import Utterance
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.tuner.decisions import Decision
from firstaudio.telemetry.tuner.tuner import RealTimeOptimizer
from firstaudio.trace import Trace

BLANK = {
    "timestamp": 0.0, "request_id": "r", "outcome": "completed", "origin": "client", "run": "", "arm": "",
    "engine": "synthetic", "voice": "alloy", "language": "en-us", "runtime": "", "decode": "", "warmth": "warm",
    "format": "pcm", "delivery": "audio", "text_class": "short", "num_characters": 40, "speed": 1.0, "num_ahead": 0,
    "num_segments": 1, "num_retries": 0, "num_stalls": 0, "failover": None, "error": None, "ttfa_ms": 200.0,
    "ttgp_ms": 200.0, "duration_ms": 400.0, "audio_s": 2.0, "rtf": 0.2, "predicted_ttfa_ms": None,
}  # fmt: skip


def measurement(**fields: Any) -> Measurement:
    """A client's request that took 200 ms, 180 of them in the model."""
    return Measurement(**BLANK | {"first_audio_ms": {"model_inference": 180.0}} | fields)


def decision(number: int = 0, **fields: Any) -> Decision:
    """A gain that was kept."""
    told = {
        "at": float(number),
        "experiment": f"x{number}",
        "setting": "streaming.first_segment_s",
        "current": 5.0,
        "candidate": 1.25,
        "action": "kept",
        "verdict": "better",
        "sentence": "it is faster",
        "evidence": {"n": 40},
    }
    return Decision(**told | fields)


class Clock:
    """Monotonic ns, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> int:
        return round(self.now_s * 1e9)

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now_s


class FakeSynthesizer:
    """What the tuner needs of one: settings to turn."""

    def __init__(self, streaming: StreamingConfig) -> None:
        self.streaming = streaming
        self.num_streams = 0
        self.assign = lambda _utterance, _trace: self.streaming


@dataclass
class World:
    """A tuner, and traffic whose times follow from the settings that each utterance was given."""

    tuner: RealTimeOptimizer
    synthesizer: FakeSynthesizer
    clock: Clock
    config: Config
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    num: int = 0

    def ttfa_ms(self, streaming: StreamingConfig) -> float:
        """The truth: as long as the first chunk is."""
        return 40.0 + streaming.min_chunk_size_ms

    def speak(self, *, origin: str = "client", **fields: Any) -> Measurement:
        """One request from beginning to end."""
        self.clock.now_s += 0.1
        self.num += 1
        trace = Trace(request_id=f"r{self.num}", origin=origin, delivery="audio", format="pcm", clock=self.clock)  # type: ignore[arg-type]
        trace.engine, trace.text_class = "synthetic", "short"
        streaming = self.synthesizer.assign(Utterance("Hello."), trace)
        ttfa_ms = self.ttfa_ms(streaming) * math.exp(self.rng.gauss(0, 0.1))
        told = {
            "request_id": trace.request_id, "origin": origin, "arm": trace.arm, "ttfa_ms": ttfa_ms, "ttgp_ms": ttfa_ms,
            "first_audio_ms": {"model_inference": ttfa_ms},
        }  # fmt: skip
        answer = measurement(**told | {name: f(streaming) if callable(f) else f for name, f in fields.items()})
        self.tuner.observe(answer)
        return answer

    async def settle(self, number: int = 1000, **fields: Any) -> list[Any]:
        """So many requests with a pass of the tuner after each; returns the decisions."""
        decisions = []
        for _ in range(number):
            self.speak(**fields)
            if (decision := await self.tuner.optimize_system()) is not None:
                decisions.append(decision)
        return decisions


@pytest.fixture
def make(tmp_path: Any) -> Any:
    """Makes worlds."""

    def world(streaming: dict[str, Any] | None = None, *, telemetry: bool = True, **tuner: Any) -> World:
        config = Config(
            engine=Engines(names=("synthetic",)),
            synthetic=SyntheticConfig(),
            streaming=StreamingConfig(**(streaming or {})),
            telemetry=TelemetryConfig(state_folder=str(tmp_path), enabled=telemetry),
            tuner=TunerConfig(
                **{"experiment": True, "interval_s": 3600.0, "cool_down_s": 0.0, "max_pairs": 40} | tuner
            ),
        )
        clock, synthesizer = Clock(), FakeSynthesizer(config.streaming)
        optimizer = RealTimeOptimizer(config, synthesizer, clock.wall, clock, random.Random(3))  # type: ignore[arg-type]
        return World(optimizer, synthesizer, clock, config)

    return world
