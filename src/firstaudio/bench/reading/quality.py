"""Is it speech at all, and is it whole: cheap measures on the decoded audio that void a speed-up.

A server gets faster by speaking less: dropping words, cutting the end, sending silence or noise first. Nothing here
judges how natural a voice sounds; every measure is one that goes wrong when audio was lost, cut or pasted together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import INT16_FULL_SCALE, Pcm
from firstaudio.audio.onset import DEFAULT_ONSET, find_onset
from firstaudio.bench.exchange import Failure, FailureKind
from firstaudio.bench.record import ChunkRow, RequestRecord, measured

FRAME_S = 0.010  # of the level measurements; the same window and level as the onset's
SOUNDING_DBFS = DEFAULT_ONSET.threshold_dbfs
LOWEST_DB = -120.0  # stands for digital silence, so that every finding is a number

# Full scale in three samples in a row is a flat top; a single one may be a true peak.
FLAT_TOP = 3
FULL_SCALE = 32767 / INT16_FULL_SCALE
# 10 ms of every second are flat tops. Speech that was normalised has none, and an overdriven engine has far more.
CLIPPED_SHARE = 0.01
# The fastest speech that people follow, in screen readers, is 500 words of 6 characters a minute: 20 ms each. Usual
# speech takes 60 to 70 ms. Below 15 ms something was left out. Short texts may be one click of the tongue.
SHORT_MS_PER_CHARACTER = 15.0
SHORT_FROM_CHARACTERS = 20

# A click: the step into the first sample of a piece stands out from all steps around it. Speech is locally similar:
# in Gaussian noise, its roughest part, the largest of 240 steps is 2.8 deviations, so 3 times that is out of reach.
CLICK_NEIGHBOURHOOD_S = 0.005  # to each side
CLICK_TIMES_LARGEST = 3.0
CLICK_ROBUST_Z = 10.0
CLICK_LEAST_STEP = 0.01  # of full scale, -40 dB: below it nobody hears it

TAIL_S = 0.010
MID_SOUND_DB = -15.0  # sound that ends by itself has decayed further than this below the level of the speech

# "Modified z-scores", Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): 0.6745 * deviation / MAD > 3.5.
OUTLIER_Z = 3.5
MAD_TO_SIGMA = 1.4826
OUTLIER_LEAST_RATIO = 1.2  # where all durations agree, the least difference would be an outlier

MEDIANS = (
    "ms_per_character",
    "onset_ms",
    "silence_share",
    "leading_silence_share",
    "trailing_silence_share",
    "longest_silence_ms",
    "level_dbfs",
    "peak",
    "tail_db",
    "word_error_rate",
)

# Of `differs`: what one listener in ten would notice, and not one single request.
SHORTER, LONGER = 0.85, 1 / 0.85
SHARE_WORSE = 0.10
COUNT_WORSE = 2
SILENCE_WORSE = 0.15
ERROR_RATE_WORSE = 0.05  # of the words: recognisers differ by less from run to run
PAUSE_WORSE_MS = 500.0


def num_speakable(text: str) -> int:
    """Letters and digits: what a duration per character is counted over."""
    return sum(character.isalnum() for character in text)


def inspect(
    pcm: Pcm, sample_rate: int, chunks: Sequence[ChunkRow], num_characters: int, speed: float
) -> dict[str, float]:
    """The findings on one answer.

    Args:
        pcm: Mono, at least one sample.
        sample_rate: In Hz.
        chunks: As it arrived; their samples are those of `pcm`.
        num_characters: That were to be spoken (`num_speakable`).
        speed: Factor that was asked for.

    Returns:
        By name: `duration_s`; `num_characters`; `ms_per_character` (from the first to the last sound, as if at speed 1;
        absent without characters or sound); `onset_ms` (absent when nothing is audible); `silence_share`;
        `leading_silence_share` and `trailing_silence_share` (absent without sound); `longest_silence_ms` (between
        sounds); `level_dbfs` (of the sounding frames); `peak` (full scale is 1);
        `clipped_share`; `dc_offset`; `num_clicks` and `click_z` (the worst) at joins of pieces; `tail_db` (level of
        the last 10 ms below that of the speech); `headers_inside` (WAV headers that are played as sound).
    """
    samples = pcm.astype(np.float64) / (INT16_FULL_SCALE if pcm.dtype == np.int16 else 1.0)
    frame = max(1, round(FRAME_S * sample_rate))
    levels = _levels(samples, frame)
    sounding = levels >= 10 ** (SOUNDING_DBFS / 20)
    onset = find_onset(pcm, sample_rate)
    found = {
        "duration_s": len(samples) / sample_rate,
        "num_characters": float(num_characters),
        "silence_share": 1.0 - float(sounding.mean()),
        "longest_silence_ms": 1000 * _longest_inner_gap(sounding) * frame / sample_rate,
        "peak": float(np.abs(samples).max()),
        "clipped_share": _flat_top_share(np.abs(samples) >= FULL_SCALE),
        "dc_offset": float(samples.mean()),
        "headers_inside": float(pcm.tobytes().count(b"WAVEfmt ")),
        **_joins(samples, sample_rate, chunks),
    }
    if onset is not None:
        found["onset_ms"] = 1000 * onset / sample_rate
    if sounding.any():
        speech = _rms(levels[sounding])
        found["level_dbfs"] = _decibels(speech)
        found["tail_db"] = _decibels(_tail(samples, sample_rate) / speech)
        first, last = (int(frames) for frames in np.flatnonzero(sounding)[[0, -1]])
        found["leading_silence_share"] = first / len(sounding)
        found["trailing_silence_share"] = (len(sounding) - 1 - last) / len(sounding)
        if num_characters:
            span_s = (last - first + 1) * frame / sample_rate
            found["ms_per_character"] = 1000 * span_s * speed / num_characters
    return {name: round(value, 6) for name, value in found.items()}


def failure(quality: Mapping[str, float]) -> Failure | None:
    """Why findings make the answer invalid."""
    if "onset_ms" not in quality:
        message = f"{quality['duration_s']:.2f} s of audio came and nothing in it can be heard"
        return Failure(FailureKind.SILENT, message)
    if quality["clipped_share"] > CLIPPED_SHARE:
        message = f"{quality['clipped_share']:.1%} of the samples are clipped: lower the target's volume"
        return Failure(FailureKind.CLIPPED, message)
    pace, characters = quality.get("ms_per_character", math.inf), quality["num_characters"]
    if characters > SHORT_FROM_CHARACTERS and pace < SHORT_MS_PER_CHARACTER:
        message = f"{characters:.0f} characters in {pace:.1f} ms each cannot be all of the text"
        return Failure(FailureKind.SHORT, message)
    return None


def summarise(records: Iterable[RequestRecord]) -> dict[str, float | None]:
    """The findings over a cell: its measured, successful requests; None where no request has any."""
    findings = [record.quality for record in measured(records) if record.ok and record.quality]
    summary: dict[str, float | None] = {name: _median([f[name] for f in findings if name in f]) for name in MEDIANS}
    summary["dc_offset"] = _median([abs(f["dc_offset"]) for f in findings])
    summary["clipped_share"] = max((f["clipped_share"] for f in findings), default=None)
    summary["duration_outliers"] = _num_outliers([f["ms_per_character"] for f in findings if "ms_per_character" in f])
    summary["num_clicks"] = sum(f["num_clicks"] for f in findings) if findings else None
    summary["clicks_share"] = _share([f["num_clicks"] > 0 for f in findings])
    summary["truncated_tail_share"] = _share([ends_in_mid_sound(f) for f in findings])
    summary["headers_inside"] = sum(f["headers_inside"] for f in findings) if findings else None
    return summary


def ends_in_mid_sound(quality: Mapping[str, float]) -> bool:
    """Whether the last 10 ms are nearly as loud as the speech."""
    return quality.get("tail_db", LOWEST_DB) > MID_SOUND_DB


def differs(a_records: Iterable[RequestRecord], b_records: Iterable[RequestRecord]) -> list[str]:
    """Why b, if it is faster than a, does not deserve it; empty when both speak alike.

    Durations are compared text by text where both spoke the same ones.
    """
    a = [record for record in measured(a_records) if record.ok and record.quality]
    b = [record for record in measured(b_records) if record.ok and record.quality]
    if not a or not b:
        return []
    tests = (_other_length(a, b), *_worse_shares(a, b), *_more_silence(a, b), _less_intelligible(a, b))
    return [reason for reason in tests if reason]


def _levels(samples: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
    """RMS of each frame, its mean removed; samples after the last whole frame count only when there is no other."""
    whole = len(samples) // frame * frame
    frames = samples[:whole].reshape(-1, frame) if whole else samples.reshape(1, -1)
    levels: NDArray[np.float64] = frames.std(axis=1)
    return levels


def _rms(values: NDArray[np.float64]) -> float:
    return math.sqrt(float(np.mean(values * values)))


def _decibels(ratio: float) -> float:
    return max(LOWEST_DB, 20 * math.log10(ratio)) if ratio > 0 else LOWEST_DB


def _tail(samples: NDArray[np.float64], sample_rate: int) -> float:
    return float(samples[-max(1, round(TAIL_S * sample_rate)) :].std())


def _longest_inner_gap(sounding: NDArray[np.bool_]) -> int:
    places = np.flatnonzero(sounding)
    return int(np.diff(places).max() - 1) if len(places) > 1 else 0


def _flat_top_share(full: NDArray[np.bool_]) -> float:
    """Share of samples that lie in runs of at least `FLAT_TOP`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], full.astype(np.int8), [0]))))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= FLAT_TOP].sum()) / len(full)


