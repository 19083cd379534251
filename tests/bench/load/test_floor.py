"""The client floor, against the null server."""

from __future__ import annotations

from typing import Any

import pytest

from firstaudio.bench.load.floor import measure_floor
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Arrival, Cell, Load
from firstaudio.errors import BenchError


@pytest.mark.parametrize(
    ("spec", "arrival"),
    [
        (TargetSpec("openai", "http://far.away", token="secret", delivery="sse"), "closed"),
        (TargetSpec("http", "http://far.away", path="/odd", body={"x": "{text}"}), "poisson"),
        (TargetSpec("torch", "http://far.away"), "trace"),
        (TargetSpec("elevenlabs", "ws://far.away", tokens_per_s=3.0), "closed"),
    ],
)
async def test_the_floor_is_that_of_the_same_client(spec: TargetSpec, arrival: Arrival) -> None:
    load = Load(arrival, 2, 400.0, offsets_s=(0.0, 0.0025))
    floor = await measure_floor(Cell("cell", spec, load=load), num_requests=20)
    assert floor is not None
    assert (floor.num_requests, floor.concurrency, floor.workers) == (20, 2, 1)
    assert 0 < floor.p50_ms <= floor.p99_ms


async def test_a_command_has_no_floor() -> None:
    assert await measure_floor(Cell("cell", TargetSpec("command", command=("true",)))) is None


async def test_a_null_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(spec: TargetSpec, url: str) -> TargetSpec:
        return TargetSpec("openai", url, path="/nowhere")

    monkeypatch.setattr("firstaudio.bench.load.floor._spec", elsewhere)
    with pytest.raises(BenchError, match="the client floor could not be measured"):
        await measure_floor(Cell("cell", TargetSpec("openai")), num_requests=8)


def test_nothing_of_the_real_target_is_sent_to_the_null_server() -> None:
    from firstaudio.bench.load.floor import _spec

    real: dict[str, Any] = {"headers": {"x-api-key": "k"}, "token": "t", "connections": "cold", "tokens_per_s": 2.0}
    stand_in = _spec(TargetSpec("openai", "http://far.away", **real), "http://near")
    assert (stand_in.url, stand_in.token, dict(stand_in.headers), stand_in.tokens_per_s) == (
        "http://near",
        None,
        {},
        None,
    )
    assert stand_in.connections == "cold"
