"""The machine and the software that a session ran on: what must be equal before two of its numbers are compared.

No host name, user name or path is recorded. A fact that this system does not tell is None.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from firstaudio import __version__
from firstaudio.bench.result import Check
from firstaudio.clock import NS_PER_MS, NS_PER_S
from firstaudio.errors import MissingExtraError

PACKAGES = ("numpy", "scipy", "soxr", "av", "uvloop", "httptools", "websockets", "wyoming", "psutil", "onnxruntime")
# What speech engines gain from, by their names in /proc/cpuinfo.
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16", "asimddp")
GIB = 2**30
ROOT = Path("/")


def environment(sample_s: float = 0.25) -> dict[str, Any]:
    """Everything about the place of a run that a reader of its numbers should know, as JSON.

    Args:
        sample_s: For how long to watch other processes; blocks. 0: not at all.

    Raises:
        MissingExtraError: psutil is not installed.
    """
    facts = {
        "machine": machine(),
        "software": software(),
        "clock": _clock(),
        "cgroup": _cgroup(),
        "load_average": _load_average(),
        "others_cpu_share": others_cpu_share(sample_s) if sample_s > 0 else None,
    }
    return {"fingerprint": fingerprint(facts), **facts}


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Short hash of what must be equal for a comparison: processor, cores, memory, system, Python, firstaudio.

    Memory counts in whole GiB: kernels take a little more or less of it from one start to the next.
    """
    machine, software = facts["machine"], facts["software"]
    memory = machine["memory_bytes"]
    equal = {
        "cpu": machine["cpu"],
        "cores": [machine["physical_cores"], machine["logical_cores"], machine["usable_cores"]],
        "memory_gib": memory and round(memory / GIB),
        "os": machine["os"],
        "python": ".".join(software["python"].split(".")[:2]),
        "firstaudio": software["firstaudio"],
    }
    return hashlib.sha256(json.dumps(equal, sort_keys=True).encode()).hexdigest()[:12]


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system. Raises MissingExtraError."""
    psutil = load_psutil()
    info = _cpuinfo(ROOT)
    flags = (info.get("flags") or info.get("Features") or "").split()
    return {
        "cpu": _cpu_model(info),
        "architecture": platform.machine(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "usable_cores": usable_cores(),
        "mhz": _mhz(psutil),
        "governor": _read(ROOT / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
        "memory_bytes": psutil.virtual_memory().total,
        "os": _os_name(),
        "kernel": platform.release(),
        "virtualisation": virtualisation(info, ROOT),
    }


def software() -> dict[str, Any]:
    """Versions of Python, of this package, and of the packages in `PACKAGES` that are installed."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "firstaudio": __version__,
        "packages": dict(_versions()),
    }


def usable_cores(root: Path = ROOT) -> float:
    """Cores that this process may use: its affinity, or the limit of its cgroup where that is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cpu_limit(root)
    return float(allowed) if limit is None else min(float(allowed), limit)


def cpu_limit(root: Path = ROOT) -> float | None:
    """The CPU quota of this process's cgroups in cores, the tightest of them; None without one."""
    limits = [limit for folder in _cgroup_folders(root) if (limit := _quota(folder)) is not None]
    return min(limits, default=None)


@dataclass(frozen=True, slots=True)
class Throttling:
    """How often the kernel has held this process's cgroup back because its quota was used up, since it was made."""

    num_periods: int
    num_throttled: int
    throttled_ns: int

    def since(self, before: Throttling) -> Throttling:
        """What has come between two readings."""
        return Throttling(
            self.num_periods - before.num_periods,
            self.num_throttled - before.num_throttled,
            self.throttled_ns - before.throttled_ns,
        )


def throttled(root: Path = ROOT) -> Throttling | None:
    """The counters now; None where no cgroup keeps them. Take them before and after: `after.since(before)`."""
    for folder in _cgroup_folders(root):
        rows = dict(line.split() for line in (_read(folder / "cpu.stat") or "").splitlines() if len(line.split()) == 2)
        if "nr_throttled" in rows:
            time_ns = int(rows["throttled_usec"]) * 1000 if "throttled_usec" in rows else int(rows["throttled_time"])
            return Throttling(int(rows["nr_periods"]), int(rows["nr_throttled"]), time_ns)
    return None


