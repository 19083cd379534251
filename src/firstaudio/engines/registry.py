"""The engines that are installed, by entry point, so that any package can add one.

An engine is a class whose constructor takes the `Config`, named in the entry-point group `firstaudio.engines`. This
package names its own there in `pyproject.toml`; another package does the same and is used without a change here.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from firstaudio.config import Config
from firstaudio.engines.base import Engine
from firstaudio.errors import ConfigError, FirstaudioError

GROUP = "firstaudio.engines"


def available() -> dict[str, EntryPoint]:
    """Entry points by engine name; nothing is imported. Of two with the same name the first installed stands."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, entry)
    return found


def create(name: str, config: Config) -> Engine:
    """The engine of that name, not started.

    Args:
        name: As in `available()`.
        config: Handed to the engine's constructor.

    Raises:
        ConfigError: No engine has that name, or its package cannot be imported.
    """
    entries = available()
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none: is firstaudio installed?"
        raise ConfigError(f"there is no engine {name!r}; installed are {known}; set engine.names to some of them")
    engine: Engine = _load(entries[name])(config)
    return engine


def _load(entry: EntryPoint) -> type:
    """The class behind the entry point. Raises ConfigError that says what to install."""
    try:
        loaded: type = entry.load()
    except FirstaudioError:
        raise  # it says by itself what is missing
    except ImportError as error:
        raise ConfigError(
            f"the engine {entry.name!r} cannot be imported ({error}); install what it needs: {_install(entry, error)}"
        ) from error
    except AttributeError as error:
        raise ConfigError(
            f"the engine {entry.name!r} is not where its package says ({entry.value}); reinstall: {_install(entry)}"
        ) from error
    return loaded


def _install(entry: EntryPoint, error: ImportError | None = None) -> str:
    """The command that is likely to help: the missing module, else the package that named the engine."""
    package = entry.dist.name if entry.dist else "firstaudio"
    own = entry.module.partition(".")[0]
    missing = error.name.partition(".")[0] if error and error.name else own
    return f"pip install {package if missing == own else missing}"
