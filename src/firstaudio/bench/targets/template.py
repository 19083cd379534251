"""Placeholders in what a user writes: `{text}`, `{voice}`, `{speed}`, `{language}`, `{model}`.

A string that is nothing but a placeholder becomes the value itself ("{speed}" a number). What has no value for an
utterance is left out with the field that mentions it. What the utterance states but the template has no place for is
an error: a comparison of voices over a template without `{voice}` would compare one voice with itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from firstaudio.bench.exchange import FailureKind, SpeakError
from firstaudio.bench.utterance import Utterance

Values = Mapping[str, str | float | None]
PLACEHOLDER = re.compile(r"\{(text|voice|speed|language|model)\}")
LEFT_OUT = object()


def values_of(utterance: Utterance, model: str | None) -> Values:
    """What the placeholders stand for; None: nothing."""
    return {
        "text": utterance.text,
        "voice": utterance.voice,
        "speed": utterance.speed,
        "language": utterance.language,
        "model": model,
    }


def mentioned(template: Any) -> frozenset[str]:
    """Names of the placeholders anywhere in a JSON template."""
    if isinstance(template, str):
        return frozenset(PLACEHOLDER.findall(template))
    if isinstance(template, Mapping):
        return frozenset().union(*map(mentioned, template.values()))
    if isinstance(template, (list, tuple)):
        return frozenset().union(*map(mentioned, template))
    return frozenset()


def check_complete(utterance: Utterance, places: frozenset[str]) -> None:
    """Nothing, if all that the utterance states has its place.

    Raises:
        SpeakError: Something would be lost.
    """
    stated = {
        "voice": utterance.voice is not None,
        "speed": utterance.speed != 1.0,
        "language": utterance.language is not None,
    }
    for name, is_stated in stated.items():
        if is_stated and name not in places:
            message = f"the request has no place for the {name}: add {{{name}}} to its body or path, or state none"
            raise SpeakError(FailureKind.PROTOCOL, message)


def filled(template: Any, values: Values) -> Any:
    """A JSON template with its values; fields and items without one are left out."""
    if isinstance(template, str):
        return _filled_text(template, values)
    if isinstance(template, Mapping):
        pairs = ((key, filled(value, values)) for key, value in template.items())
        return {key: value for key, value in pairs if value is not LEFT_OUT}
    if isinstance(template, (list, tuple)):
        return [value for item in template if (value := filled(item, values)) is not LEFT_OUT]
    return template


def filled_target(template: str, values: Values) -> str:
    """A request target; query parameters without a value are left out.

    Raises:
        SpeakError: The path itself needs a value that there is not.
    """
    path, _, query = template.partition("?")
    missing = [name for name in PLACEHOLDER.findall(path) if values[name] is None]
    if missing:
        raise SpeakError(FailureKind.NOT_FOUND, f"the path {path} needs a {missing[0]}: state one")
    kept = [part for part in query.split("&") if all(values[name] is not None for name in PLACEHOLDER.findall(part))]
    target = path + ("?" + "&".join(kept) if query and kept else "")
    return PLACEHOLDER.sub(lambda m: quote(_as_text(values[m[1]]), safe=""), target)


def _filled_text(template: str, values: Values) -> Any:
    names = PLACEHOLDER.findall(template)
    if any(values[name] is None for name in names):
        return LEFT_OUT
    if PLACEHOLDER.fullmatch(template):
        return values[names[0]]
    return PLACEHOLDER.sub(lambda m: _as_text(values[m[1]]), template)


def _as_text(value: str | float | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
