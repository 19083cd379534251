"""The log: plain lines with key=value pairs, or one JSON object a line.

No text of a user's stands in it. A message of our own errors quotes none; what a foreign exception says nobody knows,
so in the traceback of a request its words are left out, but with `server.log_level = debug`.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from firstaudio.errors import FirstaudioError

LogFormat = Literal["text", "json"]
TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
HIDDEN = "its words are only logged with --log-level debug"
# uvicorn's errors that are none here, each with a line of our own: a broken-off response is how raw audio tells of a
# failure, and a stream that nobody reads is cut off when the drain is over.
_TOLD_BY_US = frozenset(
    {
        "ASGI callable returned without completing response.",
        "Cancel %s running task(s), timeout graceful shutdown exceeded",
    }
)

_request_id: ContextVar[str] = ContextVar("request_id", default="")


@contextmanager
def request(request_id: str) -> Iterator[None]:
    """Whatever is logged in the block, and in tasks begun there, belongs to this request."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


def facts(event: str, **values: Any) -> dict[str, Any]:
    """For `extra` of a logging call: what happened, as keys of the JSON object in place of the message.

    Args:
        event: A word.
        values: Those that are None are left out.
    """
    return {"event": event, "facts": {name: value for name, value in values.items() if value is not None}}


def set_up(level: str, log_format: LogFormat) -> None:
    """Let everything be logged to stderr; what is not ours from warnings on."""
    handler = logging.StreamHandler()
    handler.setFormatter(make_formatter(level, log_format))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("firstaudio").setLevel(level.upper())
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg not in _TOLD_BY_US)


def make_formatter(level: str, log_format: LogFormat) -> logging.Formatter:
    """Of the lines; with level "debug" the words of foreign exceptions are not hidden."""
    kind = JsonFormatter if log_format == "json" else TextFormatter
    return kind(hides_words=level != "debug")


def say(message: str, log_format: LogFormat) -> None:
    """Tell whoever started the server, whatever the log level is."""
    if log_format == "json":
        print(_to_json(_head(datetime.now(UTC), "INFO", "firstaudio"), message=message), file=sys.stderr, flush=True)
    else:
        print(f"firstaudio: {message}", file=sys.stderr, flush=True)


class TextFormatter(logging.Formatter):
    """Lines for people.

    Args:
        hides_words: Whether what foreign exceptions say of a request is left out.
    """

    def __init__(self, *, hides_words: bool = True) -> None:
        super().__init__(TEXT_FORMAT)
        self._hides_words = hides_words

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback where there is one."""
        record.exc_text = None  # what another formatter made of it may hold more than this one shows
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the library's name)
        """The traceback."""
        return _traceback(ei[1], hides_words=self._hides_words and bool(_request_id.get()))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, request_id, message or event with its facts, exception.

    Args:
        hides_words: Whether what foreign exceptions say of a request is left out.
    """

    def __init__(self, *, hides_words: bool = True) -> None:
        super().__init__()
        self._hides_words = hides_words

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = _head(at, record.levelname, record.name)
        request_id = getattr(record, "request_id", "") or _request_id.get()
        if request_id:
            line["request_id"] = request_id
        event: str | None = getattr(record, "event", None)
        if event is None:
            line["message"] = record.getMessage()
        else:
            line |= {"event": event, **record.facts}  # type: ignore[attr-defined]
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _traceback(record.exc_info[1], hides_words=self._hides_words and bool(request_id))
        return _to_json(line)


def _head(at: datetime, level: str, name: str) -> dict[str, Any]:
    return {"time": at.isoformat(timespec="milliseconds"), "level": level, "logger": name}


def _to_json(line: Mapping[str, Any], **more: Any) -> str:
    return json.dumps({**line, **more}, ensure_ascii=False, default=str)


def _traceback(error: BaseException | None, *, hides_words: bool) -> str:
    """Frames and types, the first cause first; what the errors say where it may be shown."""
    if error is None:
        return "no exception"
    if not hides_words:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    return "\nwhich led to\n".join(_without_words(each) for each in reversed(list(_chain(error))))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, and so on."""
    seen: list[BaseException] = []
    while error is not None and not any(error is each for each in seen):
        yield error
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _without_words(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    said = error.message if isinstance(error, FirstaudioError) else HIDDEN
    return f"{frames}{type(error).__name__}: {said}"
