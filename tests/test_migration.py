"""Every name in docs/migration.md is one that exists."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import typer
from typer.testing import CliRunner

from firstaudio.cli.main import app
from firstaudio.config import Config, EngineConfig, TelemetryConfig, settings
from firstaudio.server.app import create_app

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "migration.md"
KINDS = {"endpoint", "answer", "command", "module", "setting", "plan"}
NUM_COLUMNS = 4

SPAN = re.compile(r"`([^`]+)`")
ENDPOINT = re.compile(r"(?P<method>GET|POST) (?P<path>/\S*)(?: (?P<way>->|<-) (?P<name>[\w.]+))?")
COMMAND = re.compile(r"firstaudio [\w -]+")
PYTHON = re.compile(r"(?P<module>firstaudio[.\w]*)(?::(?P<name>[\w.]+))?")
SETTING = re.compile(r"(?P<key>[a-z]+\.[a-z_]+)(?: = (?P<default>\S+))?")


class Row(NamedTuple):
    kind: str
    there: str
    here: str
    difference: str


def read_rows(text: str) -> list[Row]:
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    assert all(len(row) == NUM_COLUMNS for row in cells), [row for row in cells if len(row) != NUM_COLUMNS]
    return [Row(*row) for row in cells]


ROWS = read_rows(PAGE.read_text(encoding="utf-8"))
NAMES = sorted({span for row in ROWS for span in SPAN.findall(row.here)})


@cache
def openapi() -> dict[str, Any]:
    config = Config(engine=EngineConfig(names=("synthetic",)), telemetry=TelemetryConfig(enabled=False))
    return create_app(config).openapi()


def resolved(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema itself, without references and alternatives; of a list, its items."""
    if "$ref" in schema:
        yield from resolved(openapi()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from resolved(each)
    if "items" in schema:
        yield from resolved(schema["items"])
    yield schema


def has_property(schema: dict[str, Any], names: list[str]) -> bool:
    if not names:
        return True
    found = [each["properties"][names[0]] for each in resolved(schema) if names[0] in each.get("properties", {})]
    return any(has_property(each, names[1:]) for each in found)


def problem_of_endpoint(found: re.Match[str]) -> str:
    operation = openapi()["paths"].get(found["path"], {}).get(found["method"].lower())
    if operation is None:
        return "there is no such endpoint"
    if found["way"] == "->":
        answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        schemas = [content["schema"] for answer in answers for content in answer.get("content", {}).values()]
        return "" if any(has_property(each, found["name"].split(".")) for each in schemas) else "no answer has it"
    if found["way"] == "<-":
        bodies = operation.get("requestBody", {}).get("content", {}).values()
        is_query = any(each["name"] == found["name"] for each in operation.get("parameters", ()))
        is_field = any(has_property(body["schema"], found["name"].split(".")) for body in bodies)
        return "" if is_query or is_field else "it cannot be sent"
    return ""


def problem_of_command(text: str) -> str:
    words = text.split()[1:]
    path = [word for word in words if not word.startswith("--")]
    command: click.Command = typer.main.get_command(app)
    for name in path:
        command = getattr(command, "commands", {}).get(name)
        if command is None:
            return f"there is no command {name}"
    flags = {flag for parameter in command.params for flag in parameter.opts}
    unknown = [word for word in words if word.startswith("--") and word not in flags]
    if unknown:
        return f"it does not take {unknown}"
    done = CliRunner().invoke(app, [*path, "--help"])
    return "" if done.exit_code == 0 else done.output


def problem_of_python(found: re.Match[str]) -> str:
    try:
        value = importlib.import_module(found["module"])
    except ModuleNotFoundError as error:
        return str(error)
    for name in found["name"].split(".") if found["name"] else ():
        fields = getattr(value, "__dataclass_fields__", {})  # one without a default is no attribute of its class
        value = fields[name] if name in fields else getattr(value, name, None)
        if value is None:
            return f"there is no {name}"
    return ""


def problem_of_setting(found: re.Match[str]) -> str:
    known = {setting.key: setting for setting in settings()}
    if found["key"] not in known:
        return "there is no such setting"
    default = known[found["key"]].default
    stated = str(default).lower() if isinstance(default, bool) else str(default)
    return "" if found["default"] in (None, stated) else f"its default is {stated}"


def problem(name: str) -> str:
    """What is wrong with a name of the column `here`; empty when it exists."""
    if found := ENDPOINT.fullmatch(name):
        return problem_of_endpoint(found)
    if COMMAND.fullmatch(name):
        return problem_of_command(name)
    if found := PYTHON.fullmatch(name):
        return problem_of_python(found)
    if (found := SETTING.fullmatch(name)) and not (ROOT / name).exists():
        return problem_of_setting(found)
    return "" if (ROOT / name).exists() else "there is no such file"


@pytest.mark.parametrize("name", NAMES)
def test_the_name_exists(name):
    assert problem(name) == ""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.there)
def test_a_row_says_where_it_went_or_why_it_is_gone(row):
    assert row.kind in KINDS
    if row.here == "none":
        assert row.difference
    else:
        rest = SPAN.sub("", row.here)
        assert SPAN.findall(row.here)
        assert not rest.strip(", "), f"not checked by anything: {rest}"


def test_nothing_is_told_twice():
    told = [(row.kind, row.there) for row in ROWS]

    assert sorted(set(told)) == sorted(told)


def test_every_kind_has_its_rows():
    assert {row.kind for row in ROWS} == KINDS


def test_every_endpoint_that_old_clients_knew_is_there():
    """So that a row cannot be lost from the page."""
    there = " ".join(row.there for row in ROWS if row.kind == "endpoint")
    known = ("/benchmarks/status", "/benchmarks/run", "/benchmarks/results", "/benchmarks/results/report")
    known += ("/benchmarks/ttfa/quick", "/benchmarks/optimization/status", "/v1/audio/speech", "/status")
    known += ("/session-status", "/startup-progress", "/ttfa-performance", "/ttfa-measurements")

    assert [path for path in known if f" {path}`" not in there and f" {path}?" not in there] == []


@pytest.mark.parametrize(
    "name",
    [
        "GET /benchmarks/nothing",
        "DELETE /status",
        "GET /status -> no_such_key",
        "GET /ttfa-performance -> ttfa_performance.performance.no_such_key",
        "POST /benchmarks/run <- no_such_field",
        "firstaudio nothing",
        "firstaudio bench nothing",
        "firstaudio selftest --no-such-flag",
        "firstaudio.nothing:Name",
        "firstaudio.slo:NOTHING",
        "firstaudio.bench:BenchmarkConfig.nothing",
        "streaming.nothing",
        "streaming.min_chunk_size_ms = 51",
        "tuner.apply = true",
        "docs/nothing.md",
    ],
)
def test_a_name_that_does_not_exist_is_found_out(name):
    assert problem(name) != ""
