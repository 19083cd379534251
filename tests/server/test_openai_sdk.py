"""OpenAI's own client, unchanged, against the running server."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from firstaudio.audio.decode import decode

TEXT = "Hello world! This is speech."
FORMATS = ["mp3", "opus", "aac", "flac", "wav", "pcm"]


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("name", FORMATS)
def test_plain_and_streaming_give_audio_in_every_format(client: openai.OpenAI, name: Any):
    wish: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": name}
    plain = client.audio.speech.create(**wish).content
    with client.audio.speech.with_streaming_response.create(**wish) as response:
        streamed = b"".join(response.iter_bytes())
    pcm, _ = decode(plain, name)
    assert np.abs(pcm).max() > 0
    np.testing.assert_array_equal(pcm, decode(streamed, name)[0])


def test_audio_can_be_written_to_a_file_while_it_arrives(client: openai.OpenAI, tmp_path: Any):
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input=TEXT) as response:
        response.stream_to_file(tmp_path / "speech.mp3")
    assert len(decode((tmp_path / "speech.mp3").read_bytes(), "mp3")[0])


def test_events_can_be_read(client: openai.OpenAI):
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input=TEXT, stream_format="sse"
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[0].startswith('data: {"type":"speech.audio.delta"')
    assert lines[-1].startswith('data: {"type":"speech.audio.done"')


def test_errors_become_the_clients_own_exceptions(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as wrong:
        client.audio.speech.create(model="tts-1", voice="nobody", input=TEXT)
    assert (wrong.value.code, wrong.value.param) == ("unknown_voice", "voice")
    with pytest.raises(openai.NotFoundError):
        client.audio.speech.create(model="gpt-9", voice="alloy", input=TEXT)


def test_models_can_be_listed_and_shown(client: openai.OpenAI):
    names = [model.id for model in client.models.list()]
    assert "tts-1" in names
    assert client.models.retrieve(names[0]).id == names[0]


def test_a_key_is_accepted_and_a_wrong_one_is_an_authentication_error(tools: Any):
    with tools.run(tools.settings(api_keys=("right",))) as running:
        for key in ("right", "wrong"):
            with openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0) as client:
                if key == "right":
                    assert client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT).content
                else:
                    with pytest.raises(openai.AuthenticationError):
                        client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT)
