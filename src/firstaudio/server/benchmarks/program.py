"""A program of its own: started without a shell, watched, and ended with everything that it started."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Self

logger = logging.getLogger(__name__)

NICE = 5  # listeners come first
GRACE_S = 5.0
"""From the request to end to the end by force."""
CLOSING_S = 2.0  # for the last lines of a group that has been killed
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ended.

    Attributes:
        exit_code: Negative for the signal that ended it.
        timed_out: It was ended because its deadline had come.
    """

    exit_code: int
    timed_out: bool


async def run_program(
    command: Sequence[str],
    environment: Mapping[str, str],
    on_stderr: Callable[[bytes], None],
    stop: asyncio.Event,
    *,
    deadline_s: float,
    grace_s: float = GRACE_S,
) -> Ending:
    """Run a program to its end; cancelling kills it.

    It leads a process group. It is asked to end (SIGTERM) by `stop` or the deadline; when it has ended, or has not for
    `grace_s`, its whole group is killed: nothing is left behind. Its stdin stays open for as long as this process
    lives, so that a program that watches it ends with us even where nobody can kill it.

    Args:
        command: Executable and arguments.
        environment: All of it.
        on_stderr: Called with what it writes; stdout goes nowhere.
        stop: Set by whoever wants it to end.
        deadline_s: How long it may take, in seconds.
        grace_s: From the request to end to the end by force, in seconds.

    Raises:
        OSError: It cannot be started.
    """
    with _Pipe() as leash, _Pipe() as words:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=leash.read_end,
            stdout=DEVNULL,
            stderr=words.write_end,
            env=dict(environment),
            start_new_session=True,
        )
        leash.close_read_end()
        words.close_write_end()
        reading = asyncio.create_task(_read(words, on_stderr))
        try:
            _be_nice(process.pid)
            timed_out = await _ends(process, stop, deadline_s)
            if process.returncode is None:
                await _ask_to_end(process, grace_s)
        finally:
            _kill_group(process.pid)
            await process.wait()
            await _finish(reading)
    assert process.returncode is not None
    return Ending(process.returncode, timed_out)


class _Pipe:
    """Two ends, closed at the end of the block.

    asyncio's own pipes would not do: its `wait` returns only when they are closed, and whoever the program leaves
    behind holds them open.
    """

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self._open = {self.read_end, self.write_end}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in tuple(self._open):
            self._close(end)

    def close_read_end(self) -> None:
        """The program alone reads."""
        self._close(self.read_end)

    def close_write_end(self) -> None:
        """The program alone writes."""
        self._close(self.write_end)

    def hand_over_read_end(self) -> BinaryIO:
        """As a file that somebody else closes."""
        self._open.discard(self.read_end)
        return os.fdopen(self.read_end, "rb", buffering=0)

    def _close(self, end: int) -> None:
        self._open.discard(end)
        os.close(end)


async def _ends(process: Process, stop: asyncio.Event, deadline_s: float) -> bool:
    """Wait for the end, the wish to stop or the deadline; whether it was the deadline."""
    wanted = [asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())]
    tasks = [*wanted, asyncio.create_task(_time_is_up(deadline_s))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return not any(task.done() for task in wanted)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _time_is_up(deadline_s: float) -> bool:
    await asyncio.sleep(deadline_s)
    return True


async def _ask_to_end(process: Process, grace_s: float) -> None:
    with suppress(ProcessLookupError):
        process.terminate()  # the leader alone: it ends its own in good order
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), grace_s)


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says the latter of zombies
        os.killpg(group, signal.SIGKILL)


def _be_nice(pid: int) -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
    except OSError as error:
        logger.debug("a benchmark runs at the server's own priority: %s", error)


async def _read(words: _Pipe, on_stderr: Callable[[bytes], None]) -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, words.hand_over_read_end())
    try:
        while data := await reader.read(READ_BYTES):
            on_stderr(data)
    finally:
        transport.close()


async def _finish(reading: asyncio.Task[None]) -> None:
    """The last lines; a process that left the group may hold the pipe open, and nobody waits for it."""
    await asyncio.wait([reading], timeout=CLOSING_S)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
