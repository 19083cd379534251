"""The facts about a machine: which are told, which make two sessions comparable, which are never recorded."""

from __future__ import annotations

import getpass
import json
import os
import platform
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio import __version__
from firstaudio.bench.machine import environment as room
from firstaudio.bench.machine.environment import (
    GIB,
    Throttling,
    cpu_limit,
    environment,
    fingerprint,
    others_cpu_share,
    software,
    throttled,
    throttling_check,
    usable_cores,
    virtualisation,
)
from firstaudio.errors import MissingExtraError


@pytest.fixture
def root(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """A file system with just these files."""

    def make(files: Mapping[str, str]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return make


def facts(**changes: Any) -> dict[str, Any]:
    machine = {
        "cpu": "Processor 1",
        "physical_cores": 2,
        "logical_cores": 4,
        "usable_cores": 4.0,
        "memory_bytes": 16 * GIB,
        "os": "Debian 12",
        "kernel": "6.1",
        "mhz": {"current": 2000.0},
    }
    changed = {name: value for name, value in changes.items() if name in machine}
    packages = {"python": "3.11.7", "firstaudio": "0.1.0", "packages": {}}
    return {
        "machine": {**machine, **changed},
        "software": {**packages, **{k: v for k, v in changes.items() if k in packages}},
        "load_average": changes.get("load_average"),
    }


def test_the_environment_is_json_and_has_a_fingerprint():
    told = environment(sample_s=0)

    assert told == json.loads(json.dumps(told, allow_nan=False))
    assert told["fingerprint"] == fingerprint(told)
    assert told["software"]["firstaudio"] == __version__
    assert told["software"]["python"] == platform.python_version()
    assert told["machine"]["logical_cores"] >= 1
    assert told["machine"]["memory_bytes"] > 0
    assert 0 < told["clock"]["resolution_ns"] < 1e6
    assert told["others_cpu_share"] is None


def test_no_host_name_user_name_or_path_is_recorded():
    told = json.dumps(environment(sample_s=0))

    for secret in (socket.gethostname(), getpass.getuser(), str(Path.home())):
        assert f'"{secret}"' not in told
    for path in (str(Path.cwd()), sys.prefix):
        assert path not in told


@pytest.mark.parametrize(
    "changes",
    [
        {"mhz": {"current": 3000.0}},
        {"kernel": "6.2"},
        {"memory_bytes": 16 * GIB - 40_000_000},
        {"python": "3.11.9"},
        {"packages": {"numpy": "2.0"}},
        {"load_average": [9.0, 9.0, 9.0]},
    ],
)
def test_what_varies_on_one_machine_leaves_the_fingerprint(changes: dict[str, Any]):
    assert fingerprint(facts()) == fingerprint(facts(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"cpu": "Processor 2"},
        {"physical_cores": 4},
        {"logical_cores": 8},
        {"usable_cores": 1.5},
        {"memory_bytes": 8 * GIB},
        {"os": "Debian 13"},
        {"python": "3.12.0"},
        {"firstaudio": "0.2.0"},
    ],
)
def test_what_makes_figures_incomparable_changes_the_fingerprint(changes: dict[str, Any]):
    assert fingerprint(facts()) != fingerprint(facts(**changes))


def test_a_machine_that_tells_little_has_a_fingerprint_too():
    assert len(fingerprint(facts(memory_bytes=None, physical_cores=None))) == 12


V2 = {"proc/self/cgroup": "0::/kube/pod\n"}
V1 = {"proc/self/cgroup": "4:memory:/pod\n3:cpu,cpuacct:/pod\n0::/\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({**V2, "sys/fs/cgroup/kube/pod/cpu.max": "max 100000\n"}, None),
        ({**V2, "sys/fs/cgroup/kube/pod/cpu.max": "150000 100000\n"}, 1.5),
        (
            {**V2, "sys/fs/cgroup/kube/pod/cpu.max": "max 100000\n", "sys/fs/cgroup/kube/cpu.max": "200000 100000\n"},
            2.0,
        ),
        (
            {
                **V2,
                "sys/fs/cgroup/kube/pod/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/kube/cpu.max": "200000 100000\n",
            },
            0.5,
        ),
        ({"proc/self/cgroup": "0::/not/in/here\n", "sys/fs/cgroup/cpu.max": "300000 100000"}, 3.0),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/pod/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us": "25000",
                "sys/fs/cgroup/cpu/pod/cpu.cfs_period_us": "100000",
            },
            0.25,
        ),
    ],
)
def test_the_cpu_limit_is_the_tightest_of_the_cgroups(root, files: dict[str, str], expected: float | None):
    assert expected == cpu_limit(root(files))


