"""What `firstaudio models optimize` does: measure each voice, judge windows and bf16, find the fastest runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstaudio.config import Config
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro.decoder import Decoder, Features
from firstaudio.engines.kokoro.fidelity import Comparison, Distance, Verdict, distance
from firstaudio.engines.kokoro.loading import Loaded, Progress, cut_or_reason, load_model
from firstaudio.engines.kokoro.pieces import Pieces, cached_pieces, forget_damaged
from firstaudio.engines.kokoro.runtimes.base import Runtime, Session
from firstaudio.engines.kokoro.runtimes.detect import available, resolve
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.engines.kokoro.runtimes.profile import arithmetic_facts
from firstaudio.engines.kokoro.sentences import measured_and_held_out, short
from firstaudio.engines.kokoro.sessions import Lazy, load_window, window_shapes
from firstaudio.engines.kokoro.statistics import StatisticsTable, measure_statistics
from firstaudio.engines.kokoro.store import ModelFiles
from firstaudio.engines.kokoro.tokens import TextToTokens
from firstaudio.engines.kokoro.voices import VoiceTable, language_of
from firstaudio.engines.kokoro.windows import LENGTHS
from firstaudio.errors import ConfigError, UnknownVoiceError

Floats = NDArray[np.float32]
MAX_SAMPLED = 6  # voices that judge; the first of each language
SEED, OTHER_SEED = (1,), (2,)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found, and the model as it is loaded from now on."""

    verdict: Verdict
    loaded: Loaded


@dataclass(frozen=True, slots=True)
class _Heard:
    """One text of one voice: windows from whole, two seeds from each other, windows in bf16 from those in f32."""

    windowed: Distance
    seeds: Distance
    bf16: Distance | None


def optimize(config: Config, files: ModelFiles, voices: Sequence[str], progress: Progress) -> Outcome:
    """Measure and judge; writes what it found beside the pieces.

    Args:
        config: Sections `kokoro`, `model`, `espeak`.
        files: The model.
        voices: Voices of the file to measure; none: all of them.
        progress: Told of each step.

    Raises:
        ConfigError: The model cannot be cut, so there is nothing to choose; what is found could not be kept; or a file
            or setting is wrong.
        UnknownVoiceError: The file has no such voice.
    """
    pieces = _cut(files, progress)
    with ExitStack() as stack:
        tokens = TextToTokens(config.kokoro, Phonemizer(config.espeak))
        stack.callback(tokens.close)
        tokens.start()
        bench = stack.enter_context(_bench(config, pieces, tokens, VoiceTable(files.voices)))
        chosen = bench.choose(voices)
        bench.measure(chosen, progress)
        verdict = bench.judge(chosen, progress)
    verdict.save(pieces.folder)
    return Outcome(verdict, load_model(_unprejudiced(config), files, progress))


def _cut(files: ModelFiles, progress: Progress) -> Pieces:
    """The pieces, in a folder that can be written. Raises ConfigError, before anything slow where it can be known."""
    _require_writable(files.pieces)
    found = cached_pieces(files.model, files.pieces)
    if found is not None:
        _require_writable(found.folder)
    if found is not None and not forget_damaged(found):
        progress("the model is cut already", 0, 1)
        return found
    progress("cutting the model", 0, 1)
    pieces, problem = cut_or_reason(files)
    if pieces is None:
        OrtRuntime("cpu").load(files.model)  # raises where the file is no model at all
        raise ConfigError(f"the model cannot be cut, so it is decoded whole and there is nothing to measure: {problem}")
    if not pieces.folder.is_relative_to(files.pieces):
        raise _not_kept(files.pieces)
    return pieces


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_kept(folder) from error


def _not_kept(folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder} cannot be written, so nothing that is measured could be kept; set model.folder to a writable folder"
    )


def _unprejudiced(config: Config) -> Config:
    """Decide as a server with default settings would."""
    return replace(config, kokoro=replace(config.kokoro, decode="auto", precision="auto"))


@contextmanager
def _bench(config: Config, pieces: Pieces, tokens: TextToTokens, voices: VoiceTable) -> Iterator[_Bench]:
    cpu = OrtRuntime("cpu", num_threads=config.kokoro.num_threads)
    with tempfile.TemporaryDirectory(prefix="firstaudio-") as folder:
        yield _Bench(pieces, cpu, _bf16(config), _with_statistics(pieces, cpu, Path(folder)), tokens, voices)


def _with_statistics(pieces: Pieces, cpu: Runtime, folder: Path) -> Session:
    """The generator that also tells its statistics."""
    import onnx

    from firstaudio.engines.kokoro.surgery.cut import measuring

    path = folder / "measuring.onnx"
    path.write_bytes(measuring(onnx.load(pieces.path("generator"))).SerializeToString())
    return cpu.load(path)


def _bf16(config: Config) -> Runtime | None:
    """The first runtime here that computes in bf16."""
    names = [each.name for each in available() if each.is_there and each.known.precision == "bf16"]
    if not names:
        return None
    return resolve(names[:1], "bf16", num_threads=config.kokoro.num_threads)[0]


