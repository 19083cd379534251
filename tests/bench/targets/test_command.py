import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.command import CommandTarget
from firstaudio.bench.utterance import Utterance
from firstaudio.errors import BenchError

HELLO = Utterance("Hello.")


def shell(line: str, *arguments: str, **fields: Any) -> TargetSpec:
    return TargetSpec("command", command=("sh", "-c", line, "sh", *arguments), **fields)


async def spoken(spec: TargetSpec, utterance: Utterance = HELLO) -> Exchange:
    exchange = Exchange()
    channel = await CommandTarget(spec).open()
    await channel.speak(utterance, exchange)
    return exchange


async def failure_of(spec: TargetSpec, utterance: Utterance = HELLO) -> tuple[FailureKind, str]:
    with pytest.raises(SpeakError) as caught:
        await spoken(spec, utterance)
    return caught.value.failure.kind, caught.value.failure.message


async def test_the_text_comes_on_standard_input() -> None:
    exchange = await spoken(shell("cat"))
    assert b"".join(exchange.pieces) == b"Hello."
    assert exchange.connected_ns is not None
    assert exchange.sent_ns is not None
    assert exchange.last_byte_ns is not None
    stamps = [exchange.connected_ns, exchange.sent_ns, *exchange.arrivals_ns, exchange.last_byte_ns]
    assert stamps == sorted(stamps)


async def test_the_text_comes_as_an_argument_where_the_command_says_so() -> None:
    spec = shell('printf "%s|" "$@"', "{text}", "--voice={voice}", "{speed}", "{other}")
    exchange = await spoken(spec, Utterance("Say {voice}; $HOME", voice="amy", speed=1.5))
    assert b"".join(exchange.pieces) == b"Say {voice}; $HOME|--voice=amy|1.5|{other}|"
    assert exchange.connected_ns is None


async def test_output_arrives_while_the_program_still_runs(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    exchange = Exchange()
    channel = await CommandTarget(shell(f'printf first; cat "{gate}" >/dev/null; printf second', "{text}")).open()
    task = asyncio.create_task(channel.speak(HELLO, exchange))
    await until(lambda: bool(exchange.pieces))
    assert exchange.pieces == [b"first"]
    await asyncio.to_thread(gate.write_bytes, b"go")
    await task
    assert exchange.pieces == [b"first", b"second"]


async def test_an_exit_code_is_a_failure_with_the_last_complaint() -> None:
    spec = shell("cat >/dev/null; printf ab; echo loading >&2; echo 'no such voice' >&2; echo >&2; exit 3")
    assert await failure_of(spec) == (FailureKind.TARGET_ERROR, "sh ended with exit code 3: no such voice")


async def test_a_signal_is_a_failure() -> None:
    assert await failure_of(shell("kill -9 $$")) == (FailureKind.TARGET_ERROR, "sh was ended by signal 9")


async def test_a_program_that_never_reads_its_input_is_no_trouble() -> None:
    exchange = await spoken(shell("printf ab"), Utterance("x" * 200_000))
    assert exchange.pieces == [b"ab"]


@pytest.mark.parametrize("line", ["cat", "printf Hello.", "head -c 6; exit 0"])
def test_the_faster_event_loop_does_the_same(line: str) -> None:
    assert b"".join(uvloop.run(spoken(shell(line))).pieces) == b"Hello."


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(SpeakError, match="'no-such-program'") as caught:
        await CommandTarget(TargetSpec("command", command=("no-such-program",))).open()
    assert caught.value.failure.kind == FailureKind.UNREACHABLE


async def test_a_cancelled_program_is_killed_with_its_children() -> None:
    script = (
        "import subprocess; child = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL);"
        "print(child.pid, flush=True); child.wait()"
    )
    exchange = Exchange()
    channel = await CommandTarget(TargetSpec("command", command=(sys.executable, "-c", script, "{text}"))).open()
    task = asyncio.create_task(channel.speak(HELLO, exchange))
    await until(lambda: bool(exchange.pieces))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not _runs(int(exchange.pieces[0])))


async def until(holds: Callable[[], bool]) -> None:
    """Other processes bring it about: there is nothing in this one to wait for."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0)


def _runs(pid: int) -> bool:
    """Whether it does; a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_voice_that_the_command_does_not_take_is_refused() -> None:
    assert (await failure_of(shell("cat"), Utterance("Hi", voice="amy")))[0] == FailureKind.PROTOCOL


async def test_a_voice_that_the_command_needs_must_be_stated() -> None:
    expected = (FailureKind.PROTOCOL, "the command needs a voice: state one")
    assert await failure_of(shell("cat", "{voice}")) == expected


def test_a_command_without_a_program_is_refused() -> None:
    with pytest.raises(BenchError):
        CommandTarget(TargetSpec("command"))


def test_standard_output_is_what_the_user_states() -> None:
    spec = TargetSpec("command", command=("x",), container="pcm", sample_rate=22_050)
    assert CommandTarget(spec).reading == Reading("raw", container="pcm", sample_rate=22_050)
