import subprocess
import sys
from typing import Any

import pytest

from firstaudio.bench.spec import KINDS, TargetSpec
from firstaudio.bench.targets.make import make_target, parse_target
from firstaudio.errors import BenchError, MissingExtraError

URLS = {"wyoming": "tcp://h:1", "websocket": "ws://h:1", "elevenlabs": "ws://h:1", "command": ""}


@pytest.mark.parametrize(
    ("typed", "spec"),
    [
        ("http://host:8000", TargetSpec("openai", "http://host:8000")),
        ("https://host/v1/", TargetSpec("openai", "https://host")),
        ("openai:http://host/proxy/v1", TargetSpec("openai", "http://host/proxy")),
        ("http://host:8000/v1/audio/speech", TargetSpec("openai", "http://host:8000", path="/v1/audio/speech")),
        ("http:http://host:5000/tts?text={text}", TargetSpec("http", "http://host:5000", path="/tts?text={text}")),
        ("torch:http://[::1]:9000/", TargetSpec("torch", "http://[::1]:9000")),
        ("ws://host:1/speak", TargetSpec("websocket", "ws://host:1", path="/speak")),
        ("websocket:wss://host", TargetSpec("websocket", "wss://host")),
        ("elevenlabs:http://host:1", TargetSpec("elevenlabs", "http://host:1")),
        ("elevenlabs:", TargetSpec("elevenlabs")),
        ("tcp://host:10200", TargetSpec("wyoming", "tcp://host:10200")),
        ("wyoming:tcp://host:10200", TargetSpec("wyoming", "tcp://host:10200")),
        (" cmd:piper --model 'a b.onnx' ", TargetSpec("command", command=("piper", "--model", "a b.onnx"))),
        ("command: sh -c 'cat://x'", TargetSpec("command", command=("sh", "-c", "cat://x"))),
    ],
)
def test_what_a_user_types(typed: str, spec: TargetSpec) -> None:
    assert parse_target(typed) == spec


def test_defaults_fill_what_the_text_does_not_state() -> None:
    spec = parse_target("http://host/speak", name="mine", path="/other", kind="torch")
    assert spec == TargetSpec("openai", "http://host", name="mine", path="/speak")


@pytest.mark.parametrize(
    "typed",
    ["", "host:8000", "ftp://host", "cmd:", "cmd:echo 'x", "tcp://host", "http://", "http://h:x", "http://[::1"],
)
def test_what_is_no_target_is_refused(typed: str) -> None:
    with pytest.raises(BenchError, match=r"write|begins with|quotes"):
        parse_target(typed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_made(kind: Any) -> None:
    body = {"text": "{text}"} if kind in ("http", "websocket") else None
    command = ("cat",) if kind == "command" else ()
    path = "/tts" if kind == "http" else None
    target = make_target(TargetSpec(kind, URLS.get(kind, "http://h:1"), body=body, command=command, path=path))
    assert target.reading.envelope in ("raw", "json", "messages")


@pytest.mark.parametrize(
    "spec",
    [
        TargetSpec("telnet", "tcp://h:1"),  # type: ignore[arg-type]
        TargetSpec("openai", "tcp://h:1"),
        TargetSpec("wyoming", "tcp://h"),
        TargetSpec("websocket"),
        TargetSpec("command"),
    ],
)
def test_a_bad_spec_is_refused(spec: TargetSpec) -> None:
    with pytest.raises(BenchError):
        make_target(spec)


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "wyoming" or name.endswith("targets.wyoming")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wyoming", None)
    monkeypatch.setitem(sys.modules, "wyoming.audio", None)
    with pytest.raises(MissingExtraError, match=r"firstaudio\[bench\]"):
        make_target(TargetSpec("wyoming", "tcp://h:1"))


def test_making_imports_no_protocol_that_is_not_used() -> None:
    code = (
        "import sys; from firstaudio.bench.targets.make import make_target, parse_target;"
        "make_target(parse_target('cmd:cat')); print(*({'websockets', 'wyoming', 'numpy', 'av'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []
