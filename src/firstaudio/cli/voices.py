"""`firstaudio voices`: who can be asked to speak."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstaudio.cli.options import (
    ConfigOption,
    EngineOption,
    JsonOption,
    KokoroModelOption,
    KokoroVoicesOption,
    load_with,
    talk,
)
from firstaudio.cli.table import print_rows

if TYPE_CHECKING:
    from firstaudio.engines.base import Voice

_COLUMNS = ("id", "name", "language", "gender", "engine", "alias_of")


def voices(
    engine: EngineOption = None,
    lang: Annotated[str | None, typer.Option(metavar="TAG", help="Only this language: en, en-us, de ...")] = None,
    kokoro_model: KokoroModelOption = None,
    kokoro_voices: KokoroVoicesOption = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """List the voices.

    A table on a terminal; tab-separated lines (id, name, language, gender, engine, alias of) elsewhere.
    """
    from firstaudio.cli.embedded import embedded

    effective = load_with(config, engine=engine, model=kokoro_model, voices=kokoro_voices)
    with embedded(effective, check_default_voice=False, talk=talk) as synthesizer:
        listed = [(name, voice) for name, voice in synthesizer.voices() if speaks(voice, lang)]
    rows = [_row(name, voice) for name, voice in listed]
    if json_:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print_rows(_COLUMNS, [[row[column] or "" for column in _COLUMNS] for row in rows], names_columns=False)
    if not rows:
        talk(f"no voice speaks {lang!r}; `firstaudio voices` lists all")


def speaks(voice: Voice, language: str | None) -> bool:
    """Whether the voice's language is `language` or a kind of it: "en" takes "en-us" too. None takes all."""
    if language is None:
        return True
    own, asked = voice.language.lower(), language.lower().replace("_", "-")
    return own == asked or own.startswith(f"{asked}-")


def _row(engine: str, voice: Voice) -> dict[str, Any]:
    return {
        "id": voice.id,
        "name": voice.name,
        "language": voice.language,
        "gender": voice.gender,
        "engine": engine,
        "alias_of": voice.alias_of,
    }
