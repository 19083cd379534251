"""Containers: what came, and where the first byte of audio in it lies.

Everything before audio is metadata: RIFF chunks, ID3 tags, an Info frame, Ogg header pages, FLAC's blocks. All of it
precedes the byte at `Found.start`, so the arrival of that byte is the arrival of the first audio.
"""

from __future__ import annotations

from dataclasses import dataclass

from firstaudio.bench.exchange import FailureKind, SpeakError
from firstaudio.bench.reading import ogg
from firstaudio.bench.reading.mpeg import adts_size, after_id3, info_at, mp3_frame
from firstaudio.bench.reading.target_error import quote
from firstaudio.bench.reading.wav import WavHeader, parse_wav

SNIFFED = ("wav", "mp3", "opus", "vorbis", "flac", "aac")
TEXT_PROBE_BYTES = 256  # of samples, that all of them are printable by chance is out of the question
_MIN_TEXT_BYTES = 8
_PRINTABLE = bytes([9, 10, 13, *range(32, 127)])


@dataclass(frozen=True, slots=True)
class Found:
    """Where audio begins.

    Attributes:
        container: "wav", "mp3", "opus", "vorbis", "flac", "aac", "pcm".
        start: Offset of the first byte of audio.
        wav: The header, of a "wav".
        is_ogg: The codec lies in Ogg pages.
    """

    container: str
    start: int
    wav: WavHeader | None = None
    is_ogg: bool = False


def locate(head: bytes, wanted: str | None = None, *, may_be_pcm: bool = False) -> Found | None:
    """Where audio begins; None when the body ends before that can be told.

    Args:
        head: The body, or as much of it as holds all headers.
        wanted: What the container must be; None: whatever is found.
        may_be_pcm: Whether bytes without any mark are samples: somebody has stated their format.

    Raises:
        SpeakError: The bytes are no audio, or not the wanted one.
    """
    name = "pcm" if wanted == "pcm" else sniff(head, strong_only=may_be_pcm)
    _refuse_other(head, name, wanted, may_be_pcm)
    try:
        match name:
            case None:
                return Found("pcm", 0) if may_be_pcm and head else None
            case "pcm":
                return Found("pcm", 0) if head else None
            case "wav":
                header = parse_wav(head)
                return Found("wav", header.start, header) if header else None
            case "mp3":
                start = _mp3_start(head)
            case "aac":
                start = after_id3(head)
            case "flac" if head.startswith(b"fLaC"):
                start = _flac_start(head)
            case _:
                page = next(ogg.audio_pages(head), None)
                return Found(name, page.body, is_ogg=True) if page else None
    except ValueError as error:
        raise SpeakError(FailureKind.WRONG_FORMAT, f"the {name} answer cannot be read: {error}") from error
    return None if start is None or start > len(head) else Found(name, start)


def sniff(head: bytes, *, strong_only: bool = False) -> str | None:
    """The container by its first bytes; None when they are none of those known, or too few.

    Args:
        head: The beginning of the body.
        strong_only: Look for marks of three bytes and more only: samples may begin like an MPEG frame.
    """
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return _of_ogg(head)
    if head.startswith(b"ID3") or not strong_only:
        return _of_mpeg(head)
    return None


def looks_like_text(head: bytes) -> bool:
    """Whether the body begins as a page, a document or a message for people would."""
    probe = head[:TEXT_PROBE_BYTES]
    return len(probe) >= _MIN_TEXT_BYTES and not probe.translate(None, _PRINTABLE)


def _refuse_other(head: bytes, name: str | None, wanted: str | None, may_be_pcm: bool) -> None:
    found = sniff(head, strong_only=True) if name == "pcm" else name
    asked = wanted or "audio"
    if found and wanted and found != wanted:
        message = f"asked for {wanted}, got {found}: ask for {found}, or mend the target"
        raise SpeakError(FailureKind.WRONG_FORMAT, message)
    if found:
        return
    if looks_like_text(head):
        raise SpeakError(FailureKind.WRONG_FORMAT, f"expected {asked}, got text: {quote(head)!r}")
    if not (may_be_pcm or name == "pcm" or _may_become_known(head)):
        hint = "if these are headerless samples, state container pcm and their sample rate"
        message = f"expected {asked}, the answer begins with bytes of no known container ({head[:12].hex(' ')}); {hint}"
        raise SpeakError(FailureKind.WRONG_FORMAT, message)


def _may_become_known(head: bytes) -> bool:
    """Whether more bytes could still make a container of it."""
    if head.startswith(b"ID3"):
        tag_end = after_id3(head)
        return tag_end is None or tag_end + 7 > len(head)
    if head.startswith(b"OggS"):
        page = next(ogg.pages(head), None)
        return page is None or page.end > len(head)
    return len(head) < len(b"RIFF....WAVE")


def _of_ogg(head: bytes) -> str | None:
    try:
        return ogg.codec(head)
    except ValueError:
        return None


def _of_mpeg(head: bytes) -> str | None:
    at = after_id3(head)
    if at is None:
        return None
    header = head[at : at + 7]
    if adts_size(header) is not None:
        return "aac"
    frame = mp3_frame(header)
    if frame is None:
        return None
    following = head[at + frame.num_bytes : at + frame.num_bytes + 4]
    return None if len(following) == 4 and mp3_frame(following) is None and following[:3] != b"TAG" else "mp3"


def _mp3_start(head: bytes) -> int | None:
    at = after_id3(head)
    frame = mp3_frame(head[at : at + 4]) if at is not None else None
    if at is None or frame is None:
        return None
    whole = head[at : at + frame.num_bytes]
    if info_at(whole, frame) is not None:
        return at + frame.num_bytes
    return at if len(whole) >= min(frame.num_bytes, 40) else None


def _flac_start(head: bytes) -> int | None:
    at = 4
    while at + 4 <= len(head):
        is_last, size = head[at] & 0x80, int.from_bytes(head[at + 1 : at + 4], "big")
        at += 4 + size
        if is_last:
            return at
    return None
