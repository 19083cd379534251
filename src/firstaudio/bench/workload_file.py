"""A workload as a TOML file: defaults at the top, `[[cell]]` tables that override them, lists that make several cells.

    [target]                          # or [targets.ours], [targets.theirs] and `targets = ["ours", "theirs"]`
    kind = "openai"
    url = "http://127.0.0.1:8880"
    token_env = "TTS_TOKEN"           # the variable that holds it; a token itself never stands in the file

    [load]
    concurrency = [1, 4, 16]          # three cells

    [[cell]]
    voices = ["default", "premium"]   # two cells for each of them

Whatever a cell may hold can also stand at the top, as a default. The fields are those of `spec.TargetSpec`,
`workload.Texts`, `workload.Load` and `workload.Goals`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import TEXT_CLASSES, Cell, Goals, Load, Texts, Workload
from firstaudio.errors import BenchError

Table = Mapping[str, Any]
_T = TypeVar("_T")

# Plural key of a cell: the axis that its list makes, and the singular key that gives one value.
PLURALS = {
    "targets": "target",
    "voices": "voice",
    "deliveries": "delivery",
    "speeds": "speed",
    "text_classes": "text_class",
}
LOAD_LISTS = ("concurrency", "rate_per_s")  # in [load] one key takes a value or a list
AXES = ("target", "voice", "text_class", "delivery", "speed", "rate_per_s", "concurrency")  # in the order of names
TABLES = ("texts", "load")
CELL_KEYS = ("name", "language", *PLURALS, *PLURALS.values(), *TABLES)
TOP_KEYS = ("mode", "cell", "goals", *(key for key in CELL_KEYS if key != "name"))
MUST_BE_POSITIVE = frozenset(
    {"concurrency", "rate_per_s", "start_rate_per_s", "num_requests", "duration_s", "deadline_s", "timeout_s", "speed"}
    | {"ttfa_ms", "short_ttfa_ms", "tokens_per_s", "sample_rate"}
)
MUST_NOT_BE_NEGATIVE = frozenset({"stagger_s", "warmup_requests", "buffer_ms"})
NEEDED_BY = {
    "poisson": ("rate_per_s",),
    "constant": ("rate_per_s",),
    "ramp": ("start_rate_per_s", "rate_per_s"),
    "trace": ("offsets_s",),
}


def read_workload(path: Path, environ: Mapping[str, str] = os.environ) -> Workload:
    """The workload that a TOML file describes.

    Args:
        path: The file.
        environ: Where `token_env` looks.

    Raises:
        BenchError: The file is missing or no TOML, a key is unknown, a value is of the wrong type or out of range.
    """
    try:
        return _Reader(path, _read_toml(path), environ).workload()
    except _FaultError as fault:
        raise BenchError(f"{path}: {fault}") from fault.__cause__


class _FaultError(Exception):
    """What is wrong with the file; the name of the file is still to come."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A cell whose lists have been taken apart. `values` has an entry for each axis that has a value."""

    name: str | None
    values: Mapping[str, Any]
    listed: frozenset[str]
    language: str | None
    texts: Texts
    load: Load
    target: TargetSpec


@dataclass(frozen=True, slots=True)
class _Reader:
    path: Path
    document: Table
    environ: Mapping[str, str]

    def workload(self) -> Workload:
        top = {k: v for k, v in self.document.items() if k not in ("target", "targets")}
        _know(top, TOP_KEYS, "the top of the file")
        specs, default = self._targets()
        defaults = {k: v for k, v in top.items() if k in CELL_KEYS} | default
        tables = top.get("cell", [{}])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise _FaultError("a cell is written [[cell]], with two brackets")
        drafts = [
            draft
            for number, table in enumerate(tables, start=1)
            for draft in _drafts(_merge(defaults, table, _where(table, number)), specs, _where(table, number))
        ]
        mode = _checked(top.get("mode", "run"), str, "mode")
        return Workload(mode, tuple(_cells(drafts)), _build(Goals, _table(top, "goals"), "[goals]"))

    def _targets(self) -> tuple[dict[str, TargetSpec], dict[str, Any]]:
        """The targets by name, and what cells that name none get: the only one, or the choice at the top."""
        chosen = {k: v for k, v in self.document.items() if k in ("target", "targets")}
        tables: dict[str, Any] = {}
        if isinstance(chosen.get("target"), dict):
            tables[""] = chosen.pop("target")
        if isinstance(chosen.get("targets"), dict):
            tables |= chosen.pop("targets")
        if not tables or ("" in tables and len(tables) > 1):
            raise _FaultError("say whom to measure in one table [target], or in several named [targets.NAME]")
        specs = {name: self._spec(name, table) for name, table in tables.items()}
        if not chosen and len(specs) > 1:
            chosen = {"targets": list(specs)}
        return specs, chosen or {"target": next(iter(specs))}

    def _spec(self, name: str, table: Any) -> TargetSpec:
        where = f"[targets.{name}]" if name else "[target]"
        if not isinstance(table, dict):
            raise _FaultError(f"{where} must be a table with kind, url ...")
        if "token" in table:
            raise _FaultError(f'{where} token: put the token into an environment variable and write token_env = "NAME"')
        rest = {key: value for key, value in table.items() if key != "token_env"}
        spec = _build(TargetSpec, rest, where, more=("token_env",))
        _check_target(spec, where)
        return replace(spec, name=spec.name or name, token=self._token(table, where))

    def _token(self, table: Table, where: str) -> str | None:
        if "token_env" not in table:
            return None
        variable = _checked(table["token_env"], str, f"{where} token_env")
        if not self.environ.get(variable):
            raise _FaultError(f"{where} token_env: the environment variable {variable} is not set; export it first")
        return self.environ[variable]


