"""Threads and arithmetic, read from a machine's own files."""

from __future__ import annotations

import os
import sys

import pytest

from firstaudio.engines.kokoro.runtimes.hardware import processor, usable_cores

linux = pytest.mark.skipif(sys.platform != "linux", reason="affinity and /proc are Linux's")
CPUINFO = "processor\t: 0\nmodel name\t: Some Xeon\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\nmodel name\t: Other\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A machine of four logical processors on two cores, all of which this process may use."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    for number in range(4):
        topology = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology"
        topology.mkdir(parents=True)
        (topology / "core_id").write_text(f"{number % 2}\n")
        (topology / "physical_package_id").write_text("0\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path


def test_two_threads_of_a_core_count_once(root):
    assert usable_cores(root) == 2


def test_only_cores_of_the_affinity_count(root, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2}, raising=False)

    assert usable_cores(root) == 1


def test_without_a_topology_each_processor_is_a_core(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)

    assert usable_cores(tmp_path) == 3


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", 2), ("150000 100000", 1), ("20000 100000", 1)])
def test_a_quota_of_the_cgroup_bounds_the_threads(root, quota, expected):
    (root / "proc/self/cgroup").write_text("0::/box\n")
    folder = root / "sys/fs/cgroup/box"
    folder.mkdir(parents=True)
    (folder / "cpu.max").write_text(quota)

    assert expected == usable_cores(root)


def test_a_quota_further_up_counts_too(root):
    (root / "proc/self/cgroup").write_text("4:memory:/\n3:cpu,cpuacct:/a/b\n")
    folder = root / "sys/fs/cgroup/cpu/a"
    (folder / "b").mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("100000")
    (folder / "cpu.cfs_period_us").write_text("100000")

    assert usable_cores(root) == 1


@linux
@pytest.mark.parametrize(
    ("flags", "expected"), [("avx2 amx_bf16 amx_tile", True), ("avx512_bf16", True), ("avx2 avx512f", False)]
)
def test_bf16_is_in_the_flags(root, flags, expected):
    (root / "proc/cpuinfo").write_text(CPUINFO.format(flags=flags))
    found = processor(root)

    assert ("Some Xeon", expected) == (found.model, found.has_bf16)
    assert set(flags.split()) == set(found.flags)


def test_a_system_that_tells_no_flags_leaves_bf16_open(tmp_path):
    assert (processor(tmp_path).flags, processor(tmp_path).has_bf16) == (None, None)


def test_this_machine_has_a_processor():
    found = processor()

    assert found.model
    assert 1 <= found.num_cores <= (os.cpu_count() or 1)
