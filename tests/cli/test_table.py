"""Rows are a table on a terminal and lines elsewhere; nothing of a value is taken for markup."""

from __future__ import annotations

import io
import sys

import pytest

from firstaudio.cli.table import print_rows

ROWS = [("[red]one[/]", "1"), ("two", "")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_columns_are_named_first_and_values_stand_between_tabs(capsys: pytest.CaptureFixture[str]):
    print_rows(("name", "alias_of"), ROWS)
    assert capsys.readouterr().out == "name\talias_of\n[red]one[/]\t1\ntwo\t\n"
    print_rows(("name", "alias_of"), ROWS, names_columns=False)
    assert capsys.readouterr().out == "[red]one[/]\t1\ntwo\t\n"


def test_a_terminal_gets_a_table_with_the_values_as_they_are(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")  # which is sent no codes
    print_rows(("name", "alias_of"), ROWS, names_columns=False)
    head, *lines = [" ".join(line.split()) for line in terminal.getvalue().splitlines()]
    assert head == "name alias of"
    assert lines == ["[red]one[/] 1", "two"]


@pytest.mark.parametrize("stdout", [io.StringIO(), Terminal()])
def test_no_rows_are_nothing_at_all(monkeypatch: pytest.MonkeyPatch, stdout: io.StringIO):
    monkeypatch.setattr(sys, "stdout", stdout)
    print_rows(("name",), [])
    assert stdout.getvalue() == ""


def test_where_stdout_is_closed_nothing_is_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", None)
    print_rows(("name",), [("one",)])
