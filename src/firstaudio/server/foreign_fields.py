"""What to send in the place of a field that nobody here knows: other systems' names for ours, and near misses."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from types import MappingProxyType

LEAVE_OUT = "leave it out"

# By the name that another system gives the field. Kokoro-FastAPI's stand in docs/coming-from-kokoro-fastapi.md.
FOREIGN_FIELDS = MappingProxyType(
    {
        "lang_code": "use language",
        "language_code": "use language",
        "locale": "use language",
        "voice_id": "use voice",
        "voice_name": "use voice",
        "speaker": "use voice",
        "model_id": "use model",
        "engine": "use model",
        "prompt": "use input",
        "download_format": "use response_format",
        "output_format": "use response_format",
        "audio_format": "use response_format",
        "rate": "use speed",
        "speed_factor": "use speed",
        "streaming": "use stream",
        "return_timestamps": "use word_timestamps, with stream_format sse",
        "timestamps": "use word_timestamps, with stream_format sse",
        "return_download_link": f"{LEAVE_OUT}: the answer is the audio, whole with stream false",
        "normalization_options": f"{LEAVE_OUT}: the text is always made speakable, and there is nothing to choose",
        "volume_multiplier": f"{LEAVE_OUT} and set the volume where it is played",
        "volume": f"{LEAVE_OUT} and set the volume where it is played",
        "sample_rate": f"{LEAVE_OUT}: the header X-Sample-Rate tells it, and pcm has 24000 Hz",
    }
)


def advice_for(name: str, known: Collection[str]) -> str:
    """What to do about an unknown field.

    Args:
        name: As the client wrote it.
        known: The fields that there are.

    Returns:
        The rest of a sentence: "use language".
    """
    if found := FOREIGN_FIELDS.get(name.lower()):
        return found
    near = get_close_matches(name[:40].lower(), known, n=1, cutoff=0.75)
    return f"did you mean {near[0]}? Else {LEAVE_OUT}" if near else LEAVE_OUT
