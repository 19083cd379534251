import contextlib
import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.encode import make_encoder, wav_header
from firstaudio.bench.exchange import FailureKind, SpeakError
from firstaudio.bench.reading.container import Found, locate
from firstaudio.bench.reading.wav import parse_wav

RATE = 24000
PCM = (9000 * np.sin(np.arange(RATE // 2) * 0.05)).astype(np.int16)
ID3 = b"ID3\x04\x00\x00\x00\x00\x02\x01" + bytes(257)  # 2 * 128 + 1 bytes behind its header


def encoded(name: str) -> bytes:
    encoder = make_encoder(name, RATE)
    return encoder.push(PCM) + encoder.finish()


def saved(kind: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, PCM, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def place(data: bytes, wanted: str | None = None) -> tuple[str, int]:
    found = locate(data, wanted)
    assert found is not None
    return found.container, found.start


def failure_of(data: bytes, wanted: str | None = None, **more: bool) -> tuple[FailureKind, str]:
    with pytest.raises(SpeakError) as caught:
        locate(data, wanted, **more)
    return caught.value.failure.kind, caught.value.failure.message


FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))


def test_a_canonical_wav_begins_at_byte_44() -> None:
    assert place(wav_header(RATE) + b"\x01\x00", "wav") == ("wav", 44)


def test_chunks_of_odd_size_before_the_samples_are_skipped() -> None:
    """12 of RIFF, 24 of fmt, 8 + 5 + 1 of LIST, 8 of data."""
    data = b"RIFF\xff\xff\xff\xffWAVE" + FMT + chunk(b"LIST", b"hello") + chunk(b"data", b"\x01\x00")
    assert place(data) == ("wav", 12 + 24 + 14 + 8)


def test_sizes_that_a_stream_could_not_know_are_open() -> None:
    sizes = [0, 2, 0x7FFF_FFFF - 36, 0xFFFF_FFFF]
    headers = [parse_wav(b"RIFF\0\0\0\0WAVE" + FMT + b"data" + struct.pack("<I", size)) for size in sizes]
    assert [header.num_bytes for header in headers if header] == [None, 2, None, None]


def test_the_size_of_rf64_is_in_its_own_chunk() -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 100, 6, 3, 0))
    header = parse_wav(b"RF64\xff\xff\xff\xffWAVE" + ds64 + FMT + b"data\xff\xff\xff\xff")
    assert header is not None
    assert (header.num_bytes, header.start) == (6, 12 + 36 + 24 + 8)


def test_the_extensible_format_says_what_it_really_is() -> None:
    extension = struct.pack("<HHIH14s", 22, 32, 0, 3, b"\0" * 14)
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 0xFFFE, 1, RATE, 4 * RATE, 4, 32) + extension)
    header = parse_wav(b"RIFF\0\0\0\0WAVE" + fmt + b"data\0\0\0\0")
    assert header is not None
    assert (header.format_tag, header.bits) == (3, 32)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"data\x02\0\0\0", "no format chunk"),
        (b"fmt \x04\0\0\0\0\0\0\0data\x02\0\0\0", "4 bytes instead"),
        (b"LIST\xff\xff\xff\xff", "4294967295 bytes"),
        (chunk(b"fmt ", bytes(16)) + b"data\0\0\0\0", "0 channels"),
    ],
)
def test_a_broken_wav_header_is_a_failure(header: bytes, words: str) -> None:
    kind, message = failure_of(b"RIFF\0\0\0\0WAVE" + header)
    assert (kind, words in message) == (FailureKind.WRONG_FORMAT, True)


def test_the_info_frame_of_mp3_is_metadata() -> None:
    data = encoded("mp3")
    assert b"Info" in data[:192]
    assert place(data) == ("mp3", 192)
    assert place(data[192:]) == ("mp3", 0)


def test_an_id3_tag_is_metadata_and_its_size_has_seven_bits_a_byte() -> None:
    assert place(ID3 + encoded("mp3"), "mp3") == ("mp3", 267 + 192)
    assert place(ID3 + encoded("aac")) == ("aac", 267)


def test_aac_begins_with_its_first_frame() -> None:
    assert place(encoded("aac"), "aac") == ("aac", 0)


def test_opus_begins_behind_two_header_packets_and_the_header_of_its_own_page() -> None:
    data = encoded("opus")
    third = [i for i in range(len(data)) if data.startswith(b"OggS", i)][2]
    assert ("opus", third + 27 + data[third + 26]) == place(data)


def test_comments_that_span_pages_are_metadata() -> None:
    def page(body: bytes, lacing: bytes, flags: int = 0) -> bytes:
        return b"OggS\0" + bytes([flags]) + bytes(20) + bytes([len(lacing)]) + lacing + body

    head = page(b"OpusHead" + bytes(11), b"\x13", flags=2)
    tags = page(b"OpusTags" + bytes(247), b"\xff") + page(bytes(40), b"\x28")
    audio = page(b"\x01" * 9, b"\x09")
    assert ("opus", len(head + tags) + 28) == place(head + tags + audio)


@pytest.mark.parametrize(("kind", "subtype", "name"), [("OGG", "VORBIS", "vorbis"), ("OGG", "OPUS", "opus")])
def test_ogg_of_another_writer_is_told_by_its_first_packet(kind: str, subtype: str, name: str) -> None:
    assert name == place(saved(kind, subtype))[0]


def test_flac_begins_behind_its_last_metadata_block() -> None:
    data = saved("FLAC")
    found, start = place(data)
    assert (found, bytes([data[start], data[start + 1] & 0xFE])) == ("flac", b"\xff\xf8")


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "flac"])
@settings(deadline=None)
@given(st.data())
def test_a_body_that_ends_before_its_audio_has_no_place(name: str, data: st.DataObject) -> None:
    body = encoded(name)
    start = place(body)[1]
    size = data.draw(st.integers(0, min(start, 100) - 1))
    assert locate(body[:size]) is None


def test_samples_need_somebody_who_vouches_for_them() -> None:
    data = PCM.tobytes()[2:]
    assert [Found("pcm", 0)] * 2 == [locate(data, "pcm"), locate(data, may_be_pcm=True)]
    kind, message = failure_of(data)
    assert (kind, "state container pcm" in message) == (FailureKind.WRONG_FORMAT, True)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=64))
def test_samples_that_begin_like_an_mpeg_frame_stay_samples(data: bytes) -> None:
    body = b"\xff\xfb\x90\x00" + data
    assert Found("pcm", 0) == locate(body, may_be_pcm=True)


@pytest.mark.parametrize("wanted", [None, "wav", "pcm", "mp3"])
@pytest.mark.parametrize("text", [b"<!DOCTYPE html><html>" + b"x" * 300, b'{"detail":"Not Found"}', b"no such voice"])
def test_text_instead_of_audio_is_quoted(text: bytes, wanted: str | None) -> None:
    kind, message = failure_of(text, wanted)
    assert (kind, text[:80].decode() in message) == (FailureKind.WRONG_FORMAT, True)
    assert len(message) < 140


@pytest.mark.parametrize(("sent", "wanted"), [("mp3", "wav"), ("wav", "pcm"), ("flac", "opus"), ("aac", "mp3")])
def test_another_container_than_the_one_asked_for_is_a_failure(sent: str, wanted: str) -> None:
    kind, message = failure_of(encoded(sent), wanted)
    assert (kind, f"asked for {wanted}, got {sent}" in message) == (FailureKind.WRONG_FORMAT, True)


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"OggS", b"fLaC", b"ID3", b"\xff\xfb"]))
def test_garbage_is_a_failure_and_never_an_exception_of_another_kind(data: bytes, magic: bytes) -> None:
    with contextlib.suppress(SpeakError):
        found = locate(magic + data)
        assert found is None or 0 <= found.start <= len(magic + data)
