"""`load`: defaults <- file <- environment <- flags, validated; every mistake is a `ConfigError` that names its cure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from firstaudio.config.fields import Config
from firstaudio.config.setting import ENV_PREFIX, SECTIONS, Setting, settings
from firstaudio.errors import ConfigError

ENV_CONFIG = "FIRSTAUDIO_CONFIG"
OTHER_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        ENV_CONFIG: "path of the configuration file, where `--config` is not given",
        "FIRSTAUDIO_DEBUG": "1: errors come with their traceback",
        "FIRSTAUDIO_BENCH_TOKEN": "API key that `firstaudio bench`, `schedule` and `selftest` send",
    }
)


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as somebody gave it."""

    setting: Setting
    value: Any
    origin: str
    as_text: bool  # an environment variable or a flag: numbers and lists come as text


def load(
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] = MappingProxyType({}),
) -> Config:
    """The effective configuration.

    Args:
        file: TOML file; None takes the one that `FIRSTAUDIO_CONFIG` names, if it names one.
        environ: The environment.
        flags: Values by key (`server.port`), as text or in the setting's type; None means not given.

    Raises:
        ConfigError: The file is missing or no TOML; a key or variable is unknown; a value is out of range.
    """
    path = file or (Path(environ[ENV_CONFIG]) if environ.get(ENV_CONFIG) else None)
    given = {
        item.setting.key: item
        for source in (_from_file(path), _from_environment(environ), _from_flags(flags))
        for item in source
    }
    values = {key: _convert(item) for key, item in given.items()}
    return _assemble(values, {key: item.origin for key, item in given.items()})


def _from_file(path: Path | None) -> Iterator[_Given]:
    if path is None:
        return
    known = {setting.key: setting for setting in settings()}
    for section, table in _read_toml(path).items():
        if section not in SECTIONS:
            raise ConfigError(f"{path}: unknown section [{section}]{_nearest(section, SECTIONS)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {section} must be a section with settings in it: [{section}]")
        for name, value in table.items():
            key = f"{section}.{name}"
            if key not in known:
                raise ConfigError(f"{path}: unknown setting {key}{_nearest(key, known)}")
            yield _Given(known[key], value, f"file {path}", as_text=False)


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no configuration file {path}; make it, or name another one") from error
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except ValueError as error:  # TOML's syntax, or not UTF-8
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Given]:
    known = {setting.env: setting for setting in settings()}
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or name in OTHER_VARIABLES or _is_service_link(name, value):
            continue
        if name not in known:
            raise ConfigError(
                f"unknown environment variable {name} (names that begin with {ENV_PREFIX} are settings)"
                f"{_nearest(name, known)}"
            )
        yield _Given(known[name], value, f"environment {name}", as_text=True)


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes set the variable because a service goes by the name of `firstaudio`.

    Source: kubernetes.io/docs/concepts/services-networking/service, "Environment variables".
    """
    rest = name.removeprefix(ENV_PREFIX)
    return rest.startswith(("SERVICE_HOST", "SERVICE_PORT", "PORT_")) or value.startswith(("tcp://", "udp://"))


def _from_flags(flags: Mapping[str, Any]) -> Iterator[_Given]:
    known = {setting.key: setting for setting in settings()}
    for key, value in flags.items():
        if key not in known:
            raise ConfigError(f"unknown setting {key}{_nearest(key, known)}")
        if value is not None:
            yield _Given(known[key], value, f"flag {known[key].flag}", as_text=True)


def _convert(given: _Given) -> Any:
    """The value in the setting's type. A file says `true` and `8000`; text is parsed."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    setting, value = given.setting, given.value
    adapter: TypeAdapter[Any] = TypeAdapter(setting.annotation, config=ConfigDict(allow_inf_nan=False))
    try:
        if setting.is_list:
            return adapter.validate_python(_as_tuple(given), strict=True)
        if given.as_text and isinstance(value, str):
            return adapter.validate_strings(value)
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        shown = "a value that is not shown" if setting.secret else _shorten(value)
        raise ConfigError(f"{setting.key} ({given.origin}) must be {setting.allowed}, got {shown}") from error


def _as_tuple(given: _Given) -> Any:
    if given.as_text and isinstance(given.value, str):
        return tuple(part.strip() for part in given.value.split(",") if part.strip())
    return tuple(given.value) if isinstance(given.value, list) else given.value


def _assemble(values: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
    """The sections from values by key. Raises ConfigError when settings contradict one another."""
    default = Config()
    sections = {
        section: type(getattr(default, section))(
            **{key.partition(".")[2]: value for key, value in values.items() if key.partition(".")[0] == section}
        )
        for section in SECTIONS
    }
    return Config(**sections, origins=dict(origins))


def _nearest(name: str, known: Iterable[str]) -> str:
    matches = get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else f"; known are {', '.join(known)}"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
