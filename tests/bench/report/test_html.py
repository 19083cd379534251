from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from firstaudio.bench.report.html import html
from firstaudio.bench.sessions.session import Clip

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Elements in order, and whether each that was opened was closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self._open = [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        if tag in ("li", "p") and self._open[-1] != tag:
            return
        assert self._open.pop() == tag


def test_the_page_is_well_formed_and_asks_for_nothing_outside_of_it(demo, records, folder):
    page = Page(html(demo, records, folder))
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(page.tags)
    asked = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert [value[:22] for value in asked] == ["data:audio/wav;base64,"]
    assert not re.search(r"url\(|@import", html(demo, records, folder))


def test_the_verdict_comes_first(demo, records, folder):
    text = html(demo, records, folder)
    order = [
        text.index(part) for part in ('class="verdict"', "Highest ASPS", "<h2>Percentiles", "<h2>Charts", "<h2>Repeat")
    ]
    assert order == sorted(order)
    assert "<strong>VALID</strong>" in text


def test_reasons_stand_beside_invalid(make_session, voided_cell, tmp_path):
    text = html(make_session([voided_cell]), [], tmp_path)
    assert "<strong>INVALID</strong>" in text
    assert "<li>c=64: the client used 93 % of a core" in text


def test_names_and_messages_of_a_target_are_shown_and_not_run(voices, make_record, tmp_path):
    rows = [
        make_record(0, cell="</style><script>x()</script>", outcome="http_error", message="<img src=x onerror=y()>")
    ]
    voices.clips = [Clip("<script>", 0, "<script>", "<script>.wav")]
    voices.findings["<script>"] = {"<script>": "<script>"}
    text = html(voices, rows, tmp_path)
    assert {"script", "img"}.isdisjoint(Page(text).tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;img src=x onerror=y()&gt;" in text


def test_what_is_missing_and_what_failed_is_said(demo, records, folder):
    text = html(demo, records, folder)
    assert "n/a (needs 72)" in text
    assert "inf (failures)" in text
    assert "the server answered 503: lower the load" in text


def test_a_clip_is_embedded_whole(demo, records, folder):
    source = re.search(r'src="data:audio/wav;base64,([^"]*)"', html(demo, records, folder))
    assert source
    assert base64.b64decode(source[1]) == (folder / "clips/slowest.wav").read_bytes()


@pytest.mark.parametrize("file", ["../secret.wav", "/etc/hostname", "clips/none.wav"])
def test_only_files_of_the_session_are_embedded(demo, records, folder, file):
    (folder.parent / "secret.wav").write_bytes(b"secret")
    demo.clips = [Clip("c=1", 3, "why", file)]
    text = html(demo, records, folder)
    assert "data:audio" not in text
    assert "the file is not in the session&#39;s folder" in text


def test_a_page_that_would_become_too_large_says_which_clips_it_lacks(demo, folder, monkeypatch):
    monkeypatch.setattr("firstaudio.bench.report.html.MAX_EMBEDDED", 5000)
    demo.clips *= 2
    text = html(demo, [], folder)
    assert text.count("data:audio") == 1
    assert text.count("the page would become too large") == 1


def test_a_session_without_cells_and_records_has_a_page(make_session, tmp_path):
    page = Page(html(make_session([], completed=False, environment={}, definitions={}), [], tmp_path))
    assert "svg" not in page.tags


def test_failures_are_counted_from_the_cells_when_there_are_no_records(demo, folder):
    assert "<td>60</td><td>refused</td>" in html(demo, [], folder)


def test_a_reason_stands_once_on_the_page(make_session, voided_cell, tmp_path):
    text = html(make_session([voided_cell], findings={"recommendations": []}), [], tmp_path)
    assert text.count("the client used 93 % of a core") == 1


def test_a_target_that_never_spoke_has_a_page_with_the_reason_alone(make_session, tmp_path):
    failure = {"kind": "unreachable", "message": "nothing listens there"}
    text = html(make_session([], findings={"preflight": failure}), [], tmp_path)
    assert text.count("nothing listens there") == 1
    assert 'class="tiles"' not in text


def test_abbreviations_are_explained_below_the_first_table(demo, records, folder):
    text = html(demo, records, folder)
    assert text.index("<h2>Figures") < text.index("<dt>ASPS</dt><dd>sum of audio seconds") < text.index("<h2>Rates")
