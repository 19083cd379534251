"""`RunBook`: benchmark runs on disk, one folder each, and the lock that lets only one run at a time.

```
<state>/benchmarks/
  lock                          held, by the kernel, while a run goes on: it is free as soon as its holder has died
  schedule.json                 when the schedule last ran
  bench_1763740000/run.json     the record; replaced, never rewritten in place
  bench_1763740000/bench_1763740000/   the session of the harness: figures, rows, reports
```

Everything here touches the disk: call it in a thread.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from firstaudio.errors import ConfigError, ConflictError, NotFoundError
from firstaudio.telemetry.runs.records import SERVER_ENDED, RunRecord
from firstaudio.telemetry.state import make_folder

FOLDER = "benchmarks"
RECORD, LOCK = "run.json", "lock"
REPORTS = {"markdown": "report.md", "html": "report.html"}
MAX_SESSION_BYTES = 64 * 2**20
_ID = re.compile(r"bench_(\d{1,12})(?:_(\d{1,6}))?", re.ASCII)
_HOW_TO_START = "start one with POST /benchmarks/run or `firstaudio schedule run`"
_ADAPTER: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)


@dataclass(frozen=True, slots=True)
class Runs:
    """All runs that are kept.

    Attributes:
        records: Newest first.
        unreadable: Folders of runs whose record cannot be read, with the reason.
    """

    records: tuple[RunRecord, ...]
    unreadable: tuple[str, ...]


class Claim:
    """The right to run, until it is released or its process ends."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def release(self) -> None:
        """Let others run. Idempotent."""
        self._lock.release()


class RunBook:
    """The runs of one state folder.

    Args:
        state: The state folder; what is below it is made when something is written.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER

    def claim(self) -> Claim:
        """The right to run; what a dead process left as running is marked as failed.

        Raises:
            ConflictError: Somebody else runs.
            ConfigError: The folder cannot be written.
        """
        if problem := make_folder(self.folder):
            raise ConfigError(f"a benchmark has nowhere to keep its results: {problem}")
        lock = FileLock(self.folder / LOCK, thread_local=False, mode=0o600)
        with self._writing():
            try:
                lock.acquire(blocking=False)
            except Timeout:
                raise self._conflict() from None
        try:
            self._mark_dead()
        except BaseException:
            lock.release()
            raise
        return Claim(lock)

    def recover(self) -> None:
        """Mark what a dead process left as running as failed; nothing where somebody runs, or nothing was ever run."""
        if not self.folder.is_dir():
            return
        with suppress(ConflictError):
            self.claim().release()

    def new_id(self, now: float) -> str:
        """A fresh id with a folder of its own. Raises ConfigError."""
        number = 1
        while True:
            name = f"bench_{max(0, int(now))}" + (f"_{number}" if number > 1 else "")
            with self._writing():
                try:
                    (self.folder / name).mkdir(mode=0o700)
                except FileExistsError:
                    number += 1
                    continue
            return name

    def write(self, record: RunRecord) -> None:
        """Keep a record: all of it or, after a failure, what was there before. Raises ConfigError."""
        with self._writing():
            write_json(self.run_folder(record.id) / RECORD, as_json(record))

    def read(self, run_id: str) -> RunRecord:
        """One record. Raises NotFoundError where there is none, or none that can be read."""
        try:
            return _ADAPTER.validate_json((self.run_folder(run_id) / RECORD).read_bytes())
        except FileNotFoundError:
            raise _unknown(run_id) from None
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise NotFoundError(f"the record of {run_id} cannot be read ({reason}); run it again") from error

    def runs(self) -> Runs:
        """All of them."""
        records, unreadable = [], []
        for name in sorted(self._ids(), key=_order, reverse=True):
            try:
                records.append(self.read(name))
            except NotFoundError as error:
                unreadable.append(f"{name}: {error.message}")
        return Runs(tuple(records), tuple(unreadable))

    def session(self, run_id: str) -> dict[str, Any] | None:
        """The session that a run left, as the harness wrote it; None where it left none that can be read."""
        path = self.run_folder(run_id) / run_id / f"{run_id}.json"
        try:
            if path.stat().st_size > MAX_SESSION_BYTES:
                return None
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def report(self, run_id: str, form: str) -> str | None:
        """A report that the harness wrote, "markdown" or "html"; None where there is none."""
        try:
            return (self.run_folder(run_id) / run_id / REPORTS[form]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def remove(self, run_id: str) -> None:
        """Delete a run with all its files; one that is not there is no error."""
        folder = self.run_folder(run_id)
        (folder / RECORD).unlink(missing_ok=True)  # first: half a run is no run
        shutil.rmtree(folder, ignore_errors=True)

    def prune(self, keep: int, spare: str = "") -> list[str]:
        """Delete all but the newest `keep` runs, but never `spare` and never one that runs; returns their ids."""
        old = [record for record in self.runs().records if record.status != "running"][keep:]
        doomed = [record.id for record in old if record.id != spare]
        for name in doomed:
            self.remove(name)
        return doomed

    def run_folder(self, run_id: str) -> Path:
        """Where a run lies. Raises NotFoundError for what cannot be an id."""
        if not _ID.fullmatch(run_id):
            raise _unknown(run_id)
        return self.folder / run_id

    def _ids(self) -> list[str]:
        try:
            return [entry.name for entry in os.scandir(self.folder) if _ID.fullmatch(entry.name) and entry.is_dir()]
        except OSError:
            return []

    def _mark_dead(self) -> None:
        for record in self.runs().records:
            if record.status == "running":
                self.write(replace(record, status="failed", error=SERVER_ENDED))

    def _conflict(self) -> ConflictError:
        running = [record for record in self.runs().records if record.status == "running"]
        whose = f"the benchmark {running[0].id} of {running[0].owner}" if running else "a benchmark of another process"
        return ConflictError(
            f"{whose} is running in the same state folder, and two at once would measure each other; wait for it, or "
            "end it there (POST /benchmarks/cancel)"
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            raise ConfigError(
                f"{self.folder} cannot be written ({error.strerror or type(error).__name__}); free some space, "
                "or set telemetry.state_folder to another folder"
            ) from error


def as_json(record: RunRecord) -> dict[str, Any]:
    """A record as it lies on disk."""
    document: dict[str, Any] = _ADAPTER.dump_python(record, mode="json")
    return document


def write_json(path: Path, document: Any) -> None:
    """Replace a file by a JSON document, for this user alone; readers see the old or the new one. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 -- a mode
            file.write(json.dumps(document, indent=1, allow_nan=False).encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _order(run_id: str) -> tuple[int, int]:
    found = _ID.fullmatch(run_id)
    assert found is not None
    return int(found[1]), int(found[2] or 1)


def _unknown(run_id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no benchmark {run_id[:40]!r}; GET /benchmarks/runs lists those that are kept, or {_HOW_TO_START}"
    )
