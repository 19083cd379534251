"""Workloads as files: what they mean, and that every mistake is told with its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from firstaudio.bench.spec import SECRET, TargetSpec
from firstaudio.bench.workload import Cell, Goals, Load, Texts, Workload
from firstaudio.bench.workload_file import read_workload
from firstaudio.errors import BenchError

EXAMPLE = Path(__file__).parents[2] / "examples" / "workload.toml"
TARGET = '[target]\nkind = "openai"\nurl = "http://h"\n'
TWO = '[targets.a]\nkind = "openai"\nurl = "http://a"\n[targets.b]\nkind = "openai"\nurl = "http://b"\n'
SPEC = TargetSpec("openai", "http://h")

Read = Callable[..., Workload]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The workload of a file with this content."""

    def read(content: str, environ: Mapping[str, str] | None = None) -> Workload:
        path = tmp_path / "work.toml"
        path.write_text(content, encoding="utf-8")
        return read_workload(path, environ or {})

    return read


def names(workload: Workload) -> list[str]:
    return [cell.name for cell in workload.cells]


def test_a_target_alone_is_one_cell_with_every_default(read: Read):
    assert read(TARGET) == Workload("run", (Cell("c=1", SPEC, {"concurrency": 1}),), Goals())


def test_the_example_is_a_workload():
    workload = read_workload(EXAMPLE, {})

    assert len(workload.cells) == 12
    assert names(workload)[:5] == ["levels c=1", "levels c=2", "levels c=4", "levels c=8", "length short"]
    assert names(workload)[8:] == ["delivery stream", "delivery whole", "arrivals rate=1/s", "arrivals rate=2/s"]
    assert [cell.target.delivery for cell in workload.cells[8:10]] == ["stream", "whole"]
    assert workload.cells[0].load == Load(num_requests=72, warmup_requests=24)


def test_lists_make_every_combination_and_say_what_varies(read: Read):
    cells = read(f'voices = ["x", "y"]\nload = {{ concurrency = [1, 4] }}\n{TARGET}').cells

    assert [(cell.name, cell.voice, cell.load.concurrency, dict(cell.axes)) for cell in cells] == [
        ("x c=1", "x", 1, {"voice": "x", "concurrency": 1}),
        ("x c=4", "x", 4, {"voice": "x", "concurrency": 4}),
        ("y c=1", "y", 1, {"voice": "y", "concurrency": 1}),
        ("y c=4", "y", 4, {"voice": "y", "concurrency": 4}),
    ]


def test_a_cell_overrides_the_defaults_key_by_key(read: Read):
    cells = read(
        f"""
        voice = "v"
        language = "de"
        speeds = [0.5, 2]
        [texts]
        language = "de"
        seed = 9
        [load]
        num_requests = 50
        concurrency = [1, 2]
        {TARGET}
        [[cell]]
        name = "one"
        speed = 1
        load = {{ concurrency = 3 }}
        texts = {{ classes = ["long"] }}
        """
    ).cells

    assert cells == (
        Cell(
            name="one",
            target=SPEC,
            axes={"scenario": "one", "concurrency": 3},
            voice="v",
            language="de",
            texts=Texts(("long",), "de", seed=9),
            load=Load(concurrency=3, num_requests=50),
        ),
    )


def test_a_list_takes_the_place_of_a_single_default(read: Read):
    cells = read(f'voice = "v"\n{TARGET}[[cell]]\nvoices = ["x", "y"]\n[[cell]]\nname = "rest"\n').cells

    assert [(cell.name, cell.voice) for cell in cells] == [("x", "x"), ("y", "y"), ("rest", "v")]


def test_a_number_of_requests_and_a_time_take_each_others_place(read: Read):
    timed = read(f"{TARGET}[load]\nnum_requests = 50\n[[cell]]\nload = {{ duration_s = 9 }}").cells[0]
    counted = read(f"{TARGET}[load]\nduration_s = 9\n[[cell]]\nload = {{ num_requests = 50 }}").cells[0]

    assert (timed.load.quota, timed.load.duration_s) == (None, 9.0)
    assert counted.load.quota == 50


def test_several_targets_are_all_measured_unless_a_cell_chooses(read: Read):
    chosen = read(f'{TWO}[[cell]]\ntarget = "b"\nload = {{ concurrency = 2 }}\n[[cell]]\nname = "both"\n').cells

    assert [(cell.name, cell.target.name, cell.target.url) for cell in chosen] == [
        ("c=2", "b", "http://b"),
        ("both a", "a", "http://a"),
        ("both b", "b", "http://b"),
    ]
    assert [cell.axes["target"] for cell in chosen] == ["b", "a", "b"]


def test_open_loops_vary_by_rate(read: Read):
    cells = read(f'{TARGET}[load]\narrival = "constant"\nrate_per_s = [0.5, 2]\nconcurrency = 8\n').cells

    assert [(cell.name, dict(cell.axes)) for cell in cells] == [
        ("rate=0.5/s", {"rate_per_s": 0.5}),
        ("rate=2/s", {"rate_per_s": 2}),
    ]


def test_a_trace_brings_its_own_times(read: Read):
    cell = read(f'{TARGET}[load]\narrival = "trace"\noffsets_s = [0, 0.5, 0.5]\n').cells[0]

    assert (cell.load.offsets_s, cell.load.quota) == ((0.0, 0.5, 0.5), 3)


def test_a_token_comes_from_the_environment_and_is_not_shown(read: Read):
    workload = read(f'{TARGET}token_env = "T"\n', {"T": "hush"})

    assert workload.cells[0].target.token == "hush"
    assert workload.public()["cells"][0]["target"]["token"] == SECRET


