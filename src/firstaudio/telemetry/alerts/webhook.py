"""`Webhook`: posts JSON to one address, on a thread of its own, and never lets anybody wait.

What cannot be delivered is tried again with growing pauses, then counted as failed. The address may hold a secret, so
only its host is ever shown.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import socket
import ssl
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote

from firstaudio import __version__
from firstaudio.config.url import parse_url

logger = logging.getLogger(__name__)

RETRY_DELAYS_S = (1.0, 4.0, 16.0)
TIMEOUT_S = 5.0
MAX_WAITING = 64
GRACE_S = 2.0
"""How long `close` lets what waits be delivered."""
ABORT_S = 1.0
"""How long `close` then waits for the thread; one that is looking up a host's name cannot be interrupted."""
WORTH_RETRYING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class WebhookStatistics:
    """What became of the payloads.

    Attributes:
        num_sent: Taken with a status of 200 to 299.
        num_failed: Given up after the last attempt.
        num_dropped: Never tried: too many waited, or the server ended.
        num_waiting: In the queue.
        problem: Why the latest one failed; empty since one was taken.
    """

    num_sent: int
    num_failed: int
    num_dropped: int
    num_waiting: int
    problem: str


class _Failure(NamedTuple):
    reason: str
    is_passing: bool


class Webhook:
    """Posts JSON to one address; its thread begins with the first payload.

    Args:
        url: http:// or https://; a user and password in it are sent as basic authentication.
        setting: Which setting holds it, for errors.
        delays_s: Pauses before further attempts, in seconds.
        timeout_s: For connecting, and for one whole exchange after that, in seconds.

    Raises:
        ConfigError: Nothing could be posted to that address.
    """

    def __init__(
        self,
        url: str,
        setting: str = "webhook_url",
        *,
        delays_s: Sequence[float] = RETRY_DELAYS_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._parts = parse_url(setting, url)
        self._host = self._parts.hostname or ""
        self._headers = _headers(self._parts)
        self._delays_s, self._timeout_s = delays_s, timeout_s
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._is_closing = False
        self._num_sent = self._num_failed = self._num_dropped = 0
        self._problem = ""

    def send(self, payload: Mapping[str, Any]) -> None:
        """Have a payload delivered; returns at once. Where too many wait, the oldest is dropped.

        Raises:
            TypeError, ValueError: It is no JSON; a mistake of the caller's.
        """
        body = json.dumps(payload, allow_nan=False).encode()
        with self._changed:
            if self._is_closing:
                self._num_dropped += 1
                return
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self._num_dropped += 1
            self._waiting.append(body)
            self._begin()
            self._changed.notify_all()

    def statistics(self) -> WebhookStatistics:
        """Figures of this moment."""
        with self._changed:
            return WebhookStatistics(
                self._num_sent, self._num_failed, self._num_dropped, len(self._waiting), self._problem
            )

    def close(self, grace_s: float = GRACE_S) -> None:
        """Try once more what waits, for `grace_s` seconds, then end the thread. Blocks; idempotent."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is None:
            return
        thread.join(grace_s)
        if thread.is_alive():
            self._drop_waiting()
            self._abort()
            thread.join(ABORT_S)
        if thread.is_alive():
            logger.warning("the webhook at %s is still being connected to; nobody waits for it", self._host)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
            self._thread.start()

    def _drop_waiting(self) -> None:
        with self._changed:
            self._num_dropped += len(self._waiting)
            self._waiting.clear()

    # On the thread.

    def _run(self) -> None:
        while (body := self._next()) is not None:
            self._deliver(body)

    def _next(self) -> bytes | None:
        """The payload whose turn it is; None when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return self._waiting.popleft() if self._waiting else None

    def _deliver(self, body: bytes) -> None:
        """Post until it is taken, cannot be, or was tried often enough; when closing, once."""
        delays = iter(self._delays_s)
        while failure := self._post(body):
            delay_s = next(delays, None)
            if not failure.is_passing or delay_s is None or self._is_closed_within(delay_s):
                self._note_failure(failure.reason)
                return
        self._note_success()

    def _is_closed_within(self, delay_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._is_closing, delay_s)

    def _post(self, body: bytes) -> _Failure | None:
        """One attempt; None when it was taken."""
        expired = threading.Event()
        alarm = threading.Timer(self._timeout_s, self._expire, [expired])
        try:
            connection = self._connect()
            alarm.start()  # a server that sends a byte now and then would never time out
            connection.request("POST", _target(self._parts), body, self._headers)
            return _judge(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            late = isinstance(error, TimeoutError) or expired.is_set()
            reason = f"no answer within {self._timeout_s:g} s" if late else str(error) or type(error).__name__
            return _Failure(reason, is_passing=True)
        finally:
            alarm.cancel()
            if alarm.ident is not None:
                alarm.join()
            if self._connection is not None:
                self._connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(
                self._host, self._parts.port, timeout=self._timeout_s, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(self._host, self._parts.port, timeout=self._timeout_s)
        self._connection.connect()
        return self._connection

    def _expire(self, expired: threading.Event) -> None:
        expired.set()
        self._abort()

    def _abort(self) -> None:
        """Break the exchange off, from another thread."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):  # it is over
                # Not the SSL socket's own: that one takes the encryption off under the feet of whoever reads.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def _note_success(self) -> None:
        with self._changed:
            recovered, self._problem = self._problem, ""
            self._num_sent += 1
        if recovered:
            logger.info("the webhook at %s takes payloads again", self._host)

    def _note_failure(self, reason: str) -> None:
        with self._changed:
            is_new, self._problem = not self._problem, reason
            self._num_failed += 1
        if is_new:  # once until it works again: /status counts the others
            logger.warning("the webhook at %s did not take a payload: %s", self._host, reason)


def _headers(parts: SplitResult) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": f"firstaudio/{__version__}", "Connection": "close"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return headers


def _target(parts: SplitResult) -> str:
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


def _judge(status: int) -> _Failure | None:
    """What a status means; a redirect is not followed, so that a payload goes nowhere but where it was sent."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return _Failure(f"it answered {status}, a redirect; configure the address that it leads to", is_passing=False)
    return _Failure(f"it answered {status}", status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in WORTH_RETRYING)
