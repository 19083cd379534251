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

def forget():
    for name in [n for n in sys.modules if n.partition(".")[0] == "firstaudio"]:
        del sys.modules[name]

failures = {}
for name in sys.argv[1:]:
    forget()
    try:
        importlib.import_module(name)
    except BaseException:
        failures[name] = traceback.format_exc()
    if threading.active_count() > 1 or psutil.Process().children():
        failures[name] = f"started {threading.enumerate()}, {psutil.Process().children()}"
        break
print(json.dumps(failures))
"""


def imported_rooms(path: Path) -> Iterator[str]:
    """The rooms of this package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "firstaudio" and rest != "__version__":
                yield rest.partition(".")[0]


def allowed(room: str) -> set[str]:
    """The rooms that `room` may import."""
    return {room} | (ONLY[room] if room in ONLY else set(ARROW[: ARROW.index(room)])) | BESIDE.get(room, set())


@pytest.mark.parametrize("module", [module for module in MODULES if module not in ROOTS])
def test_imports_follow_the_arrow(module: str):
    path = PACKAGE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    room = module.split(".")[1]

    assert set() == set(imported_rooms(path)) - allowed(room)


def test_the_package_itself_imports_nothing():
    assert list(imported_rooms(PACKAGE / "__init__.py")) == []


def test_each_module_imports_alone_and_starts_nothing():
    """One process: third-party packages stay loaded, this package is forgotten before each import."""
    modules = [module for module in MODULES if not module.endswith("__main__")]
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH_ALONE, *modules], capture_output=True, text=True, check=True
    )

    assert json.loads(run.stdout) == {}


@pytest.mark.parametrize("module", ["firstaudio.config", "firstaudio.cli.main", "firstaudio.engines.espeak.worker"])
def test_what_must_start_fast_loads_nothing_heavy(module: str):
    heavy = {"pydantic", "fastapi", "uvicorn", "av", "soxr", "scipy", "asyncio", "anyio", "rich.console"}
    program = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert set() == heavy & set(json.loads(run.stdout))
