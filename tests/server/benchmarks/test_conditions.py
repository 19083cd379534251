"""The settings that are noted with a run."""

from __future__ import annotations

from dataclasses import replace

from firstaudio.config import Config, EngineConfig, KokoroConfig, ServerConfig, StreamingConfig
from firstaudio.server.benchmarks.conditions import conditions


def test_what_holds_is_noted_and_not_what_was_configured():
    found = conditions(Config(), replace(StreamingConfig(), first_segment_s=2.5))

    assert (found["streaming.first_segment_s"], found["streaming.fast_path_enabled"]) == ("2.5", "true")
    assert found["espeak.num_workers"] == "2"
    assert not any(name.startswith("kokoro.") for name in found)


def test_engines_are_noted_by_what_they_compute_and_without_folders_or_keys():
    config = Config(
        server=ServerConfig(api_keys=("very secret",)),
        engine=EngineConfig(names=("kokoro", "espeak")),
        kokoro=KokoroConfig(model="/home/somebody/int8.onnx", precision="bf16", runtimes=("a", "b")),
    )
    found = conditions(config, config.streaming)

    assert (found["kokoro.model"], found["kokoro.precision"], found["kokoro.runtimes"]) == ("int8.onnx", "bf16", "a,b")
    assert not any("secret" in value or "somebody" in value for value in found.values())