class _Bench:
    """The pieces, loaded for measuring.

    Args:
        pieces: On disk.
        cpu: Computes in f32; what all is compared with.
        bf16: None where there is none.
        measuring: The generator that also tells its statistics.
        tokens: Started.
        voices: Of the file.
    """

    def __init__(
        self,
        pieces: Pieces,
        cpu: Runtime,
        bf16: Runtime | None,
        measuring: Session,
        tokens: TextToTokens,
        voices: VoiceTable,
    ) -> None:
        self._pieces, self._measuring, self._tokens, self._voices = pieces, measuring, tokens, voices
        self._table = StatisticsTable(pieces.folder, len(pieces.norms.scale), voices.digests())
        load = partial(cpu.load)
        self._fixed = {name: load(pieces.path(name)) for name in ("front", "source", "tail")}
        self._generator = Lazy(lambda: load(pieces.path("generator")))
        self._f32 = self._decoder(load_window(cpu, pieces.path("window"), {}), cpu.name)
        self._bf16 = None if bf16 is None else self._decoder(self._load(bf16), bf16.name)

    def choose(self, names: Sequence[str]) -> list[str]:
        """The voices to measure, as the file calls them. Raises UnknownVoiceError."""
        known = [voice.id for voice in self._voices.voices() if voice.alias_of is None]
        if unknown := [name for name in names if name not in known]:
            raise UnknownVoiceError(f"the voices file has no voice {unknown[0]!r}; it has {', '.join(known)}")
        return list(dict.fromkeys(names)) or known

    def measure(self, names: Sequence[str], progress: Progress) -> None:
        """Take every voice's statistics."""
        for index, name in enumerate(names):
            progress(f"measuring {name}", index, len(names))
            features = self._features(name, measured_and_held_out(language_of(name))[0])
            self._table.put(name, measure_statistics([partial(self._statistics, each) for each in features]))

    def judge(self, names: Sequence[str], progress: Progress) -> Verdict:
        """Compare on sentences that were not measured."""
        sample = _sample(names)
        sentences: list[_Heard] = []
        short_texts: list[_Heard] = []
        for index, name in enumerate(sample):
            progress(f"judging {name}", index, len(sample))
            language = language_of(name)
            sentences += self._heard(name, measured_and_held_out(language)[1])
            short_texts += self._heard(name, short(language))
        bf16 = tuple(each.bf16 for each in (*sentences, *short_texts) if each.bf16 is not None)
        return Verdict(
            Comparison("windowed", tuple(each.windowed for each in sentences)),
            Comparison("bf16", bf16) if bf16 else None,
            Comparison("seeds", tuple(each.seeds for each in sentences)),
            tuple(sample),
            datetime.now(UTC).isoformat(timespec="seconds"),
            {name: self._voices.digests()[name] for name in sample},
            arithmetic_facts(),
            Comparison("short", tuple(each.windowed for each in short_texts)) if short_texts else None,
        )

    def _heard(self, voice: str, texts: Sequence[str]) -> Iterator[_Heard]:
        """Each text in every way of rendering, that is long enough for windows."""
        affine = self._pieces.norms.affine(self._table.get(voice))
        for features in self._features(voice, texts):
            whole = self._f32.whole(features, SEED)
            parts = [pcm for pcm, _ in self._f32.windows(features, affine, SEED)]
            joined = np.concatenate(parts)
            windowed = distance(whole, joined, list(accumulate(map(len, parts)))[:-1])
            bf16 = None
            if self._bf16 is not None:
                bf16 = distance(joined, np.concatenate([pcm for pcm, _ in self._bf16.windows(features, affine, SEED)]))
            seeds = distance(whole, self._f32.whole(features, OTHER_SEED))
            yield _Heard(replace(windowed, num_frames=features.num_frames), seeds, bf16)

    def _features(self, voice: str, sentences: Sequence[str]) -> list[Features]:
        """Each sentence through the front, for long enough that windows differ from whole."""
        language = language_of(voice)
        language = language if language in self._tokens.languages else "en-us"
        runs = [run for text in sentences for run in self._tokens.runs(text, language)]
        features = [self._f32.features(run.ids, self._voices.style(voice, len(run.ids)), 1.0) for run in runs]
        return [each for each in features if each.num_frames >= LENGTHS[0]]

    def _statistics(self, features: Features) -> tuple[Floats, int]:
        made = self._measuring.run(self._f32.generator_inputs(features, SEED))
        return made["statistics"][0], features.num_frames

    def _load(self, runtime: Runtime) -> Session:
        shapes = {
            length: window_shapes(length, self._pieces.anchors, len(self._pieces.norms.scale)) for length in LENGTHS
        }
        return load_window(runtime, self._pieces.path("window"), shapes)

    def _decoder(self, window: Session, name: str) -> Decoder:
        fixed = self._fixed
        return Decoder(
            fixed["front"],
            fixed["source"],
            fixed["tail"],
            lambda: self._generator,
            lambda inputs, _: (window.run(inputs)["x"], name),
            self._pieces.noise,
            name,
        )


def _sample(names: Sequence[str]) -> list[str]:
    """The first voice of each language, then others, up to `MAX_SAMPLED`."""
    first = {language_of(name): name for name in reversed(names)}
    return list(dict.fromkeys([*(name for name in names if name in first.values()), *names]))[:MAX_SAMPLED]
