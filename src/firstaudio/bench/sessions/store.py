"""Sessions on disk: `<output_dir>/<name>/<name>.json`, and the raw rows beside it in `records.jsonl`.

Rules, so that a run that is killed at any moment leaves a session that can be read:
- The folder and its JSON exist before the first request, with `completed` false until `SessionWriter.finish`.
- Raw rows reach the disk before the JSON that speaks of them.
- The JSON is replaced, never rewritten in place; only the last row of `records.jsonl` can be torn.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Any

from firstaudio.bench.record import RequestRecord
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import SCHEMA_VERSION, Session
from firstaudio.errors import BenchError

RECORDS = "records.jsonl"
MAX_NAME = 100  # characters; most file systems take 255 bytes, and reports put more after it
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?<!\.)")  # Windows drops a full stop at the end


class SessionWriter:
    """Keeps one session on disk while it runs. One writer per session; not for several threads at once.

    Args:
        output_dir: Where sessions lie; made when missing.
        session: Saved as it is now, and again by each call below.
        overwrite: Replace a saved session of the same name.

    Raises:
        BenchError: The name is no name, is taken, or belongs to a folder that holds no session.
    """

    def __init__(self, output_dir: Path, session: Session, *, overwrite: bool = False) -> None:
        self.folder = output_dir / check_name(session.name)
        self._session = session
        if overwrite and self.folder.exists():
            remove_session(session.name, output_dir)
        try:
            self.folder.mkdir(parents=True)
        except FileExistsError as error:
            raise BenchError(
                f"there is a session {session.name!r} in {output_dir} already; "
                "give this one another name, or ask for the old one to be overwritten"
            ) from error
        (self.folder / RECORDS).touch()
        self.save()

    def add(self, result: CellResult, records: Iterable[RequestRecord]) -> None:
        """Keep a cell that has ended: its rows first, then the session with its result in it.

        Raises:
            BenchError: A figure is infinite or no number. What was saved before stays as it was.
        """
        self.append(records)
        if not any(kept is result for kept in self._session.cells):
            self._session.cells.append(result)
        self.save()

    def append(self, records: Iterable[RequestRecord]) -> None:
        """Keep rows of a cell that is still running. All of them are written, or none. Raises BenchError."""
        lines = "".join(f"{_row(record)}\n" for record in records)
        with (self.folder / RECORDS).open("ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())

    def save(self) -> None:
        """Write the session as it is now. Raises BenchError for a figure that JSON does not know."""
        save_session(self._session, self.folder)

    def finish(self) -> None:
        """The run came to its end: mark the session as completed and write it."""
        self._session.completed = True
        self.save()


def save_session(session: Session, folder: Path) -> Path:
    """Replace `<folder>/<name>.json`; readers see the old document or the new one. Raises BenchError."""
    path = folder / f"{session.name}.json"
    text = _dump(session.to_json(), f"session {session.name!r}", indent=1)
    temporary = path.with_suffix(".json.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(folder)
    return path


def check_name(name: str) -> str:
    """The name, if it can be one of a session. Raises BenchError."""
    if len(name) <= MAX_NAME and _NAME.fullmatch(name):
        return name
    raise BenchError(
        f"{name!r} cannot name a session: use letters, digits, '.', '_' and '-' (at most {MAX_NAME}, "
        "beginning with a letter or digit), and no path; --output-dir says where sessions lie"
    )


def free_name(output_dir: Path, name: str) -> str:
    """`name`, or the first of `name-2`, `name-3` ... that is not taken in `output_dir`. Raises BenchError."""
    names = (check_name(name) if i == 1 else check_name(f"{name}-{i}") for i in count(1))
    return next(free for free in names if not (output_dir / free).exists())


def session_folder(path_or_name: str | Path, output_dir: Path) -> Path:
    """The folder of a saved session, by its name in `output_dir`, by its folder or by its JSON file.

    Raises:
        BenchError: There is none.
    """
    path = Path(path_or_name)
    candidates = (output_dir / path, path.parent if path.is_file() else path)
    for folder in candidates:
        if folder.is_dir() and _is_session(folder):
            return folder
    names = [entry.name for entry in list_sessions(output_dir)]
    near = get_close_matches(str(path_or_name), names, n=1)
    hint = f"did you mean {near[0]}?" if near else "`firstaudio sessions list` shows those that are there"
    raise BenchError(f"there is no session {str(path_or_name)!r} in {output_dir}; {hint}")


def load_session(path_or_name: str | Path, output_dir: Path) -> Session:
    """A saved session, by its name in `output_dir`, by its folder or by its JSON file.

    Raises:
        BenchError: There is none, it cannot be read, or it was written by a newer version.
    """
    return _read_session(session_folder(path_or_name, output_dir))


def read_records(folder: Path) -> Iterator[RequestRecord]:
    """The raw rows of a session, in the order in which they were written.

    A last row that an interruption has torn is left out, with a `UserWarning`.

    Raises:
        BenchError: There are no rows, or one in the middle cannot be read.
    """
    path = folder / RECORDS
    if not path.is_file():
        raise BenchError(f"{path} is missing: without its raw rows a session can be shown, but not computed again")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                warnings.warn(f"{path}: the run was interrupted while it wrote row {number}; left out", stacklevel=2)
                return
            yield _record(line, f"{path}, line {number}")


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A saved session as a list shows it.

    Attributes:
        name: Of its folder.
        folder: Where it lies.
        mode: Empty when it cannot be read, as the following ones.
        created: ISO 8601.
        num_cells: That have ended.
        num_requests: Measured ones.
        verdict: "VALID", "INVALID", or "UNREADABLE".
        completed: Whether the run came to its end.
        problem: Why it cannot be read.
    """

    name: str
    folder: Path
    mode: str = ""
    created: str = ""
    num_cells: int = 0
    num_requests: int = 0
    verdict: str = "UNREADABLE"
    completed: bool = False
    problem: str | None = None


