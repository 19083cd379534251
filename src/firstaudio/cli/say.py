"""`firstaudio say`: speak a text, a file or standard input through an embedded synthesizer; no server needed."""

from __future__ import annotations

import errno
import json
import os
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from firstaudio.cli.options import (
    ConfigOption,
    EngineOption,
    JsonOption,
    KokoroModelOption,
    KokoroVoicesOption,
    load_with,
    talk,
)
from firstaudio.clock import NS_PER_S, now_ns
from firstaudio.errors import ConfigError, RequestError, UnknownFormatError

if TYPE_CHECKING:
    from firstaudio.cli.embedded import Speech
    from firstaudio.cli.progress import Progress
    from firstaudio.cli.sinks import Int16, Player

STDIO = "-"
DEFAULT_FORMAT = "wav"
PRELOAD_RATE = 24_000  # of an encoder that is thrown away: its codec library loads before anybody waits for audio
# Suffixes beside the formats' own.
_OTHER_SUFFIXES = {".ogg": "opus", ".oga": "opus", ".wave": "wav", ".raw": "pcm"}
# An argument that ends so was meant as the name of a file.
_TEXT_SUFFIXES = (".txt", ".text", ".md", ".markdown", ".rst", ".htm", ".html", ".xml", ".tex", ".srt", ".log")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a speech goes.

    Attributes:
        output: A file's name, "-" for standard output, None for the sound device alone.
        format: A key of `FORMATS`, for what is written.
        plays: Whether it is played, too.
    """

    output: str | None
    format: str
    plays: bool

    def __str__(self) -> str:
        """For people."""
        return {None: "sound device", STDIO: "standard output"}.get(self.output, str(self.output))


@dataclass(frozen=True, slots=True)
class Figures:
    """What one speech cost.

    Attributes:
        ttfa_ms: From the request to the first audio written or played, in ms; starting the engine is not part of it.
        audio_s: Length of the speech, in seconds.
        rtf: Time from the request to the last sample over `audio_s`; None when played, which takes as long as it takes.
        num_characters: Length of the text.
        engine: Who spoke.
        voice: Its voice id.
        language: BCP-47 tag.
        output: Where the speech went.
        format: A key of `FORMATS`; None when only played.
        runtime: What ran the engine's model; empty where the engine has none.
        decode: "windowed" or "whole", as it was; empty where the engine has no windows.
        failover: Who should have spoken and could not, with the reason; None: nobody.
    """

    ttfa_ms: float | None
    audio_s: float
    rtf: float | None
    num_characters: int
    engine: str
    voice: str
    language: str
    output: str
    format: str | None
    runtime: str
    decode: str
    failover: str | None

    @classmethod
    def of(cls, speech: Speech, target: Target, num_characters: int) -> Figures:
        """The figures of a speech that has just been delivered."""
        stream = speech.stream
        took_s = (now_ns() - stream.trace.accepted_ns) / NS_PER_S
        return cls(
            ttfa_ms=stream.trace.ttfa_ms,
            audio_s=speech.audio_s,
            rtf=None if target.plays or not speech.audio_s else took_s / speech.audio_s,
            num_characters=num_characters,
            engine=stream.engine,
            voice=stream.voice,
            language=stream.language,
            output=str(target),
            format=None if target.output is None else target.format,
            runtime=stream.trace.runtime,
            decode=stream.trace.decode,
            failover=stream.trace.failover,
        )

    def __str__(self) -> str:
        """One line for people."""
        parts = [
            f"TTFA {self.ttfa_ms:.1f} ms" if self.ttfa_ms is not None else "no audio",
            f"audio {self.audio_s:.2f} s",
            *([f"RTF {self.rtf:.4f}"] if self.rtf is not None else []),
            " ".join(filter(None, [self.engine, self.voice, self.runtime, self.decode, "->", self.output])),
            *([f"in the place of {self.failover}"] if self.failover else []),
        ]
        return ", ".join(parts)


def say(
    text: Annotated[str, typer.Argument(metavar="TEXT|-|FILE", help="What to say; - reads standard input.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write here; - streams to standard output.")
    ] = None,
    voice: Annotated[
        str | None, typer.Option(metavar="NAME", help="Voice id or alias; `firstaudio voices` lists them.")
    ] = None,
    lang: Annotated[str | None, typer.Option(metavar="TAG", help="Language; default: the voice's own.")] = None,
    speed: Annotated[float, typer.Option(metavar="FACTOR", help="0.25 to 4.0.")] = 1.0,
    pitch: Annotated[float, typer.Option(metavar="FACTOR", help="1.0 is natural; espeak does 0.7 to 1.63.")] = 1.0,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="wav, pcm, mp3, opus, aac or flac; default: by the file's name, or wav."
        ),
    ] = None,
    engine: EngineOption = None,
    kokoro_model: KokoroModelOption = None,
    kokoro_voices: KokoroVoicesOption = None,
    decode: Annotated[
        Literal["auto", "windowed", "whole"],  # `Decode`, whose module loads numpy
        typer.Option(help="Send audio from within a segment, or only whole ones; auto: as configured."),
    ] = "auto",
    play: Annotated[bool, typer.Option("--play", help="Play it; what happens anyway without -o.")] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Say a text, at once.

    Without -o it is played as it is made. Figures (time to first audio, length, real-time factor) go to stderr, or
    as JSON to stdout. A file appears only when it is complete.
    """
    if output == STDIO:
        _check_stdout(json_)
    from firstaudio.audio.encode import make_encoder
    from firstaudio.cli.embedded import embedded
    from firstaudio.cli.progress import progress_for
    from firstaudio.cli.sinks import import_sounddevice
    from firstaudio.synthesis.utterance import Utterance

    effective = load_with(config, engine=engine, model=kokoro_model, voices=kokoro_voices)
    target = Target(output, choose_format(format_, output), plays=play or output is None)
    utterance = Utterance(read_text(text), voice, lang, speed, pitch, engine, decode)
    # Whatever loads slowly or may be missing comes before the clock starts.
    make_encoder(target.format, PRELOAD_RATE)
    if target.plays:
        import_sounddevice()
    with (
        embedded(effective, check_default_voice=voice is None, talk=talk) as synthesizer,
        progress_for(len(utterance.text)) as progress,
        synthesizer.speak(utterance) as speech,
    ):
        deliver(speech, target, progress)
        figures = Figures.of(speech, target, len(utterance.text))
    if json_:
        print(json.dumps(asdict(figures), ensure_ascii=False))
    else:
        print(figures, file=sys.stderr)


