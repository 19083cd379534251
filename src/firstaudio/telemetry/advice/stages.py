"""What to do about the stage that takes the largest part of the time to first audio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from firstaudio.telemetry.advice.recommendation import (
    LATE_SHARE,
    MIN_REQUESTS,
    Context,
    Gain,
    Recommendation,
    Setting,
    engine_of,
    evidence,
    late,
    severity_of,
)
from firstaudio.telemetry.summary.summary import Summary
from firstaudio.trace import Stage

SHORTEST_FIRST_SEGMENT_S = 0.6
LARGE_SHARE = 0.2
NOTABLE_MS = 20.0

MEANING: Mapping[Stage, str] = {
    "queue": "waiting for a lane, or for the engine's model",
    "text_processing": "reading the request and cutting the text",
    "phonemize": "turning text into phonemes",
    "model_inference": "making audio",
    "audio_conversion": "resampling and encoding",
    "chunk_delivery": "waiting for the client to take what is sent",
}


class _Cure(NamedTuple):
    action: str
    setting: Setting | None = None
    command: str | None = None


def bottleneck(summary: Summary, context: Context) -> Iterator[Recommendation]:
    """One recommendation for the largest stage, where the first audio comes late or took half of its time."""
    stage, mean_ms = summary.bottleneck, summary.ttfa.mean
    if stage is None or mean_ms is None or summary.ttfa.n < MIN_REQUESTS:
        return
    if (late(summary).value or 0.0) <= LATE_SHARE and mean_ms <= summary.target_ms / 2:
        return
    figures = summary.stages[stage]
    stage_ms = figures.ms.mean or 0.0
    if stage == "queue" and _loading_ms(summary) >= stage_ms / 2:
        return  # not too many listeners: `cold_start` says what to do
    cure = cure_of(stage, engine_of(summary, context), context)
    yield Recommendation(
        stage,
        severity_of(summary),
        f"{stage} ({MEANING[stage]}) takes {stage_ms:.0f} of {mean_ms:.0f} ms until the first audio",
        cure.action,
        {
            "stage_mean_ms": round(stage_ms, 1),
            "stage_p95_ms": figures.ms.percentiles.get("p95"),
            "stage_share": round(figures.share, 4),
            "ttfa_mean_ms": round(mean_ms, 1),
            "late_share": None if late(summary).value is None else round(late(summary).value or 0.0, 4),
            **evidence(summary, figures.ms.n),
        },
        Gain(round(stage_ms, 1), "all that the stage takes; no cure brings more"),
        cure.setting,
        cure.command,
    )


def _loading_ms(summary: Summary) -> float:
    """What requests that found the engine cold waited longer, spread over all."""
    cold, warm = summary.by_warmth.get("cold"), summary.by_warmth.get("warm")
    if cold is None or cold.ttfa.mean is None:
        return 0.0
    warm_ms = 0.0 if warm is None else warm.ttfa.mean or 0.0
    return max(0.0, cold.ttfa.mean - warm_ms) * cold.ttfa.n / summary.ttfa.n


def unexplained(summary: Summary, _: Context) -> Iterator[Recommendation]:
    """Time that no stage explains: the request's body, or an event loop that was busy with something else."""
    mean_ms, other_ms = summary.ttfa.mean, summary.other_ms
    if mean_ms is None or other_ms is None or summary.ttfa.n < MIN_REQUESTS:
        return
    if other_ms < NOTABLE_MS or other_ms < LARGE_SHARE * mean_ms:
        return
    yield Recommendation(
        "unexplained",
        severity_of(summary),
        f"{other_ms:.0f} of {mean_ms:.0f} ms until the first audio belong to no stage",
        "let clients send their request in one piece; give the server's process more CPU: it waits between stages",
        {"other_mean_ms": round(other_ms, 1), "ttfa_mean_ms": round(mean_ms, 1), **evidence(summary, summary.ttfa.n)},
        Gain(round(other_ms, 1), "all that no stage explains"),
    )


def cure_of(stage: Stage, engine: str, context: Context) -> _Cure:
    """What helps where a stage takes too long, as the engine and the settings are."""
    if stage == "queue":
        return _queue(engine, context)
    if stage == "phonemize":
        return _phonemize(engine, context)
    if stage == "model_inference":
        return _inference(engine, context)
    return _OTHERS[stage]


_OTHERS: Mapping[Stage, _Cure] = {
    "text_processing": _Cure(
        "send plain text: very long words, markup, tables and many numbers are what costs; then look for other work on "
        "the machine"
    ),
    "audio_conversion": _Cure(
        'ask for response_format "pcm" or "wav": mp3, opus and aac hold the first samples back until a frame is full, '
        "and cost processor time"
    ),
    "chunk_delivery": _Cure(
        "clients or a proxy read too slowly: turn the proxy's buffering off (nginx: proxy_buffering off;), read while "
        "the answer arrives, and compare with a client on this machine"
    ),
}


