"""The processor: how many threads are worth starting, and which arithmetic it has.

Facts come from the kernel's own files, because the packages that would read them are optional.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
# What a matrix product gains from, by its name in /proc/cpuinfo: with one of them more or less, figures are others.
FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
)
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})  # what OpenVINO's CPU plugin has bf16 kernels for


@dataclass(frozen=True, slots=True)
class Processor:
    """What this process may compute with.

    Attributes:
        model: The maker's name for it.
        architecture: "x86_64", "aarch64", "arm64".
        flags: Those of `FLAGS` that it has; None where the system does not tell (only Linux does).
        num_cores: Physical cores that this process may use, at least 1.
    """

    model: str
    architecture: str
    flags: tuple[str, ...] | None
    num_cores: int

    @property
    def has_bf16(self) -> bool | None:
        """Whether products of bf16 numbers are in its hardware; None where the system does not tell."""
        return None if self.flags is None else not BF16_FLAGS.isdisjoint(self.flags)

    @property
    def is_apple(self) -> bool:
        """Whether it is Apple silicon, which has a GPU and a neural engine on the same chip."""
        return self.architecture == "arm64" and self.model.startswith("Apple")


def processor(root: Path = ROOT) -> Processor:
    """The processor of this machine, as far as this process may use it.

    Args:
        root: Where `/proc` and `/sys` are.
    """
    info = _cpuinfo(root)
    words = info.get("flags") or info.get("Features")
    flags = None if words is None else tuple(flag for flag in FLAGS if flag in words.split())
    return Processor(_model(info), platform.machine(), flags, usable_cores(root))


def usable_cores(root: Path = ROOT) -> int:
    """Physical cores that this process may use: those of its affinity, fewer where its cgroup grants less time.

    Two threads of one core share its arithmetic units, so a thread on each is no faster; threads beyond the granted
    time are throttled together with those that they wait for.
    """
    cores = _allowed_cores(root)
    granted = [quota for folder in _cgroup_folders(root) if (quota := _quota(folder)) is not None]
    return max(1, min([cores, *(int(quota) for quota in granted)]))


def _allowed_cores(root: Path) -> int:
    if not hasattr(os, "sched_getaffinity"):
        return _sysctl_cores() or os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    return len({_core_of(root, number) for number in allowed})


def _core_of(root: Path, number: int) -> tuple[str, ...]:
    """What names the physical core of one logical processor; itself, where the kernel does not tell."""
    folder = root / f"sys/devices/system/cpu/cpu{number}/topology"
    core, package = _read(folder / "core_id"), _read(folder / "physical_package_id")
    return (str(number),) if core is None or package is None else (package, core)


def _sysctl_cores() -> int | None:
    """Physical cores on macOS; the fast ones, where there are two kinds."""
    for name in ("hw.perflevel0.physicalcpu", "hw.physicalcpu"):
        if (value := _sysctl(name)).isdigit():
            return int(value)
    return None


def _model(info: dict[str, str]) -> str:
    if brand := _sysctl("machdep.cpu.brand_string"):
        return brand
    arm = " ".join(info[name] for name in ("CPU implementer", "CPU part") if name in info)
    return info.get("model name") or info.get("Model") or arm or platform.processor() or platform.machine()


def _sysctl(name: str) -> str:
    """One fact of macOS; empty elsewhere, and where it does not tell."""
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            command = ["sysctl", "-n", name]
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return ""


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first processor of Linux's /proc/cpuinfo; empty on other systems."""
    first = (_read(root / "proc/cpuinfo") or "").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """Where the CPU controller of this process may be, with the folders above: version 2, then version 1."""
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


def _read(path: Path) -> str | None:
    """A small file of the kernel's, stripped; None when it is missing, closed to us, or empty."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip() or None
    return None
