"""One file, fetched over http(s) or copied by file://: resumed, bounded in time, checked before it gets its name.

The bytes go to `<name>.part`; what is known of them lies beside it (`.part.json`). A connection that brings nothing for
`Patience.stall_s` is given up and taken up again with `Range` and `If-Range` (RFC 9110, section 14.2 and 13.1.5). The
SHA-256 runs along with the writing, over resumed bytes too, and decides: a server may ignore ranges, change its file or
lie about its length, and what gets the file's name is still the file.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from firstaudio import __version__
from firstaudio.engines.kokoro.disk import put_in_place, writing
from firstaudio.errors import FirstaudioError

CHUNK_BYTES = 1 << 18
WORTH_IT_BYTES = 1 << 20  # an attempt that brought this much does not count as a failed one
MAX_PAUSE_S = 30.0
PART_SUFFIX, NOTE_SUFFIX = ".part", ".part.json"
_OFFLINE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_MARKUP = (b"<!doctype", b"<html", b"<?xml")


class DownloadError(FirstaudioError):
    """A file could not be fetched."""

    code = "download_failed"


class _TransientError(Exception):
    """Something that may be better in a moment; the text says what."""


class Listener(Protocol):
    """Whoever wants to know how far it has come."""

    def advanced(self, file: str, num_bytes: int, num_total: int) -> None:
        """So much of the file is on disk."""
        ...

    def notice(self, text: str) -> None:
        """Something happened that explains a pause or a step back."""
        ...


class Silent:
    """A listener who does not care."""

    def advanced(self, file: str, num_bytes: int, num_total: int) -> None:
        """Say nothing."""

    def notice(self, text: str) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch.

    Attributes:
        url: http://, https:// or file://.
        target: What it is to be called in the end; its folder exists.
        num_bytes: Its exact size.
        sha256: Its sum, in hexadecimal.
    """

    url: str
    target: Path
    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up.

    Attributes:
        stall_s: How long a server may say nothing, in seconds.
        attempts: Failed attempts in a row, before the download fails.
        backoff_s: Pause after the first failed attempt, in seconds; doubled after each further one.
    """

    stall_s: float = 30.0
    attempts: int = 5
    backoff_s: float = 1.0

    def pause_s(self, num_failures: int) -> float:
        """How long to wait after so many failed attempts in a row."""
        return min(self.backoff_s * 2.0 ** (num_failures - 1), MAX_PAUSE_S)


def partial(target: Path) -> Path:
    """Where the bytes of a file lie while it is on its way."""
    return target.with_name(target.name + PART_SUFFIX)


def download(
    wanted: Wanted,
    listener: Listener | None = None,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch a file; afterwards `wanted.target` has exactly the wanted content.

    Whoever calls this holds the lock of the folder. Bytes of an earlier, broken attempt are used.

    Args:
        wanted: What, from where, to where.
        listener: Told of progress and of trouble.
        patience: When to give up.
        sleep: Waits between attempts.

    Raises:
        DownloadError: It cannot be had; what has come is kept for the next time, unless it was wrong.
        ConfigError: The disk is full or may not be written.
    """
    listener, patience = listener or Silent(), patience or Patience()
    with _Part(wanted) as part:
        if part.num_bytes:
            listener.notice(f"{wanted.target.name}: going on at {part.num_bytes} of {wanted.num_bytes} bytes")
        _fill(wanted, part, listener, patience, sleep)
        if part.sha256 != wanted.sha256 and part.num_sources > 1:  # pieces of two different files, perhaps
            listener.notice(f"{wanted.target.name}: the pieces do not make the file; fetching it anew")
            part.restart()
            _fill(wanted, part, listener, patience, sleep)
        if part.sha256 != wanted.sha256:
            raise _wrong_sum(wanted, part)
        part.finish()


