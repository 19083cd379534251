"""The command line of a run is one that the harness takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstaudio.cli.bench.app import VERBS
from firstaudio.cli.bench.flags import FLAGS
from firstaudio.server.benchmarks.command import bench_command, bench_environment
from firstaudio.telemetry.runs.records import BENCHMARK_TYPES, BenchmarkType, RunRequest

PROGRAM = ("program",)


def made(request: RunRequest, text_file: Path | None = None) -> list[str]:
    return bench_command(
        request,
        run_id="bench_1",
        url="http://127.0.0.1:1",
        output_dir=Path("out"),
        server_pid=7,
        voices=("a", "b"),
        text_file=text_file,
        program=PROGRAM,
    )


@pytest.mark.parametrize("kind", BENCHMARK_TYPES)
@pytest.mark.parametrize("varied", [True, False])
def test_every_flag_is_one_of_the_verb(kind: BenchmarkType, varied: bool):
    command = made(RunRequest(kind, include_voice_tests=varied, include_speed_tests=varied), Path("text.txt"))
    _, names, _ = VERBS[kind]
    known = {part for name in names for option in FLAGS[name][2].param_decls for part in option.split("/")}

    assert command[:3] == ["program", "bench", kind]
    assert {part for part in command if part.startswith("--")} <= known


def test_voices_are_named_where_they_are_compared():
    assert made(RunRequest("full"))[-3:] == ["--voices", "a", "b"]
    assert "--voices" not in made(RunRequest("full", include_voice_tests=False))
    assert "--voices" not in made(RunRequest("streaming"))


def test_only_the_server_s_own_key_reaches_the_program():
    environ = {"PATH": "p", "FIRSTAUDIO_BENCH_TOKEN": "somebody's"}

    assert bench_environment(None, environ) == {"PATH": "p"}
    assert bench_environment("key", environ) == {"PATH": "p", "FIRSTAUDIO_BENCH_TOKEN": "key"}
