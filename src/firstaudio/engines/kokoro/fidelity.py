"""How far one rendering of the same words is from another: measures, the bound, and the verdict that follows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.kokoro.disk import atomic_write
from firstaudio.engines.kokoro.windows import LENGTHS

Floats = NDArray[np.float32]

VERDICT_VERSION = 3
VERDICT_FILE = "fidelity.json"

# A log-spectral distance of 1 dB on average, with none beyond 2 dB, is what listeners do not tell from the original.
# Source: K. K. Paliwal, B. S. Atal, "Efficient vector quantization of LPC parameters at 24 bits/frame", IEEE Trans.
# Speech and Audio Processing 1 (1993); there a frame counts, here a sentence.
MAX_MEAN_DB = 1.0
MAX_WORST_DB = 2.0
# A join may be as rough as speech is there, and a little more.
MAX_SEAM_DB = 3.0

FFT, HOP = 512, 128
FLOOR_DB = -60.0  # of the loudest bin: what is below is not heard and not compared
SEAM_SAMPLES = 8  # to each side of a join


@dataclass(frozen=True, slots=True)
class Distance:
    """Two renderings of one text.

    Attributes:
        lsd_db: Log-spectral distance.
        snr_db: Of the reference over the difference; large is near. None where there is no difference.
        seam_db: Roughness at the joins over that of the reference at the same places; None without joins.
        num_frames: Of the text, where it counts.
    """

    lsd_db: float
    snr_db: float | None
    seam_db: float | None = None
    num_frames: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A way of rendering against the reference, over several sentences of several voices.

    Attributes:
        name: What was compared: "windowed", "short", "bf16", "seeds".
        distances: One for each sentence.
    """

    name: str
    distances: tuple[Distance, ...]

    @property
    def mean_db(self) -> float:
        """Mean log-spectral distance."""
        return float(np.mean([distance.lsd_db for distance in self.distances]))

    @property
    def worst_db(self) -> float:
        """The largest log-spectral distance of a sentence."""
        return max(distance.lsd_db for distance in self.distances)

    @property
    def seam_db(self) -> float | None:
        """Mean roughness of joins over the reference's; None without joins."""
        seams = [distance.seam_db for distance in self.distances if distance.seam_db is not None]
        return float(np.mean(seams)) if seams else None

    @property
    def snr_db(self) -> float | None:
        """Median; None where nothing differs."""
        values = [distance.snr_db for distance in self.distances if distance.snr_db is not None]
        return float(np.median(values)) if values else None

    @property
    def failures(self) -> list[str]:
        """What is beyond the bound, a sentence each."""
        found = []
        if not self.mean_db <= MAX_MEAN_DB:
            found.append(f"mean distance {self.mean_db:.2f} dB, at most {MAX_MEAN_DB:g} is allowed")
        if not self.worst_db <= MAX_WORST_DB:
            found.append(f"worst distance {self.worst_db:.2f} dB, at most {MAX_WORST_DB:g} is allowed")
        if self.seam_db is not None and not self.seam_db <= MAX_SEAM_DB:
            found.append(f"joins {self.seam_db:.1f} dB rougher than whole, at most {MAX_SEAM_DB:g} is allowed")
        return found

    @property
    def passes(self) -> bool:
        """Whether it is within the bound."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured of one model on one machine.

    Attributes:
        windowed: Windows in f32 against whole in f32.
        bf16: Windows in bf16 against windows in f32; None where there is no bf16.
        seeds: Two noise seeds of the whole: how much the model differs from itself.
        voices: The voices of the sample.
        measured_at: ISO 8601, UTC.
        styles: The hash of the styles of each of them, as it was then.
        facts: What bf16 was computed with; see `arithmetic_facts`. What is said of f32 holds elsewhere, too.
        short: As `windowed`, of short texts; None where all were too short for a window.
        version: Of how it is measured.
    """

    windowed: Comparison
    bf16: Comparison | None
    seeds: Comparison
    voices: tuple[str, ...]
    measured_at: str
    styles: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    short: Comparison | None = None
    version: int = VERDICT_VERSION

    @property
    def allows_windows(self) -> bool:
        """Whether windows are the default."""
        return self.windowed.passes

    @property
    def min_frames(self) -> int:
        """What is shorter is decoded whole: the least length from which on short texts are within the bound, too."""
        texts = () if self.short is None else self.short.distances
        lengths = {LENGTHS[0], *(each.num_frames + 1 for each in texts if each.num_frames is not None)}
        return min(length for length in lengths if _passes_from(length, texts))

    @property
    def allows_bf16(self) -> bool:
        """Whether bf16 is the default."""
        return self.bf16 is not None and self.bf16.passes

    def changed_voices(self, styles: Mapping[str, str]) -> list[str]:
        """Voices that have other styles now, or are gone; those that are gone only where all of them are.

        Args:
            styles: The voices there are now, and the hash of the styles of each.
        """
        there = [name for name in self.styles if name in styles]
        return [name for name in there or self.styles if styles.get(name) != self.styles[name]]

    def save(self, folder: Path) -> None:
        """Write `fidelity.json`. Raises OSError."""
        atomic_write(folder / VERDICT_FILE, (json.dumps(self.to_json(), indent=2) + "\n").encode())

    def to_json(self) -> dict[str, Any]:
        """With the bound and the summaries, for people; `read_verdict` needs only the distances."""
        comparisons = [each for each in (self.windowed, self.short, self.bf16, self.seeds) if each is not None]
        return {
            "version": self.version,
            "measured_at": self.measured_at,
            "voices": list(self.voices),
            "styles": dict(self.styles),
            "facts": dict(self.facts),
            "bound": {"mean_db": MAX_MEAN_DB, "worst_db": MAX_WORST_DB, "seam_db": MAX_SEAM_DB},
            "min_frames": self.min_frames,
            "comparisons": {
                each.name: {
                    "passes": each.passes,
                    "mean_db": each.mean_db,
                    "worst_db": each.worst_db,
                    "snr_db": each.snr_db,
                    "seam_db": each.seam_db,
                    "distances": [asdict(distance) for distance in each.distances],
                }
                for each in comparisons
            },
        }


