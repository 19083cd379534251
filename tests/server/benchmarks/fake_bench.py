"""Stands in for `firstaudio bench`: takes its arguments, does what its first one says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

CELL = {
    "name": "text=short",
    "axes": {"concurrency": 1},
    "label": "warm",
    "issued": 36,
    "ok": 36,
    "cell": {"texts": {"custom": ["secret"]}},
    "distributions": {
        "ttfa_ms": {"quantiles": {"p50": {"value": 100.0}}},
        "rtf": {"quantiles": {"p50": {"value": 0.1}}},
    },
    "client": {"others_cpu_share": 0.02},
}
MACHINE = {"cpu": "x", "physical_cores": 1, "logical_cores": 2, "usable_cores": 2.0, "memory_bytes": 2**33, "os": "L"}
SESSION = {
    "cells": [CELL],
    "verdict": "VALID",
    "reasons": [],
    "completed": True,
    "environment": {
        "machine": MACHINE,
        "software": {"firstaudio": "0.1.0", "python": "3.12.1", "packages": {"numpy": "2.0"}},
    },
    "workload_hash": "w",
    "findings": {"recommendations": []},
    "warnings": ["a warning"],
    "definitions": {"ttfa_ms": "as defined"},
}


def value(flag: str) -> str:
    return sys.argv[sys.argv.index(flag) + 1]


def say(document: object) -> None:
    print(json.dumps(document), file=sys.stderr, flush=True)


def speak(marked: bool = True) -> None:
    name, _, run = value("--header").partition(": ")
    headers = {"Content-Type": "application/json"} | ({name: run} if marked else {})
    if token := os.environ.get("FIRSTAUDIO_BENCH_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps({"input": "Hello.", "response_format": "pcm"}).encode()
    request = urllib.request.Request(f"{value('--url')}/v1/audio/speech", body, headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        assert answer.read()


def save(**changes: object) -> None:
    name = value("--session-name")
    folder = Path(value("--output-dir")) / name
    folder.mkdir()
    (folder / f"{name}.json").write_text(json.dumps(SESSION | changes))
    (folder / "report.md").write_text(f"# {name}\n\n**VALID**\n")
    (folder / "report.html").write_text(f"<!DOCTYPE html><header><h1>{name}</h1></header><p>VALID")


def progress(share: float, cells_done: int = 0) -> None:
    say({"progress": {"cell": "text=short", "share": share, "cells": 1, "cells_done": cells_done}})


def main() -> None:
    mode = sys.argv[1]
    if mode == "arguments":
        Path(sys.argv[2]).write_text(json.dumps([sys.argv[3:], os.environ.get("FIRSTAUDIO_BENCH_TOKEN")]))
        if "--text-file" in sys.argv:
            Path(sys.argv[2]).with_suffix(".text").write_bytes(Path(value("--text-file")).read_bytes())
    if mode in ("works", "arguments", "waits", "noisy", "crowded", "until"):
        progress(0.0)
        speak()
        for _ in range(3 if mode == "crowded" else 0):
            speak(marked=False)
        progress(0.5)
    if mode == "waits":
        sys.stdin.read()  # until whoever started it is gone, or a signal comes
    while mode == "until" and not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    if mode == "dies":
        print("firstaudio: nothing to measure", file=sys.stderr)
        sys.exit(1)
    if mode == "garbage":
        for line in (b"\xff\xfe\x00\n", b'{"progress": [1]}\n', b'{"progress": {"share": "x"}}\n', b"{" * 200_000):
            sys.stderr.buffer.write(line)
        sys.exit(0)
    if mode == "hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        Path(sys.argv[2]).write_text(f"{os.getpid()} {child.pid}")
        progress(0.25)
        time.sleep(3600)
    if mode == "kills itself":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "fails":
        save(cells=[CELL | {"ok": 0}], verdict="INVALID", reasons=["no request succeeded"])
        sys.exit(1)
    if mode == "none ok":
        save(cells=[CELL | {"ok": 0}])
    elif mode == "breaks off":
        save(completed=False)
        sys.exit(2)
    else:
        save(**({"verdict": "INVALID", "reasons": ["too noisy"]} if mode == "noisy" else {}))
        progress(1.0, cells_done=1)
        name = value("--session-name")
        print(f"saved in {value('--output-dir')}/{name}: {name}.json", file=sys.stderr)
        sys.exit(2 if mode == "noisy" else 0)


main()
