"""The machine profile: what was measured of the runtimes here, kept until something that matters changes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from firstaudio.engines.kokoro.disk import sha256_of
from firstaudio.engines.kokoro.runtimes.figures import Choice, Figures
from firstaudio.engines.kokoro.runtimes.hardware import Processor, processor
from firstaudio.errors import ConfigError, MissingExtraError

logger = logging.getLogger(__name__)

MEASUREMENT_VERSION = 1  # of how `compare` measures and `choose` chooses: figures of another one are another's figures
LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "openvino")
LOCK_TIMEOUT_S = 300.0  # another process measures meanwhile; a minute is long for it
HASH_CHARS = 16  # of the graph's hash, in the file's name
SETTINGS = ("candidates", "num_threads")  # facts that somebody chose: each choice has a profile of its own
SETTINGS_CHARS = 8  # of their hash, in the file's name


@dataclass(frozen=True, slots=True)
class MachineProfile:
    """Which runtime is used here, and what that was decided from.

    Attributes:
        facts: What the figures hold for; see `machine_facts`.
        choice: The winner, every runtime's reason, the figures.
        measured_at: ISO 8601, UTC.
    """

    facts: Mapping[str, Any]
    choice: Choice
    measured_at: str

    def to_json(self) -> dict[str, Any]:
        """The inverse of `from_json`."""
        choice = {
            "winner": self.choice.winner,
            "reasons": dict(self.choice.reasons),
            "figures": [asdict(each) for each in self.choice.figures],
        }
        return {"measured_at": self.measured_at, "facts": dict(self.facts), "choice": choice}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> MachineProfile:
        """Raises KeyError, TypeError or ValueError where it has another shape."""
        choice = row["choice"]
        figures = tuple(Figures(**{**each, "times_ms": tuple(each["times_ms"])}) for each in choice["figures"])
        reasons = {str(name): str(reason) for name, reason in choice["reasons"].items()}
        if choice["winner"] not in reasons:
            raise ValueError("the winner is none of those that were measured")
        return cls(dict(row["facts"]), Choice(choice["winner"], reasons, figures), str(row["measured_at"]))


def machine_facts(graph: Path, candidates: Sequence[str], num_threads: int) -> dict[str, Any]:
    """What a measurement holds for: with one of these changed, another runtime may win.

    Args:
        graph: The measured ONNX file.
        candidates: Names of the runtimes, in the order of rank.
        num_threads: Threads of one step, as configured.
    """
    return {
        "processor": _described(processor()),
        "system": f"{platform.system()} {platform.release()}",
        "python": ".".join(platform.python_version_tuple()[:2]),
        "versions": dict(_versions()),
        "measurement": MEASUREMENT_VERSION,
        "graph": file_hash(graph),
        "candidates": list(candidates),
        "num_threads": num_threads,
    }


def arithmetic_facts() -> dict[str, Any]:
    """What decides how near bf16 comes to f32: the library with its kernels, and the processor that they are for."""
    here = processor()
    return {
        "processor": here.model,
        "architecture": here.architecture,
        "flags": None if here.flags is None else list(here.flags),
        "openvino": dict(_versions()).get("openvino"),
    }


def load_or_measure(folder: Path, facts: Mapping[str, Any], measure: Callable[[], Choice]) -> MachineProfile:
    """The profile that is kept, or a new one where there is none or it is stale. Blocks while another process measures.

    A file that cannot be read as a profile is moved aside, with a warning. Where the folder cannot be written to, what
    was measured holds for this process.

    Args:
        folder: Where profiles lie: one for each graph and choice of settings.
        facts: As `machine_facts` gives them.
        measure: Takes seconds. What it raises is raised.

    Raises:
        MissingExtraError: filelock is not installed.
    """
    path = profile_path(folder, facts)
    if found := _fresh(path, facts):
        return found
    with _locked(folder / f"{_beginning(facts['graph'])}.lock") as is_locked:
        if is_locked and (found := _fresh(path, facts)):
            return found  # measured while we waited
        _set_aside(path)
        profile = MachineProfile(dict(facts), measure(), datetime.now(UTC).isoformat(timespec="seconds"))
        if is_locked:
            _save(path, profile)
        return profile


def profile_path(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Where the profile of a graph lies that was measured with these settings."""
    chosen = json.dumps([facts[name] for name in SETTINGS])
    settings = hashlib.sha256(chosen.encode()).hexdigest()[:SETTINGS_CHARS]
    return folder / f"{_beginning(facts['graph'])}-{settings}.json"


def profiles_of(folder: Path, graph: str) -> list[Path]:
    """The profiles of a graph, one for each choice of settings, the one that was written last first.

    Args:
        folder: Where profiles lie.
        graph: SHA-256 of the graph.
    """
    found = folder.glob(f"{_beginning(graph)}-*.json")
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _beginning(graph: str) -> str:
    """Of the names of all files about a graph."""
    return f"machine-{graph[:HASH_CHARS]}"


def read_profile(path: Path) -> MachineProfile | None:
    """What a file holds; None where there is none.

    Raises:
        ConfigError: It is no profile.
    """
    try:
        return MachineProfile.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is no machine profile ({error!r}); delete it, it is measured again") from error


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which facts differ, for people: 'num_threads was 2, is 4'."""
    return [
        f"{name} was {json.dumps(before.get(name))}, is {json.dumps(now.get(name))}"
        for name in dict.fromkeys((*before, *now))
        if before.get(name) != now.get(name)
    ]


def file_hash(path: Path) -> str:
    """SHA-256 in hexadecimal. Raises ConfigError."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise ConfigError(f"cannot read the model {path}: {error.strerror or error}") from error


def _fresh(path: Path, facts: Mapping[str, Any]) -> MachineProfile | None:
    try:
        found = read_profile(path)
    except ConfigError:
        return None  # set aside by whoever measures
    if found is None:
        return None
    if stale := changes(found.facts, facts):
        logger.info("the runtimes are measured again: %s", "; ".join(stale))
        return None
    return found


def _set_aside(path: Path) -> None:
    """Keep a file that is no profile, under another name."""
    try:
        read_profile(path)
    except ConfigError as error:
        aside = path.with_suffix(".corrupt")
        with suppress(OSError):
            path.replace(aside)
        logger.warning("%s; moved to %s", error.message, aside)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Nobody else measures the graph inside, nor with other settings: they would slow each other down.

    False where the folder cannot be written to or another process takes too long.
    """
    try:
        import filelock
    except ImportError as error:
        raise MissingExtraError("the machine profile", "kokoro") from error
    lock = filelock.FileLock(path, timeout=LOCK_TIMEOUT_S)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, filelock.Timeout) as error:
        logger.warning("the machine profile is not kept, every start measures again: %s", error)
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _save(path: Path, profile: MachineProfile) -> None:
    """Write beside it, then rename: a reader sees the old file or the new one."""
    text = json.dumps(profile.to_json(), indent=2, ensure_ascii=False)
    beside = path.with_suffix(".tmp")  # ours alone: the lock is held
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        logger.warning("the machine profile is not kept, every start measures again: %s", error)


def _described(here: Processor) -> dict[str, Any]:
    flags = None if here.flags is None else list(here.flags)
    return {"model": here.model, "architecture": here.architecture, "flags": flags, "num_cores": here.num_cores}


def _versions() -> Iterator[tuple[str, str]]:
    for package in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            yield package, metadata.version(package)
