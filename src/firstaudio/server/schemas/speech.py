"""What goes over the wire as JSON: the speech request and the documents that the server answers with."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from firstaudio.engines.base import Decode

FormatName = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)
SPEED_RANGE = (0.25, 4.0)
PITCH_RANGE = (0.5, 2.0)
MAX_NAME_CHARS = 128

Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]
Speed = Annotated[float, Field(ge=SPEED_RANGE[0], le=SPEED_RANGE[1], allow_inf_nan=False)]
Pitch = Annotated[float, Field(ge=PITCH_RANGE[0], le=PITCH_RANGE[1], allow_inf_nan=False)]


class VoiceReference(BaseModel):
    """OpenAI's second way to name a voice."""

    model_config = ConfigDict(strict=True)

    id: Name = Field(description="A voice id.")


class SpeechRequest(BaseModel):
    """OpenAI's CreateSpeechRequest, the short names `text`, `lang`, `format` and `stream`, and our extensions.

    A field that is null counts as not given. Unknown fields are kept in `model_extra`; the configuration says
    whether they are refused.
    """

    model_config = ConfigDict(
        strict=True,
        extra="allow",
        json_schema_extra={
            "additionalProperties": False,
            "anyOf": [
                {"required": ["input"], "properties": {"input": {"type": "string"}}},
                {"required": ["text"], "properties": {"text": {"type": "string"}}},
            ],
            "examples": [
                {"model": "tts-1", "input": "Hello world!", "voice": "alloy"},
                {"text": "Hello world!", "voice": "af_heart", "speed": 1.0, "format": "wav"},
                {"input": "Hello world!", "stream_format": "sse", "response_format": "pcm", "word_timestamps": True},
            ],
        },
    )

    input: str | None = Field(None, description="The text to speak.")
    text: str | None = Field(None, description="Short for `input`.")
    model: Name | None = Field(None, description="A name of `GET /v1/models`; without one the default engine speaks.")
    voice: Name | VoiceReference | None = Field(
        None, description="A voice id of `GET /v1/audio/voices`; without one the configured default voice speaks."
    )
    language: Name | None = Field(None, description="BCP-47 tag; without one the voice's own language.")
    lang: Name | None = Field(None, description="Short for `language`.")
    instructions: str | None = Field(
        None, description="Accepted for compatibility. No engine can follow it, so X-Ignored-Fields names it."
    )
    response_format: FormatName | None = Field(
        None, description="Audio format, mp3 unless given. `pcm` is 16-bit little-endian mono at 24 kHz."
    )
    format: FormatName | None = Field(None, description="Short for `response_format`.")
    speed: Speed | None = Field(None, description="Speaking rate; 1.0 is natural.")
    pitch: Pitch | None = Field(None, description="Pitch factor; 1.0 is natural. Not every engine can change it.")
    decode: Decode | None = Field(
        None,
        description=(
            "`windowed` sends audio from within a segment, `whole` only whole segments; `auto` (default) leaves it to "
            "the engine and the configuration. `windowed` is refused where the engine cannot."
        ),
    )
    stream_format: Literal["audio", "sse"] | None = Field(
        None,
        description=(
            "`audio` (default) sends the audio itself, `sse` server-sent events. As at OpenAI, the models tts-1 and "
            "tts-1-hd know no `sse`: they send audio, and X-Ignored-Fields names the field."
        ),
    )
    stream: bool | None = Field(
        None, description="false: the whole audio at once, with Content-Length and true sizes in a WAV header."
    )
    word_timestamps: bool | None = Field(
        None, description="Send the time of every word; needs `stream_format` `sse`. Times count from the first sample."
    )


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str = Field(description="What is wrong and what to do next.")
    type: str = Field(description="Whose fault it is.", examples=["invalid_request_error"])
    param: str | None = Field(description="The field at fault, if one is.", examples=["speed"])
    code: str = Field(description="A stable name of the error.", examples=["unknown_voice"])


class ErrorEnvelope(BaseModel):
    """Every error response."""

    error: ErrorDetail


class AudioDelta(BaseModel):
    """The next piece of audio."""

    type: Literal["speech.audio.delta"]
    audio: str = Field(description="Base64; decoded and joined, the deltas are one file in `response_format`.")


