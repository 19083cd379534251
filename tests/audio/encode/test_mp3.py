import io

import av
import numpy as np
import pytest

from firstaudio.audio.encode import encode_to, make_encoder
from firstaudio.audio.encode.mp3 import ENCODER_DELAY, info_frame, samples_per_frame


def headers(sample_rate: int) -> bytes:
    encoder = make_encoder("mp3", sample_rate)
    return (encoder.push(np.zeros(sample_rate, np.int16)) + encoder.finish())[:4]


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
def test_the_info_frame_is_a_frame_like_those_that_follow(sample_rate: int) -> None:
    encoder = make_encoder("mp3", sample_rate)
    data = encoder.push(np.zeros(sample_rate // 2, np.int16)) + encoder.finish()
    size = len(info_frame(data[:4]))
    assert data[:2] == data[size : size + 2]
    with av.open(io.BytesIO(data)) as container:
        assert sample_rate == container.streams.audio[0].codec_context.sample_rate


def test_the_info_frame_states_the_delay_behind_the_encoders_name() -> None:
    frame = info_frame(headers(24000), num_frames=10, num_bytes=2000, padding=321)
    at = frame.index(b"Info")
    assert tuple(int.from_bytes(frame[at + i : at + i + 4], "big") for i in (4, 8, 12)) == (3, 10, 2000)
    delays = int.from_bytes(frame[at + 16 + 21 : at + 16 + 24], "big")
    assert (frame[at + 16 : at + 20], delays >> 12, delays & 0xFFF) == (b"LAME", ENCODER_DELAY, 321)


def test_a_file_states_its_lengths() -> None:
    file = io.BytesIO()
    encode_to("mp3", 24000, [np.zeros(24000, np.int16)], file)
    data = file.getvalue()
    at = data.index(b"Info")
    num_frames = int.from_bytes(data[at + 8 : at + 12], "big")
    assert len(data) == int.from_bytes(data[at + 12 : at + 16], "big")
    assert num_frames * samples_per_frame(data) >= 24000 + ENCODER_DELAY
