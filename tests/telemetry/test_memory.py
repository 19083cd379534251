"""Memory of the server and of what descends from it."""

import os
import subprocess
import sys

from firstaudio.telemetry.memory import Memory, read_memory


def beside(memory: Memory) -> list[int]:
    """Their process ids. Servers of other tests may be among them."""
    return [process.pid for process in memory.beside]


def test_it_is_the_servers_own_memory_and_that_of_its_workers():
    before = beside(read_memory())
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        memory = read_memory()
        child.communicate(b"\n")

    assert memory.processes[0].pid == os.getpid()
    assert set(beside(memory)) <= set(before)
    assert child.pid in [process.pid for process in memory.processes]
    assert memory.rss_bytes == sum(process.rss_bytes for process in memory.processes) > 1_000_000


def test_a_benchmark_that_the_server_runs_is_none_of_its_memory():
    """It leads a session of its own, as `run_program` starts it, and its load processes are in that."""
    before = beside(read_memory())
    load = [sys.executable, "-c", "print(flush=True); input()"]
    script = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"
    command = [sys.executable, "-c", script, *load]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        memory = read_memory()
        program.communicate(b"\n")

    assert memory.processes[0].pid == os.getpid()
    found = [pid for pid in beside(memory) if pid not in before]
    assert (len(found), found[0]) == (2, program.pid)
    assert not {process.pid for process in memory.processes} & {process.pid for process in memory.beside}
    assert memory.beside_rss_bytes == sum(process.rss_bytes for process in memory.beside) > 1_000_000
