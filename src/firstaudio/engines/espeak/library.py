"""libespeak-ng through ctypes. Process-wide state: one owner thread, and only ever inside a worker process.

Source: espeak-ng's `speak_lib.h`, API revision 12 (1.51 and 1.52).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_AUDIO_OUTPUT_SYNCHRONOUS = 2  # audio to the callback, on the calling thread
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: report missing data instead of exit(1)
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_EVENT_LIST_TERMINATED, _EVENT_WORD = 0, 1
_PHONEMES_IPA, _PHONEMES_TIE = 0x02, 0x80  # the character of the tie stands in bits 8 to 23
TIE = "\u0361"  # joins the letters of one sound: a diphthong, an affricate
CALLBACK_MS = 60  # smaller buffers do not make the callback come earlier: docs/log.md


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_char)),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class Word(NamedTuple):
    """A word event: where it begins, in characters of the text (0-based) and in samples."""

    character: int
    sample: int


class LibraryVoice(NamedTuple):
    """A voice as the library lists it."""

    name: str
    language: str
    identifier: str
    gender: str


class Espeak:
    """The library, loaded and initialised.

    Args:
        library: Path of the shared library.
        data: Folder that holds `phontab`; empty: where the library looks by itself.

    Raises:
        OSError: The library cannot be loaded, or does not find its data.
    """

    def __init__(self, library: str, data: str = "") -> None:
        self._lib = ctypes.CDLL(library)
        self._lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self._lib.espeak_Info.argtypes = [ctypes.POINTER(ctypes.c_char_p)]
        self._lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._lib.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
        self.sample_rate: int = self._lib.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, CALLBACK_MS, data.encode() or None, _DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise OSError(f"{library} does not find its data in {data or 'its default folder'}")
        self._on_audio: Callable[[bytes, list[Word]], bool] | None = None
        self._callback = _Callback(self._synth_callback)  # kept: the library holds a bare pointer to it
        self._lib.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def version_and_data(self) -> tuple[str, Path]:
        """Version and data folder, as the library states them."""
        path = ctypes.c_char_p()
        version = self._lib.espeak_Info(ctypes.byref(path)).decode()
        return version.split()[0], Path((path.value or b"").decode())

    def voices(self) -> list[LibraryVoice]:
        """Voices whose dictionary is there; a voice without one speaks letters at best."""
        data = self.version_and_data()[1]
        listed = self._lib.espeak_ListVoices(None)
        found = []
        index = 0
        while listed[index]:
            voice = listed[index].contents
            # languages: a priority byte, then a zero-terminated tag (the first of several)
            tag = ctypes.string_at(ctypes.addressof(voice.languages.contents) + 1).decode()
            identifier = voice.identifier.decode()
            if _has_dictionary(data, identifier, tag):
                gender = {1: "male", 2: "female"}.get(voice.gender, "neutral")
                found.append(LibraryVoice(voice.name.decode(), tag, identifier, gender))
            index += 1
        return found

    def variants(self) -> list[str]:
        """Names that may follow a voice after `+`."""
        folder = self.version_and_data()[1] / "voices" / "!v"
        return sorted(path.name for path in folder.iterdir() if " " not in path.name) if folder.is_dir() else []

    def speak(
        self, text: str, voice: str, rate: int, pitch: int, on_audio: Callable[[bytes, list[Word]], bool]
    ) -> None:
        """Synthesise; returns after the last callback.

        Args:
            text: UTF-8 encodable, without NUL.
            voice: Identifier, with an optional `+variant`.
            rate: Words per minute, 80 to 900.
            pitch: 0 to 100.
            on_audio: Called with s16le PCM (may be empty) and the words that begin in it; returns True to stop.

        Raises:
            ValueError: The library refuses the voice.
        """
        self._set_voice(voice)
        self._lib.espeak_SetParameter(_RATE, rate, 0)
        self._lib.espeak_SetParameter(_PITCH, pitch, 0)
        self._on_audio = on_audio
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)

    def phonemize(self, text: str, voice: str) -> str:
        """The sounds of a text in IPA, words separated by single spaces; punctuation is lost.

        Args:
            text: UTF-8 encodable, without NUL.
            voice: Identifier or language tag.

        Raises:
            ValueError: The library refuses the voice.
        """
        self._set_voice(voice)
        buffer = ctypes.create_string_buffer(text.encode())
        place = ctypes.c_void_p(ctypes.addressof(buffer))
        mode = _PHONEMES_IPA | _PHONEMES_TIE | ord(TIE) << 8
        clauses = []
        while place.value:  # each call reads one clause and moves the place behind it, to NULL at the end
            clauses.append(self._lib.espeak_TextToPhonemes(ctypes.byref(place), _CHARS_UTF8, mode).decode())
        return " ".join(" ".join(clauses).split())

    def _set_voice(self, voice: str) -> None:
        if voice != self._voice:
            if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"espeak-ng has no voice {voice!r}")
            self._voice = voice

    def _synth_callback(self, wave: int | None, num_samples: int, events: Any) -> int:
        assert self._on_audio is not None
        words = []
        index = 0
        while events[index].type != _EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type == _EVENT_WORD:
                words.append(Word(event.text_position - 1, event.sample))
            index += 1
        pcm = ctypes.string_at(wave, num_samples * 2) if wave and num_samples else b""
        return int(self._on_audio(pcm, words))


def _has_dictionary(data: Path, identifier: str, tag: str) -> bool:
    """Whether the dictionary that the voice file names (default: the language's first part) exists."""
    name = tag.split("-")[0]
    try:
        for line in (data / "lang" / identifier).read_text(encoding="utf-8").splitlines():
            if line.startswith("dictionary"):
                name = line.split()[1]
    except OSError:
        pass  # no voice file of its own: the default name stands
    return (data / f"{name}_dict").is_file()