class TimedWord(BaseModel):
    """One word and its time."""

    text: str = Field(description="As it stands in the text that was sent.")
    start_char: int = Field(description="First character in the text that was sent, from 0.")
    end_char: int = Field(description="One past the last character.")
    start_s: float = Field(description="From the first sample of the speech, in seconds.")
    end_s: float | None


class AudioWords(BaseModel):
    """The words that the next delta brings; sent on request."""

    type: Literal["speech.audio.words"]
    words: list[TimedWord]


class Usage(BaseModel):
    """OpenAI demands it, but no engine here counts tokens."""

    input_tokens: int = Field(description="Characters of the text.")
    output_tokens: int = Field(description="20 ms frames of audio, rounded up.")
    total_tokens: int = Field(description="The sum.")


class AudioDone(BaseModel):
    """The end of a complete speech."""

    type: Literal["speech.audio.done"]
    usage: Usage


class AudioError(BaseModel):
    """The end of a speech that is not complete."""

    type: Literal["speech.audio.error"]
    error: ErrorDetail


SpeechEvent = Annotated[AudioDelta | AudioWords | AudioDone | AudioError, Field(discriminator="type")]


class EngineHealth(BaseModel):
    """Whether one engine can speak."""

    name: str
    state: Literal["starting", "ready", "resting", "failed"]
    progress: float = Field(ge=0, le=1, description="Share of its start that is done.")
    message: str = Field(description="What it is doing, or why it cannot speak.")


class HealthReport(BaseModel):
    """Whether the server can speak."""

    status: Literal["starting", "ready", "failed", "draining", "closed"]
    progress: float = Field(ge=0, le=1, description="Share of the start of all engines that is done.")
    message: str
    version: str
    engines: list[EngineHealth] = Field(description="Every engine, the default one first.")


class ServiceCard(BaseModel):
    """What answers here, and where to read on."""

    service: str
    version: str
    links: dict[str, str]


class VoiceEntry(BaseModel):
    """One voice."""

    id: str = Field(description="The name that requests use.")
    name: str = Field(description="The name for people.")
    language: str = Field(description="BCP-47 tag of the language that it speaks unless a request names another.")
    gender: str
    engine: str
    alias_of: str | None = Field(description="The voice that really speaks, when `id` is another name for it.")


class VoiceList(BaseModel):
    """Every voice of every engine."""

    voices: list[VoiceEntry]


class ModelEntry(BaseModel):
    """One name that `model` may take, in OpenAI's shape."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When this server started, in seconds since 1970.")
    owned_by: str = Field(description="The engine that speaks.")


class ModelList(BaseModel):
    """Every name that `model` may take, in OpenAI's shape."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class FormatEntry(BaseModel):
    """One audio format."""

    name: FormatName
    media_type: str
    sample_rates: dict[str, int] = Field(description="Sample rate in Hz of the audio of each engine.")


class Limits(BaseModel):
    """What a request may ask for at the most."""

    max_input_chars: int
    max_body_bytes: int
    max_streams: int = Field(description="Streams of one engine at the same time.")
    speed: tuple[float, float]
    pitch: tuple[float, float]


class EngineEntry(BaseModel):
    """One engine that is ready."""

    name: str
    description: str
    sample_rate: int = Field(description="Native rate in Hz.")
    languages: list[str]
    incremental: bool = Field(description="Whether audio leaves before a segment is complete.")
    word_timing: bool
    pitch_range: tuple[float, float] | None
    num_voices: int


class WordTiming(BaseModel):
    """Whether and how word times can be had."""

    supported: bool
    request: dict[str, str | bool] = Field(description="The fields that ask for them.")
    event: str = Field(description="The event that carries them.")


class Capabilities(BaseModel):
    """What this server can do."""

    service: str
    version: str
    default_engine: str
    default_voice: str
    formats: list[FormatEntry]
    streaming: list[str] = Field(
        description="Kinds of delivery: audio, sse (`stream_format`), whole (`stream`: false)."
    )
    word_timing: WordTiming
    unknown_fields: Literal["reject", "ignore"]
    limits: Limits
    engines: list[EngineEntry]
    voices: list[str] = Field(description="Voice ids; GET /v1/audio/voices tells more of each.")
