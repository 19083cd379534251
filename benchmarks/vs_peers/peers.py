"""Who takes part: how each is made ready and started, and what it is as a target of the harness."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serve import serve
from benchmarks.vs_peers.texts import words

from firstaudio.bench.machine.environment import load_psutil
from firstaudio.bench.machine.resources import find_server_pid
from firstaudio.bench.spec import TargetSpec

HERE = Path(__file__).parent
SHAPE_MODEL = HERE.parents[1] / "src" / "firstaudio" / "engines" / "kokoro" / "shape_model.py"
PEER_PACKAGES = ("kokoro-onnx==0.6.1", "sherpa-onnx==2.0.1")
TORCH_PACKAGES = ("torch==2.13.0", "kokoro==0.9.4", "onnx==1.23.2")
# What Kokoro-FastAPI asks for, without what it has for other languages and for graphics cards.
FASTAPI_PACKAGES = (
    *TORCH_PACKAGES,
    *("fastapi", "uvicorn", "pydantic-settings", "python-dotenv", "aiofiles", "scipy", "soundfile", "tiktoken"),
    *("munch", "mutagen", "psutil", "inflect", "av", "text2num", "openai", "tqdm", "requests", "loguru"),
)
START_TIMEOUT_S = 180.0
ANSWER_TIMEOUT_S = 600.0  # 5,000 characters at an RTF of 0.4 take 160 s
SAMPLE_RATE = 24_000


@dataclass(frozen=True, slots=True)
class Model:
    """Files of the model that everybody speaks with.

    Attributes:
        model: ONNX, as public exports are.
        voices: npz: name -> float32 [510, 1, 256].
    """

    model: Path
    voices: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """One that is running and ready.

    Attributes:
        name: As in tables.
        spec: How the harness asks it.
        pid: Root of its process tree; None: not on this machine.
        versions: Of what is inside, by package.
    """

    name: str
    spec: TargetSpec
    pid: int | None
    versions: Mapping[str, str] = field(default_factory=dict)


def as_target(name: str, url: str) -> TargetSpec:
    """Streamed pcm, one warm connection."""
    return TargetSpec("openai", url, name, container="pcm", sample_rate=SAMPLE_RATE, timeout_s=ANSWER_TIMEOUT_S)


def environment(folder: Path, packages: Sequence[str]) -> Path:
    """A Python of its own with these packages from the package index; quick when it is there already."""
    python, done, wanted = folder / "bin" / "python", folder / "installed.txt", "\n".join(packages)
    if not done.exists() or done.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run(command, check=True, stdout=sys.stderr)
        done.write_text(wanted)
    return python


def shape_model(folder: Path, torch_python: Path) -> Model:
    """A model of Kokoro's shape with random weights, built when it is not there."""
    made = Model(folder / "model.onnx", folder / "voices.bin")
    if not (made.model.exists() and made.voices.exists()):
        subprocess.run([torch_python, SHAPE_MODEL, folder], check=True, stdout=sys.stderr)
    return made


@contextmanager
def firstaudio(name: str, flags: Sequence[str]) -> Iterator[Peer]:
    """Our server, from this environment."""
    with serve(*flags) as server:
        packages = ("firstaudio", "onnxruntime", "openvino")
        yield Peer(name, as_target(name, server.url), server.pid, versions(Path(sys.executable), packages))


@contextmanager
def kokoro_onnx(python: Path, model: Model, cache: Path) -> Iterator[Peer]:
    """The library's `create_stream`, behind the small server."""
    command = [python, HERE / "serve_kokoro_onnx.py", model.model, model.voices]
    with _started("kokoro-onnx", command, cache) as (url, pid):
        found = versions(python, ("kokoro-onnx", "onnxruntime"))
        yield Peer("kokoro-onnx", as_target("kokoro-onnx", url), pid, found)


