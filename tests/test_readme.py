"""The README's examples run, against a server that was started as the README says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

README = Path(__file__).parents[1] / "README.md"
EXAMPLE = re.compile(r"<!-- test: (shell|python|harness) -->\n```\w+\n(.*?)```", re.DOTALL)
DEFAULT_URL = "http://127.0.0.1:8000"


def examples():
    found = [example for example in EXAMPLE.findall(README.read_text()) if example[0] != "harness"]
    return [pytest.param(kind, code, id=f"{kind}-{n}") for n, (kind, code) in enumerate(found)]


@pytest.fixture(scope="module")
def url():
    command = [sys.executable, "-m", "firstaudio.cli.main", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"ready on (http://\S+)", line):
                break
        else:
            pytest.fail(f"the server did not start: {said}")
        yield found[1]
        process.terminate()
        process.communicate()
        assert process.returncode == 0


def test_there_are_examples_of_both_kinds():
    assert {kind for kind, _ in EXAMPLE.findall(README.read_text())} == {"shell", "python", "harness"}


@pytest.mark.parametrize(("kind", "code"), examples())
def test_the_example_runs(kind, code, url, tmp_path):
    command = ["sh", "-ec", code] if kind == "shell" else [sys.executable, "-c", code]
    command = [part.replace(DEFAULT_URL, url) for part in command]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 0, done.stderr
    files = list(tmp_path.iterdir())
    for file in files:
        pcm, _ = soundfile.read(file)
        assert abs(pcm).max() > 0.05
    assert files or "bold" in done.stdout


def test_the_example_of_the_harness_measures_a_function(tmp_path):
    (code,) = [code for kind, code in EXAMPLE.findall(README.read_text()) if kind == "harness"]
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["c=1", "c=4"]
    assert (tmp_path / "my_results" / "mine" / "mine.json").exists()
