"""The knobs: settings that take effect on the next utterance, what each should move, and what may be tried.

Only fields of `StreamingConfig` are here, because two values of those can live side by side in the same traffic. What
is built at the start (lanes, threads, runtimes) or shared by everyone (the cache) cannot be compared like that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from firstaudio.config import StreamingConfig
from firstaudio.errors import ConfigError, RequestError
from firstaudio.trace import Stage

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Metric = Literal["ttfa_ms", "ttgp_ms", "rtf"]
Unit = Literal["utterance", "window"]
Value = bool | int | float
Choice = Callable[[StreamingConfig], Iterator[Value]]

SECTION = "streaming"
KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}
JSON_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "a whole number",
    float: "a fraction",
    str: "a string",
    list: "a list",
    dict: "an object",
}
STEP = 4  # the largest factor by which one experiment moves a value
SHORTEST_FIRST_S = 0.6  # voices lose their prosody below
SHORTEST_CHUNK_MS = 20  # below, a packet costs more than it brings
LONGEST_BUFFER_MS = 1000
LONGEST_LEAD_S = 60.0
LEAST_BUFFER_MS = 100


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting that experiments may turn.

    Attributes:
        field: Of `StreamingConfig`.
        moves: The metric that it is meant to lower.
        guards: Metrics that must not get worse; stalls, failures and listeners who leave are always watched.
        stages: Stages until the first audio that it can shorten; what they take is the most that can be gained.
        unit: What is given one arm: each utterance, or everything that comes within a window of time, where a stream
            with one value would gain at the expense of its neighbours with the other.
        values: Other values worth trying, the most promising first, from what holds now.
        is_raised: Whether `values` are above what holds; what is asked for may be on the other side.
        why: What turning it that way does.
        back: What turning it the other way does.
    """

    field: str
    moves: Metric
    guards: tuple[Metric, ...]
    stages: tuple[Stage, ...]
    unit: Unit
    values: Choice
    is_raised: bool
    why: str
    back: str

    @property
    def setting(self) -> str:
        """Its name as in the configuration."""
        return f"{SECTION}.{self.field}"

    def value(self, streaming: StreamingConfig) -> Value:
        """What it stands at."""
        value: Value = getattr(streaming, self.field)
        return value

    def turned(self, streaming: StreamingConfig, value: Value) -> StreamingConfig:
        """`streaming` with another value. Raises ConfigError for one that does not go with the rest."""
        change: dict[str, Any] = {self.field: value}
        return replace(streaming, **change)

    def reason(self, streaming: StreamingConfig, value: Value) -> str:
        """What trying a value would do."""
        now = self.value(streaming)
        if value == now:
            return "the present value against itself, a test of the tuner"
        return self.why if (value > now) == self.is_raised else self.back

    def candidates(self, streaming: StreamingConfig) -> list[Value]:
        """Values worth trying, the most promising first; none that is there already, out of bounds or impossible."""
        found: list[Value] = []
        for value in self.values(streaming):
            if value != self.value(streaming) and value not in found and self._is_possible(streaming, value):
                found.append(value)
        return found

    def checked(self, streaming: StreamingConfig, value: object) -> tuple[Value, StreamingConfig]:
        """A value from outside, and `streaming` with it. Raises RequestError where it is not one."""
        from pydantic import TypeAdapter, ValidationError

        try:
            valid: Value = TypeAdapter(_annotation(self.field)).validate_python(value, strict=True)
            return valid, self.turned(streaming, valid)
        except ValidationError as error:
            raise RequestError(self._refusal(streaming, error.errors()[0]), param="value") from None
        except ConfigError as error:
            raise RequestError(error.message, param="value") from None

    def _refusal(self, streaming: StreamingConfig, problem: ErrorDetails) -> str:
        if not problem["type"].endswith(("_type", "_from_float")):
            return f"{self.setting}: {problem['msg']}"  # one out of bounds; it names them
        takes, given = KINDS[type(self.value(streaming))], JSON_KINDS.get(type(problem["input"]), "something else")
        return f"{self.setting} takes {takes}, and got {given}"

    def _is_possible(self, streaming: StreamingConfig, value: Value) -> bool:
        try:
            self.checked(streaming, value)
        except RequestError:
            return False
        return True


def toml(value: Value) -> str:
    """A value as the configuration has it."""
    return str(value).lower()


def differences(configured: StreamingConfig, now: StreamingConfig) -> tuple[tuple[str, Value, Value], ...]:
    """What knobs stand at that is not as configured: (setting, configured, now)."""
    found = ((knob.setting, knob.value(configured), knob.value(now)) for knob in KNOBS)
    return tuple(each for each in found if each[1] != each[2])


