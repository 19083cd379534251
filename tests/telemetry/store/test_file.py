"""The file of measurements: bounds, clocks that jump, disks that refuse, processes that die."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firstaudio.clock import NS_PER_S
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.store.file import MAX_MOVED, MAX_PAUSE_S, FileTroubleError, MeasurementFile, connect

DAY_S = 86_400.0
Make = Callable[..., Measurement]


class HandClocks:
    """A wall clock and a monotonic one that are moved by hand."""

    def __init__(self) -> None:
        self.wall_s, self.mono_s = 1_000_000_000.0, 50.0

    def live(self, seconds: float) -> None:
        self.wall_s += seconds
        self.mono_s += seconds

    def wall(self) -> float:
        return self.wall_s

    def mono(self) -> int:
        return round(self.mono_s * NS_PER_S)


@pytest.fixture
def clocks() -> HandClocks:
    return HandClocks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "measurements.db"


@pytest.fixture
def opened(path: Path, clocks: HandClocks) -> Iterator[Callable[..., MeasurementFile]]:
    """Makes files at one path; closes them at the end."""
    files = []

    def open_(max_rows: int = 1000, max_age_s: float = 30 * DAY_S, **more: Any) -> MeasurementFile:
        files.append(MeasurementFile(path, max_rows, max_age_s, clocks.wall, clocks.mono, **more))
        return files[-1]

    yield open_
    for file in files:
        file.close()


def ids(file: MeasurementFile) -> list[str]:
    return [row[0] for row in file.ask("SELECT request_id FROM measurements ORDER BY id", [])]


def test_rows_are_kept_in_their_order_and_outlive_whoever_wrote_them(opened: Any, measurement: Make):
    file = opened()
    file.write([measurement(request_id="a"), measurement(request_id="b")])
    file.write([measurement(request_id="c")])
    file.close()

    assert ids(opened()) == ["a", "b", "c"]


def test_the_file_is_this_users_alone(opened: Any, path: Path, measurement: Make):
    opened().write([measurement()])

    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}


def test_only_the_last_rows_are_kept(opened: Any, measurement: Make):
    file = opened(max_rows=3)
    for number in range(5):
        file.write([measurement(request_id=f"{number}{letter}") for letter in "ab"])

    assert ids(file) == ["3b", "4a", "4b"]


def test_old_rows_are_deleted_while_the_server_lives(opened: Any, clocks: HandClocks, measurement: Make):
    file = opened(max_age_s=100)
    for name in "abc":
        file.write([measurement(request_id=name)])
        clocks.live(60)

    assert ids(file) == ["b", "c"]


@pytest.mark.parametrize("jump_s", [3650 * DAY_S, -3650 * DAY_S, 1.0e9, -999_999_999.0])
def test_a_wall_clock_that_jumps_deletes_nothing(opened: Any, clocks: HandClocks, measurement: Make, jump_s: float):
    file = opened(max_age_s=100)
    for name in "ab":
        file.write([measurement(request_id=name, timestamp=clocks.wall())])
        clocks.wall_s += jump_s
        clocks.live(10)
    file.write([measurement(request_id="c", timestamp=clocks.wall())])
    file.close()
    clocks.wall_s -= jump_s  # it is set right while the server is off
    again = opened(max_age_s=100)
    again.write([measurement(request_id="d", timestamp=clocks.wall())])

    assert ids(again) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("pause_s", "expected"), [(60, ["a", "b"]), (200, ["b"]), (MAX_PAUSE_S + 1, ["a", "b"])])
def test_a_pause_between_two_servers_counts_unless_it_is_beyond_belief(
    opened: Any, clocks: HandClocks, measurement: Make, pause_s: float, expected: list[str]
):
    first = opened(max_age_s=100)
    first.write([measurement(request_id="a")])
    first.close()
    clocks.wall_s += pause_s
    clocks.mono_s = 3.0  # the machine was off
    second = opened(max_age_s=100)
    second.write([measurement(request_id="b")])

    assert ids(second) == expected


def test_time_that_is_lived_without_a_request_counts(opened: Any, clocks: HandClocks, measurement: Make):
    first = opened(max_age_s=30 * DAY_S)
    first.write([measurement(request_id="a")])
    clocks.live(31 * DAY_S)
    first.close()
    second = opened(max_age_s=30 * DAY_S)
    second.write([measurement(request_id="b")])

    assert ids(second) == ["b"]


def test_the_time_of_two_servers_at_once_counts_once(opened: Any, clocks: HandClocks, measurement: Make):
    both = [opened(max_age_s=100), opened(max_age_s=100)]
    for name in "abc":
        for number, file in enumerate(both):
            file.write([measurement(request_id=f"{name}{number}")])
            clocks.live(20)

    assert ids(both[0]) == ids(both[1]) == ["a0", "a1", "b0", "b1", "c0", "c1"]


def test_what_is_no_database_is_moved_aside_and_reported(opened: Any, path: Path, measurement: Make):
    path.write_bytes(b"no database at all" * 1000)
    file = opened()
    file.write([measurement(request_id="a")])

    assert ids(file) == ["a"]
    [aside] = path.parent.glob("*.corrupt-*")
    assert aside.read_bytes().startswith(b"no database")
    assert aside.name in file.moved_aside


def test_a_corrupt_file_that_was_deleted_is_spoken_of_no_longer(opened: Any, path: Path, measurement: Make):
    path.write_bytes(b"no database at all" * 100)
    file = opened()
    file.write([measurement()])
    [aside] = path.parent.glob("*.corrupt-*")
    aside.unlink()
    assert file.ask("SELECT count(*) FROM measurements", []) == [(1,)]
    assert file.moved_aside == ""


def test_a_file_that_becomes_corrupt_while_it_is_used_is_moved_aside(opened: Any, path: Path, measurement: Make):
    file = opened()
    file.write([measurement(request_id=str(number)) for number in range(500)])
    file.close()
    size = path.stat().st_size
    with path.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * (size - 4096))
    again = opened()
    with contextlib.suppress(FileTroubleError):
        again.ask("SELECT * FROM measurements", [])
    again.write([measurement(request_id="new")])

    assert ids(again) == ["new"]
    assert len(list(path.parent.glob("*.corrupt-*"))) == 1


def test_of_two_servers_one_moves_a_corrupt_file_and_the_other_uses_the_new_one(
    opened: Any, path: Path, measurement: Make
):
    first, second = opened(), opened()
    for file in (first, second):
        file.write([measurement(request_id=str(number)) for number in range(100)])
    first.ask("PRAGMA wal_checkpoint(TRUNCATE)", [])
    first.close()
    path.write_bytes(b"no database at all" * 10_000)
    first.write([measurement(request_id="a")])
    second.write([measurement(request_id="b")])

    assert ids(first) == ids(second) == ["a", "b"]
    assert "corrupt" in first.moved_aside
    assert second.moved_aside == ""


def test_a_disk_that_corrupts_everything_is_not_filled_with_corrupt_files(opened: Any, path: Path, measurement: Make):
    def corrupt(path: Path) -> sqlite3.Connection:
        path.write_bytes(b"no database at all" * 1000)
        return connect(path)

    file = opened(connect=corrupt)
    with pytest.raises(FileTroubleError, match="again and again"):
        file.write([measurement()])
    assert len(list(path.parent.glob("*.corrupt-*"))) == MAX_MOVED


def test_a_file_that_was_deleted_is_made_again(opened: Any, path: Path, measurement: Make):
    file = opened()
    file.write([measurement(request_id="a")])
    for each in path.parent.iterdir():
        each.unlink()
    file.write([measurement(request_id="b")])
    file.close()

    assert ids(opened()) == ["b"]


def test_a_file_of_a_later_version_is_left_alone(opened: Any, path: Path, measurement: Make):
    file = opened()
    file.write([measurement()])
    file.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(FileTroubleError, match="later firstaudio; set"):
        opened().write([measurement()])
    assert path.read_bytes() == before


def test_a_full_disk_refuses_a_batch_as_a_whole_and_loses_nothing(opened: Any, measurement: Make):
    room: dict[str, int] = {"pages": 20}

    def small(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute(f"PRAGMA max_page_count = {room['pages']}")
        return connection

    file = opened(connect=small)
    batch = [measurement(request_id=str(number)) for number in range(50)]
    num_written = 0

    def fill() -> None:
        nonlocal num_written
        for _ in range(100):
            file.write(batch)
            num_written += len(batch)

    with pytest.raises(FileTroubleError, match="full"):
        fill()
    assert len(ids(file)) == num_written > 0
    room["pages"] = 10_000
    file.close()
    file.write(batch)

    assert len(ids(file)) == num_written + len(batch)


def test_a_folder_that_cannot_be_made_is_trouble(tmp_path: Path, clocks: HandClocks, measurement: Make):
    (tmp_path / "file").write_text("")
    file = MeasurementFile(tmp_path / "file" / "m.db", 100, DAY_S, clocks.wall, clocks.mono)

    with pytest.raises(FileTroubleError, match=r"set telemetry\.state_folder"):
        file.write([measurement()])


def test_a_file_that_cannot_be_opened_is_trouble(opened: Any, path: Path, measurement: Make):
    path.mkdir()

    with pytest.raises(FileTroubleError, match=str(path)):
        opened().write([measurement()])


def test_a_file_that_another_process_holds_is_trouble_until_it_lets_go(opened: Any, path: Path, measurement: Make):
    def impatient(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    file = opened(connect=impatient)
    file.write([measurement(request_id="a")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(FileTroubleError, match="locked"):
        file.write([measurement(request_id="b")])
    assert ids(file) == ["a"]
    other.execute("ROLLBACK")
    other.close()
    file.write([measurement(request_id="c")])

    assert ids(file) == ["a", "c"]


WRITE_FOR_EVER = """
import sys, time
from pathlib import Path
from firstaudio.clock import now_ns
from firstaudio.telemetry.store.file import MeasurementFile
from firstaudio.telemetry.measurement import measure
from firstaudio.trace import Trace

