"""The settings themselves: one dataclass per section, one `Annotated` field per setting.

A field states its type, its limits (`annotated_types`), its sentence of documentation and its default; everything
else (file keys, environment names, flags, `docs/configuration.md`) is made from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

from firstaudio.config.every import parse_every
from firstaudio.config.url import parse_url
from firstaudio.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Help:
    """The sentence that documents a setting everywhere.

    Attributes:
        text: What the setting does, with its unit.
        secret: Whether the value is hidden wherever settings are shown.
    """

    text: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Section `[server]`; its flags carry no section name: `--port`."""

    host: Annotated[str, Help("address to listen on")] = "127.0.0.1"
    port: Annotated[int, Ge(0), Le(65535), Help("port to listen on; 0 takes a free one")] = 8000
    api_keys: Annotated[
        tuple[str, ...], Help("accepted API keys, comma-separated; none: no key is asked for", secret=True)
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...], Help("origins that browsers may call from, comma-separated, or *; none: CORS is off")
    ] = ()
    max_input_chars: Annotated[int, Ge(1), Help("longest text of one request, in characters")] = 50_000
    max_body_bytes: Annotated[int, Ge(1024), Help("largest request body, in bytes")] = 1_048_576
    body_timeout_s: Annotated[float, Gt(0), Help("how long a request body may take to arrive, in seconds")] = 30.0
    unknown_fields: Annotated[
        Literal["reject", "ignore"],
        Help("what to do with request fields that nobody knows; ignored ones are named in a header"),
    ] = "reject"
    drain_timeout_s: Annotated[float, Ge(0), Help("how long running streams may go on after SIGTERM, in seconds")] = (
        30.0
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Help("log level")] = "info"
    log_format: Annotated[Literal["text", "json"], Help("lines for people, or one JSON object a line")] = "text"


