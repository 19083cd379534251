"""Every format, decoded by a decoder that is not ours: libsndfile where it can, FFmpeg where it cannot."""

import gc
import io
import subprocess
import sys
import time
import wave

import numpy as np
import psutil
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from firstaudio.audio.chunk import Pcm, to_float32, to_int16
from firstaudio.audio.decode import decode
from firstaudio.audio.encode import FORMATS, FileEncoder, encode_to, make_encoder, output_rate, preload
from firstaudio.audio.onset import find_onset
from firstaudio.errors import UnknownFormatError

RATES = [16000, 22050, 24000]
ONSET_S = 0.1
MP3_PRIMING = 576 + 529


def utterance(rate: int, duration_s: float = 0.6) -> Pcm:
    """Silence, then a chirp that begins abruptly and goes on to the last sample; no round length."""
    time = np.arange(round(duration_s * rate) + 77) / rate
    chirp = np.cos(2 * np.pi * (300 * time + 2500 * time**2))
    return np.where(time < ONSET_S, 0, 9000 * chirp).astype(np.int16)


def streamed(name: str, rate: int, pcm: Pcm, cuts: list[int] | None = None) -> bytes:
    encoder = make_encoder(name, rate)
    places = range(0, len(pcm), rate // 20) if cuts is None else sorted(cuts)
    pieces = np.split(pcm, [place for place in places if 0 < place < len(pcm)])
    return b"".join([*(encoder.push(piece) for piece in pieces), encoder.finish()])


def filed(name: str, rate: int, pcm: Pcm) -> bytes:
    file = io.BytesIO()
    encode_to(name, rate, np.array_split(pcm, 5), file)
    return file.getvalue()


def sndfile(data: bytes) -> tuple[Pcm, int]:
    """By libsndfile (libFLAC, libopus, mpg123)."""
    return soundfile.read(io.BytesIO(data), dtype="float32")


def at_rate(pcm: Pcm, rate: int, wanted_rate: int) -> Pcm:
    """The source at another rate, by a resampler that is not ours."""
    return to_float32(pcm) if rate == wanted_rate else soxr.resample(to_float32(pcm), rate, wanted_rate)


def lag(decoded: Pcm, source: Pcm) -> int:
    """By how many samples the decoded audio comes later than the source."""
    return int(np.argmax(correlate(to_float32(decoded), source))) - len(source) + 1


# Lossless: the very samples.


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    ("name", "encode", "decoder"),
    [
        ("wav", streamed, sndfile),
        ("wav", filed, sndfile),
        ("flac", streamed, decode),  # libsndfile cannot read flac of unknown length
        ("flac", filed, sndfile),
    ],
)
def test_lossless_formats_give_the_very_samples(name: str, encode, decoder, rate: int) -> None:
    pcm = utterance(rate)
    decoded, decoded_rate = decoder(encode(name, rate, pcm))
    assert rate == decoded_rate
    assert np.array_equal(pcm, to_int16(decoded))


def test_pcm_is_the_samples_and_nothing_else() -> None:
    pcm = utterance(24000)
    assert pcm.astype("<i2").tobytes() == streamed("pcm", 24000, pcm)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_pcm_is_24_khz_whatever_the_source(rate: int) -> None:
    pcm = utterance(rate)
    decoded, decoded_rate = decode(streamed("pcm", rate, pcm), "pcm")
    assert (24000, round(len(pcm) * 24000 / rate)) == (decoded_rate, len(decoded))
    assert lag(decoded, at_rate(pcm, rate, 24000)) == 0


