"""Who speaks an utterance: the first engine in order that is there and has the voice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import quote

from firstaudio.config import Config
from firstaudio.errors import (
    NotReadyError,
    RequestError,
    UnknownLanguageError,
    UnknownModelError,
    UnknownVoiceError,
)
from firstaudio.synthesis.roster import Entry, Roster
from firstaudio.synthesis.utterance import Utterance

# Model names that existing clients send; each means: whatever engine is the default.
DEFAULT_MODEL_NAMES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
# Engines that come with this package and speak; a server runs with those that its configuration names.
OWN_ENGINES = ("espeak", "kokoro")
# Of an engine that stands in for one whose voices nobody knows yet.
STAND_IN_VOICE = "default"
# The first voice of a blend such as af_heart(2)+af_bella(1).
_FIRST_OF_BLEND = re.compile(r"\s*([^()+]+?)\s*[(+]")


@dataclass(frozen=True, slots=True)
class Casting:
    """Who speaks an utterance.

    Attributes:
        entry: The engine, ready.
        utterance: With the voice and language as that engine calls them.
        failover: Engines that would have been asked first and could not be, with the reason, as the header X-Failover
            tells it; None where the engine is the one that was meant.
    """

    entry: Entry
    utterance: Utterance
    failover: str | None = None


def cast(
    utterance: Utterance,
    roster: Roster,
    config: Config,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> Casting:
    """The engine and voice for an utterance.

    An engine that is named is the one that is meant. Without a name, or with one of OpenAI's, it is the first that has
    the voice. With `engine.failover` on, engines that start, could not start or have failed are passed over and named
    in the result; where none of the others knows the voice, the first of them speaks in the first voice of a blend, or
    else in its default voice, because nobody can know whose voice it is. An engine that rests is passed over likewise,
    but where nobody else is left.

    Args:
        utterance: As it was asked for.
        roster: The engines.
        config: Default voice; whether engines stand in for one another.
        failed: Engines that have failed on this utterance, with the error's code.

    Raises:
        RequestError: UnknownModelError, UnknownVoiceError, UnknownLanguageError; NotReadyError where only an engine
            that is not there could serve the request; RequestError for what the engine cannot do.
    """
    absent = {entry.name: reason for entry in roster if (reason := failed.get(entry.name) or entry.absence)}
    candidates = _candidates(utterance.engine, roster, absent, failover=config.engine.failover)
    if all(entry.name in absent for entry in candidates):
        resting = {entry.name for entry in candidates if entry.state == "resting"} - failed.keys()
        absent = {name: reason for name, reason in absent.items() if name not in resting}
    voice = utterance.voice or config.engine.default_voice
    first_error: RequestError | None = None
    for entry, wanted, passed_over in _attempts(candidates, absent, voice):
        try:
            resolved = entry.engine.resolve(wanted, utterance.language)
        except (UnknownVoiceError, UnknownLanguageError) as error:
            first_error = first_error or error
            continue
        _check_able(entry, utterance, config)
        spoken = replace(utterance, voice=resolved[0], language=resolved[1], engine=entry.name)
        return Casting(entry, spoken, describe_failover(passed_over, None if wanted == voice else voice))
    raise _nobody([entry for entry in candidates if entry.name in absent], first_error)


def describe_failover(absent: Mapping[str, str], voice: str | None = None) -> str | None:
    """Value of the header X-Failover: `kokoro; reason="starting"`; with the voice that was asked for and is not heard.

    Names of engines and voices are percent-encoded where a header cannot hold them. None where nobody is absent.
    """
    parts = [f'{quote(name)}; reason="{quote(reason)}"' for name, reason in absent.items()]
    if parts and voice is not None:
        parts[0] += f'; voice="{quote(voice)}"'
    return ", ".join(parts) or None


def unknown_model(asked: str, known: Sequence[str]) -> UnknownModelError:
    """No engine here goes by that name: which names there are, and how to get an engine that this server lacks.

    Args:
        asked: As the client sent it.
        known: Names that a request may use here.
    """
    names = f"use one of {', '.join(known)}"
    if asked not in OWN_ENGINES:
        return UnknownModelError(f"no model {asked[:80]!r}; {names}", param="model")
    engines = ",".join([*(name for name in known if name not in DEFAULT_MODEL_NAMES), asked])
    return UnknownModelError(
        f"this server runs without the {asked} engine; {names}, or start it with `firstaudio serve --engine {engines}` "
        "(README.md says what that needs)",
        param="model",
    )


def _candidates(asked: str | None, roster: Roster, absent: Mapping[str, str], *, failover: bool) -> list[Entry]:
    """The engines that may speak, absent ones included, in order."""
    entries = list(roster)
    if asked is None or asked in DEFAULT_MODEL_NAMES:
        return entries
    if asked not in roster.names:
        raise unknown_model(asked, [*roster.names, *DEFAULT_MODEL_NAMES])
    if failover and asked in absent:
        return entries[roster.names.index(asked) :]
    return [roster[asked]]


def _attempts(
    candidates: list[Entry], absent: Mapping[str, str], voice: str
) -> Iterator[tuple[Entry, str, Mapping[str, str]]]:
    """(engine, voice, who was passed over): the voice with everybody, then stand-ins where somebody is absent."""
    passed_over: dict[str, str] = {}
    for entry in candidates:
        if entry.name in absent:
            passed_over[entry.name] = absent[entry.name]
        else:
            yield entry, voice, dict(passed_over)
    if passed_over:
        present = [entry for entry in candidates if entry.name not in absent]
        yield from ((entry, wanted, passed_over) for wanted in _stand_ins(voice) for entry in present)


def _stand_ins(voice: str) -> list[str]:
    """What is heard for a voice that only an absent engine may know, the nearest first."""
    blend = _FIRST_OF_BLEND.match(voice)
    return [*([blend[1]] if blend else []), STAND_IN_VOICE]


def _nobody(absent: list[Entry], error: RequestError | None) -> RequestError:
    """Why nobody can speak."""
    states = "; ".join(entry.status.message for entry in absent)
    if any(entry.state == "starting" for entry in absent):
        return NotReadyError(f"not yet: {states}; try again shortly")
    if error is not None:
        return error
    return NotReadyError(f"no engine is there for this request: {states}; ask for another model")


def _check_able(entry: Entry, utterance: Utterance, config: Config) -> None:
    """Raise RequestError for what the engine cannot do."""
    info = entry.engine.info
    low, high = info.pitch_range or (1.0, 1.0)
    if not low <= utterance.pitch <= high:
        raise RequestError(
            f"the {entry.name} engine does pitch {low:g} to {high:g}, got {utterance.pitch:g}", param="pitch"
        )
    if utterance.word_marks and not info.word_timing:
        raise RequestError(
            f"the {entry.name} engine knows no word times; leave word_timestamps out, or ask for another model",
            param="word_timestamps",
        )
    if utterance.decode == "windowed":
        _check_windows(entry, config)


def _check_windows(entry: Entry, config: Config) -> None:
    if not entry.engine.info.incremental:
        reason = getattr(entry.engine, "windows_reason", "")
        raise RequestError(
            f"the {entry.name} engine gives only whole segments here{f': {reason}' if reason else ''}; "
            "send decode auto or whole",
            param="decode",
        )
    if not config.streaming.incremental_generation:
        raise RequestError(
            "streaming.incremental_generation is off, so segments are sent whole; send decode auto or whole",
            param="decode",
        )