@dataclass(frozen=True, slots=True)
class StreamingConfig:
    """Section `[streaming]`: how speech is cut and paced."""

    first_chunk_target_ms: Annotated[
        int, Ge(1), Le(60_000), Help("deadline of a stream that has sent nothing: arrival plus this")
    ] = 200
    min_chunk_size_ms: Annotated[int, Ge(1), Le(1000), Help("shortest chunk on the wire, but for the last one")] = 50
    max_chunk_size_ms: Annotated[int, Ge(10), Le(10_000), Help("longest chunk on the wire")] = 200
    target_buffer_ms: Annotated[
        int,
        Ge(0),
        Le(10_000),
        Help("safety margin: the scheduler works towards this much audio in the listener's buffer"),
    ] = 150
    fast_path_enabled: Annotated[
        bool, Help("begin with a short first segment and let segments grow; off: segments of equal size")
    ] = True
    incremental_generation: Annotated[
        bool, Help("send audio while a segment is still being synthesised; off: whole segments only")
    ] = True
    first_segment_s: Annotated[
        float,
        Ge(0.2),
        Le(6),
        Help("shortest first segment, in seconds of speech; below 0.6 voices lose their prosody"),
    ] = 0.6
    max_lead_s: Annotated[
        float,
        Gt(0),
        Le(3600),
        Help("audio that waits unread for a slow client before its stream is parked, in seconds"),
    ] = 10.0
    max_segment_chars: Annotated[int, Ge(40), Le(5000), Help("longest segment, in characters")] = 400
    max_streams: Annotated[int, Ge(1), Help("streams of one engine at the same time; one more is refused with 429")] = (
        256
    )
    max_wait_ms: Annotated[
        int, Ge(1), Help("predicted wait for first audio from which on a request is refused with 429 instead")
    ] = 2000
    max_utilization: Annotated[
        float,
        Gt(0),
        Le(1),
        Help("share of the engine's measured speed that may be promised to listeners before new ones are refused"),
    ] = 0.95

    def __post_init__(self) -> None:
        if self.min_chunk_size_ms * 2 > self.max_chunk_size_ms:
            # Any longer stretch can then be cut into pieces within the bounds.
            raise ConfigError(
                "streaming.max_chunk_size_ms must be at least twice streaming.min_chunk_size_ms, "
                f"got {self.max_chunk_size_ms} and {self.min_chunk_size_ms}"
            )


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Section `[engine]`: which engines run; the first is the default."""

    names: Annotated[
        tuple[str, ...], MinLen(1), Help("engines to start, comma-separated; the first is the default one")
    ] = ("espeak",)
    default_voice: Annotated[str, Help("voice of requests that name none")] = "af_heart"
    failover: Annotated[
        bool,
        Help(
            "let the next engine of engine.names speak while one before it starts or after it has failed; answers say "
            "so in the header X-Failover; off: such requests are refused"
        ),
    ] = False

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise ConfigError(f"engine.names lists an engine twice: {', '.join(self.names)}")


@dataclass(frozen=True, slots=True)
class EspeakConfig:
    """Section `[espeak]`."""

    num_workers: Annotated[int, Ge(1), Le(16), Help("espeak-ng worker processes")] = 2
    library: Annotated[str, Help("path of libespeak-ng; empty: the wheel's, else the system's")] = ""
    step_timeout_s: Annotated[float, Gt(0), Help("a worker silent for longer is replaced, in seconds")] = 10.0


@dataclass(frozen=True, slots=True)
class KokoroConfig:
    """Section `[kokoro]`: the neural engine."""

    model: Annotated[
        str, Help("path of the ONNX file; empty: the one that `firstaudio models pull kokoro` fetched")
    ] = ""
    voices: Annotated[str, Help("path of the voices file; empty: the one beside the model")] = ""
    decode: Annotated[
        Literal["auto", "windowed", "whole"],
        Help(
            "windowed: audio leaves in windows of some 0.3 to 1.2 s; whole: clause by clause; auto: windowed where "
            "`firstaudio models optimize` found it faithful"
        ),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "f32", "bf16"],
        Help("arithmetic of windows; auto: bf16 where the processor has it and `models optimize` found it faithful"),
    ] = "auto"
    runtimes: Annotated[
        tuple[str, ...],
        MinLen(1),
        Help(
            "what decodes windows, comma-separated, such as onnxruntime-cpu, openvino-cpu, onnxruntime-cuda; auto: the "
            "fastest that was measured on this machine; all else runs on onnxruntime-cpu"
        ),
    ] = ("auto",)
    num_threads: Annotated[int, Ge(0), Le(256), Help("threads of one step; 0: one for each physical core")] = 0
    g2p: Annotated[
        Literal["auto", "espeak", "misaki"],
        Help("what turns text into phonemes; auto: misaki where it is installed for the language, else espeak"),
    ] = "auto"
    unload_after_s: Annotated[
        float, Ge(0), Help("free the model's memory when nobody has spoken for so long, in seconds; 0: never")
    ] = 0.0


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Section `[model]`: where model files come from and lie."""

    folder: Annotated[str, Help("folder of model files and what is made from them; empty: the user's cache folder")] = (
        ""
    )
    url: Annotated[
        str, Help("where `models pull` finds the release files: http(s):// or file://; empty: the official release")
    ] = ""


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """Section `[synthetic]`: an engine with stated figures, for demonstration and tests."""

    ttfa_ms: Annotated[float, Ge(0), Help("time from a segment's start to its first step, in ms")] = 50.0
    rtf: Annotated[float, Ge(0), Help("seconds of work per second of audio")] = 0.1
    capacity: Annotated[int, Ge(1), Le(64), Help("lanes: steps at the same time")] = 2
    step_ms: Annotated[float, Gt(0), Help("audio of one step, in ms")] = 100.0
    failure_rate: Annotated[float, Ge(0), Le(1), Help("share of segments that fail")] = 0.0
    fail_at_step: Annotated[int, Ge(0), Help("step at which a failing segment fails")] = 0
    seed: Annotated[int, Ge(0), Help("seed of noise and failures")] = 0
    sample_rate: Annotated[int, Ge(8000), Le(48000), Help("sample rate in Hz")] = 24_000
    char_s: Annotated[float, Gt(0), Help("audio of one character, in seconds")] = 0.06
    slow_stage: Annotated[
        Literal["none", "phonemize", "model_inference"], Help("stage that takes slow_ms longer, to be found out")
    ] = "none"
    slow_ms: Annotated[float, Ge(0), Le(60_000), Help("what slow_stage takes more in each segment, in ms")] = 0.0


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """Section `[cache]`: first segments that were spoken before, and what is warmed."""

    max_mb: Annotated[
        float, Ge(0), Le(65_536), Help("memory for the audio of first segments, in MB; 0: nothing is kept")
    ] = 64.0
    share_running: Annotated[
        bool, Help("let requests that ask for the same segment at the same time share one synthesis")
    ] = True
    warm_up: Annotated[
        bool, Help("speak to nobody when the server starts, until an answer costs no more than a later one")
    ] = True
    warm_voices: Annotated[
        int, Ge(0), Le(64), Help("voices that are warmed at the start: those that were asked for most")
    ] = 4
    phrases: Annotated[
        str, Help("file with a phrase per line that is spoken into the cache at the start; empty: none")
    ] = ""


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """Section `[telemetry]`: what is kept of every request, and what it is held to."""

    enabled: Annotated[bool, Help("keep measurements of requests")] = True
    state_folder: Annotated[
        str, Help("folder of measurements, benchmarks and decisions; empty: the user's state folder")
    ] = ""
    max_rows: Annotated[int, Ge(100), Le(10_000_000), Help("measurements that are kept at most")] = 100_000
    max_age_days: Annotated[float, Gt(0), Help("measurements that are older are deleted, in days")] = 30.0
    ttfa_target_ms: Annotated[float, Gt(0), Help("time to first audio that a request should meet, in ms")] = 800.0
    otlp_endpoint: Annotated[
        str, Help("where OpenTelemetry traces are sent, as http://localhost:4318/v1/traces; empty: nowhere")
    ] = ""
    webhook_url: Annotated[str, Help("where critical alerts are posted as JSON; empty: nowhere", secret=True)] = ""

    def __post_init__(self) -> None:
        if self.webhook_url:
            parse_url("telemetry.webhook_url", self.webhook_url)
        if self.otlp_endpoint:
            parse_url("telemetry.otlp_endpoint", self.otlp_endpoint)