def _merge(defaults: Table, table: Table, where: str) -> dict[str, Any]:
    """A cell over the defaults. A single value takes the place of a default list, and the other way round."""
    _know(table, CELL_KEYS, where)
    merged = dict(defaults)
    for key in table:
        for plural, single in PLURALS.items():
            if key in (plural, single):
                merged.pop(plural, None)
                merged.pop(single, None)
    load = _merged_load(_table(defaults, "load"), _table(table, "load"), where)
    return {**merged, **table, "load": load, "texts": {**_table(defaults, "texts"), **_table(table, "texts")}}


def _merged_load(defaults: Table, load: Table, where: str) -> dict[str, Any]:
    """Either a number of requests or a time ends a cell: the one takes the place of the other."""
    for table, place in ((defaults, "[load]"), (load, f"{where} load")):
        if {"num_requests", "duration_s"} <= table.keys():
            raise _FaultError(f"{place} has both num_requests and duration_s; keep one")
    ended = {"num_requests": "duration_s", "duration_s": "num_requests"}
    replaced = {other for key, other in ended.items() if key in load}
    return {**{key: value for key, value in defaults.items() if key not in replaced}, **load}


def _drafts(cell: Table, specs: Mapping[str, TargetSpec], where: str) -> Iterator[_Draft]:
    """One draft for each combination of the listed values."""
    choices = {axis: _choices(cell, axis, where) for axis in AXES}
    listed = frozenset(axis for axis, values in choices.items() if values and len(values) > 1)
    given = {axis: values for axis, values in choices.items() if values is not None}
    for combination in product(*given.values()):
        values = dict(zip(given, combination, strict=True))
        yield _draft(cell, values, listed, specs, where)


def _choices(cell: Table, axis: str, where: str) -> list[Any] | None:
    """The values of one axis; None where the cell says nothing of it."""
    if axis in LOAD_LISTS:
        value = cell["load"].get(axis)
        return _listed(value, f"{where} load.{axis}") if isinstance(value, list) else None if value is None else [value]
    plural = next(key for key, single in PLURALS.items() if single == axis)
    if plural in cell and axis in cell:
        raise _FaultError(f"{where} has both {axis} and {plural}; keep one")
    if plural in cell:
        return _listed(cell[plural], f"{where} {plural}")
    return [cell[axis]] if axis in cell else None


def _listed(values: Any, where: str) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise _FaultError(f"{where} must be a list with at least one value, got {values!r}")
    return values


def _draft(
    cell: Table, values: dict[str, Any], listed: frozenset[str], specs: Mapping[str, TargetSpec], where: str
) -> _Draft:
    spec = specs.get(_checked(values["target"], str, f"{where} target"))
    if spec is None:
        raise _FaultError(
            f"{where} target: there is no [targets.{values['target']}]{_nearest(values['target'], specs)}"
        )
    for axis, type_ in (("voice", str), ("speed", float)):
        if axis in values:
            _check_range(axis, _checked(values[axis], type_, f"{where} {axis}"), where)
    if "delivery" in values:
        delivery = _build(TargetSpec, {"kind": spec.kind, "delivery": values["delivery"]}, where).delivery
        spec = spec.replace(delivery=delivery)
    text_class = {"classes": [values["text_class"]]} if "text_class" in values else {}
    texts = _build(Texts, {**cell["texts"], **text_class}, f"{where} texts")
    load = _build(Load, {**cell["load"], **{k: values[k] for k in LOAD_LISTS if k in values}}, f"{where} load")
    _check_cell(texts, load, where)
    language = None if cell.get("language") is None else _checked(cell["language"], str, f"{where} language")
    name = None if "name" not in cell else _checked(cell["name"], str, f"{where} name")
    return _Draft(name, {"concurrency": load.concurrency, **values}, listed, language, texts, load, spec)


