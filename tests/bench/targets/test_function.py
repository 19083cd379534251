import asyncio
import functools
import threading
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from firstaudio.bench.exchange import Exchange, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.spec import Reading
from firstaudio.bench.targets.function import FunctionTarget
from firstaudio.bench.targets.samples import wav_stream_header
from firstaudio.bench.utterance import Utterance
from firstaudio.errors import BenchError

HELLO = Utterance("Hello.")
PCM = np.array([1, -2, 3], np.int16)
WAV = wav_stream_header(PcmFormat(16_000)) + PCM.tobytes()


async def spoken(fn: Callable[..., Any], utterance: Utterance = HELLO, **options: Any) -> Exchange:
    target, exchange = FunctionTarget(fn, **options), Exchange()
    channel = await target.open()
    try:
        await channel.speak(utterance, exchange)
    finally:
        await target.close()
    return exchange


async def failure_of(fn: Callable[..., Any], **options: Any) -> tuple[FailureKind, str]:
    with pytest.raises(SpeakError) as caught:
        await spoken(fn, **options)
    return caught.value.failure.kind, caught.value.failure.message


async def test_bytes_pass_as_they_are() -> None:
    exchange = await spoken(lambda text: f"audio of {text}".encode())
    assert exchange.pieces == [b"audio of Hello."]
    assert exchange.stated is None
    assert exchange.sent_ns is not None
    assert exchange.last_byte_ns is not None
    assert exchange.sent_ns <= exchange.arrivals_ns[0] <= exchange.last_byte_ns


@pytest.mark.parametrize(
    "answer",
    [
        (PCM, 16_000),
        (PCM.reshape(1, -1), np.int64(16_000)),
        (PCM.reshape(-1, 1), 16_000.0),
        {"audio": PCM, "sample_rate": 16_000},
        {"audio": PCM, "sampling_rate": 16_000},
        SimpleNamespace(samples=PCM, sample_rate=16_000),
    ],
    ids=["tuple", "row", "column", "dict", "sampling_rate", "object"],
)
async def test_samples_come_as_wav_with_the_rate_that_they_bring(answer: Any) -> None:
    exchange = await spoken(lambda text: answer)
    assert exchange.pieces == [WAV]
    assert exchange.stated == PcmFormat(16_000)


async def test_a_bare_array_has_the_rate_that_the_user_states() -> None:
    assert (await spoken(lambda text: PCM, sample_rate=16_000)).pieces == [WAV]


async def test_a_rate_that_nobody_states_stays_unknown() -> None:
    assert (await failure_of(lambda text: PCM))[0] == FailureKind.NO_SAMPLE_RATE


async def test_float_samples_are_float32() -> None:
    exchange = await spoken(lambda text: ([0.5, -0.25], 8_000))
    header = wav_stream_header(PcmFormat(8_000, sample_width=4))
    assert exchange.pieces == [header + np.array([0.5, -0.25], "<f4").tobytes()]


async def test_channels_come_interleaved() -> None:
    channels_first = np.arange(20, dtype=np.int16).reshape(2, 10)
    exchange = await spoken(lambda text: (channels_first, 8_000))
    assert exchange.stated == PcmFormat(8_000, num_channels=2)
    assert exchange.pieces[0][44:] == channels_first.T.tobytes()