def test_usable_cores_are_not_more_than_the_cgroup_grants(root):
    limited = root({**V2, "sys/fs/cgroup/kube/pod/cpu.max": "50000 100000\n"})

    assert usable_cores(limited) == 0.5
    assert usable_cores(root({"sys/fs/cgroup/kube/pod/cpu.max": "99900000 100000\n"})) >= 1.0


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({**V2, "sys/fs/cgroup/kube/pod/cpu.stat": "usage_usec 5\n"}, None),
        (
            {
                **V2,
                "sys/fs/cgroup/kube/pod/cpu.stat": "usage_usec 5\nnr_periods 10\nnr_throttled 3\nthrottled_usec 7\n",
            },
            Throttling(10, 3, 7000),
        ),
        (
            {**V1, "sys/fs/cgroup/cpu/pod/cpu.stat": "nr_periods 10\nnr_throttled 3\nthrottled_time 7\n"},
            Throttling(10, 3, 7),
        ),
    ],
)
def test_throttling_is_read_from_either_cgroup_version(root, files: dict[str, str], expected: Throttling | None):
    assert expected == throttled(root(files))


def test_throttling_between_two_readings_is_their_difference():
    assert Throttling(20, 5, 900).since(Throttling(10, 3, 200)) == Throttling(10, 2, 700)


@pytest.mark.parametrize(
    ("before", "after", "ok"),
    [
        (None, None, None),
        (Throttling(1, 1, 5), Throttling(9, 1, 5), True),
        (Throttling(1, 1, 5), Throttling(9, 3, 20_000_005), False),
    ],
)
def test_a_client_that_was_held_back_voids_its_cell(before, after, ok: bool | None):
    check = throttling_check(before, after)

    assert (check.ok, check.voids) == (ok, True)
    assert ("in 2 of 8 periods (20 ms)" in check.detail) is (ok is False)


@pytest.mark.parametrize(
    ("flags", "files", "expected"),
    [
        ("fpu sse", {}, None),
        ("fpu hypervisor", {}, "virtual machine"),
        ("fpu hypervisor", {"sys/class/dmi/id/sys_vendor": "QEMU\n"}, "virtual machine (QEMU)"),
        ("fpu", {".dockerenv": ""}, "container"),
        ("hypervisor", {"run/.containerenv": ""}, "virtual machine, container"),
    ],
)
def test_a_virtual_machine_and_a_container_are_told(root, flags: str, files: dict[str, str], expected: str | None):
    assert expected == virtualisation({"flags": flags}, root(files))


class FakePsutil(SimpleNamespace):
    """Two readings of who has used how much CPU."""

    class Error(Exception):
        pass

    def __init__(self, *readings: dict[tuple[int, float], float], cores: int = 2) -> None:
        super().__init__(cpu_count=lambda: cores, Process=lambda: SimpleNamespace(children=lambda recursive: []))
        self._readings = iter(readings)

    def process_iter(self) -> list[Any]:
        return [self._process(pid, born, cpu_s) for (pid, born), cpu_s in next(self._readings).items()]

    def _process(self, pid: int, born: float, cpu_s: float) -> Any:
        times = SimpleNamespace(user=cpu_s, system=0.0)
        return SimpleNamespace(pid=pid, create_time=lambda: born, cpu_times=lambda: times)


def test_other_processes_count_and_our_own_do_not(monkeypatch):
    """0.5 s of CPU by another process in 1 s on 2 cores is a quarter; a pid that was born again began anew."""
    own = os.getpid()
    before = {(own, 1.0): 10.0, (7, 1.0): 3.0, (8, 1.0): 50.0}
    after = {(own, 1.0): 11.0, (7, 1.0): 3.5, (8, 2.0): 0.25, (9, 2.0): 9.0}
    now = iter([100.0, 101.0])
    clock = SimpleNamespace(sleep=lambda seconds: None, perf_counter=lambda: next(now))
    monkeypatch.setattr(room, "load_psutil", lambda: FakePsutil(before, after))
    monkeypatch.setattr(room, "time", clock)

    assert others_cpu_share(1.0) == 0.25


def test_without_psutil_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'firstaudio\[bench\]'"):
        environment(sample_s=0)


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(room, "PACKAGES", ("numpy", "no-such-package-at-all"))

    assert list(software()["packages"]) == ["numpy"]
