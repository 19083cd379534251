"""A run does not outlive the program that started it."""

from __future__ import annotations

import subprocess
import sys

from firstaudio.bench.reference import Figures, running

SLOW = Figures(ttfa_ms=20.0, rtf=0.0, char_s=0.04, sample_rate=8000)
PATIENCE_S = 60.0


def test_a_run_ends_in_good_order_when_its_stdin_closes(tmp_path):
    with running(SLOW) as server:
        command = [sys.executable, "-m", "firstaudio.cli.main", "bench", "streaming", "--url", server.url, "--leash"]
        command += ["--output-dir", str(tmp_path), "--session-name", "s", "--iterations", "100000", "--no-floor"]
        command += ["--progress", "json", "--no-reports"]
        run = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        with run:
            assert run.stdin is not None
            assert run.stderr is not None
            assert any(b'"progress"' in line for line in run.stderr)
            run.stdin.close()
            rest = run.stderr.read()
            assert run.wait(PATIENCE_S) == 130

    assert b"what was measured is kept" in rest
    assert (tmp_path / "s" / "s.json").is_file()