@contextmanager
def sherpa_onnx(python: Path, model: Model, cache: Path) -> Iterator[Peer]:
    """The library's `generate` with a callback, behind the small server; it takes one thread if it is not told."""
    num_threads = load_psutil().cpu_count(logical=False) or os.cpu_count() or 1
    vocabulary = cache / "words.txt"
    cache.mkdir(parents=True, exist_ok=True)
    vocabulary.write_text("\n".join(words()), encoding="utf-8")
    folder = cache / f"sherpa-{_key(model)}"
    command = [python, HERE / "serve_sherpa_onnx.py", model.model, model.voices, vocabulary, folder, num_threads]
    with _started("sherpa-onnx", command, cache) as (url, pid):
        found = versions(python, ("sherpa-onnx", "sherpa-onnx-core"))
        yield Peer("sherpa-onnx", as_target("sherpa-onnx", url), pid, found)


@contextmanager
def kokoro_fastapi_at(url: str) -> Iterator[Peer]:
    """A server that somebody else has started."""
    yield Peer("Kokoro-FastAPI", as_target("Kokoro-FastAPI", url), find_server_pid(url))


@contextmanager
def kokoro_fastapi(python: Path, checkout: Path, model: Model, cache: Path) -> Iterator[Peer]:
    """The server from a checkout of its repository, on the CPU, with the weights of the shape model."""
    folder, api = cache / f"fastapi-{_key(model)}", checkout / "api"
    config = api / "src" / "models" / "v1_0" / "config.json"
    prepare = [python, HERE / "prepare_kokoro_fastapi.py", SHAPE_MODEL, model.voices, config, folder]
    subprocess.run(prepare, check=True, stdout=sys.stderr)
    scratch = folder / "tmp"  # it keeps voices there, and takes what it finds
    scratch.mkdir(exist_ok=True)
    changes = {
        "USE_GPU": "false",
        "PYTHONPATH": os.pathsep.join(map(str, (checkout, api, folder / "packages"))),
        "MODEL_DIR": str(folder / "models"),
        "VOICES_DIR": str(folder / "voices"),
        "ENABLE_WEB_PLAYER": "false",
        "TMPDIR": str(scratch),
    }
    port = _free_port()
    command = [python, "-m", "uvicorn", "api.src.main:app", "--host", "127.0.0.1", "--port", port]
    with _process("Kokoro-FastAPI", command, cache, {**os.environ, **changes}, cwd=checkout) as process:
        url = f"http://127.0.0.1:{port}"
        _wait(process, f"{url}/health", cache / "Kokoro-FastAPI.log")
        its_own = {"Kokoro-FastAPI": (checkout / "VERSION").read_text().strip()}
        found = {**its_own, **versions(python, ("torch", "kokoro", "misaki"))}
        yield Peer("Kokoro-FastAPI", as_target("Kokoro-FastAPI", url), process.pid, found)


def versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """Of the packages that are installed there."""
    program = (
        "import json, sys; from importlib.metadata import distributions\n"
        "found = {d.metadata['Name'].lower().replace('_', '-'): d.version for d in distributions()}\n"
        "print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))"
    )
    said = subprocess.run([python, "-c", program, *packages], check=True, capture_output=True, text=True).stdout
    return dict(json.loads(said))


def _key(model: Model) -> str:
    """What is made from a model file is made again when the file is another one."""
    about = model.model.stat()
    return f"{about.st_size:x}-{about.st_mtime_ns:x}"


@contextmanager
def _started(name: str, command: Sequence[object], cache: Path) -> Iterator[tuple[str, int]]:
    """A small server, once it has said where it listens: its address and process."""
    with _process(name, command, cache, dict(os.environ)) as process:
        log, deadline = cache / f"{name}.log", time.monotonic() + START_TIMEOUT_S
        while not (found := re.search(r"^ready (http://\S+)$", log.read_text(errors="replace"), re.MULTILINE)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise _not_started(name, log)
            time.sleep(0.1)
        yield found[1], process.pid


@contextmanager
def _process(
    name: str, command: Sequence[object], cache: Path, env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, env=env, cwd=cwd)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise _not_started(url, log)


def _not_started(name: str, log: Path) -> RuntimeError:
    return RuntimeError(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
