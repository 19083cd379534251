"""`firstaudio models optimize`: measure this model on this machine, and decide by it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstaudio.cli.models_options import (
    ModelFileOption,
    ModelFolderOption,
    VoicesFileOption,
    progress_bar,
)
from firstaudio.cli.options import ConfigOption, JsonOption, load_with

if TYPE_CHECKING:
    from firstaudio.engines.kokoro.fidelity import Comparison
    from firstaudio.engines.kokoro.optimize import Outcome

_MEANING = {
    "windowed": "windows against whole, both in f32",
    "short": "the same, of short texts",
    "bf16": "windows in bf16 against windows in f32",
    "seeds": "two noise seeds of the whole: how much the model differs from itself",
}


def optimize(
    voices: Annotated[
        str, typer.Option(metavar="A,B,...", help="Voices to measure; default: all of the voices file.")
    ] = "",
    model: ModelFileOption = None,
    voices_file: VoicesFileOption = None,
    config: ConfigOption = None,
    model_folder: ModelFolderOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure the model on this machine: how faithful windows and bf16 are, and which runtime is fastest.

    What it finds decides how `firstaudio serve` decodes from then on. Takes some seconds for each voice.
    """
    from firstaudio.engines.kokoro.optimize import optimize as run
    from firstaudio.engines.kokoro.store import find

    effective = load_with(config, model=model, voices=voices_file, model_folder=model_folder)
    wanted = [name.strip() for name in voices.split(",") if name.strip()]
    with progress_bar() as progress:
        outcome = run(effective, find(effective), wanted, progress)
    if json_:
        print(json.dumps(_as_json(outcome), indent=2))
    else:
        _print(outcome)


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {"fidelity": outcome.verdict.to_json(), "choices": asdict(outcome.loaded.choices)}


def _print(outcome: Outcome) -> None:
    from rich.console import Console
    from rich.table import Table

    verdict, choices = outcome.verdict, outcome.loaded.choices
    table = Table(box=None)
    table.add_column("compared")
    for title in ("mean", "worst", "SNR", "joins"):
        table.add_column(title, justify="right")
    table.add_column("")
    table.add_column("what")
    for each in (verdict.windowed, verdict.short, verdict.bf16, verdict.seeds):
        if each is not None:
            table.add_row(*_row(each))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    console.print(f"decode: {choices.decode}, because {choices.decode_reason}", highlight=False, soft_wrap=True)
    console.print(f"bf16: {choices.precision_reason}", highlight=False, soft_wrap=True)
    for reason in choices.runtime_reasons.values():
        console.print(reason, highlight=False, soft_wrap=True)


def _row(comparison: Comparison) -> tuple[str, ...]:
    """Log-spectral distances in dB, SNR in dB, roughness of joins in dB."""
    verdict = "" if comparison.name == "seeds" else ("passes" if comparison.passes else "fails")
    figures = (comparison.mean_db, comparison.worst_db, comparison.snr_db, comparison.seam_db)
    return (
        comparison.name,
        *("-" if each is None else f"{each:.2f} dB" for each in figures),
        verdict,
        _MEANING[comparison.name],
    )
