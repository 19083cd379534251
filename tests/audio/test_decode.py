import io

import av
import numpy as np
import pytest
import soundfile

from firstaudio.audio.decode import decode


def saved(pcm: np.ndarray, kind: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, pcm, 16000, format=kind, subtype=subtype)
    return file.getvalue()


def test_samples_of_16_bits_come_as_they_are() -> None:
    pcm = np.arange(-500, 500, dtype=np.int16)
    decoded, rate = decode(saved(pcm, "WAV"))
    assert (16000, np.dtype(np.int16)) == (rate, decoded.dtype)
    assert np.array_equal(pcm, decoded)


def test_other_samples_come_as_floats() -> None:
    pcm = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)
    decoded, _ = decode(saved(pcm, "WAV", "FLOAT"), "wav")
    assert np.dtype(np.float32) == decoded.dtype
    assert np.allclose(pcm, decoded)


def test_stereo_is_mixed_to_mono() -> None:
    stereo = np.stack([np.full(1000, 0.25), np.full(1000, 0.5)], axis=1)
    decoded, _ = decode(saved(stereo, "WAV", "FLOAT"))
    assert (len(decoded), np.allclose(decoded, 0.375, atol=0.01)) == (1000, True)


def test_headerless_samples_must_be_named() -> None:
    decoded, rate = decode(b"\x01\x00\xfe\xff\x07", "pcm")
    assert (decoded.tolist(), rate) == ([1, -2], 24000)


@pytest.mark.parametrize("data", [b"", b"not audio at all" * 20])
@pytest.mark.parametrize("name", [None, "wav", "mp3", "opus", "aac", "flac"])
def test_what_is_not_audio_is_refused(data: bytes, name: str | None) -> None:
    with pytest.raises(ValueError, match="the data"):
        decode(data, name)


def test_a_file_without_an_audio_stream_is_refused() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 16, 16
        frame = av.VideoFrame(16, 16, "yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match="no audio stream"):
        decode(file.getvalue())
