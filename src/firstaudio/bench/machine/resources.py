"""What the server costs: CPU and memory of its whole process tree, sampled from outside while a cell runs."""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from firstaudio.bench.machine.environment import load_psutil
from firstaudio.clock import NS_PER_S, now_ns

INTERVAL_S = 0.25
MIN_SLOPE_SAMPLES = 8  # in the second half; fewer tell of the start and not of a trend
MB = 1_000_000
DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
# They listen for somebody else: their own CPU and memory are not the server's.
FORWARDERS = frozenset({"docker-proxy", "com.docker.backend", "rootlessport", "pasta", "slirp4netns", "ssh", "kubectl"})


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's process tree at one moment.

    Attributes:
        at_ns: `clock.now_ns`.
        served: Requests that it had answered by then.
        cpu_s: CPU seconds since the first sample, of processes that have ended too.
        rss: Resident bytes, shared pages counted in each process that maps them.
        uss: Bytes that would be free without these processes; None where we may not look.
    """

    at_ns: int
    served: int
    cpu_s: float
    rss: int
    uss: int | None


@dataclass(slots=True)
class ProcessTree:
    """Reads a process and its descendants, and adds up those that come and go by their last reading.

    Where the server started this very process, as it does for a run over HTTP, we and what we started are left out: the
    harness is no part of what it measures. CPU that a process used between its last reading and its end is missed: at
    most one interval of it.

    Args:
        pid: The root. Raises `psutil.NoSuchProcess`.
    """

    pid: int
    _psutil: Any = field(default_factory=load_psutil)
    _root: Any = field(init=False)
    _cpu_s: dict[tuple[int, float], float] = field(default_factory=dict)
    _before_s: float | None = None

    def __post_init__(self) -> None:
        self._root = self._psutil.Process(self.pid)

    def read(self, served: int) -> Sample | None:
        """The tree now; None once its root has ended."""
        memory = [reading for process in self._processes() if (reading := self._reading(process)) is not None]
        if not memory:
            return None
        cpu_s = sum(self._cpu_s.values())
        self._before_s = cpu_s if self._before_s is None else self._before_s
        uss = [uss for _, uss in memory if uss is not None]
        return Sample(
            at_ns=now_ns(),
            served=served,
            cpu_s=cpu_s - self._before_s,
            rss=sum(rss for rss, _ in memory),
            uss=sum(uss) if len(uss) == len(memory) else None,
        )

    def _processes(self) -> list[Any]:
        with suppress(self._psutil.NoSuchProcess):
            below = self._root.children(recursive=True)
            ours = self._ours(below)
            return [self._root, *(process for process in below if process.pid not in ours)]
        return []

    def _ours(self, below: Sequence[Any]) -> set[int]:
        """Those of the server's descendants that are the harness: this process and its own."""
        own = os.getpid()
        if all(process.pid != own for process in below):
            return set()
        return {own, *(process.pid for process in self._psutil.Process(own).children(recursive=True))}

    def _reading(self, process: Any) -> tuple[int, int | None] | None:
        """RSS and USS of one process; its CPU time is noted. None if it has ended."""
        with suppress(self._psutil.NoSuchProcess, self._psutil.AccessDenied), process.oneshot():
            times = process.cpu_times()
            self._cpu_s[process.pid, process.create_time()] = float(times.user + times.system)
            return int(process.memory_info().rss), self._uss(process)
        return None

    def _uss(self, process: Any) -> int | None:
        with suppress(self._psutil.AccessDenied):
            return int(process.memory_full_info().uss)
        return None


