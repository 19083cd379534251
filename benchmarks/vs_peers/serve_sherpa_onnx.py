"""sherpa-onnx behind HTTP: what `OfflineTts.generate` hands to its callback. Runs with the peer's own Python.

python serve_sherpa_onnx.py MODEL VOICES WORDS FOLDER NUM_THREADS

sherpa-onnx wants more than an export has. The first run writes it into FOLDER:

- `model.onnx`: the model with metadata. Facts as its own export scripts write them (scripts/kokoro/v1.0 of
  k2-fsa/sherpa-onnx). A protobuf message takes further entries of a repeated field at its end, so nothing is parsed.
- `voices.bin`: raw float32 [voices, 510, 1, 256]
- `tokens.txt`: a line "symbol id" for each of the vocabulary's
- `lexicon.txt`: a line "word p h o n e m e s" for each line of the file WORDS: since 2.0 it has no phonemizer of its
  own and skips other words, so its text front end does less here than those of the others
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import sherpa_onnx
from kokoro_onnx.tokenizer import Tokenizer
from pcm_server import SAMPLE_RATE, Emit, serve

METADATA_PROPS, KEY, VALUE = 14, 1, 2  # fields of ModelProto and StringStringEntryProto; source: onnx.proto
LENGTH_DELIMITED = 2


def prepare(model: Path, voices: dict[str, Any], words: list[str], folder: Path) -> None:
    if (folder / "done").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, folder / "model.onnx")
    with (folder / "model.onnx").open("ab") as file:
        for key, value in metadata(voices).items():
            file.write(_field(METADATA_PROPS, _field(KEY, key.encode()) + _field(VALUE, value.encode())))
    (folder / "voices.bin").write_bytes(np.stack(list(voices.values())).astype("<f4").tobytes())
    vocabulary = json.loads((files("kokoro_onnx") / "config.json").read_text(encoding="utf-8"))["vocab"]
    lines = (f"{symbol} {token}\n" for symbol, token in vocabulary.items())
    (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
    phonemes = Tokenizer().phonemize
    lines = (f"{word} {' '.join(phonemes(word, 'en-us').replace(' ', ''))}\n" for word in words)
    (folder / "lexicon.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "done").touch()


def metadata(voices: dict[str, Any]) -> dict[str, str]:
    shape = next(iter(voices.values())).shape
    return {
        "model_type": "kokoro",
        "version": "2",
        "language": "multi-lang",
        "voice": "en-us",
        "has_espeak": "1",
        "sample_rate": str(SAMPLE_RATE),
        "n_speakers": str(len(voices)),
        "speaker_names": ",".join(voices),
        "style_dim": ",".join(map(str, shape)),
    }


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def load(folder: Path, num_threads: int) -> Any:
    kokoro = sherpa_onnx.OfflineTtsKokoroModelConfig(
        model=str(folder / "model.onnx"),
        voices=str(folder / "voices.bin"),
        tokens=str(folder / "tokens.txt"),
        lexicon=str(folder / "lexicon.txt"),
    )
    model = sherpa_onnx.OfflineTtsModelConfig(kokoro=kokoro, num_threads=num_threads)
    return sherpa_onnx.OfflineTts(sherpa_onnx.OfflineTtsConfig(model=model))


def main() -> None:
    model, voices_file, words, folder, num_threads = sys.argv[1:6]
    voices = dict(np.load(voices_file))
    prepare(Path(model), voices, Path(words).read_text(encoding="utf-8").split(), Path(folder))
    tts = load(Path(folder), int(num_threads))
    speaker_ids = {name: number for number, name in enumerate(voices)}

    def speak(text: str, voice: str, emit: Emit) -> None:
        tts.generate(text, sid=speaker_ids[voice], callback=lambda samples, _progress: int(emit(samples)))

    speak("The lift was out of order.", next(iter(voices)), lambda _: True)
    serve(speak, 0)


if __name__ == "__main__":
    main()