def test_the_header_is_that_of_a_wave_file() -> None:
    header = wav_stream_header(PcmFormat(22_050, 2, 2))
    with wave.open(BytesIO(header + bytes(8))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (22_050, 2, 2)
    assert len(header) == 44


async def test_a_generator_streams_and_has_one_header() -> None:
    def speak(text: str) -> Iterator[Any]:
        yield PCM, 16_000
        yield PCM, 16_000

    exchange = await spoken(speak)
    assert exchange.pieces == [WAV, PCM.tobytes()]


async def test_each_piece_is_stamped_when_it_is_yielded() -> None:
    yielded, go_on = threading.Event(), threading.Event()

    def speak(text: str) -> Iterator[bytes]:
        yield b"first"
        yielded.set()
        go_on.wait(10)
        yield b"second"

    target, exchange = FunctionTarget(speak), Exchange()
    task = asyncio.create_task((await target.open()).speak(HELLO, exchange))
    await asyncio.to_thread(yielded.wait, 10)
    assert exchange.pieces == [b"first"]
    go_on.set()
    await task
    assert exchange.pieces == [b"first", b"second"]


async def test_an_async_function_runs_in_the_loop() -> None:
    async def speak(text: str) -> bytes:
        await asyncio.sleep(0)
        return threading.current_thread().name.encode()

    assert (await spoken(speak)).pieces == [threading.current_thread().name.encode()]


async def test_an_async_generator_streams() -> None:
    async def speak(text: str) -> AsyncIterator[bytes]:
        yield b"first"
        yield b"second"

    exchange = await spoken(speak)
    assert exchange.pieces == [b"first", b"second"]
    assert exchange.last_byte_ns is not None


async def test_async_is_seen_through_partials_and_callable_objects() -> None:
    async def speak(text: str, *, suffix: str) -> bytes:
        return (text + suffix).encode()

    class Speaker:
        async def __call__(self, text: str) -> bytes:
            return text.encode()

    assert (await spoken(functools.partial(speak, suffix="!"))).pieces == [b"Hello.!"]
    assert (await spoken(Speaker())).pieces == [b"Hello."]


async def test_a_hidden_coroutine_needs_to_be_declared() -> None:
    async def speak(text: str) -> bytes:
        return b"ab"

    assert await failure_of(lambda text: speak(text)) == (
        FailureKind.PROTOCOL,
        "the function is async: state is_async=True",
    )
    assert (await spoken(lambda text: speak(text), is_async=True)).pieces == [b"ab"]


async def test_an_exception_is_the_targets_own_failure() -> None:
    def speak(text: str) -> Iterator[bytes]:
        yield b"ab"
        raise ValueError("no such voice")

    assert await failure_of(speak) == (FailureKind.TARGET_ERROR, "the function raised ValueError: no such voice")


async def test_a_stray_stop_iteration_does_not_hang() -> None:
    def speak(text: str) -> bytes:
        return next(iter([]))

    assert (await failure_of(speak))[0] == FailureKind.TARGET_ERROR


@pytest.mark.parametrize("answer", [None, 7, "text", (b"a", 1, 2), {"rate": 1}, np.zeros((9, 9, 9)), ["a", "b"]])
async def test_what_is_no_speech_is_refused_with_what_to_return(answer: Any) -> None:
    kind, _ = await failure_of(lambda text: answer, sample_rate=8_000)
    assert kind in (FailureKind.PROTOCOL, FailureKind.WRONG_FORMAT)


async def test_bytes_and_samples_do_not_mix() -> None:
    def speak(text: str) -> Iterator[Any]:
        yield b"ab"
        yield PCM, 16_000

    assert (await failure_of(speak))[0] == FailureKind.PROTOCOL


async def test_options_reach_the_parameters_of_their_names() -> None:
    def speak(text: str, voice: str = "default", speed: float = 1.0) -> bytes:
        return f"{text} {voice} {speed}".encode()

    assert (await spoken(speak, Utterance("Hi", voice="amy"))).pieces == [b"Hi amy 1.0"]
    with pytest.raises(SpeakError, match="language"):
        await spoken(speak, Utterance("Hi", language="de"))


async def test_a_parameter_called_utterance_gets_all_of_it() -> None:
    def speak(utterance: Utterance) -> bytes:
        return f"{utterance.text} {utterance.language}".encode()

    assert (await spoken(speak, Utterance("Hi", language="de"))).pieces == [b"Hi de"]


async def test_a_cancelled_function_is_neither_heard_nor_waited_for() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def speak(text: str) -> Iterator[bytes]:
        try:
            yield b"first"
            begun.set()
            go_on.wait(10)
            yield b"late"
            yield b"later"
        finally:
            ended.set()

    target, exchange = FunctionTarget(speak), Exchange()
    task = asyncio.create_task((await target.open()).speak(HELLO, exchange))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await target.close()
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 10)
    assert exchange.pieces == [b"first"]
    assert exchange.last_byte_ns is None


@pytest.mark.parametrize("fn", [7, lambda: b"", lambda text, model: b""])
def test_what_cannot_be_called_with_a_text_is_refused(fn: Any) -> None:
    with pytest.raises(BenchError):
        FunctionTarget(fn)


def test_bytes_are_read_as_the_user_states() -> None:
    target = FunctionTarget(lambda text: b"", container="pcm", sample_rate=8_000)
    assert target.reading == Reading("raw", container="pcm", sample_rate=8_000)
