"""The command line of a benchmark run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from firstaudio.telemetry.runs.records import BenchmarkType, RunRequest

PROGRAM = (sys.executable, "-P", "-m", "firstaudio.cli.main")  # -P: the current folder holds no modules of ours
TOKEN = "FIRSTAUDIO_BENCH_TOKEN"
RUN_HEADER = "X-Firstaudio-Run"
PLAN = "quick"  # 36 requests of each kind: enough for medians and p90
EXTRA_MODULES = ("jinja2", "matplotlib", "psutil", "scipy", "websockets", "wyoming")
"""What the extra `bench` brings."""
VARIED: Mapping[BenchmarkType, tuple[bool, bool]] = {
    "ttfa": (True, True),
    "streaming": (False, False),
    "full": (True, True),
}
"""Whether a benchmark has voice tests, and speed tests."""


def bench_command(
    request: RunRequest,
    *,
    run_id: str,
    url: str,
    output_dir: Path,
    server_pid: int | None,
    voices: Sequence[str] = (),
    text_file: Path | None = None,
    program: Sequence[str] = PROGRAM,
) -> list[str]:
    """What to execute; nothing in it is secret, and no shell reads it.

    Args:
        request: What was asked for.
        run_id: Also the session's name.
        url: Of the server.
        output_dir: Where the session goes.
        server_pid: Process whose CPU and memory are watched; None lets the program find it.
        voices: To compare.
        text_file: With the user's own text on one line.
        program: Without arguments.
    """
    command = [*program, "bench", request.benchmark_type, "--url", url, "--header", f"{RUN_HEADER}: {run_id}"]
    command += ["--session-name", run_id, "--output-dir", str(output_dir)]
    command += ["--progress", "json", "--leash", "--plan", PLAN]
    if server_pid is not None:
        command += ["--server-pid", str(server_pid)]
    if text_file is not None:
        command += ["--text-file", str(text_file)]
    has_voices, has_speeds = VARIED[request.benchmark_type]
    if has_voices and not request.include_voice_tests:
        command.append("--no-voice-tests")
    elif has_voices and voices:
        command += ["--voices", *voices]
    if has_speeds and not request.include_speed_tests:
        command.append("--no-speed-tests")
    return command


def bench_environment(token: str | None, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """This process's environment, with the key that the benchmark sends and no other."""
    return {name: value for name, value in environ.items() if name != TOKEN} | ({TOKEN: token} if token else {})
