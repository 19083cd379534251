"""The tree of errors, sorted by who can act on them, and the one table that maps each to the outside.

FirstaudioError
├── RequestError            the caller can mend it (4xx)
│   ├── UnknownVoiceError, UnknownModelError, UnknownLanguageError, UnknownFormatError
│   ├── TextTooLongError, EmptyTextError
│   ├── BodyTooLargeError, BodyTimeoutError, UnsupportedMediaTypeError, UnauthorizedError, ForeignPageError
│   ├── NotFoundError, ConflictError   there is no such thing; something else is going on
│   └── OverloadedError, NotReadyError   nothing is wrong with the request: come back later
├── EngineError             the engine failed (5xx)
│   └── WorkerDiedError, StepTimeoutError   the same request will probably succeed
├── ConfigError             the operator can mend it
│   └── MissingExtraError
└── BenchError              the harness could not measure
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

SEND_AGAIN = "nothing is wrong with the request: send it again"


class FirstaudioError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        message: One sentence that says what is wrong and what to do next.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestError(FirstaudioError):
    """The request cannot be served as it is.

    Args:
        message: What is wrong and what to do next.
        param: The field of the request that is at fault, if one is.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class EmptyTextError(RequestError):
    """There is nothing to speak."""

    code = "empty_input"


class TextTooLongError(RequestError):
    """The text is longer than the configured limit."""

    code = "input_too_long"


class UnknownVoiceError(RequestError):
    """No engine has that voice."""

    code = "unknown_voice"


class UnknownLanguageError(RequestError):
    """The voice or engine does not speak that language."""

    code = "unknown_language"


class UnknownFormatError(RequestError):
    """No encoder for that response format."""

    code = "unknown_format"


class UnknownModelError(RequestError):
    """No engine goes by that model name."""

    code = "model_not_found"


class BodyTooLargeError(RequestError):
    """The request body is larger than the configured limit."""

    code = "body_too_large"


class BodyTimeoutError(RequestError):
    """The request body did not arrive in time."""

    code = "body_timeout"


class UnsupportedMediaTypeError(RequestError):
    """The request body is not JSON."""

    code = "unsupported_media_type"


class UnauthorizedError(RequestError):
    """API keys are on and the request carries none that is known."""

    code = "invalid_api_key"


class ForeignPageError(RequestError):
    """A web page of another origin asks a browser to act here."""

    code = "foreign_origin"


class NotFoundError(RequestError):
    """There is no such thing, or not yet."""

    code = "not_found"


class ConflictError(RequestError):
    """What is going on now does not let it happen."""

    code = "conflict"


class OverloadedError(RequestError):
    """Accepting one more stream would make listeners stutter.

    Args:
        message: What is wrong and what to do next.
        retry_after_s: When a place is likely to be free, in seconds.
    """

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotReadyError(RequestError):
    """The engine is still warming up, or the server is shutting down."""

    code = "not_ready"


class EngineError(FirstaudioError):
    """The engine could not turn a segment into audio.

    Args:
        message: What happened.
        retryable: Whether the same step may succeed on another worker.

    Attributes:
        next_step: What a client should do about it; empty where nobody knows. It is no part of the message, because an
            engine that fails while it starts has no client.
    """

    code = "engine_error"
    next_step: ClassVar[str] = ""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class WorkerDiedError(EngineError):
    """A worker process ended in the middle of its work."""

    code = "worker_died"
    next_step = SEND_AGAIN

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


class StepTimeoutError(EngineError):
    """A step took longer than its limit; its worker was stopped."""

    code = "step_timeout"
    next_step = SEND_AGAIN

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


class ConfigError(FirstaudioError, ValueError):
    """A setting is unknown or out of range."""

    code = "config_error"


class MissingExtraError(ConfigError):
    """A feature needs a package that is not installed.

    Args:
        feature: What the user asked for.
        extra: The extra of this package that provides it.
    """

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional package; install it with: pip install 'firstaudio[{extra}]'")
        self.extra = extra


class BenchError(FirstaudioError):
    """The harness could not measure."""

    code = "bench_error"


@dataclass(frozen=True, slots=True)
class Outside:
    """How one error looks from outside: HTTP status, OpenAI error type, process exit code."""

    http_status: int
    openai_type: str
    exit_code: int


# The most specific class wins; `outside` walks the method resolution order.
OUTSIDE: dict[type[FirstaudioError], Outside] = {
    RequestError: Outside(400, "invalid_request_error", 2),
    UnknownModelError: Outside(404, "invalid_request_error", 2),
    BodyTooLargeError: Outside(413, "invalid_request_error", 2),
    BodyTimeoutError: Outside(408, "invalid_request_error", 2),
    UnsupportedMediaTypeError: Outside(415, "invalid_request_error", 2),
    NotFoundError: Outside(404, "invalid_request_error", 2),
    ConflictError: Outside(409, "invalid_request_error", 1),
    UnauthorizedError: Outside(401, "authentication_error", 2),
    ForeignPageError: Outside(403, "permission_error", 2),
    OverloadedError: Outside(429, "rate_limit_error", 1),
    NotReadyError: Outside(503, "server_error", 3),
    EngineError: Outside(500, "server_error", 1),
    WorkerDiedError: Outside(503, "server_error", 1),
    StepTimeoutError: Outside(503, "server_error", 1),
    ConfigError: Outside(500, "server_error", 2),
    BenchError: Outside(500, "server_error", 1),
    FirstaudioError: Outside(500, "server_error", 1),
}


def outside(error: FirstaudioError) -> Outside:
    """The row of `OUTSIDE` for the most specific class of `error`."""
    return next(OUTSIDE[cls] for cls in type(error).__mro__ if cls in OUTSIDE)
