"""One file over a network that does its worst: the file's name is given to the file or to nothing."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstaudio.engines.kokoro import download as module
from firstaudio.engines.kokoro.download import DownloadError, Patience, Wanted, download, partial
from firstaudio.errors import ConfigError

from .mirror import CONTENT, Answer, Heard, Server, serving, sha256

FILE = "model.onnx"
WHOLE = CONTENT[FILE]
QUICK = Patience(stall_s=0.2, attempts=3, backoff_s=1.0)

PROGRAM = """
import sys
from pathlib import Path
from firstaudio.engines.kokoro.download import Patience, Silent, Wanted, download
class Loud(Silent):
    def advanced(self, file, num_bytes, num_total):
        print(num_bytes, flush=True)
url, target, num_bytes, sha256 = sys.argv[1:]
download(Wanted(url, Path(target), int(num_bytes), sha256), Loud(), Patience(stall_s=60))
"""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


@pytest.fixture
def wanted(server: Server, tmp_path: Path) -> Wanted:
    return Wanted(f"{server.url}/{FILE}", tmp_path / FILE, len(WHOLE), sha256(WHOLE))


class Pauses(list[float]):
    """In the place of `time.sleep`."""

    def __call__(self, pause_s: float) -> None:
        self.append(pause_s)


def fetch(wanted: Wanted, heard: Heard | None = None, patience: Patience = QUICK) -> Pauses:
    pauses = Pauses()
    download(wanted, heard or Heard(), patience, pauses)
    assert wanted.target.read_bytes() == WHOLE
    assert [wanted.target] == list(wanted.target.parent.iterdir())
    return pauses


def refused(wanted: Wanted, patience: Patience = QUICK) -> str:
    with pytest.raises(DownloadError) as caught:
        download(wanted, Heard(), patience, Pauses())
    assert not wanted.target.exists()
    return caught.value.message


def test_a_file_is_fetched_and_nothing_else_is_left(server: Server, wanted: Wanted):
    heard = Heard()

    assert fetch(wanted, heard) == []
    assert (FILE, len(WHOLE), len(WHOLE)) == heard.steps[-1]
    assert heard.notices == []


def test_the_server_is_told_who_asks(server: Server, wanted: Wanted):
    fetch(wanted)

    assert server.requests[0][1]["User-Agent"].startswith("firstaudio/")


def test_a_connection_that_breaks_is_taken_up_where_it_ended(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000), Answer(cut=500)]
    heard = Heard()

    assert fetch(wanted, heard) == [1.0, 2.0]
    assert server.ranges() == ["", "bytes=1000-", "bytes=1500-"]
    assert [text.partition(";")[0] for text in heard.notices] == [
        f"{FILE}: the connection ended at {num_bytes} of 5000 bytes" for num_bytes in (1000, 1500)
    ]


def test_a_connection_that_stalls_is_given_up_and_taken_up_again(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000, stalls=True)]
    heard = Heard()

    fetch(wanted, heard, Patience(stall_s=0.05))
    assert server.ranges() == ["", "bytes=1000-"]
    assert "nothing came for 0.05 s" in heard.notices[0]


def test_a_server_that_ignores_ranges_is_asked_from_the_beginning(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000), Answer(ignores_range=True)]

    fetch(wanted)


def test_a_file_that_changed_meanwhile_is_not_patched_together(server: Server, wanted: Wanted):
    other = bytes(len(WHOLE))
    server.script = [Answer(cut=1000, content=other, etag='"old"'), Answer(etag='"new"')]

    fetch(wanted)
    assert server.requests[1][1]["If-Range"] == '"old"'


def test_pieces_that_do_not_make_the_file_are_fetched_anew(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000, content=bytes(len(WHOLE)), etag="")]
    heard = Heard()

    fetch(wanted, heard)
    assert any("the pieces do not make the file" in text for text in heard.notices)


def test_a_weak_etag_says_nothing_about_bytes(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000, etag='W/"1"')]

    fetch(wanted)
    assert "If-Range" not in server.requests[1][1]


def test_a_redirection_is_followed_with_the_range(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000), Answer(location=f"/elsewhere/{FILE}")]

    fetch(wanted)
    assert [path for path, _headers in server.requests] == [f"/{FILE}", f"/{FILE}", f"/elsewhere/{FILE}"]
    assert server.ranges()[-1] == "bytes=1000-"


def test_a_416_begins_anew(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000), Answer(status=416)]

    fetch(wanted)
    assert server.ranges() == ["", "bytes=1000-", ""]


@pytest.mark.parametrize("content_range", ["bytes 7-4999/5000", "nonsense"])
def test_a_piece_that_was_not_asked_for_is_not_used(server: Server, wanted: Wanted, content_range: str):
    server.script = [Answer(cut=1000), Answer(content_range=content_range)]

    fetch(wanted)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(server: Server, wanted: Wanted, status: int):
    server.script = [Answer(status=status)]

    assert fetch(wanted) == [1.0]


def test_garbage_in_the_place_of_http_is_an_error_in_the_end(server: Server, wanted: Wanted):
    server.script = [Answer(raw=b"\x00\x01 what?\r\n\r\n") for _ in range(3)]

    assert "given up after 3 attempts" in refused(wanted)


def test_a_server_that_never_sends_all_is_given_up_and_its_bytes_are_kept(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000)] * 3

    message = refused(wanted)
    assert "the first 3000 bytes are kept, run the command again to go on" in message
    assert WHOLE[:3000] == partial(wanted.target).read_bytes()


def test_progress_is_worth_more_patience(server: Server, wanted: Wanted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WORTH_IT_BYTES", 1000)
    server.script = [Answer(cut=1000)] * 4

    assert fetch(wanted) == [1.0] * 4


def test_a_404_names_the_address_and_the_mirror(server: Server, wanted: Wanted):
    server.script = [Answer(status=404)]

    message = refused(wanted)
    assert f"{wanted.url} answered 404 Not Found" in message
    assert "FIRSTAUDIO_MODEL_URL" in message
    assert len(server.requests) == 1


@pytest.mark.parametrize("length", ["4999", "5001", "9"])
def test_a_stated_length_that_is_not_the_files_is_refused_at_once(server: Server, wanted: Wanted, length: str):
    server.script = [Answer(length=length)]

    assert f"has {length} bytes, the file has 5000" in refused(wanted)


def test_a_body_longer_than_the_file_is_refused(server: Server, wanted: Wanted):
    server.script = [Answer(length="", content=WHOLE + b"more")]

    assert "goes on after the 5000 bytes" in refused(wanted)
    assert list(wanted.target.parent.iterdir()) == []


def test_a_body_shorter_than_its_stated_length_is_taken_up_again(server: Server, wanted: Wanted):
    server.script = [Answer(length="5000", cut=4000)]

    fetch(wanted)


def test_a_body_without_a_length_is_taken(server: Server, wanted: Wanted):
    server.script = [Answer(length="")]

    fetch(wanted)


def test_other_content_is_deleted_and_both_sums_are_told(server: Server, wanted: Wanted):
    other = bytes(len(WHOLE))
    server.script = [Answer(content=other)]

    message = refused(wanted)
    assert sha256(other) in message
    assert wanted.sha256 in message
    assert list(wanted.target.parent.iterdir()) == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(content_type="text/html; charset=utf-8"),
        Answer(content=b"\n<!DOCTYPE html><html>".ljust(len(WHOLE))),
        Answer(content=b"<HTML>", length=""),
    ],
)
def test_a_login_page_is_no_model(server: Server, wanted: Wanted, answer: Answer):
    server.script = [answer]

    assert "a page for people, no model file" in refused(wanted)
    assert list(wanted.target.parent.iterdir()) == []


def test_a_page_for_people_does_not_cost_what_has_come(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000), Answer(content_type="text/html")]

    refused(wanted)
    fetch(wanted)
    assert server.ranges()[-1] == "bytes=1000-"


def test_offline_is_said_at_once_with_what_to_do(wanted: Wanted, monkeypatch: pytest.MonkeyPatch):
    def no_name(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    message = refused(wanted)

    assert message.startswith(f"offline: cannot reach {wanted.url}")
    assert f"copy {FILE} by hand into {wanted.target.parent}" in message
    assert "FIRSTAUDIO_MODEL_URL" in message


def test_a_network_that_goes_away_in_between_is_waited_for(
    server: Server, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
):
    server.script = [Answer(cut=1000)]
    resolve, failures = socket.getaddrinfo, iter([False, True])

    def sometimes(*arguments, **options):
        if next(failures, False):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", sometimes)

    assert fetch(wanted) == [1.0, 2.0]


def test_a_port_where_nobody_listens_is_tried_again_then_refused(wanted: Wanted):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    assert "Connection refused" in refused(replace(wanted, url=f"http://127.0.0.1:{port}/{FILE}"))


def test_a_folder_is_a_mirror_too(tmp_path: Path):
    mirror, target = tmp_path / "a mirror", tmp_path / "models"
    mirror.mkdir()
    target.mkdir()
    (mirror / FILE).write_bytes(WHOLE)

    fetch(Wanted((mirror / FILE).as_uri(), target / FILE, len(WHOLE), sha256(WHOLE)))


def test_a_folder_without_the_file_is_refused_at_once(tmp_path: Path):
    url = (tmp_path / "nothing").as_uri()

    assert f"cannot read {url}: No such file" in refused(Wanted(url, tmp_path / FILE, 1, "0"))


def test_a_full_disk_says_how_much_is_needed_and_keeps_what_has_come(
    server: Server, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
):
    real = os.fdopen

    def fdopen(descriptor: int, mode: str):
        file = real(descriptor, mode)
        write = file.write

        class Full:
            def __getattr__(self, name: str):
                return getattr(file, name)

            def write(self, data: bytes) -> int:
                if file.tell() + len(data) > 2000:
                    write(data[: 2000 - file.tell()])
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(data)

        return Full()

    server.script = [Answer(cut=2000)]
    monkeypatch.setattr(module.os, "fdopen", fdopen)
    with pytest.raises(ConfigError, match=r"the disk of .* is full: 0 MB are needed and \d+ MB are free"):
        download(wanted, Heard(), QUICK, Pauses())
    monkeypatch.setattr(module.os, "fdopen", real)

    fetch(wanted)
    assert server.ranges() == ["", "bytes=2000-", "bytes=2000-"]


def test_an_interruption_keeps_what_has_come(server: Server, wanted: Wanted):
    def interrupt(num_bytes: int) -> None:
        if num_bytes:
            raise KeyboardInterrupt

    server.script = [Answer(cut=1000)]
    with pytest.raises(KeyboardInterrupt):
        download(wanted, Heard(interrupt), QUICK, Pauses())

    fetch(wanted)
    assert server.ranges()[-1] == "bytes=1000-"


def test_a_process_that_is_killed_leaves_bytes_that_the_next_one_uses(server: Server, wanted: Wanted):
    server.script = [Answer(cut=3000, stalls=True)]
    arguments = [wanted.url, str(wanted.target), str(wanted.num_bytes), wanted.sha256]
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"3000\n" in process.stdout
        process.send_signal(signal.SIGKILL)
    assert not wanted.target.exists()

    fetch(wanted)
    assert server.ranges()[-1] == "bytes=3000-"


def test_bytes_of_another_file_are_not_used(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000, content=bytes(7000))]
    refused(replace(wanted, num_bytes=7000, sha256="0" * 64), replace(QUICK, attempts=1))
    assert partial(wanted.target).stat().st_size == 1000

    fetch(wanted)
    assert server.ranges() == ["", ""]


@pytest.mark.parametrize("note", [b"", b"[]", b"\xff", b'{"sha256": 3}'])
def test_a_damaged_note_costs_the_bytes_and_nothing_else(server: Server, wanted: Wanted, note: bytes):
    partial(wanted.target).write_bytes(b"what is this")
    Path(f"{partial(wanted.target)}.json").write_bytes(note)

    fetch(wanted)


def test_a_file_that_was_whole_but_had_no_name_yet_is_not_fetched_again(server: Server, wanted: Wanted):
    server.script = [Answer(cut=4999)]
    refused(wanted, replace(QUICK, attempts=1))
    with partial(wanted.target).open("ab") as file:
        file.write(WHOLE[4999:])

    fetch(wanted)
    assert len(server.requests) == 1


def test_a_damaged_part_is_found_out(server: Server, wanted: Wanted):
    server.script = [Answer(cut=1000)]
    refused(wanted, replace(QUICK, attempts=1))
    partial(wanted.target).write_bytes(bytes(1000))

    fetch(wanted)
    assert server.ranges() == ["", "bytes=1000-", ""]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=4), ignoring=st.sets(st.integers(0, 3)))
def test_wherever_the_connection_is_cut_the_bytes_are_exact(
    server: Server, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], ignoring: set[int]
):
    server.script = [Answer(cut=cut, ignores_range=index in ignoring) for index, cut in enumerate(cuts)]
    folder = tmp_path_factory.mktemp("cut")

    fetch(Wanted(f"{server.url}/{FILE}", folder / FILE, len(WHOLE), sha256(WHOLE)), patience=replace(QUICK, attempts=6))