def _joins(samples: NDArray[np.float64], sample_rate: int, chunks: Sequence[ChunkRow]) -> dict[str, float]:
    """Clicks between pieces. The step into sample i is `steps[i - 1]`."""
    steps = np.abs(np.diff(samples))
    reach = max(2, round(CLICK_NEIGHBOURHOOD_S * sample_rate))
    ends = np.cumsum([chunk.num_samples for chunk in chunks]) if chunks else np.zeros(0, np.intp)
    scores = [_click_z(steps, int(join) - 1, reach) for join in np.unique(ends) if 0 < join < len(samples)]
    clicks = [z for z in scores if z is not None]
    return {"num_clicks": float(len(clicks)), "click_z": max(clicks, default=0.0)}


def _click_z(steps: NDArray[np.float64], at: int, reach: int) -> float | None:
    """Robust z of the step at a join; None when it is no click."""
    around = np.concatenate((steps[max(0, at - reach) : at], steps[at + 1 : at + 1 + reach]))
    if steps[at] < CLICK_LEAST_STEP or not len(around) or steps[at] < CLICK_TIMES_LARGEST * around.max():
        return None
    middle = float(np.median(around))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(around - middle)))
    z = float(steps[at] - middle) / max(sigma, 1 / INT16_FULL_SCALE)  # next to digital silence: one step of int16
    return z if z > CLICK_ROBUST_Z else None


