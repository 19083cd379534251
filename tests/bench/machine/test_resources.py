"""What the server costs: by hand-made samples, by a process tree that is made up, and by this very process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio.bench.machine import resources as room
from firstaudio.bench.machine.resources import (
    MB,
    ProcessTree,
    Sample,
    ServerResources,
    find_server_pid,
    summarise_samples,
    uss_slope,
)
from firstaudio.clock import NS_PER_S


class FakePsutil(SimpleNamespace):
    """Processes by pid: (CPU seconds, RSS, USS or None where closed, children)."""

    class NoSuchProcess(Exception):  # noqa: N818 -- psutil's name
        pass

    class AccessDenied(Exception):  # noqa: N818 -- psutil's name
        pass

    CONN_LISTEN = "LISTEN"

    def __init__(self, **more: Any) -> None:
        super().__init__(**{"table": {}, "net_if_addrs": dict, "names": {}, **more})

    def Process(self, pid: int) -> Any:  # noqa: N802 -- psutil's name
        if pid not in self.table:
            raise self.NoSuchProcess
        fake = self

        class Process:
            def __init__(self) -> None:
                self.pid = pid

            def children(self, recursive: bool) -> list[Any]:
                own = fake._row(pid)[3]
                return [fake.Process(child) for child in own if child in fake.table]

            def oneshot(self) -> Any:
                return nullcontext()

            def create_time(self) -> float:
                return 1.0

            def name(self) -> str:
                return fake.names.get(pid, "server")

            def cpu_times(self) -> Any:
                return SimpleNamespace(user=fake._row(pid)[0], system=0.5)

            def memory_info(self) -> Any:
                return SimpleNamespace(rss=fake._row(pid)[1])

            def memory_full_info(self) -> Any:
                if fake._row(pid)[2] is None:
                    raise fake.AccessDenied
                return SimpleNamespace(uss=fake._row(pid)[2])

        return Process()

    def _row(self, pid: int) -> Any:
        if pid not in self.table:
            raise self.NoSuchProcess
        return self.table[pid]


def figures(sample: Sample | None) -> tuple[float, int, int | None] | None:
    return sample and (sample.cpu_s, sample.rss, sample.uss)


def test_children_that_come_and_go_are_added_up_by_their_last_reading():
    psutil = FakePsutil()
    psutil.table = {1: (10.0, 100, 80, [2]), 2: (5.0, 50, 40, [])}
    tree = ProcessTree(1, psutil)
    first = tree.read(served=0)
    psutil.table = {1: (11.0, 100, 80, [2, 3]), 2: (7.0, 60, 50, []), 3: (0.25, 30, 20, [])}
    second = tree.read(served=1)
    psutil.table = {1: (11.5, 100, 80, [3]), 3: (1.25, 30, 20, [])}
    third = tree.read(served=2)

    assert figures(first) == (0.0, 150, 120)
    assert figures(second) == (1.0 + 2.0 + 0.75, 190, 150)
    assert figures(third) == (1.5 + 2.0 + 1.75, 130, 100)


def test_uss_that_one_process_hides_is_not_known_for_the_tree():
    psutil = FakePsutil(table={1: (1.0, 100, 80, [2]), 2: (1.0, 50, None, [])})

    assert figures(ProcessTree(1, psutil).read(0)) == (0.0, 150, None)


def test_a_tree_whose_root_has_ended_gives_no_sample():
    psutil = FakePsutil()
    psutil.table = {1: (1.0, 100, 80, [])}
    tree = ProcessTree(1, psutil)
    psutil.table = {}

    assert tree.read(0) is None


def sample(second: float, served: int = 0, cpu_s: float = 0.0, rss: int = MB, uss: int | None = MB) -> Sample:
    return Sample(int(second * NS_PER_S), served, cpu_s, rss, uss)


def test_the_summary_of_three_samples_by_hand():
    samples = [
        sample(0.0, rss=10 * MB, uss=8 * MB),
        sample(1.0, cpu_s=1.0, rss=30 * MB, uss=20 * MB),
        sample(2.0, cpu_s=3.0, rss=20 * MB, uss=18 * MB),
    ]

    assert summarise_samples(samples, audio_s=12.0) == {
        "cpu_s": 3.0,
        "cpu_s_per_audio_s": 0.25,
        "cpu_cores_mean": 1.5,
        "rss_peak_mb": 30.0,
        "rss_mean_mb": 20.0,
        "uss_peak_mb": 20.0,
        "num_samples": 3,
        "uss_slope_mb_per_1000": None,
        "uss_slope_low_mb_per_1000": None,
        "uss_slope_high_mb_per_1000": None,
        "uss_slope_detectable_mb_per_1000": None,
    }


def test_figures_that_cannot_be_had_are_none_and_not_zero():
    summary = summarise_samples([sample(0.0, uss=None), sample(1.0, cpu_s=1.0, uss=None)], audio_s=0.0) or {}

    assert (summary["cpu_s_per_audio_s"], summary["uss_peak_mb"]) == (None, None)
    assert summarise_samples([sample(0.0)], audio_s=1.0) is None


def test_a_leak_is_found_in_the_second_half_whatever_the_start_looked_like():
    """After a steep start each 100 requests keep half a megabyte: 5 MB per 1000."""
    start = [sample(i, served=100 * i, uss=100 * MB * i) for i in range(10)]
    rest = [sample(i, served=100 * i, uss=900 * MB + i * MB // 2) for i in range(10, 20)]
    slope = uss_slope(start + rest)

    assert slope["uss_slope_mb_per_1000"] == pytest.approx(5.0)
    assert slope["uss_slope_low_mb_per_1000"] == pytest.approx(5.0)
    assert slope["uss_slope_high_mb_per_1000"] == pytest.approx(5.0)


def test_one_outlier_does_not_make_a_leak():
    flat = [sample(i, served=100 * i, uss=50 * MB) for i in range(40)]
    flat[30] = sample(30, served=3000, uss=500 * MB)

    assert uss_slope(flat)["uss_slope_mb_per_1000"] == 0.0


def test_without_progress_in_requests_there_is_no_slope():
    stuck = [sample(i, served=5, uss=i * MB) for i in range(40)]

    assert uss_slope(stuck)["uss_slope_mb_per_1000"] is None


def test_a_process_is_watched_from_its_first_sample_to_its_last():
    served = iter(range(100))
    with ServerResources(os.getpid(), lambda: next(served), interval_s=60.0) as server:
        assert len(server.samples) == 1

    assert [s.served for s in server.samples] == [0, 1]
    summary = server.summary(audio_s=1.0) or {}
    assert (summary["rss_peak_mb"] or 0) > 1
    assert (summary["cpu_s"] or 0) >= 0


# A server of three processes: itself, a worker that holds 40 MB, and the harness, which holds 120 MB and starts a load
# process that holds 120 MB. The harness says what it sees of the server.
HOLD = "held = bytes([1]) * ({mb} * 10**6); print(flush=True); input()"
HARNESS = """
import json, os, subprocess, sys
from firstaudio.bench.machine.resources import MB, ProcessTree
held = bytes([1]) * (120 * MB)
tree = ProcessTree(os.getppid())
first = tree.read(0)
load = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
load.stdout.readline()
sum(range(10_000_000))
last = tree.read(1)
load.communicate(b"\\n")
print(json.dumps([first.rss, last.rss, last.cpu_s]))
"""
SERVER = """
import subprocess, sys
hold, harness, load = sys.argv[1:]
worker = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
worker.stdout.readline()
subprocess.run([sys.executable, "-c", harness, load], check=True)
worker.communicate(b"\\n")
"""


def test_the_harness_is_no_part_of_the_server_that_started_it():
    programs = (HOLD.format(mb=40), HARNESS, HOLD.format(mb=120))
    said = subprocess.run([sys.executable, "-c", SERVER, *programs], stdout=subprocess.PIPE, check=True).stdout
    first, last, cpu_s = json.loads(said)

    assert 40 * MB < first < 110 * MB  # the worker counts, the harness does not
    assert 40 * MB < last < 110 * MB  # nor does what it starts
    assert cpu_s < 0.1  # it computed for longer than that


@pytest.mark.parametrize("pid", [None, 2**22 + 1])
def test_where_there_is_nothing_to_watch_there_is_no_summary(pid: int | None):
    with ServerResources(pid, lambda: 0) as server:
        pass

    assert server.summary(audio_s=1.0) is None


def test_a_server_that_ends_in_the_middle_ends_the_watching(monkeypatch):
    psutil = FakePsutil(table={7: (1.0, 10 * MB, 8 * MB, [])})
    monkeypatch.setattr(room, "load_psutil", lambda: psutil)

    def served() -> int:
        return 0

    with ServerResources(7, served, interval_s=60.0) as server:
        psutil.table = {}

    assert len(server.samples) == 1


def test_a_listening_socket_of_this_process_is_found():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        found = [find_server_pid(f"{scheme}://{host}:{port}/v1") for scheme in ("http", "tcp", "ws") for host in HOSTS]
        assert found == [os.getpid()] * 6


HOSTS = ("127.0.0.1", "localhost")


@pytest.mark.parametrize(
    "url",
    ["", "http://192.0.2.1:80", "https://example.org", "tcp://127.0.0.1", "http://127.0.0.1:99999", "nonsense"],
)
def test_what_is_elsewhere_or_nowhere_has_no_pid(url: str):
    assert find_server_pid(url) is None


def listening(*owners: tuple[str, int, int | None]) -> Any:
    return lambda kind: [
        SimpleNamespace(status="LISTEN", laddr=SimpleNamespace(ip=ip, port=port), pid=pid) for ip, port, pid in owners
    ]


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        ([("127.0.0.1", 80, 2)], 2),
        ([("0.0.0.0", 80, 2)], 2),
        ([("::", 80, 2)], 2),
        ([("127.0.0.1", 80, 3), ("0.0.0.0", 80, 5)], 3),  # the exact address gets the connection
        ([("0.0.0.0", 80, 3), ("0.0.0.0", 80, 2), ("0.0.0.0", 80, 4)], 2),  # a master and its workers
        ([("0.0.0.0", 80, 3), ("0.0.0.0", 80, 5)], None),  # two strangers
        ([("0.0.0.0", 80, None)], None),  # not permitted
        ([("0.0.0.0", 81, 2)], None),
        ([("10.0.0.1", 80, 2)], None),
        ([("0.0.0.0", 80, 6)], None),  # passes on to a container
    ],
)
def test_the_pid_is_that_of_whoever_answers_there(monkeypatch, owners: Any, expected: int | None):
    psutil = FakePsutil(net_connections=listening(*owners), names={6: "docker-proxy"})
    row = (0.0, 0, 0, [])
    psutil.table = {2: (0.0, 0, 0, [3, 4]), 3: row, 4: row, 5: row, 6: row}
    monkeypatch.setattr(room, "load_psutil", lambda: psutil)

    assert find_server_pid("http://127.0.0.1:80") == expected


def test_a_system_that_does_not_let_us_look_gives_none(monkeypatch):
    psutil = FakePsutil()

    def refuse(kind: str) -> Any:
        raise psutil.AccessDenied

    psutil.net_connections = refuse
    monkeypatch.setattr(room, "load_psutil", lambda: psutil)

    assert find_server_pid("http://127.0.0.1:80") is None


def test_an_address_of_this_machine_is_local(monkeypatch):
    psutil = FakePsutil(net_connections=listening(("0.0.0.0", 80, 2)), table={2: (0.0, 0, 0, [])})
    psutil.net_if_addrs = lambda: {"eth0": [SimpleNamespace(address="10.0.0.7")]}
    monkeypatch.setattr(room, "load_psutil", lambda: psutil)

    assert find_server_pid("http://10.0.0.7:80") == 2
    assert find_server_pid("http://10.0.0.8:80") is None
