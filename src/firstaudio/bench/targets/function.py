"""A Python callable as a target: `fn(text)`, sync or async, returning speech whole or piece by piece.

It runs in the process of the harness. So its figures hold for one function on its own machine; what a server does under
load is measured over a socket, from another process.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.spec import Reading
from firstaudio.bench.targets.intake import Intake, require_told
from firstaudio.bench.targets.samples import Samples
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns
from firstaudio.errors import BenchError

MAX_THREADS = 64
OPTIONS = ("voice", "speed", "language")


class FunctionTarget:
    """Speaks by calling a function.

    The function gets the text; a first parameter that is named `utterance` (or annotated as `Utterance`) gets the
    whole `Utterance`; parameters named `voice`, `speed`, `language` get those of the request where it states them. It
    returns, or yields piece by piece: bytes of a file; an int16 or float array; `(array, sample_rate)`; a mapping or an
    object with `audio` (or `samples`) and `sample_rate`.

    Sync functions run in threads; `sent_ns` is stamped when the call is handed to the pool, so waiting for a thread
    counts. A cancelled sync function cannot be stopped before it yields: its thread goes on, unheard, holds one of the
    pool's places until then, and nobody waits for it, `close` included.

    Args:
        fn: The function.
        is_async: Whether calling it needs an event loop; None: by what it is. An async function that is wrapped in a
            plain one has to be declared.
        sample_rate: Of arrays (and headerless bytes) that come without one, in Hz; None: they must come with it.
        container: Of bytes; None: told by the first of them. "pcm" is headerless s16le.
        max_threads: Calls of a sync function at a time; further ones wait.

    Raises:
        BenchError: `fn` cannot be called with a text.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        is_async: bool | None = None,
        sample_rate: int | None = None,
        container: str | None = None,
        max_threads: int = MAX_THREADS,
    ) -> None:
        self._call = _Call(fn)
        self._is_async = _is_async(fn) if is_async is None else is_async
        self._rate, self._container = sample_rate, container
        self._threads = ThreadPoolExecutor(max_threads, "function-target") if not self._is_async else None

    @property
    def reading(self) -> Reading:
        """Arrays come as WAV; bytes are what they are."""
        return Reading("raw", container=self._container, sample_rate=self._rate)

    async def open(self) -> FunctionChannel:
        """A channel; there is nothing to connect."""
        return FunctionChannel(self._call, self._threads, self._rate)

    async def close(self) -> None:
        """Let go of the threads without waiting for those that still run."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


class FunctionChannel:
    """One caller of the function."""

    def __init__(self, call: _Call, threads: ThreadPoolExecutor | None, sample_rate: int | None) -> None:
        self._call, self._threads, self._rate = call, threads, sample_rate

    async def speak(self, utterance: Utterance, exchange: Exchange) -> None:
        """See `Channel.speak`."""
        require_told(self._call.told, utterance, "give the function a parameter of that name")
        catch = _Catch(exchange, self._rate)
        exchange.sent_ns = now_ns()
        try:
            if self._threads is None:
                await _run_async(self._call, utterance, catch)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads, _run_sync, self._call, utterance, catch)
        except SpeakError:
            raise
        except Exception as error:
            message = f"the function raised {type(error).__name__}: {error}"
            raise SpeakError(FailureKind.TARGET_ERROR, message) from error
        finally:
            catch.wanted = False

    async def close(self) -> None:
        """Nothing is kept between calls."""


class _Call:
    """How the function wants to be called."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        parameters = _parameters(fn)
        first = next(iter(parameters.values()), None)
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        self._whole = first is not None and (first.name == "utterance" or _annotated_utterance(first))
        self._options = [name for name in OPTIONS if takes_any or name in list(parameters)[1:]]
        self.told = frozenset(OPTIONS if self._whole else self._options)

    def __call__(self, utterance: Utterance) -> Any:
        if self._whole:
            return self._fn(utterance)
        stated = {"voice": utterance.voice, "speed": utterance.speed, "language": utterance.language}
        unstated = {"voice": None, "speed": 1.0, "language": None}
        options = {name: stated[name] for name in self._options if stated[name] != unstated[name]}
        return self._fn(utterance.text, **options)


class _Catch:
    """Where pieces go: stamped as they come, converted after their stamp."""

    def __init__(self, exchange: Exchange, sample_rate: int | None) -> None:
        self._intake, self._samples = Intake(exchange), Samples(sample_rate)
        self.wanted = True

    def piece(self, value: Any) -> bool:
        """Take one; False when nobody wants it any more."""
        at_ns = now_ns()
        if not self.wanted:
            return False
        data = self._samples.as_bytes(value)
        if data:
            self._intake.take(data, at_ns)
        self._intake.exchange.stated = self._samples.stated
        return True

    def end(self) -> None:
        """The function has returned."""
        if self.wanted:
            self._intake.exchange.last_byte_ns = now_ns()


def _run_sync(call: _Call, utterance: Utterance, catch: _Catch) -> None:
    """In a thread; a StopIteration that left it would never reach the one who waits."""
    try:
        _call_sync(call, utterance, catch)
    except StopIteration as error:
        raise RuntimeError("StopIteration left the function") from error


def _call_sync(call: _Call, utterance: Utterance, catch: _Catch) -> None:
    result = call(utterance)
    if inspect.isawaitable(result) or isinstance(result, AsyncIterator):
        if inspect.iscoroutine(result):
            result.close()
        raise SpeakError(FailureKind.PROTOCOL, "the function is async: state is_async=True")
    _take(result, catch)


async def _run_async(call: _Call, utterance: Utterance, catch: _Catch) -> None:
    result = call(utterance)
    if inspect.isawaitable(result):
        result = await result
    if not isinstance(result, AsyncIterator):
        _take(result, catch)
        return
    try:
        async for value in result:
            catch.piece(value)
        catch.end()
    finally:
        if inspect.isasyncgen(result):
            await result.aclose()


def _take(result: Any, catch: _Catch) -> None:
    """A whole answer, or a sync iterator's."""
    if not isinstance(result, Iterator):
        catch.piece(result)
        catch.end()
        return
    try:
        if all(catch.piece(value) for value in result):
            catch.end()
    finally:
        if inspect.isgenerator(result):
            result.close()


def _is_async(fn: Callable[..., Any]) -> bool:
    while isinstance(fn, partial):
        fn = fn.func
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    return any(is_kind(fn) or is_kind(getattr(fn, "__call__", None)) for is_kind in kinds)  # noqa: B004 # a method's kind


def _parameters(fn: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        signature = inspect.signature(fn)
    except TypeError as error:
        raise BenchError(f"{fn!r} cannot be called: give a function of a text") from error
    except ValueError:  # builtins do not tell; the call will
        return {}
    try:
        signature.bind("")
    except TypeError as error:
        raise BenchError(f"the function cannot be called with a text alone ({error}): wrap it") from error
    return dict(signature.parameters)


def _annotated_utterance(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    return annotation is Utterance or (isinstance(annotation, str) and annotation.split(".")[-1] == "Utterance")