def _passes_from(length: int, texts: Sequence[Distance]) -> bool:
    """Whether texts that are at least so long are within the bound; where there are none, sentences have judged."""
    rest = tuple(each for each in texts if (each.num_frames or 0) >= length)
    return not rest or Comparison("short", rest).passes


def read_verdict(folder: Path) -> Verdict | None:
    """What `fidelity.json` says; None where there is none, or it was measured in another way, or is damaged."""
    try:
        row = json.loads((folder / VERDICT_FILE).read_text(encoding="utf-8"))
        if row["version"] != VERDICT_VERSION or not all(each["distances"] for each in row["comparisons"].values()):
            return None
        found = {
            name: Comparison(name, tuple(Distance(**each) for each in comparison["distances"]))
            for name, comparison in row["comparisons"].items()
        }
        return Verdict(
            found["windowed"],
            found.get("bf16"),
            found["seeds"],
            tuple(row["voices"]),
            str(row["measured_at"]),
            dict(row["styles"]),
            dict(row["facts"]),
            found.get("short"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def distance(reference: Floats, other: Floats, joins: Sequence[int] = ()) -> Distance:
    """Compare two renderings of the same length.

    Args:
        reference: Shape (num_samples,), float.
        other: Likewise.
        joins: Samples where `other` was joined.
    """
    assert reference.shape == other.shape, f"renderings of {reference.shape} and {other.shape}"
    seam_db = seam_excess_db(reference, other, joins) if len(joins) else None
    return Distance(log_spectral_distance_db(reference, other), signal_to_noise_db(reference, other), seam_db)


def signal_to_noise_db(reference: Floats, other: Floats) -> float | None:
    """Power of the reference over that of the difference, in dB; None where there is no difference."""
    noise = float(np.mean((reference.astype(np.float64) - other) ** 2))
    signal = float(np.mean(reference.astype(np.float64) ** 2))
    return None if noise == 0 or signal == 0 else 10 * math.log10(signal / noise)


def log_spectral_distance_db(reference: Floats, other: Floats) -> float:
    """Root mean square over frequency of the difference of log spectra, averaged over frames; in dB.

    Source: A. H. Gray, J. D. Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24 (1976).
    """
    spectra = _spectra(reference), _spectra(other)
    floor = max(float(spectra[0].max()), 1e-12) * 10 ** (FLOOR_DB / 20)
    first, second = (20 * np.log10(np.maximum(each, floor)) for each in spectra)
    return float(np.sqrt(np.mean((first - second) ** 2, axis=1)).mean())


def seam_excess_db(reference: Floats, other: Floats, joins: Sequence[int]) -> float:
    """How much rougher `other` is around its joins than the reference is there, in dB.

    Roughness is the root mean square of the second difference: a step in the signal or in its slope is large in it.
    """
    around = np.concatenate([np.arange(join - SEAM_SAMPLES, join + SEAM_SAMPLES) for join in joins])
    around = around[(around >= 1) & (around < len(reference) - 1)]
    roughness = [float(np.sqrt(np.mean(_second_difference(each)[around - 1] ** 2))) for each in (reference, other)]
    return 20 * math.log10(max(roughness[1], 1e-9) / max(roughness[0], 1e-9))


def _second_difference(signal: Floats) -> NDArray[np.float64]:
    return np.diff(signal.astype(np.float64), n=2)


def _spectra(signal: Floats) -> NDArray[np.float64]:
    """Magnitudes of Hann frames, shape (num_frames, FFT / 2 + 1)."""
    padded = np.pad(signal.astype(np.float64), (0, max(0, FFT - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    return np.abs(np.fft.rfft(frames * np.hanning(FFT), axis=1))