def knob_of(setting: str) -> Knob:
    """The knob by the name of its setting. Raises RequestError for one that there is not."""
    for knob in KNOBS:
        if knob.setting == setting:
            return knob
    raise RequestError(
        f"{setting[:60]!r} is no setting that can be tried; take one of {', '.join(k.setting for k in KNOBS)}",
        param="setting",
    )


def _annotation(field: str) -> Any:
    from firstaudio.config import settings

    return next(setting.annotation for setting in settings() if setting.key == f"{SECTION}.{field}")


def _on(streaming: StreamingConfig) -> Iterator[Value]:
    if not streaming.fast_path_enabled:
        yield True


def _shorter_first(streaming: StreamingConfig) -> Iterator[Value]:
    if streaming.first_segment_s > SHORTEST_FIRST_S:
        for factor in (STEP, STEP / 2):
            yield round(max(SHORTEST_FIRST_S, streaming.first_segment_s / factor), 2)


def _smaller_chunks(streaming: StreamingConfig) -> Iterator[Value]:
    if streaming.min_chunk_size_ms > SHORTEST_CHUNK_MS:
        for factor in (STEP, STEP // 2):
            yield max(SHORTEST_CHUNK_MS, streaming.min_chunk_size_ms // factor)


def _shorter_steps(streaming: StreamingConfig) -> Iterator[Value]:
    if streaming.max_chunk_size_ms > 2 * SHORTEST_CHUNK_MS:
        yield max(2 * streaming.min_chunk_size_ms, 2 * SHORTEST_CHUNK_MS, streaming.max_chunk_size_ms // 2)


def _more_buffer(streaming: StreamingConfig) -> Iterator[Value]:
    if streaming.target_buffer_ms < LONGEST_BUFFER_MS:
        yield min(LONGEST_BUFFER_MS, max(LEAST_BUFFER_MS, 2 * streaming.target_buffer_ms))


def _more_lead(streaming: StreamingConfig) -> Iterator[Value]:
    if streaming.max_lead_s < LONGEST_LEAD_S:
        yield min(LONGEST_LEAD_S, 2 * streaming.max_lead_s)


def _begins_sooner(
    field: str, stages: tuple[Stage, ...], values: Choice, why: str, back: str, *, is_raised: bool = False
) -> Knob:
    """A knob that can bring the first audio of the utterance that it is turned for."""
    return Knob(field, "ttfa_ms", ("ttgp_ms", "rtf"), stages, "utterance", values, is_raised, why, back)


def _serves_sooner(field: str, values: Choice, why: str, back: str, *, is_raised: bool = True) -> Knob:
    """A knob that shares the engine out among listeners otherwise: all who come at a time have one value."""
    return Knob(field, "ttgp_ms", ("ttfa_ms", "rtf"), ("queue",), "window", values, is_raised, why, back)


MODEL: tuple[Stage, ...] = ("queue", "phonemize", "model_inference")
CHUNK: tuple[Stage, ...] = ("model_inference", "audio_conversion")

KNOBS: tuple[Knob, ...] = (
    _begins_sooner(
        "fast_path_enabled",
        MODEL,
        _on,
        "a short first segment is spoken before the rest is begun",
        "segments of equal size make the first one longer, and it is ready later",
        is_raised=True,
    ),
    _begins_sooner(
        "first_segment_s",
        MODEL,
        _shorter_first,
        "a shorter first segment is ready sooner",
        "a longer first segment has fewer cuts in its prosody and is ready later",
    ),
    _begins_sooner(
        "min_chunk_size_ms",
        CHUNK,
        _smaller_chunks,
        "the first chunk leaves with less audio in it",
        "the first chunk waits for more audio, and fewer packets are sent",
    ),
    _serves_sooner(
        "max_chunk_size_ms",
        _shorter_steps,
        "a step that makes less audio lets the next listener go sooner",
        "a step that makes more audio costs less in all and keeps the next listener waiting",
        is_raised=False,
    ),
    _serves_sooner(
        "target_buffer_ms",
        _more_buffer,
        "listeners are served while they have more audio left",
        "listeners are served when they have less audio left, which leaves the lanes to new ones",
    ),
    _serves_sooner(
        "max_lead_s",
        _more_lead,
        "more audio is made ahead of a listener's connection",
        "less audio is made ahead of a listener's connection, and less of it waits in memory",
    ),
)
