"""The dashboard in a real browser: it shows, speaks, stops, asks for a key, and fits every screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from firstaudio.config import SyntheticConfig

SLOW = SyntheticConfig(ttfa_ms=30.0, rtf=0.2, capacity=1)
LONG_TEXT = "This is one sentence of a text that takes a while to be heard. " * 40
PHONE, DESK = 390, 1440
NAMELESS = """[...document.querySelectorAll("button, select, input, textarea, summary")]
    .filter((one) => !one.labels?.length && !one.ariaLabel && !one.textContent.trim()).map((one) => one.outerHTML)"""
WITHOUT_ALTERNATIVE = """[...document.querySelectorAll("svg, .bar")]
    .filter((one) => one.getAttribute("role") !== "img" || !one.ariaLabel).map((one) => one.outerHTML.slice(0, 99))"""


@pytest.fixture(scope="module")
def running(tools: Any) -> Iterator[Any]:
    with tools.run(tools.settings(synthetic=SLOW)) as running:
        yield running


def milliseconds(text: str) -> float:
    value, unit = re.fullmatch(r"([\d.]+) (ms|s)", text).groups()
    return float(value) * (1000 if unit == "s" else 1)


def says(page: Any, selector: str, text: str) -> None:
    """Wait until an element's text has `text` in it. What evaluates code by itself is not possible: the policy."""
    page.locator(selector).filter(has_text=text).wait_for()


def is_wider_than_the_window(page: Any) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_goes_live_and_fits_the_screen(running: Any, visit: Any, width: int, scheme: str):
    running.speak()
    with visit(running.url, width=width, scheme=scheme) as page:
        page.wait_for_selector("#link.live")
        page.wait_for_selector("#recent li")
        assert page.inner_text("#state") == "ready"
        for details in page.query_selector_all("details"):
            details.evaluate("(one) => (one.open = true)")
        page.wait_for_selector("#recent-table td")
        assert not is_wider_than_the_window(page)


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_click_on_speak_is_a_real_request_whose_first_audio_is_measured_here(running: Any, visit: Any, width: int):
    with visit(running.url, width=width) as page:
        page.wait_for_selector("#link.live")
        page.fill("#speak-text", "A short text to be heard at once.")
        page.click("#speak-start")
        here = milliseconds(page.inner_text("#speak-ttfa"))
        at_the_server = milliseconds(page.inner_text("#speak-server"))
        assert 0 < at_the_server <= here
        says(page, "#speak-state", "done")
        request_id = page.inner_text("#speak-figures .mono")
        assert "alloy" in page.inner_text("#speak-figures")
        assert not is_wider_than_the_window(page)
    recent = {one["request_id"]: one for one in running.get("/dashboard/snapshot").json["recent"]}
    assert recent[request_id]["outcome"] == "completed"
    assert recent[request_id]["num_characters"] == len("A short text to be heard at once.")


def test_stop_cancels_at_the_server_and_the_stream_was_seen_running(running: Any, visit: Any, tools: Any):
    with visit(running.url) as page:
        page.fill("#speak-text", LONG_TEXT)
        page.click("#speak-start")
        page.wait_for_selector("#streams li .bar i")
        page.wait_for_selector("#speak-lead polyline")
        request_id = page.inner_text("#speak-figures .mono")
        page.click("#speak-stop")
        says(page, "#speak-state", "stopped")
        assert page.is_disabled("#speak-stop")
        tools.eventually(lambda: running.service.synthesizer.num_streams == 0)
    recent = {one["request_id"]: one for one in running.get("/dashboard/snapshot").json["recent"]}
    assert recent[request_id]["outcome"] == "cancelled"


def test_what_the_server_refuses_is_said_in_its_own_words(running: Any, visit: Any):
    with visit(running.url, expected=("400 (Bad Request)",)) as page:
        page.fill("#speak-text", "...")
        page.click("#speak-start")
        says(page, "#speak-state", "send")
        assert page.is_disabled("#speak-stop")


def test_text_of_a_clients_is_never_markup(tools: Any, visit: Any):
    with tools.run(tools.settings()) as running:
        running.request(
            "POST",
            "/v1/audio/speech",
            b'{"input": "<img src=x onerror=alert(1)>", "voice": "<b>x</b>"}',
            content_type="application/json",
        )
        with visit(running.url) as page:
            page.wait_for_selector("#recent li")
            assert page.query_selector("#recent b, #recent img") is None


def test_the_colours_follow_the_system_until_they_are_chosen(running: Any, visit: Any):
    def is_dark(page: Any) -> bool:
        return page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"

    with visit(running.url, scheme="dark") as page:
        assert is_dark(page)
        page.click("#theme")
        assert not is_dark(page)
        page.reload()
        assert not is_dark(page)
        page.click("#theme")
        assert is_dark(page)


def test_with_keys_it_asks_for_one_and_then_shows_and_speaks(tools: Any, visit: Any):
    with tools.run(tools.settings(api_keys=("secret",))) as running, visit(running.url, expected=("401",)) as page:
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", "wrong")
        page.click("#key-form button[type=submit]")
        says(page, "#key-problem", "API key")
        page.fill("#key", "secret")
        page.click("#key-form button[type=submit]")
        page.wait_for_selector("#link.live")
        page.click("#speak-start")
        page.wait_for_selector("#speak-ttfa")
        page.reload()
        page.wait_for_selector("#link.live")  # the tab remembers the key


def test_it_says_when_the_server_has_gone(tools: Any, visit: Any):
    with tools.run(tools.settings()) as running, visit(running.url, expected=("ERR_CONNECTION",)) as page:
        page.wait_for_selector("#link.live")
        running.server.should_exit = True
        page.wait_for_selector("#link.lost")


def test_it_comes_back_by_itself_when_the_connection_was_lost(running: Any, visit: Any):
    with visit(running.url, expected=("ERR_FAILED",)) as page:
        page.route("**/dashboard/events", lambda route: route.abort(), times=1)
        page.reload()
        page.wait_for_selector("#link.lost")
        page.wait_for_selector("#link.live")


def test_every_control_has_a_name_and_every_picture_an_alternative(running: Any, visit: Any):
    running.speak()
    with visit(running.url) as page:
        page.wait_for_selector("#ttfa svg")
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(WITHOUT_ALTERNATIVE) == []
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