class ServerResources:
    """Samples a server's process tree in a thread, from `__enter__` to `__exit__`.

    Args:
        pid: Root of the tree; None: there is nothing to watch, and no summary.
        served: How many requests have been answered so far; called from the thread.
        interval_s: Between samples.
    """

    def __init__(self, pid: int | None, served: Callable[[], int], interval_s: float = INTERVAL_S) -> None:
        self._pid, self._served, self._interval_s = pid, served, interval_s
        self._samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def samples(self) -> Sequence[Sample]:
        """Those taken so far."""
        return self._samples

    def __enter__(self) -> Self:
        """Take the first sample and begin. A process that is gone or closed to us is not watched."""
        tree = self._tree()
        if tree is not None and self._take(tree):
            self._thread = threading.Thread(target=self._watch, args=(tree,), name="server-resources", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def summary(self, audio_s: float) -> dict[str, float | None] | None:
        """Figures over all samples; None when there is nothing to watch. See `summarise_samples`."""
        return summarise_samples(self._samples, audio_s)

    def _tree(self) -> ProcessTree | None:
        if self._pid is None:
            return None
        psutil = load_psutil()
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            return ProcessTree(self._pid, psutil)
        return None

    def _watch(self, tree: ProcessTree) -> None:
        while not self._stop.wait(self._interval_s):
            if not self._take(tree):
                return
        self._take(tree)  # what came since the last one

    def _take(self, tree: ProcessTree) -> bool:
        sample = tree.read(self._served())
        if sample is not None:
            self._samples.append(sample)
        return sample is not None


def summarise_samples(samples: Sequence[Sample], audio_s: float) -> dict[str, float | None] | None:
    """The server's cost as figures; None without two samples.

    Args:
        samples: In order of time.
        audio_s: Seconds of valid audio that were received between the first and the last.

    Returns:
        `cpu_s`, `cpu_s_per_audio_s`, `cpu_cores_mean` (cores kept busy), `rss_peak_mb`, `rss_mean_mb`, `uss_peak_mb`,
        `num_samples`, and the slope of USS over the second half, in MB per 1000 requests, with the ends of its 95 %
        interval and the smallest slope that would have been told from none (`uss_slope_mb_per_1000`,
        `uss_slope_low_...`, `uss_slope_high_...`, `uss_slope_detectable_...`). MB are 10^6 bytes. None: not known.
    """
    if len(samples) < 2:
        return None
    cpu_s = samples[-1].cpu_s
    elapsed_s = (samples[-1].at_ns - samples[0].at_ns) / NS_PER_S
    rss, uss = [s.rss for s in samples], [s.uss for s in samples if s.uss is not None]
    return {
        "cpu_s": cpu_s,
        "cpu_s_per_audio_s": cpu_s / audio_s if audio_s > 0 else None,
        "cpu_cores_mean": cpu_s / elapsed_s if elapsed_s > 0 else None,
        "rss_peak_mb": max(rss) / MB,
        "rss_mean_mb": sum(rss) / len(rss) / MB,
        "uss_peak_mb": max(uss) / MB if uss else None,
        "num_samples": len(samples),
        **uss_slope(samples),
    }


def uss_slope(samples: Sequence[Sample]) -> dict[str, float | None]:
    """Growth of USS with requests served, over the second half of the samples: MB per 1000 requests.

    Theil-Sen, the median slope over all pairs: one garbage collection does not tilt the line.
    """
    from firstaudio.stats.sample import theil_sen

    half = [(s.served / 1000, s.uss / MB) for s in samples[len(samples) // 2 :] if s.uss is not None]
    line = theil_sen(*zip(*half, strict=True)) if len(half) >= MIN_SLOPE_SAMPLES else None
    ends = (line.value, line.low, line.high, line.detectable) if line else (None,) * 4
    return {
        f"uss_slope{end}_mb_per_1000": value
        for end, value in zip(("", "_low", "_high", "_detectable"), ends, strict=True)
    }


def find_server_pid(url: str) -> int | None:
    """The process that listens where `url` points, if it is on this machine and we may look.

    Of several that share a socket (a master and its workers) it is the one from which the others descend.

    Raises:
        MissingExtraError: psutil is not installed.
    """
    psutil = load_psutil()
    parts = urlsplit(url)
    try:
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or not _is_local(psutil, parts.hostname):
        return None
    with suppress(psutil.AccessDenied, OSError, RuntimeError):
        return _eldest(psutil, set(_listeners(psutil, parts.hostname or "", port)))
    return None


def _is_local(psutil: Any, host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        return address.is_loopback or address.is_unspecified or str(address) in set(_own_addresses(psutil))
    return False


def _own_addresses(psutil: Any) -> Iterator[str]:
    for addresses in psutil.net_if_addrs().values():
        yield from (address.address.partition("%")[0] for address in addresses)


def _listeners(psutil: Any, host: str, port: int) -> Iterable[int]:
    """Pids that listen on the port: at that very address if there are any, else at every address."""
    listening = [
        c for c in psutil.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN and c.laddr.port == port
    ]
    hosts = {"127.0.0.1", "::1"} if "localhost" in host else {host}
    exact = [c for c in listening if c.laddr.ip in hosts]
    wild = [c for c in listening if c.laddr.ip in ("0.0.0.0", "::")]
    return (c.pid for c in exact or wild if c.pid is not None)


def _eldest(psutil: Any, pids: set[int]) -> int | None:
    """The one of which all others descend; None without one, or if it only passes on."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            family = {pid, *(child.pid for child in process.children(recursive=True))}
            if pids <= family:
                return None if process.name() in FORWARDERS else pid
    return None
