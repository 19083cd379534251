"""Names and types of a whole model's inputs and outputs, read from its session."""

from __future__ import annotations

from dataclasses import dataclass

from firstaudio.engines.kokoro.runtimes.base import Port, Session
from firstaudio.errors import ConfigError

STYLE_SIZE = 256


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one export calls things.

    Attributes:
        tokens: Input of token ids, integers [1, N].
        style: Input of a style, float32 [1, 256].
        speed: Input of a speed, [1].
        speed_is_whole: Whether that one takes integers.
        audio: Output at 24 kHz.
        durations: Output of each token's frames; None where there is none.
    """

    tokens: str
    style: str
    speed: str
    speed_is_whole: bool
    audio: str
    durations: str | None


def read_dialect(session: Session) -> Dialect:
    """Which port is which, by rank and element type.

    Raises:
        ConfigError: They are not those of a Kokoro model.
    """
    tokens = [port for port in session.inputs if _is_integer(port) and len(port.shape) == 2]
    style = [port for port in session.inputs if not _is_integer(port) and len(port.shape) == 2]
    speed = [port for port in session.inputs if port not in (*tokens, *style)]
    audio = [port for port in session.outputs if not _is_integer(port)]
    durations = [port for port in session.outputs if _is_integer(port)]
    fits = [len(each) for each in (tokens, style, speed, audio)] == [1, 1, 1, 1] and len(durations) <= 1
    if not fits or style[0].shape[1] not in (None, STYLE_SIZE):
        raise ConfigError(
            f"this is no Kokoro model: inputs {_written(session.inputs)}, outputs {_written(session.outputs)}; "
            "expected are tokens (integers [1, N]), a style (float32 [1, 256]), a speed [1], and audio; "
            "set kokoro.model to another file"
        )
    return Dialect(
        tokens[0].name,
        style[0].name,
        speed[0].name,
        _is_integer(speed[0]),
        audio[0].name,
        durations[0].name if durations else None,
    )


def _is_integer(port: Port) -> bool:
    return port.dtype.startswith(("int", "uint"))


def _written(ports: object) -> str:
    assert isinstance(ports, tuple | list)
    return ", ".join(f"{port.name} {port.dtype} {list(port.shape)}" for port in ports) or "none"
