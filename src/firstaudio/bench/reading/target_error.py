"""What a target says of itself inside an answer that its transport called a success."""

from __future__ import annotations

import json

from firstaudio.bench.exchange import Failure, FailureKind

MAX_QUOTE = 300  # characters of the target's own words in a sentence of ours
_TELLING = ("error", "message", "detail")


def at_path(document: object, path: str) -> object:
    """The value at a dotted path, as "result.audio" or "choices.0.audio"; None where there is none."""
    value = document
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def target_error(document: object, error_field: str | None) -> Failure | None:
    """The failure that a JSON document tells of.

    Told by a value in `error_field` that is not empty, by `"success": false`, and by a `"type"` that is or ends in
    "error" (`speech.audio.error`).
    """
    told = at_path(document, error_field) if error_field else None
    if not told and isinstance(document, dict) and _says_failed(document):
        told = next((document[name] for name in _TELLING if document.get(name)), "it failed, without a reason")
    return said(told) if told else None


def said(told: object) -> Failure:
    """A failure in the target's own words; of an error object, its message."""
    if isinstance(told, dict):
        told = next((told[name] for name in _TELLING if isinstance(told.get(name), str)), told)
    words = told if isinstance(told, str) else json.dumps(told)
    return Failure(FailureKind.TARGET_ERROR, f"the target says: {quote(words, MAX_QUOTE)}; look into its log")


def quote(text: str | bytes, limit: int = 80) -> str:
    """The beginning of a text on one line, with a mark where it was cut."""
    if isinstance(text, bytes):
        text = text[: 4 * limit].decode("utf-8", "replace")
    line = " ".join(text.split())
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return printable if len(printable) <= limit else printable[:limit] + "…"


def _says_failed(document: dict[str, object]) -> bool:
    kind = document.get("type")
    return document.get("success") is False or (isinstance(kind, str) and kind.split(".")[-1] == "error")
