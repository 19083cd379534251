"""What the server knows of a run and the harness did not: who else was served, and the trend; put into the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from firstaudio.telemetry.runs.records import RunRecord


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence about a run.

    Attributes:
        text: The sentence.
        warns: Whether it makes the figures doubtful.
    """

    text: str
    warns: bool = False


def remarks(record: RunRecord) -> tuple[Remark, ...]:
    """Those of a run, in the order in which they stand under the title of its report."""
    mixed = (Remark(f"Mixed: {one}. Its figures are in no trend.", warns=True) for one in record.mixed)
    changes = (Remark(f"Changed since the last run: {one}") for one in record.changes)
    return (_contention(record), *mixed, *_trends(record), *changes)


def with_remarks(report: str, form: str, said: Sequence[Remark]) -> str:
    """A report with remarks under its title.

    Args:
        report: As the harness wrote it.
        form: "markdown" or "html".
        said: At least one.
    """
    if form == "html":
        return _under("</header>", report, "\n" + "\n".join(map(_paragraph, said)))
    return _under(
        "\n\n", report, "\n".join(f"- {f'**{one.text}**' if one.warns else one.text}" for one in said) + "\n\n"
    )


def _contention(record: RunRecord) -> Remark:
    if record.contended is None:
        return Remark("Whether others were served during the run is not known.", warns=True)
    if not record.contended:
        return Remark("Not contended: nobody else was served during the run.")
    return Remark(
        f"Contended: streams of others that were served during the run: {record.num_other_streams}. Its figures are "
        "those of a busy server.",
        warns=True,
    )


def _trends(record: RunRecord) -> Iterator[Remark]:
    for trend in record.trends:
        yield Remark(f"Trend, {trend.verdict}: {trend.sentence}", warns=trend.verdict == "suspect")


def _under(mark: str, report: str, block: str) -> str:
    """Behind the first mark; a report without one, as another version may write it, gets the block at its end."""
    head, found, rest = report.partition(mark)
    return f"{head}{found or mark}{block}{rest}"


def _paragraph(remark: Remark) -> str:
    return f'<p class="{"warning" if remark.warns else "soft"}">{escape(remark.text)}</p>'
