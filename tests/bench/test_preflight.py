from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.preflight import ATTEMPTS, TEXT, PreflightError, preflight
from firstaudio.bench.reference.sound import sound
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.function import FunctionTarget
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell

RATE = 8000
CELL = Cell("c=1", TargetSpec("command", name="fn", timeout_s=30.0))


def hum(text: str) -> tuple[np.ndarray, int]:
    number = round(0.06 * len(text) * RATE)
    return np.frombuffer(sound(RATE).part(0, number, number), "<i2"), RATE


class Calls:
    """A function that goes through what it is told to raise or return, and counts."""

    def __init__(self, *answers: object) -> None:
        self.answers, self.count = answers, 0

    async def __call__(self, text: str) -> Any:
        answer = self.answers[min(self.count, len(self.answers) - 1)]
        self.count += 1
        if isinstance(answer, Exception):
            raise answer
        return hum(text) if answer is hum else answer


async def failure(fn: Callable[..., Any], cell: Cell = CELL) -> tuple[FailureKind, str]:
    with pytest.raises(PreflightError) as caught:
        await preflight(FunctionTarget(fn), cell)
    assert caught.value.message == caught.value.failure.message
    return caught.value.failure.kind, caught.value.failure.message


async def test_a_target_that_speaks_is_asked_once():
    calls = Calls(hum)
    answer = await preflight(FunctionTarget(calls), CELL)

    assert calls.count == 1
    assert (answer.record.text, answer.record.phase, answer.record.ok) == (TEXT, "warmup", True)
    assert answer.heard.sample_rate == RATE


async def test_the_text_and_the_voice_may_be_stated():
    heard: list[tuple[str, str]] = []

    def fn(text: str, voice: str = "") -> tuple[np.ndarray, int]:
        heard.append((text, voice))
        return hum(text)

    await preflight(FunctionTarget(fn), CELL.replace(voice="alto"), "Say this.")

    assert heard == [("Say this.", "alto")]


async def test_a_target_that_fails_now_and_then_is_asked_again():
    calls = Calls(ValueError("no"), b"", hum)
    answer = await preflight(FunctionTarget(calls), CELL)

    assert calls.count == 3
    assert answer.record.ok


async def test_a_target_that_always_fails_is_given_up():
    calls = Calls(ValueError("no"))

    assert await failure(calls) == (FailureKind.TARGET_ERROR, "the function raised ValueError: no")
    assert calls.count == ATTEMPTS


@pytest.mark.parametrize(
    "kind", ["unreachable", "unauthorized", "not_found", "timeout", "protocol", "no_sample_rate", "endless"]
)
async def test_what_cannot_get_better_is_asked_once(kind: str):
    calls = Calls(SpeakError(FailureKind(kind), "because"), hum)

    found, message = await failure(calls)
    assert (found, message.partition(" (")[0]) == (kind, "because")
    assert calls.count == 1


async def test_an_answer_that_hangs_ends_with_the_timeout():
    async def hangs(_: str) -> bytes:
        return await asyncio.Future()

    kind, message = await failure(hangs, CELL.replace(target=CELL.target.replace(timeout_s=0.01)))

    assert kind == FailureKind.TIMEOUT
    assert message.startswith("no complete answer within 0.01 s")


class Foreign:
    """A target that somebody else wrote, with a bug."""

    reading = FunctionTarget(hum).reading

    def __init__(self, at: str) -> None:
        self.at, self.closed = at, 0

    async def open(self) -> Foreign:
        if self.at == "open":
            raise OSError("no device")
        return self

    async def speak(self, _: Utterance, exchange: Exchange) -> None:
        exchange.arrived(b"RIFF")
        raise KeyError("voice")

    async def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("at", "message", "closed"),
    [("open", "the target raised OSError: no device", 0), ("speak", "the target raised KeyError: 'voice'", ATTEMPTS)],
)
async def test_a_bug_of_a_target_is_its_failure(at: str, message: str, closed: int):
    target = Foreign(at)
    with pytest.raises(PreflightError) as caught:
        await preflight(target, CELL)

    assert (caught.value.failure.kind, caught.value.message) == (FailureKind.TARGET_ERROR, message)
    assert target.closed == closed


async def test_an_endless_answer_is_not_read():
    """Its bytes are let go before anything tries to decode them."""

    async def endless(_: str) -> Any:
        yield hum("x" * 1000)
        raise SpeakError(FailureKind.ENDLESS, "the answer is endless")

    assert (await failure(endless))[0] == FailureKind.ENDLESS