def _queue(engine: str, context: Context) -> _Cure:
    if engine == "espeak":
        workers = context.config.espeak.num_workers
        more = Setting("espeak.num_workers", min(16, 2 * workers))
        return _Cure(f"raise espeak.num_workers from {workers} to {more.value}, or run another server", more)
    if engine == "synthetic":
        capacity = context.config.synthetic.capacity
        more = Setting("synthetic.capacity", min(64, 2 * capacity))
        return _Cure(f"raise synthetic.capacity from {capacity} to {more.value}: requests wait for a lane", more)
    lanes = f"its {context.infos[engine].num_lanes} lanes" if engine in context.infos else "its lanes"
    return _Cure(
        f"the {engine} engine has more listeners than {lanes} serve at once: run another server behind a load "
        "balancer, or lower streaming.max_streams so that they are told at once"
    )


def _phonemize(engine: str, context: Context) -> _Cure:
    if engine == "kokoro" and any(why.startswith("misaki") for why in _report(context).get("g2p", {}).values()):
        setting = Setting("kokoro.g2p", "espeak")
        return _Cure("set kokoro.g2p to espeak: misaki pronounces English better and takes longer", setting)
    if engine == "synthetic" and context.config.synthetic.slow_stage == "phonemize":
        return _Cure("set synthetic.slow_stage to none: it is slow on purpose", Setting("synthetic.slow_stage", "none"))
    return _Cure(
        "look for other work on the machine, or for a worker that is started again and again: espeak-ng pronounces a "
        "clause in less than a millisecond"
    )


def _inference(engine: str, context: Context) -> _Cure:
    if (streaming := _streaming(context)) is not None:
        return streaming
    if engine == "kokoro":
        return _kokoro(context)
    if engine == "synthetic" and context.config.synthetic.slow_stage == "model_inference":
        return _Cure("set synthetic.slow_stage to none: it is slow on purpose", Setting("synthetic.slow_stage", "none"))
    return _shorter(engine, context) or _Cure(
        f"take a faster engine than {engine}, or give it more of the processor; "
        "`firstaudio bench capacity` tells what it carries here",
        command="firstaudio bench capacity",
    )


def _streaming(context: Context) -> _Cure | None:
    """Settings that make an answer begin with more than it must."""
    streaming = context.config.streaming
    if not streaming.incremental_generation:
        key = "streaming.incremental_generation"
        return _Cure(f"set {key} to true: segments need not be whole to be sent", Setting(key, True))
    if not streaming.fast_path_enabled:
        key = "streaming.fast_path_enabled"
        return _Cure(f"set {key} to true: answers begin with a short segment", Setting(key, True))
    return None


def _kokoro(context: Context) -> _Cure:
    """By what the engine tells of its choices."""
    report = _report(context)
    if report.get("decode") == "whole" and not report.get("cut_problem") and context.config.kokoro.decode != "whole":
        return _Cure(
            f"run `firstaudio models optimize`: clauses are decoded whole ({report.get('decode_reason')})",
            command="firstaudio models optimize",
        )
    if context.config.kokoro.decode == "whole":
        return _Cure("set kokoro.decode to auto: audio leaves in windows", Setting("kokoro.decode", "auto"))
    runtimes = report.get("runtimes", ())
    if runtimes and not any(name.startswith("openvino") or "cuda" in name for name in runtimes):
        return _Cure(
            f"install the extra openvino, or a GPU runtime: {', '.join(runtimes)} runs the model",
            command="pip install 'firstaudio[openvino]'",
        )
    return _shorter("kokoro", context) or _Cure(
        "the model is what takes the time: a machine with AMX or a GPU, or the espeak engine, begins sooner"
    )


def _report(context: Context) -> Mapping[str, Any]:
    return context.reports.get("kokoro", {})


def _shorter(engine: str, context: Context) -> _Cure | None:
    """A shorter first segment, for an engine to which its length matters."""
    seconds, info = context.config.streaming.first_segment_s, context.infos.get(engine)
    if seconds <= SHORTEST_FIRST_SEGMENT_S or (info is not None and info.incremental and not info.expected_startup_rtf):
        return None
    return _Cure(
        f"lower streaming.first_segment_s from {seconds:g} to {SHORTEST_FIRST_SEGMENT_S:g}: an answer begins when its "
        "first segment is made",
        Setting("streaming.first_segment_s", SHORTEST_FIRST_SEGMENT_S),
    )