@dataclass(frozen=True, slots=True)
class TunerConfig:
    """Section `[tuner]`: experiments with settings while the server runs."""

    enabled: Annotated[bool, Help("look for settings that are worth trying, and try them when asked to")] = True
    experiment: Annotated[
        bool,
        Help("try settings on part of the traffic without being asked; tuner.apply and tuner.idle_traffic imply it"),
    ] = False
    apply: Annotated[bool, Help("keep what an experiment found to be better; off: recommend it")] = False
    idle_traffic: Annotated[bool, Help("speak texts of its own while nobody listens, to have something to measure")] = (
        False
    )
    interval_s: Annotated[float, Gt(0), Help("how often it looks at the measurements, in seconds")] = 60.0
    cool_down_s: Annotated[float, Ge(0), Help("pause after an experiment, in seconds")] = 600.0
    max_pairs: Annotated[
        int, Ge(20), Le(500), Help("pairs of answers after which an experiment is judged for the last time")
    ] = 120
    max_experiment_s: Annotated[float, Gt(0), Help("longest experiment, in seconds")] = 3600.0


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Section `[schedule]`: benchmarks that the server starts by itself."""

    every: Annotated[
        str,
        Help('hourly, daily, weekly, monthly, or a number of seconds as text ("900"); off: no scheduled benchmarks'),
    ] = "off"
    benchmark: Annotated[Literal["ttfa", "streaming", "full"], Help("what is run")] = "ttfa"
    only_idle: Annotated[bool, Help("wait until nobody is listening")] = True
    keep: Annotated[int, Ge(1), Le(10_000), Help("runs whose results are kept")] = 100
    webhook_url: Annotated[str, Help("where the result of each run is posted as JSON; empty: nowhere", secret=True)] = (
        ""
    )

    def __post_init__(self) -> None:
        parse_every("schedule.every", self.every)
        if self.webhook_url:
            parse_url("schedule.webhook_url", self.webhook_url)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration.

    Attributes:
        origins: Where each value came from, by key (`server.port`); a key that is not there has its default.
    """

    server: ServerConfig = field(default_factory=ServerConfig)
    streaming: StreamingConfig = field(default_factory=StreamingConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    espeak: EspeakConfig = field(default_factory=EspeakConfig)
    kokoro: KokoroConfig = field(default_factory=KokoroConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    tuner: TunerConfig = field(default_factory=TunerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