# Lossy: aligned to the sample, within the delay that the format states.


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    ("name", "encode", "decoder", "delay"),
    [
        ("opus", streamed, sndfile, 0),
        ("opus", filed, sndfile, 0),
        ("opus", streamed, decode, 0),
        ("mp3", filed, sndfile, 0),
        ("mp3", streamed, decode, 0),
        ("mp3", streamed, sndfile, MP3_PRIMING),
        ("aac", streamed, decode, FORMATS["aac"].delay_samples),
    ],
)
def test_lossy_formats_are_late_by_their_stated_delay(name, encode, decoder, delay: int, rate: int) -> None:
    pcm = utterance(rate)
    decoded, decoded_rate = decoder(encode(name, rate, pcm))
    source = at_rate(pcm, rate, decoded_rate)
    assert abs(lag(decoded, source) - delay) <= 1
    onset = find_onset(decoded, decoded_rate)
    assert onset is not None
    assert abs((onset - delay) / decoded_rate - ONSET_S) < 0.006
    assert len(decoded) >= len(source) + delay - 1


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("name", "encode"), [("opus", streamed), ("opus", filed), ("mp3", filed)])
def test_where_the_format_can_state_it_the_length_is_exact(name, encode, rate: int) -> None:
    pcm = utterance(rate)
    decoded, decoded_rate = sndfile(encode(name, rate, pcm))
    assert abs(len(decoded) - len(pcm) * decoded_rate / rate) <= 1


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("encode", [streamed, filed])
@pytest.mark.parametrize("name", FORMATS)
def test_the_last_50_ms_are_heard(name: str, encode, rate: int) -> None:
    pcm = utterance(rate)
    decoded, decoded_rate = decode(encode(name, rate, pcm), name)
    source = at_rate(pcm, rate, decoded_rate)
    begin = len(source) - decoded_rate // 20
    delay = FORMATS[name].delay_samples
    ours = to_float32(decoded)[begin + delay : len(source) + delay]
    assert len(ours) >= decoded_rate // 20 - 1
    assert 0.8 < np.sqrt(np.mean(ours**2) / np.mean(source[begin:] ** 2)) < 1.25


# Streaming.


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(sorted(FORMATS)),
    rate=st.sampled_from(RATES),
    duration_s=st.floats(0, 0.4),
    cuts=st.lists(st.integers(0, 9000), max_size=10),
)
def test_streamed_in_any_chunking_is_encoded_whole(name: str, rate: int, duration_s: float, cuts: list[int]) -> None:
    pcm = utterance(rate, duration_s)
    assert streamed(name, rate, pcm, []) == streamed(name, rate, pcm, cuts)


