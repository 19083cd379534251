"""The whole way with the real harness: a server that benchmarks itself."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from firstaudio.server.benchmarks import command

PATIENCE_S = 110.0


@pytest.mark.slow
def test_a_server_benchmarks_itself(benched: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "PLAN", "demo")
    wish = {"include_speed_tests": False, "include_voice_tests": False, "custom_text": "A text of my own."}
    name = benched.start(benchmark_type="ttfa", **wish)
    finished = asyncio.run_coroutine_threadsafe(
        benched.service.benchmarks.finished(), benched.service.startup.get_loop()
    )
    assert finished.result(PATIENCE_S) is not None
    card = benched.status()["last_execution"]

    assert (card["id"], card["status"], card["error"]) == (name, "succeeded", None)
    names = [cell["name"] for cell in card["summary"]["cells"]]
    assert names == ["text=custom", "text=short", "text=medium", "text=long", "text=complex"]
    assert card["summary"]["num_ok"] == card["summary"]["num_requests"] == 12 * 5
    assert card["summary"]["num_typical_cells"] == 4  # the text of one's own may come from a cache
    assert card["contended"] is False
    results = benched.get("/benchmarks/results").json
    assert results["environment"]["machine"]["logical_cores"]
    assert all(cell["server"] for cell in results["cells"])  # the harness watched this process
    assert "A text of my own" not in str(results["cells"])
    report = benched.get("/benchmarks/results/report").json["report"]
    assert report.startswith(f"# {name}\n\n- Not contended")
    again = re.search(r"^firstaudio bench ttfa --url http://127\.0\.0\.1:\d+ (.*)$", report, re.MULTILINE)
    assert again is not None
    assert again[1] == "--plan demo --text-file text.txt --no-voice-tests --no-speed-tests"
    assert "Leak: not judged (needs 1000 requests under one condition, the longest had 12)." in report
