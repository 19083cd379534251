"""Every verb, from the command line to the saved session. Nothing here asserts how fast anything was."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstaudio.bench.reference import ReferenceServer, running
from firstaudio.bench.sessions.store import read_records

from .conftest import FIGURES, Bench, Benched

TINY = ("--warmup", "0", "--no-floor", "--no-reports")
FEW = ("--iterations", "4", *TINY)
SPEEDS = ["speed=0.75", "speed=1.0", "speed=1.25", "speed=1.5"]
CLASSES = ["text=short", "text=medium", "text=long", "text=complex"]
VOICES = ["alto", "tenor", "slow10"]
SCENARIOS = ["short_text_ttfa", "hello_world_repeated", "medium_text_ttfa", "long_text_streaming", "fast_speech"]

CELLS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "server": (("--concurrency", "1", "2"), ["c=1", "c=2"]),
    "voices": ((), [f"{voice} c=1" for voice in VOICES]),
    "comprehensive": (
        ("--concurrency", "1"),
        ["delivery=stream", "delivery=whole", *(f"voice={voice}" for voice in VOICES), *CLASSES, *SPEEDS, "c=1"],
    ),
    "ttfa": ((), [*CLASSES, *SPEEDS]),
    "streaming": ((), ["delivery=stream", "delivery=whole", "listeners=4"]),
    "full": (("--concurrency", "1"), [*SCENARIOS, *(f"voice_variety {voice}" for voice in VOICES), "c=1"]),
}


def check(benched: Benched, mode: str, cells: list[str]) -> None:
    """A session that came to its end, all requests of which succeeded, and an exit code that says what it says."""
    session = benched.session
    assert session.mode == mode
    assert session.completed
    assert [cell.name for cell in session.cells] == cells
    assert all(cell.issued == cell.ok + cell.cancelled and cell.ok >= 4 for cell in session.cells)
    assert benched.exit_code == (0 if session.valid else 2)
    records = list(read_records(benched.output_dir / session.name))
    assert sum(record.phase == "measured" for record in records) == sum(cell.issued for cell in session.cells)


@pytest.mark.parametrize("verb", CELLS)
def test_a_verb_measures_its_cells_and_keeps_them(verb: str, bench: Bench, server: ReferenceServer):
    flags, cells = CELLS[verb]
    benched = bench(verb, "--url", server.url, *flags, *FEW, "--json")

    check(benched, verb, cells)
    assert [cell["name"] for cell in benched.json["cells"]] == cells
    assert benched.json["verdict"] in ("VALID", "INVALID")
    assert benched.files == {f"{benched.session.name}.json", "records.jsonl", "clips"}


@pytest.mark.slow
def test_reports_lie_beside_the_session(bench: Bench, server: ReferenceServer):
    benched = bench(
        "server", "--url", server.url, "--concurrency", "1", "--iterations", "4", "--warmup", "0", "--no-floor"
    )

    check(benched, "server", ["c=1"])
    assert {"report.md", "report.html", "server_default.json", "records.jsonl"} <= benched.files
    assert sum(name.endswith(".csv") for name in benched.files) == 1
    assert "c=1: 4 requests" in benched.stderr
    assert str(benched.output_dir / "server_default") in benched.stderr
    assert "server_default (server, " in benched.stdout


def test_one_voice_gives_the_session_its_name(bench: Bench, server: ReferenceServer):
    flags = ("server", "--url", server.url, "--voice", "tenor", "--concurrency", "1", *FEW)

    assert bench(*flags).names == ["server_tenor"]
    assert bench(*flags).names == ["server_tenor", "server_tenor-2"]


def test_an_open_loop_may_have_as_many_in_flight_as_the_highest_level(bench: Bench, server: ReferenceServer):
    flags = ("--arrival", "constant", "--rate", "100", "--concurrency", "4", "16")
    benched = bench("server", "--url", server.url, *flags, *FEW)

    check(benched, "server", ["constant 100/s"])
    assert benched.session.cells[0].cell["load"]["concurrency"] == 16


def test_the_demo_finds_the_figures_of_its_own_server(bench: Bench):
    benched = bench("demo", "--concurrency", "1", *FEW, "--json")

    check(benched, "demo", ["c=1"])
    found = benched.json["findings"]["truth"]
    assert [each["figure"].split(",")[0] for each in found] == ["TTFA", "TTGP", "pre-roll needed", "RTF"]
    assert [each["stated"] for each in found][:2] == [30.0, 30.0]


def test_a_server_is_discovered(bench: Bench, server: ReferenceServer):
    benched = bench("discover", "--url", server.url, "--json", "--no-reports")

    assert benched.exit_code == 0
    assert benched.json["findings"]["discovery"]["voices"] == VOICES
    assert "/v1/audio/speech" in [each["path"] for each in benched.session.findings["discovery"]["endpoints"]]


def test_the_capacity_is_searched_up_to_its_limit(bench: Bench, server: ReferenceServer):
    flags = ("--share", "0.5", "--limit", "2", "--ttfa-target", "60000", "--buffer", "60000")
    benched = bench("capacity", "--url", server.url, *flags, *TINY, "--json")

    check(benched, "capacity", ["#1 c=1", "#2 c=2", "#3 c=2", "#4 c=2"])
    assert benched.json["findings"]["capacity"]["listeners"] == 2
    assert benched.json["findings"]["capacity"]["sentence"].startswith("at least 2 gapless listeners at once")


def test_two_targets_are_compared_in_rounds(bench: Bench, server: ReferenceServer):
    voices = ("--voice-a", "alto", "--voice-b", "tenor")
    benched = bench("ab", server.url, server.url, *voices, "--rounds", "10", "--per-round", "4", *TINY, "--json")

    check(benched, "ab", ["A", "B"])
    assert [cell.issued for cell in benched.session.cells] == [40, 40]
    assert benched.json["findings"]["ab"]["rounds"] == 10
    texts: dict[str, list[tuple[int, str]]] = {"A": [], "B": []}
    for record in read_records(benched.output_dir / "ab"):
        texts[record.cell].append((record.part, record.text))
    assert sorted(texts["A"]) == sorted(texts["B"])


def test_a_soak_lasts_as_long_as_it_is_told(bench: Bench, server: ReferenceServer):
    benched = bench("soak", "--url", server.url, "--duration", "1", "--concurrency", "1", "--think", "0.02", *TINY)

    check(benched, "soak", ["soak"])
    assert benched.session.cells[0].cell["load"]["duration_s"] == 1.0


def test_a_workload_file_is_run(bench: Bench, server: ReferenceServer, tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text(
        f'[target]\nkind = "openai"\nurl = "{server.url}"\n'
        "[load]\nconcurrency = [1, 2]\nnum_requests = 4\nwarmup_requests = 0\n"
    )
    benched = bench("run", file, "--no-floor", "--no-reports")

    assert benched.names == ["mine"]
    check(benched, "run", [cell.name for cell in benched.session.cells])
    assert [cell.axes["concurrency"] for cell in benched.session.cells] == [1, 2]


@pytest.mark.parametrize(("condition", "wanted"), [("success_rate<101", 99), ("success_rate<99", 0)])
def test_a_target_that_is_missed_has_an_exit_code_of_its_own(
    condition: str, wanted: int, bench: Bench, server: ReferenceServer
):
    flags = ("--concurrency", "1", "--iterations", "36", *TINY, "--fail-on", condition, "--json")
    benched = bench("server", "--url", server.url, *flags)

    assert benched.exit_code == (wanted if benched.session.valid else 2)
    assert len(benched.json["missed"]) == (wanted == 99)
    assert ("missed: c=1: success_rate is 100 %" in benched.stderr) == (wanted == 99)


def test_the_token_is_sent_and_not_kept(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = ["--token", "t0ps3cret", "--header", "X-Key: s3cond"]
    with running(FIGURES, token="t0ps3cret") as server:
        monkeypatch.setattr("sys.argv", ["firstaudio", "bench", "server", *arguments])
        benched = bench("server", "--url", server.url, *arguments, "--concurrency", "1", *FEW)

    check(benched, "server", ["c=1"])
    kept = b"".join(path.read_bytes() for path in benched.output_dir.rglob("*.json*"))
    assert b"t0ps3cret" not in kept
    assert b"s3cond" not in kept
    assert benched.session.command == ["firstaudio", "bench", "server", "--token", "***", "--header", "X-Key: ***"]
