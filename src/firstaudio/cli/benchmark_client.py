"""Asking a server to benchmark itself, and waiting for it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from firstaudio.config import ServerConfig
from firstaudio.errors import BenchError, ConfigError, NotReadyError, UnauthorizedError

POLL_S = 1.0
TIMEOUT_S = 30.0
MAX_LOST = 5  # answers in a row that do not come
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url_of(server: ServerConfig) -> str:
    """Where a server with that configuration is reached from this machine."""
    host = EVERYWHERE.get(server.host, server.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"


class BenchmarkClient:
    """Talks to `/benchmarks` of one server.

    Args:
        url: Of the server.
        token: Its API key; None: it asks for none.
        sleep: Waits for so many seconds.

    Raises:
        ConfigError: The URL is none.
    """

    def __init__(self, url: str, token: str | None, sleep: Callable[[float], None] = time.sleep) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ConfigError(f"--url {url} is no address of a server; give one such as http://127.0.0.1:8000")
        self._url, self._token, self._sleep = url.rstrip("/"), token, sleep
        # No proxy of the environment: it would be measured as well.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def run(self, kind: str, say: Callable[[str], None]) -> dict[str, Any]:
        """Run a benchmark and wait for its end; Ctrl-C ends it.

        Args:
            kind: Which benchmark.
            say: Told how far it has come.

        Returns:
            The run, as `GET /benchmarks/runs` shows it.

        Raises:
            NotReadyError: No server answers.
            UnauthorizedError: It wants another key.
            BenchError: It refuses, or loses the run.
        """
        started = self._ask("POST", "/benchmarks/run", {"benchmark_type": kind})
        name = started["benchmark_id"]
        say(f"{name} has begun at {self._url}; about {started['estimated_duration_s']:.0f} s")
        try:
            self._wait(name, say)
        except KeyboardInterrupt:
            self._ask("POST", "/benchmarks/cancel")
            raise
        return self._card(name)

    def schedule(self) -> dict[str, Any]:
        """The schedule of the server, as `GET /benchmarks/status` tells it.

        Raises:
            NotReadyError: No server answers.
            BenchError: It refuses, or tells of no schedule.
        """
        found = self._ask("GET", "/benchmarks/status").get("schedule")
        if not isinstance(found, dict):
            raise BenchError(f"{self._url} tells of no schedule: is it a firstaudio server?")
        return found

    def _wait(self, name: str, say: Callable[[str], None]) -> None:
        lost, told = 0, ""
        while True:
            try:
                state = self._ask("GET", "/benchmarks/status")["status"]
            except NotReadyError:
                lost += 1
                if lost >= MAX_LOST:
                    raise
            else:
                lost = 0
                if state["benchmark_id"] != name:
                    return
                line = f"{state['progress']:4.0%} {state['current_test'] or 'beginning'}"
                if line != told:
                    say(line)
                told = line
            self._sleep(POLL_S)

    def _card(self, name: str) -> dict[str, Any]:
        status = self._ask("GET", "/benchmarks/status")
        cards = [status["last_execution"], *self._ask("GET", "/benchmarks/runs?limit=1000")["runs"]]
        found: list[dict[str, Any]] = [card for card in cards if card and card["id"] == name]
        if not found:
            raise BenchError(f"{self._url} no longer knows the run {name}; raise schedule.keep there")
        return found[0]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}{path}", data, headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return _document(answer.read(), path)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(), self._url) from None
        except (OSError, urllib.error.URLError) as error:
            raise NotReadyError(f"no server answers at {self._url}; start it with `firstaudio serve`") from error


def _document(data: bytes, path: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BenchError(f"the answer at {path} is no JSON object: is it a firstaudio server?")
    return found


def _refusal(status: int, body: bytes, url: str) -> BenchError | UnauthorizedError:
    try:
        message = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError(f"{url} refuses: {message}; give its key with --token or in FIRSTAUDIO_BENCH_TOKEN")
    return BenchError(f"{url} refuses: {message}")
