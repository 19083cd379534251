"""Our own server and engine, set up in the same way for each benchmark of the neural engine."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.vs_peers.listen import Answer

from firstaudio.config import Config, load

Settings = Mapping[str, str]  # by key, as "kokoro.model"
DECODES = ("windowed", "whole", "auto")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "firstaudio" / "vs_peers"
BF16 = "-bf16"  # how the names of runtimes end that compute in it


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which engine, and how it decodes."""
    parser.add_argument("--engine", default="kokoro", help="another one only shows that the benchmark runs")
    parser.add_argument("--decode", choices=DECODES, default="auto", help="default auto: as `models optimize` found")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as kokoro.runtimes")


def settings(options: argparse.Namespace, model: Path | None, voices: Path | None, precision: str) -> Settings:
    """What the options say; files that are None are those that `firstaudio models pull kokoro` fetched.

    What is made from a file that is given lies in the cache folder of the benchmark, unless `--set model.folder`.
    """
    state = (options.cache / f"state-{precision}").resolve()  # not the user's, and not another server's
    found = {"engine.names": options.engine, "telemetry.state_folder": str(state)}
    if options.engine == "kokoro":
        found |= {"kokoro.decode": options.decode, "kokoro.precision": precision}
        files = {"kokoro.model": model, "kokoro.voices": voices}
        found |= {key: str(file.resolve()) for key, file in files.items() if file is not None}
        found |= {} if model is None else {"model.folder": str((options.cache / "models").resolve())}
    return found | dict(each.partition("=")[::2] for each in options.set)


def be_judged(chosen: Settings) -> None:
    """Let `firstaudio models optimize` judge the model in the folder that is used, unless it has.

    Without a verdict, `auto` decodes whole and in f32: another thing than what a user of the finished product has.
    """
    from firstaudio.engines.kokoro.fidelity import read_verdict
    from firstaudio.engines.kokoro.pieces import cached_pieces
    from firstaudio.engines.kokoro.store import find

    if chosen["engine.names"] != "kokoro":
        return
    effective = config(chosen)
    files = find(effective)
    pieces = cached_pieces(files.model, files.pieces)
    if pieces is not None and read_verdict(pieces.folder) is not None:
        return
    print(f"nobody has judged {files.model} yet: firstaudio models optimize, about 2 minutes", file=sys.stderr)
    command = [sys.executable, "-m", "firstaudio.cli.main", "models", "optimize", "--model", files.model]
    command += ["--voices-file", files.voices]
    if folder := effective.model.folder:
        command += ["--model-folder", folder]
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)


def check(precision: str, decode: str, answer: Answer) -> None:
    """Stop where an answer was made in another way than its row says.

    Args:
        precision: "auto", "f32" or "bf16".
        decode: "auto", "windowed" or "whole", as configured.
        answer: Of ours.

    Raises:
        SystemExit: It was.
    """
    if answer.error:
        return
    if problem := _mismatch(precision, decode, answer):
        raise SystemExit(
            f"{answer.peer}: {problem}, X-Decode {answer.decode or '-'}, X-Runtime {answer.runtime or '-'}: this would "
            "measure another thing than the row says. `firstaudio models optimize` and `firstaudio doctor` say why; "
            "ask for another --decode, or leave the variant out"
        )


def _mismatch(precision: str, decode: str, answer: Answer) -> str:
    runtimes = answer.runtime.split(",")
    if not (answer.decode and answer.runtime):
        return "the answer does not say what ran"
    if decode != "auto" and answer.decode != decode:
        return f"{decode} was asked for"
    if precision == "bf16" and (answer.decode != "windowed" or not all(name.endswith(BF16) for name in runtimes)):
        return "it is no bf16 in windows"
    if precision == "f32" and any(name.endswith(BF16) for name in runtimes):
        return "it is no f32"
    return ""


def what_ran(decode: str, runtime: str) -> str:
    """For a headline."""
    return f"{decode or 'decode unknown'} on {runtime or 'an unknown runtime'}"


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
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of what is made from a file that is given")
    add_options(parser)
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    return parser.parse_args()