def _check_stdout(json_: bool) -> None:
    """Raise ConfigError when audio cannot go to standard output."""
    if sys.stdout is None:
        raise ConfigError("-o - writes audio to standard output, which is closed; redirect it, or write with -o FILE")
    if json_ or sys.stdout.isatty():
        raise ConfigError("-o - writes audio to standard output: redirect it, and leave --json away")


def read_text(argument: str) -> str:
    """The text to say: standard input for "-", the content of a file when one has that name, else the argument.

    Raises:
        RequestError: The file or standard input is not UTF-8, or cannot be read; the argument names a directory, or
            looks like the name of a file that is not there.
    """
    try:
        if argument == STDIO:
            return _read_stdin().decode("utf-8-sig")
        if _is_file(argument):
            return Path(argument).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        name = "standard input" if argument == STDIO else argument
        raise RequestError(
            f"{name} is not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x}); "
            "convert it first: iconv -f LATIN1 -t UTF-8"
        ) from error
    except OSError as error:
        raise RequestError(f"cannot read {argument}: {error.strerror}") from error
    return argument


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise RequestError("there is no standard input: it is closed; pipe a text into it, or give one as the argument")
    return sys.stdin.buffer.read()


def _is_file(argument: str) -> bool:
    """Whether a file, a pipe or a device has that name; else it is a text. Raises RequestError when it is neither."""
    try:
        is_directory = stat.S_ISDIR(os.stat(argument).st_mode)  # noqa: PTH116 -- to Path, "" is a directory
    except ValueError:  # no name has a NUL in it
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG or not _looks_like_path(argument):
            return False
        raise _no_text(argument, error.strerror or repr(error)) from error
    if is_directory:
        raise _no_text(argument, os.strerror(errno.EISDIR))
    return True


def _looks_like_path(argument: str) -> bool:
    if any(character.isspace() for character in argument):
        return False
    has_separator = os.sep in argument or (os.altsep is not None and os.altsep in argument)
    return has_separator or argument.lower().endswith(_TEXT_SUFFIXES)


def _no_text(argument: str, reason: str) -> RequestError:
    return RequestError(
        f"cannot read {argument}: {reason}; to say just that: echo {shlex.quote(argument)} | firstaudio say -"
    )


def choose_format(asked: str | None, output: str | None) -> str:
    """The format that was asked for, else the one of the file's suffix, else wav.

    Raises:
        UnknownFormatError: There is no such format, or none goes with the suffix.
        RequestError: The suffix is that of another format than the one that was asked for.
    """
    from firstaudio.audio.encode import FORMATS, audio_format

    suffix = Path(output).suffix.lower() if output not in (None, STDIO) else ""
    name = _OTHER_SUFFIXES.get(suffix, suffix.removeprefix("."))
    if asked is not None:
        wanted = audio_format(asked.lower())
        if name in FORMATS and name != wanted.name:
            raise RequestError(
                f"--format {wanted.name} does not go with the name {output}: "
                f"leave --format away to get {name}, or name the file {Path(str(output)).stem}.{wanted.extension}",
                param="format",
            )
        return wanted.name
    if not suffix:
        return DEFAULT_FORMAT
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise UnknownFormatError(f"no format goes with {suffix}; add --format with one of {known}", param="format")
    return name


def deliver(speech: Speech, target: Target, progress: Progress) -> None:
    """Send the speech where it should go, piece by piece, as it is made."""
    from firstaudio.cli.sinks import Player, write_file, write_stream

    sample_rate = speech.stream.sample_rate
    with Player(sample_rate) if target.plays else nullcontext() as player:
        pcm = _pieces(speech, player, progress)
        if target.output is None:
            for _ in pcm:
                pass
        elif target.output == STDIO:
            write_stream(sys.stdout.buffer, target.format, sample_rate, pcm)
        else:
            write_file(Path(target.output), target.format, sample_rate, pcm)


def _pieces(speech: Speech, player: Player | None, progress: Progress) -> Iterator[Int16]:
    """The speech's audio, played on its way; going on after the first piece means that it has been written."""
    for chunk in speech:
        pcm = chunk.as_int16()
        if player:
            player.write(pcm)
        yield pcm
        speech.stream.trace.first_audio_sent()
        progress.spoken(chunk)