def list_sessions(output_dir: Path) -> list[SessionEntry]:
    """Every session in `output_dir`, oldest first; none when the folder is missing."""
    if not output_dir.is_dir():
        return []
    folders = [folder for folder in sorted(output_dir.iterdir()) if folder.is_dir() and _is_session(folder)]
    return sorted((_entry(folder) for folder in folders), key=lambda entry: entry.created)


def remove_session(name: str, output_dir: Path) -> None:
    """Delete a session with everything in its folder.

    Raises:
        BenchError: There is none of that name, or the folder of that name holds no session.
    """
    folder = output_dir / check_name(name)
    if folder.is_symlink() or not (folder.is_dir() and _is_session(folder)):
        raise BenchError(
            f"{folder} is not the folder of a session, so it is left alone; remove it yourself if you want"
        )
    shutil.rmtree(folder)


def _entry(folder: Path) -> SessionEntry:
    try:
        session = _read_session(folder)
    except BenchError as error:
        return SessionEntry(folder.name, folder, problem=error.message)
    return SessionEntry(
        name=session.name,
        folder=folder,
        mode=session.mode,
        created=session.created,
        num_cells=len(session.cells),
        num_requests=sum(cell.issued for cell in session.cells),
        verdict="VALID" if session.valid else "INVALID",
        completed=session.completed,
    )


def _is_session(folder: Path) -> bool:
    return _document(folder).is_file() or (folder / RECORDS).is_file()


def _document(folder: Path) -> Path:
    """The session's file: called like the folder, or, where that was renamed, the only session that lies in it."""
    path = folder / f"{folder.resolve().name}.json"
    if path.is_file():
        return path
    found = [other for other in folder.glob("*.json") if _holds_session(other)]
    return found[0] if len(found) == 1 else path


def _holds_session(path: Path) -> bool:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and {"schema_version", "workload_hash", "cells"} <= document.keys()


def _read_session(folder: Path) -> Session:
    path = _document(folder)
    try:
        document = json.loads(path.read_bytes())
        version = document["schema_version"]
        if version > SCHEMA_VERSION:
            raise BenchError(
                f"{path} was written by a newer version (schema {version}, this one reads up to {SCHEMA_VERSION}); "
                "pip install --upgrade firstaudio"
            )
        session = Session.from_json(document)
    except OSError as error:
        raise BenchError(
            f"cannot read {path}: {error.strerror}; the file of a session is called like its folder"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"{path} does not hold a session ({type(error).__name__}: {error})") from error
    session.name = folder.resolve().name  # a copy goes by the name of its own folder
    return session


def _record(line: bytes, where: str) -> RequestRecord:
    try:
        return RequestRecord.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{where} is not a row of raw data ({type(error).__name__}: {error})") from error


def _row(record: RequestRecord) -> str:
    return _dump(record.to_json(), f"request {record.index} of cell {record.cell!r}")


def _dump(document: Mapping[str, Any], what: str, indent: int | None = None) -> str:
    """JSON in ASCII: a command line may hold what UTF-8 cannot."""
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        return json.dumps(document, allow_nan=False, indent=indent, separators=separators, default=_plain)
    except ValueError as error:
        found = next(_not_finite(document), "a figure")
        raise BenchError(
            f"{what} cannot be saved: {found} is not a finite number; None is what is not known"
        ) from error


def _plain(value: Any) -> Any:
    """What json asks for: numpy's numbers, mappings that are no dict, paths."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _not_finite(value: Any, where: str = "") -> Iterator[str]:
    """Dotted places of infinite figures and NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where.removeprefix('.')} = {value}"
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _not_finite(inner, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _not_finite(inner, f"{where}[{index}]")


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where folders can be synced (not on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
