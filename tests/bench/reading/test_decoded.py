import io
import itertools
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.decode import decode
from firstaudio.audio.encode import encode_to, make_encoder, wav_header
from firstaudio.bench.exchange import FailureKind, PcmFormat, SpeakError
from firstaudio.bench.reading.container import Found, locate
from firstaudio.bench.reading.decoded import Decoded, decode_pieces
from firstaudio.bench.reading.wav import WavHeader

RATE = 24000
PCM = (9000 * np.sin(np.arange(RATE // 2 + 77) * 0.05)).astype(np.int16)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def streamed(name: str) -> list[bytes]:
    """One piece for each 50 ms that went into the encoder, and its tail."""
    encoder = make_encoder(name, RATE)
    pieces = [encoder.push(part) for part in np.split(PCM, range(1200, len(PCM), 1200))]
    return [*pieces, encoder.finish()]


def saved(kind: str, subtype: str, pcm: np.ndarray = PCM, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, pcm, rate, format=kind, subtype=subtype)
    return file.getvalue()


def filed(name: str) -> bytes:
    file = io.BytesIO()
    encode_to(name, RATE, [PCM], file)
    return file.getvalue()


def understood(pieces: list[bytes], stated: PcmFormat | None = None) -> Decoded:
    found = locate(b"".join(pieces), may_be_pcm=stated is not None)
    assert found is not None
    return decode_pieces(pieces, found, stated)


BODIES = {name: b"".join(streamed(name)) for name in ("wav", "mp3", "opus", "aac", "flac")}
BODIES |= {
    "vorbis": saved("OGG", "VORBIS"),
    "oga": saved("OGG", "OPUS"),
    "mulaw": saved("WAV", "ULAW"),
    "mp3 file": filed("mp3"),
    "flac file": filed("flac"),
    "pcm8": saved("WAV", "PCM_U8"),
    "pcm24": saved("WAV", "PCM_24"),
    "pcm32": saved("WAV", "PCM_32"),
    "float": saved("WAV", "FLOAT"),
    "double": saved("WAV", "DOUBLE"),
    "extensible": saved("WAVEX", "PCM_16"),
    "rf64": saved("RF64", "PCM_16"),
    "stereo": saved("WAV", "PCM_16", np.stack([PCM, PCM // 3], axis=1)),
    "11025": saved("WAV", "PCM_16", PCM, 11025),
}


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=12, deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=8))
def test_pieces_decode_to_the_very_samples_of_the_whole_file(name: str, places: list[int]) -> None:
    """And every sample is counted once, whatever the pieces."""
    decoded = understood(cut(BODIES[name], places))
    expected, rate = decode(BODIES[name])
    assert (decoded.sample_rate, decoded.pcm.dtype, decoded.failure) == (rate, expected.dtype, None)
    assert np.allclose(expected, decoded.pcm, atol=1e-6)
    assert sum(decoded.num_samples) == len(expected)
    assert min(decoded.num_samples) >= 0


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac"])
def test_a_sample_counts_for_the_first_piece_from_which_it_can_be_decoded(name: str) -> None:
    """Differential: what a decoder gives out of a prefix, less what it holds back, is what was counted for it."""
    pieces = streamed(name)
    counted = list(itertools.accumulate(understood(pieces).num_samples))
    for number in range(3, len(pieces) - 1):
        prefix = b"".join(pieces[:number])
        assert abs(len(decode(prefix, name)[0]) - counted[number - 1]) <= 1152


def boundaries(name: str) -> list[int]:
    """Where each 20 ms of flac, or page of opus, ends; by searching for what the next one begins with."""
    body, mark = BODIES[name], {"flac": b"\xff\xf8", "opus": b"OggS"}[name]
    starts = [at for at in range(len(body)) if body.startswith(mark, at)]
    return [*(at for at in starts if at > understood_start(name)), len(body)]


def understood_start(name: str) -> int:
    found = locate(BODIES[name])
    assert found is not None
    return found.start


@pytest.mark.parametrize(("name", "frame"), [("flac", 480), ("opus", 960)])
def test_a_frame_counts_with_its_last_byte_and_not_before(name: str, frame: int) -> None:
    """Of one piece per frame each has its own samples; with every cut a byte earlier, those of the frame before."""
    ends = boundaries(name)
    exact = [BODIES[name][a:b] for a, b in itertools.pairwise([0, *ends])]
    early = [BODIES[name][a:b] for a, b in itertools.pairwise([0, *(end - 1 for end in ends[:-1]), ends[-1]])]
    counts, late = understood(exact).num_samples, understood(early).num_samples
    assert set(counts[1:-1]) == {frame}
    assert late[1:-1] == counts[:-2]
    assert (late[0], late[-1]) == (0, counts[-2] + counts[-1])


def test_samples_of_wav_count_when_their_last_byte_is_there() -> None:
    """44 bytes of header; 3 bytes are one sample and a half."""
    body = wav_header(RATE) + bytes(range(8))
    decoded = understood([body[:20], body[20:44], body[44:47], body[47:48], body[48:]])
    assert decoded.num_bytes == (0, 0, 3, 1, 4)
    assert decoded.num_samples == (0, 0, 1, 1, 2)


def test_what_follows_the_samples_of_a_wav_is_no_audio() -> None:
    body = wav_header(RATE, 4) + b"\x01\x00\x02\x00" + b"LIST\x02\x00\x00\x00hi"
    decoded = understood([body[:46], body[46:50], body[50:]])
    assert (decoded.pcm.tolist(), decoded.num_bytes, decoded.failure) == ([1, 2], (2, 2, 0), None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (wav_header(RATE, 8) + bytes(6), "promises 8 bytes of audio, 6 came"),
        (wav_header(RATE) + bytes(7), "7 bytes are no multiple of 2"),
        (wav_header(RATE, 8), "promises 8 bytes of audio, 0 came"),
        (BODIES["mp3"][:-37], "middle of a frame"),
        (BODIES["mp3 file"][:-192], "Info frame promises"),
        (BODIES["aac"][:-37], "middle of a frame"),
        (BODIES["flac"][:-37], "middle of a frame"),
        (BODIES["flac file"][:-140], "promises 12077 samples"),
        (BODIES["opus"][:-37], "without its last page"),
        (BODIES["opus"][: BODIES["opus"].rindex(b"OggS")], "without its last page"),
    ],
)
def test_half_an_answer_is_truncated_and_says_by_what_that_is_known(body: bytes, words: str) -> None:
    failure = understood([body[:100], body[100:]]).failure
    assert failure is not None
    assert (failure.kind, words in failure.message) == (FailureKind.TRUNCATED, True)


def test_an_answer_cut_within_its_first_page_is_truncated_though_nothing_can_be_decoded() -> None:
    with pytest.raises(SpeakError, match="middle of a frame") as caught:
        understood([BODIES["vorbis"][:-37]])
    assert caught.value.failure.kind == FailureKind.TRUNCATED


@pytest.mark.parametrize(
    ("stated", "data", "expected"),
    [
        (PcmFormat(16000), struct.pack("<3h", 1, -2, 3), [1, -2, 3]),
        (PcmFormat(8000, 4), struct.pack("<2f", 0.5, -0.25), [0.5, -0.25]),
        (PcmFormat(44100, 2, 2), struct.pack("<4h", 10, 20, -6, -8), [15, -7]),
    ],
)
def test_headerless_samples_are_what_was_stated(stated: PcmFormat, data: bytes, expected: list[float]) -> None:
    decoded = decode_pieces([data], Found("pcm", 0), stated)
    assert (decoded.pcm.tolist(), decoded.sample_rate) == (expected, stated.sample_rate)


@pytest.mark.parametrize(
    ("stated", "kind"),
    [
        (None, FailureKind.NO_SAMPLE_RATE),
        (PcmFormat(0), FailureKind.NO_SAMPLE_RATE),
        (PcmFormat(1), FailureKind.NO_SAMPLE_RATE),
        (PcmFormat(16000, 3), FailureKind.WRONG_FORMAT),
        (PcmFormat(16000, 2, 0), FailureKind.WRONG_FORMAT),
    ],
)
def test_headerless_samples_that_nobody_describes_are_invalid(stated: PcmFormat | None, kind: FailureKind) -> None:
    with pytest.raises(SpeakError) as caught:
        decode_pieces([bytes(8)], Found("pcm", 0), stated)
    assert caught.value.failure.kind == kind


def test_a_wav_header_without_a_rate_is_invalid() -> None:
    with pytest.raises(SpeakError) as caught:
        understood([wav_header(RATE).replace(struct.pack("<I", RATE), bytes(4)) + bytes(8)])
    assert caught.value.failure.kind == FailureKind.NO_SAMPLE_RATE


def test_samples_of_a_width_that_nobody_has_are_refused() -> None:
    with pytest.raises(SpeakError, match="integers of 5 bytes"):
        decode_pieces([bytes(99)], Found("wav", 44, WavHeader(44, None, 1, 1, RATE, 40, 5)))


def test_samples_that_are_no_numbers_are_a_failure() -> None:
    decoded = decode_pieces([struct.pack("<3f", 0.5, float("nan"), float("inf"))], Found("pcm", 0), PcmFormat(RATE, 4))
    assert decoded.failure is not None
    assert (decoded.failure.kind, decoded.pcm.tolist()) == (FailureKind.WRONG_FORMAT, [0.5, 0.0, 1.0])


@settings(deadline=None)
@given(st.data())
def test_damaged_audio_gives_samples_or_a_failure_and_nothing_else(data: st.DataObject) -> None:
    body = bytearray(BODIES[data.draw(st.sampled_from(sorted(BODIES)))])
    for at in data.draw(st.lists(st.integers(0, 600) | st.integers(0, 20000), max_size=6)):
        body[at % len(body)] = data.draw(st.integers(0, 255))
    pieces = cut(bytes(body), [300])
    try:
        found = locate(bytes(body), may_be_pcm=True)
        decoded = decode_pieces(pieces, found, PcmFormat(RATE)) if found else None
    except SpeakError:
        return
    assert decoded is None or sum(decoded.num_samples) == len(decoded.pcm)
