"""Can it be understood: word error rate by a speech recogniser. Optional, because a recogniser is large.

Only good for comparing two targets over the same texts: the recogniser errs as well, and it writes "2" where the text
may say "two".
"""

from __future__ import annotations

import importlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

from firstaudio.audio.chunk import Pcm, to_float32
from firstaudio.bench.reading.read import Heard
from firstaudio.bench.record import RequestRecord
from firstaudio.errors import BenchError, MissingExtraError

Transcriber = Callable[[Pcm, int], str]

RECOGNISER_RATE = 16_000
NUM_TRANSCRIBED = 8  # answers of each cell: a recogniser takes as long as the speech
_APOSTROPHES = str.maketrans({"\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{MODIFIER LETTER APOSTROPHE}": "'"})


def word_error_rate(reference: str, hypothesis: str) -> float | None:
    """Words to insert, delete or replace over words of the reference; may exceed 1. None without a word to compare."""
    wanted, heard = words(reference), words(hypothesis)
    return edit_distance(wanted, heard) / len(wanted) if wanted else None


def words(text: str) -> list[str]:
    """Words as they are compared: without case, punctuation and differences in writing of the same character."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES)
    kept = "".join(c if _is_of_word(c) else " " for c in folded)
    return [word for part in kept.split() if (word := part.strip("'"))]


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements that turn a into b (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def transcriber(model: str = "base", language: str | None = None) -> Transcriber:
    """A recogniser, loaded: takes samples and their rate, gives text. The first use of a model downloads it.

    Args:
        model: Name of a Whisper model or path of a converted one.
        language: As "en"; None: found out from the audio.

    Raises:
        MissingExtraError: No recogniser is installed.
        BenchError: The model cannot be had.
    """
    try:
        whisper = importlib.import_module("faster_whisper")
    except ImportError as error:
        raise MissingExtraError("--intelligibility (a speech recogniser)", "intelligibility") from error
    try:
        recogniser = whisper.WhisperModel(model, device="cpu", compute_type="int8")
    except (OSError, ValueError, RuntimeError) as error:
        raise BenchError(f"the speech recogniser cannot load its model {model!r}: {error}; give its path") from error

    def transcribe(pcm: Pcm, sample_rate: int) -> str:
        import soxr

        samples = soxr.resample(to_float32(pcm), sample_rate, RECOGNISER_RATE)
        segments, _ = recogniser.transcribe(samples, language=language, beam_size=5, temperature=0.0)
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


def understood(record: RequestRecord, heard: Heard, transcribe: Transcriber) -> RequestRecord:
    """The record with its "word_error_rate" among the findings; as it is where nothing was said or heard."""
    if record.phase != "measured" or not record.ok or heard.pcm is None or not heard.sample_rate:
        return record
    rate = word_error_rate(record.text, transcribe(heard.pcm, heard.sample_rate))
    return record if rate is None else replace(record, quality={**record.quality, "word_error_rate": rate})


def _is_of_word(character: str) -> bool:
    return character == "'" or unicodedata.category(character)[0] in "LMN"