def throttling_check(before: Throttling | None, after: Throttling | None) -> Check:
    """Whether this process was held back between two readings: its stamps came late then, unknown by how much."""
    if before is None or after is None:
        return Check("throttling", None, "this system does not tell whether the client's CPU was throttled")
    between = after.since(before)
    if between.num_throttled == 0:
        return Check("throttling", True, "the client's CPU was not throttled")
    detail = (
        f"the client's CPU was throttled in {between.num_throttled} of {between.num_periods} periods "
        f"({between.throttled_ns / NS_PER_MS:.0f} ms): give its container a higher CPU limit, then run again"
    )
    return Check("throttling", False, detail)


def others_cpu_share(sample_s: float) -> float | None:
    """Share of the whole machine that processes other than this one and its children use, watched for `sample_s`.

    Blocks. Processes that begin or end meanwhile are missed. Raises MissingExtraError.
    """
    psutil = load_psutil()
    own = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    before, begin = _cpu_s_by_process(psutil, own), time.perf_counter()
    time.sleep(sample_s)
    after, elapsed_s = _cpu_s_by_process(psutil, own), time.perf_counter() - begin
    used_s = sum(cpu_s - before[key] for key, cpu_s in after.items() if key in before)
    return float(used_s / (elapsed_s * (psutil.cpu_count() or 1)))


def virtualisation(cpuinfo: Mapping[str, str], root: Path = ROOT) -> str | None:
    """A virtual machine (with its maker, where that is told), a container, or both; None if nothing tells of one."""
    found = []
    if "hypervisor" in cpuinfo.get("flags", "").split():
        vendor = _read(root / "sys/class/dmi/id/sys_vendor")
        found.append(f"virtual machine ({vendor})" if vendor else "virtual machine")
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        found.append("container")
    return ", ".join(found) or None


def load_psutil() -> Any:
    """The module psutil, which ships no types. Raises MissingExtraError."""
    try:
        return import_module("psutil")
    except ImportError as error:
        raise MissingExtraError("measuring", "bench") from error


def _cpu_s_by_process(psutil: Any, without: set[int]) -> dict[tuple[int, float], float]:
    """CPU seconds by (pid, time of birth): a pid may be given to another process."""
    seconds = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in without:
                times = process.cpu_times()
                seconds[process.pid, process.create_time()] = times.user + times.system
    return seconds


def _clock() -> dict[str, Any]:
    info = time.get_clock_info("perf_counter")
    return {"implementation": info.implementation, "resolution_ns": info.resolution * NS_PER_S}


def _load_average() -> list[float] | None:
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None


def _cgroup() -> dict[str, Any]:
    counters = throttled()
    return {"cpu_limit_cores": cpu_limit(), "throttling": counters and asdict(counters)}


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """Where the CPU controller of this process may be, the nearest first: version 2, then version 1."""
    mount = root / "sys/fs/cgroup"
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = mount / "cpu" if controllers else mount
        folder = base / path.lstrip("/")
        yield from (f for f in (folder, *folder.parents) if f.is_relative_to(base) and f.is_dir())


def _quota(folder: Path) -> float | None:
    """Cores that one cgroup grants. Source: kernel.org, cgroup-v2 `cpu.max`; cgroup-v1 `cpu.cfs_quota_us`."""
    quota, _, period = (_read(folder / "cpu.max") or "").partition(" ")
    if not period:
        quota, period = _read(folder / "cpu.cfs_quota_us") or "", _read(folder / "cpu.cfs_period_us") or ""
    if quota in ("", "max", "-1") or not period:
        return None
    return int(quota) / int(period)


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first processor of Linux's /proc/cpuinfo; empty on other systems."""
    first = (_read(root / "proc/cpuinfo") or "").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _cpu_model(info: Mapping[str, str]) -> str:
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        with suppress(OSError, subprocess.SubprocessError):
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    arm = " ".join(info[name] for name in ("CPU implementer", "CPU part") if name in info)
    return info.get("model name") or info.get("Model") or arm or platform.processor() or platform.machine()


def _mhz(psutil: Any) -> dict[str, float] | None:
    """Range and present value, where they are told; psutil says 0 for what is not."""
    with suppress(OSError, NotImplementedError, RuntimeError):
        found = psutil.cpu_freq()
        told = {"current": found.current, "min": found.min, "max": found.max} if found else {}
        return {name: value for name, value in told.items() if value} or None
    return None


def _os_name() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    if sys.platform == "win32":
        return f"Windows {platform.version()}"
    with suppress(OSError):
        return str(platform.freedesktop_os_release()["PRETTY_NAME"])
    return platform.system()


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            yield package, metadata.version(package)


def _read(path: Path) -> str | None:
    """A small file of the kernel's, stripped; None when it is missing, closed to us, or empty."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip() or None
    return None
