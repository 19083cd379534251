"""The settings that a benchmark's figures hang on, as they stand: a few, by name, none of them secret."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from firstaudio.config import Config, StreamingConfig

OF_ENGINES: dict[str, tuple[str, ...]] = {
    "espeak": ("num_workers",),
    "kokoro": ("decode", "precision", "runtimes", "num_threads", "g2p"),
    "synthetic": ("ttfa_ms", "rtf", "capacity", "step_ms", "failure_rate"),
}


def conditions(config: Config, streaming: StreamingConfig) -> dict[str, str]:
    """The settings by name.

    Args:
        config: As the server was started.
        streaming: What holds for the next utterance: the tuner may have turned it.
    """
    found = {f"streaming.{field}": value for field, value in asdict(streaming).items()}
    found["cache.max_mb"] = config.cache.max_mb
    found["engine.default_voice"] = config.engine.default_voice
    for name in config.engine.names:
        section = getattr(config, name, None)
        found |= {f"{name}.{field}": getattr(section, field) for field in OF_ENGINES.get(name, ())}
    if "kokoro" in config.engine.names:
        found["kokoro.model"] = PurePath(config.kokoro.model).name or "as fetched"  # the folder is nobody's business
    return {name: _text(value) for name, value in sorted(found.items())}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)
