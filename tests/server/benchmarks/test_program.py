"""A program of its own is started, watched and ended with all that it started."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from firstaudio.server.benchmarks import program
from firstaudio.server.benchmarks.program import NICE, Ending, run_program

UNTIL_NICE = f"import os\nwhile os.getpriority(os.PRIO_PROCESS, 0) < {NICE}: pass"
FAMILY = """
import os, sys, time
child = os.spawnl(os.P_NOWAIT, sys.executable, sys.executable, "-c", "import time; time.sleep(3600)")
sys.stderr.write(f"{{os.getpid()}} {{child}}\\n")
{then}
"""


SAYS_HOW_IT_WANTS_TO_END = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
sys.stderr.write("ready")
sys.stderr.flush()
time.sleep(3600)
"""


async def run(
    code: str,
    deadline_s: float = 60.0,
    stop: asyncio.Event | None = None,
    grace_s: float = 0.3,
    heard: asyncio.Event | None = None,
) -> tuple[Ending, bytes]:
    """Run a program that is Python; `heard` is set when it has said something."""
    said = bytearray()

    def hear(data: bytes) -> None:
        said.extend(data)
        if heard:
            heard.set()

    ending = await run_program(
        [sys.executable, "-c", code], os.environ, hear, stop or asyncio.Event(), deadline_s=deadline_s, grace_s=grace_s
    )
    return ending, bytes(said)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def gone(said: bytes) -> bool:
    """Whether all whose ids were said are, within some moments: whoever was killed may take one to die."""
    pids = [int(pid) for pid in said.split()]
    assert len(pids) == 2
    for _ in range(500):
        if not any(map(lives, pids)):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_it_runs_to_its_end_and_says_how_it_ended():
    ending, said = await run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")

    assert (ending, said) == (Ending(7, timed_out=False), b"err\n")


async def test_listeners_go_first():
    assert await run(UNTIL_NICE) == (Ending(0, timed_out=False), b"")


async def test_it_leads_a_group_of_its_own():
    ending, _ = await run("import os, sys; sys.exit(os.getpgrp() != os.getpid())")

    assert ending.exit_code == 0


async def test_children_that_it_leaves_are_ended():
    ending, said = await run(FAMILY.format(then=""))

    assert ending == Ending(0, timed_out=False)
    assert await gone(said)


async def test_the_deadline_ends_it_with_its_children(monkeypatch: pytest.MonkeyPatch):
    heard, limits_s = asyncio.Event(), []

    async def time_is_up(deadline_s: float) -> bool:
        limits_s.append(deadline_s)
        return await heard.wait()

    monkeypatch.setattr(program, "_time_is_up", time_is_up)
    ending, said = await run(FAMILY.format(then="time.sleep(3600)"), deadline_s=90.0, heard=heard)

    assert (ending.timed_out, limits_s) == (True, [90.0])
    assert await gone(said)


async def test_the_deadline_is_in_seconds():
    ending, _ = await run("import time; time.sleep(3600)", deadline_s=0.05)

    assert ending.timed_out


async def test_being_stopped_lets_it_end_in_good_order():
    stop = asyncio.Event()
    ending, said = await run(SAYS_HOW_IT_WANTS_TO_END, stop=stop, grace_s=60.0, heard=stop)

    assert (ending, said) == (Ending(5, timed_out=False), b"ready")


async def test_cancelling_ends_it_with_its_children(tmp_path: Path):
    said = bytearray()
    heard = asyncio.Event()

    def hear(data: bytes) -> None:
        said.extend(data)
        heard.set()

    command = [sys.executable, "-c", FAMILY.format(then="time.sleep(3600)")]
    task = asyncio.create_task(run_program(command, os.environ, hear, asyncio.Event(), deadline_s=60))
    await heard.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await gone(bytes(said))


async def test_a_program_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        await run_program(["/nonexistent"], {}, lambda _: None, asyncio.Event(), deadline_s=1)
