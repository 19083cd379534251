"""The harness: measures any text-to-speech system from outside."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firstaudio.bench.harness import BenchmarkConfig, TTSBenchmarkHarness, create_torch_inference_tts_function

__all__ = ["BenchmarkConfig", "TTSBenchmarkHarness", "create_torch_inference_tts_function"]


def __getattr__(name: str) -> Any:
    """The public names, loaded when first asked for: a load process needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("firstaudio.bench.harness"), name)