def _num_outliers(paces: Sequence[float]) -> float | None:
    """Durations per character that stand out, on a logarithmic scale."""
    if not paces:
        return None
    logs = np.log(paces)
    deviations = np.abs(logs - np.median(logs))
    sigma = MAD_TO_SIGMA * float(np.median(deviations))
    return float(np.sum((deviations > OUTLIER_Z * sigma) & (deviations > math.log(OUTLIER_LEAST_RATIO))))


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _other_length(a: Sequence[RequestRecord], b: Sequence[RequestRecord]) -> str | None:
    """Longer counts too: the same samples under half their rate last twice as long and halve the RTF."""
    ratio = _duration_ratio(a, b)
    if ratio is not None and ratio < SHORTER:
        return f"it speaks {1 - ratio:.0%} shorter: words may be missing"
    if ratio is not None and ratio > LONGER:
        return f"it speaks {ratio - 1:.0%} longer: RTF counts that as speed, and its sample rate may be wrong"
    return None


def _duration_ratio(a: Sequence[RequestRecord], b: Sequence[RequestRecord]) -> float | None:
    """How long b takes for what a says; the median over texts that both spoke, else that of characters."""
    of_a, of_b = _pace_by_text(a), _pace_by_text(b)
    common = of_a.keys() & of_b.keys()
    if common:
        return _median([of_b[text] / of_a[text] for text in common])
    median_a, median_b = _median(list(of_a.values())), _median(list(of_b.values()))
    return median_b / median_a if median_a and median_b else None


def _pace_by_text(records: Sequence[RequestRecord]) -> dict[str, float]:
    paces: dict[str, list[float]] = {}
    for record in records:
        if "ms_per_character" in record.quality:
            paces.setdefault(record.text, []).append(record.quality["ms_per_character"])
    return {text: float(np.median(values)) for text, values in paces.items()}


def _worse_shares(a: Sequence[RequestRecord], b: Sequence[RequestRecord]) -> Iterable[str]:
    tests: tuple[tuple[str, Callable[[Mapping[str, float]], bool]], ...] = (
        ("end in mid-sound", ends_in_mid_sound),
        ("click where pieces join", lambda found: found["num_clicks"] > 0),
        ("play a WAV header as sound", lambda found: found["headers_inside"] > 0),
    )
    for what, holds in tests:
        flags_a, flags_b = ([bool(holds(record.quality)) for record in records] for records in (a, b))
        share_a, share_b = sum(flags_a) / len(a), sum(flags_b) / len(b)
        if share_b > share_a + SHARE_WORSE and sum(flags_b) >= COUNT_WORSE:
            yield f"{share_b:.0%} of its answers {what}, of the other's {share_a:.0%}"


def _less_intelligible(a: Sequence[RequestRecord], b: Sequence[RequestRecord]) -> str | None:
    rates = [[r.quality["word_error_rate"] for r in records if "word_error_rate" in r.quality] for records in (a, b)]
    if not all(rates):
        return None
    rate_a, rate_b = (float(np.median(found)) for found in rates)
    if rate_b <= rate_a + ERROR_RATE_WORSE:
        return None
    return f"a recogniser mistakes {rate_b:.0%} of its words, {rate_a:.0%} of the other's"


def _more_silence(a: Sequence[RequestRecord], b: Sequence[RequestRecord]) -> Iterable[str]:
    share_a, share_b = (float(np.median([r.quality["silence_share"] for r in records])) for records in (a, b))
    if share_b > share_a + SILENCE_WORSE:
        yield f"{share_b:.0%} of its audio is silence, of the other's {share_a:.0%}"
    pause_a, pause_b = (float(np.median([r.quality["longest_silence_ms"] for r in records])) for records in (a, b))
    if pause_b > pause_a + PAUSE_WORSE_MS:
        yield f"its longest pause is {pause_b:.0f} ms, the other's {pause_a:.0f} ms"