class _Part:
    """The bytes that are there, and their running sum. Every method raises ConfigError where the disk refuses."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._path = partial(wanted.target)
        self._note_path = wanted.target.with_name(wanted.target.name + NOTE_SUFFIX)
        self._note = self._read_note()
        self._sum = hashlib.sha256()
        self.num_bytes = 0
        self.num_sources = 0  # how many answers the bytes came from; those of an earlier process count as one
        self.is_answered = False  # whether anything was there for this process

    def __enter__(self) -> Self:
        with writing(self._path.parent):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            self._file = os.fdopen(descriptor, "r+b")
            self._recover()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk again, while the error that says so is on its way
            if error is None:
                raise
        if not self.num_bytes:
            self.discard()

    @property
    def sha256(self) -> str:
        """The sum of what is there."""
        return self._sum.hexdigest()

    def validator(self) -> str:
        """What `If-Range` is to say, where the bytes came from the same address; else nothing."""
        return str(self._note.get("validator", "")) if self._note.get("url") == self._wanted.url else ""

    def begin(self, validator: str) -> None:
        """Note where the bytes that follow come from."""
        self.num_sources += 1
        self.is_answered = True
        self._note = {"url": self._wanted.url, "validator": validator, "sha256": self._wanted.sha256}
        with writing(self._path.parent):
            self._note_path.write_text(json.dumps(self._note), encoding="utf-8")

    def write(self, data: bytes) -> None:
        """Append."""
        with writing(self._path.parent, self._wanted.num_bytes - self.num_bytes):
            self._file.write(data)
            self._file.flush()  # a process that is killed leaves what it counted
        self._sum.update(data)
        self.num_bytes += len(data)

    def restart(self) -> None:
        """Forget what is there."""
        with writing(self._path.parent):
            self._file.seek(0)
            self._file.truncate()
        self._sum, self.num_bytes, self.num_sources = hashlib.sha256(), 0, 0

    def discard(self) -> None:
        """Remove it, because it is not what was wanted."""
        self._path.unlink(missing_ok=True)
        self._note_path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the file its name."""
        with writing(self._path.parent, self._wanted.num_bytes):
            self._file.flush()
            os.fsync(self._file.fileno())
            put_in_place(self._path, self._wanted.target)
            self._note_path.unlink(missing_ok=True)

    def _read_note(self) -> dict[str, Any]:
        """What an earlier process noted; nothing where it noted nothing that can be read."""
        try:
            note = json.loads(self._note_path.read_bytes())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _recover(self) -> None:
        """Take over the bytes of an earlier process, if they were to become this very file."""
        if self._note.get("sha256") == self._wanted.sha256:
            while data := self._file.read(CHUNK_BYTES):
                self._sum.update(data)
                self.num_bytes += len(data)
            self.num_sources = 1
        if not 0 < self.num_bytes <= self._wanted.num_bytes:
            self.restart()


def _fill(wanted: Wanted, part: _Part, listener: Listener, patience: Patience, sleep: Callable[[float], None]) -> None:
    """Attempt after attempt, until all bytes are there. Raises DownloadError."""
    num_failures = 0
    while part.num_bytes < wanted.num_bytes:
        before = part.num_bytes
        try:
            _attempt(wanted, part, listener, patience)
        except _TransientError as trouble:
            worth_it = part.num_bytes - before >= WORTH_IT_BYTES
            num_failures = 1 if worth_it else num_failures + 1
            if num_failures >= patience.attempts:
                raise _given_up(wanted, part, trouble, num_failures) from trouble
            pause_s = patience.pause_s(num_failures)
            listener.notice(f"{wanted.target.name}: {trouble}; trying again in {pause_s:g} s")
            sleep(pause_s)


def _attempt(wanted: Wanted, part: _Part, listener: Listener, patience: Patience) -> None:
    """One request: what comes is appended. Raises _TransientError where it ends before the file does."""
    with _answer(wanted, part, patience) as answer:
        _place(wanted, part, answer)
        listener.advanced(wanted.target.name, part.num_bytes, wanted.num_bytes)
        while data := _read(wanted, part, patience, answer):
            _refuse_other_content(wanted, part, data)
            part.write(data)
            listener.advanced(wanted.target.name, part.num_bytes, wanted.num_bytes)
    if part.num_bytes < wanted.num_bytes:
        raise _TransientError(f"the connection ended at {part.num_bytes} of {wanted.num_bytes} bytes")


def _answer(wanted: Wanted, part: _Part, patience: Patience) -> AbstractContextManager[Any]:
    """The answer to a request for the rest of the file."""
    request = urllib.request.Request(wanted.url, headers={"User-Agent": f"firstaudio/{__version__}"})
    if part.num_bytes:
        request.add_header("Range", f"bytes={part.num_bytes}-")
        if part.validator():
            request.add_header("If-Range", part.validator())
    with _network(wanted, part, patience):
        answer: AbstractContextManager[Any] = urllib.request.urlopen(request, timeout=patience.stall_s)
    return answer


def _read(wanted: Wanted, part: _Part, patience: Patience, answer: Any) -> bytes:
    """What has come; nothing at the end."""
    with _network(wanted, part, patience):
        data: bytes = answer.read1(CHUNK_BYTES)
    return data