file = MeasurementFile(Path(sys.argv[1]), 100_000, 1e9, time.time, now_ns)
trace = Trace(request_id="x" * 500)
trace.finish("completed")
batch = [measure(trace, 1e9)] * 10
while True:
    file.write(batch)
    print("written", flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_whole_batches(opened: Any, path: Path):
    process = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(30):
        assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    num_more = len(process.stdout.read().splitlines())
    process.stdout.close()
    process.wait(20)
    file = opened()

    assert len(ids(file)) in (10 * (30 + num_more), 10 * (31 + num_more))
    assert file.ask("PRAGMA integrity_check", []) == [("ok",)]
    assert file.moved_aside == ""


def test_two_processes_write_the_same_file(opened: Any, path: Path, measurement: Make):
    program = WRITE_FOR_EVER.replace("while True", "for _ in range(20)")
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) for _ in "ab"]
    said = [process.communicate(timeout=60)[0] for process in processes]
    file = opened()

    assert said == [b"written\n" * 20] * 2
    assert len(ids(file)) == 400


def test_a_new_file_that_another_process_begins_is_waited_for(opened: Any, path: Path, measurement: Make):
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # not yet in WAL: there SQLite refuses at once, whatever the timeout
    letting_go = threading.Timer(0.3, other.close)
    letting_go.start()

    opened().write([measurement(request_id="a")])

    letting_go.join()
    assert ids(opened()) == ["a"]


def test_a_new_file_that_another_process_keeps_is_given_up(opened: Any, path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("firstaudio.telemetry.store.file.BUSY_S", 0.05)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(FileTroubleError, match="database is locked"):
            opened().open()
