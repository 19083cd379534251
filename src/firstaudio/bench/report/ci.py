"""For build servers: JUnit XML, and annotations as GitHub shows them beside a commit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from firstaudio.bench.sessions.session import Session

if TYPE_CHECKING:
    from firstaudio.bench.compare.sessions import CellComparison, Comparison

# Characters that XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


@dataclass(frozen=True, slots=True)
class _Case:
    """One test case.

    Attributes:
        failures: Sentences; a case with any has failed.
        skipped: Why it could not be judged; empty if it could.
        output: For the reader.
    """

    group: str
    name: str
    failures: tuple[str, ...] = ()
    skipped: str = ""
    output: str = ""


def junit(comparison: Comparison) -> str:
    """A test case for each cell and each gate. Gates decide; a suspect difference is told in the case's output."""
    return _xml(f"{comparison.b} against {comparison.a}", list(_comparison_cases(comparison)))


def session_junit(session: Session) -> str:
    """A test case for each cell of one session, and one for its verdict."""
    return _xml(session.name, list(_session_cases(session)))


def github(comparison: Comparison) -> str:
    """Annotations: errors for gates that failed or could not be judged, warnings for what is suspect."""
    missed = [gate for gate in comparison.gates if gate.ok is not True]
    lines = [_annotation("error", gate.expression, gate.sentence) for gate in missed]
    suspects = [(cell, each) for cell in comparison.cells for each in cell.differences if each.finding == "suspect"]
    lines += [_annotation("warning", f"{cell.name} {each.figure}", each.sentence) for cell, each in suspects]
    lines += [_annotation("warning", "not comparable", reason) for reason in comparison.reasons]
    lines += [_annotation("warning", "not compared", reason) for reason in comparison.unmatched]
    lines.append(_annotation("notice", f"{comparison.b} against {comparison.a}", comparison.sentence))
    return "\n".join(lines) + "\n"


def session_github(session: Session) -> str:
    """Annotations: an error for each reason why the session is INVALID and each cell with failures."""
    lines = [_annotation("error", f"{session.name} is INVALID", reason) for reason in session.reasons]
    failed = [cell for cell in session.cells if cell.failed]
    lines += [_annotation("error", c.name, f"{c.failed} of {c.ok + c.failed} requests failed") for c in failed]
    return "\n".join(lines or [_annotation("notice", session.name, "VALID")]) + "\n"


def _annotation(level: str, title: str, message: str) -> str:
    return f"::{level} title={title.translate(_IN_PROPERTY)}::{message.translate(_IN_MESSAGE)}"


def _comparison_cases(comparison: Comparison) -> Iterator[_Case]:
    for cell in comparison.cells:
        output = "\n".join(each.sentence for each in cell.differences)
        yield _Case("cells", cell.name, skipped=_not_judged(comparison, cell), output=output)
    for gate in comparison.gates:
        name = f"{gate.expression} at {gate.cell}" if gate.cell else gate.expression
        failures = () if gate.ok is True else (gate.sentence,)
        yield _Case("gates", name, failures, output=gate.sentence)
    for sentence in comparison.unmatched:
        yield _Case("cells", sentence, skipped=sentence)


def _not_judged(comparison: Comparison, cell: CellComparison) -> str:
    if comparison.reasons:
        return comparison.reasons[0]
    return "" if any(each.finding != "not judged" for each in cell.differences) else "no figure has an interval"


def _session_cases(session: Session) -> Iterator[_Case]:
    yield _Case("session", "valid", tuple(session.reasons))
    for cell in session.cells:
        voids = [check.detail for check in cell.checks if check.voids and check.ok is False]
        if cell.failed:
            kinds = ", ".join(f"{count} {kind}" for kind, count in cell.failures.items())
            voids.append(f"{cell.failed} of {cell.ok + cell.failed} requests failed ({kinds})")
        yield _Case("cells", cell.name, tuple(voids))


def _xml(name: str, cases: Sequence[_Case]) -> str:
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failures) for case in cases)),
        "skipped": str(sum(bool(case.skipped) for case in cases)),
        "errors": "0",
    }
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(name), **counts})
    for case in cases:
        _add(suite, case)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add(suite: ElementTree.Element, case: _Case) -> None:
    element = ElementTree.SubElement(suite, "testcase", {"classname": case.group, "name": _clean(case.name)})
    if case.skipped:
        ElementTree.SubElement(element, "skipped", {"message": _clean(case.skipped)})
    if case.failures:
        text = _clean("\n".join(case.failures))
        ElementTree.SubElement(element, "failure", {"message": _clean(case.failures[0])}).text = text
    if case.output:
        ElementTree.SubElement(element, "system-out").text = _clean(case.output)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
