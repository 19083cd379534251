"""`firstaudio models quantize`: make int8 variants of a model, try each one here, keep what is worth it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstaudio.cli.models_options import (
    ModelFileOption,
    ModelFolderOption,
    VoicesFileOption,
    progress_bar,
)
from firstaudio.cli.options import ConfigOption, JsonOption, load_with, talk

if TYPE_CHECKING:
    from firstaudio.engines.kokoro.quantize import Report, Variant
    from firstaudio.engines.kokoro.quantize_draft import Measured
    from firstaudio.engines.kokoro.quantize_trial import Fidelity, Speed

EXIT_NOTHING_MEASURED = 1
WIDTH = 160  # of the table where there is no terminal


def quantize(
    kinds: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help="matmul: int8 weights; lstm: these and LSTM, uint8; conv: these and convolutions, uint8.",
        ),
    ] = "matmul,lstm,conv",
    rounds: Annotated[int, typer.Option(metavar="N", help="Rounds of timing; at least 6.")] = 7,
    keep: Annotated[bool, typer.Option("--keep", help="Keep also variants that are not worth it.")] = False,
    model: ModelFileOption = None,
    voices_file: VoicesFileOption = None,
    config: ConfigOption = None,
    model_folder: ModelFolderOption = None,
    json_: JsonOption = False,
) -> None:
    """Make int8 variants of the model and try each one: fidelity in the same noise, speed in interleaved rounds.

    A variant is kept where it sounds the same and is faster, or smaller and not slower; `serve` uses it when its path
    is given. Takes some minutes. Exits with 0 whether one is kept or not, and with 1 where none could be measured.
    """
    from firstaudio.engines.kokoro.quantize import check
    from firstaudio.engines.kokoro.quantize import quantize as run
    from firstaudio.engines.kokoro.store import find

    wanted = list(dict.fromkeys(name.strip() for name in kinds.split(",") if name.strip()))
    check(wanted, rounds)
    effective = load_with(config, model=model, voices=voices_file, model_folder=model_folder)
    files = find(effective)
    with progress_bar() as progress:
        report = run(effective, files, wanted, rounds, progress, keep=keep)
    if json_:
        print(json.dumps(_as_json(report), indent=2))
    else:
        _print(report)
    for variant in report.variants:
        if variant.path is not None:
            talk(f"to use it: firstaudio serve --kokoro-model {variant.path} --kokoro-voices {files.voices}")
    if not any(variant.is_measured for variant in report.variants):
        raise typer.Exit(EXIT_NOTHING_MEASURED)


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "model": str(report.model),
        "library": report.library,
        "measured_at": report.measured_at,
        "rounds": report.rounds,
        "original": _measured_json(report.original),
        "seeds": _fidelity_json(report.seeds),
        "variants": [_variant_json(variant) for variant in report.variants],
    }


def _variant_json(variant: Variant) -> dict[str, Any]:
    return {
        "kind": variant.kind,
        "passes": variant.passes,
        "is_kept": variant.path is not None,
        "path": None if variant.path is None else str(variant.path),
        "is_dropped": variant.is_dropped,
        "reasons": list(variant.reasons),
        "operators": dict(variant.operators),
        "cut_problem": variant.cut_problem,
        "fidelity": None if variant.fidelity is None else _fidelity_json(variant.fidelity),
        **({} if variant.measured is None else _measured_json(variant.measured)),
    }


def _measured_json(measured: Measured) -> dict[str, Any]:
    speeds = [asdict(speed) | {"rtf": speed.rtf} for speed in measured.speeds]
    return {
        "sha256": measured.sha256,
        "num_bytes": measured.num_bytes,
        "peak_bytes": measured.peak_bytes,
        "speeds": speeds,
    }


def _fidelity_json(fidelity: Fidelity) -> dict[str, Any]:
    found = fidelity.comparison
    return {
        "mean_db": None if found is None else found.mean_db,
        "worst_db": None if found is None else found.worst_db,
        "snr_db": None if found is None else found.snr_db,
        "num_sentences": fidelity.num_sentences,
        "num_compared": fidelity.num_compared,
        "num_tokens": fidelity.num_tokens,
        "num_differing": fidelity.num_differing,
    }


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    table.add_column("file")
    for title in ("SHA-256", "MB", "peak MB"):
        table.add_column(title, justify="right")
    for speed in report.original.speeds:
        table.add_column(f"{speed.num_tokens} tokens", justify="right")
    table.add_column("from the original", justify="right")
    table.add_column("")
    table.add_row("original", *_figures(report.original), f"other noise: {_distance(report.seeds)}", "")
    for variant in report.variants:
        table.add_row(*_row(variant, len(report.original.speeds)))
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)
    for variant in report.variants:
        for line in _verdict(variant):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _row(variant: Variant, num_lengths: int) -> tuple[str, ...]:
    told = "kept" if variant.path is not None else "not kept"
    if variant.measured is None:
        return (variant.kind, *("-" for _ in range(num_lengths + 4)), told)
    figures = _figures(variant.measured)
    lacking = ("-" for _ in range(num_lengths - len(variant.measured.speeds)))
    return (variant.kind, *figures, *lacking, "-" if variant.fidelity is None else _distance(variant.fidelity), told)


def _figures(measured: Measured) -> tuple[str, ...]:
    peak = "-" if measured.peak_bytes is None else _megabytes(measured.peak_bytes)
    return measured.sha256[:12], _megabytes(measured.num_bytes), peak, *map(_speed, measured.speeds)


def _speed(speed: Speed) -> str:
    """Milliseconds of a run, and how many times as fast as the original that is for a second of audio."""
    ratio = "" if speed.ratio is None else f" {speed.ratio.value:.2f}x [{speed.ratio.low:.2f}, {speed.ratio.high:.2f}]"
    return f"{speed.step_ms:.0f} ms{ratio}"


def _distance(fidelity: Fidelity) -> str:
    found = fidelity.comparison
    compared = f"{fidelity.num_compared}/{fidelity.num_sentences}"
    return f"- ({compared})" if found is None else f"{found.mean_db:.2f} dB, worst {found.worst_db:.2f} ({compared})"


def _verdict(variant: Variant) -> Iterator[str]:
    """What was decided of a variant, and why."""
    kept = variant.path is not None
    decided = "kept" if variant.passes else "kept, because of --keep, though" if kept else "not kept"
    yield f"{variant.kind}: {decided}: {'; '.join(variant.reasons)}"
    if variant.operators:
        yield f"  computes in integers: {', '.join(f'{n} {name}' for name, n in variant.operators.items())}"
    if variant.fidelity is not None:
        yield f"  {variant.fidelity.rhythm}"
    if kept:
        yield f"  {variant.path}"
    if variant.is_dropped:
        yield "  the file of an earlier run was removed"


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f}"
