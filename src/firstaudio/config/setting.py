"""`Setting`: one field of the configuration and every name that it goes by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, MinLen

from firstaudio.config.fields import Config, Help

ENV_PREFIX = "FIRSTAUDIO_"

_KIND_WORDS = {int: "an integer", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One field, with its names and limits.

    Attributes:
        section: Section of the file, field of `Config`.
        field: Key within the section, field of the section's dataclass.
        annotation: The whole `Annotated[...]`, as pydantic validates it.
        default: What holds when nobody says otherwise.
        help: One sentence for people.
        secret: Whether the value must not be shown.
    """

    section: str
    field: str
    annotation: Any
    default: Any
    help: str
    secret: bool

    @property
    def key(self) -> str:
        """`section.field`."""
        return f"{self.section}.{self.field}"

    @property
    def env(self) -> str:
        """Name of the environment variable."""
        return f"{ENV_PREFIX}{self.section}_{self.field}".upper()

    @property
    def flag(self) -> str:
        """Long option; the section `server` is not part of it."""
        name = self.field if self.section == "server" else f"{self.section}_{self.field}"
        return f"--{name.replace('_', '-')}"

    @property
    def type(self) -> Any:
        """The type without limits: int, float, str, bool, `tuple[str, ...]` or a `Literal`."""
        return get_args(self.annotation)[0]

    @property
    def is_list(self) -> bool:
        """Whether the value is several texts: comma-separated in the environment and in flags."""
        return get_origin(self.type) is tuple

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed words of a `Literal`, else nothing."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def allowed(self) -> str:
        """What may be given, in words: "an integer from 0 to 65535"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.is_list:
            return f"a list of texts{' (at least one)' if any(isinstance(m, MinLen) for m in self._limits) else ''}"
        return _KIND_WORDS[self.type] + self._range

    @property
    def _limits(self) -> tuple[Any, ...]:
        return get_args(self.annotation)[1:]

    @property
    def _range(self) -> str:
        low = next((f"from {m.ge}" for m in self._limits if isinstance(m, Ge)), None)
        above = next((f"above {m.gt}" for m in self._limits if isinstance(m, Gt)), None)
        high = next((m.le for m in self._limits if isinstance(m, Le)), None)
        if low:
            return f" {low} on" if high is None else f" {low} to {high}"
        if above:
            return f" {above}" if high is None else f" {above}, at most {high}"
        return "" if high is None else f" up to {high}"


def settings() -> Iterator[Setting]:
    """Every setting, in the order of the dataclasses."""
    return iter(_settings())


@lru_cache(maxsize=1)
def _settings() -> tuple[Setting, ...]:
    sections = get_type_hints(Config, include_extras=True)
    return tuple(
        setting
        for section in fields(Config)
        if section.name in SECTIONS
        for setting in _section_settings(section.name, sections[section.name])
    )


def _section_settings(section: str, cls: Any) -> Iterator[Setting]:
    annotations = get_type_hints(cls, include_extras=True)
    for item in fields(cls):
        annotation = annotations[item.name]
        assert get_origin(annotation) is Annotated, f"{section}.{item.name} has no Help"
        documentation = next(m for m in get_args(annotation) if isinstance(m, Help))
        yield Setting(section, item.name, annotation, item.default, documentation.text, documentation.secret)


SECTIONS: tuple[str, ...] = tuple(item.name for item in fields(Config) if item.name != "origins")
