"""The one arrow of imports, and that each module can be imported first, alone, without doing anything."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import firstaudio

PACKAGE = Path(firstaudio.__file__).parent
# A room may import from itself and from rooms to its left.
ARROW = (
    "errors",
    "clock",
    "slo",
    "stats",
    "config",
    "trace",
    "audio",
    "text",
    "engines",
    "synthesis",
    "telemetry",
    "server",
    "cli",
)
# Rooms that may import less than their place allows, or have no place.
ONLY = {
    "audio": {"errors", "clock"},
    "slo": set(),
    "stats": set(),
    "bench": {"errors", "clock", "slo", "stats", "audio"},
    "cluster": {"errors", "clock", "bench"},
}
BESIDE = {"cli": {"bench", "cluster"}}  # what nobody else may import
ROOTS = {"firstaudio"}  # the package itself holds nothing but its version

MODULES = sorted(
    ".".join(("firstaudio", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)

IMPORT_EACH_ALONE = """
import importlib, json, sys, threading, traceback
import psutil

def ours():
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "firstaudio"}

kept, failures = {}, {}
for name, before in json.load(sys.stdin):
    for other in ours():
        del sys.modules[other]
    sys.modules.update((other, kept[other]) for other in before)
    try:
        importlib.import_module(name)
        kept = ours() | kept
    except BaseException:
        failures[name] = traceback.format_exc()
        break
    if threading.active_count() > 1 or psutil.Process().children():
        failures[name] = f"started {threading.enumerate()}, {psutil.Process().children()}"
        break
print(json.dumps(failures))
"""


def imported_names(path: Path) -> Iterator[str]:
    """What a file imports, anywhere in it: modules, and what may be modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_rooms(path: Path) -> Iterator[str]:
    """The rooms of this package that a file imports."""
    for name in imported_names(path):
        package, _, rest = name.partition(".")
        if package == "firstaudio" and rest != "__version__":
            yield rest.partition(".")[0]


def path_of(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def needs() -> dict[str, set[str]]:
    """All modules of this package that each may load, with those that these may load in turn."""
    found = {}
    for module in MODULES:
        names = [module, *imported_names(path_of(module))]
        parts = [name.split(".") for name in names]
        found[module] = {".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)} & set(MODULES)
    for by in MODULES:
        for each in found.values():
            each |= found[by] if by in each else set()
    return found


def allowed(room: str) -> set[str]:
    """The rooms that `room` may import."""
    return {room} | (ONLY[room] if room in ONLY else set(ARROW[: ARROW.index(room)])) | BESIDE.get(room, set())


@pytest.mark.parametrize("module", [module for module in MODULES if module not in ROOTS])
def test_imports_follow_the_arrow(module: str):
    room = module.split(".")[1]

    assert set() == set(imported_rooms(path_of(module))) - allowed(room)


def test_the_package_itself_imports_nothing():
    assert list(imported_rooms(PACKAGE / "__init__.py")) == []


def test_each_module_imports_alone_and_starts_nothing():
    """One process: before each import this package is forgotten, but for what was imported alone and leads not back."""
    all_needs = needs()
    modules = sorted((m for m in MODULES if not m.endswith("__main__")), key=lambda m: len(all_needs[m]))
    before = [[module, [m for m in all_needs[module] & {*modules} if module not in all_needs[m]]] for module in modules]
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH_ALONE], input=json.dumps(before), capture_output=True, text=True, check=True
    )

    assert json.loads(run.stdout) == {}


@pytest.mark.parametrize("module", ["firstaudio.config", "firstaudio.cli.main", "firstaudio.engines.espeak.worker"])
def test_what_must_start_fast_loads_nothing_heavy(module: str):
    heavy = {"pydantic", "fastapi", "uvicorn", "av", "soxr", "scipy", "asyncio", "anyio", "rich.console"}
    program = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert set() == heavy & set(json.loads(run.stdout))