def _place(wanted: Wanted, part: _Part, answer: Any) -> None:
    """Make the part end where the answer begins. Raises DownloadError where it cannot be the file."""
    start, num_total = _extent(answer)
    if answer.headers.get_content_type() == "text/html":
        raise _not_a_model(wanted)
    if num_total is not None and num_total != wanted.num_bytes:
        raise DownloadError(f"{wanted.url} has {num_total} bytes, the file has {wanted.num_bytes}; {_remedy()}")
    if start != part.num_bytes:
        part.restart()
    if start != part.num_bytes:
        raise _TransientError(f"the server sent bytes from {start} on, which nobody asked for")
    part.begin(_validator(answer.headers))


def _extent(answer: Any) -> tuple[int, int | None]:
    """Where the answer's first byte lies in the file, and the file's size where the server says it."""
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
        if match is None:
            raise _TransientError("the server sent a piece and did not say which")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _validator(headers: Message) -> str:
    """A strong ETag, else the date; a weak ETag says nothing about bytes."""
    etag = str(headers.get("ETag", ""))
    return etag if etag and not etag.startswith("W/") else str(headers.get("Last-Modified", ""))


@contextmanager
def _network(wanted: Wanted, part: _Part, patience: Patience) -> Iterator[None]:
    """Sort what the network does: worth another attempt (_TransientError), or not (DownloadError)."""
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(wanted, part, error.code) from error
    except urllib.error.URLError as error:
        reason = error.reason if isinstance(error.reason, BaseException) else error
        raise _unreachable(wanted, part, reason, patience) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(wanted, part, error, patience) from error


def _refused(wanted: Wanted, part: _Part, status: int) -> Exception:
    if status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.num_bytes:
        part.restart()
        return _TransientError("the server has no such piece of the file; beginning anew")
    if status in _TRY_AGAIN:
        return _TransientError(f"the server answered {status} {http.HTTPStatus(status).phrase}")
    return DownloadError(f"{wanted.url} answered {status} {http.client.responses.get(status, '')}; {_remedy()}")


def _unreachable(wanted: Wanted, part: _Part, reason: BaseException, patience: Patience) -> Exception:
    if wanted.url.lower().startswith("file:"):
        return DownloadError(f"cannot read {wanted.url}: {getattr(reason, 'strerror', None) or reason}; {_remedy()}")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(
            f"the certificate of {wanted.url} is not trusted ({reason.verify_message}); set SSL_CERT_FILE to the "
            f"certificates of your network, or {_remedy()}"
        )
    if isinstance(reason, TimeoutError):
        return _TransientError(f"nothing came for {patience.stall_s:g} s")
    if not part.is_answered and (isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in _OFFLINE):
        return DownloadError(f"offline: cannot reach {wanted.url} ({_words(reason)}); {by_hand(wanted)}")
    return _TransientError(f"the connection failed ({_words(reason)})")


def _words(reason: BaseException) -> str:
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _given_up(wanted: Wanted, part: _Part, trouble: Exception, num_failures: int) -> DownloadError:
    kept = f"the first {part.num_bytes} bytes are kept, run the command again to go on" if part.num_bytes else ""
    then = f"; {kept}; or else {by_hand(wanted)}" if kept else f"; {by_hand(wanted)}"
    return DownloadError(f"{wanted.url}: {trouble}; given up after {num_failures} attempts{then}")


def by_hand(wanted: Wanted) -> str:
    """What to do where the network does not bring the file."""
    return f"copy {wanted.target.name} by hand into {wanted.target.parent} and run the command again, or {_remedy()}"


def _remedy() -> str:
    return "set model.url (FIRSTAUDIO_MODEL_URL) to a mirror: a folder by http(s):// or file:///"


def _refuse_other_content(wanted: Wanted, part: _Part, data: bytes) -> None:
    """Bytes beyond the file's end, or a login page that says of itself that it is binary. Raises DownloadError."""
    if part.num_bytes + len(data) > wanted.num_bytes:
        part.restart()
        raise DownloadError(f"{wanted.url} goes on after the {wanted.num_bytes} bytes of the file; {_remedy()}")
    if not part.num_bytes and data.lstrip()[:16].lower().startswith(_MARKUP):
        raise _not_a_model(wanted)


def _not_a_model(wanted: Wanted) -> DownloadError:
    return DownloadError(f"{wanted.url} is a page for people, no model file (a login or a proxy, perhaps); {_remedy()}")


def _wrong_sum(wanted: Wanted, part: _Part) -> DownloadError:
    found = part.sha256
    part.restart()
    return DownloadError(
        f"{wanted.url} is not the file that was published: SHA-256 {found}, expected {wanted.sha256}; "
        f"what came was deleted; run the command again, or {_remedy()}"
    )