@pytest.mark.parametrize(
    ("name", "within_ms"), [("pcm", 5), ("wav", 5), ("flac", 20), ("opus", 40), ("aac", 75), ("mp3", 50)]
)
def test_the_first_audio_leaves_early(name: str, within_ms: int) -> None:
    pcm, encoder = utterance(24000)[-24 * within_ms :], make_encoder(name, 24000)
    sent = b"".join(encoder.push(slice_) for slice_ in np.split(pcm, within_ms // 5))
    num_header_bytes = {"wav": 44, "flac": 100, "opus": 150, "mp3": 200}.get(name, 0)
    assert len(sent) > num_header_bytes


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_encoded_is_a_stream_of_nothing(name: str) -> None:
    encoder = make_encoder(name, 22050)
    data = encoder.push(np.zeros(0, np.int16)) + encoder.finish()
    assert {"wav": b"RIFF", "flac": b"fLaC", "opus": b"OggS"}.get(name, b"") == data[:4]
    if name in ("wav", "flac", "pcm"):
        assert len(decode(data, name)[0]) == 0
    encode_to(name, 22050, [], io.BytesIO())


@pytest.mark.parametrize("name", FORMATS)
def test_an_encoder_may_be_dropped_before_its_end(name: str) -> None:
    encoder = make_encoder(name, 24000)
    encoder.push(utterance(24000))
    del encoder
    gc.collect()


def thread_ids() -> set[int]:
    return {thread.id for thread in psutil.Process().threads()}


@pytest.mark.parametrize("name", FORMATS)
def test_a_closed_encoder_keeps_no_thread(name: str) -> None:
    before = thread_ids()
    for _ in range(3):
        encoder = make_encoder(name, 24000)
        encoder.push(utterance(24000))
        encoder.close()
        del encoder
    while not thread_ids() <= before:  # whoever was joined is on the list for some more microseconds
        time.sleep(0.001)


@pytest.mark.parametrize("name", FORMATS)
def test_float_pcm_is_taken_too(name: str) -> None:
    pcm = utterance(24000, 0.1)
    assert streamed(name, 24000, pcm) == streamed(name, 24000, to_float32(pcm))


# Files.


def test_the_header_of_a_wav_stream_is_these_44_bytes() -> None:
    golden = (
        b"RIFF\xff\xff\xff\xffWAVE"
        b"fmt \x10\x00\x00\x00\x01\x00\x01\x00\xc0\x5d\x00\x00\x80\xbb\x00\x00\x02\x00\x10\x00"
        b"data\xff\xff\xff\xff"
    )
    assert golden + b"\x01\x00\xff\xff" == streamed("wav", 24000, np.array([1, -1], np.int16))


def test_a_wav_file_states_its_true_size() -> None:
    pcm = utterance(22050)
    data = filed("wav", 22050, pcm)
    with wave.open(io.BytesIO(data)) as file:
        assert (1, 2, 22050, len(pcm)) == (
            file.getnchannels(),
            file.getsampwidth(),
            file.getframerate(),
            file.getnframes(),
        )
        assert pcm.tobytes() == file.readframes(len(pcm))
    assert len(data) == 8 + int.from_bytes(data[4:8], "little")


@pytest.mark.parametrize(("name", "num_header_bytes"), [("flac", 42), ("wav", 44), ("mp3", 100)])
def test_a_file_differs_from_the_stream_in_its_header_alone(name: str, num_header_bytes: int) -> None:
    pcm = utterance(24000)
    file, stream = filed(name, 24000, pcm), streamed(name, 24000, pcm)
    assert file[:num_header_bytes] != stream[:num_header_bytes]
    assert file[num_header_bytes:] == stream[num_header_bytes:]


@pytest.mark.parametrize("name", ["wav", "mp3", "flac"])
def test_a_file_is_corrected_from_where_it_was_written(name: str) -> None:
    pcm, file = utterance(24000), io.BytesIO(b"before")
    file.seek(6)
    encode_to(name, 24000, [pcm], file)
    assert b"before" + filed(name, 24000, pcm) == file.getvalue()
    assert len(file.getvalue()) == file.tell()


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_cannot_seek_gets_the_stream(name: str) -> None:
    pcm, pipe = utterance(24000), Pipe()
    writer = FileEncoder(make_encoder(name, 24000), pipe)
    writer.push(pcm)
    writer.finish()
    assert streamed(name, 24000, pcm) == pipe.getvalue()


# Formats.


def test_ffmpeg_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, firstaudio.audio.encode, firstaudio.audio.tempo; print('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "False\n"


def test_preloading_leaves_nothing_for_the_first_response_to_load() -> None:
    preload()
    before = set(sys.modules)
    for name in FORMATS:
        streamed(name, 24000, utterance(24000, 0.1))
    assert set(sys.modules) == before


def test_an_unknown_format_is_the_callers_mistake() -> None:
    for refuse in (lambda: make_encoder("ogg", 24000), lambda: output_rate("", 24000)):
        with pytest.raises(UnknownFormatError, match="mp3, opus, aac, flac, wav, pcm") as caught:
            refuse()
        assert caught.value.param == "response_format"


@pytest.mark.parametrize(
    ("name", "source_rate", "rate"),
    [
        *(("pcm", rate, 24000) for rate in (16000, 22050, 24000, 48000)),
        *((name, 22050, 22050) for name in ("wav", "flac", "mp3")),
        ("opus", 22050, 24000),
        ("opus", 44100, 48000),
        ("mp3", 96000, 48000),
        ("aac", 24000, 48000),
    ],
)
def test_a_format_takes_the_sources_rate_or_the_next(name: str, source_rate: int, rate: int) -> None:
    assert (rate, rate) == (output_rate(name, source_rate), make_encoder(name, source_rate).output_rate)


@pytest.mark.parametrize("name", FORMATS)
def test_every_rate_that_a_format_lists_can_be_encoded(name: str) -> None:
    for rate in FORMATS[name].sample_rates or (8000, 44100):
        assert find_onset(*decode(streamed(name, rate, utterance(rate, 0.3)), name)) is not None
