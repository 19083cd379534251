"""The dashboard over HTTP: what it tells, that it ends, and that its page refers to nothing foreign."""

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from firstaudio.server.dashboard.assets import PAGE, PARTS, asset
from firstaudio.server.dashboard.feed import MAX_VIEWERS
from firstaudio.server.schemas.dashboard import DashboardSnapshot

MAX_PAGE_BYTES = 150_000


@pytest.fixture
def running(tools: Any, tmp_path: Any) -> Iterator[Any]:
    with tools.run(tools.settings()) as running:
        yield running


def snapshot(running: Any) -> DashboardSnapshot:
    return DashboardSnapshot.model_validate(running.get("/dashboard/snapshot").json)


class Watcher:
    """One viewer of the events."""

    def __init__(self, running: Any, **headers: str) -> None:
        self.connection = http.client.HTTPConnection(running.host, running.port, timeout=20)
        self.connection.request("GET", "/dashboard/events", headers=headers)
        self.response = self.connection.getresponse()

    def block(self) -> bytes:
        """The next event, or comment; empty at the end of the body."""
        lines = b""
        while not lines.endswith(b"\n\n"):
            line = self.response.readline()
            if not line:
                return b""
            lines += line
        return lines

    def snapshot(self) -> DashboardSnapshot:
        block = self.block()
        assert block.startswith(b"data: ")
        return DashboardSnapshot.model_validate_json(block.removeprefix(b"data: "))

    def close(self) -> None:
        self.connection.close()
        self.response.close()


# The page.


