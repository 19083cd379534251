"""Our own server and engine, set up in the same way for each benchmark of the neural engine."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from firstaudio.config import Config, load

Settings = Mapping[str, str]  # by key, as "kokoro.model"
DECODES = ("windowed", "whole", "auto")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which engine, and how it decodes."""
    parser.add_argument("--engine", default="kokoro", help="another one only shows that the benchmark runs")
    parser.add_argument("--decode", choices=DECODES, default="windowed", help="default windowed, measured or not")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as kokoro.runtimes")


def settings(options: argparse.Namespace, model: Path | None, voices: Path | None, precision: str) -> Settings:
    """What the options say; files that are None are those that `firstaudio models pull kokoro` fetched."""
    found = {"engine.names": options.engine}
    if options.engine == "kokoro":
        found |= {"kokoro.decode": options.decode, "kokoro.precision": precision}
        files = {"kokoro.model": model, "kokoro.voices": voices}
        found |= {key: str(file.resolve()) for key, file in files.items() if file is not None}
    return found | dict(each.partition("=")[::2] for each in options.set)


def flags(chosen: Settings) -> list[str]:
    """Of `firstaudio serve`."""
    names = (f"--{key.replace('.', '-').replace('_', '-')}" for key in chosen)
    return [part for pair in zip(names, chosen.values(), strict=True) for part in pair]


def config(chosen: Settings) -> Config:
    """For an engine in this process."""
    return load(flags=dict(chosen))


def arguments(doc: str | None, **defaults: int) -> argparse.Namespace:
    """Options of a benchmark of one of our servers: the model, one precision, `--json`, and integers by name."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--model", type=Path, help="ONNX file; default: the one that models pull fetched")
    parser.add_argument("--voices", type=Path, help="its voices")
    parser.add_argument("--precision", choices=("auto", "f32", "bf16"), default="auto")
    add_options(parser)
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    return parser.parse_args()
