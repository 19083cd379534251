"""Errors: sorted by who can act on them, each with one look from outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firstaudio import errors
from firstaudio.errors import (
    OUTSIDE,
    BodyTimeoutError,
    BodyTooLargeError,
    ConfigError,
    ConflictError,
    EmptyTextError,
    EngineError,
    FirstaudioError,
    MissingExtraError,
    NotFoundError,
    NotReadyError,
    Outside,
    OverloadedError,
    RequestError,
    StepTimeoutError,
    UnknownModelError,
    UnknownVoiceError,
    WorkerDiedError,
    outside,
)


def _classes(cls: type[FirstaudioError] = FirstaudioError) -> Iterator[type[FirstaudioError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _classes(sub)


CLASSES = [cls for cls in _classes() if cls.__module__ == errors.__name__]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnknownVoiceError("no such voice", param="voice"), Outside(400, "invalid_request_error", 2)),
        (EmptyTextError("nothing to say"), Outside(400, "invalid_request_error", 2)),
        (UnknownModelError("no such model"), Outside(404, "invalid_request_error", 2)),
        (BodyTooLargeError("too large"), Outside(413, "invalid_request_error", 2)),
        (BodyTimeoutError("too slow"), Outside(408, "invalid_request_error", 2)),
        (NotFoundError("no such run"), Outside(404, "invalid_request_error", 2)),
        (ConflictError("one runs already"), Outside(409, "invalid_request_error", 1)),
        (OverloadedError("full", retry_after_s=1.0), Outside(429, "rate_limit_error", 1)),
        (NotReadyError("starting"), Outside(503, "server_error", 3)),
        (EngineError("cannot"), Outside(500, "server_error", 1)),
        (WorkerDiedError("died"), Outside(503, "server_error", 1)),
        (StepTimeoutError("hung"), Outside(503, "server_error", 1)),
        (ConfigError("wrong"), Outside(500, "server_error", 2)),
        (MissingExtraError("playing", "play"), Outside(500, "server_error", 2)),
        (FirstaudioError("something"), Outside(500, "server_error", 1)),
    ],
)
def test_the_most_specific_row_wins(error: FirstaudioError, expected: Outside):
    assert expected == outside(error)


def test_a_class_that_others_derive_looks_like_its_parent():
    class OwnError(UnknownModelError):
        pass

    assert OUTSIDE[UnknownModelError] == outside(OwnError("a plug-in's own"))


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_a_code_of_its_own_or_its_parents(cls: type[FirstaudioError]):
    assert cls.code == cls.code.lower().replace(" ", "_")
    if cls is not FirstaudioError:
        assert cls.code not in {other.code for other in CLASSES if other is not cls and not issubclass(cls, other)}


def test_the_message_is_what_is_printed():
    error = RequestError("speed must be 0.25 to 4.0, got 9", param="speed")

    assert (error.message, "speed") == (str(error), error.param)


def test_a_step_may_succeed_on_another_worker_when_the_first_one_died_or_hung():
    assert [
        error.retryable for error in (WorkerDiedError("died"), StepTimeoutError("hung"), EngineError("cannot"))
    ] == [True, True, False]


def test_a_missing_extra_says_what_to_install():
    error = MissingExtraError("--play", "play")

    assert error.message == "--play needs an optional package; install it with: pip install 'firstaudio[play]'"
    assert isinstance(error, ConfigError)
    assert isinstance(error, ValueError)