def test_the_page_and_every_part_of_it_are_served_with_a_policy_that_allows_nothing_foreign(server: Any):
    for path in ("/dashboard", *(f"/dashboard/{part}" for part in PARTS)):
        reply = server.get(path)
        assert reply.status == 200
        policy = dict(rule.split(" ", 1) for rule in reply.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert "unsafe" not in reply.headers["content-security-policy"]


def test_nothing_in_the_page_refers_to_another_place():
    for name in (PAGE, *PARTS):
        text = asset(name).body.decode()
        addresses = set(re.findall(r"\w+://[^\s\"'`)]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name
        assert not re.search(r"(?:src|href|url|import)\s*[=(]?\s*[\"']?//", text), name


def test_the_page_refers_to_parts_that_exist():
    text = asset(PAGE).body.decode()
    assert set(re.findall(r"\"dashboard/([\w.]+)\"", text)) <= set(PARTS)
    imported = {name for part in PARTS if part.endswith(".js") for name in re.findall(r"\"\./(\w+\.js)\"", _text(part))}
    assert imported | {"main.js"} == {part for part in PARTS if part.endswith(".js")}


def test_the_page_with_all_its_parts_is_small():
    assert sum(len(asset(name).body) for name in (PAGE, *PARTS)) < MAX_PAGE_BYTES


def test_a_browser_that_has_a_part_is_not_sent_it_again(server: Any):
    etag = server.get("/dashboard/main.js").headers["etag"]
    assert server.get("/dashboard/main.js", if_none_match=etag).status == 304
    assert server.get("/dashboard/main.js", if_none_match='"another"').status == 200


def test_a_part_that_does_not_exist_is_404_and_no_path_leads_out_of_the_folder(server: Any):
    for name in ("nothing.js", "view.py", "..%2Fview.py", "index.html"):
        reply = server.get(f"/dashboard/{name}")
        assert (reply.status, reply.error["code"]) == (404, "not_found")


def test_with_keys_the_page_opens_and_what_it_shows_does_not(tools: Any):
    with tools.run(tools.settings(api_keys=("secret",))) as running:
        for path in ("/dashboard", *(f"/dashboard/{part}" for part in PARTS)):
            assert running.get(path).status == 200
        for path in ("/dashboard/events", "/dashboard/snapshot"):
            assert (running.get(path).status, running.get(path).error["code"]) == (401, "invalid_api_key")
        watcher = Watcher(running, Authorization="Bearer secret")
        assert watcher.snapshot().state == "ready"
        watcher.close()


# What it tells.


def test_before_any_request_nothing_is_stated(running: Any):
    told = snapshot(running)
    assert (told.num_streams, told.streams, told.ttfa, told.recent) == (0, [], [], [])
    assert all(not slot.outcomes and not slot.audio_s for slot in told.throughput)
    assert [engine.name for engine in told.engines] == ["synthetic"]


def test_a_request_shows_up_with_what_the_client_was_told(running: Any):
    reply = running.speak(response_format="pcm")
    told = snapshot(running)
    request = told.recent[0]
    assert (request.request_id, request.outcome) == (reply.headers["x-request-id"], "completed")
    assert (request.voice, request.num_characters) == (reply.headers["x-voice"], len("Hello world!"))
    assert request.audio_s == pytest.approx(len(reply.body) / 2 / 24_000, abs=0.001)
    assert sum(request.first_audio_ms.values()) <= request.ttfa_ms + 0.001
    group = told.ttfa[0]
    assert (group.origin, group.n, sum(one.n for one in group.bins)) == ("client", 1, 1)
    assert group.bins[0].low_ms <= request.ttfa_ms < group.bins[0].high_ms
    assert sum(slot.outcomes.get("completed", 0) for slot in told.throughput) == 1


def test_one_request_has_no_percentile(running: Any):
    running.speak()
    assert [one.value_ms for one in snapshot(running).ttfa[0].percentiles] == [None] * 4


def test_a_benchmarks_requests_are_a_group_of_their_own(running: Any):
    running.speak(input="One text.")
    body = json.dumps({"input": "Another text."}).encode()
    running.request("POST", "/v1/audio/speech", body, content_type="application/json", x_firstaudio_run="selftest")
    assert [(group.origin, group.n) for group in snapshot(running).ttfa] == [("client", 1), ("benchmark", 1)]


def test_no_text_of_a_users_is_in_a_snapshot(running: Any):
    running.speak(input="Marzipan is a word that nobody else uses.")
    assert b"arzipan" not in running.get("/dashboard/snapshot").body


def test_streams_that_run_are_shown_with_their_lead(running: Any, tools: Any):
    connection = running.ask(input="A long text that nobody reads to its end. " * 1000, response_format="pcm")
    tools.eventually(lambda: any(stream.state == "parked" for stream in snapshot(running).streams))
    stream = snapshot(running).streams[0]
    assert (stream.engine, stream.voice, stream.origin) == ("synthetic", "alloy", "client")
    assert stream.lead_s > 0
    assert stream.unread_s > 0
    connection.close()
    tools.eventually(lambda: snapshot(running).num_streams == 0)


# Events.


def test_events_are_snapshots_and_the_first_comes_at_once(running: Any):
    watcher = Watcher(running)
    assert watcher.response.headers["content-type"].startswith("text/event-stream")
    assert "no-store" in watcher.response.headers["cache-control"]
    first, second = watcher.snapshot(), watcher.snapshot()
    assert second.at > first.at
    watcher.close()


def test_nothing_is_made_when_the_last_viewer_has_gone(running: Any, tools: Any):
    feed = running.service.dashboard.feed
    watchers = [Watcher(running) for _ in range(2)]
    for watcher in watchers:
        watcher.snapshot()
    assert feed.num_viewers == 2
    for watcher in watchers:
        watcher.close()
    tools.eventually(lambda: feed.num_viewers == 0)
    assert feed._task is None


def test_one_viewer_too_many_is_refused(running: Any):
    watchers = [Watcher(running) for _ in range(MAX_VIEWERS)]
    for watcher in watchers:
        watcher.snapshot()
    reply = running.get("/dashboard/events")
    assert (reply.status, reply.error["code"]) == (429, "overloaded")
    for watcher in watchers:
        watcher.close()


def test_viewers_do_not_hold_up_a_shutdown(tools: Any):
    with tools.run(tools.settings(drain_timeout_s=600.0)) as running:
        watcher = Watcher(running)
        watcher.snapshot()
        running.server.should_exit = True
        while watcher.block():
            pass
        assert watcher.response.read() == b""  # a clean end of the body, not a broken connection
        watcher.close()


def _text(part: str) -> str:
    return asset(part).body.decode()
