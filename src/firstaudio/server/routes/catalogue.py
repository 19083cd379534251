"""What can be asked for: voices, models, capabilities."""

from __future__ import annotations

from fastapi import APIRouter, Request

from firstaudio import __version__
from firstaudio.audio.encode import FORMATS, output_rate
from firstaudio.server.openapi import problems
from firstaudio.server.schemas.speech import (
    FORMAT_NAMES,
    PITCH_RANGE,
    SPEED_RANGE,
    Capabilities,
    EngineEntry,
    FormatEntry,
    Limits,
    ModelEntry,
    ModelList,
    VoiceEntry,
    VoiceList,
    WordTiming,
)
from firstaudio.server.service import Service, service_of
from firstaudio.synthesis.casting import unknown_model
from firstaudio.synthesis.synthesizer import DEFAULT_MODEL_NAMES

router = APIRouter(tags=["catalogue"])


@router.get("/v1/audio/voices", summary="List voices", responses=problems(401, 503))
async def list_voices(request: Request) -> VoiceList:
    """Every voice, aliases included; the default engine's first."""
    service = service_of(request)
    service.require_ready()
    return VoiceList(
        voices=[
            VoiceEntry(
                id=voice.id,
                name=voice.name,
                language=voice.language,
                gender=voice.gender,
                engine=engine,
                alias_of=voice.alias_of,
            )
            for engine, voice in service.synthesizer.voices()
        ]
    )


@router.get("/v1/models", summary="List models", responses=problems(401, 503))
async def list_models(request: Request) -> ModelList:
    """Every engine, and the OpenAI names that stand for the default one."""
    return ModelList(data=_models(service_of(request)))


@router.get("/v1/models/{model}", summary="Show a model", responses=problems(401, 404, 503))
async def show_model(request: Request, model: str) -> ModelEntry:
    """One model by its name."""
    models = _models(service_of(request))
    for entry in models:
        if entry.id == model:
            return entry
    raise unknown_model(model, [entry.id for entry in models])


@router.get("/v1/capabilities", summary="Show what this server can do", responses=problems(401, 503))
async def show_capabilities(request: Request) -> Capabilities:
    """Formats, ways of streaming, limits, engines and voices, so that no client needs to guess."""
    service = service_of(request)
    service.require_ready()
    config, infos, voices = service.config, service.synthesizer.infos(), service.synthesizer.voices()
    return Capabilities(
        service="firstaudio",
        version=__version__,
        default_engine=infos[0].name,
        default_voice=config.engine.default_voice,
        formats=[
            FormatEntry(
                name=name,
                media_type=FORMATS[name].media_type,
                sample_rates={info.name: output_rate(name, info.sample_rate) for info in infos},
            )
            for name in FORMAT_NAMES
        ],
        streaming=["audio", "sse", "whole"],
        word_timing=WordTiming(
            supported=any(info.word_timing for info in infos),
            request={"stream_format": "sse", "word_timestamps": True},
            event="speech.audio.words",
        ),
        unknown_fields=config.server.unknown_fields,
        limits=Limits(
            max_input_chars=config.server.max_input_chars,
            max_body_bytes=config.server.max_body_bytes,
            max_streams=config.streaming.max_streams,
            speed=SPEED_RANGE,
            pitch=PITCH_RANGE,
        ),
        engines=[
            EngineEntry(
                name=info.name,
                description=info.description,
                sample_rate=info.sample_rate,
                languages=list(info.languages),
                incremental=info.incremental,
                word_timing=info.word_timing,
                pitch_range=info.pitch_range,
                num_voices=sum(engine == info.name for engine, _ in voices),
            )
            for info in infos
        ],
        voices=[voice.id for _, voice in voices],
    )


def _models(service: Service) -> list[ModelEntry]:
    service.require_ready()
    engines = [info.name for info in service.synthesizer.infos()]
    owners = {name: name for name in engines} | dict.fromkeys(DEFAULT_MODEL_NAMES, engines[0])
    return [ModelEntry(id=name, created=service.started_at, owned_by=owner) for name, owner in owners.items()]
