"""Memory of the server and of what descends from it."""

import os
import subprocess
import sys

from firstaudio.telemetry.memory import read_memory


def test_it_is_the_servers_own_memory_and_that_of_its_workers():
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        memory = read_memory()
        child.communicate(b"\n")

    assert memory.processes[0].pid == os.getpid()
    assert child.pid in [process.pid for process in memory.processes]
    assert memory.rss_bytes == sum(process.rss_bytes for process in memory.processes) > 1_000_000
