"""What the schedule remembers from one start of the server to the next."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from firstaudio.telemetry.runs.book import FOLDER, write_json
from firstaudio.telemetry.state import make_folder

logger = logging.getLogger(__name__)

FILE = "schedule.json"


@dataclass(frozen=True, slots=True)
class ScheduleMemory:
    """How the schedule stands.

    Attributes:
        last_run: When the last run began, whatever became of it, in seconds since 1970; None: there was none.
        num_failures: Runs in a row that failed.
        last_id: Of the last run that came into being; None: there was none.
        last_error: Why the last one failed; None where it did not.
    """

    last_run: float | None = None
    num_failures: int = 0
    last_id: str | None = None
    last_error: str | None = None


def read_memory(state: Path) -> ScheduleMemory:
    """What lies in the state folder; nothing where nothing does. One that is damaged is told and begun anew. Blocks."""
    path = state / FOLDER / FILE
    try:
        return TypeAdapter(ScheduleMemory).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return ScheduleMemory()
    except (OSError, ValidationError) as error:
        logger.warning("%s cannot be read and begins anew: %s", path, type(error).__name__)
        return ScheduleMemory()


def write_memory(state: Path, memory: ScheduleMemory) -> str:
    """Keep it; returns why it could not be kept, empty where it was. Blocks."""
    if problem := make_folder(state / FOLDER):
        return problem
    try:
        write_json(state / FOLDER / FILE, asdict(memory))
    except OSError as error:
        return f"{state / FOLDER / FILE} cannot be written ({error.strerror}): a restart forgets when it last ran"
    return ""
