"""A text-to-speech server that is not ours: Piper, over HTTP and over Wyoming, with a tiny voice made on the spot.

    python benchmarks/peer_piper.py [--protocol http|wyoming] [--cache FOLDER] [--port N]

The first run makes a virtual environment in the cache folder and installs the server from the package index. It prints
one line that `firstaudio bench` takes as a target, and serves until it is interrupted or its standard input ends:

    http:http://127.0.0.1:40321/synthesize      (body {"text": "{text}"})
    tcp://127.0.0.1:40322

The voice is real ONNX in the shape that Piper wants, but no speech: each phoneme is a tone of its own, 40 ms
of every 80 ms. So Piper's own code is what is measured (phonemes by espeak, onnxruntime, WAV or Wyoming events), not a
big model.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Protocol = Literal["http", "wyoming"]
PACKAGES = ("piper-tts==1.8.0", "wyoming-piper==2.5.2", "flask==3.1.3", "onnx==1.23.2")
VOICE = "tones"
START_TIMEOUT_S = 60.0

# Runs with the peer's own Python: it needs its `onnx`, and Piper's table of phonemes.
MAKE_VOICE = """
import json, sys
import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP as ids

RATE, SAMPLES = 22_050, 882  # 40 ms for each id; Piper puts a silent one after every phoneme
count = 1 + max(max(ids_of_one) for ids_of_one in ids.values())
t = np.arange(SAMPLES) / RATE
fade = np.minimum(1.0, np.minimum(t, t[::-1]) / 0.004)  # no clicks where tones meet
tones = np.stack([0.4 * fade * np.sin(2 * np.pi * (140 + 4 * n) * t) for n in range(count)]).astype(np.float32)
for silent in "_^$ ":
    tones[ids[silent][0]] = 0

shape = numpy_helper.from_array(np.array([1, 1, 1, -1], np.int64), "shape")
graph = helper.make_graph(
    [
        helper.make_node("Gather", ["tones", "input"], ["pieces"]),
        helper.make_node("Reshape", ["pieces", "shape"], ["output"]),
    ],
    "tones",
    [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ],
    [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])],
    [numpy_helper.from_array(tones, "tones"), shape],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
save(model, sys.argv[1])
config = {
    "audio": {"sample_rate": RATE, "quality": "tiny"}, "espeak": {"voice": "en-us"}, "language": {"code": "en_US"},
    "phoneme_type": "espeak", "num_symbols": count, "num_speakers": 1, "speaker_id_map": {}, "hop_length": SAMPLES,
    "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8}, "phoneme_id_map": ids,
}
with open(sys.argv[1] + ".json", "w", encoding="utf-8") as file:
    json.dump(config, file)
"""


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "firstaudio" / "peer_piper"


def prepare(cache: Path) -> Path:
    """The peer's Python, with its packages installed and its voice made; quick when all that is there already."""
    python, done = cache / "venv" / "bin" / "python", cache / "installed.txt"
    wanted = "\n".join(PACKAGES)
    if not done.exists() or done.read_text() != wanted:
        venv.create(cache / "venv", with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
        done.write_text(wanted)
    voice = cache / "voices" / f"{VOICE}.onnx"
    voice.parent.mkdir(exist_ok=True)
    subprocess.run([python, "-c", MAKE_VOICE, voice], check=True)
    return python


@contextmanager
def peer(protocol: Protocol = "http", cache: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve for the length of a `with` block; yields what to give to `firstaudio bench` as a target."""
    cache = default_cache() if cache is None else cache
    python, port = prepare(cache), port or _free_port()
    with (cache / f"{protocol}.log").open("wb") as log:
        process = subprocess.Popen(_command(protocol, python, cache / "voices", port), stdout=log, stderr=log)
        try:
            _wait(process, port, cache / f"{protocol}.log")
            yield f"http:http://127.0.0.1:{port}/synthesize" if protocol == "http" else f"tcp://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _command(protocol: Protocol, python: Path, voices: Path, port: int) -> list[str]:
    if protocol == "http":
        model = str(voices / f"{VOICE}.onnx")
        flags = ["--model", model, "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(voices)]
        return [str(python), "-m", "piper.http_server", *flags]
    flags = ["--voice", VOICE, "--data-dir", str(voices), "--uri", f"tcp://127.0.0.1:{port}", "--local-files-only"]
    return [str(python), "-m", "wyoming_piper", *flags]


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the peer did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=("http", "wyoming"), default="http")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with peer(options.protocol, options.cache, options.port) as target:
        print(target, flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()


if __name__ == "__main__":
    main()
