"""Every flag of `firstaudio bench`, once; each verb names the ones that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import typer

from firstaudio.cli.options import TOKEN
from firstaudio.errors import ConfigError

# Name of the parameter: type, default, typer option. A list may be given as `--voices a b c`.
FLAGS: dict[str, tuple[Any, Any, Any]] = {}
METAVARS: dict[Any, str] = {str: "TEXT", int: "N", float: "NUMBER", list[str]: "TEXT ...", list[int]: "N ..."}


def _flag(name: str, kind: Any, default: Any, *declarations: str, **how: Any) -> None:
    """Enter a flag; a default of None is shown by the help text itself."""
    optional = kind | None if default is None else kind
    if kind is not bool:
        how.setdefault("metavar", METAVARS[kind])
    FLAGS[name] = (optional, default, typer.Option(default, *declarations, show_default=default is not None, **how))


_flag("url", str, None, "--url", help="Server to measure: http(s)://, ws(s)://, tcp:// (Wyoming), or cmd:PROGRAM.")
_flag(
    "kind", str, None, "--kind", metavar="KIND", help="openai (default), http, torch, websocket, elevenlabs, wyoming."
)
_flag("path", str, None, "--path", help="Path of the endpoint; default: the usual one of the kind.")
_flag("method", str, "POST", "--method", help="HTTP method of kind http.")
_flag("body", str, None, "--body", metavar="JSON", help='Kind http: request body, as {"text": "{text}"}.')
_flag("audio", str, None, "--audio", metavar="WHERE", help="Kind http: body, json:FIELD or sse:FIELD.")
_flag("token", str, None, "--token", envvar=TOKEN, help="Bearer token; never saved.")
_flag("header", list[str], [], "--header", metavar="'NAME: VALUE'", help="Sent with every request; repeatable.")
_flag("model", str, None, "--model", help="The target's model name.")
_flag("streaming", bool, None, "--streaming/--no-streaming", help="Streamed audio (default), or whole files.")
_flag("sse", bool, False, "--sse", help="Audio as server-sent events.")
_flag("format", str, "wav", "--format", help="wav, pcm, mp3, opus, aac, flac; wav states its own sample rate.")
_flag("sample_rate", int, None, "--sample-rate", metavar="HZ", help="Of headerless pcm, where no header states it.")
_flag("tokens_per_s", float, None, "--tokens-per-s", help="Send the text piece by piece, as a language model does.")
_flag("cold", bool, False, "--cold", help="A new connection for every request, and its making counts.")
_flag("insecure", bool, False, "--insecure", help="Do not check certificates.")
_flag("timeout", float, 60.0, "--timeout", metavar="S", help="For one request.")

_flag("voice", str, None, "--voice", help="Voice; default: the target's own.")
_flag("voices", list[str], [], "--voices", help="Voices, as: --voices default premium fast.")
_flag("speed", float, 1.0, "--speed", help="Speaking speed.")
_flag("language", str, "en", "--language", help="Of the texts: en, de, fr, es.")
_flag("text_class", list[str], ["medium"], "--text-class", help="short, medium, long, complex.")
_flag("text", list[str], [], "--text", help="Your own text instead (its answers may come from a cache); repeatable.")
_flag("text_file", str, None, "--text-file", metavar="FILE", help="Your own texts, one per line.")
_flag("seed", int, 1, "--seed", help="Of texts and arrivals.")

_flag(
    "concurrency", list[int], [1, 2, 4, 8, 16], "--concurrency", help="Levels, as: 1 2 4 8; open loop: most in flight."
)
_flag("plan", str, None, "--plan", help="Requests a level: demo 12, quick 36, standard 72 (default), tail 368.")
_flag("iterations", int, None, "--iterations", help="Requests a level; at least four per client are made.")
_flag("duration", float, None, "--duration", metavar="S", help="Measure for this long instead.")
_flag("arrival", str, "closed", "--arrival", help="closed, or an open loop: poisson, constant, ramp.")
_flag(
    "rate", float, None, "--rate", metavar="PER_S", help="Arrivals per second of an open loop (of a ramp: at its end)."
)
_flag("start_rate", float, None, "--start-rate", metavar="PER_S", help="Arrivals per second where a ramp begins.")
_flag("think", float, 0.0, "--think", metavar="S", help="Pause of each client after an answer, on average.")
_flag("warmup", int, 24, "--warmup", help="Unmeasured requests before each level, at most.")
_flag("ttfa_target", float, 800.0, "--ttfa-target", metavar="MS", help="Time to first audio that counts as met.")
_flag("buffer", float, 0.0, "--buffer", metavar="MS", help="Pre-roll of the simulated player.")

_flag("session_name", str, None, "--session-name", help="Default: the verb's own; numbered when it exists.")
_flag("output_dir", str, "benchmark_sessions", "--output-dir", help="Where sessions are kept.")
_flag("overwrite", bool, False, "--overwrite", help="Replace a session of that name.")
_flag("workers", int, 0, "--workers", help="Load processes; 0: more than one where the client floor asks for it.")
_flag("floor", bool, True, "--floor/--no-floor", help="Measure the client's own share of every TTFA first.")
_flag(
    "server_pid", int, None, "--server-pid", metavar="PID", help="Watch this process tree; default: a local server's."
)
_flag("intelligibility", str, None, "--intelligibility", metavar="MODEL", help="Word error rate by Whisper, as base.")
_flag("reports", bool, True, "--reports/--no-reports", help="Write CSV, plots, Markdown and HTML.")
_flag("fail_on", list[str], [], "--fail-on", metavar="EXPR", help="As ttfa_ms.p95>300 or success_rate<99: exit 99.")
_flag("json", bool, False, "--json", help="Print the results as JSON on stdout.")
_flag("progress", str, "auto", "--progress", help="How stderr shows it: auto, or json: one object a line.")
_flag("leash", bool, False, "--leash", hidden=True, help="End when stdin closes: whoever started the run is gone.")
_flag("voice_tests", bool, True, "--voice-tests/--no-voice-tests", help="Cells that compare voices.")
_flag("speed_tests", bool, True, "--speed-tests/--no-speed-tests", help="Cells that vary the speaking speed.")

_flag("share", float, 0.99, "--share", help="Part of the requests that must be served well, at its lower 95 % limit.")
_flag("start", int, 1, "--start", help="First level.")
_flag("limit", int, 256, "--limit", help="Highest level that is tried.")
_flag("rounds", int, 12, "--rounds", help="Of A and B each; 10 or more.")
_flag("per_round", int, 8, "--per-round", help="Requests of each side in a round.")
_flag("voice_a", str, None, "--voice-a", help="Voice of the first target.")
_flag("voice_b", str, None, "--voice-b", help="Voice of the second target.")

ARGUMENTS: dict[str, Any] = {
    "a": typer.Argument(..., metavar="A", help="First target, as http://127.0.0.1:8000."),
    "b": typer.Argument(..., metavar="B", help="Second target; may be the same one with another --voice-b."),
    "file": typer.Argument(..., metavar="FILE", help="Workload, TOML."),
}

SERVER: tuple[str, ...] = ("url", "kind", "path", "method", "body", "audio", "token", "header", "model")
SERVER += ("streaming", "sse", "format", "sample_rate", "tokens_per_s", "cold", "insecure", "timeout")
TEXT = ("speed", "language", "text_class", "text", "text_file", "seed")
LOAD = ("concurrency", "plan", "iterations", "duration", "arrival", "rate", "start_rate", "think", "warmup")
GOALS = ("ttfa_target", "buffer")
SESSION: tuple[str, ...] = ("session_name", "output_dir", "overwrite", "workers", "floor", "server_pid")
SESSION += ("intelligibility", "reports", "fail_on", "json", "progress", "leash")
VARIETY = ("voice_tests", "speed_tests")

LISTS = frozenset(
    declaration
    for kind, _, option in FLAGS.values()
    for declaration in option.param_decls
    if kind in (list[str], list[int])
)


def command(function: Callable[[SimpleNamespace], None], names: Iterable[str], **defaults: Any) -> Callable[..., None]:
    """A function that typer can read, with the named flags as its parameters.

    Args:
        function: Gets all values as attributes.
        names: Of `FLAGS`.
        defaults: Where this verb's differ.
    """

    def run(**values: Any) -> None:
        function(SimpleNamespace(**{name: FLAGS[name][1] for name in FLAGS} | values))

    parameters = [_parameter(name, defaults.get(name, FLAGS[name][1] if name in FLAGS else ...)) for name in names]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return run


def _parameter(name: str, default: Any) -> inspect.Parameter:
    if name in ARGUMENTS:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=ARGUMENTS[name], annotation=str)
    kind, _, option = FLAGS[name]
    if default != option.default:
        declared = {k: v for k, v in vars(option).items() if k in ("help", "metavar", "envvar")}
        option = typer.Option(default, *option.param_decls, **declared)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind)


def spread(arguments: list[str]) -> list[str]:
    """`--voices a b` as typer wants it: `--voices a --voices b`. `a,b` is the same. Values end at the next flag.

    Raises:
        ConfigError: No value follows such a flag.
    """
    result: list[str] = []
    flag, begun = "", -1  # the flag whose values are being read, and where they begin in the result
    for argument in arguments:
        if argument.startswith("--"):
            _require_value(flag, len(result) > begun)
            name, equals, value = argument.partition("=")
            flag, begun = (name, len(result)) if name in LISTS else ("", -1)
            result += _repeated(name, value) if flag and equals else [] if flag else [argument]
        elif not flag:
            result.append(argument)
        else:
            result += _repeated(flag, argument)
    _require_value(flag, len(result) > begun)
    return result


def _require_value(flag: str, has_values: bool) -> None:
    if not has_values:
        raise ConfigError(f"no value follows {flag}; give one or more, or leave it away")


def _repeated(flag: str, value: str) -> list[str]:
    is_list = flag in ("--voices", "--concurrency", "--text-class")
    values = [one for one in value.split(",") if one] if is_list else [value]
    return [part for one in values for part in (flag, one)]
