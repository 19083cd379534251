"""The client floor, against the null server."""

from __future__ import annotations

from typing import Any

import pytest

from firstaudio.bench.load.floor import measure_floor
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Arrival, Cell, Load


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


async def test_a_null_server_that_does_not_answer_leaves_a_run_without_a_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(spec: TargetSpec, url: str) -> TargetSpec:
        return TargetSpec("openai", url, path="/nowhere")

    monkeypatch.setattr("firstaudio.bench.load.floor._spec", elsewhere)
    told: list[str] = []
    assert await measure_floor(Cell("cell", TargetSpec("openai")), num_requests=8, warn=told.append) is None
    assert len(told) == 1
    assert told[0].startswith("the client floor could not be measured: the null server did not answer: ")


async def test_rare_arrivals_and_many_clients_have_a_floor_too() -> None:
    load = Load("poisson", 64, 1.0, num_requests=8, warmup_requests=64)
    floor = await measure_floor(Cell("cell", TargetSpec("openai"), load=load), num_requests=8)
    assert floor is not None
    assert (floor.num_requests, floor.concurrency) == (8, 1)


@pytest.mark.parametrize(
    ("load", "clients"),
    [
        (Load(concurrency=64), 64),
        (Load("constant", 64, 400.0), 10),  # each of them asks 40 times a second
        (Load("constant", 4, 400.0), 4),
        (Load("ramp", 64, 10.0, start_rate_per_s=80.0), 2),
        (Load("trace", 64, offsets_s=(0.0, 10.0)), 1),
    ],
)
def test_an_open_loop_has_as_many_paced_clients_as_make_its_arrivals(load: Load, clients: int) -> None:
    from firstaudio.bench.load.floor import _load

    plan = _load(load, None)
    assert (plan.arrival, plan.concurrency, plan.warmup_requests) == ("closed", clients, clients)


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
