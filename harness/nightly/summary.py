"""A nightly as Markdown, for a CI job's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.nightly.document import NightlyDocument
from harness.results.document import RunDocument
from harness.results.regression_document import Change, RegressionDocument

SUMMARY_FILE = "summary.md"
_MOST_ROWS = 100
_MARKS = {0: "passed", 1: "regression", 3: "infrastructure failure", None: "not finished"}


def summary(
    nightly: NightlyDocument, documents: Sequence[RunDocument], comparison: RegressionDocument | None
) -> str:
    """Outcome first, then what was run, what got worse, what failed, what is unstable, what got better."""
    lines = [
        f"# {nightly.title}: {_MARKS[nightly.exit_code]}",
        "",
        f"{nightly.outcome}.",
        "",
        f"Commit `{nightly.commit}`, {nightly.started} to {nightly.finished}.",
        "",
        *_table(
            ("suite", "targets", "done", "failed", "no room", "unstable", "kept from before"),
            [
                (e.name, ", ".join(e.targets), e.done, e.failed, e.not_run, e.unstable, e.kept)
                for e in nightly.entries
            ],
        ),
    ]
    if comparison is not None:
        lines += _comparison(comparison)
    failed: list[tuple[str, str, str]] = [
        (f"{run.suite}: {run.method} on {run.target}, seed {run.seed}", run.failure or "trainer", run.reason)
        for run in documents
        if run.status == "failed"
    ]
    failed += [(entry.name, entry.failure, entry.reason) for entry in nightly.entries if entry.reason]
    if failed:
        lines += ["", "## Failed", "", *_table(("cell", "at fault", "reason"), failed)]
    unstable = [
        (
            f"{run.suite}: {run.method} on {run.target}, seed {run.seed}",
            len(run.retries),
            run.retries[-1].error,
        )
        for run in documents
        if run.retries
    ]
    if unstable:
        lines += ["", "## Unstable: measured after a retry", ""]
        lines += _table(("cell", "retries", "last error"), unstable)
    return "\n".join(lines) + "\n"


def _comparison(comparison: RegressionDocument) -> Iterator[str]:
    yield from ("", f"## Compared with `{comparison.base}`", "", f"{comparison.outcome}.")
    for title, changes in (
        ("Worse or changed", comparison.of("regression", "changed")),
        ("Missing or failed", comparison.of("missing", "failed")),
        ("Better", comparison.of("improvement")),
        ("Not comparable", comparison.of("not-comparable")),
    ):
        if changes:
            rows = [
                (change.where, change.figure, _text(change.base), _text(change.head), _note(change))
                for change in changes
            ]
            yield from ("", f"### {title}", "")
            yield from _table(("cell", "figure", "base", "head", ""), rows)


def _text(value: float | int | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"`{value[:16]}`"
    return f"{value:,.0f}" if float(value).is_integer() and value >= 1 else f"{value:.4f}"


def _note(change: Change) -> str:
    interval = "" if change.low is None or change.high is None else f"[{change.low:+.2%}, {change.high:+.2%}]"
    return "; ".join(filter(None, [interval, change.note]))


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows[:_MOST_ROWS]]
    if len(rows) > _MOST_ROWS:
        lines += ["", f"… and {len(rows) - _MOST_ROWS} more"]
    return lines


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
