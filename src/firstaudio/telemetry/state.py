"""Where the server keeps what should outlive it: measurements, benchmarks, decisions."""

from __future__ import annotations

import os
from pathlib import Path

from firstaudio.config import Config

PRIVATE = 0o700  # request ids and voices are nobody else's business


def state_place(config: Config) -> Path:
    """Where the folder of all state lies or would lie; touches no disk."""
    from platformdirs import user_state_path

    configured = config.telemetry.state_folder
    return Path(configured).expanduser().absolute() if configured else user_state_path("firstaudio")


def state_folder(config: Config) -> Path:
    """The folder of all state, made for this user alone where it is not there yet.

    Touches the disk: ask once, at the start, in a thread. A folder that cannot be had is no error here, because speech
    does not need it: `folder_problem` says what is wrong with it.

    Args:
        config: Names the folder in `telemetry.state_folder`, or else it is the user's state folder.
    """
    folder = state_place(config)
    make_folder(folder)
    return folder


def make_folder(folder: Path) -> str:
    """Make a folder of state, for this user alone; returns what is wrong with it, as `folder_problem`."""
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        return f"the folder {folder} cannot be made ({_reason(error)}); set telemetry.state_folder to one that can"
    return folder_problem(folder)


def folder_problem(folder: Path) -> str:
    """Why nothing can be kept in `folder`, with the next step; empty when it can."""
    if not folder.is_dir():
        return f"{folder} is not a folder; set telemetry.state_folder to one that can be written"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {folder} cannot be written; give it to this user, or set telemetry.state_folder to another"
    return ""


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
