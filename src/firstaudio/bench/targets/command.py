"""A program that is started for each request and writes audio to its standard output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import PIPE, Process

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.intake import Intake, require_told
from firstaudio.bench.targets.template import PLACEHOLDER, Values, mentioned, values_of
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns
from firstaudio.errors import BenchError

READ_BYTES = 2**16  # what a pipe holds
KEPT_ERROR_BYTES = 4096
CANNOT_START = (FileNotFoundError, PermissionError, NotADirectoryError)


class CommandTarget:
    """A command line that speaks.

    Its text is an argument where the command holds {text}, else it comes on standard input. `sent_ns` is stamped just
    before the program is started (text as an argument: its start is part of the answer), or just before the text is
    written (on standard input: the start is connecting, `connected_ns`; what the program loads after it counts).

    Args:
        spec: Of kind "command".

    Raises:
        BenchError: There is no command.
    """

    def __init__(self, spec: TargetSpec) -> None:
        if not spec.command or not spec.command[0]:
            raise BenchError("no command is stated: write the program and its arguments, as 'cmd:espeak-ng --stdout'")
        self._spec = spec

    @property
    def reading(self) -> Reading:
        """Standard output is the audio."""
        return Reading("raw", container=self._spec.container, sample_rate=self._spec.sample_rate)

    async def open(self) -> CommandChannel:
        """A channel. Raises SpeakError if there is no such program."""
        if shutil.which(self._spec.command[0]) is None:
            raise _no_program(self._spec.command[0])
        return CommandChannel(self._spec)

    async def close(self) -> None:
        """Nothing is shared."""


class CommandChannel:
    """Runs the program once for each request; a cancelled one is killed with everything that it started."""

    def __init__(self, spec: TargetSpec) -> None:
        self._spec = spec
        self._told = mentioned(spec.command)

    async def speak(self, utterance: Utterance, exchange: Exchange) -> None:
        """See `Channel.speak`."""
        require_told(self._told, utterance, "put its placeholder into the command")
        arguments = _filled(self._spec.command, values_of(utterance, self._spec.model))
        text = None if "text" in self._told else utterance.text.encode()
        exchange.sent_ns = now_ns()
        process = await _start(arguments, with_input=text is not None)
        try:
            if text is not None:
                _hand_over(process, text, exchange)
            await _receive(process, Intake(exchange), arguments[0])
        finally:
            await _end(process)

    async def close(self) -> None:
        """Nothing is kept between requests."""


async def _start(arguments: tuple[str, ...], *, with_input: bool) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *arguments,
            stdin=PIPE if with_input else asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            limit=READ_BYTES,
            start_new_session=True,  # a group of its own, so that killing it reaches its children
        )
    except CANNOT_START as error:
        raise _no_program(arguments[0]) from error


def _hand_over(process: Process, text: bytes, exchange: Exchange) -> None:
    assert process.stdin is not None
    exchange.connected_ns = now_ns()
    exchange.sent_ns = now_ns()
    if not process.stdin.is_closing():  # a program that never reads may have ended already
        process.stdin.write(text)  # into a buffer: one that reads late must not stop us
        process.stdin.close()


async def _receive(process: Process, intake: Intake, program: str) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    complaint = asyncio.ensure_future(_tail(process.stderr))
    try:
        while data := await process.stdout.read(READ_BYTES):
            intake.take(data, now_ns())
        ended_ns = now_ns()
        status, said = await process.wait(), await complaint
    finally:
        complaint.cancel()
    if status != 0:
        raise SpeakError(FailureKind.TARGET_ERROR, f"{program} {_how_it_ended(status)}{said and f': {said}'}")
    intake.exchange.last_byte_ns = ended_ns


async def _tail(stream: asyncio.StreamReader) -> str:
    """The last line that says something."""
    kept = b""
    while data := await stream.read(READ_BYTES):
        kept = (kept + data)[-KEPT_ERROR_BYTES:]
    lines = [line.strip() for line in kept.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


async def _end(process: Process) -> None:
    """Kill what has not ended by itself, with all that it started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _filled(command: tuple[str, ...], values: Values) -> tuple[str, ...]:
    missing = next((name for name in PLACEHOLDER.findall(" ".join(command)) if values[name] is None), None)
    if missing:
        raise SpeakError(FailureKind.PROTOCOL, f"the command needs a {missing}: state one")
    return tuple(PLACEHOLDER.sub(lambda found: _as_text(values[found[1]]), argument) for argument in command)


def _as_text(value: str | float | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _how_it_ended(status: int) -> str:
    return f"ended with exit code {status}" if status > 0 else f"was ended by signal {-status}"


def _no_program(name: str) -> SpeakError:
    return SpeakError(FailureKind.UNREACHABLE, f"cannot start the program {name!r}: install it, or write its full path")
