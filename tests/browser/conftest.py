"""Chromium as the system has it, driven by playwright, against a real server in a thread."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def _server_tools() -> Any:
    """The servers of tests/server, which is no package."""
    path = Path(__file__).parents[1] / "server" / "conftest.py"
    spec = importlib.util.spec_from_file_location("server_tools", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TOOLS = _server_tools()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; the tests are skipped only where none is installed.

    Not for the whole session: while playwright is there its event loop runs in this thread, and no test's own could.
    """
    path = os.environ.get("FIRSTAUDIO_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium), so the page is not tried in one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def tools() -> Any:
    return TOOLS


@pytest.fixture
def visit(chromium: Any) -> Any:
    """Opens the dashboard of a server; at the end there must be nothing on its console, unless it was expected."""

    @contextmanager
    def visit(url: str, *, width: int = 1440, scheme: str = "light", expected: tuple[str, ...] = ()) -> Iterator[Any]:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(20_000)
        page, said = context.new_page(), []
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        try:
            page.goto(f"{url}/dashboard")
            yield page
            assert [line for line in said if not any(part in line for part in expected)] == []
            assert [address for address in asked if not address.startswith(url)] == []
        finally:
            context.close()

    return visit
