"""Sentences about runtimes: what each one runs here, and why what was asked for runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firstaudio.engines.kokoro.runtimes.board import RoutedSession


def with_windows(
    measured: Mapping[str, str], failed: Mapping[str, str], sessions: Sequence[RoutedSession], rest: str
) -> dict[str, str]:
    """Why each runtime is used or not, where windows are on; by name.

    Args:
        measured: What was said when they were measured; empty where there was nothing to choose.
        failed: Those that cannot be used today, with what they said.
        sessions: Of windows, those that work first.
        rest: The runtime of everything else.
    """
    told = dict(measured) | {name: f"{name}: not used now: {problem}" for name, problem in failed.items()}
    first, *others = sessions
    told.setdefault(first.name, f"{first.name}: used for windows, there is no other to choose")
    for session in others:
        if session.name != first.name and session.name in told:
            role = "stands by for it" if session.is_stand_by else "works beside it, on a device of its own"
            told[session.name] += f"; {role}"
    told[rest] = f"{told[rest]}; it runs all that is no window" if rest in told else f"{rest}: runs all but windows"
    return told


def without_windows(names: Sequence[str], on_request: str, rest: str, why: str) -> dict[str, str]:
    """Why each runtime is used or not, where everything is decoded whole; by name.

    Args:
        names: Runtimes that may be used.
        on_request: The one that runs windows where a request asks for them; empty where none can.
        rest: The runtime of everything else.
        why: There are no windows: "decode is whole: nobody has measured ...".
    """
    told = {name: f"{name}: not used: it is for windows, and {why}" for name in names}
    if on_request:
        told[on_request] = (
            f"{on_request}: not used: it is for windows, and {why}; a request that asks for windows loads it, and waits"
        )
    told[rest] = f"{rest}: used for everything, because {why}"
    return told


def unheeded(names: Sequence[str], precision: str, allowed: Sequence[str], rest: str, why: str) -> str:
    """What the configuration asks for and does not get, because all is decoded whole; empty: it gets everything.

    Args:
        names: `kokoro.runtimes`.
        precision: `kokoro.precision`.
        allowed: Names of the runtimes that these stand for.
        rest: The runtime that runs everything.
        why: There are no windows.
    """
    if "auto" not in names and rest not in allowed:
        named = ", ".join(names)
        return f"kokoro.runtimes = {named} has no effect but on windows: {rest} runs everything, because {why}"
    if precision == "bf16":
        return f"kokoro.precision = bf16 has no effect but on windows: {rest} computes everything in f32, because {why}"
    return ""
