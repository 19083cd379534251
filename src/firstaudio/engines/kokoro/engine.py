"""The kokoro engine: Kokoro-82M in ONNX, a window of speech a step.

Steps of a segment: its first one runs the front (phonemes to features) and the first window, each next one a window;
where windows are not to be had, one step is a run of tokens, whole.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from firstaudio.audio.chunk import Chunk, WordMark
from firstaudio.clock import NS_PER_S, now_ns
from firstaudio.config import Config
from firstaudio.engines.base import EngineInfo, SpeakRequest, Voice, Waiting
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro.decoder import SAMPLE_RATE
from firstaudio.engines.kokoro.keeper import Keeper
from firstaudio.engines.kokoro.loading import NEVER_OPTIMIZED, Choices, Loaded, load_model
from firstaudio.engines.kokoro.model import Part
from firstaudio.engines.kokoro.store import ModelFiles, find
from firstaudio.engines.kokoro.tokens import Run, TextToTokens
from firstaudio.engines.kokoro.voices import VoiceTable
from firstaudio.engines.kokoro.windows import SAMPLES_PER_FRAME
from firstaudio.errors import ConfigError, EngineError, RequestError, UnknownLanguageError

logger = logging.getLogger(__name__)

# What is spoken to warm up and to measure: a short clause and a sentence.
WARM_UP_TEXTS = (
    "Good morning.",
    "The quick brown fox jumps over the lazy dog, and nobody has ever asked it why it does.",
)


@dataclass(slots=True, eq=False)
class Prepared:
    """One segment as tokens.

    Attributes:
        request: What was asked.
        runs: Its tokens.
        windowed: Whether it is decoded in windows.
        cold: Whether the model had been let go, and is loaded for this segment.
        runtime: What made the latest part of its audio; empty before the first.
        decode: "windowed" or "whole": how the latest part was decoded; before the first, how parts will be that are
            long enough for windows.
    """

    request: SpeakRequest
    runs: list[Run]
    windowed: bool
    cold: bool = False
    runtime: str = ""
    decode: str = field(init=False)

    def __post_init__(self) -> None:
        self.decode = "windowed" if self.windowed else "whole"


@dataclass(frozen=True, slots=True)
class _Figures:
    """Measured while warming up: seconds to the first chunk as a + b * audio, and seconds of work per audio second."""

    startup_s: float
    startup_rtf: float
    rtf: float


class KokoroEngine:
    """Kokoro-82M.

    Args:
        config: Sections `kokoro`, `model` and, for phonemes, `espeak`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._files: ModelFiles | None = None
        self._tokens = TextToTokens(config.kokoro, Phonemizer(config.espeak))
        self._voices: VoiceTable | None = None
        self._keeper: Keeper[Loaded] | None = None
        self._choices: Choices | None = None
        self._info: EngineInfo | None = None
        self._unmeasured: tuple[str, ...] = ()
        self._progress = (0.0, "not started")

    @property
    def info(self) -> EngineInfo:
        """What this engine can do; known after `start`."""
        assert self._info is not None, "start the engine first"
        return self._info

    def start(self) -> None:
        """Find, cut and load the model, start the phonemes' worker, speak two sentences; leaves nothing where it fails.

        Raises:
            ConfigError: Files or settings are wrong.
            EngineError: Nothing here can run the model.
        """
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        self._progress = (1.0, "ready")

    def _start(self) -> None:
        self._progress = (0.0, "reading voices")
        self._files = files = find(self._config)
        self._voices = VoiceTable(files.voices)
        self._progress = (0.1, "starting what pronounces")
        self._tokens.start()
        self._progress = (0.2, "loading the model; the first time it is cut and measured")
        self._keeper = Keeper(lambda: self._load(files), self._config.kokoro.unload_after_s)
        with self._keeper.use() as loaded:
            self._unmeasured = self._without_windows(loaded)
        windowed = loaded.choices.decode == "windowed" and len(self._unmeasured) < len(self._own_voices())
        self._progress = (0.8, "warming up")
        figures, knows_words = self._warm_up()
        self._info = EngineInfo(
            name="kokoro",
            sample_rate=SAMPLE_RATE,
            languages=self._tokens.languages,
            num_lanes=loaded.num_devices,
            incremental=windowed,
            word_timing=knows_words,
            pitch_range=None,
            expected_rtf=figures.rtf,
            description=f"Kokoro ({files.model.name}) on {', '.join(loaded.choices.runtimes)}, {loaded.choices.decode}",
            expected_startup_s=figures.startup_s,
            expected_startup_rtf=figures.startup_rtf,
        )

    def _load(self, files: ModelFiles) -> Loaded:
        """The model, and what was chosen for it this time."""
        loaded = load_model(self._config, files, self._tell, self._voices)
        self._choices = loaded.choices
        return loaded

    def _tell(self, what: str, _done: int, _total: int) -> None:
        """What loading the model is at; a model that is loaded again later has no start to tell of."""
        if self._info is None:
            self._progress = (self._progress[0], what)

    @property
    def identity(self) -> str:
        """Changes when the same request comes to sound different; see `Engine`."""
        if self._files is None or self._choices is None:
            return ""
        choices = self._choices
        return " ".join((str(self._files.model), str(self._files.voices), choices.decode, *choices.runtimes))

    @property
    def windows_reason(self) -> str:
        """Why segments are whole, and what would bring windows; empty where there are windows."""
        if self._choices is None or self.info.incremental:
            return ""
        if self._choices.decode == "windowed":
            return "no voice was measured when it started: run `firstaudio models optimize` and start again"
        is_unmeasured = self._choices.decode_reason == NEVER_OPTIMIZED
        return f"{self._choices.decode_reason}{' and start again' if is_unmeasured else ''}"

    def awaken(self) -> Waiting | None:
        """None: the model is there. Else it has begun to load; see `Engine`."""
        assert self._keeper is not None, "start the engine first"
        return self._keeper.awaken()

    @property
    def asleep_s(self) -> float:
        """How long the model took to load the last time, in seconds; 0 while it is there."""
        assert self._keeper is not None, "start the engine first"
        return 0.0 if self._keeper.peek() is not None else self._keeper.load_s

    def progress(self) -> tuple[float, str]:
        """How far `start` has come, 0..1, and what it is doing."""
        return self._progress

    def voices(self) -> Sequence[Voice]:
        """Aliases first, then the voices of the file."""
        return self._table.voices()

    def resolve(self, voice: str, language: str | None) -> tuple[str, str]:
        """See `Engine.resolve`."""
        name, tag = self._table.resolve(voice, language)
        self._tokens.require(tag)
        return name, tag

    def prepare(self, request: SpeakRequest) -> Prepared:
        """Phonemes and tokens. Raises EngineError, and RequestError for windows that this voice cannot have."""
        assert self._keeper is not None, "start the engine first"
        try:
            runs = self._tokens.runs(request.text, request.language)
        except UnknownLanguageError as error:
            raise EngineError(error.message) from error
        is_cold = self._keeper.peek() is None
        return Prepared(request, runs, self._is_windowed(request), is_cold)

    def steps(self, prepared: Prepared) -> Iterator[Chunk]:
        """A chunk a window, or a run; word marks in segment coordinates where durations are known."""
        assert self._keeper is not None, "start the engine first"
        position = 0
        for index, run in enumerate(prepared.runs):
            with self._keeper.use() as loaded:
                marks: list[WordMark] | None = None
                begin = position
                for part in self._parts(loaded, prepared, run, index):
                    prepared.runtime, prepared.decode = part.runtime, part.decode
                    end = position + len(part.pcm)
                    due = [mark for mark in marks or () if mark.start_sample < end]
                    marks = [mark for mark in marks or () if mark.start_sample >= end] if marks is not None else None
                    yield Chunk(part.pcm, SAMPLE_RATE, start_sample=position, words=tuple(due))
                    position = end
                    if marks is None and part.durations is not None:
                        marks = self._marks(run, part, begin)
                if marks:
                    yield Chunk(np.zeros(0, np.float32), SAMPLE_RATE, start_sample=position, words=tuple(marks))

    def status(self) -> Mapping[str, Any]:
        """Model, choices with their reasons, and what each session has done.

        `runtimes` are those that work now: without those whose sessions are all retired, and with stand-bys that ran.
        `voices_decoded_whole` are those that were not measured when the engine started, though others are decoded in
        windows.
        """
        if self._files is None or self._choices is None or self._keeper is None:
            return {}
        loaded = self._keeper.peek()
        sessions = [] if loaded is None else loaded.model.statistics()
        return {
            "model": str(self._files.model),
            "voices": str(self._files.voices),
            "is_loaded": loaded is not None,
            **asdict(self._choices),
            "runtimes": list(_at_work(self._choices.runtimes, sessions)),
            "voices_decoded_whole": list(self._unmeasured),
            "sessions": sessions,
            "g2p": {language: self._tokens.reason(language) for language in self._tokens.languages},
        }

    def close(self) -> None:
        """Stop the worker and free the model."""
        self._tokens.close()
        if self._keeper is not None:
            self._keeper.close()

    @property
    def _table(self) -> VoiceTable:
        assert self._voices is not None, "start the engine first"
        return self._voices

    def _own_voices(self) -> list[str]:
        """Those of the file."""
        return [voice.id for voice in self._table.voices() if voice.alias_of is None]

    def _without_windows(self, loaded: Loaded) -> tuple[str, ...]:
        """Voices that are decoded whole though windows are wanted, because nobody has measured them.

        Raises:
            ConfigError: `kokoro.decode` is windowed, and that would be no voice's way.
        """
        if loaded.choices.decode != "windowed":
            return ()
        voices = self._own_voices()
        found = tuple(name for name in voices if not loaded.model.knows(name))
        if self._config.kokoro.decode == "windowed" and len(found) == len(voices):
            raise ConfigError(
                "kokoro.decode is windowed, but no voice of this model has been measured here: run `firstaudio models "
                "optimize`, or set kokoro.decode to auto"
            )
        if found:
            logger.warning(
                "%d of %d voices are decoded whole, because nobody has measured them: %s; run `firstaudio models "
                "optimize`",
                len(found),
                len(voices),
                ", ".join(found),
            )
        return found

    def _is_windowed(self, request: SpeakRequest) -> bool:
        """What was asked for, else what is configured; whole for a voice that nobody has measured."""
        assert self._keeper is not None, "start the engine first"
        with self._keeper.use() as loaded:
            choices = loaded.choices
            asked = request.decode if request.decode != "auto" else choices.decode
            if asked == "whole":
                return False
            if loaded.model.knows(request.voice):
                return True
        if request.decode == "windowed" and choices.cut_problem:
            raise RequestError(
                f"nothing can be decoded in windows: the model cannot be cut: {choices.cut_problem}; "
                "ask for decode auto or whole",
                param="decode",
            )
        if request.decode == "windowed":
            raise RequestError(
                f"voice {request.voice!r} cannot be decoded in windows: nobody has measured it; "
                "run `firstaudio models optimize`, or ask for decode auto or whole",
                param="decode",
            )
        return False

    def _parts(self, loaded: Loaded, prepared: Prepared, run: Run, index: int) -> Iterator[Part]:
        request = prepared.request
        style = self._table.style(request.voice, len(run.ids))
        seed = (zlib.crc32(request.text.encode("utf-8", "replace")), index)
        return loaded.model.parts(run.ids, request.voice, style, request.speed, seed, windowed=prepared.windowed)

    def _marks(self, run: Run, part: Part, begin: int) -> list[WordMark]:
        """Where the run's words are in the segment's audio. The first token is the pad."""
        assert part.durations is not None
        starts = begin + np.concatenate([[0], np.cumsum(part.durations)]) * SAMPLES_PER_FRAME
        return [
            WordMark(word.start_char, word.end_char, int(starts[word.start_token + 1]), int(starts[word.end_token + 1]))
            for word in self._tokens.words(run)
        ]

    def _warm_up(self) -> tuple[_Figures, bool]:
        """Speak a short and a long text, the second time by the clock; and whether words are known."""
        voice, language = self.resolve("default", None)
        timed: list[tuple[float, float, float]] = []
        has_words = False
        for text in WARM_UP_TEXTS * 2:
            prepared = self.prepare(SpeakRequest(text, voice, language))
            begin = now_ns()
            first_s, audio_s = 0.0, 0.0
            for chunk in self.steps(prepared):
                first_s = first_s or (now_ns() - begin) / NS_PER_S
                audio_s += chunk.duration_s
                has_words |= bool(chunk.words)
            timed.append((audio_s, first_s, (now_ns() - begin) / NS_PER_S))
        (short_s, short_first, _), (long_s, long_first, long_total) = timed[-2:]
        growth = max(0.0, (long_first - short_first) / max(long_s - short_s, 0.1))
        return _Figures(max(0.0, short_first - growth * short_s), growth, long_total / long_s), has_words


def _at_work(chosen: Sequence[str], sessions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Names of the runtimes that run the model now: as chosen, less what was retired, then stand-bys that ran."""
    in_use = {each["name"] for each in sessions if not each["retired"]}
    ran = [each["name"] for each in sessions if not each["retired"] and each["num_runs"]]
    yield from (name for name in chosen if name in in_use or not sessions)
    yield from (name for name in dict.fromkeys(ran) if name not in chosen)