def _cells(drafts: list[_Draft]) -> Iterator[Cell]:
    """Drafts as cells, with what varies between them as their axes. Names must be unique: raises _FaultError."""
    varying = {axis for axis in AXES if len({repr(draft.values.get(axis)) for draft in drafts}) > 1}
    taken: set[str] = set()
    for draft in drafts:
        name = _name(draft)
        if name in taken:
            raise _FaultError(f'two cells are called {name!r}; give each [[cell]] a name = "..." of its own')
        taken.add(name)
        yield Cell(
            name=name,
            target=draft.target,
            axes=_axes(draft, varying),
            voice=draft.values.get("voice"),
            speed=float(draft.values.get("speed", 1.0)),
            language=draft.language,
            texts=draft.texts,
            load=draft.load,
        )


def _axes(draft: _Draft, varying: set[str]) -> dict[str, str | int | float]:
    """What varies, and always how much is asked of the target; a named cell is a scenario."""
    always = "concurrency" if draft.load.arrival == "closed" else "rate_per_s"
    axes = {axis: draft.values[axis] for axis in AXES if axis in draft.values and axis in varying | {always}}
    return {"scenario": draft.name, **axes} if draft.name else axes


def _name(draft: _Draft) -> str:
    """The given name, then every listed value, as "premium c=4"; a cell with neither is called by its load."""
    shown = [axis for axis in AXES if axis in draft.listed]
    if not draft.name and not shown:
        shown = ["concurrency" if draft.load.arrival == "closed" or "rate_per_s" not in draft.values else "rate_per_s"]
    forms = {"concurrency": "c={}", "speed": "speed={}", "rate_per_s": "rate={}/s"}
    return " ".join([draft.name or "", *(forms.get(axis, "{}").format(draft.values[axis]) for axis in shown)]).strip()


def _check_target(spec: TargetSpec, where: str) -> None:
    if spec.kind == "command" and not spec.command:
        raise _FaultError(f'{where} needs command = ["program", "argument", ...]')
    if spec.kind != "command" and not spec.url:
        raise _FaultError(f'{where} needs url = "..."')


def _check_cell(texts: Texts, load: Load, where: str) -> None:
    for name in texts.classes:
        if name not in TEXT_CLASSES:
            raise _FaultError(f"{where} texts: unknown text class {name!r}{_nearest(name, TEXT_CLASSES)}")
    needed = NEEDED_BY.get(load.arrival, ())
    for key in ("rate_per_s", "start_rate_per_s", "offsets_s"):
        if key in needed and not getattr(load, key):
            raise _FaultError(f'{where} load: arrival = "{load.arrival}" needs {key}')
        if key not in needed and getattr(load, key):
            raise _FaultError(f'{where} load: arrival = "{load.arrival}" does not use {key}; take one of them out')
    if list(load.offsets_s) != sorted(load.offsets_s) or any(offset < 0 for offset in load.offsets_s):
        raise _FaultError(f"{where} load: offsets_s must be seconds from the start, ascending")


def _build(cls: type[_T], table: Table, where: str, more: Iterable[str] = ()) -> _T:
    """A dataclass from a table. Raises _FaultError for unknown, missing and wrong fields."""
    assert is_dataclass(cls)
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls) if field.name != "token"]
    _know(table, [*names, *more], where)
    if "kind" in names and "kind" not in table:
        raise _FaultError(f'{where} needs kind = "openai" (or another protocol)')
    values = {key: _checked(value, hints[key], f"{where} {key}") for key, value in table.items()}
    for key, value in values.items():
        _check_range(key, value, where)
    return cls(**values)


def _check_range(key: str, value: Any, where: str) -> None:
    if key in MUST_BE_POSITIVE and value is not None and value <= 0:
        raise _FaultError(f"{where} {key} must be greater than 0, got {value}")
    if key in MUST_NOT_BE_NEGATIVE and value < 0:
        raise _FaultError(f"{where} {key} must not be negative, got {value}")


def _checked(value: Any, annotation: Any, where: str) -> Any:
    """The value in the annotated type, without conversions but from list to tuple. Raises _FaultError."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
    try:
        return adapter.validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
    except ValidationError as error:
        wanted = "; ".join(dict.fromkeys(found["msg"] for found in error.errors(include_url=False)))
        raise _FaultError(f"{where} = {value!r}: {wanted}") from error


def _know(table: Table, known: Iterable[str], where: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            raise _FaultError(f"unknown key {key!r} in {where}{_nearest(key, names)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    names = [each for each in known if each]
    near = get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names)}"


def _table(document: Table, name: str) -> dict[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise _FaultError(f"{name} must be a table, got {table!r}")
    return table


def _where(table: Table, number: int) -> str:
    return f"[[cell]] {table['name']!r}" if "name" in table else f"[[cell]] number {number}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BenchError(f"there is no workload file {path}; examples/workload.toml shows how one looks") from error
    except OSError as error:
        raise BenchError(f"cannot read the workload file {path}: {error.strerror}") from error
    except ValueError as error:  # TOML's syntax, or not UTF-8
        raise BenchError(f"{path} is not a TOML file: {error}") from error
