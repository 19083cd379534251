"""`firstaudio schedule`: benchmarks that repeat: when the next one is due, one now, what came of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstaudio.cli.options import ConfigOption, JsonOption, TokenOption, command_group, talk
from firstaudio.cli.table import print_rows
from firstaudio.config import Config, load

if TYPE_CHECKING:
    from firstaudio.cli.client import ServerClient
    from firstaudio.telemetry.runs.records import RunRecord, RunSummary

EXIT_FAILED, EXIT_INVALID, EXIT_SUSPECT = 1, 2, 99
TYPES = ("ttfa", "streaming", "full")
_COLUMNS = ("id", "type", "by", "status", "verdict", "requests", "TTFA, ms", "RTF", "trend")

UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="The server to benchmark; default: the one that the configuration describes."),
]
TypeOption = Annotated[
    str | None, typer.Option("--type", metavar="|".join(TYPES), help="Which benchmark; default: schedule.benchmark.")
]

schedule_app = command_group("schedule", "Benchmarks that repeat: list, run, history.")


@schedule_app.command("list")
def list_(
    url: Annotated[
        str | None, typer.Option("--url", help="Ask the server that runs there; default: read this configuration.")
    ] = None,
    token: TokenOption = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Say what is scheduled, when it is due next, and where its results lie.

    Without --url this is the configuration that a server would have if it were started from here; one that runs may
    have another.
    """
    effective = load(config)
    if url is None:
        told = _plan(effective)
        talk(
            f"this is the configuration here, with the state in {told['folder']}; --url shows that of a running server"
        )
    else:
        told = _client(url, token, effective).schedule()
    if json_:
        print(json.dumps(told, indent=2))
        return
    for name, value in told.items():
        print(f"{name}\t{'-' if value is None else value}")


@schedule_app.command()
def run(
    url: UrlOption = None,
    token: TokenOption = None,
    type_: TypeOption = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Run one benchmark now, and wait for it.

    The server at --url runs it and keeps the result. Exit codes: 1 when it failed, 2 when it is INVALID or the
    server wants another API key, 3 when no server answers, 99 when a figure is suspect.
    """
    effective = load(config)
    kind = effective.schedule.benchmark if type_ is None else type_
    if kind not in TYPES:
        raise typer.BadParameter(f"{kind!r} is not known; use one of {', '.join(TYPES)}", param_hint="--type")
    card = _client(url, token, effective).benchmark({"benchmark_type": kind}, talk)
    if json_:
        print(json.dumps(card, indent=2))
    else:
        _print_card(card)
    if card["status"] != "succeeded":
        talk(f"{card['id']} {card['status']}: {card['error']}")
        raise typer.Exit(EXIT_FAILED)
    summary = card["summary"]
    if summary and summary["verdict"] != "VALID":
        for reason in summary["reasons"]:
            talk(f"INVALID: {reason}")
        raise typer.Exit(EXIT_INVALID)
    suspects = [trend["sentence"] for trend in card["trends"] if trend["verdict"] == "suspect"]
    for sentence in suspects:
        talk(f"suspect: {sentence}")
    raise typer.Exit(EXIT_SUSPECT if suspects else 0)


@schedule_app.command()
def history(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show the runs that this machine keeps, oldest first, each against those before it."""
    from firstaudio.telemetry.runs.book import RunBook
    from firstaudio.telemetry.state import state_place

    book = RunBook(state_place(load(config)))
    found = book.runs()
    records = found.records[::-1]
    if json_:
        print(json.dumps([_record_json(record) for record in records], indent=2))
    else:
        print_rows(_COLUMNS, [_row(record) for record in records])
    for problem in found.unreadable:
        talk(problem)
    if not records:
        talk(f"there is no run in {book.folder}; `firstaudio schedule run` makes one of a server that runs")


def _client(url: str | None, token: str | None, config: Config) -> ServerClient:
    """Of the server at `url`, else of the one that the configuration describes."""
    from firstaudio.cli.client import ServerClient, key_for, url_of

    return ServerClient(url or url_of(config.server), key_for(token, config.server))


def _plan(config: Config) -> dict[str, Any]:
    """What `list` tells."""
    import time

    from firstaudio.config.every import parse_every
    from firstaudio.telemetry.runs.book import FOLDER
    from firstaudio.telemetry.runs.memory import read_memory
    from firstaudio.telemetry.runs.schedule import next_run
    from firstaudio.telemetry.state import state_place

    schedule, state = config.schedule, state_place(config)
    every, memory, now = parse_every("schedule.every", schedule.every), read_memory(state), time.time()
    due = None if every is None else next_run(memory.last_run, now, every, memory.num_failures)
    return {
        "every": schedule.every,
        "benchmark": schedule.benchmark,
        "only_idle": schedule.only_idle,
        "keep": schedule.keep,
        "next_run": _iso(due),
        "overdue": due is not None and due <= now,
        "last_run": _iso(memory.last_run),
        "last_id": memory.last_id,
        "last_error": memory.last_error,
        "num_failures": memory.num_failures,
        "folder": str(state / FOLDER),
    }


def _record_json(record: RunRecord) -> dict[str, Any]:
    from firstaudio.telemetry.runs.book import as_json

    return {**as_json(record), "contended": record.contended, "suspect": record.is_suspect}


def _row(record: RunRecord) -> tuple[str, ...]:
    summary, verdicts = record.summary, {trend.verdict for trend in record.trends}
    trend = next((verdict for verdict in ("suspect", "not judged", "too few", "ok") if verdict in verdicts), "-")
    return (
        record.id,
        record.request.benchmark_type,
        record.trigger,
        record.status
        + (f", contended by {record.num_other_streams}" if record.contended else "")
        + (", mixed" if record.mixed else ""),
        _verdict(summary) if summary else "-",
        f"{summary.num_ok}/{summary.num_requests}" if summary else "-",
        _number(summary.ttfa_ms if summary else None, ".1f"),
        _number(summary.rtf if summary else None, ".4f"),
        trend,
    )


def _print_card(card: Mapping[str, Any]) -> None:
    summary = card["summary"]
    print(f"{card['id']}\t{card['benchmark_type']}\t{card['status']}")
    if card["contended"]:
        print(f"contended\tstreams of others: {card['num_other_streams']}")
    for sentence in card.get("mixed", []):
        print(f"mixed\t{sentence}")
    if summary:
        print(f"verdict\t{summary['verdict']}")
        if summary.get("num_warnings"):
            print(f"warnings\t{summary['num_warnings']}: {summary['first_warning']}")
        print(f"requests\t{summary['num_ok']} of {summary['num_requests']} ok")
        print(f"TTFA, ms\t{_number(summary['ttfa_ms'], '.1f')}\nRTF\t{_number(summary['rtf'], '.4f')}")
    for trend in card["trends"]:
        print(f"{trend['verdict']}\t{trend['sentence']}")
    for change in card.get("changes", []):
        print(f"changed\t{change}")


def _verdict(summary: RunSummary) -> str:
    return summary.verdict + (f", {summary.num_warnings} warnings" if summary.num_warnings else "")


def _number(value: float | None, form: str) -> str:
    return "n/a" if value is None else format(value, form)


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
