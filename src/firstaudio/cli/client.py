"""A server that is there, asked over HTTP: JSON, a benchmark of itself, its schedule."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from firstaudio.cli.options import TOKEN
from firstaudio.config import ServerConfig
from firstaudio.config.url import parse_url
from firstaudio.errors import BenchError, ConfigError, FirstaudioError, NotReadyError, UnauthorizedError

POLL_S = 1.0
TIMEOUT_S = 30.0  # for one piece of an answer
SPEECH_TIMEOUT_S = 120.0  # the same, where the server speaks first: its engine may be loading
MAX_LOST = 5  # answers in a row that do not come
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url_of(server: ServerConfig) -> str:
    """Where a server with that configuration is reached from this machine."""
    host = EVERYWHERE.get(server.host, server.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"


def key_for(token: str | None, server: ServerConfig) -> str | None:
    """The API key to send: that of --token, of the environment, the configuration's first one; None: there is none."""
    return token or os.environ.get(TOKEN) or (server.api_keys[0] if server.api_keys else None)


class Answer(dict[str, Any]):
    """A JSON object of a server. Raises BenchError where it lacks what is looked up."""

    def __missing__(self, key: str) -> Any:
        raise BenchError(f"an answer of the server has no {key!r}: is it a firstaudio server of this version?")


class ServerClient:
    """Talks to one server, a fresh connection for each question and none of them through a proxy.

    Args:
        url: Of the server.
        token: Its API key; None: it asks for none.
        sleep: Waits for so many seconds.

    Attributes:
        url: Of the server.

    Raises:
        ConfigError: The URL is none, or the key cannot be sent.
    """

    def __init__(self, url: str, token: str | None, sleep: Callable[[float], None] = time.sleep) -> None:
        try:
            self._parts = parse_url("--url", url)
        except ConfigError:
            raise _no_address(url) from None
        if self._parts.query or self._parts.fragment or self._parts.username is not None:
            raise _no_address(url)
        if token and not (token.isascii() and token.isprintable()):
            raise ConfigError("the API key holds characters that HTTP cannot carry; look how it was copied")
        self.url, self._path, self._sleep = url.rstrip("/"), self._parts.path.rstrip("/"), sleep
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> Answer:
        """One JSON answer.

        Args:
            method: Of HTTP.
            path: With its query.
            body: Sent as JSON; None: nothing is.
            timeout_s: For one piece of the answer, in seconds.

        Raises:
            NotReadyError: No server answers, or it is not ready.
            UnauthorizedError: It wants another key.
            BenchError: It refuses, or answers with something else.
        """
        with self.connection(timeout_s) as connection:
            return document(self.answer(connection, method, path, body).read(), path)

    def benchmark(self, wish: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
        """Let the server benchmark itself, and wait for the end; Ctrl-C ends it.

        Args:
            wish: As `POST /benchmarks/run` takes it.
            say: Told how far it has come.

        Returns:
            The run, as `GET /benchmarks/runs` shows it.

        Raises:
            NotReadyError: No server answers; while it waits, several times in a row.
            UnauthorizedError: It wants another key.
            BenchError: It refuses, or loses the run.
        """
        begun = self.ask("POST", "/benchmarks/run", wish)
        name = begun["benchmark_id"]
        say(f"{name} has begun at {self.url}; about {begun['estimated_duration_s']:.0f} s")
        try:
            last = self._wait(name, say)["last_execution"]
        except KeyboardInterrupt:
            self._cancel(name, say)
            raise
        # A run that was not kept is told of until the next one.
        cards = [last, *self.ask("GET", "/benchmarks/runs?limit=1000")["runs"]]
        found: list[dict[str, Any]] = [card for card in cards if card and card["id"] == name]
        if not found:
            raise BenchError(f"{self.url} no longer knows the run {name}; raise schedule.keep there")
        return found[0]

    def schedule(self) -> dict[str, Any]:
        """The schedule of the server, as `GET /benchmarks/status` tells it. Raises as `ask`."""
        found = self.ask("GET", "/benchmarks/status").get("schedule")
        if not isinstance(found, dict):
            raise BenchError(f"{self.url} tells of no schedule: is it a firstaudio server?")
        return found

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    # For what else can be asked.

    @contextmanager
    def connection(self, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
        """One that waits so long for each piece of an answer; what goes wrong with it is told in a sentence."""
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=timeout_s)
        try:
            yield connection
        except TimeoutError as error:
            raise NotReadyError(f"{self.url} did not answer within {timeout_s:g} s; look at its log") from error
        except ConnectionRefusedError as error:
            raise NotReadyError(f"no server answers at {self.url}; start it with `firstaudio serve`") from error
        except ConnectionError as error:  # before the next: an answer that never began is both
            raise NotReadyError(f"{self.url} closed the connection ({error}); look at its log") from error
        except http.client.HTTPException as error:
            raise BenchError(f"{self.url} broke its answer off ({error!r}); look at its log") from error
        except OSError as error:
            why = error.strerror or error
            raise NotReadyError(f"no server answers at {self.url} ({why}); start it, or correct --url") from error
        finally:
            connection.close()

    def answer(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """The beginning of an answer that is none but the one asked for. Raises as `ask`, within `connection`."""
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, self._path + path, data, self._headers | (headers or {}))
        answer = connection.getresponse()
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(answer, path)
        return answer

    def _refusal(self, answer: http.client.HTTPResponse, path: str) -> BenchError | NotReadyError | UnauthorizedError:
        if answer.status < HTTPStatus.BAD_REQUEST:
            where = answer.headers.get("Location", "it does not say where")
            return BenchError(f"{self.url}{path} has moved ({where}); give --url as it is there")
        sentence = f"{self.url}{path} refuses: {_reason(answer)}"
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return UnauthorizedError(f"{sentence}; give its key with --token or in {TOKEN}")
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return NotReadyError(sentence)
        return BenchError(sentence)

    def _wait(self, name: str, say: Callable[[str], None]) -> Answer:
        """The first status that is no longer of that run."""
        lost, told = 0, ""
        while True:
            try:
                status = self.ask("GET", "/benchmarks/status")
            except NotReadyError:
                lost += 1
                if lost >= MAX_LOST:
                    raise
            else:
                lost, state = 0, status["status"]
                if state["benchmark_id"] != name:
                    return status
                line = f"{state['progress']:4.0%} {state['current_test'] or 'beginning'}"
                if line != told:
                    say(line)
                told = line
            self.pause(POLL_S)

    def _cancel(self, name: str, say: Callable[[str], None]) -> None:
        try:
            self.ask("POST", "/benchmarks/cancel")
        except FirstaudioError as error:
            say(f"{name} may still run: {error.message}")


def document(data: bytes, path: str) -> Answer:
    """A JSON object that was answered at `path`. Raises BenchError where it is none."""
    try:
        found = json.loads(data, object_hook=Answer)
    except ValueError:
        found = None
    if not isinstance(found, Answer):
        raise BenchError(f"the answer at {path} is no JSON object: is it a firstaudio server?")
    return found


def _reason(answer: http.client.HTTPResponse) -> str:
    """Why it refuses: in its words, else in those of HTTP."""
    try:
        return str(json.loads(answer.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        named = f"{answer.status} {HTTPStatus(answer.status).phrase}" if answer.status in set(HTTPStatus) else ""
        return f"{named or answer.status}; is it a firstaudio server?"


def _no_address(url: str) -> ConfigError:
    return ConfigError(f"--url {url!r} is no address of a server; give one such as http://127.0.0.1:8000")
