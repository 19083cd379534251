"""`firstaudio serve`: the server; its flags are made from the settings."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from firstaudio.cli.options import ConfigOption
from firstaudio.config import Setting, load, settings, show
from firstaudio.errors import ConfigError

ENGINES = "engine.names"  # the setting that has a second, shorter flag


def serve(**options: Any) -> None:
    """Serve speech over HTTP until a signal ends it."""
    effective = load(options.pop("config"), flags=_given_flags(options))
    if options["show_config"]:
        print(show(effective))
        return
    with uncollected():
        from firstaudio.server.lifecycle import run_server
    raise typer.Exit(run_server(effective))


@contextmanager
def uncollected() -> Iterator[None]:
    """What is made in the block stays, so the garbage collector looks through none of it, now or later.

    Source: docs/log.md, "A lighter start".
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _given_flags(options: dict[str, Any]) -> dict[str, Any]:
    given = {setting.key: options[_parameter_name(setting)] for setting in settings()}
    if options["engine"] is not None:
        if given[ENGINES] is not None:
            raise ConfigError("--engine is short for --engine-names; give only one of them")
        given[ENGINES] = options["engine"]
    return given


def _parameter_name(setting: Setting) -> str:
    return f"{setting.section}__{setting.field}"


def _parameters() -> Iterator[inspect.Parameter]:
    """What typer reads: the options of this command, then one option per setting."""
    yield _keyword("config", ConfigOption, None)
    yield _keyword("show_config", bool, typer.Option(False, "--show-config", help="Print the settings and exit."))
    short = typer.Option(None, "--engine", metavar="A,B,...", help="Short for --engine-names.", show_default=False)
    yield _keyword("engine", str | None, short)
    for setting in settings():
        yield _keyword(_parameter_name(setting), *_option(setting))


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _option(setting: Setting) -> tuple[Any, Any]:
    """Annotation and default of one setting's option. Values stay text: `load` parses and judges them."""
    is_flag = setting.type is bool
    declaration = f"{setting.flag}/--no-{setting.flag.removeprefix('--')}" if is_flag else setting.flag
    option = typer.Option(
        None,
        declaration,
        metavar=None if is_flag else _metavar(setting),
        help=f"{setting.help} [default: {_default_text(setting)}]",
        show_default=False,
    )
    return (bool | None if is_flag else str | None), option


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    return "A,B,..." if setting.is_list else {int: "INTEGER", float: "NUMBER"}.get(setting.type, "TEXT")


def _default_text(setting: Setting) -> str:
    value = ",".join(setting.default) if setting.is_list else setting.default
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) or "none"


serve.__signature__ = inspect.Signature(list(_parameters()))  # type: ignore[attr-defined]