def test_the_hash_is_that_of_the_same_workload_elsewhere(read: Read):
    assert read(TARGET).hash == read(TARGET.replace("http://h", "https://elsewhere")).hash
    assert read(TARGET).hash != read(f"{TARGET}[texts]\nseed = 2\n").hash


MISTAKES = [
    ("", r"\[target\]"),
    ("target = 5", r"\[target\]"),
    (f"{TARGET}{TWO}", r"one table \[target\], or in several"),
    ('[target]\nurl = "http://h"', r"\[target\] needs kind"),
    ('[target]\nkind = "openai"', r"\[target\] needs url"),
    ('[target]\nkind = "command"', r"\[target\] needs command"),
    ('[target]\nkind = "opneai"\nurl = "x"', r"\[target\] kind = 'opneai': Input should be 'openai'"),
    (f'{TARGET}ulr = "x"', r"unknown key 'ulr' in \[target\]; did you mean url"),
    (f'{TARGET}token = "hush"', r"\[target\] token: .* token_env"),
    (f'{TARGET}token_env = "NOT_SET"', r"environment variable NOT_SET is not set"),
    (f"{TARGET}timeout_s = 0", r"\[target\] timeout_s must be greater than 0"),
    (f"{TARGET}timeout_s = inf", r"\[target\] timeout_s = inf: .* finite"),
    (f'{TARGET}headers = {{ "X-A" = 5 }}', r"\[target\] headers = .*: Input should be a valid string"),
    (f"volces = 5\n{TARGET}", r"unknown key 'volces' in the top of the file; did you mean voices"),
    (f"{TARGET}[goals]\nttfa = 5", r"unknown key 'ttfa' in \[goals\]; did you mean ttfa_ms"),
    (f"{TARGET}[goals]\nttfa_ms = -5", r"\[goals\] ttfa_ms must be greater than 0"),
    (
        f"{TARGET}[load]\nconcurency = 5",
        r"unknown key 'concurency' in \[\[cell\]\] number 1 load; did you mean concurrency",
    ),
    (f"{TARGET}[load]\nconcurrency = 0", r"load concurrency must be greater than 0"),
    (f"{TARGET}[load]\nconcurrency = []", r"load.concurrency must be a list with at least one value"),
    (f"{TARGET}[load]\nconcurrency = 1.5", r"load concurrency = 1.5: Input should be a valid integer"),
    (f"{TARGET}[load]\nconcurrency = true", r"load concurrency = True: Input should be a valid integer"),
    (f'{TARGET}[load]\nconcurrency = "4"', r"load concurrency = '4': Input should be a valid integer"),
    (f"{TARGET}[load]\nduration_s = true", r"load duration_s = True: "),
    (f"{TARGET}[load]\nnum_requests = 5\nduration_s = 5", r"\[load\] has both num_requests and duration_s"),
    (f'{TARGET}[load]\narrival = "poisson"', r'arrival = "poisson" needs rate_per_s'),
    (f'{TARGET}[load]\narrival = "ramp"\nrate_per_s = 5', r'arrival = "ramp" needs start_rate_per_s'),
    (f'{TARGET}[load]\narrival = "trace"', r'arrival = "trace" needs offsets_s'),
    (f'{TARGET}[load]\narrival = "trace"\noffsets_s = [1, 0]', r"offsets_s must be .* ascending"),
    (f"{TARGET}[load]\nrate_per_s = 5", r'arrival = "closed" does not use rate_per_s'),
    (f'{TARGET}[texts]\nclasses = ["lnog"]', r"unknown text class 'lnog'; did you mean long"),
    (f'{TARGET}[texts]\nclasses = "long"', r"texts classes = 'long': Input should be a valid tuple"),
    (f'{TARGET}[cell]\nname = "x"', r"written \[\[cell\]\]"),
    (f'{TARGET}[[cell]]\nname = "x"\nvoise = "y"', r"unknown key 'voise' in \[\[cell\]\] 'x'; did you mean voice"),
    (f'{TARGET}[[cell]]\nvoice = "y"\nvoices = ["z"]', r"number 1 has both voice and voices"),
    (f'{TARGET}[[cell]]\nvoices = "y"', r"voices must be a list"),
    (f"{TARGET}[[cell]]\nvoice = 5", r"number 1 voice = 5: Input should be a valid string"),
    (f"{TARGET}[[cell]]\nspeed = 0", r"number 1 speed must be greater than 0"),
    (f'{TARGET}[[cell]]\ndelivery = "hole"', r"number 1 delivery = 'hole': Input should be 'stream'"),
    (f"{TARGET}[[cell]]\n[[cell]]", r"two cells are called 'c=1'; give each"),
    (f'{TWO}[[cell]]\ntarget = "c"', r"there is no \[targets.c\]; known are a, b"),
    ("[target\n", r"is not a TOML file"),
]


@pytest.mark.parametrize(("content", "told"), MISTAKES)
def test_every_mistake_is_told_with_the_file_and_its_table(read: Read, content: str, told: str):
    with pytest.raises(BenchError, match=rf"work\.toml.*{told}"):
        read(content)


def test_a_file_that_is_not_there_or_not_readable_is_told(tmp_path: Path):
    with pytest.raises(BenchError, match=r"examples/workload\.toml"):
        read_workload(tmp_path / "none.toml")
    with pytest.raises(BenchError, match="cannot read"):
        read_workload(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"mode = '\xff'")
    with pytest.raises(BenchError, match="not a TOML file"):
        read_workload(tmp_path / "latin.toml")
